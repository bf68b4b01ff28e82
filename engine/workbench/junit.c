/* See junit.h. XML 1.0 has no place for most control characters, nor for ill-formed UTF-8: they are shown as
 * \xNN (section 2.2 of the recommendation says what may be there). */
#include "workbench/junit.h"

#include "base/utf8.h"
#include "output/buffer.h"

#include <errno.h>
#include <string.h>

static void put_character(struct buffer *b, const uint8_t *p, uint32_t used, uint32_t code) {
    bool allowed =
        used > 0 && (code >= 0x20 || code == '\n' || code == '\t') && code != 0xfffe && code != 0xffff;
    if (!allowed)
        buffer_format(b, "\\x%02x", *p);
    else if (code == '&')
        buffer_string(b, "&amp;");
    else if (code == '<')
        buffer_string(b, "&lt;");
    else if (code == '>')
        buffer_string(b, "&gt;");
    else if (code == '"')
        buffer_string(b, "&quot;");
    else
        buffer_put(b, p, used);
}

static void put_escaped(struct buffer *b, const char *text, size_t length) {
    const uint8_t *p = (const uint8_t *)text, *end = p + length;
    while (p < end) {
        uint32_t code = 0, used = utf8_decode(p, (size_t)(end - p), &code);
        put_character(b, p, used, code);
        p += used ? used : 1;
    }
}

/* In an attribute a line break would become a space. */
static void attribute(struct buffer *b, const char *name, const char *value) {
    buffer_format(b, " %s=\"", name);
    put_escaped(b, value, strcspn(value, "\n"));
    buffer_char(b, '"');
}

static void seconds(struct buffer *b, nanoseconds took) {
    buffer_format(b, " time=\"%.3f\"", ns_to_seconds(took));
}

static void put_failures(struct buffer *b, const struct test_file *file,
                         const struct trial_outcome *outcome) {
    const char *word = outcome->verdict == VERDICT_FAILED ? "failure" : "error";
    buffer_format(b, "      <%s", word);
    attribute(b, "type", outcome->verdict == VERDICT_FAILED ? "expectation" : "error");
    attribute(b, "message", outcome->failure_count ? outcome->failures[0].text : "");
    buffer_char(b, '>');
    for (size_t i = 0; i < outcome->failure_count; i++) {
        put_escaped(b, file->path, strlen(file->path));
        if (outcome->failures[i].line) buffer_format(b, ":%u", outcome->failures[i].line);
        buffer_string(b, ": ");
        put_escaped(b, outcome->failures[i].text, strlen(outcome->failures[i].text));
        buffer_char(b, '\n');
    }
    buffer_format(b, "</%s>\n", word);
}

static void put_case(struct buffer *b, const struct test_file *file, const char *class, const char *name,
                     const struct trial_outcome *outcome) {
    buffer_string(b, "    <testcase");
    attribute(b, "name", name);
    attribute(b, "classname", class);
    seconds(b, outcome->took);
    bool empty = outcome->verdict == VERDICT_PASSED && outcome->said.length == 0;
    buffer_string(b, empty ? "/>\n" : ">\n");
    if (empty) return;
    if (outcome->verdict != VERDICT_PASSED) put_failures(b, file, outcome);
    if (outcome->said.length) {
        buffer_string(b, "      <system-err>");
        put_escaped(b, outcome->said.at, outcome->said.length);
        buffer_string(b, "</system-err>\n");
    }
    buffer_string(b, "    </testcase>\n");
}

static void put_counts(struct buffer *b, struct test_counts counts, nanoseconds took) {
    buffer_format(b, " tests=\"%u\" failures=\"%u\" errors=\"%u\"",
                  counts.successes + counts.failures + counts.errors, counts.failures, counts.errors);
    seconds(b, took);
}

static nanoseconds time_of(const struct test_file *file) {
    nanoseconds took = 0;
    for (size_t i = 0; i < file->cases.count; i++) took += file->outcomes[i].took;
    return took;
}

static void put_suite(struct buffer *b, const struct test_file *file, nanoseconds began) {
    char stamp[TIMESTAMP_LENGTH + 1];
    time_format_eve(began, stamp);
    stamp[strlen("2024-05-01T12:00:00")] = '\0';
    buffer_string(b, "  <testsuite");
    attribute(b, "name", file->path);
    put_counts(b, test_counts_of(file), time_of(file));
    attribute(b, "timestamp", stamp);
    buffer_string(b, ">\n");
    if (file->loading.verdict != VERDICT_PASSED)
        put_case(b, file, file->path, "the file is loaded", &file->loading);
    for (size_t i = 0; i < file->cases.count; i++)
        if (file->chosen[i])
            put_case(b, file, file->cases.list[i].label, file->cases.list[i].name, &file->outcomes[i]);
    buffer_string(b, "  </testsuite>\n");
}

static int write_whole(struct buffer *b, const char *path, struct error *err) {
    if (b->failed) return error_set(err, "out of memory");
    FILE *file = fopen(path, "w");
    if (!file) {
        error_set(err, "--junit %s: %s", path, strerror(errno));
        return error_is_usage(err);
    }
    bool whole = fwrite(b->at, 1, b->length, file) == b->length;
    whole &= fclose(file) == 0;
    return whole ? 0 : error_set(err, "%s cannot be written: %s", path, strerror(errno));
}

int junit_write(const struct test_files *files, const char *path, struct error *err) {
    struct buffer b = {.at = NULL};
    struct test_counts all = {.successes = 0};
    nanoseconds took = 0;
    for (size_t i = 0; i < files->count; i++) {
        struct test_counts counts = test_counts_of(&files->list[i]);
        all.successes += counts.successes;
        all.failures += counts.failures;
        all.errors += counts.errors;
        took += time_of(&files->list[i]);
    }
    buffer_string(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"lunette test\"");
    put_counts(&b, all, took);
    buffer_string(&b, ">\n");
    for (size_t i = 0; i < files->count; i++) put_suite(&b, &files->list[i], files->began);
    buffer_string(&b, "</testsuites>\n");
    int outcome = write_whole(&b, path, err);
    buffer_free(&b);
    return outcome;
}
