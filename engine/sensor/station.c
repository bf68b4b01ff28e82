/* See station.h. The loop takes at most BURSTS_A_TURN bursts from a descriptor before it looks at the letter
 * box again; when packets are waiting it goes round without sleeping. libpcap's descriptors may become
 * readable late (its issues 364 and 380), so the tick drains the handles as well.
 *
 * An idle clock: a packet is shown to us at the latest when its ring block retires, TAP_LATENCY after it
 * came. So when all handles were found empty at T, everything before T - TAP_LATENCY has been seen, and the
 * clock may go there. */
#include "sensor/station.h"

#include "base/log.h"
#include "base/text.h"
#include "sensor/pace.h"
#include "sensor/patience.h"
#include "sensor/recent.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

enum {
    BURSTS_A_TURN = 64,
    TICK_MILLISECONDS = 100,
    PACE_TICK_MILLISECONDS = 10,
    STATION_STACK = 16 * 1024 * 1024, /* as in replay: scripts may nest deep before Lua says no */
};
static const nanoseconds TAP_LATENCY = 250 * NS_PER_MILLISECOND;

enum letter_state { LETTER_NEW, LETTER_POSTED, LETTER_BEGUN, LETTER_DONE };

struct station {
    struct station_options *options;
    struct station_shared *shared;
    struct worker *worker;
    struct tap *tap;
    struct pace *pace;
    struct recall *recall;
    char recall_trouble[160]; /* as it was told last */
    struct recent *recent;
    pthread_t thread;
    bool running;
    uv_loop_t loop;
    uv_async_t mail;
    uv_timer_t tick, parting;
    uv_idle_t hurry; /* active while packets may be waiting */
    struct descriptor {
        uv_poll_t poll; /* first: libuv hands it back */
        struct station *station;
        uint32_t handle;
        int descriptor;
        bool wanted, polled;
    } * descriptors[TAP_HANDLES];
    uint64_t next_second; /* uv_now() of the next once-a-second work */
    bool over;            /* the paced capture has ended */
    _Atomic bool stopping, ended;
    _Atomic uint64_t beats;
    pthread_mutex_t mutex; /* letters and figures */
    pthread_cond_t done;
    struct letter *first, **last;
    struct station_figures figures;
};

/* ----------------------------------------------------------------- packets */

static void begun_note(struct station *station) {
    if (!worker_started(station->worker)) return;
    nanoseconds none = 0;
    atomic_compare_exchange_strong(&station->shared->begun, &none, worker_clock(station->worker));
}

/* Works on what waits at one handle. True if there may be more. */
static bool handle_drain(struct station *station, uint32_t handle) {
    struct packet packets[PACKET_BURST];
    for (int turn = 0; turn < BURSTS_A_TURN; turn++) {
        int n = tap_next_burst(station->tap, handle, packets);
        worker_packets(station->worker, packets, n);
        if (n < PACKET_BURST) return false;
    }
    return true;
}

static bool taps_drain(struct station *station) {
    bool more = false;
    for (uint32_t i = 0; i < TAP_HANDLES; i++)
        if (station->descriptors[i] && station->descriptors[i]->wanted) more |= handle_drain(station, i);
    return more;
}

/* At the end: all that waits, unless it comes faster than it can be taken. */
static void taps_empty(struct station *station) {
    nanoseconds until = time_monotonic() + NS_PER_SECOND;
    while (taps_drain(station) && time_monotonic() < until) continue;
}

static bool pace_drain(struct station *station) {
    struct packet packets[PACKET_BURST];
    nanoseconds now = time_monotonic();
    for (int turn = 0; turn < BURSTS_A_TURN && !station->over; turn++) {
        int n = pace_next_burst(station->pace, now, packets);
        if (n == 0) return false;
        if (n > 0) {
            worker_packets(station->worker, packets, n);
            continue;
        }
        station->over = true;
        station->shared->on_over(station->shared->context);
    }
    return !station->over;
}

/* Takes what has come; true if all of it was taken. */
static bool drain(struct station *station) {
    bool more = station->tap ? taps_drain(station) : pace_drain(station);
    atomic_fetch_add_explicit(&station->beats, 1, memory_order_relaxed);
    return !more;
}

