/* Runs every scenario of a folder through pumice.h; see ../scenarios/README.md for the language.
 * scenarios SCENARIOS FIXTURES: prints a line per scenario, and of a failure the place, what came and what should have.
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <pumice.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_WORDS = 64, MOST_NAMED = 32, LINE_SIZE = 4096, PATH_SIZE = 4096 };

typedef struct {
    char data[LINE_SIZE];
    size_t size;
    bool given;
} word;

typedef struct {
    char name[64];
    pumice_engine *engine;
    pumice_batch *batch;
    pumice_namespace *namespaces[MOST_NAMED];
    size_t namespace_count;
} engine_slot;

typedef struct {
    char name[64];
    pumice_snapshot *snapshot;
} snapshot_slot;

static const char *fixtures;
static const char *place_file;
static int place_line;
static char folder[PATH_SIZE];
static engine_slot engines[MOST_NAMED];
static size_t engine_count;
static snapshot_slot snapshots[MOST_NAMED];
static size_t snapshot_count;

static word words[MOST_WORDS];
static size_t word_count;
static char result[64 * 1024];

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: ", place_file, place_line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void shell(const char *format, ...) {
    char command[3 * PATH_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    if (system(command) != 0) fail("failed: %s", command);
}

/* The language: words in, words out. */

static int hex(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    fail("a bad escape in a word");
    return 0;
}

static void decode(const char *text, word *out) {
    out->size = 0;
    out->given = strcmp(text, "-") != 0;
    if (strcmp(text, "%") == 0) return;
    for (; *text != 0; text++) {
        if (*text == '%') {
            out->data[out->size++] = (char)(hex(text[1]) * 16 + hex(text[2]));
            text += 2;
        } else {
            out->data[out->size++] = *text;
        }
    }
    out->data[out->size] = 0;
}

static void split(char *line) {
    word_count = 0;
    for (char *text = strtok(line, " "); text != NULL; text = strtok(NULL, " ")) {
        if (word_count == MOST_WORDS) fail("more than %d words", MOST_WORDS);
        decode(text, &words[word_count++]);
    }
}

static void say(const char *format, ...) {
    const size_t used = strlen(result);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result + used, sizeof result - used, format, arguments);
    va_end(arguments);
}

static void say_bytes(const char *data, size_t size) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_:./=-";
    if (size == 0) say("%%");
    for (size_t i = 0; i < size; i++) {
        if (data[i] != 0 && strchr(plain, data[i]) != NULL) {
            say("%c", data[i]);
        } else {
            say("%%%02x", (unsigned char)data[i]);
        }
    }
}

static void say_space(void) {
    if (result[0] != 0) say(" ");
}

static void say_empty(void) {
    if (result[0] == 0) say("empty");
}

static void say_value(pumice_value *value) {
    if (value == NULL) {
        say("none");
    } else {
        say_bytes(pumice_value_data(value), pumice_value_size(value));
        pumice_value_free(value);
    }
}

static void say_bool(bool answer) { say("%s", answer ? "true" : "false"); }

/* Whether the call did what it says; else the line's result is its error. */
static bool ok(pumice_status status, pumice_error **place) {
    pumice_error *error = *place;
    if (status == PUMICE_OK) {
        if (error != NULL) fail("an error came with PUMICE_OK");
        return true;
    }
    if (error == NULL || pumice_error_kind(error) != status || pumice_error_message(error)[0] == 0) {
        fail("status %s came without an error that says so", pumice_status_name((int32_t)status));
    }
    result[0] = 0;
    say("error %s", pumice_status_name((int32_t)status));
    pumice_error_free(error);
    return false;
}

static void say_ok(pumice_status status, pumice_error **error) {
    if (ok(status, error)) say("ok");
}

static const word *argument(size_t index) {
    if (index >= word_count) fail("too few words");
    return &words[index];
}

static const char *text(size_t index) { return argument(index)->data; }

static uint64_t number(size_t index) { return strtoull(text(index), NULL, 10); }

static pumice_bytes bytes(size_t index) { return (pumice_bytes){argument(index)->data, argument(index)->size}; }

