/* Bytes are gathered in one buffer, lines are shown where they lie. What is read once comes through the
 * capture room's block reader, which knows compressed streams; what is followed through a descriptor that is
 * asked by poll() before each read, so that neither pipe nor terminal makes the caller wait. */
#include "endpoint/log_file.h"

#include "base/time.h"
#include "capture/block.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024 };

struct log_file {
    const char *path;
    bool follow;
    struct block_reader reader; /* what is read once */
    int descriptor;             /* what is followed; -1: not there now */
    struct stat identity;
    uint64_t offset;  /* bytes read of it */
    uint64_t backlog; /* bytes that it had when it was opened */
    bool first;       /* it is still the file that was opened first */
    char *buffer;
    size_t at, used, capacity;
    uint64_t number;
    bool skipping;      /* within a line that is too long, or cut at its beginning */
    bool cut;           /* … at its beginning: nobody is told */
    bool absent;        /* it was not there at first */
    bool told_absence;  /* … or is gone: and that was told */
    nanoseconds missed; /* monotonic time at which it was found gone; 0: it is there */
    char failure[160];
};

/* Whoever rotates a log moves it away and makes a new one: that takes a moment. */
static const nanoseconds GONE_AFTER = 5 * NS_PER_SECOND;

/* ------------------------------------------------------------------ opening */

static bool is_stdin(const struct log_file *file) {
    return strcmp(file->path, "-") == 0;
}

static int follow_open(struct log_file *file) {
    file->descriptor =
        is_stdin(file) ? dup(STDIN_FILENO) : open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->descriptor < 0) return -1;
    file->offset = 0;
    if (fstat(file->descriptor, &file->identity) == 0 && !S_ISDIR(file->identity.st_mode)) return 0;
    if (S_ISDIR(file->identity.st_mode)) errno = EISDIR;
    close(file->descriptor);
    file->descriptor = -1;
    return -1;
}

/* Of a long file only the end: how the Mac came to its present state is in its last hours. */
static void backlog_begin(struct log_file *file) {
    file->first = true;
    if (!S_ISREG(file->identity.st_mode)) return;
    file->backlog = (uint64_t)file->identity.st_size;
    if (file->backlog <= LOG_BACKLOG_MOST) return;
    off_t to = (off_t)(file->backlog - LOG_BACKLOG_MOST);
    if (lseek(file->descriptor, to, SEEK_SET) != to) return;
    file->offset = (uint64_t)to;
    file->skipping = file->cut = true;
}

