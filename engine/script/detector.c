/* The life of a detector once it is loaded (detector_load.c): offer, run, finish. See detector.h. */
#include "script/state.h"

#include "base/log.h"
#include "script/keyring.h"
#include "script/profile.h"
#include "script/relay.h"
#include "script/watchdog.h"

#include <math.h>
#include <string.h>

enum { VIEW_SLOT_BITS = 10, GENERATION_MASK = (1 << 22) - 1 };
_Static_assert(1 << (int)VIEW_SLOT_BITS == (int)BATCH_EVENTS, "views carry a slot of the batch");

static void switch_off(struct detector *detector, const char *why) {
    detector->off = true;
    /* Which worker a handler gets lost in is chance: that one tells. */
    if (!detector->options.quiet || detector->quarantined)
        log_line(LOG_WARNING, "detector %s is switched off %s", detector->name, why);
}

void detector_failed(struct detector *detector, const char *what, const char *where, const char *message) {
    detector->errors++;
    detector->feed->streak++;
    snprintf(detector->last_error, sizeof detector->last_error, "%.*s", (int)strcspn(message, "\n"), message);
    if (!detector->options.quiet && !detector->error_logged)
        log_line(LOG_WARNING, "detector %s: %s at %s failed (told once, counted from now on): %s",
                 detector->name, what, where, message);
    detector->error_logged = true;
    if (detector->feed->streak < DETECTOR_STREAK || detector->off) return;
    char why[320];
    snprintf(why, sizeof why, "after %d failures in a row; the last: %s", DETECTOR_STREAK,
             detector->last_error);
    switch_off(detector, why);
}

/* A failure outside any handler: in the dispatch code itself. */
static void state_failed(struct detector *detector, const char *what) {
    bool told = lua_type(detector->lua, -1) == LUA_TSTRING;
    detector_failed(detector, what, detector->options.path,
                    told ? lua_tostring(detector->lua, -1) : "(error object is no string)");
    lua_pop(detector->lua, 1);
}

/* Where in the script control was last known to be. */
static const char *state_place(const struct detector *detector) {
    uint32_t place = detector->feed->place;
    return place > 0 && place <= detector->place_count ? detector->places[place - 1] : detector->options.path;
}

/* A bound was passed: what is in the state's memory is in no order any more, so all of it goes, at once.
 * `bound` is how it was passed, HEAP_FULL or HEAP_LATE. */
static void state_discard(struct detector *detector, int bound) {
    const struct detector_options *options = &detector->options;
    detector->errors++;
    if (bound == HEAP_LATE)
        snprintf(detector->last_error, sizeof detector->last_error,
                 "%s: did not come to its end within %g s of CPU time", state_place(detector),
                 ns_to_seconds(detector->limit));
    else
        snprintf(detector->last_error, sizeof detector->last_error,
                 "%s: not enough memory: its bound is %zu MiB", state_place(detector),
                 options->memory_limit >> 20);
    heap_free(detector->heap);
    keyrings_free(detector);
    detector->heap = NULL;
    detector->lua = NULL;
    char why[400];
    snprintf(why, sizeof why, "and its state thrown away: %s (--script-%s sets it)", detector->last_error,
             bound == HEAP_LATE ? "time" : "memory");
    detector->quarantined = bound == HEAP_LATE;
    switch_off(detector, why);
}

static int state_enter(struct detector *detector, int arguments, nanoseconds limit) {
    struct watch watch = {.lua = detector->lua, .heap = detector->heap, .limit = limit};
    detector->limit = limit;
    jmp_buf escape;
    watchdog_enter(&watch);
    int bound = setjmp(escape);
    if (bound != 0) {
        watchdog_leave(&watch);
        atomic_store_explicit(&detector->inside, false, memory_order_relaxed);
        state_discard(detector, bound);
        return -1;
    }
    heap_escape_to(detector->heap, &escape);
    atomic_store_explicit(&detector->inside, true, memory_order_relaxed);
    int status = lua_pcall(detector->lua, arguments, 0, 0);
    atomic_store_explicit(&detector->inside, false, memory_order_relaxed);
    watchdog_leave(&watch);
    heap_escape_to(detector->heap, NULL);
    return status;
}

int detector_enter(struct detector *detector, int arguments) {
    return state_enter(detector, arguments, detector->options.time_limit);
}

