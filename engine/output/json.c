/* Strings go through in runs: a table says which bytes stand for themselves, and only the others are looked
 * at. Numbers are made by hand; only doubles beyond the range of durations are left to the C library. */
#include "output/json.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>

/* Bytes that need a closer look: control bytes, '"', '\', and what is beyond ASCII. */
static bool is_plain(uint8_t c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Eight bytes at once: true if all of them are plain. */
static bool are_plain(uint64_t word) {
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
    uint64_t odd = word | (word - ones * 0x20) | (quote - ones) | (slash - ones);
    return (odd & tops) == 0;
}

/* Copies plain bytes, eight at a time, and returns how many there were. `out` has room for all of them and
 * eight more. */
static size_t copy_plain(char *out, const uint8_t *p, size_t length) {
    size_t done = 0;
    for (; length - done >= 8; done += 8) {
        uint64_t word;
        memcpy(&word, p + done, 8);
        memcpy(out + done, &word, 8);
        if (!are_plain(word)) break;
    }
    for (; done < length && is_plain(p[done]); done++) out[done] = (char)p[done];
    return done;
}

static void put_escaped_byte(struct buffer *b, uint8_t c) {
    static const char digits[] = "0123456789abcdef";
    static const char shorts[][2] = {{'"', '"'},  {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'},
                                     {'\n', 'n'}, {'\r', 'r'},  {'\t', 't'}};
    for (size_t i = 0; i < sizeof shorts / sizeof shorts[0]; i++) {
        if ((uint8_t)shorts[i][0] != c) continue;
        buffer_put(b, (char[2]){'\\', shorts[i][1]}, 2);
        return;
    }
    buffer_put(b, (char[6]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]}, 6);
}

/* The rest of a string, from its first byte that is not plain. */
static void put_escaped(struct buffer *b, const uint8_t *p, size_t length) {
    const uint8_t *end = p + length;
    while (p < end) {
        uint32_t code;
        uint32_t used = *p < 0x80 ? 0 : utf8_decode(p, (size_t)(end - p), &code);
        if (used) {
            buffer_put(b, p, used);
            p += used;
        } else {
            put_escaped_byte(b, *p++);
        }
        if (!buffer_reserve(b, (size_t)(end - p) + 8)) return;
        size_t plain = copy_plain(b->at + b->length, p, (size_t)(end - p));
        b->length += plain;
        p += plain;
    }
}

void json_quote(struct buffer *b, const void *bytes, size_t length) {
    if (!buffer_reserve(b, length + 10)) return;
    char *out = b->at + b->length;
    out[0] = '"';
    size_t plain = copy_plain(out + 1, bytes, length);
    b->length += plain + 1;
    if (plain < length) put_escaped(b, (const uint8_t *)bytes + plain, length - plain);
    buffer_char(b, '"');
}

void json_text(struct buffer *b, const char *text) {
    json_quote(b, text, strlen(text));
}

void json_item(struct buffer *b) {
    if (b->length == 0) return;
    char last = b->at[b->length - 1];
    if (last != '{' && last != '[') buffer_char(b, ',');
}

void json_key(struct buffer *b, const char *key) {
    json_item(b);
    json_text(b, key);
    buffer_char(b, ':');
}

void json_hex(struct buffer *b, const void *bytes, size_t length) {
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = bytes;
    if (!buffer_reserve(b, length * 2 + 2)) return;
    char *out = b->at + b->length;
    *out++ = '"';
    for (size_t i = 0; i < length; i++) {
        *out++ = digits[p[i] >> 4];
        *out++ = digits[p[i] & 15];
    }
    *out = '"';
    b->length += length * 2 + 2;
}

void json_u64(struct buffer *b, uint64_t value) {
    buffer_u64(b, value);
}

void json_bool(struct buffer *b, bool value) {
    buffer_string(b, value ? "true" : "false");
}

void json_f64(struct buffer *b, double value) {
    enum { MILLION = 1000000 };
    if (!isfinite(value)) {
        buffer_string(b, "null");
        return;
    }
    if (fabs(value) >= 1e12) {
        char text[40];
        int n = snprintf(text, sizeof text, "%.17g", value);
        buffer_put(b, text, (size_t)n);
        if (!strpbrk(text, ".e")) buffer_string(b, ".0");
        return;
    }
    if (!buffer_reserve(b, 32)) return;
    uint64_t millionths = (uint64_t)(fabs(value) * MILLION + 0.5);
    char *out = b->at + b->length;
    if (value < 0 && millionths) *out++ = '-';
    out += decimal_digits(millionths / MILLION, out);
    *out++ = '.';
    uint32_t rest = (uint32_t)(millionths % MILLION);
    uint32_t places = 6;
    while (places > 1 && rest % 10 == 0) {
        rest /= 10;
        places--;
    }
    for (uint32_t i = places; i-- > 0; rest /= 10) out[i] = (char)('0' + rest % 10);
    b->length = (size_t)(out + places - b->at);
}

void json_pair_text(struct buffer *b, const char *key, const char *text) {
    json_key(b, key);
    json_text(b, text);
}

void json_pair_u64(struct buffer *b, const char *key, uint64_t value) {
    json_key(b, key);
    json_u64(b, value);
}

void json_pair_f64(struct buffer *b, const char *key, double value) {
    json_key(b, key);
    json_f64(b, value);
}
