/* Names of rotated files: NAME-20240501T120000Z, and -1, -2 … behind it if there is one of that name. They
 * sort by time; those beyond the number that is kept are removed, oldest first. */
#include "output/record_file.h"

#include "base/log.h"
#include "output/framing.h"
#include "output/writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    STAMP_LENGTH = 16,  /* 20240501T120000Z */
    RETRY_SECONDS = 60, /* after a rotation that failed */
};

struct record_file {
    char *path; /* NULL: borrowed descriptor */
    int fd;
    bool is_regular;
    uint64_t size;
    int64_t due;        /* when it is to be rotated for its age */
    int64_t not_before; /* no rotation for its size until then: the last one failed */
    int64_t looked;     /* record_file_look() was here last */
    bool told;          /* … that the file is deleted and cannot be made anew */
    struct record_file_options options;
};

static int open_path(const char *path, bool wait) {
    /* Without waiting a pipe that nobody reads cannot be opened, rather than hold up the start. */
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | (wait ? 0 : O_NONBLOCK), 0640);
}

static int64_t next_multiple(const struct record_file *f, int64_t now) {
    int64_t every = (int64_t)f->options.rotate_seconds;
    return every && f->path ? (now / every + 1) * every : INT64_MAX;
}

/* Takes over a descriptor: its size and age. */
static void adopt(struct record_file *f, int fd, int64_t now) {
    struct stat status;
    f->fd = fd;
    f->size = 0;
    f->is_regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (f->is_regular) f->size = (uint64_t)status.st_size;
    f->due = next_multiple(f, f->size ? (int64_t)status.st_mtime : now);
    if (!f->is_regular) f->due = INT64_MAX;
}

/* True if another live sensor has it. Where there are no locks (some network file systems) nobody has. */
static bool is_taken(int fd, const struct record_file_options *options) {
    struct stat status;
    if (options->wait || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return false;
    return flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

static struct record_file *file_new(const struct record_file_options *options, struct error *err) {
    struct record_file *f = calloc(1, sizeof *f);
    if (!f) {
        error_set(err, "out of memory for an output");
        return NULL;
    }
    f->fd = -1;
    f->options = *options;
    return f;
}

struct record_file *record_file_open(const char *path, const struct record_file_options *options,
                                     struct error *err) {
    struct record_file *f = file_new(options, err);
    if (!f) return NULL;
    f->path = strdup(path);
    int fd = f->path ? open_path(path, options->wait) : -1;
    if (fd >= 0 && !is_taken(fd, options)) {
        adopt(f, fd, (int64_t)time(NULL));
        return f;
    }
    if (fd >= 0) {
        close(fd);
        error_set(err,
                  "%s is locked: another sensor writes to it, or this one by another name; name another file",
                  path);
    } else if (errno == ENXIO)
        error_set(err, "cannot open %s for writing: it is a pipe that nobody reads", path);
    else
        error_set(err, "cannot open %s for writing: %s", path, strerror(errno));
    record_file_close(f);
    return NULL;
}

struct record_file *record_file_from(int fd, const struct record_file_options *options, struct error *err) {
    struct record_file *f = file_new(options, err);
    if (f) adopt(f, fd, (int64_t)time(NULL));
    return f;
}

int record_file_close(struct record_file *f) {
    if (!f) return 0;
    int failure = f->path && f->fd >= 0 && close(f->fd) != 0 ? errno : 0;
    free(f->path);
    free(f);
    return failure;
}

int record_file_descriptor(const struct record_file *f) {
    return f->fd;
}

int record_file_empty(struct record_file *f, struct error *err) {
    if (!f->is_regular || !f->path) return 0;
    if (ftruncate(f->fd, 0) != 0) return error_set(err, "cannot empty %s: %s", f->path, strerror(errno));
    f->size = 0;
    return 0;
}

/* ── rotation ────────────────────────────────────────────────────── */

struct old_file {
    char stamp[STAMP_LENGTH + 1];
    unsigned long number;
};

/* Is it a rotated file of that name? `name` is what a folder lists. */
static bool parse_old(const char *name, const char *base, struct old_file *out) {
    size_t length = strlen(base);
    if (strncmp(name, base, length) != 0 || name[length] != '-') return false;
    const char *stamp = name + length + 1;
    for (int i = 0; i < STAMP_LENGTH; i++) {
        bool fits = i == 8 ? stamp[i] == 'T' : i == 15 ? stamp[i] == 'Z' : stamp[i] >= '0' && stamp[i] <= '9';
        if (!fits) return false;
    }
    memcpy(out->stamp, stamp, STAMP_LENGTH);
    out->stamp[STAMP_LENGTH] = '\0';
    out->number = 0;
    const char *tail = stamp + STAMP_LENGTH;
    if (!*tail) return true;
    char *end;
    if (tail[0] != '-' || tail[1] < '1' || tail[1] > '9') return false;
    out->number = strtoul(tail + 1, &end, 10);
    return *end == '\0';
}

static int compare_old(const void *left, const void *right) {
    const struct old_file *a = left, *b = right;
    int order = strcmp(a->stamp, b->stamp);
    if (order) return order;
    return a->number < b->number ? -1 : a->number > b->number;
}

static void name_old(const struct record_file *f, const struct old_file *old, char out[PATH_MAX]) {
    if (old->number)
        snprintf(out, PATH_MAX, "%s-%s-%lu", f->path, old->stamp, old->number);
    else
        snprintf(out, PATH_MAX, "%s-%s", f->path, old->stamp);
}

static void remove_oldest(const struct record_file *f, struct old_file *old, size_t count) {
    if (count <= f->options.rotate_keep) return;
    qsort(old, count, sizeof *old, compare_old);
    for (size_t i = 0; i < count - f->options.rotate_keep; i++) {
        char path[PATH_MAX];
        name_old(f, &old[i], path);
        if (unlink(path) != 0) log_line(LOG_WARNING, "cannot remove %s: %s", path, strerror(errno));
    }
}

/* All that are there, in no order. NULL if there is none; the caller frees. */
static struct old_file *list_old(const struct record_file *f, size_t *count) {
    char folder[PATH_MAX];
    const char *slash = strrchr(f->path, '/');
    const char *base = slash ? slash + 1 : f->path;
    int length = slash ? (int)(slash - f->path) + 1 : 1;
    snprintf(folder, sizeof folder, "%.*s", length, slash ? f->path : ".");
    struct old_file *old = NULL;
    size_t capacity = 0;
    *count = 0;
    DIR *listing = opendir(folder);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        struct old_file one;
        if (!parse_old(entry->d_name, base, &one)) continue;
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            struct old_file *more = realloc(old, capacity * sizeof *more);
            if (!more) break;
            old = more;
        }
        old[(*count)++] = one;
    }
    if (listing) closedir(listing);
    return old;
}

