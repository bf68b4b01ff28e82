/* The deal: the programs that run in the kernel give a packet to the worker that home_worker_of() names, and
 * every packet whatsoever to exactly one. Shares run here in libpcap's own machine; the fanout form needs a
 * kernel and is held against the same answers in tests/live/test_tap.py. */
#include "sensor/deal.h"

#include "base/bytes.h"
#include "capture/capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <ftw.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------ built packets */

struct frame {
    uint8_t bytes[256];
    uint32_t length;
};

struct ends {
    const char *src, *dst;
    uint16_t src_port, dst_port;
    uint8_t proto;
    uint16_t fragment; /* IPv4's field of flags and offset */
    uint8_t options;   /* words of IPv4 options */
};

static void put16(struct frame *f, uint16_t v) {
    f->bytes[f->length++] = (uint8_t)(v >> 8);
    f->bytes[f->length++] = (uint8_t)v;
}

static void put_zeros(struct frame *f, uint32_t count) {
    memset(f->bytes + f->length, 0, count);
    f->length += count;
}

static bool is_v6(const struct ends *e) {
    return strchr(e->src, ':') != NULL;
}

static void put_address(struct frame *f, const char *text) {
    struct ip ip;
    assert_int_equal(ip_parse(text, &ip), 0);
    uint32_t size = ip_is_v4(&ip) ? 4 : 16;
    memcpy(f->bytes + f->length, ip.bytes + 16 - size, size);
    f->length += size;
}

static void put_ip(struct frame *f, const struct ends *e) {
    const uint16_t payload = 24;
    if (is_v6(e)) {
        put16(f, 0x6000);
        put16(f, 0);
        put16(f, payload);
        put16(f, (uint16_t)(e->proto << 8 | 64));
    } else {
        uint16_t header = (uint16_t)(20 + e->options * 4);
        put16(f, (uint16_t)((0x40 + header / 4) << 8));
        put16(f, (uint16_t)(header + payload));
        put16(f, 77);
        put16(f, e->fragment);
        put16(f, (uint16_t)(64 << 8 | e->proto));
        put16(f, 0);
    }
    put_address(f, e->src);
    put_address(f, e->dst);
    if (!is_v6(e)) put_zeros(f, e->options * 4u);
    uint32_t start = f->length;
    put16(f, e->src_port);
    put16(f, e->dst_port);
    put_zeros(f, payload - 4);
    if (e->proto == 6)
        f->bytes[start + 12] = 0x50;
    else if (e->proto == 17)
        f->bytes[start + 5] = payload;
}

/* A link header for a LINKTYPE_ with `tags` 802.1Q tags, or PPPoE (-1). */
static void put_link(struct frame *f, uint16_t link_type, int tags, const struct ends *e) {
    uint16_t type = is_v6(e) ? 0x86dd : 0x0800;
    uint16_t outer = tags > 0 ? (tags > 1 ? 0x88a8 : 0x8100) : tags < 0 ? 0x8864 : type;
    f->length = 0;
    switch (link_type) {
    case 1:
        put_zeros(f, 12);
        put16(f, outer);
        break;
    case 113:
        put_zeros(f, 14);
        put16(f, outer);
        break;
    case 276:
        put16(f, outer);
        put_zeros(f, 18);
        break;
    case 0:
    case 108:
        put16(f, 0);
        put16(f, is_v6(e) ? 30 : 2);
        return;
    default:
        return;
    }
    for (int tag = 1; tag <= tags; tag++) {
        put16(f, (uint16_t)tag);
        put16(f, tag == tags ? type : 0x8100);
    }
    if (tags >= 0) return;
    put16(f, 0x1100);
    put16(f, 1);
    put16(f, 300);
    put16(f, is_v6(e) ? 0x0057 : 0x0021);
}

static int dlt_of(uint16_t link_type) {
    return link_type == 101 ? DLT_RAW : link_type;
}

/* A cooked header is libpcap's: the kernel, when it runs the filter, does not count it. */
static uint32_t cooked_header(uint16_t link_type) {
    return link_type == 113 ? 16 : link_type == 276 ? 20 : 0;
}

