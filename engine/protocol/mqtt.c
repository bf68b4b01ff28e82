/* MQTT 3.1, 3.1.1 and 5: who connects, under which name, and with which topics.
 *
 * Packets are walked by their lengths; only the beginning of each is looked at, so that large messages pass
 * without being kept. What is published is never copied, only where to. */
#include "protocol/protocols.h"

#include "protocol/text_words.h"

enum { PORT_MQTT = 1883, LOOK_MOST = 8 * 1024 };

/* Control packets (OASIS MQTT 5.0 section 2.1.2): the upper half of the first byte. */
enum packet_kind {
    MQTT_CONNECT = 1,
    MQTT_CONNACK = 2,
    MQTT_PUBLISH = 3,
    MQTT_PUBREL = 6,
    MQTT_SUBSCRIBE = 8,
    MQTT_UNSUBSCRIBE = 10,
    MQTT_AUTH = 15,
};

/* CONNECT's flags. */
enum { FLAG_CLEAN = 0x02, FLAG_WILL = 0x04, FLAG_PASSWORD = 0x40, FLAG_USER = 0x80 };

struct mqtt {
    struct text_value client_id, user, will_topic;
    struct text_list subscribed, published, received;
    const char *status;
    uint32_t messages;
    uint16_t keep_alive;
    uint8_t version, code;
    uint8_t client; /* direction in which the client speaks */
    bool password, clean;
    bool connect_open; /* CONNECT was seen, and not reported */
    bool reported;
};

/* ------------------------------------------------------------------ fields */

/* One to four bytes of seven bits each, the least first (section 1.5.5). */
static uint32_t read_varying(struct cursor *c) {
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
        uint8_t byte = cursor_u8(c);
        value |= (uint32_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return value;
    }
    c->failed = true;
    return 0;
}

static struct slice read_string(struct cursor *c) {
    uint16_t length = cursor_be16(c);
    const uint8_t *at = cursor_take(c, length);
    return at ? (struct slice){at, length} : (struct slice){c->end, 0};
}

static void pass_properties(struct cursor *c, uint8_t version) {
    if (version >= 5) cursor_take(c, read_varying(c));
}

/* A topic is UTF-8 without control characters. */
static bool topic_valid(struct slice topic) {
    for (uint32_t i = 0; i < topic.length; i++)
        if (topic.at[i] < ' ' || topic.at[i] == 0x7f) return false;
    return topic.length > 0;
}

/* ------------------------------------------------------------------ recognition */

/* The protocol's name and level: "MQTT" 4 or 5, "MQIsdp" 3; bridges set the level's top bit. Returns 0 for
 * others. */
static uint8_t level_of(struct cursor *c) {
    struct slice name = read_string(c);
    uint8_t level = cursor_u8(c) & 0x7f;
    if (c->failed) return 0;
    if (slice_equals(name, "MQTT")) return level == 4 || level == 5 ? level : 0;
    return slice_equals(name, "MQIsdp") && level == 3 ? level : 0;
}

static enum recognised mqtt_recognise(const struct probe *probe) {
    uint8_t first = probe->data[0];
    struct cursor c = cursor_over(probe->data + 1, probe->length - 1);
    uint32_t size = read_varying(&c);
    if (first == MQTT_CONNECT << 4) {
        if (c.failed) return probe->length < 5 ? RECOGNISED_MAYBE : RECOGNISED_NO;
        if (cursor_left(&c) >= 2 && load_be16(c.at) != 4 && load_be16(c.at) != 6) return RECOGNISED_NO;
        if (cursor_left(&c) >= 4 && memcmp(c.at + 2, "MQ", 2) != 0) return RECOGNISED_NO;
        if (cursor_left(&c) < 9 && cursor_left(&c) < size) return RECOGNISED_MAYBE;
        return level_of(&c) > 0 ? RECOGNISED_YES : RECOGNISED_NO;
    }
    if (probe->server_port != PORT_MQTT || c.failed) return RECOGNISED_NO;
    if (first == MQTT_CONNACK << 4) {
        uint8_t flags = cursor_u8(&c), code = cursor_u8(&c);
        return !c.failed && size >= 2 && flags <= 1 && (size > 2 || code <= 5) ? RECOGNISED_YES
                                                                               : RECOGNISED_NO;
    }
    if (first >> 4 == MQTT_PUBLISH) {
        struct slice topic = read_string(&c);
        return !c.failed && topic_valid(topic) && topic.length + 2 <= size ? RECOGNISED_YES : RECOGNISED_NO;
    }
    if (first == (MQTT_SUBSCRIBE << 4 | 2)) return size >= 5 ? RECOGNISED_YES : RECOGNISED_NO;
    /* PINGREQ and PINGRESP and nothing more. */
    return (first == 0xc0 || first == 0xd0) && size == 0 && probe->length == 2 ? RECOGNISED_YES
                                                                               : RECOGNISED_NO;
}

/* ------------------------------------------------------------------ events */

