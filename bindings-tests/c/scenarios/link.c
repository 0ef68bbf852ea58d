/* Operations of replication over sockets: serving, following, waiting. */
#include "scenarios.h"
#include <stdio.h>
#include <string.h>

enum { MINUTE = 60000 };

static uint64_t patience(size_t index) { return word_count > index ? number(index) : MINUTE; }

/* Serves the engine of word 1, whose former listener goes. */
static void serve(const char *address, pumice_serve_options *options) {
    pumice_error *error;
    engine_slot *served = at(1);
    pumice_listener *listener;
    say_ok(pumice_engine_serve(served->engine, address, options, &listener, &error), &error);
    pumice_serve_options_free(options);
    if (listener != NULL) {
        pumice_listener_free(served->listener);
        served->listener = listener;
    }
}

static void do_serve(void) {
    pumice_error *error;
    pumice_serve_options *options = pumice_serve_options_new();
    if (word_count > 3 && !ok(pumice_serve_options_set_password(options, text(3), argument(3)->size, &error), &error)) {
        fail("password: %s", result);
    }
    serve(word_count > 2 ? text(2) : "127.0.0.1:0", options);
}

/* A file of the TLS fixtures. */
typedef struct {
    char path[PATH_SIZE];
} file;

static file pem(size_t index, const char *ending) {
    file found;
    snprintf(found.path, sizeof found.path, "%s/tls/%s.%s", fixtures, text(index), ending);
    return found;
}

static void do_serve_tls(void) {
    pumice_error *error;
    pumice_serve_options *options = pumice_serve_options_new();
    const file certificate = pem(2, "pem"), key = pem(2, "key");
    bool done = ok(pumice_serve_options_set_tls(options, certificate.path, key.path, &error), &error);
    if (done && word_count > 3) {
        const file ca = pem(3, "pem");
        done = ok(pumice_serve_options_set_tls_client_ca(options, ca.path, &error), &error);
    }
    if (!done) fail("TLS: %s", result);
    serve("127.0.0.1:0", options);
}

static pumice_listener *listener(size_t index) {
    pumice_listener *found = at(index)->listener;
    if (found == NULL) fail("engine %s does not serve", text(index));
    return found;
}

static void do_stop(void) {
    pumice_error *error;
    say_ok(pumice_listener_close(listener(1), &error), &error);
}

/* Has the engine of word 1 follow what that of word 2 serves. */
static void follow(pumice_follow_options *options) {
    pumice_error *error;
    const pumice_listener *primary = listener(2);
    const char *host = pumice_listener_host(primary);
    say_ok(pumice_engine_follow(engine(1), host, pumice_listener_port(primary), options, &error), &error);
    pumice_follow_options_free(options);
}

static void do_follow_tls(void) {
    pumice_error *error;
    pumice_follow_options *options = pumice_follow_options_new();
    const file ca = pem(3, "pem");
    bool done = ok(pumice_follow_options_set_tls(options, ca.path, &error), &error);
    if (done && word_count > 4 && argument(4)->given) {
        const file certificate = pem(4, "pem"), key = pem(4, "key");
        done = ok(pumice_follow_options_set_tls_certificate(options, certificate.path, key.path, &error), &error);
    }
    if (done && word_count > 5) {
        done = ok(pumice_follow_options_set_tls_server_name(options, text(5), &error), &error);
    }
    if (!done) fail("TLS: %s", result);
    follow(options);
}

static void do_follow(void) {
    pumice_error *error;
    pumice_follow_options *options = pumice_follow_options_new();
    if (word_count > 3 && !ok(pumice_follow_options_set_password(options, text(3), argument(3)->size, &error), &error)) {
        fail("password: %s", result);
    }
    follow(options);
}

static void do_linked(void) {
    pumice_error *error;
    bool linked;
    if (ok(pumice_engine_wait_linked(engine(1), patience(2), NULL, NULL, &linked, &error), &error)) say_bool(linked);
}

static void say_known(uint64_t figure) {
    if (figure == PUMICE_UNKNOWN) {
        say("none");
    } else {
        say("%llu", (unsigned long long)figure);
    }
}

static const char *text_of(const pumice_link_status *link, const char *field) {
    if (strcmp(field, "last_error") == 0) return pumice_link_status_last_error(link);
    if (strcmp(field, "warning") == 0) return pumice_link_status_warning(link);
    fail("unknown field %s", field);
    return NULL;
}