/* The one worker that lets the packet through; fails if it is not one. */
static uint32_t taker(const struct tap_deal *deal, const struct packet *packet, uint32_t workers) {
    uint32_t found = UINT32_MAX;
    for (uint32_t w = 0; w < workers; w++) {
        struct tap_program p = deal->share(deal->context, dlt_of(packet->link_type), w, workers);
        assert_non_null(p.instructions);
        uint32_t length = packet->original - cooked_header(packet->link_type);
        if (bpf_filter(p.instructions, packet->bytes, length, packet->captured) == 0) continue;
        if (found != UINT32_MAX) fail_msg("workers %u and %u both take it", found, w);
        found = w;
    }
    if (found == UINT32_MAX) fail_msg("nobody takes a packet of %u bytes", packet->captured);
    return found;
}

static uint32_t judged(const struct home *home, const struct packet *packet, uint32_t workers) {
    struct decoded decoded;
    decode_packet(packet, &decoded);
    return home_worker_of(home, &decoded, workers);
}

static struct packet packet_of(const struct frame *f, uint16_t link_type) {
    return (struct packet){
        .bytes = f->bytes, .captured = f->length, .original = f->length, .link_type = link_type};
}

static const uint16_t link_types[] = {1, 113, 276, 0, 108, 101};
static const char *const networks[] = {
    NULL,
    "203.0.113.128/25,10.1.2.3,2001:db8:1:8000::/49,2001:db8::/36,fd00:1:2:3:4:5:6:7",
    "0.0.0.0/0",
    "::/0",
    "0.0.0.0/1,8000::/1",
};
static const char *const addresses_v4[] = {"10.1.2.3",   "10.1.2.4",      "192.168.0.7",     "192.169.0.7",
                                           "17.253.4.5", "203.0.113.127", "203.0.113.128",   "172.31.255.255",
                                           "172.32.0.0", "224.0.0.251",   "255.255.255.255", "0.0.0.0"};
static const char *const addresses_v6[] = {"fe80::1",
                                           "fd00:1:2:3:4:5:6:7",
                                           "fd00:1:2:3:4:5:6:8",
                                           "2001:db8:1:8000::1",
                                           "2001:db8:1:7fff::1",
                                           "2001:db9::1",
                                           "2001:db8:fff::9",
                                           "ff02::fb",
                                           "::1",
                                           "2606:4700::1111"};
enum {
    V4_COUNT = sizeof addresses_v4 / sizeof *addresses_v4,
    V6_COUNT = sizeof addresses_v6 / sizeof *addresses_v6
};

static struct ends random_ends(void) {
    static const uint8_t protos[] = {6, 17, 132, 1, 58, 47, 50};
    static const uint16_t ports[] = {53, 53, 443, 5353, 49152, 65535};
    bool v6 = rand() % 2;
    const char *const *from = v6 ? addresses_v6 : addresses_v4;
    int count = v6 ? V6_COUNT : V4_COUNT;
    return (struct ends){.src = from[rand() % count],
                         .dst = from[rand() % count],
                         .src_port = ports[rand() % 6],
                         .dst_port = ports[rand() % 6],
                         .proto = protos[rand() % 7],
                         .options = (uint8_t)(rand() % 4 ? 0 : rand() % 11)};
}

static void shares_agree_with_home_worker_of(void **state) {
    (void)state;
    struct error err;
    uint32_t taken[8] = {0};
    srand(1);
    for (size_t n = 0; n < sizeof networks / sizeof *networks; n++) {
        struct home *home = home_new(networks[n], &err);
        assert_non_null(home);
        for (uint32_t workers = 1; workers <= 8; workers += workers == 3 ? 5 : 1) {
            struct deal *deal = deal_new(home, workers, &err);
            assert_non_null(deal);
            for (int i = 0; i < 4000; i++) {
                struct frame f;
                struct ends e = random_ends();
                uint16_t link_type = link_types[rand() % 6];
                put_link(&f, link_type, rand() % 4 - 1, &e);
                put_ip(&f, &e);
                struct packet packet = packet_of(&f, link_type);
                uint32_t worker = taker(deal_programs(deal), &packet, workers);
                if (worker != judged(home, &packet, workers))
                    fail_msg("%s:%u > %s:%u protocol %u link type %u: share %u, home %u", e.src, e.src_port,
                             e.dst, e.dst_port, e.proto, link_type, worker, judged(home, &packet, workers));
                if (workers == 8) taken[worker]++;
            }
            deal_free(deal);
        }
        home_free(home);
    }
    int used = 0;
    for (int w = 0; w < 8; w++) used += taken[w] > 0;
    assert_true(used >= 5); /* 22 addresses over 8 workers */
}

