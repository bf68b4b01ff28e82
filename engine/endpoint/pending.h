/* News that wait for their turn: handed back by time, and of one time in the order in which they were read.
 */
#ifndef LUNETTE_ENDPOINT_PENDING_H
#define LUNETTE_ENDPOINT_PENDING_H

#include "endpoint/news.h"

/* News, and bytes of them: an exec may have arguments of 32 KiB. */
enum { PENDING_MOST = 16384, PENDING_BYTES = 32 << 20 };

struct pending_news {
    nanoseconds time; /* the host's clock set right */
    uint64_t order;
    uint32_t log;
    bool backlog;      /* it was in the file before anybody looked */
    struct news *news; /* owned */
};

struct pending {
    struct pending_news *heap; /* the earliest first; owned */
    uint32_t count, room;
    size_t bytes;   /* of all news that wait */
    uint64_t given; /* number of the next */
};

static inline bool pending_is_full(const struct pending *pending) {
    return pending->count >= PENDING_MOST || pending->bytes >= PENDING_BYTES;
}

/* Takes the news over. -1 without memory, or when it is full: then it stays the caller's. */
int pending_add(struct pending *pending, struct pending_news news);

/* NULL if there is none. */
static inline const struct pending_news *pending_first(const struct pending *pending) {
    return pending->count ? &pending->heap[0] : NULL;
}

/* Takes the first out: its news is the caller's, to be freed. There must be one. */
struct pending_news pending_take(struct pending *pending);

void pending_clear(struct pending *pending);

#endif
