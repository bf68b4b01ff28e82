/* Where a capture's bytes come from: files, pipes, compressed streams, several files at once. */
#include "build_capture.h"

#include <sys/wait.h>
#include <zstd.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_across_blocks),
        cmocka_unit_test(standard_input),
        cmocka_unit_test(compressed),
        cmocka_unit_test(compressed_and_cut),
        cmocka_unit_test(files_are_merged_by_time),
        cmocka_unit_test(a_cut_file_does_not_stop_the_others),
        cmocka_unit_test(many_files_at_once),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
