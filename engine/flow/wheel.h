/* A timer wheel: who is due next, for many items whose dues mostly move away before they are reached.
 *
 * An item lies in the list of the second in which it was due when it was put there. It is not moved when its
 * due becomes later: when the second comes, the wheel asks for the real due (`due_of`) and puts the item on.
 * Only the items of the second at hand are in exact order, in a heap. So a packet costs the wheel nothing,
 * and items are nevertheless handed out at their exact due, in order of (due, order). Seconds without items
 * are skipped through a bitmap: a jump of the clock by years costs no more than the items it makes due. */
#ifndef LUNETTE_FLOW_WHEEL_H
#define LUNETTE_FLOW_WHEEL_H

#include "base/error.h"
#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

enum { WHEEL_SLOTS = 4096 }; /* seconds; what is due later waits in the farthest one and is then put on */

struct wheel_due {
    nanoseconds due;
    uint64_t order; /* among items with the same due */
};

struct wheel_link;
struct wheel_ready;

struct wheel {
    struct wheel_link *links; /* by item */
    struct wheel_ready *heap; /* of seconds up to `second` */
    uint32_t heap_count;
    uint32_t capacity;
    uint32_t linked;       /* items in slots */
    uint32_t highest;      /* highest item ever put, for wheel_memory() */
    int64_t second;        /* slots up to this second have been emptied */
    nanoseconds attention; /* before this time nothing can be due */
    struct wheel_due (*due_of)(void *context, uint32_t item);
    void *context;
    uint32_t heads[WHEEL_SLOTS];
    uint64_t occupied[WHEEL_SLOTS / 64];
};

/* Items are numbers from 1 to `capacity`. `due_of` says when an item that was put is really due; between
 * calls it may grow, but if it shrinks, wheel_put() must be called again. */
int wheel_init(struct wheel *wheel, uint32_t capacity,
               struct wheel_due (*due_of)(void *context, uint32_t item), void *context, struct error *err);
void wheel_release(struct wheel *wheel);
uint64_t wheel_memory(const struct wheel *wheel);

/* Puts an item where its due says; moves it if it was there already. */
void wheel_put(struct wheel *wheel, uint32_t item);

/* Takes an item out, if it is in. */
void wheel_remove(struct wheel *wheel, uint32_t item);

/* The first item that is due at `now` or before, which stays in the wheel; 0 if there is none. `now` never
 * runs backwards. */
uint32_t wheel_first(struct wheel *wheel, nanoseconds now, nanoseconds *due);

/* The item with the nearest due, however far; 0 if the wheel is empty. It stays in the wheel. */
uint32_t wheel_nearest(struct wheel *wheel);

#endif
