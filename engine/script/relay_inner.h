/* What relay.c (the tree) and relay_run.c (the walk along it) share; nobody else includes this. */
#ifndef LUNETTE_SCRIPT_RELAY_INNER_H
#define LUNETTE_SCRIPT_RELAY_INNER_H

#include "script/relay.h"

/* One detector's way through the tree of a batch. Its feed is filled from there, as often as it takes. */
struct part {
    /* Of the batch's events, by their place: which of its handlers want it, and a bit for each that any does.
     */
    uint32_t mask[BATCH_EVENTS];
    uint64_t wanted[BATCH_EVENTS / 64];
    /* Of the entries of the feed: */
    uint32_t node[LUNETTE_BATCH];        /* the emitted event, 0: an engine event */
    uint32_t place[LUNETTE_BATCH];       /* of an engine event in the batch */
    struct order_key key[LUNETTE_BATCH]; /* of the root */
    /* How far the walk has come: */
    uint32_t engine;           /* the batch's next event */
    uint32_t timer;            /* the timers' event that was visited last, 0: none */
    uint32_t next;             /* within the root at hand; 0: at its end */
    struct order_key root;     /* the root at hand */
    struct order_key frontier; /* all up to here is handled: what it emits from now on comes later */
    bool may_stop, paused;
    /* What was handled last, in a feed that is gone. */
    bool has_last;
    double last_clock;
    struct event_head_body last;
};

int key_compare(const struct order_key *a, const struct order_key *b);
struct order_key engine_key(const struct batch *batch, uint32_t place);
void node_free(struct relay *relay, uint32_t node);
uint32_t node_after(const struct relay *relay, uint32_t node);

/* Its room is nearly used up: it has to return to us when it is done with the root at hand. */
void part_stop_soon(struct detector *detector);

#endif
