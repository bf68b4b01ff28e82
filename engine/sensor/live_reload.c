/* Reload: prepared here on the main thread, staged by every worker at a batch boundary, then committed by all
 * or by none.
 *
 *      main      prepare ×N ─ letters ─ wait for all ─ decide ─ wait ─ record
 *      worker         …work… ─ stage ─ wait ─ commit or abandon ─ …work…
 *
 * The scripts that gather are staged and committed by the main thread while all workers wait.
 *
 * A worker that has staged waits with its packets piling up in the ring: that pause is measured and told. */
#include "sensor/sensor.h"

#include "base/log.h"
#include "script/reload.h"

#include <string.h>

enum decision { UNDECIDED, COMMIT, ABANDON };

struct round {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t staged; /* workers that wait for the decision */
    bool failed;
    enum decision decision;
    struct error err;
};

struct part {
    struct letter letter;
    struct round *round;
    struct script_reload *reload;
    nanoseconds pause;
};

static void part_run(struct letter *letter, struct station *station) {
    struct part *part = letter->context;
    struct round *round = part->round;
    nanoseconds begun = sensor_monotonic();
    struct error err = {.text = ""};
    (void)station;
    int outcome = script_reload_stage(part->reload, &err);
    pthread_mutex_lock(&round->mutex);
    round->staged++;
    if (outcome < 0 && !round->failed) {
        round->failed = true;
        round->err = err;
    }
    pthread_cond_broadcast(&round->changed);
    while (round->decision == UNDECIDED) pthread_cond_wait(&round->changed, &round->mutex);
    bool commit = round->decision == COMMIT;
    pthread_mutex_unlock(&round->mutex);
    if (commit)
        script_reload_commit(part->reload);
    else
        script_reload_abandon(part->reload);
    part->pause = sensor_monotonic() - begun;
}

/* While all workers wait: the scripts that gather, or all go on as they were. */
static int gathering_change(struct gather *gather, struct script_reload *reload, struct error *err) {
    if (gather_hold(gather, LETTER_SECONDS) < 0)
        return error_set(err, "messages are still being gathered after %d s", LETTER_SECONDS);
    int outcome = script_reload_stage(reload, err);
    if (outcome == 0)
        script_reload_commit(reload);
    else
        script_reload_abandon(reload);
    gather_release(gather);
    return outcome;
}

/* True if all workers staged in time and none failed, and the scripts that gather have changed places. */
static bool round_gather(struct round *round, uint32_t count, struct gather *gather,
                         struct script_reload *gathering) {
    const struct timespec until = patience_until(LETTER_SECONDS);
    pthread_mutex_lock(&round->mutex);
    int late = 0;
    while (round->staged < count && !late)
        late = pthread_cond_timedwait(&round->changed, &round->mutex, &until);
    bool all = round->staged == count;
    if (!all && !round->failed) {
        round->failed = true;
        error_set(&round->err, "a worker did not answer within %d s", LETTER_SECONDS);
    }
    if (!round->failed && gathering_change(gather, gathering, &round->err) < 0) round->failed = true;
    round->decision = round->failed ? ABANDON : COMMIT;
    bool commit = !round->failed;
    pthread_cond_broadcast(&round->changed);
    pthread_mutex_unlock(&round->mutex);
    return commit;
}

/* All workers at once. -1 if one could not: then none did. */
static int round_run(struct sensor *sensor, struct part *parts, struct script_reload *gathering,
                     struct error *err) {
    struct round round = {.decision = UNDECIDED};
    pthread_mutex_init(&round.mutex, NULL);
    patience_condition(&round.changed);
    for (uint32_t i = 0; i < sensor->station_count; i++) {
        parts[i].round = &round;
        parts[i].letter = (struct letter){.run = part_run, .context = &parts[i]};
        station_post(sensor->stations[i], &parts[i].letter);
    }
    bool commit = round_gather(&round, sensor->station_count, sensor->gather, gathering);
    for (uint32_t i = 0; i < sensor->station_count; i++)
        station_wait(sensor->stations[i], &parts[i].letter, 0); /* one that never began is taken back */
    pthread_mutex_destroy(&round.mutex);
    pthread_cond_destroy(&round.changed);
    if (!commit) return error_set(err, "%s", round.err.text);
    return 0;
}

static int prepare_all(struct sensor *sensor, const struct script_options *scripts, bool force,
                       struct part *parts, struct script_reload **gathering, bool *empty, struct error *err) {
    *empty = true;
    for (uint32_t i = 0; i < sensor->station_count; i++) {
        struct script_host *host = worker_scripts(station_worker(sensor->stations[i]));
        parts[i].reload = script_reload_prepare(host, scripts, force, err);
        if (!parts[i].reload) return -1;
        *empty &= script_reload_is_empty(parts[i].reload);
        sensor_alive(sensor);
    }
    *gathering = script_reload_prepare_gathering(gather_scripts(sensor->gather), parts[0].reload, force, err);
    if (!*gathering) return -1;
    *empty &= script_reload_is_empty(*gathering);
    return 0;
}

struct tally {
    struct reload_figures sum;
    nanoseconds pause; /* the longest */
};

static void state_add(struct reload_figures *sum, const struct reload_figures *more) {
    sum->entries_kept += more->entries_kept;
    sum->entries_lost += more->entries_lost;
    sum->timers_lost += more->timers_lost;
}

