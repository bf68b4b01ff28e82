/* Floods that are odd below the payload: connections, fragments, segments, tunnels, clocks, hosts. */
#include "wire.h"

#include <string.h>

enum { IPIP = 4, ICMP = 1, UDP = 17, TCP = 6, GRE = 47, IP6_IN_IP = 41, ICMP6 = 58, PART = 1400, TINY = 8 };

static const uint64_t documentation = 0x20010db800000000; /* 2001:db8::/64 */

/* Spoofed addresses, of IPv4 and IPv6; and one source that tries all ports. */
void kind_syn_flood(struct wire *w, uint64_t turn) {
    struct end server = end_v4(0x0a000005, 443), from;
    if (turn % 4 == 0) {
        from = end_v6(w, documentation + (roll(w) & 0xffff), (uint16_t)roll(w));
        server = end_v6(w, 0xfd00000000000000, 443);
        memset(server.ip + 8, 1, 8);
    } else if (turn % 4 == 1) {
        from = end_v4(0xcb007109, (uint16_t)roll(w)); /* 203.0.113.9 */
        server = local_end(w, 256);
        server.port = (uint16_t)roll(w);
    } else {
        from = public_end(w, (uint16_t)roll(w));
    }
    tcp(w, from, server, (uint32_t)roll(w), 0, SYN, NULL, 0);
}

/* A flow a packet. */
void kind_flows(struct wire *w, uint64_t turn) {
    uint8_t bytes[32];
    struct end client = local_end(w, 4096), server = public_end(w, (uint16_t)roll(w));
    fill(w, bytes, sizeof bytes);
    if (turn % 2)
        udp(w, client, server, bytes, sizeof bytes);
    else
        tcp(w, client, server, (uint32_t)roll(w), 1, ACK | PSH, bytes, sizeof bytes);
}

static void fragment(struct wire *w, struct end from, struct end to, uint32_t id, uint32_t offset,
                     size_t length, bool more) {
    uint8_t bytes[PART];
    fill(w, bytes, length);
    begin(w, bytes, length);
    push_fragment(w, from, to, from.version == 4 ? ICMP : ICMP6, id, offset, more);
    push_ethernet(w, from, to, from.version == 4 ? 0x0800 : 0x86dd);
    finish(w);
}

/* None is ever whole: tiny first ones, late ones that want 64 KiB, ones beyond 65,535, and overlaps that
 * contradict. */
void kind_fragments(struct wire *w, uint64_t turn) {
    struct end from = public_end(w, 0), to = local_end(w, 256);
    if (turn % 2) {
        from = end_v6(w, documentation, 0);
        to = end_v6(w, 0xfd00000000000000, 0);
    }
    uint32_t id = (uint32_t)roll(w);
    switch (turn / 2 % 5) {
    case 0:
        fragment(w, from, to, id, 0, TINY, true);
        break;
    case 1:
        fragment(w, from, to, id, 64000, TINY, true);
        break;
    case 2:
        fragment(w, from, to, id, 65528, PART, false); /* ping of death */
        break;
    case 3:
        fragment(w, from, to, id, 0, PART, true);
        fragment(w, from, to, id, 8, PART, true);
        fragment(w, from, to, id, 704, 16, false); /* ends before what was there */
        break;
    default:
        for (uint32_t i = 0; i < 8; i++) fragment(w, from, to, id, i * 16, TINY, true); /* every other unit */
    }
}

