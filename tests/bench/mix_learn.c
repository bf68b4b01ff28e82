/* What a capture's packets are to each other. Three passes over the packets in memory: headers and flows,
 * with who began each; then who is inside (local addresses, and of two public ones the client); then each
 * packet is told what its ends are. So a packet is judged by all that the capture shows, not only by what
 * came before it, and both directions of a flow are judged alike. */
#include "mix_source.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

enum {
    FLOW_SLOTS = 65536,
    MOST_FLOWS = FLOW_SLOTS / 2,
    PORT_DNS = 53,
    PORT_DHCP = 67,
    TCP_SYN = 2,
    TCP_ACK = 16
};

struct address {
    uint8_t bytes[16], size; /* size 0: no address */
};

struct ends {
    struct address sender, receiver;
    uint16_t sender_port, receiver_port; /* 0: none */
    bool begins, answers;                /* a SYN, a SYN-ACK */
};

/* The flow as its first packet saw it. */
struct learned_flow {
    struct ends ends;
    uint8_t kind;
    bool sender_is_client;
};

struct learner {
    struct source *source;
    uint32_t slots[FLOW_SLOTS]; /* index + 1 */
    struct learned_flow flows[MOST_FLOWS];
    uint32_t flow_count;
    struct address insiders[END_MOST_INSIDERS];
    bool gateway[END_MOST_INSIDERS]; /* this insider answers DNS or DHCP */
};

