/* Tunnels: each kind built by hand around the same datagrams, what is only like one, headers that are cut,
 * nesting; and which flows meet inside. A packet is built from the inside out, each header put before what is
 * there. */
#include "packets.h"

#include "decode/fragments.h"
#include "decode/tunnel.h"
#include "flow/tunnels.h"

#include <ctype.h>
#include <sys/wait.h>
#include <unistd.h>

struct made {
    uint8_t room[4096];
    uint32_t length;
};

static uint8_t *start_of(struct made *m) {
    return m->room + sizeof m->room - m->length;
}

static void before(struct made *m, const void *bytes, uint32_t length) {
    m->length += length;
    assert_true(m->length <= sizeof m->room);
    memcpy(start_of(m), bytes, length);
}

static void before_hex(struct made *m, const char *hex) {
    uint8_t bytes[256];
    uint32_t digits = 0;
    for (; *hex; hex++) {
        if (!isxdigit((unsigned char)*hex)) continue;
        uint8_t value = (uint8_t)strtoul((char[]){*hex, 0}, NULL, 16);
        bytes[digits / 2] = digits % 2 ? (uint8_t)(bytes[digits / 2] | value) : (uint8_t)(value << 4);
        digits++;
    }
    before(m, bytes, digits / 2);
}

static void before_udp(struct made *m, uint16_t from, uint16_t to) {
    uint32_t n = m->length + 8;
    before(m, (uint8_t[]){from >> 8, from & 255, to >> 8, to & 255, n >> 8, n & 255, 0, 0}, 8);
}

static void before_ip(struct made *m, uint8_t proto, const char *src, const char *dst) {
    struct ip a = world_ip(src), b = world_ip(dst);
    uint32_t n = m->length;
    if (!ip_is_v4(&a)) {
        uint8_t h[40] = {0x60, 0, 0, 0, n >> 8, n & 255, proto, 64};
        memcpy(h + 8, a.bytes, 16);
        memcpy(h + 24, b.bytes, 16);
        before(m, h, 40);
        return;
    }
    n += 20;
    uint8_t h[20] = {0x45, 0, n >> 8, n & 255, 0, 1, 0, 0, 64, proto};
    memcpy(h + 12, a.bytes + 12, 4);
    memcpy(h + 16, b.bytes + 12, 4);
    uint32_t sum = 0;
    for (int i = 0; i < 20; i += 2) sum += load_be16(h + i);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    h[10] = (uint8_t)(~sum >> 8);
    h[11] = (uint8_t)~sum;
    before(m, h, 20);
}

static void before_ethernet(struct made *m, const char *type) {
    before_hex(m, type);
    before_hex(m, "02aa00000001 02aa00000002");
}

/* What is inside: 10.9.0.1:5000 asks 10.9.0.2:53, or the same in IPv6. */
static struct made inner(bool v6) {
    struct made m = {.length = 0};
    before(&m, "inner payload", 13);
    before_udp(&m, 5000, 53);
    if (v6)
        before_ip(&m, 17, "2001:db8:9::1", "2001:db8:9::2");
    else
        before_ip(&m, 17, "10.9.0.1", "10.9.0.2");
    return m;
}

/* The same in a frame, with VLAN 7 if asked. */
static struct made inner_frame(bool vlan) {
    struct made m = inner(false);
    before_ethernet(&m, vlan ? "8100 0007 0800" : "0800");
    return m;
}

static struct packet packet_of(struct made *m) {
    return (struct packet){
        .bytes = start_of(m), .captured = m->length, .original = m->length, .link_type = 101};
}

struct opened {
    struct decoded outer, inner;
    struct packet packet;
    struct tunnel tunnel;
    bool carries;
};

static void open_made(struct made *m, struct opened *o) {
    struct packet packet = packet_of(m);
    memset(o, 0, sizeof *o);
    decode_packet(&packet, &o->outer);
    assert_int_equal(o->outer.kind, DECODED_TRANSPORT);
    o->carries = tunnel_possible(&o->outer) && tunnel_open(&packet, &o->outer, &o->packet, &o->tunnel);
    if (o->carries) tunnel_decode(&o->packet, &o->tunnel, &o->inner);
}

static void expect_address(const struct ip *address, const char *text) {
    char seen[IP_TEXT_SIZE];
    ip_format(address, seen);
    assert_string_equal(seen, text);
}

