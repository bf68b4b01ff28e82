/* What one packet changes in its flow: counters, times, the rhythm of payloads; then its payload is read, if
 * anyone cares. */
#include "flow/wiretap.h"

enum { SMALL_PAYLOAD = 128, FULL_PAYLOAD = 1200 };
static const nanoseconds pause_least = 200 * NS_PER_MILLISECOND;
static const nanoseconds pause_most = 60 * NS_PER_SECOND;

static void count_packet(struct flow_room *room, struct flow *flow, struct flow_side *side,
                         const struct decoded *d, nanoseconds time) {
    side->packets++;
    side->bytes += d->wire_length;
    if (time > flow->last) flow->last = time;
    flow->lag = (uint32_t)((room->clock - flow->last) / NS_PER_SECOND);
    if (__builtin_expect(d->tunnel != NULL, 0)) room->counters.tunnelled[d->tunnel->kind]++;
    if (!d->tunnel || d->tunnel->identity == 0) { /* what is inside was counted with what is around */
        room->counters.packets++;
        room->counters.bytes += d->wire_length;
    }
    if (d->fragment) room->counters.fragments++;
}

/* The rhythm of payloads, which only flows' records show. */
static void count_rhythm(struct flow_room *room, struct flow *flow, unsigned number, uint32_t length,
                         nanoseconds time) {
    struct flow_story *story = flow_story_of(room, flow);
    if (!story) return;
    if (flow->payload_side != SIDE_NONE) {
        nanoseconds quiet = time - flow_last_payload(flow);
        if (quiet >= pause_least && quiet <= pause_most) story->pauses[number]++;
        if (flow->payload_side != number) story->turns++;
    } else {
        story->first_speaker = (uint8_t)(number + 1);
    }
    if (length <= SMALL_PAYLOAD) story->small[number]++;
    if (length >= FULL_PAYLOAD) story->full[number]++;
}

static void count_payload(struct flow *flow, unsigned number, uint32_t fresh, nanoseconds time) {
    struct flow_side *side = flow_side_write(flow, number);
    side->fresh += fresh;
    flow->payload_side = (uint8_t)number;
    if (time > side->last_payload) side->last_payload = time;
}

static void count_repeated(struct flow_room *room, struct flow *flow, unsigned side, struct tcp_news news) {
    struct flow_story *story = room->flows_told ? flow_story_of(room, flow) : NULL;
    if (story) story->repeated[side] += news.repeated;
    if (news.fresh > 0) return;
    room->counters.retransmits++;
    if (story) story->retransmits++;
}

static void count_cut(struct flow_room *room, struct flow *flow, uint32_t fresh, const struct decoded *d) {
    uint32_t cut = d->payload_length - d->payload_captured;
    struct flow_story *story = room->flows_told ? flow_story_of(room, flow) : NULL;
    if (story) story->cut += cut < fresh ? cut : fresh;
}

void flow_update(struct flow_room *room, struct flow *flow, unsigned number, const struct decoded *d,
                 nanoseconds time) {
    struct flow_side *side = flow_side_write(flow, number);
    count_packet(room, flow, side, d, time);
    if (!(flow->marks & MARK_BOTH_SIDES) && flow_side(flow, !number)->packets > 0)
        flow->marks |= MARK_BOTH_SIDES;
    if (!(flow->marks & MARK_ONSETS) && room->exchanges_told) onset_packet(room, flow, number, time);

    bool tcp = flow_is_tcp(flow) && d->has_ports;
    struct tcp_news news = {.fresh = d->payload_length};
    if (tcp) {
        news = tcp_update(room, flow, number, d, time);
        if (news.repeated > 0) count_repeated(room, flow, number, news);
    }
    if (news.fresh > 0) {
        if (room->exchanges_told) onset_payload(room, flow, number, time);
        if (room->flows_told) count_rhythm(room, flow, number, d->payload_length, time);
        if (!(flow->marks & (MARK_HEAD_FULL_LOW << number))) facts_head(room, flow, number, d);
        count_payload(flow, number, news.fresh, time);
        if (tcp && d->payload_captured < d->payload_length) count_cut(room, flow, news.fresh, d);
    }
    if (__builtin_expect(d->payload_captured < d->payload_length, 0)) flow->missing |= MISSING_CUT;
    if (__builtin_expect(d->carries != NULL, 0)) facts_carries(room, flow, d->carries);
    if ((flow->marks & (MARK_SILENT | MARK_TAP)) != MARK_SILENT && (d->has_ports || flow_is_other(flow))) {
        if (!(flow->marks & MARK_SILENT) && !d->carries) talk_packet(room, flow, number, d, time);
        if (flow->marks & MARK_TAP) wiretap_packet(room, flow, number, d, time);
    }
    if (d->anomaly)
        anomaly_note(room, flow, time, "decode", d->anomaly_protocol ? d->anomaly_protocol : "ip",
                     d->anomaly);
}
