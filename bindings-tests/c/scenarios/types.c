/* Places, Bloom filters and sorted ints, by the commands that a C program has for them. */
#include "scenarios.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY = 3, FIRST = 4 };

static pumice_bytes args[2 * MOST_WORDS];
static size_t arg_count;

static void begin(const char *command) {
    arg_count = 0;
    args[arg_count++] = (pumice_bytes){command, strlen(command)};
    args[arg_count++] = bytes(KEY);
}

static void add(const char *text) { args[arg_count++] = (pumice_bytes){text, strlen(text)}; }

static void add_words(size_t first) {
    for (size_t i = first; i < word_count; i++) args[arg_count++] = bytes(i);
}

/* The reply of the command, NULL where it is an error, of which `what` becomes the result where it has the text. */
static pumice_reply *ask(const char *text, const char *what) {
    pumice_error *error;
    pumice_reply *reply;
    const pumice_namespace *ns = ns_of(at(1), 2);
    if (ns == NULL) return NULL;
    const pumice_status status = pumice_namespace_execute(ns, args, arg_count, &reply, &error);
    if (status != PUMICE_OK && text != NULL && strstr(pumice_error_message(error), text) != NULL) {
        say("%s", what);
        pumice_error_free(error);
        return NULL;
    }
    return ok(status, &error) ? reply : NULL;
}

static void say_number(void) {
    pumice_reply *reply = ask(NULL, NULL);
    if (reply == NULL) return;
    say("%lld", (long long)pumice_reply_integer(reply));
    pumice_reply_free(reply);
}

static void say_booleans(void) {
    pumice_reply *reply = ask(NULL, NULL);
    if (reply == NULL) return;
    for (size_t i = 0; i < pumice_reply_count(reply); i++) {
        const pumice_reply *one = pumice_reply_at(reply, i);
        say_space();
        if (pumice_reply_kind(one) == PUMICE_REPLY_ERROR) {
            result[0] = 0;
            say("error InvalidArgument");
            break;
        }
        say_bool(pumice_reply_integer(one) != 0);
    }
    pumice_reply_free(reply);
}

static double float_of(const pumice_reply *reply) {
    char text[64];
    const pumice_bytes shown = pumice_reply_bytes(reply);
    snprintf(text, sizeof text, "%.*s", (int)shown.size, (const char *)shown.data);
    return strtod(text, NULL);
}

static void do_geo_add(void) {
    begin("GEOADD");
    for (size_t i = FIRST; i + 2 < word_count; i += 3) {
        args[arg_count++] = bytes(i + 1);
        args[arg_count++] = bytes(i + 2);
        args[arg_count++] = bytes(i);
    }
    say_number();
}

static void do_geo_remove(void) {
    begin("ZREM");
    add_words(FIRST);
    say_number();
}

static void do_geo_len(void) {
    begin("ZCARD");
    say_number();
}

static void do_geo_position(void) {
    begin("GEOPOS");
    add_words(FIRST);
    pumice_reply *reply = ask(NULL, NULL);
    if (reply == NULL) return;
    const pumice_reply *place = pumice_reply_at(reply, 0);
    if (pumice_reply_count(place) == 2) {
        say("%.4f:%.4f", float_of(pumice_reply_at(place, 0)), float_of(pumice_reply_at(place, 1)));
    } else {
        say("none");
    }
    pumice_reply_free(reply);
}

static void do_geo_distance(void) {
    begin("GEODIST");
    add_words(FIRST);
    pumice_reply *reply = ask(NULL, NULL);
    if (reply == NULL) return;
    if (pumice_reply_kind(reply) == PUMICE_REPLY_NIL) {
        say("none");
    } else {
        say("%.0f", float_of(reply));
    }
    pumice_reply_free(reply);
}