static void keep_few(const struct record_file *f) {
    size_t count;
    if (!f->options.rotate_keep) return;
    struct old_file *old = list_old(f, &count);
    remove_oldest(f, old, count);
    free(old);
}

/* A name that is free and sorts behind those of the same second, also when the first of them are gone
 * already. */
static bool find_name(const struct record_file *f, int64_t now, char out[PATH_MAX]) {
    struct old_file fresh = {.number = 0};
    time_t seconds = (time_t)now;
    struct tm utc;
    gmtime_r(&seconds, &utc);
    if (strftime(fresh.stamp, sizeof fresh.stamp, "%Y%m%dT%H%M%SZ", &utc) != STAMP_LENGTH) return false;
    size_t count;
    struct old_file *old = list_old(f, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(old[i].stamp, fresh.stamp) == 0 && old[i].number >= fresh.number)
            fresh.number = old[i].number + 1;
    free(old);
    struct stat status;
    name_old(f, &fresh, out);
    return lstat(out, &status) != 0 && errno == ENOENT;
}

static bool was_moved_away(const struct record_file *f) {
    struct stat open_one, named;
    if (stat(f->path, &named) != 0) return true;
    return fstat(f->fd, &open_one) != 0 || open_one.st_dev != named.st_dev || open_one.st_ino != named.st_ino;
}

static int reopen(struct record_file *f, int64_t now, struct error *err) {
    int fd = open_path(f->path, f->options.wait);
    if (fd < 0)
        return error_set(err, "cannot begin a new %s: %s; the old file goes on", f->path, strerror(errno));
    close(f->fd);
    if (is_taken(fd, &f->options))
        log_line(LOG_WARNING, "%s is written by another sensor, too: name another file for one of them",
                 f->path);
    adopt(f, fd, now);
    f->told = false;
    return 0;
}

