/* Operations of batches. */
#include "scenarios.h"

static void do_batch(void) {
    pumice_error *error;
    engine_slot *engine = at(1);
    pumice_batch_free(engine->batch);
    say_ok(pumice_engine_batch(engine->engine, &engine->batch, &error), &error);
}

static void do_batch_put(void) {
    pumice_error *error;
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL) {
        say_ok(pumice_batch_put(at(1)->batch, ns, text(3), argument(3)->size, text(4), argument(4)->size, NULL, &error),
               &error);
    }
}

static void do_batch_delete(void) {
    pumice_error *error;
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL) say_ok(pumice_batch_delete(at(1)->batch, ns, text(3), argument(3)->size, &error), &error);
}

static void do_commit(void) {
    pumice_error *error;
    say_ok(pumice_batch_commit(at(1)->batch, NULL, &error), &error);
}

static void do_discard(void) {
    pumice_batch_free(at(1)->batch);
    at(1)->batch = NULL;
    say("ok");
}

const operation batch_operations[] = {
    {"batch", do_batch},
    {"batch_put", do_batch_put},
    {"batch_delete", do_batch_delete},
    {"commit", do_commit},
    {"discard", do_discard},
    {NULL, NULL},
};