int detector_enter_patiently(struct detector *detector, int arguments) {
    return state_enter(detector, arguments, DETECTOR_PATIENCE * detector->options.time_limit);
}

/* The alert of a detector that was stopped: it stands where the handler was, and carries that one's event. */
static void quarantine_tell(struct detector *detector) {
    double limit = ns_to_seconds(detector->limit), taken = ns_to_seconds(watchdog_taken());
    char title[128], why[512], evidence[96];
    snprintf(title, sizeof title, "Detector %s was stopped and is off", detector->name);
    snprintf(
        why, sizeof why,
        "%s %s did not come to its end: %.2f s of CPU time, the limit is %g s. What the detector knew is "
        "thrown away.",
        detector->feed->place ? "The handler at" : "The script", state_place(detector), taken, limit);
    snprintf(evidence, sizeof evidence, "{\"limit_seconds\":%g,\"taken_seconds\":%.2f}", limit, taken);
    struct alert alert = {
        .severity = SEVERITY_MEDIUM,
        .score = NAN,
        .confidence = NAN,
        .detector = detector->name,
        .title = title,
        .category = "",
        .attack = "",
        .who = "",
        .where = state_place(detector),
        .why = why,
        .next = "Look for a loop that does not end, or a pattern that tries too much. The detector is loaded "
                "again when its file changes.",
        .evidence = evidence,
    };
    detector_say(detector, &alert);
}

const char *detector_name(const struct detector *detector) {
    return detector->name;
}

const char *detector_path(const struct detector *detector) {
    return detector->path;
}

bool detector_handles(const struct detector *detector, enum event_kind kind) {
    return !detector->off && detector->subscriptions[kind] && detector->subscriptions[kind]->count > 0;
}

const struct event_schema *detector_declared(const struct detector *detector, uint32_t index) {
    const struct emitter *emitter = detector->emitter;
    return emitter && index < emitter->kind_count ? &emitter->kinds[index]->declared.schema : NULL;
}

const struct event_schema *detector_hears(const struct detector *detector, uint32_t index) {
    return index < detector->known_count ? &detector->known[index]->declared.schema : NULL;
}

bool detector_wants_packet(struct detector *detector, const struct packet *packet) {
    const struct subscription *subscription = detector->subscriptions[EVENT_packet];
    detector->packet_mask = 0;
    if (!subscription || detector->off) return false;
    if (!detector->packet_bpf) {
        detector->packet_mask = ~0u;
        return true;
    }
    for (uint32_t h = 0; h < subscription->count; h++) {
        struct filter *bpf = subscription->conditions[h] ? conditions_bpf(subscription->conditions[h]) : NULL;
        if (!bpf || filter_matches(bpf, packet)) detector->packet_mask |= 1u << h;
    }
    return detector->packet_mask != 0;
}

const struct event_schema *detector_schema(const struct detector *detector, int kind) {
    if (kind > EVENT_head && kind < EVENT_KINDS) return event_schema_of((enum event_kind)kind);
    uint32_t known = (uint32_t)(kind - EVENT_KINDS);
    return kind >= EVENT_KINDS && known < detector->known_count ? &detector->known[known]->declared.schema
                                                                : NULL;
}

const void *detector_event(const struct detector *detector, int kind, uint32_t slot) {
    if (kind >= EVENT_KINDS) return custom_event(detector->known[kind - EVENT_KINDS], slot);
    return detector->options.batch->slots[kind] + (size_t)slot * event_schema_of((enum event_kind)kind)->size;
}

const char *detector_text(const struct detector *detector, int kind) {
    return kind < EVENT_KINDS ? detector->feed->text : detector->known[kind - EVENT_KINDS]->emitter->text;
}

const struct event_head_body *detector_last(const struct detector *detector, double *clock) {
    const struct lunette_feed *feed = detector->feed;
    if (feed->current >= feed->count) return detector->part ? part_last(detector->part, clock) : NULL;
    uint32_t run = 0;
    while (feed->run_end[run] <= feed->current) run++;
    int kind = feed->run_kind[run];
    uint32_t slots = kind < EVENT_KINDS ? BATCH_EVENTS : LUNETTE_EMITTED;
    *clock = feed->clock[feed->current];
    return detector_event(detector, kind, feed->view[feed->current] & (slots - 1));
}

