/* See test_report.h. Names and texts come from files of anybody's: they are made safe for a terminal. */
#include "workbench/test_report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const marks[] = {"●", "◼", "✱"};
static const enum ink inks[] = {INK_GREEN, INK_RED, INK_YELLOW};

/* SIGPIPE is ignored (main.c): a reader who went away shows as an error of the stream. */
static void put_out(struct buffer *b) {
    if (b->length) fwrite(b->at, 1, b->length, stdout);
    fflush(stdout);
    buffer_free(b);
}

static void safe(struct buffer *b, const char *text) {
    terminal_safe(b, text, strlen(text));
}

/* Text of several lines; those after the first are indented. */
static void lines(struct buffer *b, const char *text, size_t indent) {
    for (const char *end; *text; text = end) {
        end = text + strcspn(text, "\n");
        terminal_safe(b, text, (size_t)(end - text));
        buffer_char(b, '\n');
        if (*end) end++;
        if (*end) buffer_fill(b, ' ', indent);
    }
}

static void name_of(struct buffer *b, const struct test_file *file, size_t number) {
    safe(b, file->cases.list[number].label);
    buffer_string(b, " › ");
    safe(b, file->cases.list[number].name);
}

void test_report_begin(struct test_report *report, bool verbose, bool list) {
    *report = (struct test_report){
        .style = terminal_style_of(STDOUT_FILENO, COLOUR_AUTO), .verbose = verbose, .list = list};
}

void test_report_name(struct test_report *report, const struct test_file *file, size_t number) {
    struct buffer b = {.at = NULL};
    (void)report;
    safe(&b, file->path);
    buffer_format(&b, ":%u: ", file->cases.list[number].line);
    name_of(&b, file, number);
    buffer_char(&b, '\n');
    put_out(&b);
}

static void mark(struct buffer *b, const struct test_report *report, enum verdict verdict) {
    terminal_ink(b, &report->style, inks[verdict]);
    buffer_string(b, marks[verdict]);
    terminal_ink(b, &report->style, INK_PLAIN);
}

static void said(struct buffer *b, const struct trial_outcome *outcome, size_t indent) {
    if (outcome->said.length == 0) return;
    char *text = strndup(outcome->said.at, outcome->said.length);
    if (!text) return;
    buffer_fill(b, ' ', indent);
    buffer_string(b, "logged: ");
    lines(b, text, indent + 8);
    free(text);
}

void test_report_case(struct test_report *report, const struct test_file *file, size_t number,
                      const struct trial_outcome *outcome) {
    struct buffer b = {.at = NULL};
    if (report->list) return;
    mark(&b, report, outcome->verdict);
    report->marked = !report->verbose;
    if (report->verbose) {
        buffer_char(&b, ' ');
        if (number == SIZE_MAX)
            safe(&b, file->path);
        else
            name_of(&b, file, number);
        buffer_format(&b, " (%.0f ms)\n", ns_to_seconds(outcome->took) * 1e3);
        if (outcome->verdict == VERDICT_PASSED) said(&b, outcome, 2);
    }
    put_out(&b);
}

struct trouble {
    struct test_report *report;
    struct buffer *b;
};

static void tell_trouble(void *context, const struct test_file *file, size_t number,
                         const struct trial_outcome *outcome) {
    struct trouble *trouble = context;
    struct buffer *b = trouble->b;
    if (outcome->verdict == VERDICT_PASSED) return;
    buffer_char(b, '\n');
    terminal_ink(b, &trouble->report->style, inks[outcome->verdict]);
    buffer_string(b, outcome->verdict == VERDICT_FAILED ? "Failure" : "Error");
    terminal_ink(b, &trouble->report->style, INK_PLAIN);
    buffer_string(b, " → ");
    if (number == SIZE_MAX)
        safe(b, file->path);
    else
        name_of(b, file, number);
    buffer_char(b, '\n');
    for (size_t i = 0; i < outcome->failure_count; i++) {
        const struct trial_failure *failure = &outcome->failures[i];
        terminal_ink(b, &trouble->report->style, INK_BOLD);
        safe(b, file->path);
        if (failure->line) buffer_format(b, ":%u", failure->line);
        buffer_char(b, ':');
        terminal_ink(b, &trouble->report->style, INK_PLAIN);
        buffer_char(b, ' ');
        lines(b, failure->text, 0);
    }
    said(b, outcome, 2);
}

static void count(struct buffer *b, uint32_t n, const char *one, const char *many) {
    buffer_format(b, "%u %s", n, n == 1 ? one : many);
}

int test_report_end(struct test_report *report, const struct test_files *files, struct error *err) {
    struct buffer b = {.at = NULL};
    struct trouble trouble = {.report = report, .b = &b};
    struct test_counts all = {.successes = 0};
    for (size_t i = 0; i < files->count; i++) {
        struct test_counts counts = test_counts_of(&files->list[i]);
        all.successes += counts.successes;
        all.failures += counts.failures;
        all.errors += counts.errors;
    }
    if (report->marked) buffer_char(&b, '\n');
    test_each(files, tell_trouble, &trouble);
    if (!report->list) {
        if (all.failures + all.errors > 0) buffer_char(&b, '\n');
        count(&b, all.successes, "success / ", "successes / ");
        count(&b, all.failures, "failure / ", "failures / ");
        count(&b, all.errors, "error", "errors");
        buffer_format(&b, " : %.2f seconds\n", ns_to_seconds(files->took));
    }
    put_out(&b);
    return ferror(stdout) && errno != EPIPE ? error_set(err, "standard output cannot be written") : 0;
}
