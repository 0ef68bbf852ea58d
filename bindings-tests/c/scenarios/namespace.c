/* Operations of namespaces and of the keys in them. */
#include "scenarios.h"
#include <string.h>

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

void say_reply(const pumice_reply *reply) {
    const pumice_bytes found = pumice_reply_bytes(reply);
    switch (pumice_reply_kind(reply)) {
        case PUMICE_REPLY_NIL: say("none"); break;
        case PUMICE_REPLY_INTEGER: say("%lld", (long long)pumice_reply_integer(reply)); break;
        case PUMICE_REPLY_ARRAY:
            say("[");
            for (size_t i = 0; i < pumice_reply_count(reply); i++) {
                if (i > 0) say(" ");
                say_reply(pumice_reply_at(reply, i));
            }
            say("]");
            break;
        default: say_bytes(found.data, found.size);
    }
}

/* A reply to the letter. */
static void say_exact(const pumice_reply *reply) {
    switch (pumice_reply_kind(reply)) {
        case PUMICE_REPLY_NIL: say("~"); break;
        case PUMICE_REPLY_INTEGER: say("#"); say_reply(reply); break;
        case PUMICE_REPLY_ARRAY:
            say("[");
            for (size_t i = 0; i < pumice_reply_count(reply); i++) {
                if (i > 0) say(" ");
                say_exact(pumice_reply_at(reply, i));
            }
            say("]");
            break;
        case PUMICE_REPLY_ERROR: say("!"); say_reply(reply); break;
        default: say_reply(reply);
    }
}

static void do_answer(void) {
    pumice_error *error;
    pumice_reply *reply;
    pumice_bytes args[MOST_WORDS];
    const pumice_namespace *ns = ns_of(at(1), 2);
    for (size_t i = 3; i < word_count; i++) args[i - 3] = bytes(i);
    if (ns == NULL) return;
    if (pumice_namespace_execute(ns, args, word_count - 3, &reply, &error) == PUMICE_OK) {
        say_exact(reply);
        pumice_reply_free(reply);
    } else {
        const char *message = pumice_error_message(error);
        say("!");
        say_bytes(message, strlen(message));
        pumice_error_free(error);
    }
}

static void do_execute(void) {
    pumice_error *error;
    pumice_reply *reply;
    pumice_bytes args[MOST_WORDS];
    const pumice_namespace *ns = ns_of(at(1), 2);
    for (size_t i = 3; i < word_count; i++) args[i - 3] = bytes(i);
    if (ns != NULL && ok(pumice_namespace_execute(ns, args, word_count - 3, &reply, &error), &error)) {
        say_reply(reply);
        pumice_reply_free(reply);
    }
}

const operation namespace_operations[] = {
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
    {"execute", do_execute},
    {"answer", do_answer},
    {NULL, NULL},
};