static const char *path_of(const char *name) {
    static char path[2 * PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* What has a name. */

static void name_it(char *name, size_t size, const char *text) {
    if (strlen(text) >= size) fail("a name of %zu bytes is too long", strlen(text));
    strcpy(name, text);
}

static engine_slot *slot(const char *name) {
    for (size_t i = 0; i < engine_count; i++) {
        if (strcmp(engines[i].name, name) == 0) return &engines[i];
    }
    if (engine_count == MOST_NAMED) fail("too many engines");
    engine_slot *made = &engines[engine_count++];
    memset(made, 0, sizeof *made);
    name_it(made->name, sizeof made->name, name);
    return made;
}

static engine_slot *at(size_t index) {
    engine_slot *found = slot(text(index));
    if (found->engine == NULL) fail("engine %s was never opened", found->name);
    return found;
}

static pumice_engine *engine(size_t index) { return at(index)->engine; }

/* The engine first, so that every scenario also frees in this order. */
static void forget(engine_slot *engine) {
    pumice_engine_free(engine->engine);
    for (size_t i = 0; i < engine->namespace_count; i++) pumice_namespace_free(engine->namespaces[i]);
    pumice_batch_free(engine->batch);
    engine->engine = NULL;
    engine->batch = NULL;
    engine->namespace_count = 0;
}

/* A handle that is kept from its first use on, to see it through drops and swaps. NULL: the result is the error. */
static pumice_namespace *ns_of(engine_slot *engine, size_t index) {
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

static snapshot_slot *snapshot(size_t index) {
    for (size_t i = 0; i < snapshot_count; i++) {
        if (strcmp(snapshots[i].name, text(index)) == 0) return &snapshots[i];
    }
    fail("no snapshot %s", text(index));
    return NULL;
}

static pumice_snapshot_namespace *ns_then(size_t snapshot_index, size_t index) {
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

/* The operations. Words 1 and on are their arguments. */

static bool is_true(const char *value) {
    if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) fail("expected true or false, got %s", value);
    return strcmp(value, "true") == 0;
}

static void do_open(void) {
    engine_slot *opened = slot(text(1));
    forget(opened);
    pumice_options *options = pumice_options_new();
    for (size_t i = 2; i < word_count; i++) {
        char *value = strchr(words[i].data, '=');
        if (value == NULL) fail("an option without a value");
        *value++ = 0;
        const char *name = words[i].data;
        pumice_error *error = NULL;
        pumice_status status = PUMICE_OK;
        if (strcmp(name, "role") == 0) {
            const pumice_role role = strcmp(value, "replica") == 0 ? PUMICE_ROLE_REPLICA : PUMICE_ROLE_PRIMARY;
            status = pumice_options_set_role(options, role, &error);
        } else if (strcmp(name, "cluster") == 0) {
            status = pumice_options_set_cluster(options, is_true(value), &error);
        } else if (strcmp(name, "create") == 0) {
            status = pumice_options_set_create(options, is_true(value), &error);
        } else if (strcmp(name, "read_only") == 0) {
            status = pumice_options_set_read_only(options, is_true(value), &error);
        } else if (strcmp(name, "sync") == 0) {
            status = pumice_options_set_sync(options, is_true(value), &error);
        } else {
            fail("unknown option %s", name);
        }
        if (!ok(status, &error)) fail("option %s: %s", name, result);
    }
    pumice_error *error;
    say_ok(pumice_engine_open(path_of(text(1)), options, &opened->engine, &error), &error);
    pumice_options_free(options);
}

static void do_close(void) {
    pumice_error *error;
    say_ok(pumice_engine_close(engine(1), &error), &error);
}

static void do_role(void) {
    pumice_error *error;
    pumice_role role;
    if (ok(pumice_engine_role(engine(1), &role, &error), &error)) say("%s", pumice_role_name((int32_t)role));
}

static void do_promote(void) {
    pumice_error *error;
    say_ok(pumice_engine_promote(engine(1), &error), &error);
}

static void do_flush(void) {
    pumice_error *error;
    say_ok(pumice_engine_flush(engine(1), &error), &error);
}

static void do_create(void) {
    pumice_error *error;
    pumice_namespace *ns;
    const pumice_bytes token = bytes(3);
    say_ok(pumice_engine_create_namespace(engine(1), text(2), argument(2)->size, argument(3)->given ? &token : NULL,
                                          &ns, &error),
           &error);
    pumice_namespace_free(ns);
}

static void do_drop(void) {
    pumice_error *error;
    say_ok(pumice_engine_drop_namespace(engine(1), text(2), argument(2)->size, &error), &error);
}

static void do_token(void) {
    pumice_error *error;
    pumice_value *token;
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL && ok(pumice_namespace_token(ns, &token, &error), &error)) say_value(token);
}

static void do_set_token(void) {
    pumice_error *error;
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL) say_ok(pumice_namespace_set_token(ns, text(3), argument(3)->size, &error), &error);
}

static void say_names(pumice_names *names) {
    for (size_t i = 0; i < pumice_names_count(names); i++) {
        const pumice_bytes name = pumice_names_at(names, i);
        say_space();
        say_bytes(name.data, name.size);
    }
    say_empty();
    pumice_names_free(names);
}

static void do_namespaces(void) {
    pumice_error *error;
    pumice_names *names;
    if (ok(pumice_engine_namespaces(engine(1), &names, &error), &error)) say_names(names);
}

static void do_unregistered(void) {
    pumice_error *error;
    pumice_names *names;
    if (ok(pumice_engine_unregistered_namespaces(engine(1), &names, &error), &error)) say_names(names);
}

static void do_put(void) {
    pumice_error *error;
    pumice_write_options *options = NULL;
    if (word_count > 5) {
        options = pumice_write_options_new();
        if (!ok(pumice_write_options_set_ttl_ms(options, number(5), &error), &error)) fail("ttl: %s", result);
    }
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL) {
        say_ok(pumice_namespace_put(ns, text(3), argument(3)->size, text(4), argument(4)->size, options, &error),
               &error);
    }
    pumice_write_options_free(options);
}

