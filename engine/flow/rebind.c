/* See rebind.h. Entries name a flow by its place and its number: of a flow that is over the number is not
 * there any more, so nothing has to be taken out when flows end. */
#include "flow/rebind.h"

#include "flow/room.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>

enum { WAYS = 4, ID_BUCKETS = 2048, ALIAS_BUCKETS = 512 };

struct known_id {
    uint64_t flow_id;
    uint32_t index;
    uint8_t direction, length;
    uint8_t bytes[REBIND_ID_MOST];
};

struct alias {
    struct flow_key key;
    uint64_t flow_id;
    uint32_t index;
    bool swapped; /* side 0 of the alias is side 1 of the flow */
};

struct rebind {
    struct known_id ids[ID_BUCKETS][WAYS];
    struct alias aliases[ALIAS_BUCKETS][WAYS];
    uint32_t lengths; /* bit per length of an id that was learnt */
    bool any_alias;
};

static struct flow *flow_alive(const struct flow_room *room, uint32_t index, uint64_t id) {
    struct flow *flow = index ? room_flow(room, index) : NULL;
    return flow && flow->id == id ? flow : NULL;
}

static struct known_id *id_bucket(const struct flow_room *room, struct slice id) {
    return room->rebind->ids[XXH3_64bits_withSeed(id.at, id.length, room->seed) % ID_BUCKETS];
}

static bool id_equals(const struct known_id *known, struct slice id) {
    return known->length == id.length && memcmp(known->bytes, id.at, id.length) == 0;
}

void rebind_learn(struct flow_room *room, struct flow *flow, enum direction direction, struct slice id) {
    if (id.length < REBIND_ID_LEAST || id.length > REBIND_ID_MOST) return;
    if (!room->rebind) room->rebind = calloc(1, sizeof *room->rebind);
    if (!room->rebind) return;
    struct known_id *bucket = id_bucket(room, id), *place = bucket;
    for (unsigned i = 0; i < WAYS; i++) {
        if (id_equals(&bucket[i], id)) {
            place = &bucket[i];
            break;
        }
        bool alive = flow_alive(room, bucket[i].index, bucket[i].flow_id);
        if (!alive) bucket[i].flow_id = 0;
        if (bucket[i].flow_id < place->flow_id) place = &bucket[i];
    }
    if (place->flow_id && !id_equals(place, id)) room->counters.rebind_evicted++;
    *place = (struct known_id){.flow_id = flow->id,
                               .index = room_index(room, flow),
                               .direction = (uint8_t)direction,
                               .length = (uint8_t)id.length};
    memcpy(place->bytes, id.at, id.length);
    room->rebind->lengths |= 1u << id.length;
}

static const struct known_id *id_find(const struct flow_room *room, struct slice id) {
    if (!(room->rebind->lengths >> id.length & 1)) return NULL;
    const struct known_id *bucket = id_bucket(room, id);
    for (unsigned i = 0; i < WAYS; i++)
        if (id_equals(&bucket[i], id) && flow_alive(room, bucket[i].index, bucket[i].flow_id))
            return &bucket[i];
    return NULL;
}

/* The id that a packet is sent to, if we know it. A short header does not say how long it is (RFC 8999). */
static const struct known_id *id_of_packet(const struct flow_room *room, const struct decoded *d) {
    const uint8_t *p = d->payload;
    uint32_t length = d->payload_captured;
    if (length < 1 + REBIND_ID_LEAST || !(p[0] & 0x40)) return NULL;
    if (p[0] & 0x80) {
        if (length < 6 || p[5] < REBIND_ID_LEAST || p[5] > REBIND_ID_MOST || length < 6u + p[5]) return NULL;
        return id_find(room, (struct slice){p + 6, p[5]});
    }
    for (uint32_t n = REBIND_ID_MOST; n >= REBIND_ID_LEAST; n--) {
        const struct known_id *known = length > n ? id_find(room, (struct slice){p + 1, n}) : NULL;
        if (known) return known;
    }
    return NULL;
}

