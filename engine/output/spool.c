/* Parts are numbered files; the next one to read and the next one to write are all that is open. The numbers
 * begin in the middle, so that what is put before the others finds room. The cursor is rewritten in place as
 * records arrive: after a crash a few may be sent twice, none is left out. */
#include "output/spool.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_LENGTH = 16, CURSOR_LENGTH = 34, LEAST_PART = 64 * 1024 };

static const uint64_t first_number = 1ull << 32;

struct part {
    uint64_t number;
    uint64_t size; /* of the file */
};

/* A place in the spool: a part, by its index in `parts`, and where in it. */
struct place {
    size_t part;
    uint64_t at;
};

struct spool {
    char folder[PATH_MAX];
    enum framing framing;
    uint64_t most, part_most;
    int lock, cursor;
    int writing;        /* the last part's descriptor, -1: the next record begins a new one */
    int reading;        /* the descriptor of parts[next.part], -1: not open */
    struct part *parts; /* in order */
    size_t count, capacity;
    struct place first; /* not taken yet; its part is 0 at all times, as parts that are taken are removed */
    struct place next;  /* not read yet */
};

/* ── names ───────────────────────────────────────────────────────── */

static void part_path(const struct spool *s, uint64_t number, char out[PATH_MAX + 32]) {
    snprintf(out, PATH_MAX + 32, "%s/%016llx.part", s->folder, (unsigned long long)number);
}

/* The word's harmless characters, for people, and a hash of all of it, so that no two words share a folder.
 */
static int name_folder(struct spool *s, const char *folder, const char *word, struct error *err) {
    char name[64];
    size_t length = 0;
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *p = word; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
        hash = (hash ^ (uint8_t)*p) * 16777619u;
        if (length < sizeof name - 1) name[length++] = plain ? *p : '-';
    }
    name[length] = '\0';
    int n = snprintf(s->folder, sizeof s->folder, "%s/%s-%08x", folder, name, hash);
    if (n > 0 && (size_t)n < sizeof s->folder - 32) return 0;
    return error_set(err, "the spool's path is too long: %s", folder);
}

static int open_in(const struct spool *s, const char *name, int flags) {
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", s->folder, name);
    return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* ── opening: what an earlier run left ───────────────────────────── */

static bool add_part(struct spool *s, size_t index, struct part part) {
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? s->capacity * 2 : 64;
        struct part *parts = realloc(s->parts, capacity * sizeof *parts);
        if (!parts) return false;
        s->parts = parts;
        s->capacity = capacity;
    }
    memmove(&s->parts[index + 1], &s->parts[index], (s->count - index) * sizeof *s->parts);
    s->parts[index] = part;
    s->count++;
    return true;
}

static int compare_parts(const void *left, const void *right) {
    const struct part *a = left, *b = right;
    return a->number < b->number ? -1 : a->number > b->number;
}

static int find_parts(struct spool *s, struct error *err) {
    DIR *listing = opendir(s->folder);
    if (!listing) return error_set(err, "cannot read the spool %s: %s", s->folder, strerror(errno));
    for (struct dirent *entry; (entry = readdir(listing));) {
        char *end, path[PATH_MAX + 32];
        unsigned long long number = strtoull(entry->d_name, &end, 16);
        struct stat status;
        if (end != entry->d_name + NAME_LENGTH || strcmp(end, ".part") != 0) continue;
        part_path(s, number, path);
        if (lstat(path, &status) != 0 || !S_ISREG(status.st_mode)) continue;
        if (!add_part(s, s->count, (struct part){.number = number, .size = (uint64_t)status.st_size})) break;
    }
    closedir(listing);
    if (s->count) qsort(s->parts, s->count, sizeof *s->parts, compare_parts);
    return 0;
}

static void remove_first(struct spool *s) {
    char path[PATH_MAX + 32];
    part_path(s, s->parts[0].number, path);
    unlink(path);
    if (s->count == 1 && s->writing >= 0) {
        close(s->writing);
        s->writing = -1;
    }
    if (s->next.part == 0) {
        if (s->reading >= 0) close(s->reading);
        s->reading = -1;
        s->next.at = 0;
    } else {
        s->next.part--;
    }
    memmove(s->parts, s->parts + 1, --s->count * sizeof *s->parts);
    s->first.at = 0;
}

