/* Who sent a packet: Apple's and Wireshark's blocks and options, words in comments, PKTAP headers. The files
 * are written here byte by byte, after Apple's pcap-ng.h and xnu's pktap.h. */
#include "build_capture.h"
#include "capture/pktap.h"

enum { RAW = 101, IP_LENGTH = 32 };

/* An IPv4 datagram of UDP: 20 + 8 + 4 bytes. */
static const uint8_t datagram[IP_LENGTH] = {0x45, 0,  0, IP_LENGTH, 0, 1,  0,   0,   64,  17, 0,
                                            0,    10, 0, 0,         1, 10, 0,   0,   2,   0,  53,
                                            0xc0, 0,  0, 12,        0, 0,  'a', 'b', 'c', 'd'};
static const uint8_t uuid[16] = {0x44, 0x91, 0xb4, 0xfa, 0xc7, 0xec, 0x36, 0x7c,
                                 0x9f, 0x2f, 0x13, 0x95, 0xe9, 0x1b, 0xe6, 0x36};

/* ── blocks ──────────────────────────────────────────────────────── */

static void process_block(struct file *f, uint32_t pid, const char *name, uint16_t length, bool with_uuid) {
    size_t b = block_begin(f, 0x80000001);
    put32(f, pid);
    if (name) ng_option(f, 2, name, length);
    if (with_uuid) ng_option(f, 4, uuid, 16);
    ng_option(f, 0, NULL, 0);
    block_end(f, b);
}

static void number_option(struct file *f, uint16_t code, uint32_t value) {
    put16(f, code);
    put16(f, 4);
    put32(f, value);
}

/* A packet at that second, whose options follow until packet_end(). */
static size_t packet_begin(struct file *f, uint32_t seconds, uint32_t captured) {
    uint64_t ticks = (uint64_t)seconds * 1000000;
    uint8_t bytes[IP_LENGTH + 80] = {0};
    memcpy(bytes, datagram, sizeof datagram);
    size_t b = block_begin(f, 6);
    put32(f, 0);
    put32(f, (uint32_t)(ticks >> 32));
    put32(f, (uint32_t)ticks);
    put32(f, captured);
    put32(f, captured);
    put_padded(f, bytes, captured);
    return b;
}

static void packet_end(struct file *f, size_t b) {
    ng_option(f, 0, NULL, 0);
    block_end(f, b);
}

static struct file begin_file(bool big) {
    struct file f = {.big = big};
    ng_section(&f);
    ng_interface(&f, RAW, "en0", 6, 0);
    return f;
}

struct reading {
    struct capture *capture;
    struct packet burst[PACKET_BURST];
    int count, at;
};

static struct reading reading_of(struct file *f) {
    struct reading r = {.capture = open_one(save("origin", f))};
    free(f->bytes);
    return r;
}

static const struct packet *next(struct reading *r) {
    if (r->at == r->count) {
        r->count = capture_next_burst(r->capture, r->burst);
        r->at = 0;
    }
    assert_true(r->count > 0);
    return &r->burst[r->at++];
}

static void reading_ends(struct reading *r) {
    assert_int_equal(r->at, r->count);
    assert_int_equal(capture_next_burst(r->capture, r->burst), 0);
    assert_null(capture_warning(r->capture, 0));
    capture_close(r->capture);
}

static void expect_process(const struct packet_process *p, int32_t pid, const char *name, bool with_uuid) {
    assert_non_null(p);
    assert_int_equal(p->pid, pid);
    assert_string_equal(p->name, name);
    assert_int_equal(p->has_uuid, with_uuid);
    if (with_uuid) assert_memory_equal(p->uuid, uuid, 16);
}

/* ── Apple's ─────────────────────────────────────────────────────── */

