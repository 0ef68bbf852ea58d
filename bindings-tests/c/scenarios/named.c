/* What has a name: engines with their namespaces, and snapshots. */
#include "scenarios.h"
#include <string.h>

engine_slot engines[MOST_NAMED];
size_t engine_count;
snapshot_slot snapshots[MOST_NAMED];
size_t snapshot_count;

void name_it(char *name, size_t size, const char *text) {
    if (strlen(text) >= size) fail("a name of %zu bytes is too long", strlen(text));
    strcpy(name, text);
}

engine_slot *slot(const char *name) {
    for (size_t i = 0; i < engine_count; i++) {
        if (strcmp(engines[i].name, name) == 0) return &engines[i];
    }
    if (engine_count == MOST_NAMED) fail("too many engines");
    engine_slot *made = &engines[engine_count++];
    memset(made, 0, sizeof *made);
    name_it(made->name, sizeof made->name, name);
    return made;
}

engine_slot *at(size_t index) {
    engine_slot *found = slot(text(index));
    if (found->engine == NULL) fail("engine %s was never opened", found->name);
    return found;
}

pumice_engine *engine(size_t index) { return at(index)->engine; }

/* The engine first, so that every scenario also frees in this order. */
void forget(engine_slot *engine) {
    pumice_engine_free(engine->engine);
    for (size_t i = 0; i < engine->namespace_count; i++) pumice_namespace_free(engine->namespaces[i]);
    pumice_batch_free(engine->batch);
    pumice_listener_free(engine->listener);
    pumice_events_free(engine->events);
    engine->engine = NULL;
    engine->listener = NULL;
    engine->batch = NULL;
    engine->events = NULL;
    engine->namespace_count = 0;
}

/* A handle that is kept from its first use on, to see it through drops and swaps. NULL: the result is the error. */
pumice_namespace *ns_of(engine_slot *engine, size_t index) {
    const word *name = argument(index);
    const char *asked = name->given ? name->data : "__namespace";
    const size_t asked_size = name->given ? name->size : strlen(asked);
    for (size_t i = 0; i < engine->namespace_count; i++) {
        const pumice_bytes known = pumice_namespace_name(engine->namespaces[i]);
        if (known.size == asked_size && memcmp(known.data, asked, asked_size) == 0) return engine->namespaces[i];
    }
    pumice_namespace *ns;
    pumice_error *error;
    pumice_status status;
    if (name->given) {
        status = pumice_engine_open_namespace(engine->engine, name->data, name->size, &ns, &error);
    } else {
        status = pumice_engine_default_namespace(engine->engine, &ns, &error);
    }
    if (!ok(status, &error)) return NULL;
    if (engine->namespace_count == MOST_NAMED) fail("too many namespaces");
    return engine->namespaces[engine->namespace_count++] = ns;
}

snapshot_slot *snapshot(size_t index) {
    for (size_t i = 0; i < snapshot_count; i++) {
        if (strcmp(snapshots[i].name, text(index)) == 0) return &snapshots[i];
    }
    fail("no snapshot %s", text(index));
    return NULL;
}

pumice_snapshot_namespace *ns_then(size_t snapshot_index, size_t index) {
    pumice_snapshot_namespace *ns;
    pumice_error *error;
    pumice_snapshot *then = snapshot(snapshot_index)->snapshot;
    pumice_status status;
    if (argument(index)->given) {
        status = pumice_snapshot_open_namespace(then, text(index), argument(index)->size, &ns, &error);
    } else {
        status = pumice_snapshot_default_namespace(then, &ns, &error);
    }
    return ok(status, &error) ? ns : NULL;
}
