/* What only some flows have: a name, a fingerprint, first bytes, a tunnel around them. See struct flow_facts,
 * flow_story, flow_rare. */
#include "flow/room.h"

#include <stdlib.h>

struct flow_facts *flow_facts_of(struct flow_room *room, struct flow *flow) {
    if (!flow->facts) flow->facts = slab_take(&room->facts);
    return flow_facts_if(room, flow);
}

struct flow_story *flow_story_of(struct flow_room *room, struct flow *flow) {
    if (!flow->story) flow->story = slab_take(&room->stories);
    return flow_story_if(room, flow);
}

struct flow_rare *flow_rare_of(struct flow_room *room, struct flow *flow) {
    struct flow_facts *facts = flow_facts_of(room, flow);
    if (!facts) return NULL;
    if (!facts->rare) facts->rare = slab_take(&room->rare);
    return facts->rare ? slab_at(&room->rare, facts->rare) : NULL;
}

/* Keeps the first bytes a side sends: of TCP those that its sequence numbers say are first, of datagrams the
 * first one's. Only flows' records show them: nothing is kept while nobody wants these. */
void facts_head(struct flow_room *room, struct flow *flow, unsigned side, const struct decoded *d) {
    uint16_t full = (uint16_t)(MARK_HEAD_FULL_LOW << side);
    struct flow_story *story = room->flows_told ? flow_story_of(room, flow) : NULL;
    if (!story) {
        flow->marks |= full;
        return;
    }
    uint32_t at = story->head_length[side], skip = 0;
    if (flow_is_tcp(flow)) {
        uint32_t first = flow->isn[side] + 1;
        uint32_t seq = d->tcp_seq + ((d->tcp_flags & TCP_SYN) != 0);
        int32_t behind = (int32_t)(first + at - seq); /* bytes of the packet that are already here */
        if (behind < 0) {
            if (behind < -(int32_t)RECOGNISE_BYTES) flow->marks |= full; /* the hole will hardly be filled */
            return;
        }
        skip = (uint32_t)behind;
    }
    if (skip < d->payload_captured) {
        uint32_t length = d->payload_captured - skip;
        if (length > FLOW_HEAD_BYTES - at) length = FLOW_HEAD_BYTES - at;
        memcpy(story->head[side] + at, d->payload + skip, length);
        story->head_length[side] = (uint8_t)(at + length);
    }
    bool cut = d->payload_captured < d->payload_length;
    if (!flow_is_tcp(flow) || cut || story->head_length[side] == FLOW_HEAD_BYTES) flow->marks |= full;
}

void facts_hide_head(struct flow_room *room, struct flow *flow, unsigned side) {
    struct flow_story *story = flow_story_if(room, flow);
    flow->marks |= (uint16_t)(MARK_HEAD_FULL_LOW << side);
    if (story) story->head_length[side] = 0;
}

static char *text_replace(struct flow_room *room, char *old, uint8_t old_length, struct slice text) {
    char *copy = malloc(text.length);
    if (!copy) return NULL;
    memcpy(copy, text.at, text.length);
    if (old) room->strings -= old_length;
    free(old);
    room->strings += text.length;
    return copy;
}

void facts_name(struct flow_room *room, struct flow *flow, enum name_source source, struct slice name) {
    if (name.length == 0) return;
    if (name.length > FACTS_NAME_MAX) name.length = FACTS_NAME_MAX;
    struct flow_facts *facts = flow_facts_of(room, flow);
    if (!facts || facts->name_source >= source) return;
    char *copy = text_replace(room, facts->name, facts->name_length, name);
    if (!copy) return;
    facts->name = copy;
    facts->name_length = (uint8_t)name.length;
    facts->name_source = (uint8_t)source;
}

void facts_ja4(struct flow_room *room, struct flow *flow, struct slice ja4) {
    if (ja4.length == 0) return;
    if (ja4.length > FACTS_JA4_MAX) ja4.length = FACTS_JA4_MAX;
    struct flow_facts *facts = flow_facts_of(room, flow);
    if (!facts) return;
    char *copy = text_replace(room, facts->ja4, facts->ja4_length, ja4);
    if (!copy) return;
    facts->ja4 = copy;
    facts->ja4_length = (uint8_t)ja4.length;
}