static void write_cursor(struct spool *s) {
    char text[CURSOR_LENGTH + 1];
    uint64_t number = s->count ? s->parts[0].number : 0;
    snprintf(text, sizeof text, "%016llx %016llx\n", (unsigned long long)number,
             (unsigned long long)s->first.at);
    ssize_t written = pwrite(s->cursor, text, CURSOR_LENGTH, 0); /* without it some lines come twice */
    (void)written;
}

static void read_cursor(struct spool *s) {
    char text[CURSOR_LENGTH + 1] = "";
    unsigned long long number, at;
    if (pread(s->cursor, text, CURSOR_LENGTH, 0) != CURSOR_LENGTH) return;
    if (sscanf(text, "%16llx %16llx", &number, &at) != 2) return;
    if (!s->count || s->parts[0].number != number || at > s->parts[0].size) return;
    s->first.at = at;
    s->next = s->first;
}

static int open_files(struct spool *s, const char *folder, struct error *err) {
    if ((mkdir(folder, 0700) != 0 && errno != EEXIST) || (mkdir(s->folder, 0700) != 0 && errno != EEXIST))
        return error_set(err, "cannot make the spool %s: %s", s->folder, strerror(errno));
    s->lock = open_in(s, "lock", O_RDWR | O_CREAT);
    if (s->lock < 0) return error_set(err, "cannot open the spool %s: %s", s->folder, strerror(errno));
    if (flock(s->lock, LOCK_EX | LOCK_NB) != 0)
        return error_set(err, "the spool %s is used by another lunette: give each its own folder", s->folder);
    s->cursor = open_in(s, "cursor", O_RDWR | O_CREAT);
    if (s->cursor < 0) return error_set(err, "cannot open the spool %s: %s", s->folder, strerror(errno));
    if (find_parts(s, err) != 0) return -1;
    read_cursor(s);
    return 0;
}

struct spool *spool_open(const char *folder, const char *word, enum framing framing, uint64_t most_bytes,
                         struct error *err) {
    struct spool *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(err, "out of memory for a spool");
        return NULL;
    }
    s->framing = framing;
    s->most = most_bytes;
    s->part_most = most_bytes / 8 < SPOOL_PART_BYTES ? most_bytes / 8 : SPOOL_PART_BYTES;
    if (s->part_most < LEAST_PART) s->part_most = LEAST_PART;
    s->lock = s->cursor = s->writing = s->reading = -1;
    if (name_folder(s, folder, word, err) == 0 && open_files(s, folder, err) == 0) return s;
    spool_free(s);
    return NULL;
}

void spool_free(struct spool *s) {
    if (!s) return;
    int files[] = {s->lock, s->cursor, s->writing, s->reading};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (files[i] >= 0) close(files[i]);
    free(s->parts);
    free(s);
}

/* ── in ──────────────────────────────────────────────────────────── */

uint64_t spool_bytes(const struct spool *s) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < s->count; i++) bytes += s->parts[i].size;
    return bytes - s->first.at;
}

bool spool_is_empty(const struct spool *s) {
    return s->count == 0 || (s->count == 1 && s->first.at >= s->parts[0].size);
}

bool spool_is_read_out(const struct spool *s) {
    return s->next.part >= s->count ||
           (s->next.part + 1 == s->count && s->next.at >= s->parts[s->next.part].size);
}

/* All of it, or nothing: a part that is cut short in a record is cut back. Returns an errno. */
static int write_records(int fd, uint64_t at, const char *records, size_t length) {
    for (size_t done = 0; done < length;) {
        ssize_t n = pwrite(fd, records + done, length - done, (off_t)(at + done));
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            int failure = n == 0 ? ENOSPC : errno;
            if (ftruncate(fd, (off_t)at) != 0) return failure; /* what is behind `size` is never read */
            return failure;
        }
    }
    return 0;
}

