/* See host.h. Alerts wait in `pending` until the batch is done; their strings are copied into one buffer a
 * batch. */
#include "script/code.h"
#include "script/entry.h"
#include "script/state.h"

#include "base/log.h"
#include "script/inventory.h"
#include "script/loader.h"
#include "script/offer.h"
#include "script/relay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PACKET_PAYLOAD = 2048 };
static const nanoseconds DEFAULT_SCRIPT_TIME = 2 * NS_PER_SECOND;

struct pending_alert {
    struct alert_place place;
    uint32_t detector;
    uint32_t number;
    struct alert alert; /* its strings are its own */
};

/* ------------------------------------------------------------------ alerts */

static void host_on_alert(void *context, const struct alert *alert, const struct alert_place *place) {
    struct script_host *host = context;
    if (host->pending_count == host->pending_room) {
        uint32_t room = host->pending_room ? host->pending_room * 2 : 64;
        struct pending_alert *grown = realloc(host->pending, room * sizeof *grown);
        if (!grown) {
            host->pending_lost++;
            return;
        }
        host->pending = grown;
        host->pending_room = room;
    }
    struct pending_alert *pending = &host->pending[host->pending_count];
    *pending = (struct pending_alert){
        .place = *place, .detector = alert->detector_index, .number = host->pending_count, .alert = *alert};
    if (alert_own(&pending->alert))
        host->pending_count++;
    else
        host->pending_lost++;
}

static bool host_is_heard(void *context) {
    const struct script_host *host = context;
    if (host->stage == STAGE_GATHER) return host->overheard.hearers > 0;
    return host->sink.is_heard && host->sink.is_heard(host->sink.context);
}

static void host_on_report(void *context, const struct report *report) {
    struct script_host *host = context;
    host->sink.on_report(host->sink.context, report);
}

static void host_on_fact(void *context, const struct fact *fact) {
    struct script_host *host = context;
    if (host->sink.on_fact) host->sink.on_fact(host->sink.context, fact);
}

static bool host_on_capture(void *context, nanoseconds clock, struct capture_figures *out) {
    struct script_host *host = context;
    return host->sink.on_capture && host->sink.on_capture(host->sink.context, clock, out);
}

static int compare_u64(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

static int compare_pending(const void *left, const void *right) {
    const struct pending_alert *a = left, *b = right;
    if (a->place.now != b->place.now) return a->place.now < b->place.now ? -1 : 1;
    if (a->place.seq != b->place.seq) return compare_u64(a->place.seq, b->place.seq);
    if (a->place.in_timer != b->place.in_timer) return a->place.in_timer ? 1 : -1;
    if (a->detector != b->detector) return compare_u64(a->detector, b->detector);
    return compare_u64(a->number, b->number);
}

static void pending_deliver(struct script_host *host, struct pending_alert *pending) {
    host->sink.on_alert(host->sink.context, &pending->alert);
    alert_release(&pending->alert);
}

/* Is the alert to be told before the event? */
static bool pending_precedes(const struct pending_alert *pending, const struct order_key *key) {
    return pending->place.now != key->now ? pending->place.now < key->now : pending->place.seq < key->seq;
}

void host_sort_alerts(struct script_host *host) {
    uint32_t from = host->pending_next;
    if (host->pending_count - from > 1)
        qsort(host->pending + from, host->pending_count - from, sizeof *host->pending, compare_pending);
}

void host_deliver_alerts(struct script_host *host, const struct order_key *key) {
    if (!key) host_sort_alerts(host);
    while (host->pending_next < host->pending_count &&
           (!key || pending_precedes(&host->pending[host->pending_next], key)))
        pending_deliver(host, &host->pending[host->pending_next++]);
    if (host->pending_next == host->pending_count && !key) host->pending_count = host->pending_next = 0;
    if (!host->pending_lost) return;
    log_line(LOG_WARNING, "%llu alerts were lost: there is no memory for them",
             (unsigned long long)host->pending_lost);
    host->pending_lost = 0;
}

/* ---------------------------------------------------------- batch listener */

static bool host_offer(void *context, enum event_kind kind, uint32_t index, const void *event) {
    struct script_host *host = context;
    return offers_make(host->offers, host->batch, kind, index, event) || host->sink.record[kind];
}

static uint32_t count_off(const struct script_host *host) {
    uint32_t off = 0;
    for (uint32_t i = 0; i < host->count; i++) off += detector_is_off(host->detectors[i]);
    return off;
}

static void host_refresh_wants(struct script_host *host) {
    host->off = count_off(host);
    host->packets_plain = host->offers && offers_packets_are_plain(host->offers);
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++) {
        host->wants[kind] = host->sink.record[kind];
        for (uint32_t i = 0; i < host->count && !host->wants[kind]; i++)
            host->wants[kind] = detector_handles(host->detectors[i], (enum event_kind)kind);
    }
}

