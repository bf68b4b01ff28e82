/* See chunks.h. Sequence numbers are compared as signed distances: a list never spans 2^31 bytes. */
#include "flow/chunks.h"

#include <string.h>

int chunks_init(struct chunks *chunks, uint64_t bytes, struct error *err) {
    uint64_t blocks = bytes / CHUNK_SIZE;
    if (blocks > UINT32_MAX / 2) blocks = UINT32_MAX / 2;
    return slab_init(&chunks->slab, CHUNK_SIZE, (uint32_t)blocks, false, err);
}

void chunks_release(struct chunks *chunks) {
    slab_release(&chunks->slab);
}

static int32_t distance(uint32_t from, uint32_t to) {
    return (int32_t)(to - from);
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* Puts bytes that overlap nothing before the block `*link`. Returns how many found a place. */
static uint32_t insert(struct chunks *chunks, uint32_t **link, uint32_t seq, const uint8_t *data,
                       uint32_t length, uint32_t *room) {
    uint32_t stored = 0;
    while (stored<length && * room> 0) {
        uint32_t index = slab_take(&chunks->slab);
        if (!index) break;
        --*room;
        struct chunk *chunk = chunk_at(chunks, index);
        chunk->seq = seq + stored;
        chunk->length = least(length - stored, CHUNK_DATA);
        memcpy(chunk->data, data + stored, chunk->length);
        stored += chunk->length;
        chunk->next = **link;
        **link = index;
        *link = &chunk->next;
    }
    return stored;
}

unsigned chunks_store(struct chunks *chunks, uint32_t *first, uint32_t seq, const uint8_t *data,
                      uint32_t length, uint32_t *room) {
    unsigned answer = CHUNKS_STORED;
    uint32_t *link = first;
    while (length > 0) {
        struct chunk *chunk = *link ? chunk_at(chunks, *link) : NULL;
        int32_t ahead = chunk ? distance(seq, chunk->seq) : INT32_MAX; /* from here to the block */
        if (ahead > 0) {
            uint32_t run = least(length, (uint32_t)ahead);
            if (insert(chunks, &link, seq, data, run, room) < run) return answer | CHUNKS_FULL;
            seq += run;
            data += run;
            length -= run;
            continue;
        }
        uint32_t into = (uint32_t)-ahead;
        if (into < chunk->length) {
            uint32_t same = least(length, chunk->length - into);
            if (memcmp(chunk->data + into, data, same) != 0) answer |= CHUNKS_DIFFER;
            seq += same;
            data += same;
            length -= same;
        }
        link = &chunk->next;
    }
    return answer;
}

bool chunks_differ(const struct chunks *chunks, uint32_t first, uint32_t seq, const uint8_t *data,
                   uint32_t length) {
    for (uint32_t at = first; at; at = chunk_at(chunks, at)->next) {
        const struct chunk *chunk = chunk_at(chunks, at);
        int32_t ahead = distance(seq, chunk->seq);
        if (ahead >= 0 && (uint32_t)ahead >= length) return false;
        uint32_t theirs = ahead < 0 ? (uint32_t)-ahead : 0;
        uint32_t ours = ahead > 0 ? (uint32_t)ahead : 0;
        if (theirs >= chunk->length) continue;
        uint32_t common = least(length - ours, chunk->length - theirs);
        if (memcmp(chunk->data + theirs, data + ours, common) != 0) return true;
    }
    return false;
}

void chunks_drop_first(struct chunks *chunks, uint32_t *first) {
    uint32_t index = *first;
    *first = chunk_at(chunks, index)->next;
    slab_give(&chunks->slab, index);
}
