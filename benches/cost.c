/* The C side of benches/cost.rs, which compiles it against include/pumice.h and the shared library, and times it in
 * turns with the same reads in Rust. */
#include "pumice.h"

#include <stdio.h>

static pumice_engine *engine;
static pumice_namespace *ns;

static int failed(pumice_error *error) {
    fprintf(stderr, "cost.c: %s\n", pumice_error_message(error));
    pumice_error_free(error);
    return 1;
}

int cost_open(const char *path, const char *name, size_t name_size) {
    pumice_error *error = NULL;
    if (pumice_engine_open(path, NULL, &engine, &error) != PUMICE_OK ||
        pumice_engine_open_namespace(engine, name, name_size, &ns, &error) != PUMICE_OK) {
        return failed(error);
    }
    return 0;
}

/* Gets `count` keys of `size` bytes, one behind the other. */
int cost_get(const char *keys, size_t size, size_t count, unsigned long *sum) {
    for (size_t i = 0; i < count; i++) {
        pumice_value *value = NULL;
        pumice_error *error = NULL;
        if (pumice_namespace_get(ns, keys + i * size, size, &value, &error) != PUMICE_OK) {
            return failed(error);
        }
        if (value == NULL) {
            return 1;
        }
        *sum += (unsigned char)pumice_value_data(value)[0];
        pumice_value_free(value);
    }
    return 0;
}

void cost_close(void) {
    pumice_namespace_free(ns);
    pumice_engine_free(engine);
}
