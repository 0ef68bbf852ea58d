/* A primary with a namespace, its keys in order, and its whole dataset brought into a replica.
 * cc -std=c11 examples/hello.c $(pkg-config --cflags --libs pumice) -o hello && ./hello FOLDER */
#include <pumice.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program when a call failed. It takes the place of the error, which is filled when it looks. */
static void check(pumice_status status, pumice_error **error, const char *what) {
    if (status != PUMICE_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, pumice_status_name(status), pumice_error_message(*error));
        pumice_error_free(*error);
        exit(1);
    }
}

static void show(const pumice_namespace *ns) {
    pumice_error *error;
    pumice_items *items;
    const pumice_item *item;
    check(pumice_namespace_items(ns, NULL, &items, &error), &error, "items");
    for (;;) {
        check(pumice_items_next(items, &item, &error), &error, "next");
        if (item == NULL) break;
        printf("  %.*s = %.*s\n", (int)item->key.size, item->key.data, (int)item->value.size, item->value.data);
    }
    pumice_items_free(items);
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : ".";
    char primary_path[4096], replica_path[4096], checkpoint_path[4096];
    snprintf(primary_path, sizeof primary_path, "%s/primary", folder);
    snprintf(replica_path, sizeof replica_path, "%s/replica", folder);
    snprintf(checkpoint_path, sizeof checkpoint_path, "%s/checkpoint", folder);

    pumice_error *error;
    pumice_engine *primary, *replica;
    pumice_namespace *users, *users_there;
    check(pumice_engine_open(primary_path, NULL, &primary, &error), &error, "open the primary");
    check(pumice_engine_create_namespace(primary, "users", 5, NULL, &users, &error), &error, "create");
    check(pumice_namespace_put(users, "ada", 3, "countess", 8, NULL, &error), &error, "put");
    check(pumice_namespace_put(users, "grace", 5, "admiral", 7, NULL, &error), &error, "put");

    pumice_value *value; /* NULL when there is no such key. */
    check(pumice_namespace_get(users, "ada", 3, &value, &error), &error, "get");
    printf("ada is a %.*s\n", (int)pumice_value_size(value), pumice_value_data(value));
    pumice_value_free(value);

    pumice_options *options = pumice_options_new();
    check(pumice_options_set_role(options, PUMICE_ROLE_REPLICA, &error), &error, "role");
    check(pumice_engine_open(replica_path, options, &replica, &error), &error, "open the replica");
    pumice_options_free(options);

    check(pumice_engine_create_checkpoint(primary, checkpoint_path, NULL, NULL, NULL, &error), &error, "checkpoint");
    check(pumice_engine_apply_checkpoint(replica, checkpoint_path, false, NULL, NULL, &error), &error, "apply");
    check(pumice_engine_open_namespace(replica, "users", 5, &users_there, &error), &error, "namespace");
    printf("the replica has\n");
    show(users_there);

    pumice_namespace_free(users_there);
    pumice_namespace_free(users);
    pumice_engine_free(replica);
    pumice_engine_free(primary);
    return 0;
}
