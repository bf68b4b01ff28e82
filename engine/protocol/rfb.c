/* RFB, the protocol of VNC and of Apple's Screen Sharing (RFC 6143; IANA's list of RFB security types).
 *
 * Both sides begin with twelve bytes, "RFB 003.008" and a line feed; Apple's server says 003.889. Then the
 * server lists how one may prove who one is, the client chooses (in version 3.3 the server alone decides),
 * and for the kinds whose length is known (none, VNC's, Apple's Diffie-Hellman) the server says whether that
 * was enough. What is behind it is pixels. */
#include "protocol/protocols.h"
#include "protocol/text_words.h"

enum {
    BANNER = 12,
    TYPES_MOST = 16,
    TYPE_INVALID = 0,
    TYPE_NONE = 1,
    TYPE_VNC = 2,
    TYPE_APPLE_DH = 30,
    CHALLENGE = 16
};

enum rfb_step { STEP_BANNER, STEP_TYPES, STEP_CHALLENGE, STEP_RESULT, STEP_OVER };

struct rfb {
    struct text_value reason;
    char banner[2][BANNER]; /* by direction */
    bool has_banner[2];
    uint8_t step[2];
    uint8_t types[TYPES_MOST];
    uint8_t type_count;
    uint8_t chosen;
    bool has_chosen;
    bool answered, accepted;
    bool reported;
};

static bool is_banner(const uint8_t *p, uint32_t length) {
    static const char form[BANNER + 1] = "RFB ddd.ddd\n";
    for (uint32_t i = 0; i < length && i < BANNER; i++)
        if (form[i] == 'd' ? !is_digit(p[i]) : p[i] != (uint8_t)form[i]) return false;
    return true;
}

static enum recognised rfb_recognise(const struct probe *probe) {
    if (!is_banner(probe->data, probe->length)) return RECOGNISED_NO;
    return probe->length >= BANNER ? RECOGNISED_YES : RECOGNISED_MAYBE;
}

/* As registered with IANA, and Apple's own. */
static const char *type_word(uint8_t type) {
    switch (type) {
    case TYPE_NONE:
        return "none";
    case TYPE_VNC:
        return "vnc";
    case 5:
        return "ra2";
    case 6:
        return "ra2ne";
    case 16:
        return "tight";
    case 17:
        return "ultra";
    case 18:
        return "tls";
    case 19:
        return "vencrypt";
    case 20:
        return "sasl";
    case 21:
        return "md5";
    case 22:
        return "xvp";
    case 30:
    case 31:
    case 32:
    case 33:
    case 34:
    case 35:
    case 36:
        return "apple";
    default:
        return "other";
    }
}

/* ------------------------------------------------------------------ events */

static struct text_ref version_ref(struct batch *batch, const struct rfb *r, enum direction direction) {
    /* "003.889" of the banner */
    return r->has_banner[direction] ? batch_text(batch, r->banner[direction] + 4, 7) : (struct text_ref){0};
}

static void report(struct conversation *c, struct rfb *r) {
    if (r->reported) return;
    r->reported = true;
    struct event_rfb *event = conversation_event(c, EVENT_rfb);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_rfb_body *body = &event->body;
    struct text_ref names[TYPES_MOST];
    body->server_version = version_ref(batch, r, TO_CLIENT);
    body->client_version = version_ref(batch, r, TO_SERVER);
    body->apple = r->has_banner[TO_CLIENT] && memcmp(r->banner[TO_CLIENT] + 4, "003.889", 7) == 0;
    for (uint8_t i = 0; i < r->type_count; i++) names[i] = batch_string(batch, type_word(r->types[i]));
    body->offered = batch_list(batch, names, r->type_count);
    body->security = r->has_chosen ? type_word(r->chosen) : NULL;
    body->security_type = r->chosen;
    body->result = !r->answered ? NULL : r->accepted ? "accepted" : "refused";
    body->reason = text_value_ref(batch, &r->reason);
    batch_commit(batch);
}

/* ------------------------------------------------------------------ stream */

/* The version that the connection goes by: the older of those that were seen. */
static bool is_before(const struct rfb *r, const char *version) {
    for (int d = 0; d < 2; d++)
        if (r->has_banner[d] && memcmp(r->banner[d] + 4, version, 7) < 0) return true;
    return false;
}

/* Does it go by 3.3, or by 3.7 and later, whose lists the client chooses from? */
static bool is_old(const struct rfb *r) {
    return is_before(r, "003.007");
}

static bool has_result(const struct rfb *r) {
    /* 3.7 sends none after the type "none" */
    return r->chosen == TYPE_VNC || r->chosen == TYPE_APPLE_DH ||
           (r->chosen == TYPE_NONE && !is_before(r, "003.008"));
}

static void choose(struct rfb *r, uint8_t type) {
    r->chosen = type;
    r->has_chosen = true;
}

