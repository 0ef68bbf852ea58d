/* Operations of topologies: who follows whom, and what happened. */
#define _POSIX_C_SOURCE 200809L
#include "scenarios.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ID = 40, TURNS = 12000 };

/* The id of a node: its name, filled up with zeros. */
static const char *id_of(char id[ID + 1], const char *name, size_t size) {
    memset(id, '0', ID);
    memcpy(id, name, size < ID ? size : ID);
    id[ID] = 0;
    return id;
}

/* The name of the engine that has an id; `none` without one. */
static void say_node(const char *id) {
    if (id == NULL) {
        say("none");
    } else {
        say("%.*s", (int)strcspn(id, "0"), id);
    }
}

/* The text of the nodes from a word on: NAME for a primary, NAME:PRIMARY for a replica. */
static void nodes_from(size_t index, char *out, size_t size) {
    size_t used = 0;
    for (; index < word_count; index++) {
        char id[ID + 1], primary[ID + 1] = "-", name[64];
        const char *node = text(index), *colon = strchr(node, ':');
        const size_t length = colon == NULL ? strlen(node) : (size_t)(colon - node);
        snprintf(name, sizeof name, "%.*s", (int)length, node);
        if (colon != NULL) id_of(primary, colon + 1, strlen(colon + 1));
        const pumice_listener *listener = slot(name)->listener;
        if (listener == NULL) fail("engine %s does not serve", name);
        used += (size_t)snprintf(out + used, size - used, "%s %s %u %s %s\n", id_of(id, node, length),
                                 pumice_listener_host(listener), (unsigned)pumice_listener_port(listener),
                                 colon == NULL ? "master" : "slave", primary);
        if (used >= size) fail("too many nodes");
    }
}

static void do_set_topology(void) {
    char nodes[LINE_SIZE], id[ID + 1];
    const bool force = word_count > 3 && strcmp(text(3), "force") == 0;
    nodes_from(force ? 4 : 3, nodes, sizeof nodes);
    pumice_topology_options *options = pumice_topology_options_new();
    pumice_error *error;
    if (!ok(pumice_topology_options_set_force(options, force, &error), &error)) fail("force: %s", result);
    bool changed;
    id_of(id, text(1), strlen(text(1)));
    const pumice_status status = pumice_engine_set_topology(engine(1), number(2), nodes, strlen(nodes), id, options,
                                                            &changed, &error);
    pumice_topology_options_free(options);
    if (ok(status, &error)) say_bool(changed);
}

static void say_nodes(const pumice_topology_status *status) {
    for (size_t i = 0; i < pumice_topology_status_node_count(status); i++) {
        const pumice_node *node = pumice_topology_status_node_at(status, i);
        say_space();
        say_node(node->id);
        if (node->primary != NULL) {
            say(":");
            say_node(node->primary);
        }
    }
    say_empty();
}

static void say_desired(const pumice_topology_status *status) {
    const char *host = pumice_topology_status_desired_host(status);
    for (size_t i = 0; i < pumice_topology_status_node_count(status); i++) {
        const pumice_node *node = pumice_topology_status_node_at(status, i);
        if (host != NULL && strcmp(node->host, host) == 0 &&
            node->port == pumice_topology_status_desired_port(status)) {
            say_node(node->id);
        }
    }
    if (result[0] == 0) say("none");
}

static void do_topology(void) {
    pumice_error *error;
    pumice_topology_status *status;
    if (!ok(pumice_engine_topology(engine(1), &status, &error), &error)) return;
    const char *field = text(2);
    if (strcmp(field, "version") == 0) {
        const uint64_t version = pumice_topology_status_version(status);
        if (version == PUMICE_UNKNOWN) {
            say("none");
        } else {
            say("%llu", (unsigned long long)version);
        }
    } else if (strcmp(field, "node_id") == 0) {
        say_node(pumice_topology_status_node_id(status));
    } else if (strcmp(field, "nodes") == 0) {
        say_nodes(status);
    } else if (strcmp(field, "role") == 0) {
        say("%s", pumice_role_name((int32_t)pumice_topology_status_role(status)));
    } else if (strcmp(field, "epoch") == 0) {
        say("%llu", (unsigned long long)pumice_topology_status_epoch(status));
    } else if (strcmp(field, "desired") == 0) {
        say_desired(status);
    } else if (strcmp(field, "actual") == 0) {
        const pumice_link_status *link = pumice_topology_status_actual(status);
        say("%s", link == NULL ? "none" : pumice_link_state_name((int32_t)pumice_link_status_state(link)));
    } else if (strcmp(field, "reason") == 0) {
        const char *reason = pumice_topology_status_reason(status);
        say("%s", reason == NULL ? "none" : reason);
    } else {
        fail("unknown field %s", field);
    }
    pumice_topology_status_free(status);
}

static bool is_converged(const pumice_topology_status *status) { return pumice_topology_status_converged(status); }

static bool says(const pumice_topology_status *status) {
    const char *reason = pumice_topology_status_reason(status);
    return reason != NULL && strstr(reason, text(2)) != NULL;
}

/* Asks every 5 ms whether it is so, as often as said. */
static void say_whether(bool (*is_so)(const pumice_topology_status *), uint64_t turns) {
    for (uint64_t turn = 0;; turn++) {
        pumice_error *error;
        pumice_topology_status *status;
        if (!ok(pumice_engine_topology(engine(1), &status, &error), &error)) return;
        const bool it_is = is_so(status);
        pumice_topology_status_free(status);
        if (it_is || turn == turns) {
            say_bool(it_is);
            return;
        }
        const struct timespec pause = {0, 5000000};
        nanosleep(&pause, NULL);
    }
}

static void do_converged(void) { say_whether(is_converged, word_count > 2 ? number(2) / 5 : TURNS); }

static void do_topology_says(void) { say_whether(says, TURNS); }

static void do_events(void) {
    pumice_error *error;
    pumice_events_free(at(1)->events);
    say_ok(pumice_engine_events(engine(1), &at(1)->events, &error), &error);
}

static void do_event(void) {
    for (;;) {
        pumice_error *error;
        pumice_event *event;
        if (!ok(pumice_events_next(at(1)->events, 5 * TURNS, &event, &error), &error)) return;
        if (event == NULL) {
            say_bool(false);
            return;
        }
        const bool it_is = strcmp(pumice_event_kind_name((int32_t)pumice_event_get_kind(event)), text(2)) == 0 &&
                           strstr(pumice_event_message(event), text(3)) != NULL;
        if (pumice_event_time_ms(event) == 0 || pumice_event_lost(event) != 0) fail("an event without a time, or lost");
        pumice_event_free(event);
        if (it_is) {
            say_bool(true);
            return;
        }
    }
}

const operation topology_operations[] = {
    {"set_topology", do_set_topology},
    {"topology", do_topology},
    {"topology_says", do_topology_says},
    {"converged", do_converged},
    {"events", do_events},
    {"event", do_event},
    {NULL, NULL},
};
