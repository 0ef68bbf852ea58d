/* Runs every scenario of a folder through pumice.h; see ../../scenarios/README.md for the language.
 * scenarios SCENARIOS FIXTURES: prints a line per scenario, and of a failure the place, what came and what should have.
 */
#define _POSIX_C_SOURCE 200809L
#include "scenarios.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const operation *find(const char *name) {
    const operation *const tables[] = {engine_operations, namespace_operations, type_operations,     batch_operations, snapshot_operations,
                                       log_operations,    link_operations,      topology_operations, convert_operations};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (const operation *known = tables[i]; known->name != NULL; known++) {
            if (strcmp(known->name, name) == 0) return known;
        }
    }
    return NULL;
}

/* Returns how many lines did something. */
static int run_file(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) fail("cannot be read");
    char line[LINE_SIZE], shown[LINE_SIZE];
    int steps = 0;
    for (place_line = 1; fgets(line, sizeof line, file) != NULL; place_line++) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] == 0 || line[0] == '#') continue;
        snprintf(shown, sizeof shown, "%s", line);
        char *expected = strstr(line, " => ");
        if (expected == NULL) fail("no => in: %s", shown);
        *expected = 0;
        expected += 4;
        split(line);
        result[0] = 0;
        const operation *asked = find(words[0].data);
        if (strcmp(words[0].data, "lines") == 0) {
            say("%d", steps);
        } else if (asked == NULL) {
            fail("unknown operation: %s", shown);
        } else {
            asked->run();
        }
        if (strcmp(result, expected) != 0) fail("%s\n  got      %s\n  expected %s", shown, result, expected);
        steps++;
    }
    fclose(file);
    return steps;
}

static int is_scenario(const struct dirent *entry) {
    const size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".txt") == 0;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s SCENARIOS FIXTURES\n", argv[0]);
        return 2;
    }
    fixtures = argv[2];
    place_file = argv[1];
    struct dirent **files;
    const int count = scandir(argv[1], &files, is_scenario, alphasort);
    int ran = 0;
    for (int i = 0; i < count; i++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "%s/%s", argv[1], files[i]->d_name);
        place_file = path;
        const char *temporary = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/pumice-XXXXXX", temporary != NULL ? temporary : "/tmp");
        if (mkdtemp(folder) == NULL) fail("no folder %s", folder);
        const int steps = run_file(path);
        if (steps == 0) fail("no line that does anything");
        for (size_t j = 0; j < engine_count; j++) forget(&engines[j]);
        for (size_t j = 0; j < snapshot_count; j++) pumice_snapshot_free(snapshots[j].snapshot);
        engine_count = snapshot_count = 0;
        shell("rm -rf '%s'", folder);
        printf("scenario %-20s %4d lines ok\n", files[i]->d_name, steps);
        free(files[i]);
        ran++;
    }
    if (count <= 0 || ran != count) {
        fprintf(stderr, "%s: ran %d scenarios of %d\n", argv[1], ran, count);
        return 1;
    }
    free(files);
    printf("%d scenarios\n", ran);
    return 0;
}
