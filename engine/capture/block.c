/* Bytes of a capture in large blocks: open, read, decompress, and keep the window contiguous.
 *
 * block_fill() is the only place that moves bytes. It asks produce() for more, which is read() for a plain
 * stream and the decoder for a compressed one; the decoder has an input buffer of its own that is filled by
 * the same read(). */
#include "capture/block.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { TAIL_ROOM = 64 * 1024 }; /* so that the usual straddling packet does not shorten the next read() */

struct block_decoder {
    bool zstd;
    bool open;     /* inside a gzip member or zstd frame: the stream must not end here */
    bool one_done; /* at least one member or frame was whole: what follows may be padding */
    z_stream gzip;
    ZSTD_DStream *frames;
    size_t have, used; /* input[used, have) waits to be decoded */
    uint8_t input[BLOCK_SIZE];
};

const char *block_title(const char *path) {
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

const char *block_coding(const struct block_reader *r) {
    if (!r->decoder) return NULL;
    return r->decoder->zstd ? "zstd" : "gzip";
}

static void fail(struct block_reader *r, const char *what, const char *why) {
    r->ended = true;
    snprintf(r->failure, sizeof r->failure, "%s: %s", what, why);
}

/* One read() from the file. 0 at its end, on an error, which is noted, and when a signal ends the wait: its
 * handler was installed to do that (without SA_RESTART). */
static size_t read_file(struct block_reader *r, uint8_t *into, size_t room) {
    ssize_t n = read(r->fd, into, room < BLOCK_SIZE ? room : BLOCK_SIZE);
    if (n < 0 && errno == EINTR) {
        r->ended = r->interrupted = true;
        return 0;
    }
    if (n < 0) {
        fail(r, "read error", strerror(errno));
        return 0;
    }
    r->file_read += (uint64_t)n;
    return (size_t)n;
}

/* Decodes from the input at hand. Returns bytes made; sets `ended` when the stream cannot go on. */
static size_t inflate_some(struct block_reader *r, uint8_t *into, size_t room) {
    struct block_decoder *d = r->decoder;
    d->gzip.next_in = d->input + d->used;
    d->gzip.avail_in = (uInt)(d->have - d->used);
    d->gzip.next_out = into;
    d->gzip.avail_out = (uInt)room;
    int status = inflate(&d->gzip, Z_NO_FLUSH);
    d->used = d->have - d->gzip.avail_in;
    d->open = true;
    if (status == Z_STREAM_END) { /* members may follow each other: gzip a >>b */
        inflateReset(&d->gzip);
        d->open = false;
        d->one_done = true;
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
        if (d->one_done && d->gzip.total_out == 0)
            r->ended = true; /* padding behind the last member, as gzip(1) */
        else
            fail(r, "gzip", d->gzip.msg ? d->gzip.msg : "broken stream");
    }
    return room - d->gzip.avail_out;
}

static size_t unzstd_some(struct block_reader *r, uint8_t *into, size_t room) {
    struct block_decoder *d = r->decoder;
    ZSTD_inBuffer in = {d->input, d->have, d->used};
    ZSTD_outBuffer out = {into, room, 0};
    size_t status = ZSTD_decompressStream(d->frames, &out, &in);
    if (ZSTD_isError(status)) {
        if (d->one_done && !d->open)
            r->ended = true;
        else
            fail(r, "zstd", ZSTD_getErrorName(status));
        return out.pos;
    }
    d->used = in.pos;
    d->open = status != 0;
    if (!d->open) d->one_done = true;
    return out.pos;
}

static size_t decode_some(struct block_reader *r, uint8_t *into, size_t room) {
    struct block_decoder *d = r->decoder;
    while (!r->ended) {
        /* The decoder may still hold output when its input is used up, so it is asked before more is read. */
        size_t made = 0;
        if (d->used < d->have || d->open)
            made = d->zstd ? unzstd_some(r, into, room) : inflate_some(r, into, room);
        if (made > 0) return made;
        if (r->ended || d->used < d->have) continue;
        d->used = 0;
        d->have = read_file(r, d->input, sizeof d->input);
        if (d->have > 0 || r->ended) continue;
        if (d->open) fail(r, d->zstd ? "zstd" : "gzip", "the compressed stream is cut short");
        r->ended = true;
    }
    return 0;
}

static size_t produce(struct block_reader *r, uint8_t *into, size_t room) {
    if (r->decoder) return decode_some(r, into, room);
    size_t n = read_file(r, into, room);
    if (n == 0) r->ended = true;
    return n;
}

/* Makes room for `need` bytes from `at` on, with what is left of the window in front. */
static bool make_room(struct block_reader *r, size_t need) {
    size_t left = block_here(r);
    uint64_t offset = block_offset(r);
    if (need > r->capacity) {
        size_t capacity = need + BLOCK_SIZE;
        uint8_t *larger = malloc(capacity);
        if (!larger) {
            fail(r, "out of memory", "no room for a packet this large");
            return false;
        }
        memcpy(larger, r->at, left);
        free(r->buffer);
        r->buffer = larger;
        r->capacity = capacity;
    } else {
        memmove(r->buffer, r->at, left);
    }
    r->base = offset;
    r->at = r->buffer;
    r->end = r->buffer + left;
    return true;
}

size_t block_fill(struct block_reader *r, size_t need) {
    if (block_here(r) >= need || r->ended || need > BLOCK_LARGEST) return block_here(r);
    if (!make_room(r, need)) return block_here(r);
    while (block_here(r) < need && !r->ended) {
        size_t filled = (size_t)(r->end - r->buffer);
        r->end += produce(r, r->buffer + filled, r->capacity - filled);
    }
    return block_here(r);
}

uint64_t block_skip(struct block_reader *r, uint64_t count) {
    while (count > 0) {
        if (block_here(r) == 0 && block_fill(r, 1) == 0) break;
        size_t here = block_here(r);
        size_t step = count < here ? (size_t)count : here;
        r->at += step;
        count -= step;
    }
    return count;
}

static bool starts_gzip(const struct block_reader *r) {
    return block_here(r) >= 3 && r->at[0] == 0x1f && r->at[1] == 0x8b && r->at[2] == 8;
}

/* A zstd frame or a skippable one (RFC 8878 sections 3.1.1 and 3.1.2). */
static bool starts_zstd(const struct block_reader *r) {
    if (block_here(r) < 4) return false;
    if (memcmp(r->at, "\x28\xb5\x2f\xfd", 4) == 0) return true;
    return (r->at[0] & 0xf0) == 0x50 && memcmp(r->at + 1, "\x2a\x4d\x18", 3) == 0;
}

/* Hands what was read so far to a decoder and starts over with what that makes of it. */
static int decode_from_here(struct block_reader *r, bool zstd) {
    struct block_decoder *d = calloc(1, sizeof *d);
    if (!d) return -1;
    d->zstd = zstd;
    bool ready =
        zstd ? (d->frames = ZSTD_createDStream()) != NULL : inflateInit2(&d->gzip, 16 + MAX_WBITS) == Z_OK;
    if (!ready) {
        free(d);
        return -1;
    }
    d->have = block_here(r); /* one read() at most: it fits */
    memcpy(d->input, r->at, d->have);
    r->decoder = d;
    r->at = r->end = r->buffer;
    r->base = 0;
    r->ended = false;
    block_fill(r, 4);
    return 0;
}

static int open_descriptor(struct block_reader *r, const char *path, struct error *err) {
    const char *title = block_title(path);
    r->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0) return error_set(err, "%s: cannot be opened: %s", title, strerror(errno));
    struct stat about;
    if (fstat(r->fd, &about) < 0) return error_set(err, "%s: %s", title, strerror(errno));
    if (S_ISDIR(about.st_mode)) return error_set(err, "%s: a directory; a capture file was expected", title);
    if (S_ISREG(about.st_mode)) r->file_size = (uint64_t)about.st_size;
    return 0;
}

