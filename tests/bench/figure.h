/* How the measuring programs of this folder count time and tell it: CPU time, since the machine may have
 * others on it, as one line of JSON per figure, which run.py reads. */
#ifndef LUNETTE_BENCH_FIGURE_H
#define LUNETTE_BENCH_FIGURE_H

#include <stdio.h>
#include <time.h>

/* Nanoseconds of CPU, user and system, that this thread has used. */
static inline double cpu_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline void figure(const char *name, double nanoseconds) {
    printf("{\"name\": \"%s\", \"ns\": %.2f}\n", name, nanoseconds);
}

#endif
