/* Two sinks behind one writer: the records, which fan out to their receivers, and the terminal. Each worker
 * has a stream of the writer and a summary of its own, so that nothing here is shared between workers but
 * what is read-only, and the receivers, which have locks of their own. */
#include "output/output_room.h"

#include "base/log.h"
#include "output/card_show.h"
#include "output/progress.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long the end of the program waits for sockets that are slow. */
static const double close_patience = 5;

struct output_options output_options_defaults(void) {
    struct output_options options = {
        .record_custom = true,
        .record_alerts = true,
        .record_reports = true,
        .record_stats = true,
        .record_hosts = true,
        .host_cards = 10,
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
    outputs_free_cards(o);
    progress_free(o->progress);
    eve_free(o->eve);
    for (uint32_t i = 0; i < o->receiver_count; i++) receiver_close(o->receivers[i], 0, NULL);
    receiver_close(o->screen, 0, NULL);
    free(o);
}

static void deliver_records(void *context, const char *lines, size_t length) {
    struct outputs *o = context;
    for (uint32_t i = 0; i < o->receiver_count; i++) receiver_write(o->receivers[i], lines, length);
}

static void deliver_text(void *context, const char *lines, size_t length) {
    receiver_write(context, lines, length);
}

/* Whoever writes to a terminal takes the progress bar away while it does. */
static void share_terminal(const struct outputs *o, struct sink *sink, int fd) {
    if (fd < 0 || !isatty(fd)) return;
    sink->before_write = progress_hide;
    sink->after_write = progress_show_again;
    sink->context = o->progress;
}

static const char *terminal_name(const struct outputs *o) {
    return o->terminal_fd == STDERR_FILENO ? "standard error" : "standard output";
}

/* Two receivers that append to one file would rotate it under each other's feet. */
static int check_words(const struct output_options *options, struct error *err) {
    if (options->record_count > OUTPUT_RECEIVERS) {
        error_set(err, "records can go to at most %d outputs, not %zu", OUTPUT_RECEIVERS,
                  options->record_count);
        return error_is_usage(err);
    }
    for (size_t i = 0; i < options->record_count; i++) {
        const char *path = receiver_path(options->records[i]);
        for (size_t k = 0; k < i; k++) {
            const char *other = receiver_path(options->records[k]);
            bool same = strcmp(options->records[i], options->records[k]) == 0 ||
                        (path && other && strcmp(path, other) == 0);
            if (!same) continue;
            error_set(err, "the output %s is named twice", options->records[i]);
            return error_is_usage(err);
        }
    }
    return 0;
}

static int open_receivers(struct outputs *o, struct error *err) {
    if (check_words(&o->options, err) < 0) return -1;
    o->options.receiver.live = o->options.live;
    for (size_t i = 0; i < o->options.record_count; i++) {
        struct receiver *receiver = receiver_open(o->options.records[i], &o->options.receiver, err);
        if (!receiver) return -1;
        o->receivers[o->receiver_count++] = receiver;
    }
    if (!o->options.live || !o->options.show_alerts) return 0;
    o->screen = receiver_open_descriptor(o->terminal_fd, terminal_name(o), &o->options.receiver, err);
    return o->screen ? 0 : -1;
}

static bool takes_stdout(const struct output_options *options) {
    for (size_t i = 0; i < options->record_count; i++)
        if (strcmp(options->records[i], "-") == 0) return true;
    return false;
}

static int start(struct outputs *o, struct error *err) {
    bool to_stdout = takes_stdout(&o->options);
    o->terminal_fd = to_stdout ? STDERR_FILENO : STDOUT_FILENO;
    o->style = terminal_style_of(o->terminal_fd, o->options.colour);
    o->eve = eve_new(err);
    if (!o->eve) return -1;
    for (uint32_t i = 0; i < o->worker_count; i++)
        if (summary_init(&o->workers[i].summary, err) != 0) return -1;
    if (outputs_open_cards(o, err) < 0) return -1;
    if (open_receivers(o, err) < 0) return -1;
    if (o->options.show_progress && !o->options.live) o->progress = progress_new(STDERR_FILENO);
    struct sink records = {.fd = -1, .name = "the records"};
    if (o->receiver_count) {
        records.deliver = deliver_records;
        records.receivers = o;
    }
    if (to_stdout) share_terminal(o, &records, STDOUT_FILENO);
    struct sink terminal = {.fd = -1, .name = terminal_name(o), .prompt = true};
    if (o->screen) {
        terminal.deliver = deliver_text;
        terminal.receivers = o->screen;
    } else if (o->options.show_alerts) {
        terminal.fd = o->terminal_fd;
        share_terminal(o, &terminal, o->terminal_fd);
    }
    o->writer = writer_open((struct sink[]){[SINK_RECORDS] = records, [SINK_TERMINAL] = terminal}, 2,
                            o->worker_count, err);
    if (!o->writer) return -1;
    for (uint32_t i = 0; i < o->worker_count; i++) {
        o->workers[i].outputs = o;
        o->workers[i].stream = writer_stream(o->writer, i);
    }
    if (outputs_gatherer(o)) record_stream_hurry(outputs_gatherer(o)->stream);
    return 0;
}

struct outputs *outputs_open(const struct output_options *options, uint32_t workers, struct error *err) {
    workers += options->gathered; /* the last one */
    struct outputs *o = calloc(1, sizeof *o + workers * sizeof o->workers[0]);
    if (!o) {
        error_set(err, "out of memory for the outputs");
        return NULL;
    }
    o->options = *options;
    o->worker_count = workers;
    if (start(o, err) == 0) return o;
    outputs_free(o);
    return NULL;
}

int outputs_begin(struct outputs *o, struct error *err) {
    if (o->options.live || o->options.append) return 0;
    for (uint32_t i = 0; i < o->receiver_count; i++)
        if (receiver_empty(o->receivers[i], err) < 0) return -1;
    return 0;
}

static int print_summary(const struct outputs *o, struct summary *summary, struct error *err) {
    struct buffer text = {0};
    struct cards *cards = outputs_merged_cards(o, o->options.host);
    summary->hosts_evicted = cards ? cards_figures(cards).evicted : 0;
    summary->cards = cards ? cards_list(cards, &summary->card_count) : NULL;
    summary->cards_shown = o->options.host_cards;
    if (o->options.show_hosts && summary->card_count == 0)
        buffer_string(
            &text,
            o->options.host
                ? "nothing is known of that host: it is not in the capture, or no detector told\n"
                : "nothing is known of any host: none of yours is in it (--home-net says which are), or no "
                  "detector told\n");
    else if (o->options.show_hosts)
        card_print_list(summary->cards, summary->card_count, summary->cards_shown, &text, &o->style,
                        card_whole);
    else
        summary_print(summary, &text, &o->style);
    free(summary->cards);
    summary->cards = NULL;
    summary->card_count = 0;
    cards_free(cards);
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

/* All of them, whatever the first one says; the first trouble is told. */
static int close_receivers(struct outputs *o, struct error *err) {
    int result = 0;
    for (uint32_t i = 0; i < o->receiver_count; i++)
        if (receiver_close(o->receivers[i], close_patience, result == 0 ? err : NULL) != 0) result = -1;
    o->receiver_count = 0;
    receiver_close(o->screen, 1, NULL);
    o->screen = NULL;
    return result;
}

int outputs_close(struct outputs *o, struct summary *summary, struct error *err) {
    if (!o) return 0;
    bool deaf = writer_failed(o->writer, SINK_TERMINAL);
    uint64_t lost = lines_lost(o);
    int result = writer_close(o->writer, err);
    outputs_last_hosts(o, close_patience);
    struct error second;
    if (close_receivers(o, &second) != 0 && result == 0) result = error_set(err, "%s", second.text);
    if (result == 0 && lost)
        result = error_set(err, "%llu lines were lost for want of memory", (unsigned long long)lost);
    for (uint32_t i = 0; i < o->worker_count; i++)
        if (summary) summary_merge(summary, &o->workers[i].summary);
    progress_hide(o->progress);
    bool shows = o->options.show_summary || o->options.show_hosts;
    if (summary && shows && !deaf && print_summary(o, summary, &second) != 0 && result == 0)
        result = error_set(err, "%s", second.text);
    outputs_free(o);
    return result;
}

/* ── what workers call ───────────────────────────────────────────── */

bool outputs_want(const struct outputs *o, enum event_kind kind) {
    if (o->options.show_summary && summary_wants(kind)) return true;
    if (kind == EVENT_flow && outputs_want_cards(o)) return true;
    return o->receiver_count && o->options.record[kind];
}

const char *outputs_custom_name(const struct outputs *o, size_t index) {
    return index < o->options.custom_count ? o->options.custom[index] : NULL;
}

bool outputs_want_custom(const struct outputs *o, const char *name) {
    if (!o->receiver_count || o->options.record_custom) return o->receiver_count > 0;
    for (size_t i = 0; i < o->options.custom_count; i++)
        if (strcmp(o->options.custom[i], name) == 0) return true;
    return false;
}

struct output_worker *outputs_worker(struct outputs *o, uint32_t index) {
    return index < o->worker_count ? &o->workers[index] : NULL;
}

struct output_worker *outputs_gatherer(struct outputs *o) {
    return o->options.gathered ? &o->workers[o->worker_count - 1] : NULL;
}

struct summary *outputs_worker_summary(struct output_worker *worker) {
    return &worker->summary;
}

void outputs_event(struct output_worker *worker, enum event_kind kind, const void *event,
                   const struct batch *batch) {
    const struct outputs *o = worker->outputs;
    if (summary_wants(kind)) summary_add_event(&worker->summary, kind, event, batch);
    if (kind == EVENT_flow && worker->cards) cards_flow(worker->cards, event);
    if (!o->options.record[kind]) return;
    struct buffer *b = record_begin(worker->stream, SINK_RECORDS);
    if (!b) return;
    const struct event_head_body *head = event;
    eve_event(o->eve, b, kind, event, batch);
    record_commit(worker->stream, (struct line_key){.clock = head->clock, .seq = head->seq});
}

void outputs_custom(struct output_worker *worker, struct custom_schema *schema, const void *event,
                    const char *text) {
    struct buffer *b = record_begin(worker->stream, SINK_RECORDS);
    if (!b) return;
    const struct event_head_body *head = event;
    eve_custom(b, schema, event, text);
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
    if (worker->cards) cards_alert(worker->cards, alert);
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

/* Lines of its own in an open chunk would hold up what it waits for. */
void outputs_relieve(struct output_worker *worker, nanoseconds clock) {
    struct output_worker *gatherer = outputs_gatherer(worker->outputs);
    if (!gatherer || !record_stream_is_behind(gatherer->stream)) return;
    record_stream_flush(worker->stream);
    record_stream_watermark(worker->stream, clock);
    record_stream_relieve(gatherer->stream);
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

/* ── what the sensor says of itself ──────────────────────────────── */

static void say_record(struct outputs *o, const struct buffer *b) {
    if (!b->failed) deliver_records(o, b->at, b->length);
}

static void say_alert(struct outputs *o, nanoseconds time, const char *what, uint8_t severity,
                      const char *message, const char *json) {
    const struct alert alert = {
        .time = time,
        .severity = severity,
        .score = NAN,
        .confidence = NAN,
        .detector = "lunette",
        .title = what,
        .category = "Sensor",
        .attack = "",
        .who = "",
        .where = "",
        .why = message,
        .next = "",
        .evidence = json,
    };
    struct buffer b = {0};
    if (o->options.record_alerts) {
        eve_alert(o->eve, &b, &alert, NULL);
        say_record(o, &b);
    }
    buffer_free(&b);
    if (!o->options.show_alerts) return;
    terminal_sensor(&b, &o->style, time, severity, message);
    if (b.failed) return;
    if (o->screen)
        receiver_write(o->screen, b.at, b.length);
    else
        write_whole(o->terminal_fd, b.at, b.length);
    buffer_free(&b);
}

void outputs_say(struct outputs *o, nanoseconds time, const char *what, uint8_t severity, const char *message,
                 const char *json) {
    struct buffer b = {0};
    eve_sensor(&b, time, what, severity, message, json);
    say_record(o, &b);
    buffer_free(&b);
    if (severity) say_alert(o, time, what, severity, message, json);
}

void outputs_say_stats(struct outputs *o, nanoseconds time, const struct stat_figure *figures,
                       uint32_t count) {
    if (!o->options.record_stats) return;
    struct buffer b = {0};
    eve_stats(&b, time, figures, count);
    say_record(o, &b);
    buffer_free(&b);
}

uint32_t outputs_figures(struct outputs *o, struct receiver_figures *out, uint32_t most) {
    for (uint32_t i = 0; i < o->receiver_count && i < most; i++) receiver_figures(o->receivers[i], &out[i]);
    return o->receiver_count;
}

void outputs_rotate(struct outputs *o) {
    log_reopen();
    for (uint32_t i = 0; i < o->receiver_count; i++) receiver_rotate(o->receivers[i]);
}

void outputs_progress(struct outputs *o, uint64_t done, uint64_t total, uint64_t packets) {
    progress_update(o->progress, done, total, packets);
}

bool outputs_failed(const struct outputs *o) {
    for (uint32_t i = 0; i < o->receiver_count; i++)
        if (receiver_failed(o->receivers[i])) return true;
    return writer_failed(o->writer, SINK_TERMINAL);
}
