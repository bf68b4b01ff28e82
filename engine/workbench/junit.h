/* The outcome of a run of tests as JUnit XML, as continuous integration reads it: a testsuite for each test
 * file, a testcase for each case. Follows the schema that Jenkins publishes (junit-10.xsd), which others read
 * too. */
#ifndef LUNETTE_WORKBENCH_JUNIT_H
#define LUNETTE_WORKBENCH_JUNIT_H

#include "workbench/test_run.h"

/* -1 and why if the file cannot be written. */
int junit_write(const struct test_files *files, const char *path, struct error *err);

#endif
