/* libFuzzer target: TCP reassembly against a picture of it that is too simple to be wrong.
 *
 * An input is a connection: two initial sequence numbers (often near 2^32), then segments of six bytes each:
 * who sends, flags, where relative to the next byte, how long, what it acknowledges, how much the snap length
 * left. What is sent at a place of the stream follows from the place and one of four versions, so that copies
 * may contradict each other.
 *
 * The picture is an array of bytes for each direction, marked as here or not; a byte counts as it came first.
 * After each segment it says which bytes are delivered and which are given up as a gap, by the rules that
 * flow/stream.c tells in its head; a parser that takes all and a wish for the flow's bytes (flow_room_listen)
 * must have been given just that, byte by byte. Where the bound of memory was reached, or the parser asks to
 * keep and to skip at will, it must have been given nothing but bytes of that place. */
#include "base/bytes.h"
#include "event/batch.h"
#include "flow/flow.h"
#include "flow/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPAN = 1 << 16, INPUTS_PER_ROOM = 512, OP = 6, PORT = 9999, GAP = 0x100, BYTE = 0x200 };

/* One direction. Of each place: 0, GAP, or BYTE and the byte. */
struct side {
    uint32_t isn;
    uint32_t next, top; /* places: the first that is not delivered; behind the last that was ever touched */
    int64_t fin, acked; /* -1: not known */
    uint16_t sent[SPAN], want[SPAN];
    uint16_t parser[SPAN], tap[SPAN];
    uint32_t parser_at, parser_again, tap_at;
    uint64_t parser_skip;
};

static struct {
    struct batch *batch;
    struct flow_room *room;
    bool wants[EVENT_KINDS];
    struct side side[2];
    nanoseconds now;
    unsigned inputs;
    uint16_t client_port;
    uint64_t moody; /* 0: the parser uses all */
    bool small, exact, over, conflict;
    uint64_t dropped, mismatches;
} fuzz;

static uint8_t byte_of(uint32_t at, unsigned version) {
    return (uint8_t)(at * 31 + (at >> 8) + version * 101);
}

static void wrong(const char *what, unsigned direction, uint32_t at) {
    fprintf(stderr, "%s: direction %u, place %u\n", what, direction, at);
    abort();
}

/* ------------------------------------------------------------------ the picture */

static void deliver(struct side *s) {
    int64_t end = s->fin >= 0 ? s->fin : SPAN;
    while (s->next < end && s->sent[s->next]) {
        s->want[s->next] = s->sent[s->next];
        s->next++;
    }
    for (uint32_t at = s->next; at < s->top && at < end; at++)
        if (s->sent[at]) return;
    if (s->fin >= 0) /* nothing waits but what lies beyond the end: it is let go */
        for (uint32_t at = (uint32_t)s->fin; at < s->top; at++) s->sent[at] = 0;
}

/* Gives up the hole before what waits. False if nothing does. */
static bool give_up(struct side *s, int64_t up_to) {
    uint32_t first = s->next;
    while (first < s->top && !s->sent[first]) first++;
    if (first >= s->top || first > up_to) return false;
    if (s->fin >= 0 && first > s->fin) first = (uint32_t)s->fin;
    while (s->next < first) s->want[s->next++] = GAP;
    deliver(s);
    return true;
}

static void give_up_acked(struct side *s) {
    while (!fuzz.over && s->acked >= 0 && give_up(s, s->acked)) {
    }
}

struct op {
    unsigned direction, version;
    uint8_t flags;
    int64_t at; /* place of the first byte, may lie before the stream */
    uint32_t length, captured;
    int64_t ack; /* place, -1: none */
};

static void take(struct side *s, struct op op) {
    if (s->fin >= 0) {
        if (op.at >= s->fin) return;
        if (op.at + op.length > s->fin) op.length = (uint32_t)(s->fin - op.at);
        if (op.captured > op.length) op.captured = op.length;
    }
    if (op.length == 1 && op.at == (int64_t)s->next - 1) return; /* keep-alive */
    int64_t end = op.at + op.length, here = op.at + op.captured;
    if (end <= s->next) return;
    if (end > s->top) s->top = (uint32_t)end;
    bool turn = op.at <= s->next;
    for (int64_t at = turn ? s->next : op.at; at < (turn ? end : here); at++) {
        if (!s->sent[at] && at < here) s->sent[at] = BYTE | byte_of((uint32_t)at, op.version);
        if (!turn) continue;
        s->want[at] = s->sent[at] ? s->sent[at] : GAP;
        s->next = (uint32_t)at + 1;
    }
    if (turn)
        deliver(s);
    else
        give_up_acked(s);
}

