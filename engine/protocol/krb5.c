/* Kerberos 5 (RFC 4120), over UDP and TCP, port 88: who asks which realm for a ticket to which service, and
 * what comes of it.
 *
 * Requests and answers are ASN.1 in DER; only the fields on the way to names, realm, encryption and error are
 * read. An answer makes an event, together with what its request asked for, and so does a request without one
 * at the flow's end. On a Mac this is a directory login, a file share, a printer; a tool that asks for many
 * services' tickets in a row, or for weak encryption, wants to crack them. */
#include "protocol/ber.h"
#include "protocol/protocols.h"
#include "protocol/text_words.h"

enum {
    MESSAGE_MOST = 256 * 1024,
    LOOK_MOST = 60 * 1024, /* of a message; a request's names come behind a ticket, which may be long */
    LENGTH = 4,            /* of TCP's framing */
    VERSION = 5,
    CONTEXT = 0xa0, /* [0] … [n] */
    GENERAL_STRING = 0x1b,
};

enum krb5_type {
    AS_REQ = 10,
    AS_REP = 11,
    TGS_REQ = 12,
    TGS_REP = 13,
    AP_REQ = 14,
    AP_REP = 15,
    KRB_ERROR = 30,
};

struct krb5 {
    struct text_value realm, client, service;
    uint8_t request; /* enum krb5_type that waits for an answer, 0: none */
    int32_t offered; /* first encryption type that the client lists */
    bool has_offered;
    bool begun[2]; /* by direction: a record was read */
    bool lost[2];  /* behind a gap, or seen from its middle on: looking for a record */
};

/* What one message says. Slices are borrowed from it. */
struct message {
    uint8_t type;
    struct slice realm;
    struct text_value client, service; /* components joined by '/' */
    int32_t encryption;
    bool has_encryption;
    uint32_t error;
    bool has_error;
};

/* ------------------------------------------------------------------- reading */

static int32_t signed_number(struct cursor *c) {
    struct slice s = ber_expect(c, BER_INTEGER);
    int32_t number = s.length > 0 && s.at[0] & 0x80 ? -1 : 0;
    if (s.length < 1 || s.length > 4) c->failed = true;
    for (uint32_t i = 0; !c->failed && i < s.length; i++) number = (int32_t)((uint32_t)number << 8 | s.at[i]);
    return number;
}

/* PrincipalName: a type and a list of strings. Left alone if it is not whole. */
static void read_principal(struct cursor c, struct text_value *out) {
    uint8_t tag;
    struct slice whole = ber_expect(&c, BER_SEQUENCE); /* half a name would be another's */
    if (c.failed) return;
    struct cursor name = cursor_over(whole.at, whole.length);
    ber_next(&name, &tag); /* [0] name-type */
    struct cursor strings = ber_next(&name, &tag), list = ber_next(&strings, &tag);
    out->length = 0;
    while (!list.failed && cursor_left(&list) > 0) {
        struct slice part = ber_expect(&list, GENERAL_STRING);
        if (list.failed) return;
        uint32_t room = TEXT_VALUE_MOST - out->length;
        if (out->length > 0 && room > 0) {
            out->bytes[out->length++] = '/';
            room--;
        }
        uint32_t length = part.length < room ? part.length : room;
        if (length) memcpy(out->bytes + out->length, part.at, length);
        out->length = (uint8_t)(out->length + length);
    }
}

/* EncryptedData: its type comes first. */
static void read_encrypted(struct cursor c, struct message *m) {
    uint8_t tag;
    struct cursor data = ber_next(&c, &tag), number = ber_next(&data, &tag);
    m->encryption = signed_number(&number);
    m->has_encryption = !number.failed;
}

/* KDC-REQ-BODY: options [0], cname [1], realm [2], sname [3] … etype [8]. */
static void read_request_body(struct cursor c, struct message *m) {
    uint8_t tag;
    struct cursor body = ber_next(&c, &tag);
    while (!body.failed && cursor_left(&body) > 0) {
        struct cursor field = ber_next(&body, &tag);
        if (body.failed) return;
        if (tag == CONTEXT + 1) read_principal(field, &m->client);
        if (tag == CONTEXT + 2) m->realm = ber_expect(&field, GENERAL_STRING);
        if (tag == CONTEXT + 3) read_principal(field, &m->service);
        if (tag != CONTEXT + 8) continue;
        struct cursor types = ber_next(&field, &tag);
        m->encryption = signed_number(&types);
        m->has_encryption = !types.failed;
    }
}

