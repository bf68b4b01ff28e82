/* How a run of tests is told on standard output, much as busted tells it: a mark for each case as it ends,
 * then what failed, then the count. */
#ifndef LUNETTE_WORKBENCH_TEST_REPORT_H
#define LUNETTE_WORKBENCH_TEST_REPORT_H

#include "output/terminal.h"
#include "workbench/test_run.h"

struct test_report {
    struct terminal_style style;
    bool verbose, list;
    bool marked; /* there are marks on the line */
};

void test_report_begin(struct test_report *report, bool verbose, bool list);
/* A case's name and place, for --list. */
void test_report_name(struct test_report *report, const struct test_file *file, size_t number);
/* A case ended, or (`number` is SIZE_MAX) its file could not be loaded. */
void test_report_case(struct test_report *report, const struct test_file *file, size_t number,
                      const struct trial_outcome *outcome);
/* -1 and why if standard output cannot be written. */
int test_report_end(struct test_report *report, const struct test_files *files, struct error *err);

#endif
