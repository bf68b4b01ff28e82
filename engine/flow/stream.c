/* TCP segments into streams (RFC 9293 section 3.4): each byte once, in order.
 *
 * A segment whose turn it is goes to the parser straight from the packet. One that comes early is copied into
 * chunks and waits. The first bytes seen for a place are the ones that count; others for the same place are
 * compared with those still here, and make an anomaly if they differ. A hole is given up, as a gap, when the
 * receiver has acknowledged what lies behind it (so it got the bytes and the capture did not), when there is
 * no more room to wait in, or at the flow's end. What a snap length cut off is a gap at once. */
#include "flow/talk.h"

static const int32_t far_away = 1 << 30;

static int32_t distance(uint32_t from, uint32_t to) {
    return (int32_t)(to - from);
}

static void overlap_mismatch(struct flow_room *room, struct talk *talk) {
    if (talk->is_tap) return; /* the parser's stream says it */
    anomaly_note(room, talk->conversation.flow, talk->conversation.time, "stream", "tcp", "overlap_mismatch");
}

static void drop_chunk(struct flow_room *room, struct talk *talk, struct half *half) {
    chunks_drop_first(talk_chunks(room, talk), &half->chunks);
    talk->blocks--;
}

/* Delivers waiting chunks as long as they follow on. */
static void deliver_chunks(struct flow_room *room, struct talk *talk, enum direction direction) {
    struct half *half = &talk->half[direction];
    while (half->chunks && !half->done && !talk->over) {
        const struct chunk *chunk = chunk_at(talk_chunks(room, talk), half->chunks);
        uint32_t length = chunk->length;
        if (half->has_fin) {
            int32_t left = distance(chunk->seq, half->fin);
            if (left < (int32_t)length) length = left > 0 ? (uint32_t)left : 0;
        }
        if (length > 0 && chunk->seq != half->next) return;
        half->next += length;
        if (length > 0) talk_feed(room, talk, direction, chunk->data, length);
        if (half->chunks) drop_chunk(room, talk, half); /* else the parser wants no more and they are gone */
    }
}

/* Gives up the hole before the first chunk. */
static void skip_hole(struct flow_room *room, struct talk *talk, enum direction direction) {
    struct half *half = &talk->half[direction];
    uint32_t seq = chunk_at(talk_chunks(room, talk), half->chunks)->seq;
    int32_t missing = distance(half->next, seq);
    if (half->has_fin && distance(half->fin, seq) > 0) missing = distance(half->next, half->fin);
    if (missing > 0) {
        half->next += (uint32_t)missing;
        talk_gap(room, talk, direction, (uint32_t)missing);
    }
    deliver_chunks(room, talk, direction);
}

static void skip_acked_holes(struct flow_room *room, struct talk *talk, enum direction direction) {
    struct half *half = &talk->half[direction];
    while (half->has_ack && half->chunks && !half->done && !talk->over) {
        if (distance(chunk_at(talk_chunks(room, talk), half->chunks)->seq, half->acked) < 0) return;
        skip_hole(room, talk, direction);
    }
}

static void note_ack(struct flow_room *room, struct talk *talk, enum direction direction, uint32_t ack) {
    struct half *half = &talk->half[direction];
    if (half->has_ack && distance(half->acked, ack) <= 0) return;
    half->has_ack = true;
    half->acked = ack;
    skip_acked_holes(room, talk, direction);
}

struct segment {
    uint32_t seq;
    const uint8_t *data;
    uint32_t captured; /* bytes that are here … */
    uint32_t length;   /* … of those that were sent */
};

static void segment_advance(struct segment *s, uint32_t bytes) {
    uint32_t here = bytes < s->captured ? bytes : s->captured;
    s->seq += bytes;
    s->data += here;
    s->captured -= here;
    s->length -= bytes;
}

/* Delivers a segment whose turn it is, with what waits in between and behind. */
static void deliver(struct flow_room *room, struct talk *talk, enum direction direction, struct segment s) {
    struct half *half = &talk->half[direction];
    while (s.length > 0 && !half->done && !talk->over) {
        uint32_t run = s.length;
        if (half->chunks) {
            int32_t free = distance(s.seq, chunk_at(talk_chunks(room, talk), half->chunks)->seq);
            if (free < (int32_t)run) run = (uint32_t)free;
        }
        if (run == 0) { /* the chunk came first: it counts */
            uint32_t before = half->next;
            deliver_chunks(room, talk, direction);
            uint32_t same = half->next - before;
            if (same == 0) return;
            segment_advance(&s, same < s.length ? same : s.length);
            continue;
        }
        uint32_t here = run < s.captured ? run : s.captured;
        half->next += run;
        if (here > 0) talk_feed(room, talk, direction, s.data, here);
        if (here < run && !half->done && !talk->over) talk_gap(room, talk, direction, run - here);
        segment_advance(&s, run);
    }
    deliver_chunks(room, talk, direction);
}

