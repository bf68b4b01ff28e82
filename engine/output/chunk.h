/* A chunk: lines of one stream with their keys, on their way from a worker to the writer. Internal to the
 * writer. */
#ifndef LUNETTE_OUTPUT_CHUNK_H
#define LUNETTE_OUTPUT_CHUNK_H

#include "output/buffer.h"
#include "output/writer.h"

/* Where a line lies in its chunk. */
struct line_mark {
    struct line_key key;
    uint32_t at, length;
    uint32_t sink;
};

struct chunk {
    struct chunk *next; /* while it waits to be used again */
    struct buffer text;
    struct line_mark *marks;
    uint32_t count, capacity;
    uint32_t position; /* first mark not yet written */
    bool unsorted;     /* a line came with a key below the one before it */
    bool mixed;        /* lines for different sinks */
    bool prompt;       /* has a line that somebody waits for */
};

struct chunk *chunk_new(void);
void chunk_free(struct chunk *chunk);
void chunk_empty(struct chunk *chunk);

/* Adds a mark for the text from `at` to the end of the buffer. False if memory is short. */
bool chunk_mark(struct chunk *chunk, struct line_key key, uint32_t at, uint32_t sink);

/* Puts the marks in order of their keys; lines with the same key stay in the order in which they came. */
void chunk_sort(struct chunk *chunk);

#endif
