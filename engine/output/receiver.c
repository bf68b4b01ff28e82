/* What a word means, the queue between those who have lines and the thread that gets rid of them, and the
 * figures.
 *
 * The queue's mutex is held for copying only, never over a system call that could wait. The thread is woken
 * through a pipe, since it sleeps in poll() on its socket. */
#include "output/receiver.h"

#include "base/log.h"
#include "output/receiver_inner.h"
#include "output/syslog.h"
#include "output/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Replay: how long a socket may be away before the run is given up. */
static const int64_t replay_patience = 10 * NS_PER_SECOND;

int64_t monotonic_now(void) {
    return time_monotonic();
}

/* ── words ───────────────────────────────────────────────────────── */

struct meaning {
    bool is_file, is_syslog;
    enum link_kind link;
    const char *address;
};

static bool begins(const char *word, const char *with, const char **rest) {
    size_t length = strlen(with);
    if (strncmp(word, with, length) != 0) return false;
    *rest = word + length;
    return true;
}

static int parse_syslog(const char *word, const char *rest, struct meaning *m, struct error *err) {
    m->is_syslog = true;
    m->link = LINK_UNIX_DATAGRAM;
    m->address = *rest ? rest : "/dev/log";
    if (!*rest || begins(rest, "unix:", &m->address)) return 0;
    m->link = LINK_UDP;
    if (begins(rest, "udp:", &m->address)) return 0;
    m->link = LINK_TCP;
    if (begins(rest, "tcp:", &m->address)) return 0;
    error_set(err,
              "the output %s: expected syslog:, syslog:unix:PATH, syslog:udp:HOST:PORT or "
              "syslog:tcp:HOST:PORT",
              word);
    return error_is_usage(err);
}

/* Most likely a slip: whoever means a file of such a name can say so. */
static bool has_unknown_scheme(const char *word) {
    size_t letters = strspn(word, "abcdefghijklmnopqrstuvwxyz");
    return letters && word[letters] == ':';
}

static int refuse_scheme(const char *word, struct error *err) {
    error_set(err,
              "the output %s: there is no \"%.*s:\"; known are PATH or file:PATH, unix:PATH, tcp:HOST:PORT, "
              "syslog:, syslog:unix:PATH, syslog:udp:HOST:PORT and syslog:tcp:HOST:PORT. A file of that name "
              "is file:%s or ./%s",
              word, (int)strcspn(word, ":"), word, word, word);
    return error_is_usage(err);
}

static int parse_word(const char *word, struct meaning *m, struct error *err) {
    *m = (struct meaning){.link = LINK_UNIX};
    const char *rest;
    if (begins(word, "syslog:", &rest)) return parse_syslog(word, rest, m, err);
    if (begins(word, "unix:", &m->address)) return 0;
    m->link = LINK_TCP;
    if (begins(word, "tcp:", &m->address)) return 0;
    m->is_file = true;
    if (!begins(word, "file:", &m->address)) {
        if (has_unknown_scheme(word)) return refuse_scheme(word, err);
        m->address = word;
    }
    if (m->address[0]) return 0;
    error_set(err,
              "an output has no name: expected a file, - for standard output, unix:PATH, tcp:HOST:PORT or "
              "syslog:");
    return error_is_usage(err);
}

const char *receiver_path(const char *word) {
    struct meaning m;
    return parse_word(word, &m, NULL) == 0 && m.is_file ? m.address : NULL;
}

/* ── opening ─────────────────────────────────────────────────────── */

static struct receiver *receiver_new(const char *name, const struct receiver_options *options,
                                     struct error *err) {
    struct receiver *r = calloc(1, sizeof *r);
    if (!r || !(r->name = strdup(name))) {
        free(r);
        error_set(err, "out of memory for the output %s", name);
        return NULL;
    }
    r->options = *options;
    if (!r->options.queue_bytes) r->options.queue_bytes = RECEIVER_QUEUE_BYTES;
    if (!r->options.spool_bytes) r->options.spool_bytes = RECEIVER_SPOOL_BYTES;
    r->figures.name = r->name;
    r->figures.healthy = true;
    r->wake[0] = r->wake[1] = -1;
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->room, NULL);
    return r;
}

void receiver_free(struct receiver *r) {
    record_file_close(r->file);
    buffer_free(&r->shelf);
    link_free(r->link);
    spool_free(r->spool);
    buffer_free(&r->queue);
    buffer_free(&r->out);
    for (int i = 0; i < 2; i++)
        if (r->wake[i] >= 0) close(r->wake[i]);
    pthread_cond_destroy(&r->room);
    pthread_mutex_destroy(&r->mutex);
    free(r->name);
    free(r);
}

