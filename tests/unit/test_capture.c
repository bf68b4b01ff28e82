/* Capture files: every format and byte order, cut at every byte, compressed, piped and merged. The files are
 * written here byte by byte, so the expected packets are known without asking the reader. */
#include "capture/capture.h"
#include "capture/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

static char folder[] = "/tmp/lunette-capture-XXXXXX";

/* -------------------------------------------------------------- writing files */

struct file {
    uint8_t *bytes;
    size_t length, room;
    bool big; /* byte order of numbers that are put */
};

static void put(struct file *f, const void *bytes, size_t length) {
    while (f->length + length > f->room) {
        f->room = f->room ? f->room * 2 : 4096;
        f->bytes = realloc(f->bytes, f->room);
        assert_non_null(f->bytes);
    }
    if (bytes)
        memcpy(f->bytes + f->length, bytes, length);
    else
        memset(f->bytes + f->length, 0, length);
    f->length += length;
}

static void put_number(struct file *f, uint64_t value, int size) {
    uint8_t bytes[8];
    for (int i = 0; i < size; i++) bytes[f->big ? size - 1 - i : i] = (uint8_t)(value >> 8 * i);
    put(f, bytes, (size_t)size);
}
static void put16(struct file *f, uint16_t value) {
    put_number(f, value, 2);
}
static void put32(struct file *f, uint32_t value) {
    put_number(f, value, 4);
}
static void put64(struct file *f, uint64_t value) {
    put_number(f, value, 8);
}

static void put_padded(struct file *f, const void *bytes, size_t length) {
    put(f, bytes, length);
    put(f, NULL, -length & 3);
}

/* The bytes of packet number `i`: its content tells its number, so that mixed-up buffers show. */
static void fill_packet(uint8_t *bytes, uint32_t length, uint32_t i) {
    for (uint32_t k = 0; k < length; k++) bytes[k] = (uint8_t)(i * 31 + k * 7 + (k >> 8));
}

static void check_packet(const struct packet *p, uint32_t length, uint32_t i) {
    assert_int_equal(p->captured, length);
    for (uint32_t k = 0; k < length; k++)
        if (p->bytes[k] != (uint8_t)(i * 31 + k * 7 + (k >> 8)))
            fail_msg("packet %u differs at byte %u", i, k);
}

static void pcap_header(struct file *f, uint32_t magic, uint32_t link_type) {
    put32(f, magic);
    put16(f, 2);
    put16(f, 4);
    put32(f, 0);
    put32(f, 0);
    put32(f, 65535);
    put32(f, link_type);
}

static void pcap_packet(struct file *f, uint32_t magic, uint32_t seconds, uint32_t fraction, uint32_t length,
                        uint32_t original, uint32_t i) {
    uint8_t *bytes = malloc(length + 1);
    fill_packet(bytes, length, i);
    put32(f, seconds);
    put32(f, fraction);
    put32(f, length);
    put32(f, original);
    if (magic == 0xa1b2cd34) put(f, NULL, 8);
    put(f, bytes, length);
    free(bytes);
}

static size_t block_begin(struct file *f, uint32_t type) {
    put32(f, type);
    put32(f, 0);
    return f->length - 8;
}

static void block_end(struct file *f, size_t begin) {
    uint32_t length = (uint32_t)(f->length - begin + 4);
    put32(f, length);
    struct file number = {.big = f->big};
    put32(&number, length);
    memcpy(f->bytes + begin + 4, number.bytes, 4);
    free(number.bytes);
}

static void ng_section(struct file *f) {
    size_t b = block_begin(f, 0x0a0d0d0a);
    put32(f, 0x1a2b3c4d);
    put16(f, 1);
    put16(f, 0);
    put64(f, UINT64_MAX);
    block_end(f, b);
}

static void ng_option(struct file *f, uint16_t code, const void *value, uint16_t length) {
    put16(f, code);
    put16(f, length);
    put_padded(f, value, length);
}

