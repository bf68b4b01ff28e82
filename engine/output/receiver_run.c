/* The threads that get rid of what is in the queues: one for files, one for what is connected.
 *
 * `out` is the window of a connection: records that were sent and are not known to have been taken, then
 * those to be sent. It is filled from the spool as long as that has anything, else from memory. When the
 * connection breaks, what came from memory goes to the front of the spool and the spool is read again from
 * the first record not taken. */
#include "output/receiver_inner.h"

#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    PIECE = 256 * 1024, /* taken from the queue or the spool at once */
    WINDOW = 4 * PIECE, /* under way at most */
    SHELF = 4 * PIECE,  /* moved to the spool at once */
    PUMPS = 32,         /* pieces sent before anything else is looked at */
};

static const int64_t backoff_least = NS_PER_SECOND / 2, backoff_most = 30 * NS_PER_SECOND;
static const int64_t retry_interval = NS_PER_SECOND; /* after a disk was full */
static const int64_t look_interval = NS_PER_SECOND;  /* whether the file is still there */

struct orders {
    bool closing, rotate;
    int64_t deadline;
    size_t waiting; /* bytes in the queue */
};

/* What others want of the thread. From here on a byte in the pipe wakes it again. */
static struct orders take_orders(struct receiver *r) {
    char bytes[16];
    pthread_mutex_lock(&r->mutex);
    while (r->is_awake && read(r->wake[0], bytes, sizeof bytes) > 0) continue;
    r->is_awake = false;
    struct orders orders = {
        .closing = r->is_closing,
        .rotate = r->wants_rotation,
        .deadline = r->deadline,
        .waiting = r->queue.length - r->head,
    };
    r->wants_rotation = false;
    pthread_mutex_unlock(&r->mutex);
    return orders;
}

static uint64_t records_in(const struct receiver *r, const struct buffer *b) {
    uint64_t count;
    if (b->length) whole_records(r->framing, b->at, b->length, &count);
    return b->length ? count : 0;
}

static void drop_front(struct buffer *b, size_t length) {
    if (length && length < b->length) memmove(b->at, b->at + length, b->length - length);
    b->length -= length;
}

static int milliseconds_until(int64_t when) {
    if (when == INT64_MAX) return -1;
    int64_t left = when - monotonic_now();
    if (left <= 0) return 0;
    int64_t ms = left / NS_PER_MILLISECOND + 1;
    return ms > 3600000 ? 3600000 : (int)ms;
}

