/* See gather.h. One mutex guards the inboxes; whoever is `busy` has the rest to itself and lets the mutex go
 * while scripts run. */
#include "sensor/gather.h"

#include "base/log.h"
#include "base/text.h"
#include "sensor/patience.h"
#include "sensor/tally.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { SPARE_BAGS = 4, SPARE_BAG_BYTES = 1 << 20, GATHER_DETECTORS = 128 };
static const nanoseconds NEVER = INT64_MIN, ALWAYS = INT64_MAX;

struct bag_link {
    struct bag bag;
    struct bag_link *next;
    uint32_t worker;
    uint32_t left; /* messages that were not handled yet */
};

struct inbox {
    struct bag_link *first, **last;
    size_t bytes;
    nanoseconds start, clock; /* NEVER: not started */
    bool done;
};

struct hole {
    nanoseconds from, to;
};

struct waiting {
    double time;
    struct message *message;
    struct bag_link *link;
};

struct gather {
    struct gather_options options;
    struct script_host *host;
    struct batch *batch;
    struct output_worker *output;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* nobody is busy any more, or there is room again */
    struct inbox inboxes[GATHER_WORKERS];
    struct hole *holes;
    uint32_t hole_count, hole_room;
    struct bag_link *spare;
    uint32_t spare_count;
    bool busy, lost_told;
    atomic_bool hears; /* somebody hears alerts */
    struct gather_figures figures;
    struct gather_detector detectors[GATHER_DETECTORS]; /* as they were when somebody last looked */
    uint32_t detector_count;

    /* Of whoever is busy. */
    struct waiting *waiting;
    uint32_t waiting_count, waiting_room;
    nanoseconds reached; /* all before it was handled */
    nanoseconds looked;
    uint64_t seq;
    bool started, finished;
};

/* ------------------------------------------------------------------- sinks */

static void sink_event(void *context, enum event_kind kind, const void *event, const struct batch *batch) {
    (void)context, (void)kind, (void)event, (void)batch; /* there are none */
}

static void sink_alert(void *context, const struct alert *alert) {
    struct gather *gather = context;
    const struct gather_options *options = &gather->options;
    struct alert with_packets = *alert;
    char path[PATH_MAX];
    if (alert->has_head && options->keep_packets && options->keep_packets(options->context, alert, path))
        with_packets.pcap = path;
    if (gather->output) outputs_alert(gather->output, &with_packets, gather->batch);
    if (options->on_alert) options->on_alert(options->context, &with_packets);
}

static void sink_report(void *context, const struct report *report) {
    struct gather *gather = context;
    if (gather->output) outputs_report(gather->output, report);
    if (gather->options.on_report) gather->options.on_report(gather->options.context, report);
}

static void sink_fact(void *context, const struct fact *fact) {
    struct gather *gather = context;
    if (gather->output) outputs_fact(gather->output, fact);
    if (gather->options.on_fact) gather->options.on_fact(gather->options.context, fact);
}

/* -------------------------------------------------------------------- life */

struct gather *gather_new(const struct gather_options *options, struct error *err) {
    struct gather *gather = calloc(1, sizeof *gather);
    if (gather) gather->batch = batch_new(1, err);
    if (!gather || !gather->batch) {
        error_set(err, "out of memory for what is gathered");
        free(gather);
        return NULL;
    }
    gather->options = *options;
    gather->output = options->outputs ? outputs_gatherer(options->outputs) : NULL;
    pthread_mutex_init(&gather->mutex, NULL);
    patience_condition(&gather->changed);
    for (uint32_t i = 0; i < options->workers; i++) {
        struct inbox *inbox = &gather->inboxes[i];
        inbox->last = &inbox->first;
        inbox->start = inbox->clock = NEVER;
    }
    gather->reached = NEVER;
    return gather;
}

static void detectors_look(struct gather *gather);

int gather_employ(struct gather *gather, const struct script_host *worker, struct error *err) {
    const struct script_sink sink = {
        .context = gather,
        .on_event = sink_event,
        .on_alert = sink_alert,
        .on_report = sink_report,
        .on_fact = sink_fact,
    };
    gather->host = script_host_new_gathering(worker, gather->batch, &sink, err);
    if (!gather->host) return -1;
    atomic_store(&gather->hears, script_host_hears(gather->host));
    detectors_look(gather);
    return 0;
}

