/* Puts fragmented IPv4 and IPv6 datagrams together again, within a bound of memory. One object per worker.
 *
 * Where fragments overlap, what came first stays: hosts differ in this, and an overlap is an attack on
 * whoever guesses otherwise, so it is reported as the anomaly "fragment_overlap" (an exact repetition is not
 * one). A datagram that is not complete 30 seconds after its first fragment (RFC 791 and 8200 allow 15 to 120
 * and 60) is let go, and so is the oldest one when the memory is used up. */
#ifndef LUNETTE_DECODE_FRAGMENTS_H
#define LUNETTE_DECODE_FRAGMENTS_H

#include "base/error.h"
#include "decode/decode.h"

#include <stddef.h>

struct fragments;

/* Counters that only grow, but for the last two. */
struct fragments_counters {
    uint64_t fragments; /* offered */
    uint64_t datagrams; /* put together */
    uint64_t timed_out; /* datagrams given up for their age */
    uint64_t evicted;   /* datagrams that gave way to newer ones */
    uint64_t overlaps;  /* fragments that overlapped others with other bytes or bounds */
    uint64_t
        refused; /* fragments that cannot be used: cut by the capture, of impossible length or position */
    uint64_t waiting; /* datagrams now in parts */
    uint64_t memory;  /* bytes held now */
};

/* `bytes_bound` covers all that is held for datagrams in parts; it should not be below 128 KiB, so that the
 * largest datagram fits. NULL and an error without memory. */
struct fragments *fragments_new(size_t bytes_bound, struct error *err);

/* Takes in a fragment (`in->fragment`; anything else is left alone). True if it was the last missing part:
 * `out` is then the whole datagram as if it had come unfragmented, with the headers of the first fragment,
 * `wire_length` the sum over all of its frames, and its payload in memory of this object that is valid until
 * the next offer, or, if that brings a fragment that lies in this payload, until the one after it. */
bool fragments_offer(struct fragments *f, const struct packet *packet, const struct decoded *in,
                     struct decoded *out);

const struct fragments_counters *fragments_counters(const struct fragments *f);

void fragments_free(struct fragments *f);

#endif