/* HOST of HOST:PORT, without the brackets of an IPv6 address. */
static struct slice host_of(struct slice target) {
    const uint8_t *at = target.at;
    if (target.length > 1 && at[0] == '[') {
        const uint8_t *close = memchr(at, ']', target.length);
        if (close) return (struct slice){at + 1, (uint32_t)(close - at) - 1};
    }
    const uint8_t *colon = memrchr(at, ':', target.length);
    return (struct slice){at, colon ? (uint32_t)(colon - at) : target.length};
}

/* The target's name: as the client gave it or, for an address, as DNS told the client before. */
static struct slice proxy_name(const struct flow_room *room, const struct flow *flow, struct slice target) {
    struct slice host = host_of(target);
    char text[IP_TEXT_SIZE];
    struct ip address;
    if (host.length >= sizeof text) return host;
    memcpy(text, host.at, host.length);
    text[host.length] = '\0';
    if (ip_parse(text, &address)) return host;
    return names_find(room->names, &flow->key.address[flow_client(flow)], &address, room->clock, NULL);
}

/* Of several proxies, one behind the other, the last one's target is where the flow goes. */
void facts_proxy(struct flow_room *room, struct flow *flow, const char *kind, struct slice target) {
    struct flow_rare *rare = flow_rare_of(room, flow);
    if (!rare) return;
    struct flow_facts *facts = flow_facts_of(room, flow);
    rare->proxy = kind;
    if (target.length == 0) return;
    struct slice name = proxy_name(room, flow, target);
    if (name.length > 0 && facts->name_source == NAME_PROXY) facts->name_source = NAME_HOST;
    facts_name(room, flow, NAME_PROXY, name);
    if (target.length > FACTS_PROXY_MAX) target.length = FACTS_PROXY_MAX;
    char *copy = text_replace(room, rare->proxy_target, rare->proxy_target_length, target);
    if (!copy) return;
    rare->proxy_target = copy;
    rare->proxy_target_length = (uint8_t)target.length;
}

void facts_tunnel(struct flow_room *room, struct flow *flow, const struct tunnel *tunnel) {
    struct flow_rare *rare = flow_rare_of(room, flow);
    struct tunnel *copy = rare ? malloc(sizeof *copy) : NULL;
    if (!copy) return;
    *copy = *tunnel;
    rare->tunnel = copy;
    flow->marks |= MARK_TUNNELLED;
    room->strings += sizeof *copy;
}

/* The flow is a tunnel's: nobody need be asked any more what it speaks. */
void facts_carries(struct flow_room *room, struct flow *flow, const char *carries) {
    struct flow_rare *rare = flow_rare_of(room, flow);
    if (rare && !rare->carries) rare->carries = carries;
}

static void rare_release(struct flow_room *room, uint32_t index) {
    struct flow_rare *rare = slab_at(&room->rare, index);
    if (rare->proxy_target) room->strings -= rare->proxy_target_length;
    free(rare->proxy_target);
    if (rare->tunnel) room->strings -= sizeof *rare->tunnel;
    free(rare->tunnel);
    slab_give(&room->rare, index);
}

void facts_release(struct flow_room *room, struct flow *flow) {
    if (flow->story) slab_give(&room->stories, flow->story);
    flow->story = 0;
    struct flow_facts *facts = flow_facts_if(room, flow);
    if (!facts) return;
    if (facts->name) room->strings -= facts->name_length;
    if (facts->ja4) room->strings -= facts->ja4_length;
    free(facts->name);
    free(facts->ja4);
    if (facts->rare) rare_release(room, facts->rare);
    if (facts->programs) slab_give(&room->programs, facts->programs);
    slab_give(&room->facts, flow->facts);
    flow->facts = 0;
}

const char *name_source_word(const struct flow_facts *facts) {
    static const char *const words[] = {NULL, "dns", "host", "proxy", "sni"};
    return facts ? words[facts->name_source] : NULL;
}
