/* Who speaks what: recognition, and driving the parser that was chosen.
 *
 * While the protocol is unknown, both directions' first bytes are kept (2 KiB each at most) and every
 * candidate is asked again as they grow. When one says yes, the bytes kept so far are fed to it in the order
 * in which they came. Datagrams are not kept: the first few of each side are shown to all, until one is
 * recognised.
 *
 * A stream may be handed over (STARTTLS, proxies): its parser is ended, and what follows is recognised anew,
 * as if a flow began there. Until that has an answer the flow keeps the old one's name.
 *
 * Parsers are called while a packet is worked on; a talk that is over is only closed after that, in
 * talk_packet(). */
#include "flow/wiretap.h"

#include <stdlib.h>

static enum transport transport_of(uint8_t proto) {
    switch (proto) {
    case PROTO_TCP:
        return TRANSPORT_TCP;
    case PROTO_UDP:
        return TRANSPORT_UDP;
    case PROTO_ICMP:
        return TRANSPORT_ICMP;
    case PROTO_ICMPV6:
        return TRANSPORT_ICMPV6;
    default:
        return TRANSPORT_IP;
    }
}

bool talk_possible(const struct flow_room *room, uint8_t proto) {
    return room->candidates[transport_of(proto)] != 0;
}

int talk_init(struct flow_room *room, struct error *err) {
    uint32_t max = room->config.max_flows;
    if (slab_init(&room->talks, sizeof(struct talk), max, false, err) ||
        slab_init(&room->taps, sizeof(struct wiretap), max, false, err) ||
        chunks_init(&room->tap_chunks, room->config.reassembly_total, err))
        return -1;
    for (uint32_t i = 0; i < room->protocol_count; i++) {
        uint32_t size = (room->protocols[i]->state_size + 15) & ~15u;
        if (size > 0 && slab_init(&room->states[i], size, max, false, err)) return -1;
        if (room->protocols[i]->share) room->shared[i] = room->protocols[i]->share();
    }
    return 0;
}

void talk_release(struct flow_room *room) {
    slab_release(&room->talks);
    slab_release(&room->taps);
    chunks_release(&room->tap_chunks);
    for (uint32_t i = 0; i < room->protocol_count; i++) {
        slab_release(&room->states[i]);
        if (room->protocols[i]->unshare) room->protocols[i]->unshare(room->shared[i]);
    }
}

uint64_t talk_memory(const struct flow_room *room) {
    uint64_t bytes = slab_memory(&room->talks) + room->held + wiretap_memory(room);
    for (uint32_t i = 0; i < room->protocol_count; i++) bytes += slab_memory(&room->states[i]);
    return bytes;
}

static void kept_release(struct flow_room *room, struct half *half) {
    room->held -= half->kept_capacity;
    free(half->kept);
    half->kept = NULL;
    half->kept_length = 0;
    half->kept_capacity = 0;
}

static bool kept_append(struct flow_room *room, struct half *half, const uint8_t *data, uint32_t length) {
    uint32_t need = half->kept_length + length;
    if (need > half->kept_capacity) {
        uint32_t capacity = half->kept_capacity ? half->kept_capacity : 1024;
        while (capacity < need) capacity *= 2;
        uint8_t *bigger = realloc(half->kept, capacity);
        if (!bigger) return false;
        room->held += capacity - half->kept_capacity;
        half->kept = bigger;
        half->kept_capacity = capacity;
    }
    memcpy(half->kept + half->kept_length, data, length);
    half->kept_length = need;
    return true;
}

void talk_stop(struct flow_room *room, struct talk *talk, enum direction direction) {
    struct half *half = &talk->half[direction];
    half->done = true;
    kept_release(room, half);
    while (half->chunks) {
        chunks_drop_first(talk_chunks(room, talk), &half->chunks);
        talk->blocks--;
    }
    if (talk->half[!direction].done) talk->over = true;
}

static struct talk *talk_begin(struct flow_room *room, struct flow *flow) {
    flow->talk = slab_take(&room->talks);
    if (!flow->talk) return NULL;
    flow->marks |= MARK_TALK;
    struct talk *talk = talk_of(room, flow);
    talk->conversation.flow = flow;
    talk->conversation.room = room;
    talk->candidates = room->candidates[transport_of(flow->key.proto)];
    return talk;
}

