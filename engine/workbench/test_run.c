/* See test_run.h. */
#include "workbench/test_run.h"

#include "workbench/junit.h"
#include "workbench/test_hint.h"
#include "workbench/test_report.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FOLDERS_DEEP = 32 };
static const char ENDING[] = "_test.lua";

/* ── finding ─────────────────────────────────────────────────────── */

static int add_file(struct test_files *files, const char *path, struct error *err) {
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->list[i].path, path) == 0) return 0;
    struct test_file *grown = realloc(files->list, (files->count + 1) * sizeof *grown);
    if (!grown) return error_set(err, "out of memory");
    files->list = grown;
    grown[files->count] = (struct test_file){.path = strdup(path)};
    if (!grown[files->count].path) return error_set(err, "out of memory");
    files->count++;
    return 0;
}

static int is_shown(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static bool is_test(const char *name) {
    size_t length = strlen(name), tail = strlen(ENDING);
    return length > tail && strcmp(name + length - tail, ENDING) == 0;
}

static int add_folder(struct test_files *files, const char *folder, int depth, struct error *err);

/* Links to folders are not followed: they may lead in a circle. */
static int add_entry(struct test_files *files, const char *folder, const char *name, int depth,
                     struct error *err) {
    char path[4096];
    struct stat status;
    size_t length = strlen(folder);
    bool slash = length > 0 && folder[length - 1] == '/';
    if (snprintf(path, sizeof path, "%s%s%s", folder, slash ? "" : "/", name) >= (int)sizeof path) return 0;
    if (lstat(path, &status) == 0 && S_ISDIR(status.st_mode)) return add_folder(files, path, depth + 1, err);
    return is_test(name) ? add_file(files, path, err) : 0;
}

static int add_folder(struct test_files *files, const char *folder, int depth, struct error *err) {
    struct dirent **entries;
    if (depth > FOLDERS_DEEP) return 0;
    int n = scandir(folder, &entries, is_shown, alphasort), outcome = 0;
    if (n < 0) {
        error_set(err, "%s: %s", folder, strerror(errno));
        return error_is_usage(err);
    }
    for (int i = 0; i < n; i++) {
        if (outcome == 0) outcome = add_entry(files, folder, entries[i]->d_name, depth, err);
        free(entries[i]);
    }
    free(entries);
    return outcome;
}

static int find_files(struct test_files *files, const struct test_options *options, struct error *err) {
    for (size_t i = 0; i < options->path_count; i++) {
        const char *path = options->paths[i];
        struct stat status;
        if (stat(path, &status) < 0) {
            error_set(err, "%s: %s", path, strerror(errno));
            return error_is_usage(err);
        }
        size_t before = files->count;
        int outcome = S_ISDIR(status.st_mode) ? add_folder(files, path, 0, err) : add_file(files, path, err);
        if (outcome < 0) return -1;
        if (S_ISDIR(status.st_mode) && files->count == before && options->path_count == 1) {
            error_set(err, "no tests in %s: looked for files called *%s, in its folders too", path, ENDING);
            return error_is_usage(err);
        }
    }
    return 0;
}

/* ── running ─────────────────────────────────────────────────────── */

static void choose(struct test_file *file, const char *filter) {
    char name[512];
    for (size_t i = 0; i < file->cases.count; i++) {
        snprintf(name, sizeof name, "%s › %s", file->cases.list[i].label, file->cases.list[i].name);
        file->chosen[i] = !filter || strstr(name, filter);
    }
}

static int load_file(struct test_file *file, const struct test_options *options, struct error *err) {
    const struct trial_options trial = {.path = file->path, .scripts = options->scripts};
    trial_list(&trial, &file->cases, &file->loading);
    file->outcomes = calloc(file->cases.count + 1, sizeof *file->outcomes);
    file->chosen = calloc(file->cases.count + 1, sizeof *file->chosen);
    if (!file->outcomes || !file->chosen) return error_set(err, "out of memory");
    choose(file, options->filter);
    return 0;
}

static int load_all(struct test_files *files, const struct test_options *options, struct error *err) {
    size_t cases = 0, chosen = 0;
    bool failed = false;
    for (size_t i = 0; i < files->count; i++) {
        struct test_file *file = &files->list[i];
        if (load_file(file, options, err) < 0) return -1;
        failed |= file->loading.verdict != VERDICT_PASSED;
        cases += file->cases.count;
        for (size_t k = 0; k < file->cases.count; k++) chosen += file->chosen[k];
    }
    if (chosen > 0 || failed) return 0;
    if (cases == 0)
        error_set(err, "no cases: the test file%s no t.case(\"…\", function(c) … end)",
                  files->count == 1 ? " has" : "s have");
    else
        error_set(err, "none of the %zu cases has '%s' in its name (--list shows them)", cases,
                  options->filter);
    return error_is_usage(err);
}

static void run_file(struct test_file *file, const struct test_options *options, struct test_report *report) {
    const struct trial_options trial = {
        .path = file->path, .scripts = options->scripts, .keep = options->keep, .once = options->once};
    if (file->loading.verdict != VERDICT_PASSED) test_report_case(report, file, SIZE_MAX, &file->loading);
    for (size_t i = 0; i < file->cases.count; i++) {
        if (!file->chosen[i]) continue;
        if (options->list) {
            test_report_name(report, file, i);
            continue;
        }
        trial_run(&trial, &file->cases, i, &file->outcomes[i]);
        test_report_case(report, file, i, &file->outcomes[i]);
    }
}

struct test_counts test_counts_of(const struct test_file *file) {
    struct test_counts counts = {.errors = file->loading.verdict != VERDICT_PASSED};
    for (size_t i = 0; i < file->cases.count; i++) {
        if (!file->chosen[i]) continue;
        counts.successes += file->outcomes[i].verdict == VERDICT_PASSED;
        counts.failures += file->outcomes[i].verdict == VERDICT_FAILED;
        counts.errors += file->outcomes[i].verdict == VERDICT_ERROR;
    }
    return counts;
}

void test_each(const struct test_files *files,
               void (*visit)(void *context, const struct test_file *file, size_t number,
                             const struct trial_outcome *outcome),
               void *context) {
    for (size_t i = 0; i < files->count; i++) {
        const struct test_file *file = &files->list[i];
        if (file->loading.verdict != VERDICT_PASSED) visit(context, file, SIZE_MAX, &file->loading);
        for (size_t k = 0; k < file->cases.count; k++)
            if (file->chosen[k]) visit(context, file, k, &file->outcomes[k]);
    }
}

static void free_files(struct test_files *files) {
    for (size_t i = 0; i < files->count; i++) {
        struct test_file *file = &files->list[i];
        for (size_t k = 0; file->outcomes && k < file->cases.count; k++)
            trial_outcome_clear(&file->outcomes[k]);
        trial_outcome_clear(&file->loading);
        trial_cases_clear(&file->cases);
        free(file->outcomes);
        free(file->chosen);
        free(file->path);
    }
    free(files->list);
}

/* The folder for packets is made; the one that it lies in must be there. */
static int make_keep(const char *folder, struct error *err) {
    struct stat status;
    if (mkdir(folder, 0777) == 0) return 0;
    int why = errno;
    if (why == EEXIST && stat(folder, &status) == 0 && S_ISDIR(status.st_mode)) return 0;
    error_set(err, "--keep %s: %s", folder, why == EEXIST ? "it is there, and no folder" : strerror(why));
    return error_is_usage(err);
}

static int run_all(struct test_files *files, const struct test_options *options, struct error *err) {
    struct test_report report;
    bool failed = false;
    if (load_all(files, options, err) < 0) return -1;
    if (options->keep && !options->list && make_keep(options->keep, err) < 0) return -1;
    test_report_begin(&report, options->verbose, options->list);
    nanoseconds began = time_monotonic();
    for (size_t i = 0; i < files->count; i++) {
        run_file(&files->list[i], options, &report);
        struct test_counts counts = test_counts_of(&files->list[i]);
        failed |= counts.failures + counts.errors > 0;
    }
    files->took = time_monotonic() - began;
    if (test_report_end(&report, files, err) < 0) return -1;
    if (!failed && !options->list && !options->junit) test_hints(files);
    if (options->junit && !options->list && junit_write(files, options->junit, err) < 0) return -1;
    return failed;
}

int test_run(const struct test_options *options, struct error *err) {
    struct test_files files = {.began = time_wall()};
    int outcome = find_files(&files, options, err);
    if (outcome == 0) outcome = run_all(&files, options, err);
    free_files(&files);
    return outcome;
}
