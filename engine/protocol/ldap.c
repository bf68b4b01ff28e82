/* LDAP (RFC 4511): who binds, how and with what success, whether TLS follows, and what was searched.
 *
 * Messages are walked by their lengths. Only the first bytes of each are looked at, so that large entries
 * pass without being kept. A SASL bind may take several rounds; they make one event. What comes after a bind
 * that agreed on a SASL security layer is hidden, and the parser lets go of the flow. */
#include "protocol/protocols.h"

#include "protocol/ber.h"
#include "protocol/sasl.h"
#include "protocol/text_words.h"

enum { LOOK_MOST = 4096, RESULT_IN_PROGRESS = 14, PORT_LDAP = 389, PORT_CATALOG = 3268 };

/* Tags of protocolOp. */
enum operation {
    BIND_REQUEST = 0x60,
    BIND_RESPONSE = 0x61,
    UNBIND = 0x42,
    SEARCH_REQUEST = 0x63,
    SEARCH_ENTRY = 0x64,
    SEARCH_DONE = 0x65,
    SEARCH_REFERENCE = 0x73,
    EXTENDED_REQUEST = 0x77,
    EXTENDED_RESPONSE = 0x78,
    INTERMEDIATE = 0x79,
};

static const char oid_starttls[] = "1.3.6.1.4.1.1466.20037";

struct ldap {
    struct text_value name, mechanism, message;
    struct text_list bases;
    const char *method;
    uint32_t bind_id, tls_id; /* message IDs */
    uint32_t searches, entries;
    uint16_t result;
    uint8_t version;
    uint8_t hold_direction;
    bool hold;              /* StartTLS was asked for, in that direction */
    bool heard[2], read[2]; /* that side said something; a whole message */
    bool bind_open;         /* a bind was not reported yet */
    bool answered, password;
    bool sasl_layer; /* a SASL bind succeeded: what follows may be wrapped */
    bool reported;
};

/* ------------------------------------------------------------------ recognition */

static bool is_port(const struct probe *probe) {
    return probe->server_port == PORT_LDAP || probe->server_port == PORT_CATALOG;
}

/* Only what LDAP would say: `op` is the operation's content, which may be cut. */
static bool content_fits(uint8_t operation, struct cursor op, bool port) {
    switch (operation) {
    case BIND_REQUEST: {
        uint32_t version = ber_number(&op, BER_INTEGER);
        ber_expect(&op, BER_OCTETS);
        uint8_t tag = cursor_u8(&op);
        return !op.failed && (version == 2 || version == 3) && (tag == 0x80 || tag == 0xa3);
    }
    case SEARCH_REQUEST: {
        ber_expect(&op, BER_OCTETS);
        uint32_t scope = ber_number(&op, BER_ENUMERATED), deref = ber_number(&op, BER_ENUMERATED);
        return !op.failed && scope <= 3 && deref <= 3;
    }
    case BIND_RESPONSE:
    case SEARCH_DONE:
    case EXTENDED_RESPONSE: {
        uint32_t result = ber_number(&op, BER_ENUMERATED);
        ber_expect(&op, BER_OCTETS);
        ber_expect(&op, BER_OCTETS);
        return !op.failed && result < 4097;
    }
    case EXTENDED_REQUEST:
        return slice_printable(ber_expect(&op, 0x80)) && !op.failed;
    case SEARCH_ENTRY:
        ber_expect(&op, BER_OCTETS);
        return !op.failed && cursor_u8(&op) == BER_SEQUENCE;
    case UNBIND:
        return port;
    default: /* modify, add, delete, modDN, compare and their responses, abandon, references */
        return port && ((operation >= 0x66 && operation <= 0x6f) || operation == 0x4a || operation == 0x50 ||
                        operation == SEARCH_REFERENCE || operation == INTERMEDIATE);
    }
}

