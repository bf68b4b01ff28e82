/* Exchanges: a client asks, a server answers, then it is quiet.
 *
 * An onset is the beginning of one: the flow's start (the client's first packet), then each client payload
 * after 2 s without client payload. Its event is made when the exchange is over, since only then its sizes
 * are known: at the next onset, at the flow's end, or when nothing new was sent for 10 s. Only new bytes
 * count: neither retransmissions nor keep-alives begin an exchange or prolong it. The first client payload
 * belongs to the flow's start, however late it comes within those 10 s. */
#include "flow/room.h"

static bool has_onsets(const struct flow *flow) {
    return (flow->key.proto == PROTO_TCP || flow->key.proto == PROTO_UDP) && !(flow->marks & MARK_PORTLESS);
}

static void onset_begin(struct flow_room *room, struct flow *flow, nanoseconds time) {
    struct flow_story *story = flow_story_of(room, flow);
    if (!story) return;
    flow->marks |= MARK_ONSET_OPEN | MARK_ONSETS;
    story->onset = time;
    story->onset_base[0] = flow->low.fresh;
    story->onset_base[1] = flow->high.fresh;
    story->onsets++;
    wheel_put(&room->onsets, room_index(room, flow));
}

static void onset_event(struct flow_room *room, const struct flow *flow) {
    struct batch *batch = room->around.batch;
    struct event_onset *e = batch_begin(batch, EVENT_onset);
    if (!e) return;
    const struct flow_story *story = flow_story_if(room, flow);
    flow_fill_head(room, flow, story->onset, &e->head);
    unsigned client = flow_client(flow);
    const struct flow_facts *facts = flow_facts_if(room, flow);
    e->body.kind = story->onsets == 1 ? "start" : "burst";
    e->body.client_payload = flow_side(flow, client)->fresh - story->onset_base[client];
    e->body.server_payload = flow_side(flow, !client)->fresh - story->onset_base[!client];
    bool carried = e->body.client_payload + e->body.server_payload > 0;
    nanoseconds latest = flow_last_payload(flow);
    if (carried && latest > story->onset) e->body.duration = ns_to_seconds(latest - story->onset);
    if (facts && facts->name) e->body.server_name = batch_text(batch, facts->name, facts->name_length);
    e->body.name_source = name_source_word(facts);
    e->body.app_proto = flow_app_proto(room, flow);
    if (facts && facts->ja4) e->body.ja4 = batch_text(batch, facts->ja4, facts->ja4_length);
    batch_commit(batch);
}

void onset_finish(struct flow_room *room, struct flow *flow) {
    if (!(flow->marks & MARK_ONSET_OPEN)) return;
    flow->marks &= (uint16_t)~MARK_ONSET_OPEN;
    wheel_remove(&room->onsets, room_index(room, flow));
    onset_event(room, flow);
}

nanoseconds onset_deadline(const struct flow_room *room, const struct flow *flow) {
    nanoseconds active = flow_last_payload(flow), onset = flow_story_if(room, flow)->onset;
    if (onset > active) active = onset;
    return active + ((nanoseconds)flow->lag + ONSET_OVER_SECONDS) * NS_PER_SECOND;
}

/* The client has sent something, maybe without payload. */
void onset_packet(struct flow_room *room, struct flow *flow, unsigned side, nanoseconds time) {
    if (side != flow_client(flow) || !has_onsets(flow)) return;
    onset_begin(room, flow, time);
}

/* `side` is about to add fresh payload. */
void onset_payload(struct flow_room *room, struct flow *flow, unsigned side, nanoseconds time) {
    if (side != flow_client(flow) || !has_onsets(flow)) return;
    const struct flow_side *client = flow_side(flow, side);
    if (flow->marks & MARK_ONSET_OPEN) {
        if (client->fresh == 0) return;
        if (time - client->last_payload < ONSET_QUIET_SECONDS * NS_PER_SECOND) return;
        onset_finish(room, flow);
    }
    onset_begin(room, flow, time);
}
