/* The form of inputs: records of one byte of marks, two of length (little-endian), then the bytes. A record
 * that claims more bytes than are left has those that are. In inputs of parsers a record is a segment or a
 * datagram, in those of the packet target it is a packet. */
#ifndef LUNETTE_TESTS_FUZZ_RECORDS_H
#define LUNETTE_TESTS_FUZZ_RECORDS_H

#include "base/bytes.h"

#include <stdbool.h>

enum record_mark {
    RECORD_TO_CLIENT = 1, /* the server sends it */
    RECORD_GAP = 2,       /* as many bytes are missing before it as its length says */
    RECORD_EARLY = 4,     /* TCP: it comes ahead of the record behind it */
    RECORD_CUT = 8,       /* a datagram that went on beyond the capture's snap length */
};

struct record {
    uint8_t marks;
    const uint8_t *bytes;
    uint32_t length;
};

static inline bool record_next(struct cursor *rest, struct record *out) {
    if (cursor_left(rest) < 4) return false;
    const uint8_t *head = cursor_take(rest, 3);
    uint32_t length = load_le16(head + 1);
    if (length > cursor_left(rest)) length = (uint32_t)cursor_left(rest);
    *out = (struct record){.marks = head[0], .bytes = cursor_take(rest, length), .length = length};
    return true;
}

#endif