/* Ticket: [APPLICATION 1] SEQUENCE of version [0], realm [1], sname [2], enc-part [3]. */
static void read_ticket(struct cursor c, struct message *m) {
    uint8_t tag;
    struct cursor application = ber_next(&c, &tag), ticket = ber_next(&application, &tag);
    while (!ticket.failed && cursor_left(&ticket) > 0) {
        struct cursor field = ber_next(&ticket, &tag);
        if (ticket.failed) return;
        if (tag == CONTEXT + 1) m->realm = ber_expect(&field, GENERAL_STRING);
        if (tag == CONTEXT + 2) read_principal(field, &m->service);
        if (tag == CONTEXT + 3) read_encrypted(field, m);
    }
}

static void read_field(struct message *m, uint8_t tag, struct cursor field) {
    uint8_t number = (uint8_t)(tag - CONTEXT);
    if (tag < CONTEXT || number > 30) return;
    if (m->type == AS_REQ || m->type == TGS_REQ) {
        if (number == 4) read_request_body(field, m);
    } else if (m->type == AS_REP || m->type == TGS_REP) {
        if (number == 4) read_principal(field, &m->client);
        if (number == 5) read_ticket(field, m);
    } else if (m->type == AP_REQ) {
        if (number == 3) read_ticket(field, m);
    } else if (m->type == KRB_ERROR) {
        if (number == 6) {
            m->error = ber_number(&field, BER_INTEGER);
            m->has_error = !field.failed;
        }
        if (number == 8) read_principal(field, &m->client);
        if (number == 9) m->realm = ber_expect(&field, GENERAL_STRING);
        if (number == 10) read_principal(field, &m->service);
    }
}

static bool is_type(uint8_t type) {
    return (type >= AS_REQ && type <= AP_REP) || type == KRB_ERROR;
}

/* Reads a message of which `c` holds at least the beginning; names that are not there stay empty. False if it
 * is none: each begins with the version, 5, and its own number. */
static bool read_message(struct cursor c, struct message *m) {
    memset(m, 0, sizeof *m);
    uint8_t tag;
    struct cursor application = ber_next(&c, &tag);
    m->type = tag & 0x1f;
    if (application.failed || (tag & 0xe0) != 0x60 || !is_type(m->type)) return false;
    struct cursor fields = ber_next(&application, &tag);
    if (fields.failed || tag != BER_SEQUENCE) return false;
    bool version = false, number = false;
    while (!fields.failed && cursor_left(&fields) > 0) {
        struct cursor field = ber_next(&fields, &tag);
        if (fields.failed) break;
        if (!version || !number) { /* in requests they are [1] and [2], else [0] and [1] */
            struct cursor value = field;
            uint32_t is = ber_number(&value, BER_INTEGER);
            bool right = !value.failed && is == (version ? m->type : (uint32_t)VERSION);
            if (!right) return false;
            number = version;
            version = true;
            continue;
        }
        read_field(m, tag, field);
    }
    return version && number;
}

/* ---------------------------------------------------------------- recognition */

static enum recognised krb5_recognise(const struct probe *probe) {
    bool tcp = probe->transport == TRANSPORT_TCP;
    struct cursor c = cursor_over(probe->data, probe->length);
    if (tcp) {
        if (probe->data[0] != 0) return RECOGNISED_NO;
        uint32_t length = cursor_be32(&c);
        if (c.failed) return RECOGNISED_MAYBE;
        if (length < 16 || length > MESSAGE_MOST) return RECOGNISED_NO;
        if (cursor_left(&c) < 24)
            return cursor_left(&c) == 0 || (c.at[0] & 0xe0) == 0x60 ? RECOGNISED_MAYBE : RECOGNISED_NO;
    }
    struct message m;
    return read_message(c, &m) ? RECOGNISED_YES : RECOGNISED_NO;
}

/* --------------------------------------------------------------------- events */

static const char *type_word(uint8_t type) {
    switch (type) {
    case AS_REQ:
        return "AS-REQ";
    case AS_REP:
        return "AS-REP";
    case TGS_REQ:
        return "TGS-REQ";
    case TGS_REP:
        return "TGS-REP";
    case AP_REQ:
        return "AP-REQ";
    case AP_REP:
        return "AP-REP";
    case KRB_ERROR:
        return "ERROR";
    default:
        return NULL;
    }
}

/* RFC 3961 and its like; what is not AES or Camellia is weak by RFC 6649 and RFC 8429. */
static const char *encryption_word(int32_t type) {
    switch (type) {
    case 1:
        return "des-cbc-crc";
    case 2:
        return "des-cbc-md4";
    case 3:
        return "des-cbc-md5";
    case 16:
        return "des3-cbc-sha1";
    case 17:
        return "aes128-cts-hmac-sha1-96";
    case 18:
        return "aes256-cts-hmac-sha1-96";
    case 19:
        return "aes128-cts-hmac-sha256-128";
    case 20:
        return "aes256-cts-hmac-sha384-192";
    case 23:
        return "rc4-hmac";
    case 24:
        return "rc4-hmac-exp";
    case 25:
        return "camellia128-cts-cmac";
    case 26:
        return "camellia256-cts-cmac";
    default:
        return "other";
    }
}

