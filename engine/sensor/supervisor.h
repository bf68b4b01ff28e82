/* Two processes: the supervisor, which does nothing but wait, and the sensor, which does the work.
 *
 * The supervisor keeps the privileges that the sensor gives up, forks it, passes signals on, and forks it
 * anew when it dies of something other than its own decision: at once at first, then ever more slowly. A
 * socket pair joins the two. The sensor says on it that it is ready and, once a second, that it is alive (all
 * its workers have moved); one that is silent for too long is killed, which is a death like any other. If
 * the supervisor dies, the sensor reads the end of the socket and ends in good order. The supervisor speaks
 * sd_notify(3)'s protocol for both. */
#ifndef LUNETTE_SENSOR_SUPERVISOR_H
#define LUNETTE_SENSOR_SUPERVISOR_H

#include "base/error.h"
#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

/* What the sensor process knows of its supervisor. */
struct supervised {
    int descriptor;      /* the sensor's end, -1 if nobody supervises. Readable: the supervisor is gone */
    uint32_t restarts;   /* before this one */
    nanoseconds died_at; /* when the one before died, wall clock; 0 if there was none */
    char last_exit[160]; /* "killed by signal 11 (Segmentation fault)", "said nothing for 30 s and was killed" */
};

/* Exit code of a sensor that wants to be started anew with its state (the clock was stepped back). */
enum { SENSOR_ANEW = 75 };

struct supervisor_options {
    double silence_limit; /* seconds without a sign of life; 0: never kill */
    double first_wait, longest_wait; /* seconds before a restart, doubled each time it dies within a minute */
};

/* Forks, runs `sensor` in the child (its result is the child's exit code) and returns the exit code to end
 * with. The child's death before it was ready is final: its code is returned. Before any thread. */
int supervisor_run(const struct supervisor_options *options, int (*sensor)(void *context, const struct supervised *self),
                   void *context);

/* From the sensor: cheap, ignores failure. */
void supervised_ready(const struct supervised *self);
void supervised_alive(const struct supervised *self);
void supervised_stopping(const struct supervised *self);

#endif
