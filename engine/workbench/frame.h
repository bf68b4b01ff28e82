/* Packets from their parts: Ethernet, IPv4 (RFC 791) or IPv6 (RFC 8200), TCP (RFC 9293), UDP (RFC 768), ICMP
 * (RFC 792, 4443), with lengths and checksums as they ought to be. For tests that are written as
 * conversations.
 *
 * Hardware addresses are made of the IP addresses, so the same host has the same one everywhere; they are
 * locally administered, and none exists. */
#ifndef LUNETTE_WORKBENCH_FRAME_H
#define LUNETTE_WORKBENCH_FRAME_H

#include "base/bytes.h"
#include "base/ip.h"

struct frame_ends {
    struct ip source, target; /* of one family */
    uint16_t source_port, target_port;
    uint8_t ttl;             /* or hop limit */
    uint16_t identification; /* IPv4 */
};

struct frame_tcp {
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window;
    struct slice options; /* at most 40 bytes, a multiple of 4 */
};

enum { FRAME_MOST = 14 + 40 + 65535 };

/* Each writes a frame to `out`, which has room for FRAME_MOST bytes, and returns its length; 0 if the payload
 * does not fit into one packet or the addresses are of two families. A packet is as long as its payload asks
 * for, whatever an Ethernet would carry. */
uint32_t frame_tcp(uint8_t *out, const struct frame_ends *ends, const struct frame_tcp *tcp,
                   struct slice payload);
uint32_t frame_udp(uint8_t *out, const struct frame_ends *ends, struct slice payload);
/* `body` begins behind the checksum: for an echo, identifier, sequence number and data. */
uint32_t frame_icmp(uint8_t *out, const struct frame_ends *ends, uint8_t type, uint8_t code,
                    struct slice body);

/* A frame of a type that nobody takes for IP (IEEE 802, local experimental): it moves the clock of who reads
 * it. */
uint32_t frame_tick(uint8_t *out);

#endif
