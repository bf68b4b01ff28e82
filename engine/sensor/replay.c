/* Opens everything first, so that a slip of the user's shows before any work is done; then a thread per
 * worker (the first runs in the caller's), each reading the whole capture; then adds up. */
#include "sensor/replay.h"

#include "endpoint/account.h"
#include "base/log.h"
#include "base/words.h"
#include "capture/capture.h"
#include "sensor/event_log.h"
#include "sensor/gather.h"
#include "sensor/home.h"
#include "sensor/tally.h"
#include "sensor/worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    TICK_PACKETS =
        16384, /* now and then scripts and records catch up, so that workers need not wait for each other */
    WORKERS_MAX = 64,
    WARNINGS_MAX = 1024,
    WORKER_STACK =
        16 * 1024 * 1024, /* a script may nest table.sort and its like 4 MiB deep before Lua says no */
};

struct replay {
    const struct replay_options *options;
    struct home *home;
    struct words *words;
    struct outputs *outputs;
    struct gather *gather; /* NULL: no detector gathers */
    uint32_t count;
    struct capture *captures[WORKERS_MAX]; /* each worker's own view of the files */
    struct event_log *events;              /* what is read instead, or NULL */
    struct worker *workers[WORKERS_MAX];
    bool interrupted[WORKERS_MAX]; /* told to stop, or nobody takes the output any more */
    struct worker_options worker_options[WORKERS_MAX];
};

