/* See live.h. What comes first matters: interfaces are opened with the privileges that the process was given;
 * then these are given up, before any thread is started; then scripts, state and outputs are opened with what
 * is left. */
#include "sensor/sensor.h"

#include "endpoint/account.h"
#include "base/log.h"
#include "base/words.h"
#include "base/text.h"
#include "script/reload.h"
#include "sensor/tally.h"

#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOMENT_MILLISECONDS = 10, WARNINGS_MAX = 8 };

nanoseconds sensor_wall(void) {
    return time_wall();
}

nanoseconds sensor_monotonic(void) {
#ifdef __linux__
    return time_read(CLOCK_BOOTTIME);
#else
    return time_monotonic();
#endif
}

/* timeout(1) and terminals send the first one twice. */
static const nanoseconds SECOND_STOP = 500 * NS_PER_MILLISECOND;

static nanoseconds seconds(double s) {
    return (nanoseconds)(s * 1e9);
}

struct live_options live_options_defaults(void) {
    return (struct live_options){
        .pace = 1,
        .workers = 1,
        .dealing = TAP_FANOUT,
        .ring_bytes = 64 << 20,
        .snap_length = 65535,
        .promiscuous = true,
        .batch_limit = BATCH_EVENTS,
        .fragment_memory = 16 << 20,
        .flow = flow_config_defaults(),
        .outputs = output_options_defaults(),
        .recall = recall_options_defaults(),
        .privilege = {.keep_capture = true, .filter_calls = true},
        .state_interval = 60,
        .stats_interval = 60,
        .host_interval = 3600,
        .watch = true,
    };
}

void sensor_end(struct sensor *sensor, int exit_code) {
    if (!sensor->ending) {
        sensor->exit_code = exit_code;
        sensor->ending_since = sensor_monotonic();
    }
    sensor->ending = true;
    uv_stop(&sensor->loop);
}

void sensor_say(struct sensor *sensor, const char *what, int severity, const char *message,
                const char *json) {
    nanoseconds now = sensor_wall();
    log_line(severity ? LOG_WARNING : LOG_INFO, "%s: %s", what, message);
    if (sensor->outputs) outputs_say(sensor->outputs, now, what, (enum severity)severity, message, json);
    if (!severity) return;
    const struct alert alert = {
        .time = now, .severity = (uint8_t)severity, .detector = "lunette", .title = what, .why = message};
    sensor_note_alert(sensor, &alert);
}

/* --------------------------------------------------------- told by the stations */

static void on_alert(void *context, const struct alert *alert) {
    sensor_note_alert(context, alert);
}

static void on_interface(void *context, const char *interface, bool open, const char *why) {
    struct sensor *sensor = context;
    char message[256], json[160];
    snprintf(message, sizeof message, open ? "%s is watched" : "%s is not watched any more: %s", interface,
             why ? why : "closed");
    snprintf(json, sizeof json, "{\"interface\":\"%.64s\",\"open\":%s}", interface, open ? "true" : "false");
    sensor_say(sensor, "interface", 0, message, json);
}

static void on_over(void *context) {
    struct sensor *sensor = context;
    if (atomic_fetch_add(&sensor->over, 1) + 1 == sensor->station_count) uv_async_send(&sensor->knock);
}

/* ------------------------------------------------------------- once a second */

struct rescan {
    struct letter letter;
    int outcome;
    struct error err;
};

static void rescan_run(struct letter *letter, struct station *station) {
    struct rescan *rescan = letter->context;
    rescan->outcome = station_rescan(station, &rescan->err);
}

/* In the order of the workers: the kernel deals by the order in which they joined. */
static void interfaces_rescan(struct sensor *sensor) {
    if (!sensor->options->interfaces) return;
    for (uint32_t i = 0; i < sensor->station_count; i++) {
        struct rescan rescan = {.letter = {.run = rescan_run}};
        rescan.letter.context = &rescan;
        if (station_ask(sensor->stations[i], &rescan.letter, RESCAN_SECONDS) < 0) return;
    }
}