static int make_part(const struct spool *s, uint64_t number) {
    char path[PATH_MAX + 32];
    part_path(s, number, path);
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Makes sure that the last part is open and has room. Returns an errno. */
static int begin_part(struct spool *s) {
    if (s->writing >= 0 && s->parts[s->count - 1].size < s->part_most) return 0;
    uint64_t number = s->count ? s->parts[s->count - 1].number + 1 : first_number;
    int fd = make_part(s, number);
    if (fd < 0) return errno;
    if (!add_part(s, s->count, (struct part){.number = number})) {
        close(fd);
        return ENOMEM;
    }
    if (s->writing >= 0) close(s->writing);
    s->writing = fd;
    return 0;
}

size_t spool_append(struct spool *s, const char *records, size_t length, int *failure) {
    size_t done = 0;
    *failure = 0;
    while (done < length) {
        uint64_t used = spool_bytes(s) + s->first.at, count;
        uint64_t room = used < s->most ? s->most - used : 0;
        if (room && (*failure = begin_part(s)) != 0) break;
        if (!room) break;
        struct part *last = &s->parts[s->count - 1];
        size_t most = length - done;
        if (most > room) most = (size_t)room;
        if (last->size < s->part_most && most > s->part_most - last->size)
            most = (size_t)(s->part_most - last->size);
        size_t run = whole_records(s->framing, records + done, most, &count);
        if (!run) run = record_length(s->framing, records + done, length - done);
        if (!run || run > room) break;
        if ((*failure = write_records(s->writing, last->size, records + done, run)) != 0) break;
        last->size += run;
        done += run;
    }
    return done;
}

bool spool_prepend(struct spool *s, const char *records, size_t length) {
    /* What has been taken of the first part must not come again: it is cut off by the cursor, which stands
     * for the first part only. So nothing can go before a part that is partly taken. */
    if (s->count && s->first.at) return false;
    uint64_t number = s->count ? s->parts[0].number - 1 : first_number;
    int fd = make_part(s, number);
    if (fd < 0) return false;
    bool written = write_records(fd, 0, records, length) == 0;
    close(fd);
    char path[PATH_MAX + 32];
    part_path(s, number, path);
    if (!written || !add_part(s, 0, (struct part){.number = number, .size = length})) {
        unlink(path);
        return false;
    }
    spool_rewind(s);
    write_cursor(s);
    return true;
}

/* ── out ─────────────────────────────────────────────────────────── */

void spool_rewind(struct spool *s) {
    if (s->reading >= 0) close(s->reading);
    s->reading = -1;
    s->next = (struct place){.part = 0, .at = s->first.at};
}

/* Goes on to the part that has something to read. False if there is none. */
static bool find_next(struct spool *s) {
    while (s->next.part < s->count && s->next.at >= s->parts[s->next.part].size) {
        if (s->next.part + 1 == s->count) return false;
        if (s->reading >= 0) close(s->reading);
        s->reading = -1;
        s->next.part++;
        s->next.at = 0;
    }
    return s->next.part < s->count;
}

/* What cannot be read is left out: the rest of the part. */
static void give_up_part(struct spool *s, const char *why) {
    struct part *part = &s->parts[s->next.part];
    log_line(LOG_WARNING, "spool %s: %llu bytes of a part are left out: %s", s->folder,
             (unsigned long long)(part->size - s->next.at), why);
    if (s->next.part + 1 == s->count && s->writing >= 0) {
        close(s->writing);
        s->writing = -1;
    }
    part->size = s->next.at;
}

static size_t read_records(struct spool *s, struct buffer *out, size_t most) {
    char path[PATH_MAX + 32];
    const struct part *part = &s->parts[s->next.part];
    uint64_t left = part->size - s->next.at, count;
    size_t wanted = left < most ? (size_t)left : most;
    part_path(s, part->number, path);
    if (s->reading < 0) s->reading = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (s->reading < 0 || !buffer_reserve(out, wanted)) return 0;
    char *at = out->at + out->length;
    ssize_t n = pread(s->reading, at, wanted, (off_t)s->next.at);
    if (n <= 0) return 0;
    size_t run = whole_records(s->framing, at, (size_t)n, &count);
    if (!run && (uint64_t)n < left)
        return read_records(s, out, (size_t)left); /* one that is longer than `most` */
    out->length += run;
    s->next.at += run;
    return run;
}

size_t spool_read(struct spool *s, struct buffer *out, size_t most) {
    while (find_next(s)) {
        size_t run = read_records(s, out, most);
        if (run) return run;
        if (out->failed) break; /* memory is short: later */
        give_up_part(s, s->reading < 0 ? "it cannot be opened" : "its end is missing");
    }
    out->failed = false;
    return 0;
}

void spool_taken(struct spool *s, size_t length) {
    s->first.at += length;
    while (s->count && s->first.at >= s->parts[0].size) {
        uint64_t beyond = s->first.at - s->parts[0].size;
        remove_first(s);
        s->first.at = beyond;
    }
    write_cursor(s);
}
