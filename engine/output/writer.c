/* One mutex guards the queues. What the workers touch on every batch, watermark and hunger, are atomics
 * outside it: a worker that has nothing to hand over takes no lock.
 *
 * The handshake between an empty stream and the writer that waits for it: the writer says that it is hungry,
 * then reads the watermark once more, then sleeps; the worker stores its watermark, then looks whether the
 * writer is hungry. Both in this order (sequentially consistent), so one of them sees the other. */
#include "output/writer.h"

#include "output/chunk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum hunger { SATED, PECKISH, HUNGRY }; /* PECKISH: idle, would take what somebody waits for */

struct record_stream {
    struct writer *writer;
    struct chunk *open; /* the worker's; NULL if none was needed yet */
    nanoseconds floor;  /* no line may be older: what was promised */
    uint64_t lost;
    uint32_t line_at, line_sink; /* of the line that is being written */
    /* Shared with the writer. */
    _Atomic nanoseconds watermark;
    _Atomic int hunger;
    struct chunk *queue[WRITER_QUEUE]; /* ring, under the mutex */
    uint32_t head, queued;
    size_t queued_bytes;
    bool closed;                    /* under the mutex */
    bool hurried;                   /* never waits: what finds the queue full goes to the overflow */
    struct chunk *overflow, **last; /* under the mutex */
    _Atomic bool behind;            /* there is overflow */
};

struct sink_state {
    struct sink sink;
    struct buffer pending; /* lines gathered for one write */
    _Atomic int failure;   /* errno of the first write that failed */
    _Atomic uint64_t written;
};

struct writer {
    pthread_mutex_t mutex;
    pthread_cond_t arrived; /* a chunk, a watermark, a close */
    pthread_cond_t taken;   /* there is room in a queue again */
    pthread_t thread;
    struct chunk *spare;
    uint32_t stream_count, sink_count;
    struct sink_state sinks[WRITER_SINKS];
    struct record_stream streams[];
};

/* ── the sinks ───────────────────────────────────────────────────── */

