/* See relay.h. The walk along the tree, the feeds that come of it, and the rounds. */
#include "script/relay_inner.h"

#include "script/entry.h"
#include "script/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t never = UINT32_MAX; /* lunette_feed.stop */
static const struct order_key everything = {.now = INFINITY};

/* ---------------------------------------------------------------- the walk */

static bool is_in_reach(const struct order_key *key, const struct order_key *horizon) {
    return key_compare(key, horizon) <= 0;
}

/* Adds an emitted event to the feed if it is wanted. */
static void feed_emitted(struct detector *detector, uint32_t number) {
    const struct emitted *node = &detector->relay->nodes[number];
    struct part *part = detector->part;
    for (uint32_t i = 0; i < detector->known_count; i++) {
        if (detector->known[i] != node->kind) continue;
        const void *event = custom_event(node->kind, node->slot);
        uint32_t mask = detector_mask(detector, EVENT_KINDS + (int)i, event), n = detector->feed->count;
        if (mask == 0) return;
        part->node[n] = number;
        part->key[n] = part->root;
        detector_feed(detector, EVENT_KINDS + (int)i, node->slot, part->root.now, mask);
        return;
    }
}

static void feed_engine(struct detector *detector, uint32_t place) {
    struct part *part = detector->part;
    uint32_t n = detector->feed->count;
    if (!(part->wanted[place / 64] >> (place % 64) & 1)) return;
    part->node[n] = 0;
    part->place[n] = place;
    part->key[n] = part->root;
    const struct batch_order *at = &detector->relay->batch->order[place];
    detector_feed(detector, at->kind, at->index, part->root.now, part->mask[place]);
}

/* The first of the batch's events, from `place` on, that the detector wants or below which something hangs;
 * the batch's count: there is none. */
static uint32_t next_place(const struct relay *relay, const struct part *part, uint32_t place) {
    uint32_t count = relay->batch->count, word = place / 64;
    if (place >= count) return count;
    uint64_t bits = (part->wanted[word] | relay->hung[word]) & (~0ull << (place % 64));
    while (bits == 0) {
        if (++word * 64 >= count) return count;
        bits = part->wanted[word] | relay->hung[word];
    }
    return word * 64 + (uint32_t)__builtin_ctzll(bits);
}

/* Goes to the next root, engine event or timer's, if it is not beyond the horizon. */
static bool next_root(struct detector *detector, const struct order_key *horizon) {
    const struct relay *relay = detector->relay;
    struct part *part = detector->part;
    uint32_t timer = part->timer ? relay->nodes[part->timer].next : relay->timers;
    uint32_t place = next_place(relay, part, part->engine);
    bool has_engine = place < relay->batch->count;
    struct order_key engine = has_engine ? engine_key(relay->batch, place) : everything;
    if (timer && (!has_engine || key_compare(&relay->nodes[timer].key, &engine) < 0)) {
        if (!is_in_reach(&relay->nodes[timer].key, horizon)) return false;
        part->root = relay->nodes[timer].key;
        part->timer = part->next = timer;
        return true;
    }
    if (!has_engine || !is_in_reach(&engine, horizon)) return false;
    part->root = engine;
    part->next = relay->first[place];
    part->engine = place + 1;
    feed_engine(detector, place);
    return true;
}

/* Fills the empty feed. */
static void feed_fill(struct detector *detector, const struct order_key *horizon) {
    struct lunette_feed *feed = detector->feed;
    struct part *part = detector->part;
    feed->count = feed->runs = feed->first = 0;
    while (feed->count < LUNETTE_BATCH) {
        if (part->next) {
            feed_emitted(detector, part->next);
            part->next = node_after(detector->relay, part->next);
        } else if (!next_root(detector, horizon)) {
            break;
        }
    }
    detector->events += feed->count;
}

/* ------------------------------------------------------- stopping in time */

/* The first entry from `n` on that goes back to another root; beyond the last one there may be more of it. */
static uint32_t root_end(const struct detector *detector, uint32_t n) {
    const struct part *part = detector->part;
    uint32_t end = n;
    while (end < detector->feed->count && key_compare(&part->key[end], &part->key[n]) == 0) end++;
    return end;
}

void part_stop_soon(struct detector *detector) {
    struct lunette_feed *feed = detector->feed;
    const struct part *part = detector->part;
    if (feed->stop != never || !part->may_stop) return;
    bool any = feed->current < feed->count;
    uint32_t next = any ? feed->current + 1 : feed->first;
    uint32_t end = any ? root_end(detector, feed->current) : next;
    if (end == feed->count && part->next) return; /* the next feed goes on with the same root */
    feed->stop = end;
    feed->pause = end == next;
}