static void expect_inner(const struct opened *o, bool v6, const char *kind, uint32_t id) {
    assert_true(o->carries);
    assert_string_equal(o->outer.carries, kind);
    assert_null(o->outer.anomaly);
    assert_int_equal(o->inner.kind, DECODED_TRANSPORT);
    assert_null(o->inner.anomaly);
    expect_address(&o->inner.src, v6 ? "2001:db8:9::1" : "10.9.0.1");
    expect_address(&o->inner.dst, v6 ? "2001:db8:9::2" : "10.9.0.2");
    assert_int_equal(o->inner.src_port, 5000);
    assert_int_equal(o->inner.dst_port, 53);
    assert_int_equal(o->inner.payload_captured, 13);
    assert_memory_equal(o->inner.payload, "inner payload", 13);
    assert_ptr_equal(o->inner.tunnel, &o->tunnel);
    assert_string_equal(tunnel_word(o->tunnel.kind), kind);
    assert_int_equal(o->tunnel.id, id);
    assert_int_equal(o->tunnel.depth, 1);
    assert_true(ip_equals(&o->tunnel.src, &o->outer.src));
    assert_true(ip_equals(&o->tunnel.dst, &o->outer.dst));
}

struct around {
    const char *kind;
    enum { V4, V6, FRAME } inside;
    const char *header; /* before what is inside */
    uint8_t proto;      /* 17: with the port */
    uint16_t port;
    uint32_t id;
};

static const struct around kinds[] = {
    {"gre", V4, "0000 0800", 47, 0, 0},
    {"gre", V6, "0000 86dd", 47, 0, 0},
    {"gre", V4, "b000 0800 ffff0000 0000002a 00000007", 47, 0, 42},           /* checksum, key, sequence */
    {"gre", V4, "4000 0800 00000000 0800 0004 01020304 0000 0000", 47, 0, 0}, /* a source route */
    {"gre", FRAME, "2000 6558 000012ff", 47, 0, 0x12ff},                      /* NVGRE */
    {"gre", V4, "0000 8847 00010 1ff", 47, 0, 0},                             /* one label: S is set */
    {"gre", V4, "0000 880b ff03 0021", 47, 0, 0},
    {"pptp", V4, "3081 880b 002b 1234 00000001 00000002 21", 47, 0, 0},
    {"pptp", V4, "2001 880b 0060 1234 ff03 0021", 47, 0, 0},
    {"erspan", FRAME, "0000 88be", 47, 0, 0},
    {"erspan", FRAME, "1000 88be 00000001 1001 0064 00000000", 47, 0, 100},
    {"erspan", FRAME, "1000 22eb 00000001 2001 0065 00000000 0000 0000", 47, 0, 101},
    {"erspan", FRAME, "1000 22eb 00000001 2001 0065 00000000 0000 0001 0000000000000000", 47, 0, 101},
    {"erspan", V4, "1000 22eb 00000001 2001 0065 00000000 0000 0800", 47, 0, 101}, /* frame type: IP */
    {"gre", V4, "2000 8909 00000028 0800 0101 0001 0007", 47, 0, 40},              /* a security group tag */
    {"wccp", V4, "0000 883e", 47, 0, 0},
    {"wccp", V4, "0000 883e 01000000", 47, 0, 0},
    {"ipip", V4, "", 4, 0, 0},
    {"6in4", V6, "", 41, 0, 0},
    {"vxlan", FRAME, "08000000 00000500", 17, 4789, 5},
    {"vxlan", FRAME, "08000000 00000500", 17, 8472, 5},
    {"vxlan", FRAME, "88000011 00000500", 17, 4789, 5}, /* with a group policy */
    {"vxlan", FRAME, "0c000003 00000500", 17, 4790, 5},
    {"vxlan", V4, "0c000001 00000500", 17, 4790, 5},
    {"vxlan", V6, "0c000002 00000500", 17, 4790, 5},
    {"vxlan", V4, "0c000004 00000500 00060101 00000100 00000000 00000000 00000000 00000000", 17, 4790,
     5}, /* NSH */
    {"geneve", FRAME, "0000 6558 00000900", 17, 6081, 9},
    {"geneve", V4, "0200 0800 00000900 0102 8001 deadbeef", 17, 6081, 9},
    {"geneve", V6, "0000 86dd 00000900", 17, 6081, 9},
    {"gtp", V4, "30ff 0029 00000123", 17, 2152, 0},
    {"gtp", V4, "32ff 002d 00000123 0001 00 00", 17, 2152, 0},
    {"gtp", V4, "34ff 0031 00000123 0000 00 85 01 10 09 00", 17, 2152, 0},
    {"gtp", V6, "30ff 003d 00000123", 17, 2152, 0},
    {"gtp", FRAME, "30ff 0037 00000123", 17, 2152, 0},
    {"l2tp", V4, "0002 0001 0002 ff03 0021", 17, 1701, 0},
    {"l2tp", V4, "4002 0035 0001 0002 ff03 0021", 17, 1701, 0},
    {"l2tp", V6, "4a02 0052 0001 0002 0001 0001 0003 aaaaaa ff03 0057", 17, 1701, 0},
    {"l2tp", FRAME, "0003 0000 0000abcd", 17, 1701, 0},
    {"l2tp", FRAME, "0003 0000 0000abcd 0011223344556677 40000001", 17, 1701, 0}, /* cookie, sublayer */
    {"l2tp", FRAME, "0000abcd", 115, 0, 0},
    {"mpls", V4, "00010 1ff", 137, 0, 0},
    {"mpls", V4, "00010 0ff 00020 1ff", 17, 6635, 0},
    {"mpls", FRAME, "00010 1ff 00000000", 17, 6635, 0}, /* a pseudowire with a control word */
    {"mpls", FRAME, "00010 1ff", 17, 6635, 0},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static struct made build(const struct around *a, bool outer_v6, bool back) {
    struct made m = a->inside == FRAME ? inner_frame(false) : inner(a->inside == V6);
    before_hex(&m, a->header);
    if (a->proto == 17) before_udp(&m, back ? a->port : 40000, back ? 40000 : a->port);
    const char *src = outer_v6 ? "2001:db8::1" : "192.0.2.1",
               *dst = outer_v6 ? "2001:db8::2" : "198.51.100.1";
    before_ip(&m, a->proto, back ? dst : src, back ? src : dst);
    return m;
}

static void every_kind_is_opened(void **state) {
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        struct made m = build(&kinds[i], false, false);
        struct opened o;
        open_made(&m, &o);
        if (!o.carries) print_error("kind %d, %s %s\n", i, kinds[i].kind, kinds[i].header);
        expect_inner(&o, kinds[i].inside == V6, kinds[i].kind, kinds[i].id);
    }
}

