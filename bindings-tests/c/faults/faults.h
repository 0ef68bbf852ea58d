/* What goes wrong, and must do so well: NULL and empty arguments, closed engines, handles freed in any order, cancelled
 * calls, large values, threads, forks.
 * faults FIXTURES [TEST...]: runs all tests, or some; faults --list names them. PUMICE_SLOW_TOOL makes it do less of
 * what only repeats. */
#ifndef FAULTS_H
#define FAULTS_H

#define _POSIX_C_SOURCE 200809L
#include <pumice.h>

enum { PATH_SIZE = 4096, MINUTE = 60000 };

/* main.c */

extern const char *fixtures;
extern char folder[PATH_SIZE];
extern bool slow;

/* Where every call of these files puts its error. */
extern _Thread_local pumice_error *error;

void fail(const char *file, int line, const char *format, ...);
void is(const char *file, int line, const char *call, pumice_status expected, pumice_status got);
const char *in(const char *name);
bool exists(const char *path);
void pause_ms(long ms);
pumice_engine *open_as(const char *name, pumice_role role);
pumice_engine *open_new(const char *name);
void put(pumice_namespace *ns, const char *key, const char *value);
bool holds(pumice_namespace *ns, const char *key, const char *expected);

#define IS(expected, ...) is(__FILE__, __LINE__, #__VA_ARGS__, expected, __VA_ARGS__)
#define OK(...) IS(PUMICE_OK, __VA_ARGS__)
#define REFUSED(...) IS(PUMICE_INVALID_ARGUMENT, __VA_ARGS__)
#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) fail(__FILE__, __LINE__, "expected %s", #condition); \
    } while (0)

/* handles.c */

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

handles open_all(const char *name, const char *checkpoint);
void free_all(handles *h);

/* The tests. */

void test_nulls(void);
void test_nothing_of_nothing(void);
void test_names(void);
void test_empty_bytes(void);
void test_options(void);
void test_write_options(void);
void test_kinds(void);
void test_replies(void);
void test_cancel(void);
void test_convert(void);
void test_large_values(void);
void test_log(void);
void test_replication(void);
void test_tls(void);
void test_topology(void);
void test_events(void);
void test_close_wakes(void);
void test_closed(void);
void test_any_order(void);
void test_threads(void);
void test_fork(void);
void test_fork_events(void);
void test_fork_and_kill(void);

#endif
