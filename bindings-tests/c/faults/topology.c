/* Topologies and events: what is refused, what outlives what, what ends a wait. */
#include "faults.h"
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
static const char both[] = A " 10.0.0.1 6666 master - 0-100 102\n" B " 127.0.0.1 1 slave " A "\n";

void test_topology(void) {
    pumice_engine *engine = open_new("e");
    pumice_topology_options *options = pumice_topology_options_new();
    pumice_topology_status *status = NULL;
    bool changed = true;

    /* What must be there is, and what cannot be is refused: nothing has changed then. */
    REFUSED(pumice_topology_options_set_password(NULL, "p", 1, &error));
    REFUSED(pumice_topology_options_set_password(options, "\xff", 1, &error));
    REFUSED(pumice_topology_options_set_password(options, NULL, 1, &error));
    REFUSED(pumice_topology_options_set_force(NULL, true, &error));
    REFUSED(pumice_topology_options_set_tls(NULL, "ca", &error));
    REFUSED(pumice_topology_options_set_tls(options, NULL, &error));
    REFUSED(pumice_topology_options_set_tls_certificate(NULL, "c", "k", &error));
    REFUSED(pumice_topology_options_set_tls_certificate(options, NULL, "k", &error));
    REFUSED(pumice_topology_options_set_tls_certificate(options, "c", NULL, &error));
    REFUSED(pumice_topology_options_set_tls_server_name(NULL, "n", &error));
    REFUSED(pumice_topology_options_set_tls_server_name(options, "\xff", &error));
    REFUSED(pumice_engine_set_topology(NULL, 1, both, strlen(both), A, NULL, NULL, &error));
    REFUSED(pumice_engine_set_topology(engine, 1, NULL, 1, A, NULL, NULL, &error));
    REFUSED(pumice_engine_set_topology(engine, 1, NULL, 0, A, NULL, NULL, &error));
    REFUSED(pumice_engine_set_topology(engine, 1, "\xff", 1, A, NULL, NULL, &error));
    REFUSED(pumice_engine_set_topology(engine, 1, both, strlen(both), NULL, NULL, NULL, &error));
    REFUSED(pumice_engine_set_topology(engine, 1, both, strlen(both), "short", NULL, NULL, &error));
    REFUSED(pumice_engine_set_topology(engine, UINT64_MAX, both, strlen(both), A, NULL, NULL, &error));
    for (size_t size = 1; size < sizeof A + 22; size++) {
        REFUSED(pumice_engine_set_topology(engine, 1, both, size, A, NULL, &changed, &error));
    }
    REFUSED(pumice_engine_topology(NULL, &status, &error));
    CHECK(status == NULL);
    REFUSED(pumice_engine_topology(engine, NULL, &error));
    CHECK(changed);

    OK(pumice_engine_topology(engine, &status, &error));
    CHECK(pumice_topology_status_version(status) == PUMICE_UNKNOWN && pumice_topology_status_node_count(status) == 0);
    CHECK(pumice_topology_status_node_id(status) == NULL && pumice_topology_status_role(status) == PUMICE_ROLE_PRIMARY);
    pumice_topology_status_free(status);

    /* Set, and shown; what is shown outlives the engine's next topology, and the engine. */
    OK(pumice_engine_set_topology(engine, 1, both, strlen(both), B, NULL, NULL, &error));
    OK(pumice_topology_options_set_password(options, "secret", 6, &error));
    OK(pumice_topology_options_set_force(options, false, &error));
    OK(pumice_engine_set_topology(engine, 2, both, strlen(both), B, options, &changed, &error));
    CHECK(changed);
    OK(pumice_engine_set_topology(engine, 2, both, strlen(both), B, options, &changed, &error));
    CHECK(!changed);
    REFUSED(pumice_engine_set_topology(engine, 1, both, strlen(both), B, options, &changed, &error));
    OK(pumice_engine_topology(engine, &status, &error));
    OK(pumice_topology_options_set_force(options, true, &error));
    OK(pumice_engine_set_topology(engine, 1, both, strlen(both), A, options, &changed, &error));
    CHECK(changed);
    OK(pumice_engine_close(engine, &error));
    pumice_topology_status *closed = status;
    IS(PUMICE_CLOSED, pumice_engine_topology(engine, &closed, &error));
    CHECK(closed == NULL);
    IS(PUMICE_CLOSED, pumice_engine_set_topology(engine, 3, both, strlen(both), A, NULL, NULL, &error));
    pumice_engine_free(engine);
    CHECK(pumice_topology_status_version(status) == 2 && strcmp(pumice_topology_status_node_id(status), B) == 0);
    CHECK(pumice_topology_status_role(status) == PUMICE_ROLE_REPLICA && !pumice_topology_status_converged(status));
    CHECK(pumice_topology_status_epoch(status) == 0 && pumice_topology_status_since_ms(status) > 0);
    CHECK(strcmp(pumice_topology_status_desired_host(status), "10.0.0.1") == 0);
    CHECK(pumice_topology_status_desired_port(status) == 6666);
    CHECK(strstr(pumice_topology_status_reason(status), "10.0.0.1:6666") != NULL);
    CHECK(strcmp(pumice_link_status_host(pumice_topology_status_actual(status)), "10.0.0.1") == 0);
    CHECK(pumice_topology_status_node_count(status) == 2 && pumice_topology_status_node_at(status, 2) == NULL);
    const pumice_node *a = pumice_topology_status_node_at(status, 0), *b = pumice_topology_status_node_at(status, 1);
    CHECK(strcmp(a->id, A) == 0 && strcmp(a->host, "10.0.0.1") == 0 && a->port == 6666 && a->primary == NULL);
    CHECK(a->slot_range_count == 2 && a->slots[0].first == 0 && a->slots[0].last == 100 && a->slots[1].first == 102);
    CHECK(strcmp(b->primary, A) == 0 && b->slot_range_count == 0);
    pumice_topology_status_free(status);
    pumice_topology_options_free(options);

    /* TLS that cannot be is refused before anything is kept. */
    engine = open_new("tls");
    options = pumice_topology_options_new();
    OK(pumice_topology_options_set_tls(options, in("missing.pem"), &error));
    OK(pumice_topology_options_set_tls_certificate(options, "c", "k", &error));
    OK(pumice_topology_options_set_tls_server_name(options, "node", &error));
    IS(PUMICE_IO, pumice_engine_set_topology(engine, 1, both, strlen(both), B, options, NULL, &error));
    OK(pumice_engine_topology(engine, &status, &error));
    CHECK(pumice_topology_status_node_count(status) == 0);
    pumice_topology_status_free(status);
    pumice_topology_options_free(options);
    pumice_engine_free(engine);

    /* Of nothing, nothing. */
    CHECK(pumice_topology_status_version(NULL) == 0 && pumice_topology_status_node_id(NULL) == NULL);
    CHECK(pumice_topology_status_node_count(NULL) == 0 && pumice_topology_status_node_at(NULL, 0) == NULL);
    CHECK(pumice_topology_status_role(NULL) == PUMICE_ROLE_DETACHED && pumice_topology_status_epoch(NULL) == 0);
    CHECK(pumice_topology_status_desired_host(NULL) == NULL && pumice_topology_status_desired_port(NULL) == 0);
    CHECK(pumice_topology_status_actual(NULL) == NULL && !pumice_topology_status_converged(NULL));
    CHECK(pumice_topology_status_since_ms(NULL) == 0 && pumice_topology_status_reason(NULL) == NULL);
    pumice_topology_status_free(NULL);
    pumice_topology_options_free(NULL);
}

