/* Most bytes of real traffic are encrypted and full-size, and captures for tests have none of them: they end
 * soon after the hello. So one flow of the capture, real up to there, is made to carry more: TLS after a
 * segment of the server that ends a record of application data, QUIC after a packet of the server with a
 * short header. The server's full-size packets have the headers of that one; TCP's are acknowledged every
 * second time, as receivers do. What the capture has of the flow afterwards follows, its sequence numbers
 * moved by the bytes that were put in. */
#include "mix_bulk.h"

#include "base/bytes.h"

#include <string.h>

enum {
    TCP_FIN = 1,
    TCP_SYN = 2,
    TCP_RST = 4,
    TCP_PSH = 8,
    TCP_ACK = 16,
    MTU = 1500,
    QUIC_PAYLOAD = 1350,
    QUIC_KEPT = 21, /* a short header with the longest connection identifier: RFC 9000, section 17.3 */
    RECORD_HEADER = 5,
    RECORD_BODY = 16384 + 17, /* content type and tag in it: RFC 8446, section 5.2 */
    RECORD = RECORD_HEADER + RECORD_BODY,
    APPLICATION_DATA = 23,
};

static void put_be16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_be32(uint8_t *at, uint32_t value) {
    put_be16(at, value >> 16);
    put_be16(at + 2, value);
}

/* ---------------------------------------------------------------- search */

/* The server's side of a TLS connection, followed record by record while it comes in order. */
struct tls_side {
    uint32_t flow, server_next, client_next, client_packet;
    uint32_t left; /* of the record's body */
    uint8_t type, head[RECORD_HEADER], headed;
    bool begun, lost, ended, application, client_seen;
};

struct segment {
    const uint8_t *tcp, *payload;
    uint32_t sequence, length;
    uint8_t flags;
    bool whole;
};

static struct segment segment_of(const struct source *source, const struct source_packet *packet) {
    const uint8_t *frame = source->bytes + packet->at, *network = frame + packet->network;
    struct segment s = {.tcp = frame + packet->transport};
    uint32_t end =
        packet->network + (network[0] >> 4 == 4 ? load_be16(network + 2) : 40U + load_be16(network + 4));
    uint32_t begin = packet->transport + (s.tcp[12] >> 4) * 4U;
    s.whole = end <= packet->captured && begin <= end;
    s.payload = frame + begin;
    s.length = s.whole ? end - begin : 0;
    s.sequence = load_be32(s.tcp + 4);
    s.flags = s.tcp[13];
    return s;
}

static void tls_follow(struct tls_side *side, const uint8_t *bytes, uint32_t length) {
    while (length && !side->lost) {
        if (side->left) {
            uint32_t part = length < side->left ? length : side->left;
            bytes += part, length -= part, side->left -= part;
            if (side->left == 0 && side->type == APPLICATION_DATA) side->application = true;
            continue;
        }
        side->head[side->headed++] = *bytes++;
        length--;
        if (side->headed < RECORD_HEADER) continue;
        side->headed = 0;
        side->type = side->head[0];
        side->left = load_be16(side->head + 3);
        side->lost = side->type < 20 || side->type > APPLICATION_DATA || side->head[1] != 3;
    }
}

/* True: bulk may follow this packet. */
static bool tls_packet(struct tls_side *side, const struct source_packet *packet, const struct segment *s,
                       uint32_t number) {
    if (!s->whole || (s->flags & (TCP_FIN | TCP_RST))) side->ended = true;
    if (side->ended) return false;
    if (packet->client == CLIENT_SENDS) {
        uint32_t next = s->sequence + s->length + (s->flags & TCP_SYN ? 1 : 0);
        if (!side->client_seen || (int32_t)(next - side->client_next) > 0) side->client_next = next;
        if (!(s->flags & TCP_SYN)) side->client_packet = number;
        side->client_seen = true;
        return false;
    }
    if (s->flags & TCP_SYN) {
        side->server_next = s->sequence + 1;
        side->begun = true;
        return false;
    }
    if (!side->begun || s->length == 0 || (int32_t)(s->sequence + s->length - side->server_next) <= 0)
        return false;
    if (s->sequence != side->server_next) side->lost = true;
    if (side->lost) return false;
    tls_follow(side, s->payload, s->length);
    side->server_next += s->length;
    return !side->lost && side->application && side->left == 0 && side->headed == 0 && side->client_packet &&
           (s->tcp[12] >> 4) <= 8; /* a sack is of its moment: not one to repeat */
}

static void find_tls(struct source *source, uint32_t flow, uint32_t first) {
    struct tls_side side = {.flow = flow};
    for (uint32_t i = first; i < source->count && !side.ended; i++) {
        const struct source_packet *packet = &source->packets[i];
        if (packet->flow != flow) continue;
        struct segment segment = segment_of(source, packet);
        if (!tls_packet(&side, packet, &segment, i)) continue;
        source->carrier = (struct carrier){.found = true,
                                           .tcp = true,
                                           .flow = flow,
                                           .after = i,
                                           .client_packet = side.client_packet,
                                           .server_sequence = side.server_next,
                                           .client_sequence = side.client_next};
    }
}