static void report(struct conversation *c, struct mqtt *m, const char *type) {
    m->reported = true;
    struct event_mqtt *event = conversation_event(c, EVENT_mqtt);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_mqtt_body *body = &event->body;
    body->type = type;
    body->version = m->version;
    if (m->version > 0) body->client_id = batch_text(batch, m->client_id.bytes, m->client_id.length);
    body->user = text_value_ref(batch, &m->user);
    if (strcmp(type, "end") == 0) {
        body->subscribed = text_list_ref(batch, &m->subscribed);
        body->published = text_list_ref(batch, &m->published);
        body->received = text_list_ref(batch, &m->received);
        body->messages = m->messages;
    } else {
        body->password = m->password;
        body->clean = m->clean;
        body->keep_alive = m->keep_alive;
        body->will_topic = text_value_ref(batch, &m->will_topic);
        body->status = m->status;
        body->code = m->code;
    }
    batch_commit(batch);
}

static void connect_end(struct conversation *c, struct mqtt *m) {
    if (m->connect_open) report(c, m, "connect");
    m->connect_open = false;
}

/* ------------------------------------------------------------------ packets */

static void on_connect(struct conversation *c, struct mqtt *m, enum direction direction, struct cursor at) {
    connect_end(c, m);
    m->connect_open = true;
    m->client = (uint8_t)direction;
    m->status = NULL;
    m->code = 0;
    m->version = level_of(&at);
    uint8_t flags = cursor_u8(&at);
    m->keep_alive = cursor_be16(&at);
    pass_properties(&at, m->version);
    text_value_set(&m->client_id, read_string(&at));
    m->clean = flags & FLAG_CLEAN;
    m->will_topic.length = m->user.length = 0;
    if (flags & FLAG_WILL) {
        pass_properties(&at, m->version);
        text_value_set(&m->will_topic, read_string(&at));
        read_string(&at);
    }
    if (flags & FLAG_USER) text_value_set(&m->user, read_string(&at));
    m->password = flags & FLAG_PASSWORD;
    if (m->password) conversation_hide_head(c, direction);
    if (at.failed) conversation_anomaly(c, "bad_connect");
}

static void on_connack(struct conversation *c, struct mqtt *m, enum direction direction, struct cursor at) {
    cursor_u8(&at);
    m->code = cursor_u8(&at);
    if (at.failed) return;
    m->client = !direction;
    m->status = m->code == 0 ? "accepted" : "refused";
    m->connect_open = true;
    connect_end(c, m);
}

static void add_topic(struct text_list *list, struct slice topic) {
    if (topic_valid(topic) && !text_list_has(list, topic)) text_list_add(list, topic);
}

static void on_subscribe(struct mqtt *m, struct cursor at) {
    cursor_be16(&at); /* packet identifier */
    pass_properties(&at, m->version);
    while (!at.failed && cursor_left(&at) > 0) {
        struct slice filter = read_string(&at);
        cursor_u8(&at); /* quality of service */
        if (!at.failed) add_topic(&m->subscribed, filter);
    }
}

static void on_packet(struct conversation *c, struct mqtt *m, enum direction direction, uint8_t first,
                      struct cursor at) {
    switch (first >> 4) {
    case MQTT_CONNECT:
        on_connect(c, m, direction, at);
        break;
    case MQTT_CONNACK:
        on_connack(c, m, direction, at);
        break;
    case MQTT_SUBSCRIBE:
        on_subscribe(m, at);
        break;
    case MQTT_PUBLISH: {
        struct slice topic = read_string(&at);
        m->messages++;
        if (!at.failed) add_topic(direction == m->client ? &m->published : &m->received, topic);
        break;
    }
    default:
        break;
    }
}

/* ------------------------------------------------------------------ protocol */

/* Reserved flags are 0, or 2 in three kinds (section 2.1.3). */
static bool first_valid(uint8_t first) {
    uint8_t kind = first >> 4, flags = first & 15;
    if (kind == 0) return false;
    if (kind == MQTT_PUBLISH) return (flags & 6) != 6;
    if (kind == MQTT_PUBREL || kind == MQTT_SUBSCRIBE || kind == MQTT_UNSUBSCRIBE)
        return flags == 2 || (flags & ~8u) == 2 || flags == 0; /* 3.1 let clients set these */
    return flags == 0;
}

static int64_t mqtt_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                           uint32_t length) {
    struct mqtt *m = c->state;
    int64_t used = 0;
    while (used < length) {
        const uint8_t *at = data + used;
        struct cursor cursor = cursor_over(at, length - (size_t)used);
        uint8_t first = cursor_u8(&cursor);
        uint32_t size = read_varying(&cursor);
        if (!first_valid(first) || (cursor.failed && length - used >= 5)) {
            conversation_anomaly(c, "bad_packet");
            return STREAM_OVER;
        }
        uint32_t need = size < LOOK_MOST ? size : LOOK_MOST;
        if (cursor.failed || cursor_left(&cursor) < need) return used;
        uint32_t header = (uint32_t)(cursor.at - at);
        on_packet(c, m, direction, first, cursor_over(cursor.at, need));
        used += (int64_t)header + size;
    }
    return used;
}

static void mqtt_end(struct conversation *c) {
    struct mqtt *m = c->state;
    connect_end(c, m);
    bool topics = m->subscribed.count > 0 || m->published.count > 0 || m->received.count > 0;
    if (topics || m->messages > 0 || !m->reported) report(c, m, "end");
}

const struct protocol protocol_mqtt = {
    .name = "mqtt",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct mqtt),
    .recognise = mqtt_recognise,
    .stream = mqtt_stream,
    .end = mqtt_end,
};