static void blocks_and_options_in_both_orders(void **state) {
    (void)state;
    for (int big = 0; big < 2; big++) {
        struct file f = begin_file(big);
        size_t b = packet_begin(&f, 1, IP_LENGTH); /* before any block: nobody */
        number_option(&f, 0x8001, 0);
        packet_end(&f, b);
        process_block(&f, 512, "Safari\0", 7, true); /* old writers count the NUL */
        process_block(&f, 88, "mDNSResponder", 13, false);
        b = packet_begin(&f, 2, IP_LENGTH);
        number_option(&f, 0x8001, 1);
        number_option(&f, 0x8003, 0);
        number_option(&f, 2, 2);
        number_option(&f, 0x8002, 900);
        number_option(&f, 0x8005, 0xabcd1234);
        number_option(&f, 0x8004, 0x28);
        packet_end(&f, b);
        b = packet_begin(&f, 3, IP_LENGTH);
        number_option(&f, 2, 1);
        number_option(&f, 0x8001, 7); /* a block that never comes */
        packet_end(&f, b);
        ng_section(&f); /* numbers begin anew */
        ng_interface(&f, RAW, "en1", 6, 0);
        process_block(&f, 0, "kernel_task", 11, false);
        process_block(&f, 0, NULL, 0, false);        /* nobody, but it counts */
        process_block(&f, UINT32_MAX, "", 0, false); /* nor is -1 anybody */
        process_block(&f, 512, "Safari", 6, true);
        for (uint32_t i = 0; i < 4; i++) {
            b = packet_begin(&f, 4 + i, IP_LENGTH);
            number_option(&f, 0x8001, i);
            packet_end(&f, b);
        }
        struct reading r = reading_of(&f);
        assert_null(next(&r)->origin);
        const struct packet *p = next(&r);
        const struct packet_process *safari = p->origin->effective;
        expect_process(p->origin->process, 88, "mDNSResponder", false);
        expect_process(safari, 512, "Safari", true);
        assert_int_equal(p->direction, PACKET_OUT);
        assert_int_equal(p->origin->service_class, 900);
        assert_int_equal(p->origin->flow_id, 0xabcd1234);
        assert_int_equal(p->origin->flags, ORIGIN_SOCKET | ORIGIN_WAKE);
        p = next(&r);
        assert_null(p->origin);
        assert_int_equal(p->direction, PACKET_IN);
        expect_process(next(&r)->origin->process, 0, "kernel_task", false);
        assert_null(next(&r)->origin);
        assert_null(next(&r)->origin);
        assert_ptr_equal(next(&r)->origin->process, safari); /* one process, however often it is named */
        reading_ends(&r);
    }
}

static void dropped_packets(void **state) {
    (void)state;
    struct file f = begin_file(false);
    size_t b = packet_begin(&f, 1, IP_LENGTH + 73); /* stray bytes behind the datagram */
    number_option(&f, 0x8007, 0x02030014);
    put16(&f, 0x8008);
    put16(&f, 2);
    put16(&f, 815);
    put16(&f, 0);
    ng_option(&f, 0x8009, "ip_output_list", 14);
    packet_end(&f, b);
    b = packet_begin(&f, 2, IP_LENGTH + 73); /* not dropped: as it was */
    number_option(&f, 0x8002, 0);
    packet_end(&f, b);
    struct reading r = reading_of(&f);
    const struct packet *p = next(&r);
    assert_int_equal(p->captured, IP_LENGTH);
    assert_int_equal(p->original, IP_LENGTH);
    assert_int_equal(p->origin->drop_reason, 0x02030014);
    assert_int_equal(p->origin->drop_line, 815);
    assert_string_equal(p->origin->drop_function, "ip_output_list");
    assert_int_equal(next(&r)->captured, IP_LENGTH + 73);
    reading_ends(&r);
}

static void damaged_blocks_cost_a_name_only(void **state) {
    (void)state;
    struct file f = begin_file(false);
    size_t b = block_begin(&f, 0x80000001); /* not even a pid: nobody */
    block_end(&f, b);
    b = block_begin(&f, 0x80000001); /* an option that does not fit */
    put32(&f, 7);
    put16(&f, 2);
    put16(&f, 400);
    put32(&f, 0x61616161);
    block_end(&f, b);
    b = block_begin(&f, 0x80000001); /* a UUID of another length */
    put32(&f, 8);
    ng_option(&f, 4, uuid, 8);
    ng_option(&f, 2, "ssh", 3);
    block_end(&f, b);
    for (uint32_t i = 0; i < 3; i++) {
        b = packet_begin(&f, 1 + i, IP_LENGTH);
        number_option(&f, 0x8001, i);
        packet_end(&f, b);
    }
    b = packet_begin(&f, 9, IP_LENGTH); /* an index of another length */
    ng_option(&f, 0x8001, "\0\0", 2);
    packet_end(&f, b);
    struct reading r = reading_of(&f);
    assert_null(next(&r)->origin);
    expect_process(next(&r)->origin->process, 7, "", false);
    expect_process(next(&r)->origin->process, 8, "ssh", false);
    assert_null(next(&r)->origin);
    reading_ends(&r);
}

