/* Time is nanoseconds since 1970-01-01 UTC in a signed 64-bit integer: good until 2262, exact for every
 * capture format, and cheap to compare. A worker's clock is the time of the packets it has seen. */
#ifndef LUNETTE_BASE_TIME_H
#define LUNETTE_BASE_TIME_H

#include <stdint.h>
#include <time.h>

typedef int64_t nanoseconds;

#define NS_PER_SECOND      1000000000LL
#define NS_PER_MILLISECOND 1000000LL
#define NS_PER_MICROSECOND 1000LL

static inline double ns_to_seconds(nanoseconds t) {
    return (double)t / 1e9;
}

static inline nanoseconds time_read(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (nanoseconds)t.tv_sec * NS_PER_SECOND + t.tv_nsec;
}

/* A clock that nobody sets, to measure how long something took. */
static inline nanoseconds time_monotonic(void) {
    return time_read(CLOCK_MONOTONIC);
}

static inline nanoseconds time_wall(void) {
    return time_read(CLOCK_REALTIME);
}

/* Writes "2024-05-01T12:00:00.123456+0000" (EVE's form, always UTC) and returns its length, 31. */
enum { TIMESTAMP_LENGTH = 31 };
int time_format_eve(nanoseconds t, char out[TIMESTAMP_LENGTH + 1]);

#endif
