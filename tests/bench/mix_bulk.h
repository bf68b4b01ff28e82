/* Flows that go on after their hello: where a capture's flow can carry more, and the frames that do. */
#ifndef BENCH_MIX_BULK_H
#define BENCH_MIX_BULK_H

#include "mix_source.h"

/* How far a play's bulk has come. */
struct bulk {
    uint64_t bytes, sent; /* of the server, beyond the capture's */
    uint32_t frames;
};

/* Bytes rounded up so that the last TLS record is whole. */
uint64_t bulk_whole(uint64_t bytes);

/* Writes the next frame of the bulk, the server's or now and then the client's acknowledgement, with the
 * capture's addresses; room of MIX_SNAP. Returns its length, and in `like` the packet whose headers it has.
 */
uint32_t bulk_frame(const struct source *source, struct bulk *bulk, uint8_t *frame,
                    const struct source_packet **like);

/* A packet of the capture after the bulk: its sequence numbers count the bulk as well. */
void bulk_shift(const struct source *source, const struct bulk *bulk, const struct source_packet *packet,
                uint8_t *frame);

#endif
