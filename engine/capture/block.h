/* Bytes of a capture in large blocks, wherever they come from.
 *
 * A file, a pipe, standard input and a gzip or zstd stream all look the same from here: a window [at, end) of
 * bytes in a buffer. block_fill() makes the window wider; to do so it moves what is left to the front of the
 * buffer and reads up to 64 KiB behind it. So a packet that straddles two blocks becomes contiguous, and
 * every pointer into the window is void after block_fill() and block_skip(), and only then. */
#ifndef LUNETTE_CAPTURE_BLOCK_H
#define LUNETTE_CAPTURE_BLOCK_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BLOCK_SIZE = 64 * 1024, /* one read(): a larger one is pushed out of the L2 cache by what flows touch */
    BLOCK_LARGEST = 1100 * 1024 /* most that may be asked of block_fill() */
};

struct block_decoder; /* a gzip or zstd stream under way */

struct block_reader {
    const uint8_t *at; /* the window; the owner moves `at` forward as it consumes */
    const uint8_t *end;
    uint8_t *buffer;
    size_t capacity;
    uint64_t base;                 /* offset of buffer[0] in the stream, after decompression */
    uint64_t file_read;            /* bytes read from the file so far */
    uint64_t file_size;            /* 0 if unknown: a pipe */
    struct block_decoder *decoder; /* NULL: plain */
    int fd;
    bool ended;       /* nothing more comes after `end` */
    bool interrupted; /* since a signal came while it was waited for */
    char
        failure[128]; /* why it ended before its time: a read error, a broken gzip stream; "" if it did not */
};

/* Opens `path`, "-" for standard input, and puts its first bytes into the window, decompressed if they are
 * compressed. -1 and an error that names the file if it cannot be read at all. */
int block_open(struct block_reader *r, const char *path, struct error *err);

/* Frees and closes. Good for a reader that was never opened, if zeroed. */
void block_close(struct block_reader *r);

/* Widens the window to at least `need` (<= BLOCK_LARGEST) bytes; fewer only at the end of the stream. Returns
 * how many there are. */
size_t block_fill(struct block_reader *r, size_t need);

/* Drops `count` bytes, in the window or still to come. Returns how many of them the stream did not have. */
uint64_t block_skip(struct block_reader *r, uint64_t count);

/* "gzip", "zstd", or NULL for a plain stream. */
const char *block_coding(const struct block_reader *r);

static inline size_t block_here(const struct block_reader *r) {
    return (size_t)(r->end - r->at);
}

/* Offset of `at` in the stream: what a message to the user says. */
static inline uint64_t block_offset(const struct block_reader *r) {
    return r->base + (uint64_t)(r->at - r->buffer);
}

/* How the file is called in messages. */
const char *block_title(const char *path);

#endif