/* resolution 6 and offset 0 are left out, as they are the default. */
static void ng_interface(struct file *f, uint16_t link_type, const char *name, uint8_t resolution,
                         int64_t offset) {
    size_t b = block_begin(f, 1);
    put16(f, link_type);
    put16(f, 0);
    put32(f, 0);
    if (name) ng_option(f, 2, name, (uint16_t)strlen(name));
    if (resolution != 6) ng_option(f, 9, &resolution, 1);
    if (offset != 0) {
        put16(f, 14);
        put16(f, 8);
        put64(f, (uint64_t)offset);
    }
    if (name || resolution != 6 || offset != 0) ng_option(f, 0, NULL, 0);
    block_end(f, b);
}

/* flags 0: no option at all. */
static void ng_packet(struct file *f, uint32_t interface, uint64_t ticks, uint32_t length, uint32_t i,
                      uint32_t flags) {
    uint8_t *bytes = malloc(length + 1);
    fill_packet(bytes, length, i);
    size_t b = block_begin(f, 6);
    put32(f, interface);
    put32(f, (uint32_t)(ticks >> 32));
    put32(f, (uint32_t)ticks);
    put32(f, length);
    put32(f, length);
    put_padded(f, bytes, length);
    if (flags) {
        ng_option(f, 1, "a comment", 9);
        put16(f, 2);
        put16(f, 4);
        put32(f, flags);
        ng_option(f, 0, NULL, 0);
    }
    block_end(f, b);
    free(bytes);
}

static const char *path_of(const char *name) {
    static char paths[8][128];
    static int turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static const char *save_bytes(const char *name, const void *bytes, size_t length) {
    const char *path = path_of(name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, length, out), length);
    fclose(out);
    return path;
}

static const char *save(const char *name, const struct file *f) {
    return save_bytes(name, f->bytes, f->length);
}

/* --------------------------------------------------------------- reading them */

static struct capture *open_one(const char *path) {
    struct error err;
    struct capture *c = capture_open(&path, 1, &err);
    if (!c) fail_msg("%s", err.text);
    return c;
}