static void picture(const struct op *op) {
    struct side *s = &fuzz.side[op->direction], *other = &fuzz.side[!op->direction];
    if (fuzz.over || op->flags & TCP_RST) return;
    if (op->ack > other->acked) {
        other->acked = op->ack;
        give_up_acked(other);
    }
    if (op->flags & TCP_FIN && s->fin < 0 && op->at + op->length >= s->next) s->fin = op->at + op->length;
    if (op->length > 0) take(s, *op);
    fuzz.over = fuzz.side[0].fin == fuzz.side[0].next && fuzz.side[1].fin == fuzz.side[1].next;
}

/* ------------------------------------------------------------------- the engine */

static enum recognised recognise(const struct probe *probe) {
    (void)probe;
    return RECOGNISED_YES;
}

static uint32_t mood(uint32_t below) {
    fuzz.moody = fuzz.moody * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(fuzz.moody >> 33) % below;
}

static void put(uint16_t *places, unsigned direction, uint64_t at, uint16_t what, bool again) {
    if (at >= SPAN) wrong("beyond the stream", direction, (uint32_t)at);
    if (!again && places[at]) wrong("given twice", direction, (uint32_t)at);
    if (again && places[at] != what) wrong("kept bytes changed", direction, (uint32_t)at);
    places[at] = what;
}

static int64_t stream(struct conversation *c, enum direction direction, const uint8_t *data,
                      uint32_t length) {
    (void)c;
    struct side *s = &fuzz.side[direction];
    uint64_t from = s->parser_at + s->parser_skip;
    s->parser_skip = 0;
    if (s->parser_again > 0 && length <= s->parser_again)
        wrong("asked with nothing new", direction, s->parser_at);
    for (uint32_t i = 0; i < length; i++)
        put(s->parser, direction, from + i, BYTE | data[i], i < s->parser_again);
    uint32_t used = length;
    if (fuzz.moody) {
        uint32_t choice = mood(4);
        if (choice == 0) used = mood(length + 1);
        if (choice == 1) used = length + mood(300);
    }
    s->parser_again = used < length ? length - used : 0;
    s->parser_at = (uint32_t)from + (used < length ? used : length);
    s->parser_skip = used > length ? used - length : 0;
    return used;
}

static bool gap(struct conversation *c, enum direction direction, uint64_t missing) {
    (void)c;
    struct side *s = &fuzz.side[direction];
    uint64_t from = s->parser_at + s->parser_again + s->parser_skip;
    for (uint64_t i = 0; i < missing; i++) put(s->parser, direction, from + i, GAP, false);
    s->parser_at = (uint32_t)(from + missing);
    s->parser_again = 0;
    s->parser_skip = 0;
    return true;
}

static const struct protocol taker = {.name = "taker",
                                      .transports = TRANSPORT_TCP,
                                      .state_size = 8,
                                      .recognise = recognise,
                                      .stream = stream,
                                      .gap = gap};

static bool offer(void *context, enum event_kind kind, uint32_t index, const void *event) {
    (void)context, (void)index;
    if (kind != EVENT_stream) return true;
    const struct event_stream_body *e = &((const struct event_stream *)event)->body;
    if (e->last) return true;
    unsigned direction = e->to_server ? TO_SERVER : TO_CLIENT;
    struct side *s = &fuzz.side[direction];
    if (e->position != s->tap_at) wrong("a wish's position", direction, s->tap_at);
    for (uint32_t i = 0; i < e->missing; i++) put(s->tap, direction, s->tap_at++, GAP, false);
    for (uint32_t i = 0; i < e->data.length; i++)
        put(s->tap, direction, s->tap_at++, BYTE | (uint8_t)fuzz.batch->text[e->data.at + i], false);
    return true;
}

static void drink(void *context) {
    (void)context;
}

static bool no_local(void *context, const struct ip *address) {
    (void)context, (void)address;
    return false;
}

static void room_make(bool small) {
    static const struct protocol *const list[] = {&taker, NULL};
    static const struct stream_wish wish = {.proto = 6, .port_count = 1, .ports = {PORT}};
    struct error err = {0};
    if (!fuzz.batch) fuzz.batch = batch_new(BATCH_EVENTS, &err);
    if (!fuzz.batch) abort();
    fuzz.wants[EVENT_stream] = fuzz.wants[EVENT_anomaly] = fuzz.wants[EVENT_flow] = true;
    fuzz.batch->listener = (struct batch_listener){.wants = fuzz.wants, .offer = offer, .drink = drink};
    struct flow_config config = flow_config_defaults();
    config.max_flows = 64;
    config.max_names = 64;
    config.reassembly_per_flow = small ? 16 << 10 : 32 << 20;
    config.reassembly_total = 32 << 20;
    struct flow_surroundings around = {.batch = fuzz.batch, .protocols = list, .is_local = no_local};
    fuzz.room = flow_room_new(&config, &around, &err);
    if (!fuzz.room) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    flow_room_listen(fuzz.room, 0, &wish);
    fuzz.small = small;
    fuzz.now = 1700000000 * NS_PER_SECOND;
    fuzz.client_port = 20000;
    fuzz.dropped = fuzz.mismatches = 0;
}

