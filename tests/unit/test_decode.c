/* Decoding: every link type, lengths that lie, headers that are cut. Frames are spelled out by hand; each is
 * decoded from a block of memory of exactly its size, so that the sanitizers see any byte read beyond it. */
#include "decode/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct frame {
    uint8_t *bytes; /* allocated to size */
    uint32_t length;
    uint16_t link_type;
    uint32_t original; /* 0: length */
};

/* Hex digits; spaces do not matter. */
static struct frame frame_of(uint16_t link_type, const char *hex) {
    uint8_t bytes[4096];
    uint32_t digits = 0;
    for (const char *at = hex; *at; at++) {
        if (!isxdigit((unsigned char)*at)) continue;
        char one[2] = {*at, 0};
        uint8_t value = (uint8_t)strtoul(one, NULL, 16);
        if (digits % 2 == 0)
            bytes[digits / 2] = (uint8_t)(value << 4);
        else
            bytes[digits / 2] |= value;
        digits++;
    }
    assert_int_equal(digits % 2, 0);
    struct frame f = {.length = digits / 2, .link_type = link_type};
    f.bytes = malloc(f.length);
    memcpy(f.bytes, bytes, f.length);
    return f;
}

static struct decoded decode_frame(const struct frame *f) {
    struct packet p = {.bytes = f->bytes,
                       .captured = f->length,
                       .original = f->original ? f->original : f->length,
                       .link_type = f->link_type};
    struct decoded d;
    memset(&d, 0xa5, sizeof d); /* nothing may be left undefined */
    decode_packet(&p, &d);
    return d;
}

/* Payload pointers of the result are void: the frame is freed. */
static struct decoded decode_hex(uint16_t link_type, const char *hex) {
    struct frame f = frame_of(link_type, hex);
    struct decoded d = decode_frame(&f);
    free(f.bytes);
    return d;
}

static void expect_addresses(const struct decoded *d, const char *src, const char *dst) {
    char text[IP_TEXT_SIZE];
    assert_int_equal(d->kind, DECODED_TRANSPORT);
    ip_format(&d->src, text);
    assert_string_equal(text, src);
    ip_format(&d->dst, text);
    assert_string_equal(text, dst);
}

static void expect_anomaly(const struct decoded *d, const char *protocol, const char *name) {
    if (!name) {
        if (d->anomaly) fail_msg("%s %s was not expected", d->anomaly_protocol, d->anomaly);
        return;
    }
    assert_non_null(d->anomaly);
    assert_string_equal(d->anomaly_protocol, protocol);
    assert_string_equal(d->anomaly, name);
}

#define MACS         "020000000001 020000000002 "
#define V4_ADDRESSES "c0000201 c6336402 "
/* 28 bytes: IPv4 and UDP 5000 to 53, no payload; TTL 64, id 0x1234, don't fragment. */
#define V4_UDP       "45 00 001c 1234 4000 40 11 0000 " V4_ADDRESSES "1388 0035 0008 0000 "
#define V6_ADDRESSES "20010db8000000000000000000000001 20010db8000000000000000000000002 "
/* 48 bytes: IPv6 and UDP 5000 to 53, no payload; hop limit 255, traffic class 0x20. */
#define V6_UDP "62000000 0008 11 ff " V6_ADDRESSES "1388 0035 0008 0000 "

static void expect_v4_udp(const struct decoded *d) {
    expect_anomaly(d, NULL, NULL);
    expect_addresses(d, "192.0.2.1", "198.51.100.2");
    assert_int_equal(d->proto, 17);
    assert_int_equal(d->src_port, 5000);
    assert_int_equal(d->dst_port, 53);
    assert_int_equal(d->payload_length, 0);
    assert_true(d->has_ports);
    assert_false(d->fragment);
    assert_false(d->truncated);
}

