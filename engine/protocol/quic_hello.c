/* See quic_hello.h. */
#include "protocol/quic_hello.h"

#include "protocol/quic_packet.h"

enum { PARAMETERS_MOST = 64, CHLO_WITHIN = 96, CHLO_TAGS_MOST = 128, AGENT_MOST = 256 };

enum parameter {
    MAX_IDLE_TIMEOUT = 0x01,
    MAX_UDP_PAYLOAD_SIZE = 0x03,
    INITIAL_MAX_DATA = 0x04,
    INITIAL_MAX_STREAMS_BIDI = 0x08,
    INITIAL_MAX_STREAMS_UNI = 0x09,
    GOOGLE_USER_AGENT = 0x3129,
};

/* Reserved to be ignored: 31 * N + 27 (RFC 9000 section 18.1). */
static bool to_be_ignored(uint64_t id) {
    return id % 31 == 27;
}

static struct text_ref agent_text(struct batch *batch, struct slice agent) {
    return batch_text(batch, agent.at, agent.length < AGENT_MOST ? agent.length : AGENT_MOST);
}

static void tell(struct batch *batch, struct event_quic_body *body, uint64_t id, struct slice value) {
    struct cursor c = cursor_over(value.at, value.length);
    switch (id) {
    case MAX_IDLE_TIMEOUT:
        body->max_idle_timeout = quic_number(&c);
        return;
    case MAX_UDP_PAYLOAD_SIZE:
        body->max_udp_payload_size = quic_number(&c);
        return;
    case INITIAL_MAX_DATA:
        body->initial_max_data = quic_number(&c);
        return;
    case INITIAL_MAX_STREAMS_BIDI:
        body->initial_max_streams_bidi = quic_number(&c);
        return;
    case INITIAL_MAX_STREAMS_UNI:
        body->initial_max_streams_uni = quic_number(&c);
        return;
    case GOOGLE_USER_AGENT:
        body->user_agent = agent_text(batch, value);
        return;
    default:
        return;
    }
}

/* Up to draft-26 the list had its length before it, and ids and lengths were 16 bits each. */
static bool of_old_form(struct slice all) {
    return all.length >= 2 && load_be16(all.at) == all.length - 2;
}

void quic_hello_parameters(struct batch *batch, struct event_quic_body *body, struct slice parameters) {
    uint16_t ids[PARAMETERS_MOST];
    uint32_t count = 0;
    bool old = of_old_form(parameters);
    struct cursor c = cursor_over(parameters.at, parameters.length);
    if (old) cursor_be16(&c);
    while (cursor_left(&c) > 0) {
        uint64_t id = old ? cursor_be16(&c) : quic_number(&c);
        uint64_t length = old ? cursor_be16(&c) : quic_number(&c);
        if (c.failed || length > cursor_left(&c)) break;
        struct slice value = {cursor_take(&c, (size_t)length), (uint32_t)length};
        if (!to_be_ignored(id) && id <= UINT16_MAX && count < PARAMETERS_MOST) ids[count++] = (uint16_t)id;
        tell(batch, body, id, value);
    }
    body->parameters = batch_u16s(batch, ids, count);
}

/* A table of (tag, end of its value), little-endian, then the values in one piece. */
static void read_tags(struct slice message, struct quic_chlo *out) {
    uint32_t count = message.length >= 8 ? load_le16(message.at + 4) : 0;
    if (count > CHLO_TAGS_MOST || message.length < 8 + count * 8) return;
    struct slice values = {message.at + 8 + count * 8, message.length - 8 - count * 8};
    uint32_t from = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *entry = message.at + 8 + i * 8;
        uint32_t to = load_le32(entry + 4);
        if (to < from || to > values.length) return; /* broken, or the end is not here */
        struct slice value = {values.at + from, to - from};
        if (memcmp(entry, "SNI\0", 4) == 0) out->sni = value;
        if (memcmp(entry, "UAID", 4) == 0) out->agent = value;
        from = to;
    }
}

bool quic_chlo_find(struct slice frames, struct quic_chlo *out) {
    memset(out, 0, sizeof *out);
    for (uint32_t at = 0; at + 8 <= frames.length && at < CHLO_WITHIN; at++) {
        if (memcmp(frames.at + at, "CHLO", 4) != 0) continue;
        read_tags((struct slice){frames.at + at, frames.length - at}, out);
        return true;
    }
    return false;
}