/* Only a regular file can be read by several workers. */
static bool can_be_shared(const char *path) {
    struct stat status;
    return strcmp(path, "-") != 0 && stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static uint32_t worker_count(const struct replay_options *options) {
    if (options->workers <= 1) return 1;
    if (options->events) {
        log_line(LOG_WARNING, "records are played by one worker, not %u", options->workers);
        return 1;
    }
    for (size_t i = 0; i < options->host_logs.count; i++) {
        const char *path = hosts_path(options->host_logs.words[i]);
        if (strcmp(path, "-") != 0 && (can_be_shared(path) || access(path, F_OK) != 0)) continue;
        log_line(LOG_WARNING, "%s is no regular file and can be read once only: one worker instead of %u",
                 path, options->workers);
        return 1;
    }
    for (size_t i = 0; i < options->capture_count; i++) {
        if (can_be_shared(options->captures[i])) continue;
        log_line(LOG_WARNING, "%s is no regular file and can be read once only: one worker instead of %u",
                 options->captures[i], options->workers);
        return 1;
    }
    return options->workers < WORKERS_MAX ? options->workers : WORKERS_MAX;
}

/* The regular file behind a path, or behind the descriptor that "-" stands for. */
static bool regular_file(const char *path, int dash, struct stat *status) {
    int outcome = strcmp(path, "-") == 0 ? fstat(dash, status) : stat(path, status);
    return outcome == 0 && S_ISREG(status->st_mode);
}

/* Records must not be written over a capture that is to be read, by whatever name either goes. */
static int check_output(const struct replay_options *options, const char *word, struct error *err) {
    struct stat output, input;
    const char *records = receiver_path(word);
    if (!records || !regular_file(records, STDOUT_FILENO, &output)) return 0;
    for (size_t i = 0; i < options->capture_count; i++) {
        if (!regular_file(options->captures[i], STDIN_FILENO, &input)) continue;
        if (input.st_dev != output.st_dev || input.st_ino != output.st_ino) continue;
        error_set(err, "the records would be written over the capture %s: give -o another file",
                  options->captures[i]);
        return error_is_usage(err);
    }
    return 0;
}

static const char *interface_name(void *context, uint8_t interface) {
    return context ? capture_interface_name(context, interface) : "";
}

/* Once the workers' scripts are loaded: is there anything to gather? */
static int gather_open(struct replay *replay, struct error *err) {
    const struct script_host *scripts = worker_scripts(replay->workers[0]);
    if (script_host_gathers(scripts)) return gather_employ(replay->gather, scripts, err);
    for (uint32_t i = 0; i < replay->count; i++) replay->worker_options[i].gather = NULL;
    outputs_done(outputs_gatherer(replay->outputs));
    gather_free(replay->gather);
    replay->gather = NULL;
    return 0;
}

static int replay_open(struct replay *replay, struct error *err) {
    const struct replay_options *options = replay->options;
    struct output_options outputs = options->outputs;
    outputs.gathered = true;
    for (size_t i = 0; i < options->outputs.record_count; i++)
        if (check_output(options, options->outputs.records[i], err) < 0) return -1;
    replay->home = home_new(options->home_networks, err);
    if (!replay->home) return error_is_usage(err);
    replay->words = words_new(WORDS_USUAL, WORDS_USUAL_BYTES, err);
    if (!replay->words) return -1;
    replay->outputs = outputs_open(&outputs, replay->count, err);
    if (!replay->outputs) return -1;
    const struct gather_options gather = {.workers = replay->count, .outputs = replay->outputs};
    replay->gather = gather_new(&gather, err);
    if (!replay->gather) return -1;
    if (options->events) {
        replay->events = event_log_open(options->captures, options->capture_count, replay->words, err);
        if (!replay->events) return error_is_usage(err);
    }
    for (uint32_t i = 0; i < replay->count; i++) {
        if (!options->events)
            replay->captures[i] = capture_open(options->captures, options->capture_count, err);
        if (!options->events && !replay->captures[i]) return -1;
        replay->worker_options[i] = (struct worker_options){
            .filter = options->filter,
            .batch_limit = options->batch_limit,
            .fragment_memory = options->fragment_memory,
            .flow = options->flow,
            .words = replay->words,
            .host_logs = &options->host_logs,
            .scripts = options->scripts,
            .home = replay->home,
            .outputs = replay->outputs,
            .index = i,
            .workers = replay->count,
            .context = replay->captures[i],
            .interface_name = interface_name,
            .gather = replay->gather,
        };
        replay->worker_options[i].scripts.quiet = i > 0;
        replay->workers[i] = worker_new(&replay->worker_options[i], err);
        if (!replay->workers[i]) return -1;
    }
    if (gather_open(replay, err) < 0) return -1;
    return outputs_begin(replay->outputs, err);
}

/* A signal asked for the end, or nobody takes the output any more. */
static bool is_stopped(const struct replay *replay) {
    return atomic_load_explicit(replay->options->stop, memory_order_relaxed) ||
           outputs_failed(replay->outputs);
}

static void capture_work(struct replay *replay, uint32_t index) {
    struct worker *worker = replay->workers[index];
    struct capture *capture = replay->captures[index];
    struct packet packets[PACKET_BURST];
    uint64_t next_tick = TICK_PACKETS;
    int n;
    while ((n = capture_next_burst(capture, packets)) > 0) {
        worker_packets(worker, packets, n);
        if (is_stopped(replay)) break;
        uint64_t seen = worker_figures(worker)->packets;
        if (seen < next_tick) continue;
        next_tick = seen + TICK_PACKETS;
        worker_tick(worker);
        if (index > 0) continue;
        uint64_t done, total;
        capture_progress(capture, &done, &total);
        outputs_progress(replay->outputs, done, total, seen);
    }
    replay->interrupted[index] = is_stopped(replay);
    if (!replay->interrupted[index]) worker_play_rest(worker);
    worker_finish(worker);
}

/* Records instead of packets: no flows are made of them, their events go to the detectors as they are. */
static void events_work(struct replay *replay) {
    struct worker *worker = replay->workers[0];
    const bool *wants = worker_batch(worker)->listener.wants;
    const struct made_event *event;
    nanoseconds time;
    uint64_t played = 0;
    while ((event = event_log_next(replay->events, wants, &time)) != NULL) {
        worker_event(worker, event, time);
        if (++played % TICK_PACKETS != 0) continue;
        worker_tick(worker);
        if (is_stopped(replay)) break;
    }
    replay->interrupted[0] = is_stopped(replay);
    if (!replay->interrupted[0]) worker_play_rest(worker);
    worker_finish(worker);
}

/* The first worker's output stays open for the figures at the end. */
static void worker_work(struct replay *replay, uint32_t index) {
    if (replay->events)
        events_work(replay);
    else
        capture_work(replay, index);
    if (index > 0) outputs_done(outputs_worker(replay->outputs, index));
}

struct worker_thread {
    pthread_t thread;
    struct replay *replay;
    uint32_t index;
};

static void *worker_thread_main(void *context) {
    struct worker_thread *self = context;
    worker_work(self->replay, self->index);
    return NULL;
}

static int replay_work(struct replay *replay, struct error *err) {
    struct worker_thread threads[WORKERS_MAX];
    uint32_t started = 1;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, WORKER_STACK);
    for (; started < replay->count; started++) {
        struct worker_thread *self = &threads[started];
        *self = (struct worker_thread){.replay = replay, .index = started};
        if (pthread_create(&self->thread, &attributes, worker_thread_main, self) != 0) break;
    }
    pthread_attr_destroy(&attributes);
    for (uint32_t i = started; i < replay->count; i++) {
        outputs_done(outputs_worker(replay->outputs, i));
        if (replay->gather) gather_finish(replay->gather, i, 0);
    }
    worker_work(replay, 0);
    for (uint32_t i = 1; i < started; i++) pthread_join(threads[i].thread, NULL);
    if (started == replay->count) return 0;
    return error_set(err, "only %u of %u workers could be started: the results are not complete (try -w %u)",
                     started, replay->count, started);
}

