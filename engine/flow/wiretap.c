/* See wiretap.h. An event may fill the batch, and handling the batch may take wishes away: they are only
 * noted then (room->wishes_gone) and taken out of the taps before the next burst. */
#include "flow/wiretap.h"

#include <stdlib.h>

/* In front of kept bytes; a gap has none behind it. */
struct kept_run {
    uint32_t length;
    uint8_t direction, gap;
};

static struct wiretap *tap_of(const struct flow_room *room, const struct flow *flow) {
    const struct flow_facts *facts = flow_facts_if(room, flow);
    return facts && facts->tap ? slab_at(&room->taps, facts->tap) : NULL;
}

/* ------------------------------------------------------------------- wishes */

static bool has_starts(const struct stream_wish *wish) {
    return wish->start_count[TO_SERVER] + wish->start_count[TO_CLIENT] > 0;
}

static bool has_port(const struct stream_wish *wish, uint16_t port) {
    for (uint32_t i = 0; i < wish->port_count; i++)
        if (wish->ports[i] == port) return true;
    return false;
}

/* The wishes that a flow fulfils by its port, and those that must see its first bytes. */
static void sort_wishes(const struct flow_room *room, const struct flow *flow, uint64_t *yes,
                        uint64_t *asking) {
    uint16_t port = flow->key.port[flow_server(flow)];
    *yes = *asking = 0;
    for (uint64_t rest = room->wishes_open; rest; rest &= rest - 1) {
        unsigned n = (unsigned)__builtin_ctzll(rest);
        const struct stream_wish *wish = room->wishes[n];
        if (wish->proto != flow->key.proto || flow->id < room->wish_since[n]) continue;
        if (has_port(wish, port))
            *yes |= 1ULL << n;
        else if (has_starts(wish))
            *asking |= 1ULL << n;
    }
}

bool wiretap_possible(const struct flow_room *room, const struct flow *flow) {
    uint64_t yes, asking;
    if (!room->wishes_open) return false;
    sort_wishes(room, flow, &yes, &asking);
    return (yes | asking) != 0;
}

void flow_room_listen(struct flow_room *room, unsigned number, const struct stream_wish *wish) {
    uint64_t bit = 1ULL << number;
    if (room->wishes_open & bit) room->wishes_gone |= bit;
    room->wishes_open &= ~bit;
    if (!wish) return;
    if (room->wishes_gone & bit) wiretap_forget(room);
    room->wishes[number] = wish;
    room->wish_since[number] = room->next_id;
    room->wishes_open |= bit;
}

void flow_room_hush(struct flow_room *room, uint32_t tap, uint64_t flow_id, unsigned number,
                    enum direction direction) {
    if (tap == 0 || tap > room->taps.top || number >= FLOW_WISHES) return;
    struct wiretap *wiretap = slab_at(&room->taps, tap);
    /* The tap may be another flow's by now, or on the list of free ones. */
    const struct flow *flow = wiretap->talk.conversation.flow;
    if (!wiretap->talk.is_tap || flow->id != flow_id) return;
    wiretap->hushed[direction] |= 1ULL << number;
}

/* ----------------------------------------------------------------- first bytes */

static bool begins(const struct wiretap *tap, const struct stream_wish *wish, enum direction direction,
                   bool *undecided) {
    uint32_t here = tap->head_length[direction];
    for (uint32_t i = 0; i < wish->start_count[direction]; i++) {
        const struct stream_start *start = &wish->starts[direction][i];
        uint32_t common = here < start->length ? here : start->length;
        if (memcmp(start->bytes, tap->head[direction], common) != 0) continue;
        if (common == start->length) return true;
        if (!tap->head_broken[direction]) *undecided = true;
    }
    return false;
}

/* Asks the waiting wishes. Returns those that say yes now. */
static uint64_t decide(const struct flow_room *room, struct wiretap *tap) {
    uint64_t yes = 0;
    tap->asking &= room->wishes_open;
    for (uint64_t rest = tap->asking; rest; rest &= rest - 1) {
        unsigned n = (unsigned)__builtin_ctzll(rest);
        bool undecided = false;
        if (begins(tap, room->wishes[n], TO_SERVER, &undecided) ||
            begins(tap, room->wishes[n], TO_CLIENT, &undecided))
            yes |= 1ULL << n;
        else if (undecided)
            continue;
        tap->asking &= ~(1ULL << n);
    }
    return yes;
}

static void head_append(struct wiretap *tap, enum direction direction, const uint8_t *data, uint32_t length) {
    uint32_t at = tap->head_length[direction];
    if (tap->head_broken[direction]) return;
    if (length > WISH_PREFIX - at) length = WISH_PREFIX - at;
    memcpy(tap->head[direction] + at, data, length);
    tap->head_length[direction] = (uint8_t)(at + length);
}

static void kept_release(struct flow_room *room, struct wiretap *tap) {
    room->tap_held -= tap->kept_capacity;
    free(tap->kept);
    tap->kept = NULL;
    tap->kept_length = tap->kept_capacity = 0;
}

