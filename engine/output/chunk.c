/* Chunks are used again and again; one that grew far beyond the usual gives its memory back. */
#include "output/chunk.h"

#include <stdlib.h>

struct chunk *chunk_new(void) {
    struct chunk *chunk = calloc(1, sizeof *chunk);
    if (!chunk) return NULL;
    if (buffer_reserve(&chunk->text, WRITER_CHUNK_BYTES + WRITER_CHUNK_BYTES / 4)) return chunk;
    free(chunk);
    return NULL;
}

void chunk_free(struct chunk *chunk) {
    if (!chunk) return;
    buffer_free(&chunk->text);
    free(chunk->marks);
    free(chunk);
}

void chunk_empty(struct chunk *chunk) {
    if (chunk->text.capacity > 8 * WRITER_CHUNK_BYTES) buffer_free(&chunk->text);
    chunk->text.length = 0;
    chunk->text.failed = false;
    chunk->count = 0;
    chunk->position = 0;
    chunk->unsorted = false;
    chunk->mixed = false;
    chunk->prompt = false;
}

static int compare_keys(const struct line_key *a, const struct line_key *b) {
    if (a->clock != b->clock) return a->clock < b->clock ? -1 : 1;
    if (a->seq != b->seq) return a->seq < b->seq ? -1 : 1;
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    return 0;
}

bool chunk_mark(struct chunk *chunk, struct line_key key, uint32_t at, uint32_t sink) {
    if (chunk->count == chunk->capacity) {
        uint32_t capacity = chunk->capacity ? chunk->capacity * 2 : 256;
        struct line_mark *marks = realloc(chunk->marks, capacity * sizeof *marks);
        if (!marks) return false;
        chunk->marks = marks;
        chunk->capacity = capacity;
    }
    if (chunk->count) {
        const struct line_mark *last = &chunk->marks[chunk->count - 1];
        if (compare_keys(&key, &last->key) < 0) chunk->unsorted = true;
        if (sink != last->sink) chunk->mixed = true;
    }
    uint32_t length = (uint32_t)chunk->text.length - at;
    chunk->marks[chunk->count++] = (struct line_mark){.key = key, .at = at, .length = length, .sink = sink};
    return true;
}

static int compare_marks(const void *left, const void *right) {
    const struct line_mark *a = left, *b = right;
    int order = compare_keys(&a->key, &b->key);
    if (order) return order;
    return a->at < b->at ? -1 : a->at > b->at;
}

void chunk_sort(struct chunk *chunk) {
    if (chunk->unsorted) qsort(chunk->marks, chunk->count, sizeof *chunk->marks, compare_marks);
}