/* A clock that was set back stands still for the detectors until it has caught up; by more than a moment, it
 * is better to begin anew with the state that was kept. */
static void clock_check(struct sensor *sensor) {
    nanoseconds offset = sensor_wall() - sensor_monotonic();
    nanoseconds step = offset - sensor->clock_offset;
    sensor->clock_offset = offset;
    if (step < seconds(1) && step > -seconds(1)) return;
    char message[256], json[64];
    bool back = step < -seconds(STEP_SECONDS);
    snprintf(message, sizeof message, "the clock was set %s by %.1f s%s", step < 0 ? "back" : "forward",
             ns_to_seconds(step < 0 ? -step : step),
             back && sensor->options->interfaces ? ": the sensor starts anew with its saved state" : "");
    snprintf(json, sizeof json, "{\"step_seconds\":%.3f}", ns_to_seconds(step));
    sensor_say(sensor, "clock", SEVERITY_LOW, message, json);
    if (back && sensor->options->interfaces) sensor_end(sensor, SENSOR_ANEW);
}

void sensor_alive(struct sensor *sensor) {
    bool all = true;
    for (uint32_t i = 0; i < sensor->station_count; i++) {
        struct pulse *pulse = &sensor->pulses[i];
        uint64_t beats = station_beats(sensor->stations[i]);
        if (beats != pulse->beats) pulse->moved = true, pulse->still = 0;
        pulse->beats = beats;
        all &= pulse->moved;
    }
    if (!all) return;
    for (uint32_t i = 0; i < sensor->station_count; i++) sensor->pulses[i].moved = false;
    supervised_alive(sensor->self);
}

static bool all_move(const struct sensor *sensor) {
    for (uint32_t i = 0; i < sensor->station_count; i++)
        if (sensor->pulses[i].still > 1) return false;
    return true;
}

/* It may be in a handler of its own, or in one of those that gather. */
static void whereabouts(const struct sensor *sensor, uint32_t worker, char *out, size_t size) {
    if (script_host_whereabouts(worker_scripts(station_worker(sensor->stations[worker])), out, size)) return;
    script_host_whereabouts(gather_scripts(sensor->gather), out, size);
}

/* What a worker is stuck in is known now only: the supervisor will kill the sensor, and the next one cannot
 * say. Counted in turns of this loop, so that sleep of the machine is no stillness. */
static void stillness_tell(struct sensor *sensor) {
    for (uint32_t i = 0; i < sensor->station_count; i++) {
        if (++sensor->pulses[i].still != STILL_TURNS + 1) continue;
        char where[300], message[400], json[64];
        whereabouts(sensor, i, where, sizeof where);
        snprintf(message, sizeof message, "worker %u has not moved for %d s: it is in %s", i, STILL_TURNS,
                 where);
        snprintf(json, sizeof json, "{\"worker\":%u}", i);
        sensor_say(sensor, "stuck", SEVERITY_MEDIUM, message, json);
    }
}

static void socket_mend(struct sensor *sensor) {
    struct error err;
    if (!sensor->control) return;
    bool missing = control_mend(sensor->control, &err) < 0;
    if (missing && !sensor->socket_missing) log_line(LOG_WARNING, "%s", err.text);
    sensor->socket_missing = missing;
}

static void on_second(uv_timer_t *timer) {
    struct sensor *sensor = timer->data;
    nanoseconds now = sensor_monotonic();
    sensor_alive(sensor);
    stillness_tell(sensor);
    if (all_move(sensor)) interfaces_rescan(sensor); /* who does not move answers no letter */
    sensor_gather(sensor);
    socket_mend(sensor);
    if (sensor->options->stats_interval > 0 && now >= sensor->next_stats) {
        sensor->next_stats = now + seconds(sensor->options->stats_interval);
        sensor_stats(sensor);
    }
    if (sensor->options->host_interval > 0 && now >= sensor->next_hosts) {
        sensor->next_hosts = now + seconds(sensor->options->host_interval);
        outputs_say_hosts(sensor->outputs, sensor_wall());
    }
    outputs_each_second(sensor->outputs);
    if (sensor->options->state_folder && now >= sensor->next_state && all_move(sensor)) {
        sensor->next_state = now + seconds(sensor->options->state_interval);
        sensor_save(sensor);
    }
    clock_check(sensor);
}

