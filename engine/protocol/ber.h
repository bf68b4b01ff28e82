/* BER as LDAP uses it (RFC 4511 section 5.1, ITU-T X.690): a tag of one byte, a definite length, the content.
 * What is read is borrowed from the cursor's bytes. */
#ifndef LUNETTE_PROTOCOL_BER_H
#define LUNETTE_PROTOCOL_BER_H

#include "base/bytes.h"

enum ber_tag { BER_INTEGER = 0x02, BER_OCTETS = 0x04, BER_ENUMERATED = 0x0a, BER_SEQUENCE = 0x30 };

/* Reads a tag and a length of at most four bytes; the content may be longer than what is left. The cursor
 * fails where the header is not there or breaks these rules. */
static inline uint32_t ber_header(struct cursor *c, uint8_t *tag) {
    *tag = cursor_u8(c);
    uint8_t first = cursor_u8(c);
    if (first < 0x80) return first;
    uint32_t length = 0;
    if (first == 0x80 || first > 0x84) c->failed = true;
    for (unsigned i = 0; !c->failed && i < first - 0x80u; i++) length = length << 8 | cursor_u8(c);
    return c->failed ? 0 : length;
}

/* The next element's content as a cursor of its own, cut where the bytes end; failed if its header is. */
static inline struct cursor ber_next(struct cursor *c, uint8_t *tag) {
    uint32_t length = ber_header(c, tag);
    size_t here = cursor_left(c) < length ? cursor_left(c) : length;
    return cursor_sub(c, here);
}

/* The next element if it has that tag and is whole; else the cursor fails. */
static inline struct slice ber_expect(struct cursor *c, uint8_t wanted) {
    uint8_t tag;
    uint32_t length = ber_header(c, &tag);
    if (tag != wanted) c->failed = true;
    const uint8_t *at = cursor_take(c, length);
    return at ? (struct slice){at, length} : (struct slice){c->end, 0};
}

/* A number of at most four bytes, not negative, of INTEGER or ENUMERATED. */
static inline uint32_t ber_number(struct cursor *c, uint8_t wanted) {
    struct slice s = ber_expect(c, wanted);
    uint32_t number = 0;
    if (s.length < 1 || s.length > 4 || s.at[0] & 0x80) c->failed = true;
    for (uint32_t i = 0; !c->failed && i < s.length; i++) number = number << 8 | s.at[i];
    return number;
}

#endif
