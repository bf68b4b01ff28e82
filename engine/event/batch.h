/* The batch: where events wait until scripts and records see them.
 *
 * Events are structs (event/schema.h) in one array per kind; `order` remembers in which order they came.
 * Strings, payloads and lists of an event lie in the batch's text, a bump arena that is emptied at each
 * flush. Nothing is allocated per event.
 *
 *      struct event_dns *e = batch_begin(batch, EVENT_dns);        NULL: nobody wants one, stop here
 *      e->body.rrname = batch_text(batch, name, length);           text after begin, never before it
 *      batch_commit(batch);                                        filters decide; may flush: `e` is gone now
 *
 * Whoever listens is a `struct batch_listener`: it says which kinds it wants, is offered each committed event
 * (and may refuse it: then it was never made) and is told to drink the batch when it is full. One begin at a
 * time. */
#ifndef LUNETTE_EVENT_BATCH_H
#define LUNETTE_EVENT_BATCH_H

#include "base/error.h"
#include "event/schema.h"

#include <stdbool.h>

enum {
    BATCH_EVENTS = 1024,            /* slots per kind; the configured limit is at most this */
    BATCH_TEXT_BYTES = 1024 * 1024, /* text arena */
    BATCH_TEXT_ROOM = 192 * 1024,   /* what one event may count on; more is cut off and counted */
};

struct batch_order {
    uint16_t kind;
    uint16_t index; /* in the kind's array */
};

struct batch_listener {
    void *context;
    /* Is there any use in making an event of that kind? Asked at each begin: keep it a table look-up. */
    const bool *wants; /* [EVENT_KINDS] */
    /* The event is complete. Returns false to drop it. */
    bool (*offer)(void *context, enum event_kind kind, uint32_t index, const void *event);
    /* The batch is full or the caller flushed it: everything in it is seen now or never. */
    void (*drink)(void *context);
};

struct batch {
    uint8_t *slots[EVENT_KINDS];
    uint32_t used[EVENT_KINDS];
    struct batch_order order[BATCH_EVENTS];
    uint32_t count;
    uint32_t limit;
    char *text;
    uint32_t text_used;
    uint32_t text_mark; /* text_used when the open event began, to give it back if it is dropped */
    uint32_t open_kind; /* kind of the open event, EVENT_head if none */
    uint32_t generation;
    uint64_t next_seq;
    nanoseconds
        clock; /* set by the sensor before the packets of that time are worked on; never runs backwards */
    uint64_t text_cut; /* times a string did not fit */
    struct batch_listener listener;
};

struct batch *batch_new(uint32_t limit, struct error *err);
void batch_free(struct batch *batch);

/* An event of that kind with everything zero but clock, or NULL if nobody wants one. */
void *batch_begin(struct batch *batch, enum event_kind kind);

/* Gives up the open event: it was never made. */
void batch_drop(struct batch *batch);

/* The event at a place in the batch's order. */
const void *batch_event(const struct batch *batch, uint32_t place);

/* Gives the open event to the listener; flushes if the batch is full. */
void batch_commit(struct batch *batch);

/* The same, for the listener itself, who has noted the open event already. */
void batch_keep(struct batch *batch);

/* Lets the listener drink, then empties the batch. Does nothing on an empty batch. */
void batch_flush(struct batch *batch);

/* Copies bytes into the batch's text. A NULL `bytes` gives an absent reference, a length of 0 an empty
 * string. */
struct text_ref batch_text(struct batch *batch, const void *bytes, size_t length);
struct text_ref batch_string(struct batch *batch, const char *text);

/* Copies a list. `items` were made by batch_text during this same event. */
struct list_ref batch_list(struct batch *batch, const struct text_ref *items, uint32_t count);
struct list_ref batch_u16s(struct batch *batch, const uint16_t *items, uint32_t count);

#endif