/* ------------------------------------------------------ what the main thread hears */

static void reload_now(struct sensor *sensor, bool reread_config) {
    struct error err = {.text = ""};
    sensor_reload(sensor, reread_config, false, NULL, 0, &err); /* tells by itself how it went */
}

static void on_signal(uv_signal_t *handle, int number) {
    struct sensor *sensor = handle->data;
    bool stop = number != SIGHUP && number != SIGUSR1 && number != SIGUSR2;
    if (sensor->ending && !stop) return;
    log_line(LOG_INFO, "received %s", strsignal(number));
    if (number == SIGHUP) {
        supervised_reloading(sensor->self);
        reload_now(sensor, true);
        supervised_ready(sensor->self);
    } else if (number == SIGUSR1) {
        outputs_rotate(sensor->outputs);
    } else if (number == SIGUSR2) {
        return; /* nothing is asked for with it */
    } else if (sensor->ending) {
        if (sensor_monotonic() - sensor->ending_since < SECOND_STOP) return;
        log_line(LOG_WARNING, "asked to stop a second time: the sensor ends at once");
        _exit(1);
    } else {
        sensor_end(sensor, 0);
    }
}

static void on_knock(uv_async_t *knock) {
    struct sensor *sensor = knock->data;
    sensor_errands(sensor);
    if (!sensor->options->interfaces && atomic_load(&sensor->over) == sensor->station_count)
        sensor_end(sensor, 0);
}

static void on_supervisor(uv_poll_t *poll, int status, int events) {
    struct sensor *sensor = poll->data;
    (void)status, (void)events;
    uv_poll_stop(poll);
    sensor_say(sensor, "supervisor", SEVERITY_MEDIUM,
               sensor->options->state_folder ? "it is gone: the sensor ends, its state is saved"
                                             : "it is gone: the sensor ends",
               NULL);
    sensor_end(sensor, 1);
}

static void on_files(void *context) {
    reload_now(context, true);
}

/* ---------------------------------------------------------------------- opening */

static int stations_open(struct sensor *sensor, struct error *err) {
    const struct live_options *options = sensor->options;
    for (uint32_t i = 0; i < sensor->station_count; i++) {
        struct station_options *to = &sensor->station_options[i];
        *to = (struct station_options){
            .worker =
                {
                    .filter = options->filter,
                    .batch_limit = options->batch_limit,
                    .fragment_memory = options->fragment_memory,
                    .flow = options->flow,
                    .home = sensor->home,
                    .words = sensor->words,
                    .host_logs = &options->host_logs,
                    .follow_logs = options->interfaces != NULL,
                    .await_logs = sensor->self->restarts > 0,
                    .index = i,
                    .workers = sensor->station_count,
                },
            .tap =
                {
                    .patterns = options->interfaces,
                    .pattern_count = options->interface_count,
                    .ring_bytes = options->ring_bytes,
                    .snap_length = options->snap_length,
                    .promiscuous = options->promiscuous,
                    .patient = sensor->self->restarts > 0,
                    .dealing = options->dealing,
                    .deal = deal_programs(sensor->deal),
                },
            .captures = options->captures,
            .capture_count = options->capture_count,
            .pace = options->pace,
            .recall = options->recall,
            .shared = &sensor->shared,
        };
        sensor->stations[i] = station_new(to, err);
        if (!sensor->stations[i]) return -1;
    }
    for (uint32_t i = 0; i < sensor->station_count; i++)
        if (station_rescan(sensor->stations[i], err) < 0) return -1;
    return 0;
}

