/* The one place the sensor talks to: records, alerts, reports, statistics, the summary.
 *
 *      outputs_open ─▶ outputs_worker(i), one for each worker's thread
 *      outputs_begin   once nothing else can go wrong at the start
 *      in each worker:   outputs_event, outputs_alert, outputs_report
 *                        outputs_advance   after each batch, also when nothing was written
 *                        outputs_done      when the worker has ended
 *      outputs_hosts   after all workers, before the last outputs_done
 *      outputs_close   after all workers, prints the summary
 *
 * Records go to any number of receivers (output/receiver.h) as lines of JSON (output/eve.h); alerts also to
 * the terminal: standard output, or standard error when the records take it. Both come in the order of the
 * packets' time, whatever the number of workers. The program must ignore SIGPIPE.
 *
 * Live, nothing here waits for a disk, a socket or a terminal. What the sensor says of itself (outputs_say)
 * goes past the merge, straight to the receivers. */
#ifndef LUNETTE_OUTPUT_OUTPUT_H
#define LUNETTE_OUTPUT_OUTPUT_H

#include "base/error.h"
#include "event/alert.h"
#include "event/batch.h"
#include "output/cards.h"
#include "output/eve.h"
#include "output/receiver.h"
#include "output/summary.h"
#include "output/terminal.h"

enum { OUTPUT_RECEIVERS = 16 };

struct outputs;
struct output_worker;

struct output_options {
    const char *const *records; /* words as in receiver.h; the words are borrowed until outputs_close() */
    size_t record_count;        /* at most OUTPUT_RECEIVERS */
    struct receiver_options receiver; /* for all of them; `live` is taken from below */
    bool gathered; /* there is one output worker more, for what is gathered from the workers */
    bool live;     /* append to files, never wait, show no progress */
    bool append;   /* replay: keep what is in the files */
    bool record[EVENT_KINDS];
    /* Events that scripts declare ("redis.command"): all of them, or those in the list, which is borrowed. */
    bool record_custom;
    const char *const *custom;
    size_t custom_count;
    bool record_alerts, record_reports, record_stats, record_hosts;
    bool show_alerts;      /* on the terminal, as they come */
    bool show_summary;     /* on the terminal, at the end, reports included */
    bool show_progress;    /* on standard error, if it is a terminal */
    bool show_hosts;       /* at the end, hosts' cards alone, whole, instead of a summary */
    uint32_t host_cards;   /* how many of them, there or in the summary */
    const struct ip *host; /* only this one's, in whatever comes out; or NULL */
    uint32_t host_records; /* at most so many records of them; 0: all */
    bool keep_cards;       /* somebody may ask: outputs_cards(), outputs_say_hosts() */
    enum colour_choice colour;
};

/* No records; all kinds but packet, flow_start and onset recorded; everything shown. */
struct output_options output_options_defaults(void);

/* Opens the receivers and starts the writer. `workers` is at most 64. What a file holds stays until
 * outputs_begin(). Two words for one file are an error. */
struct outputs *outputs_open(const struct output_options *options, uint32_t workers, struct error *err);

/* Replay: empties the records' files, unless they are to be kept. Before any worker gives anything; apart
 * from outputs_open() so that a run which does not come about costs nobody the records of the last one. */
int outputs_begin(struct outputs *outputs, struct error *err);

/* Is there any use in making events of that kind for the outputs? Detectors' wishes come on top. Flows are
 * always wanted when the summary is. */
bool outputs_want(const struct outputs *outputs, enum event_kind kind);

/* Used by one thread at a time; owned by the outputs. */
struct output_worker *outputs_worker(struct outputs *outputs, uint32_t index);

/* The one that has what was gathered from all workers; NULL if the options have none. Its calls never wait,
 * whoever makes them; instead a worker that has just advanced calls outputs_relieve(), which waits until what
 * was gathered is on its way. */
struct output_worker *outputs_gatherer(struct outputs *outputs);
void outputs_relieve(struct output_worker *worker, nanoseconds clock);

void outputs_event(struct output_worker *worker, enum event_kind kind, const void *event,
                   const struct batch *batch);

/* Names of events to be recorded, one after the other as the options have them: NULL beyond the last. */
const char *outputs_custom_name(const struct outputs *outputs, size_t index);