/* Old bytes can be compared as long as the parser has not used them. */
static void compare_kept(struct flow_room *room, struct talk *talk, const struct half *half,
                         const struct segment *s) {
    int32_t at = distance(half->next - half->kept_length, s->seq); /* place in `kept` */
    uint32_t skip = at < 0 ? (uint32_t)-at : 0;
    uint32_t from = at > 0 ? (uint32_t)at : 0;
    if (skip >= s->captured || from >= half->kept_length) return;
    uint32_t common = s->captured - skip;
    if (common > half->kept_length - from) common = half->kept_length - from;
    if (memcmp(half->kept + from, s->data + skip, common) != 0) overlap_mismatch(room, talk);
}

/* Blocks that a flow's streams may still take. */
static uint32_t blocks_left(struct flow_room *room, const struct talk *talk) {
    uint64_t mine =
        (uint64_t)talk->blocks * CHUNK_SIZE + talk->half[0].kept_capacity + talk->half[1].kept_capacity;
    uint64_t all =
        (uint64_t)talk_chunks(room, talk)->slab.live * CHUNK_SIZE + (talk->is_tap ? 0 : room->held);
    if (mine >= room->config.reassembly_per_flow || all >= room->config.reassembly_total) return 0;
    uint64_t left = room->config.reassembly_per_flow - mine;
    if (left > room->config.reassembly_total - all) left = room->config.reassembly_total - all;
    return (uint32_t)(left / CHUNK_SIZE);
}

/* Returns false if there was no room for all of it. */
static bool store(struct flow_room *room, struct talk *talk, struct half *half, const struct segment *s) {
    uint32_t left = blocks_left(room, talk);
    uint32_t before = left;
    unsigned answer =
        chunks_store(talk_chunks(room, talk), &half->chunks, s->seq, s->data, s->captured, &left);
    talk->blocks += before - left;
    if (answer & CHUNKS_DIFFER) overlap_mismatch(room, talk);
    return !(answer & CHUNKS_FULL);
}

static void accept(struct flow_room *room, struct talk *talk, enum direction direction, struct segment s) {
    struct half *half = &talk->half[direction];
    if (half->has_fin) {
        int32_t left = distance(s.seq, half->fin);
        if (left <= 0) return;
        if (s.length > (uint32_t)left) s.length = (uint32_t)left;
        if (s.captured > s.length) s.captured = s.length;
    }
    while (!half->done && !talk->over) {
        int32_t ahead = distance(half->next, s.seq);
        if (ahead >= far_away || ahead <= -far_away) return;
        if (ahead == -1 && s.length == 1) return; /* keep-alive: its byte means nothing */
        if (ahead < 0) {
            if (half->kept_length > 0) compare_kept(room, talk, half, &s);
            if ((uint32_t)-ahead >= s.length) return;
            segment_advance(&s, (uint32_t)-ahead);
            ahead = 0;
        }
        if (ahead == 0) {
            if (half->chunks &&
                chunks_differ(talk_chunks(room, talk), half->chunks, s.seq, s.data, s.captured))
                overlap_mismatch(room, talk);
            deliver(room, talk, direction, s);
            return;
        }
        if (store(room, talk, half, &s)) break;
        /* No more room to wait in. */
        if (!talk->is_tap) room->counters.reassembly_dropped += (uint32_t)ahead;
        if (half->chunks && distance(chunk_at(talk_chunks(room, talk), half->chunks)->seq, s.seq) >= 0) {
            skip_hole(room, talk, direction);
        } else {
            half->next = s.seq;
            talk_gap(room, talk, direction, (uint32_t)ahead);
        }
    }
    skip_acked_holes(room, talk, direction);
}

static void note_fin(const struct flow *flow, struct half *half, unsigned sender, uint32_t end) {
    if (half->has_fin || !flow_side(flow, sender)->seq_known) return;
    if (!half->known) {
        half->known = true;
        half->next = flow->isn[sender] + 1;
    }
    int32_t ahead = distance(half->next, end);
    if (ahead < 0 || ahead >= far_away) return;
    half->has_fin = true;
    half->fin = end;
}

static bool half_finished(const struct half *half) {
    return half->done || (half->has_fin && half->next == half->fin);
}

void stream_segment(struct flow_room *room, struct talk *talk, enum direction direction,
                    const struct decoded *d) {
    const struct flow *flow = talk->conversation.flow;
    struct half *half = &talk->half[direction];
    unsigned sender = flow_sender(flow, direction);
    if (d->tcp_flags & TCP_ACK) note_ack(room, talk, !direction, d->tcp_ack);
    struct segment s = {.seq = d->tcp_seq + ((d->tcp_flags & TCP_SYN) != 0),
                        .data = d->payload,
                        .captured = d->payload_captured,
                        .length = d->payload_length};
    if (d->tcp_flags & TCP_FIN) note_fin(flow, half, sender, s.seq + s.length);
    if (s.length > 0 && !half->done) {
        if (!half->known) {
            half->known = true;
            half->next = flow->isn[sender] + 1;
        }
        accept(room, talk, direction, s);
    }
    if (half_finished(&talk->half[0]) && half_finished(&talk->half[1])) talk->over = true;
}

void stream_flush(struct flow_room *room, struct talk *talk) {
    for (unsigned direction = TO_SERVER; direction <= TO_CLIENT; direction++) {
        struct half *half = &talk->half[direction];
        while (half->chunks && !half->done && !talk->over) skip_hole(room, talk, (enum direction)direction);
    }
}