/* Folders that the sensor writes to become its user's, if they are there for it alone (privilege.h). */
struct folders {
    const char *paths[BOARD_OUTPUTS + 4];
    uint32_t count;
    char text[BOARD_OUTPUTS + 4][PATH_MAX]; /* of those that are cut from a file's path */
};

static void folder_add(struct folders *folders, const char *path) {
    if (path) folders->paths[folders->count++] = path;
}

static void folder_add_of(struct folders *folders, const char *file) {
    if (!file) return;
    char *text = folders->text[folders->count];
    text_copy(text, PATH_MAX, file);
    folder_add(folders, dirname(text));
}

static void folders_gather(const struct live_options *options, struct folders *folders) {
    folders->count = 0;
    folder_add(folders, options->state_folder);
    folder_add(folders, options->recall.folder);
    folder_add(folders, options->outputs.receiver.spool_folder);
    folder_add_of(folders, options->control);
    for (size_t i = 0; i < options->outputs.record_count && i < BOARD_OUTPUTS; i++) {
        const char *file = receiver_path(options->outputs.records[i]);
        if (file && options->privilege.user && access(file, F_OK) != 0) folder_add_of(folders, file);
    }
}

static int privileges_drop(struct sensor *sensor, struct error *err) {
    const struct live_options *options = sensor->options;
    struct folders *folders = malloc(sizeof *folders);
    if (!folders) return error_set(err, "out of memory");
    folders_gather(options, folders);
    int outcome = privilege_drop(&options->privilege, folders->paths, folders->count, err);
    free(folders);
    if (outcome < 0) return -1;
    char left[256];
    privilege_describe(left, sizeof left);
    log_line(LOG_INFO, "runs as %s", left);
    return 0;
}

/* The flow is its worker's, and so are the packets. */
static bool keep_packets(void *context, const struct alert *alert, char path[PATH_MAX]) {
    const struct sensor *sensor = context;
    return worker_keep_packets(station_worker(sensor->stations[alert->worker]), alert, path);
}

static int outputs_start(struct sensor *sensor, struct error *err) {
    struct output_options outputs = sensor->options->outputs;
    outputs.show_progress = false;
    outputs.gathered = true;
    outputs.keep_cards = sensor->options->control != NULL;
    sensor->outputs = outputs_open(&outputs, sensor->station_count, err);
    if (!sensor->outputs) return -1;
    const struct gather_options gather = {.workers = sensor->station_count,
                                          .live = true,
                                          .outputs = sensor->outputs,
                                          .context = sensor,
                                          .keep_packets = keep_packets,
                                          .on_alert = on_alert};
    sensor->gather = gather_new(&gather, err);
    if (!sensor->gather) return -1;
    return outputs_begin(sensor->outputs, err);
}

static int stations_employ(struct sensor *sensor, struct error *err) {
    for (uint32_t i = 0; i < sensor->station_count; i++) {
        struct worker_options *worker = &sensor->station_options[i].worker;
        worker->outputs = sensor->outputs;
        worker->gather = sensor->gather;
        worker->live = true;
        worker->scripts = sensor->scripts;
        worker->scripts.quiet = i > 0;
        if (station_employ(sensor->stations[i], err) < 0) return -1;
        supervised_alive(sensor->self); /* one that was started again is watched while it starts, too */
    }
    return gather_employ(sensor->gather, worker_scripts(station_worker(sensor->stations[0])), err);
}

static int control_start(struct sensor *sensor, struct error *err) {
    const struct control_options options = {
        .path = sensor->options->control,
        .metrics = sensor->options->metrics,
        .calls = sensor_calls(sensor),
    };
    if (!options.path && !options.metrics) return 0;
    sensor->control = control_open(&options, err);
    return sensor->control ? 0 : -1;
}

static int watch_start(struct sensor *sensor, struct error *err) {
    if (!sensor->options->watch) return 0;
    sensor->watch = watch_new(&sensor->loop, on_files, sensor, err);
    if (!sensor->watch) return -1;
    sensor_watch_files(sensor);
    return 0;
}