/* Cut anywhere, as frames on the wire or by a snap length: somebody takes it, and only one. */
static void broken_packets_are_somebody_s(void **state) {
    (void)state;
    struct error err;
    struct home *home = home_new(NULL, &err);
    struct deal *deal = deal_new(home, 4, &err);
    srand(2);
    for (int i = 0; i < 600; i++) {
        struct frame f;
        struct ends e = random_ends();
        uint16_t link_type = link_types[i % 6];
        put_link(&f, link_type, i / 6 % 4 - 1, &e);
        uint32_t link = f.length;
        put_ip(&f, &e);
        for (int k = rand() % 4; k > 0; k--) f.bytes[(uint32_t)rand() % f.length] = (uint8_t)rand();
        /* a frame has its link header whole: no interface gives less */
        uint32_t least = link_type == 1 ? 14 : link_type == 113 ? 16 : link_type == 276 ? 20 : 0;
        assert_true(least <= link);
        for (; f.length > least; f.length--) {
            struct packet packet = packet_of(&f, link_type);
            taker(deal_programs(deal), &packet, 4);
        }
    }
    deal_free(deal);
    home_free(home);
}

static void fragments_of_a_datagram_meet(void **state) {
    (void)state;
    struct error err;
    struct home *home = home_new(NULL, &err);
    struct deal *deal = deal_new(home, 8, &err);
    for (int a = 1; a < 100; a++) {
        char src[16], dst[16];
        snprintf(src, sizeof src, "192.168.1.%d", a);
        snprintf(dst, sizeof dst, "192.168.1.%d", 200 - a);
        static const uint16_t fields[] = {0x2000, 0x2010, 0x0020};
        uint32_t worker[6];
        for (int i = 0; i < 6; i++) { /* both ways; what stands where the ports were differs */
            struct ends e = {
                i < 3 ? src : dst, i < 3 ? dst : src, (uint16_t)(i * 9173), 53, 17, fields[i % 3], 0};
            struct frame f;
            put_link(&f, 1, 0, &e);
            put_ip(&f, &e);
            struct packet packet = packet_of(&f, 1);
            worker[i] = taker(deal_programs(deal), &packet, 8);
            assert_int_equal(worker[i], worker[0]);
        }
    }
    deal_free(deal);
    home_free(home);
}

static void hosts_are_spread(void **state) {
    (void)state;
    enum { WORKERS = 4, HOSTS = 1024 };
    uint32_t count[WORKERS] = {0};
    for (uint32_t i = 0; i < HOSTS; i++) count[home_deal(0xc0a80000u + i, WORKERS)]++;
    for (int w = 0; w < WORKERS; w++)
        assert_in_range(count[w], HOSTS / WORKERS * 8 / 10, HOSTS / WORKERS * 12 / 10);
}

static void too_many_networks_are_refused(void **state) {
    (void)state;
    struct error err;
    char *text = calloc(1, 64 * 1024);
    for (int i = 0, used = 0; i < 2000; i++)
        used += sprintf(text + used, "%s10.%d.%d.0/24", i ? "," : "", i / 256, i % 256);
    struct home *home = home_new(text, &err);
    assert_non_null(home);
    assert_null(deal_new(home, 2, &err));
    assert_non_null(strstr(err.text, "home networks"));
    home_free(home);
    free(text);
}

/* Kernels check a program before they take it; so does libpcap, by the same rules. */
static void programs_are_valid(void **state) {
    (void)state;
    struct error err;
    struct home *home = home_new(networks[1], &err);
    struct deal *deal = deal_new(home, 2, &err);
    const struct tap_deal *programs = deal_programs(deal);
    for (size_t i = 0; i < 6; i++) {
        struct tap_program share = programs->share(programs->context, dlt_of(link_types[i]), 1, 2);
        struct tap_program fanout = programs->fanout(programs->context, dlt_of(link_types[i]));
        assert_true(bpf_validate(share.instructions, (int)share.count));
        assert_true(bpf_validate(fanout.instructions, (int)fanout.count));
        assert_ptr_equal(programs->share(programs->context, dlt_of(link_types[i]), 1, 2).instructions,
                         share.instructions);
    }
    assert_null(programs->share(programs->context, DLT_IEEE802_11, 0, 2).instructions);
    deal_free(deal);
    home_free(home);
}

/* ------------------------------------------------------------------ captures */

static struct {
    struct home *home;
    struct deal *deal;
    uint64_t packets, compared;
} corpus;
enum { CORPUS_WORKERS = 4 };

