/* The room: bursts of packets in, flows begun, updated and ended, the clock run.
 *
 * A burst is worked on in stages, so that the memory of many packets' flows is on its way at once: keys and
 * hashes for all, buckets prefetched; then one packet after the other in full, timeouts in between, while the
 * flow of a packet some places further on is guessed at and prefetched. Only working in full decides
 * anything, so nothing depends on how packets were dealt into bursts. */
#include "flow/programs.h"
#include "flow/rebind.h"
#include "flow/wiretap.h"

#include <stdlib.h>
#include <sys/random.h>

struct flow_config flow_config_defaults(void) {
    return (struct flow_config){
        .max_flows = 256 * 1024,
        .max_names = 64 * 1024,
        .reassembly_total = 256ULL * 1024 * 1024,
        .reassembly_per_flow = 1024 * 1024,
        .timeout_tcp_new = 60 * NS_PER_SECOND,
        .timeout_tcp_established = 3600 * NS_PER_SECOND,
        .timeout_tcp_closed = 10 * NS_PER_SECOND,
        .timeout_udp_new = 30 * NS_PER_SECOND,
        .timeout_udp_established = 180 * NS_PER_SECOND,
        .timeout_other = 60 * NS_PER_SECOND,
    };
}

static nanoseconds timeout_of(const struct flow_config *config, const struct flow *flow) {
    if (flow->key.proto == PROTO_UDP)
        return flow->marks & MARK_BOTH_SIDES ? config->timeout_udp_established : config->timeout_udp_new;
    if (!flow_is_tcp(flow)) return config->timeout_other;
    if (flow->tcp_state == TCP_STATE_CLOSED) return config->timeout_tcp_closed;
    return flow->tcp_state >= TCP_STATE_ESTABLISHED ? config->timeout_tcp_established
                                                    : config->timeout_tcp_new;
}

nanoseconds flow_deadline(const struct flow_room *room, const struct flow *flow) {
    return flow->last + (nanoseconds)flow->lag * NS_PER_SECOND + timeout_of(&room->config, flow);
}

static struct wheel_due end_due(void *context, uint32_t index) {
    const struct flow_room *room = context;
    const struct flow *flow = room_flow(room, index);
    return (struct wheel_due){.due = flow_deadline(room, flow), .order = flow->id};
}

static struct wheel_due onset_due(void *context, uint32_t index) {
    const struct flow_room *room = context;
    const struct flow *flow = room_flow(room, index);
    return (struct wheel_due){.due = onset_deadline(room, flow), .order = flow->id};
}

static void take_protocols(struct flow_room *room) {
    for (uint32_t i = 0; room->around.protocols && room->around.protocols[i] && i < ROOM_PROTOCOLS; i++) {
        const struct protocol *protocol = room->around.protocols[i];
        room->protocols[i] = protocol;
        room->protocol_count = i + 1;
        for (unsigned transport = TRANSPORT_TCP; transport <= TRANSPORT_IP; transport *= 2)
            if (protocol->transports & transport) room->candidates[transport] |= 1ULL << i;
    }
}

static int reserve(struct flow_room *room, struct error *err) {
    const struct flow_config *config = &room->config;
    if (slab_init(&room->flows, sizeof(struct flow), config->max_flows, true, err) ||
        table_init(&room->table, &room->flows, config->max_flows, err) ||
        wheel_init(&room->ends, config->max_flows, end_due, room, err) ||
        wheel_init(&room->onsets, config->max_flows, onset_due, room, err) ||
        slab_init(&room->facts, sizeof(struct flow_facts), config->max_flows, true, err) ||
        slab_init(&room->stories, sizeof(struct flow_story), config->max_flows, true, err) ||
        slab_init(&room->rare, sizeof(struct flow_rare), config->max_flows, false, err) ||
        slab_init(&room->programs, sizeof(struct flow_programs), config->max_flows, false, err) ||
        talk_init(room, err) || chunks_init(&room->chunks, config->reassembly_total, err))
        return -1;
    room->names = names_new(config->max_names, err);
    return room->names ? 0 : -1;
}

struct flow_room *flow_room_new(const struct flow_config *config, const struct flow_surroundings *around,
                                struct error *err) {
    struct flow_room *room = calloc(1, sizeof *room);
    if (!room) {
        error_set(err, "out of memory for the flow table");
        return NULL;
    }
    room->config = *config;
    if (room->config.max_flows == 0) room->config.max_flows = 1;
    if (room->config.max_flows > UINT32_MAX / 2) room->config.max_flows = UINT32_MAX / 2;
    room->around = *around;
    room->next_id = 1;
    if (getrandom(&room->seed, sizeof room->seed, 0) < 0) room->seed = (uintptr_t)room;
    room->tunnels.seed = room->seed;
    take_protocols(room);
    if (reserve(room, err) == 0) return room;
    flow_room_free(room);
    return NULL;
}