bool record_file_is_watched(const struct record_file *f) {
    return f->path && f->is_regular && !f->options.wait;
}

void record_file_look(struct record_file *f, int64_t now) {
    struct stat status;
    struct error err;
    if (!record_file_is_watched(f) || now == f->looked) return;
    f->looked = now;
    if (fstat(f->fd, &status) != 0 || status.st_nlink > 0) return;
    if (reopen(f, now, &err) == 0) {
        log_line(LOG_WARNING, "%s was deleted: a new one is begun", f->path);
    } else if (!f->told) {
        log_line(LOG_WARNING, "%s was deleted: %s", f->path, err.text);
        f->told = true;
    }
}

int record_file_rotate(struct record_file *f, int64_t now, struct error *err) {
    char old[PATH_MAX];
    if (!f->path) return 0;
    f->due = next_multiple(f, now);
    if (was_moved_away(f)) return reopen(f, now, err);
    if (!f->is_regular || f->size == 0) return 0;
    if (!find_name(f, now, old) || rename(f->path, old) != 0) {
        f->not_before = now + RETRY_SECONDS;
        return error_set(err, "cannot rename %s: %s; the old file goes on", f->path, strerror(errno));
    }
    if (reopen(f, now, err) != 0) {
        f->not_before = now + RETRY_SECONDS;
        if (rename(old, f->path) != 0) log_line(LOG_WARNING, "%s is now called %s", f->path, old);
        return -1;
    }
    keep_few(f);
    return 0;
}

int64_t record_file_next(const struct record_file *f) {
    return f->due;
}

int record_file_age(struct record_file *f, int64_t now, struct error *err) {
    return now >= f->due ? record_file_rotate(f, now, err) : 0;
}

/* ── writing ─────────────────────────────────────────────────────── */

/* How much of the lines still fits into this file: whole lines, one at least into an empty one. */
static size_t room_for(const struct record_file *f, const char *lines, size_t length, int64_t now) {
    uint64_t limit = f->options.rotate_bytes;
    if (!limit || !f->path || !f->is_regular || now < f->not_before || f->size + length <= limit)
        return length;
    size_t most = f->size < limit ? (size_t)(limit - f->size) : 0;
    size_t whole = whole_lines(lines, most);
    if (whole) return whole;
    if (f->size) return 0;
    const char *end = memchr(lines, '\n', length);
    return end ? (size_t)(end - lines) + 1 : length;
}

/* What of `done` bytes may stand: on a regular file the half line at the end is cut off again. */
static size_t settle(struct record_file *f, const char *lines, size_t length, size_t done) {
    if (!f->is_regular || done == length) return done;
    size_t whole = whole_lines(lines, done);
    if (whole == done) return done;
    struct stat status; /* another program may write to it as well: the end is where it is now */
    if (fstat(f->fd, &status) != 0 || (size_t)status.st_size < done - whole) return done;
    return ftruncate(f->fd, status.st_size - (off_t)(done - whole)) == 0 ? whole : done;
}

static size_t write_run(struct record_file *f, const char *lines, size_t length, int *failure) {
    size_t done = 0;
    while (done < length) {
        ssize_t n = write(f->fd, lines + done, length - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && f->options.wait) {
            struct pollfd wait = {.fd = f->fd, .events = POLLOUT};
            poll(&wait, 1, -1);
        } else if (n == 0 || errno != EINTR) {
            *failure = n == 0 ? ENOSPC : errno;
            break;
        }
    }
    done = settle(f, lines, length, done);
    f->size += done;
    return done;
}

size_t record_file_write(struct record_file *f, const char *lines, size_t length, int64_t now, int *failure) {
    struct error err;
    size_t done = 0;
    *failure = 0;
    if (record_file_age(f, now, &err) != 0) log_line(LOG_WARNING, "%s", err.text);
    while (done < length && *failure == 0) {
        size_t run = room_for(f, lines + done, length - done, now);
        if (run == 0 && record_file_rotate(f, now, &err) != 0) log_line(LOG_WARNING, "%s", err.text);
        if (run == 0 && f->size) f->not_before = f->not_before > now ? f->not_before : now + 1;
        done += write_run(f, lines + done, run, failure);
    }
    return done;
}