/* The same for events that scripts declare. */
bool outputs_want_custom(const struct outputs *outputs, const char *name);
void outputs_custom(struct output_worker *worker, struct custom_schema *schema, const void *event,
                    const char *text);

/* `batch` may be NULL if the alert has no head. */
void outputs_alert(struct output_worker *worker, const struct alert *alert, const struct batch *batch);
void outputs_report(struct output_worker *worker, const struct report *report);

/* What is known of a host, for its card (output/cards.h). Told again as it was it costs a look and a
 * comparison. */
void outputs_fact(struct output_worker *worker, const struct fact *fact);
void outputs_stats(struct output_worker *worker, nanoseconds time, const struct stat_figure *figures,
                   uint32_t count);

/* A batch is over: whatever the worker gives from now on has a clock of at least `clock`. Call it for idle
 * workers too (live: by the wall clock), since others' records wait for it. In replay it may wait for the
 * disk. */
void outputs_advance(struct output_worker *worker, nanoseconds clock);

/* Between batches: brings what was recorded to the receivers now, as soon as the other workers' clocks have
 * passed it. For live sensors, once a second or so. */
void outputs_flush(struct output_worker *worker);

/* The worker has seen the whole capture. What it still gives, such as statistics, comes after everybody's
 * records, and nobody waits for it any more. */
void outputs_at_end(struct output_worker *worker);

/* Nobody gives facts, alerts and flows any more: the hosts' records, after everybody's, by a worker that is
 * not done yet. Live they are written by outputs_close(). */
void outputs_hosts(struct output_worker *worker, nanoseconds time);

/* The worker gives nothing more. */
void outputs_done(struct output_worker *worker);

/* The worker's own summary, to add its counters, anomalies and detectors to before outputs_close(). */
struct summary *outputs_worker_summary(struct output_worker *worker);

/* For the reader of the capture: moves the bar. Cheap. */
void outputs_progress(struct outputs *outputs, uint64_t done, uint64_t total, uint64_t packets);

/* ── what the sensor says of itself: any thread, whatever the workers do ── */

/* A record {"event_type":"sensor","sensor":{"what":…,"message":…}}. `what` is one word for machines
 * ("reload", "drops"); `json` an object whose members are added, or NULL. With a severity (enum severity, 0:
 * none) it is also an alert of the detector "lunette", titled `what`, and a line on the terminal. */
void outputs_say(struct outputs *outputs, nanoseconds time, const char *what, uint8_t severity,
                 const char *message, const char *json);

/* A record of statistics. Figures of one object stand together. */
void outputs_say_stats(struct outputs *outputs, nanoseconds time, const struct stat_figure *figures,
                       uint32_t count);

/* The hosts' records as of now: begun here, written piece by piece in outputs_each_second(), which the same
 * thread calls. Does nothing while earlier ones are not all written. */
void outputs_say_hosts(struct outputs *outputs, nanoseconds time);
void outputs_each_second(struct outputs *outputs);

/* A JSON array of such records, of the busiest `most` hosts; `only`: of that host, or NULL. No worker waits
 * for it longer than it takes to copy some cards. */
void outputs_cards(struct outputs *outputs, const struct ip *only, uint32_t most, nanoseconds time,
                   struct buffer *b);
struct card_figures outputs_card_figures(struct outputs *outputs); /* of all workers' tables */

/* How the receivers fare, in the order of the options. Returns how many there are; fills in at most `most`.
 * Names are borrowed until outputs_close(). */
uint32_t outputs_figures(struct outputs *outputs, struct receiver_figures *out, uint32_t most);

/* New files, fresh connections; the log's file is opened anew as well. */
void outputs_rotate(struct outputs *outputs);

/* True once records or terminal cannot be written to any more (disk full, reader gone): stop, then close. */
bool outputs_failed(const struct outputs *outputs);

/* Waits until all is written; for sockets at most a few seconds (what is left stays in the spool). Adds the
 * workers' summaries to `summary` (which has the capture's figures), prints it and frees everything but
 * `summary`. With NULL no summary is printed: for runs that failed before they began. -1 if something could
 * not be written. */
int outputs_close(struct outputs *outputs, struct summary *summary, struct error *err);

#endif
