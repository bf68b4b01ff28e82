/* Reassembly: a datagram cut in any way and delivered in any order comes out as it was; bounds and times
 * hold. */
#include "decode/fragments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 20, HEADER6 = 48 };

/* A datagram's payload: a UDP header, ports 5000 to 53, then bytes that tell their place. */
static uint8_t whole[65536 + 1024];

static void make_whole(uint32_t length) {
    for (uint32_t i = 0; i < length; i++) whole[i] = (uint8_t)(i * 13 + (i >> 8));
    memcpy(whole, (uint8_t[]){0x13, 0x88, 0, 53, (uint8_t)(length >> 8), (uint8_t)length, 0, 0}, 8);
}

static void frame_v4(uint8_t *frame, uint32_t offset, uint32_t length, bool more, uint16_t id) {
    uint32_t total = HEADER + length;
    uint16_t field = (uint16_t)(offset / 8 | (more ? 0x2000 : 0));
    const uint8_t header[HEADER] = {0x45,
                                    0,
                                    (uint8_t)(total >> 8),
                                    (uint8_t)total,
                                    (uint8_t)(id >> 8),
                                    (uint8_t)id,
                                    (uint8_t)(field >> 8),
                                    (uint8_t)field,
                                    64,
                                    17,
                                    0,
                                    0,
                                    192,
                                    0,
                                    2,
                                    1,
                                    198,
                                    51,
                                    100,
                                    2};
    memcpy(frame, header, HEADER);
}

static void frame_v6(uint8_t *frame, uint32_t offset, uint32_t length, bool more, uint16_t id) {
    memset(frame, 0, HEADER6);
    uint16_t field = (uint16_t)(offset | more);
    frame[0] = 0x60;
    frame[4] = (uint8_t)((length + 8) >> 8);
    frame[5] = (uint8_t)(length + 8);
    frame[6] = 44;
    frame[7] = 64;
    frame[8] = frame[24] = 0x20;
    frame[23] = 1;
    frame[39] = 2;
    frame[40] = 17;
    frame[42] = (uint8_t)(field >> 8);
    frame[43] = (uint8_t)field;
    frame[46] = (uint8_t)(id >> 8);
    frame[47] = (uint8_t)id;
}

struct piece {
    uint32_t offset, length;
    bool more;
};

/* Sends a piece of `bytes` in a frame of its own that is gone afterwards, as a capture's burst is. */
static bool offer_bytes(struct fragments *f, bool v6, const uint8_t *bytes, struct piece piece, uint16_t id,
                        nanoseconds time, struct decoded *out) {
    uint32_t header = v6 ? HEADER6 : HEADER;
    uint8_t *frame = malloc(header + piece.length);
    (v6 ? frame_v6 : frame_v4)(frame, piece.offset, piece.length, piece.more, id);
    memcpy(frame + header, bytes, piece.length);
    struct packet packet = {.bytes = frame,
                            .captured = header + piece.length,
                            .original = header + piece.length,
                            .time = time,
                            .link_type = 101};
    struct decoded in;
    decode_packet(&packet, &in);
    assert_true(in.fragment);
    bool complete = fragments_offer(f, &packet, &in, out);
    free(frame);
    return complete;
}

static bool offer(struct fragments *f, bool v6, struct piece piece, uint16_t id, nanoseconds time,
                  struct decoded *out) {
    return offer_bytes(f, v6, whole + piece.offset, piece, id, time, out);
}

static void expect_whole(const struct decoded *d, uint32_t length) {
    assert_int_equal(d->kind, DECODED_TRANSPORT);
    assert_false(d->fragment);
    assert_true(d->has_ports);
    assert_int_equal(d->src_port, 5000);
    assert_int_equal(d->dst_port, 53);
    assert_int_equal(d->payload_length, length - 8);
    assert_int_equal(d->payload_captured, length - 8);
    assert_memory_equal(d->payload, whole + 8, length - 8);
}

static struct fragments *fragments_of(size_t bound) {
    struct error err;
    struct fragments *f = fragments_new(bound, &err);
    assert_non_null(f);
    return f;
}

