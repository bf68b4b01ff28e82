/* Buffers double when they grow; digits are made two at a time. */
#include "output/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool buffer_grow(struct buffer *b, size_t more) {
    if (b->failed) return false;
    size_t wanted = b->length + more;
    size_t capacity = b->capacity ? b->capacity : 512;
    while (capacity < wanted) capacity *= 2;
    char *at = realloc(b->at, capacity);
    if (!at) {
        b->failed = true;
        return false;
    }
    b->at = at;
    b->capacity = capacity;
    return true;
}

void buffer_free(struct buffer *b) {
    free(b->at);
    *b = (struct buffer){0};
}

void buffer_fill(struct buffer *b, char c, size_t count) {
    if (count == 0 || !buffer_reserve(b, count)) return;
    memset(b->at + b->length, c, count);
    b->length += count;
}

void buffer_format(struct buffer *b, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (n <= 0 || !buffer_reserve(b, (size_t)n + 1)) return;
    va_start(arguments, format);
    vsnprintf(b->at + b->length, (size_t)n + 1, format, arguments);
    va_end(arguments);
    b->length += (size_t)n;
}

static uint32_t count_digits(uint64_t value) {
    uint32_t count = 1;
    for (; value >= 10000; value /= 10000) count += 4;
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

uint32_t decimal_digits(uint64_t value, char *out) {
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
        "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
        "8081828384858687888990919293949596979899";
    uint32_t length = count_digits(value);
    char *at = out + length;
    for (; value >= 100; value /= 100) {
        at -= 2;
        memcpy(at, pairs + value % 100 * 2, 2);
    }
    if (value >= 10)
        memcpy(at - 2, pairs + value * 2, 2);
    else
        at[-1] = (char)('0' + value);
    return length;
}

void buffer_u64(struct buffer *b, uint64_t value) {
    if (buffer_reserve(b, 20)) b->length += decimal_digits(value, b->at + b->length);
}
