/* Capture formats: every dialect and byte order, cut at every byte, damaged, and what is no capture at all.
 */
#include "build_capture.h"

/* ---------------------------------------------------------------------- pcap */

static void pcap_dialects(void **state) {
    (void)state;
    static const uint32_t magics[] = {0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34};
    for (int i = 0; i < 6; i++) {
        uint32_t magic = magics[i / 2];
        struct file f = {.big = i % 2};
        pcap_header(&f, magic, 113);
        pcap_packet(&f, magic, 1700000000, 123456, 60, 1514, 0);
        pcap_packet(&f, magic, 4000000000u, 1, 0, 0, 1);
        pcap_packet(&f, magic, 5, 6, 33, 20, 2); /* an original length below the captured one cannot be */
        struct capture *c = open_one(save("dialect.bin", &f));
        struct packet p[PACKET_BURST];
        assert_int_equal(capture_next_burst(c, p), 3);
        int64_t unit = magic == 0xa1b23c4d ? 1 : 1000;
        assert_int_equal(p[0].time, 1700000000LL * 1000000000 + 123456 * unit);
        assert_int_equal(p[1].time, 4000000000LL * 1000000000 + unit);
        assert_int_equal(p[0].original, 1514);
        assert_int_equal(p[2].original, 33);
        check_packet(&p[0], 60, 0);
        check_packet(&p[1], 0, 1);
        check_packet(&p[2], 33, 2);
        assert_int_equal(p[0].link_type, 113);
        assert_null(p[0].origin);
        assert_string_equal(capture_interface_name(c, p[0].interface), "");
        assert_int_equal(capture_next_burst(c, p), 0);
        assert_null(capture_warning(c, 0));
        capture_close(c);
        free(f.bytes);
    }
}

static void pcap_link_type_without_fcs_bits(void **state) {
    (void)state;
    struct file f = {0};
    pcap_header(&f, 0xa1b2c3d4, 0x24000001); /* Ethernet, two bytes (of 16 bits) of FCS */
    pcap_packet(&f, 0xa1b2c3d4, 1, 0, 20, 20, 0);
    struct capture *c = open_one(save("fcs.pcap", &f));
    struct packet p[PACKET_BURST];
    assert_int_equal(capture_next_burst(c, p), 1);
    assert_int_equal(p[0].link_type, 1);
    capture_close(c);
    free(f.bytes);
}

/* Before 2.3, the original length came first (libpcap, sf-pcap.c history). */
static void pcap_old_version_has_lengths_swapped(void **state) {
    (void)state;
    struct file f = {0};
    pcap_header(&f, 0xa1b2c3d4, 1);
    f.bytes[6] = 2;
    put32(&f, 1);
    put32(&f, 2);
    put32(&f, 1000);
    put32(&f, 4);
    put(&f, "abcd", 4);
    struct capture *c = open_one(save("old.pcap", &f));
    struct packet p[PACKET_BURST];
    assert_int_equal(capture_next_burst(c, p), 1);
    assert_int_equal(p[0].captured, 4);
    assert_int_equal(p[0].original, 1000);
    capture_close(c);
    free(f.bytes);
}

/* Cuts a file at every byte. `whole[i]` is the offset behind packet i, `boundary` tells offsets that are
 * proper ends. */
static void cut_everywhere(const struct file *f, size_t header, const size_t *whole, int packets,
                           const bool *boundary) {
    for (size_t cut = 0; cut <= f->length; cut++) {
        const char *path = save_bytes("cut.bin", f->bytes, cut);
        if (cut < header) {
            expect_error(path, cut == 0 ? "an empty file" : "not a capture");
            continue;
        }
        int expected = 0;
        while (expected < packets && whole[expected] <= cut) expected++;
        struct capture *c = open_one(path);
        struct packet p[PACKET_BURST];
        int count = 0, got;
        while ((got = capture_next_burst(c, p)) > 0)
            for (int i = 0; i < got; i++, count++) check_packet(&p[i], p[i].captured, (uint32_t)count);
        if (count != expected) fail_msg("cut at %zu: %d packets, not %d", cut, count, expected);
        if (boundary[cut])
            assert_null(capture_warning(c, 0));
        else
            expect_warning(c, "cut short at offset");
        capture_close(c);
    }
}

