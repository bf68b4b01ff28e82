/* All detectors of one worker: the batch's listener.
 *
 * At each flush every detector handles its feed, then the batch's events and the alerts that came of them go
 * to the sink in one order that depends on nothing but the packets: by clock; timers before events of the
 * same clock, unless it was one of these that set them; events by number; alerts of one event by detector, in
 * the order in which they were raised. */
#ifndef LUNETTE_SCRIPT_HOST_H
#define LUNETTE_SCRIPT_HOST_H

#include "base/error.h"
#include "event/alert.h"
#include "event/batch.h"
#include "event/custom.h"
#include "flow/flow.h"
#include "script/detector.h"

struct script_host;
struct bag;
struct message;

struct script_sink {
    void *context;
    bool record[EVENT_KINDS]; /* kinds that `on_event` wants, whether or not a detector does */
    void (*on_event)(void *context, enum event_kind kind, const void *event, const struct batch *batch);
    /* Events that scripts declared: is `name` ("redis.command") wanted? Each that is, with the text that its
     * references point to, in the same order. NULL: none is. */
    bool (*wants_custom)(void *context, const char *name);
    void (*on_custom)(void *context, struct custom_schema *schema, const void *event, const char *text);
    void (*on_alert)(void *context, const struct alert *alert);
    void (*on_report)(void *context, const struct report *report);
    void (*on_fact)(void *context, const struct fact *fact); /* at once; may be NULL */
    bool (*on_capture)(void *context, nanoseconds clock,
                       struct capture_figures *out); /* detector.h; may be NULL: nobody counts */
    /* All detectors have handled the batch, and nothing of it was told yet. What they sent is in the bag,
     * which may be taken (what is left in it is thrown away). Also once more after they said their last. May
     * be NULL: then nobody gathers. */
    void (*on_handled)(void *context, nanoseconds clock, struct bag *bag);
    /* Does anybody hear alerts where messages are gathered? Then they go into the bag too. May be NULL:
     * nobody does. */
    bool (*is_heard)(void *context);
    /* The batch is done: what comes later has a clock of at least `clock`. May be NULL. */
    void (*on_drained)(void *context, nanoseconds clock);
};

enum { SCRIPT_TIME_FREE = -1 }; /* no limit */

struct script_options {
    const char *const *paths; /* scripts, and folders of scripts (their *.lua files, by name) */
    size_t path_count;
    const struct setting *settings;
    size_t setting_count;
    size_t memory_limit; /* bytes per detector, 0: the default of 256 MiB */
    nanoseconds
        time_limit; /* CPU time of one entry into a detector, 0: the default of 2 s; SCRIPT_TIME_FREE */
    const struct audits *audits; /* what lunette.audit tells, borrowed; NULL: nothing */
    bool quiet;                  /* log nothing: workers after the first */
    bool inspect;                /* detectors note what they declare: script_host_inventory() */
    bool profile;                /* detectors measure their handlers: profile.h */
};

/* Sets itself up as the batch's listener. NULL only if there is no memory, or for a wrong use: a path does
 * not exist, a folder has no scripts, two have the same name, a setting names no detector. A script that
 * cannot be loaded is reported and left out: script_host_failed() counts it. */
struct script_host *script_host_new(const struct script_options *options, struct batch *batch,
                                    const struct script_sink *sink, struct error *err);
void script_host_free(struct script_host *host);

/* The process ends after script_host_free(): Lua states need not be closed one object at a time. */
void script_host_part(struct script_host *host);

/* The stage that gathers what these workers' detectors send: a host with those that have a part that gathers,
 * the same for all workers (any one of them may be given). It is offered no events. `batch` is its own. */
struct script_host *script_host_new_gathering(const struct script_host *worker, struct batch *batch,
                                              const struct script_sink *sink, struct error *err);

/* Has any detector a part that gathers? */
bool script_host_gathers(const struct script_host *host);

/* Of a host that gathers: which detector has this name (its digest), -1: none. */
int script_host_named(const struct script_host *host, uint64_t name);

/* Of a host that gathers: does anybody there hear alerts (lunette.receive_alerts)? Messages that are alerts
 * are then for MESSAGE_TO_HEARERS. */
bool script_host_hears(const struct script_host *host);
/* What was not heard for want of room, since it was last asked. */
uint64_t script_host_unheard(struct script_host *host);

/* Of a host that gathers: all that was received is handled by those who hear alerts too, who else wait for
 * the next tick. */
void script_host_settle(struct script_host *host);

/* Of a host that gathers: handles at most LUNETTE_BATCH messages, in their order, none after `end`, and the
 * timers due up to `end`. Messages are numbered from `seq`, and borrowed for the call; if somebody hears
 * alerts, until the next tick or script_host_settle(). */
void script_host_receive(struct script_host *host, struct message *const *messages, uint32_t count,
                         uint64_t seq, double end);

uint32_t script_host_count(const struct script_host *host);
uint32_t script_host_failed(const struct script_host *host);
const char *script_host_failed_path(const struct script_host *host, uint32_t index);
/* Why it could not be loaded, with file and line. */
const char *script_host_failed_why(const struct script_host *host, uint32_t index);

/* Where a detector comes from, and, with `inspect`, what it declares (inventory.h); the caller frees that. */
const char *script_host_path(const struct script_host *host, uint32_t index);
char *script_host_inventory(struct script_host *host, uint32_t index);

/* A detector, for those who look at its profile. */
struct detector *script_host_detector(struct script_host *host, uint32_t index);
void script_host_status(const struct script_host *host, uint32_t index, struct detector_status *out);

/* Where flows are read, for lunette.stream: told once, before the first packet. The room outlives the last
 * packet, not the host. */
void script_host_listen(struct script_host *host, struct flow_room *room);

/* Events that scripts declare (lunette.event), one after the other: NULL beyond the last. Their own fields
 * alone are in the schema. */
const struct event_schema *script_host_declared(const struct script_host *host, uint32_t index);

bool script_host_declares(const struct script_host *host, const char *name);

/* The first packet's time: timers count from here. */
void script_host_start(struct script_host *host, nanoseconds clock);

/* No packet came between these two times: flushes what was before, so that timers are not run for years over
 * a hole in the capture or a clock that jumped. */
void script_host_hole(struct script_host *host, nanoseconds from, nanoseconds to);

/* Makes a packet event if a packet handler's filter matches. */
void script_host_packet(struct script_host *host, const struct flow_room *room, const struct flow *flow,
                        const struct packet *packet, const struct decoded *decoded, enum direction direction);

/* Is there a packet handler at all? */
bool script_host_wants_packets(const struct script_host *host);

/* In which detector's handler the worker is; false (and that said) if it is in none: for one that does not
 * move any more. From the thread that prepares reloads, and not while one is on its way. */
bool script_host_whereabouts(const struct script_host *host, char *out, size_t size);

/* Flushes the batch, or, if it is empty, lets timers run that are due. */
void script_host_tick(struct script_host *host);

/* The capture is over: flushes, then lets the detectors say their last. */
void script_host_finish(struct script_host *host, nanoseconds clock);

#endif