static void on_hurry(uv_idle_t *hurry) {
    struct station *station = hurry->data;
    if (drain(station)) uv_idle_stop(hurry);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    struct descriptor *d = (struct descriptor *)poll;
    (void)events;
    if (!d->wanted) return;
    if (handle_drain(d->station, d->handle)) uv_idle_start(&d->station->hurry, on_hurry);
    /* libuv stops a poll that met an error, as when the interface goes down; what it means the handle knows
     */
    if (status < 0 && d->wanted) uv_poll_start(poll, UV_READABLE | UV_DISCONNECT, on_readable);
    atomic_fetch_add_explicit(&d->station->beats, 1, memory_order_relaxed);
}

/* -------------------------------------------------------------- descriptors */

static void descriptor_poll(struct descriptor *d) {
    if (d->polled || !d->station->running) return;
    if (uv_poll_init(&d->station->loop, &d->poll, d->descriptor) != 0) return; /* the tick will do */
    d->polled = true;
    uv_poll_start(&d->poll, UV_READABLE | UV_DISCONNECT, on_readable);
}

static void descriptor_closed(uv_handle_t *handle) {
    free(handle);
}

static void on_open(void *context, uint32_t handle, int descriptor, const char *interface) {
    struct station *station = context;
    struct descriptor *d = calloc(1, sizeof *d);
    if (!d) return; /* not polled, not drained: the next rescan reports it as closed again */
    *d = (struct descriptor){.station = station, .handle = handle, .descriptor = descriptor, .wanted = true};
    station->descriptors[handle] = d;
    descriptor_poll(d);
    if (station->options->worker.index == 0)
        station->shared->on_interface(station->shared->context, interface, true, NULL);
}

static void on_close(void *context, uint32_t handle, int descriptor, const char *interface, const char *why) {
    struct station *station = context;
    struct descriptor *d = station->descriptors[handle];
    (void)descriptor;
    station->descriptors[handle] = NULL;
    if (d) d->wanted = false;
    if (d && d->polled)
        uv_close((uv_handle_t *)&d->poll, descriptor_closed);
    else
        free(d);
    if (station->options->worker.index == 0 && !atomic_load(&station->stopping))
        station->shared->on_interface(station->shared->context, interface, false, why);
}

int station_rescan(struct station *station, struct error *err) {
    if (!station->tap) return 0;
    if (!station->recall) return tap_rescan(station->tap, err);
    recall_hold(station->recall); /* it asks for interfaces' names */
    int outcome = tap_rescan(station->tap, err);
    recall_release(station->recall);
    return outcome;
}

/* -------------------------------------------------------------- once a second */

static void interfaces_fill(struct station *station, struct station_figures *figures) {
    if (!station->tap) return;
    struct tap_figures taps[BOARD_INTERFACES];
    uint64_t dropped = 0, interface_dropped = 0;
    figures->interface_count = tap_figures(station->tap, taps, BOARD_INTERFACES);
    for (uint32_t i = 0; i < figures->interface_count; i++) {
        struct board_interface *to = &figures->interfaces[i];
        *to = (struct board_interface){
            .open = taps[i].open,
            .times_opened = taps[i].times_opened,
            .packets = taps[i].packets,
            .bytes = taps[i].bytes,
            .dropped = taps[i].dropped,
            .interface_dropped = taps[i].interface_dropped,
        };
        text_copy(to->name, sizeof to->name, taps[i].interface);
        dropped += to->dropped;
        interface_dropped += to->interface_dropped;
    }
    worker_lost(station->worker, dropped, interface_dropped);
}

static struct board_detector *detector_entry(struct station_figures *figures, const char *name) {
    if (figures->detector_count == BOARD_DETECTORS) return NULL;
    struct board_detector *entry = &figures->detectors[figures->detector_count++];
    *entry = (struct board_detector){0};
    text_copy(entry->name, sizeof entry->name, name);
    return entry;
}