/* What was sent goes before anything that is told: who gathers must not wait for what waits for it. In the
 * middle of a batch, where not all detectors have come further than `until`, some of what they sent may be
 * later than that. */
void host_handled(struct script_host *host, double until) {
    nanoseconds clock = host->batch->clock;
    if (until < ns_to_seconds(clock)) {
        clock = (nanoseconds)(until * 1e9) - 1000; /* whatever was rounded */
        if (until < host->bag.least) host->bag.least = until;
    }
    if (clock < host->handled) clock = host->handled;
    host->handled = clock;
    if (host->sink.on_handled) host->sink.on_handled(host->sink.context, clock, &host->bag);
    host->bag.used = host->bag.count = 0;
}

/* Who hears alerts comes after all others, and only so far as these have come. */
static void run_hearers(struct script_host *host) {
    if (host->overheard.hearers == 0) return;
    overhear_run(host, ns_to_seconds(host->batch->clock));
    for (uint32_t i = 0; i < host->count; i++)
        if (detector_overhears(host->detectors[i])) detector_run(host->detectors[i], host->batch->clock);
}

static void host_drink(void *context) {
    struct script_host *host = context;
    for (uint32_t i = 0; i < host->count; i++) {
        if (host->detectors[i]->part || detector_overhears(host->detectors[i])) continue;
        detector_run(host->detectors[i], host->batch->clock);
    }
    run_hearers(host);
    relay_run(host, host->batch->clock);
    if (count_off(host) != host->off) host_refresh_wants(host);
    host_streams_dismiss(host);
    if (host->sink.on_drained) host->sink.on_drained(host->sink.context, host->batch->clock);
}

/* ----------------------------------------------------------------- loading */

struct detector_options host_detector_options(struct script_host *host,
                                              const struct script_options *options) {
    return (struct detector_options){
        .memory_limit = options->memory_limit ? options->memory_limit : DETECTOR_MEMORY,
        .time_limit = options->time_limit == SCRIPT_TIME_FREE ? 0
                      : options->time_limit                   ? options->time_limit
                                                              : DEFAULT_SCRIPT_TIME,
        .settings = options->settings,
        .setting_count = options->setting_count,
        .batch = host->batch,
        .audits = host->options.audits,
        .quiet = options->quiet,
        .stage = host->stage,
        .code = host->code,
        .bag = host->sink.on_handled ? &host->bag : NULL,
        .heard = host->stage == STAGE_GATHER ? &host->overheard.raised
                 : host->sink.on_handled     ? &host->bag
                                             : NULL,
        .inspect = options->inspect,
        .profile = options->profile,
        .context = host,
        .is_heard = host_is_heard,
        .on_alert = host_on_alert,
        .on_report = host_on_report,
        .on_fact = host_on_fact,
        .on_capture = host_on_capture,
        .find_event = script_loader_event,
    };
}

int host_adopt(struct script_host *host, struct script_entry **entries, uint32_t count) {
    struct detector **detectors = calloc(count ? count : 1, sizeof(struct detector *));
    if (!detectors) return -1;
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++)
        if (entries[i]->detector) detectors[found++] = entries[i]->detector;
    struct offers *offers = offers_new(detectors, found);
    if (!offers) {
        free(detectors);
        return -1;
    }
    free(host->detectors);
    free(host->entries);
    host->detectors = detectors;
    host->entries = entries;
    host->entry_count = count;
    host->count = found;
    for (uint32_t i = 0; i < found; i++) detector_renumber(detectors[i], i);
    if (relay_arrange(host) < 0)
        log_line(LOG_ERROR, "no memory for custom events: the detectors that emit or hear them stand still");
    offers_free(host->offers);
    host->offers = offers;
    host_refresh_wants(host);
    host_streams_refresh(host);
    overhear_arrange(host);
    return 0;
}