/* Room for so many bytes more. Returns false if there is none. */
static bool kept_grow(struct flow_room *room, struct wiretap *tap, uint32_t more) {
    uint32_t need = tap->kept_length + more;
    if (need <= tap->kept_capacity) return true;
    uint32_t capacity = tap->kept_capacity ? tap->kept_capacity : 1024;
    while (capacity < need) capacity *= 2;
    if (capacity > WIRETAP_KEEP || room->tap_held + capacity - tap->kept_capacity > WIRETAP_KEEP_ALL)
        return false;
    uint8_t *bigger = realloc(tap->kept, capacity);
    if (!bigger) return false;
    room->tap_held += capacity - tap->kept_capacity;
    tap->kept = bigger;
    tap->kept_capacity = capacity;
    return true;
}

/* Keeps what the wishes that still wait would else miss. Without room for it, they are told no. */
static void keep(struct flow_room *room, struct wiretap *tap, struct kept_run run, const uint8_t *data) {
    uint32_t bytes = data ? run.length : 0;
    if (bytes > WIRETAP_KEEP || !kept_grow(room, tap, (uint32_t)sizeof run + bytes)) {
        tap->asking = 0;
        return;
    }
    memcpy(tap->kept + tap->kept_length, &run, sizeof run);
    if (bytes) memcpy(tap->kept + tap->kept_length + sizeof run, data, bytes);
    tap->kept_length += (uint32_t)sizeof run + bytes;
}

/* --------------------------------------------------------------------- events */

struct news {
    enum direction direction;
    const uint8_t *data;
    uint32_t length;
    uint32_t missing;
    uint64_t position; /* of the first byte, or of the gap */
    bool last;
};

static void tell_piece(struct flow_room *room, struct wiretap *tap, uint64_t wishes,
                       const struct news *news) {
    struct conversation *c = &tap->talk.conversation;
    wishes &= room->wishes_open;
    if (!news->last) wishes &= ~tap->hushed[news->direction];
    if (!wishes) return;
    struct event_stream *event = conversation_event(c, EVENT_stream);
    if (!event) return;
    event->body.wishes = wishes;
    event->body.tap = flow_facts_if(room, c->flow)->tap;
    event->body.to_server = news->direction == TO_SERVER;
    event->body.position = news->position;
    event->body.missing = news->missing;
    event->body.first = (wishes & ~tap->told) != 0;
    event->body.last = news->last;
    event->body.midstream = (c->flow->marks & MARK_MIDSTREAM) != 0;
    event->body.data = batch_text(conversation_batch(c), news->data, news->length);
    tap->told |= wishes;
    batch_commit(conversation_batch(c));
}

static void tell(struct flow_room *room, struct wiretap *tap, uint64_t wishes, struct news news) {
    while (news.length > WIRETAP_PIECE) {
        struct news piece = news;
        piece.length = WIRETAP_PIECE;
        tell_piece(room, tap, wishes, &piece);
        news.data += WIRETAP_PIECE;
        news.length -= WIRETAP_PIECE;
        news.position += WIRETAP_PIECE;
    }
    tell_piece(room, tap, wishes, &news);
}

/* Tells wishes that were fulfilled late what they missed. */
static void tell_kept(struct flow_room *room, struct wiretap *tap, uint64_t wishes) {
    uint64_t position[2] = {0, 0};
    for (uint32_t at = 0; at < tap->kept_length;) {
        struct kept_run run;
        memcpy(&run, tap->kept + at, sizeof run);
        at += (uint32_t)sizeof run;
        struct news news = {.direction = (enum direction)run.direction, .position = position[run.direction]};
        if (run.gap) {
            news.missing = run.length;
        } else {
            news.data = tap->kept + at;
            news.length = run.length;
            at += run.length;
        }
        tell(room, tap, wishes, news);
        position[run.direction] += run.length;
    }
}

static void tell_and_ask(struct flow_room *room, struct wiretap *tap, struct news news) {
    if (tap->wishes) tell(room, tap, tap->wishes, news);
    if (tap->asking) {
        if (news.data)
            head_append(tap, news.direction, news.data, news.length);
        else
            tap->head_broken[news.direction] = true;
        uint64_t fresh = decide(room, tap);
        if (fresh) {
            tell_kept(room, tap, fresh);
            tell(room, tap, fresh, news);
            tap->wishes |= fresh;
        }
        struct kept_run run = {.length = news.data ? news.length : news.missing,
                               .direction = (uint8_t)news.direction,
                               .gap = !news.data};
        if (tap->asking) keep(room, tap, run, news.data);
        if (!tap->asking) kept_release(room, tap);
    }
    if (!(tap->wishes | tap->asking)) tap->talk.over = true;
}

void wiretap_feed(struct flow_room *room, struct wiretap *tap, enum direction direction, const uint8_t *data,
                  uint32_t length) {
    uint64_t position = tap->position[direction];
    tap->position[direction] += length;
    tell_and_ask(room, tap,
                 (struct news){.direction = direction, .data = data, .length = length, .position = position});
}