static void pcap_cut_at_every_byte(void **state) {
    (void)state;
    for (int big = 0; big < 2; big++) {
        struct file f = {.big = big};
        size_t whole[5];
        bool boundary[512] = {false};
        pcap_header(&f, 0xa1b2c3d4, 1);
        boundary[f.length] = true;
        for (uint32_t i = 0; i < 5; i++) {
            pcap_packet(&f, 0xa1b2c3d4, 100 + i, 0, 10 + 9 * i, 10 + 9 * i, i);
            whole[i] = f.length;
            boundary[f.length] = true;
        }
        cut_everywhere(&f, 24, whole, 5, boundary);
        free(f.bytes);
    }
}

static void the_warning_names_the_offset_of_the_packet(void **state) {
    (void)state;
    struct file f = {0};
    pcap_header(&f, 0xa1b2c3d4, 1);
    pcap_packet(&f, 0xa1b2c3d4, 1, 0, 100, 100, 0); /* 24 to 140 */
    pcap_packet(&f, 0xa1b2c3d4, 2, 0, 100, 100, 1);
    struct capture *c = open_one(save_bytes("cut.pcap", f.bytes, 200));
    assert_int_equal(count_packets(c), 1);
    expect_warning(c, "offset 140");
    expect_warning(c, "cut.pcap");
    assert_null(capture_warning(c, 1));
    capture_close(c);
    free(f.bytes);
}

static void pcap_absurd_length_is_damage(void **state) {
    (void)state;
    struct file f = {0};
    pcap_header(&f, 0xa1b2c3d4, 1);
    pcap_packet(&f, 0xa1b2c3d4, 1, 0, 100, 100, 0);
    size_t at = f.length;
    pcap_packet(&f, 0xa1b2c3d4, 2, 0, 100, 100, 1);
    memset(f.bytes + at + 8, 0xff, 4);
    struct capture *c = open_one(save("absurd.pcap", &f));
    assert_int_equal(count_packets(c), 1);
    expect_warning(c, "damaged at offset 140");
    capture_close(c);
    free(f.bytes);
}

/* -------------------------------------------------------------------- pcapng */

static void pcapng_everything(void **state) {
    (void)state;
    for (int big = 0; big < 2; big++) {
        struct file f = {.big = big};
        ng_section(&f);
        ng_interface(&f, 1, "en0", 6, 0);
        size_t b = block_begin(&f, 0x80000001); /* Apple's process block: not for us yet */
        put32(&f, 501);
        ng_option(&f, 2, "mDNSResponder", 13);
        block_end(&f, b);
        ng_packet(&f, 0, 1700000000000001, 61, 0, 2); /* outbound */
        ng_interface(&f, 0, "lo0", 9, 0);
        ng_packet(&f, 1, 1700000000000000001, 62, 1, 1); /* inbound */
        b = block_begin(&f, 2);                          /* the obsolete packet block */
        uint8_t bytes[64];
        fill_packet(bytes, 63, 2);
        put16(&f, 0);
        put16(&f, 7);
        put32(&f, 1700000000000002 >> 32);
        put32(&f, (uint32_t)1700000000000002);
        put32(&f, 63);
        put32(&f, 99);
        put_padded(&f, bytes, 63);
        block_end(&f, b);
        b = block_begin(&f, 3); /* a simple packet */
        fill_packet(bytes, 13, 3);
        put32(&f, 13);
        put_padded(&f, bytes, 13);
        block_end(&f, b);

        f.big = !f.big; /* a section of the other order, with interfaces of its own */
        ng_section(&f);
        ng_interface(&f, 101, "lo0", 6, 0);
        ng_interface(&f, 12, NULL, 6, 0);
        ng_packet(&f, 0, 1700000001000000, 10, 4, 0);
        ng_packet(&f, 1, 1700000002000000, 11, 5, 0);

        struct capture *c = open_one(save("everything.pcap", &f)); /* the name does not matter */
        struct packet p[PACKET_BURST];
        assert_int_equal(capture_next_burst(c, p), 6);
        static const uint32_t lengths[] = {61, 62, 63, 13, 10, 11};
        static const uint16_t links[] = {1, 0, 1, 1, 101, 12};
        static const char *const names[] = {"en0", "lo0", "en0", "en0", "lo0", ""};
        for (uint32_t i = 0; i < 6; i++) {
            check_packet(&p[i], lengths[i], i);
            assert_int_equal(p[i].link_type, links[i]);
            assert_string_equal(capture_interface_name(c, p[i].interface), names[i]);
        }
        assert_int_equal(p[1].interface, p[4].interface);
        assert_int_equal(p[0].time, 1700000000000001000);
        assert_int_equal(p[1].time, 1700000000000000001);
        assert_int_equal(p[2].time, 1700000000000002000);
        assert_int_equal(p[3].time, p[2].time);
        assert_int_equal(p[4].time, 1700000001000000000);
        assert_int_equal(p[2].original, 99);
        assert_int_equal(p[0].direction, PACKET_OUT);
        assert_int_equal(p[1].direction, PACKET_IN);
        assert_int_equal(p[2].direction, PACKET_DIRECTION_UNKNOWN);
        assert_int_equal(capture_next_burst(c, p), 0);
        assert_null(capture_warning(c, 0));
        capture_close(c);
        free(f.bytes);
    }
}