/* The side whose address the packets are dealt to workers by (sensor/home.h has the rule). */
static unsigned dealt_side(const struct flow_room *room, const struct flow_key *key) {
    bool (*is_local)(void *, const struct ip *) = room->around.is_local;
    bool low = is_local && is_local(room->around.context, &key->address[0]);
    bool high = is_local && is_local(room->around.context, &key->address[1]);
    if (low != high) return high;
    if (key->port[0] != key->port[1]) return key->port[1] > key->port[0];
    return memcmp(&key->address[1], &key->address[0], sizeof(struct ip)) < 0;
}

static bool same_end(const struct flow_key *a, unsigned i, const struct flow_key *b, unsigned j) {
    return a->port[i] == b->port[j] && memcmp(&a->address[i], &b->address[j], sizeof(struct ip)) == 0;
}

/* May the packet that `side` of `key` sent as `sender` of the flow be the flow's? One end must have stayed,
 * and the host that the deal goes by. */
static bool may_be(const struct flow_room *room, const struct flow *flow, unsigned sender,
                   const struct flow_key *key, unsigned side) {
    if (flow->key.proto != PROTO_UDP || flow->key.vlan != key->vlan) return false;
    if (!same_end(key, side, &flow->key, sender) && !same_end(key, !side, &flow->key, !sender)) return false;
    const struct ip *before = &flow->key.address[dealt_side(room, &flow->key)];
    return memcmp(before, &key->address[dealt_side(room, key)], sizeof *before) == 0;
}

static struct alias *alias_bucket(const struct flow_room *room, const struct flow_key *key) {
    return room->rebind->aliases[flow_key_hash(key, room->seed) % ALIAS_BUCKETS];
}

static void alias_put(struct flow_room *room, const struct alias *alias) {
    struct alias *bucket = alias_bucket(room, &alias->key), *place = bucket;
    for (unsigned i = 0; i < WAYS; i++) {
        if (!flow_alive(room, bucket[i].index, bucket[i].flow_id)) bucket[i].flow_id = 0;
        if (bucket[i].flow_id < place->flow_id) place = &bucket[i];
    }
    if (place->flow_id) room->counters.rebind_evicted++;
    *place = *alias;
    room->rebind->any_alias = true;
}

static struct flow *alias_find(const struct flow_room *room, const struct flow_key *key, unsigned *side) {
    if (!room->rebind->any_alias) return NULL;
    struct alias *bucket = alias_bucket(room, key);
    for (unsigned i = 0; i < WAYS; i++) {
        struct flow *flow = flow_alive(room, bucket[i].index, bucket[i].flow_id);
        if (!flow || !flow_key_equals(&bucket[i].key, key)) continue;
        *side ^= bucket[i].swapped;
        return flow;
    }
    return NULL;
}

/* `end` of `key` is where one side of the flow is now. */
static void note(struct flow_room *room, struct flow *flow, const struct flow_key *key, unsigned end) {
    struct flow_rare *rare = flow_rare_of(room, flow);
    room->counters.rebinds++;
    if (!rare) return;
    rare->rebinds++;
    rare->rebound_ip = key->address[end];
    rare->rebound_port = key->port[end];
}

struct flow *rebind_find(struct flow_room *room, const struct flow_key *key, unsigned *side,
                         const struct decoded *d) {
    if (!room->rebind || key->proto != PROTO_UDP || !d->has_ports) return NULL;
    struct flow *flow = alias_find(room, key, side);
    if (flow) return flow;
    const struct known_id *known = id_of_packet(room, d);
    if (!known) return NULL;
    flow = room_flow(room, known->index);
    unsigned sender = flow_sender(flow, (enum direction)known->direction);
    if (!may_be(room, flow, sender, key, *side)) return NULL;
    note(room, flow, key, same_end(key, *side, &flow->key, sender) ? !*side : *side);
    alias_put(room, &(struct alias){.key = *key,
                                    .flow_id = flow->id,
                                    .index = room_index(room, flow),
                                    .swapped = sender != *side});
    *side = sender;
    return flow;
}

uint64_t rebind_memory(const struct flow_room *room) {
    return room->rebind ? sizeof *room->rebind : 0;
}

void rebind_release(struct flow_room *room) {
    free(room->rebind);
    room->rebind = NULL;
}
