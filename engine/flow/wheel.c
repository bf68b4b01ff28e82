/* See wheel.h. */
#include "flow/wheel.h"

#include "base/pages.h"

#include <string.h>

enum { SLOT_NONE = 0, SLOT_HEAP = UINT16_MAX }; /* slots are noted as 1 + their number */

struct wheel_link {
    uint32_t next; /* in the heap: the position there */
    uint32_t previous;
    uint32_t slot;
};

struct wheel_ready {
    struct wheel_due at;
    uint32_t item;
};

static const int64_t second_none = -1;

int wheel_init(struct wheel *wheel, uint32_t capacity,
               struct wheel_due (*due_of)(void *context, uint32_t item), void *context, struct error *err) {
    memset(wheel, 0, sizeof *wheel);
    wheel->capacity = capacity;
    wheel->due_of = due_of;
    wheel->context = context;
    wheel->second = second_none;
    size_t items = (size_t)capacity + 1;
    wheel->links = pages_reserve(items * sizeof *wheel->links, true);
    wheel->heap = pages_reserve(items * sizeof *wheel->heap, false);
    if (wheel->links && wheel->heap) return 0;
    wheel_release(wheel);
    return error_set(err, "cannot reserve timers for %u flows: lower the limit on flows", capacity);
}

void wheel_release(struct wheel *wheel) {
    size_t items = (size_t)wheel->capacity + 1;
    pages_release(wheel->links, items * sizeof *wheel->links);
    pages_release(wheel->heap, items * sizeof *wheel->heap);
    wheel->links = NULL;
    wheel->heap = NULL;
}

uint64_t wheel_memory(const struct wheel *wheel) {
    return (uint64_t)wheel->highest * sizeof *wheel->links;
}

static bool ready_before(const struct wheel_ready *a, const struct wheel_ready *b) {
    if (a->at.due != b->at.due) return a->at.due < b->at.due;
    return a->at.order < b->at.order;
}

static void heap_set(struct wheel *wheel, uint32_t position, struct wheel_ready ready) {
    wheel->heap[position] = ready;
    wheel->links[ready.item].next = position;
}

static void heap_up(struct wheel *wheel, uint32_t position, struct wheel_ready ready) {
    while (position > 0) {
        uint32_t parent = (position - 1) / 2;
        if (!ready_before(&ready, &wheel->heap[parent])) break;
        heap_set(wheel, position, wheel->heap[parent]);
        position = parent;
    }
    heap_set(wheel, position, ready);
}

static void heap_down(struct wheel *wheel, uint32_t position, struct wheel_ready ready) {
    for (;;) {
        uint32_t child = 2 * position + 1;
        if (child >= wheel->heap_count) break;
        if (child + 1 < wheel->heap_count && ready_before(&wheel->heap[child + 1], &wheel->heap[child]))
            child++;
        if (!ready_before(&wheel->heap[child], &ready)) break;
        heap_set(wheel, position, wheel->heap[child]);
        position = child;
    }
    heap_set(wheel, position, ready);
}

static void heap_push(struct wheel *wheel, struct wheel_ready ready) {
    wheel->links[ready.item].slot = SLOT_HEAP;
    heap_up(wheel, wheel->heap_count++, ready);
}

static void heap_remove(struct wheel *wheel, uint32_t position) {
    struct wheel_ready last = wheel->heap[--wheel->heap_count];
    if (position == wheel->heap_count) return;
    if (position > 0 && ready_before(&last, &wheel->heap[(position - 1) / 2]))
        heap_up(wheel, position, last);
    else
        heap_down(wheel, position, last);
}

static void slot_link(struct wheel *wheel, uint32_t slot, uint32_t item) {
    uint32_t head = wheel->heads[slot];
    wheel->links[item] = (struct wheel_link){.next = head, .previous = 0, .slot = slot + 1};
    if (head) wheel->links[head].previous = item;
    wheel->heads[slot] = item;
    wheel->occupied[slot / 64] |= 1ULL << (slot % 64);
    wheel->linked++;
}

