/* What is missing of a flow: said in the head of each of its events, so that whoever judges the flow knows
 * what the judgement rests on.
 *
 * Two of the five are noted when they happen (flow->missing); the others are read off what the flow keeps
 * anyway. All of it is as the packets up to now tell it: the same event has the same word however packets
 * fell into batches. A segment that is late counts as missing until it comes. */
#include "flow/room.h"

enum { TALKED_PACKETS = 100 }; /* of one side that goes on as nobody does who is not answered */
static const nanoseconds talked_time = 5 * NS_PER_SECOND;
static const nanoseconds acked_time = NS_PER_SECOND;

enum { WORD_MIDSTREAM = 1, WORD_GAPS = 2, WORD_ONE_SIDED = 4, WORD_CUT = 8, WORD_DROPPED = 16, WORDS = 32 };

static const char *const words[WORDS] = {
    NULL,
    "midstream",
    "gaps",
    "midstream, gaps",
    "one-sided",
    "midstream, one-sided",
    "gaps, one-sided",
    "midstream, gaps, one-sided",
    "cut",
    "midstream, cut",
    "gaps, cut",
    "midstream, gaps, cut",
    "one-sided, cut",
    "midstream, one-sided, cut",
    "gaps, one-sided, cut",
    "midstream, gaps, one-sided, cut",
    "dropped",
    "midstream, dropped",
    "gaps, dropped",
    "midstream, gaps, dropped",
    "one-sided, dropped",
    "midstream, one-sided, dropped",
    "gaps, one-sided, dropped",
    "midstream, gaps, one-sided, dropped",
    "cut, dropped",
    "midstream, cut, dropped",
    "gaps, cut, dropped",
    "midstream, gaps, cut, dropped",
    "one-sided, cut, dropped",
    "midstream, one-sided, cut, dropped",
    "gaps, one-sided, cut, dropped",
    "midstream, gaps, one-sided, cut, dropped",
};

/* Only `side` was seen. Of a connection whose opening was seen, the next step proves that the other side took
 * part: the client's ACK, or what a server says after its SYN-ACK. A scan's SYNs, the echo of a forged one
 * (SYN-ACK, RST) and a refusal prove nothing. Picked up in the middle, it takes as long as an
 * acknowledgement may (RFC 1122 section 4.2.3.2: half a second, and the way there), and a side that goes on:
 * what is sent again and again to a host that is gone is no sign of one that was not seen. */
static bool tcp_lacks_answer(const struct flow *flow, unsigned side) {
    const struct flow_side *seen = flow_side(flow, side);
    if (!(flow->marks & MARK_MIDSTREAM))
        return side == flow_client(flow) && flow->tcp_state >= TCP_STATE_ESTABLISHED &&
               (seen->tcp_flags & TCP_ACK) && !(seen->tcp_flags & TCP_RST && seen->packets <= 2);
    if (seen->tcp_flags & TCP_SYN) return seen->fresh > 0 || (seen->tcp_flags & TCP_FIN);
    if (seen->fresh > 0) return seen->last_payload - flow->start >= acked_time;
    return seen->packets >= 3 && !(seen->tcp_flags & (TCP_FIN | TCP_RST)) &&
           flow->last - flow->start >= acked_time;
}

/* Ports of services that speak when spoken to: DNS, NTP, QUIC, DNS over TLS's datagrams and IKE. */
static bool is_answer_port(uint16_t port) {
    return port == 53 || port == 123 || port == 443 || port == 500 || port == 853 || port == 4500;
}

/* Services to which one speaks without an answer: syslog, SNMP traps, NetFlow, sFlow, IPFIX. */
static bool is_one_way_port(uint16_t port) {
    return port == 514 || port == 162 || port == 2055 || port == 4739 || port == 6343 || port == 9995;
}

static bool is_group(const struct ip *address) {
    const uint8_t *bytes = address->bytes;
    if (ip_is_v4(address)) return bytes[12] >= 224 || bytes[15] == 255;
    return bytes[0] == 0xff;
}

static bool datagrams_lack_answer(const struct flow *flow, unsigned side) {
    const struct flow_side *seen = flow_side(flow, side);
    if (flow_is_icmp(flow) || is_group(&flow->key.address[!side]) || is_group(&flow->key.address[side]))
        return false;
    uint16_t port = flow->key.port[flow_server(flow)];
    if (side != flow_client(flow)) return is_answer_port(port);
    if (is_one_way_port(port)) return false;
    return seen->packets >= TALKED_PACKETS && flow->last - flow->start >= talked_time;
}

bool flow_is_one_sided(const struct flow *flow) {
    if (flow->marks & (MARK_BOTH_SIDES | MARK_PORTLESS)) return false;
    if (flow_side(flow, 0)->packets > 0 && flow_side(flow, 1)->packets > 0) return false;
    unsigned side = flow_side(flow, 1)->packets > 0;
    return flow_is_tcp(flow) ? tcp_lacks_answer(flow, side) : datagrams_lack_answer(flow, side);
}

const char *flow_partial(const struct flow_room *room, const struct flow *flow) {
    unsigned word = 0;
    if (flow->marks & MARK_MIDSTREAM) word |= WORD_MIDSTREAM;
    if (flow_is_tcp(flow) && (tcp_missing_bytes(flow, 0) || tcp_missing_bytes(flow, 1))) word |= WORD_GAPS;
    if (flow_is_one_sided(flow)) word |= WORD_ONE_SIDED;
    if (flow->missing & MISSING_CUT) word |= WORD_CUT;
    if (flow->missing & MISSING_DROPPED || (room->lost && room->lost_at >= flow->start)) word |= WORD_DROPPED;
    return words[word];
}

void flow_room_lost(struct flow_room *room) {
    room->lost = true;
    room->lost_at = room->clock;
}
