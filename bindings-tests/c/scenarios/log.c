/* Operations of the log: entries carried to another engine, and the changes in them. */
#include "scenarios.h"
#include <string.h>

/* Every entry goes through its encoded form. */
static bool carry(pumice_engine *to, const pumice_entry *entry) {
    pumice_error *error;
    pumice_value *encoded;
    pumice_entry *decoded;
    if (!ok(pumice_entry_encode(entry, &encoded, &error), &error)) return false;
    const bool is_entry =
        ok(pumice_entry_decode(pumice_value_data(encoded), pumice_value_size(encoded), &decoded, &error), &error);
    pumice_value_free(encoded);
    if (!is_entry) return false;
    const bool applied = ok(pumice_engine_apply(to, decoded, &error), &error);
    pumice_entry_free(decoded);
    return applied;
}

static void do_replicate(void) {
    pumice_error *error;
    pumice_position position;
    pumice_log *log;
    unsigned count = 0;
    if (!ok(pumice_engine_position(engine(2), &position, &error), &error)) return;
    if (!ok(pumice_engine_log(engine(1), &position, &log, &error), &error)) return;
    for (;; count++) {
        pumice_entry *entry;
        if (!ok(pumice_log_next(log, 0, &entry, &error), &error)) break;
        if (entry == NULL) {
            say("%u", count);
            break;
        }
        const bool carried = carry(engine(2), entry);
        pumice_entry_free(entry);
        if (!carried) break;
    }
    pumice_log_free(log);
}

static void do_same_position(void) {
    pumice_error *error;
    pumice_position a, b;
    if (ok(pumice_engine_position(engine(1), &a, &error), &error) &&
        ok(pumice_engine_position(engine(2), &b, &error), &error)) {
        say_bool(a.sequence == b.sequence && strcmp(a.replication_id, b.replication_id) == 0);
    }
}

/* How many entries the log has; the last one is given on, to be freed. */
static unsigned walk_log(pumice_entry **last) {
    pumice_error *error;
    pumice_log *log;
    unsigned count = 0;
    *last = NULL;
    if (!ok(pumice_engine_log(engine(1), NULL, &log, &error), &error)) return 0;
    for (;; count++) {
        pumice_entry *entry;
        if (!ok(pumice_log_next(log, 0, &entry, &error), &error) || entry == NULL) break;
        pumice_entry_free(*last);
        *last = entry;
    }
    pumice_log_free(log);
    return count;
}

static void do_log(void) {
    pumice_entry *last;
    const unsigned count = walk_log(&last);
    if (result[0] == 0) say("%u", count);
    pumice_entry_free(last);
}

static void do_log_after_foreign(void) {
    pumice_error *error;
    pumice_log *log;
    const pumice_position position = {"ZZZZZZZZZZZZZZZZ", 1};
    say_ok(pumice_engine_log(engine(1), &position, &log, &error), &error);
    pumice_log_free(log);
}

static void do_changes(void) {
    pumice_error *error;
    pumice_changes *changes;
    pumice_entry *last;
    walk_log(&last);
    if (last == NULL) return;
    if (ok(pumice_engine_changes(engine(1), last, &changes, &error), &error)) {
        for (size_t i = 0; i < pumice_changes_count(changes); i++) {
            const pumice_change *change = pumice_changes_at(changes, i);
            say_space();
            say("%s:", pumice_operation_name((int32_t)change->operation));
            say_bytes(change->ns.data, change->ns.size);
            say(":");
            say_bytes(change->key.data, change->key.size);
        }
        say_empty();
        pumice_changes_free(changes);
    }
    pumice_entry_free(last);
}

const operation log_operations[] = {
    {"replicate", do_replicate},
    {"same_position", do_same_position},
    {"log", do_log},
    {"log_after_foreign", do_log_after_foreign},
    {"changes", do_changes},
    {NULL, NULL},
};