static void board_begin(struct sensor *sensor) {
    struct board *board = &sensor->board;
    board->started = board->now = sensor_wall();
    snprintf(board->version, sizeof board->version, "%s", LUNETTE_VERSION);
    snprintf(board->mode, sizeof board->mode, "%s", sensor->options->interfaces ? "live" : "replay");
    board->pid = getpid();
    board->restarts = sensor->self->restarts;
    text_copy(board->last_exit, sizeof board->last_exit, sensor->self->last_exit);
    board->worker_count = sensor->station_count;
}

/* Each worker reads all host logs, which a pipe does not allow. */
static int check_host_logs(const struct live_options *options, struct error *err) {
    for (size_t i = 0; i < options->host_logs.count && options->workers > 1; i++) {
        const char *path = hosts_path(options->host_logs.words[i]);
        struct stat status;
        if (strcmp(path, "-") != 0 && (stat(path, &status) < 0 || S_ISREG(status.st_mode))) continue;
        error_set(err, "--host-log %s is no regular file and can be read once only: run one worker (-w 1)",
                  path);
        return error_is_usage(err);
    }
    return 0;
}

/* Everything but the threads. */
static int sensor_open(struct sensor *sensor, struct error *err) {
    const struct live_options *options = sensor->options;
    if (privilege_check(&options->privilege, err) < 0) return -1;
    sensor->home = home_new(options->home_networks, err);
    if (!sensor->home) return error_is_usage(err);
    sensor->words = words_new(WORDS_USUAL, WORDS_USUAL_BYTES, err);
    if (!sensor->words) return -1;
    sensor->deal = deal_new(sensor->home, sensor->station_count, err);
    if (!sensor->deal) return -1;
    if (check_host_logs(options, err) < 0) return -1;
    if (stations_open(sensor, err) < 0) return -1;
    if (privileges_drop(sensor, err) < 0) return -1;
    if (sensor_lock_state(sensor, err) < 0) return -1;
    if (outputs_start(sensor, err) < 0) return -1;
    if (stations_employ(sensor, err) < 0) return -1;
    sensor_restore(sensor);
    board_begin(sensor); /* whoever asks the control socket is shown it from now on */
    if (control_start(sensor, err) < 0) return -1;
    return watch_start(sensor, err);
}

static void loop_listen(struct sensor *sensor) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uv_signal_init(&sensor->loop, &sensor->signals[i]);
        sensor->signals[i].data = sensor;
        uv_signal_start(&sensor->signals[i], on_signal, numbers[i]);
    }
    uv_timer_init(&sensor->loop, &sensor->second);
    sensor->second.data = sensor;
    uv_timer_start(&sensor->second, on_second, 1000, 1000);
    if (sensor->self->descriptor < 0) return;
    uv_poll_init(&sensor->loop, &sensor->supervisor, sensor->self->descriptor);
    sensor->supervisor.data = sensor;
    uv_poll_start(&sensor->supervisor, UV_READABLE | UV_DISCONNECT, on_supervisor);
}

static int stations_start(struct sensor *sensor, struct error *err) {
    sensor->shared.play_began = time_monotonic();
    for (uint32_t i = 0; i < sensor->station_count; i++)
        if (station_start(sensor->stations[i], err) < 0) return -1;
    return 0;
}

/* A death is an alert: packets were lost, and somebody may have wanted that. */
static void restart_tell(struct sensor *sensor) {
    const struct supervised *self = sensor->self;
    if (self->restarts == 0) return;
    char message[640], json[160];
    double gap = ns_to_seconds(sensor_wall() - self->unwatched_since);
    snprintf(message, sizeof message,
             "the sensor was started again (%u so far): the one before %s; %.2f s were not watched",
             self->restarts, self->last_exit, gap);
    snprintf(json, sizeof json, "{\"restarts\":%u,\"gap_seconds\":%.3f}", self->restarts, gap);
    sensor_say(sensor, "restart", SEVERITY_HIGH, message, json);
}

/* ---------------------------------------------------------------------- closing */