static enum recognised ldap_recognise(const struct probe *probe) {
    struct cursor c = cursor_over(probe->data, probe->length);
    uint8_t tag, operation;
    /* A capture may begin within a message of one side: on LDAP's own port the other one is waited for. */
    enum recognised no = is_port(probe) && probe->other.length == 0 ? RECOGNISED_MAYBE : RECOGNISED_NO;
    if (probe->data[0] != BER_SEQUENCE) return no;
    uint32_t length = ber_header(&c, &tag);
    if (c.failed) return probe->length < 6 ? RECOGNISED_MAYBE : no;
    if (length < 5) return RECOGNISED_NO;
    uint32_t need = length < 64 ? length : 64;
    if (cursor_left(&c) < need) {
        bool fits = cursor_left(&c) < 1 || c.at[0] == BER_INTEGER;
        return fits ? RECOGNISED_MAYBE : RECOGNISED_NO;
    }
    if (cursor_left(&c) > length) c.end = c.at + length;
    ber_number(&c, BER_INTEGER);
    struct cursor op = ber_next(&c, &operation);
    if (c.failed) return RECOGNISED_NO;
    return content_fits(operation, op, is_port(probe)) ? RECOGNISED_YES : RECOGNISED_NO;
}

/* ------------------------------------------------------------------ events */

static void report(struct conversation *c, struct ldap *l, const char *type) {
    l->reported = true;
    struct event_ldap *event = conversation_event(c, EVENT_ldap);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_ldap_body *body = &event->body;
    body->type = type;
    if (strcmp(type, "end") == 0) {
        body->bases = text_list_ref(batch, &l->bases);
        body->searches = l->searches;
        body->entries = l->entries;
    } else {
        body->answered = l->answered;
        body->result = l->result;
        body->message = text_value_ref(batch, &l->message);
    }
    if (strcmp(type, "bind") == 0) {
        body->version = l->version;
        body->name = batch_text(batch, l->name.bytes, l->name.length);
        body->method = l->method;
        body->mechanism = text_value_ref(batch, &l->mechanism);
        body->password = l->password;
    }
    batch_commit(batch);
}

static void bind_end(struct conversation *c, struct ldap *l) {
    if (!l->bind_open) return;
    report(c, l, "bind");
    l->bind_open = l->answered = false;
    l->result = 0;
    l->message.length = 0;
}

/* ------------------------------------------------------------------ operations */

static void on_bind(struct conversation *c, struct ldap *l, enum direction direction, uint32_t id,
                    struct cursor op) {
    bool next_round = l->bind_open && l->answered && l->result == RESULT_IN_PROGRESS;
    if (!next_round) bind_end(c, l);
    l->bind_open = true;
    l->answered = false;
    l->bind_id = id;
    l->version = (uint8_t)ber_number(&op, BER_INTEGER);
    struct slice name = ber_expect(&op, BER_OCTETS);
    uint8_t method;
    struct cursor credentials = ber_next(&op, &method);
    if (op.failed) {
        conversation_anomaly(c, "bad_bind");
        return;
    }
    if (name.length > 0 || !next_round) text_value_set(&l->name, name);
    l->method = method == 0x80 ? "simple" : method == 0xa3 ? "sasl" : "other";
    l->password = method == 0x80 && cursor_left(&credentials) > 0;
    struct slice mechanism = {credentials.at, 0};
    if (method == 0xa3) mechanism = ber_expect(&credentials, BER_OCTETS);
    if (method == 0xa3 && sasl_sends_password(mechanism)) l->password = true;
    if (l->password) conversation_hide_head(c, direction);
    text_value_set(&l->mechanism, mechanism);
}

/* ENUMERATED code, matched DN, diagnostic message (RFC 4511 section 4.1.9). */
static uint16_t result_of(struct ldap *l, struct cursor op) {
    uint32_t code = ber_number(&op, BER_ENUMERATED);
    ber_expect(&op, BER_OCTETS);
    struct slice message = ber_expect(&op, BER_OCTETS);
    l->answered = true;
    l->result = (uint16_t)(code < UINT16_MAX ? code : UINT16_MAX);
    text_value_set(&l->message, op.failed ? (struct slice){message.at, 0} : message);
    return l->result;
}

static void on_bind_response(struct conversation *c, struct ldap *l, uint32_t id, struct cursor op) {
    if (l->bind_open && id != l->bind_id) return;
    l->bind_open = true; /* the request may not be in the capture */
    uint16_t code = result_of(l, op);
    if (code == RESULT_IN_PROGRESS) return;
    l->sasl_layer = code == 0 && strcmp(l->method ? l->method : "", "sasl") == 0;
    bind_end(c, l);
}