/* What was read is the same for all workers; of events each makes its own. */
static struct endpoint_figures host_figures(const struct replay *replay) {
    struct endpoint_figures figures = {0};
    if (!worker_endpoint(replay->workers[0])) return figures;
    figures = endpoint_figures(worker_endpoint(replay->workers[0]));
    for (uint32_t i = 1; i < replay->count; i++)
        figures.events += endpoint_figures(worker_endpoint(replay->workers[i])).events;
    return figures;
}

static const char *input_warning(const struct replay *replay, size_t index) {
    if (replay->events) return event_log_warning(replay->events, index);
    return capture_warning(replay->captures[0], index);
}

/* A figure of the capture, the same for all workers; and figures of the flows, which are added up. */
static void replay_stats(struct replay *replay) {
    const struct worker_figures *figures = worker_figures(replay->workers[0]);
    struct flow_counters total = {0};
    struct gather_figures gathered = {0};
    struct tally detectors = {0};
    if (replay->gather) gathered = gather_figures(replay->gather);
    for (uint32_t i = 0; i < replay->count; i++) {
        const struct flow_counters *c = worker_flow_counters(replay->workers[i]);
        total.flows += c->flows;
        total.flows_tcp += c->flows_tcp;
        total.flows_udp += c->flows_udp;
        total.flows_icmp += c->flows_icmp;
        total.ended_timeout += c->ended_timeout;
        total.ended_evicted += c->ended_evicted;
        total.gap_bytes += c->gap_bytes;
        total.programs_joined += c->programs_joined;
        total.programs_contradicted += c->programs_contradicted;
        total.reassembly_dropped += c->reassembly_dropped;
        total.memory += c->memory;
        total.fragments += c->fragments;
        total.fragment_overlaps += c->fragment_overlaps;
        total.tunnels_refused += c->tunnels_refused;
        total.names_evicted += c->names_evicted;
        total.rebind_evicted += c->rebind_evicted;
        tally_add(worker_scripts(replay->workers[i]), &detectors);
    }
    if (replay->gather) tally_add(gather_scripts(replay->gather), &detectors);
    const struct endpoint_figures host = host_figures(replay);
    const struct card_figures cards = outputs_card_figures(replay->outputs);
    const struct stat_figure stats[] = {
        {"capture.packets", figures->packets},
        {"capture.bytes", figures->bytes},
        {"capture.filtered", figures->filtered},
        {"capture.truncated", figures->truncated},
        {"capture.damaged",
         replay->events ? event_log_figures(replay->events)->broken : capture_damaged(replay->captures[0])},
        {"decoder.not_ip", figures->not_ip},
        {"decoder.arp", figures->arp},
        {"decoder.invalid", figures->undecoded},
        {"decoder.datagrams_joined", figures->datagrams_joined},
        {"decoder.fragments_unjoined", total.fragments},
        {"decoder.fragment_overlaps", total.fragment_overlaps},
        {"decoder.tunnels_refused", total.tunnels_refused},
        {"flow.total", total.flows},
        {"flow.tcp", total.flows_tcp},
        {"flow.udp", total.flows_udp},
        {"flow.icmp", total.flows_icmp},
        {"flow.timeout", total.ended_timeout},
        {"flow.evicted", total.ended_evicted},
        {"flow.names_evicted", total.names_evicted},
        {"flow.rebind_evicted", total.rebind_evicted},
        {"flow.memory", total.memory},
        {"tcp.gap_bytes", total.gap_bytes},
        {"tcp.reassembly_dropped", total.reassembly_dropped},
        {"host.lines", host.lines},
        {"host.news", host.news},
        {"host.unread", host.broken + host.unknown},
        {"host.late", host.late},
        {"host.joined", total.programs_joined},
        {"host.contradicted", total.programs_contradicted},
        {"host.events", host.events},
        {"host.processes", host.processes},
        {"host.processes_evicted", host.processes_evicted},
        {"host.sockets", host.sockets},
        {"programs.refused", words_refused(replay->words)},
        {"detect.errors", detectors.errors},
        {"detect.evicted", detectors.evicted},
        {"detect.off", detectors.off},
        {"gather.messages", gathered.messages},
        {"gather.dropped", gathered.lost},
        {"cards.hosts", cards.hosts},
        {"cards.memory", cards.bytes},
        {"cards.evicted", cards.evicted},
        {"cards.dropped", cards.dropped},
    };
    outputs_hosts(outputs_worker(replay->outputs, 0), figures->last);
    outputs_stats(outputs_worker(replay->outputs, 0), figures->last, stats, sizeof stats / sizeof stats[0]);
}

