/* A bench for each test of a file: what most tests of the script room begin with. */
#ifndef LUNETTE_TESTS_SCRIPT_CASE_H
#define LUNETTE_TESTS_SCRIPT_CASE_H

#include "script_bench.h"

#define LUNETTE "local lunette = require 'lunette'\n" /* stands before a script's own text */

static struct bench bench;

static inline int begin(void **state) {
    (void)state;
    bench_begin(&bench);
    return 0;
}

static inline int end(void **state) {
    (void)state;
    bench_end(&bench);
    return 0;
}

#endif
