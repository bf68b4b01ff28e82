/* `lunette test`: finds the test files, runs their cases one by one, and tells how it went. */
#ifndef LUNETTE_WORKBENCH_TEST_RUN_H
#define LUNETTE_WORKBENCH_TEST_RUN_H

#include "workbench/trial.h"

struct test_options {
    const char *const *paths; /* test files, and folders that are searched for *_test.lua */
    size_t path_count;
    const char *scripts; /* folder of the detectors; NULL: beside the tests */
    const char *filter;  /* a part of "file › case"; NULL: all */
    const char *junit;   /* file for JUnit XML; NULL: none */
    const char *keep;    /* folder for the packets of each case; NULL: none */
    bool list;           /* only say which cases there are */
    bool verbose;        /* a line for each case */
    bool once;           /* each case once: see trial.h */
};

/* One test file and what came of it. `outcomes` and `chosen` have an entry for each case. */
struct test_file {
    char *path;
    struct trial_cases cases;
    struct trial_outcome loading; /* passed, or why it could not be loaded */
    struct trial_outcome *outcomes;
    bool *chosen;
};

struct test_files {
    struct test_file *list;
    size_t count;
    nanoseconds began, took;
};

/* 0: all passed; 1: something failed; -1 and why: wrong use, or an output cannot be written (err->usage
 * tells). */
int test_run(const struct test_options *options, struct error *err);

/* ── for those who report ── */

struct test_counts {
    uint32_t successes, failures, errors;
};
/* A file that could not be loaded is an error. */
struct test_counts test_counts_of(const struct test_file *file);

/* Called for every case that was chosen, and for every file that could not be loaded (`number` is SIZE_MAX).
 */
void test_each(const struct test_files *files,
               void (*visit)(void *context, const struct test_file *file, size_t number,
                             const struct trial_outcome *outcome),
               void *context);

#endif