static void ipv6_carries_them_too(void **state) {
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        struct made m = build(&kinds[i], true, false);
        struct opened o;
        open_made(&m, &o);
        const char *kind = kinds[i].proto == 4 ? "4in6" : kinds[i].proto == 41 ? "6in6" : kinds[i].kind;
        expect_inner(&o, kinds[i].inside == V6, kind, kinds[i].id);
    }
}

/* No byte is read beyond what was captured, and nothing that was cut off is made up. */
static void headers_that_are_cut(void **state) {
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        struct made m = build(&kinds[i], false, false);
        for (uint32_t length = 20; length < m.length; length++) {
            uint8_t *bytes = malloc(length);
            memcpy(bytes, start_of(&m), length);
            struct packet packet = {
                .bytes = bytes, .captured = length, .original = m.length, .link_type = 101};
            struct packet inside;
            struct decoded outer, in;
            struct tunnel tunnel;
            decode_packet(&packet, &outer);
            if (tunnel_possible(&outer) && tunnel_open(&packet, &outer, &inside, &tunnel)) {
                assert_true(inside.bytes >= bytes && inside.bytes + inside.captured <= bytes + length);
                assert_true(inside.captured <= inside.original);
                tunnel_decode(&inside, &tunnel, &in);
                assert_null(in.anomaly); /* it was the capture that cut it */
            }
            assert_null(outer.anomaly);
            free(bytes);
        }
    }
}

static void broken_bytes_do_no_harm(void **state) {
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        struct made m = build(&kinds[i], false, false);
        uint8_t *bytes = malloc(m.length);
        for (uint32_t at = 0; at < m.length; at++)
            for (unsigned bit = 0; bit < 8; bit++) {
                memcpy(bytes, start_of(&m), m.length);
                bytes[at] ^= (uint8_t)(1 << bit);
                struct packet packet = {
                    .bytes = bytes, .captured = m.length, .original = m.length, .link_type = 101};
                struct packet inside;
                struct decoded outer, in;
                struct tunnel tunnel;
                decode_packet(&packet, &outer);
                if (!tunnel_possible(&outer) || !tunnel_open(&packet, &outer, &inside, &tunnel)) continue;
                assert_true(inside.bytes >= bytes && inside.bytes + inside.captured <= bytes + m.length);
                tunnel_decode(&inside, &tunnel, &in);
            }
        free(bytes);
    }
}

