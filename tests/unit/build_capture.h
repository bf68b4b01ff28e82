/* For tests of captures: writes capture files byte by byte, in either byte order, so that the expected
 * packets are known without asking the reader. The files lie in a folder of the test's own that is removed at
 * its end. */
#ifndef LUNETTE_TESTS_BUILD_CAPTURE_H
#define LUNETTE_TESTS_BUILD_CAPTURE_H

#include "capture/capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char folder[] = "/tmp/lunette-capture-XXXXXX";

/* -------------------------------------------------------------- writing files */

struct file {
    uint8_t *bytes;
    size_t length, room;
    bool big; /* byte order of numbers that are put */
};

static inline void put(struct file *f, const void *bytes, size_t length) {
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

static inline void put_number(struct file *f, uint64_t value, int size) {
    uint8_t bytes[8];
    for (int i = 0; i < size; i++) bytes[f->big ? size - 1 - i : i] = (uint8_t)(value >> 8 * i);
    put(f, bytes, (size_t)size);
}
static inline void put16(struct file *f, uint16_t value) {
    put_number(f, value, 2);
}
static inline void put32(struct file *f, uint32_t value) {
    put_number(f, value, 4);
}
static inline void put64(struct file *f, uint64_t value) {
    put_number(f, value, 8);
}

static inline void put_padded(struct file *f, const void *bytes, size_t length) {
    put(f, bytes, length);
    put(f, NULL, -length & 3);
}

/* The bytes of packet number `i`: its content tells its number, so that mixed-up buffers show. */
static inline void fill_packet(uint8_t *bytes, uint32_t length, uint32_t i) {
    for (uint32_t k = 0; k < length; k++) bytes[k] = (uint8_t)(i * 31 + k * 7 + (k >> 8));
}

static inline void check_packet(const struct packet *p, uint32_t length, uint32_t i) {
    assert_int_equal(p->captured, length);
    for (uint32_t k = 0; k < length; k++)
        if (p->bytes[k] != (uint8_t)(i * 31 + k * 7 + (k >> 8)))
            fail_msg("packet %u differs at byte %u", i, k);
}

static inline void pcap_header(struct file *f, uint32_t magic, uint32_t link_type) {
    put32(f, magic);
    put16(f, 2);
    put16(f, 4);
    put32(f, 0);
    put32(f, 0);
    put32(f, 65535);
    put32(f, link_type);
}

static inline void pcap_packet(struct file *f, uint32_t magic, uint32_t seconds, uint32_t fraction,
                               uint32_t length, uint32_t original, uint32_t i) {
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

static inline size_t block_begin(struct file *f, uint32_t type) {
    put32(f, type);
    put32(f, 0);
    return f->length - 8;
}

static inline void block_end(struct file *f, size_t begin) {
    uint32_t length = (uint32_t)(f->length - begin + 4);
    put32(f, length);
    struct file number = {.big = f->big};
    put32(&number, length);
    memcpy(f->bytes + begin + 4, number.bytes, 4);
    free(number.bytes);
}

static inline void ng_section(struct file *f) {
    size_t b = block_begin(f, 0x0a0d0d0a);
    put32(f, 0x1a2b3c4d);
    put16(f, 1);
    put16(f, 0);
    put64(f, UINT64_MAX);
    block_end(f, b);
}

static inline void ng_option(struct file *f, uint16_t code, const void *value, uint16_t length) {
    put16(f, code);
    put16(f, length);
    put_padded(f, value, length);
}

/* resolution 6 and offset 0 are left out, as they are the default. */
static inline void ng_interface(struct file *f, uint16_t link_type, const char *name, uint8_t resolution,
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
static inline void ng_packet(struct file *f, uint32_t interface, uint64_t ticks, uint32_t length, uint32_t i,
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

static inline const char *path_of(const char *name) {
    static char paths[8][320];
    static int turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline const char *save_bytes(const char *name, const void *bytes, size_t length) {
    const char *path = path_of(name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, length, out), length);
    fclose(out);
    return path;
}

static inline const char *save(const char *name, const struct file *f) {
    return save_bytes(name, f->bytes, f->length);
}

/* --------------------------------------------------------------- reading them */

static inline struct capture *open_one(const char *path) {
    struct error err;
    struct capture *c = capture_open(&path, 1, &err);
    if (!c) fail_msg("%s", err.text);
    return c;
}

static inline void expect_error(const char *path, const char *part) {
    struct error err;
    struct capture *c = capture_open(&path, 1, &err);
    assert_null(c);
    if (!strstr(err.text, part)) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static inline void expect_warning(struct capture *c, const char *part) {
    const char *warning = capture_warning(c, 0);
    assert_non_null(warning);
    if (!strstr(warning, part)) fail_msg("\"%s\" does not say \"%s\"", warning, part);
}

static inline int count_packets(struct capture *c) {
    struct packet burst[PACKET_BURST];
    int total = 0, count;
    while ((count = capture_next_burst(c, burst)) > 0) total += count;
    return total;
}

static inline struct file gzipped(const uint8_t *bytes, size_t length) {
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

static inline int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state) {
    (void)state;
    DIR *all = opendir(folder);
    if (!all) return -1;
    for (struct dirent *entry; (entry = readdir(all));)
        if (entry->d_name[0] != '.') unlink(path_of(entry->d_name));
    closedir(all);
    return rmdir(folder);
}

#endif
