/* Two sinks behind one writer: the records' file and the terminal. Each worker has a stream of the writer and
 * a summary of its own, so that nothing here is shared between workers but what is read-only. */
#include "output/output.h"

#include "output/progress.h"
#include "output/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SINK_RECORDS, SINK_TERMINAL };

struct output_worker {
    struct outputs *outputs;
    struct record_stream *stream;
    struct summary summary;
};

struct outputs {
    struct output_options options;
    struct eve *eve;
    struct writer *writer;
    struct progress *progress;
    struct terminal_style style;
    int records_fd; /* -1: none */
    int terminal_fd;
    uint32_t worker_count;
    struct output_worker workers[];
};

struct output_options output_options_defaults(void) {
    struct output_options options = {
        .record_alerts = true,
        .record_reports = true,
        .record_stats = true,
        .show_alerts = true,
        .show_summary = true,
        .show_progress = true,
    };
    for (int kind = 0; kind < EVENT_KINDS; kind++) options.record[kind] = true;
    options.record[EVENT_head] = false;
    options.record[EVENT_packet] = false;
    options.record[EVENT_flow_start] = false;
    options.record[EVENT_onset] = false;
    return options;
}

/* ── opening and closing ─────────────────────────────────────────── */

static void outputs_free(struct outputs *o) {
    for (uint32_t i = 0; i < o->worker_count; i++) summary_clear(&o->workers[i].summary);
    progress_free(o->progress);
    eve_free(o->eve);
    if (o->records_fd > STDERR_FILENO) close(o->records_fd);
    free(o);
}

static struct sink sink_for(const struct outputs *o, int fd, const char *name, bool prompt) {
    struct sink sink = {.fd = fd, .name = name, .prompt = prompt};
    if (fd < 0 || !isatty(fd)) return sink;
    sink.before_write = progress_hide;
    sink.after_write = progress_show_again;
    sink.context = o->progress;
    return sink;
}

static const char *terminal_name(const struct outputs *o) {
    return o->terminal_fd == STDERR_FILENO ? "standard error" : "standard output";
}

static int start(struct outputs *o, struct error *err) {
    const char *records = o->options.records;
    bool to_stdout = records && strcmp(records, "-") == 0;
    o->terminal_fd = to_stdout ? STDERR_FILENO : STDOUT_FILENO;
    o->style = terminal_style_of(o->terminal_fd, o->options.colour);
    o->eve = eve_new(err);
    if (!o->eve) return -1;
    for (uint32_t i = 0; i < o->worker_count; i++)
        if (summary_init(&o->workers[i].summary, err) != 0) return -1;
    /* For appending in any case: what is in the file goes when the work begins, see outputs_begin(). */
    if (records) o->records_fd = writer_open_file(records, true, err);
    if (records && o->records_fd < 0) return -1;
    if (o->options.show_progress) o->progress = progress_new(STDERR_FILENO);
    const struct sink sinks[] = {
        [SINK_RECORDS] = sink_for(o, o->records_fd, to_stdout ? "standard output" : records, false),
        [SINK_TERMINAL] = sink_for(o, o->options.show_alerts ? o->terminal_fd : -1, terminal_name(o), true),
    };
    o->writer = writer_open(sinks, 2, o->worker_count, err);
    if (!o->writer) return -1;
    for (uint32_t i = 0; i < o->worker_count; i++) {
        o->workers[i].outputs = o;
        o->workers[i].stream = writer_stream(o->writer, i);
    }
    return 0;
}

struct outputs *outputs_open(const struct output_options *options, uint32_t workers, struct error *err) {
    struct outputs *o = calloc(1, sizeof *o + workers * sizeof o->workers[0]);
    if (!o) {
        error_set(err, "out of memory for the outputs");
        return NULL;
    }
    o->options = *options;
    o->worker_count = workers;
    o->records_fd = -1;
    if (start(o, err) == 0) return o;
    outputs_free(o);
    return NULL;
}

int outputs_begin(struct outputs *o, struct error *err) {
    struct stat status;
    if (o->records_fd <= STDERR_FILENO || o->options.append) return 0;
    if (fstat(o->records_fd, &status) == 0 && !S_ISREG(status.st_mode)) return 0;
    if (ftruncate(o->records_fd, 0) == 0) return 0;
    return error_set(err, "cannot empty %s: %s", o->options.records, strerror(errno));
}

static int print_summary(const struct outputs *o, const struct summary *summary, struct error *err) {
    struct buffer text = {0};
    summary_print(summary, &text, &o->style);
    int failure = write_whole(o->terminal_fd, text.at, text.length);
    buffer_free(&text);
    if (failure == EPIPE) return error_set(err, "%s was closed", terminal_name(o));
    return failure ? error_set(err, "cannot write the summary: %s", strerror(failure)) : 0;
}

