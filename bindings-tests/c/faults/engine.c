/* What an engine is opened with, its writes, its datasets, and values that are large. */
#include "faults.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void test_options(void) {
    pumice_options *options = pumice_options_new();
    pumice_engine *engine;
    pumice_info *info;
    pumice_findings *findings;
    REFUSED(pumice_options_set_role(options, 0, &error));
    REFUSED(pumice_options_set_role(options, 99, &error));
    REFUSED(pumice_options_set_compression(options, -1, &error));
    REFUSED(pumice_options_set_compression(options, 5, &error));
    OK(pumice_options_set_create(options, false, &error));
    IS(PUMICE_NOT_FOUND, pumice_engine_open(in("e"), options, &engine, &error));
    CHECK(engine == NULL && !exists(in("e")));
    OK(pumice_options_set_create(options, true, &error));
    OK(pumice_options_set_memory_budget(options, 1, &error));
    REFUSED(pumice_engine_open(in("e"), options, &engine, &error));
    OK(pumice_options_set_memory_budget(options, 32 << 20, &error));
    OK(pumice_options_set_compression(options, PUMICE_COMPRESSION_ZSTD, &error));
    OK(pumice_options_set_cluster(options, true, &error));
    OK(pumice_options_set_sync(options, true, &error));
    OK(pumice_options_set_wal_keep_bytes(options, 1 << 20, &error));
    OK(pumice_options_set_wal_keep_ms(options, 60000, &error));
    OK(pumice_engine_open(in("e"), options, &engine, &error));
    pumice_options_free(options);

    OK(pumice_engine_info(engine, &info, &error));
    CHECK(strcmp(pumice_info_layout(info), "cluster") == 0 && pumice_info_memory_budget(info) == 32 << 20);
    CHECK(strcmp(pumice_info_path(info), pumice_engine_path(engine)) == 0);
    CHECK(pumice_info_role(info) == PUMICE_ROLE_PRIMARY && pumice_info_refuses_writes(info) == NULL);
    CHECK(pumice_info_lag_sequences(info) == PUMICE_UNKNOWN && pumice_info_lag_ms(info) == PUMICE_UNKNOWN);
    CHECK(strlen(pumice_info_position(info).replication_id) == 16 && pumice_info_generation(info) == 1);
    pumice_info_free(info);
    pumice_log *log;
    pumice_entry *entry;
    OK(pumice_engine_log(engine, NULL, &log, &error));
    OK(pumice_log_next(log, 0, &entry, &error));
    CHECK(pumice_entry_cluster(entry));
    pumice_entry_free(entry);
    pumice_log_free(log);
    REFUSED(pumice_engine_verify(engine, 3, &findings, &error));
    REFUSED(pumice_engine_verify(engine, -1, &findings, &error));

    /* One writer: who else comes hears who it is. */
    pumice_engine *second;
    IS(PUMICE_BUSY, pumice_engine_open(in("e"), NULL, &second, &error));
    IS(PUMICE_BUSY, pumice_release(in("e"), &error));
    OK(pumice_engine_close(engine, &error));

    options = pumice_options_new();
    OK(pumice_options_set_read_only(options, true, &error));
    OK(pumice_engine_open(in("e"), options, &second, &error));
    pumice_options_free(options);
    pumice_namespace *ns;
    OK(pumice_engine_default_namespace(second, &ns, &error));
    IS(PUMICE_READ_ONLY, pumice_namespace_put(ns, "k", 1, "v", 1, NULL, &error));
    OK(pumice_engine_info(second, &info, &error));
    CHECK(pumice_info_refuses_writes(info) != NULL);
    pumice_info_free(info);
    pumice_engine_free(second);
    pumice_namespace_free(ns);
    OK(pumice_release(in("e"), &error));
    pumice_engine_free(engine);
}

