/* The language: words in, words out, and what ends a run that went wrong. */
#include "scenarios.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *place_file;
int place_line;
const char *fixtures;
char folder[PATH_SIZE];
word words[MOST_WORDS];
size_t word_count;
char result[64 * 1024];

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: ", place_file, place_line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void shell(const char *format, ...) {
    char command[3 * PATH_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    if (system(command) != 0) fail("failed: %s", command);
}

static int hex(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    fail("a bad escape in a word");
    return 0;
}

static void decode(const char *text, word *out) {
    out->size = 0;
    out->given = strcmp(text, "-") != 0;
    if (strcmp(text, "%") == 0) return;
    for (; *text != 0; text++) {
        if (*text == '%') {
            out->data[out->size++] = (char)(hex(text[1]) * 16 + hex(text[2]));
            text += 2;
        } else {
            out->data[out->size++] = *text;
        }
    }
    out->data[out->size] = 0;
}

void split(char *line) {
    word_count = 0;
    for (char *text = strtok(line, " "); text != NULL; text = strtok(NULL, " ")) {
        if (word_count == MOST_WORDS) fail("more than %d words", MOST_WORDS);
        decode(text, &words[word_count++]);
    }
}

void say(const char *format, ...) {
    const size_t used = strlen(result);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result + used, sizeof result - used, format, arguments);
    va_end(arguments);
}

void say_bytes(const char *data, size_t size) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_:./=-";
    if (size == 0) say("%%");
    for (size_t i = 0; i < size; i++) {
        if (data[i] != 0 && strchr(plain, data[i]) != NULL) {
            say("%c", data[i]);
        } else {
            say("%%%02x", (unsigned char)data[i]);
        }
    }
}

void say_space(void) {
    if (result[0] != 0) say(" ");
}

void say_empty(void) {
    if (result[0] == 0) say("empty");
}

void say_value(pumice_value *value) {
    if (value == NULL) {
        say("none");
    } else {
        say_bytes(pumice_value_data(value), pumice_value_size(value));
        pumice_value_free(value);
    }
}

void say_bool(bool answer) { say("%s", answer ? "true" : "false"); }

/* Whether the call did what it says; else the line's result is its error. */
bool ok(pumice_status status, pumice_error **place) {
    pumice_error *error = *place;
    if (status == PUMICE_OK) {
        if (error != NULL) fail("an error came with PUMICE_OK");
        return true;
    }
    if (error == NULL || pumice_error_kind(error) != status || pumice_error_message(error)[0] == 0) {
        fail("status %s came without an error that says so", pumice_status_name((int32_t)status));
    }
    result[0] = 0;
    say("error %s", pumice_status_name((int32_t)status));
    pumice_error_free(error);
    return false;
}

void say_ok(pumice_status status, pumice_error **error) {
    if (ok(status, error)) say("ok");
}

const word *argument(size_t index) {
    if (index >= word_count) fail("too few words");
    return &words[index];
}

const char *text(size_t index) { return argument(index)->data; }

uint64_t number(size_t index) { return strtoull(text(index), NULL, 10); }

pumice_bytes bytes(size_t index) { return (pumice_bytes){argument(index)->data, argument(index)->size}; }

const char *path_of(const char *name) {
    static char path[2 * PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

void say_names(pumice_names *names) {
    for (size_t i = 0; i < pumice_names_count(names); i++) {
        const pumice_bytes name = pumice_names_at(names, i);
        say_space();
        say_bytes(name.data, name.size);
    }
    say_empty();
    pumice_names_free(names);
}