/* The ports are used for other things too; and what is on them must be what it says. */
static void what_is_only_like_a_tunnel(void **state) {
    (void)state;
    static const struct {
        const char *header;
        bool frame;
        uint16_t port;
    } not [] = {
        {"00000000 00000500", true, 4789}, /* no flag I */
        {"08000001 00000500", true, 4789}, /* reserved bits */
        {"08000000 00000501", true, 4789},
        {"4000 6558 00000900", true, 6081}, /* a version to come */
        {"0000 6558 00000901", true, 6081},
        {"0000 0800 00000900", true, 6081},  /* a frame where an IP packet should be */
        {"3f00 0800 00000900", false, 6081}, /* options longer than all */
        {"10ff 0029 00000123", false, 2152}, /* GTP' */
        {"48ff 0029 00000123", false, 2152}, /* version 2 */
        {"30ff 1000 00000123", false, 2152}, /* longer than its datagram */
        {"34ff 002d 00000123 00000085 00", false, 2152},
        {"0002 0000 0000 ff03 0021", false, 1701}, /* no session */
        {"0002 0001 0002 ff03 1234", false, 1701}, /* no such PPP protocol */
        {"00010 1ff", false, 4789},
        {"", false, 3544}, /* IPv4 in Teredo */
        {"deadbeef deadbeef", false, 2152},
    };
    for (unsigned i = 0; i < sizeof not / sizeof not [0]; i++) {
        struct made m = not [i].frame ? inner_frame(false) : inner(false);
        before_hex(&m, not [i].header);
        before_udp(&m, 40000, not [i].port);
        before_ip(&m, 17, "192.0.2.1", "198.51.100.1");
        struct opened o;
        open_made(&m, &o);
        if (o.carries || o.outer.carries) print_error("header %s\n", not [i].header);
        assert_false(o.carries);
        assert_null(o.outer.carries);
    }
    struct made m = inner(true); /* IPv6 without Teredo's addresses */
    before_udp(&m, 40000, 3544);
    before_ip(&m, 17, "192.0.2.1", "198.51.100.1");
    struct opened o;
    open_made(&m, &o);
    assert_null(o.outer.carries);
}

/* A tunnel's own messages belong to it, and have nothing inside. */
static void what_tunnels_say_themselves(void **state) {
    (void)state;
    static const struct {
        const char *payload, *kind;
        uint8_t proto;
        uint16_t port;
    } said[] = {
        {"3201 0004 00000000 0001 0000", "gtp", 17, 2152},                       /* echo request */
        {"c802 0014 0000 0000 0000 0000 8008 0000 0000 0001", "l2tp", 17, 1701}, /* SCCRQ */
        {"0002 0001 0002 ff03 c021 01010004", "l2tp", 17, 1701},                 /* LCP */
        {"0002 0001 0002 00fd 99999999", "l2tp", 17, 1701},                      /* compressed */
        {"0000 0000", "gre", 47, 0},                                             /* a keep-alive */
        {"0000 2000 01b4 1234", "gre", 47, 0},                                   /* CDP */
        {"3001 880b 0006 1234 00000001 fd 9999999999", "pptp", 47, 0},           /* MPPE */
        {"1000 22eb 00000001 2001 0065 00000000 0000 1c00 99", "erspan", 47, 0}, /* frame type 7 */
    };
    for (unsigned i = 0; i < sizeof said / sizeof said[0]; i++) {
        struct made m = {.length = 0};
        before_hex(&m, said[i].payload);
        if (said[i].proto == 17) before_udp(&m, 40000, said[i].port);
        before_ip(&m, said[i].proto, "192.0.2.1", "198.51.100.1");
        struct opened o;
        open_made(&m, &o);
        if (!o.outer.carries) print_error("%s\n", said[i].payload);
        assert_false(o.carries);
        assert_string_equal(o.outer.carries, said[i].kind);
    }
}

