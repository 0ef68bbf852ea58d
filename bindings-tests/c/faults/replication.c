/* The log, listeners and links, TLS, and what ends a wait. */
#include "faults.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void test_log(void) {
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

void test_replication(void) {
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

static const char *pem(const char *name) {
    static char paths[4][2 * PATH_SIZE];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, 2 * PATH_SIZE, "%s/tls/%s", fixtures, name);
    return path;
}

/* Ends the wait once the link says why it failed. */
static int until_it_says(const pumice_link_status *link, void *reason) {
    const char *said = pumice_link_status_last_error(link);
    return said != NULL && strstr(said, reason) != NULL;
}

static void follow_fails(pumice_engine *replica, uint16_t port, const pumice_follow_options *how, char *reason) {
    bool answer;
    OK(pumice_engine_follow(replica, "127.0.0.1", port, how, &error));
    IS(PUMICE_BUSY, pumice_engine_wait_linked(replica, MINUTE, until_it_says, reason, &answer, &error));
}

void test_tls(void) {
    pumice_engine *primary = open_new("p"), *replica = open_as("r", PUMICE_ROLE_REPLICA);
    pumice_serve_options *serving = pumice_serve_options_new();
    pumice_follow_options *following = pumice_follow_options_new();
    pumice_listener *listener;
    bool answer;

    /* NULL is refused when it is set; what does not do, when it is used. */
    REFUSED(pumice_serve_options_set_tls(serving, NULL, "k", &error));
    REFUSED(pumice_serve_options_set_tls(serving, "c", NULL, &error));
    REFUSED(pumice_serve_options_set_tls_client_ca(serving, NULL, &error));
    REFUSED(pumice_serve_options_set_tls_peer_ca(serving, NULL, &error));
    REFUSED(pumice_follow_options_set_tls(following, NULL, &error));
    REFUSED(pumice_follow_options_set_tls_certificate(following, NULL, "k", &error));
    REFUSED(pumice_follow_options_set_tls_certificate(following, "c", NULL, &error));
    REFUSED(pumice_follow_options_set_tls_server_name(following, NULL, &error));
    REFUSED(pumice_follow_options_set_tls_server_name(following, "\xff", &error));
    OK(pumice_serve_options_set_tls_client_ca(serving, pem("ca.pem"), &error));
    REFUSED(pumice_engine_serve(primary, "127.0.0.1:0", serving, &listener, &error));
    CHECK(listener == NULL);
    OK(pumice_serve_options_set_tls(serving, in("missing"), pem("node.key"), &error));
    IS(PUMICE_IO, pumice_engine_serve(primary, "127.0.0.1:0", serving, &listener, &error));
    OK(pumice_serve_options_set_tls(serving, pem("node.pem"), pem("named.key"), &error));
    REFUSED(pumice_engine_serve(primary, "127.0.0.1:0", serving, &listener, &error));
    OK(pumice_serve_options_set_tls(serving, pem("node.pem"), pem("node.key"), &error));
    OK(pumice_follow_options_set_tls_certificate(following, pem("node.pem"), pem("node.key"), &error));
    REFUSED(pumice_engine_follow(replica, "127.0.0.1", 1, following, &error));
    OK(pumice_follow_options_set_tls(following, in("missing"), &error));
    IS(PUMICE_IO, pumice_engine_follow(replica, "127.0.0.1", 1, following, &error));

    /* Only who trusts the right CA, expects the right name and shows the right certificate follows. */
    OK(pumice_serve_options_set_tls_peer_ca(serving, pem("ca.pem"), &error));
    OK(pumice_engine_serve(primary, "127.0.0.1:0", serving, &listener, &error));
    const uint16_t port = pumice_listener_port(listener);
    follow_fails(replica, port, NULL, "it speaks TLS");
    OK(pumice_follow_options_set_tls(following, pem("other-ca.pem"), &error));
    follow_fails(replica, port, following, "UnknownIssuer");
    OK(pumice_follow_options_set_tls(following, pem("ca.pem"), &error));
    OK(pumice_follow_options_set_tls_server_name(following, "other.test", &error));
    follow_fails(replica, port, following, "not valid for name");
    OK(pumice_follow_options_set_tls_server_name(following, "localhost", &error));
    OK(pumice_follow_options_set_tls_certificate(following, pem("stranger.pem"), pem("stranger.key"), &error));
    follow_fails(replica, port, following, "fatal alert");
    OK(pumice_follow_options_set_tls_certificate(following, pem("node.pem"), pem("node.key"), &error));
    OK(pumice_engine_follow(replica, "127.0.0.1", port, following, &error));
    OK(pumice_engine_wait_linked(replica, MINUTE, NULL, NULL, &answer, &error));
    CHECK(answer);
    pumice_serve_options_free(serving);
    pumice_follow_options_free(following);
    pumice_engine_free(replica);
    pumice_engine_free(primary);
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

void test_close_wakes(void) {
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