/* A request whose bytes are sent twice and differ; then what comes after a hole that is never filled. */
void kind_overlaps(struct wire *w, uint64_t turn) {
    static const char first[] = "GET /the/old/way HTTP/1.1\r\nHost: one.example\r\nX: ";
    static const char second[] = "GET /another/way HTTP/1.1\r\nHost: two.example\r\nX: ";
    uint8_t bytes[PART];
    struct end client = local_end(w, 4096), server = public_end(w, 80);
    uint32_t seq = turn % 3 ? (uint32_t)roll(w) : UINT32_MAX - 20; /* one in three wraps */
    handshake(w, client, server, seq);
    if (turn % 2)
        tcp(w, client, server, seq + 20, seq, ACK, second + 20, sizeof second - 21); /* before its place */
    tcp(w, client, server, seq, seq, ACK, first, sizeof first - 1);
    tcp(w, client, server, seq + 10, seq, ACK, second + 10, sizeof second - 11);
    tcp(w, client, server, seq + 5, seq, ACK | URG, "!", 1);
    tcp(w, client, server, seq + (1u << 30), seq, ACK, "beyond the window", 17);
    tcp(w, server, client, seq - (1u << 30), seq, RST, NULL, 0);
    memset(bytes, 'h', sizeof bytes);
    for (uint32_t i = 1; i <= 8; i++)
        tcp(w, client, server, seq + 2000 + i * PART / 2, seq, ACK, bytes, sizeof bytes - i);
}

/* ------------------------------------------------------------------ tunnels */

static void push_around(struct wire *w, unsigned which) {
    struct end from = local_end(w, 1 << 16), to = public_end(w, 0);
    uint8_t *h;
    switch (which) {
    case 0: /* GRE with a key, RFC 2890 */
        h = push(w, 8);
        h[0] = 0x20;
        put16(h + 2, 0x0800);
        put32(h + 4, (uint32_t)roll(w));
        push_ip(w, from, to, GRE);
        break;
    case 1:
        push_ip(w, from, to, IPIP);
        break;
    case 2: /* VXLAN, RFC 7348 */
    case 3: /* GENEVE, RFC 8926 */
        push_ethernet(w, from, to, 0x0800);
        h = push(w, 8);
        h[which == 2 ? 0 : 2] = which == 2 ? 8 : 0x65;
        if (which == 3) h[3] = 0x58;
        put32(h + 4, (uint32_t)roll(w) << 8);
        to.port = which == 2 ? 4789 : 6081;
        push_udp(w, from, to);
        push_ip(w, from, to, UDP);
        break;
    default: /* MPLS in GRE: a stack of forty labels, RFC 3032 */
        for (int i = 0; i < 40; i++) put32(push(w, 4), (uint32_t)roll(w) << 12 | (i == 0 ? 0x100 : 0) | 64);
        h = push(w, 4);
        put16(h + 2, 0x8847);
        push_ip(w, from, to, GRE);
    }
}

/* From one to twelve deep, each with numbers of its own; Teredo; and forty VLAN tags. */
void kind_tunnels(struct wire *w, uint64_t turn) {
    struct end client = local_end(w, 64), server = public_end(w, 443), to = public_end(w, 3544);
    begin(w, NULL, 0);
    if (turn % 8 == 7) { /* Teredo, RFC 4380 */
        struct end a = end_v6(w, 0x2001000000000000 | (roll(w) & 0xffffffff), 1000),
                   b = end_v6(w, documentation, 80);
        push_tcp(w, a, b, 1, 0, SYN);
        push_ip(w, a, b, TCP);
        push_udp(w, client, to);
        push_ip(w, client, to, UDP);
    } else {
        push_tcp(w, client, server, (uint32_t)roll(w), 0, SYN);
        push_ip(w, client, server, TCP);
        for (uint64_t depth = 1 + turn % 12; depth > 0; depth--) push_around(w, below(w, 5));
    }
    unsigned type = 0x0800;
    if (turn % 16 == 3)
        for (int i = 0; i < 40; i++) {
            uint8_t *tag = push(w, 4);
            put16(tag, below(w, 4096));
            put16(tag + 2, type);
            type = 0x8100;
        }
    push_ethernet(w, client, server, type);
    finish(w);
}

/* -------------------------------------------------------------------- clock */

/* Backwards, years ahead, to both ends of what a pcap file can say, and more nanoseconds than a second has.
 */