/* ── comments ────────────────────────────────────────────────────── */

static void words_in_comments(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int32_t pid; /* -1: no process */
        const char *name;
        uint32_t class, flow_id, flags;
        uint8_t direction;
    } cases[] = {
        {"svc BE, in", -1, NULL, 0, 0, 0, PACKET_IN},
        {"svc CTL, out", -1, NULL, 900, 0, 0, PACKET_OUT},
        {"proc curl:512, svc BK_SYS, re, st, wk, unsent 12, out, flowid 0xbeef, ttag 0x1, cmpgc 0x2", 512,
         "curl", 100, 0xbeef, ORIGIN_RETRANSMIT | ORIGIN_NEW_FLOW | ORIGIN_WAKE, PACKET_OUT},
        {"proc Foo: bar, baz:7:99", 99, "Foo: bar, baz:7", ORIGIN_NO_CLASS, 0, 0, 0},
        {"in", -1, NULL, ORIGIN_NO_CLASS, 0, 0, PACKET_IN},
    };
    static const char *const others[] = {"a comment",          "in the morning", "svc BE, whatever",
                                         "proc curl",          "svc XX",         "svc BE,",
                                         "proc x:99999999999", "outside",        ", in"};
    enum { CASES = sizeof cases / sizeof cases[0], OTHERS = sizeof others / sizeof others[0] };
    struct file f = begin_file(false);
    for (int i = 0; i < CASES + OTHERS; i++) {
        const char *text = i < CASES ? cases[i].text : others[i - CASES];
        size_t b = packet_begin(&f, 1 + (uint32_t)i, IP_LENGTH);
        ng_option(&f, 1, text, (uint16_t)strlen(text));
        packet_end(&f, b);
    }
    struct reading r = reading_of(&f);
    for (int i = 0; i < CASES; i++) {
        const struct packet *p = next(&r);
        assert_int_equal(p->direction, cases[i].direction);
        if (cases[i].pid < 0 && cases[i].class == ORIGIN_NO_CLASS) continue;
        assert_non_null(p->origin);
        if (cases[i].pid < 0)
            assert_null(p->origin->process);
        else
            expect_process(p->origin->process, cases[i].pid, cases[i].name, false);
        assert_int_equal(p->origin->service_class, cases[i].class);
        assert_int_equal(p->origin->flow_id, cases[i].flow_id);
        assert_int_equal(p->origin->flags, cases[i].flags);
    }
    for (int i = 0; i < OTHERS; i++) {
        const struct packet *p = next(&r);
        assert_null(p->origin);
        assert_int_equal(p->direction, PACKET_DIRECTION_UNKNOWN);
    }
    reading_ends(&r);
}

/* ── Wireshark's ─────────────────────────────────────────────────── */

static void wireshark_block(struct file *f, uint32_t enterprise, uint32_t type, uint32_t pid,
                            const char *name, uint64_t start) {
    struct file data = {.big = false}; /* little-endian, whatever the section is */
    put32(&data, pid);
    if (name) {
        ng_option(&data, 2, name, (uint16_t)strlen(name));
        ng_option(&data, 3, "/usr/libexec/x", 14);
        ng_option(&data, 8, uuid, 16);
        put16(&data, 9);
        put16(&data, 8);
        put64(&data, start);
        ng_option(&data, 0, NULL, 0);
    }
    bool big = f->big;
    size_t b = block_begin(f, 0xbad);
    put32(f, enterprise);
    f->big = false;
    put32(f, type);
    put32(f, (uint32_t)data.length);
    f->big = big;
    put_padded(f, data.bytes, data.length);
    ng_option(f, 1, "an option of the block", 22);
    ng_option(f, 0, NULL, 0);
    block_end(f, b);
    free(data.bytes);
}

static void wireshark_packet(struct file *f, uint32_t seconds, uint32_t pid) {
    size_t b = packet_begin(f, seconds, IP_LENGTH);
    put16(f, 8);
    put16(f, 8);
    put32(f, pid);
    put32(f, 4711);
    packet_end(f, b);
}