static bool same_address(const struct address *a, const struct address *b) {
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

static bool is_group(const struct address *a) {
    return a->size == 4 ? v4_is_group(a->bytes) : v6_is_group(a->bytes);
}

static bool is_local(const struct address *a) {
    return a->size == 4 ? v4_is_local(a->bytes) : v6_is_local(a->bytes);
}

static bool is_broadcast(const struct address *a) {
    return a->size == 4 && a->bytes[3] == 255 && v4_is_local(a->bytes);
}

static struct address address_at(const uint8_t *at, uint8_t size) {
    struct address address = {.size = size};
    memcpy(address.bytes, at, size);
    return address;
}

/* ------------------------------------------------------------ headers */

static void learn_transport(const uint8_t *frame, struct source_packet *packet, uint8_t protocol, uint32_t at,
                            struct ends *ends) {
    uint32_t header = protocol == 6 ? 20 : 8;
    if ((protocol != 6 && protocol != 17) || at + header > packet->captured) return;
    packet->transport = (uint16_t)at;
    packet->kind = protocol == 6 ? KIND_TCP : KIND_UDP;
    ends->sender_port = load_be16(frame + at);
    ends->receiver_port = load_be16(frame + at + 2);
    uint16_t low = ends->sender_port < ends->receiver_port ? ends->sender_port : ends->receiver_port;
    if (packet->kind == KIND_UDP && low == PORT_DHCP && at + 8 + 240 <= packet->captured)
        packet->kind = KIND_DHCP;
    if (packet->kind != KIND_TCP) return;
    ends->begins = (frame[at + 13] & (TCP_SYN | TCP_ACK)) == TCP_SYN;
    ends->answers = (frame[at + 13] & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
}

static void learn_headers(const uint8_t *frame, struct source_packet *packet, struct ends *ends) {
    uint32_t at = 12, length = packet->captured;
    memset(ends, 0, sizeof *ends);
    while ((load_be16(frame + at) == 0x8100 || load_be16(frame + at) == 0x88a8) && at + 6 <= length) at += 4;
    uint16_t type = load_be16(frame + at);
    const uint8_t *ip = frame + at + 2;
    length -= at + 2;
    packet->network = (uint16_t)(at + 2);
    if (type == 0x0806 && length >= 28 && load_be16(ip + 2) == 0x0800 && ip[4] == 6 && ip[5] == 4) {
        packet->kind = KIND_ARP;
        ends->sender = address_at(ip + 14, 4);
        ends->receiver = address_at(ip + 24, 4);
    } else if (type == 0x0800 && length >= 20 && ip[0] >> 4 == 4) {
        packet->kind = KIND_IP;
        ends->sender = address_at(ip + 12, 4);
        ends->receiver = address_at(ip + 16, 4);
        if ((load_be16(ip + 6) & 0x1fff) == 0)
            learn_transport(frame, packet, ip[9], at + 2 + (ip[0] & 15) * 4U, ends);
    } else if (type == 0x86dd && length >= 40 && ip[0] >> 4 == 6) {
        packet->kind = KIND_IP;
        ends->sender = address_at(ip + 8, 16);
        ends->receiver = address_at(ip + 24, 16);
        learn_transport(frame, packet, ip[6], at + 42, ends);
    }
}

/* -------------------------------------------------------------- flows */

static bool same_flow(const struct learned_flow *flow, const struct ends *ends, bool *turned) {
    const struct ends *own = &flow->ends;
    bool straight = own->sender_port == ends->sender_port && own->receiver_port == ends->receiver_port &&
                    same_address(&own->sender, &ends->sender) &&
                    same_address(&own->receiver, &ends->receiver);
    *turned = !straight && own->sender_port == ends->receiver_port &&
              own->receiver_port == ends->sender_port && same_address(&own->sender, &ends->receiver) &&
              same_address(&own->receiver, &ends->sender);
    return straight || *turned;
}

static uint32_t flow_slot(const struct ends *ends) {
    uint64_t sum = 0, product = ends->sender_port + ends->receiver_port; /* the same in both directions */
    for (unsigned i = 0; i < 16; i++) {
        sum += (uint64_t)(ends->sender.bytes[i] + ends->receiver.bytes[i]) << (i % 4 * 8);
    }
    product |= (uint64_t)(ends->sender_port ^ ends->receiver_port) << 20;
    return (uint32_t)(mix_scramble(sum ^ product << 24) % FLOW_SLOTS);
}

/* The flow of the packet, made if it is new; MIX_NO_FLOW if it has no ports, or there are too many. */
static uint32_t learn_flow(struct learner *learner, const struct source_packet *packet,
                           const struct ends *ends, bool *turned) {
    *turned = false;
    if (!packet->transport) return MIX_NO_FLOW;
    uint8_t kind = packet->kind == KIND_TCP ? KIND_TCP : KIND_UDP;
    uint32_t slot = flow_slot(ends);
    for (; learner->slots[slot]; slot = (slot + 1) % FLOW_SLOTS) {
        struct learned_flow *flow = &learner->flows[learner->slots[slot] - 1];
        if (flow->kind != kind || !same_flow(flow, ends, turned)) continue;
        if (ends->begins) flow->sender_is_client = !*turned;
        if (ends->answers) flow->sender_is_client = *turned;
        return learner->slots[slot] - 1;
    }
    if (learner->flow_count == MOST_FLOWS) return MIX_NO_FLOW;
    struct learned_flow *flow = &learner->flows[learner->flow_count++];
    bool from_service =
        (ends->sender_port < 1024 && ends->receiver_port >= 1024) || ends->sender_port == PORT_DHCP;
    *flow = (struct learned_flow){.ends = *ends, .kind = kind};
    flow->sender_is_client = ends->begins || !(ends->answers || from_service);
    learner->slots[slot] = learner->flow_count;
    return learner->flow_count - 1;
}

/* ---------------------------------------------------------- insiders */

static uint16_t insider_find(const struct learner *learner, const struct address *address) {
    for (uint32_t i = 0; i < learner->source->insiders; i++)
        if (same_address(&learner->insiders[i], address)) return (uint16_t)(i + 1);
    return END_OUTSIDE;
}

static void insider_add(struct learner *learner, const struct address *address) {
    if (address->size == 0 || is_group(address) || is_broadcast(address)) return;
    if (learner->source->insiders == END_MOST_INSIDERS || insider_find(learner, address)) return;
    learner->insiders[learner->source->insiders++] = *address;
}

static void learn_insiders(struct learner *learner, const struct source_packet *packet,
                           const struct ends *ends) {
    if (is_local(&ends->sender)) insider_add(learner, &ends->sender);
    if (is_local(&ends->receiver)) insider_add(learner, &ends->receiver);
    if (packet->kind == KIND_DHCP || (packet->transport && packet->client != CLIENT_UNKNOWN)) {
        bool up = packet->client == CLIENT_SENDS;
        uint16_t port = up ? ends->receiver_port : ends->sender_port;
        uint16_t server = insider_find(learner, up ? &ends->receiver : &ends->sender);
        if (server && (port == PORT_DNS || (packet->kind == KIND_DHCP && port == PORT_DHCP)))
            learner->gateway[server - 1] = true;
    }
    if (is_local(&ends->sender) || is_local(&ends->receiver) || is_group(&ends->sender)) return;
    if (!insider_find(learner, &ends->sender) && !insider_find(learner, &ends->receiver))
        insider_add(learner, packet->client == CLIENT_RECEIVES ? &ends->receiver : &ends->sender);
}

static uint16_t end_of(const struct learner *learner, const struct address *address) {
    if (address->size == 0) return END_OUTSIDE;
    if (is_broadcast(address)) return END_BROADCAST;
    uint16_t insider = insider_find(learner, address);
    return insider && learner->gateway[insider - 1] ? END_GATEWAY : insider;
}

/* Who asks, though it may have no address yet: the one whom the message is about, or else the first. */
static uint16_t dhcp_client(const struct learner *learner, const uint8_t *message) {
    static const uint8_t fields[] = {12, 16}; /* ciaddr, yiaddr: RFC 2131, section 2 */
    for (unsigned i = 0; i < sizeof fields; i++) {
        struct address address = address_at(message + fields[i], 4);
        uint16_t end = end_of(learner, &address);
        if (end > END_OUTSIDE && end <= END_MOST_INSIDERS) return end;
    }
    return learner->source->insiders ? 1 : END_OUTSIDE;
}

static void learn_ends(const struct learner *learner, const uint8_t *frame, struct source_packet *packet,
                       const struct ends *ends) {
    packet->sender = end_of(learner, &ends->sender);
    packet->receiver = end_of(learner, &ends->receiver);
    bool up = packet->client == CLIENT_SENDS;
    if (packet->kind == KIND_DHCP) {
        uint16_t client = dhcp_client(learner, frame + packet->transport + 8);
        if (up && packet->sender == END_OUTSIDE) packet->sender = client;
        if (!up && packet->receiver == END_OUTSIDE) packet->receiver = client;
    } else if (packet->flow != MIX_NO_FLOW) {
        const struct ends *flow = &learner->flows[packet->flow].ends;
        bool first_is_client = learner->flows[packet->flow].sender_is_client;
        if ((first_is_client ? flow->receiver_port : flow->sender_port) == PORT_DNS)
            *(up ? &packet->receiver : &packet->sender) = END_GATEWAY;
    }
}

void source_learn(struct source *source) {
    struct learner *learner = calloc(1, sizeof *learner);
    bool *turned = calloc(source->count, sizeof *turned);
    struct ends ends;
    if (!learner || !turned) mix_fail("memory", "there is not enough");
    learner->source = source;
    for (uint32_t i = 0; i < source->count; i++) {
        struct source_packet *packet = &source->packets[i];
        learn_headers(source->bytes + packet->at, packet, &ends);
        packet->flow = learn_flow(learner, packet, &ends, &turned[i]);
    }
    for (uint32_t i = 0; i < source->count; i++) {
        struct source_packet *packet = &source->packets[i];
        learn_headers(source->bytes + packet->at, packet, &ends);
        if (packet->flow != MIX_NO_FLOW)
            packet->client =
                learner->flows[packet->flow].sender_is_client != turned[i] ? CLIENT_SENDS : CLIENT_RECEIVES;
        if (ends.sender.size) learn_insiders(learner, packet, &ends);
    }
    for (uint32_t i = 0; i < source->count; i++) {
        struct source_packet *packet = &source->packets[i];
        learn_headers(source->bytes + packet->at, packet, &ends);
        learn_ends(learner, source->bytes + packet->at, packet, &ends);
    }
    free(turned);
    free(learner);
}