/* What flows own outside the slabs. Parsers' `end` is not called: that is flow_room_finish()'s. */
static void release_flows(struct flow_room *room) {
    for (uint32_t i = 1; room->flows.base && i <= room->flows.top; i++) {
        struct flow *flow = room_flow(room, i);
        if (flow->id == 0) continue;
        talk_discard(room, flow);
        wiretap_discard(room, flow);
        facts_release(room, flow);
    }
}

void flow_room_free(struct flow_room *room) {
    if (!room) return;
    release_flows(room);
    slab_release(&room->flows);
    table_release(&room->table);
    wheel_release(&room->ends);
    wheel_release(&room->onsets);
    slab_release(&room->facts);
    slab_release(&room->stories);
    slab_release(&room->rare);
    slab_release(&room->programs);
    talk_release(room);
    chunks_release(&room->chunks);
    names_free(room->names);
    rebind_release(room);
    tunnels_release(&room->tunnels);
    free(room);
}

static const char *reason_word(struct flow_room *room, const struct flow *flow, enum end_reason reason) {
    struct flow_counters *n = &room->counters;
    bool closed = flow_is_tcp(flow) && flow->tcp_state == TCP_STATE_CLOSED;
    if (closed) reason = flow->marks & MARK_RST ? END_RST : END_FIN;
    switch (reason) {
    case END_FIN:
        n->ended_fin++;
        return "fin";
    case END_RST:
        n->ended_rst++;
        return "rst";
    case END_TIMEOUT:
        n->ended_timeout++;
        return "timeout";
    case END_EVICTED:
        n->ended_evicted++;
        return "evicted";
    case END_REUSED:
        n->ended_reused++;
        return "reused";
    case END_OF_CAPTURE:
        break;
    }
    n->ended_capture++;
    return "end_of_capture";
}

static void flow_end(struct flow_room *room, struct flow *flow, enum end_reason reason) {
    uint32_t index = room_index(room, flow);
    programs_finish(room, flow);
    talk_finish(room, flow);
    if (flow->marks & MARK_TAP) wiretap_finish(room, flow);
    onset_finish(room, flow);
    record_flow(room, flow, reason_word(room, flow, reason));
    wheel_remove(&room->ends, index);
    table_remove(&room->table, flow_key_hash(&flow->key, room->seed), index);
    tunnels_leave(&room->tunnels, flow->key.vlan);
    facts_release(room, flow);
    flow->id = 0;
    slab_give(&room->flows, index);
    room->counters.active--;
}

static void count_flow(struct flow_counters *n, const struct flow *flow) {
    n->flows++;
    if (flow->key.proto == PROTO_TCP)
        n->flows_tcp++;
    else if (flow->key.proto == PROTO_UDP)
        n->flows_udp++;
    else if (flow_is_icmp(flow))
        n->flows_icmp++;
    else
        n->flows_other++;
    if (flow->marks & MARK_MIDSTREAM) n->midstream++;
    if (++n->active > n->active_peak) n->active_peak = n->active;
}