static void wiresharks_blocks(void **state) {
    (void)state;
    const uint64_t second = 1000000000;
    for (int big = 0; big < 2; big++) {
        struct file f = begin_file(big);
        wireshark_block(&f, 32622, 3, 501, "first", 10 * second);
        wireshark_block(&f, 32622, 3, 501, "second", 20 * second); /* the pid was used again */
        wireshark_block(&f, 32622, 99, 502, "no process", 1);
        wireshark_block(&f, 12345, 3, 503, "somebody else's", 1);
        wireshark_block(&f, 32622, 3, 504, NULL, 0); /* no options at all */
        wireshark_packet(&f, 15, 501);
        wireshark_packet(&f, 25, 501);
        wireshark_packet(&f, 5, 501); /* before any: the last one */
        wireshark_packet(&f, 26, 502);
        wireshark_packet(&f, 26, 503);
        wireshark_packet(&f, 26, 504);
        struct reading r = reading_of(&f);
        const struct packet_process *p = next(&r)->origin->process;
        expect_process(p, 501, "first", true);
        assert_string_equal(p->path, "/usr/libexec/x");
        expect_process(next(&r)->origin->process, 501, "second", true);
        expect_process(next(&r)->origin->process, 501, "second", true);
        for (int32_t pid = 502; pid <= 504; pid++) expect_process(next(&r)->origin->process, pid, "", false);
        reading_ends(&r);
    }
}

/* ── PKTAP ───────────────────────────────────────────────────────── */

static void store32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> 8 * i);
}

/* Version 1; `length` 108 or 156, as stated; `extra` bytes of droptap's behind it. Returns the frame's place.
 */
static size_t header_v1(uint8_t *at, uint32_t length, uint32_t record, uint32_t dlt, uint32_t extra) {
    memset(at, 0, length + extra);
    store32(at, length);
    store32(at + 4, record);
    store32(at + 8, dlt);
    strcpy((char *)at + 12, "utun3");
    store32(at + 36, 2 | 4 | 0x4000 | 0x20000);
    store32(at + 52, 88);
    strcpy((char *)at + 56, "mDNSResponder");
    store32(at + 76, 700);
    store32(at + 84, 512);
    strcpy((char *)at + 88, "Safari");
    if (length == 156) {
        store32(at + 108, 0x1234);
        memcpy(at + 140, uuid, 16);
    }
    return length + extra;
}

static struct packet packet_of(uint8_t *bytes, size_t header, uint16_t link_type) {
    memcpy(bytes + header, datagram, sizeof datagram);
    uint32_t length = (uint32_t)(header + sizeof datagram);
    return (struct packet){
        .bytes = bytes, .captured = length, .original = length + 9, .link_type = link_type};
}

struct house {
    struct origins origins;
    struct processes *processes;
    uint64_t refused;
    char interface[32];
};

static uint8_t note_interface(void *context, const uint8_t *name, uint32_t length) {
    struct house *house = context;
    snprintf(house->interface, sizeof house->interface, "%.*s", (int)length, (const char *)name);
    return 5;
}

static bool strip(struct house *house, struct packet *packet) {
    const struct pktap_names names = {.origins = &house->origins,
                                      .processes = &house->processes,
                                      .refused = &house->refused,
                                      .interface = note_interface,
                                      .context = house};
    return pktap_strip(&names, packet);
}

static void house_free(struct house *house) {
    origins_free(&house->origins);
    processes_free(house->processes);
}

static void expect_datagram(const struct packet *p) {
    assert_int_equal(p->captured, sizeof datagram);
    assert_int_equal(p->original, sizeof datagram + 9);
    assert_int_equal(p->link_type, RAW);
    assert_memory_equal(p->bytes, datagram, sizeof datagram);
}

