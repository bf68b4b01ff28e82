/* See relay.h. The tree of what was emitted, and how it is kept. */
#include "script/relay_inner.h"

#include "script/entry.h"
#include "script/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NODES_AT_FIRST = 256 };

/* ---------------------------------------------------------------- the tree */

int key_compare(const struct order_key *a, const struct order_key *b) {
    if (a->now != b->now) return a->now < b->now ? -1 : 1;
    if (a->seq != b->seq) return a->seq < b->seq ? -1 : 1;
    return a->rank < b->rank ? -1 : a->rank > b->rank;
}

static uint32_t node_new(struct relay *relay) {
    uint32_t node = relay->free_node;
    if (node) {
        relay->free_node = relay->nodes[node].next;
        return node;
    }
    if (relay->node_count + 1 >= relay->node_room) {
        uint32_t room = relay->node_room ? relay->node_room * 2 : NODES_AT_FIRST;
        struct emitted *grown = realloc(relay->nodes, room * sizeof *grown);
        if (!grown) return 0;
        relay->nodes = grown;
        relay->node_room = room;
    }
    return ++relay->node_count; /* 0 is none */
}

void node_free(struct relay *relay, uint32_t node) {
    relay->nodes[node] = (struct emitted){.next = relay->free_node};
    relay->free_node = node;
}

static void hang_below(struct relay *relay, uint32_t node, uint32_t *first, uint32_t *last) {
    if (*last)
        relay->nodes[*last].next = node;
    else
        *first = node;
    *last = node;
}

/* By key, behind those of the same key. An emitter's timers run in order, so the search begins at its last.
 */
static void place_by_time(struct relay *relay, struct emitter *emitter, uint32_t node) {
    const struct order_key *key = &relay->nodes[node].key;
    uint32_t before = emitter->hint, after = before ? relay->nodes[before].next : relay->timers;
    while (after && key_compare(&relay->nodes[after].key, key) <= 0) {
        before = after;
        after = relay->nodes[after].next;
    }
    relay->nodes[node].next = after;
    if (before)
        relay->nodes[before].next = node;
    else
        relay->timers = node;
    emitter->hint = node;
}

int relay_emit(struct detector *detector, struct custom_kind *kind, uint32_t slot,
               const struct order_key *key) {
    struct emitter *emitter = detector->emitter;
    struct relay *relay = emitter->relay;
    const struct part *part = detector->part;
    const struct lunette_feed *feed = detector->feed;
    const struct event_head_body *at_hand = detector_at_hand(detector);
    uint32_t number = node_new(relay);
    if (!number) return -1;
    struct emitted *node = &relay->nodes[number];
    *node = (struct emitted){.kind = kind, .key = *key, .slot = slot};
    relay->touched = true;
    emitter->last = *key;
    if (!at_hand) {
        node->of_timer = true;
        place_by_time(relay, emitter, number);
    } else {
        node->iface = part_iface(detector, at_hand);
        node->parent = part->node[feed->current];
        if (node->parent) {
            struct emitted *parent = &relay->nodes[node->parent];
            hang_below(relay, number, &parent->first_child, &parent->last_child);
        } else {
            uint32_t root = part->place[feed->current];
            hang_below(relay, number, &relay->first[root], &relay->last[root]);
            relay->hung[root / 64] |= 1ull << (root % 64);
        }
    }
    if (emitter_is_full(emitter)) part_stop_soon(detector);
    return 0;
}

struct order_key engine_key(const struct batch *batch, uint32_t place) {
    const struct event_head_body *head = batch_event(batch, place);
    return (struct order_key){.now = ns_to_seconds(head->clock), .seq = head->seq};
}

/* The next event in the tree of one root; 0: that was all. */
uint32_t node_after(const struct relay *relay, uint32_t node) {
    const struct emitted *at = &relay->nodes[node];
    if (at->first_child) return at->first_child;
    for (;;) {
        if (at->of_timer) return 0;
        if (at->next) return at->next;
        if (!at->parent) return 0;
        at = &relay->nodes[at->parent];
    }
}

void relay_origin(const struct detector *detector, struct order_key *out) {
    const struct lunette_feed *feed = detector->feed;
    const struct part *part = detector->part;
    if (detector_at_hand(detector)) {
        *out = part->key[feed->current];
        return;
    }
    double clock = 0;
    const struct event_head_body *last = detector_last(detector, &clock);
    *out = (struct order_key){.now = feed->now,
                              .seq = last && clock == feed->now ? last->seq : 0,
                              .rank = detector->emitter->rank + 1};
}

bool part_is_of_timer(const struct detector *detector) {
    return detector->part && detector_at_hand(detector) &&
           detector->part->key[detector->feed->current].rank > 0;
}

struct text_ref part_iface(const struct detector *detector, const struct event_head_body *head) {
    const struct part *part = detector->part;
    uint32_t n = detector->feed->current;
    uint32_t node = part && n < detector->feed->count ? part->node[n] : 0;
    return node ? detector->relay->nodes[node].iface : head->iface;
}

/* ------------------------------------------------------------- who takes part */

static bool hears(const struct detector *detector, const struct custom_kind *kind) {
    for (uint32_t i = 0; i < detector->known_count; i++)
        if (detector->known[i] == kind) return true;
    return false;
}

static bool is_part(const struct detector *detector) {
    return detector->emitter || detector->known_count > 0;
}

/* Emitters first: depth first, in the order of the paths. There are no cycles. */
static void add_part(struct relay *relay, const struct script_host *host, struct detector *detector) {
    for (uint32_t i = 0; i < relay->part_count; i++)
        if (relay->parts[i] == detector) return;
    for (uint32_t k = 0; k < detector->known_count; k++)
        for (uint32_t i = 0; i < host->count; i++)
            if (host->detectors[i]->emitter == detector->known[k]->emitter)
                add_part(relay, host, host->detectors[i]);
    relay->parts[relay->part_count++] = detector;
}

static void find_listeners(const struct script_host *host, struct custom_kind *kind) {
    const struct script_sink *sink = &host->sink;
    kind->recorded = sink->wants_custom && sink->wants_custom(sink->context, kind->declared.schema.name);
    kind->wanted = kind->recorded;
    for (uint32_t i = 0; i < host->count && !kind->wanted; i++)
        kind->wanted = hears(host->detectors[i], kind);
}

int relay_arrange(struct script_host *host) {
    struct relay *relay = host->relay;
    relay->part_count = 0;
    struct detector **parts = calloc(host->count ? host->count : 1, sizeof(struct detector *));
    if (!parts) return -1;
    for (uint32_t i = 0; i < host->count; i++) {
        struct detector *detector = host->detectors[i];
        if (is_part(detector) && !detector->part) detector->part = calloc(1, sizeof *detector->part);
        if (!is_part(detector) || detector->part) continue;
        free(parts);
        return -1;
    }
    free(relay->parts);
    relay->parts = parts;
    relay->batch = host->batch;
    for (uint32_t i = 0; i < host->count; i++)
        if (is_part(host->detectors[i])) add_part(relay, host, host->detectors[i]);
    for (uint32_t i = 0; i < relay->part_count; i++) {
        struct emitter *emitter = relay->parts[i]->emitter;
        relay->parts[i]->relay = relay;
        if (!emitter) continue;
        emitter->relay = relay;
        emitter->rank = i;
        for (uint32_t k = 0; k < emitter->kind_count; k++) find_listeners(host, emitter->kinds[k]);
    }
    return 0;
}

void relay_free(struct relay *relay) {
    if (!relay) return;
    free(relay->parts);
    free(relay->nodes);
    free(relay);
}