static uint64_t lines_lost(const struct outputs *o) {
    uint64_t lost = 0;
    for (uint32_t i = 0; i < o->worker_count; i++) lost += record_stream_lost(o->workers[i].stream);
    return lost;
}

int outputs_close(struct outputs *o, struct summary *summary, struct error *err) {
    if (!o) return 0;
    bool deaf = writer_failed(o->writer, SINK_TERMINAL);
    uint64_t lost = lines_lost(o);
    int result = writer_close(o->writer, err);
    if (o->records_fd > STDERR_FILENO && close(o->records_fd) != 0 && result == 0)
        result = error_set(err, "cannot write %s: %s", o->options.records, strerror(errno));
    o->records_fd = -1;
    if (result == 0 && lost)
        result = error_set(err, "%llu lines were lost for want of memory", (unsigned long long)lost);
    for (uint32_t i = 0; i < o->worker_count; i++)
        if (summary) summary_merge(summary, &o->workers[i].summary);
    progress_hide(o->progress);
    struct error second;
    if (summary && o->options.show_summary && !deaf && print_summary(o, summary, &second) != 0 && result == 0)
        result = error_set(err, "%s", second.text);
    outputs_free(o);
    return result;
}

/* ── what workers call ───────────────────────────────────────────── */

bool outputs_want(const struct outputs *o, enum event_kind kind) {
    if (kind == EVENT_flow && o->options.show_summary) return true;
    return o->records_fd >= 0 && o->options.record[kind];
}

struct output_worker *outputs_worker(struct outputs *o, uint32_t index) {
    return index < o->worker_count ? &o->workers[index] : NULL;
}

struct summary *outputs_worker_summary(struct output_worker *worker) {
    return &worker->summary;
}

void outputs_event(struct output_worker *worker, enum event_kind kind, const void *event,
                   const struct batch *batch) {
    const struct outputs *o = worker->outputs;
    if (kind == EVENT_flow) summary_add_flow(&worker->summary, event, batch);
    if (!o->options.record[kind]) return;
    struct buffer *b = record_begin(worker->stream, SINK_RECORDS);
    if (!b) return;
    const struct event_head_body *head = event;
    eve_event(o->eve, b, kind, event, batch);
    record_commit(worker->stream, (struct line_key){.clock = head->clock, .seq = head->seq});
}

void outputs_alert(struct output_worker *worker, const struct alert *alert, const struct batch *batch) {
    const struct outputs *o = worker->outputs;
    struct line_key key = {
        .clock = alert->has_head ? alert->head.clock : alert->time,
        .seq = alert->seq,
        .rank = alert->detector_index + 1,
    };
    summary_add_alert(&worker->summary, alert);
    struct buffer *b = o->options.record_alerts ? record_begin(worker->stream, SINK_RECORDS) : NULL;
    if (b) {
        eve_alert(o->eve, b, alert, batch);
        record_commit(worker->stream, key);
    }
    b = record_begin(worker->stream, SINK_TERMINAL);
    if (!b) return;
    terminal_alert(b, &o->style, alert);
    record_commit(worker->stream, key);
}

/* After the events and alerts of the same time. */
static struct line_key key_after(nanoseconds time) {
    return (struct line_key){.clock = time, .seq = UINT64_MAX};
}

void outputs_report(struct output_worker *worker, const struct report *report) {
    summary_add_report(&worker->summary, report);
    struct buffer *b =
        worker->outputs->options.record_reports ? record_begin(worker->stream, SINK_RECORDS) : NULL;
    if (!b) return;
    eve_report(b, report);
    record_commit(worker->stream, key_after(report->time));
}

void outputs_stats(struct output_worker *worker, nanoseconds time, const struct stat_figure *figures,
                   uint32_t count) {
    struct buffer *b =
        worker->outputs->options.record_stats ? record_begin(worker->stream, SINK_RECORDS) : NULL;
    if (!b) return;
    eve_stats(b, time, figures, count);
    record_commit(worker->stream, key_after(time));
}

void outputs_advance(struct output_worker *worker, nanoseconds clock) {
    record_stream_watermark(worker->stream, clock);
}

void outputs_at_end(struct output_worker *worker) {
    record_stream_flush(worker->stream);
    record_stream_watermark(worker->stream, WRITER_END);
}

void outputs_flush(struct output_worker *worker) {
    record_stream_flush(worker->stream);
}

void outputs_done(struct output_worker *worker) {
    record_stream_close(worker->stream);
}

void outputs_progress(struct outputs *o, uint64_t done, uint64_t total, uint64_t packets) {
    progress_update(o->progress, done, total, packets);
}

bool outputs_failed(const struct outputs *o) {
    return writer_failed(o->writer, SINK_RECORDS) || writer_failed(o->writer, SINK_TERMINAL);
}