static void expect_v6_udp(const struct decoded *d) {
    expect_anomaly(d, NULL, NULL);
    expect_addresses(d, "2001:db8::1", "2001:db8::2");
    assert_int_equal(d->proto, 17);
    assert_int_equal(d->src_port, 5000);
    assert_int_equal(d->dst_port, 53);
    assert_int_equal(d->payload_length, 0);
    assert_int_equal(d->ttl, 255);
}

static void link_types(void **state) {
    (void)state;
    static const struct {
        uint16_t link_type;
        const char *header;
        bool v6;
    } cases[] = {
        {1, MACS "0800", false},
        {1, MACS "86dd", true},
        {1, MACS "0028 aaaa03 000000 0800", false}, /* RFC 1042 */
        {1, MACS "0028 aaaa03 000000 86dd", true},
        {1, MACS "0020 060603", false},
        {1, MACS "8864 1100 0001 001e 0021", false}, /* PPPoE */
        {1, MACS "8864 1100 0001 0032 0057", true},
        {1, MACS "8847 00010000 00011100", false}, /* MPLS, two labels */
        {1, MACS "8847 00011100", true},
        {0, "02000000", false}, /* host order, little-endian */
        {0, "00000002", false},
        {0, "1e000000", true}, /* Darwin */
        {0, "0000001e", true},
        {0, "1c000000", true}, /* FreeBSD */
        {0, "18000000", true}, /* NetBSD, OpenBSD */
        {108, "00000002", false},
        {108, "00000018", true},
        {12, "", false},
        {12, "", true},
        {14, "", false},
        {101, "", false},
        {101, "", true},
        {228, "", false},
        {229, "", true},
        {113, "0000 0001 0006 020000000001 0000 0800", false},
        {113, "0004 0001 0006 020000000001 0000 86dd", true},
        {276, "0800 0000 00000002 0001 00 06 020000000001 0000", false},
        {276, "86dd 0000 00000002 0001 00 06 020000000001 0000", true},
        {9, "ff03 0021", false},
        {9, "0021", false},
        {9, "21", false}, /* compressed protocol field */
        {9, "0057", true},
        {50, "0f00 0800", false}, /* Cisco HDLC */
        {104, "8f00 86dd", true},
        {51, "1100 0001 001e 0021", false},
        {138, "0000000000000001 0000000000000002 0800", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char hex[512];
        snprintf(hex, sizeof hex, "%s%s", cases[i].header, cases[i].v6 ? V6_UDP : V4_UDP);
        struct decoded d = decode_hex(cases[i].link_type, hex);
        if (d.kind != DECODED_TRANSPORT) fail_msg("case %zu, link type %u", i, cases[i].link_type);
        if (cases[i].v6)
            expect_v6_udp(&d);
        else
            expect_v4_udp(&d);
        assert_int_equal(d.vlan, 0);
    }
}

static void what_is_not_ip(void **state) {
    (void)state;
    struct decoded d =
        decode_hex(1, MACS "0806 0001 0800 06 04 0001 020000000002 c0000201 000000000000 c6336402");
    assert_int_equal(d.kind, DECODED_ARP);
    static const struct {
        uint16_t link_type;
        const char *hex;
    } others[] = {
        {1, MACS "88cc 0207 04"},                  /* LLDP */
        {1, MACS "0026 424203 00000000"},          /* spanning tree */
        {147, V4_UDP},                             /* nobody's link type */
        {149, V4_UDP V4_UDP V4_UDP V4_UDP V4_UDP}, /* USER2 that is no PKTAP */
        {0, "07000000 45"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        d = decode_hex(others[i].link_type, others[i].hex);
        assert_int_equal(d.kind, DECODED_NOTHING);
        expect_anomaly(&d, NULL, NULL);
    }
}

static void vlan_tags(void **state) {
    (void)state;
    struct decoded d = decode_hex(1, MACS "8100 e064 0800" V4_UDP);
    expect_v4_udp(&d);
    assert_int_equal(d.vlan, 100);
    d = decode_hex(1, MACS "88a8 0007 8100 0064 86dd" V6_UDP);
    expect_v6_udp(&d);
    assert_int_equal(d.vlan, 7); /* the outer one */
    d = decode_hex(1, MACS "9100 0008 8100 0064 0800" V4_UDP);
    assert_int_equal(d.vlan, 8);
    expect_v4_udp(&d);
    d = decode_hex(1, MACS
                   "8100 0005 8100 0005 8100 0005 8100 0005 8100 0005 8100 0005 8100 0005 8100 0005 8100 0005"
                   "8100 0005 0800" V4_UDP);
    expect_anomaly(&d, "link", "too_many_vlan_tags");
    d = decode_hex(113, "0000 0001 0006 020000000001 0000 8100 0009 0800" V4_UDP);
    expect_v4_udp(&d);
    assert_int_equal(d.vlan, 9);
}

/* It is taken off where packets come in (test_origin.c); what gets here could not be read. */
static void pktap_headers(void **state) {
    (void)state;
    struct decoded d = decode_hex(258, V4_UDP V4_UDP);
    expect_anomaly(&d, "link", "bad_pktap_header");
}

static void tcp_header(void **state) {
    (void)state;
    struct frame f = frame_of(1, MACS "0800"
                                      "45 2e 0037 beef 0000 31 06 0000" V4_ADDRESSES
                                      "d431 01bb 11223344 55667788 80 18 2000 0000 0000"
                                      "0101 080a 00000001 00000002 616263");
    struct decoded d = decode_frame(&f);
    expect_addresses(&d, "192.0.2.1", "198.51.100.2");
    assert_int_equal(d.proto, 6);
    assert_int_equal(d.ttl, 49);
    assert_int_equal(d.dscp_ecn, 0x2e);
    assert_int_equal(d.ip_id, 0xbeef);
    assert_false(d.dont_fragment);
    assert_int_equal(d.src_port, 54321);
    assert_int_equal(d.dst_port, 443);
    assert_int_equal(d.tcp_seq, 0x11223344);
    assert_int_equal(d.tcp_ack, 0x55667788);
    assert_int_equal(d.tcp_flags, TCP_PSH | TCP_ACK);
    assert_int_equal(d.tcp_window, 0x2000);
    assert_int_equal(d.tcp_options_length, 12);
    assert_memory_equal(d.tcp_options, "\1\1\x08\x0a", 4);
    assert_int_equal(d.payload_length, 3);
    assert_int_equal(d.payload_captured, 3);
    assert_memory_equal(d.payload, "abc", 3);
    assert_int_equal(d.ip_payload_length, 35);
    assert_int_equal(d.wire_length, f.length);
    assert_false(d.truncated);
    expect_anomaly(&d, NULL, NULL);
    free(f.bytes);
}

static void ipv4_options_are_skipped(void **state) {
    (void)state;
    struct decoded d =
        decode_hex(101, "46 00 0020 1234 4000 40 11 0000" V4_ADDRESSES "94040000 1388 0035 0008 0000");
    expect_v4_udp(&d);
    assert_true(d.dont_fragment);
}

static void padding_is_no_payload(void **state) {
    (void)state;
    struct decoded d = decode_hex(1, MACS "0800" V4_UDP "00000000000000000000000000000000 0000");
    expect_v4_udp(&d);
    /* UDP shorter than IP says: the surplus is not UDP's payload. */
    d = decode_hex(101, "45 00 0020 1234 4000 40 11 0000" V4_ADDRESSES "1388 0035 000a 0000 6162 6364");
    assert_int_equal(d.payload_length, 2);
    assert_int_equal(d.payload_captured, 2);
}

static void a_short_snap_length(void **state) {
    (void)state;
    const char *whole = MACS "0800 45 00 0064 1234 4000 40 06 0000" V4_ADDRESSES
                             "1388 0050 00000001 00000002 60 12 0400 0000 0000 020405b4"
                             "41424344 45464748";
    struct frame f = frame_of(1, whole);
    f.original = 14 + 100;
    struct decoded d = decode_frame(&f);
    assert_true(d.truncated);
    expect_anomaly(&d, NULL, NULL);
    assert_int_equal(d.payload_captured, 8);
    assert_int_equal(d.payload_length, 100 - 20 - 24);
    for (uint32_t cut = 0; cut < f.length; cut++) { /* whatever the snap length, it is nobody's fault */
        struct frame part = {
            .bytes = malloc(cut + !cut), .length = cut, .link_type = 1, .original = f.original};
        memcpy(part.bytes, f.bytes, cut);
        d = decode_frame(&part);
        expect_anomaly(&d, NULL, NULL);
        assert_true(d.truncated);
        assert_int_equal(d.kind, cut < 34 ? DECODED_NOTHING : DECODED_TRANSPORT);
        assert_int_equal(d.has_ports, cut >= 38);
        if (cut >= 48) {
            assert_int_equal(d.tcp_flags, TCP_SYN | TCP_ACK);
            assert_int_equal(d.payload_length, 56);
            assert_int_equal(d.payload_captured, cut > 58 ? cut - 58 : 0);
            assert_int_equal(d.tcp_options_length, cut < 54 ? 0 : cut < 58 ? cut - 54 : 4);
        }
        free(part.bytes);
    }
    free(f.bytes);
}

static void lengths_that_lie(void **state) {
    (void)state;
    static const struct {
        const char *hex, *protocol, *anomaly;
        uint8_t kind;
        uint32_t payload;
    } cases[] = {
        {"35 00 001c 1234 4000 40 11 0000" V4_ADDRESSES "1388 0035 0008 0000", "ip", "bad_version", 0, 0},
        {"44 00 001c 1234 4000 40 11 0000" V4_ADDRESSES "1388 0035 0008 0000", "ip", "bad_header_length", 0,
         0},
        {"4f 00 001c 1234 4000 40 11 0000" V4_ADDRESSES "1388 0035 0008 0000", "ip", "bad_header_length", 0,
         0},
        {"45 00 0013 1234 4000 40 11 0000" V4_ADDRESSES "1388 0035 0008 0000", "ip", "bad_total_length", 0,
         0},
        {"45 00 0800 1234 4000 40 11 0000" V4_ADDRESSES "1388 0035 0008 0000", "ip", "length_beyond_frame", 2,
         0},
        {"45 00 0018 1234 4000 40 11 0000" V4_ADDRESSES "1388 0035", "udp", "short_header", 2, 0},
        {"45 00 001e 1234 4000 40 11 0000" V4_ADDRESSES "1388 0035 0007 0000 6162", "udp", "bad_length", 2,
         2},
        {"45 00 001e 1234 4000 40 11 0000" V4_ADDRESSES "1388 0035 0100 0000 6162", "udp", "length_beyond_ip",
         2, 2},
        {"45 00 0028 1234 4000 40 06 0000" V4_ADDRESSES "1388 0035 00000000 00000000 40 02 0000 00000000",
         "tcp", "bad_header_length", 2, 0},
        {"45 00 0028 1234 4000 40 06 0000" V4_ADDRESSES "1388 0035 00000000 00000000 60 02 0000 00000000",
         "tcp", "bad_header_length", 2, 0},
        {"45 00 0020 1234 4000 40 06 0000" V4_ADDRESSES "1388 0035 00000000 00000000", "tcp", "short_header",
         2, 0},
        {"45 00 0017 1234 4000 40 01 0000" V4_ADDRESSES "080000", "icmp", "short_header", 2, 0},
        {"45 00 0018 1234 4000 40 01 0000" V4_ADDRESSES "08000000", "icmp", "short_header", 2, 0},
        {"45 00 0010", "ip", "short_header", 0, 0},
        {"62000000 0100 11 ff" V6_ADDRESSES "1388 0035 0008 0000", "ipv6", "length_beyond_frame", 2, 0},
        {"62000000 0008 11 ff 2001", "ipv6", "short_header", 0, 0},
        {"62000000 0008 00 ff" V6_ADDRESSES "11 05 000000000000", "ipv6", "short_header", 2, 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct decoded d = decode_hex(101, cases[i].hex);
        if (!d.anomaly) fail_msg("case %zu", i);
        expect_anomaly(&d, cases[i].protocol, cases[i].anomaly);
        assert_int_equal(d.kind, cases[i].kind);
        assert_int_equal(d.tcp_flags, 0); /* no host heeds them */
        assert_int_equal(d.payload_length, cases[i].payload);
        assert_true(d.payload_captured <= d.payload_length);
    }
}

/* BSD's loopback: a family in either byte order; some writers put an EtherType in the last two bytes. */
static void loopback_families(void **state) {
    (void)state;
    static const char *const before[] = {"02000000", "00000002", "0f000800"};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        char hex[200];
        snprintf(hex, sizeof hex, "%s %s", before[i],
                 "45 00 001c 1234 4000 40 11 0000" V4_ADDRESSES "1388 0035 0008 0000");
        struct decoded d = decode_hex(0, hex);
        expect_anomaly(&d, NULL, NULL);
        expect_v4_udp(&d);
    }
    struct decoded d = decode_hex(0, "00000007 45 00 001c 1234 4000 40 11 0000");
    assert_int_equal(d.kind, 0);
}

/* Segmentation offload leaves the lengths zero: the frame's counts. */
static void zero_total_length(void **state) {
    (void)state;
    struct decoded d = decode_hex(101, "45 00 0000 1234 4000 40 06 0000" V4_ADDRESSES
                                       "1388 0035 00000000 00000000 50 10 0000 00000000 616263");
    expect_anomaly(&d, NULL, NULL);
    assert_int_equal(d.payload_length, 3);
    d = decode_hex(101, "60000000 0000 11 40" V6_ADDRESSES "1388 0035 0000 0000 61626364");
    expect_anomaly(&d, NULL, NULL);
    assert_int_equal(d.payload_length, 4);
}

static void ipv4_fragments(void **state) {
    (void)state;
    /* The first: UDP says 1480 bytes in all, 16 of them are here. */
    struct decoded d = decode_hex(101, "45 00 0024 1234 2000 40 11 0000" V4_ADDRESSES
                                       "1388 0035 05c8 0000 4142434445464748");
    expect_anomaly(&d, NULL, NULL);
    assert_true(d.fragment && d.more_fragments && d.has_ports);
    assert_int_equal(d.fragment_offset, 0);
    assert_int_equal(d.fragment_id, 0x1234);
    assert_int_equal(d.src_port, 5000);
    assert_int_equal(d.payload_length, 8);
    assert_int_equal(d.ip_payload_length, 16);
    d = decode_hex(101, "45 00 0018 1234 00b9 40 11 0000" V4_ADDRESSES "41424344");
    assert_int_equal(d.kind, DECODED_TRANSPORT);
    assert_true(d.fragment && !d.more_fragments && !d.has_ports);
    assert_int_equal(d.fragment_offset, 1480);
    assert_int_equal(d.src_port, 0);
    assert_int_equal(d.payload_length, 4);
    /* RFC 1858: a first fragment too small for the TCP header. */
    d = decode_hex(101, "45 00 001c 1234 2000 40 06 0000" V4_ADDRESSES "1388 0035 00000001");
    expect_anomaly(&d, "tcp", "short_header");
    assert_true(d.fragment && d.has_ports);
    assert_int_equal(d.dst_port, 53);
}

static void ipv6_extension_headers(void **state) {
    (void)state;
    struct decoded d =
        decode_hex(101, "62000000 0038 00 ff" V6_ADDRESSES "2b 00 050200000100" /* hop by hop, router alert */
                        "3c 02 0401 00000000 00000000000000000000000000000000"  /* routing, 24 bytes */
                        "33 00 010400000000"                                    /* destination options */
                        "11 02 0000 00000001 00000002 00000000");               /* AH says 16 bytes */
    expect_anomaly(&d, "udp", "short_header");                                  /* nothing is left for it */
    assert_int_equal(d.proto, 17);
    d = decode_hex(101, "62000000 0030 00 ff" V6_ADDRESSES "2b 00 050200000100"
                        "3c 00 0001 00000000"
                        "33 00 010400000000"
                        "11 02 0000 00000001 00000002 00000000"
                        "1388 0035 0008 0000");
    expect_v6_udp(&d);
    d = decode_hex(101, "62000000 0010 2c ff" V6_ADDRESSES "11 00 0000 cafebabe 1388 0035 0008 0000");
    expect_v6_udp(&d); /* an atomic fragment, RFC 6946 */
    assert_false(d.fragment);
    d = decode_hex(101, "62000000 0018 2c ff" V6_ADDRESSES
                        "11 00 0001 cafebabe 1388 0035 0100 0000 4142434445464748");
    expect_anomaly(&d, NULL, NULL);
    assert_true(d.fragment && d.more_fragments && d.has_ports);
    assert_int_equal(d.fragment_id, 0xcafebabe);
    assert_int_equal(d.fragment_protocol, 17);
    d = decode_hex(101, "62000000 000c 2c ff" V6_ADDRESSES "11 00 0100 cafebabe 41424344");
    assert_true(d.fragment && !d.more_fragments && !d.has_ports);
    assert_int_equal(d.fragment_offset, 256);
    assert_int_equal(d.payload_length, 4);
    d = decode_hex(101, "62000000 0000 3b ff" V6_ADDRESSES); /* no next header */
    assert_int_equal(d.kind, DECODED_TRANSPORT);
    assert_int_equal(d.proto, 59);
    assert_false(d.has_ports);

    char chain[4096] = "62000000 0100 3c ff" V6_ADDRESSES;
    for (int i = 0; i < 32; i++) strcat(chain, "3c 00 010400000000");
    d = decode_hex(101, chain);
    expect_anomaly(&d, "ipv6", "too_many_extension_headers");
}

static void icmp(void **state) {
    (void)state;
    struct frame f =
        frame_of(101, "45 00 0020 1234 4000 40 01 0000" V4_ADDRESSES "08 00 0000 abcd 0007 61626364");
    struct decoded d = decode_frame(&f);
    assert_int_equal(d.icmp_type, 8);
    assert_int_equal(d.icmp_id, 0xabcd);
    assert_int_equal(d.icmp_sequence, 7);
    assert_int_equal(d.src_port, 0);
    assert_true(d.has_ports);
    assert_int_equal(d.payload_length, 4);
    assert_memory_equal(d.payload, "abcd", 4);
    free(f.bytes);
    d = decode_hex(101, "45 00 0038 1234 4000 40 01 0000" V4_ADDRESSES "03 03 0000 00000000" V4_UDP);
    assert_int_equal(d.icmp_type, 3);
    assert_int_equal(d.icmp_code, 3);
    assert_int_equal(d.icmp_id, 0);
    assert_int_equal(d.payload_length, 28); /* the packet it is about */
    d = decode_hex(101, "60000000 000a 3a 40" V6_ADDRESSES "81 00 0000 0102 0304 6162");
    assert_int_equal(d.proto, 58);
    assert_int_equal(d.icmp_type, 129);
    assert_int_equal(d.icmp_id, 0x0102);
    assert_int_equal(d.payload_length, 2);
    d = decode_hex(101,
                   "60000000 0018 3a ff" V6_ADDRESSES "87 00 0000 00000000 20010db8000000000000000000000002");
    assert_int_equal(d.icmp_type, 135);
    assert_int_equal(d.payload_length, 20);
    expect_anomaly(&d, NULL, NULL);
}

/* Seeded changes to good frames: nothing may be read that is not there, and lengths must agree with each
 * other. */
static void broken_frames_are_survived(void **state) {
    (void)state;
    static const struct {
        uint16_t link_type;
        const char *hex;
    } seeds[] = {
        {1, MACS "88a8 0007 8100 0064 86dd" V6_UDP},
        {1, MACS "0800 46 00 003b beef 0000 31 06 0000" V4_ADDRESSES
                 "94040000 d431 01bb 11223344 55667788 80 18 2000"
                 "0000 0000 0101 080a 00000001 00000002 616263"},
        {1, MACS "8864 1100 0001 001e 0021" V4_UDP},
        {1, MACS "0028 aaaa03 000000 0800" V4_UDP},
        {1, MACS "8847 00010000 00011100" V4_UDP},
        {276, "86dd 0000 00000002 0001 00 06 020000000001 0000" V6_UDP},
        {101, "62000000 0030 00 ff" V6_ADDRESSES "2b 00 050200000100 3c 00 0001 00000000 33 00 010400000000"
              "11 02 0000 00000001 00000002 00000000 1388 0035 0008 0000"},
        {258,
         "2c 00 00 28 00 00 0100 0000 0000 0600 1100 02000000 00000000 00000000 01000000 ffffffff 00000800"
         "656e3000" MACS "0800" V4_UDP},
        {9, "ff03 0021" V4_UDP},
    };
    uint64_t random = 88172645463325252ull;
    for (size_t s = 0; s < sizeof seeds / sizeof *seeds; s++) {
        struct frame seed = frame_of(seeds[s].link_type, seeds[s].hex);
        for (int round = 0; round < 20000; round++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            struct frame f = seed;
            f.length = seed.length - (uint32_t)(random % 3 == 0 ? (random >> 8) % (seed.length + 1) : 0);
            f.original = random & 0x80 ? 0 : f.length + (uint32_t)(random >> 16) % 2000;
            f.bytes = malloc(f.length + !f.length);
            memcpy(f.bytes, seed.bytes, f.length);
            for (uint64_t k = 0; k < 1 + random % 4 && f.length > 0; k++)
                f.bytes[(random >> (10 + 9 * k)) % f.length] = (uint8_t)(random >> 5 * k);
            struct decoded d = decode_frame(&f);
            assert_true(d.payload_captured <= d.payload_length);
            assert_true(d.payload_length <= d.ip_payload_length);
            assert_true(d.ip_payload_length <= d.wire_length);
            if (d.payload_captured > 0) {
                assert_true(d.payload >= f.bytes);
                assert_true(d.payload + d.payload_captured <= f.bytes + f.length);
            }
            if (d.tcp_options_length > 0)
                assert_true(d.tcp_options + d.tcp_options_length <= f.bytes + f.length);
            free(f.bytes);
        }
        free(seed.bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_types),
        cmocka_unit_test(what_is_not_ip),
        cmocka_unit_test(vlan_tags),
        cmocka_unit_test(pktap_headers),
        cmocka_unit_test(tcp_header),
        cmocka_unit_test(ipv4_options_are_skipped),
        cmocka_unit_test(padding_is_no_payload),
        cmocka_unit_test(a_short_snap_length),
        cmocka_unit_test(lengths_that_lie),
        cmocka_unit_test(loopback_families),
        cmocka_unit_test(zero_total_length),
        cmocka_unit_test(ipv4_fragments),
        cmocka_unit_test(ipv6_extension_headers),
        cmocka_unit_test(icmp),
        cmocka_unit_test(broken_frames_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
