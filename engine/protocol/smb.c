/* SMB over TCP: versions 2 and 3 ([MS-SMB2]), of version 1 no more than the negotiation ([MS-CIFS]
 * section 2.2.4.52).
 *
 * What is told: which dialect both sides agree on, who logs in, which shares are opened. Messages are framed
 * by four bytes (RFC 1002 section 4.3.1, without its sessions: [MS-SMB2] section 2.1) and may be compounded.
 * An event is made at the answer to a negotiation, a login and a tree connect, and at the flow's end for what
 * was asked and not answered. The login's names are in clear in NTLM's third message ([MS-NLMP] section
 * 2.2.1.3), wherever in the security blob it lies. Encrypted and compressed messages pass unread: others of
 * the same connection may be neither. Behind a gap reading goes on at the next frame that can be told for
 * one. */
#include "protocol/protocols.h"
#include "protocol/text_words.h"

enum {
    FRAME = 4,
    SMB2_HEADER = 64,
    SMB1_HEADER = 32,
    LOOK_MOST = 16 * 1024, /* of a message: more than any of those that are read */
    PENDING_MOST = 8,
    DIALECTS_MOST = 16,
    FLAG_RESPONSE = 1,
    NEGOTIATE = 0,
    SESSION_SETUP = 1,
    TREE_CONNECT = 3,
    SMB1_NEGOTIATE = 0x72,
    SMB1_NO_DIALECT = 0xffff,
    SESSION_REQUEST = 0x81,
    KEEP_ALIVE = 0x85,
    SESSION_MOST = 128, /* of a session's request: two names */
    PORT_NETBIOS = 139,
    PORT_SMB = 445,
};
#define STATUS_MORE_PROCESSING 0xc0000016u
#define STATUS_PENDING         0x00000103u

/* A request that waits for its answer. */
struct pending {
    uint64_t id;
    bool open;
    uint8_t command;
    struct text_value path;
};

struct smb {
    struct pending pending[PENDING_MOST];
    struct text_value user, domain, host; /* of the login below */
    uint64_t named, login; /* message ids: of the request that named the user, of the last login */
    uint16_t dialects[DIALECTS_MOST];
    uint8_t dialect_count;
    uint8_t next; /* place of the next pending request */
    bool has_named;
    bool old_asked;
    bool lost[2]; /* by direction: behind a gap, looking for a frame */
};

static uint32_t magic_of(const uint8_t *p) {
    return load_be32(p);
}
enum { MAGIC_1 = 0x534d42 }; /* "SMB" behind a byte that tells the version */

static bool is_magic(const uint8_t *p) {
    return (magic_of(p) & 0xffffff) == MAGIC_1 && p[0] >= 0xfc;
}

static enum recognised smb_recognise(const struct probe *probe) {
    const uint8_t *p = probe->data;
    uint32_t left = probe->length;
    bool usual = probe->server_port == PORT_NETBIOS || probe->client_port == PORT_NETBIOS ||
                 probe->server_port == PORT_SMB || probe->client_port == PORT_SMB;
    /* NetBIOS sets a session up before, and keeps it alive: captures may begin with that. */
    while (usual && p[0] >= SESSION_REQUEST && p[0] <= KEEP_ALIVE) {
        uint32_t size = left < FRAME ? 0 : load_be32(p) & 0xffffff;
        if (size > SESSION_MOST) return RECOGNISED_NO;
        if (left <= FRAME + size) return RECOGNISED_MAYBE;
        p += FRAME + size, left -= FRAME + size;
    }
    if (p[0] != 0) return RECOGNISED_NO;
    if (left < FRAME + 4) return RECOGNISED_MAYBE;
    return is_magic(p + FRAME) ? RECOGNISED_YES : RECOGNISED_NO;
}

/* ------------------------------------------------------------------- events */

static const char *dialect_word(uint16_t dialect) {
    switch (dialect) {
    case 0x0202:
        return "2.0.2";
    case 0x0210:
        return "2.1";
    case 0x02ff:
        return "2.?";
    case 0x0300:
        return "3.0";
    case 0x0302:
        return "3.0.2";
    case 0x0311:
        return "3.1.1";
    default:
        return "other";
    }
}

/* What came of a request; nothing if its answer was not seen. */
struct outcome {
    bool answered;
    uint32_t status;
};

static struct event_smb *begin(struct conversation *c, const char *command, struct outcome outcome) {
    struct event_smb *event = conversation_event(c, EVENT_smb);
    if (!event) return NULL;
    event->body.command = command;
    event->body.status = outcome.status;
    event->body.result = !outcome.answered ? NULL : outcome.status == 0 ? "success" : "failure";
    return event;
}

