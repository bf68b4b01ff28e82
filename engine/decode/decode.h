/* From a frame to its transport payload, in one pass, without copies.
 *
 * decode_packet() reads link, network and transport headers and notes where things lie. It trusts no length field: each
 * is held against what was captured and against the layer around it. What is odd is reported as an anomaly by name. */
#ifndef LUNETTE_DECODE_DECODE_H
#define LUNETTE_DECODE_DECODE_H

#include "base/ip.h"
#include "capture/packet.h"

#include <stdbool.h>

/* How far decoding came. */
enum decoded_kind {
    DECODED_NOTHING,   /* no IP inside, or not readable: `anomaly` may say why */
    DECODED_ARP,
    DECODED_TRANSPORT, /* IP with a transport payload (or with ports unknown: a later fragment) */
};

enum {
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_PSH = 0x08,
    TCP_ACK = 0x10,
    TCP_URG = 0x20,
    TCP_ECE = 0x40,
    TCP_CWR = 0x80,
};

struct decoded {
    uint8_t kind; /* enum decoded_kind */
    uint8_t proto; /* IP protocol number of the transport: 6, 17, 1, 58 … */
    uint8_t ttl;
    uint8_t dscp_ecn;
    bool dont_fragment;
    bool fragment;      /* part of a fragmented datagram that was not put together */
    bool has_ports;     /* ports (or, for ICMP, type and code and echo id) were readable */
    bool truncated;     /* the capture cut the packet before the end of its IP datagram */
    uint16_t ip_id;
    uint16_t vlan;      /* outermost VLAN id, 0 if untagged */
    struct ip src, dst;
    uint16_t src_port, dst_port; /* 0 where there are none */
    uint8_t icmp_type, icmp_code;
    uint16_t icmp_id, icmp_sequence;
    uint8_t tcp_flags;
    uint16_t tcp_window;
    uint32_t tcp_seq, tcp_ack;
    const uint8_t *tcp_options; /* raw options, tcp_options_length bytes */
    uint8_t tcp_options_length;
    const uint8_t *payload;   /* transport payload that was captured */
    uint32_t payload_captured;
    uint32_t payload_length;  /* on the wire, by the IP header */
    uint32_t wire_length;     /* packet->original: counted as bytes of the flow */
    const char *anomaly;          /* NULL, or a static name such as "bad_header_length" */
    const char *anomaly_protocol; /* "ip", "ipv6", "tcp", … */
};

void decode_packet(const struct packet *packet, struct decoded *out);

#endif