int block_open(struct block_reader *r, const char *path, struct error *err) {
    *r = (struct block_reader){.fd = -1};
    if (open_descriptor(r, path, err) < 0) {
        block_close(r);
        return -1;
    }
    r->capacity = BLOCK_SIZE + TAIL_ROOM;
    r->buffer = malloc(r->capacity);
    r->at = r->end = r->buffer;
    bool ready = r->buffer != NULL;
    if (ready) {
        block_fill(r, 4);
        bool zstd = starts_zstd(r);
        if (zstd || starts_gzip(r)) ready = decode_from_here(r, zstd) == 0;
    }
    if (!ready) {
        block_close(r);
        return error_set(err, "%s: out of memory", block_title(path));
    }
    if (block_here(r) == 0 && r->interrupted) {
        block_close(r);
        return error_set(err, "%s: interrupted before anything came", block_title(path));
    }
    if (block_here(r) == 0 && r->failure[0]) {
        error_set(err, "%s: %s", block_title(path), r->failure);
        block_close(r);
        return -1;
    }
    return 0;
}

void block_close(struct block_reader *r) {
    if (r->decoder) {
        if (r->decoder->zstd)
            ZSTD_freeDStream(r->decoder->frames);
        else
            inflateEnd(&r->decoder->gzip);
        free(r->decoder);
    }
    if (r->fd > STDIN_FILENO) close(r->fd);
    free(r->buffer);
    *r = (struct block_reader){.fd = -1, .ended = true, .file_read = r->file_read, .file_size = r->file_size};
}
