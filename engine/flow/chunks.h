/* Where TCP bytes wait that came before their turn: blocks of 2 KiB from one bounded slab, in lists ordered
 * by sequence number that never overlap. The first byte to come for a place is the one that stays. */
#ifndef LUNETTE_FLOW_CHUNKS_H
#define LUNETTE_FLOW_CHUNKS_H

#include "flow/slab.h"

enum { CHUNK_SIZE = 2048, CHUNK_DATA = CHUNK_SIZE - 12 };

struct chunk {
    uint32_t next; /* 0: last; the slab's own link while free */
    uint32_t seq;
    uint32_t length;
    uint8_t data[CHUNK_DATA];
};
_Static_assert(sizeof(struct chunk) == CHUNK_SIZE, "blocks without gaps");

struct chunks {
    struct slab slab;
};

int chunks_init(struct chunks *chunks, uint64_t bytes, struct error *err);
void chunks_release(struct chunks *chunks);

static inline struct chunk *chunk_at(const struct chunks *chunks, uint32_t index) {
    return slab_at(&chunks->slab, index);
}

enum chunks_answer {
    CHUNKS_STORED = 0,
    CHUNKS_FULL = 1,
    CHUNKS_DIFFER = 2
}; /* FULL and DIFFER may be or-ed */

/* Stores `length` bytes at `seq` into the list that begins at `*first`, where nothing lies yet. `*room` is
 * the number of blocks the list may still take, and is lowered. CHUNKS_FULL: some bytes found no place; those
 * before them are stored. CHUNKS_DIFFER: bytes that were there already are not the same. */
unsigned chunks_store(struct chunks *chunks, uint32_t *first, uint32_t seq, const uint8_t *data,
                      uint32_t length, uint32_t *room);

/* Are stored bytes that lie within [seq, seq + length) other than `data`? */
bool chunks_differ(const struct chunks *chunks, uint32_t first, uint32_t seq, const uint8_t *data,
                   uint32_t length);

/* Takes the first block off the list and gives it back to the store: use its bytes before. */
void chunks_drop_first(struct chunks *chunks, uint32_t *first);

#endif