static uint32_t detectors_failed(const struct sensor *sensor) {
    uint32_t failed = 0;
    for (uint32_t i = 0; i < sensor->station_count; i++)
        failed += worker_detectors_failed(station_worker(sensor->stations[i]));
    return failed + tally_failed(gather_scripts(sensor->gather));
}

static void summary_figures(struct sensor *sensor, struct summary *summary) {
    for (uint32_t i = 0; i < sensor->station_count; i++) {
        const struct worker_figures *figures = worker_figures(station_worker(sensor->stations[i]));
        if (i > 0 && !sensor->options->interfaces) break; /* each saw the whole capture */
        summary->packets += figures->packets;
        summary->bytes += figures->bytes;
        if (figures->first && (!summary->first || figures->first < summary->first))
            summary->first = figures->first;
        if (figures->last > summary->last) summary->last = figures->last;
        summary->truncated += figures->truncated;
        summary->not_ip += figures->not_ip + figures->arp;
        summary->undecoded += figures->undecoded;
    }
    summary->seconds = ns_to_seconds(sensor_wall() - sensor->board.started);
    summary->interrupted = !sensor->options->interfaces && atomic_load(&sensor->over) < sensor->station_count;
}

/* What is wrong with a capture is said on standard error too: the summary may go nowhere. */
static void warnings_tell(struct sensor *sensor, struct summary *summary,
                          const char *warnings[WARNINGS_MAX]) {
    uint32_t count = 0;
    while (count < WARNINGS_MAX && (warnings[count] = station_warning(sensor->stations[0], count)))
        log_line(LOG_WARNING, "%s", warnings[count++]);
    summary->warnings = warnings;
    summary->warning_count = count;
}

static void host_account(struct sensor *sensor, const struct summary *summary,
                         struct endpoint_account *account) {
    const struct endpoint *endpoints[BOARD_WORKERS];
    struct summary flows = {0};
    for (uint32_t i = 0; i < sensor->station_count; i++) {
        endpoints[i] = worker_endpoint(station_worker(sensor->stations[i]));
        summary_add_counters(&flows, worker_flow_counters(station_worker(sensor->stations[i])));
    }
    endpoint_account_make(account, endpoints, sensor->station_count, &flows.flow, summary->first,
                          summary->last);
    for (uint32_t i = 0; i < account->warning_count; i++) log_line(LOG_WARNING, "%s", account->warnings[i]);
}

static int outputs_end(struct sensor *sensor, struct error *err) {
    struct summary summary;
    if (summary_init(&summary, err) < 0) return -1;
    const char *warnings[WARNINGS_MAX];
    summary_figures(sensor, &summary);
    struct endpoint_account account;
    warnings_tell(sensor, &summary, warnings);
    host_account(sensor, &summary, &account);
    summary.host_logs[0] = account.read;
    summary.host_logs[1] = account.joined;
    if (sensor->options->host_interval > 0)
        outputs_hosts(outputs_worker(sensor->outputs, 0),
                      sensor->options->interfaces ? sensor_wall() : summary.last);
    for (uint32_t i = 0; i < sensor->station_count; i++) outputs_done(outputs_worker(sensor->outputs, i));
    int outcome = outputs_close(sensor->outputs, &summary, err);
    sensor->outputs = NULL;
    summary_clear(&summary);
    return outcome;
}