static void on_search(struct ldap *l, struct cursor op) {
    struct slice base = ber_expect(&op, BER_OCTETS);
    l->searches++;
    if (!op.failed && !text_list_has(&l->bases, base)) text_list_add(&l->bases, base);
}

/* Returns true where the stream is TLS's from here on. */
static bool on_operation(struct conversation *c, struct ldap *l, enum direction direction, uint32_t id,
                         uint8_t operation, struct cursor op) {
    switch (operation) {
    case BIND_REQUEST:
        on_bind(c, l, direction, id, op);
        break;
    case BIND_RESPONSE:
        on_bind_response(c, l, id, op);
        break;
    case SEARCH_REQUEST:
        on_search(l, op);
        break;
    case SEARCH_ENTRY:
        l->entries++;
        break;
    case EXTENDED_REQUEST:
        if (!slice_equals(ber_expect(&op, 0x80), oid_starttls)) break;
        l->hold = true;
        l->hold_direction = (uint8_t)direction;
        l->tls_id = id;
        break;
    case EXTENDED_RESPONSE:
        if (!l->hold || id != l->tls_id) break;
        bind_end(c, l);
        l->hold = false;
        result_of(l, op);
        report(c, l, "starttls");
        if (l->result != 0) conversation_wake(c); /* refused: what waited is LDAP's */
        return l->result == 0;
    default:
        break;
    }
    return false;
}

/* ------------------------------------------------------------------ protocol */

/* Takes one message, if enough of it is there. Returns its whole size, 0 to wait, -1 if it is none. */
static int64_t take(struct conversation *c, struct ldap *l, enum direction direction, const uint8_t *data,
                    uint32_t length, bool *over_to_tls) {
    struct cursor message = cursor_over(data, length);
    uint8_t tag, operation;
    uint32_t size = ber_header(&message, &tag);
    if (message.failed || tag != BER_SEQUENCE) return tag == BER_SEQUENCE && length < 6 ? 0 : -1;
    uint32_t need = size < LOOK_MOST ? size : LOOK_MOST;
    if (cursor_left(&message) < need) return 0;
    int64_t whole = (int64_t)(message.at - data) + size;
    if (cursor_left(&message) > size) message.end = message.at + size;
    uint32_t id = ber_number(&message, BER_INTEGER);
    struct cursor op = ber_next(&message, &operation);
    if (message.failed) return -1;
    *over_to_tls = on_operation(c, l, direction, id, operation, op);
    return whole;
}

static int64_t ldap_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                           uint32_t length) {
    struct ldap *l = c->state;
    int64_t used = 0;
    l->heard[direction] = true;
    while (used < length) {
        const uint8_t *at = data + used;
        uint32_t left = length - (uint32_t)used;
        if (l->hold && l->hold_direction == direction && l->heard[!direction]) return used;
        if (at[0] == 0x16 && left < 2) return used;
        bool over_to_tls = at[0] == 0x16 && at[1] == 3;
        if (over_to_tls) {
            l->answered = false;
            report(c, l, "starttls");
        }
        int64_t step = over_to_tls ? 0 : take(c, l, direction, at, left, &over_to_tls);
        if (step < 0 && !l->read[direction]) return STREAM_DONE; /* it began within a message */
        if (step < 0) {
            if (!l->sasl_layer) conversation_anomaly(c, "bad_message");
            return STREAM_OVER;
        }
        used += step;
        if (step > 0) l->read[direction] = true;
        if (over_to_tls) {
            conversation_hand_over(c);
            return used;
        }
        if (step == 0) break;
    }
    return used;
}

static void ldap_end(struct conversation *c) {
    struct ldap *l = c->state;
    bind_end(c, l);
    if (l->searches > 0 || l->entries > 0 || !l->reported) report(c, l, "end");
}

const struct protocol protocol_ldap = {
    .name = "ldap",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct ldap),
    .recognise = ldap_recognise,
    .stream = ldap_stream,
    .end = ldap_end,
};