/* All entries before `stop` are handled, and perhaps timers after them. */
static void part_pause(struct detector *detector) {
    struct lunette_feed *feed = detector->feed;
    struct part *part = detector->part;
    if (feed->stop > feed->first && key_compare(&part->frontier, &part->key[feed->stop - 1]) < 0)
        part->frontier = part->key[feed->stop - 1];
    if (key_compare(&part->frontier, &detector->emitter->last) < 0) part->frontier = detector->emitter->last;
    feed->first = feed->stop;
    part->paused = true;
}

static void remember_last(struct detector *detector) {
    struct part *part = detector->part;
    double clock = 0;
    const struct event_head_body *last = detector_last(detector, &clock);
    if (!last || last == &part->last) return;
    part->last = *last;
    part->last.iface = part_iface(detector, last);
    part->last_clock = clock;
    part->has_last = true;
}

const struct event_head_body *part_last(const struct part *part, double *clock) {
    if (!part->has_last) return NULL;
    *clock = part->last_clock;
    return &part->last;
}

/* Lets Lua handle what is left of the feed. False: it stopped for want of room. */
static bool part_drink(struct detector *detector) {
    struct lunette_feed *feed = detector->feed;
    struct part *part = detector->part;
    feed->stop = never;
    feed->pause = 0;
    feed->current = feed->count; /* none is at hand yet */
    if (part->may_stop && emitter_is_full(detector->emitter)) {
        /* Filled in the middle of a root whose rest is here, or just before the next one. */
        bool same = feed->first < feed->count && key_compare(&part->key[feed->first], &part->frontier) == 0;
        feed->stop = same ? root_end(detector, feed->first) : feed->first;
    }
    if (feed->stop != feed->first) detector_drink(detector, feed->end_clock);
    remember_last(detector);
    feed->current = feed->count;
    if (feed->stop != never && !detector->off) {
        part_pause(detector);
        return false;
    }
    if (feed->count > feed->first) part->frontier = part->key[feed->count - 1];
    feed->first = feed->count;
    return true;
}

/* Handles all up to the horizon, and timers up to `end` seconds. */
static void part_run(struct detector *detector, const struct order_key *horizon, double end, bool may_stop) {
    struct lunette_feed *feed = detector->feed;
    detector->part->paused = false;
    detector->part->may_stop = may_stop;
    while (!detector->off) {
        bool fresh = feed->first == feed->count;
        if (fresh) feed_fill(detector, horizon);
        bool last = fresh && feed->count < LUNETTE_BATCH;
        feed->end_clock = last ? end : feed->clock[feed->count - 1];
        bool idle = feed->count == 0 && feed->due > end;
        if (!idle && !part_drink(detector)) return;
        if (last) return;
    }
}

/* --------------------------------------------------------------- delivering */

static void deliver_below(struct script_host *host, uint32_t node);

/* The event, what hangs below it, and the end of its life. Chains are no longer than there are scripts. */
static void deliver_emitted(struct script_host *host, uint32_t number) {
    struct relay *relay = host->relay;
    const struct emitted node = relay->nodes[number];
    if (node.kind->recorded)
        host->sink.on_custom(host->sink.context, &node.kind->declared, custom_event(node.kind, node.slot),
                             node.kind->emitter->text);
    deliver_below(host, node.first_child);
    node_free(relay, number);
}

static void deliver_below(struct script_host *host, uint32_t node) {
    while (node) {
        uint32_t next = host->relay->nodes[node].next;
        deliver_emitted(host, node);
        node = next;
    }
}

static void deliver_engine(struct script_host *host, uint32_t place) {
    const struct batch *batch = host->batch;
    enum event_kind kind = (enum event_kind)batch->order[place].kind;
    if (host->sink.record[kind])
        host->sink.on_event(host->sink.context, kind, batch_event(batch, place), batch);
    if (!host->relay->touched) return;
    deliver_below(host, host->relay->first[place]);
    host->relay->first[place] = host->relay->last[place] = 0;
}

/* Most batches: nobody records what is in it, nothing hangs below it, no alert was raised. */
static bool nothing_to_deliver(const struct script_host *host) {
    const struct relay *relay = host->relay;
    if (host->pending_next < host->pending_count || relay->touched || relay->timers) return false;
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++)
        if (host->batch->used[kind] > 0 && host->sink.record[kind]) return false;
    return true;
}