static void link_free(struct bag_link *link) {
    bag_free(&link->bag);
    free(link);
}

static void links_free(struct bag_link *link) {
    while (link) {
        struct bag_link *next = link->next;
        link_free(link);
        link = next;
    }
}

void gather_free(struct gather *gather) {
    if (!gather) return;
    for (uint32_t i = 0; i < gather->waiting_count; i++) {
        struct bag_link *link = gather->waiting[i].link;
        if (--link->left == 0) link_free(link);
    }
    for (uint32_t i = 0; i < gather->options.workers; i++) links_free(gather->inboxes[i].first);
    links_free(gather->spare);
    script_host_free(gather->host);
    batch_free(gather->batch);
    free(gather->waiting);
    free(gather->holes);
    pthread_cond_destroy(&gather->changed);
    pthread_mutex_destroy(&gather->mutex);
    free(gather);
}

/* ----------------------------------------------------------------- figures */

/* Under the mutex, by whoever is busy. */
static void detectors_look(struct gather *gather) {
    uint32_t count = 0;
    gather->looked = time_monotonic();
    for (uint32_t i = 0; i < script_host_count(gather->host) && count < GATHER_DETECTORS; i++) {
        struct gather_detector *entry = &gather->detectors[count++];
        script_host_status(gather->host, i, &entry->status);
        text_copy(entry->name, sizeof entry->name, entry->status.name);
        entry->status.name = NULL;
        entry->left_out = false;
    }
    for (uint32_t i = 0; i < script_host_failed(gather->host) && count < GATHER_DETECTORS; i++) {
        const char *path = script_host_failed_path(gather->host, i), *slash = strrchr(path, '/');
        struct gather_detector *entry = &gather->detectors[count++];
        *entry = (struct gather_detector){.left_out = true};
        text_copy(entry->name, sizeof entry->name, slash ? slash + 1 : path);
    }
    gather->detector_count = count;
}

uint32_t gather_detectors(struct gather *gather, struct gather_detector *out, uint32_t most) {
    pthread_mutex_lock(&gather->mutex);
    uint32_t count = gather->detector_count;
    memcpy(out, gather->detectors, (count < most ? count : most) * sizeof *out);
    pthread_mutex_unlock(&gather->mutex);
    return count;
}

struct gather_figures gather_figures(struct gather *gather) {
    pthread_mutex_lock(&gather->mutex);
    struct gather_figures figures = gather->figures;
    pthread_mutex_unlock(&gather->mutex);
    return figures;
}

bool gather_hears(const struct gather *gather) {
    return atomic_load_explicit(&gather->hears, memory_order_relaxed);
}

struct script_host *gather_scripts(struct gather *gather) {
    return gather->host;
}

/* ------------------------------------------------------- the work: whoever is busy */

/* The clock that all workers have passed: NEVER if one has not started, ALWAYS when all are done. */
static nanoseconds least_clock(const struct gather *gather) {
    nanoseconds least = ALWAYS;
    for (uint32_t i = 0; i < gather->options.workers; i++) {
        const struct inbox *inbox = &gather->inboxes[i];
        if (!inbox->done && inbox->clock < least) least = inbox->clock;
    }
    return least;
}

/* Where the timers begin, and where a capture ends; NEVER if there were no packets. */
static nanoseconds first_start(const struct gather *gather) {
    nanoseconds first = NEVER;
    for (uint32_t i = 0; i < gather->options.workers; i++) {
        nanoseconds start = gather->inboxes[i].start;
        if (start != NEVER && (first == NEVER || start < first)) first = start;
    }
    return first;
}

static nanoseconds last_clock(const struct gather *gather) {
    nanoseconds last = 0;
    for (uint32_t i = 0; i < gather->options.workers; i++)
        if (gather->inboxes[i].clock > last) last = gather->inboxes[i].clock;
    return last;
}

/* Takes the bags that have something from before `limit` out of the inboxes. */
static struct bag_link *links_take(struct gather *gather, double limit) {
    struct bag_link *taken = NULL;
    for (uint32_t i = 0; i < gather->options.workers; i++) {
        struct inbox *inbox = &gather->inboxes[i];
        while (inbox->first && inbox->first->bag.least < limit) {
            struct bag_link *link = inbox->first;
            inbox->first = link->next;
            if (!inbox->first) inbox->last = &inbox->first;
            link->next = taken;
            taken = link;
        }
    }
    return taken;
}