static int host_load(void *context, struct script_loader *loader, uint32_t index, struct error *err) {
    struct script_host *host = context;
    struct script_entry *entry = script_loader_entry(loader, index, host, &host->options, err);
    if (!entry) return -1;
    loader->entries[index] = entry;
    if (entry->detector) return 0;
    if (err->usage) return -1;
    if (!host->options.quiet)
        log_line(LOG_ERROR, "this detector%s is left out: %s",
                 host->stage == STAGE_GATHER ? "'s part that gathers" : "", err->text);
    return 0;
}

static int host_load_all(struct script_host *host, const struct script_paths *paths, struct error *err) {
    struct script_loader loader = {.context = host, .load = host_load};
    uint32_t count = 0;
    int outcome = script_loader_open(&loader, paths, err);
    if (outcome == 0) outcome = script_loader_all(&loader, &count, err);
    if (outcome == 0 && host->stage != STAGE_GATHER) /* not all are there */
        outcome = script_entries_check(loader.entries, count, &host->options, err);
    if (outcome == 0) {
        outcome = host_adopt(host, loader.entries, count);
        if (outcome == 0)
            loader.entries = NULL; /* the host's now */
        else
            error_set(err, "out of memory");
    }
    for (uint32_t i = 0; loader.entries && i < count; i++) script_entry_free(loader.entries[i]);
    script_loader_close(&loader);
    return outcome;
}

static struct script_host *host_new(const struct script_options *options, struct batch *batch,
                                    const struct script_sink *sink, struct error *err) {
    struct script_host *host = calloc(1, sizeof *host);
    if (host) host->relay = calloc(1, sizeof *host->relay);
    if (!host || !host->relay) {
        error_set(err, "out of memory");
        free(host);
        return NULL;
    }
    host->batch = batch;
    host->sink = *sink;
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        if (event_is_hidden((enum event_kind)kind)) host->sink.record[kind] = false;
    host->options = *options;
    host->bag.most = BAG_MOST;
    host->code = code_store_new();
    return host;
}

struct script_host *script_host_new(const struct script_options *options, struct batch *batch,
                                    const struct script_sink *sink, struct error *err) {
    struct script_host *host = host_new(options, batch, sink, err);
    if (!host) return NULL;
    struct script_paths paths;
    struct error why;
    int outcome = script_paths_find(&paths, options, &why);
    if (outcome == 0) {
        outcome = host_load_all(host, &paths, &why);
        script_paths_free(&paths);
    }
    if (outcome < 0) {
        if (err) *err = why;
        script_host_free(host);
        return NULL;
    }
    batch->listener = (struct batch_listener){
        .context = host, .wants = host->wants, .offer = host_offer, .drink = host_drink};
    return host;
}

void script_host_part(struct script_host *host) {
    for (uint32_t i = 0; i < host->count; i++) detector_part(host->detectors[i]);
}

void script_host_free(struct script_host *host) {
    if (!host) return;
    bag_free(&host->bag);
    overhear_free(host);
    for (uint32_t i = 0; i < host->entry_count; i++) script_entry_free(host->entries[i]);
    for (uint32_t i = host->pending_next; i < host->pending_count; i++)
        alert_release(&host->pending[i].alert);
    script_files_free(host->attempt);
    free(host->entries);
    free(host->pending);
    free(host->detectors);
    offers_free(host->offers);
    relay_free(host->relay);
    code_store_free(host->code);
    free(host);
}

uint32_t script_host_count(const struct script_host *host) {
    return host->count;
}

uint32_t script_host_failed(const struct script_host *host) {
    return host->entry_count - host->count;
}