const struct event_head_body *detector_at_hand(const struct detector *detector) {
    double clock;
    if (detector->feed->in_timer || detector->feed->current >= detector->feed->count) return NULL;
    return detector_last(detector, &clock);
}

int detector_kind_at_hand(const struct detector *detector) {
    const struct lunette_feed *feed = detector->feed;
    if (feed->in_timer || feed->current >= feed->count) return -1;
    uint32_t run = 0;
    while (feed->run_end[run] <= feed->current) run++;
    return feed->run_kind[run];
}

uint32_t detector_mask(const struct detector *detector, int kind, const void *event) {
    const struct subscription *subscription = detector->subscriptions[kind];
    if (!subscription) return 0;
    if (kind == EVENT_stream) return detector_streams_for(detector, event);
    uint32_t mask = subscription->unfiltered;
    for (uint32_t h = 0; h < subscription->count; h++)
        if (subscription->conditions[h] &&
            conditions_hold(subscription->conditions[h], event, detector_text(detector, kind)))
            mask |= 1u << h;
    return kind == EVENT_packet ? mask & detector->packet_mask : mask;
}

void detector_feed(struct detector *detector, int kind, uint32_t slot, double clock, uint32_t mask) {
    struct lunette_feed *feed = detector->feed;
    uint32_t n = feed->count++;
    feed->clock[n] = clock;
    if (kind < EVENT_KINDS)
        feed->view[n] = (detector->options.batch->generation & GENERATION_MASK) << VIEW_SLOT_BITS | slot;
    else
        feed->view[n] =
            detector->known[kind - EVENT_KINDS]->emitter->arena.generation << EMIT_VIEW_BITS | slot;
    feed->mask[n] = mask;
    if (feed->runs == 0 || feed->run_kind[feed->runs - 1] != kind)
        feed->run_kind[feed->runs++] = (uint8_t)kind;
    feed->run_end[feed->runs - 1] = n + 1;
}

static void state_call(struct detector *detector, int call, const char *what, double clock) {
    if (!detector->lua) return;
    detector->feed->place = 0;
    detector->alert_bytes = 0;
    profile_reset(detector->profile);
    detector->feed->generation = detector->options.batch->generation & GENERATION_MASK;
    lua_rawgeti(detector->lua, LUA_REGISTRYINDEX, call);
    lua_pushnumber(detector->lua, clock);
    int status = detector->end ? detector_enter_patiently(detector, 1) : detector_enter(detector, 1);
    if (status > 0) state_failed(detector, what);
    if (status < 0 && detector->quarantined) quarantine_tell(detector);
}

/* Garbage counts against the bound until it is collected: do that in time, but not over and over. */
static void state_collect(struct detector *detector) {
    size_t used = heap_used(detector->heap), limit = detector->options.memory_limit;
    if (used < limit / 2 || used < detector->collected_at + limit / 16) return;
    jmp_buf escape;
    if (setjmp(escape) != 0) {
        state_discard(detector, HEAP_FULL);
        return;
    }
    heap_escape_to(detector->heap, &escape);
    lua_gc(detector->lua, LUA_GCCOLLECT, 0);
    heap_escape_to(detector->heap, NULL);
    detector->collected_at = heap_used(detector->heap);
}

void detector_start(struct detector *detector, nanoseconds clock) {
    detector->feed->end_clock = ns_to_seconds(clock);
    state_call(detector, detector->call_start, "start", ns_to_seconds(clock));
}

void detector_hole(struct detector *detector, nanoseconds from, nanoseconds to) {
    detector->feed->hole_from = ns_to_seconds(from);
    detector->feed->hole_to = ns_to_seconds(to);
}

void detector_drink(struct detector *detector, double end) {
    nanoseconds before = time_monotonic();
    state_call(detector, detector->call_run, "batch", end);
    if (detector->lua) state_collect(detector);
    detector->spent += time_monotonic() - before;
    detector->feed->in_timer = 0;
}

/* Handles what the feed or the mail holds. */
static void state_run(struct detector *detector, double end, uint32_t mail) {
    struct lunette_feed *feed = detector->feed;
    feed->end_clock = end;
    feed->current = feed->count; /* none is at hand yet */
    if (!detector->off && (feed->count + mail > 0 || feed->due <= feed->end_clock)) {
        detector->events += feed->count + mail;
        detector_drink(detector, end);
    }
    feed->count = feed->runs = 0;
}