/* Every order of four pieces, both families. */
static void any_order(void **state) {
    (void)state;
    static const struct piece pieces[4] = {
        {0, 1480, true}, {1480, 1480, true}, {2960, 8, true}, {2968, 333, false}};
    const uint32_t length = 2968 + 333;
    make_whole(length);
    struct fragments *f = fragments_of(1 << 20);
    struct decoded d;
    uint16_t id = 0;
    for (int v6 = 0; v6 < 2; v6++)
        for (int order = 0; order < 256; order++) {
            int at[4] = {order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6 & 3};
            if ((1 << at[0] | 1 << at[1] | 1 << at[2] | 1 << at[3]) != 15) continue;
            id++;
            for (int i = 0; i < 3; i++) assert_false(offer(f, v6, pieces[at[i]], id, 0, &d));
            assert_true(offer(f, v6, pieces[at[3]], id, 0, &d));
            expect_whole(&d, length);
            assert_null(d.anomaly);
            assert_int_equal(d.wire_length, length + 4 * (v6 ? HEADER6 : HEADER));
        }
    assert_int_equal(fragments_counters(f)->datagrams, 48);
    assert_int_equal(fragments_counters(f)->fragments, 192);
    assert_int_equal(fragments_counters(f)->waiting, 0);
    fragments_free(f);
}

static void interleaved_datagrams_do_not_mix(void **state) {
    (void)state;
    make_whole(2000);
    struct fragments *f = fragments_of(1 << 20);
    struct decoded d;
    for (uint16_t id = 1; id <= 100; id++)
        assert_false(offer(f, id & 1, (struct piece){0, 1000, true}, id, 0, &d));
    assert_int_equal(fragments_counters(f)->waiting, 100);
    for (uint16_t id = 100; id >= 1; id--) {
        assert_true(offer(f, id & 1, (struct piece){1000, 1000, false}, id, 0, &d));
        expect_whole(&d, 2000);
    }
    assert_int_equal(fragments_counters(f)->waiting, 0);
    fragments_free(f);
}

static void a_repeated_fragment_is_no_anomaly(void **state) {
    (void)state;
    make_whole(2000);
    struct fragments *f = fragments_of(1 << 20);
    struct decoded d;
    assert_false(offer(f, false, (struct piece){0, 1000, true}, 1, 0, &d));
    assert_false(offer(f, false, (struct piece){0, 1000, true}, 1, 0, &d));
    assert_true(offer(f, false, (struct piece){1000, 1000, false}, 1, 0, &d));
    expect_whole(&d, 2000);
    assert_null(d.anomaly);
    assert_int_equal(fragments_counters(f)->overlaps, 0);
    fragments_free(f);
}

static void first_data_wins(void **state) {
    (void)state;
    make_whole(2000);
    uint8_t other[1000];
    memset(other, 'X', sizeof other);
    struct fragments *f = fragments_of(1 << 20);
    struct decoded d;
    for (int v6 = 0; v6 < 2; v6++) {
        assert_false(offer(f, v6, (struct piece){1000, 496, true}, 1, 0, &d));
        /* Reaches from before what is there to behind it, with other bytes in the middle. */
        memcpy(other, whole + 992, 8);
        memcpy(other + 504, whole + 1496, 8);
        assert_false(offer_bytes(f, v6, other, (struct piece){992, 512, true}, 1, 0, &d));
        assert_false(offer(f, v6, (struct piece){0, 992, true}, 1, 0, &d));
        assert_true(offer(f, v6, (struct piece){1504, 496, false}, 1, 0, &d));
        expect_whole(&d, 2000);
        assert_string_equal(d.anomaly, "fragment_overlap");
        assert_string_equal(d.anomaly_protocol, v6 ? "ipv6" : "ip");
    }
    assert_int_equal(fragments_counters(f)->overlaps, 2);
    fragments_free(f);
}

static void two_ends_contradict(void **state) {
    (void)state;
    make_whole(2000);
    struct fragments *f = fragments_of(1 << 20);
    struct decoded d;
    assert_false(offer(f, false, (struct piece){1000, 1000, false}, 1, 0, &d));
    assert_false(offer(f, false, (struct piece){1000, 500, false}, 1, 0, &d)); /* another end */
    assert_false(offer(f, false, (struct piece){2000, 8, true}, 1, 0, &d));    /* behind the end */
    assert_true(offer(f, false, (struct piece){0, 1000, true}, 1, 0, &d));
    expect_whole(&d, 2000);
    assert_string_equal(d.anomaly, "fragment_overlap");
    fragments_free(f);
}

static void the_largest_datagram_and_beyond(void **state) {
    (void)state;
    make_whole(65507);
    struct fragments *f = fragments_of(1 << 20);
    struct decoded d;
    for (uint32_t at = 0; at < 65507; at += 1480) {
        uint32_t length = 65507 - at < 1480 ? 65507 - at : 1480;
        bool complete = offer(f, false, (struct piece){at, length, at + length < 65507}, 1, 0, &d);
        assert_int_equal(complete, at + length == 65507);
    }
    expect_whole(&d, 65507);
    /* The ping of death, and a middle part that no sender makes. */
    assert_false(offer(f, false, (struct piece){65528, 100, false}, 2, 0, &d));
    assert_false(offer(f, false, (struct piece){0, 13, true}, 2, 0, &d));
    assert_int_equal(fragments_counters(f)->refused, 2);
    assert_int_equal(fragments_counters(f)->waiting, 0);
    fragments_free(f);
}

