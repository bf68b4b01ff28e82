/* SSDP: how UPnP finds devices (UPnP Device Architecture 2.0, section 1). HTTP's form of a head in a
 * datagram.
 *
 * Searches and offers have start lines of their own; an answer to a search begins like any HTTP response, and
 * tells itself by its headers. Whatever else is on port 1900 is left alone. */
#include "protocol/protocols.h"
#include "protocol/text_words.h"

enum { PORT_SSDP = 1900, VALUE_MAX = 256 };

enum ssdp_type { SSDP_NONE, SSDP_SEARCH, SSDP_NOTIFY, SSDP_RESPONSE };

struct line {
    struct slice name, value;
};

static enum ssdp_type type_of(struct slice message) {
    if (slice_begins(message, "M-SEARCH * HTTP/1.")) return SSDP_SEARCH;
    if (slice_begins(message, "NOTIFY * HTTP/1.")) return SSDP_NOTIFY;
    return slice_begins(message, "HTTP/1.") ? SSDP_RESPONSE : SSDP_NONE;
}

/* The next line without its end, which may be a bare LF. False at the end of the head. */
static bool next_line(struct slice *rest, struct slice *line) {
    if (rest->length == 0) return false;
    const uint8_t *end = memchr(rest->at, '\n', rest->length);
    uint32_t length = end ? (uint32_t)(end - rest->at) : rest->length;
    uint32_t used = end ? length + 1 : length;
    *line = (struct slice){rest->at, length};
    *rest = (struct slice){rest->at + used, rest->length - used};
    if (line->length && line->at[line->length - 1] == '\r') line->length--;
    return line->length > 0;
}

/* False: the line is no header. */
static bool split(struct slice text, struct line *line) {
    const uint8_t *colon = memchr(text.at, ':', text.length);
    if (!colon) return false;
    uint32_t size = (uint32_t)(colon - text.at);
    line->name = slice_trim((struct slice){text.at, size});
    line->value = slice_trim((struct slice){colon + 1, text.length - size - 1});
    return true;
}

static enum recognised ssdp_recognise(const struct probe *probe) {
    struct slice message = {probe->data, probe->length}, text;
    enum ssdp_type type = type_of(message);
    if (type == SSDP_NONE) return RECOGNISED_NO;
    if (type != SSDP_RESPONSE) return RECOGNISED_YES;
    next_line(&message, &text);
    struct line line;
    while (next_line(&message, &text))
        if (split(text, &line) && (word_is(line.name, "usn") || word_is(line.name, "st")))
            return RECOGNISED_YES;
    bool on_port = probe->client_port == PORT_SSDP || probe->server_port == PORT_SSDP;
    return on_port ? RECOGNISED_YES : RECOGNISED_NO;
}

/* The digits that a text begins with; all ones if they are too many. */
static uint32_t number(struct slice text) {
    uint64_t value = number_take(&text);
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static uint32_t max_age(struct slice value) {
    static const char word[] = "max-age";
    for (uint32_t i = 0; i + sizeof word - 1 <= value.length; i++) {
        if (strncasecmp((const char *)value.at + i, word, sizeof word - 1) != 0) continue;
        struct slice rest = {value.at + i + sizeof word - 1, value.length - i - (uint32_t)sizeof word + 1};
        rest = slice_trim(rest);
        if (rest.length == 0 || *rest.at != '=') return 0;
        return number(slice_trim((struct slice){rest.at + 1, rest.length - 1}));
    }
    return 0;
}

static const char *change_word(struct slice value) {
    if (word_is(value, "ssdp:alive")) return "alive";
    if (word_is(value, "ssdp:byebye")) return "byebye";
    return word_is(value, "ssdp:update") ? "update" : "other";
}

static void keep(struct batch *batch, struct text_ref *field, struct slice value) {
    if (field->at || value.length == 0) return;
    *field = batch_text(batch, value.at, value.length < VALUE_MAX ? value.length : VALUE_MAX);
}

static void read_header(struct batch *batch, struct event_ssdp_body *body, const struct line *line) {
    struct slice value = line->value;
    if (word_is(line->name, "st") || word_is(line->name, "nt")) keep(batch, &body->target, value);
    if (word_is(line->name, "nts")) body->change = change_word(value);
    if (word_is(line->name, "usn")) keep(batch, &body->usn, value);
    if (word_is(line->name, "location")) keep(batch, &body->location, value);
    if (word_is(line->name, "server")) keep(batch, &body->server, value);
    if (word_is(line->name, "user-agent")) keep(batch, &body->user_agent, value);
    if (word_is(line->name, "cache-control")) body->max_age = max_age(value);
    if (word_is(line->name, "mx")) {
        uint32_t seconds = number(value);
        body->max_wait = seconds < UINT16_MAX ? (uint16_t)seconds : UINT16_MAX;
    }
}

static void ssdp_datagram(struct conversation *c, enum direction direction, struct slice payload,
                          uint32_t original) {
    (void)direction;
    (void)original;
    static const char *const words[] = {NULL, "search", "notify", "response"};
    enum ssdp_type type = type_of(payload);
    if (type == SSDP_NONE) {
        if (payload.length) conversation_anomaly(c, "bad_start_line");
        return;
    }
    struct event_ssdp *event = conversation_event(c, EVENT_ssdp);
    if (!event) return;
    event->body.type = words[type];
    struct slice rest = payload, text;
    struct line line;
    next_line(&rest, &text);
    while (next_line(&rest, &text))
        if (split(text, &line)) read_header(conversation_batch(c), &event->body, &line);
    batch_commit(conversation_batch(c));
}

const struct protocol protocol_ssdp = {
    .name = "ssdp",
    .transports = TRANSPORT_UDP,
    .recognise = ssdp_recognise,
    .datagram = ssdp_datagram,
};
