/* What the files around one detector's Lua state share; nobody else includes this. */
#ifndef LUNETTE_SCRIPT_STATE_H
#define LUNETTE_SCRIPT_STATE_H

#include "flow/flow.h"
#include "script/api.h"
#include "script/condition.h"
#include "script/detector.h"
#include "script/emitter.h"
#include "script/files.h"
#include "script/flow_area.h"
#include "script/heap.h"

#include <lua.h>
#include <stdatomic.h>

enum {
    DETECTOR_HANDLERS = 31,
    DETECTOR_STREAK = 20,
    DETECTOR_PLACES = 4096, /* handlers' places that are known by name */
    DETECTOR_LOG_LINES = 100,
    DETECTOR_NAME = 64,
    DETECTOR_MEMORY = 256 * 1024 * 1024, /* bound of a state, if nobody says another */
    DETECTOR_FLOW_AREAS = 64,
    DETECTOR_ALERT_BYTES = 16 * 1024 * 1024, /* of the alerts of one batch, which wait until it is done */
};

struct subscription {
    uint32_t count;
    uint32_t unfiltered; /* bit h: handler h has no filter */
    struct conditions *conditions[DETECTOR_HANDLERS];
};

/* Its lunette.stream declarations, by handler of the kind `stream`: streams.c. */
struct detector_streams {
    struct flow_room *room;
    struct stream_wish *wish[DETECTOR_HANDLERS];
    int8_t number[DETECTOR_HANDLERS]; /* of the wish in the flow room, -1: none */
};

/* The name that Lua knows it by is struct lunette_detector. */
struct detector {
    struct detector_options options;
    lua_State *lua;    /* NULL once it was given up */
    struct heap *heap; /* its memory */
    size_t collected_at;
    char *source; /* of the script, while it is loaded */
    size_t source_size;
    /* "file:line" of each handler, for messages when its state cannot be asked any more. Another thread may
     * read what is counted, so they stay where they are. */
    char **places; /* DETECTOR_PLACES */
    _Atomic uint32_t place_count;
    struct lunette_feed *feed;
    struct mailbox *mailbox; /* mail.c; NULL but where messages are gathered */
    bool gathers;            /* the script has a part that gathers */
    bool overhears;          /* that part asks for the alerts of others; known where messages are gathered */
    bool hushed;             /* the part of the body that a worker's state has said already */
    uint64_t name_digest, sent;
    struct subscription *subscriptions[EVENT_KINDS + CUSTOM_KINDS];
    struct detector_streams *streams; /* NULL: it asked for none */
    /* Events of other scripts that it hears: for it, known[i] is the kind EVENT_KINDS + i. Borrowed. */
    struct custom_kind *known[CUSTOM_KINDS];
    uint32_t known_count;
    struct emitter *emitter; /* NULL: it declares no events */
    struct part *part;       /* NULL: it neither emits nor listens, or has no host yet */
    struct relay *relay;
    uint32_t packet_mask; /* handlers whose bpf filter the packet at hand passed */
    bool packet_bpf;      /* there are such filters */
    bool packet_payload;  /* a packet handler of its asks for payloads */
    size_t beside_heap;   /* bytes of sets, filters, keys and flow_state: within the bound as well */
    struct set **sets;
    uint32_t set_count;
    struct flow_area *flow_areas[DETECTOR_FLOW_AREAS]; /* of lunette.flow_state, in the order declared */
    uint32_t flow_area_count;
    struct lunette_keyring *keyrings; /* of its named states: keyring.h */
    char name[DETECTOR_NAME];
    char *path;                                         /* what options.path points to */
    char *directory;                                    /* of the script */
    int call_load, call_run, call_start, call_finish;   /* registry references */
    int call_kept, call_write, call_read, call_migrate; /* handover.c */
    int call_ask;                                       /* of a console's state */
    const char *question, *line;                        /* what it is asked now */
    int call_inventory;                                 /* inventory.c */
    int call_traces;                                    /* profile.c */
    struct profile *profile;                            /* NULL: nothing is measured */
    uint64_t events, alerts, errors;
    nanoseconds spent;  /* in Lua */
    nanoseconds limit;  /* of CPU time, of the last entry into Lua */
    nanoseconds end;    /* of the capture, once it is there: feed->now is rounded */
    size_t alert_bytes; /* raised since Lua was entered */
    bool alerts_cut;
    uint32_t log_lines;
    atomic_bool inside;      /* Lua has control; another thread may look, to tell what a stuck worker is in */
    atomic_bool off;         /* another thread may look before a reload */
    atomic_bool quarantined; /* off, and why: it did not come back from Lua in time */
    bool error_logged;
    bool parting; /* detector_part() */
    uint64_t parsers_ended[PARSER_ENDS];
    char last_error[256];
};