static bool waiting_reserve(struct gather *gather, uint32_t count) {
    uint64_t needed = (uint64_t)gather->waiting_count + count;
    if (needed <= gather->waiting_room) return true;
    uint64_t room = gather->waiting_room ? gather->waiting_room : 1024;
    while (room < needed) room *= 2;
    struct waiting *grown = room <= UINT32_MAX ? realloc(gather->waiting, room * sizeof *grown) : NULL;
    if (!grown) return false;
    gather->waiting = grown;
    gather->waiting_room = (uint32_t)room;
    return true;
}

/* Whom the message is for: a detector, all who hear alerts, or nobody (false). */
static bool receiver_find(const struct gather *gather, struct message *message) {
    int detector = message->from ? MESSAGE_TO_HEARERS : script_host_named(gather->host, message->name);
    message->detector = (uint32_t)detector;
    return message->from ? script_host_hears(gather->host) : detector >= 0;
}

/* The messages of a bag, to those that wait. Nobody hears what is sent to a detector that is not there. */
static void link_open(struct gather *gather, struct bag_link *link) {
    struct message *message;
    size_t at = 0;
    const struct message *last = NULL; /* to a detector: the next one often is for the same */
    link->left = 0;
    if (!waiting_reserve(gather, link->bag.count)) {
        log_line(LOG_WARNING, "%u messages to detectors that gather are lost: no memory", link->bag.count);
        return;
    }
    while ((message = bag_next(&link->bag, &at)) != NULL) {
        if (last && !message->from && message->name == last->name)
            message->detector = last->detector;
        else if (!receiver_find(gather, message))
            continue;
        if (!message->from) last = message;
        message->worker = link->worker;
        gather->waiting[gather->waiting_count++] =
            (struct waiting){.time = message->time, .message = message, .link = link};
        link->left++;
    }
}

static int compare_waiting(const void *left, const void *right) {
    const struct waiting *a = left, *b = right;
    if (a->time != b->time) return a->time < b->time ? -1 : 1;
    return message_compare(a->message, b->message);
}

/* Puts what is before `limit` first and in order; returns how many those are. */
static uint32_t waiting_sort(struct gather *gather, double limit) {
    uint32_t ready = 0;
    for (uint32_t i = 0; i < gather->waiting_count; i++) {
        struct waiting at = gather->waiting[i];
        if (at.time >= limit) continue;
        gather->waiting[i] = gather->waiting[ready];
        gather->waiting[ready++] = at;
    }
    if (ready > 1) qsort(gather->waiting, ready, sizeof *gather->waiting, compare_waiting);
    return ready;
}

static void deliver(struct gather *gather, uint32_t ready) {
    struct message *messages[LUNETTE_BATCH];
    for (uint32_t at = 0; at < ready;) {
        uint32_t count = ready - at < LUNETTE_BATCH ? ready - at : LUNETTE_BATCH;
        for (uint32_t i = 0; i < count; i++) messages[i] = gather->waiting[at + i].message;
        script_host_receive(gather->host, messages, count, gather->seq + 1, messages[count - 1]->time);
        gather->seq += count;
        at += count;
    }
}

/* Under the mutex. */
static void link_release(struct gather *gather, struct bag_link *link) {
    struct inbox *inbox = &gather->inboxes[link->worker];
    inbox->bytes -= link->bag.used;
    if (gather->spare_count == SPARE_BAGS || link->bag.room > SPARE_BAG_BYTES) {
        link_free(link);
        return;
    }
    link->next = gather->spare;
    gather->spare = link;
    gather->spare_count++;
}

/* Under the mutex: the first `ready` of those that wait were handled. */
static void waiting_drop(struct gather *gather, uint32_t ready) {
    if (ready == 0) return;
    for (uint32_t i = 0; i < ready; i++) {
        struct bag_link *link = gather->waiting[i].link;
        if (--link->left == 0) link_release(gather, link);
    }
    gather->waiting_count -= ready;
    memmove(gather->waiting, gather->waiting + ready, gather->waiting_count * sizeof *gather->waiting);
    gather->figures.messages += ready;
}

