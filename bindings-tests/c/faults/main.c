/* Runs the tests in their order, each in a folder of its own. */
#include "faults.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *fixtures;
char folder[PATH_SIZE];
bool slow;
_Thread_local pumice_error *error;

void fail(const char *file, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(1);
}

void is(const char *file, int line, const char *call, pumice_status expected, pumice_status got) {
    if (got != expected) {
        fail(file, line, "%s: got %s (%s), expected %s", call, pumice_status_name((int32_t)got),
             pumice_error_message(error), pumice_status_name((int32_t)expected));
    }
    if ((error == NULL) != (got == PUMICE_OK)) fail(file, line, "%s: its error and its status disagree", call);
    if (pumice_error_kind(error) != got) fail(file, line, "%s: its error has another kind", call);
    if (error != NULL && strlen(pumice_error_message(error)) < 10) fail(file, line, "%s: its error says nothing", call);
    pumice_error_free(error);
    error = NULL;
}

const char *in(const char *name) {
    static _Thread_local char paths[4][2 * PATH_SIZE];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, 2 * PATH_SIZE, "%s/%s", folder, name);
    return path;
}

bool exists(const char *path) {
    struct stat found;
    return stat(path, &found) == 0;
}

void pause_ms(long ms) {
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

pumice_engine *open_as(const char *name, pumice_role role) {
    pumice_options *options = pumice_options_new();
    pumice_engine *engine;
    OK(pumice_options_set_role(options, (int32_t)role, &error));
    OK(pumice_engine_open(in(name), options, &engine, &error));
    pumice_options_free(options);
    return engine;
}

pumice_engine *open_new(const char *name) { return open_as(name, PUMICE_ROLE_PRIMARY); }

void put(pumice_namespace *ns, const char *key, const char *value) {
    OK(pumice_namespace_put(ns, key, strlen(key), value, strlen(value), NULL, &error));
}

bool holds(pumice_namespace *ns, const char *key, const char *expected) {
    pumice_value *value;
    OK(pumice_namespace_get(ns, key, strlen(key), &value, &error));
    const bool same = expected == NULL ? value == NULL
                                       : value != NULL && pumice_value_size(value) == strlen(expected) &&
                                             memcmp(pumice_value_data(value), expected, strlen(expected)) == 0;
    pumice_value_free(value);
    return same;
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
    {"tls", test_tls},
    {"topology", test_topology},
    {"events", test_events},
    {"large_values", test_large_values},
    {"threads", test_threads},
    {"fork", test_fork},
    {"fork_events", test_fork_events},
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
        if (mkdtemp(folder) == NULL) fail(__FILE__, __LINE__, "no folder %s", folder);
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