static void a_fragment_that_the_capture_cut_is_refused(void **state) {
    (void)state;
    make_whole(1000);
    struct fragments *f = fragments_of(1 << 20);
    uint8_t frame[HEADER + 100];
    frame_v4(frame, 0, 1000, true, 1);
    memcpy(frame + HEADER, whole, 100);
    struct packet packet = {
        .bytes = frame, .captured = HEADER + 100, .original = HEADER + 1000, .link_type = 101};
    struct decoded in, d;
    decode_packet(&packet, &in);
    assert_true(in.fragment && in.truncated);
    assert_false(fragments_offer(f, &packet, &in, &d));
    assert_int_equal(fragments_counters(f)->refused, 1);
    fragments_free(f);
}

static void what_is_old_goes(void **state) {
    (void)state;
    make_whole(2000);
    struct fragments *f = fragments_of(1 << 20);
    struct decoded d;
    const nanoseconds begin = 1700000000 * NS_PER_SECOND;
    assert_false(offer(f, false, (struct piece){0, 1000, true}, 1, begin, &d));
    assert_false(offer(f, false, (struct piece){0, 1000, true}, 2, begin + 20 * NS_PER_SECOND, &d));
    assert_true(offer(f, false, (struct piece){1000, 1000, false}, 2, begin + 45 * NS_PER_SECOND, &d));
    assert_int_equal(fragments_counters(f)->timed_out, 1);
    assert_false(offer(f, false, (struct piece){1000, 1000, false}, 1, begin + 45 * NS_PER_SECOND, &d));
    fragments_free(f);
}

static void memory_is_bounded(void **state) {
    (void)state;
    make_whole(60000);
    const size_t bound = 256 * 1024;
    struct fragments *f = fragments_of(bound);
    struct decoded d;
    for (uint16_t id = 1; id <= 5000; id++) {
        assert_false(offer(f, false, (struct piece){id % 4 ? 0 : 58000, 1000, true}, id, 0, &d));
        assert_true(fragments_counters(f)->memory <= bound);
    }
    const struct fragments_counters *counters = fragments_counters(f);
    assert_true(counters->waiting > 0);
    assert_int_equal(counters->evicted + counters->waiting, 5000);
    /* The newest are still there; the oldest gave way. */
    for (uint32_t at = 1000; at < 60000; at += 1000)
        assert_int_equal(offer(f, false, (struct piece){at, 1000, at < 59000}, 4999, 0, &d), at == 59000);
    expect_whole(&d, 60000);
    fragments_free(f);

    f = fragments_of(1000); /* too small for anything: no harm */
    assert_false(offer(f, false, (struct piece){0, 1000, true}, 1, 0, &d));
    assert_int_equal(fragments_counters(f)->refused, 1);
    fragments_free(f);
}

/* IPv6: the joined datagram may begin with more extension headers (RFC 8200 section 4.5). */
static void extension_headers_inside(void **state) {
    (void)state;
    struct fragments *f = fragments_of(1 << 20);
    struct decoded d;
    make_whole(1008);
    uint8_t bytes[1016] = {17, 0, 1, 4, 0, 0, 0, 0}; /* destination options, then UDP */
    memcpy(bytes + 8, whole, 1008);
    uint8_t frame[HEADER6 + 1016];
    for (int part = 0; part < 2; part++) {
        frame_v6(frame, part ? 512 : 0, part ? 504 : 512, !part, 9);
        frame[40] = 60;
        memcpy(frame + HEADER6, bytes + (part ? 512 : 0), part ? 504 : 512);
        uint32_t length = HEADER6 + (part ? 504u : 512u);
        struct packet packet = {.bytes = frame, .captured = length, .original = length, .link_type = 101};
        struct decoded in;
        decode_packet(&packet, &in);
        assert_int_equal(fragments_offer(f, &packet, &in, &d), part);
    }
    assert_int_equal(d.proto, 17);
    expect_whole(&d, 1008);
    fragments_free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order),
        cmocka_unit_test(interleaved_datagrams_do_not_mix),
        cmocka_unit_test(a_repeated_fragment_is_no_anomaly),
        cmocka_unit_test(first_data_wins),
        cmocka_unit_test(two_ends_contradict),
        cmocka_unit_test(the_largest_datagram_and_beyond),
        cmocka_unit_test(a_fragment_that_the_capture_cut_is_refused),
        cmocka_unit_test(what_is_old_goes),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(extension_headers_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
