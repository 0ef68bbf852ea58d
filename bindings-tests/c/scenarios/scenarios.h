/* Runs every scenario of a folder through pumice.h; see ../../scenarios/README.md for the language. */
#ifndef SCENARIOS_H
#define SCENARIOS_H

#include <pumice.h>

enum { MOST_WORDS = 64, MOST_NAMED = 32, LINE_SIZE = 4096, PATH_SIZE = 4096 };

/* words.c */

typedef struct {
    char data[LINE_SIZE];
    size_t size;
    bool given;
} word;

extern const char *place_file;
extern int place_line;
extern const char *fixtures;
extern char folder[PATH_SIZE];
extern word words[MOST_WORDS];
extern size_t word_count;
extern char result[64 * 1024];

void fail(const char *format, ...);
void shell(const char *format, ...);
void split(char *line);
void say(const char *format, ...);
void say_bytes(const char *data, size_t size);
void say_space(void);
void say_empty(void);
void say_value(pumice_value *value);
void say_bool(bool answer);
bool ok(pumice_status status, pumice_error **place);
void say_ok(pumice_status status, pumice_error **error);
const word *argument(size_t index);
const char *text(size_t index);
uint64_t number(size_t index);
pumice_bytes bytes(size_t index);
const char *path_of(const char *name);
void say_names(pumice_names *names);

/* namespace.c */

void say_reply(const pumice_reply *reply);

/* named.c */

typedef struct {
    char name[64];
    pumice_engine *engine;
    pumice_listener *listener;
    pumice_batch *batch;
    pumice_events *events;
    pumice_namespace *namespaces[MOST_NAMED];
    size_t namespace_count;
} engine_slot;

typedef struct {
    char name[64];
    pumice_snapshot *snapshot;
} snapshot_slot;

extern engine_slot engines[MOST_NAMED];
extern size_t engine_count;
extern snapshot_slot snapshots[MOST_NAMED];
extern size_t snapshot_count;

void name_it(char *name, size_t size, const char *text);
engine_slot *slot(const char *name);
engine_slot *at(size_t index);
pumice_engine *engine(size_t index);
void forget(engine_slot *engine);
pumice_namespace *ns_of(engine_slot *engine, size_t index);
snapshot_slot *snapshot(size_t index);
pumice_snapshot_namespace *ns_then(size_t snapshot_index, size_t index);

/* The operations, a table for each noun, up to an entry without a name. Words 1 and on are their arguments. */

typedef struct {
    const char *name;
    void (*run)(void);
} operation;

extern const operation engine_operations[];
extern const operation convert_operations[];
extern const operation log_operations[];
extern const operation link_operations[];
extern const operation topology_operations[];
extern const operation batch_operations[];
extern const operation snapshot_operations[];
extern const operation namespace_operations[];
extern const operation type_operations[];

#endif