void wiretap_gap(struct flow_room *room, struct wiretap *tap, enum direction direction, uint64_t missing) {
    uint64_t position = tap->position[direction];
    tap->position[direction] += missing;
    uint32_t told = missing < UINT32_MAX ? (uint32_t)missing : UINT32_MAX;
    tell_and_ask(room, tap, (struct news){.direction = direction, .missing = told, .position = position});
}

/* ----------------------------------------------------------------- life of a tap */

static struct wiretap *wiretap_begin(struct flow_room *room, struct flow *flow) {
    uint64_t yes, asking;
    sort_wishes(room, flow, &yes, &asking);
    struct flow_facts *facts = yes | asking ? flow_facts_of(room, flow) : NULL;
    if (facts) facts->tap = slab_take(&room->taps);
    if (!facts || !facts->tap) {
        flow->marks &= (uint16_t)~MARK_TAP;
        return NULL;
    }
    struct wiretap *tap = tap_of(room, flow);
    tap->talk.is_tap = true;
    tap->talk.conversation.flow = flow;
    tap->talk.conversation.room = room;
    tap->wishes = yes;
    tap->asking = asking;
    return tap;
}

void wiretap_discard(struct flow_room *room, struct flow *flow) {
    struct wiretap *tap = tap_of(room, flow);
    flow->marks &= (uint16_t)~MARK_TAP;
    if (!tap) return;
    kept_release(room, tap);
    talk_stop(room, &tap->talk, TO_SERVER);
    talk_stop(room, &tap->talk, TO_CLIENT);
    tap->talk.is_tap = false;
    struct flow_facts *facts = flow_facts_if(room, flow);
    slab_give(&room->taps, facts->tap);
    facts->tap = 0;
}

static void wiretap_close(struct flow_room *room, struct flow *flow) {
    struct wiretap *tap = tap_of(room, flow);
    tap->talk.conversation.packet = NULL;
    if (tap->told) tell(room, tap, tap->told, (struct news){.last = true});
    wiretap_discard(room, flow);
}

void wiretap_finish(struct flow_room *room, struct flow *flow) {
    struct wiretap *tap = tap_of(room, flow);
    if (tap) {
        tap->talk.conversation.time = flow->last;
        tap->talk.conversation.packet = NULL;
        stream_flush(room, &tap->talk);
        wiretap_close(room, flow);
    }
}

/* UDP: each datagram is told as it is, and the flow's first few are what a wish that waits is shown. */
static void wiretap_datagram(struct flow_room *room, struct flow *flow, struct wiretap *tap, unsigned side,
                             const struct decoded *d) {
    enum direction direction = flow_direction(flow, side);
    struct news news = {.direction = direction,
                        .data = d->payload,
                        .length = d->payload_captured,
                        .missing = d->payload_length - d->payload_captured,
                        .position = tap->position[direction]};
    tap->position[direction] += d->payload_length;
    if (tap->asking) {
        uint64_t asked = tap->asking;
        tap->head_length[TO_SERVER] = tap->head_length[TO_CLIENT] = 0;
        head_append(tap, direction, d->payload, d->payload_captured);
        tap->wishes |= decide(room, tap);
        bool again = flow_side(flow, 0)->packets + flow_side(flow, 1)->packets < 2 * RECOGNISE_DATAGRAMS;
        tap->asking = again ? asked & ~tap->wishes : 0;
    }
    if (tap->wishes) tell(room, tap, tap->wishes, news);
    if (!(tap->wishes | tap->asking)) tap->talk.over = true;
}

void wiretap_packet(struct flow_room *room, struct flow *flow, unsigned side, const struct decoded *d,
                    nanoseconds time) {
    bool tcp = flow->key.proto == PROTO_TCP;
    if (tcp && (d->tcp_flags & TCP_RST)) return;
    struct wiretap *tap = tap_of(room, flow);
    if (!tap) {
        if (d->payload_length == 0) return;
        tap = wiretap_begin(room, flow);
        if (!tap) return;
    }
    tap->talk.conversation.time = time;
    tap->talk.conversation.packet = d;
    if (tcp)
        stream_segment(room, &tap->talk, flow_direction(flow, side), d);
    else if (d->payload_length > 0)
        wiretap_datagram(room, flow, tap, side, d);
    if (tap->talk.over) wiretap_close(room, flow);
}

void wiretap_forget(struct flow_room *room) {
    uint64_t stay = ~room->wishes_gone;
    room->wishes_gone = 0;
    for (uint32_t i = 1; i <= room->flows.top; i++) {
        struct flow *flow = room_flow(room, i);
        if (flow->id == 0 || !(flow->marks & MARK_TAP)) continue;
        struct wiretap *tap = tap_of(room, flow);
        if (!tap) continue;
        tap->wishes &= stay;
        tap->asking &= stay;
        tap->told &= stay;
        tap->hushed[TO_SERVER] &= stay;
        tap->hushed[TO_CLIENT] &= stay;
        if (!tap->asking) kept_release(room, tap);
        if (!(tap->wishes | tap->asking)) wiretap_discard(room, flow);
    }
}

uint64_t wiretap_memory(const struct flow_room *room) {
    return slab_memory(&room->taps) + slab_memory(&room->tap_chunks.slab) + room->tap_held;
}