static uint64_t mismatches(void) {
    struct anomaly_count counts[32];
    uint32_t n = flow_room_anomalies(fuzz.room, counts, 32);
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(counts[i].name, "overlap_mismatch") == 0) return counts[i].count;
    return 0;
}

static void send(const struct op *op) {
    static const uint8_t client[4] = {192, 0, 2, 1}, server[4] = {198, 51, 100, 1};
    bool up = op->direction == TO_SERVER;
    uint8_t *bytes = malloc(op->captured ? op->captured : 1); /* of its own size: a read behind it is seen */
    if (!bytes) abort();
    for (uint32_t i = 0; i < op->captured; i++) bytes[i] = byte_of((uint32_t)(op->at + i), op->version);
    fuzz.now += NS_PER_MILLISECOND;
    struct packet packet = {
        .bytes = bytes, .captured = op->captured, .original = op->length, .time = fuzz.now};
    struct decoded d = {.kind = DECODED_TRANSPORT,
                        .proto = 6,
                        .ttl = 64,
                        .has_ports = true,
                        .src_port = up ? fuzz.client_port : PORT,
                        .dst_port = up ? PORT : fuzz.client_port,
                        .tcp_flags = op->flags,
                        .tcp_window = 65535,
                        .tcp_seq = fuzz.side[op->direction].isn + 1 + (uint32_t)op->at,
                        .tcp_ack = op->ack < 0 ? 0 : fuzz.side[!op->direction].isn + 1 + (uint32_t)op->ack,
                        .payload = bytes,
                        .payload_captured = op->captured,
                        .payload_length = op->length,
                        .ip_payload = bytes,
                        .ip_payload_captured = op->captured,
                        .ip_payload_length = op->length,
                        .wire_length = op->length + 54};
    if (op->flags & TCP_SYN) d.tcp_seq--;
    ip_from_v4(&d.src, up ? client : server);
    ip_from_v4(&d.dst, up ? server : client);
    flow_room_burst(fuzz.room, &packet, &d, 1, NULL, NULL);
    free(bytes);
}

/* -------------------------------------------------------------------- comparing */

static void compare_place(const char *who, unsigned direction, uint32_t at, uint16_t got, uint16_t want) {
    if (fuzz.exact) {
        if (got != want) wrong(who, direction, at);
        return;
    }
    if (!(got & BYTE)) return;
    for (unsigned version = 0; version < 4; version++)
        if ((got & 0xff) == byte_of(at, version)) return;
    wrong(who, direction, at);
}

static void compare(uint32_t from[2]) {
    batch_flush(fuzz.batch);
    if (flow_room_counters(fuzz.room)->reassembly_dropped != fuzz.dropped) fuzz.exact = false;
    for (unsigned direction = 0; direction < 2; direction++) {
        const struct side *s = &fuzz.side[direction];
        if (fuzz.exact && s->tap_at != s->next)
            wrong("a wish was given another length", direction, s->tap_at);
        if (fuzz.exact && !fuzz.moody && s->parser_at != s->next)
            wrong("the parser was given another length", direction, s->parser_at);
        uint32_t end = fuzz.exact ? s->next : s->top;
        for (uint32_t at = from[direction]; at < end; at++) {
            compare_place("the wish", direction, at, s->tap[at], s->want[at]);
            if (!fuzz.moody) compare_place("the parser", direction, at, s->parser[at], s->want[at]);
            if (fuzz.moody && s->parser[at] && fuzz.exact && s->parser[at] != s->want[at])
                wrong("the moody parser", direction, at);
        }
        from[direction] = fuzz.exact ? s->next : 0;
    }
}

/* ---------------------------------------------------------------------- an input */

static void side_begin(struct side *s, uint32_t isn) {
    size_t used = s->top < SPAN ? s->top + 1 : SPAN;
    memset(s->sent, 0, used * sizeof *s->sent);
    memset(s->want, 0, used * sizeof *s->want);
    memset(s->parser, 0, used * sizeof *s->parser);
    memset(s->tap, 0, used * sizeof *s->tap);
    s->isn = isn;
    s->next = s->top = s->parser_at = s->parser_again = s->tap_at = 0;
    s->parser_skip = 0;
    s->fin = s->acked = -1;
}