static void expect_error(const char *path, const char *part) {
    struct error err;
    struct capture *c = capture_open(&path, 1, &err);
    assert_null(c);
    if (!strstr(err.text, part)) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void expect_warning(struct capture *c, const char *part) {
    const char *warning = capture_warning(c, 0);
    assert_non_null(warning);
    if (!strstr(warning, part)) fail_msg("\"%s\" does not say \"%s\"", warning, part);
}

static int count_packets(struct capture *c) {
    struct packet burst[PACKET_BURST];
    int total = 0, count;
    while ((count = capture_next_burst(c, burst)) > 0) total += count;
    return total;
}

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
        assert_int_equal(p[0].pid, -1);
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

/* ------------------------------------------------- blocks, pipes, compression */

/* Sizes that make packets straddle every kind of boundary, and one that no block holds. */
static uint32_t varied_length(uint32_t i) {
    if (i == 700) return 600 * 1024;
    if (i == 701) return 1024 * 1024;
    if (i % 97 == 0) return 70000 + i;
    return (i * 7919u) % 1600;
}
enum { VARIED = 1500 };

static struct file varied_file(bool ng) {
    struct file f = {0};
    if (ng) {
        ng_section(&f);
        ng_interface(&f, 1, "en0", 6, 0);
    } else {
        pcap_header(&f, 0xa1b2c3d4, 1);
    }
    for (uint32_t i = 0; i < VARIED; i++) {
        if (!ng)
            pcap_packet(&f, 0xa1b2c3d4, i, 0, varied_length(i), varied_length(i), i);
        else
            ng_packet(&f, 0, (uint64_t)i * 1000000, varied_length(i), i, i % 3);
        if (ng && i == 800) { /* a block to skip that no window holds */
            size_t b = block_begin(&f, 10);
            put(&f, NULL, 3 << 20);
            block_end(&f, b);
        }
    }
    return f;
}

/* All packets of a burst are looked at only when it is complete: they must be valid together. */
static void check_varied(struct capture *c, uint32_t expected) {
    struct packet p[PACKET_BURST];
    uint32_t i = 0;
    int count;
    while ((count = capture_next_burst(c, p)) > 0)
        for (int k = 0; k < count; k++, i++) {
            assert_int_equal(p[k].time, i * NS_PER_SECOND);
            check_packet(&p[k], varied_length(i), i);
        }
    assert_int_equal(i, expected);
}

static void packets_across_blocks(void **state) {
    (void)state;
    for (int ng = 0; ng < 2; ng++) {
        struct file f = varied_file(ng);
        struct capture *c = open_one(save("varied.bin", &f));
        check_varied(c, VARIED);
        assert_null(capture_warning(c, 0));
        uint64_t done, total;
        capture_progress(c, &done, &total);
        assert_int_equal(done, f.length);
        assert_int_equal(total, f.length);
        capture_close(c);
        free(f.bytes);
    }
}

/* Another process writes the file to standard input in odd pieces. */
static void standard_input(void **state) {
    (void)state;
    struct file f = varied_file(true);
    int ends[2], kept = dup(STDIN_FILENO);
    assert_int_equal(pipe(ends), 0);
    pid_t writer = fork();
    if (writer == 0) {
        close(ends[0]);
        for (size_t at = 0, step = 1; at < f.length; at += step, step = step * 5 % 50021 + 1) {
            if (step > f.length - at) step = f.length - at;
            if (write(ends[1], f.bytes + at, step) != (ssize_t)step) _exit(1);
        }
        _exit(0);
    }
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    struct capture *c = open_one("-");
    check_varied(c, VARIED);
    uint64_t done, total;
    capture_progress(c, &done, &total);
    assert_int_equal(done, f.length);
    assert_int_equal(total, 0);
    capture_close(c);
    int status;
    waitpid(writer, &status, 0);
    assert_int_equal(status, 0);
    dup2(kept, STDIN_FILENO);
    close(kept);
    free(f.bytes);
}

static struct file gzipped(const uint8_t *bytes, size_t length) {
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    struct file out = {0};
    put(&out, NULL, deflateBound(&z, length));
    z.next_in = (uint8_t *)(uintptr_t)bytes;
    z.avail_in = (uInt)length;
    z.next_out = out.bytes;
    z.avail_out = (uInt)out.length;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.length = z.total_out;
    deflateEnd(&z);
    return out;
}

static struct file zstandard(const uint8_t *bytes, size_t length) {
    struct file out = {0};
    put(&out, NULL, ZSTD_compressBound(length));
    out.length = ZSTD_compress(out.bytes, out.length, bytes, length, 1);
    assert_false(ZSTD_isError(out.length));
    return out;
}

/* Each in one piece, and as two members or frames behind each other, which both formats allow. */
static void compressed(void **state) {
    (void)state;
    struct file f = varied_file(false);
    struct file (*const methods[])(const uint8_t *, size_t) = {gzipped, zstandard};
    for (int i = 0; i < 2; i++) {
        struct file one = methods[i](f.bytes, f.length);
        struct capture *c = open_one(save("packed.pcap", &one));
        check_varied(c, VARIED);
        assert_null(capture_warning(c, 0));
        capture_close(c);

        size_t half = 1000001;
        struct file two = methods[i](f.bytes, half), rest = methods[i](f.bytes + half, f.length - half);
        put(&two, rest.bytes, rest.length);
        c = open_one(save("packed.pcap", &two));
        check_varied(c, VARIED);
        assert_null(capture_warning(c, 0));
        capture_close(c);
        free(one.bytes);
        free(two.bytes);
        free(rest.bytes);
    }
    free(f.bytes);
}

static void compressed_and_cut(void **state) {
    (void)state;
    struct file f = varied_file(false);
    struct file (*const methods[])(const uint8_t *, size_t) = {gzipped, zstandard};
    for (int i = 0; i < 2; i++) {
        struct file packed = methods[i](f.bytes, f.length);
        struct capture *c = open_one(save_bytes("packed.pcap", packed.bytes, packed.length / 2));
        struct packet p[PACKET_BURST];
        uint32_t number = 0;
        int count;
        while ((count = capture_next_burst(c, p)) > 0)
            for (int k = 0; k < count; k++, number++) check_packet(&p[k], varied_length(number), number);
        assert_in_range(number, 100, VARIED - 1);
        expect_warning(c, "cut short");
        capture_close(c);

        for (size_t cut = 1; cut < 64; cut++) { /* headers in parts: an error, but never worse */
            struct error err;
            const char *path = save_bytes("packed.pcap", packed.bytes, cut);
            c = capture_open(&path, 1, &err);
            if (c)
                assert_int_equal(count_packets(c), 0);
            else
                assert_non_null(strstr(err.text, "packed.pcap"));
            capture_close(c);
        }
        memset(packed.bytes + packed.length / 3, 0x55, 200);
        c = open_one(save("packed.pcap", &packed));
        assert_in_range(count_packets(c), 1, VARIED - 1);
        assert_non_null(capture_warning(c, 0));
        capture_close(c);
        free(packed.bytes);
    }
    free(f.bytes);
}

/* -------------------------------------------------------------------- merging */

static void files_are_merged_by_time(void **state) {
    (void)state;
    enum { FILES = 5, EACH = 2000 };
    struct file f[FILES];
    const char *paths[FILES];
    for (uint32_t k = 0; k < FILES; k++) {
        f[k] = (struct file){.big = k & 1};
        /* 0 to 2 overlap packet by packet; 3 lies before them and 4 behind. */
        uint32_t base = k == 3 ? 1000 : k == 4 ? 900000 : 500000;
        if (k == 1) {
            ng_section(&f[k]);
            ng_interface(&f[k], 1, "en0", 6, 0);
        } else {
            pcap_header(&f[k], 0xa1b2c3d4, 1);
        }
        for (uint32_t i = 0; i < EACH; i++) {
            uint32_t second = base + i * 3 + k, length = (i * 131) % 1400 + 4;
            if (k == 1)
                ng_packet(&f[k], 0, second * 1000000ull, length, second, 0);
            else
                pcap_packet(&f[k], 0xa1b2c3d4, second, 0, length, length, second);
        }
        char name[16];
        snprintf(name, sizeof name, "m%u", k);
        paths[k] = save(name, &f[k]);
    }
    struct error err;
    struct capture *c = capture_open(paths, FILES, &err);
    assert_non_null(c);
    struct packet p[PACKET_BURST];
    nanoseconds last = 0;
    int count, total = 0, named = 0;
    while ((count = capture_next_burst(c, p)) > 0)
        for (int i = 0; i < count; i++, total++) {
            assert_true(p[i].time >= last);
            last = p[i].time;
            check_packet(&p[i], p[i].captured, (uint32_t)(p[i].time / NS_PER_SECOND));
            named += strcmp(capture_interface_name(c, p[i].interface), "en0") == 0;
        }
    assert_int_equal(total, FILES * EACH);
    assert_int_equal(named, EACH);
    assert_null(capture_warning(c, 0));
    uint64_t done, all;
    capture_progress(c, &done, &all);
    assert_int_equal(done, all);
    capture_close(c);
    for (int k = 0; k < FILES; k++) free(f[k].bytes);
}

/* A cut or empty file among others does not end the rest. */
static void a_cut_file_does_not_stop_the_others(void **state) {
    (void)state;
    struct file a = {0}, b = {0}, empty = {0};
    pcap_header(&a, 0xa1b2c3d4, 1);
    pcap_header(&b, 0xa1b2c3d4, 1);
    pcap_header(&empty, 0xa1b2c3d4, 1);
    for (uint32_t i = 0; i < 10; i++) {
        pcap_packet(&a, 0xa1b2c3d4, 2 * i, 0, 50, 50, i);
        pcap_packet(&b, 0xa1b2c3d4, 2 * i + 1, 0, 50, 50, i);
    }
    const char *paths[] = {save_bytes("a", a.bytes, 24 + 66 * 3 + 20), save("b", &b), save("e", &empty)};
    struct error err;
    struct capture *c = capture_open(paths, 3, &err);
    assert_non_null(c);
    assert_int_equal(count_packets(c), 13);
    expect_warning(c, "/a: cut short at offset 222");
    assert_null(capture_warning(c, 1));
    capture_close(c);
    free(a.bytes);
    free(b.bytes);
    free(empty.bytes);
}

static void many_files_at_once(void **state) {
    (void)state;
    enum { FILES = 3000 }; /* more than a process may usually have open */
    char **paths = calloc(FILES, sizeof *paths);
    for (uint32_t i = 0; i < FILES; i++) {
        struct file f = {0};
        pcap_header(&f, 0xa1b2c3d4, 1);
        pcap_packet(&f, 0xa1b2c3d4, FILES - i, 0, 40, 40, FILES - i);
        char name[16];
        snprintf(name, sizeof name, "r%u", i);
        paths[i] = strdup(save(name, &f));
        free(f.bytes);
    }
    struct error err;
    struct capture *c = capture_open((const char *const *)paths, FILES, &err);
    if (!c) fail_msg("%s", err.text);
    struct packet p[PACKET_BURST];
    uint32_t second = 1;
    int count;
    while ((count = capture_next_burst(c, p)) > 0)
        for (int i = 0; i < count; i++, second++) {
            assert_int_equal(p[i].time, second * NS_PER_SECOND);
            check_packet(&p[i], 40, second);
        }
    assert_int_equal(second, FILES + 1);
    capture_close(c);
    for (int i = 0; i < FILES; i++) {
        unlink(paths[i]);
        free(paths[i]);
    }
    free(paths);
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

/* -------------------------------------------------------------------- filters */

/* An Ethernet frame with IPv4 and TCP, ports 50000 to 443. */
static const uint8_t tcp_frame[] = {2,    0, 0,   0,  0,    1, 2,    0,    0,  0,    0, 2, 8,   0,
                                    0x45, 0, 0,   40, 0,    1, 0x40, 0,    64, 6,    0, 0, 192, 0,
                                    2,    1, 198, 51, 100,  2, 0xc3, 0x50, 1,  0xbb, 0, 0, 0,   1,
                                    0,    0, 0,   0,  0x50, 2, 0xff, 0xff, 0,  0,    0, 0};

static void filters_follow_the_link_type(void **state) {
    (void)state;
    struct error err;
    struct filter *port = filter_new("tcp dst port 443", &err),
                  *mac = filter_new("ether src 02:00:00:00:00:02", &err);
    assert_non_null(port);
    assert_non_null(mac);
    struct packet ethernet = {.bytes = tcp_frame, .captured = 54, .original = 54, .link_type = 1};
    struct packet raw = {.bytes = tcp_frame + 14, .captured = 40, .original = 40, .link_type = 101};
    uint8_t pktap[108 + 54] = {108, [4] = 1, [8] = 1, [12] = 'e', 'n', '0'};
    memcpy(pktap + 108, tcp_frame, 54);
    struct packet mac_os = {
        .bytes = pktap, .captured = sizeof pktap, .original = sizeof pktap, .link_type = 258};
    struct packet other = {.bytes = tcp_frame, .captured = 54, .original = 54, .link_type = 147};
    for (int again = 0; again < 2; again++) {
        assert_true(filter_matches(port, &ethernet));
        assert_true(filter_matches(port, &raw));
        assert_true(filter_matches(port, &mac_os));
        assert_true(filter_matches(mac, &ethernet));
        assert_true(filter_matches(mac, &mac_os));
        assert_false(filter_matches(mac, &raw)); /* there are no such addresses */
        assert_false(filter_matches(mac, &other));
    }
    ethernet.captured = 30; /* cut before the ports */
    assert_false(filter_matches(port, &ethernet));
    filter_free(port);
    filter_free(mac);
    assert_null(filter_new("tcp prot 443", &err));
    assert_non_null(strstr(err.text, "tcp prot 443"));
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    static const char *const names[] = {"dialect.bin",
                                        "fcs.pcap",
                                        "old.pcap",
                                        "cut.bin",
                                        "cut.pcap",
                                        "absurd.pcap",
                                        "everything.pcap",
                                        "units.pcapng",
                                        "unknown.pcapng",
                                        "damage.pcapng",
                                        "varied.bin",
                                        "packed.pcap",
                                        "m0",
                                        "m1",
                                        "m2",
                                        "m3",
                                        "m4",
                                        "a",
                                        "b",
                                        "e",
                                        "x",
                                        "broken.bin"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(path_of(names[i]));
    return rmdir(folder);
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
        cmocka_unit_test(packets_across_blocks),
        cmocka_unit_test(standard_input),
        cmocka_unit_test(compressed),
        cmocka_unit_test(compressed_and_cut),
        cmocka_unit_test(files_are_merged_by_time),
        cmocka_unit_test(a_cut_file_does_not_stop_the_others),
        cmocka_unit_test(many_files_at_once),
        cmocka_unit_test(broken_files_are_survived),
        cmocka_unit_test(what_is_no_capture_is_named),
        cmocka_unit_test(filters_follow_the_link_type),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