static struct tally tally_of(const struct sensor *sensor, const struct part *parts,
                             const struct script_reload *gathering) {
    struct tally tally = {.sum = *script_reload_figures(parts[0].reload)};
    state_add(&tally.sum, script_reload_figures(gathering));
    for (uint32_t i = 0; i < sensor->station_count; i++) {
        if (i > 0) state_add(&tally.sum, script_reload_figures(parts[i].reload));
        if (parts[i].pause > tally.pause) tally.pause = parts[i].pause;
    }
    return tally;
}

static void tell_done(struct sensor *sensor, const struct part *parts, const struct script_reload *gathering,
                      const char *summary) {
    struct tally tally = tally_of(sensor, parts, gathering);
    char json[320];
    snprintf(json, sizeof json,
             "{\"ok\":true,\"loaded\":%u,\"added\":%u,\"removed\":%u,\"unchanged\":%u,\"entries_kept\":%llu,"
             "\"entries_lost\":%llu,\"timers_lost\":%llu,\"pause_ms\":%.3f}",
             tally.sum.loaded, tally.sum.added, tally.sum.removed, tally.sum.unchanged,
             (unsigned long long)tally.sum.entries_kept, (unsigned long long)tally.sum.entries_lost,
             (unsigned long long)tally.sum.timers_lost, (double)tally.pause / 1e6);
    sensor_say(sensor, "reload", 0, summary, json);
    struct board *board = &sensor->board;
    pthread_mutex_lock(&sensor->board_mutex);
    board->reloads++;
    board->last_reload = sensor_wall();
    board->last_reload_failed = false;
    snprintf(board->last_reload_summary, sizeof board->last_reload_summary, "%s", summary);
    if (ns_to_seconds(tally.pause) > board->longest_pause) board->longest_pause = ns_to_seconds(tally.pause);
    pthread_mutex_unlock(&sensor->board_mutex);
}

/* The old scripts go on: that is told as loudly as a success. */
static void tell_failed(struct sensor *sensor, const struct error *err) {
    char message[sizeof err->text + 32];
    snprintf(message, sizeof message, "the old scripts go on: %s", err->text);
    sensor_say(sensor, "reload", SEVERITY_LOW, message, "{\"ok\":false}");
    struct board *board = &sensor->board;
    pthread_mutex_lock(&sensor->board_mutex);
    board->reloads_failed++;
    board->last_reload = sensor_wall();
    board->last_reload_failed = true;
    snprintf(board->last_reload_summary, sizeof board->last_reload_summary, "failed: %.*s",
             (int)sizeof board->last_reload_summary - 9, err->text);
    pthread_mutex_unlock(&sensor->board_mutex);
}

static int reload_with(struct sensor *sensor, const struct script_options *scripts, bool force, char *summary,
                       size_t size, struct error *err) {
    struct part parts[BOARD_WORKERS] = {0};
    struct script_reload *gathering = NULL;
    bool empty;
    int outcome = prepare_all(sensor, scripts, force, parts, &gathering, &empty, err);
    if (outcome == 0 && !empty) outcome = round_run(sensor, parts, gathering, err);
    bool mended = empty && sensor->board.last_reload_failed;
    const char *unchanged =
        mended ? "what was wrong is put right; what runs had not changed" : "nothing has changed";
    if (outcome == 0) {
        snprintf(summary, size, "%s", empty ? unchanged : script_reload_summary(parts[0].reload));
        sensor->scripts = *scripts;
    }
    if (outcome == 0 && (mended || !empty)) tell_done(sensor, parts, gathering, summary);
    script_reload_free(gathering);
    for (uint32_t i = 0; i < sensor->station_count; i++) script_reload_free(parts[i].reload);
    return outcome;
}

int sensor_reload(struct sensor *sensor, bool reread_config, bool force, char *summary, size_t size,
                  struct error *err) {
    const struct live_options *options = sensor->options;
    struct script_options scripts = sensor->scripts;
    char text[BOARD_TEXT * 2];
    int outcome = 0;
    if (reread_config && options->reconfigure)
        outcome = options->reconfigure(options->context, &scripts, err);
    if (outcome == 0) outcome = reload_with(sensor, &scripts, force, text, sizeof text, err);
    if (outcome < 0)
        tell_failed(sensor, err);
    else if (summary)
        snprintf(summary, size, "%s", text);
    sensor_watch_files(sensor);
    return outcome;
}

/* What scripts were loaded from and read, where scripts are looked for, and the configuration. */
void sensor_watch_files(struct sensor *sensor) {
    enum { MOST = 4096 };
    if (!sensor->watch) return;
    const char *paths[MOST];
    uint32_t count = 0;
    for (size_t i = 0; i < sensor->scripts.path_count && count < MOST; i++)
        paths[count++] = sensor->scripts.paths[i];
    if (sensor->options->config_path && count < MOST) paths[count++] = sensor->options->config_path;
    count +=
        script_host_files(worker_scripts(station_worker(sensor->stations[0])), paths + count, MOST - count);
    count += script_host_files(gather_scripts(sensor->gather), paths + count, MOST - count);
    struct error err;
    if (watch_paths(sensor->watch, paths, count, &err) < 0)
        log_line(LOG_WARNING, "files cannot be watched for changes (SIGHUP reloads): %s", err.text);
}