static void do_put_if(void) {
    pumice_error *error;
    bool stored;
    const pumice_bytes expected = bytes(5);
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL && ok(pumice_namespace_put_if(ns, text(3), argument(3)->size, text(4), argument(4)->size,
                                                 argument(5)->given ? &expected : NULL, NULL, &stored, &error),
                         &error)) {
        say_bool(stored);
    }
}

static void do_get(void) {
    pumice_error *error;
    pumice_value *value;
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL && ok(pumice_namespace_get(ns, text(3), argument(3)->size, &value, &error), &error))
        say_value(value);
}

static void do_get_many(void) {
    pumice_error *error;
    pumice_value *values[MOST_WORDS];
    pumice_bytes keys[MOST_WORDS];
    const size_t count = word_count - 3;
    for (size_t i = 0; i < count; i++) keys[i] = bytes(3 + i);
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL && ok(pumice_namespace_get_many(ns, keys, count, values, &error), &error)) {
        for (size_t i = 0; i < count; i++) {
            say_space();
            say_value(values[i]);
        }
    }
}

static void do_delete(void) {
    pumice_error *error;
    bool deleted;
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL && ok(pumice_namespace_delete(ns, text(3), argument(3)->size, NULL, &deleted, &error), &error)) {
        say_bool(deleted);
    }
}

static void do_exists(void) {
    pumice_error *error;
    bool exists;
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL && ok(pumice_namespace_exists(ns, text(3), argument(3)->size, &exists, &error), &error)) {
        say_bool(exists);
    }
}

static void do_persist(void) {
    pumice_error *error;
    bool changed;
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL && ok(pumice_namespace_persist(ns, text(3), argument(3)->size, &changed, &error), &error)) {
        say_bool(changed);
    }
}

static void do_expire(void) {
    pumice_error *error;
    bool found;
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL && ok(pumice_namespace_expire(ns, text(3), argument(3)->size, number(4), &found, &error), &error)) {
        say_bool(found);
    }
}

static void do_ttl(void) {
    pumice_error *error;
    int64_t ttl_ms;
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL && ok(pumice_namespace_ttl_ms(ns, text(3), argument(3)->size, &ttl_ms, &error), &error)) {
        say("%s", ttl_ms == PUMICE_TTL_MISSING ? "missing" : ttl_ms == PUMICE_TTL_FOREVER ? "forever" : "left");
    }
}

static void do_kind(void) {
    pumice_error *error;
    uint8_t kind;
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL && ok(pumice_namespace_kind(ns, text(3), argument(3)->size, &kind, &error), &error)) {
        say("%s", pumice_kind_name(kind));
    }
}

static void do_count(void) {
    pumice_error *error;
    uint64_t count;
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL && ok(pumice_namespace_count(ns, &count, &error), &error)) say("%llu", (unsigned long long)count);
}

static void do_is_empty(void) {
    pumice_error *error;
    bool is_empty;
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL && ok(pumice_namespace_is_empty(ns, &is_empty, &error), &error)) say_bool(is_empty);
}

static void do_clear(void) {
    pumice_error *error;
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns != NULL) say_ok(pumice_namespace_clear(ns, &error), &error);
}