/* Replies of every kind, their elements, and what they say of what they are not; they outlive their engine. */
void test_replies(void) {
    pumice_engine *engine = open_new("replies");
    pumice_namespace *ns;
    pumice_reply *values, *set, *count;
    const pumice_bytes mget[] = {{"MGET", 4}, {"k\0", 2}, {"missing", 7}, {"empty", 5}};
    const pumice_bytes mset[] = {{"MSET", 4}, {"k\0", 2}, {"v\0w", 3}, {"empty", 5}, {NULL, 0}};
    const pumice_bytes exists[] = {{"EXISTS", 6}, {"k\0", 2}, {"k\0", 2}};
    OK(pumice_engine_default_namespace(engine, &ns, &error));
    OK(pumice_namespace_execute(ns, mset, 5, &set, &error));
    OK(pumice_namespace_execute(ns, mget, 4, &values, &error));
    OK(pumice_namespace_execute(ns, exists, 3, &count, &error));
    pumice_namespace_free(ns);
    pumice_engine_free(engine);
    CHECK(pumice_reply_kind(set) == PUMICE_REPLY_STATUS && memcmp(pumice_reply_bytes(set).data, "OK", 2) == 0);
    CHECK(pumice_reply_kind(count) == PUMICE_REPLY_INTEGER && pumice_reply_integer(count) == 2);
    CHECK(pumice_reply_bytes(count).data == NULL && pumice_reply_count(count) == 0 && pumice_reply_integer(set) == 0);
    CHECK(pumice_reply_kind(values) == PUMICE_REPLY_ARRAY && pumice_reply_count(values) == 3);
    const pumice_reply *value = pumice_reply_at(values, 0);
    CHECK(pumice_reply_kind(value) == PUMICE_REPLY_BYTES && pumice_reply_bytes(value).size == 3);
    CHECK(memcmp(pumice_reply_bytes(value).data, "v\0w", 3) == 0);
    CHECK(pumice_reply_kind(pumice_reply_at(values, 1)) == PUMICE_REPLY_NIL);
    const pumice_bytes empty = pumice_reply_bytes(pumice_reply_at(values, 2));
    CHECK(empty.data != NULL && empty.size == 0 && pumice_reply_at(values, 3) == NULL);
    pumice_reply_free(set);
    pumice_reply_free(values);
    pumice_reply_free(count);
}

void test_write_options(void) {
    pumice_engine *engine = open_new("e"), *other = open_new("o");
    pumice_namespace *ns, *foreign;
    pumice_write_options *how = pumice_write_options_new();
    pumice_batch *batch;
    int64_t ttl_ms;
    bool answer;
    OK(pumice_engine_create_namespace(engine, "n", 1, NULL, &ns, &error));
    OK(pumice_engine_create_namespace(other, "n", 1, NULL, &foreign, &error));
    OK(pumice_write_options_set_sync(how, true, &error));
    OK(pumice_namespace_put(ns, "synced", 6, "v", 1, how, &error));
    OK(pumice_write_options_set_ttl_ms(how, 60000, &error));
    OK(pumice_namespace_put(ns, "a", 1, "v", 1, how, &error));
    OK(pumice_namespace_put_if(ns, "b", 1, "v", 1, NULL, how, &answer, &error));
    CHECK(answer);
    OK(pumice_engine_batch(engine, &batch, &error));
    OK(pumice_batch_put(batch, ns, "c", 1, "v", 1, how, &error));
    REFUSED(pumice_batch_put(batch, foreign, "c", 1, "v", 1, how, &error));
    OK(pumice_batch_commit(batch, how, &error));
    pumice_batch_free(batch);
    for (const char *key = "abc"; *key != 0; key++) {
        OK(pumice_namespace_ttl_ms(ns, key, 1, &ttl_ms, &error));
        CHECK(ttl_ms > 0 && ttl_ms <= 60000);
    }
    OK(pumice_namespace_delete(ns, "a", 1, how, &answer, &error));
    CHECK(answer);
    OK(pumice_namespace_delete(ns, "a", 1, how, &answer, &error));
    CHECK(!answer);
    OK(pumice_write_options_set_ttl_ms(how, 0, &error));
    REFUSED(pumice_namespace_put(ns, "a", 1, "v", 1, how, &error));
    OK(pumice_write_options_set_ttl_ms(how, UINT64_MAX, &error));
    REFUSED(pumice_namespace_put(ns, "a", 1, "v", 1, how, &error));
    REFUSED(pumice_namespace_expire(ns, "synced", 6, 0, NULL, &error));
    REFUSED(pumice_namespace_expire(ns, "synced", 6, UINT64_MAX, NULL, &error));
    CHECK(holds(ns, "synced", "v"));
    pumice_write_options_free(how);
    pumice_namespace_free(ns);
    pumice_namespace_free(foreign);
    pumice_engine_free(other);
    pumice_engine_free(engine);
}