void detector_run(struct detector *detector, nanoseconds clock) {
    state_run(detector, ns_to_seconds(clock), 0);
}

void detector_receive(struct detector *detector, double end) {
    struct lunette_mail *mail = mail_of(detector);
    mail->current = mail->count; /* none is at hand yet */
    state_run(detector, end, mail->count);
    mail->count = 0;
}

void detector_finish(struct detector *detector, nanoseconds clock) {
    detector->end = clock;
    if (detector->off) return;
    nanoseconds before = time_monotonic();
    state_call(detector, detector->call_finish, "end of capture", ns_to_seconds(clock));
    detector->spent += time_monotonic() - before;
}

void detector_ask(struct detector *detector, enum event_kind kind, uint32_t index, const void *event,
                  const char *what, const char *line) {
    if (!detector->lua) return;
    struct lunette_feed *feed = detector->feed;
    feed->generation = detector->options.batch->generation & GENERATION_MASK;
    feed->count = feed->runs = event ? 1 : 0;
    feed->current = 0;
    feed->view[0] = feed->generation << VIEW_SLOT_BITS | index;
    feed->run_kind[0] = (uint8_t)kind;
    feed->run_end[0] = 1;
    if (event) feed->now = feed->clock[0] = ns_to_seconds(((const struct event_head_body *)event)->clock);
    detector->question = what;
    detector->line = line;
    detector->alert_bytes = 0;
    lua_rawgeti(detector->lua, LUA_REGISTRYINDEX, detector->call_ask);
    lua_pushinteger(detector->lua, kind);
    lua_pushnumber(detector->lua, feed->view[0]);
    if (detector_enter(detector, 2) > 0) state_failed(detector, "prompt");
    feed->count = feed->runs = 0;
}

/* The n-th lunette.flow_state goes on with what the n-th before had, if it is declared as that was. */
static void flow_areas_succeed(struct detector *detector, const struct detector *old) {
    if (!old->lua) return;
    for (uint32_t i = 0; i < detector->flow_area_count && i < old->flow_area_count; i++) {
        size_t before = flow_area_memory(detector->flow_areas[i]);
        if (flow_area_succeed(detector->flow_areas[i], old->flow_areas[i]))
            detector->beside_heap += flow_area_memory(detector->flow_areas[i]) - before;
    }
}

void detector_succeed(struct detector *detector, const struct detector *old) {
    flow_areas_succeed(detector, old);
    detector->events = old->events;
    detector->alerts = old->alerts;
    detector->errors = old->errors;
    memcpy(detector->parsers_ended, old->parsers_ended, sizeof detector->parsers_ended);
    detector->feed->evicted = old->feed->evicted;
    detector->feed->hole_from = old->feed->hole_from;
    detector->feed->hole_to = old->feed->hole_to;
}

void detector_renumber(struct detector *detector, uint32_t index) {
    detector->options.index = index;
}

bool detector_whereabouts(const struct detector *detector, char *out, size_t size) {
    if (!atomic_load_explicit(&detector->inside, memory_order_relaxed)) return false;
    uint32_t place = __atomic_load_n(&detector->feed->place, __ATOMIC_RELAXED);
    bool known = place > 0 && place <= atomic_load_explicit(&detector->place_count, memory_order_acquire);
    snprintf(out, size, "detector %s, %s%s", detector->name, known ? "the handler at " : "",
             known ? detector->places[place - 1] : detector->options.path);
    return true;
}

bool detector_gathers(const struct detector *detector) {
    return detector->gathers;
}

bool detector_is_off(const struct detector *detector) {
    return detector->off;
}

bool detector_is_quarantined(const struct detector *detector) {
    return detector->quarantined;
}

void detector_status(const struct detector *detector, struct detector_status *out) {
    *out = (struct detector_status){
        .name = detector->name,
        .events = detector->events,
        .alerts = detector->alerts,
        .errors = detector->errors,
        .evicted = (uint64_t)detector->feed->evicted,
        .memory = detector->beside_heap + (detector->heap ? heap_used(detector->heap) : 0),
        .off = detector->off,
        .cpu_seconds = ns_to_seconds(detector->spent),
    };
    memcpy(out->parsers_ended, detector->parsers_ended, sizeof out->parsers_ended);
    memcpy(out->last_error, detector->last_error, sizeof out->last_error);
}
