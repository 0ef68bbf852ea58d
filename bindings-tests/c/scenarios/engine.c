/* Operations of an engine: its life, its checkpoints, what it says about itself. */
#define _POSIX_C_SOURCE 200809L
#include "scenarios.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool is_true(const char *value) {
    if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) fail("expected true or false, got %s", value);
    return strcmp(value, "true") == 0;
}

static void do_open(void) {
    engine_slot *opened = slot(text(1));
    forget(opened);
    pumice_options *options = pumice_options_new();
    for (size_t i = 2; i < word_count; i++) {
        char *value = strchr(words[i].data, '=');
        if (value == NULL) fail("an option without a value");
        *value++ = 0;
        const char *name = words[i].data;
        pumice_error *error = NULL;
        pumice_status status = PUMICE_OK;
        if (strcmp(name, "role") == 0) {
            const pumice_role role = strcmp(value, "replica") == 0 ? PUMICE_ROLE_REPLICA : PUMICE_ROLE_PRIMARY;
            status = pumice_options_set_role(options, role, &error);
        } else if (strcmp(name, "cluster") == 0) {
            status = pumice_options_set_cluster(options, is_true(value), &error);
        } else if (strcmp(name, "create") == 0) {
            status = pumice_options_set_create(options, is_true(value), &error);
        } else if (strcmp(name, "read_only") == 0) {
            status = pumice_options_set_read_only(options, is_true(value), &error);
        } else if (strcmp(name, "sync") == 0) {
            status = pumice_options_set_sync(options, is_true(value), &error);
        } else {
            fail("unknown option %s", name);
        }
        if (!ok(status, &error)) fail("option %s: %s", name, result);
    }
    pumice_error *error;
    say_ok(pumice_engine_open(path_of(text(1)), options, &opened->engine, &error), &error);
    pumice_options_free(options);
}

static void do_close(void) {
    pumice_error *error;
    say_ok(pumice_engine_close(engine(1), &error), &error);
}

static void do_role(void) {
    pumice_error *error;
    pumice_role role;
    if (ok(pumice_engine_role(engine(1), &role, &error), &error)) say("%s", pumice_role_name((int32_t)role));
}

static void do_promote(void) {
    pumice_error *error;
    say_ok(pumice_engine_promote(engine(1), &error), &error);
}

static void do_flush(void) {
    pumice_error *error;
    say_ok(pumice_engine_flush(engine(1), &error), &error);
}

static void do_checkpoint(void) {
    pumice_error *error;
    pumice_checkpoint *made;
    const char *path = path_of(text(2));
    if (!ok(pumice_engine_create_checkpoint(engine(1), path, NULL, NULL, &made, &error), &error)) return;
    if (strcmp(pumice_checkpoint_path(made), path) != 0) fail("checkpoint path: got %s", pumice_checkpoint_path(made));
    if (pumice_checkpoint_files(made) == 0 || pumice_checkpoint_bytes(made) == 0) fail("a checkpoint without files");
    pumice_checkpoint_free(made);
    say("ok");
}

static void do_apply_checkpoint(void) {
    pumice_error *error;
    say_ok(pumice_engine_apply_checkpoint(engine(1), path_of(text(2)), true, NULL, NULL, &error), &error);
}

static void do_verify(void) {
    pumice_error *error;
    pumice_findings *findings;
    if (!ok(pumice_engine_verify(engine(1), PUMICE_DEPTH_RECORDS, &findings, &error), &error)) return;
    say("%zu", pumice_findings_count(findings));
    for (size_t i = 0; i < pumice_findings_count(findings); i++) {
        const pumice_finding finding = pumice_findings_at(findings, i);
        fprintf(stderr, "  %.*s: %.*s\n", (int)finding.what.size, finding.what.data, (int)finding.detail.size,
                finding.detail.data);
    }
    pumice_findings_free(findings);
}

static void do_info(void) {
    static const struct {
        const char *name;
        uint64_t (*figure)(const pumice_info *);
    } figures[] = {
        {"generation", pumice_info_generation},
        {"namespaces", pumice_info_namespaces},
        {"records_estimate", pumice_info_records_estimate},
        {"table_files", pumice_info_table_files},
        {"table_bytes", pumice_info_table_bytes},
        {"blob_bytes", pumice_info_blob_bytes},
        {"oldest_sequence", pumice_info_oldest_sequence},
        {"memory_budget", pumice_info_memory_budget},
        {"cache_bytes", pumice_info_cache_bytes},
        {"write_buffer_bytes", pumice_info_write_buffer_bytes},
        {"table_reader_bytes", pumice_info_table_reader_bytes},
        {"snapshots", pumice_info_snapshots},
        {"feeds", pumice_info_feeds},
        {"lag_sequences", pumice_info_lag_sequences},
    };
    pumice_error *error;
    pumice_info *info;
    if (!ok(pumice_engine_info(engine(1), &info, &error), &error)) return;
    const char *field = text(2);
    if (strcmp(field, "role") == 0) {
        say("%s", pumice_role_name((int32_t)pumice_info_role(info)));
    } else if (strcmp(field, "layout") == 0) {
        say("%s", pumice_info_layout(info));
    } else if (strcmp(field, "sequence") == 0) {
        say("%llu", (unsigned long long)pumice_info_position(info).sequence);
    } else if (strcmp(field, "replication_id") == 0) {
        say("%s", pumice_info_position(info).replication_id);
    } else {
        for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
            if (strcmp(field, figures[i].name) == 0) say("%llu", (unsigned long long)figures[i].figure(info));
        }
    }
    if (result[0] == 0) fail("unknown field %s", field);
    pumice_info_free(info);
}

static void do_fixture(void) {
    const char *path = path_of(text(2));
    shell("mkdir -p '%s' && cp -R '%s/%s/db' '%s/db'", path, fixtures, text(1), path);
    say("ok");
}

static void do_backup(void) {
    shell("cp -R '%s/%s/backup' '%s'", fixtures, text(1), path_of(text(2)));
    say("ok");
}

static void do_release(void) {
    pumice_error *error;
    say_ok(pumice_release(path_of(text(1)), &error), &error);
}

static void do_sleep(void) {
    const struct timespec time = {(time_t)(number(1) / 1000), (long)(number(1) % 1000) * 1000000};
    nanosleep(&time, NULL);
    say("ok");
}

const operation engine_operations[] = {
    {"open", do_open},
    {"close", do_close},
    {"role", do_role},
    {"promote", do_promote},
    {"flush", do_flush},
    {"checkpoint", do_checkpoint},
    {"apply_checkpoint", do_apply_checkpoint},
    {"verify", do_verify},
    {"info", do_info},
    {"fixture", do_fixture},
    {"backup", do_backup},
    {"release", do_release},
    {"sleep", do_sleep},
    {NULL, NULL},
};