static void detectors_fill(struct station *station, struct station_figures *figures) {
    struct script_host *scripts = worker_scripts(station->worker);
    figures->detector_count = 0;
    for (uint32_t i = 0; i < script_host_count(scripts); i++) {
        struct detector_status status;
        script_host_status(scripts, i, &status);
        struct board_detector *entry = detector_entry(figures, status.name);
        if (!entry) return;
        entry->off = status.off;
        entry->events = status.events;
        entry->alerts = status.alerts;
        entry->errors = status.errors;
        entry->evicted = status.evicted;
        entry->memory = status.memory;
        entry->cpu_seconds = status.cpu_seconds;
        text_copy(entry->trouble, sizeof entry->trouble, status.last_error);
    }
    for (uint32_t i = 0; i < script_host_failed(scripts); i++) {
        const char *path = script_host_failed_path(scripts, i), *slash = strrchr(path, '/');
        struct board_detector *entry = detector_entry(figures, slash ? slash + 1 : path);
        if (entry) entry->left_out = true;
    }
}

static void figures_publish(struct station *station) {
    struct station_figures *figures = &station->figures;
    pthread_mutex_lock(&station->mutex);
    figures->worker = *worker_figures(station->worker);
    figures->flow = *worker_flow_counters(station->worker);
    figures->clock = worker_clock(station->worker);
    if (worker_endpoint(station->worker)) figures->host = endpoint_figures(worker_endpoint(station->worker));
    if (station->tap) figures->processes_refused = tap_processes_refused(station->tap);
    figures->cpu_seconds = ns_to_seconds(time_read(CLOCK_THREAD_CPUTIME_ID));
    interfaces_fill(station, figures);
    detectors_fill(station, figures);
    figures->host_count = figures->name_count = 0;
    recent_hosts(station->recent, figures->hosts, &figures->host_count);
    recent_names(station->recent, figures->names, &figures->name_count);
    pthread_mutex_unlock(&station->mutex);
}

/* What all of this worker's packets have passed. */
static nanoseconds idle_clock(const struct station *station, nanoseconds realtime, nanoseconds monotonic) {
    return station->pace ? pace_now(station->pace, monotonic) : realtime - TAP_LATENCY;
}

/* Packets that are not kept are missed only when somebody wants them: say it when it begins. */
static void recall_look_after(struct station *station) {
    recall_hold(station->recall);
    recall_advance(station->recall, worker_clock(station->worker));
    const char *trouble = recall_figures(station->recall)->trouble;
    bool is_news = strcmp(trouble, station->recall_trouble) != 0;
    if (is_news) text_copy(station->recall_trouble, sizeof station->recall_trouble, trouble);
    recall_release(station->recall);
    if (is_news && station->recall_trouble[0])
        log_line(LOG_WARNING, "packets around alerts: %s", station->recall_trouble);
}

static void on_tick(uv_timer_t *tick) {
    struct station *station = tick->data;
    nanoseconds realtime = time_wall(), monotonic = time_monotonic();
    bool all = drain(station);
    if (!all) uv_idle_start(&station->hurry, on_hurry);
    if (station->tap) worker_follow(station->worker, idle_clock(station, realtime, monotonic));
    begun_note(station);
    if (all && !station->over)
        worker_advance(station->worker, idle_clock(station, realtime, monotonic),
                       atomic_load(&station->shared->begun) != 0);
    else
        worker_tick(station->worker);
    outputs_flush(worker_output(station->worker));
    if (uv_now(tick->loop) < station->next_second) return;
    station->next_second = uv_now(tick->loop) + 1000;
    if (station->recall) recall_look_after(station);
    recent_advance(station->recent, monotonic);
    figures_publish(station);
}

/* ---------------------------------------------------------------- letter box */

void station_post(struct station *station, struct letter *letter) {
    pthread_mutex_lock(&station->mutex);
    letter->next = NULL;
    letter->state = LETTER_POSTED;
    *station->last = letter;
    station->last = &letter->next;
    pthread_mutex_unlock(&station->mutex);
    uv_async_send(&station->mail);
}

