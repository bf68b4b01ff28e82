/* Events that are made from a flow alone: its first packet, its end, and the head that all events of a flow
 * share. */
#include "flow/community_id.h"
#include "flow/programs.h"
#include "flow/syn.h"
#include "flow/talk.h"
#include "flow/texture.h"

const char *flow_proto_word(uint8_t proto) {
    switch (proto) {
    case PROTO_TCP:
        return "TCP";
    case PROTO_UDP:
        return "UDP";
    case PROTO_ICMP:
        return "ICMP";
    case PROTO_ICMPV6:
        return "IPv6-ICMP";
    default:
        return "IP";
    }
}

uint64_t flow_id(const struct flow *flow) {
    return flow->id;
}

void flow_fill_head(const struct flow_room *room, const struct flow *flow, nanoseconds time,
                    struct event_head_body *head) {
    unsigned client = flow_client(flow), server = flow_server(flow);
    const struct flow_surroundings *around = &room->around;
    head->time = time;
    head->flow_id = flow->id;
    head->flow_slot = room_index(room, flow);
    head->vlan = tunnels_vlan(&room->tunnels, flow->key.vlan);
    head->client_ip = flow->key.address[client];
    head->server_ip = flow->key.address[server];
    if (!flow_is_icmp(flow)) {
        head->client_port = flow->key.port[client];
        head->server_port = flow->key.port[server];
    }
    head->proto = flow_proto_word(flow->key.proto);
    head->client_local = (flow->marks & MARK_CLIENT_LOCAL) != 0;
    head->server_local = (flow->marks & MARK_SERVER_LOCAL) != 0;
    const struct tunnel *tunnel = flow_tunnel(room, flow);
    if (__builtin_expect(tunnel != NULL, 0)) head->tunnel = tunnel_word(tunnel->kind);
    const char *name =
        around->interface_name ? around->interface_name(around->context, flow->key.interface) : NULL;
    if (name && *name) head->iface = batch_string(around->batch, name);
    head->partial = flow_partial(room, flow);
    programs_fill_head(room, flow, head);
}

const char *flow_app_proto(const struct flow_room *room, const struct flow *flow) {
    if ((flow->marks & MARK_TALK) && talk_of(room, flow)->doubted) return NULL;
    const struct flow_rare *rare = flow_rare_if(room, flow);
    if (rare && rare->carries) return rare->carries;
    bool carried =
        flow->protocol && !flow_is_icmp(flow); /* ICMP is a protocol of its own, not one inside another */
    return carried ? room->protocols[flow->protocol - 1]->name : NULL;
}