static uint16_t first_marks(const struct flow_room *room, const struct flow *flow, unsigned side,
                            const struct decoded *d) {
    unsigned client = roles_sender_is_client(d) ? side : !side;
    uint16_t marks = client ? MARK_CLIENT_HIGH : 0;
    bool stream = d->proto == PROTO_TCP || d->proto == PROTO_UDP;
    if (stream && !d->has_ports) marks |= MARK_PORTLESS | MARK_SILENT;
    if (d->proto == PROTO_TCP && d->has_ports && (d->tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
        marks |= MARK_MIDSTREAM;
    bool (*is_local)(void *, const struct ip *) = room->around.is_local;
    if (is_local && is_local(room->around.context, &flow->key.address[client])) marks |= MARK_CLIENT_LOCAL;
    if (is_local && is_local(room->around.context, &flow->key.address[!client])) marks |= MARK_SERVER_LOCAL;
    if (!talk_possible(room, d->proto)) marks |= MARK_SILENT;
    return marks;
}

static void name_by_dns(struct flow_room *room, struct flow *flow) {
    const struct ip *client = &flow->key.address[flow_client(flow)],
                    *server = &flow->key.address[flow_server(flow)];
    facts_name(room, flow, NAME_DNS, names_find(room->names, client, server, room->clock, NULL));
}

static struct flow *flow_begin(struct flow_room *room, const struct flow_key *key, uint64_t hash,
                               unsigned side, const struct decoded *d, nanoseconds time) {
    uint32_t index = slab_take(&room->flows);
    if (index == 0) {
        flow_end(room, room_flow(room, wheel_nearest(&room->ends)), END_EVICTED);
        index = slab_take(&room->flows);
    }
    struct flow *flow = room_flow(room, index);
    flow->key = *key;
    flow->id = room->next_id++;
    flow->start = time;
    flow->last = time;
    flow->lag = (uint32_t)((room->clock - time) / NS_PER_SECOND);
    flow->payload_side = SIDE_NONE;
    flow->icmp_type = icmp_is_echo_reply(d) ? icmp_request_of(d->proto) : d->icmp_type;
    flow->icmp_code = d->icmp_code;
    flow->marks = first_marks(room, flow, side, d);
    if (room->wishes_open && d->has_ports && wiretap_possible(room, flow)) flow->marks |= MARK_TAP;
    table_insert(&room->table, hash, index);
    wheel_put(&room->ends, index);
    count_flow(&room->counters, flow);
    tunnels_enter(&room->tunnels, key->vlan);
    if (d->tunnel) facts_tunnel(room, flow, d->tunnel);
    name_by_dns(room, flow);
    programs_packet(room, flow, side, room->packet, d);
    record_flow_start(room, flow, d);
    return flow;
}

/* The clock as what happens at `due` sees it. */
static void clock_at(struct flow_room *room, nanoseconds due) {
    if (due > room->around.batch->clock) room->around.batch->clock = due;
}

/* Ends exchanges and flows that are over by now, each at its own time, in order. */
static void run_timeouts(struct flow_room *room) {
    for (;;) {
        nanoseconds onset = 0, end = 0;
        uint32_t quiet = wheel_first(&room->onsets, room->clock, &onset);
        uint32_t over = wheel_first(&room->ends, room->clock, &end);
        if (quiet && (!over || onset <= end)) {
            clock_at(room, onset);
            onset_finish(room, room_flow(room, quiet));
        } else if (over) {
            clock_at(room, end);
            flow_end(room, room_flow(room, over), END_TIMEOUT);
        } else {
            break;
        }
    }
}

void flow_room_advance(struct flow_room *room, nanoseconds now) {
    if (now > room->clock) {
        room->clock = now;
        if (now >= room->ends.attention || now >= room->onsets.attention) run_timeouts(room);
    }
    clock_at(room, room->clock);
}

/* Times are kept within 32 bits of seconds (to 2106), so that sums of them cannot overflow. */
static nanoseconds sane_time(nanoseconds time) {
    const nanoseconds latest = (nanoseconds)UINT32_MAX * NS_PER_SECOND;
    return time < 0 ? 0 : time > latest ? latest : time;
}

struct lookup {
    struct flow_key key;
    uint64_t hash;
    unsigned side;
};

/* The flow of a packet, begun if need be. */
static struct flow *flow_of(struct flow_room *room, struct lookup *lookup, const struct decoded *d,
                            nanoseconds time) {
    uint32_t index = table_find(&room->table, lookup->hash, &lookup->key);
    if (index) {
        struct flow *flow = room_flow(room, index);
        bool anew = (d->tcp_flags & TCP_SYN) && flow_is_tcp(flow) && d->has_ports &&
                    tcp_begins_anew(flow, lookup->side, d);
        if (!anew) return flow;
        flow_end(room, flow, END_REUSED);
    } else {
        struct flow *flow = rebind_find(room, &lookup->key, &lookup->side, d);
        if (flow) return flow;
    }
    return flow_begin(room, &lookup->key, lookup->hash, lookup->side, d, time);
}

/* A processor has only so many misses on their way and drops the prefetches beyond: all flows of a burst at
 * once cost 200 ns a packet at 100,000 flows, eight ahead 118. */
enum { FLOWS_AHEAD = 8 };

static inline void flow_prefetch(const struct flow_room *room, const struct lookup *lookup,
                                 const struct decoded *d, bool whole) {
    if (d->kind != DECODED_TRANSPORT) return;
    uint32_t index = table_guess(&room->table, lookup->hash);
    if (!index) return;
    struct flow *flow = room_flow(room, index);
    __builtin_prefetch(flow, 1);
    __builtin_prefetch(flow_side(flow, lookup->side), 1);
    if (!whole) return; /* events of packets tell more: its number, what is missing of either side */
    __builtin_prefetch(&flow->id);
    __builtin_prefetch(flow_side(flow, !lookup->side));
}

static void key_tunnel(struct flow_room *room, const struct decoded *d, struct flow_key *key) {
    if (d->tunnel->identity == 0) return;
    key->vlan = tunnels_number(&room->tunnels, d->tunnel, d->vlan);
}

static void burst(struct flow_room *room, const struct packet *packets, const struct decoded *decoded,
                  int count, flow_packet_handler *on_packet, void *context) {
    struct lookup lookups[PACKET_BURST];
    room->tunnels.burst++;
    for (int i = 0; i < count; i++) {
        if (decoded[i].kind != DECODED_TRANSPORT) continue;
        lookups[i].side = flow_key_of(&packets[i], &decoded[i], &lookups[i].key);
        if (__builtin_expect(decoded[i].tunnel != NULL, 0)) key_tunnel(room, &decoded[i], &lookups[i].key);
    }
    for (int i = 0; i < count; i++) { /* on its own: a key is read in wider pieces than it was written */
        if (decoded[i].kind != DECODED_TRANSPORT) continue;
        lookups[i].hash = flow_key_hash(&lookups[i].key, room->seed);
        table_prefetch(&room->table, lookups[i].hash);
    }
    for (int i = 0; i < FLOWS_AHEAD && i < count; i++)
        flow_prefetch(room, &lookups[i], &decoded[i], on_packet);
    for (int i = 0; i < count; i++) {
        const struct decoded *d = &decoded[i];
        int ahead = i + FLOWS_AHEAD;
        if (ahead < count) flow_prefetch(room, &lookups[ahead], &decoded[ahead], on_packet);
        nanoseconds time = sane_time(packets[i].time);
        flow_room_advance(room, time);
        if (d->kind != DECODED_TRANSPORT) {
            if (d->anomaly)
                anomaly_note(room, NULL, time, "decode", d->anomaly_protocol ? d->anomaly_protocol : "ip",
                             d->anomaly);
            continue;
        }
        room->packet = &packets[i];
        struct flow *flow = flow_of(room, &lookups[i], d, time);
        if (packets[i].origin || room->around.programs)
            programs_packet(room, flow, lookups[i].side, &packets[i], d);
        if (packets[i].origin) programs_marks(room, flow, packets[i].origin);
        flow_update(room, flow, lookups[i].side, d, time);
        if (on_packet) on_packet(context, flow, &packets[i], d, flow_direction(flow, lookups[i].side));
    }
}

void flow_room_burst(struct flow_room *room, const struct packet *packets, const struct decoded *decoded,
                     int count, flow_packet_handler *on_packet, void *context) {
    const bool *wants = room->around.batch->listener.wants;
    room->flows_told = wants && wants[EVENT_flow];
    room->exchanges_told = room->flows_told || (wants && wants[EVENT_onset]);
    if (room->wishes_gone) wiretap_forget(room);
    for (int at = 0; at < count; at += PACKET_BURST) {
        int some = count - at < PACKET_BURST ? count - at : PACKET_BURST;
        burst(room, packets + at, decoded + at, some, on_packet, context);
    }
}

static int by_id(const void *a, const void *b) {
    const struct flow *x = *(struct flow *const *)a, *y = *(struct flow *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

void flow_room_finish(struct flow_room *room) {
    uint32_t count = 0, top = room->flows.top;
    struct flow **live = malloc(((size_t)room->flows.live + 1) * sizeof *live);
    for (uint32_t i = 1; i <= top; i++) {
        struct flow *flow = room_flow(room, i);
        if (flow->id == 0) continue;
        if (live)
            live[count++] = flow;
        else
            flow_end(room, flow, END_OF_CAPTURE); /* without memory to sort: as they lie */
    }
    if (count > 1) qsort(live, count, sizeof *live, by_id);
    for (uint32_t i = 0; i < count; i++) flow_end(room, live[i], END_OF_CAPTURE);
    free(live);
}

const struct flow_counters *flow_room_counters(struct flow_room *room) {
    struct flow_counters *n = &room->counters;
    n->tunnels_refused = room->tunnels.refused;
    n->names_evicted = names_evicted(room->names);
    n->memory = tunnels_memory(&room->tunnels) + slab_memory(&room->flows) + table_memory(&room->table) +
                wheel_memory(&room->ends) + wheel_memory(&room->onsets) + slab_memory(&room->facts) +
                slab_memory(&room->stories) + slab_memory(&room->rare) + slab_memory(&room->programs) +
                room->strings + rebind_memory(room) + talk_memory(room) + slab_memory(&room->chunks.slab);
    return n;
}