void test_kinds(void) {
    char command[3 * PATH_SIZE];
    snprintf(command, sizeof command, "mkdir '%s' && cp -R '%s/plain-zstd/db' '%s/db'", in("k"), fixtures, in("k"));
    CHECK(system(command) == 0);
    pumice_engine *engine;
    pumice_namespace *ns;
    pumice_items *items;
    const pumice_item *item;
    OK(pumice_engine_open(in("k"), NULL, &engine, &error));
    OK(pumice_engine_open_namespace(engine, "alpha", 5, &ns, &error));
    OK(pumice_namespace_items(ns, NULL, &items, &error));
    unsigned strings = 0, others = 0;
    for (;;) {
        OK(pumice_items_next(items, &item, &error));
        if (item == NULL) break;
        const bool is_string = item->kind == PUMICE_KIND_STRING;
        CHECK((item->value.data != NULL) == is_string);
        strings += is_string;
        others += !is_string;
        uint8_t kind;
        OK(pumice_namespace_kind(ns, item->key.data, item->key.size, &kind, &error));
        CHECK(kind == item->kind);
        pumice_value *values[2] = {(pumice_value *)command, (pumice_value *)command};
        const pumice_bytes keys[2] = {{"str:plain", 9}, item->key};
        IS(is_string ? PUMICE_OK : PUMICE_WRONG_TYPE, pumice_namespace_get_many(ns, keys, 2, values, &error));
        CHECK((values[0] != NULL) == is_string && (values[1] != NULL) == is_string);
        pumice_value_free(values[0]);
        pumice_value_free(values[1]);
        if (!is_string) {
            IS(PUMICE_WRONG_TYPE, pumice_namespace_get(ns, item->key.data, item->key.size, &values[0], &error));
            bool stored;
            const pumice_bytes v = {"v", 1};
            IS(PUMICE_WRONG_TYPE,
               pumice_namespace_put_if(ns, item->key.data, item->key.size, "w", 1, &v, NULL, &stored, &error));
        }
    }
    CHECK(strings > 1 && others > 5);
    pumice_items_free(items);
    pumice_namespace_free(ns);
    pumice_engine_free(engine);
}

typedef struct {
    unsigned calls;
    pumice_stage cancel_at;
} watcher;

static int watch(const pumice_progress *progress, void *user_data) {
    watcher *seen = user_data;
    seen->calls++;
    CHECK(progress->files_done <= progress->files && progress->bytes_done <= progress->bytes);
    CHECK(strcmp(pumice_stage_name((int32_t)progress->stage), "unknown") != 0);
    return progress->stage == seen->cancel_at;
}

