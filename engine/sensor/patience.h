/* Waiting for another thread, but not for ever: a condition whose waits are measured by a clock that nobody
 * sets. A step of the wall's clock must neither cut a wait short nor draw it out. */
#ifndef LUNETTE_SENSOR_PATIENCE_H
#define LUNETTE_SENSOR_PATIENCE_H

#include <pthread.h>
#include <time.h>

/* Elsewhere than on Linux the default clock has to do. */
static inline void patience_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
#ifdef __linux__
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
#endif
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* For pthread_cond_timedwait(3) on such a condition. */
static inline struct timespec patience_until(double seconds) {
    struct timespec until;
#ifdef __linux__
    clock_gettime(CLOCK_MONOTONIC, &until);
#else
    clock_gettime(CLOCK_REALTIME, &until);
#endif
    long long nanoseconds = until.tv_nsec + (long long)(seconds * 1e9);
    until.tv_sec += (time_t)(nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    return until;
}

#endif