void talk_discard(struct flow_room *room, struct flow *flow) {
    if (!(flow->marks & MARK_TALK)) return;
    struct talk *talk = talk_of(room, flow);
    talk_stop(room, talk, TO_SERVER);
    talk_stop(room, talk, TO_CLIENT);
    if (talk->state) slab_give(&room->states[flow->protocol - 1], talk->state);
    if (talk->next_state) slab_give(&room->states[talk->next - 1], talk->next_state);
    slab_give(&room->talks, flow->talk);
    flow->talk = 0;
    flow->marks = (uint16_t)((flow->marks & ~MARK_TALK) | MARK_SILENT);
}

static void talk_close(struct flow_room *room, struct flow *flow) {
    struct talk *talk = talk_of(room, flow);
    struct conversation *c = &talk->conversation;
    c->packet = NULL;
    if (talk->protocol && talk->protocol->end) talk->protocol->end(c);
    bool doubted = talk->doubted;
    talk_discard(room, flow);
    if (doubted) flow->protocol = 0;
}

void talk_finish(struct flow_room *room, struct flow *flow) {
    if (!(flow->marks & MARK_TALK)) return;
    struct talk *talk = talk_of(room, flow);
    talk->conversation.time = flow->last;
    talk->conversation.packet = NULL;
    stream_flush(room, talk);
    talk_close(room, flow);
}

/* Ends the parser, of which only the name stays with the flow. */
static void parser_end(struct flow_room *room, struct talk *talk) {
    struct conversation *c = &talk->conversation;
    const struct decoded *packet = c->packet;
    c->packet = NULL;
    if (talk->protocol->end) talk->protocol->end(c);
    c->packet = packet;
    if (talk->state) slab_give(&room->states[c->flow->protocol - 1], talk->state);
    talk->state = 0;
    talk->protocol = NULL;
    c->state = NULL;
    c->shared = NULL;
}

/* Remembers who was first, once there is a second. */
static void note_carrier(struct flow_room *room, struct flow *flow) {
    struct flow_facts *facts = flow_facts_of(room, flow);
    if (facts && !facts->carrier) facts->carrier = flow->protocol;
}

/* Makes the protocol the flow's; its state is there. */
static void talk_take(struct flow_room *room, struct talk *talk, unsigned number) {
    struct conversation *c = &talk->conversation;
    if (talk->state) c->state = slab_at(&room->states[number], talk->state);
    if (talk->layers > 0) note_carrier(room, c->flow);
    talk->protocol = room->protocols[number];
    c->shared = room->shared[number];
    c->flow->protocol = (uint8_t)(number + 1);
}

static bool talk_choose(struct flow_room *room, struct talk *talk, unsigned number) {
    if (room->protocols[number]->state_size > 0) {
        talk->state = slab_take(&room->states[number]);
        if (!talk->state) return false;
    }
    talk_take(room, talk, number);
    return true;
}

void *talk_appoint(struct flow_room *room, struct talk *talk, const struct protocol *next) {
    uint32_t number = 0;
    while (number < room->protocol_count && room->protocols[number] != next) number++;
    if (number == room->protocol_count || talk->layers == TALK_LAYERS || talk->next) return NULL;
    talk->next_state = slab_take(&room->states[number]);
    if (!talk->next_state) return NULL;
    talk->next = (uint8_t)(number + 1);
    talk->handed = true;
    return slab_at(&room->states[number], talk->next_state);
}

/* Shows the bytes to all candidates. Returns the number of the one that says yes, or -1. */
static int ask(const struct flow_room *room, uint64_t *candidates, const struct probe *probe) {
    for (uint64_t rest = *candidates; rest; rest &= rest - 1) {
        unsigned number = (unsigned)__builtin_ctzll(rest);
        enum recognised answer = room->protocols[number]->recognise(probe);
        if (answer == RECOGNISED_YES) return (int)number;
        if (answer == RECOGNISED_NO) *candidates &= ~(1ULL << number);
    }
    return -1;
}

