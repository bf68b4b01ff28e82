/* One detector: a Lua script in a Lua state of its own, with memory of its own that has a bound.
 *
 * The engine offers it events; what its filters let through is noted in its feed, and once per batch the
 * state is entered to handle all of them (engine/script/dispatch.lua). Whatever goes wrong inside is reported
 * and counted here and concerns nobody else. */
#ifndef LUNETTE_SCRIPT_DETECTOR_H
#define LUNETTE_SCRIPT_DETECTOR_H

#include "base/error.h"
#include "event/alert.h"
#include "event/batch.h"
#include "capture/packet.h"

#include <stdbool.h>

struct audits;
struct custom_kind;
struct emitter;
struct detector;
struct script_files;
struct message;
struct bag;

/* --set NAME.key=value, split. */
struct setting {
    const char *detector, *key, *value;
};

/* What a state of the script is for: to handle a worker's events, or to gather what all workers' send. */
enum stage { STAGE_WORKER, STAGE_GATHER };

/* Where in the order of things an alert was raised. Seconds as Lua compares them: a timer could else seem to
 * have run after the event that it preceded. */
struct alert_place {
    double now;
    uint64_t
        seq; /* of the event at hand; in a timer of the last one that had the same clock, 0 if none had */
    bool in_timer;
};

struct detector_options {
    const char *path; /* of the script, copied; `data/` and `lib/` lie beside it */
    const char *text; /* the script itself, in place of the file's; borrowed for the load. NULL: it is read */
    uint32_t
        index; /* its place among the detectors of the worker: decides the order of alerts of one event */
    size_t memory_limit;    /* bytes, for the Lua state and once more for what lies beside it: sets, filters,
                               keys, flow_state */
    nanoseconds time_limit; /* of CPU time for one entry into Lua; 0: none */
    const struct setting *settings;
    size_t setting_count;       /* borrowed for the load */
    struct script_files *files; /* borrowed: what the script reads is noted there. May be NULL */
    struct code_store *code;    /* borrowed: what was compiled before. May be NULL */
    const struct batch *batch;
    bool quiet; /* do not log: another worker's copy of the same script does */
    enum stage stage;
    struct bag *bag;   /* where lunette.send puts messages; NULL: nowhere */
    struct bag *heard; /* where alerts go for those who hear them (overhear.h); NULL: nowhere */
    struct emitter
        *emitter; /* of a detector whose place it takes within one load, or NULL: the new one's, if loaded */
    const struct audits *audits; /* borrowed; may be NULL */
    bool inspect;                /* note what is declared, for detector_inventory() */
    bool profile;                /* measure each handler (profile.h) */
    void *context;
    /* The event called "detector.event" that another script declares, which is loaded first if need be. NULL
     * and why, with names that may have been meant (up to 32, borrowed). May be NULL: there are no other
     * scripts. */
    struct custom_kind *(*find_event)(void *context, const char *name, const char **near,
                                      uint32_t *near_count, struct error *err);
    bool (*is_heard)(void *context); /* does anybody hear alerts? May be NULL: nobody */
    void (*on_alert)(void *context, const struct alert *alert, const struct alert_place *place);
    void (*on_report)(void *context, const struct report *report);
    void (*on_fact)(void *context, const struct fact *fact);
    /* What was seen up to the whole minute before `clock`, INT64_MAX: up to now. False: nobody counts. */
    bool (*on_capture)(void *context, nanoseconds clock, struct capture_figures *out);
    /* Of a console's state alone (inspector.h), else NULL. */
    void (*on_answer)(void *context, const char *what, const char *text);
};

/* Runs the script's body. NULL and a message with file and line if it cannot be loaded. */
struct detector *detector_load(const struct detector_options *options, struct error *err);
void detector_free(struct detector *detector);

/* The process ends after detector_free(): what the system takes back by itself need not be given back. */
void detector_part(struct detector *detector);

/* Takes the place of `old`: goes on with its counters and what it knows of flows, knows of the same hole.
 * Before the start. */
void detector_succeed(struct detector *detector, const struct detector *old);
void detector_renumber(struct detector *detector, uint32_t index); /* its place among the detectors */
bool detector_is_off(const struct detector *detector);             /* any thread */
/* Off because a handler did not come to its end: any thread. What is as it was would do the same again. */
bool detector_is_quarantined(const struct detector *detector);

/* The name that the detector of a script has. */
void detector_name_of(const char *path, char *out, size_t size);
const char *detector_name(const struct detector *detector);
const char *detector_path(const struct detector *detector);
bool detector_handles(const struct detector *detector, enum event_kind kind);

/* The events that it declares, by number; NULL beyond the last. */
const struct event_schema *detector_declared(const struct detector *detector, uint32_t index);
/* The events of others that it hears, the same way. */
const struct event_schema *detector_hears(const struct detector *detector, uint32_t index);

/* Is the packet for one of its packet handlers? Remembers which, for the event that follows. */
bool detector_wants_packet(struct detector *detector, const struct packet *packet);

/* Has its script a part that gathers (lunette.gather)? */
bool detector_gathers(const struct detector *detector);

/* STAGE_GATHER: puts a message, which is borrowed until it was handled, into its mail; there is room for
 * LUNETTE_BATCH. `seq` is the message's number over all detectors. */
void detector_mail(struct detector *detector, struct message *message, uint64_t seq);
/* Handles its mail and the timers due up to `end`, in the order of time. */
void detector_receive(struct detector *detector, double end);

void detector_start(struct detector *detector, nanoseconds clock);
/* Nothing was seen between these two times: periodic timers need not run all through them. Told when all
 * that came before is handled. */
void detector_hole(struct detector *detector, nanoseconds from, nanoseconds to);
/* Handles what the feed holds and the timers due up to `clock`; empties the feed. */
void detector_run(struct detector *detector, nanoseconds clock);
void detector_finish(struct detector *detector, nanoseconds clock);

/* Why a parser of lunette.stream was ended before it was done. */
enum parser_end { PARSER_GAP, PARSER_LIMIT, PARSER_ERROR, PARSER_ENDS };

struct detector_status {
    const char *name;
    uint64_t events; /* handled */
    uint64_t alerts;
    uint64_t errors;
    uint64_t evicted; /* entries of named state that gave way */
    size_t memory;    /* bytes in use, sets and filters included */
    uint64_t parsers_ended[PARSER_ENDS];
    bool off; /* switched off after a run of failures */
    double
        cpu_seconds; /* spent in it, by the clock on the wall: the worker's thread seldom waits in between */
    char last_error[256];
};
void detector_status(const struct detector *detector, struct detector_status *out);

/* "detector beacon, the handler at beacon.lua:12", while Lua has control; else false. From another thread
 * than the worker's: only for one that has been in there for long. */
bool detector_whereabouts(const struct detector *detector, char *out, size_t size);

#endif