/* All that is not beyond the horizon, each after the alerts that precede it. */
static void deliver(struct script_host *host, const struct order_key *horizon) {
    struct relay *relay = host->relay;
    const struct batch *batch = host->batch;
    if (horizon->now == INFINITY && nothing_to_deliver(host)) {
        relay->delivered = batch->count;
        return;
    }
    host_sort_alerts(host);
    for (;;) {
        bool has_engine = relay->delivered < batch->count;
        struct order_key key = has_engine ? engine_key(batch, relay->delivered) : everything;
        uint32_t timer = relay->timers;
        bool by_timer = timer && (!has_engine || key_compare(&relay->nodes[timer].key, &key) < 0);
        if (by_timer) key = relay->nodes[timer].key;
        if ((!by_timer && !has_engine) || !is_in_reach(&key, horizon)) break;
        host_deliver_alerts(host, &key);
        if (by_timer) {
            relay->timers = relay->nodes[timer].next;
            deliver_emitted(host, timer);
        } else {
            deliver_engine(host, relay->delivered++);
        }
    }
}

/* After a delivery: nobody's place may be in what is gone, and whose events were all heard has room again. */
static void make_room(struct relay *relay, const struct order_key *horizon) {
    for (uint32_t i = 0; i < relay->part_count; i++) {
        struct detector *detector = relay->parts[i];
        if (!relay->nodes || !relay->nodes[detector->part->timer].kind) detector->part->timer = 0;
        if (!detector->emitter) continue;
        detector->emitter->hint = 0;
        if (is_in_reach(&detector->emitter->last, horizon)) emitter_empty(detector->emitter);
    }
}

/* ------------------------------------------------------------------- rounds */

static void relay_begin(struct relay *relay) {
    relay->delivered = 0;
    for (uint32_t i = 0; i < relay->part_count; i++) {
        struct part *part = relay->parts[i]->part;
        struct lunette_feed *feed = relay->parts[i]->feed;
        part->engine = part->timer = part->next = 0;
        part->frontier = (struct order_key){.now = -INFINITY};
        part->has_last = false;
        feed->count = feed->runs = feed->first = 0;
        if (relay->parts[i]->emitter) relay->parts[i]->emitter->last = part->frontier;
    }
}

/* One round: all come as far as the first that stops. */
static void relay_round(struct relay *relay, nanoseconds clock, struct order_key *horizon, bool may_stop) {
    double end = ns_to_seconds(clock);
    for (uint32_t i = 0; i < relay->part_count; i++) {
        struct detector *detector = relay->parts[i];
        part_run(detector, horizon, end, may_stop);
        if (!detector->part->paused || key_compare(horizon, &detector->part->frontier) <= 0) continue;
        *horizon = detector->part->frontier;
        end = horizon->now;
    }
}

/* The batch is done. */
static void relay_forget(struct relay *relay) {
    if (relay->touched) memset(relay->hung, 0, sizeof relay->hung);
    relay->touched = false;
    for (uint32_t i = 0; i < relay->part_count; i++) {
        struct part *part = relay->parts[i]->part;
        memset(part->wanted, 0, sizeof part->wanted);
    }
}

void relay_run(struct script_host *host, nanoseconds clock) {
    struct relay *relay = host->relay;
    struct order_key before = {.now = -INFINITY};
    bool may_stop = true;
    relay_begin(relay);
    for (;;) {
        struct order_key horizon = everything;
        relay_round(relay, clock, &horizon, may_stop);
        host_handled(host, horizon.now);
        deliver(host, &horizon);
        if (relay->touched) make_room(relay, &horizon);
        if (horizon.now == INFINITY) break;
        may_stop = key_compare(&before, &horizon) < 0; /* each round comes further than the one before */
        before = horizon;
    }
    relay_forget(relay);
    host_deliver_alerts(host, NULL);
}

void relay_finish(struct script_host *host, nanoseconds clock) {
    struct relay *relay = host->relay;
    relay_begin(relay);
    relay->delivered = host->batch->count;
    for (uint32_t i = 0; i < relay->part_count; i++) {
        struct detector *detector = relay->parts[i];
        part_run(detector, &everything, ns_to_seconds(clock), false);
        detector->feed->current = detector->feed->count;
        detector_finish(detector, clock);
    }
    host_handled(host, INFINITY);
    deliver(host, &everything);
    if (relay->touched) make_room(relay, &everything);
    relay_forget(relay);
    host_deliver_alerts(host, NULL);
}

void part_offer(struct detector *detector, uint32_t mask) {
    uint32_t place = detector->relay->batch->count;
    detector->part->mask[place] = mask;
    detector->part->wanted[place / 64] |= 1ull << (place % 64);
}

void part_free(struct part *part) {
    free(part);
}