/* RFC 4380: an authentication with its client id, an origin, IPv6 between Teredo's addresses. */
static void teredo_with_its_indications(void **state) {
    (void)state;
    static const char *const indications[] = {
        "", "0000 ffff 3ffffdfe", "0001 0000 0102030405060708 00",
        "0001 0204 6162 63646566 0102030405060708 01 0000 ffff 3ffffdfe"};
    for (int i = 0; i < 4; i++) {
        struct made m = {.length = 0};
        before(&m, "inner payload", 13);
        before_udp(&m, 5000, 53);
        before_ip(&m, 17, "2001:0:c000:201:0:1234:3fff:fdfe", "2001:db8::5");
        before_hex(&m, indications[i]);
        before_udp(&m, 3544, 40000);
        before_ip(&m, 17, "192.0.2.1", "198.51.100.1");
        struct opened o;
        open_made(&m, &o);
        assert_true(o.carries);
        assert_string_equal(o.outer.carries, "teredo");
        assert_int_equal(o.inner.src_port, 5000);
        assert_memory_equal(o.inner.payload, "inner payload", 13);
    }
}

static void an_inner_vlan_is_kept(void **state) {
    (void)state;
    struct made m = inner_frame(true);
    before_hex(&m, "08000000 00000500");
    before_udp(&m, 40000, 4789);
    before_ip(&m, 17, "192.0.2.1", "198.51.100.1");
    struct opened o;
    open_made(&m, &o);
    assert_int_equal(o.inner.vlan, 7);
    assert_int_equal(o.outer.vlan, 0);
    assert_int_equal(o.packet.link_type, 1);
}

/* MPLS and PPPoE stand between link and IP: noted, no flow around them. */
static void on_the_link(void **state) {
    (void)state;
    static const struct {
        const char *header, *type, *kind;
        bool frame;
    } links[] = {
        {"00010 1ff", "8847", "mpls", false},
        {"00010 1ff 00000000", "8847", "mpls", true},
        {"00010 1ff", "8847", "mpls", true},
        {"1100 0001 002b 0021", "8864", "pppoe", false},
    };
    for (unsigned i = 0; i < sizeof links / sizeof links[0]; i++) {
        struct made m = links[i].frame ? inner_frame(false) : inner(false);
        before_hex(&m, links[i].header);
        before_ethernet(&m, links[i].type);
        struct packet packet = packet_of(&m);
        packet.link_type = 1;
        struct decoded d;
        decode_packet(&packet, &d);
        assert_int_equal(d.kind, DECODED_TRANSPORT);
        assert_int_equal(d.dst_port, 53);
        assert_non_null(d.tunnel);
        assert_string_equal(tunnel_word(d.tunnel->kind), links[i].kind);
        assert_int_equal(d.tunnel->identity, 0);
        assert_false(tunnel_possible(&d));
    }
}

/* Frames in labels in frames in labels: the second pseudowire is one too many. */
static void labels_do_not_nest_for_ever(void **state) {
    (void)state;
    struct made m = inner_frame(false);
    for (int i = 0; i < 40; i++) {
        before_hex(&m, "00010 1ff");
        before_ethernet(&m, "8847");
    }
    struct packet packet = packet_of(&m);
    packet.link_type = 1;
    struct decoded d;
    decode_packet(&packet, &d); /* a frame of labels is no sure frame: it is not followed at all */
    assert_int_equal(d.kind, DECODED_NOTHING);
}

/* Opens all there is; returns how many packets were inside. */
static int unwrap(struct made *m, const char **anomaly) {
    struct packet packet = packet_of(m), inside;
    struct decoded d;
    struct tunnel tunnel, around;
    int depth = 0;
    decode_packet(&packet, &d);
    while (tunnel_possible(&d) && tunnel_open(&packet, &d, &inside, &tunnel)) {
        around = tunnel;
        packet = inside;
        tunnel_decode(&packet, &around, &d);
        assert_int_equal(around.depth, ++depth);
    }
    *anomaly = d.anomaly;
    return depth;
}

static void nesting_has_an_end(void **state) {
    (void)state;
    for (int layers = 1; layers < 60; layers++) {
        struct made m = inner(false);
        for (int i = 0; i < layers; i++) before_ip(&m, 4, "192.0.2.1", "198.51.100.1");
        const char *anomaly;
        int opened = unwrap(&m, &anomaly);
        assert_int_equal(opened, layers < TUNNELS_MOST ? layers : TUNNELS_MOST);
        if (layers > TUNNELS_MOST)
            assert_string_equal(anomaly, "tunnel_too_deep");
        else
            assert_null(anomaly);
    }
}

