/* Handles: closed, freed in any order, used by many threads, and in a forked child. */
#include "faults.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HANDLES = 21 };

handles open_all(const char *name, const char *checkpoint) {
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
        default: fail(__FILE__, __LINE__, "no handle %u", which);
    }
}

void free_all(handles *h) {
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
    IS(PUMICE_CLOSED, pumice_snapshot_namespace_execute(h->then, &dbsize, 1, &reply, &error));

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

void test_closed(void) {
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

void test_any_order(void) {
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
static atomic_uint reading;

static void *read_on(void *given) {
    const worker *self = given;
    unsigned *reads = malloc(sizeof *reads);
    *reads = 0;
    while (!stop) {
        pumice_value *value;
        OK(pumice_namespace_get(self->ns, "0:0", 3, &value, &error));
        CHECK(value != NULL);
        pumice_value_free(value);
        if (++*reads == 1) ++reading;
    }
    return reads;
}

void test_threads(void) {
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
    while (reading < 2) sched_yield();
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

void test_fork(void) {
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

void test_fork_and_kill(void) {
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