static struct probe probe_of(const struct flow *flow, enum direction direction) {
    return (struct probe){.direction = direction,
                          .transport = (uint8_t)transport_of(flow->key.proto),
                          .ip_proto = flow->key.proto,
                          .client_port = flow->key.port[flow_client(flow)],
                          .server_port = flow->key.port[flow_server(flow)]};
}

static void note_run(struct talk *talk, enum direction direction, uint32_t length) {
    if (talk->run_count > 0 && talk->runs[talk->run_count - 1].direction == direction) {
        talk->runs[talk->run_count - 1].length += length;
    } else if (talk->run_count < TALK_RUNS) {
        talk->runs[talk->run_count++] = (struct run){.length = length, .direction = direction};
    } else { /* too much to and fro to remember: the order is kept within the direction */
        talk->runs[TALK_RUNS - 2].length += length;
    }
}

/* Feeds the kept bytes to the parser that was just chosen. */
static void feed_runs(struct flow_room *room, struct talk *talk) {
    struct half kept[2] = {talk->half[0], talk->half[1]};
    for (unsigned i = 0; i < 2; i++) {
        talk->half[i].kept = NULL;
        talk->half[i].kept_length = talk->half[i].kept_capacity = 0;
    }
    struct run runs[TALK_RUNS]; /* a copy: if the parser hands over, the next recognition needs the place */
    unsigned count = talk->run_count;
    memcpy(runs, talk->runs, count * sizeof *runs);
    talk->run_count = 0;
    uint32_t used[2] = {0, 0};
    for (unsigned i = 0; i < count && !talk->over; i++) {
        unsigned direction = runs[i].direction;
        const uint8_t *data = kept[direction].kept + used[direction];
        used[direction] += runs[i].length;
        if (!talk->half[direction].done)
            talk_feed(room, talk, (enum direction)direction, data, runs[i].length);
    }
    for (unsigned i = 0; i < 2; i++) kept_release(room, &kept[i]);
}

static void recognise(struct flow_room *room, struct talk *talk, enum direction direction,
                      const uint8_t *data, uint32_t length) {
    struct half *half = &talk->half[direction];
    struct flow *flow = talk->conversation.flow;
    struct probe probe = probe_of(flow, direction);
    if (talk->layers > 0) probe.carrier = room->protocols[flow->protocol - 1]->name;
    bool first = half->kept_length == 0;
    if (!first && !kept_append(room, half, data, length)) {
        talk->over = true;
        return;
    }
    probe.data = first ? data : half->kept;
    probe.length = probe.original = first ? length : half->kept_length;
    probe.other = (struct slice){talk->half[!direction].kept, talk->half[!direction].kept_length};
    int number = ask(room, &talk->candidates, &probe);
    if (number >= 0 && !talk_choose(room, talk, (unsigned)number)) {
        number = -1;
        talk->candidates = 0;
    }
    if (number >= 0 && talk->run_count == 0) {
        talk_feed(room, talk, direction, data, length); /* the usual case: nothing was copied */
        return;
    }
    bool hopeless = talk->candidates == 0 || probe.length >= RECOGNISE_BYTES;
    if ((number < 0 && hopeless) || (first && !kept_append(room, half, data, length))) {
        talk->over = true;
        return;
    }
    note_run(talk, direction, length);
    if (number >= 0) feed_runs(room, talk);
}

/* Keeps what the parser left over: the last `length - used` of `data`, which may be `kept` itself. */
static void keep_rest(struct flow_room *room, struct talk *talk, enum direction direction,
                      const uint8_t *data, uint32_t length, uint32_t used) {
    struct half *half = &talk->half[direction];
    uint32_t rest = length - used;
    if (rest > STREAM_KEEP) {
        conversation_anomaly(&talk->conversation, "message_too_long");
        talk_stop(room, talk, direction);
    } else if (data == half->kept) {
        memmove(half->kept, half->kept + used, rest);
        half->kept_length = rest;
        if (rest == 0) kept_release(room, half);
    } else if (rest > 0 && !kept_append(room, half, data + used, rest)) {
        talk_stop(room, talk, direction);
    }
}

/* The parser has handed the stream over: the last `rest` bytes of `data`, which may be what is kept, and what
 * is kept of the other direction go to whoever is next. */
