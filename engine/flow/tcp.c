/* What the TCP header says about the flow: how far the connection is, which payload bytes are new, the round
 * trip.
 *
 * New bytes are told from old ones by two numbers a side: the highest sequence number seen, and one stretch
 * below it that was jumped over and may still come. That is exact for losses that heal one after the other,
 * and costs nothing; the exact account of bytes, for flows whose payload is read, is stream.c's. */
#include "flow/room.h"

static const int32_t far_away =
    1 << 30; /* more than any window (RFC 7323 section 2.3): not of this connection */

static int32_t distance(uint32_t from, uint32_t to) {
    return (int32_t)(to - from);
}

/* Would this packet begin another connection on the ports of a flow that is still here? */
bool tcp_begins_anew(const struct flow *flow, unsigned side, const struct decoded *d) {
    if (!(d->tcp_flags & TCP_SYN) || (d->tcp_flags & TCP_RST)) return false;
    const struct flow_side *sender = flow_side(flow, side);
    if (sender->tcp_flags & TCP_SYN) return flow->isn[side] != d->tcp_seq; /* else it is sent again */
    if (flow->tcp_state == TCP_STATE_CLOSED) return true;
    if (d->tcp_flags & TCP_ACK) return sender->seq_known && flow->isn[side] != d->tcp_seq;
    /* A SYN from a side that never sent one: both open at once, or it was overtaken by its SYN-ACK. */
    return flow->tcp_state != TCP_STATE_SYN_SENT && flow->tcp_state != TCP_STATE_SYN_RECV;
}

/* The part of [seq, seq + length) that lies in the hole, which is then made smaller. */
static uint32_t fill_hole(struct flow_side *side, uint32_t seq, uint32_t length) {
    int64_t size = distance(side->hole_start, side->hole_end);
    int64_t age = distance(side->hole_start, side->next_seq);
    if (size <= 0 || age < size || age > far_away) return 0;
    int64_t begin = distance(side->hole_start, seq);
    int64_t end = begin + length;
    if (begin < 0) begin = 0;
    if (end > size) end = size;
    if (begin >= end) return 0;
    if (begin == 0)
        side->hole_start += (uint32_t)end;
    else
        side->hole_end = side->hole_start + (uint32_t)begin;
    return (uint32_t)(end - begin);
}

static void jump_over(struct flow_side *side, uint32_t seq) {
    if (side->hole_start == side->hole_end) side->hole_start = side->next_seq;
    side->hole_end = seq;
}

static struct tcp_news sequence_news(struct flow_room *room, struct flow *flow, unsigned number,
                                     const struct decoded *d) {
    struct flow_side *side = flow_side_write(flow, number);
    uint32_t seq = d->tcp_seq + ((d->tcp_flags & TCP_SYN) != 0);
    uint32_t length = d->payload_length;
    if (!side->seq_known) {
        if (length == 0 && !(d->tcp_flags & (TCP_SYN | TCP_FIN))) return (struct tcp_news){0, 0};
        side->seq_known = true;
        side->next_seq = seq;
        flow->isn[number] = seq - 1;
    }
    int32_t ahead = distance(side->next_seq, seq);
    bool finished = side->tcp_flags & TCP_FIN;
    if (length == 0 || ahead >= far_away || ahead <= -far_away || length >= (uint32_t)far_away)
        return (struct tcp_news){0, 0};
    if (ahead >= 0) {
        if (finished) return (struct tcp_news){0, 0}; /* beyond FIN */
        if (ahead > 0) jump_over(side, seq);
        side->next_seq = seq + length;
        return (struct tcp_news){.fresh = length};
    }
    if (ahead == -1 && length == 1) return (struct tcp_news){0, 0}; /* keep-alive, RFC 9293 section 3.8.4 */
    int32_t beyond = ahead + (int32_t)length;
    uint32_t fresh = fill_hole(side, seq, length);
    if (beyond > 0 && !finished) {
        side->next_seq += (uint32_t)beyond;
        fresh += (uint32_t)beyond;
        if (fresh < length) room->counters.overlaps++;
    }
    return (struct tcp_news){.fresh = fresh, .repeated = length - fresh};
}

static void note_fin(struct flow *flow, unsigned number, const struct decoded *d) {
    struct flow_side *side = flow_side_write(flow, number);
    if (side->tcp_flags & TCP_FIN) return;
    uint32_t seq = d->tcp_seq + d->payload_length;
    int32_t ahead = distance(side->next_seq, seq);
    if (ahead < 0 || ahead >= far_away) return;
    if (ahead > 0) jump_over(side, seq);
    side->next_seq = seq + 1;
}

