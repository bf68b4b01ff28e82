/* Who hears what others emit, and when.
 *
 * Each detector runs over a whole batch before the next one does. So that an emitted event is nevertheless
 * heard right after the one that it came out of, the events of a batch are kept as a tree: below an engine
 * event hangs what was emitted while it was handled, below that what was emitted while that was handled, and
 * so on; what timers emit stands between the engine events, by time. Detectors that emit or listen, here
 * called parts, run emitters first; each is fed by a walk along the tree as it is by then, depth first.
 * Cycles are refused when scripts are loaded, so nobody misses anything.
 *
 * When an emitter has filled half of its room it stops behind the engine event at hand, and all after it come
 * only so far. Then what was heard is written and its room is emptied, and the next round begins. One round
 * is the rule.
 *
 * Detectors that neither emit nor listen know nothing of all this. */
#ifndef LUNETTE_SCRIPT_RELAY_H
#define LUNETTE_SCRIPT_RELAY_H

#include "event/batch.h"
#include "script/emitter.h"

struct script_host;
struct part;

/* An emitted event. Numbers of nodes, 0 for none. */
struct emitted {
    struct custom_kind *kind; /* NULL: free */
    struct order_key key;     /* of the engine event, or the timer, that it goes back to */
    struct text_ref iface;    /* the capture interface's name in the batch's text, for alerts */
    uint32_t slot;
    uint32_t parent;
    uint32_t next; /* with the same parent; of a timer's: the next timer's; of a free one: the next free */
    uint32_t first_child, last_child;
    bool of_timer;
};

struct relay {
    const struct batch *batch;
    struct emitted *nodes;
    uint32_t node_count, node_room, free_node;
    uint32_t first[BATCH_EVENTS],
        last[BATCH_EVENTS];           /* below the engine events, by their place in the batch */
    uint64_t hung[BATCH_EVENTS / 64]; /* a bit for each place below which anything hangs */
    uint32_t timers;                  /* the first event that a timer emitted */
    uint32_t delivered;               /* engine events that were written */
    bool touched;
    struct detector **parts; /* emitters before those that hear them */
    uint32_t part_count;
};

/* Finds out anew who takes part: after a change of the host's detectors. -1 without memory. */
int relay_arrange(struct script_host *host);
void relay_free(struct relay *relay);

/* A part's place in what it hears: freed with the detector. */
void part_free(struct part *part);

/* The parts handle the batch, and timers due up to the clock. What is done is delivered. */
void relay_run(struct script_host *host, nanoseconds clock);

/* The capture is over: each part hears what is left for it, then says its last. */
void relay_finish(struct script_host *host, nanoseconds clock);

/* A detector that takes part is offered an engine event: notes which of its handlers want it. */
void part_offer(struct detector *detector, uint32_t mask);

/* The event that was handled last in this batch, in a feed that is gone; NULL if there is none. */
const struct event_head_body *part_last(const struct part *part, double *clock);

/* Does the event at hand go back to one that a timer emitted? */
bool part_is_of_timer(const struct detector *detector);

/* The interface's name of the event at hand, in the batch's text. */
struct text_ref part_iface(const struct detector *detector, const struct event_head_body *head);

/* Puts an event that was just made where it belongs. -1 without memory. */
int relay_emit(struct detector *detector, struct custom_kind *kind, uint32_t slot,
               const struct order_key *key);

/* The key of the engine event or timer at hand: what an emitted event goes back to. */
void relay_origin(const struct detector *detector, struct order_key *out);

#endif