static void capture_figures(struct replay *replay, struct summary *summary, const char **warnings,
                            double seconds) {
    const struct worker_figures *figures = worker_figures(replay->workers[0]);
    uint32_t count = 0;
    while (count < WARNINGS_MAX && (warnings[count] = input_warning(replay, count))) count++;
    summary->packets = figures->packets;
    summary->bytes = figures->bytes;
    summary->first = figures->first;
    summary->last = figures->last;
    summary->truncated = figures->truncated;
    summary->not_ip = figures->not_ip + figures->arp;
    summary->undecoded = figures->undecoded;
    for (uint32_t i = 0; i < replay->count; i++) summary->interrupted |= replay->interrupted[i];
    summary->seconds = seconds;
    summary->warnings = warnings;
    summary->warning_count = count;
}

static void host_account(struct replay *replay, struct endpoint_account *account) {
    const struct worker_figures *figures = worker_figures(replay->workers[0]);
    const struct endpoint *endpoints[WORKERS_MAX];
    struct summary flows = {0};
    for (uint32_t i = 0; i < replay->count; i++) {
        endpoints[i] = worker_endpoint(replay->workers[i]);
        summary_add_counters(&flows, worker_flow_counters(replay->workers[i]));
    }
    endpoint_account_make(account, endpoints, replay->count, &flows.flow, figures->first, figures->last);
}

static double seconds_now(void) {
    return ns_to_seconds(time_monotonic());
}