static struct letter *letter_take(struct station *station) {
    pthread_mutex_lock(&station->mutex);
    struct letter *letter = station->first;
    if (letter) {
        station->first = letter->next;
        if (!station->first) station->last = &station->first;
        letter->state = LETTER_BEGUN;
    }
    pthread_mutex_unlock(&station->mutex);
    return letter;
}

static void letter_withdraw(struct station *station, struct letter *letter) {
    struct letter **at = &station->first;
    while (*at && *at != letter) at = &(*at)->next;
    if (!*at) return;
    *at = letter->next;
    if (!*at) station->last = at;
}

static void letters_read(struct station *station) {
    struct letter *letter;
    while ((letter = letter_take(station)) != NULL) {
        letter->run(letter, station);
        pthread_mutex_lock(&station->mutex);
        letter->state = LETTER_DONE;
        pthread_cond_broadcast(&station->done);
        pthread_mutex_unlock(&station->mutex);
    }
}

int station_wait(struct station *station, struct letter *letter, double seconds) {
    const struct timespec until = patience_until(seconds);
    int outcome = 0;
    pthread_mutex_lock(&station->mutex);
    while (letter->state != LETTER_DONE) {
        if (letter->state == LETTER_BEGUN || outcome == 0) {
            bool timed = letter->state == LETTER_POSTED;
            int late = timed ? pthread_cond_timedwait(&station->done, &station->mutex, &until)
                             : pthread_cond_wait(&station->done, &station->mutex);
            if (late && letter->state == LETTER_POSTED) outcome = -1;
            continue;
        }
        letter_withdraw(station, letter);
        letter->state = LETTER_NEW;
        break;
    }
    bool done = letter->state == LETTER_DONE;
    pthread_mutex_unlock(&station->mutex);
    return done ? 0 : -1;
}

int station_ask(struct station *station, struct letter *letter, double seconds) {
    station_post(station, letter);
    return station_wait(station, letter, seconds);
}

/* Told to stop: what had come by then has retired from the ring by now. */
static void on_parting(uv_timer_t *parting) {
    uv_stop(parting->loop);
}

static void on_mail(uv_async_t *mail) {
    struct station *station = mail->data;
    if (atomic_load(&station->stopping)) {
        uint64_t wait = station->tap ? (uint64_t)(TAP_LATENCY / NS_PER_MILLISECOND) : 0;
        uv_timer_start(&station->parting, on_parting, wait, 0);
        return;
    }
    letters_read(station);
}

/* ---------------------------------------------------------------------- life */

static void worker_on_flow(void *context, const struct event_flow *flow, const struct batch *batch) {
    recent_flow(((struct station *)context)->recent, flow, batch);
}

static void worker_on_alert(void *context, const struct alert *alert) {
    const struct station *station = context;
    station->shared->on_alert(station->shared->context, alert);
}

static const char *interface_name(void *context, uint8_t interface) {
    const struct station *station = context;
    return station->tap ? tap_interface_name(station->tap, interface)
                        : pace_interface_name(station->pace, interface);
}

static int source_open(struct station *station, struct error *err) {
    struct station_options *options = station->options;
    if (!options->tap.patterns) {
        station->pace = pace_new(options->captures, options->capture_count, options->pace, err);
        if (!station->pace) return -1;
        options->worker.dealt = false;
        return 0;
    }
    options->tap.worker = options->worker.index;
    options->tap.workers = options->worker.workers;
    options->tap.filter = options->worker.filter;
    options->tap.context = station;
    options->tap.on_open = on_open;
    options->tap.on_close = on_close;
    station->tap = tap_new(&options->tap, err);
    if (!station->tap) return -1;
    options->worker.dealt = true;
    options->worker.filter = NULL; /* the kernel applies it */
    return 0;
}

static int recall_open(struct station *station, struct error *err) {
    struct station_options *options = station->options;
    if (!options->recall.folder) return 0;
    options->recall.worker = options->worker.index;
    options->recall.context = station;
    options->recall.interface_name = interface_name;
    station->recall = recall_new(&options->recall, err);
    options->worker.recall = station->recall;
    return station->recall ? 0 : -1;
}