static void find_quic(struct source *source, uint32_t flow, uint32_t first) {
    uint32_t client_packet = 0;
    bool hello = false;
    for (uint32_t i = first; i < source->count; i++) {
        const struct source_packet *packet = &source->packets[i];
        if (packet->flow != flow) continue;
        const uint8_t *frame = source->bytes + packet->at, *payload = frame + packet->transport + 8;
        if (packet->captured < packet->transport + 8U + QUIC_KEPT + 4) continue;
        uint16_t server_port =
            load_be16(frame + packet->transport + (packet->client == CLIENT_SENDS ? 2 : 0));
        if (server_port != 443) return;
        if ((payload[0] & 0xc0) == 0xc0 && packet->client == CLIENT_RECEIVES && load_be32(payload + 1))
            hello = true;
        if ((payload[0] & 0xc0) != 0x40 || !hello) continue;
        if (packet->client == CLIENT_SENDS) client_packet = i;
        if (packet->client == CLIENT_RECEIVES && client_packet)
            source->carrier =
                (struct carrier){.found = true, .flow = flow, .after = i, .client_packet = client_packet};
    }
}

/* The first flow that can; a capture has few. */
void source_find_carrier(struct source *source) {
    uint32_t seen = 0; /* flows are numbered as they begin */
    for (uint32_t i = 0; i < source->count && !source->carrier.found; i++) {
        const struct source_packet *packet = &source->packets[i];
        if (packet->flow == MIX_NO_FLOW || packet->flow < seen) continue;
        seen = packet->flow + 1;
        if (packet->kind == KIND_TCP) find_tls(source, packet->flow, i);
        if (packet->kind == KIND_UDP) find_quic(source, packet->flow, i);
    }
}

/* ---------------------------------------------------------------- frames */

uint64_t bulk_whole(uint64_t bytes) {
    return (bytes + RECORD - 1) / RECORD * RECORD;
}

static void fill(uint8_t *to, uint32_t length, uint64_t chance) {
    for (; length >= 8; to += 8, length -= 8, chance = chance * 0x5851f42d4c957f2dULL + 1)
        memcpy(to, &chance, 8);
    memset(to, 0x5a, length);
}

/* Random bytes with a record's header wherever one is due. */
static void fill_records(uint8_t *to, uint32_t length, uint64_t position) {
    const uint8_t header[RECORD_HEADER] = {APPLICATION_DATA, 3, 3, RECORD_BODY >> 8, RECORD_BODY & 255};
    fill(to, length, mix_scramble(position));
    for (uint32_t i = 0; i < length; i++) {
        uint64_t in_record = (position + i) % RECORD;
        if (in_record < RECORD_HEADER)
            to[i] = header[in_record];
        else
            i += (uint32_t)(RECORD - in_record) - 1;
    }
}

static uint32_t frame_close(uint8_t *frame, const struct source_packet *like, uint32_t length) {
    uint8_t *network = frame + like->network;
    if (network[0] >> 4 == 4)
        put_be16(network + 2, length - like->network);
    else
        put_be16(network + 4, length - like->network - 40);
    return length;
}

static uint32_t tcp_frame(const struct source *source, struct bulk *bulk, bool from_client,
                          const struct source_packet *like, uint8_t *frame) {
    const struct carrier *carrier = &source->carrier;
    uint8_t *tcp = frame + like->transport;
    uint32_t server_next = carrier->server_sequence + (uint32_t)bulk->sent;
    tcp[13] = TCP_ACK;
    if (from_client) {
        tcp[12] = 5 << 4; /* its options were of another moment */
        put_be32(tcp + 4, carrier->client_sequence);
        put_be32(tcp + 8, server_next);
        return frame_close(frame, like, like->transport + 20U);
    }
    uint32_t begin = like->transport + (tcp[12] >> 4) * 4U, length = MTU + like->network - begin;
    if (length >= bulk->bytes - bulk->sent) {
        length = (uint32_t)(bulk->bytes - bulk->sent);
        tcp[13] |= TCP_PSH;
    }
    put_be32(tcp + 4, server_next);
    put_be32(tcp + 8, carrier->client_sequence);
    fill_records(frame + begin, length, bulk->sent);
    bulk->sent += length;
    return frame_close(frame, like, begin + length);
}

static uint32_t quic_frame(struct bulk *bulk, bool from_client, const struct source_packet *like,
                           uint8_t *frame) {
    uint32_t begin = like->transport + 8U, length = from_client ? 35 : QUIC_PAYLOAD;
    fill(frame + begin + QUIC_KEPT, length - QUIC_KEPT, mix_scramble(bulk->sent + from_client));
    put_be16(frame + like->transport + 4, length + 8);
    if (!from_client) bulk->sent += length;
    return frame_close(frame, like, begin + length);
}

uint32_t bulk_frame(const struct source *source, struct bulk *bulk, uint8_t *frame,
                    const struct source_packet **like) {
    const struct carrier *carrier = &source->carrier;
    bool from_client = ++bulk->frames % 3 == 0;
    const struct source_packet *packet =
        &source->packets[from_client ? carrier->client_packet : carrier->after];
    memcpy(frame, source->bytes + packet->at, packet->captured);
    *like = packet;
    return carrier->tcp ? tcp_frame(source, bulk, from_client, packet, frame)
                        : quic_frame(bulk, from_client, packet, frame);
}

void bulk_shift(const struct source *source, const struct bulk *bulk, const struct source_packet *packet,
                uint8_t *frame) {
    const struct carrier *carrier = &source->carrier;
    if (!carrier->tcp || packet->flow != carrier->flow || packet->kind != KIND_TCP) return;
    uint8_t *number = frame + packet->transport + (packet->client == CLIENT_SENDS ? 8 : 4);
    uint32_t value = load_be32(number);
    if ((int32_t)(value - carrier->server_sequence) >= 0) put_be32(number, value + (uint32_t)bulk->sent);
}