const char *script_host_failed_path(const struct script_host *host, uint32_t index) {
    for (uint32_t i = 0; i < host->entry_count; i++)
        if (!host->entries[i]->detector && index-- == 0) return host->entries[i]->path;
    return NULL;
}

const char *script_host_failed_why(const struct script_host *host, uint32_t index) {
    for (uint32_t i = 0; i < host->entry_count; i++)
        if (!host->entries[i]->detector && index-- == 0) return host->entries[i]->why;
    return NULL;
}

const char *script_host_path(const struct script_host *host, uint32_t index) {
    return detector_path(host->detectors[index]);
}

struct detector *script_host_detector(struct script_host *host, uint32_t index) {
    return host->detectors[index];
}

char *script_host_inventory(struct script_host *host, uint32_t index) {
    return detector_inventory(host->detectors[index], INVENTORY_DECLARED);
}

void script_host_status(const struct script_host *host, uint32_t index, struct detector_status *out) {
    detector_status(host->detectors[index], out);
}

const struct event_schema *script_host_declared(const struct script_host *host, uint32_t index) {
    for (uint32_t i = 0; i < host->count; i++) {
        const struct event_schema *schema;
        for (uint32_t k = 0; (schema = detector_declared(host->detectors[i], k)); k++)
            if (index-- == 0) return schema;
    }
    return NULL;
}

bool script_host_declares(const struct script_host *host, const char *name) {
    const struct event_schema *schema;
    for (uint32_t i = 0; (schema = script_host_declared(host, i)); i++)
        if (strcmp(schema->name, name) == 0) return true;
    return false;
}

bool script_host_whereabouts(const struct script_host *host, char *out, size_t size) {
    for (uint32_t i = 0; i < host->count; i++)
        if (detector_whereabouts(host->detectors[i], out, size)) return true;
    snprintf(out, size, "no detector");
    return false;
}

/* ----------------------------------------------------------------- running */

void script_host_start(struct script_host *host, nanoseconds clock) {
    host->batch->clock = clock;
    host->started = true;
    for (uint32_t i = 0; i < host->count; i++) detector_start(host->detectors[i], clock);
}

bool script_host_wants_packets(const struct script_host *host) {
    return host->wants[EVENT_packet];
}

static void packet_fill(struct event_packet_body *body, const struct packet *packet,
                        const struct decoded *decoded, enum direction direction) {
    body->to_server = direction == TO_SERVER;
    body->length = packet->original;
    body->ttl = decoded->ttl;
    body->tcp_flags = decoded->tcp_flags;
    body->payload_length = decoded->payload_length;
}

/* Slots are written one after the other, but by the time that they come round again others' memory has taken
 * their place in the cache. */
static void slots_prefetch(const struct event_packet *event) {
    enum { AHEAD = 4, LINE = 64 };
    for (size_t at = 0; at < sizeof *event; at += LINE)
        __builtin_prefetch((const char *)(event + AHEAD) + at, 1);
}

void script_host_packet(struct script_host *host, const struct flow_room *room, const struct flow *flow,
                        const struct packet *packet, const struct decoded *decoded,
                        enum direction direction) {
    struct batch *batch = host->batch;
    bool recorded = host->sink.record[EVENT_packet];
    bool plain = host->packets_plain && !recorded;
    struct packet_wish wish = {true, false};
    if (!plain) wish = offers_packet(host->offers, packet);
    if (!wish.wanted && !recorded) return;
    struct event_packet *event = batch_begin(batch, EVENT_packet);
    if (!event) return;
    slots_prefetch(event);
    flow_fill_head(room, flow, packet->time, &event->head);
    packet_fill(&event->body, packet, decoded, direction);
    if (plain) {
        if (offers_plain_packet(host->offers, batch->used[EVENT_packet], event->head.clock))
            batch_keep(batch);
        else
            batch_drop(batch);
        return;
    }
    if (wish.payload || recorded) {
        uint32_t captured =
            decoded->payload_captured < PACKET_PAYLOAD ? decoded->payload_captured : PACKET_PAYLOAD;
        event->body.payload = batch_text(batch, decoded->payload, captured);
    }
    batch_commit(batch);
}