int write_whole(int fd, const char *at, size_t length) {
    while (length) {
        ssize_t n = write(fd, at, length);
        if (n >= 0) {
            at += n;
            length -= (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* Nothing is, or can be, written there. */
static bool is_shut(const struct sink_state *s) {
    return (s->sink.fd < 0 && !s->sink.deliver) || s->failure;
}

static void sink_write(struct sink_state *s, const char *at, size_t length) {
    if (length == 0 || is_shut(s)) return;
    if (s->sink.before_write) s->sink.before_write(s->sink.context);
    int failure = 0;
    if (s->sink.deliver)
        s->sink.deliver(s->sink.receivers, at, length);
    else
        failure = write_whole(s->sink.fd, at, length);
    if (s->sink.after_write) s->sink.after_write(s->sink.context);
    if (failure)
        s->failure = failure;
    else
        s->written += length;
}

static void sink_flush(struct sink_state *s) {
    sink_write(s, s->pending.at, s->pending.length);
    s->pending.length = 0;
}

/* Lines that lie one after the other are copied together, or written from where they are if they are many. */
static void sink_add(struct sink_state *s, const char *at, size_t length) {
    if (length < WRITER_CHUNK_BYTES / 2 && buffer_reserve(&s->pending, length)) {
        buffer_put(&s->pending, at, length);
        if (s->pending.length >= WRITER_CHUNK_BYTES) sink_flush(s);
        return;
    }
    sink_flush(s);
    sink_write(s, at, length);
    s->pending.failed = false;
}

static void flush_sinks(struct writer *w) {
    for (uint32_t i = 0; i < w->sink_count; i++) sink_flush(&w->sinks[i]);
}

static bool is_pending(const struct writer *w) {
    for (uint32_t i = 0; i < w->sink_count; i++)
        if (w->sinks[i].pending.length) return true;
    return false;
}

/* ── the merge: writer thread ────────────────────────────────────── */

/* Up to where the chosen stream may be written: lines before (clock, stream). */
struct bound {
    nanoseconds clock;
    uint32_t stream;
};

static bool is_before(nanoseconds clock, uint32_t stream, struct bound bound) {
    return clock < bound.clock || (clock == bound.clock && stream < bound.stream);
}

/* The clock of the next line of a stream, or the promise that it is not older. */
static nanoseconds next_clock(const struct record_stream *s) {
    if (!s->queued) return s->closed ? INT64_MAX : s->watermark;
    const struct chunk *chunk = s->queue[s->head];
    return chunk->marks[chunk->position].key.clock;
}

/* Finds the stream whose line is next and how far it may be written. -1 if none may be written yet. */
static int choose(const struct writer *w, struct bound *bound) {
    int best = -1;
    struct bound least = {INT64_MAX, UINT32_MAX}, second = least;
    for (uint32_t i = 0; i < w->stream_count; i++) {
        const struct record_stream *s = &w->streams[i];
        if (!s->queued && s->closed) continue;
        nanoseconds clock = next_clock(s);
        if (is_before(clock, i, least)) {
            second = least;
            least = (struct bound){clock, i};
            best = (int)i;
        } else if (is_before(clock, i, second)) {
            second = (struct bound){clock, i};
        }
    }
    *bound = second;
    return best >= 0 && w->streams[best].queued ? best : -1;
}

/* Is it worth asking those who are behind for half a chunk? If a queue gets long, or somebody watches. */
static bool is_pressed(const struct writer *w) {
    for (uint32_t i = 0; i < w->stream_count; i++) {
        const struct record_stream *s = &w->streams[i];
        if (s->queued >= WRITER_QUEUE / 2 || s->queued_bytes >= WRITER_QUEUE_BYTES / 2) return true;
        for (uint32_t k = 0; k < s->queued; k++)
            if (s->queue[(s->head + k) % WRITER_QUEUE]->prompt) return true;
    }
    return false;
}

static void set_hunger(struct writer *w, bool pressed) {
    for (uint32_t i = 0; i < w->stream_count; i++) {
        struct record_stream *s = &w->streams[i];
        s->hunger = s->queued || s->closed ? SATED : pressed ? HUNGRY : PECKISH;
    }
}

/* Writes the lines of a chunk that come before the bound. Runs of neighbours go out together. */
static void write_lines(struct writer *w, struct chunk *chunk, uint32_t stream, struct bound bound) {
    while (chunk->position < chunk->count) {
        const struct line_mark *mark = &chunk->marks[chunk->position];
        if (!is_before(mark->key.clock, stream, bound)) return;
        uint32_t sink = mark->sink, at = mark->at, end = mark->at;
        while (chunk->position < chunk->count) {
            mark = &chunk->marks[chunk->position];
            if (mark->at != end || mark->sink != sink || !is_before(mark->key.clock, stream, bound)) break;
            end += mark->length;
            chunk->position++;
        }
        sink_add(&w->sinks[sink], chunk->text.at + at, end - at);
    }
}

/* One chunk is always taken, however long it is. */
static bool is_full(const struct record_stream *s) {
    return s->queued == WRITER_QUEUE || s->queued_bytes >= WRITER_QUEUE_BYTES;
}

static void queue_add(struct record_stream *s, struct chunk *chunk) {
    s->queue[(s->head + s->queued++) % WRITER_QUEUE] = chunk;
    s->queued_bytes += chunk->text.length;
}

static void overflow_add(struct record_stream *s, struct chunk *chunk) {
    chunk->next = NULL;
    *s->last = chunk;
    s->last = &chunk->next;
    s->behind = true;
}

static void overflow_take(struct record_stream *s) {
    while (s->overflow && !is_full(s)) {
        struct chunk *chunk = s->overflow;
        s->overflow = chunk->next;
        if (!s->overflow) {
            s->last = &s->overflow;
            s->behind = false;
        }
        queue_add(s, chunk);
    }
}

/* Takes the stream's first chunk away once all of it is written. */
static void retire(struct writer *w, struct record_stream *s) {
    struct chunk *chunk = s->queue[s->head];
    if (chunk->position < chunk->count) return;
    s->head = (s->head + 1) % WRITER_QUEUE;
    s->queued--;
    s->queued_bytes -= chunk->text.length;
    chunk_empty(chunk);
    chunk->next = w->spare;
    w->spare = chunk;
    overflow_take(s);
    pthread_cond_broadcast(&w->taken);
}

static bool is_over(const struct writer *w) {
    for (uint32_t i = 0; i < w->stream_count; i++)
        if (!w->streams[i].closed || w->streams[i].queued) return false;
    return true;
}

static void *writer_run(void *context) {
    struct writer *w = context;
    pthread_mutex_lock(&w->mutex);
    while (!is_over(w)) {
        struct bound bound;
        int chosen = choose(w, &bound);
        if (chosen < 0 && !is_pending(w)) {
            set_hunger(w, is_pressed(w));
            chosen = choose(w, &bound); /* watermarks may have moved before they saw our hunger */
            if (chosen < 0) pthread_cond_wait(&w->arrived, &w->mutex);
            set_hunger(w, false);
            continue;
        }
        struct chunk *chunk = chosen < 0 ? NULL : w->streams[chosen].queue[w->streams[chosen].head];
        pthread_mutex_unlock(&w->mutex);
        if (chunk)
            write_lines(w, chunk, (uint32_t)chosen, bound);
        else
            flush_sinks(w);
        pthread_mutex_lock(&w->mutex);
        if (chunk) retire(w, &w->streams[chosen]);
    }
    pthread_mutex_unlock(&w->mutex);
    flush_sinks(w);
    return NULL;
}

/* ── the streams: worker threads ─────────────────────────────────── */

/* Hands the open chunk over, waiting for room. */
static void push(struct record_stream *s) {
    struct writer *w = s->writer;
    struct chunk *chunk = s->open;
    if (!chunk || !chunk->count) return;
    chunk_sort(chunk);
    nanoseconds last = chunk->marks[chunk->count - 1].key.clock;
    pthread_mutex_lock(&w->mutex);
    while (is_full(s) && !s->hurried) pthread_cond_wait(&w->taken, &w->mutex);
    if (is_full(s))
        overflow_add(s, chunk);
    else
        queue_add(s, chunk);
    s->hunger = SATED;
    s->open = w->spare;
    if (s->open) w->spare = s->open->next;
    if (last > s->floor) s->floor = last;
    s->watermark = s->floor;
    pthread_cond_signal(&w->arrived);
    pthread_mutex_unlock(&w->mutex);
}

struct buffer *record_begin(struct record_stream *s, uint32_t sink) {
    struct writer *w = s->writer;
    if (s->closed || sink >= w->sink_count || is_shut(&w->sinks[sink])) return NULL;
    if (!s->open) s->open = chunk_new();
    if (!s->open) {
        s->lost++;
        return NULL;
    }
    s->line_at = (uint32_t)s->open->text.length;
    s->line_sink = sink;
    return &s->open->text;
}

void record_cancel(struct record_stream *s) {
    s->open->text.length = s->line_at;
    s->open->text.failed = false;
}

void record_commit(struct record_stream *s, struct line_key key) {
    struct chunk *chunk = s->open;
    if (key.clock < s->floor) key.clock = s->floor;
    if (chunk->text.failed || !chunk_mark(chunk, key, s->line_at, s->line_sink)) {
        s->lost++;
        record_cancel(s);
        return;
    }
    if (s->writer->sinks[s->line_sink].sink.prompt) chunk->prompt = true;
    if (chunk->text.length >= WRITER_CHUNK_LIMIT) push(s);
}

static bool is_worth_pushing(const struct record_stream *s) {
    const struct chunk *chunk = s->open;
    if (!chunk || !chunk->count) return false;
    if (chunk->text.length >= WRITER_CHUNK_BYTES) return true;
    int hunger = s->hunger;
    return hunger == HUNGRY || (hunger == PECKISH && chunk->prompt);
}

void record_stream_watermark(struct record_stream *s, nanoseconds clock) {
    struct writer *w = s->writer;
    if (is_worth_pushing(s)) push(s);
    if (s->open && s->open->count) return; /* its lines come before the promise: they keep it back */
    if (clock <= s->floor) return;
    s->floor = clock;
    s->watermark = clock;
    if (s->hunger != HUNGRY) return;
    pthread_mutex_lock(&w->mutex);
    pthread_cond_signal(&w->arrived);
    pthread_mutex_unlock(&w->mutex);
}

void record_stream_flush(struct record_stream *s) {
    if (s->open) s->open->prompt = true;
    push(s);
}

void record_stream_close(struct record_stream *s) {
    struct writer *w = s->writer;
    push(s);
    chunk_free(s->open);
    s->open = NULL;
    pthread_mutex_lock(&w->mutex);
    s->closed = true;
    pthread_cond_signal(&w->arrived);
    pthread_mutex_unlock(&w->mutex);
}

void record_stream_hurry(struct record_stream *s) {
    s->hurried = true;
}

bool record_stream_is_behind(const struct record_stream *s) {
    return atomic_load_explicit(&s->behind, memory_order_relaxed);
}

void record_stream_relieve(struct record_stream *s) {
    struct writer *w = s->writer;
    pthread_mutex_lock(&w->mutex);
    while (s->overflow) pthread_cond_wait(&w->taken, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
}

uint64_t record_stream_lost(const struct record_stream *s) {
    return s->lost;
}

/* ── opening and closing ─────────────────────────────────────────── */

/* Signals are for the main thread. */
static int start_thread(struct writer *w) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&w->thread, NULL, writer_run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

struct writer *writer_open(const struct sink *sinks, uint32_t sink_count, uint32_t streams,
                           struct error *err) {
    if (sink_count > WRITER_SINKS || streams == 0 || streams > WRITER_STREAMS) {
        error_set(err, "the writer takes 1 to %d workers, not %u", WRITER_STREAMS, streams);
        return NULL;
    }
    struct writer *w = calloc(1, sizeof *w + streams * sizeof w->streams[0]);
    if (!w) {
        error_set(err, "out of memory for the writer");
        return NULL;
    }
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->arrived, NULL);
    pthread_cond_init(&w->taken, NULL);
    w->sink_count = sink_count;
    w->stream_count = streams;
    for (uint32_t i = 0; i < sink_count; i++) w->sinks[i].sink = sinks[i];
    for (uint32_t i = 0; i < streams; i++) {
        w->streams[i].writer = w;
        w->streams[i].floor = INT64_MIN;
        w->streams[i].watermark = INT64_MIN;
        w->streams[i].last = &w->streams[i].overflow;
    }
    int failure = start_thread(w);
    if (!failure) return w;
    error_set(err, "cannot start the writer's thread: %s", strerror(failure));
    free(w);
    return NULL;
}

static int report_failures(const struct writer *w, struct error *err) {
    for (uint32_t i = 0; i < w->sink_count; i++) {
        const struct sink_state *s = &w->sinks[i];
        if (!s->failure) continue;
        if (s->failure == EPIPE) return error_set(err, "%s was closed", s->sink.name);
        return error_set(err, "cannot write %s: %s; what came after %llu bytes is lost", s->sink.name,
                         strerror(s->failure), (unsigned long long)s->written);
    }
    return 0;
}

int writer_close(struct writer *w, struct error *err) {
    if (!w) return 0;
    for (uint32_t i = 0; i < w->stream_count; i++)
        if (!w->streams[i].closed) record_stream_close(&w->streams[i]);
    pthread_join(w->thread, NULL);
    int result = report_failures(w, err);
    while (w->spare) {
        struct chunk *chunk = w->spare;
        w->spare = chunk->next;
        chunk_free(chunk);
    }
    for (uint32_t i = 0; i < w->sink_count; i++) buffer_free(&w->sinks[i].pending);
    pthread_cond_destroy(&w->taken);
    pthread_cond_destroy(&w->arrived);
    pthread_mutex_destroy(&w->mutex);
    free(w);
    return result;
}

bool writer_failed(const struct writer *w, uint32_t sink) {
    return sink < w->sink_count && w->sinks[sink].failure != 0;
}

uint64_t writer_bytes(const struct writer *w, uint32_t sink) {
    return sink < w->sink_count ? w->sinks[sink].written : 0;
}

struct record_stream *writer_stream(struct writer *w, uint32_t index) {
    return index < w->stream_count ? &w->streams[index] : NULL;
}

int writer_open_file(const char *path, bool append, struct error *err) {
    if (strcmp(path, "-") == 0) return STDOUT_FILENO;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0640);
    if (fd < 0) return error_set(err, "cannot open %s for writing: %s", path, strerror(errno));
    return fd;
}
