/* The entrance to decoding: clears the result, starts with the link layer. */
#include "decode/decode.h"
#include "capture/pktap.h"
#include "decode/layers.h"

/* In pieces, which compilers turn into a few vector stores: for all of it at once they choose a `rep stos`,
 * whose start alone costs more than the rest of decoding a link header. */
static inline void clear(struct decoded *out) {
    enum { PIECE = 64, PIECES = sizeof *out / PIECE, TAIL = sizeof *out % PIECE };
    uint8_t *at = (uint8_t *)out;
    for (int i = 0; i < PIECES; i++) memset(at + i * PIECE, 0, PIECE);
    memset(at + PIECES * PIECE, 0, TAIL);
}

void decode_packet(const struct packet *packet, struct decoded *out) {
    clear(out);
    out->wire_length = packet->original;
    struct rest r = {packet->bytes, packet->captured, packet->original};
    /* Taken off where packets come in, if it can be read (capture/pktap.h). */
    if (__builtin_expect(packet->link_type == LINKTYPE_PKTAP, 0))
        note_anomaly(out, "link", "bad_pktap_header");
    decode_link(packet->link_type, r, out);
}