static void do_items(void) {
    pumice_error *error;
    pumice_items *items;
    const pumice_bytes start = bytes(4), end = bytes(5);
    const pumice_range range = {bytes(3), argument(4)->given ? &start : NULL, argument(5)->given ? &end : NULL,
                                strcmp(text(6), "reverse") == 0};
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns == NULL || !ok(pumice_namespace_items(ns, &range, &items, &error), &error)) return;
    for (;;) {
        const pumice_item *item;
        if (!ok(pumice_items_next(items, &item, &error), &error)) break;
        if (item == NULL) {
            say_empty();
            break;
        }
        say_space();
        say_bytes(item->key.data, item->key.size);
        say("=");
        if (item->value.data != NULL) {
            say_bytes(item->value.data, item->value.size);
        } else {
            say("(%s)", pumice_kind_name(item->kind));
        }
    }
    pumice_items_free(items);
}

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

static void do_free(void) {
    snapshot_slot *freed = snapshot(1);
    pumice_snapshot_free(freed->snapshot);
    *freed = snapshots[--snapshot_count];
    say("ok");
}

static void do_checkpoint(void) {
    pumice_error *error;
    pumice_checkpoint *made;
    const char *path = path_of(text(2));
    if (!ok(pumice_engine_create_checkpoint(engine(1), path, NULL, NULL, &made, &error), &error)) return;
    if (strcmp(pumice_checkpoint_path(made), path) != 0) fail("checkpoint path: got %s", pumice_checkpoint_path(made));
    if (pumice_checkpoint_files(made) == 0 || pumice_checkpoint_bytes(made) == 0) fail("a checkpoint without files");
    pumice_checkpoint_free(made);
    say("ok");
}

static void do_apply_checkpoint(void) {
    pumice_error *error;
    say_ok(pumice_engine_apply_checkpoint(engine(1), path_of(text(2)), true, NULL, NULL, &error), &error);
}

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

static void do_verify(void) {
    pumice_error *error;
    pumice_findings *findings;
    if (!ok(pumice_engine_verify(engine(1), PUMICE_DEPTH_RECORDS, &findings, &error), &error)) return;
    say("%zu", pumice_findings_count(findings));
    for (size_t i = 0; i < pumice_findings_count(findings); i++) {
        const pumice_finding finding = pumice_findings_at(findings, i);
        fprintf(stderr, "  %.*s: %.*s\n", (int)finding.what.size, finding.what.data, (int)finding.detail.size,
                finding.detail.data);
    }
    pumice_findings_free(findings);
}

static void do_info(void) {
    static const struct {
        const char *name;
        uint64_t (*figure)(const pumice_info *);
    } figures[] = {
        {"generation", pumice_info_generation},
        {"namespaces", pumice_info_namespaces},
        {"records_estimate", pumice_info_records_estimate},
        {"table_files", pumice_info_table_files},
        {"table_bytes", pumice_info_table_bytes},
        {"blob_bytes", pumice_info_blob_bytes},
        {"oldest_sequence", pumice_info_oldest_sequence},
        {"memory_budget", pumice_info_memory_budget},
        {"cache_bytes", pumice_info_cache_bytes},
        {"write_buffer_bytes", pumice_info_write_buffer_bytes},
        {"table_reader_bytes", pumice_info_table_reader_bytes},
        {"snapshots", pumice_info_snapshots},
    };
    pumice_error *error;
    pumice_info *info;
    if (!ok(pumice_engine_info(engine(1), &info, &error), &error)) return;
    const char *field = text(2);
    if (strcmp(field, "role") == 0) {
        say("%s", pumice_role_name((int32_t)pumice_info_role(info)));
    } else if (strcmp(field, "layout") == 0) {
        say("%s", pumice_info_layout(info));
    } else if (strcmp(field, "sequence") == 0) {
        say("%llu", (unsigned long long)pumice_info_position(info).sequence);
    } else if (strcmp(field, "replication_id") == 0) {
        say("%s", pumice_info_position(info).replication_id);
    } else {
        for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
            if (strcmp(field, figures[i].name) == 0) say("%llu", (unsigned long long)figures[i].figure(info));
        }
    }
    if (result[0] == 0) fail("unknown field %s", field);
    pumice_info_free(info);
}

static void do_fixture(void) {
    const char *path = path_of(text(2));
    shell("mkdir -p '%s' && cp -R '%s/%s/db' '%s/db'", path, fixtures, text(1), path);
    say("ok");
}

static void do_backup(void) {
    shell("cp -R '%s/%s/backup' '%s'", fixtures, text(1), path_of(text(2)));
    say("ok");
}

