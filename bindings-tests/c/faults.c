/* What goes wrong, and must do so well: NULL and empty arguments, closed engines, handles freed in any order, cancelled
 * calls, large values, threads, forks.
 * faults FIXTURES [TEST...]: runs all tests, or some; faults --list names them. PUMICE_SLOW_TOOL makes it do less of
 * what only repeats. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <pumice.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, MINUTE = 60000 };

static const char *fixtures;
static char folder[PATH_SIZE];
static bool slow;

/* Where every call of this file puts its error. */
static _Thread_local pumice_error *error;

static void fail(int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "faults.c:%d: ", line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(1);
}

static void is(int line, const char *call, pumice_status expected, pumice_status got) {
    if (got != expected) {
        fail(line, "%s: got %s (%s), expected %s", call, pumice_status_name((int32_t)got), pumice_error_message(error),
             pumice_status_name((int32_t)expected));
    }
    if ((error == NULL) != (got == PUMICE_OK)) fail(line, "%s: its error and its status disagree", call);
    if (pumice_error_kind(error) != got) fail(line, "%s: its error has another kind", call);
    if (error != NULL && strlen(pumice_error_message(error)) < 10) fail(line, "%s: its error says nothing", call);
    pumice_error_free(error);
    error = NULL;
}

#define IS(expected, ...) is(__LINE__, #__VA_ARGS__, expected, __VA_ARGS__)
#define OK(...) IS(PUMICE_OK, __VA_ARGS__)
#define REFUSED(...) IS(PUMICE_INVALID_ARGUMENT, __VA_ARGS__)
#define CHECK(condition)                                             \
    do {                                                             \
        if (!(condition)) fail(__LINE__, "expected %s", #condition); \
    } while (0)

static const char *in(const char *name) {
    static _Thread_local char paths[4][2 * PATH_SIZE];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, 2 * PATH_SIZE, "%s/%s", folder, name);
    return path;
}

static bool exists(const char *path) {
    struct stat found;
    return stat(path, &found) == 0;
}

