/* Captures from nothing, and the writing of capture files. */
#ifndef BENCH_MIX_FLOWS_H
#define BENCH_MIX_FLOWS_H

#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { ENDLESS_FRAME = 96 };

struct endless_mix {
    uint32_t flows, hosts; /* hosts 0: each flow has its own client */
    uint64_t packets;
    uint32_t frame; /* bytes of a frame, without the checksum at its end */
    bool hello;     /* TCP flows begin with a TLS handshake */
};

static const nanoseconds mix_first_time = 1700000000LL * NS_PER_SECOND;

void mix_put_header(FILE *out);
uint64_t mix_put_packet(FILE *out, nanoseconds time, const uint8_t *bytes, uint32_t captured,
                        uint32_t original);

void make_flows(FILE *out, const struct endless_mix *mix);

#endif