void test_cancel(void) {
    pumice_engine *primary = open_new("p"), *replica = open_as("r", PUMICE_ROLE_REPLICA);
    pumice_namespace *ns;
    pumice_checkpoint *checkpoint;
    pumice_findings *findings;
    OK(pumice_engine_create_namespace(primary, "n", 1, NULL, &ns, &error));
    put(ns, "k", "v");
    watcher seen = {0, PUMICE_STAGE_CHECKSUM};
    IS(PUMICE_BUSY, pumice_engine_create_checkpoint(primary, in("c"), watch, &seen, &checkpoint, &error));
    CHECK(seen.calls > 0 && checkpoint == NULL && !exists(in("c")));
    seen = (watcher){0, PUMICE_STAGE_PUBLISH};
    OK(pumice_engine_create_checkpoint(primary, in("c"), watch, &seen, &checkpoint, &error));
    CHECK(seen.calls > 0 && pumice_checkpoint_files(checkpoint) > 0 && pumice_checkpoint_bytes(checkpoint) > 0);
    pumice_position position;
    OK(pumice_engine_position(primary, &position, &error));
    CHECK(pumice_checkpoint_position(checkpoint).sequence == position.sequence);
    CHECK(strcmp(pumice_checkpoint_position(checkpoint).replication_id, position.replication_id) == 0);

    const pumice_stage stages[] = {PUMICE_STAGE_RECEIVE, PUMICE_STAGE_OPEN, PUMICE_STAGE_PUBLISH};
    for (size_t i = 0; i < 3; i++) {
        pumice_names *names;
        seen = (watcher){0, stages[i]};
        IS(PUMICE_BUSY, pumice_engine_apply_checkpoint(replica, in("c"), false, watch, &seen, &error));
        CHECK(seen.calls > 0);
        OK(pumice_engine_namespaces(replica, &names, &error));
        CHECK(pumice_names_count(names) == 1);
        pumice_names_free(names);
        OK(pumice_engine_verify(replica, PUMICE_DEPTH_RECORDS, &findings, &error));
        CHECK(pumice_findings_count(findings) == 0);
        pumice_findings_free(findings);
    }
    seen = (watcher){0, PUMICE_STAGE_CHECKSUM};
    OK(pumice_engine_apply_checkpoint(replica, pumice_checkpoint_path(checkpoint), true, watch, &seen, &error));
    pumice_checkpoint_free(checkpoint);
    pumice_namespace_free(ns);
    OK(pumice_engine_open_namespace(replica, "n", 1, &ns, &error));
    CHECK(holds(ns, "k", "v"));
    pumice_namespace_free(ns);
    pumice_engine_free(replica);
    pumice_engine_free(primary);
}

void test_convert(void) {
    pumice_engine *source = open_new("s"), *target;
    pumice_namespace *ns, *gone;
    pumice_usage *usage;
    OK(pumice_engine_default_namespace(source, &gone, &error));
    put(gone, "elsewhere", "");
    OK(pumice_engine_create_namespace(source, "a\0b", 3, NULL, &ns, &error));
    put(ns, "k", "v");

    watcher seen = {0, PUMICE_STAGE_COUNT};
    IS(PUMICE_BUSY, pumice_engine_usage(source, watch, &seen, &usage, &error));
    CHECK(seen.calls > 0 && usage == NULL);
    seen = (watcher){0, PUMICE_STAGE_CONVERT};
    OK(pumice_engine_usage(source, watch, &seen, &usage, &error));
    CHECK(seen.calls > 0 && pumice_usage_count(usage) == 2 && pumice_usage_at(usage, 2) == NULL);
    CHECK(pumice_usage_other_bytes(usage) > 0 && pumice_usage_unreadable_records(usage) == 0);
    const pumice_namespace_usage *of = pumice_usage_at(usage, 1);
    CHECK(of->name.size == 3 && memcmp(of->name.data, "a\0b", 3) == 0 && of->registered);
    CHECK(of->keys == 1 && of->bytes > 0 && of->expired_keys == 0 && of->expired_bytes == 0 && of->remains_bytes == 0);
    CHECK(of->kind_count == 1 && of->kinds[0].kind == PUMICE_KIND_STRING && of->kinds[0].bytes == of->bytes);
    pumice_engine_free(source);
    pumice_namespace_free(ns);
    pumice_namespace_free(gone);
    CHECK(pumice_usage_at(usage, 0)->keys == 1 && pumice_usage_at(usage, 0)->name.data[0] == '_');
    pumice_usage_free(usage);

    pumice_convert_options *options = pumice_convert_options_new();
    pumice_converted *made;
    REFUSED(pumice_convert_options_set_compression(options, 5, &error));
    REFUSED(pumice_convert_options_set_compression(options, -1, &error));
    REFUSED(pumice_convert(in("s"), in("t"), NULL, NULL, NULL, &made, &error));
    OK(pumice_convert_options_set_cluster(options, true, &error));
    OK(pumice_convert_options_set_memory_budget(options, 1, &error));
    REFUSED(pumice_convert(in("s"), in("t"), options, NULL, NULL, &made, &error));
    OK(pumice_convert_options_set_memory_budget(options, 16 << 20, &error));
    OK(pumice_convert_options_set_compression(options, PUMICE_COMPRESSION_ZSTD, &error));
    OK(pumice_convert_options_set_namespace(options, "a", 1, &error));
    IS(PUMICE_NOT_FOUND, pumice_convert(in("s"), in("t"), options, NULL, NULL, &made, &error));
    CHECK(made == NULL);
    OK(pumice_convert_options_set_namespace(options, "a\0b", 3, &error));
    IS(PUMICE_NOT_FOUND, pumice_convert(in("nowhere"), in("t"), options, NULL, NULL, NULL, &error));
    const pumice_stage stages[] = {PUMICE_STAGE_CONVERT, PUMICE_STAGE_PUBLISH};
    for (size_t i = 0; i < 2; i++) {
        seen = (watcher){0, stages[i]};
        IS(PUMICE_BUSY, pumice_convert(in("s"), in("t"), options, watch, &seen, &made, &error));
        CHECK(seen.calls > 0 && made == NULL && !exists(in("t")));
    }
    seen = (watcher){0, PUMICE_STAGE_COUNT};
    OK(pumice_convert(in("s"), in("t"), options, watch, &seen, &made, &error));
    CHECK(seen.calls > 0 && strcmp(pumice_converted_path(made), in("t")) == 0);
    CHECK(strcmp(pumice_converted_layout(made), "cluster") == 0 && pumice_converted_namespace(made).size == 11);
    CHECK(pumice_converted_keys(made) == 1 && pumice_converted_records(made) > 0 && pumice_converted_bytes(made) > 0);
    CHECK(pumice_converted_left_out_count(made) == 1 && pumice_converted_left_out_at(made, 1) == NULL);
    CHECK(strlen(pumice_converted_left_out_at(made, 0)) > 10);
    CHECK(strlen(pumice_converted_position(made).replication_id) == 16 && pumice_converted_position(made).sequence > 0);
    pumice_converted_free(made);
    IS(PUMICE_ALREADY_EXISTS, pumice_convert(in("s"), in("t"), options, NULL, NULL, NULL, &error));
    pumice_convert_options_free(options);

    OK(pumice_engine_open(in("t"), NULL, &target, &error));
    OK(pumice_engine_default_namespace(target, &ns, &error));
    CHECK(holds(ns, "k", "v") && holds(ns, "elsewhere", NULL));
    pumice_namespace_free(ns);
    pumice_engine_free(target);
    OK(pumice_convert(in("t"), in("u"), NULL, NULL, NULL, NULL, &error));
    CHECK(exists(in("u")));
}