/* Handles all messages before `limit`, and moves the clock there. Lets the mutex go meanwhile. */
static void advance(struct gather *gather, nanoseconds limit) {
    double before = limit == ALWAYS ? (double)INFINITY : ns_to_seconds(limit);
    nanoseconds start = first_start(gather);
    struct bag_link *taken = links_take(gather, before), *unheard = NULL;
    pthread_mutex_unlock(&gather->mutex);
    if (!gather->started && start != NEVER) {
        gather->started = true;
        script_host_start(gather->host, start);
    }
    while (taken) {
        struct bag_link *next = taken->next;
        link_open(gather, taken);
        if (taken->left == 0) {
            taken->next = unheard;
            unheard = taken;
        }
        taken = next;
    }
    uint32_t ready = waiting_sort(gather, before);
    deliver(gather, ready);
    if (limit != ALWAYS) {
        gather->batch->clock = limit;
        script_host_tick(gather->host);
    } else {
        script_host_settle(gather->host);
    }
    if (limit != ALWAYS) {
        if (gather->output) outputs_flush(gather->output);
        if (gather->output) outputs_advance(gather->output, limit);
    }
    pthread_mutex_lock(&gather->mutex);
    waiting_drop(gather, ready);
    gather->figures.lost += script_host_unheard(gather->host);
    while (unheard) {
        struct bag_link *next = unheard->next;
        link_release(gather, unheard);
        unheard = next;
    }
    gather->reached = limit;
}

/* The next hole that begins before `limit`; what came before it is handled first. */
static bool hole_due(struct gather *gather, nanoseconds limit, struct hole *hole) {
    if (gather->hole_count == 0 || gather->holes[0].from >= limit) return false;
    *hole = gather->holes[0];
    gather->hole_count--;
    memmove(gather->holes, gather->holes + 1, gather->hole_count * sizeof *gather->holes);
    return true;
}

/* All workers are done: what is left, then the last words. */
static void finish(struct gather *gather) {
    nanoseconds end = last_clock(gather);
    gather->finished = true;
    pthread_mutex_unlock(&gather->mutex);
    script_host_finish(gather->host, end);
    if (gather->output) {
        tally_detectors(gather->host, outputs_worker_summary(gather->output));
        outputs_at_end(gather->output);
        outputs_done(gather->output);
    }
    pthread_mutex_lock(&gather->mutex);
}

/* Does what there is to do, if nobody else does. Under the mutex. */
static void work(struct gather *gather) {
    struct hole hole;
    if (gather->busy) return;
    gather->busy = true;
    for (;;) {
        nanoseconds limit = least_clock(gather);
        if (limit == NEVER || limit <= gather->reached) break;
        if (hole_due(gather, limit, &hole)) {
            if (hole.from > gather->reached) advance(gather, hole.from);
            pthread_mutex_unlock(&gather->mutex);
            script_host_hole(gather->host, hole.from, hole.to);
            pthread_mutex_lock(&gather->mutex);
            continue;
        }
        advance(gather, limit);
    }
    if (gather->reached == ALWAYS && !gather->finished) finish(gather);
    if (gather->finished || time_monotonic() - gather->looked >= NS_PER_SECOND) detectors_look(gather);
    gather->busy = false;
    pthread_cond_broadcast(&gather->changed);
}

int gather_hold(struct gather *gather, double seconds) {
    const struct timespec until = patience_until(seconds);
    int late = 0;
    pthread_mutex_lock(&gather->mutex);
    while (gather->busy && !late) late = pthread_cond_timedwait(&gather->changed, &gather->mutex, &until);
    bool held = !gather->busy;
    gather->busy |= held;
    pthread_mutex_unlock(&gather->mutex);
    return held ? 0 : -1;
}

/* The scripts may be others now: those that wait are looked up anew. */
static void waiting_rename(struct gather *gather) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < gather->waiting_count; i++) {
        struct waiting at = gather->waiting[i];
        if (receiver_find(gather, at.message)) {
            gather->waiting[kept++] = at;
        } else if (--at.link->left == 0) {
            link_release(gather, at.link);
        }
    }
    gather->waiting_count = kept;
}