static bool is_directory(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* The sensor has given its rights up by now: whose eyes it reads with is not who started it. */
static void open_failure(const char *path, struct error *err) {
    int why = errno;
    const struct passwd *user = why == EACCES ? getpwuid(geteuid()) : NULL;
    if (why == EACCES)
        error_set(err,
                  "%s: cannot be opened by the user %s (id %u), as whom this runs: let that user read it and "
                  "pass through its folders, or name another one with --user",
                  path, user ? user->pw_name : "without a name", (unsigned)geteuid());
    else
        error_set(err, "%s: cannot be opened: %s", block_title(path), strerror(why));
}

struct log_file *log_file_open(const char *path, bool follow, bool patient, struct error *err) {
    struct log_file *file = calloc(1, sizeof *file);
    if (!file) {
        error_set(err, "out of memory");
        return NULL;
    }
    *file = (struct log_file){.path = path, .follow = follow, .descriptor = -1, .reader = {.fd = -1}};
    if (is_directory(path)) {
        error_set(err, "%s: a directory; the file of a host log was expected", path);
        free(file);
        return NULL;
    }
    if (!follow) {
        if (block_open(&file->reader, path, err) == 0) return file;
        free(file);
        return NULL;
    }
    if (follow_open(file) == 0) {
        backlog_begin(file);
        return file;
    }
    file->absent = errno == ENOENT;
    if (patient || file->absent) return file;
    open_failure(path, err);
    free(file);
    return NULL;
}

void log_file_close(struct log_file *file) {
    if (!file) return;
    if (!file->follow) block_close(&file->reader);
    if (file->descriptor >= 0) close(file->descriptor);
    free(file->buffer);
    free(file);
}

/* ------------------------------------------------------------------- bytes */

/* Room for a chunk behind what is there. */
static bool room_make(struct log_file *file) {
    if (file->at > 0) {
        memmove(file->buffer, file->buffer + file->at, file->used - file->at);
        file->used -= file->at;
        file->at = 0;
    }
    if (file->capacity - file->used >= CHUNK) return true;
    size_t capacity = file->capacity ? file->capacity * 2 : 4 * CHUNK;
    char *grown = realloc(file->buffer, capacity);
    if (!grown) return false;
    file->buffer = grown;
    file->capacity = capacity;
    return true;
}

static size_t once_read(struct log_file *file) {
    size_t here = block_fill(&file->reader, 1);
    if (here > CHUNK) here = CHUNK;
    memcpy(file->buffer + file->used, file->reader.at, here);
    file->reader.at += here;
    if (here == 0 && file->reader.failure[0])
        snprintf(file->failure, sizeof file->failure, "%s", file->reader.failure);
    return here;
}

/* Without waiting. 0: nothing is there. */
static size_t followed_read(struct log_file *file) {
    struct pollfd asked = {.fd = file->descriptor, .events = POLLIN};
    if (poll(&asked, 1, 0) <= 0 || !(asked.revents & (POLLIN | POLLHUP))) return 0;
    ssize_t n = read(file->descriptor, file->buffer + file->used, CHUNK);
    if (n > 0) file->offset += (uint64_t)n;
    return n > 0 ? (size_t)n : 0;
}

static void begin_anew(struct log_file *file) {
    file->at = file->used = 0; /* the end of a line that never came */
    file->number = 0;
    file->skipping = file->cut = file->first = false;
}

/* All of it was read: is there another file under its name, or was it cut? True if there may be more. */
static bool follow_look(struct log_file *file) {
    struct stat now;
    if (is_stdin(file) || S_ISFIFO(file->identity.st_mode)) return false;
    if (file->descriptor < 0) return follow_open(file) == 0;
    if (fstat(file->descriptor, &now) == 0 && (uint64_t)now.st_size < file->offset) {
        begin_anew(file);
        file->offset = 0;
        return lseek(file->descriptor, 0, SEEK_SET) == 0 && now.st_size > 0;
    }
    if (stat(file->path, &now) < 0) { /* moved away, and nothing there yet */
        if (!file->missed) file->missed = time_monotonic();
        return false;
    }
    file->missed = 0;
    file->told_absence = false;
    if (now.st_dev == file->identity.st_dev && now.st_ino == file->identity.st_ino) return false;
    close(file->descriptor);
    begin_anew(file);
    return follow_open(file) == 0;
}

/* More bytes behind what is there; 0 if there are none (now). */
static size_t more(struct log_file *file) {
    if (!room_make(file)) {
        snprintf(file->failure, sizeof file->failure, "out of memory");
        return 0;
    }
    if (!file->follow) return once_read(file);
    size_t n = file->descriptor >= 0 ? followed_read(file) : 0;
    if (n > 0) return n;
    return follow_look(file) ? followed_read(file) : 0;
}

/* -------------------------------------------------------------------- lines */

static enum log_progress show(struct log_file *file, size_t end, const char **line, size_t *length) {
    bool skipped = file->skipping, cut = file->cut;
    *line = file->buffer + file->at;
    *length = end - file->at;
    file->at = end < file->used ? end + 1 : end;
    file->skipping = file->cut = false;
    if (!cut) file->number++;
    return skipped ? LOG_TOO_LONG : LOG_LINE;
}

static enum log_progress next(struct log_file *file, const char **line, size_t *length, size_t *budget) {
    size_t searched = 0;
    for (;;) {
        size_t here = file->used - file->at;
        const char *from = file->buffer ? file->buffer + file->at + searched : NULL;
        const char *end = here > searched ? memchr(from, '\n', here - searched) : NULL;
        if (end) return show(file, (size_t)(end - file->buffer), line, length);
        searched = here;
        if (file->skipping || here > LOG_LINE_MOST) {
            file->skipping = true;
            file->at = file->used = searched = 0;
        }
        if (*budget == 0) return LOG_WAIT;
        size_t n = more(file);
        if (n == 0) break;
        if (file->used - file->at < searched) searched = 0; /* begun anew */
        file->used += n;
        *budget -= n < *budget ? n : *budget;
    }
    if (file->follow) return LOG_WAIT;
    if (file->used > file->at || file->skipping) return show(file, file->used, line, length);
    return LOG_END;
}

enum log_progress log_file_next(struct log_file *file, const char **line, size_t *length, size_t *budget) {
    for (;;) {
        bool cut = file->cut;
        enum log_progress progress = next(file, line, length, budget);
        if (progress == LOG_TOO_LONG && cut) continue;
        return progress;
    }
}

uint64_t log_file_number(const struct log_file *file) {
    return file->number;
}

bool log_file_is_backlog(const struct log_file *file) {
    return file->follow && file->first && file->offset - (file->used - file->at) <= file->backlog;
}

const char *log_file_notice(struct log_file *file) {
    if (!file->follow || file->told_absence) return NULL;
    bool gone = file->missed && time_monotonic() - file->missed >= GONE_AFTER;
    if (!file->absent && !gone) return NULL;
    file->told_absence = true;
    bool was_there = !file->absent;
    file->absent = false;
    return was_there ? "is gone; a new file of that name will be read when it comes"
                     : "is not there yet; it will be read when it comes";
}

const char *log_file_failure(const struct log_file *file) {
    return file->failure;
}
