/* Transport headers: ports, flags, lengths, and where the payload lies. */
#include "decode/layers.h"

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMPV6 = 58, PROTO_SCTP = 132 };
enum { TCP_HEADER = 20, UDP_HEADER = 8, SCTP_HEADER = 12, ICMP_CHECKED = 4, ICMP_HEADER = 8 };

static inline void set_payload(struct decoded *out, struct rest r) {
    out->payload = r.at;
    out->payload_captured = r.captured;
    out->payload_length = r.wire;
}

/* The payload begins `header` bytes on, which may be beyond what was captured but not beyond the datagram. */
static inline void set_payload_from(struct decoded *out, struct rest r, uint32_t header) {
    if (header <= r.captured)
        set_payload(out, rest_from(r, header));
    else
        set_payload(out, (struct rest){r.at + r.captured, 0, r.wire - header});
}

static inline void read_ports(struct decoded *out, const uint8_t *h) {
    out->src_port = load_be16(h);
    out->dst_port = load_be16(h + 2);
    out->has_ports = true;
}

static void decode_tcp(struct rest r, struct decoded *out) {
    const uint8_t *h = r.at;
    if (__builtin_expect(lacks_header(r, TCP_HEADER, out, "tcp"), 0)) {
        if (r.wire >= TCP_HEADER &&
            r.captured >= 14) { /* a short snap length may still tell the essentials */
            out->tcp_seq = load_be32(h + 4);
            out->tcp_ack = load_be32(h + 8);
            out->tcp_flags = h[13];
            uint32_t header = (h[12] >> 4) * 4u;
            if (header >= TCP_HEADER && header <= r.wire) out->payload_length = r.wire - header;
        }
        bool tiny_fragment = out->fragment && r.wire < TCP_HEADER;
        if ((r.wire >= TCP_HEADER || tiny_fragment) && r.captured >= 4) read_ports(out, h);
        return;
    }
    read_ports(out, h);
    uint32_t header = (h[12] >> 4) * 4u;
    if (__builtin_expect(header < TCP_HEADER || header > r.wire, 0)) {
        note_anomaly(out, "tcp", "bad_header_length"); /* no host heeds its flags */
        return;
    }
    out->tcp_seq = load_be32(h + 4);
    out->tcp_ack = load_be32(h + 8);
    out->tcp_flags = h[13];
    out->tcp_window = load_be16(h + 14);
    uint32_t header_captured = header < r.captured ? header : r.captured;
    out->tcp_options = h + TCP_HEADER;
    out->tcp_options_length = (uint8_t)(header_captured - TCP_HEADER);
    set_payload_from(out, r, header);
}

static void decode_udp(struct rest r, struct decoded *out) {
    if (lacks_header(r, UDP_HEADER, out, "udp")) {
        if (r.wire < UDP_HEADER) return;
        if (r.captured >= 4) read_ports(out, r.at);
        out->payload_length = r.wire - UDP_HEADER;
        return;
    }
    read_ports(out, r.at);
    /* 0: a jumbogram (RFC 2675 section 4), or segmentation was left to the network card. */
    uint32_t length = load_be16(r.at + 4);
    if (length == 0 || out->fragment) {
        /* of a first fragment, the length is that of the whole datagram */
    } else if (length < UDP_HEADER) {
        note_anomaly(out, "udp", "bad_length");
    } else if (length > r.wire) {
        note_anomaly(out, "udp", "length_beyond_ip");
    } else {
        r.wire = length;
        if (r.captured > length) r.captured = length;
    }
    set_payload(out, rest_from(r, UDP_HEADER));
}

/* Echo, timestamp, information and address mask requests and replies of RFC 792 and 950; echo of RFC 4443. */
static bool icmp_is_query(uint8_t proto, uint8_t type) {
    if (proto == PROTO_ICMPV6) return type == 128 || type == 129;
    return type == 0 || type == 8 || (type >= 13 && type <= 18);
}

/* Errors quote the packet they are about behind eight bytes. */
static bool icmp_is_error(uint8_t proto, uint8_t type) {
    if (proto == PROTO_ICMPV6) return type >= 1 && type <= 4;
    return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static void decode_icmp(uint8_t proto, struct rest r, struct decoded *out) {
    const char *name = proto == PROTO_ICMP ? "icmp" : "icmpv6";
    if (lacks_header(r, ICMP_CHECKED, out, name)) return;
    out->icmp_type = r.at[0];
    out->icmp_code = r.at[1];
    bool query = icmp_is_query(proto, out->icmp_type);
    if (!query && !icmp_is_error(proto, out->icmp_type)) {
        out->has_ports = true;
        set_payload(out, rest_from(r, ICMP_CHECKED));
        return;
    }
    if (lacks_header(r, ICMP_HEADER, out, name)) return;
    if (query) {
        out->icmp_id = load_be16(r.at + 4);
        out->icmp_sequence = load_be16(r.at + 6);
    }
    out->has_ports = true;
    set_payload(out, rest_from(r, ICMP_HEADER));
}

static void decode_sctp(struct rest r, struct decoded *out) {
    if (lacks_header(r, SCTP_HEADER, out, "sctp")) return;
    read_ports(out, r.at);
    set_payload(out, rest_from(r, SCTP_HEADER));
}

void decode_transport(uint8_t proto, struct rest r, struct decoded *out) {
    out->kind = DECODED_TRANSPORT;
    out->proto = proto;
    out->ip_payload = out->payload = r.at;
    out->ip_payload_captured = r.captured;
    out->ip_payload_length = r.wire;
    switch (proto) {
    case PROTO_TCP:
        decode_tcp(r, out);
        break;
    case PROTO_UDP:
        decode_udp(r, out);
        break;
    case PROTO_ICMP:
    case PROTO_ICMPV6:
        decode_icmp(proto, r, out);
        break;
    case PROTO_SCTP:
        decode_sctp(r, out);
        break;
    default:
        set_payload(out, r);
        break;
    }
}
