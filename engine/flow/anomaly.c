/* What is odd is counted by (layer, protocol, name); the first of its kind in a flow becomes an event too.
 * The names are static strings, of which there are few: a short array, searched by address first. */
#include "flow/room.h"

#include <stdlib.h>

static bool same(const struct anomaly_count *a, const char *layer, const char *protocol, const char *name) {
    return strcmp(a->name, name) == 0 && strcmp(a->protocol, protocol) == 0 && strcmp(a->layer, layer) == 0;
}

/* The anomaly's number, or ROOM_ANOMALIES if there are too many kinds. */
static uint32_t anomaly_number(struct flow_room *room, const char *layer, const char *protocol,
                               const char *name) {
    for (uint32_t i = 0; i < room->anomaly_count; i++) {
        const struct anomaly_count *a = &room->anomalies[i];
        if (a->name == name && a->protocol == protocol && a->layer == layer) return i;
    }
    for (uint32_t i = 0; i < room->anomaly_count; i++)
        if (same(&room->anomalies[i], layer, protocol, name)) return i;
    if (room->anomaly_count == ROOM_ANOMALIES) return ROOM_ANOMALIES;
    room->anomalies[room->anomaly_count] =
        (struct anomaly_count){.layer = layer, .protocol = protocol, .name = name, .count = 0};
    return room->anomaly_count++;
}

void anomaly_note(struct flow_room *room, struct flow *flow, nanoseconds time, const char *layer,
                  const char *protocol, const char *name) {
    uint32_t number = anomaly_number(room, layer, protocol, name);
    if (number == ROOM_ANOMALIES) return;
    room->anomalies[number].count++;
    if (!flow) return;
    struct flow_rare *rare = flow_rare_of(room, flow);
    if (!rare) return;
    uint64_t bit = 1ULL << (number % 64);
    if (rare->anomalies[number / 64] & bit) return;
    rare->anomalies[number / 64] |= bit;
    struct event_anomaly *e = batch_begin(room->around.batch, EVENT_anomaly);
    if (!e) return;
    flow_fill_head(room, flow, time, &e->head);
    e->body.layer = layer;
    e->body.protocol = protocol;
    e->body.name = name;
    batch_commit(room->around.batch);
}

static int most_first(const void *a, const void *b) {
    const struct anomaly_count *x = a, *y = b;
    if (x->count != y->count) return x->count < y->count ? 1 : -1;
    int order = strcmp(x->layer, y->layer);
    if (order == 0) order = strcmp(x->protocol, y->protocol);
    return order ? order : strcmp(x->name, y->name);
}

uint32_t flow_room_anomalies(const struct flow_room *room, struct anomaly_count *out, uint32_t max) {
    struct anomaly_count sorted[ROOM_ANOMALIES];
    memcpy(sorted, room->anomalies, room->anomaly_count * sizeof *sorted);
    qsort(sorted, room->anomaly_count, sizeof *sorted, most_first);
    uint32_t count = room->anomaly_count < max ? room->anomaly_count : max;
    memcpy(out, sorted, count * sizeof *out);
    return count;
}