static void *wait_for_event(void *events) {
    pumice_event *event;
    IS(PUMICE_CLOSED, pumice_events_next(events, MINUTE, &event, &error));
    CHECK(event == NULL);
    return NULL;
}

void test_events(void) {
    pumice_engine *engine = open_as("e", PUMICE_ROLE_DETACHED);
    pumice_events *events, *second;
    pumice_event *event;
    REFUSED(pumice_engine_events(NULL, &events, &error));
    CHECK(events == NULL);
    REFUSED(pumice_engine_events(engine, NULL, &error));
    OK(pumice_engine_events(engine, &events, &error));
    REFUSED(pumice_events_next(NULL, 0, &event, &error));
    CHECK(event == NULL);
    REFUSED(pumice_events_next(events, 0, NULL, &error));
    OK(pumice_events_next(events, 0, &event, &error));
    CHECK(event == NULL);
    OK(pumice_events_next(events, 20, &event, &error));
    CHECK(event == NULL);

    /* More than wait are lost, the oldest first, and counted. */
    enum { TURNS = 1030 };
    static const char other[] = A " 10.0.0.1 1 master -";
    bool changed;
    OK(pumice_engine_set_topology(engine, 7, both, strlen(both), A, NULL, NULL, &error));
    for (int turn = 0; turn < TURNS; turn++) {
        OK(pumice_engine_set_topology(engine, 7, other, strlen(other), A, NULL, &changed, &error));
        CHECK(!changed);
    }
    OK(pumice_events_next(events, 0, &event, &error));
    CHECK(pumice_event_lost(event) > TURNS - 1024 && pumice_event_time_ms(event) > 0);
    CHECK(pumice_event_get_kind(event) == PUMICE_EVENT_KIND_TOPOLOGY);
    CHECK(strstr(pumice_event_message(event), "version 7 was set again with other nodes") != NULL);
    CHECK(strcmp(pumice_event_kind_name(PUMICE_EVENT_KIND_FULL_SYNC), "full_sync") == 0);
    CHECK(strcmp(pumice_event_kind_name(99), "unknown") == 0);

    /* A close ends the wait; what was told before is still taken, and an event outlives everything. */
    pumice_events *waited;
    OK(pumice_engine_events(engine, &waited, &error));
    pthread_t waiter;
    CHECK(pthread_create(&waiter, NULL, wait_for_event, waited) == 0);
    pause_ms(20);
    OK(pumice_engine_close(engine, &error));
    CHECK(pthread_join(waiter, NULL) == 0);
    pumice_events_free(waited);
    IS(PUMICE_CLOSED, pumice_engine_events(engine, &second, &error));
    CHECK(second == NULL);
    pumice_engine_free(engine);
    pumice_event *next;
    for (int left = 1023; left > 0; left--) {
        OK(pumice_events_next(events, 0, &next, &error));
        CHECK(next != NULL && pumice_event_lost(next) == 0);
        pumice_event_free(next);
    }
    IS(PUMICE_CLOSED, pumice_events_next(events, MINUTE, &next, &error));
    pumice_events_free(events);
    CHECK(strstr(pumice_event_message(event), "version 7") != NULL);
    pumice_event_free(event);

    /* An engine that is let go of without a close ends it too. */
    engine = open_new("f");
    OK(pumice_engine_events(engine, &events, &error));
    pumice_engine_free(engine);
    IS(PUMICE_CLOSED, pumice_events_next(events, MINUTE, &event, &error));
    pumice_events_free(events);

    CHECK(pumice_event_time_ms(NULL) == 0 && pumice_event_lost(NULL) == 0 && pumice_event_message(NULL) == NULL);
    CHECK(pumice_event_get_kind(NULL) == PUMICE_EVENT_KIND_NONE);
    pumice_event_free(NULL);
    pumice_events_free(NULL);
}

/* A forked child hears nothing, and waits for nothing; its parent goes on. */
void test_fork_events(void) {
    pumice_engine *engine = open_new("e");
    pumice_events *events, *second;
    pumice_event *event;
    OK(pumice_engine_events(engine, &events, &error));
    OK(pumice_engine_set_topology(engine, 1, both, strlen(both), A, NULL, NULL, &error));
    const pid_t child = fork();
    if (child == 0) {
        IS(PUMICE_CLOSED, pumice_events_next(events, MINUTE, &event, &error));
        IS(PUMICE_CLOSED, pumice_engine_events(engine, &second, &error));
        pumice_events_free(events);
        _exit(0);
    }
    int ended;
    CHECK(waitpid(child, &ended, 0) == child && WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
    OK(pumice_events_next(events, 0, &event, &error));
    CHECK(event != NULL);
    pumice_event_free(event);
    pumice_events_free(events);
    pumice_engine_free(engine);
}