void gather_release(struct gather *gather) {
    pthread_mutex_lock(&gather->mutex);
    waiting_rename(gather);
    atomic_store(&gather->hears, script_host_hears(gather->host));
    detectors_look(gather);
    gather->busy = false;
    pthread_cond_broadcast(&gather->changed);
    pthread_mutex_unlock(&gather->mutex);
}

/* ------------------------------------------------------------------ workers */

void gather_start(struct gather *gather, uint32_t worker, nanoseconds clock) {
    pthread_mutex_lock(&gather->mutex);
    gather->inboxes[worker].start = gather->inboxes[worker].clock = clock;
    pthread_mutex_unlock(&gather->mutex);
}

void gather_hole(struct gather *gather, uint32_t worker, nanoseconds from, nanoseconds to) {
    if (worker != 0) return;
    pthread_mutex_lock(&gather->mutex);
    if (gather->hole_count == gather->hole_room) {
        uint32_t room = gather->hole_room ? gather->hole_room * 2 : 16;
        struct hole *grown = realloc(gather->holes, room * sizeof *grown);
        if (grown) {
            gather->holes = grown;
            gather->hole_room = room;
        }
    }
    if (gather->hole_count < gather->hole_room)
        gather->holes[gather->hole_count++] = (struct hole){.from = from, .to = to};
    pthread_mutex_unlock(&gather->mutex);
}

/* Puts the bag's content into the inbox, and gives the bag a buffer that was used before. */
static void inbox_add(struct gather *gather, uint32_t worker, struct bag *bag) {
    struct inbox *inbox = &gather->inboxes[worker];
    struct bag_link *link = gather->spare;
    if (link) {
        gather->spare = link->next;
        gather->spare_count--;
    } else {
        link = calloc(1, sizeof *link);
    }
    if (!link) {
        bag->lost += bag->count;
        return;
    }
    struct bag emptied = link->bag;
    emptied.used = emptied.count = 0;
    *link = (struct bag_link){.bag = *bag, .worker = worker};
    *bag = emptied;
    bag->lost = link->bag.lost;
    inbox->bytes += link->bag.used;
    *inbox->last = link;
    inbox->last = &link->next;
}

static void lost_tell(struct gather *gather, struct bag *bag) {
    gather->figures.lost += bag->lost;
    bag->lost = 0;
    if (gather->lost_told) return;
    gather->lost_told = true;
    log_line(LOG_WARNING,
             "messages to detectors that gather are lost: more than %d MiB of one worker's wait (told once, "
             "counted from now on)",
             GATHER_MOST >> 20);
}

void gather_take(struct gather *gather, uint32_t worker, nanoseconds clock, struct bag *bag) {
    struct inbox *inbox = &gather->inboxes[worker];
    pthread_mutex_lock(&gather->mutex);
    if (bag->count > 0) inbox_add(gather, worker, bag);
    if (bag->lost) lost_tell(gather, bag);
    if (inbox->clock != NEVER && clock > inbox->clock) inbox->clock = clock;
    work(gather);
    bag->most = inbox->bytes < GATHER_MOST ? GATHER_MOST - inbox->bytes : 0;
    pthread_mutex_unlock(&gather->mutex);
}

/* The one that all others wait for waits for nobody. */
static bool is_ahead(const struct gather *gather, uint32_t worker) {
    const struct inbox *inbox = &gather->inboxes[worker];
    return !gather->options.live && inbox->bytes > GATHER_AHEAD && inbox->clock > least_clock(gather);
}

bool gather_is_full(struct gather *gather, uint32_t worker) {
    pthread_mutex_lock(&gather->mutex);
    bool ahead = is_ahead(gather, worker);
    pthread_mutex_unlock(&gather->mutex);
    return ahead;
}

void gather_pause(struct gather *gather, uint32_t worker) {
    pthread_mutex_lock(&gather->mutex);
    while (is_ahead(gather, worker)) pthread_cond_wait(&gather->changed, &gather->mutex);
    pthread_mutex_unlock(&gather->mutex);
}

void gather_finish(struct gather *gather, uint32_t worker, nanoseconds clock) {
    struct inbox *inbox = &gather->inboxes[worker];
    pthread_mutex_lock(&gather->mutex);
    inbox->done = true;
    if (clock > inbox->clock && inbox->clock != NEVER) inbox->clock = clock;
    work(gather);
    pthread_mutex_unlock(&gather->mutex);
}
