/* Is this a character, and may it be shown? Bytes off the wire are seldom promised to be UTF-8, and some
 * characters do more to a terminal than stand there. */
#ifndef LUNETTE_BASE_UTF8_H
#define LUNETTE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes the character at `p`, of which `left` bytes (at least one) are there. Returns its length and puts
 * its number into
 * `*code`, or 0 if the first byte begins no well-formed character: overlong forms, surrogates and what lies
 * beyond U+10FFFF are ill-formed (RFC 3629 section 4). */
static inline uint32_t utf8_decode(const uint8_t *p, size_t left, uint32_t *code) {
    uint8_t lead = p[0];
    *code = lead;
    if (lead < 0x80) return 1;
    if (lead < 0xc2 || lead > 0xf4) return 0;
    uint32_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (left < length) return 0;
    uint32_t value = lead & (0x7fu >> length);
    for (uint32_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (p[i] & 0x3fu);
    }
    if (length == 3 && (value < 0x800 || (value >= 0xd800 && value <= 0xdfff))) return 0;
    if (length == 4 && (value < 0x10000 || value > 0x10ffff)) return 0;
    *code = value;
    return length;
}

/* Control characters, and those that turn, join or hide what stands beside them (Unicode bidi controls,
 * zero-width characters, line separators, tags). */
static inline bool utf8_is_shown(uint32_t c) {
    if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return false;
    if (c == 0xad || c == 0x61c || c == 0x180e || c == 0xfeff) return false;
    if ((c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f))
        return false;
    return c < 0xe0000 || c > 0xe0fff;
}

#endif