static void pcapng_units_of_time(void **state) {
    (void)state;
    static const struct {
        uint8_t resolution;
        int64_t offset;
        uint64_t ticks;
        int64_t expected;
    } cases[] = {
        {0, 0, 1700000000, 1700000000000000000},
        {3, 0, 1700000000123, 1700000000123000000},
        {6, 100, 1700000000000000, 1700000100000000000},
        {6, -100, 1700000000000000, 1699999900000000000},
        {9, 0, 1700000000000000007, 1700000000000000007},
        {12, 0, 1700000000000ull * 1000000 + 999999, 1700000000000999}, /* finer than we keep */
        {0x80 | 10, 0, 1700000000ull * 1024 + 512, 1700000000500000000},
        {0x80 | 32, 0, (1700000000ull << 32) + (1u << 30), 1700000000250000000},
        {0x80, 0, 1700000000, 1700000000000000000},
        {0x7f, 0, UINT64_MAX, 0},
        {6, INT64_MIN, 5, 0}, /* nonsense stays within bounds: before 1970 is 1970 */
        {0xff, 0, UINT64_MAX, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct file f = {.big = i % 2};
        ng_section(&f);
        ng_interface(&f, 1, NULL, cases[i].resolution, cases[i].offset);
        ng_packet(&f, 0, cases[i].ticks, 4, 0, 0);
        struct capture *c = open_one(save("units.pcapng", &f));
        struct packet p[PACKET_BURST];
        assert_int_equal(capture_next_burst(c, p), 1);
        if (p[0].time != cases[i].expected) fail_msg("case %zu: %lld", i, (long long)p[0].time);
        capture_close(c);
        free(f.bytes);
    }
}

static void pcapng_cut_at_every_byte(void **state) {
    (void)state;
    for (int big = 0; big < 2; big++) {
        struct file f = {.big = big};
        size_t whole[5];
        bool boundary[2048] = {false};
        ng_section(&f);
        size_t header = f.length;
        boundary[f.length] = true;
        ng_interface(&f, 1, "en0", 6, 0);
        boundary[f.length] = true;
        for (uint32_t i = 0; i < 5; i++) {
            if (i == 3) {
                size_t b = block_begin(&f, 0xbad);
                put(&f, "anything", 8);
                block_end(&f, b);
                boundary[f.length] = true;
                ng_section(&f);
                boundary[f.length] = true;
                ng_interface(&f, 1, NULL, 6, 0);
                boundary[f.length] = true;
            }
            ng_packet(&f, 0, 1000000 + i, 3 + 7 * i, i, i);
            whole[i] = f.length;
            boundary[f.length] = true;
        }
        cut_everywhere(&f, header, whole, 5, boundary);
        free(f.bytes);
    }
}

static void pcapng_packets_of_unknown_interfaces_are_skipped(void **state) {
    (void)state;
    struct file f = {0};
    ng_section(&f);
    ng_packet(&f, 0, 1, 10, 0, 0);
    ng_interface(&f, 1, "en0", 6, 0);
    ng_packet(&f, 1, 1, 10, 0, 0);
    ng_packet(&f, 0, 1, 10, 7, 0);
    struct capture *c = open_one(save("unknown.pcapng", &f));
    struct packet p[PACKET_BURST];
    assert_int_equal(capture_next_burst(c, p), 1);
    check_packet(&p[0], 10, 7);
    expect_warning(c, "interface 0");
    assert_null(capture_warning(c, 1));
    capture_close(c);
    free(f.bytes);
}

static void pcapng_damage(void **state) {
    (void)state;
    static const struct {
        size_t at;
        uint32_t value;
    } damages[] = {
        {4, 13},         /* block length not a multiple of 4 */
        {4, 8},          /* below the smallest */
        {4, 0x7ffffffc}, /* absurd */
        {20, 5000},      /* captured length beyond the block */
        {20, 0xffffffff},
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct file f = {0};
        ng_section(&f);
        ng_interface(&f, 1, NULL, 6, 0);
        ng_packet(&f, 0, 1, 10, 0, 0);
        size_t at = f.length;
        ng_packet(&f, 0, 1, 10, 1, 0);
        memcpy(f.bytes + at + damages[i].at, &damages[i].value, 4);
        struct capture *c = open_one(save("damage.pcapng", &f));
        assert_int_equal(count_packets(c), 1);
        char offset[64];
        snprintf(offset, sizeof offset, "damaged at offset %zu", at);
        expect_warning(c, offset);
        capture_close(c);
        free(f.bytes);
    }
}
/* Seeded damage to good files: whatever is given must be there, and reading must end. */
static void broken_files_are_survived(void **state) {
    (void)state;
    uint64_t random = 88172645463325252ull;
    for (int round = 0; round < 3000; round++) {
        struct file f = {.big = round & 1};
        if (round & 2) {
            ng_section(&f);
            ng_interface(&f, 1, "en0", 9, 1);
            for (uint32_t i = 0; i < 4; i++) ng_packet(&f, 0, i, 20 + i, i, i);
        } else {
            pcap_header(&f, 0xa1b2c3d4, 1);
            for (uint32_t i = 0; i < 4; i++) pcap_packet(&f, 0xa1b2c3d4, i, 0, 20 + i, 99, i);
        }
        for (int k = 0; k < 1 + round % 5; k++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            f.bytes[random % f.length] = (uint8_t)(random >> 32 & (random & 1 << 20 ? 3 : 255));
        }
        const char *path = save("broken.bin", &f);
        struct error err;
        struct capture *c = capture_open(&path, 1, &err);
        struct packet p[PACKET_BURST];
        int count, sum = 0;
        while (c && (count = capture_next_burst(c, p)) > 0)
            for (int i = 0; i < count; i++) {
                assert_true(p[i].captured <= p[i].original);
                assert_in_range(p[i].captured, 0, f.length);
                for (uint32_t k = 0; k < p[i].captured; k++) sum += p[i].bytes[k];
            }
        assert_true(sum >= 0);
        capture_close(c);
        free(f.bytes);
    }
}
/* --------------------------------------------------------------- not captures */

static void what_is_no_capture_is_named(void **state) {
    (void)state;
    expect_error(save_bytes("x",
                            "\x7f"
                            "ELF\2\1\1",
                            7),
                 "starts with 7f 45 4c 46 (an ELF binary?)");
    expect_error(save_bytes("x", "hello, world\n", 13), "(text?); expected pcap or pcapng");
    expect_error(save_bytes("x", "\1", 1), "starts with 01;");
    expect_error(save_bytes("x", "", 0), "an empty file");
    expect_error(save_bytes("x", "\x0a\x0d\x0d\x0a\0\0\0\x1cxxxxyyyyzzzzxxxxyyyyzzzz", 32), "section header");
    expect_error(folder, "a directory");
    expect_error(path_of("missing.pcap"), "missing.pcap: cannot be opened: No such file or directory");
    struct file packed = gzipped((const uint8_t *)"hello, world\n", 13);
    expect_error(save("x", &packed), "gzip data that starts with 68 65 6c 6c (text?)");
    free(packed.bytes);
    struct error err;
    const char *const twice[] = {"-", "-"};
    assert_null(capture_open(twice, 2, &err));
    assert_non_null(strstr(err.text, "twice"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pcap_dialects),
        cmocka_unit_test(pcap_link_type_without_fcs_bits),
        cmocka_unit_test(pcap_old_version_has_lengths_swapped),
        cmocka_unit_test(pcap_cut_at_every_byte),
        cmocka_unit_test(the_warning_names_the_offset_of_the_packet),
        cmocka_unit_test(pcap_absurd_length_is_damage),
        cmocka_unit_test(pcapng_everything),
        cmocka_unit_test(pcapng_units_of_time),
        cmocka_unit_test(pcapng_cut_at_every_byte),
        cmocka_unit_test(pcapng_packets_of_unknown_interfaces_are_skipped),
        cmocka_unit_test(pcapng_damage),
        cmocka_unit_test(broken_files_are_survived),
        cmocka_unit_test(what_is_no_capture_is_named),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
