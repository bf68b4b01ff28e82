/* How a play's frames differ from the capture's, so that its flows are new ones. */
#ifndef BENCH_MIX_CHANGE_H
#define BENCH_MIX_CHANGE_H

#include "mix_source.h"

/* Every play with addresses of its own, made of its key (0: as they are). */
void frame_change_addresses(uint8_t *frame, uint32_t length, uint32_t key);

/* An office: insiders become hosts of a pool of so many, chosen by the key, and clients get other ports. */
void frame_change_to_office(uint8_t *frame, const struct source_packet *packet, uint32_t hosts, uint32_t key);

#endif