void record_flow_start(struct flow_room *room, struct flow *flow, const struct decoded *d) {
    struct batch *batch = room->around.batch;
    struct event_flow_start *e = batch_begin(batch, EVENT_flow_start);
    if (!e) return;
    flow_fill_head(room, flow, flow->start, &e->head);
    e->body.ttl = d->ttl;
    e->body.df = d->dont_fragment;
    e->body.id_zero = ip_is_v4(&d->src) && d->ip_id == 0;
    bool syn = flow_is_tcp(flow) && (d->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
    if (syn) {
        struct syn opening;
        syn_read(&opening, d);
        char signature[SYN_SIGNATURE_TEXT];
        unsigned length = syn_signature(&opening, signature);
        const struct syn_os *system = syn_os_of(&opening);
        e->body.syn = true;
        e->body.ecn_setup = (d->tcp_flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR);
        e->body.window = d->tcp_window;
        e->body.mss = opening.mss;
        e->body.wscale = opening.wscale;
        e->body.tcp_options = batch_text(batch, opening.layout, opening.layout_length);
        e->body.syn_payload = d->payload_length;
        e->body.syn_signature = batch_text(batch, signature, length);
        if (system) {
            e->body.os = system->os;
            e->body.os_detail = system->detail;
        }
    }
    batch_commit(batch);
}

static void fill_counters(struct event_flow_body *body, const struct flow *flow) {
    const struct flow_side *client = flow_side(flow, flow_client(flow)),
                           *server = flow_side(flow, flow_server(flow));
    body->client_packets = client->packets;
    body->server_packets = server->packets;
    body->client_bytes = client->bytes;
    body->server_bytes = server->bytes;
    body->client_payload = client->fresh;
    body->server_payload = server->fresh;
}

static void fill_story(struct batch *batch, struct event_flow_body *body, const struct flow *flow,
                       const struct flow_story *story) {
    unsigned client = flow_client(flow), server = flow_server(flow);
    body->onsets = story->onsets;
    body->turns = story->turns;
    body->client_pauses = story->pauses[client];
    body->server_pauses = story->pauses[server];
    body->client_small = story->small[client];
    body->server_small = story->small[server];
    body->client_full = story->full[client];
    body->server_full = story->full[server];
    body->client_payload += story->repeated[client];
    body->server_payload += story->repeated[server];
    body->retransmits = story->retransmits;
    body->gap_bytes += story->cut;
    body->rtt = ns_to_seconds(story->rtt);
    if (story->head_length[client])
        body->client_head = batch_text(batch, story->head[client], story->head_length[client]);
    if (story->head_length[server])
        body->server_head = batch_text(batch, story->head[server], story->head_length[server]);
}

static void fill_rare(struct batch *batch, struct event_flow_body *body, const struct flow_rare *rare) {
    body->rebinds = rare->rebinds;
    body->rebound_ip = rare->rebound_ip;
    body->rebound_port = rare->rebound_port;
    if (rare->tunnel) {
        body->tunnel_depth = rare->tunnel->depth;
        body->tunnel_id = rare->tunnel->id;
        body->tunnel_src = rare->tunnel->src;
        body->tunnel_dest = rare->tunnel->dst;
    }
    body->proxy = rare->proxy;
    if (rare->proxy_target)
        body->proxy_target = batch_text(batch, rare->proxy_target, rare->proxy_target_length);
}

static void fill_facts(struct batch *batch, struct event_flow_body *body, const struct flow_facts *facts) {
    if (facts->name) body->server_name = batch_text(batch, facts->name, facts->name_length);
    body->name_source = name_source_word(facts);
    if (facts->ja4) body->ja4 = batch_text(batch, facts->ja4, facts->ja4_length);
}

/* What can be said of a flow that nobody reads: see engine/flow/texture.h. */
static void fill_unknown(struct event_flow_body *body, const struct flow *flow,
                         const struct flow_story *story) {
    unsigned client = flow_client(flow), server = flow_server(flow);
    body->client_entropy = texture_entropy(story->head[client], story->head_length[client]);
    body->server_entropy = texture_entropy(story->head[server], story->head_length[server]);
    body->client_printable = texture_printable(story->head[client], story->head_length[client]);
    body->server_printable = texture_printable(story->head[server], story->head_length[server]);
    if (story->first_speaker) body->first_speaker = story->first_speaker == client + 1 ? "client" : "server";
}

static void fill_tcp(struct event_flow_body *body, const struct flow *flow) {
    body->midstream = (flow->marks & MARK_MIDSTREAM) != 0;
    body->gap_bytes = tcp_missing_bytes(flow, 0) + tcp_missing_bytes(flow, 1);
    body->tcp_flags_client = flow_side(flow, flow_client(flow))->tcp_flags;
    body->tcp_flags_server = flow_side(flow, flow_server(flow))->tcp_flags;
    body->tcp_state = tcp_state_word(flow);
}

const char *flow_state_word(const struct flow *flow) {
    if (!flow_is_tcp(flow)) return flow->marks & MARK_BOTH_SIDES ? "established" : "new";
    if (flow->tcp_state == TCP_STATE_CLOSED) return "closed";
    return flow->tcp_state >= TCP_STATE_ESTABLISHED ? "established" : "new";
}

static struct text_ref flow_community_id(struct batch *batch, const struct flow *flow) {
    unsigned client = flow_client(flow), server = flow_server(flow);
    uint16_t source = flow->key.port[client], destination = flow->key.port[server];
    if (flow_is_icmp(flow)) {
        source = flow->icmp_type;
        destination = flow->icmp_code;
    }
    char id[COMMUNITY_ID_LENGTH + 1];
    community_id(0, flow->key.proto, &flow->key.address[client], source, &flow->key.address[server],
                 destination, id);
    return batch_text(batch, id, COMMUNITY_ID_LENGTH);
}

void record_flow(struct flow_room *room, const struct flow *flow, const char *reason) {
    struct batch *batch = room->around.batch;
    struct event_flow *e = batch_begin(batch, EVENT_flow);
    if (!e) return;
    flow_fill_head(room, flow, flow->last, &e->head);
    struct event_flow_body *body = &e->body;
    body->app_proto = flow_app_proto(room, flow);
    body->community_id = flow_community_id(batch, flow);
    body->start = flow->start;
    body->finish = flow->last;
    body->age = ns_to_seconds(flow->last - flow->start);
    body->state = flow_state_word(flow);
    body->reason = reason;
    fill_counters(body, flow);
    if (flow_is_tcp(flow)) fill_tcp(body, flow);
    const struct flow_facts *facts = flow_facts_if(room, flow);
    if (facts) fill_facts(batch, body, facts);
    const struct flow_rare *rare = flow_rare_if(room, flow);
    if (rare) fill_rare(batch, body, rare);
    const struct flow_story *story = flow_story_if(room, flow);
    if (story) fill_story(batch, body, flow, story);
    programs_fill_record(room, flow, body);
    if (facts && facts->carrier) body->app_proto_orig = room->protocols[facts->carrier - 1]->name;
    if (story && !body->app_proto && !flow_is_icmp(flow)) fill_unknown(body, flow, story);
    batch_commit(batch);
}
