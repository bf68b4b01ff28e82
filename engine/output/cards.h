/* All hosts' cards of one output worker: what detectors tell of them, what they are alerted of, and what
 * their flows were.
 *
 *      worker ── cards_tell, cards_alert, cards_flow ──▶ its table ─┐
 *      worker ── …                                    ─▶ its table ─┼─▶ cards_merge ─▶ summary, records,
 *      gathered ─ …                                   ─▶ its table ─┘                  control socket
 *
 * A table has a lock, which its worker takes once for a flow that ended, an alert or a fact; whoever merges
 * takes it for a few dozen cards at a time. So nobody waits for a reader that is slow: readers have a copy.
 *
 * Bounds: so many hosts and so many bytes. Where one is reached a host of which only bytes are known goes
 * first, else the one that nothing was heard of for longest; that is counted. A host is dealt to one worker,
 * so as long as nothing gave way the merged cards do not depend on the number of workers. */
#ifndef LUNETTE_OUTPUT_CARDS_H
#define LUNETTE_OUTPUT_CARDS_H

#include "event/batch.h"
#include "output/card.h"

enum { CARDS_HOSTS = 16384, CARDS_BYTES = 32 << 20 };

struct cards;

struct card_figures {
    uint64_t hosts, bytes; /* now */
    uint64_t evicted;      /* hosts that gave way */
    uint64_t dropped;      /* topics and findings that gave way, of the hosts that are there */
};

/* NULL: out of memory. */
struct cards *cards_new(uint32_t hosts, size_t bytes);
void cards_free(struct cards *cards);

/* ── by the worker ── */

void cards_tell(struct cards *cards, const struct fact *fact);

/* Counted for the host that it is about (`who`), unless that is no address or no local one. */
void cards_alert(struct cards *cards, const struct alert *alert);

/* Of a flow that has ended, for its local ends. */
void cards_flow(struct cards *cards, const struct event_flow *flow);

/* ── by anybody ── */

/* Adds what `from` has; with `only`, of that host alone. `into` is the caller's alone. */
void cards_merge(struct cards *into, struct cards *from, const struct ip *only);

struct card_figures cards_figures(struct cards *cards);

/* The cards that say something (card_says), those with most bytes first; a list to be freed, of `*count`.
 * NULL if there is none, or no memory. They are good until the table changes. */
const struct card **cards_list(const struct cards *cards, uint32_t *count);

#endif