static void note_round_trip(struct flow_room *room, struct flow *flow, nanoseconds time) {
    if (!(flow->marks & MARK_RTT_CLEAN) || time < flow->start) return;
    struct flow_story *story = room->flows_told ? flow_story_of(room, flow) : NULL;
    if (story) story->rtt = time - flow->start;
}

/* A connection that was picked up in the middle, or of which one side is seen, is taken to be established as
 * soon as it carries payload or both sides speak. */
static void advance_state(struct flow_room *room, struct flow *flow, unsigned number, const struct decoded *d,
                          nanoseconds time) {
    uint8_t flags = d->tcp_flags;
    bool by_client = number == flow_client(flow);
    if (flags & TCP_SYN) {
        if (by_client && !(flags & TCP_ACK)) {
            bool again = flow_side(flow, number)->packets > 1;
            flow->marks = (uint16_t)(again ? flow->marks & ~MARK_RTT_CLEAN : flow->marks | MARK_RTT_CLEAN);
            if (flow->tcp_state < TCP_STATE_SYN_SENT) flow->tcp_state = TCP_STATE_SYN_SENT;
        } else if (flow->tcp_state < TCP_STATE_SYN_RECV) {
            flow->tcp_state = TCP_STATE_SYN_RECV;
        }
        return;
    }
    if (flow->tcp_state >= TCP_STATE_ESTABLISHED) return;
    if (flow->tcp_state == TCP_STATE_NONE) {
        if (flow->marks & MARK_BOTH_SIDES || d->payload_length > 0) flow->tcp_state = TCP_STATE_ESTABLISHED;
        return;
    }
    if (!by_client || !(flags & TCP_ACK) || (flags & TCP_RST)) return;
    if (flow->tcp_state == TCP_STATE_SYN_RECV) note_round_trip(room, flow, time);
    flow->tcp_state = TCP_STATE_ESTABLISHED;
}

static void close_state(struct flow_room *room, struct flow *flow, const struct decoded *d) {
    if (flow->tcp_state == TCP_STATE_CLOSED) return;
    if (d->tcp_flags & TCP_RST) {
        flow->marks |= MARK_RST;
        flow->tcp_state = TCP_STATE_CLOSED;
    } else {
        bool both = flow_side(flow, 0)->tcp_flags & flow_side(flow, 1)->tcp_flags & TCP_FIN;
        flow->tcp_state = both ? TCP_STATE_CLOSED : TCP_STATE_FIN_WAIT;
    }
    if (flow->tcp_state == TCP_STATE_CLOSED)
        wheel_put(&room->ends, room_index(room, flow)); /* its end has come nearer */
}

struct tcp_news tcp_update(struct flow_room *room, struct flow *flow, unsigned number,
                           const struct decoded *d, nanoseconds time) {
    struct flow_side *side = flow_side_write(flow, number);
    uint8_t flags = d->tcp_flags;
    struct tcp_news news = {0, 0};
    if (!(flags & TCP_RST)) { /* what a RST carries is no stream data, RFC 9293 section 3.5.3 */
        if (d->payload_length > 0 || flags & (TCP_SYN | TCP_FIN)) news = sequence_news(room, flow, number, d);
        if (flags & TCP_FIN) note_fin(flow, number, d);
    }
    side->tcp_flags |= flags;
    if (flow->tcp_state < TCP_STATE_ESTABLISHED || flags & TCP_SYN)
        advance_state(room, flow, number, d, time);
    if (flags & (TCP_FIN | TCP_RST)) close_state(room, flow, d);
    return news;
}

const char *tcp_state_word(const struct flow *flow) {
    static const char *const words[] = {"none", "syn_sent", "syn_recv", "established", "fin_wait", "closed"};
    return words[flow->tcp_state];
}

/* Bytes of the sequence numbers that passed by which no packet brought. */
uint64_t tcp_missing_bytes(const struct flow *flow, unsigned number) {
    const struct flow_side *side = flow_side(flow, number);
    if (!side->seq_known) return 0;
    uint32_t span = side->next_seq - (flow->isn[number] + 1);
    if (side->tcp_flags & TCP_FIN && span > 0) span--;
    int32_t missing = (int32_t)(span - (uint32_t)side->fresh);
    return missing > 0 ? (uint64_t)missing : 0;
}