static void report_negotiation(struct conversation *c, const struct smb *s, struct outcome outcome,
                               const char *dialect, bool signing) {
    struct event_smb *event = begin(c, "negotiate", outcome);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct text_ref names[DIALECTS_MOST];
    for (uint8_t i = 0; i < s->dialect_count; i++)
        names[i] = batch_string(batch, dialect_word(s->dialects[i]));
    event->body.offered = batch_list(batch, names, s->dialect_count);
    event->body.dialect = dialect;
    event->body.signing_required = signing;
    batch_commit(batch);
}

/* `id` is the message's: names are told of the login that gave them alone. */
static void report_login(struct conversation *c, const struct smb *s, uint64_t id, struct outcome outcome) {
    struct event_smb *event = begin(c, "session_setup", outcome);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    if (s->has_named && s->named == id) {
        event->body.user = text_value_ref(batch, &s->user);
        event->body.domain = text_value_ref(batch, &s->domain);
        event->body.host = text_value_ref(batch, &s->host);
    }
    batch_commit(batch);
}

/* `path` is NULL where the request was not seen. */
static void report_tree(struct conversation *c, const struct text_value *path, struct outcome outcome,
                        uint8_t kind) {
    static const char *const kinds[] = {NULL, "disk", "pipe", "print"};
    struct event_smb *event = begin(c, "tree_connect", outcome);
    if (!event) return;
    if (path) event->body.path = text_value_ref(conversation_batch(c), path);
    event->body.share = kind < 4 ? kinds[kind] : NULL;
    batch_commit(conversation_batch(c));
}

/* ------------------------------------------------------------------ requests */

/* UTF-16 to UTF-8, as much as fits; half a pair is U+FFFD. */
static void take_utf16(struct text_value *out, const uint8_t *p, uint32_t length) {
    out->length = 0;
    for (uint32_t i = 0; i + 2 <= length; i += 2) {
        uint32_t code = load_le16(p + i);
        if ((code & 0xfc00) == 0xd800 && i + 4 <= length && (load_le16(p + i + 2) & 0xfc00) == 0xdc00) {
            code = 0x10000 + ((code & 0x3ff) << 10) + (load_le16(p + i + 2) & 0x3ffu);
            i += 2;
        } else if ((code & 0xf800) == 0xd800) {
            code = 0xfffd;
        }
        char bytes[4];
        uint8_t n = 0;
        if (code < 0x80) {
            bytes[n++] = (char)code;
        } else if (code < 0x800) {
            bytes[n++] = (char)(0xc0 | code >> 6);
        } else if (code < 0x10000) {
            bytes[n++] = (char)(0xe0 | code >> 12);
            bytes[n++] = (char)(0x80 | (code >> 6 & 0x3f));
        } else {
            bytes[n++] = (char)(0xf0 | code >> 18);
            bytes[n++] = (char)(0x80 | (code >> 12 & 0x3f));
            bytes[n++] = (char)(0x80 | (code >> 6 & 0x3f));
        }
        if (code >= 0x80) bytes[n++] = (char)(0x80 | (code & 0x3f));
        if (out->length + n > TEXT_VALUE_MOST) return;
        memcpy(out->bytes + out->length, bytes, n);
        out->length = (uint8_t)(out->length + n);
    }
}

/* A field of NTLM's third message: length, room, offset from the message's begin. */
static void take_ntlm(struct text_value *out, struct slice message, uint32_t at, bool unicode) {
    uint32_t length = load_le16(message.at + at), offset = load_le32(message.at + at + 4);
    if (offset > message.length || length > message.length - offset) return;
    if (unicode)
        take_utf16(out, message.at + offset, length);
    else
        text_value_set(out, (struct slice){message.at + offset, length});
}

static void find_names(struct smb *s, uint64_t id, struct slice blob) {
    static const uint8_t third[] = {'N', 'T', 'L', 'M', 'S', 'S', 'P', 0, 3, 0, 0, 0};
    const uint8_t *at = blob.length ? memmem(blob.at, blob.length, third, sizeof third) : NULL;
    if (!at) return;
    struct slice message = {at, blob.length - (uint32_t)(at - blob.at)};
    if (message.length < 64) return;
    bool unicode = at[60] & 1;
    s->has_named = true;
    s->named = id;
    s->domain.length = s->user.length = s->host.length = 0;
    take_ntlm(&s->domain, message, 28, unicode);
    take_ntlm(&s->user, message, 36, unicode);
    take_ntlm(&s->host, message, 44, unicode);
}

