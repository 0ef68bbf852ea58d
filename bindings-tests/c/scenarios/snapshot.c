/* Operations of snapshots. */
#include "scenarios.h"

static void do_snapshot(void) {
    pumice_error *error;
    if (snapshot_count == MOST_NAMED) fail("too many snapshots");
    snapshot_slot *taken = &snapshots[snapshot_count++];
    name_it(taken->name, sizeof taken->name, text(2));
    say_ok(pumice_engine_snapshot(engine(1), &taken->snapshot, &error), &error);
}

static void do_snapshot_get(void) {
    pumice_error *error;
    pumice_value *value;
    pumice_snapshot_namespace *ns = ns_then(1, 2);
    if (ns == NULL) return;
    if (ok(pumice_snapshot_namespace_get(ns, text(3), argument(3)->size, &value, &error), &error)) say_value(value);
    pumice_snapshot_namespace_free(ns);
}

static void do_snapshot_namespaces(void) {
    pumice_error *error;
    pumice_names *names;
    if (ok(pumice_snapshot_namespaces(snapshot(1)->snapshot, &names, &error), &error)) say_names(names);
}

static void do_snapshot_count(void) {
    pumice_error *error;
    uint64_t count;
    pumice_snapshot_namespace *ns = ns_then(1, 2);
    if (ns == NULL) return;
    if (ok(pumice_snapshot_namespace_count(ns, &count, &error), &error)) say("%llu", (unsigned long long)count);
    pumice_snapshot_namespace_free(ns);
}

static void do_snapshot_execute(void) {
    pumice_error *error;
    pumice_reply *reply;
    pumice_bytes args[MOST_WORDS];
    pumice_snapshot_namespace *ns = ns_then(1, 2);
    for (size_t i = 3; i < word_count; i++) args[i - 3] = bytes(i);
    if (ns == NULL) return;
    if (ok(pumice_snapshot_namespace_execute(ns, args, word_count - 3, &reply, &error), &error)) {
        say_reply(reply);
        pumice_reply_free(reply);
    }
    pumice_snapshot_namespace_free(ns);
}

static void do_free(void) {
    snapshot_slot *freed = snapshot(1);
    pumice_snapshot_free(freed->snapshot);
    *freed = snapshots[--snapshot_count];
    say("ok");
}

const operation snapshot_operations[] = {
    {"snapshot", do_snapshot},
    {"snapshot_get", do_snapshot_get},
    {"snapshot_namespaces", do_snapshot_namespaces},
    {"snapshot_count", do_snapshot_count},
    {"snapshot_execute", do_snapshot_execute},
    {"free", do_free},
    {NULL, NULL},
};