static void do_release(void) {
    pumice_error *error;
    say_ok(pumice_release(path_of(text(1)), &error), &error);
}

static void do_sleep(void) {
    const struct timespec time = {(time_t)(number(1) / 1000), (long)(number(1) % 1000) * 1000000};
    nanosleep(&time, NULL);
    say("ok");
}

static const struct {
    const char *name;
    void (*run)(void);
} operations[] = {
    {"open", do_open},
    {"close", do_close},
    {"role", do_role},
    {"promote", do_promote},
    {"flush", do_flush},
    {"create", do_create},
    {"drop", do_drop},
    {"token", do_token},
    {"set_token", do_set_token},
    {"namespaces", do_namespaces},
    {"unregistered", do_unregistered},
    {"put", do_put},
    {"put_if", do_put_if},
    {"get", do_get},
    {"get_many", do_get_many},
    {"delete", do_delete},
    {"exists", do_exists},
    {"persist", do_persist},
    {"expire", do_expire},
    {"ttl", do_ttl},
    {"kind", do_kind},
    {"count", do_count},
    {"is_empty", do_is_empty},
    {"clear", do_clear},
    {"items", do_items},
    {"batch", do_batch},
    {"batch_put", do_batch_put},
    {"batch_delete", do_batch_delete},
    {"commit", do_commit},
    {"discard", do_discard},
    {"snapshot", do_snapshot},
    {"snapshot_get", do_snapshot_get},
    {"snapshot_namespaces", do_snapshot_namespaces},
    {"snapshot_count", do_snapshot_count},
    {"free", do_free},
    {"checkpoint", do_checkpoint},
    {"apply_checkpoint", do_apply_checkpoint},
    {"replicate", do_replicate},
    {"same_position", do_same_position},
    {"log", do_log},
    {"log_after_foreign", do_log_after_foreign},
    {"changes", do_changes},
    {"verify", do_verify},
    {"info", do_info},
    {"fixture", do_fixture},
    {"backup", do_backup},
    {"release", do_release},
    {"sleep", do_sleep},
};

/* Returns how many lines did something. */
static int run_file(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) fail("cannot be read");
    char line[LINE_SIZE], shown[LINE_SIZE];
    int steps = 0;
    for (place_line = 1; fgets(line, sizeof line, file) != NULL; place_line++) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] == 0 || line[0] == '#') continue;
        snprintf(shown, sizeof shown, "%s", line);
        char *expected = strstr(line, " => ");
        if (expected == NULL) fail("no => in: %s", shown);
        *expected = 0;
        expected += 4;
        split(line);
        result[0] = 0;
        size_t i = 0;
        while (i < sizeof operations / sizeof *operations && strcmp(operations[i].name, words[0].data) != 0) i++;
        if (i == sizeof operations / sizeof *operations) fail("unknown operation: %s", shown);
        operations[i].run();
        if (strcmp(result, expected) != 0) fail("%s\n  got      %s\n  expected %s", shown, result, expected);
        steps++;
    }
    fclose(file);
    return steps;
}

static int is_scenario(const struct dirent *entry) {
    const size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".txt") == 0;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s SCENARIOS FIXTURES\n", argv[0]);
        return 2;
    }
    fixtures = argv[2];
    place_file = argv[1];
    struct dirent **files;
    const int count = scandir(argv[1], &files, is_scenario, alphasort);
    int ran = 0;
    for (int i = 0; i < count; i++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "%s/%s", argv[1], files[i]->d_name);
        place_file = path;
        const char *temporary = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/pumice-XXXXXX", temporary != NULL ? temporary : "/tmp");
        if (mkdtemp(folder) == NULL) fail("no folder %s", folder);
        const int steps = run_file(path);
        if (steps == 0) fail("no line that does anything");
        for (size_t j = 0; j < engine_count; j++) forget(&engines[j]);
        for (size_t j = 0; j < snapshot_count; j++) pumice_snapshot_free(snapshots[j].snapshot);
        engine_count = snapshot_count = 0;
        shell("rm -rf '%s'", folder);
        printf("scenario %-20s %3d lines ok\n", files[i]->d_name, steps);
        free(files[i]);
        ran++;
    }
    if (count <= 0 || ran != count) {
        fprintf(stderr, "%s: ran %d scenarios of %d\n", argv[1], ran, count);
        return 1;
    }
    free(files);
    printf("%d scenarios\n", ran);
    return 0;
}