void test_large_values(void) {
    pumice_engine *engine = open_new("e");
    pumice_namespace *ns;
    pumice_value *value;
    OK(pumice_engine_default_namespace(engine, &ns, &error));
    const size_t sizes[] = {0, 1, 4095, 1 << 20, (slow ? 4u : 64u) << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *bytes = malloc(sizes[i] + 1);
        for (size_t j = 0; j < sizes[i]; j++) bytes[j] = (char)(j * 31 + i);
        OK(pumice_namespace_put(ns, "k", 1, bytes, sizes[i], NULL, &error));
        OK(pumice_namespace_get(ns, "k", 1, &value, &error));
        CHECK(pumice_value_size(value) == sizes[i] && memcmp(pumice_value_data(value), bytes, sizes[i]) == 0);
        pumice_value_free(value);
        free(bytes);
    }
    if (!slow) {
        const size_t most = 512u << 20;
        char *bytes = calloc(1, most + 1);
        REFUSED(pumice_namespace_put(ns, "k", 1, bytes, most + 1, NULL, &error));
        REFUSED(pumice_namespace_put(ns, bytes, most + 1, "v", 1, NULL, &error));
        bytes[most - 1] = 'z';
        OK(pumice_namespace_put(ns, "most", 4, bytes, most, NULL, &error));
        free(bytes);
        OK(pumice_namespace_get(ns, "most", 4, &value, &error));
        CHECK(pumice_value_size(value) == most && pumice_value_data(value)[most - 1] == 'z');
        pumice_value_free(value);
    }
    pumice_namespace_free(ns);
    pumice_engine_free(engine);
}