static int start_thread(struct receiver *r, struct error *err) {
    if (pipe(r->wake) != 0) return error_set(err, "cannot open the output %s: %s", r->name, strerror(errno));
    for (int i = 0; i < 2; i++) {
        fcntl(r->wake[i], F_SETFD, FD_CLOEXEC);
        fcntl(r->wake[i], F_SETFL, O_NONBLOCK);
    }
    sigset_t all, before; /* signals are for the main thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&r->thread, NULL, r->link ? receiver_run_link : receiver_run_file, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure)
        return error_set(err, "cannot start a thread for the output %s: %s", r->name, strerror(failure));
    r->is_threaded = true;
    return 0;
}

static struct record_file_options file_options(const struct receiver *r) {
    return (struct record_file_options){
        .rotate_bytes = r->options.rotate_bytes,
        .rotate_seconds = r->options.rotate_seconds,
        .rotate_keep = r->options.rotate_keep,
        .wait = !r->options.live,
    };
}

static bool is_regular(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* A pipe or a terminal is watched like a socket when nobody may wait for it. */
static int open_descriptor(struct receiver *r, int fd, struct error *err) {
    struct record_file_options options = file_options(r);
    if (r->options.live && !is_regular(fd)) {
        r->link = link_from(fd, err);
        return r->link ? 0 : -1;
    }
    r->file = record_file_from(fd, &options, err);
    return r->file ? 0 : -1;
}

static int open_word(struct receiver *r, const char *word, struct error *err) {
    struct meaning m;
    if (parse_word(word, &m, err) != 0) return -1;
    if (strcmp(word, "-") == 0) return open_descriptor(r, STDOUT_FILENO, err);
    if (m.is_file) {
        struct record_file_options options = file_options(r);
        r->file = record_file_open(m.address, &options, err);
        return r->file ? 0 : -1;
    }
    r->is_syslog = m.is_syslog;
    r->framing = m.is_syslog ? FRAMING_COUNTED : FRAMING_LINES;
    r->figures.healthy = false; /* until it is connected */
    r->link = link_new(m.link, m.address, word, err);
    if (!r->link) return -1;
    if (!r->options.spool_folder) return 0;
    r->spool = spool_open(r->options.spool_folder, word, r->framing, r->options.spool_bytes, err);
    if (!r->spool) return -1;
    r->on_disk = spool_bytes(r->spool);
    return 0;
}

static struct receiver *finish_opening(struct receiver *r, int outcome, struct error *err) {
    if (outcome == 0 && (r->options.live || r->link)) outcome = start_thread(r, err);
    if (outcome == 0) return r;
    receiver_free(r);
    return NULL;
}

struct receiver *receiver_open(const char *word, const struct receiver_options *options, struct error *err) {
    struct receiver *r = receiver_new(strcmp(word, "-") == 0 ? "standard output" : word, options, err);
    return r ? finish_opening(r, open_word(r, word, err), err) : NULL;
}

struct receiver *receiver_open_descriptor(int fd, const char *name, const struct receiver_options *options,
                                          struct error *err) {
    struct receiver *r = receiver_new(name, options, err);
    return r ? finish_opening(r, open_descriptor(r, fd, err), err) : NULL;
}

int receiver_empty(struct receiver *r, struct error *err) {
    return r->file ? record_file_empty(r->file, err) : 0;
}

/* ── trouble and figures ─────────────────────────────────────────── */

void receiver_is_down(struct receiver *r, const char *trouble) {
    pthread_mutex_lock(&r->mutex);
    bool news = !r->down_since;
    if (news) r->down_since = monotonic_now();
    r->figures.healthy = false;
    snprintf(r->figures.trouble, sizeof r->figures.trouble, "%s", trouble);
    pthread_mutex_unlock(&r->mutex);
    if (news) log_line(LOG_WARNING, "output %s: %s", r->name, trouble);
}

void receiver_is_up(struct receiver *r) {
    pthread_mutex_lock(&r->mutex);
    int64_t since = r->down_since;
    uint64_t lost = r->figures.lost;
    r->down_since = 0;
    r->figures.healthy = true;
    r->has_lost = false;
    pthread_mutex_unlock(&r->mutex);
    if (!since) return;
    log_line(LOG_WARNING, "output %s: works again after %.1f s; lines lost so far: %llu", r->name,
             ns_to_seconds(monotonic_now() - since), (unsigned long long)lost);
}

void receiver_delivered(struct receiver *r, uint64_t lines, uint64_t bytes) {
    pthread_mutex_lock(&r->mutex);
    r->figures.lines += lines;
    r->figures.bytes += bytes;
    pthread_mutex_unlock(&r->mutex);
}

/* Under the mutex. True if that is news. */
static bool note_loss(struct receiver *r, uint64_t lines) {
    r->figures.lost += lines;
    bool news = lines && !r->has_lost;
    if (lines) r->has_lost = true;
    return news;
}

static void tell_loss(const struct receiver *r) {
    log_line(LOG_WARNING, "output %s: what may wait for it is used up: lines are lost", r->name);
}

void receiver_lost(struct receiver *r, uint64_t lines) {
    pthread_mutex_lock(&r->mutex);
    note_loss(r, lines);
    pthread_mutex_unlock(&r->mutex);
}

void receiver_figures(struct receiver *r, struct receiver_figures *out) {
    pthread_mutex_lock(&r->mutex);
    *out = r->figures;
    out->spooled = r->queue.length - r->head + r->on_disk;
    pthread_mutex_unlock(&r->mutex);
}

bool receiver_failed(struct receiver *r) {
    if (r->options.live) return false;
    pthread_mutex_lock(&r->mutex);
    bool failed = r->failure != 0;
    pthread_mutex_unlock(&r->mutex);
    return failed;
}

/* ── the queue ───────────────────────────────────────────────────── */

/* Under the mutex. */
static void wake_thread(struct receiver *r) {
    if (r->is_awake || !r->is_threaded) return;
    r->is_awake = true;
    ssize_t written = write(r->wake[1], "", 1);
    (void)written;
}

/* Under the mutex: waits for room if that is what this run is like. */
static void wait_for_room(struct receiver *r, size_t length) {
    while (!r->options.live && !r->failure && r->queue.length > r->head &&
           r->queue.length - r->head + length > r->options.queue_bytes) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        pthread_cond_timedwait(&r->room, &r->mutex, &until);
        if (r->down_since && monotonic_now() - r->down_since > replay_patience) r->failure = ECONNREFUSED;
    }
}

