/* Gathering over workers: questions over many hosts, whose traffic several workers see.
 *
 *      worker 0 ─ bag ─▶ inbox ─┐
 *      worker 1 ─ bag ─▶ inbox ─┼─ in order, up to the clock that all have passed ─▶ scripts that gather ─▶
 * outputs worker 2 ─ bag ─▶ inbox ─┘
 *
 * What a worker's detectors sent in a batch (lunette.send) goes into its inbox together with the worker's
 * clock: what comes later is not older. Messages before the least of these clocks are in, so they can be put
 * into one order (script/message.h) and given to the script host that gathers; its own clock follows. So
 * neither the number of workers nor the size of a batch shows in what is gathered.
 *
 * There is no thread for it. Whoever brings a bag does the work, unless somebody does it already: then that
 * one looks again before it leaves. What it may find is bounded by its own clock. In replay a worker that is
 * far ahead waits for the others (gather_pause); live nobody waits, and what does not fit is lost and
 * counted.
 *
 * A script may ask for the alerts of all others (lunette.receive_alerts): script/overhear.h.
 *
 * Its outputs never make anybody wait either: a worker's records wait for what is gathered, which waits for
 * that worker. */
#ifndef LUNETTE_SENSOR_GATHER_H
#define LUNETTE_SENSOR_GATHER_H

#include "base/error.h"
#include "output/output.h"
#include "script/host.h"
#include "script/message.h"

#include <limits.h>

struct gather;

enum {
    GATHER_WORKERS = 64,
    GATHER_AHEAD = 16 << 20, /* bytes in an inbox from which a worker of a replay waits for the others */
    GATHER_MOST = BAG_MOST,  /* bytes in an inbox */
};

struct gather_options {
    uint32_t workers;
    bool live;
    struct outputs *outputs; /* NULL: only the callbacks; else they were opened with a gatherer */
    void *context;
    /* From whichever thread does the work. May be NULL.
     * Has the packets around an alert on a flow of alert->worker kept; false if there is no file. */
    bool (*keep_packets)(void *context, const struct alert *alert, char path[PATH_MAX]);
    void (*on_alert)(void *context, const struct alert *alert);
    void (*on_report)(void *context, const struct report *report);
    void (*on_fact)(void *context, const struct fact *fact);
};

struct gather *gather_new(const struct gather_options *options, struct error *err);
void gather_free(struct gather *gather);

/* Loads what gathers; once the workers have loaded theirs, before they start. A script whose part cannot be
 * loaded is told of and left out, as script_host_new() does. */
int gather_employ(struct gather *gather, const struct script_host *worker, struct error *err);

/* ── by each worker, on its own thread ── */

/* Its clock has started: of all workers' the earliest is where the timers count from. */
void gather_start(struct gather *gather, uint32_t worker, nanoseconds clock);

/* Nothing came between these times (script_host_hole); said by one worker that sees them all. */
void gather_hole(struct gather *gather, uint32_t worker, nanoseconds from, nanoseconds to);

/* What was sent, and the clock from which on all that comes will be. The bag is emptied. Between the work on
 * a batch and its outputs, and does not wait. */
void gather_take(struct gather *gather, uint32_t worker, nanoseconds clock, struct bag *bag);

/* After the outputs of a batch. Is the worker to wait? Then it first gives away what it holds back, and
 * pauses. */
bool gather_is_full(struct gather *gather, uint32_t worker);
void gather_pause(struct gather *gather, uint32_t worker);

/* The worker sends nothing more; `clock` is where it ended. The last one ends the whole: detectors say their
 * last. */
void gather_finish(struct gather *gather, uint32_t worker, nanoseconds clock);

/* ── by anybody ── */

/* Does a detector hear alerts (script/overhear.h)? Then workers put theirs into their bags. */
bool gather_hears(const struct gather *gather);

struct gather_figures {
    uint64_t messages; /* received */
    uint64_t lost;     /* for want of room */
};
struct gather_figures gather_figures(struct gather *gather);

/* As they were a second ago at most: names stay good. Returns how many; fills in at most `most`. */
struct gather_detector {
    char name[64];
    bool left_out;
    struct detector_status status; /* its name is NULL */
};
uint32_t gather_detectors(struct gather *gather, struct gather_detector *out, uint32_t most);

/* Keeps everybody from the work, to touch the scripts. -1 if whoever does it has not left off within
 * `seconds`.
 */
int gather_hold(struct gather *gather, double seconds);
void gather_release(struct gather *gather);
struct script_host *gather_scripts(struct gather *gather);

#endif