static int64_t sooner(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Everything that is still in memory is lost. */
static void lose_rest(struct receiver *r) {
    while (r->out.length || receiver_take(r, &r->out, PIECE)) {
        receiver_lost(r, records_in(r, &r->out));
        r->out.length = 0;
    }
    r->sent = r->from_memory = 0;
}

/* ── a file ──────────────────────────────────────────────────────── */

static void write_out(struct receiver *r, int64_t *retry_at) {
    int failure;
    size_t done = record_file_write(r->file, r->out.at, r->out.length, (int64_t)time(NULL), &failure);
    uint64_t lines;
    whole_records(r->framing, r->out.at, done, &lines);
    drop_front(&r->out, done);
    receiver_delivered(r, lines, done);
    if (failure) {
        char trouble[160];
        snprintf(trouble, sizeof trouble, "cannot write: %s; lines wait in memory", strerror(failure));
        receiver_is_down(r, failure == EAGAIN ? "the pipe is full; lines wait in memory" : trouble);
        *retry_at = monotonic_now() + retry_interval;
    } else {
        receiver_is_up(r);
    }
}

static void rotate_file(struct receiver *r, bool asked) {
    struct error err;
    int64_t now = (int64_t)time(NULL);
    int outcome = asked ? record_file_rotate(r->file, now, &err) : record_file_age(r->file, now, &err);
    if (outcome != 0) log_line(LOG_WARNING, "output %s: %s", r->name, err.text);
}

/* The next rotation for age, on the monotonic clock; looked at again each minute in case the wall clock is
 * set. */
static int64_t next_rotation(const struct receiver *r) {
    int64_t due = record_file_next(r->file);
    if (due == INT64_MAX) return INT64_MAX;
    int64_t left = due - (int64_t)time(NULL);
    left = left < 0 ? 0 : left > 60 ? 60 : left;
    return monotonic_now() + left * NS_PER_SECOND + NS_PER_MILLISECOND;
}

void *receiver_run_file(void *context) {
    struct receiver *r = context;
    int64_t retry_at = 0;
    bool ending = false;
    for (;;) {
        struct orders orders = take_orders(r);
        rotate_file(r, orders.rotate);
        record_file_look(r->file, (int64_t)time(NULL));
        if (orders.rotate || (orders.closing && !ending)) retry_at = 0;
        ending = orders.closing;
        if (!r->out.length && orders.waiting) receiver_take(r, &r->out, PIECE);
        if (r->out.length && monotonic_now() >= retry_at) write_out(r, &retry_at);
        bool idle = !r->out.length && !orders.waiting;
        if (orders.closing && (idle || monotonic_now() >= orders.deadline)) break;
        int64_t until = r->out.length ? sooner(retry_at, next_rotation(r)) : next_rotation(r);
        if (record_file_is_watched(r->file)) until = sooner(until, monotonic_now() + look_interval);
        if (orders.closing) until = sooner(until, orders.deadline);
        if (!r->out.length && orders.waiting) continue;
        struct pollfd wake = {.fd = r->wake[0], .events = POLLIN};
        poll(&wake, 1, milliseconds_until(until));
    }
    lose_rest(r);
    return NULL;
}

/* ── a connection ────────────────────────────────────────────────── */

struct course {
    struct receiver *r;
    int64_t connect_at, backoff, shelve_at;
    bool spool_trouble;
};

static void note_disk(struct receiver *r) {
    pthread_mutex_lock(&r->mutex);
    r->on_disk = (r->spool ? spool_bytes(r->spool) : 0) + r->shelf.length;
    pthread_mutex_unlock(&r->mutex);
}

/* Lets go of the records that were taken. */
static void forget_taken(struct course *c) {
    struct receiver *r = c->r;
    size_t untaken = link_untaken(r->link);
    size_t taken = untaken < r->sent ? r->sent - untaken : 0;
    uint64_t count;
    if (!taken) return;
    size_t length = whole_records(r->framing, r->out.at, taken, &count);
    if (!length) return;
    size_t memory = length < r->from_memory ? length : r->from_memory;
    r->from_memory -= memory;
    if (length > memory) spool_taken(r->spool, length - memory);
    drop_front(&r->out, length);
    r->sent -= length;
    c->backoff = backoff_least;
    receiver_delivered(r, count, length);
    note_disk(r);
}

/* What was under way is to be sent again. */
static void take_back(struct receiver *r) {
    r->sent = 0;
    r->out.length = r->from_memory;
    if (!r->spool) return;
    spool_rewind(r->spool);
    if (!r->from_memory || !spool_prepend(r->spool, r->out.at, r->out.length)) return;
    r->out.length = r->from_memory = 0;
}

static void went_down(struct course *c, const char *why) {
    struct receiver *r = c->r;
    link_close(r->link);
    take_back(r);
    note_disk(r);
    receiver_is_down(r, why);
    c->connect_at = monotonic_now() + c->backoff;
    c->backoff = sooner(c->backoff * 2, backoff_most);
}

/* False if the receiver was abandoned meanwhile: then it is this thread's to free. */
static bool resolve(struct course *c, bool *found) {
    struct receiver *r = c->r;
    struct error err;
    pthread_mutex_lock(&r->mutex);
    *found = !r->is_closing;
    r->is_resolving = *found;
    pthread_mutex_unlock(&r->mutex);
    if (!*found) return true;
    *found = link_resolve(r->link, &err) == 0;
    pthread_mutex_lock(&r->mutex);
    r->is_resolving = false;
    bool abandoned = r->is_abandoned;
    pthread_mutex_unlock(&r->mutex);
    if (!*found && !abandoned) went_down(c, err.text);
    return !abandoned;
}

static bool try_to_connect(struct course *c) {
    struct error err;
    bool found;
    if (!resolve(c, &found)) return false;
    if (found && link_connect(c->r->link, &err) != 0) went_down(c, err.text);
    return true;
}

/* From the queue to the spool, when the receiver is away or slow. What the spool does not take stays on the
 * shelf, and what has no place there in the queue. */
static void shelve(struct course *c, size_t waiting) {
    struct receiver *r = c->r;
    bool away = r->down_since != 0, slow = waiting > r->options.queue_bytes / 2;
    if (!r->spool || monotonic_now() < c->shelve_at || !(away || slow || r->shelf.length)) return;
    for (;;) {
        if (!r->shelf.length && !receiver_take(r, &r->shelf, SHELF)) break;
        int failure;
        drop_front(&r->shelf, spool_append(r->spool, r->shelf.at, r->shelf.length, &failure));
        if (failure && !c->spool_trouble)
            log_line(LOG_WARNING, "output %s: cannot write to the spool: %s", r->name, strerror(failure));
        c->spool_trouble = failure != 0;
        if (!r->shelf.length) continue;
        c->shelve_at = monotonic_now() + retry_interval;
        break;
    }
    note_disk(r);
}

/* Puts the next piece behind what is under way. False if there is none, or none may go yet. */
static bool refill(struct course *c) {
    struct receiver *r = c->r;
    if (r->out.length >= WINDOW) return false;
    if (r->spool && !spool_is_read_out(r->spool)) return spool_read(r->spool, &r->out, PIECE) > 0;
    if (r->spool && !spool_is_empty(r->spool))
        return false; /* first that must arrive: it could be sent again */
    size_t before = r->out.length;
    if (r->shelf.length) {
        buffer_put(&r->out, r->shelf.at, r->shelf.length);
        if (!r->out.failed) r->shelf.length = 0;
        r->out.failed = false;
    } else {
        receiver_take(r, &r->out, PIECE);
    }
    r->from_memory += r->out.length - before;
    return r->out.length > before;
}

/* A stream takes what it can; a datagram is one message without its count. -1: the connection is down. */
static long send_some(struct receiver *r, struct error *err) {
    const char *at = r->out.at + r->sent;
    size_t left = r->out.length - r->sent;
    if (!link_is_datagram(r->link)) return link_send(r->link, at, left, err);
    size_t body = 0, prefix = counted_prefix(at, left, &body);
    long n = link_send(r->link, at + prefix, body, err);
    return n > 0 ? (long)(prefix + body) : n;
}

/* Sends until nothing goes any more. True if there may be more that would go. */
static bool pump(struct course *c) {
    struct receiver *r = c->r;
    struct error err;
    for (int i = 0; i < PUMPS;) {
        if (r->sent == r->out.length) {
            forget_taken(c);
            if (!refill(c)) return false;
            i++;
        }
        long n = send_some(r, &err);
        if (n < 0) went_down(c, err.text);
        if (n <= 0) return false;
        r->sent += (size_t)n;
        if (link_is_datagram(r->link)) forget_taken(c);
    }
    return true;
}

static bool is_done(const struct course *c, size_t waiting) {
    const struct receiver *r = c->r;
    return !r->out.length && !r->shelf.length && !waiting && (!r->spool || spool_is_empty(r->spool));
}

/* The end: once all is sent, when the time is up, or if nobody is there and the rest is safe in the spool. */
static bool may_end(const struct course *c, const struct orders *orders) {
    if (is_done(c, orders->waiting) || monotonic_now() >= orders->deadline) return true;
    enum link_state state = link_state(c->r->link);
    return state == LINK_OVER || (state == LINK_DOWN && c->r->spool);
}

static void wait_for_something(struct course *c, const struct orders *orders) {
    struct receiver *r = c->r;
    enum link_state state = link_state(r->link);
    int64_t until = INT64_MAX, now = monotonic_now();
    bool more = r->sent < r->out.length;
    struct pollfd polls[2] = {{.fd = r->wake[0], .events = POLLIN},
                              {.fd = link_descriptor(r->link), .events = link_events(r->link, more)}};
    if (state == LINK_OVER) polls[1].fd = -1;
    if (state == LINK_DOWN) until = c->connect_at;
    /* Nothing tells when bytes are taken: it is looked at, often if others wait for it. */
    bool queued = orders->waiting || r->shelf.length || (r->spool && !spool_is_read_out(r->spool));
    bool pressed = !more && (queued || orders->closing);
    if (state == LINK_UP && (r->out.length || pressed))
        until = now + (pressed ? 10 : 100) * NS_PER_MILLISECOND;
    if (r->shelf.length) until = sooner(until, c->shelve_at > now ? c->shelve_at : now + retry_interval);
    if (orders->closing) until = sooner(until, now + 10 * NS_PER_MILLISECOND); /* it may be done by now */
    if (poll(polls, 2, milliseconds_until(until)) <= 0) return;
    struct error err;
    enum link_state before = link_state(r->link);
    if (link_look(r->link, polls[1].revents, &err) != 0)
        went_down(c, err.text);
    else if (before == LINK_CONNECTING && link_state(r->link) == LINK_UP)
        receiver_is_up(r);
}

/* What is left in memory goes to the spool, in its order; what finds no place there is lost. */
static void put_away(struct course *c) {
    struct receiver *r = c->r;
    link_close(r->link);
    take_back(r);
    if (r->out.length) receiver_lost(r, records_in(r, &r->out));
    r->out.length = r->from_memory = 0;
    for (int failure; r->shelf.length || receiver_take(r, &r->shelf, SHELF); r->shelf.length = 0) {
        size_t kept = r->spool ? spool_append(r->spool, r->shelf.at, r->shelf.length, &failure) : 0;
        drop_front(&r->shelf, kept);
        receiver_lost(r, records_in(r, &r->shelf));
    }
    note_disk(r);
}

void *receiver_run_link(void *context) {
    struct receiver *r = context;
    struct course c = {.r = r, .backoff = backoff_least};
    for (;;) {
        struct orders orders = take_orders(r);
        if (orders.rotate) c.connect_at = 0;
        if (orders.closing && may_end(&c, &orders)) break;
        if (link_state(r->link) == LINK_DOWN && monotonic_now() >= c.connect_at) {
            if (!try_to_connect(&c)) {
                receiver_free(r);
                return NULL;
            }
            if (link_state(r->link) == LINK_UP) receiver_is_up(r);
        }
        bool goes_on = link_state(r->link) == LINK_UP && pump(&c);
        if (link_state(r->link) == LINK_UP) forget_taken(&c);
        if (link_state(r->link) == LINK_OVER) lose_rest(r);
        shelve(&c, orders.waiting);
        if (!goes_on) wait_for_something(&c, &orders);
    }
    put_away(&c);
    return NULL;
}