static void say_field(const pumice_link_status *link, const char *field) {
    if (strcmp(field, "state") == 0) {
        say("%s", pumice_link_state_name((int32_t)pumice_link_status_state(link)));
    } else if (strcmp(field, "peer") == 0) {
        const pumice_peer peer = pumice_link_status_peer(link);
        say("%s", peer == PUMICE_PEER_NONE ? "none" : pumice_peer_name((int32_t)peer));
    } else if (strcmp(field, "lag_sequences") == 0) {
        say_known(pumice_link_status_lag_sequences(link));
    } else if (strcmp(field, "full_syncs") == 0) {
        say_known(pumice_link_status_full_syncs(link));
    } else if (strcmp(field, "sync") == 0) {
        const pumice_sync_status *sync = pumice_link_status_sync(link);
        say_known(sync == NULL ? PUMICE_UNKNOWN : sync->bytes);
    } else {
        const char *found = text_of(link, field);
        if (found == NULL) {
            say("none");
        } else {
            say_bytes(found, strlen(found));
        }
    }
}

static void do_link(void) {
    pumice_error *error;
    pumice_link_status *link;
    if (!ok(pumice_engine_link(engine(1), &link, &error), &error)) return;
    if (link == NULL) {
        say("none");
    } else {
        say_field(link, text(2));
    }
    pumice_link_status_free(link);
}

static bool says(const pumice_link_status *link) {
    const char *found = link == NULL ? NULL : text_of(link, text(2));
    return found != NULL && strstr(found, text(3)) != NULL;
}

static int look(const pumice_link_status *link, void *user_data) {
    if (user_data != result) fail("the callback was given something else");
    return says(link) ? 1 : 0;
}

static void do_link_says(void) {
    pumice_error *error;
    pumice_link_status *link;
    bool linked;
    const pumice_status status = pumice_engine_wait_linked(engine(1), MINUTE, look, result, &linked, &error);
    if (status == PUMICE_BUSY) {
        pumice_error_free(error);
        say_bool(true);
    } else if (ok(status, &error) && ok(pumice_engine_link(engine(1), &link, &error), &error)) {
        say_bool(says(link));
        pumice_link_status_free(link);
    }
}

static void do_detach(void) {
    pumice_error *error;
    say_ok(pumice_engine_detach(engine(1), &error), &error);
}

static void do_discard_kept(void) {
    pumice_error *error;
    size_t discarded;
    if (ok(pumice_engine_discard(engine(1), &discarded, &error), &error)) say("%zu", discarded);
}

static void do_hand_over(void) {
    pumice_error *error;
    const pumice_listener *to = listener(2);
    const char *host = pumice_listener_host(to);
    say_ok(pumice_engine_hand_over(engine(1), host, pumice_listener_port(to), MINUTE, &error), &error);
}

static void do_wait_for(void) {
    pumice_error *error;
    pumice_position position;
    bool reached;
    if (ok(pumice_engine_position(engine(2), &position, &error), &error) &&
        ok(pumice_engine_wait_for(engine(1), &position, patience(3), &reached, &error), &error)) {
        say_bool(reached);
    }
}

static void do_wait_acked(void) {
    pumice_error *error;
    pumice_position position;
    size_t acked;
    if (ok(pumice_engine_position(engine(1), &position, &error), &error) &&
        ok(pumice_engine_wait_acked(engine(1), &position, (size_t)number(2), patience(3), &acked, &error), &error)) {
        say("%zu", acked);
    }
}

static void do_feeds(void) {
    pumice_error *error;
    pumice_feeds *feeds;
    if (!ok(pumice_engine_feeds(engine(1), &feeds, &error), &error)) return;
    for (size_t i = 0; i < pumice_feeds_count(feeds); i++) {
        const pumice_feed_status *feed = pumice_feeds_at(feeds, i);
        say_space();
        say("%s:%llu", pumice_peer_name((int32_t)feed->peer), (unsigned long long)feed->lag_sequences);
    }
    say_empty();
    pumice_feeds_free(feeds);
}

const operation link_operations[] = {
    {"serve", do_serve},
    {"serve_tls", do_serve_tls},
    {"stop", do_stop},
    {"follow", do_follow},
    {"follow_tls", do_follow_tls},
    {"linked", do_linked},
    {"link", do_link},
    {"link_says", do_link_says},
    {"detach", do_detach},
    {"discard_kept", do_discard_kept},
    {"hand_over", do_hand_over},
    {"wait_for", do_wait_for},
    {"wait_acked", do_wait_acked},
    {"feeds", do_feeds},
    {NULL, NULL},
};