/* What is acknowledged is often just what waits behind a hole, one byte less or more, or the end. */
static int64_t ack_of(const struct side *s, uint8_t choice) {
    uint32_t first = s->next;
    while (first < s->top && !s->sent[first]) first++;
    switch (choice & 7) {
    case 0:
        return (int64_t)s->next + (int8_t)(choice & ~7);
    case 1:
        return s->fin + 1;
    case 2:
        return (int64_t)first - 1;
    case 3:
        return (int64_t)first + 1;
    case 4:
        return s->top;
    default:
        return first;
    }
}

static bool op_read(struct cursor *rest, struct op *op) {
    if (cursor_left(rest) < OP) return false;
    const uint8_t *b = cursor_take(rest, OP);
    const struct side *s = &fuzz.side[b[0] & 1], *other = &fuzz.side[!(b[0] & 1)];
    *op = (struct op){.direction = b[0] & 1,
                      .flags = TCP_ACK,
                      .version = b[0] >> 6,
                      .ack = other->acked < 0 ? 0 : other->acked};
    static const int scales[] = {1, 8, 200, 1460};
    op->at = (int64_t)s->next + (int8_t)b[1] * scales[b[2] & 3];
    op->length = b[3] & 0x80 ? (b[3] & 0x7fu) * 16 : b[3];
    if (b[0] & 2) op->flags |= TCP_FIN;
    if (b[0] & 4) op->ack = ack_of(other, b[4]);
    if (b[0] & 32) op->at = s->next; /* in order, as most are */
    if (b[0] & 8 && b[2] & 4) {      /* the SYN once more, perhaps with payload */
        op->flags = op->direction == TO_SERVER ? TCP_SYN : TCP_SYN | TCP_ACK;
        op->at = 0;
    } else if (b[0] & 8 && b[2] & 8) {
        op->flags |= TCP_RST;
    }
    op->captured = b[0] & 16 ? op->length * b[5] / 256 : op->length;
    if (!(op->flags & TCP_ACK)) op->ack = -1;
    if (op->ack >= 0 && op->ack > SPAN) op->ack = SPAN;
    if (op->ack < 0 && op->flags & TCP_ACK) op->ack = 0;
    if (op->version && op->length) fuzz.conflict = true;
    return true;
}

static void do_op(const struct op *op, uint32_t from[2]) {
    if (op->at + op->length >= SPAN || op->at < -SPAN) return;
    picture(op);
    send(op);
    compare(from);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 8) return 0;
    struct cursor rest = cursor_over(data, size);
    const uint8_t *head = cursor_take(&rest, 8);
    bool small = head[0] & 1;
    if (fuzz.room && (++fuzz.inputs % INPUTS_PER_ROOM == 0 || fuzz.small != small)) {
        flow_room_free(fuzz.room);
        fuzz.room = NULL;
    }
    if (!fuzz.room) room_make(small);
    fuzz.client_port = fuzz.client_port == 60000 ? 20000 : (uint16_t)(fuzz.client_port + 1);
    fuzz.moody = head[0] & 2 ? (uint64_t)head[1] + 1 : 0;
    fuzz.exact = true;
    fuzz.over = fuzz.conflict = false;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t isn = load_le16(head + 2 + 2 * i);
        side_begin(&fuzz.side[i], head[0] & (4u << i) ? isn * 65537u : UINT32_MAX - isn);
    }
    uint32_t from[2] = {0, 0};
    const struct op opening[] = {
        {.direction = TO_SERVER, .flags = TCP_SYN, .ack = -1},
        {.direction = TO_CLIENT, .flags = TCP_SYN | TCP_ACK, .ack = 0},
        {.direction = TO_SERVER, .flags = TCP_ACK, .length = 1, .captured = 1, .ack = 0}};
    /* What is said before anybody reads the flow is nobody's: the picture begins with the first byte. */
    send(&opening[0]);
    send(&opening[1]);
    do_op(&opening[2], from);
    struct op op;
    while (op_read(&rest, &op)) do_op(&op, from);
    for (unsigned i = 0; i < 2; i++)
        while (!fuzz.over && give_up(&fuzz.side[i], SPAN)) {
        }
    flow_room_finish(fuzz.room);
    compare(from);
    uint64_t now = mismatches();
    if (!fuzz.conflict && now != fuzz.mismatches) wrong("copies were all alike", 0, 0);
    fuzz.mismatches = now;
    fuzz.dropped = flow_room_counters(fuzz.room)->reassembly_dropped;
    return 0;
}