static void take_dialects(struct smb *s, struct cursor body) {
    const uint8_t *fixed = cursor_take(&body, 36);
    if (!fixed) return;
    uint16_t count = load_le16(fixed + 2);
    s->dialect_count = 0;
    for (uint16_t i = 0; i < count && i < DIALECTS_MOST; i++) {
        const uint8_t *dialect = cursor_take(&body, 2);
        if (!dialect) return;
        s->dialects[s->dialect_count++] = load_le16(dialect);
    }
}

/* `header` has the whole message behind it, as far as it is here; `offset` is counted from it. */
static struct slice at_offset(struct slice header, uint32_t offset, uint32_t length) {
    if (offset > header.length) return (struct slice){NULL, 0};
    uint32_t here = header.length - offset;
    return (struct slice){header.at + offset, length < here ? length : here};
}

static void take_request(struct smb *s, uint16_t command, uint64_t id, struct slice header) {
    struct cursor body = cursor_over(header.at + SMB2_HEADER, header.length - SMB2_HEADER);
    const uint8_t *p = body.at;
    if (command != NEGOTIATE && command != SESSION_SETUP && command != TREE_CONNECT) return;
    struct pending *request = &s->pending[s->next];
    s->next = (uint8_t)((s->next + 1) % PENDING_MOST);
    request->open = true;
    request->id = id;
    request->command = (uint8_t)command;
    request->path.length = 0;
    if (command == NEGOTIATE) {
        take_dialects(s, body);
    } else if (command == SESSION_SETUP) {
        s->login = id;
        if (cursor_left(&body) >= 24)
            find_names(s, id, at_offset(header, load_le16(p + 12), load_le16(p + 14)));
    } else if (command == TREE_CONNECT && cursor_left(&body) >= 8) {
        struct slice path = at_offset(header, load_le16(p + 4), load_le16(p + 6));
        take_utf16(&request->path, path.at, path.length);
    }
}

static struct pending *find_request(struct smb *s, uint16_t command, uint64_t id) {
    for (unsigned i = 0; i < PENDING_MOST; i++)
        if (s->pending[i].open && s->pending[i].id == id && s->pending[i].command == command)
            return &s->pending[i];
    return NULL;
}

/* ----------------------------------------------------------------- responses */

static void take_response(struct conversation *c, struct smb *s, uint16_t command, uint64_t id,
                          uint32_t status, struct slice header) {
    if (status == STATUS_PENDING) return; /* the answer comes later */
    struct pending *request = find_request(s, command, id);
    struct outcome outcome = {true, status};
    const uint8_t *p = header.at + SMB2_HEADER;
    uint32_t left = status == 0 ? header.length - SMB2_HEADER : 0; /* errors have another body */
    if (command == NEGOTIATE) {
        report_negotiation(c, s, outcome, left >= 6 ? dialect_word(load_le16(p + 4)) : NULL,
                           left >= 6 && load_le16(p + 2) & 2);
        s->old_asked = false;
    } else if (command == SESSION_SETUP && status != STATUS_MORE_PROCESSING) {
        report_login(c, s, id, outcome);
    } else if (command == TREE_CONNECT) {
        report_tree(c, request ? &request->path : NULL, outcome, left >= 3 ? p[2] : 0);
    }
    if (request) request->open = false;
}

/* One message, or several that are compounded. */
static bool take_messages(struct conversation *c, struct smb *s, struct slice all) {
    while (all.length >= SMB2_HEADER) {
        const uint8_t *h = all.at;
        if (load_le16(h + 4) != SMB2_HEADER) return false;
        uint16_t command = load_le16(h + 12);
        uint32_t next = load_le32(h + 20), status = load_le32(h + 8);
        uint64_t id = load_le64(h + 24);
        struct slice one = {h, next >= SMB2_HEADER && next < all.length ? next : all.length};
        if (load_le32(h + 16) & FLAG_RESPONSE)
            take_response(c, s, command, id, status, one);
        else
            take_request(s, command, id, one);
        if (next == 0 || next >= all.length) return true;
        if (next < SMB2_HEADER) return false;
        all = (struct slice){all.at + next, all.length - next};
    }
    return true;
}

/* Version 1: what matters is that somebody still speaks it, or asks by it for version 2. A request lists
 * names of dialects, each behind a 2 and with a NUL; the answer has the chosen one's place. */
static void take_old(struct conversation *c, struct smb *s, struct slice message) {
    static const char second[] = "\2SMB 2.002", any[] = "\2SMB 2.???";
    if (message.length < SMB1_HEADER || message.at[4] != SMB1_NEGOTIATE) return;
    struct slice body = {message.at + SMB1_HEADER, message.length - SMB1_HEADER};
    if (message.at[9] & 0x80) {
        bool chosen = body.length >= 3 && body.at[0] > 0 && load_le16(body.at + 1) != SMB1_NO_DIALECT;
        report_negotiation(c, s, (struct outcome){true, load_le32(message.at + 5)}, chosen ? "1" : NULL,
                           false);
        s->old_asked = false;
        return;
    }
    s->old_asked = true;
    s->dialect_count = 0;
    if (body.length == 0) return;
    if (memmem(body.at, body.length, second, sizeof second)) s->dialects[s->dialect_count++] = 0x0202;
    if (memmem(body.at, body.length, any, sizeof any)) s->dialects[s->dialect_count++] = 0x02ff;
}