/* A number of four bytes and as many of text: why the server refuses. */
static int64_t take_reason(struct conversation *c, struct rfb *r, const uint8_t *data, uint32_t length) {
    if (length < 4) return 0;
    r->answered = true;
    uint32_t size = load_be32(data), here = length - 4 < size ? length - 4 : size;
    if (here < size && here < TEXT_VALUE_MOST) return 0;
    text_value_set(&r->reason, (struct slice){data + 4, here});
    report(c, r);
    return STREAM_OVER;
}

static int64_t take_types(struct conversation *c, struct rfb *r, const uint8_t *data, uint32_t length) {
    /* Where the client was not seen to choose the version, an empty list may be 3.3's number: a reason is
     * longer. */
    bool unsure = !r->has_banner[TO_SERVER] && data[0] == 0;
    if (unsure && length < 4) return 0;
    if (is_old(r) || (unsure && load_be32(data) != 0)) {
        if (length < 4) return 0;
        uint32_t type = load_be32(data);
        if (type == TYPE_INVALID) {
            r->answered = true;
            return take_reason(c, r, data + 4, length - 4) ? STREAM_OVER : 0;
        }
        choose(r, type < 256 ? (uint8_t)type : 255);
        r->step[TO_CLIENT] = r->chosen == TYPE_VNC ? STEP_CHALLENGE : STEP_OVER;
        return 4;
    }
    uint32_t count = data[0];
    if (count == 0) {
        r->answered = true;
        return take_reason(c, r, data + 1, length - 1) ? STREAM_OVER : 0;
    }
    if (length < 1 + count) return 0;
    r->type_count = (uint8_t)(count < TYPES_MOST ? count : TYPES_MOST);
    memcpy(r->types, data + 1, r->type_count);
    r->step[TO_CLIENT] = STEP_CHALLENGE;
    return 1 + (int64_t)count;
}

static int64_t take_result(struct conversation *c, struct rfb *r, const uint8_t *data, uint32_t length) {
    if (length < 4) return 0;
    uint32_t code = load_be32(data);
    r->answered = true;
    r->accepted = code == 0;
    if (code != 0 && !is_before(r, "003.008"))
        return take_reason(c, r, data + 4, length - 4) ? STREAM_OVER : 0;
    report(c, r);
    return STREAM_OVER;
}

/* VNC's challenge is 16 bytes; Apple's is a generator, a length, and a prime and a public key that long. How
 * long in all, 0 if that is not to be seen yet. */
static uint32_t challenge_size(const struct rfb *r, const uint8_t *data, uint32_t length) {
    if (r->chosen == TYPE_VNC) return CHALLENGE;
    return length < 4 ? 0 : 4 + 2 * (uint32_t)load_be16(data + 2);
}

static int64_t take_server(struct conversation *c, struct rfb *r, const uint8_t *data, uint32_t length) {
    switch (r->step[TO_CLIENT]) {
    case STEP_TYPES:
        return take_types(c, r, data, length);
    case STEP_CHALLENGE: {
        if (!r->has_chosen || !has_result(r)) break;
        if (r->chosen == TYPE_NONE) return take_result(c, r, data, length);
        uint32_t size = challenge_size(r, data, length);
        if (size > 0) r->step[TO_CLIENT] = STEP_RESULT;
        return size;
    }
    case STEP_RESULT:
        return take_result(c, r, data, length);
    default:
        break;
    }
    report(c, r);
    return STREAM_OVER;
}

/* The client's choice, one byte; what it sends then is its answer to the challenge or a key exchange. */
static int64_t take_client(struct rfb *r, const uint8_t *data) {
    if (r->step[TO_SERVER] == STEP_TYPES && !is_old(r)) choose(r, data[0]);
    return STREAM_DONE;
}

static int64_t rfb_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                          uint32_t length) {
    struct rfb *r = c->state;
    uint32_t used = 0;
    if (r->step[direction] == STEP_BANNER) {
        if (length < BANNER) return 0;
        if (!is_banner(data, BANNER)) {
            conversation_anomaly(c, "bad_version");
            return STREAM_OVER;
        }
        memcpy(r->banner[direction], data, BANNER);
        r->has_banner[direction] = true;
        r->step[direction] = STEP_TYPES;
        used = BANNER;
    }
    while (used < length) {
        int64_t step = direction == TO_CLIENT ? take_server(c, r, data + used, length - used)
                                              : take_client(r, data + used);
        if (step < 0) return step;
        if (step == 0) break;
        used += (uint32_t)step;
    }
    return used;
}

static void rfb_end(struct conversation *c) {
    report(c, c->state);
}

const struct protocol protocol_rfb = {
    .name = "rfb",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct rfb),
    .recognise = rfb_recognise,
    .stream = rfb_stream,
    .end = rfb_end,
};
