/* From a frame to its transport payload, in one pass, without copies.
 *
 * decode_packet() reads link, network and transport headers and notes where things lie. It trusts no length
 * field: each is held against what was captured and against the layer around it. What is odd is reported as
 * an anomaly by name, the outermost one if there are several; a header that makes no sense ends the decoding
 * there.
 *
 * Of nested IP headers the outermost counts: a tunnel is a flow of its IP protocol. What is inside is opened
 * by decode/tunnel.h, one tunnel at a time, and decoded as a packet of its own. Only MPLS and PPPoE, which
 * stand between link and IP, are walked here: they are noted, and there is no flow around them.
 *
 * Sources: RFC 791, 8200, 9293, 768, 792, 4443; IEEE 802.3 and 802.1Q; tcpdump.org/linktypes. */
#ifndef LUNETTE_DECODE_DECODE_H
#define LUNETTE_DECODE_DECODE_H

#include "base/ip.h"
#include "capture/packet.h"

#include <stdbool.h>

struct tunnel;

/* How far decoding came. */
enum decoded_kind {
    DECODED_NOTHING, /* no IP inside, or not readable: `anomaly` may say why */
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
    uint8_t kind;  /* enum decoded_kind */
    uint8_t proto; /* IP protocol number of the transport, behind IPv6 extension headers: 6, 17, 1, 58 … */
    uint8_t ttl;
    uint8_t dscp_ecn;
    bool dont_fragment;
    bool fragment; /* part of a fragmented datagram that was not put together: see decode/fragments.h */
    bool more_fragments;
    uint8_t
        fragment_protocol; /* what the joined datagram begins with: an IP protocol or IPv6 extension header */
    uint16_t fragment_offset; /* bytes; 0 in the first fragment, which has ports */
    uint32_t fragment_id;
    bool has_ports;             /* ports (or, for ICMP, type and code and echo id) were readable */
    bool truncated;             /* the capture cut the packet before the end of its IP datagram */
    uint16_t ip_id;             /* IPv4 only */
    bool ip_reserved;           /* IPv4: the flag bit that must be zero is not (RFC 791 section 3.1) */
    uint16_t ip_options_length; /* bytes of IPv4 options, of IPv6 extension headers */
    uint32_t flow_label;        /* IPv6 only */
    uint16_t vlan;              /* outermost VLAN id, 0 if untagged */
    struct ip src, dst;
    uint16_t src_port, dst_port;     /* 0 where there are none */
    uint8_t icmp_type, icmp_code;    /* ICMP and ICMPv6 */
    uint16_t icmp_id, icmp_sequence; /* of an echo, or another query of ICMP */
    uint8_t tcp_flags;
    uint16_t tcp_window;
    uint32_t tcp_seq, tcp_ack;
    const uint8_t *tcp_options; /* raw options, tcp_options_length bytes */
    uint8_t tcp_options_length;
    const uint8_t
        *payload; /* transport payload that was captured. ICMP: behind the 8 bytes of a query or an error,
                   * behind the checksum otherwise. A protocol we do not read, a later fragment: all of it */
    uint32_t payload_captured;
    uint32_t payload_length;   /* on the wire, by the IP and UDP headers, within the frame */
    const uint8_t *ip_payload; /* what follows the IP header and the IPv6 extension headers before the
                                * transport (or before the fragment's data) */
    uint32_t ip_payload_captured;
    uint32_t ip_payload_length;
    uint32_t wire_length;         /* packet->original: counted as bytes of the flow */
    const char *anomaly;          /* NULL, or a static name such as "bad_header_length" */
    const char *anomaly_protocol; /* "link", "ip", "ipv6", "tcp", "udp", "icmp", "icmpv6", "sctp", "tunnel" */
    const struct tunnel *tunnel;  /* what the packet came in, the innermost; NULL outside tunnels. Borrowed:
                                   * valid as long as the packet, or static */
    const char *carries; /* the packet is that tunnel's, by what it carries: tunnel_open() sets it. Static */
};

void decode_packet(const struct packet *packet, struct decoded *out);

#endif
