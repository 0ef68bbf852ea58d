/* Operations of the key layouts: converting a dataset, and counting it to see that it is the same. */
#include "scenarios.h"
#include <stdio.h>
#include <string.h>

static void do_convert(void) {
    char source[2 * PATH_SIZE];
    snprintf(source, sizeof source, "%s", path_of(text(1)));
    const char *target = path_of(text(2)), *layout = text(3);
    pumice_convert_options *options = pumice_convert_options_new();
    pumice_error *error;
    if (!ok(pumice_convert_options_set_cluster(options, strcmp(layout, "cluster") == 0, &error), &error)) {
        fail("option cluster: %s", result);
    }
    if (argument(4)->given &&
        !ok(pumice_convert_options_set_namespace(options, text(4), argument(4)->size, &error), &error)) {
        fail("option namespace: %s", result);
    }
    pumice_converted *made;
    const pumice_status status = pumice_convert(source, target, options, NULL, NULL, &made, &error);
    pumice_convert_options_free(options);
    if (!ok(status, &error)) return;
    if (strcmp(pumice_converted_path(made), target) != 0) fail("its path is %s", pumice_converted_path(made));
    if (strcmp(pumice_converted_layout(made), layout) != 0) fail("its layout is %s", pumice_converted_layout(made));
    const pumice_bytes ns = pumice_converted_namespace(made);
    say_bytes(ns.data, ns.size);
    say(" %llu %llu %zu", (unsigned long long)pumice_converted_keys(made),
        (unsigned long long)pumice_converted_records(made), pumice_converted_left_out_count(made));
    pumice_converted_free(made);
}

static void say_usage(const pumice_usage *usage) {
    for (size_t i = 0; i < pumice_usage_count(usage); i++) {
        const pumice_namespace_usage *ns = pumice_usage_at(usage, i);
        say_space();
        say_bytes(ns->name.data, ns->name.size);
        say(":%s:%llu:%llu", ns->registered ? "true" : "false", (unsigned long long)ns->keys,
            (unsigned long long)ns->bytes);
    }
    say(" other:%llu unreadable:%llu", (unsigned long long)pumice_usage_other_bytes(usage),
        (unsigned long long)pumice_usage_unreadable_records(usage));
}

static void say_usage_of(const pumice_usage *usage, pumice_bytes name) {
    for (size_t i = 0; i < pumice_usage_count(usage); i++) {
        const pumice_namespace_usage *ns = pumice_usage_at(usage, i);
        if (ns->name.size != name.size || memcmp(ns->name.data, name.data, name.size) != 0) continue;
        for (size_t j = 0; j < ns->kind_count; j++) {
            say_space();
            say("%s:%llu:%llu", pumice_kind_name(ns->kinds[j].kind), (unsigned long long)ns->kinds[j].keys,
                (unsigned long long)ns->kinds[j].bytes);
        }
        say_space();
        say("expired:%llu:%llu remains:%llu", (unsigned long long)ns->expired_keys,
            (unsigned long long)ns->expired_bytes, (unsigned long long)ns->remains_bytes);
        return;
    }
    fail("no namespace of that name");
}

static void do_usage(void) {
    pumice_error *error;
    pumice_usage *usage;
    if (!ok(pumice_engine_usage(engine(1), NULL, NULL, &usage, &error), &error)) return;
    if (word_count == 2) {
        say_usage(usage);
    } else {
        say_usage_of(usage, argument(2)->given ? bytes(2) : (pumice_bytes){"__namespace", 11});
    }
    pumice_usage_free(usage);
}

const operation convert_operations[] = {
    {"convert", do_convert},
    {"usage", do_usage},
    {NULL, NULL},
};