/* ----------------------------------------------------------------- protocol */

/* The next frame behind a gap begins with a zero, its size and a header: how many bytes lie before it. All
 * but what may be such a beginning, if there is none. */
static uint32_t before_frame(const uint8_t *data, uint32_t length, bool *found) {
    for (uint32_t at = 0; at + FRAME + 6 <= length; at++) {
        const uint8_t *p = data + at;
        *found =
            p[0] == 0 && is_magic(p + FRAME) && (p[FRAME] != 0xfe || load_le16(p + FRAME + 4) == SMB2_HEADER);
        if (*found) return at;
    }
    return length < FRAME + 6 ? 0 : length - (FRAME + 5);
}

/* A message of which more is to be seen before it can be read? Of one that tells nothing here, such as a read
 * or a write, the header is enough. */
static bool wants_more(struct slice message) {
    if (message.length >= LOOK_MOST) return false;
    if (message.length < 4) return true;
    if (message.at[0] == 0xff) return message.length < 5 || message.at[4] == SMB1_NEGOTIATE;
    if (message.at[0] != 0xfe) return false;
    if (message.length < SMB2_HEADER) return true;
    return load_le16(message.at + 12) <= TREE_CONNECT || load_le32(message.at + 20) != 0;
}

/* False if there is no way on. */
static bool take_message(struct conversation *c, struct smb *s, struct slice message, bool whole) {
    if (message.length < 4) return true;
    if (!is_magic(message.at)) return false;
    if (message.at[0] == 0xff) take_old(c, s, message);
    if (message.at[0] != 0xfe) return true;
    bool cut = whole && message.length < SMB2_HEADER;
    if (cut || !take_messages(c, s, message)) conversation_anomaly(c, "bad_message");
    return true;
}

static int64_t smb_stream(struct conversation *c, enum direction direction, const uint8_t *data,
                          uint32_t length) {
    struct smb *s = c->state;
    uint32_t used = 0;
    if (s->lost[direction]) {
        bool found = false;
        used = before_frame(data, length, &found);
        if (!found) return used;
        s->lost[direction] = false;
    }
    while (length - used >= FRAME) {
        const uint8_t *p = data + used;
        uint32_t size = load_be32(p) & 0xffffff, left = length - used - FRAME;
        bool whole = left >= size;
        struct slice message = {p + FRAME, whole ? size : left};
        if (p[0] != 0) { /* NetBIOS: session requests and answers, keep-alives */
            if (p[0] < SESSION_REQUEST || p[0] > KEEP_ALIVE) {
                conversation_anomaly(c, "bad_frame");
                return STREAM_OVER;
            }
        } else if (!whole && wants_more(message)) {
            break;
        } else if (!take_message(c, s, message, whole)) {
            conversation_anomaly(c, "bad_message");
            return STREAM_OVER;
        }
        if (!whole) return (int64_t)used + FRAME + size;
        used += FRAME + size;
    }
    return used;
}

static bool smb_gap(struct conversation *c, enum direction direction, uint64_t missing) {
    (void)missing;
    struct smb *s = c->state;
    s->lost[direction] = true;
    return true;
}

/* What was asked and not answered, oldest first; of a login's several requests the last. */
static void smb_end(struct conversation *c) {
    const struct smb *s = c->state;
    const struct outcome none = {false, 0};
    bool negotiates = s->old_asked;
    for (unsigned i = 0; i < PENDING_MOST; i++)
        negotiates |= s->pending[i].open && s->pending[i].command == NEGOTIATE;
    if (negotiates) report_negotiation(c, s, none, NULL, false);
    for (unsigned i = 0; i < PENDING_MOST; i++) {
        const struct pending *request = &s->pending[(s->next + i) % PENDING_MOST];
        if (!request->open) continue;
        if (request->command == SESSION_SETUP && request->id == s->login)
            report_login(c, s, request->id, none);
        if (request->command == TREE_CONNECT) report_tree(c, &request->path, none, 0);
    }
}

const struct protocol protocol_smb = {
    .name = "smb",
    .transports = TRANSPORT_TCP,
    .state_size = sizeof(struct smb),
    .recognise = smb_recognise,
    .stream = smb_stream,
    .gap = smb_gap,
    .end = smb_end,
};
