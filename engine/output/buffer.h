/* A run of text that grows: lines are put together in it before they are written.
 *
 * When memory is short the buffer is marked failed and ignores what is put into it; whoever finishes a line
 * asks once, at the end. So the many small puts of a record need no error handling of their own. */
#ifndef LUNETTE_OUTPUT_BUFFER_H
#define LUNETTE_OUTPUT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buffer {
    char *at; /* not terminated; owned */
    size_t length;
    size_t capacity;
    bool failed; /* a put did not fit and memory was short: the text since then is incomplete */
};

/* Makes the room `buffer_reserve` did not find. */
bool buffer_grow(struct buffer *b, size_t more);
void buffer_free(struct buffer *b);

/* True if `more` bytes may be written at b->at + b->length. */
static inline bool buffer_reserve(struct buffer *b, size_t more) {
    if (b->capacity - b->length >= more) return true;
    return buffer_grow(b, more);
}

static inline void buffer_put(struct buffer *b, const void *bytes, size_t length) {
    if (length == 0 || !buffer_reserve(b, length)) return;
    memcpy(b->at + b->length, bytes, length);
    b->length += length;
}

static inline void buffer_char(struct buffer *b, char c) {
    if (buffer_reserve(b, 1)) b->at[b->length++] = c;
}

static inline void buffer_string(struct buffer *b, const char *text) {
    buffer_put(b, text, strlen(text));
}

/* The same character `count` times. */
void buffer_fill(struct buffer *b, char c, size_t count);

/* For text that is not on the path of every record. */
__attribute__((format(printf, 2, 3))) void buffer_format(struct buffer *b, const char *format, ...);

/* Decimal digits of `value`, at most 20, into `out`; returns how many. */
uint32_t decimal_digits(uint64_t value, char *out);

void buffer_u64(struct buffer *b, uint64_t value);

#endif