void script_host_tick(struct script_host *host) {
    if (host->batch->count > 0)
        batch_flush(host->batch);
    else
        host_drink(host);
}

void script_host_hole(struct script_host *host, nanoseconds from, nanoseconds to) {
    script_host_tick(host);
    for (uint32_t i = 0; i < host->count; i++) detector_hole(host->detectors[i], from, to);
}

/* What others said last is heard before. */
static void finish_hearers(struct script_host *host, nanoseconds clock) {
    host_deliver_alerts(host, NULL);
    overhear_run(host, INFINITY);
    for (uint32_t i = 0; i < host->count; i++)
        if (detector_overhears(host->detectors[i])) detector_finish(host->detectors[i], clock);
}

void script_host_finish(struct script_host *host, nanoseconds clock) {
    host->batch->clock = clock;
    script_host_tick(host);
    for (uint32_t i = 0; i < host->count; i++) {
        if (host->detectors[i]->part || detector_overhears(host->detectors[i])) continue;
        detector_finish(host->detectors[i], clock);
    }
    if (host->overheard.hearers > 0) finish_hearers(host, clock);
    relay_finish(host, clock);
}

/* --------------------------------------------------------------- gathering */

bool script_host_gathers(const struct script_host *host) {
    for (uint32_t i = 0; i < host->count; i++)
        if (detector_gathers(host->detectors[i])) return true;
    return false;
}

/* There nobody listens to anybody: the order is that of the workers'. */
static int gathering_load(struct script_host *host, const struct script_host *worker, struct error *err) {
    struct script_paths paths = {.list = calloc(worker->count ? worker->count : 1, sizeof(char *))};
    if (!paths.list) return error_set(err, "out of memory");
    for (uint32_t i = 0; i < worker->entry_count; i++) {
        const struct script_entry *entry = worker->entries[i];
        if (entry->detector && detector_gathers(entry->detector)) paths.list[paths.count++] = entry->path;
    }
    paths.named = paths.count;
    int outcome = host_load_all(host, &paths, err);
    free(paths.list);
    return outcome;
}

struct script_host *script_host_new_gathering(const struct script_host *worker, struct batch *batch,
                                              const struct script_sink *sink, struct error *err) {
    struct script_host *host = host_new(&worker->options, batch, sink, err);
    if (!host) return NULL;
    host->stage = STAGE_GATHER;
    code_store_free(host->code);
    host->code = code_store_share(worker->code);
    host->options.quiet = false;
    struct error why;
    if (gathering_load(host, worker, &why) == 0) return host;
    if (err) *err = why;
    script_host_free(host);
    return NULL;
}

int script_host_named(const struct script_host *host, uint64_t name) {
    for (uint32_t i = 0; i < host->count; i++)
        if (message_name_digest(detector_name(host->detectors[i])) == name) return (int)i;
    return -1;
}

bool script_host_hears(const struct script_host *host) {
    return host->overheard.hearers > 0;
}

uint64_t script_host_unheard(struct script_host *host) {
    uint64_t lost = host->overheard.lost;
    host->overheard.lost = 0;
    return lost;
}

void script_host_settle(struct script_host *host) {
    if (host->overheard.hearers > 0) overhear_run(host, INFINITY);
}

void script_host_receive(struct script_host *host, struct message *const *messages, uint32_t count,
                         uint64_t seq, double end) {
    struct batch *batch = host->batch;
    for (uint32_t i = 0; i < count; i++) {
        struct message *message = messages[i];
        message->head.seq = seq + i;
        if ((host->overheard.hearers > 0 && overhear_keep(host, message)) || message->from) continue;
        message->head.iface = (struct text_ref){0};
        if (message->iface_length)
            message->head.iface = batch_text(batch, message_iface(message), message->iface_length);
        detector_mail(host->detectors[message->detector], message, seq + i);
    }
    batch->clock = (nanoseconds)llround(end * 1e9);
    for (uint32_t i = 0; i < host->count; i++)
        if (!detector_overhears(host->detectors[i])) detector_receive(host->detectors[i], end);
    host_deliver_alerts(host, NULL);
    batch->text_used = 1;
}