static void slot_unlink(struct wheel *wheel, uint32_t item) {
    struct wheel_link *link = &wheel->links[item];
    uint32_t slot = link->slot - 1;
    if (link->previous)
        wheel->links[link->previous].next = link->next;
    else
        wheel->heads[slot] = link->next;
    if (link->next) wheel->links[link->next].previous = link->previous;
    if (!wheel->heads[slot]) wheel->occupied[slot / 64] &= ~(1ULL << (slot % 64));
    wheel->linked--;
}

static void attention_update(struct wheel *wheel) {
    nanoseconds next = (wheel->second + 1) * NS_PER_SECOND;
    if (wheel->heap_count && wheel->heap[0].at.due < next) next = wheel->heap[0].at.due;
    wheel->attention = next;
}

/* An item that is in no list goes where it belongs. */
static void place(struct wheel *wheel, uint32_t item) {
    struct wheel_due at = wheel->due_of(wheel->context, item);
    int64_t second = at.due / NS_PER_SECOND;
    if (second <= wheel->second) {
        heap_push(wheel, (struct wheel_ready){.at = at, .item = item});
        return;
    }
    if (second - wheel->second >= WHEEL_SLOTS) second = wheel->second + WHEEL_SLOTS - 1;
    slot_link(wheel, (uint32_t)(second % WHEEL_SLOTS), item);
}

void wheel_remove(struct wheel *wheel, uint32_t item) {
    struct wheel_link *link = &wheel->links[item];
    if (link->slot == SLOT_NONE) return;
    if (link->slot == SLOT_HEAP)
        heap_remove(wheel, link->next);
    else
        slot_unlink(wheel, item);
    link->slot = SLOT_NONE;
}

void wheel_put(struct wheel *wheel, uint32_t item) {
    if (item > wheel->highest) wheel->highest = item;
    wheel_remove(wheel, item);
    place(wheel, item);
    attention_update(wheel);
}

/* The next second after `wheel->second` that has items; there is at least one. */
static int64_t next_occupied(const struct wheel *wheel) {
    for (int64_t second = wheel->second + 1;;) {
        uint32_t slot = (uint32_t)(second % WHEEL_SLOTS);
        uint64_t rest = wheel->occupied[slot / 64] >> (slot % 64);
        if (rest) return second + __builtin_ctzll(rest);
        second += 64 - slot % 64;
    }
}

/* Empties the slot of `second` into the heap; what is due later is put on. */
static void enter_second(struct wheel *wheel, int64_t second) {
    wheel->second = second;
    uint32_t slot = (uint32_t)(second % WHEEL_SLOTS);
    uint32_t item = wheel->heads[slot];
    wheel->heads[slot] = 0;
    wheel->occupied[slot / 64] &= ~(1ULL << (slot % 64));
    while (item) {
        uint32_t next = wheel->links[item].next;
        wheel->linked--;
        place(wheel, item);
        item = next;
    }
}

/* Makes sure that the first of the heap, if there is one, is really due when it says. */
static void settle_first(struct wheel *wheel) {
    while (wheel->heap_count) {
        struct wheel_ready first = wheel->heap[0];
        if (wheel->due_of(wheel->context, first.item).due == first.at.due) return;
        heap_remove(wheel, 0);
        place(wheel, first.item);
    }
}

uint32_t wheel_first(struct wheel *wheel, nanoseconds now, nanoseconds *due) {
    if (now < wheel->attention) return 0;
    int64_t last = now / NS_PER_SECOND;
    for (;;) {
        settle_first(wheel);
        if (wheel->heap_count) break;
        if (wheel->second >= last) break;
        int64_t next = wheel->linked ? next_occupied(wheel) : last;
        if (next > last) next = last;
        enter_second(wheel, next);
    }
    attention_update(wheel);
    if (!wheel->heap_count || wheel->heap[0].at.due > now) return 0;
    *due = wheel->heap[0].at.due;
    return wheel->heap[0].item;
}

uint32_t wheel_nearest(struct wheel *wheel) {
    for (;;) {
        settle_first(wheel);
        if (wheel->heap_count || !wheel->linked) break;
        enter_second(wheel, next_occupied(wheel));
    }
    attention_update(wheel);
    return wheel->heap_count ? wheel->heap[0].item : 0;
}