/* What BPF cannot read in the same way: fragments and IPv6's extension headers go by addresses alone; the
 * ports behind IPv4's authentication header and behind LLC, MPLS or a third tag are beyond it. */
static bool is_ordinary(const struct packet *packet, const struct decoded *decoded) {
    if (decoded->kind != DECODED_TRANSPORT || decoded->fragment || decoded->anomaly) return false;
    if (!decoded->ip_payload || decoded->truncated) return false;
    bool v4 = ip_is_v4(&decoded->src);
    const uint8_t *header = decoded->ip_payload - (v4 ? 20 : 40);
    if (v4) {
        while (header > packet->bytes &&
               (header[0] >> 4 != 4 || memcmp(header + 12, decoded->src.bytes + 12, 4)))
            header -= 4;
        return header > packet->bytes && header[9] == decoded->proto;
    }
    return header >= packet->bytes && header[6] == decoded->proto &&
           memcmp(header + 8, &decoded->src, 16) == 0;
}

static bool is_known_link(uint16_t link_type) {
    for (size_t i = 0; i < 6; i++)
        if (link_types[i] == link_type) return true;
    return false;
}

/* LLC, MPLS and more than two tags are not looked into: such packets are worker 0's. */
static bool is_plain_ethernet(const struct packet *packet) {
    if (packet->link_type != 1) return packet->link_type != 113 || load_be16(packet->bytes + 14) >= 0x600;
    uint32_t at = 12;
    for (int tag = 0; tag < 2 && at + 6 <= packet->captured; tag++) {
        uint16_t type = load_be16(packet->bytes + at);
        if (type == 0x8100 || type == 0x88a8 || type == 0x9100) at += 4;
    }
    if (at + 2 > packet->captured) return false;
    uint16_t type = load_be16(packet->bytes + at);
    return type == 0x0800 || type == 0x86dd || type == 0x8864;
}

static int corpus_file(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)walk;
    struct error err;
    struct packet burst[PACKET_BURST];
    if (type != FTW_F) return 0;
    struct capture *capture = capture_open(&path, 1, &err);
    if (!capture) return 0;
    int count;
    uint32_t seen = 0;
    while (seen < 20000 && (count = capture_next_burst(capture, burst)) > 0) {
        for (int i = 0; i < count; i++) {
            const struct packet *packet = &burst[i];
            struct packet whole = *packet;
            uint32_t least = packet->link_type == 276 ? 20 : packet->link_type == 113 ? 16 : 14;
            if (!is_known_link(packet->link_type) || packet->captured < least) continue;
            whole.original = whole.captured; /* a kernel has all of the packet; we have what was kept */
            uint32_t worker = taker(deal_programs(corpus.deal), &whole, CORPUS_WORKERS);
            struct decoded decoded;
            decode_packet(packet, &decoded);
            corpus.packets++;
            if (!is_ordinary(packet, &decoded) || !is_plain_ethernet(packet)) continue;
            corpus.compared++;
            if (worker != home_worker_of(corpus.home, &decoded, CORPUS_WORKERS))
                fail_msg("%s: packet of %u bytes: share %u, home %u", path, packet->captured, worker,
                         home_worker_of(corpus.home, &decoded, CORPUS_WORKERS));
        }
        seen += (uint32_t)count;
    }
    capture_close(capture);
    return 0;
}

static void captures_are_dealt_alike(void **state) {
    (void)state;
    struct error err;
    const char *folder = getenv("LUNETTE_PCAPS");
    corpus.home = home_new(NULL, &err);
    corpus.deal = deal_new(corpus.home, CORPUS_WORKERS, &err);
    nftw(folder ? folder : "../shared/pcaps", corpus_file, 16, FTW_PHYS);
    deal_free(corpus.deal);
    home_free(corpus.home);
    if (corpus.packets == 0) skip();
    print_message("captures: %llu packets, each taken once; %llu of them compared\n",
                  (unsigned long long)corpus.packets, (unsigned long long)corpus.compared);
    assert_true(corpus.compared > corpus.packets / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_agree_with_home_worker_of), cmocka_unit_test(broken_packets_are_somebody_s),
        cmocka_unit_test(fragments_of_a_datagram_meet),     cmocka_unit_test(hosts_are_spread),
        cmocka_unit_test(too_many_networks_are_refused),    cmocka_unit_test(programs_are_valid),
        cmocka_unit_test(captures_are_dealt_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