static void hand_over(struct flow_room *room, struct talk *talk, enum direction direction,
                      const uint8_t *data, uint32_t length, uint32_t rest) {
    const struct flow *flow = talk->conversation.flow;
    talk->handed = talk->woken = false;
    if (talk->layers == TALK_LAYERS) {
        conversation_anomaly(&talk->conversation, "too_many_layers");
        talk->over = true;
        return;
    }
    parser_end(room, talk);
    talk->layers++;
    talk->over = false;
    talk->candidates = room->candidates[TRANSPORT_TCP];
    talk->run_count = 0;
    struct half *other = &talk->half[!direction];
    if (other->done) { /* nobody has followed it since: from here on it counts again */
        const struct flow_side *sender = flow_side(flow, flow_sender(flow, !direction));
        other->done = false;
        other->skip = 0;
        other->known = sender->seq_known;
        other->next = other->has_fin ? other->fin : sender->next_seq;
    }
    if (talk->next) {
        talk->state = talk->next_state;
        talk_take(room, talk, talk->next - 1u);
        talk->next = 0;
        talk->next_state = 0;
    }
    struct half kept[2] = {talk->half[0], talk->half[1]};
    for (unsigned i = 0; i < 2; i++) {
        talk->half[i].kept = NULL;
        talk->half[i].kept_length = talk->half[i].kept_capacity = 0;
    }
    if (kept[!direction].kept_length > 0)
        talk_feed(room, talk, !direction, kept[!direction].kept, kept[!direction].kept_length);
    if (rest > 0 && !talk->over && !talk->half[direction].done)
        talk_feed(room, talk, direction, data + length - rest, rest);
    for (unsigned i = 0; i < 2; i++) kept_release(room, &kept[i]);
}

/* Shows the parser what it has not used yet and does what it answers. `data` may be what is kept. */
static void ask_parser(struct flow_room *room, struct talk *talk, enum direction direction,
                       const uint8_t *data, uint32_t length) {
    struct half *half = &talk->half[direction];
    int64_t used = talk->protocol->stream(&talk->conversation, direction, data, length);
    if (talk->handed) {
        if (used > length) half->skip = (uint64_t)used - length;
        hand_over(room, talk, direction, data, length,
                  used >= 0 && used < length ? length - (uint32_t)used : 0);
    } else if (used == STREAM_DONE) {
        talk_stop(room, talk, direction);
    } else if (used < 0) {
        talk->over = true;
    } else {
        if (used > length) half->skip = (uint64_t)used - length;
        keep_rest(room, talk, direction, data, length, used < length ? (uint32_t)used : length);
    }
}

/* Shows the parser what is kept of a direction. */
static void wake(struct flow_room *room, struct talk *talk, enum direction direction) {
    struct half *half = &talk->half[direction];
    if (talk->protocol && !talk->over && !half->done && half->kept_length > 0)
        ask_parser(room, talk, direction, half->kept, half->kept_length);
}

void talk_feed(struct flow_room *room, struct talk *talk, enum direction direction, const uint8_t *data,
               uint32_t length) {
    if (talk->is_tap) {
        wiretap_feed(room, wiretap_of_talk(talk), direction, data, length);
        return;
    }
    struct half *half = &talk->half[direction];
    uint32_t skipped = half->skip < length ? (uint32_t)half->skip : length;
    half->skip -= skipped;
    data += skipped;
    length -= skipped;
    if (length == 0) return;
    if (!talk->protocol) {
        recognise(room, talk, direction, data, length);
        return;
    }
    if (half->kept_length > 0) {
        if (!kept_append(room, half, data, length)) {
            talk_stop(room, talk, direction);
            return;
        }
        data = half->kept;
        length = half->kept_length;
    }
    ask_parser(room, talk, direction, data, length);
    while (talk->woken) {
        talk->woken = false;
        wake(room, talk, !direction);
        wake(room, talk, direction);
    }
}

void talk_gap(struct flow_room *room, struct talk *talk, enum direction direction, uint64_t missing) {
    if (talk->is_tap) {
        wiretap_gap(room, wiretap_of_talk(talk), direction, missing);
        return;
    }
    struct half *half = &talk->half[direction];
    room->counters.gaps++;
    room->counters.gap_bytes += missing;
    uint64_t skipped = half->skip < missing ? half->skip : missing;
    half->skip -= skipped;
    missing -= skipped;
    if (missing == 0) return;
    if (!talk->protocol) {
        if (half->kept_length > 0) talk->over = true; /* what came before was not enough to tell */
        return;
    }
    kept_release(room, half);
    bool go_on = talk->protocol->gap && talk->protocol->gap(&talk->conversation, direction, missing);
    if (talk->handed)
        hand_over(room, talk, direction, NULL, 0, 0);
    else if (!go_on)
        talk_stop(room, talk, direction);
}