static void close_walk(uv_handle_t *handle, void *context) {
    (void)context;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

static void sensor_close(struct sensor *sensor) {
    sensor_errands_end(sensor);
    if (sensor->control) control_close(sensor->control);
    if (sensor->watch) watch_close(sensor->watch);
    for (uint32_t i = 0; i < sensor->station_count; i++) station_free(sensor->stations[i]);
    gather_free(sensor->gather);
    if (sensor->outputs) outputs_close(sensor->outputs, NULL, NULL);
    if (sensor->state_lock >= 0) close(sensor->state_lock);
    deal_free(sensor->deal);
    home_free(sensor->home);
    words_free(sensor->words);
    uv_walk(&sensor->loop, close_walk, NULL);
    uv_run(&sensor->loop, UV_RUN_DEFAULT);
    uv_loop_close(&sensor->loop);
    pthread_mutex_destroy(&sensor->board_mutex);
    pthread_mutex_destroy(&sensor->errand.mutex);
    pthread_cond_destroy(&sensor->errand.done);
    free(sensor);
}

static void on_moment(uv_timer_t *timer) {
    (void)timer; /* makes the loop go round */
}

/* The workers end side by side, and the loop goes on: a second signal must be heard while one of them takes
 * long. */
static void stations_end(struct sensor *sensor) {
    if (sensor->watch) watch_close(sensor->watch);
    sensor->watch = NULL;
    uv_timer_start(&sensor->second, on_moment, MOMENT_MILLISECONDS, MOMENT_MILLISECONDS);
    for (uint32_t i = 0; i < sensor->station_count; i++) station_end(sensor->stations[i]);
    for (uint32_t i = 0; i < sensor->station_count; i++) {
        while (!station_has_ended(sensor->stations[i])) uv_run(&sensor->loop, UV_RUN_ONCE);
        station_stop(sensor->stations[i]);
        supervised_alive(sensor->self);
    }
    uv_timer_stop(&sensor->second);
}

/* From the threads' start to their end. */
static int sensor_run(struct sensor *sensor, struct error *err) {
    restart_tell(sensor);
    loop_listen(sensor);
    if (stations_start(sensor, err) < 0) return 1;
    nanoseconds now = sensor_monotonic();
    sensor->clock_offset = sensor_wall() - now;
    sensor->next_stats = now + seconds(sensor->options->stats_interval);
    sensor->next_state = now + seconds(sensor->options->state_interval);
    sensor->next_hosts = now + seconds(sensor->options->host_interval);
    supervised_ready(sensor->self);
    uv_run(&sensor->loop, UV_RUN_DEFAULT);

    if (sensor->exit_code != SENSOR_ANEW) supervised_stopping(sensor->self);
    sensor_errands_end(sensor);
    if (sensor->control) control_close(sensor->control);
    sensor->control = NULL;
    sensor_save(sensor);
    stations_end(sensor);
    sensor->drops_told_at = 0; /* the last ones are told, however lately others were */
    sensor_gather(sensor);
    if (sensor->options->stats_interval > 0) sensor_stats(sensor);
    bool failed = detectors_failed(sensor) > 0;
    const struct endpoint *endpoint = worker_endpoint(station_worker(sensor->stations[0]));
    bool whole = !sensor->options->interfaces && atomic_load(&sensor->over) == sensor->station_count;
    if (endpoint && whole) failed |= !endpoint_report(endpoint);
    if (outputs_end(sensor, err) < 0) return 1;
    if (sensor->exit_code == 0 && failed) return 1; /* told when it happened */
    return sensor->exit_code;
}

int live_run(const struct live_options *options, const struct supervised *self, struct error *err) {
    struct sensor *sensor = calloc(1, sizeof *sensor);
    if (!sensor) return error_set(err, "out of memory"), 1;
    sensor->options = options;
    sensor->self = self;
    sensor->state_lock = -1;
    sensor->scripts = options->scripts;
    sensor->station_count = options->workers;
    sensor->shared = (struct station_shared){
        .context = sensor, .on_alert = on_alert, .on_interface = on_interface, .on_over = on_over};
    pthread_mutex_init(&sensor->board_mutex, NULL);
    pthread_mutex_init(&sensor->errand.mutex, NULL);
    patience_condition(&sensor->errand.done);
    uv_loop_init(&sensor->loop);
    uv_async_init(&sensor->loop, &sensor->knock, on_knock);
    sensor->knock.data = sensor;
    int exit_code;
    if (sensor_open(sensor, err) == 0)
        exit_code = sensor_run(sensor, err);
    else
        exit_code = err->usage ? 2 : 1;
    sensor_close(sensor);
    return exit_code;
}