static void pause_ms(long ms) {
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static pumice_engine *open_as(const char *name, pumice_role role) {
    pumice_options *options = pumice_options_new();
    pumice_engine *engine;
    OK(pumice_options_set_role(options, (int32_t)role, &error));
    OK(pumice_engine_open(in(name), options, &engine, &error));
    pumice_options_free(options);
    return engine;
}

static pumice_engine *open_new(const char *name) { return open_as(name, PUMICE_ROLE_PRIMARY); }

static void put(pumice_namespace *ns, const char *key, const char *value) {
    OK(pumice_namespace_put(ns, key, strlen(key), value, strlen(value), NULL, &error));
}

static bool holds(pumice_namespace *ns, const char *key, const char *expected) {
    pumice_value *value;
    OK(pumice_namespace_get(ns, key, strlen(key), &value, &error));
    const bool same = expected == NULL ? value == NULL
                                       : value != NULL && pumice_value_size(value) == strlen(expected) &&
                                             memcmp(pumice_value_data(value), expected, strlen(expected)) == 0;
    pumice_value_free(value);
    return same;
}

/* One of every handle. */
typedef struct {
    pumice_engine *engine;
    pumice_namespace *ns;
    pumice_value *value;
    pumice_items *items;
    pumice_snapshot *snapshot;
    pumice_snapshot_namespace *then;
    pumice_items *items_then;
    pumice_batch *batch;
    pumice_log *log;
    pumice_entry *entry;
    pumice_changes *changes;
    pumice_names *names;
    pumice_info *info;
    pumice_findings *findings;
    pumice_checkpoint *checkpoint;
    pumice_value *token;
    pumice_listener *listener;
    pumice_feeds *feeds;
    pumice_engine *replica;
    pumice_link_status *link;
    pumice_usage *usage;
} handles;

enum { HANDLES = 21 };

static handles open_all(const char *name, const char *checkpoint) {
    handles h;
    const pumice_bytes token = {"0123456789012345678901234567890123456789", 40};
    h.engine = open_new(name);
    OK(pumice_engine_create_namespace(h.engine, "n", 1, &token, &h.ns, &error));
    put(h.ns, "k", "v");
    put(h.ns, "l", "w");
    OK(pumice_namespace_get(h.ns, "k", 1, &h.value, &error));
    OK(pumice_namespace_items(h.ns, NULL, &h.items, &error));
    OK(pumice_engine_snapshot(h.engine, &h.snapshot, &error));
    OK(pumice_snapshot_open_namespace(h.snapshot, "n", 1, &h.then, &error));
    OK(pumice_snapshot_namespace_items(h.then, NULL, &h.items_then, &error));
    OK(pumice_engine_batch(h.engine, &h.batch, &error));
    OK(pumice_batch_put(h.batch, h.ns, "b", 1, "1", 1, NULL, &error));
    OK(pumice_engine_log(h.engine, NULL, &h.log, &error));
    OK(pumice_log_next(h.log, 0, &h.entry, &error));
    CHECK(h.entry != NULL);
    OK(pumice_engine_changes(h.engine, h.entry, &h.changes, &error));
    OK(pumice_engine_namespaces(h.engine, &h.names, &error));
    OK(pumice_engine_info(h.engine, &h.info, &error));
    OK(pumice_engine_usage(h.engine, NULL, NULL, &h.usage, &error));
    OK(pumice_engine_verify(h.engine, PUMICE_DEPTH_QUICK, &h.findings, &error));
    OK(pumice_engine_create_checkpoint(h.engine, in(checkpoint), NULL, NULL, &h.checkpoint, &error));
    OK(pumice_namespace_token(h.ns, &h.token, &error));
    char name_of_replica[PATH_SIZE];
    snprintf(name_of_replica, sizeof name_of_replica, "%s-replica", name);
    OK(pumice_engine_serve(h.engine, "127.0.0.1:0", NULL, &h.listener, &error));
    h.replica = open_as(name_of_replica, PUMICE_ROLE_REPLICA);
    bool linked;
    OK(pumice_engine_follow(h.replica, pumice_listener_host(h.listener), pumice_listener_port(h.listener), NULL, &error));
    OK(pumice_engine_wait_linked(h.replica, MINUTE, NULL, NULL, &linked, &error));
    CHECK(linked);
    OK(pumice_engine_link(h.replica, &h.link, &error));
    OK(pumice_engine_feeds(h.engine, &h.feeds, &error));
    CHECK(h.link != NULL && pumice_feeds_count(h.feeds) == 1);
    return h;
}

static void free_one(handles *h, unsigned which) {
    switch (which) {
        case 0: pumice_engine_free(h->engine); break;
        case 1: pumice_namespace_free(h->ns); break;
        case 2: pumice_value_free(h->value); break;
        case 3: pumice_items_free(h->items); break;
        case 4: pumice_snapshot_free(h->snapshot); break;
        case 5: pumice_snapshot_namespace_free(h->then); break;
        case 6: pumice_items_free(h->items_then); break;
        case 7: pumice_batch_free(h->batch); break;
        case 8: pumice_log_free(h->log); break;
        case 9: pumice_entry_free(h->entry); break;
        case 10: pumice_changes_free(h->changes); break;
        case 11: pumice_names_free(h->names); break;
        case 12: pumice_info_free(h->info); break;
        case 13: pumice_findings_free(h->findings); break;
        case 14: pumice_checkpoint_free(h->checkpoint); break;
        case 15: pumice_value_free(h->token); break;
        case 16: pumice_listener_free(h->listener); break;
        case 17: pumice_feeds_free(h->feeds); break;
        case 18: pumice_engine_free(h->replica); break;
        case 19: pumice_link_status_free(h->link); break;
        case 20: pumice_usage_free(h->usage); break;
        default: fail(__LINE__, "no handle %u", which);
    }
}

static void free_all(handles *h) {
    for (unsigned i = 0; i < HANDLES; i++) free_one(h, i);
}

/* Every call that touches data, on handles of an engine that is closed, or of the parent of this process. */
static void all_closed(handles *h) {
    pumice_role role;
    pumice_position position;
    pumice_namespace *ns;
    pumice_snapshot_namespace *then;
    pumice_names *names;
    pumice_snapshot *snapshot;
    pumice_log *log;
    pumice_entry *entry;
    pumice_changes *changes;
    pumice_findings *findings;
    pumice_info *info;
    pumice_usage *usage;
    pumice_items *items;
    pumice_value *value;
    pumice_batch *batch;
    uint8_t kind;
    bool answer;
    uint64_t count;
    int64_t ttl_ms;
    size_t acked;
    pumice_listener *listener;
    pumice_link_status *link;
    pumice_feeds *feeds;
    const pumice_position somewhere = {"", 0};
    const pumice_bytes key = {"k", 1};
    const pumice_engine *e = h->engine;

    IS(PUMICE_CLOSED, pumice_engine_role(e, &role, &error));
    IS(PUMICE_CLOSED, pumice_engine_position(e, &position, &error));
    IS(PUMICE_CLOSED, pumice_engine_create_namespace(e, "x", 1, NULL, &ns, &error));
    IS(PUMICE_CLOSED, pumice_engine_open_namespace(e, "n", 1, &ns, &error));
    CHECK(ns == NULL);
    IS(PUMICE_CLOSED, pumice_engine_namespaces(e, &names, &error));
    IS(PUMICE_CLOSED, pumice_engine_unregistered_namespaces(e, &names, &error));
    IS(PUMICE_CLOSED, pumice_engine_drop_namespace(e, "n", 1, &error));
    IS(PUMICE_CLOSED, pumice_engine_flush(e, &error));
    IS(PUMICE_CLOSED, pumice_engine_promote(e, &error));
    IS(PUMICE_CLOSED, pumice_engine_snapshot(e, &snapshot, &error));
    IS(PUMICE_CLOSED, pumice_engine_create_checkpoint(e, in("late"), NULL, NULL, NULL, &error));
    CHECK(!exists(in("late")));
    IS(PUMICE_CLOSED,
       pumice_engine_apply_checkpoint(e, pumice_checkpoint_path(h->checkpoint), false, NULL, NULL, &error));
    IS(PUMICE_CLOSED, pumice_engine_log(e, NULL, &log, &error));
    IS(PUMICE_CLOSED, pumice_engine_changes(e, h->entry, &changes, &error));
    IS(PUMICE_CLOSED, pumice_engine_apply(e, h->entry, &error));
    IS(PUMICE_CLOSED, pumice_engine_verify(e, PUMICE_DEPTH_RECORDS, &findings, &error));
    IS(PUMICE_CLOSED, pumice_engine_info(e, &info, &error));
    IS(PUMICE_CLOSED, pumice_engine_usage(e, NULL, NULL, &usage, &error));
    CHECK(usage == NULL);
    IS(PUMICE_CLOSED, pumice_engine_serve(e, "127.0.0.1:0", NULL, &listener, &error));
    CHECK(listener == NULL);
    IS(PUMICE_CLOSED, pumice_engine_follow(e, "127.0.0.1", 1, NULL, &error));
    IS(PUMICE_CLOSED, pumice_engine_wait_linked(e, MINUTE, NULL, NULL, &answer, &error));
    IS(PUMICE_CLOSED, pumice_engine_link(e, &link, &error));
    CHECK(link == NULL);
    IS(PUMICE_CLOSED, pumice_engine_feeds(e, &feeds, &error));
    IS(PUMICE_CLOSED, pumice_engine_detach(e, &error));
    IS(PUMICE_CLOSED, pumice_engine_hand_over(e, "127.0.0.1", 1, MINUTE, &error));
    IS(PUMICE_CLOSED, pumice_engine_discard(e, NULL, &error));
    IS(PUMICE_CLOSED, pumice_engine_wait_for(e, &somewhere, MINUTE, &answer, &error));
    IS(PUMICE_CLOSED, pumice_engine_wait_acked(e, &somewhere, 1, MINUTE, &acked, &error));
    OK(pumice_listener_close(h->listener, &error));
    OK(pumice_engine_default_namespace(e, &ns, &error));
    IS(PUMICE_CLOSED, pumice_namespace_put(ns, "k", 1, "v", 1, NULL, &error));
    pumice_namespace_free(ns);
    OK(pumice_engine_batch(e, &batch, &error));
    IS(PUMICE_CLOSED, pumice_batch_put(batch, h->ns, "k", 1, "v", 1, NULL, &error));
    IS(PUMICE_CLOSED, pumice_batch_delete(batch, h->ns, "k", 1, &error));
    pumice_batch_free(batch);

    IS(PUMICE_CLOSED, pumice_namespace_token(h->ns, &value, &error));
    IS(PUMICE_CLOSED, pumice_namespace_set_token(h->ns, "t", 1, &error));
    IS(PUMICE_CLOSED, pumice_namespace_put(h->ns, "k", 1, "v", 1, NULL, &error));
    IS(PUMICE_CLOSED, pumice_namespace_put_if(h->ns, "k", 1, "v", 1, NULL, NULL, &answer, &error));
    IS(PUMICE_CLOSED, pumice_namespace_delete(h->ns, "k", 1, NULL, NULL, &error));
    IS(PUMICE_CLOSED, pumice_namespace_expire(h->ns, "k", 1, 1000, NULL, &error));
    IS(PUMICE_CLOSED, pumice_namespace_persist(h->ns, "k", 1, NULL, &error));
    IS(PUMICE_CLOSED, pumice_namespace_clear(h->ns, &error));
    IS(PUMICE_CLOSED, pumice_namespace_get(h->ns, "k", 1, &value, &error));
    CHECK(value == NULL);
    IS(PUMICE_CLOSED, pumice_namespace_get_many(h->ns, &key, 1, &value, &error));
    CHECK(value == NULL);
    IS(PUMICE_CLOSED, pumice_namespace_kind(h->ns, "k", 1, &kind, &error));
    IS(PUMICE_CLOSED, pumice_namespace_exists(h->ns, "k", 1, &answer, &error));
    IS(PUMICE_CLOSED, pumice_namespace_ttl_ms(h->ns, "k", 1, &ttl_ms, &error));
    IS(PUMICE_CLOSED, pumice_namespace_items(h->ns, NULL, &items, &error));
    IS(PUMICE_CLOSED, pumice_namespace_count(h->ns, &count, &error));
    IS(PUMICE_CLOSED, pumice_namespace_is_empty(h->ns, &answer, &error));
    const pumice_bytes dbsize = {"DBSIZE", 6};
    pumice_reply *reply;
    IS(PUMICE_CLOSED, pumice_namespace_execute(h->ns, &dbsize, 1, &reply, &error));
    CHECK(reply == NULL);

    IS(PUMICE_CLOSED, pumice_snapshot_namespaces(h->snapshot, &names, &error));
    IS(PUMICE_CLOSED, pumice_snapshot_open_namespace(h->snapshot, "n", 1, &then, &error));
    OK(pumice_snapshot_default_namespace(h->snapshot, &then, &error));
    IS(PUMICE_CLOSED, pumice_snapshot_namespace_get(then, "k", 1, &value, &error));
    pumice_snapshot_namespace_free(then);
    IS(PUMICE_CLOSED, pumice_snapshot_namespace_get(h->then, "k", 1, &value, &error));
    IS(PUMICE_CLOSED, pumice_snapshot_namespace_get_many(h->then, &key, 1, &value, &error));
    IS(PUMICE_CLOSED, pumice_snapshot_namespace_kind(h->then, "k", 1, &kind, &error));
    IS(PUMICE_CLOSED, pumice_snapshot_namespace_exists(h->then, "k", 1, &answer, &error));
    IS(PUMICE_CLOSED, pumice_snapshot_namespace_ttl_ms(h->then, "k", 1, &ttl_ms, &error));
    IS(PUMICE_CLOSED, pumice_snapshot_namespace_items(h->then, NULL, &items, &error));
    IS(PUMICE_CLOSED, pumice_snapshot_namespace_count(h->then, &count, &error));
    IS(PUMICE_CLOSED, pumice_snapshot_namespace_is_empty(h->then, &answer, &error));

    IS(PUMICE_CLOSED, pumice_log_next(h->log, 0, &entry, &error));
    IS(PUMICE_CLOSED, pumice_batch_commit(h->batch, NULL, &error));

    /* What was given stays what it is. */
    CHECK(pumice_value_size(h->value) == 1 && pumice_value_data(h->value)[0] == 'v');
    CHECK(pumice_value_size(h->token) == 40);
    CHECK(pumice_names_count(h->names) == 2 && pumice_names_at(h->names, 1).data[0] == 'n');
    CHECK(pumice_engine_path(e) != NULL && pumice_snapshot_position(h->snapshot).sequence > 0);
    CHECK(pumice_namespace_name(h->ns).size == 1 && pumice_snapshot_namespace_name(h->then).size == 1);
    CHECK(pumice_listener_host(h->listener)[0] == '1' && pumice_listener_port(h->listener) > 0);
    CHECK(pumice_link_status_port(h->link) == pumice_listener_port(h->listener));
    CHECK(pumice_feeds_at(h->feeds, 0)->host[0] == '1');
    CHECK(pumice_usage_at(h->usage, 1)->name.data[0] == 'n' && pumice_usage_at(h->usage, 1)->kinds[0].keys == 2);
}

static void test_nulls(void) {
    handles h = open_all("e", "c");
    const pumice_engine *e = h.engine;
    pumice_options *options = pumice_options_new();
    pumice_write_options *how = pumice_write_options_new();
    pumice_engine *engine = h.engine;
    pumice_namespace *ns = h.ns;
    pumice_snapshot_namespace *then;
    pumice_names *names;
    pumice_snapshot *snapshot;
    pumice_log *log;
    pumice_entry *entry = h.entry;
    pumice_changes *changes;
    pumice_findings *findings;
    pumice_info *info;
    pumice_usage *usage = h.usage;
    pumice_convert_options *layout = pumice_convert_options_new();
    pumice_converted *converted;
    pumice_items *items;
    pumice_value *value = h.value;
    pumice_batch *batch;
    pumice_checkpoint *checkpoint = h.checkpoint;
    pumice_role role;
    pumice_position position;
    const pumice_item *item;
    uint8_t kind;
    bool answer;
    uint64_t count;
    int64_t ttl_ms;
    size_t acked;
    pumice_listener *listener;
    pumice_link_status *link;
    pumice_feeds *feeds;
    pumice_reply *reply;
    const pumice_bytes key = {"k", 1}, bad = {NULL, 1};
    const pumice_range bad_prefix = {{NULL, 1}, NULL, NULL, false};
    const pumice_range bad_start = {{NULL, 0}, &bad, NULL, false}, bad_end = {{NULL, 0}, NULL, &bad, false};

    REFUSED(pumice_options_set_role(NULL, PUMICE_ROLE_PRIMARY, &error));
    REFUSED(pumice_options_set_cluster(NULL, true, &error));
    REFUSED(pumice_options_set_create(NULL, true, &error));
    REFUSED(pumice_options_set_read_only(NULL, true, &error));
    REFUSED(pumice_options_set_sync(NULL, true, &error));
    REFUSED(pumice_options_set_memory_budget(NULL, 1, &error));
    REFUSED(pumice_options_set_compression(NULL, PUMICE_COMPRESSION_LZ4, &error));
    REFUSED(pumice_options_set_wal_keep_bytes(NULL, 1, &error));
    REFUSED(pumice_options_set_wal_keep_ms(NULL, 1, &error));
    REFUSED(pumice_write_options_set_ttl_ms(NULL, 1, &error));
    REFUSED(pumice_write_options_set_sync(NULL, true, &error));

    REFUSED(pumice_engine_open(NULL, options, &engine, &error));
    CHECK(engine == NULL);
    REFUSED(pumice_engine_open(in("other"), options, NULL, &error));
    CHECK(!exists(in("other")));
    REFUSED(pumice_engine_close(NULL, &error));
    REFUSED(pumice_engine_role(NULL, &role, &error));
    REFUSED(pumice_engine_role(e, NULL, &error));
    REFUSED(pumice_engine_position(NULL, &position, &error));
    REFUSED(pumice_engine_position(e, NULL, &error));
    REFUSED(pumice_engine_create_namespace(NULL, "x", 1, NULL, &ns, &error));
    CHECK(ns == NULL);
    REFUSED(pumice_engine_create_namespace(e, NULL, 1, NULL, &ns, &error));
    REFUSED(pumice_engine_create_namespace(e, "x", 1, &bad, &ns, &error));
    REFUSED(pumice_engine_create_namespace(e, "x", 1, NULL, NULL, &error));
    REFUSED(pumice_engine_open_namespace(NULL, "n", 1, &ns, &error));
    REFUSED(pumice_engine_open_namespace(e, NULL, 1, &ns, &error));
    REFUSED(pumice_engine_open_namespace(e, NULL, 0, &ns, &error));
    REFUSED(pumice_engine_open_namespace(e, "n", 1, NULL, &error));
    REFUSED(pumice_engine_default_namespace(NULL, &ns, &error));
    REFUSED(pumice_engine_default_namespace(e, NULL, &error));
    REFUSED(pumice_engine_namespaces(NULL, &names, &error));
    REFUSED(pumice_engine_namespaces(e, NULL, &error));
    REFUSED(pumice_engine_unregistered_namespaces(NULL, &names, &error));
    REFUSED(pumice_engine_unregistered_namespaces(e, NULL, &error));
    REFUSED(pumice_engine_drop_namespace(NULL, "n", 1, &error));
    REFUSED(pumice_engine_drop_namespace(e, NULL, 1, &error));
    REFUSED(pumice_engine_flush(NULL, &error));
    REFUSED(pumice_engine_promote(NULL, &error));
    REFUSED(pumice_release(NULL, &error));
    REFUSED(pumice_engine_batch(NULL, &batch, &error));
    REFUSED(pumice_engine_batch(e, NULL, &error));
    REFUSED(pumice_engine_snapshot(NULL, &snapshot, &error));
    REFUSED(pumice_engine_snapshot(e, NULL, &error));
    REFUSED(pumice_engine_create_checkpoint(NULL, in("late"), NULL, NULL, &checkpoint, &error));
    CHECK(checkpoint == NULL);
    REFUSED(pumice_engine_create_checkpoint(e, NULL, NULL, NULL, &checkpoint, &error));
    REFUSED(pumice_engine_apply_checkpoint(NULL, in("c"), false, NULL, NULL, &error));
    REFUSED(pumice_engine_apply_checkpoint(e, NULL, false, NULL, NULL, &error));
    REFUSED(pumice_convert_options_set_cluster(NULL, true, &error));
    REFUSED(pumice_convert_options_set_namespace(NULL, "n", 1, &error));
    REFUSED(pumice_convert_options_set_namespace(layout, NULL, 1, &error));
    REFUSED(pumice_convert_options_set_compression(NULL, PUMICE_COMPRESSION_LZ4, &error));
    REFUSED(pumice_convert_options_set_memory_budget(NULL, 1 << 25, &error));
    REFUSED(pumice_convert(NULL, in("late"), NULL, NULL, NULL, &converted, &error));
    CHECK(converted == NULL);
    REFUSED(pumice_convert(in("e"), NULL, layout, NULL, NULL, NULL, &error));
    REFUSED(pumice_engine_usage(NULL, NULL, NULL, &usage, &error));
    CHECK(usage == NULL);
    REFUSED(pumice_engine_usage(e, NULL, NULL, NULL, &error));
    REFUSED(pumice_engine_log(NULL, NULL, &log, &error));
    REFUSED(pumice_engine_log(e, NULL, NULL, &error));
    REFUSED(pumice_engine_changes(NULL, h.entry, &changes, &error));
    REFUSED(pumice_engine_changes(e, NULL, &changes, &error));
    REFUSED(pumice_engine_changes(e, h.entry, NULL, &error));
    REFUSED(pumice_engine_apply(NULL, h.entry, &error));
    REFUSED(pumice_engine_apply(e, NULL, &error));
    REFUSED(pumice_engine_verify(NULL, PUMICE_DEPTH_QUICK, &findings, &error));
    REFUSED(pumice_engine_verify(e, PUMICE_DEPTH_QUICK, NULL, &error));
    REFUSED(pumice_engine_info(NULL, &info, &error));
    REFUSED(pumice_engine_info(e, NULL, &error));
    REFUSED(pumice_engine_serve(NULL, "127.0.0.1:0", NULL, &listener, &error));
    CHECK(listener == NULL);
    REFUSED(pumice_engine_serve(e, NULL, NULL, &listener, &error));
    REFUSED(pumice_engine_serve(e, "127.0.0.1:0", NULL, NULL, &error));
    REFUSED(pumice_listener_close(NULL, &error));
    REFUSED(pumice_engine_follow(NULL, "127.0.0.1", 1, NULL, &error));
    REFUSED(pumice_engine_follow(e, NULL, 1, NULL, &error));
    REFUSED(pumice_engine_wait_linked(NULL, 0, NULL, NULL, &answer, &error));
    REFUSED(pumice_engine_wait_linked(e, 0, NULL, NULL, NULL, &error));
    REFUSED(pumice_engine_link(NULL, &link, &error));
    CHECK(link == NULL);
    REFUSED(pumice_engine_link(e, NULL, &error));
    REFUSED(pumice_engine_feeds(NULL, &feeds, &error));
    CHECK(feeds == NULL);
    REFUSED(pumice_engine_feeds(e, NULL, &error));
    REFUSED(pumice_engine_detach(NULL, &error));
    REFUSED(pumice_engine_hand_over(NULL, "127.0.0.1", 1, 0, &error));
    REFUSED(pumice_engine_hand_over(e, NULL, 1, 0, &error));
    REFUSED(pumice_engine_discard(NULL, NULL, &error));
    OK(pumice_engine_position(e, &position, &error));
    REFUSED(pumice_engine_wait_for(NULL, &position, 0, &answer, &error));
    REFUSED(pumice_engine_wait_for(e, NULL, 0, &answer, &error));
    REFUSED(pumice_engine_wait_for(e, &position, 0, NULL, &error));
    REFUSED(pumice_engine_wait_acked(NULL, &position, 0, 0, &acked, &error));
    REFUSED(pumice_engine_wait_acked(e, NULL, 0, 0, &acked, &error));
    REFUSED(pumice_engine_wait_acked(e, &position, 0, 0, NULL, &error));
    REFUSED(pumice_follow_options_set_password(NULL, "p", 1, &error));
    REFUSED(pumice_follow_options_set_announce_port(NULL, 1, &error));
    REFUSED(pumice_serve_options_set_password(NULL, "p", 1, &error));
    REFUSED(pumice_serve_options_set_max_connections(NULL, 1, &error));
    REFUSED(pumice_serve_options_set_authenticate_timeout_ms(NULL, 1, &error));
    REFUSED(pumice_serve_options_set_send_timeout_ms(NULL, 1, &error));
    REFUSED(pumice_serve_options_set_sync_bytes_per_second(NULL, 1, &error));
    REFUSED(pumice_serve_options_set_checkpoint_disk_limit(NULL, 1, &error));

    REFUSED(pumice_namespace_token(NULL, &value, &error));
    CHECK(value == NULL);
    REFUSED(pumice_namespace_token(h.ns, NULL, &error));
    REFUSED(pumice_namespace_set_token(NULL, "t", 1, &error));
    REFUSED(pumice_namespace_set_token(h.ns, NULL, 1, &error));
    REFUSED(pumice_namespace_put(NULL, "k", 1, "v", 1, NULL, &error));
    REFUSED(pumice_namespace_put(h.ns, NULL, 1, "v", 1, NULL, &error));
    REFUSED(pumice_namespace_put(h.ns, "k", 1, NULL, 1, NULL, &error));
    REFUSED(pumice_namespace_put_if(NULL, "k", 1, "v", 1, NULL, NULL, &answer, &error));
    REFUSED(pumice_namespace_put_if(h.ns, NULL, 1, "v", 1, NULL, NULL, &answer, &error));
    REFUSED(pumice_namespace_put_if(h.ns, "k", 1, NULL, 1, NULL, NULL, &answer, &error));
    REFUSED(pumice_namespace_put_if(h.ns, "k", 1, "v", 1, &bad, NULL, &answer, &error));
    REFUSED(pumice_namespace_put_if(h.ns, "k", 1, "v", 1, NULL, NULL, NULL, &error));
    REFUSED(pumice_namespace_delete(NULL, "k", 1, NULL, NULL, &error));
    REFUSED(pumice_namespace_delete(h.ns, NULL, 1, NULL, NULL, &error));
    REFUSED(pumice_namespace_expire(NULL, "k", 1, 1000, NULL, &error));
    REFUSED(pumice_namespace_expire(h.ns, NULL, 1, 1000, NULL, &error));
    REFUSED(pumice_namespace_persist(NULL, "k", 1, NULL, &error));
    REFUSED(pumice_namespace_persist(h.ns, NULL, 1, NULL, &error));
    REFUSED(pumice_namespace_clear(NULL, &error));
    REFUSED(pumice_namespace_get(NULL, "k", 1, &value, &error));
    REFUSED(pumice_namespace_get(h.ns, NULL, 1, &value, &error));
    REFUSED(pumice_namespace_get(h.ns, "k", 1, NULL, &error));
    REFUSED(pumice_namespace_get_many(NULL, &key, 1, &value, &error));
    REFUSED(pumice_namespace_get_many(h.ns, NULL, 1, &value, &error));
    REFUSED(pumice_namespace_get_many(h.ns, &bad, 1, &value, &error));
    REFUSED(pumice_namespace_get_many(h.ns, &key, 1, NULL, &error));
    REFUSED(pumice_namespace_kind(NULL, "k", 1, &kind, &error));
    REFUSED(pumice_namespace_kind(h.ns, NULL, 1, &kind, &error));
    REFUSED(pumice_namespace_kind(h.ns, "k", 1, NULL, &error));
    REFUSED(pumice_namespace_exists(NULL, "k", 1, &answer, &error));
    REFUSED(pumice_namespace_exists(h.ns, NULL, 1, &answer, &error));
    REFUSED(pumice_namespace_exists(h.ns, "k", 1, NULL, &error));
    REFUSED(pumice_namespace_ttl_ms(NULL, "k", 1, &ttl_ms, &error));
    REFUSED(pumice_namespace_ttl_ms(h.ns, NULL, 1, &ttl_ms, &error));
    REFUSED(pumice_namespace_ttl_ms(h.ns, "k", 1, NULL, &error));
    REFUSED(pumice_namespace_items(NULL, NULL, &items, &error));
    REFUSED(pumice_namespace_items(h.ns, &bad_prefix, &items, &error));
    REFUSED(pumice_namespace_items(h.ns, &bad_start, &items, &error));
    REFUSED(pumice_namespace_items(h.ns, &bad_end, &items, &error));
    REFUSED(pumice_namespace_items(h.ns, NULL, NULL, &error));
    REFUSED(pumice_namespace_count(NULL, &count, &error));
    REFUSED(pumice_namespace_count(h.ns, NULL, &error));
    REFUSED(pumice_namespace_is_empty(NULL, &answer, &error));
    REFUSED(pumice_namespace_is_empty(h.ns, NULL, &error));
    REFUSED(pumice_namespace_execute(NULL, &key, 1, &reply, &error));
    REFUSED(pumice_namespace_execute(h.ns, NULL, 1, &reply, &error));
    REFUSED(pumice_namespace_execute(h.ns, &bad, 1, &reply, &error));
    REFUSED(pumice_namespace_execute(h.ns, &key, 1, NULL, &error));
    REFUSED(pumice_namespace_execute(h.ns, NULL, 0, &reply, &error));
    CHECK(reply == NULL);
    REFUSED(pumice_items_next(NULL, &item, &error));
    REFUSED(pumice_items_next(h.items, NULL, &error));

    REFUSED(pumice_batch_put(NULL, h.ns, "k", 1, "v", 1, NULL, &error));
    REFUSED(pumice_batch_put(h.batch, NULL, "k", 1, "v", 1, NULL, &error));
    REFUSED(pumice_batch_put(h.batch, h.ns, NULL, 1, "v", 1, NULL, &error));
    REFUSED(pumice_batch_put(h.batch, h.ns, "k", 1, NULL, 1, NULL, &error));
    REFUSED(pumice_batch_delete(NULL, h.ns, "k", 1, &error));
    REFUSED(pumice_batch_delete(h.batch, NULL, "k", 1, &error));
    REFUSED(pumice_batch_delete(h.batch, h.ns, NULL, 1, &error));
    REFUSED(pumice_batch_commit(NULL, NULL, &error));
    CHECK(pumice_batch_count(h.batch) == 1);

    REFUSED(pumice_snapshot_namespaces(NULL, &names, &error));
    REFUSED(pumice_snapshot_namespaces(h.snapshot, NULL, &error));
    REFUSED(pumice_snapshot_open_namespace(NULL, "n", 1, &then, &error));
    REFUSED(pumice_snapshot_open_namespace(h.snapshot, NULL, 1, &then, &error));
    REFUSED(pumice_snapshot_open_namespace(h.snapshot, "n", 1, NULL, &error));
    REFUSED(pumice_snapshot_default_namespace(NULL, &then, &error));
    REFUSED(pumice_snapshot_default_namespace(h.snapshot, NULL, &error));
    REFUSED(pumice_snapshot_namespace_get(NULL, "k", 1, &value, &error));
    REFUSED(pumice_snapshot_namespace_get(h.then, NULL, 1, &value, &error));
    REFUSED(pumice_snapshot_namespace_get(h.then, "k", 1, NULL, &error));
    REFUSED(pumice_snapshot_namespace_get_many(NULL, &key, 1, &value, &error));
    REFUSED(pumice_snapshot_namespace_get_many(h.then, NULL, 1, &value, &error));
    REFUSED(pumice_snapshot_namespace_get_many(h.then, &key, 1, NULL, &error));
    REFUSED(pumice_snapshot_namespace_kind(NULL, "k", 1, &kind, &error));
    REFUSED(pumice_snapshot_namespace_kind(h.then, NULL, 1, &kind, &error));
    REFUSED(pumice_snapshot_namespace_kind(h.then, "k", 1, NULL, &error));
    REFUSED(pumice_snapshot_namespace_exists(NULL, "k", 1, &answer, &error));
    REFUSED(pumice_snapshot_namespace_exists(h.then, NULL, 1, &answer, &error));
    REFUSED(pumice_snapshot_namespace_exists(h.then, "k", 1, NULL, &error));
    REFUSED(pumice_snapshot_namespace_ttl_ms(NULL, "k", 1, &ttl_ms, &error));
    REFUSED(pumice_snapshot_namespace_ttl_ms(h.then, NULL, 1, &ttl_ms, &error));
    REFUSED(pumice_snapshot_namespace_ttl_ms(h.then, "k", 1, NULL, &error));
    REFUSED(pumice_snapshot_namespace_items(NULL, NULL, &items, &error));
    REFUSED(pumice_snapshot_namespace_items(h.then, &bad_prefix, &items, &error));
    REFUSED(pumice_snapshot_namespace_items(h.then, NULL, NULL, &error));
    REFUSED(pumice_snapshot_namespace_count(NULL, &count, &error));
    REFUSED(pumice_snapshot_namespace_count(h.then, NULL, &error));
    REFUSED(pumice_snapshot_namespace_is_empty(NULL, &answer, &error));
    REFUSED(pumice_snapshot_namespace_is_empty(h.then, NULL, &error));

    REFUSED(pumice_log_next(NULL, 0, &entry, &error));
    CHECK(entry == NULL);
    REFUSED(pumice_log_next(h.log, 0, NULL, &error));
    REFUSED(pumice_entry_new(NULL, 1, false, "b", 1, &entry, &error));
    REFUSED(pumice_entry_new(NULL, 0, false, NULL, 1, &entry, &error));
    REFUSED(pumice_entry_new(NULL, 0, false, "b", 1, NULL, &error));
    REFUSED(pumice_entry_decode(NULL, 1, &entry, &error));
    REFUSED(pumice_entry_decode("b", 1, NULL, &error));
    REFUSED(pumice_entry_encode(NULL, &value, &error));
    REFUSED(pumice_entry_encode(h.entry, NULL, &error));

    /* Sizes that no memory has. */
    REFUSED(pumice_namespace_put(h.ns, "k", SIZE_MAX, "v", 1, NULL, &error));
    REFUSED(pumice_namespace_get_many(h.ns, &key, SIZE_MAX / 2, &value, &error));

    /* And without a place for the error. */
    CHECK(pumice_namespace_get(NULL, "k", 1, &value, NULL) == PUMICE_INVALID_ARGUMENT);
    CHECK(pumice_engine_drop_namespace(e, "missing", 7, NULL) == PUMICE_NOT_FOUND);
    CHECK(pumice_engine_flush(e, NULL) == PUMICE_OK);

    /* Nothing of it changed anything. */
    CHECK(holds(h.ns, "k", "v") && holds(h.ns, "b", NULL));
    pumice_options_free(options);
    pumice_write_options_free(how);
    pumice_convert_options_free(layout);
    free_all(&h);
}

static void test_nothing_of_nothing(void) {
    handles none = {0};
    free_all(&none);
    pumice_options_free(NULL);
    pumice_write_options_free(NULL);
    pumice_error_free(NULL);
    CHECK(pumice_error_kind(NULL) == PUMICE_OK && pumice_error_message(NULL)[0] == 0);
    CHECK(pumice_value_data(NULL) == NULL && pumice_value_size(NULL) == 0);
    CHECK(pumice_names_count(NULL) == 0 && pumice_names_at(NULL, 0).data == NULL);
    CHECK(pumice_engine_path(NULL) == NULL);
    CHECK(pumice_namespace_name(NULL).data == NULL && pumice_snapshot_namespace_name(NULL).data == NULL);
    CHECK(pumice_reply_kind(NULL) == PUMICE_REPLY_NIL && pumice_reply_integer(NULL) == 0);
    CHECK(pumice_reply_bytes(NULL).data == NULL && pumice_reply_count(NULL) == 0 && pumice_reply_at(NULL, 0) == NULL);
    pumice_reply_free(NULL);
    CHECK(pumice_batch_count(NULL) == 0);
    CHECK(pumice_snapshot_position(NULL).sequence == 0 && pumice_log_position(NULL).replication_id[0] == 0);
    CHECK(pumice_checkpoint_path(NULL) == NULL && pumice_checkpoint_position(NULL).sequence == 0);
    CHECK(pumice_checkpoint_files(NULL) == 0 && pumice_checkpoint_bytes(NULL) == 0);
    CHECK(pumice_entry_replication_id(NULL) == NULL && pumice_entry_batch(NULL).data == NULL);
    CHECK(pumice_entry_first(NULL) == 0 && pumice_entry_last(NULL) == 0 && !pumice_entry_cluster(NULL));
    CHECK(pumice_changes_count(NULL) == 0 && pumice_changes_at(NULL, 0) == NULL);
    CHECK(pumice_findings_count(NULL) == 0 && pumice_findings_at(NULL, 0).what.data == NULL);
    CHECK(pumice_info_path(NULL) == NULL && pumice_info_layout(NULL) == NULL);
    CHECK(pumice_info_refuses_writes(NULL) == NULL && pumice_info_role(NULL) == PUMICE_ROLE_DETACHED);
    CHECK(pumice_info_position(NULL).sequence == 0 && pumice_info_generation(NULL) == 0);
    CHECK(pumice_info_namespaces(NULL) == 0 && pumice_info_records_estimate(NULL) == 0);
    CHECK(pumice_info_table_files(NULL) == 0 && pumice_info_table_bytes(NULL) == 0);
    CHECK(pumice_info_blob_bytes(NULL) == 0 && pumice_info_oldest_sequence(NULL) == 0);
    CHECK(pumice_info_memory_budget(NULL) == 0 && pumice_info_cache_bytes(NULL) == 0);
    CHECK(pumice_info_write_buffer_bytes(NULL) == 0 && pumice_info_table_reader_bytes(NULL) == 0);
    CHECK(pumice_info_snapshots(NULL) == 0 && pumice_info_feeds(NULL) == 0);
    CHECK(pumice_info_lag_sequences(NULL) == 0 && pumice_info_lag_ms(NULL) == 0);
    CHECK(pumice_usage_count(NULL) == 0 && pumice_usage_at(NULL, 0) == NULL);
    CHECK(pumice_usage_other_bytes(NULL) == 0 && pumice_usage_unreadable_records(NULL) == 0);
    pumice_convert_options_free(NULL);
    pumice_converted_free(NULL);
    CHECK(pumice_converted_path(NULL) == NULL && pumice_converted_layout(NULL) == NULL);
    CHECK(pumice_converted_position(NULL).sequence == 0 && pumice_converted_namespace(NULL).data == NULL);
    CHECK(pumice_converted_keys(NULL) == 0 && pumice_converted_records(NULL) == 0);
    CHECK(pumice_converted_bytes(NULL) == 0 && pumice_converted_left_out_count(NULL) == 0);
    CHECK(pumice_converted_left_out_at(NULL, 0) == NULL);
    pumice_follow_options_free(NULL);
    pumice_serve_options_free(NULL);
    CHECK(pumice_listener_host(NULL) == NULL && pumice_listener_port(NULL) == 0);
    CHECK(pumice_feeds_count(NULL) == 0 && pumice_feeds_at(NULL, 0) == NULL);
    CHECK(pumice_link_status_host(NULL) == NULL && pumice_link_status_port(NULL) == 0);
    CHECK(pumice_link_status_state(NULL) == PUMICE_LINK_STATE_NONE && pumice_link_status_since_ms(NULL) == 0);
    CHECK(pumice_link_status_peer(NULL) == PUMICE_PEER_NONE && pumice_link_status_lag_sequences(NULL) == 0);
    CHECK(pumice_link_status_lag_ms(NULL) == 0 && pumice_link_status_last_io_ms(NULL) == 0);
    CHECK(pumice_link_status_last_error(NULL) == NULL && pumice_link_status_warning(NULL) == NULL);
    CHECK(pumice_link_status_sync(NULL) == NULL && pumice_link_status_full_syncs(NULL) == 0);
}

static void test_names(void) {
    CHECK(pumice_version()[0] != 0);
    CHECK(strcmp(pumice_status_name(PUMICE_OK), "Ok") == 0);
    CHECK(strcmp(pumice_status_name(PUMICE_INTERNAL), "Internal") == 0);
    for (int32_t status = PUMICE_OK; status <= PUMICE_INTERNAL; status++) {
        CHECK(strcmp(pumice_status_name(status), "unknown") != 0);
    }
    CHECK(strcmp(pumice_status_name(14), "unknown") == 0 && strcmp(pumice_status_name(-1), "unknown") == 0);
    CHECK(strcmp(pumice_role_name(PUMICE_ROLE_REPLICA), "replica") == 0);
    CHECK(strcmp(pumice_role_name(0), "unknown") == 0);
    CHECK(strcmp(pumice_kind_name(PUMICE_KIND_ZSET), "zset") == 0);
    CHECK(strcmp(pumice_kind_name(300), "unknown") == 0);
    CHECK(strcmp(pumice_stage_name(PUMICE_STAGE_PUBLISH), "publish") == 0);
    CHECK(strcmp(pumice_stage_name(PUMICE_STAGE_CONVERT), "convert") == 0);
    CHECK(strcmp(pumice_stage_name(PUMICE_STAGE_COUNT), "count") == 0);
    CHECK(strcmp(pumice_operation_name(PUMICE_OPERATION_DELETE_RANGE), "delete_range") == 0);
    CHECK(strcmp(pumice_link_state_name(PUMICE_LINK_STATE_STREAMING), "streaming") == 0);
    CHECK(strcmp(pumice_link_state_name(PUMICE_LINK_STATE_NONE), "unknown") == 0);
    CHECK(strcmp(pumice_peer_name(PUMICE_PEER_KVROCKS), "kvrocks") == 0);
    CHECK(strcmp(pumice_peer_name(PUMICE_PEER_PUMICE), "pumice") == 0);
    CHECK(strcmp(pumice_peer_name(PUMICE_PEER_NONE), "unknown") == 0);
}

static void test_empty_bytes(void) {
    pumice_engine *engine = open_new("e");
    pumice_namespace *ns;
    pumice_value *value, *values[2];
    bool answer;
    uint8_t kind;
    int64_t ttl_ms;
    const pumice_bytes empty = {NULL, 0}, keys[2] = {{NULL, 0}, {"", 0}};
    OK(pumice_engine_default_namespace(engine, &ns, &error));
    OK(pumice_namespace_put_if(ns, NULL, 0, NULL, 0, NULL, NULL, &answer, &error));
    CHECK(answer);
    OK(pumice_namespace_get(ns, "", 0, &value, &error));
    CHECK(value != NULL && pumice_value_size(value) == 0 && pumice_value_data(value) != NULL);
    pumice_value_free(value);
    OK(pumice_namespace_put_if(ns, NULL, 0, "1", 1, &empty, NULL, &answer, &error));
    CHECK(answer && holds(ns, "", "1"));
    OK(pumice_namespace_put(ns, NULL, 0, NULL, 0, NULL, &error));
    OK(pumice_namespace_get_many(ns, keys, 2, values, &error));
    CHECK(values[0] != NULL && values[1] != NULL && pumice_value_size(values[1]) == 0);
    pumice_value_free(values[0]);
    pumice_value_free(values[1]);
    OK(pumice_namespace_get_many(ns, NULL, 0, NULL, &error));
    OK(pumice_namespace_kind(ns, NULL, 0, &kind, &error));
    OK(pumice_namespace_exists(ns, NULL, 0, &answer, &error));
    OK(pumice_namespace_ttl_ms(ns, NULL, 0, &ttl_ms, &error));
    CHECK(kind == PUMICE_KIND_STRING && answer && ttl_ms == PUMICE_TTL_FOREVER);
    OK(pumice_namespace_expire(ns, NULL, 0, 60000, &answer, &error));
    CHECK(answer);
    OK(pumice_namespace_ttl_ms(ns, NULL, 0, &ttl_ms, &error));
    CHECK(ttl_ms > 0 && ttl_ms <= 60000);
    OK(pumice_namespace_persist(ns, NULL, 0, NULL, &error));

    /* A string that is empty has a value, unlike what is no string; a bound that is empty is a bound. */
    pumice_items *items;
    const pumice_item *item;
    pumice_range range = {{NULL, 0}, &empty, NULL, false};
    OK(pumice_namespace_items(ns, &range, &items, &error));
    OK(pumice_items_next(items, &item, &error));
    CHECK(item != NULL && item->key.data != NULL && item->key.size == 0 && item->value.data != NULL);
    CHECK(item->value.size == 0 && item->kind == PUMICE_KIND_STRING);
    OK(pumice_items_next(items, &item, &error));
    CHECK(item == NULL);
    pumice_items_free(items);
    range.end = &empty;
    OK(pumice_namespace_items(ns, &range, &items, &error));
    OK(pumice_items_next(items, &item, &error));
    CHECK(item == NULL);
    pumice_items_free(items);

    pumice_batch *batch;
    OK(pumice_engine_batch(engine, &batch, &error));
    OK(pumice_batch_commit(batch, NULL, &error));
    REFUSED(pumice_batch_commit(batch, NULL, &error));
    REFUSED(pumice_batch_put(batch, ns, "k", 1, "v", 1, NULL, &error));
    REFUSED(pumice_batch_delete(batch, ns, "k", 1, &error));
    CHECK(pumice_batch_count(batch) == 0);
    pumice_batch_free(batch);
    OK(pumice_engine_batch(engine, &batch, &error));
    OK(pumice_batch_delete(batch, ns, NULL, 0, &error));
    OK(pumice_batch_put(batch, ns, "p", 1, NULL, 0, NULL, &error));
    CHECK(pumice_batch_count(batch) == 2);
    OK(pumice_batch_commit(batch, NULL, &error));
    pumice_batch_free(batch);
    CHECK(holds(ns, "", NULL) && holds(ns, "p", ""));

    REFUSED(pumice_namespace_set_token(ns, NULL, 0, &error));
    pumice_namespace *none;
    REFUSED(pumice_engine_create_namespace(engine, "x", 1, &empty, &none, &error));
    REFUSED(pumice_engine_create_namespace(engine, NULL, 0, NULL, &none, &error));
    pumice_namespace_free(ns);
    pumice_entry *entry;
    IS(PUMICE_CORRUPTION, pumice_entry_decode(NULL, 0, &entry, &error));
    IS(PUMICE_CORRUPTION, pumice_entry_new(NULL, 0, false, NULL, 0, &entry, &error));
    pumice_engine_free(engine);
}

static void test_options(void) {
    pumice_options *options = pumice_options_new();
    pumice_engine *engine;
    pumice_info *info;
    pumice_findings *findings;
    REFUSED(pumice_options_set_role(options, 0, &error));
    REFUSED(pumice_options_set_role(options, 99, &error));
    REFUSED(pumice_options_set_compression(options, -1, &error));
    REFUSED(pumice_options_set_compression(options, 5, &error));
    OK(pumice_options_set_create(options, false, &error));
    IS(PUMICE_NOT_FOUND, pumice_engine_open(in("e"), options, &engine, &error));
    CHECK(engine == NULL && !exists(in("e")));
    OK(pumice_options_set_create(options, true, &error));
    OK(pumice_options_set_memory_budget(options, 1, &error));
    REFUSED(pumice_engine_open(in("e"), options, &engine, &error));
    OK(pumice_options_set_memory_budget(options, 32 << 20, &error));
    OK(pumice_options_set_compression(options, PUMICE_COMPRESSION_ZSTD, &error));
    OK(pumice_options_set_cluster(options, true, &error));
    OK(pumice_options_set_sync(options, true, &error));
    OK(pumice_options_set_wal_keep_bytes(options, 1 << 20, &error));
    OK(pumice_options_set_wal_keep_ms(options, 60000, &error));
    OK(pumice_engine_open(in("e"), options, &engine, &error));
    pumice_options_free(options);

    OK(pumice_engine_info(engine, &info, &error));
    CHECK(strcmp(pumice_info_layout(info), "cluster") == 0 && pumice_info_memory_budget(info) == 32 << 20);
    CHECK(strcmp(pumice_info_path(info), pumice_engine_path(engine)) == 0);
    CHECK(pumice_info_role(info) == PUMICE_ROLE_PRIMARY && pumice_info_refuses_writes(info) == NULL);
    CHECK(pumice_info_lag_sequences(info) == PUMICE_UNKNOWN && pumice_info_lag_ms(info) == PUMICE_UNKNOWN);
    CHECK(strlen(pumice_info_position(info).replication_id) == 16 && pumice_info_generation(info) == 1);
    pumice_info_free(info);
    pumice_log *log;
    pumice_entry *entry;
    OK(pumice_engine_log(engine, NULL, &log, &error));
    OK(pumice_log_next(log, 0, &entry, &error));
    CHECK(pumice_entry_cluster(entry));
    pumice_entry_free(entry);
    pumice_log_free(log);
    REFUSED(pumice_engine_verify(engine, 3, &findings, &error));
    REFUSED(pumice_engine_verify(engine, -1, &findings, &error));

    /* One writer: who else comes hears who it is. */
    pumice_engine *second;
    IS(PUMICE_BUSY, pumice_engine_open(in("e"), NULL, &second, &error));
    IS(PUMICE_BUSY, pumice_release(in("e"), &error));
    OK(pumice_engine_close(engine, &error));

    options = pumice_options_new();
    OK(pumice_options_set_read_only(options, true, &error));
    OK(pumice_engine_open(in("e"), options, &second, &error));
    pumice_options_free(options);
    pumice_namespace *ns;
    OK(pumice_engine_default_namespace(second, &ns, &error));
    IS(PUMICE_READ_ONLY, pumice_namespace_put(ns, "k", 1, "v", 1, NULL, &error));
    OK(pumice_engine_info(second, &info, &error));
    CHECK(pumice_info_refuses_writes(info) != NULL);
    pumice_info_free(info);
    pumice_engine_free(second);
    pumice_namespace_free(ns);
    OK(pumice_release(in("e"), &error));
    pumice_engine_free(engine);
}

static void test_write_options(void) {
    pumice_engine *engine = open_new("e"), *other = open_new("o");
    pumice_namespace *ns, *foreign;
    pumice_write_options *how = pumice_write_options_new();
    pumice_batch *batch;
    int64_t ttl_ms;
    bool answer;
    OK(pumice_engine_create_namespace(engine, "n", 1, NULL, &ns, &error));
    OK(pumice_engine_create_namespace(other, "n", 1, NULL, &foreign, &error));
    OK(pumice_write_options_set_sync(how, true, &error));
    OK(pumice_namespace_put(ns, "synced", 6, "v", 1, how, &error));
    OK(pumice_write_options_set_ttl_ms(how, 60000, &error));
    OK(pumice_namespace_put(ns, "a", 1, "v", 1, how, &error));
    OK(pumice_namespace_put_if(ns, "b", 1, "v", 1, NULL, how, &answer, &error));
    CHECK(answer);
    OK(pumice_engine_batch(engine, &batch, &error));
    OK(pumice_batch_put(batch, ns, "c", 1, "v", 1, how, &error));
    REFUSED(pumice_batch_put(batch, foreign, "c", 1, "v", 1, how, &error));
    OK(pumice_batch_commit(batch, how, &error));
    pumice_batch_free(batch);
    for (const char *key = "abc"; *key != 0; key++) {
        OK(pumice_namespace_ttl_ms(ns, key, 1, &ttl_ms, &error));
        CHECK(ttl_ms > 0 && ttl_ms <= 60000);
    }
    OK(pumice_namespace_delete(ns, "a", 1, how, &answer, &error));
    CHECK(answer);
    OK(pumice_namespace_delete(ns, "a", 1, how, &answer, &error));
    CHECK(!answer);
    OK(pumice_write_options_set_ttl_ms(how, 0, &error));
    REFUSED(pumice_namespace_put(ns, "a", 1, "v", 1, how, &error));
    OK(pumice_write_options_set_ttl_ms(how, UINT64_MAX, &error));
    REFUSED(pumice_namespace_put(ns, "a", 1, "v", 1, how, &error));
    REFUSED(pumice_namespace_expire(ns, "synced", 6, 0, NULL, &error));
    REFUSED(pumice_namespace_expire(ns, "synced", 6, UINT64_MAX, NULL, &error));
    CHECK(holds(ns, "synced", "v"));
    pumice_write_options_free(how);
    pumice_namespace_free(ns);
    pumice_namespace_free(foreign);
    pumice_engine_free(other);
    pumice_engine_free(engine);
}

static void test_kinds(void) {
    char command[3 * PATH_SIZE];
    snprintf(command, sizeof command, "mkdir '%s' && cp -R '%s/plain-zstd/db' '%s/db'", in("k"), fixtures, in("k"));
    CHECK(system(command) == 0);
    pumice_engine *engine;
    pumice_namespace *ns;
    pumice_items *items;
    const pumice_item *item;
    OK(pumice_engine_open(in("k"), NULL, &engine, &error));
    OK(pumice_engine_open_namespace(engine, "alpha", 5, &ns, &error));
    OK(pumice_namespace_items(ns, NULL, &items, &error));
    unsigned strings = 0, others = 0;
    for (;;) {
        OK(pumice_items_next(items, &item, &error));
        if (item == NULL) break;
        const bool is_string = item->kind == PUMICE_KIND_STRING;
        CHECK((item->value.data != NULL) == is_string);
        strings += is_string;
        others += !is_string;
        uint8_t kind;
        OK(pumice_namespace_kind(ns, item->key.data, item->key.size, &kind, &error));
        CHECK(kind == item->kind);
        pumice_value *values[2] = {(pumice_value *)command, (pumice_value *)command};
        const pumice_bytes keys[2] = {{"str:plain", 9}, item->key};
        IS(is_string ? PUMICE_OK : PUMICE_WRONG_TYPE, pumice_namespace_get_many(ns, keys, 2, values, &error));
        CHECK((values[0] != NULL) == is_string && (values[1] != NULL) == is_string);
        pumice_value_free(values[0]);
        pumice_value_free(values[1]);
        if (!is_string) {
            IS(PUMICE_WRONG_TYPE, pumice_namespace_get(ns, item->key.data, item->key.size, &values[0], &error));
            bool stored;
            const pumice_bytes v = {"v", 1};
            IS(PUMICE_WRONG_TYPE,
               pumice_namespace_put_if(ns, item->key.data, item->key.size, "w", 1, &v, NULL, &stored, &error));
        }
    }
    CHECK(strings > 1 && others > 5);
    pumice_items_free(items);
    pumice_namespace_free(ns);
    pumice_engine_free(engine);
}

static void test_closed(void) {
    handles h = open_all("e", "c");
    OK(pumice_engine_close(h.engine, &error));
    all_closed(&h);
    OK(pumice_engine_close(h.engine, &error));

    /* Walks go on to their end. */
    const pumice_item *item;
    OK(pumice_items_next(h.items, &item, &error));
    CHECK(item != NULL && item->key.data[0] == 'k');
    OK(pumice_items_next(h.items, &item, &error));
    CHECK(item != NULL && item->key.data[0] == 'l' && item->value.data[0] == 'w');
    OK(pumice_items_next(h.items, &item, &error));
    CHECK(item == NULL);
    OK(pumice_items_next(h.items_then, &item, &error));
    CHECK(item != NULL);
    free_all(&h);
    pumice_engine_free(open_new("e"));
}

static void test_any_order(void) {
    unsigned state = 12345;
    for (unsigned round = 0; round < (slow ? 3 : 24); round++) {
        unsigned order[HANDLES];
        char checkpoint[32];
        snprintf(checkpoint, sizeof checkpoint, "c%u", round);
        handles h = open_all("e", checkpoint);
        for (unsigned i = 0; i < HANDLES; i++) order[i] = round == 0 ? i : round == 1 ? HANDLES - 1 - i : i;
        for (unsigned i = HANDLES; round > 1 && i > 1; i--) {
            state = state * 1103515245u + 12345u;
            const unsigned j = (state >> 16) % i, taken = order[i - 1];
            order[i - 1] = order[j];
            order[j] = taken;
        }
        if (round % 3 == 2) OK(pumice_engine_close(h.engine, &error));
        for (unsigned i = 0; i < HANDLES; i++) free_one(&h, order[i]);
        /* The next round opens the directory again, which shows that nothing holds it any more. */
    }
    pumice_engine *engine = open_new("e");
    pumice_findings *findings;
    OK(pumice_engine_verify(engine, PUMICE_DEPTH_RECORDS, &findings, &error));
    CHECK(pumice_findings_count(findings) == 0);
    pumice_findings_free(findings);

    /* A value, and a walk, that outlive their engine. */
    handles h;
    OK(pumice_engine_default_namespace(engine, &h.ns, &error));
    put(h.ns, "k", "outlives");
    OK(pumice_namespace_get(h.ns, "k", 1, &h.value, &error));
    OK(pumice_namespace_items(h.ns, NULL, &h.items, &error));
    pumice_engine_free(engine);
    CHECK(holds(h.ns, "k", "outlives"));
    pumice_namespace_free(h.ns);
    const pumice_item *item;
    OK(pumice_items_next(h.items, &item, &error));
    CHECK(item != NULL && memcmp(item->value.data, "outlives", 8) == 0);
    pumice_items_free(h.items);
    CHECK(memcmp(pumice_value_data(h.value), "outlives", 8) == 0);
    pumice_value_free(h.value);
    pumice_engine_free(open_new("e"));
}

typedef struct {
    unsigned calls;
    pumice_stage cancel_at;
} watcher;

static int watch(const pumice_progress *progress, void *user_data) {
    watcher *seen = user_data;
    seen->calls++;
    CHECK(progress->files_done <= progress->files && progress->bytes_done <= progress->bytes);
    CHECK(strcmp(pumice_stage_name((int32_t)progress->stage), "unknown") != 0);
    return progress->stage == seen->cancel_at;
}

static void test_cancel(void) {
    pumice_engine *primary = open_new("p"), *replica = open_as("r", PUMICE_ROLE_REPLICA);
    pumice_namespace *ns;
    pumice_checkpoint *checkpoint;
    pumice_findings *findings;
    OK(pumice_engine_create_namespace(primary, "n", 1, NULL, &ns, &error));
    put(ns, "k", "v");
    watcher seen = {0, PUMICE_STAGE_CHECKSUM};
    IS(PUMICE_BUSY, pumice_engine_create_checkpoint(primary, in("c"), watch, &seen, &checkpoint, &error));
    CHECK(seen.calls > 0 && checkpoint == NULL && !exists(in("c")));
    seen = (watcher){0, PUMICE_STAGE_PUBLISH};
    OK(pumice_engine_create_checkpoint(primary, in("c"), watch, &seen, &checkpoint, &error));
    CHECK(seen.calls > 0 && pumice_checkpoint_files(checkpoint) > 0 && pumice_checkpoint_bytes(checkpoint) > 0);
    pumice_position position;
    OK(pumice_engine_position(primary, &position, &error));
    CHECK(pumice_checkpoint_position(checkpoint).sequence == position.sequence);
    CHECK(strcmp(pumice_checkpoint_position(checkpoint).replication_id, position.replication_id) == 0);

    const pumice_stage stages[] = {PUMICE_STAGE_RECEIVE, PUMICE_STAGE_OPEN, PUMICE_STAGE_PUBLISH};
    for (size_t i = 0; i < 3; i++) {
        pumice_names *names;
        seen = (watcher){0, stages[i]};
        IS(PUMICE_BUSY, pumice_engine_apply_checkpoint(replica, in("c"), false, watch, &seen, &error));
        CHECK(seen.calls > 0);
        OK(pumice_engine_namespaces(replica, &names, &error));
        CHECK(pumice_names_count(names) == 1);
        pumice_names_free(names);
        OK(pumice_engine_verify(replica, PUMICE_DEPTH_RECORDS, &findings, &error));
        CHECK(pumice_findings_count(findings) == 0);
        pumice_findings_free(findings);
    }
    seen = (watcher){0, PUMICE_STAGE_CHECKSUM};
    OK(pumice_engine_apply_checkpoint(replica, pumice_checkpoint_path(checkpoint), true, watch, &seen, &error));
    pumice_checkpoint_free(checkpoint);
    pumice_namespace_free(ns);
    OK(pumice_engine_open_namespace(replica, "n", 1, &ns, &error));
    CHECK(holds(ns, "k", "v"));
    pumice_namespace_free(ns);
    pumice_engine_free(replica);
    pumice_engine_free(primary);
}

static void test_convert(void) {
    pumice_engine *source = open_new("s"), *target;
    pumice_namespace *ns, *gone;
    pumice_usage *usage;
    OK(pumice_engine_default_namespace(source, &gone, &error));
    put(gone, "elsewhere", "");
    OK(pumice_engine_create_namespace(source, "a\0b", 3, NULL, &ns, &error));
    put(ns, "k", "v");

    watcher seen = {0, PUMICE_STAGE_COUNT};
    IS(PUMICE_BUSY, pumice_engine_usage(source, watch, &seen, &usage, &error));
    CHECK(seen.calls > 0 && usage == NULL);
    seen = (watcher){0, PUMICE_STAGE_CONVERT};
    OK(pumice_engine_usage(source, watch, &seen, &usage, &error));
    CHECK(seen.calls > 0 && pumice_usage_count(usage) == 2 && pumice_usage_at(usage, 2) == NULL);
    CHECK(pumice_usage_other_bytes(usage) > 0 && pumice_usage_unreadable_records(usage) == 0);
    const pumice_namespace_usage *of = pumice_usage_at(usage, 1);
    CHECK(of->name.size == 3 && memcmp(of->name.data, "a\0b", 3) == 0 && of->registered);
    CHECK(of->keys == 1 && of->bytes > 0 && of->expired_keys == 0 && of->expired_bytes == 0 && of->remains_bytes == 0);
    CHECK(of->kind_count == 1 && of->kinds[0].kind == PUMICE_KIND_STRING && of->kinds[0].bytes == of->bytes);
    pumice_engine_free(source);
    pumice_namespace_free(ns);
    pumice_namespace_free(gone);
    CHECK(pumice_usage_at(usage, 0)->keys == 1 && pumice_usage_at(usage, 0)->name.data[0] == '_');
    pumice_usage_free(usage);

    pumice_convert_options *options = pumice_convert_options_new();
    pumice_converted *made;
    REFUSED(pumice_convert_options_set_compression(options, 5, &error));
    REFUSED(pumice_convert_options_set_compression(options, -1, &error));
    REFUSED(pumice_convert(in("s"), in("t"), NULL, NULL, NULL, &made, &error));
    OK(pumice_convert_options_set_cluster(options, true, &error));
    OK(pumice_convert_options_set_memory_budget(options, 1, &error));
    REFUSED(pumice_convert(in("s"), in("t"), options, NULL, NULL, &made, &error));
    OK(pumice_convert_options_set_memory_budget(options, 16 << 20, &error));
    OK(pumice_convert_options_set_compression(options, PUMICE_COMPRESSION_ZSTD, &error));
    OK(pumice_convert_options_set_namespace(options, "a", 1, &error));
    IS(PUMICE_NOT_FOUND, pumice_convert(in("s"), in("t"), options, NULL, NULL, &made, &error));
    CHECK(made == NULL);
    OK(pumice_convert_options_set_namespace(options, "a\0b", 3, &error));
    IS(PUMICE_NOT_FOUND, pumice_convert(in("nowhere"), in("t"), options, NULL, NULL, NULL, &error));
    const pumice_stage stages[] = {PUMICE_STAGE_CONVERT, PUMICE_STAGE_PUBLISH};
    for (size_t i = 0; i < 2; i++) {
        seen = (watcher){0, stages[i]};
        IS(PUMICE_BUSY, pumice_convert(in("s"), in("t"), options, watch, &seen, &made, &error));
        CHECK(seen.calls > 0 && made == NULL && !exists(in("t")));
    }
    seen = (watcher){0, PUMICE_STAGE_COUNT};
    OK(pumice_convert(in("s"), in("t"), options, watch, &seen, &made, &error));
    CHECK(seen.calls > 0 && strcmp(pumice_converted_path(made), in("t")) == 0);
    CHECK(strcmp(pumice_converted_layout(made), "cluster") == 0 && pumice_converted_namespace(made).size == 11);
    CHECK(pumice_converted_keys(made) == 1 && pumice_converted_records(made) > 0 && pumice_converted_bytes(made) > 0);
    CHECK(pumice_converted_left_out_count(made) == 1 && pumice_converted_left_out_at(made, 1) == NULL);
    CHECK(strlen(pumice_converted_left_out_at(made, 0)) > 10);
    CHECK(strlen(pumice_converted_position(made).replication_id) == 16 && pumice_converted_position(made).sequence > 0);
    pumice_converted_free(made);
    IS(PUMICE_ALREADY_EXISTS, pumice_convert(in("s"), in("t"), options, NULL, NULL, NULL, &error));
    pumice_convert_options_free(options);

    OK(pumice_engine_open(in("t"), NULL, &target, &error));
    OK(pumice_engine_default_namespace(target, &ns, &error));
    CHECK(holds(ns, "k", "v") && holds(ns, "elsewhere", NULL));
    pumice_namespace_free(ns);
    pumice_engine_free(target);
    OK(pumice_convert(in("t"), in("u"), NULL, NULL, NULL, NULL, &error));
    CHECK(exists(in("u")));
}

static void test_log(void) {
    pumice_engine *primary = open_new("p"), *replica = open_as("r", PUMICE_ROLE_REPLICA);
    pumice_namespace *ns;
    pumice_log *log;
    pumice_entry *entry, *copy, *again;
    pumice_value *encoded;
    pumice_changes *changes;
    pumice_position position;
    OK(pumice_engine_default_namespace(primary, &ns, &error));
    put(ns, "k", "v");
    OK(pumice_engine_position(primary, &position, &error));

    /* An entry goes through its parts and its bytes unharmed, and what is not one is refused. */
    OK(pumice_engine_log(primary, NULL, &log, &error));
    OK(pumice_log_next(log, 0, &entry, &error));
    pumice_entry_free(entry);
    OK(pumice_log_next(log, 0, &entry, &error));
    CHECK(entry != NULL && pumice_entry_last(entry) == position.sequence);
    CHECK(pumice_log_position(log).sequence == position.sequence);
    CHECK(pumice_entry_first(entry) <= pumice_entry_last(entry));
    CHECK(strcmp(pumice_entry_replication_id(entry), position.replication_id) == 0);
    const pumice_bytes batch = pumice_entry_batch(entry);
    OK(pumice_entry_new(position.replication_id, 16, false, batch.data, batch.size, &copy, &error));
    CHECK(!pumice_entry_cluster(copy));
    OK(pumice_entry_encode(copy, &encoded, &error));
    OK(pumice_entry_decode(pumice_value_data(encoded), pumice_value_size(encoded), &again, &error));
    CHECK(pumice_entry_batch(again).size == batch.size &&
          memcmp(pumice_entry_batch(again).data, batch.data, batch.size) == 0);
    pumice_entry_free(again);
    char *damaged = malloc(pumice_value_size(encoded));
    for (size_t i = 0; i < pumice_value_size(encoded); i++) {
        memcpy(damaged, pumice_value_data(encoded), pumice_value_size(encoded));
        damaged[i] ^= 1;
        again = entry;
        CHECK(pumice_entry_decode(damaged, pumice_value_size(encoded), &again, &error) != PUMICE_OK && again == NULL);
        pumice_error_free(error);
        IS(PUMICE_CORRUPTION, pumice_entry_decode(pumice_value_data(encoded), i, &again, &error));
    }
    free(damaged);
    pumice_value_free(encoded);
    OK(pumice_engine_changes(primary, copy, &changes, &error));
    const pumice_change *change = pumice_changes_at(changes, 0);
    CHECK(pumice_changes_count(changes) == 1 && pumice_changes_at(changes, 1) == NULL);
    CHECK(change->operation == PUMICE_OPERATION_PUT && change->kind == PUMICE_KIND_STRING && change->expire_ms == 0);
    CHECK(change->ns.size == 11 && change->key.data[0] == 'k' && change->value.data[0] == 'v');
    CHECK(change->end.data == NULL && change->sub.data == NULL);
    pumice_changes_free(changes);
    pumice_entry_free(copy);

    /* A replica that is elsewhere refuses it, and so does a primary. */
    IS(PUMICE_DIVERGED, pumice_engine_apply(replica, entry, &error));
    REFUSED(pumice_engine_apply(primary, entry, &error));
    pumice_entry_free(entry);

    OK(pumice_log_next(log, 0, &entry, &error));
    CHECK(entry == NULL);
    OK(pumice_log_next(log, 20, &entry, &error));
    CHECK(entry == NULL);
    put(ns, "k", "v2");
    OK(pumice_log_next(log, UINT64_MAX, &entry, &error));
    CHECK(entry != NULL);
    pumice_entry_free(entry);
    pumice_log_free(log);

    position.sequence += 1000;
    IS(PUMICE_DIVERGED, pumice_engine_log(primary, &position, &log, &error));
    memset(position.replication_id, 'A', sizeof position.replication_id);
    REFUSED(pumice_engine_log(primary, &position, &log, &error));
    CHECK(log == NULL);
    pumice_namespace_free(ns);
    pumice_engine_free(replica);
    pumice_engine_free(primary);
}

typedef struct {
    unsigned calls, syncs;
    int answer;
} link_watcher;

static int watch_link(const pumice_link_status *link, void *user_data) {
    link_watcher *watcher = user_data;
    const pumice_sync_status *sync = pumice_link_status_sync(link);
    CHECK(pumice_link_status_state(link) != PUMICE_LINK_STATE_NONE && pumice_link_status_host(link)[0] != 0);
    if (sync != NULL) {
        CHECK(sync->bytes_done <= sync->bytes && sync->files_done <= sync->files);
        CHECK(sync->bytes_reused <= sync->bytes_done);
        watcher->syncs++;
    }
    watcher->calls++;
    return watcher->answer;
}

static void test_replication(void) {
    pumice_engine *primary = open_new("p"), *replica = open_new("r");
    pumice_namespace *ns;
    pumice_listener *listener, *second;
    pumice_link_status *link;
    pumice_feeds *feeds;
    pumice_position position;
    bool answer;
    size_t count;
    pumice_serve_options *serving = pumice_serve_options_new();
    pumice_follow_options *following = pumice_follow_options_new();

    /* What cannot be is refused. */
    REFUSED(pumice_engine_serve(primary, "nowhere", NULL, &listener, &error));
    REFUSED(pumice_engine_serve(primary, "\xff:1", NULL, &listener, &error));
    CHECK(listener == NULL);
    REFUSED(pumice_serve_options_set_password(serving, "\xff", 1, &error));
    REFUSED(pumice_serve_options_set_password(serving, NULL, 1, &error));
    REFUSED(pumice_follow_options_set_password(following, "\xff", 1, &error));
    OK(pumice_serve_options_set_password(serving, NULL, 0, &error));
    REFUSED(pumice_engine_serve(primary, "127.0.0.1:0", serving, &listener, &error));
    OK(pumice_serve_options_set_password(serving, "secret", 6, &error));
    OK(pumice_serve_options_set_max_connections(serving, 0, &error));
    REFUSED(pumice_engine_serve(primary, "127.0.0.1:0", serving, &listener, &error));
    OK(pumice_serve_options_set_max_connections(serving, 100, &error));
    OK(pumice_serve_options_set_send_timeout_ms(serving, 0, &error));
    REFUSED(pumice_engine_serve(primary, "127.0.0.1:0", serving, &listener, &error));
    OK(pumice_serve_options_set_send_timeout_ms(serving, MINUTE, &error));
    OK(pumice_serve_options_set_authenticate_timeout_ms(serving, MINUTE, &error));
    OK(pumice_serve_options_set_sync_bytes_per_second(serving, 100000000, &error));
    OK(pumice_serve_options_set_checkpoint_disk_limit(serving, UINT64_MAX, &error));
    REFUSED(pumice_engine_follow(replica, "", 1, NULL, &error));
    REFUSED(pumice_engine_follow(replica, "127.0.0.1", 0, NULL, &error));
    REFUSED(pumice_engine_follow(replica, "\xff", 1, NULL, &error));
    OK(pumice_engine_link(replica, &link, &error));
    CHECK(link == NULL);

    OK(pumice_engine_default_namespace(primary, &ns, &error));
    put(ns, "k", "v");
    OK(pumice_engine_serve(primary, "127.0.0.1:0", serving, &listener, &error));
    char address[PATH_SIZE];
    snprintf(address, sizeof address, "%s:%u", pumice_listener_host(listener), pumice_listener_port(listener));
    IS(PUMICE_BUSY, pumice_engine_serve(primary, address, serving, &second, &error));
    CHECK(second == NULL);
    snprintf(address, sizeof address, "unix:%s", in("socket"));
    OK(pumice_engine_serve(primary, address, NULL, &second, &error));
    CHECK(strcmp(pumice_listener_host(second), in("socket")) == 0 && pumice_listener_port(second) == 0);
    CHECK(exists(in("socket")));
    pumice_listener_free(second);
    CHECK(!exists(in("socket")));

    /* A wait that its callback ends, and one whose time is over; the link goes on. */
    link_watcher watcher = {0, 0, 1};
    const char *host = pumice_listener_host(listener);
    OK(pumice_engine_wait_linked(replica, MINUTE, watch_link, &watcher, &answer, &error));
    CHECK(!answer && watcher.calls == 0);
    OK(pumice_engine_follow(replica, host, pumice_listener_port(listener), NULL, &error));
    IS(PUMICE_BUSY, pumice_engine_wait_linked(replica, UINT64_MAX, watch_link, &watcher, &answer, &error));
    CHECK(watcher.calls == 1);
    OK(pumice_engine_wait_linked(replica, 0, NULL, NULL, &answer, &error));
    CHECK(!answer);

    /* With the password the dataset comes, and what was here is given up. */
    OK(pumice_follow_options_set_password(following, "secret", 6, &error));
    OK(pumice_follow_options_set_announce_port(following, 7777, &error));
    OK(pumice_engine_follow(replica, host, pumice_listener_port(listener), following, &error));
    watcher = (link_watcher){0, 0, 0};
    OK(pumice_engine_wait_linked(replica, MINUTE, watch_link, &watcher, &answer, &error));
    CHECK(answer);
    OK(pumice_engine_position(primary, &position, &error));
    OK(pumice_engine_wait_for(replica, &position, UINT64_MAX, &answer, &error));
    CHECK(answer);
    OK(pumice_engine_wait_acked(primary, &position, 1, UINT64_MAX, &count, &error));
    CHECK(count == 1);
    OK(pumice_engine_link(replica, &link, &error));
    CHECK(strcmp(pumice_link_status_host(link), host) == 0);
    CHECK(pumice_link_status_port(link) == pumice_listener_port(listener));
    CHECK(pumice_link_status_state(link) == PUMICE_LINK_STATE_STREAMING);
    CHECK(pumice_link_status_peer(link) == PUMICE_PEER_PUMICE && pumice_link_status_sync(link) == NULL);
    CHECK(pumice_link_status_full_syncs(link) == 1 && pumice_link_status_since_ms(link) > 1600000000000);
    CHECK(pumice_link_status_lag_sequences(link) == 0 && pumice_link_status_lag_ms(link) == 0);
    CHECK(pumice_link_status_last_io_ms(link) != PUMICE_UNKNOWN && pumice_link_status_last_error(link) == NULL);
    pumice_link_status_free(link);
    OK(pumice_engine_feeds(primary, &feeds, &error));
    CHECK(pumice_feeds_count(feeds) == 1 && pumice_feeds_at(feeds, 1) == NULL);
    const pumice_feed_status *feed = pumice_feeds_at(feeds, 0);
    CHECK(strcmp(feed->host, "127.0.0.1") == 0 && feed->port == 7777 && feed->peer == PUMICE_PEER_PUMICE);
    CHECK(feed->sent == position.sequence && feed->acked == position.sequence && feed->lag_sequences == 0);
    CHECK(feed->durable != PUMICE_UNKNOWN && feed->last_ack_ms != PUMICE_UNKNOWN && feed->id > 0);
    CHECK(feed->since_ms > 1600000000000);
    pumice_feeds_free(feeds);
    OK(pumice_engine_discard(replica, &count, &error));
    OK(pumice_engine_discard(replica, NULL, &error));

    memset(position.replication_id, 'A', sizeof position.replication_id - 1);
    IS(PUMICE_DIVERGED, pumice_engine_wait_for(replica, &position, MINUTE, &answer, &error));
    IS(PUMICE_DIVERGED, pumice_engine_wait_acked(primary, &position, 1, MINUTE, &count, &error));
    position.replication_id[16] = 'A';
    REFUSED(pumice_engine_wait_for(replica, &position, 0, &answer, &error));
    REFUSED(pumice_engine_wait_acked(primary, &position, 1, 0, &count, &error));
    IS(PUMICE_NOT_FOUND, pumice_engine_hand_over(primary, "127.0.0.1", 1, 0, &error));
    REFUSED(pumice_engine_detach(primary, &error));
    OK(pumice_engine_detach(replica, &error));
    OK(pumice_engine_wait_linked(replica, MINUTE, NULL, NULL, &answer, &error));
    CHECK(!answer);
    OK(pumice_listener_close(listener, &error));
    OK(pumice_listener_close(listener, &error));
    pumice_serve_options_free(serving);
    pumice_follow_options_free(following);
    pumice_namespace_free(ns);
    pumice_engine_free(primary);
    pumice_engine_free(replica);
    pumice_listener_free(listener);
}

static void *wait_for_link(void *engine) {
    bool answer;
    IS(PUMICE_CLOSED, pumice_engine_wait_linked(engine, MINUTE, NULL, NULL, &answer, &error));
    return NULL;
}

static void *wait_for_position(void *engine) {
    bool answer;
    const pumice_position far = {"", UINT64_MAX};
    IS(PUMICE_CLOSED, pumice_engine_wait_for(engine, &far, MINUTE, &answer, &error));
    return NULL;
}

static void *wait_for_entry(void *log) {
    pumice_entry *entry;
    IS(PUMICE_CLOSED, pumice_log_next(log, 60000, &entry, &error));
    CHECK(entry == NULL);
    return NULL;
}

static void test_close_wakes(void) {
    pumice_engine *engine = open_new("e");
    pumice_position position;
    pumice_log *log;
    pthread_t waiter, others[2];
    pumice_engine *replica = open_as("r", PUMICE_ROLE_REPLICA);
    OK(pumice_engine_follow(replica, "127.0.0.1", 1, NULL, &error));
    CHECK(pthread_create(&others[0], NULL, wait_for_link, replica) == 0);
    CHECK(pthread_create(&others[1], NULL, wait_for_position, replica) == 0);
    OK(pumice_engine_position(engine, &position, &error));
    OK(pumice_engine_log(engine, &position, &log, &error));
    CHECK(pthread_create(&waiter, NULL, wait_for_entry, log) == 0);
    pause_ms(50);
    const time_t before = time(NULL);
    OK(pumice_engine_close(engine, &error));
    CHECK(pthread_join(waiter, NULL) == 0);
    OK(pumice_engine_close(replica, &error));
    for (unsigned i = 0; i < 2; i++) CHECK(pthread_join(others[i], NULL) == 0);
    CHECK(time(NULL) - before < 20);
    pumice_engine_free(replica);
    pumice_log_free(log);
    pumice_engine_free(engine);
}

static void test_large_values(void) {
    pumice_engine *engine = open_new("e");
    pumice_namespace *ns;
    pumice_value *value;
    OK(pumice_engine_default_namespace(engine, &ns, &error));
    const size_t sizes[] = {0, 1, 4095, 1 << 20, (slow ? 4u : 64u) << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *bytes = malloc(sizes[i] + 1);
        for (size_t j = 0; j < sizes[i]; j++) bytes[j] = (char)(j * 31 + i);
        OK(pumice_namespace_put(ns, "k", 1, bytes, sizes[i], NULL, &error));
        OK(pumice_namespace_get(ns, "k", 1, &value, &error));
        CHECK(pumice_value_size(value) == sizes[i] && memcmp(pumice_value_data(value), bytes, sizes[i]) == 0);
        pumice_value_free(value);
        free(bytes);
    }
    if (!slow) {
        const size_t most = 512u << 20;
        char *bytes = calloc(1, most + 1);
        REFUSED(pumice_namespace_put(ns, "k", 1, bytes, most + 1, NULL, &error));
        REFUSED(pumice_namespace_put(ns, bytes, most + 1, "v", 1, NULL, &error));
        bytes[most - 1] = 'z';
        OK(pumice_namespace_put(ns, "most", 4, bytes, most, NULL, &error));
        free(bytes);
        OK(pumice_namespace_get(ns, "most", 4, &value, &error));
        CHECK(pumice_value_size(value) == most && pumice_value_data(value)[most - 1] == 'z');
        pumice_value_free(value);
    }
    pumice_namespace_free(ns);
    pumice_engine_free(engine);
}

enum { THREADS = 4 };

typedef struct {
    pumice_engine *engine;
    pumice_namespace *ns;
    unsigned number;
} worker;

static void *work(void *given) {
    const worker *self = given;
    const unsigned rounds = slow ? 300 : 20000;
    for (unsigned i = 0; i < rounds; i++) {
        char key[32], value[32];
        const size_t key_size = (size_t)snprintf(key, sizeof key, "%u:%u", self->number, i % 100);
        const size_t value_size = (size_t)snprintf(value, sizeof value, "%u", i);
        pumice_value *found;
        OK(pumice_namespace_put(self->ns, key, key_size, value, value_size, NULL, &error));
        OK(pumice_namespace_get(self->ns, key, key_size, &found, &error));
        CHECK(pumice_value_size(found) == value_size && memcmp(pumice_value_data(found), value, value_size) == 0);
        pumice_value_free(found);
        if (i % 1000 == 0) {
            pumice_info *info;
            pumice_snapshot *snapshot;
            OK(pumice_engine_flush(self->engine, &error));
            OK(pumice_engine_info(self->engine, &info, &error));
            OK(pumice_engine_snapshot(self->engine, &snapshot, &error));
            pumice_snapshot_free(snapshot);
            pumice_info_free(info);
        }
    }
    return NULL;
}

static atomic_bool stop;

static void *read_on(void *given) {
    const worker *self = given;
    unsigned *reads = malloc(sizeof *reads);
    *reads = 0;
    while (!stop) {
        pumice_value *value;
        OK(pumice_namespace_get(self->ns, "0:0", 3, &value, &error));
        CHECK(value != NULL);
        pumice_value_free(value);
        ++*reads;
    }
    return reads;
}

static void test_threads(void) {
    pumice_engine *primary = open_new("p");
    worker workers[THREADS];
    pthread_t threads[THREADS];
    pumice_namespace *ns;
    uint64_t count;
    OK(pumice_engine_create_namespace(primary, "n", 1, NULL, &ns, &error));
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (worker){primary, ns, i};
        CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    OK(pumice_namespace_count(ns, &count, &error));
    CHECK(count == THREADS * 100);
    OK(pumice_engine_create_checkpoint(primary, in("c"), NULL, NULL, NULL, &error));
    pumice_namespace_free(ns);
    pumice_engine_free(primary);

    /* Readers of a replica while its dataset is swapped. */
    pumice_engine *replica = open_as("r", PUMICE_ROLE_REPLICA);
    OK(pumice_engine_apply_checkpoint(replica, in("c"), false, NULL, NULL, &error));
    OK(pumice_engine_open_namespace(replica, "n", 1, &ns, &error));
    for (unsigned i = 0; i < 2; i++) {
        workers[i] = (worker){replica, ns, i};
        CHECK(pthread_create(&threads[i], NULL, read_on, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < (slow ? 2 : 10); i++) {
        OK(pumice_engine_apply_checkpoint(replica, in("c"), false, NULL, NULL, &error));
    }
    stop = true;
    for (unsigned i = 0; i < 2; i++) {
        void *reads;
        CHECK(pthread_join(threads[i], &reads) == 0 && *(unsigned *)reads > 0);
        free(reads);
    }
    pumice_namespace_free(ns);
    pumice_engine_free(replica);
}

/* What a forked child must be able to do to its parent: nothing. */
static void be_a_child(handles *h) {
    const pumice_item *item;
    all_closed(h);
    IS(PUMICE_CLOSED, pumice_items_next(h->items, &item, &error));
    CHECK(item == NULL);
    IS(PUMICE_CLOSED, pumice_items_next(h->items_then, &item, &error));
    IS(PUMICE_CLOSED, pumice_engine_close(h->engine, &error));
    free_all(h);
    pumice_engine *own;
    IS(PUMICE_UNSUPPORTED, pumice_engine_open(in("child"), NULL, &own, &error));
    CHECK(own == NULL && !exists(in("child")));
    /* With all that a process does at its end, although _exit is what a child should do. */
    exit(0);
}

static void wait_for(pid_t child, int expected_signal) {
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    if (expected_signal != 0) {
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == expected_signal);
    } else {
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static void put_synced(handles *h, unsigned from, unsigned to) {
    pumice_write_options *how = pumice_write_options_new();
    OK(pumice_write_options_set_sync(how, true, &error));
    for (unsigned i = from; i < to; i++) {
        char key[32];
        const size_t size = (size_t)snprintf(key, sizeof key, "synced:%u", i);
        OK(pumice_namespace_put(h->ns, key, size, key, size, how, &error));
    }
    pumice_write_options_free(how);
}

static void all_synced(unsigned count) {
    pumice_engine *engine = open_new("e");
    pumice_namespace *ns;
    pumice_findings *findings;
    OK(pumice_engine_open_namespace(engine, "n", 1, &ns, &error));
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "synced:%u", i);
        CHECK(holds(ns, key, key));
    }
    OK(pumice_engine_verify(engine, PUMICE_DEPTH_RECORDS, &findings, &error));
    CHECK(pumice_findings_count(findings) == 0);
    pumice_findings_free(findings);
    pumice_namespace_free(ns);
    pumice_engine_free(engine);
}

static void test_fork(void) {
    handles h = open_all("e", "c");
    put_synced(&h, 0, 100);
    const pid_t child = fork();
    if (child == 0) be_a_child(&h);
    wait_for(child, 0);
    put_synced(&h, 100, 200);
    CHECK(holds(h.ns, "k", "v"));
    const pumice_item *item;
    OK(pumice_items_next(h.items, &item, &error));
    CHECK(item != NULL);
    pumice_position position;
    size_t acked;
    OK(pumice_engine_position(h.engine, &position, &error));
    OK(pumice_engine_wait_acked(h.engine, &position, 1, MINUTE, &acked, &error));
    CHECK(acked == 1);
    free_all(&h);
    all_synced(200);
}

static void test_fork_and_kill(void) {
    const pid_t parent = fork();
    if (parent == 0) {
        handles h = open_all("e", "c");
        put_synced(&h, 0, 1000);
        const pid_t child = fork();
        if (child == 0) be_a_child(&h);
        wait_for(child, 0);
        put_synced(&h, 1000, 1100);
        raise(SIGKILL);
    }
    wait_for(parent, SIGKILL);
    all_synced(1100);
}

/* Replies of every kind, their elements, and what they say of what they are not; they outlive their engine. */
static void test_replies(void) {
    pumice_engine *engine = open_new("replies");
    pumice_namespace *ns;
    pumice_reply *values, *set, *count;
    const pumice_bytes mget[] = {{"MGET", 4}, {"k\0", 2}, {"missing", 7}, {"empty", 5}};
    const pumice_bytes mset[] = {{"MSET", 4}, {"k\0", 2}, {"v\0w", 3}, {"empty", 5}, {NULL, 0}};
    const pumice_bytes exists[] = {{"EXISTS", 6}, {"k\0", 2}, {"k\0", 2}};
    OK(pumice_engine_default_namespace(engine, &ns, &error));
    OK(pumice_namespace_execute(ns, mset, 5, &set, &error));
    OK(pumice_namespace_execute(ns, mget, 4, &values, &error));
    OK(pumice_namespace_execute(ns, exists, 3, &count, &error));
    pumice_namespace_free(ns);
    pumice_engine_free(engine);
    CHECK(pumice_reply_kind(set) == PUMICE_REPLY_STATUS && memcmp(pumice_reply_bytes(set).data, "OK", 2) == 0);
    CHECK(pumice_reply_kind(count) == PUMICE_REPLY_INTEGER && pumice_reply_integer(count) == 2);
    CHECK(pumice_reply_bytes(count).data == NULL && pumice_reply_count(count) == 0 && pumice_reply_integer(set) == 0);
    CHECK(pumice_reply_kind(values) == PUMICE_REPLY_ARRAY && pumice_reply_count(values) == 3);
    const pumice_reply *value = pumice_reply_at(values, 0);
    CHECK(pumice_reply_kind(value) == PUMICE_REPLY_BYTES && pumice_reply_bytes(value).size == 3);
    CHECK(memcmp(pumice_reply_bytes(value).data, "v\0w", 3) == 0);
    CHECK(pumice_reply_kind(pumice_reply_at(values, 1)) == PUMICE_REPLY_NIL);
    const pumice_bytes empty = pumice_reply_bytes(pumice_reply_at(values, 2));
    CHECK(empty.data != NULL && empty.size == 0 && pumice_reply_at(values, 3) == NULL);
    pumice_reply_free(set);
    pumice_reply_free(values);
    pumice_reply_free(count);
}

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    /* First, since a fork of a process that had an engine open cannot open one. */
    {"fork_and_kill", test_fork_and_kill},
    {"nulls", test_nulls},
    {"nothing_of_nothing", test_nothing_of_nothing},
    {"names", test_names},
    {"empty_bytes", test_empty_bytes},
    {"options", test_options},
    {"write_options", test_write_options},
    {"kinds", test_kinds},
    {"replies", test_replies},
    {"closed", test_closed},
    {"any_order", test_any_order},
    {"cancel", test_cancel},
    {"convert", test_convert},
    {"log", test_log},
    {"close_wakes", test_close_wakes},
    {"replication", test_replication},
    {"large_values", test_large_values},
    {"threads", test_threads},
    {"fork", test_fork},
};

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: %s FIXTURES [TEST...], or --list\n", argv[0]);
        return 2;
    }
    if (strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) puts(tests[i].name);
        return 0;
    }
    fixtures = argv[1];
    slow = getenv("PUMICE_SLOW_TOOL") != NULL;
    unsigned ran = 0;
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        bool asked = argc == 2;
        for (int j = 2; j < argc; j++) asked |= strcmp(argv[j], tests[i].name) == 0;
        if (!asked) continue;
        const char *temporary = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/pumice-XXXXXX", temporary != NULL ? temporary : "/tmp");
        if (mkdtemp(folder) == NULL) fail(__LINE__, "no folder %s", folder);
        printf("faults %-20s ", tests[i].name);
        fflush(stdout);
        tests[i].run();
        printf("ok\n");
        fflush(stdout);
        char command[PATH_SIZE + 16];
        snprintf(command, sizeof command, "rm -rf '%s'", folder);
        CHECK(system(command) == 0);
        ran++;
    }
    printf("%u tests\n", ran);
    return ran > 0 ? 0 : 1;
}