static void headers_of_version_1(void **state) {
    (void)state;
    static const uint16_t types[] = {258, 149};
    struct house house = {.refused = 0};
    uint8_t bytes[400];
    for (int t = 0; t < 2; t++)
        for (int full = 0; full < 2; full++) {
            struct packet p = packet_of(bytes, header_v1(bytes, full ? 156 : 108, 1, 12, 0), types[t]);
            assert_true(strip(&house, &p));
            expect_datagram(&p);
            assert_string_equal(house.interface, "utun3");
            assert_int_equal(p.interface, 5);
            assert_int_equal(p.direction, PACKET_OUT);
            expect_process(p.origin->process, 88, "mDNSResponder", false);
            expect_process(p.origin->effective, 512, "Safari", full);
            assert_int_equal(p.origin->service_class, 700);
            assert_int_equal(p.origin->flow_id, full ? 0x1234 : 0);
            assert_int_equal(p.origin->flags, ORIGIN_NEW_FLOW | ORIGIN_SOCKET);
        }
    /* Nobody: pid 0 without a name, as for ARP and what the kernel sends by itself; or -1. */
    for (uint32_t pid = 0; pid != UINT32_MAX - 1; pid--) {
        size_t header = header_v1(bytes, 156, 1, 12, 0);
        memset(bytes + 52, 0, 20);
        memset(bytes + 84, 0, 21);
        memset(bytes + 140, 0, 16);
        store32(bytes + 52, pid);
        store32(bytes + 84, pid);
        struct packet p = packet_of(bytes, header, 258);
        assert_true(strip(&house, &p));
        assert_null(p.origin->process);
        assert_null(p.origin->effective);
    }
    house_free(&house);
}

static void droptap_headers(void **state) {
    (void)state;
    struct house house = {.refused = 0};
    uint8_t bytes[400];
    struct packet p = packet_of(bytes, header_v1(bytes, 156, 2, 12, 5), 149);
    assert_true(strip(&house, &p)); /* without a function's name the frame begins at 161 */
    expect_datagram(&p);
    size_t header = header_v1(bytes, 156, 2, 12, 8 + 9 + 1);
    store32(bytes + 156, 0x02020005);
    bytes[160] = 9;
    bytes[162] = 0x2f;
    bytes[163] = 3;
    strcpy((char *)bytes + 164, "udp_input");
    p = packet_of(bytes, header, 149);
    assert_true(strip(&house, &p));
    expect_datagram(&p);
    assert_int_equal(p.origin->drop_reason, 0x02020005);
    assert_int_equal(p.origin->drop_line, 815);
    assert_string_equal(p.origin->drop_function, "udp_input");
    house_free(&house);
}

static size_t header_v2(uint8_t *at) {
    memset(at, 0, 130);
    at[0] = 40 + 16 + 4 + 14 + 7;
    at[2] = 40; /* effective uuid */
    at[3] = 56;
    at[4] = 60;
    at[5] = 74;
    at[6] = 12;
    store32(at + 20, 100);
    store32(at + 24, 77);
    store32(at + 28, 88);
    store32(at + 32, 512);
    store32(at + 36, 0x80000 | 1);
    memcpy(at + 40, uuid, 16);
    strcpy((char *)at + 56, "en0");
    strcpy((char *)at + 60, "mDNSResponder");
    strcpy((char *)at + 74, "Safari");
    return at[0];
}

static void headers_of_version_2(void **state) {
    (void)state;
    struct house house = {.refused = 0};
    uint8_t bytes[400];
    struct packet p = packet_of(bytes, header_v2(bytes), 258);
    assert_true(strip(&house, &p));
    expect_datagram(&p);
    assert_string_equal(house.interface, "en0");
    assert_int_equal(p.direction, PACKET_IN);
    expect_process(p.origin->process, 88, "mDNSResponder", false);
    expect_process(p.origin->effective, 512, "Safari", true);
    assert_int_equal(p.origin->service_class, 100);
    assert_int_equal(p.origin->flow_id, 77);
    static const uint8_t bad[][2] = {{0, 39}, {0, 131}, {2, 70}, {2, 39}, {3, 90}, {4, 20}, {5, 80}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t header = header_v2(bytes);
        bytes[bad[i][0]] = bad[i][1];
        if (bad[i][0] == 5) memset(bytes + 74, 'x', 7); /* a text without an end */
        p = packet_of(bytes, header, 258);
        assert_false(strip(&house, &p));
        assert_int_equal(p.link_type, 258);
        assert_null(p.origin);
    }
    house_free(&house);
}