double receiver_await(struct receiver *r, size_t length, double seconds) {
    int64_t until = monotonic_now() + (int64_t)(seconds * NS_PER_SECOND);
    pthread_mutex_lock(&r->mutex);
    while (r->is_threaded && !r->is_syslog && !r->failure && !r->down_since && monotonic_now() < until &&
           r->queue.length - r->head + length > r->options.queue_bytes) {
        struct timespec soon;
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_sec += 1; /* in case it goes down meanwhile */
        pthread_cond_timedwait(&r->room, &r->mutex, &soon);
    }
    pthread_mutex_unlock(&r->mutex);
    int64_t left = until - monotonic_now();
    return left > 0 ? ns_to_seconds(left) : 0;
}

/* Under the mutex: makes place by moving what waits to the front, at most once in a while. */
static void close_ranks(struct receiver *r) {
    if (r->head < r->queue.capacity / 2 && r->head != r->queue.length) return;
    memmove(r->queue.at, r->queue.at + r->head, r->queue.length - r->head);
    r->queue.length -= r->head;
    r->head = 0;
}

static uint64_t count_records(const struct receiver *r, const char *records, size_t length) {
    uint64_t count;
    whole_records(r->framing, records, length, &count);
    return count;
}

/* Takes the records that fit, whole ones and the first ones; the rest is lost. */
static void enqueue(struct receiver *r, const char *records, size_t length) {
    pthread_mutex_lock(&r->mutex);
    wait_for_room(r, length);
    if (r->head) close_ranks(r);
    size_t waiting = r->queue.length - r->head;
    size_t room = waiting < r->options.queue_bytes ? r->options.queue_bytes - waiting : 0;
    uint64_t count;
    size_t fits = length;
    if (r->failure)
        fits = 0;
    else if (r->options.live && length > room)
        fits = whole_records(r->framing, records, room, &count);
    if (fits) buffer_put(&r->queue, records, fits);
    if (r->queue.failed) {
        r->queue.failed = false;
        fits = 0;
    }
    bool news = fits < length && note_loss(r, count_records(r, records + fits, length - fits));
    if (fits) wake_thread(r);
    pthread_mutex_unlock(&r->mutex);
    if (news) tell_loss(r);
}

size_t receiver_take(struct receiver *r, struct buffer *out, size_t most) {
    pthread_mutex_lock(&r->mutex);
    const char *from = r->queue.at + r->head;
    size_t waiting = r->queue.length - r->head, length = waiting;
    uint64_t count;
    if (waiting > most) {
        length = whole_records(r->framing, from, most, &count);
        if (!length) length = record_length(r->framing, from, waiting);
    }
    size_t before = out->length;
    if (length) buffer_put(out, from, length);
    if (out->failed) length = 0;
    out->failed = false;
    r->head += out->length - before;
    if (r->head == r->queue.length) {
        r->head = r->queue.length = 0;
        if (r->queue.capacity > 1024 * 1024) buffer_free(&r->queue);
    }
    pthread_cond_broadcast(&r->room);
    pthread_mutex_unlock(&r->mutex);
    return length;
}