/* Both directions of one tunnel have one identity, different tunnels have different ones. */
static void identities(void **state) {
    (void)state;
    uint64_t there[KINDS];
    for (int i = 0; i < KINDS; i++) {
        struct made m = build(&kinds[i], false, false), n = build(&kinds[i], false, true);
        struct opened o, p;
        open_made(&m, &o);
        open_made(&n, &p);
        assert_true(o.carries && p.carries);
        assert_int_equal(o.tunnel.identity, p.tunnel.identity);
        assert_int_not_equal(o.tunnel.identity, 0);
        there[i] = o.tunnel.identity;
    }
    for (int i = 0; i < KINDS; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(kinds[i].kind, kinds[j].kind) != 0) assert_int_not_equal(there[i], there[j]);
}

static uint64_t identity_by(const char *header, uint8_t proto, uint16_t port, bool frame, const char *src,
                            const char *dst) {
    struct made m = frame ? inner_frame(false) : inner(false);
    before_hex(&m, header);
    if (proto == 17) before_udp(&m, 40000, port);
    before_ip(&m, proto, src, dst);
    struct opened o;
    open_made(&m, &o);
    assert_true(o.carries);
    return o.tunnel.identity;
}

static void what_counts_and_what_does_not(void **state) {
    (void)state;
    const char *a = "192.0.2.1", *b = "198.51.100.1", *c = "198.51.100.2";
    uint64_t five = identity_by("08000000 00000500", 17, 4789, true, a, b);
    assert_int_not_equal(five, identity_by("08000000 00000600", 17, 4789, true, a, b));
    assert_int_not_equal(five, identity_by("08000000 00000500", 17, 4789, true, a, c));
    assert_int_not_equal(identity_by("2000 0800 00000001", 47, 0, false, a, b),
                         identity_by("2000 0800 00000002", 47, 0, false, a, b));
    /* the flow's hash in NVGRE's key, GTP's TEID, L2TP's session, PPTP's call */
    assert_int_equal(identity_by("2000 6558 00000101", 47, 0, true, a, b),
                     identity_by("2000 6558 00000102", 47, 0, true, b, a));
    assert_int_equal(identity_by("30ff 0029 00000123", 17, 2152, false, a, b),
                     identity_by("30ff 0029 00000456", 17, 2152, false, b, a));
    assert_int_equal(identity_by("0002 0001 0002 ff03 0021", 17, 1701, false, a, b),
                     identity_by("0002 0003 0004 ff03 0021", 17, 1701, false, b, a));
    assert_int_equal(identity_by("2001 880b 0060 1234 ff03 0021", 47, 0, false, a, b),
                     identity_by("2001 880b 0060 4321 ff03 0021", 47, 0, false, b, a));
}

/* ----------------------------------------------------------------------- flows */

struct talk_made {
    struct made m;
    struct opened o;
};

/* A question or its answer in VXLAN, given to the room as the worker does it: outer packet, inner packet. */
static void send_vxlan(struct world *w, struct talk_made *t, double at, unsigned vni, bool answer,
                       const char *outer) {
    struct made m = {.length = 0};
    const char *here = "192.0.2.1", *client = "10.9.0.1", *server = "10.9.0.2";
    before(&m, "inner payload", 13);
    before_udp(&m, answer ? 53 : 5000, answer ? 5000 : 53);
    before_ip(&m, 17, answer ? server : client, answer ? client : server);
    before_ethernet(&m, "8100 0007 0800");
    before(&m, (uint8_t[]){8, 0, 0, 0, 0, (uint8_t)(vni >> 8), (uint8_t)vni, 0}, 8);
    before_udp(&m, 40000, 4789);
    before_ip(&m, 17, answer ? outer : here, answer ? here : outer);
    t->m = m;
    open_made(&t->m, &t->o);
    assert_true(t->o.carries);
    world_packet(w, at, &t->o.outer);
    world_packet(w, at, &t->o.inner);
}