static bool is_weak(int32_t type) {
    return type < 17 || type == 23 || type == 24;
}

static struct text_ref text_of(struct batch *batch, struct slice said, const struct text_value *asked) {
    uint32_t length = said.length < TEXT_VALUE_MOST ? said.length : TEXT_VALUE_MOST;
    return length ? batch_text(batch, said.at, length) : text_value_ref(batch, asked);
}

/* `m` is the answer, NULL if there was none. */
static void report(struct conversation *c, const struct krb5 *k, const struct message *m) {
    struct event_krb5 *event = conversation_event(c, EVENT_krb5);
    if (!event) return;
    static const struct message nothing;
    struct batch *batch = conversation_batch(c);
    struct event_krb5_body *body = &event->body;
    const struct message *said = m ? m : &nothing;
    body->request = type_word(k->request);
    body->answer = m ? type_word(m->type) : NULL;
    body->realm = text_of(batch, said->realm, &k->realm);
    body->client = text_of(batch, text_value_slice(&said->client), &k->client);
    body->service = text_of(batch, text_value_slice(&said->service), &k->service);
    body->error = said->has_error ? said->error : 0;
    body->offered = k->has_offered ? encryption_word(k->offered) : NULL;
    if (said->has_encryption) {
        body->encryption = encryption_word(said->encryption);
        body->weak = is_weak(said->encryption);
    }
    batch_commit(batch);
}

static void forget(struct krb5 *k) {
    k->request = 0;
    k->has_offered = false;
    k->realm.length = k->client.length = k->service.length = 0;
}

static bool same_text(const struct text_value *a, const struct text_value *b) {
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

static void take_message(struct conversation *c, const struct message *m) {
    struct krb5 *k = c->state;
    bool request = m->type == AS_REQ || m->type == TGS_REQ || m->type == AP_REQ;
    if (!request) {
        report(c, k, m);
        forget(k);
        return;
    }
    bool again =
        k->request == m->type && same_text(&k->service, &m->service) && same_text(&k->client, &m->client);
    if (k->request && !again) report(c, k, NULL);
    forget(k);
    k->request = m->type;
    k->offered = m->encryption;
    k->has_offered = m->has_encryption && m->type != AP_REQ; /* there it is the ticket's */
    k->client = m->client;
    k->service = m->service;
    text_value_set(&k->realm, m->realm);
}

static void krb5_datagram(struct conversation *c, enum direction direction, struct slice payload,
                          uint32_t original) {
    (void)direction;
    (void)original;
    struct message m;
    if (read_message(cursor_over(payload.at, payload.length), &m))
        take_message(c, &m);
    else
        conversation_anomaly(c, "bad_message");
}

/* Does a record begin here? */
static bool is_record(const uint8_t *data, uint32_t length) {
    uint32_t size = length >= LENGTH ? load_be32(data) : 0;
    if (size < 16 || size > MESSAGE_MOST) return false;
    struct message m;
    uint32_t left = length - LENGTH;
    return read_message(cursor_over(data + LENGTH, left < size ? left : size), &m);
}

static int64_t krb5_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                           uint32_t length) {
    struct krb5 *k = c->state;
    uint32_t used = 0;
    if (k->lost[direction]) { /* records begin with a segment */
        if (!is_record(data, length)) return length;
        k->lost[direction] = false;
    }
    while (length - used >= LENGTH) {
        uint32_t size = load_be32(data + used), left = length - used - LENGTH;
        bool fits = size >= 16 && size <= MESSAGE_MOST;
        if (fits && left < size && left < LOOK_MOST) break;
        struct message m;
        if (!fits || !read_message(cursor_over(data + used + LENGTH, left < size ? left : size), &m)) {
            if (!k->begun[direction]) { /* the capture begins within a record */
                k->lost[direction] = true;
                return length;
            }
            conversation_anomaly(c, fits ? "bad_message" : "bad_length");
            return STREAM_OVER;
        }
        k->begun[direction] = true;
        take_message(c, &m);
        if (left < size) return (int64_t)used + LENGTH + size;
        used += LENGTH + size;
    }
    return used;
}

static bool krb5_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    (void)missing;
    struct krb5 *k = c->state;
    k->lost[direction] = true;
    return true;
}

static void krb5_end(struct conversation *c) {
    const struct krb5 *k = c->state;
    if (k->request) report(c, k, NULL);
}

const struct protocol protocol_krb5 = {
    .name = "krb5",
    .transports = TRANSPORT_UDP | TRANSPORT_TCP,
    .state_size = sizeof(struct krb5),
    .recognise = krb5_recognise,
    .stream = krb5_stream,
    .gap = krb5_gap,
    .datagram = krb5_datagram,
    .end = krb5_end,
};
