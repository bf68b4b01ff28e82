/* Reading bytes that somebody else wrote.
 *
 * A `struct slice` is a borrowed run of bytes. A `struct cursor` walks one: each read checks what is left;
 * the first read that does not fit sets `failed`, returns zero and so does every later one. A parser can
 * therefore read a whole header and ask once, at its end, whether all of it was there. */
#ifndef LUNETTE_BASE_BYTES_H
#define LUNETTE_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *at;
    uint32_t length;
};

static inline uint16_t load_be16(const uint8_t *p) {
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t load_be24(const uint8_t *p) {
    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}
static inline uint32_t load_be32(const uint8_t *p) {
    return (uint32_t)load_be16(p) << 16 | load_be16(p + 2);
}
static inline uint64_t load_be64(const uint8_t *p) {
    return (uint64_t)load_be32(p) << 32 | load_be32(p + 4);
}
static inline uint16_t load_le16(const uint8_t *p) {
    return (uint16_t)(p[1] << 8 | p[0]);
}
static inline uint32_t load_le32(const uint8_t *p) {
    return (uint32_t)load_le16(p + 2) << 16 | load_le16(p);
}
static inline uint64_t load_le64(const uint8_t *p) {
    return (uint64_t)load_le32(p + 4) << 32 | load_le32(p);
}

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

/* `bytes` may be NULL if there are none: the cursor then stands on nothing, for C allows no sums with NULL.
 */
static inline struct cursor cursor_over(const void *bytes, size_t length) {
    static const uint8_t nothing[1];
    if (!bytes) bytes = nothing;
    return (struct cursor){.at = bytes, .end = (const uint8_t *)bytes + length, .failed = false};
}

static inline size_t cursor_left(const struct cursor *c) {
    return (size_t)(c->end - c->at);
}

/* Returns the next `n` bytes and moves past them, or NULL (and marks the cursor failed). */
static inline const uint8_t *cursor_take(struct cursor *c, size_t n) {
    if (c->failed || cursor_left(c) < n) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *p = c->at;
    c->at += n;
    return p;
}

static inline uint8_t cursor_u8(struct cursor *c) {
    const uint8_t *p = cursor_take(c, 1);
    return p ? p[0] : 0;
}

static inline uint16_t cursor_be16(struct cursor *c) {
    const uint8_t *p = cursor_take(c, 2);
    return p ? load_be16(p) : 0;
}

static inline uint32_t cursor_be24(struct cursor *c) {
    const uint8_t *p = cursor_take(c, 3);
    return p ? load_be24(p) : 0;
}

static inline uint32_t cursor_be32(struct cursor *c) {
    const uint8_t *p = cursor_take(c, 4);
    return p ? load_be32(p) : 0;
}

/* The next `n` bytes as a cursor of their own; an empty, failed one if they are not there. */
static inline struct cursor cursor_sub(struct cursor *c, size_t n) {
    const uint8_t *p = cursor_take(c, n);
    if (!p) return (struct cursor){.at = c->end, .end = c->end, .failed = true};
    return cursor_over(p, n);
}

static inline bool slice_equals(struct slice s, const char *text) {
    size_t n = strlen(text);
    return s.length == n && memcmp(s.at, text, n) == 0;
}

static inline bool slice_begins(struct slice s, const char *text) {
    size_t n = strlen(text);
    return s.length >= n && memcmp(s.at, text, n) == 0;
}

static inline bool slice_ends(struct slice s, const char *text) {
    size_t n = strlen(text);
    return s.length >= n && memcmp(s.at + s.length - n, text, n) == 0;
}

#endif