static void flows_inside_meet_and_do_not_mix(void **state) {
    (void)state;
    static struct talk_made made[8];
    struct world *w = world_new(NULL, BATCH_EVENTS, 64, NULL);
    send_vxlan(w, &made[0], 0.0, 5, false, "198.51.100.1");
    send_vxlan(w, &made[1], 0.1, 5, true, "198.51.100.1");
    send_vxlan(w, &made[2], 0.2, 6, false, "198.51.100.1");
    send_vxlan(w, &made[3], 0.3, 5, false, "198.51.100.2");
    world_finish(w);
    int inside = 0, outside = 0;
    for (uint32_t i = 0; i < w->flows; i++) {
        const struct event_flow *e = &w->flow[i].e;
        if (e->head.tunnel) {
            inside++;
            assert_string_equal(e->head.tunnel, "vxlan");
            assert_int_equal(e->head.vlan, 7);
            assert_int_equal(e->head.server_port, 53);
            assert_int_equal(e->body.tunnel_depth, 1);
            expect_address(&e->body.tunnel_src, "192.0.2.1");
            bool first = e->body.server_packets == 1;
            if (first) expect_address(&e->body.tunnel_dest, "198.51.100.1");
            if (first) assert_int_equal(e->body.tunnel_id, 5);
        } else {
            outside++;
            assert_string_equal(e->body.app_proto, "vxlan");
            assert_int_equal(e->body.tunnel_depth, 0);
        }
    }
    assert_int_equal(inside, 3);
    assert_true(outside >= 2);
    const struct flow_counters *n = flow_room_counters(w->room);
    assert_int_equal(n->packets, 4); /* what is inside is not counted twice */
    assert_int_equal(n->tunnelled[TUNNEL_VXLAN], 4);
    world_free(w);
}

/* More tunnels than are told apart, all with open flows: the rest share a number, and are counted. */
static void more_tunnels_than_numbers(void **state) {
    (void)state;
    struct tunnels t = {.seed = 12345};
    struct tunnel tunnel = {.kind = TUNNEL_VXLAN, .depth = 1};
    for (unsigned i = 1; i <= TUNNELS_TOLD_APART; i++) {
        tunnel.identity = i * 0x9e3779b97f4a7c15u;
        t.burst++;
        uint16_t number = tunnels_number(&t, &tunnel, (uint16_t)(i % 5));
        assert_true(number >= 4096);
        assert_int_equal(tunnels_number(&t, &tunnel, (uint16_t)(i % 5)), number);
        assert_int_equal(tunnels_vlan(&t, number), i % 5);
        tunnels_enter(&t, number);
    }
    assert_int_equal(t.refused, 0);
    t.burst++;
    tunnel.identity = 1;
    uint16_t shared = tunnels_number(&t, &tunnel, 3);
    tunnel.identity = 2;
    assert_int_equal(tunnels_number(&t, &tunnel, 3), shared);
    assert_int_equal(t.refused, 2);
    tunnels_enter(&t, shared);
    tunnels_leave(&t, shared);

    tunnel.identity = 7 * 0x9e3779b97f4a7c15u; /* one ends: its number goes to the next, in a later burst */
    uint16_t seventh = tunnels_number(&t, &tunnel, 2);
    tunnels_leave(&t, seventh);
    tunnel.identity = 3;
    assert_int_equal(tunnels_number(&t, &tunnel, 0), shared);
    t.burst++;
    assert_int_equal(tunnels_number(&t, &tunnel, 0), seventh);
    assert_int_equal(tunnels_vlan(&t, seventh), 0);
    tunnels_release(&t);
}

/* Numbers without flows go round: a burst that brings a packet of the oldest and one of a new tunnel finds
 * the next oldest for that, whichever comes first. */
static void numbers_in_use_do_not_bar_others(void **state) {
    (void)state;
    struct tunnels t = {.seed = 12345};
    struct tunnel tunnel = {.kind = TUNNEL_VXLAN, .depth = 1};
    uint16_t first = 0;
    for (unsigned i = 1; i <= TUNNELS_TOLD_APART; i++) {
        tunnel.identity = i;
        t.burst++;
        uint16_t number = tunnels_number(&t, &tunnel, 0);
        if (i == 1) first = number;
        tunnels_enter(&t, number);
        tunnels_leave(&t, number);
    }
    t.burst++;
    tunnel.identity = 1;
    assert_int_equal(tunnels_number(&t, &tunnel, 0), first);
    tunnel.identity = TUNNELS_TOLD_APART + 1;
    uint16_t new = tunnels_number(&t, &tunnel, 0);
    assert_int_not_equal(new, first);
    assert_int_equal(t.refused, 0);
    tunnel.identity = 3; /* it was the second oldest that went */
    tunnels_number(&t, &tunnel, 0);
    tunnel.identity = 2;
    uint16_t again = tunnels_number(&t, &tunnel, 0);
    assert_int_not_equal(again, new);
    assert_int_equal(t.refused, 0);
    tunnels_release(&t);
}