/* ── writing ─────────────────────────────────────────────────────── */

bool receiver_wants(const struct receiver *r, const char *event_type) {
    return !r->is_syslog || syslog_wants(event_type, strlen(event_type));
}

/* Replay's files: the caller does the work and waits for the disk. */
static void write_at_once(struct receiver *r, const char *lines, size_t length) {
    uint64_t count = count_records(r, lines, length);
    pthread_mutex_lock(&r->mutex);
    if (!r->failure) {
        int failure = 0;
        size_t done = record_file_write(r->file, lines, length, (int64_t)time(NULL), &failure);
        r->figures.bytes += done;
        if (failure)
            r->failure = failure;
        else
            r->figures.lines += count;
    } else {
        r->figures.lost += count;
    }
    pthread_mutex_unlock(&r->mutex);
}

static void write_syslog(struct receiver *r, const char *lines, size_t length) {
    struct buffer frames = {0};
    uint64_t failed = syslog_frames(&frames, lines, length);
    if (failed) receiver_lost(r, failed);
    if (frames.length) enqueue(r, frames.at, frames.length);
    buffer_free(&frames);
}

void receiver_write(struct receiver *r, const char *lines, size_t length) {
    if (!length) return;
    if (!r->is_threaded)
        write_at_once(r, lines, length);
    else if (r->is_syslog)
        write_syslog(r, lines, length);
    else
        enqueue(r, lines, length);
}

void receiver_rotate(struct receiver *r) {
    struct error err;
    pthread_mutex_lock(&r->mutex);
    r->wants_rotation = true;
    wake_thread(r);
    if (!r->is_threaded && record_file_rotate(r->file, (int64_t)time(NULL), &err) != 0)
        log_line(LOG_WARNING, "%s", err.text);
    pthread_mutex_unlock(&r->mutex);
}

/* ── closing ─────────────────────────────────────────────────────── */

static int report_failure(const struct receiver *r, struct error *err) {
    if (r->failure == EPIPE) return error_set(err, "%s was closed", r->name);
    if (r->failure && r->link)
        return error_set(err, "cannot reach %s: %s; what came after is lost", r->name, r->figures.trouble);
    if (r->failure)
        return error_set(err, "cannot write %s: %s; what came after %llu bytes is lost", r->name,
                         strerror(r->failure), (unsigned long long)r->figures.bytes);
    if (r->figures.lost)
        return error_set(err, "%llu lines for %s were lost", (unsigned long long)r->figures.lost, r->name);
    return 0;
}

/* A thread that waits for a name server is left behind; what was in memory goes to the spool, if there is
 * one. Under the mutex, which it gives back. */
static int abandon(struct receiver *r, struct error *err) {
    const char *at = r->queue.at + r->head;
    size_t waiting = r->queue.length - r->head, kept = 0;
    int failure;
    if (r->spool && waiting && !r->shelf.length) kept = spool_append(r->spool, at, waiting, &failure);
    if (waiting) note_loss(r, count_records(r, at + kept, waiting - kept));
    if (r->shelf.length) note_loss(r, count_records(r, r->shelf.at, r->shelf.length));
    if (r->out.length) note_loss(r, count_records(r, r->out.at, r->out.length));
    int result = report_failure(r, err);
    spool_free(r->spool);
    r->spool = NULL;
    r->is_abandoned = true;
    pthread_detach(r->thread);
    pthread_mutex_unlock(&r->mutex); /* from here on it is the thread's to free */
    return result;
}

int receiver_close(struct receiver *r, double seconds, struct error *err) {
    if (!r) return 0;
    if (r->is_threaded) {
        pthread_mutex_lock(&r->mutex);
        r->is_closing = true;
        r->deadline = monotonic_now() + (int64_t)(seconds * 1e9);
        if (r->is_resolving) return abandon(r, err);
        wake_thread(r);
        pthread_mutex_unlock(&r->mutex);
        pthread_join(r->thread, NULL);
    }
    int failure = record_file_close(r->file); /* a network's file system may say only now that it is full */
    r->file = NULL;
    if (failure && !r->failure && !r->options.live) r->failure = failure;
    int result = report_failure(r, err);
    receiver_free(r);
    return result;
}
