/* What tests do not show: a line of a detector that no case came through may be wrong all the same. */
#ifndef LUNETTE_WORKBENCH_TEST_HINT_H
#define LUNETTE_WORKBENCH_TEST_HINT_H

#include "workbench/test_run.h"

/* A line on standard output for each detector tested in which `lunette check` finds something. */
void test_hints(const struct test_files *files);

#endif