void kind_clock(struct wire *w, uint64_t turn) {
    const int64_t day = 86400LL * 1000000000, now = w->start + (int64_t)w->sent * w->step;
    int64_t was = w->shift;
    switch (turn % 11) {
    case 3:
        w->shift -= day * below(w, 400);
        break;
    case 5:
        w->shift += day * below(w, 4000);
        break;
    case 6:
        w->shift = -now; /* 1970 */
        break;
    case 7:
        w->shift = (int64_t)UINT32_MAX * 1000000000 - now; /* 2106 */
        break;
    case 9:
        w->strange = (uint32_t)roll(w);
        break;
    default:
        w->shift = 0;
    }
    if (now + w->shift < 0) w->shift = -now;
    if (now + w->shift > (int64_t)UINT32_MAX * 1000000000)
        w->shift = was < 0 ? 0 : (int64_t)UINT32_MAX * 1000000000 - now;
    kind_clean(w, turn / 16);
    w->strange = 0;
}

/* -------------------------------------------------------------------- hosts */

static void arp(struct wire *w, struct end host) {
    uint8_t body[28] = {0, 1, 8, 0, 6, 4, 0, 1};
    put16(body + 8, 0x0200 | (uint32_t)(w->mac >> 32 & 0xff));
    put32(body + 10, (uint32_t)w->mac);
    memcpy(body + 14, host.ip, 4);
    memcpy(body + 24, host.ip, 4);
    begin(w, body, sizeof body);
    push_ethernet(w, host, end_v4(0xffffffff, 0), 0x0806);
    finish(w);
}

static void dhcp(struct wire *w, struct end host) {
    uint8_t body[300] = {1, 1, 6};
    static const uint8_t options[] = {99,  130, 83, 99, 53,  1,   3,   55,  9,  1,
                                      121, 3,   6,  15, 108, 114, 119, 252, 12, 16};
    put32(body + 4, (uint32_t)roll(w));
    put16(body + 28, 0x0200 | (uint32_t)(w->mac >> 32 & 0xff));
    put32(body + 30, (uint32_t)w->mac);
    memcpy(body + 236, options, sizeof options);
    fill_letters(w, (char *)body + 236 + sizeof options, 16);
    body[236 + sizeof options + 16] = 255;
    struct end from = end_v4(0, 68), to = end_v4(0xffffffff, 67);
    memcpy(body + 12, host.ip, 4);
    udp(w, from, to, body, sizeof body);
}

static void mdns(struct wire *w, struct end host) {
    char name[40];
    uint8_t body[600];
    fill_letters(w, name, 20);
    strcpy(name + 20, ".local");
    size_t length = dns_answer(w, body, 0, name, 1);
    host.port = 5353;
    udp(w, host, end_v4(0xe00000fb, 5353), body, length);
}

static void ssdp(struct wire *w, struct end host) {
    char text[300], id[13] = "";
    fill_letters(w, id, 12);
    int length =
        snprintf(text, sizeof text,
                 "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNT: urn:%s\r\nNTS: ssdp:alive\r\n"
                 "USN: uuid:%s\r\nSERVER: %s/1.0\r\nLOCATION: http://10.0.0.1/%s\r\n\r\n",
                 id, id, id, id);
    host.port = 1900;
    udp(w, host, end_v4(0xeffffffa, 1900), text, (size_t)length);
}

/* A host that was never seen, with a hardware address of its own, every time. */
void kind_hosts(struct wire *w, uint64_t turn) {
    struct end host = end_v4(0x0a000000 | (uint32_t)((turn * 0x9e3779b1) & 0xffffff), 50000);
    w->mac = 1 + turn;
    switch (turn % 5) {
    case 0:
        arp(w, host);
        break;
    case 1:
        dhcp(w, host);
        break;
    case 2:
        mdns(w, host);
        break;
    case 3:
        ssdp(w, host);
        break;
    default:
        tcp(w, host, public_end(w, 443), 1, 0, SYN, NULL, 0);
    }
    w->mac = 0;
}
