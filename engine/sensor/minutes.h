/* A worker's figures of the capture as they were at whole minutes of the packets' clock, for
 * lunette.capture().
 *
 * Timers run when a batch is handled, and packets beyond the timer's time have been counted by then. So the
 * figures are noted before the first packet of each minute, and a timer gets those of the minute it lies in:
 * the same for any batch. The scripts must have caught up before the notes are full. */
#ifndef LUNETTE_SENSOR_MINUTES_H
#define LUNETTE_SENSOR_MINUTES_H

#include "base/time.h"
#include "event/alert.h"

#include <stdbool.h>

enum { MINUTES_KEPT = 64 };

struct minutes {
    nanoseconds due; /* of the next note */
    unsigned count;
    struct {
        nanoseconds minute; /* the first packet that is not counted lies in this one */
        struct capture_figures figures;
    } notes[MINUTES_KEPT];
};

/* A packet of this time comes next. True if the scripts must catch up first: minutes_forget(). */
static inline bool minutes_full(const struct minutes *minutes, nanoseconds clock) {
    return clock >= minutes->due && minutes->count == MINUTES_KEPT;
}

/* Scripts' clocks have come to the last note. */
void minutes_forget(struct minutes *minutes);

/* A packet of this time comes next: notes the figures if a minute has begun. */
void minutes_note(struct minutes *minutes, nanoseconds clock, const struct capture_figures *figures);

/* The figures of packets before the minute in which `clock` lies; `now` if there was no packet since. */
const struct capture_figures *minutes_at(const struct minutes *minutes, nanoseconds clock,
                                         const struct capture_figures *now);

#endif