static void what_is_no_header_stays(void **state) {
    (void)state;
    struct house house = {.refused = 0};
    uint8_t bytes[400] = {0};
    struct packet p = packet_of(bytes, header_v1(bytes, 156, 1, 147, 0), 149);
    assert_false(strip(&house, &p)); /* under USER2 the inner link must be one of pktap's */
    p = packet_of(bytes, header_v1(bytes, 156, 1, 12, 0), 147);
    assert_false(strip(&house, &p));
    memset(bytes, 0x45, sizeof bytes);
    p = (struct packet){.bytes = bytes, .captured = 300, .original = 300, .link_type = 258};
    assert_false(strip(&house, &p));
    /* Cut anywhere: no header, or a frame within what is left. */
    for (int kind = 0; kind < 3; kind++) {
        size_t header = kind == 0   ? header_v1(bytes, 156, 1, 12, 0)
                        : kind == 1 ? header_v1(bytes, 156, 2, 12, 8 + 9 + 1)
                                    : header_v2(bytes);
        if (kind == 1) bytes[160] = 9;
        for (uint32_t cut = 0; cut <= header; cut++) {
            uint8_t *part = malloc(cut + 1);
            memcpy(part, bytes, cut);
            p = (struct packet){.bytes = part, .captured = cut, .original = 2000, .link_type = 258};
            if (strip(&house, &p)) assert_true(p.bytes + p.captured == part + cut);
            free(part);
        }
    }
    house_free(&house);
}

/* In files: filters and flows see the frame inside, bursts keep their origins. */
static void a_file_of_headers(void **state) {
    (void)state;
    enum { PACKETS = 300 };
    struct file f = {0};
    uint8_t bytes[400];
    pcap_header(&f, 0xa1b2c3d4, 149);
    for (uint32_t i = 0; i < PACKETS; i++) {
        size_t header = header_v1(bytes, 156, 1, 12, 0);
        store32(bytes + 52, i);
        snprintf((char *)bytes + 12, 8, "en%u", i % 3);
        struct packet p = packet_of(bytes, header, 149);
        put32(&f, 1 + i);
        put32(&f, 0);
        put32(&f, p.captured);
        put32(&f, p.captured);
        put(&f, p.bytes, p.captured);
    }
    const char *first = save("pktap-1", &f), *paths[2] = {first, save("pktap-2", &f)};
    free(f.bytes);
    for (size_t files = 1; files <= 2; files++) { /* two are merged, packet by packet */
        struct error err;
        struct capture *c = capture_open(paths, files, &err);
        assert_non_null(c);
        struct packet burst[PACKET_BURST];
        uint32_t seen = 0;
        int count;
        while ((count = capture_next_burst(c, burst)) > 0)
            for (int i = 0; i < count; i++, seen++) {
                uint32_t number = seen / (uint32_t)files;
                char interface[8];
                snprintf(interface, sizeof interface, "en%u", number % 3);
                assert_int_equal(burst[i].link_type, RAW);
                assert_int_equal(burst[i].captured, sizeof datagram);
                assert_string_equal(capture_interface_name(c, burst[i].interface), interface);
                expect_process(burst[i].origin->process, (int32_t)number, "mDNSResponder", false);
                assert_int_equal(burst[i].time, (number + 1) * NS_PER_SECOND);
            }
        assert_int_equal(seen, PACKETS * files);
        capture_close(c);
    }
}

static void more_processes_than_are_kept(void **state) {
    (void)state;
    struct processes *all = NULL;
    uint64_t refused = 0;
    const struct slice none = {0};
    char name[32];
    for (int i = 1; i <= PROCESSES_MOST + 10; i++) {
        struct slice text = {(const uint8_t *)name, (uint32_t)sprintf(name, "p%d", i % 1000)};
        const struct packet_process *p = processes_keep(&all, i, text, none, NULL, &refused);
        if (i <= PROCESSES_MOST)
            expect_process(p, i, name, false);
        else
            assert_null(p);
    }
    assert_int_equal(refused, 10);
    expect_process(processes_keep(&all, 1, (struct slice){(const uint8_t *)"p1", 2}, none, NULL, &refused), 1,
                   "p1", false);
    assert_int_equal(refused, 10);
    processes_free(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_and_options_in_both_orders),
        cmocka_unit_test(dropped_packets),
        cmocka_unit_test(damaged_blocks_cost_a_name_only),
        cmocka_unit_test(words_in_comments),
        cmocka_unit_test(wiresharks_blocks),
        cmocka_unit_test(headers_of_version_1),
        cmocka_unit_test(droptap_headers),
        cmocka_unit_test(headers_of_version_2),
        cmocka_unit_test(what_is_no_header_stays),
        cmocka_unit_test(a_file_of_headers),
        cmocka_unit_test(more_processes_than_are_kept),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
