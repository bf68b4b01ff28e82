/* Two processes: the supervisor, which does nothing but wait, and the sensor, which does the work.
 *
 * The supervisor keeps the privileges that the sensor gives up, forks it, passes signals on, and forks it
 * anew when it dies of something other than its own decision: soon at first, then ever more slowly. A
 * socket pair joins the two. The sensor says on it that it is ready and, once a second, that it is alive (all
 * its workers have moved); one that is silent for too long is killed, which is a death like any other. If
 * the supervisor dies, the sensor reads the end of the socket and ends in good order. The supervisor speaks
 * sd_notify(3)'s protocol for both.
 *
 * What a death means:
 *      exit 0                               the end
 *      exit 1 or 2 when it had been ready   the end: it decided so
 *      before it was ready, first start     the end: whoever started it is there to read why
 *      SENSOR_ANEW                          started again at once
 *      anything else                        started again after a wait
 *      anything, once a stop was asked for  the end
 *
 * SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGUSR2 are passed on; the last three wait until the sensor is ready,
 * as they would kill one that has no handlers yet. A second SIGTERM or SIGINT, half a second after the first
 * or later, kills the sensor. */
#ifndef LUNETTE_SENSOR_SUPERVISOR_H
#define LUNETTE_SENSOR_SUPERVISOR_H

#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

/* What the sensor process knows of its supervisor. */
struct supervised {
    /* The sensor's end, -1 if nobody supervises. Nothing is ever sent on it: readable, whether read(2) then
     * gives the end or ECONNRESET, means that the supervisor is gone. */
    int descriptor;
    uint32_t restarts; /* before this one */

    /* Since when nobody has watched, wall clock; 0 if this is the first. The death of the last sensor that
     * was ready, or its last sign of life if it was killed for silence; starts that failed since do not move
     * it. */
    nanoseconds unwatched_since;

    /* What became of that one, to follow "the sensor": "was killed by signal 11 (Segmentation fault)", "said
     * nothing for 30 s and was killed"; and of the starts since: "ended with exit code 9; 5 starts failed
     * since, the last ended with exit code 2". */
    char last_exit[320];
};

/* Exit code of a sensor that wants to be started anew with its state (the clock was stepped back). */
enum { SENSOR_ANEW = 75 };

struct supervisor_options {
    double silence_limit; /* seconds without a sign of life, of one that is ready or was restarted; 0: never
                             kill */
    double first_wait, longest_wait; /* seconds before a restart, doubled each time it dies within a minute */
};

/* Forks, runs `sensor` in the child (its result is the child's exit code) and returns the exit code to end
 * with. Before any thread, and before anything is opened that the sensor alone needs: the supervisor keeps
 * the descriptors it was started with, for the sensors to come, and opens none but its end of the pair. The
 * sensor gets the signal mask and dispositions that the caller had. */
int supervisor_run(const struct supervisor_options *options,
                   int (*sensor)(void *context, const struct supervised *self), void *context);

/* How long to wait, in seconds, after a sensor that lived so long; `last` is the wait before that one,
 * negative if there was none. */
double supervisor_wait(const struct supervisor_options *options, double last, double lived);

/* From the sensor, any thread: cheap, never waits, ignores failure, nothing if nobody supervises. */
void supervised_ready(const struct supervised *self); /* the first time; and when a reload is done */
void supervised_alive(const struct supervised *self);
void supervised_reloading(const struct supervised *self); /* followed by ready, whatever came of it */
void supervised_stopping(const struct supervised *self);  /* for good: not before SENSOR_ANEW */

#endif