struct station *station_new(struct station_options *options, struct error *err) {
    struct station *station = calloc(1, sizeof *station);
    if (!station) {
        error_set(err, "out of memory");
        return NULL;
    }
    station->options = options;
    station->shared = options->shared;
    station->last = &station->first;
    pthread_mutex_init(&station->mutex, NULL);
    patience_condition(&station->done);
    uv_loop_init(&station->loop);
    uv_async_init(&station->loop, &station->mail, on_mail); /* letters may come before the thread is there */
    station->mail.data = station;
    if (source_open(station, err) == 0) return station;
    station_free(station);
    return NULL;
}

int station_employ(struct station *station, struct error *err) {
    struct worker_options *worker = &station->options->worker;
    if (recall_open(station, err) < 0) return -1;
    station->recent = recent_new();
    if (!station->recent) return error_set(err, "out of memory");
    worker->context = station;
    worker->interface_name = interface_name;
    worker->on_flow = worker_on_flow;
    worker->on_alert = worker_on_alert;
    station->worker = worker_new(worker, err);
    return station->worker ? 0 : -1;
}

static void *station_main(void *context) {
    struct station *station = context;
    for (uint32_t i = 0; i < TAP_HANDLES; i++)
        if (station->descriptors[i]) descriptor_poll(station->descriptors[i]);
    uv_run(&station->loop, UV_RUN_DEFAULT);
    if (station->tap) {
        taps_empty(station);
        worker_follow(station->worker, time_wall());
    } else if (station->over) {
        worker_play_rest(station->worker);
    }
    worker_finish(station->worker);
    figures_publish(station);
    letters_read(station);
    atomic_store(&station->ended, true);
    return NULL;
}

int station_start(struct station *station, struct error *err) {
    uint64_t every = station->pace ? PACE_TICK_MILLISECONDS : TICK_MILLISECONDS;
    if (station->pace) pace_begin(station->pace, station->shared->play_began);
    station->tick.data = station->hurry.data = station;
    uv_idle_init(&station->loop, &station->hurry);
    uv_timer_init(&station->loop, &station->tick);
    uv_timer_init(&station->loop, &station->parting);
    uv_timer_start(&station->tick, on_tick, 0, every);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STATION_STACK);
    station->running = true;
    int failure = pthread_create(&station->thread, &attributes, station_main, station);
    pthread_attr_destroy(&attributes);
    if (failure == 0) return 0;
    station->running = false;
    return error_set(err, "cannot start a worker's thread: %s", strerror(failure));
}

void station_end(struct station *station) {
    atomic_store(&station->stopping, true);
    uv_async_send(&station->mail);
}

bool station_has_ended(const struct station *station) {
    return atomic_load(&station->ended);
}

void station_stop(struct station *station) {
    if (!station || !station->running) return;
    station_end(station);
    pthread_join(station->thread, NULL);
    station->running = false;
}

struct worker *station_worker(struct station *station) {
    return station->worker;
}

const char *station_warning(const struct station *station, size_t index) {
    return station->pace ? pace_warning(station->pace, index) : NULL;
}

void station_figures(struct station *station, struct station_figures *out) {
    pthread_mutex_lock(&station->mutex);
    *out = station->figures;
    pthread_mutex_unlock(&station->mutex);
}

uint64_t station_beats(const struct station *station) {
    return atomic_load_explicit(&station->beats, memory_order_relaxed);
}

static void close_walk(uv_handle_t *handle, void *context) {
    (void)context;
    if (!uv_is_closing(handle)) uv_close(handle, handle->type == UV_POLL ? descriptor_closed : NULL);
}

void station_free(struct station *station) {
    if (!station) return;
    station_stop(station);
    atomic_store(&station->stopping, true); /* nobody is told of interfaces that close now */
    worker_free(station->worker);
    recall_free(station->recall);
    if (station->tap) tap_free(station->tap);
    uv_walk(&station->loop, close_walk, NULL);
    uv_run(&station->loop, UV_RUN_DEFAULT);
    uv_loop_close(&station->loop);
    pace_free(station->pace);
    recent_free(station->recent);
    pthread_cond_destroy(&station->done);
    pthread_mutex_destroy(&station->mutex);
    free(station);
}