/* ------------------------------------------------------------------- fragments */

/* A piece of the datagram inside, in VXLAN of that network. */
static bool offer_piece(struct fragments *f, struct made *m, unsigned vni, uint32_t offset, uint32_t length,
                        bool more, struct decoded *out, struct tunnel *tunnel) {
    static uint8_t bytes[64];
    memset(bytes, (int)vni, sizeof bytes);
    if (offset == 0) memcpy(bytes, (uint8_t[]){0x13, 0x88, 0, 53, 0, 48, 0, 0}, 8);
    m->length = 0;
    before(m, bytes, length);
    before_ip(m, 17, "10.9.0.1", "10.9.0.2");
    start_of(m)[6] = more ? 0x20 : 0;
    start_of(m)[7] = (uint8_t)(offset / 8);
    before_ethernet(m, "0800");
    before(m, (uint8_t[]){8, 0, 0, 0, 0, 0, (uint8_t)vni, 0}, 8);
    before_udp(m, 40000, 4789);
    before_ip(m, 17, "192.0.2.1", "198.51.100.1");
    struct opened o;
    open_made(m, &o);
    assert_true(o.carries && o.inner.fragment);
    o.inner.tunnel = tunnel;
    *tunnel = o.tunnel;
    return fragments_offer(f, &o.packet, &o.inner, out);
}

static void fragments_inside_are_joined_apart(void **state) {
    (void)state;
    struct error err;
    struct fragments *f = fragments_new(1 << 20, &err);
    struct made m;
    struct decoded whole;
    struct tunnel first, second, third, last;
    assert_false(offer_piece(f, &m, 1, 0, 24, true, &whole, &first));
    assert_false(
        offer_piece(f, &m, 2, 24, 24, false, &whole, &second)); /* same addresses and id, other tunnel */
    assert_true(offer_piece(f, &m, 1, 24, 24, false, &whole, &third));
    assert_ptr_equal(whole.tunnel, &third); /* not the first one's, which may be gone */
    assert_int_equal(whole.payload_length, 40);
    assert_int_equal(whole.payload[39], 1);
    assert_true(offer_piece(f, &m, 2, 0, 24, true, &whole, &last));
    assert_int_equal(whole.payload[39], 2);
    fragments_free(f);
}

/* Of the first kind, as a process of its own sees it: nobody has asked for the seed in this one. */
static uint64_t identity_elsewhere(void) {
    int ends[2];
    uint64_t identity = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct made m = build(&kinds[0], false, false);
        struct opened one, again;
        open_made(&m, &one);
        open_made(&m, &again);
        bool same = one.tunnel.identity == again.tunnel.identity;
        _exit(same && write(ends[1], &one.tunnel.identity, sizeof identity) == sizeof identity ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(read(ends[0], &identity, sizeof identity), sizeof identity);
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    close(ends[0]);
    close(ends[1]);
    return identity;
}

/* Who could compute it could make two tunnels one. It runs first: children inherit a seed that was drawn. */
static void nobody_outside_can_compute_an_identity(void **state) {
    (void)state;
    assert_true(identity_elsewhere() != identity_elsewhere());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_outside_can_compute_an_identity),
        cmocka_unit_test(every_kind_is_opened),
        cmocka_unit_test(ipv6_carries_them_too),
        cmocka_unit_test(headers_that_are_cut),
        cmocka_unit_test(broken_bytes_do_no_harm),
        cmocka_unit_test(what_is_only_like_a_tunnel),
        cmocka_unit_test(what_tunnels_say_themselves),
        cmocka_unit_test(teredo_with_its_indications),
        cmocka_unit_test(an_inner_vlan_is_kept),
        cmocka_unit_test(on_the_link),
        cmocka_unit_test(labels_do_not_nest_for_ever),
        cmocka_unit_test(nesting_has_an_end),
        cmocka_unit_test(identities),
        cmocka_unit_test(what_counts_and_what_does_not),
        cmocka_unit_test(flows_inside_meet_and_do_not_mix),
        cmocka_unit_test(more_tunnels_than_numbers),
        cmocka_unit_test(numbers_in_use_do_not_bar_others),
        cmocka_unit_test(fragments_inside_are_joined_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