static void talk_segment(struct flow_room *room, struct flow *flow, enum direction direction,
                         const struct decoded *d, nanoseconds time) {
    if (d->tcp_flags & TCP_RST) return;
    if (!(flow->marks & MARK_TALK)) {
        if (d->payload_length == 0) return;
        if (!talk_begin(room, flow)) return;
    }
    struct talk *talk = talk_of(room, flow);
    talk->conversation.time = time;
    talk->conversation.packet = d;
    stream_segment(room, talk, direction, d);
}

/* Asks all protocols about a datagram. Returns the talk of the one that says yes, or NULL. */
static struct talk *recognise_datagram(struct flow_room *room, struct flow *flow, const struct probe *probe) {
    const struct flow_rare *rare = flow_rare_if(room, flow);
    uint64_t candidates = room->candidates[probe->transport] & ~(rare ? rare->given_up : 0);
    int number = ask(room, &candidates, probe);
    if (number < 0) return NULL;
    struct talk *talk = talk_begin(room, flow);
    if (!talk) return NULL;
    if (talk_choose(room, talk, (unsigned)number)) return talk;
    talk_discard(room, flow);
    return NULL;
}

/* The parser said that the flow is none of its own: others may be asked, it will not. */
static void give_up(struct flow_room *room, struct flow *flow) {
    struct flow_rare *rare = flow_rare_of(room, flow);
    unsigned number = flow->protocol - 1u;
    talk_discard(room, flow);
    flow->protocol = 0;
    if (!rare) return; /* without memory to remember it nobody is asked any more */
    flow->marks &= (uint16_t)~MARK_SILENT;
    rare->given_up |= 1ULL << number;
}

static bool datagram_readable(const struct flow *flow, const struct decoded *d) {
    if (transport_of(flow->key.proto) == TRANSPORT_IP) {
        if (d->fragment && d->fragment_offset > 0) return false;
    } else if (!d->has_ports) {
        return false;
    }
    /* An echo may be empty; an empty first fragment is one whose payload waits for the rest. */
    return d->payload_length > 0 || (flow_is_icmp(flow) && !d->fragment);
}

static void talk_datagram(struct flow_room *room, struct flow *flow, unsigned side, const struct decoded *d,
                          nanoseconds time) {
    enum direction direction = flow_direction(flow, side);
    if (!datagram_readable(flow, d)) return;
    /* Of a datagram in fragments only the first is seen: it is longer than what is here, nobody knows by how
     * much. */
    uint32_t original = d->payload_length + (d->fragment ? 1 : 0);
    for (int asked = 0; asked < 2; asked++) {
        struct talk *talk = NULL;
        if (flow->marks & MARK_TALK) {
            talk = talk_of(room, flow);
        } else if (flow_side(flow, side)->packets <= RECOGNISE_DATAGRAMS) {
            struct probe probe = probe_of(flow, direction);
            probe.data = d->payload;
            probe.length = d->payload_captured;
            probe.original = original;
            talk = recognise_datagram(room, flow, &probe);
        }
        if (!talk || !talk->protocol->datagram) return;
        talk->conversation.time = time;
        talk->conversation.packet = d;
        talk->protocol->datagram(&talk->conversation, direction,
                                 (struct slice){d->payload, d->payload_captured}, original);
        if (!talk->given_up) return;
        give_up(room, flow);
    }
}

void talk_packet(struct flow_room *room, struct flow *flow, unsigned side, const struct decoded *d,
                 nanoseconds time) {
    if (flow->key.proto == PROTO_TCP)
        talk_segment(room, flow, flow_direction(flow, side), d, time);
    else
        talk_datagram(room, flow, side, d, time);
    if ((flow->marks & MARK_TALK) && talk_of(room, flow)->over) talk_close(room, flow);
}
