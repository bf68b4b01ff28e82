/* What endpoint logs tell: read, put in order of time, kept in tables, made into `process` events.
 *
 *      log files ─ lines ─ news ─ put in order ─┬─ processes, sockets ─▶ flows ask (flow/program.h)
 *                                               └─ `process` events ─▶ batch
 *
 * Each worker has one of its own and reads all logs, so that any flow finds its program; an event is made by
 * one worker only. Played back, the logs are a stream beside the packets: endpoint_next() says when the next
 * news is due, endpoint_play() lets it happen. Lines of a log need not be in order: news wait until their log
 * has gone on by REORDER_SECONDS. What comes later than that is taken in at once, and counted as late. The
 * order of all news is the logs' alone, whatever the packets do. Followed, logs are looked at now and then,
 * and what is there happens at once. */
#ifndef LUNETTE_ENDPOINT_ENDPOINT_H
#define LUNETTE_ENDPOINT_ENDPOINT_H

#include "base/error.h"
#include "base/words.h"
#include "endpoint/hosts.h"
#include "event/batch.h"
#include "flow/program.h"

enum { REORDER_SECONDS = 5, ENDPOINT_PROCESSES = 65536, ENDPOINT_SOCKETS = 65536 };

struct endpoint;

/* The logs and clocks that an operator named; borrowed. Words are as hosts.h tells. */
struct endpoint_logs {
    const char *const *words;
    size_t count;
    const char *const *offsets;
    size_t offset_count;
};

struct endpoint_options {
    struct endpoint_logs logs;
    bool follow;         /* the files grow: live */
    bool patient;        /* … and need not be there yet */
    bool quiet;          /* another worker tells what is wrong with them */
    struct words *words; /* keeps what lasts; borrowed */
    struct batch *batch; /* where events are made; borrowed */
    void *context;
    /* Does this worker make the events of the host with that address? NULL: of one without. */
    bool (*owns)(void *context, const struct ip *address);
};

/* Opens all logs. NULL and why: a file that cannot be opened (error_is_usage), a slip in a word. */
struct endpoint *endpoint_new(const struct endpoint_options *options, struct error *err);
void endpoint_free(struct endpoint *endpoint);

/* What the flow room asks; lives as long as the endpoint. */
const struct program_source *endpoint_programs(const struct endpoint *endpoint);

/* Time of the next news; INT64_MAX when there is no more. Reads as far as it must. */
nanoseconds endpoint_next(struct endpoint *endpoint);

/* The next news happens: there must be one. Sets no clock: the caller's batch has it. */
void endpoint_play(struct endpoint *endpoint);

/* Followed logs: reads at most `budget` bytes of each, and lets happen what they tell. Of what was there
 * already, only the tables learn. True if there may be more at once. */
bool endpoint_follow(struct endpoint *endpoint, size_t budget);

struct endpoint_figures {
    uint64_t lines;     /* read, blank ones not counted */
    uint64_t news;      /* told by them */
    uint64_t skipped;   /* lines of other events */
    uint64_t unknown;   /* of no known format */
    uint64_t broken;    /* cut short or wrong */
    uint64_t late;      /* news that came after their time */
    uint64_t events;    /* made */
    uint64_t processes; /* instances known so far */
    uint64_t processes_now, processes_evicted;
    uint64_t sockets;
    nanoseconds oldest, newest; /* times of news, clocks set right; oldest > newest: there were none */
};
/* Whose logs they are. */
const struct hosts *endpoint_hosts(const struct endpoint *endpoint);

struct endpoint_figures endpoint_figures(const struct endpoint *endpoint);

/* Once read: tells on standard error which logs had lines that could not be read. False if there is a log in
 * which nothing was understood, or that could not be read to its end. */
bool endpoint_report(const struct endpoint *endpoint);

#endif