/* What is wrong with a capture is said on standard error too: the summary may go to a file, or nowhere. */
static void warnings_log(const char *const *warnings, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) log_line(LOG_WARNING, "%s", warnings[i]);
}

/* Lines there were, and not one of them a record: these are other files than was thought. */
static bool is_no_record_at_all(const struct replay *replay, struct error *err) {
    const struct event_log_figures *figures = replay->events ? event_log_figures(replay->events) : NULL;
    if (!figures || figures->broken == 0 || figures->events + figures->passed > 0) return false;
    error_set(err, "%s%s: no records: JSON lines as -o writes them are expected with --events",
              replay->options->captures[0], replay->options->capture_count > 1 ? " and others" : "");
    return true;
}

/* `worked` is what replay_work() said: its message stays, unless the outputs have a worse one. */
static enum replay_outcome replay_close(struct replay *replay, int worked, double seconds,
                                        struct error *err) {
    const char *warnings[WARNINGS_MAX];
    struct summary summary;
    if (summary_init(&summary, err) < 0) return REPLAY_FAILED;
    struct endpoint_account account;
    capture_figures(replay, &summary, warnings, seconds);
    host_account(replay, &account);
    summary.host_logs[0] = account.read;
    summary.host_logs[1] = account.joined;
    uint32_t warning_count = summary.warning_count;
    int written = outputs_close(replay->outputs, &summary, err);
    warnings_log(warnings, warning_count);
    for (uint32_t i = 0; i < account.warning_count; i++) log_line(LOG_WARNING, "%s", account.warnings[i]);
    replay->outputs = NULL;
    summary_clear(&summary);
    if (written < 0 || worked < 0) return REPLAY_FAILED;
    bool failed = false, interrupted = false;
    for (uint32_t i = 0; i < replay->count; i++) {
        interrupted |= replay->interrupted[i];
        failed |= worker_detectors_failed(replay->workers[i]) > 0;
    }
    const struct endpoint *endpoint = worker_endpoint(replay->workers[0]);
    failed |= endpoint && !interrupted && !endpoint_report(endpoint);
    failed |= replay->gather && tally_failed(gather_scripts(replay->gather)) > 0;
    if (interrupted) {
        error_set(err, "interrupted: what came after the last packet read is not in the results");
        return REPLAY_FAILED;
    }
    if (is_no_record_at_all(replay, err)) return REPLAY_FAILED;
    if (!failed) return REPLAY_FINE;
    err->text[0] = '\0'; /* it was told when it happened */
    return REPLAY_FAILED;
}

/* A replay is the last that its process does. */
static void scripts_part(struct replay *replay) {
    for (uint32_t i = 0; i < replay->count; i++) {
        struct script_host *scripts = replay->workers[i] ? worker_scripts(replay->workers[i]) : NULL;
        if (scripts) script_host_part(scripts);
    }
    struct script_host *gathering = replay->gather ? gather_scripts(replay->gather) : NULL;
    if (gathering) script_host_part(gathering);
}

enum replay_outcome replay_run(const struct replay_options *options, struct error *err) {
    struct replay replay = {.options = options, .count = worker_count(options)};
    double begun = seconds_now();
    enum replay_outcome outcome = REPLAY_FAILED;
    if (replay_open(&replay, err) == 0) {
        int worked = replay_work(&replay, err);
        replay_stats(&replay);
        outputs_done(outputs_worker(replay.outputs, 0));
        outcome = replay_close(&replay, worked, seconds_now() - begun, err);
    } else if (err->usage) {
        outcome = REPLAY_USAGE;
    }
    if (replay.outputs) outputs_close(replay.outputs, NULL, NULL); /* it never began: no summary */
    scripts_part(&replay);
    for (uint32_t i = 0; i < replay.count; i++) {
        worker_free(replay.workers[i]);
        if (replay.captures[i]) capture_close(replay.captures[i]);
    }
    event_log_close(replay.events);
    gather_free(replay.gather);
    home_free(replay.home);
    words_free(replay.words);
    return outcome;
}