static void do_geo_search(void) {
    static char middle[LINE_SIZE], area[LINE_SIZE];
    snprintf(middle, sizeof middle, "%s", text(FIRST));
    snprintf(area, sizeof area, "%s", text(FIRST + 1));
    begin("GEOSEARCH");
    char *latitude = strchr(middle, ',');
    add(latitude == NULL ? "FROMMEMBER" : "FROMLONLAT");
    if (latitude == NULL) {
        args[arg_count++] = bytes(FIRST);
    } else {
        *latitude = 0;
        add(middle);
        add(latitude + 1);
    }
    char *size = strtok(area, ":");
    add(strcmp(size, "box") == 0 ? "BYBOX" : "BYRADIUS");
    while ((size = strtok(NULL, ":")) != NULL) add(size);
    add("m");
    add("ASC");
    add("WITHDIST");
    if (argument(FIRST + 2)->given) {
        add("COUNT");
        add(text(FIRST + 2));
    }
    pumice_reply *reply = ask(NULL, NULL);
    if (reply == NULL) return;
    for (size_t i = 0; i < pumice_reply_count(reply); i++) {
        const pumice_reply *hit = pumice_reply_at(reply, i);
        const pumice_bytes member = pumice_reply_bytes(pumice_reply_at(hit, 0));
        say_space();
        say_bytes(member.data, member.size);
        say(":%.0f", float_of(pumice_reply_at(hit, 1)));
    }
    say_empty();
    pumice_reply_free(reply);
}

static void do_bloom_reserve(void) {
    begin("BF.RESERVE");
    add(text(FIRST + 1));
    add(text(FIRST));
    if (number(FIRST + 2) == 0) {
        add("NONSCALING");
    } else {
        add("EXPANSION");
        add(text(FIRST + 2));
    }
    pumice_reply *reply = ask("already exists", "false");
    if (reply != NULL) say("true");
    pumice_reply_free(reply);
}

static void do_bloom_add(void) {
    begin("BF.MADD");
    add_words(FIRST);
    say_booleans();
}

static void do_bloom_contains(void) {
    begin("BF.MEXISTS");
    add_words(FIRST);
    say_booleans();
}

static void do_bloom_info(void) {
    /* Capacity, size, filters, items, expansion, each behind its name. */
    static const size_t shown[] = {1, 7, 5, 3, 9};
    begin("BF.INFO");
    pumice_reply *reply = ask("not found", "none");
    if (reply == NULL) return;
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        const pumice_reply *value = pumice_reply_at(reply, shown[i]);
        say("%s%lld", i > 0 ? ":" : "", (long long)pumice_reply_integer(value));
    }
    pumice_reply_free(reply);
}

static void do_ints_add(void) {
    begin("SIADD");
    add_words(FIRST);
    say_number();
}

static void do_ints_remove(void) {
    begin("SIREM");
    add_words(FIRST);
    say_number();
}

static void do_ints_len(void) {
    begin("SICARD");
    say_number();
}

static void do_ints_contains(void) {
    begin("SIEXISTS");
    add_words(FIRST);
    say_booleans();
}

static void do_ints_range(void) {
    const bool reverse = strcmp(text(FIRST + 2), "reverse") == 0;
    begin(reverse ? "SIREVRANGEBYVALUE" : "SIRANGEBYVALUE");
    add(text(reverse ? FIRST + 1 : FIRST));
    add(text(reverse ? FIRST : FIRST + 1));
    if (argument(FIRST + 3)->given) {
        add("LIMIT");
        add("0");
        add(text(FIRST + 3));
    }
    pumice_reply *reply = ask(NULL, NULL);
    if (reply == NULL) return;
    for (size_t i = 0; i < pumice_reply_count(reply); i++) {
        const pumice_bytes integer = pumice_reply_bytes(pumice_reply_at(reply, i));
        say_space();
        say_bytes(integer.data, integer.size);
    }
    say_empty();
    pumice_reply_free(reply);
}

const operation type_operations[] = {
    {"geo_add", do_geo_add},
    {"geo_remove", do_geo_remove},
    {"geo_len", do_geo_len},
    {"geo_position", do_geo_position},
    {"geo_distance", do_geo_distance},
    {"geo_search", do_geo_search},
    {"bloom_reserve", do_bloom_reserve},
    {"bloom_add", do_bloom_add},
    {"bloom_contains", do_bloom_contains},
    {"bloom_info", do_bloom_info},
    {"ints_add", do_ints_add},
    {"ints_remove", do_ints_remove},
    {"ints_len", do_ints_len},
    {"ints_contains", do_ints_contains},
    {"ints_range", do_ints_range},
    {NULL, NULL},
};