/* detector.c: calls the function below its arguments on the stack; no results. Lua's status, or -1 if the
 * state had to be given up: then the detector is off. */
int detector_enter(struct detector *detector, int arguments);
/* The same for what goes through all of a state, a hand-over or the end: it may take PATIENCE times as long.
 */
enum { DETECTOR_PATIENCE = 5 };
int detector_enter_patiently(struct detector *detector, int arguments);

/* say.c: says an alert whose time, event and place in the order of things are those at hand. */
void detector_say(struct detector *detector, struct alert *alert);

/* detector.c: asks a console's state about the event that lies at `index` of its kind; NULL: about none. */
void detector_ask(struct detector *detector, enum event_kind kind, uint32_t index, const void *event,
                  const char *what, const char *line);

/* mail.c: messages to and in the stage that gathers. */
void mail_bind(lua_State *lua, struct detector *detector);
int mail_open(struct detector *detector, struct error *err);
void mail_close(struct detector *detector);
struct lunette_mail *mail_of(struct detector *detector);
/* The message that is being handled, and its number over all detectors; NULL if none is. */
const struct message *mail_at_hand(const struct detector *detector, uint64_t *seq);
struct message;
/* What a message is about that is sent now, and when; the rest is empty. */
void mail_begin(const struct detector *detector, struct message *message);
int32_t mail_send(struct lunette_detector *detector, const char *key, uint32_t key_length, double key_number,
                  uint32_t value_kind, const char *value, uint32_t value_length, double value_number);

/* say.c: the head of the event that is being handled, or NULL in a timer. In a timer that was set by an
 * event's handler and runs right after it, `after` is true and it is that event's. */
const struct event_head_body *bindings_head(const struct detector *detector, bool *after);

/* detector.c: what is behind a number of a kind, be it the engine's or one of `known`. NULL: there is none.
 */
const struct event_schema *detector_schema(const struct detector *detector, int kind);
const void *detector_event(const struct detector *detector, int kind, uint32_t slot);
const char *detector_text(const struct detector *detector, int kind);

/* detector.c: the head of the event that is being handled, NULL in a timer; and of the one that was handled
 * last in this batch, with its clock as Lua sees it. */
const struct event_head_body *detector_at_hand(const struct detector *detector);
int detector_kind_at_hand(const struct detector *detector); /* of that event; -1: none is */
const struct event_head_body *detector_last(const struct detector *detector, double *clock);

/* say.c: what Lua calls now. */
nanoseconds detector_clock(const struct detector *detector, const struct event_head_body *head);

/* detector.c, for relay_run.c: adds an event to the feed, which has room; lets Lua handle the feed. */
void detector_feed(struct detector *detector, int kind, uint32_t slot, double clock, uint32_t mask);
uint32_t detector_mask(const struct detector *detector, int kind, const void *event);
void detector_drink(struct detector *detector, double end);

/* In such a function: its detector. */
static inline struct detector *detector_of(lua_State *lua) {
    return lua_touserdata(lua, lua_upvalueindex(1));
}

/* say.c */
int host_alert(lua_State *lua);
int host_report(lua_State *lua);
int host_fact(lua_State *lua);
int host_capture(lua_State *lua);
int host_audit(lua_State *lua);

/* bindings.c: adds a function, with the detector as upvalue, to the table on top of the stack. The watchdog
 * keeps its hands off until it is done: it must not call a script's function. */
void bindings_add(lua_State *lua, struct detector *detector, const char *name, lua_CFunction function);

/* bindings.c: pushes the table of C functions that the boot script calls `host`. */
void bindings_push(lua_State *lua, struct detector *detector);

/* calls.c: adds what calls the script's functions to the table on top of the stack. */
void calls_bind(lua_State *lua, struct detector *detector);

/* streams.c: the handlers that asked for the flow of a stream event; what Lua calls; the end. */
uint32_t detector_streams_for(const struct detector *detector, const struct event_stream *event);
int host_stream(lua_State *lua);
int host_hush(lua_State *lua);
void detector_streams_free(struct detector *detector);

/* detector.c: counts a failure, logs the first with its traceback, switches off after a run of them. */
void detector_failed(struct detector *detector, const char *what, const char *where, const char *message);

#endif
