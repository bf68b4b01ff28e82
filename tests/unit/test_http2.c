/* HTTP/2 in clear. Header blocks are those of RFC 7541, appendix C.4 (requests, with Huffman coding) and C.6
 * (responses), which build on each other's tables; frames are put together by RFC 9113 section 6. */
#include "drive_protocol.h"

#include "protocol/protocols.h"

static const struct protocol *const protocols[] = {&protocol_http, &protocol_http2, NULL};

/* RFC 7541 C.4.1 to C.4.3 */
#define ROOT          "\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"
#define ROOT_NO_CACHE "\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf"
#define INDEX_HTML                                                                                           \
    "\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf"
/* RFC 7541 C.6.1 and C.6.2: 302 and 307 to https://www.example.com */
#define MOVED                                                                                                \
    "\x48\x82\x64\x02\x58\x85\xae\xc3\x77\x1a\x4b\x61\x96\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95"   \
    "\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff\x6e\x91\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae"   \
    "\x82\xae\x43\xd3"
#define MOVED_AGAIN "\x48\x83\x64\x0e\xff\xc1\xc0\xbf"
#define OK_200      "\x88"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION
};
enum { END_STREAM = 1, END_HEADERS = 4, PADDED = 8, WITH_PRIORITY = 0x20 };

/* What a side will send. */
struct wire {
    uint8_t bytes[128 * 1024];
    size_t length;
};

static void put(struct wire *w, const void *bytes, size_t length) {
    assert_true(w->length + length <= sizeof w->bytes);
    if (length) memcpy(w->bytes + w->length, bytes, length);
    w->length += length;
}

static void put_frame(struct wire *w, uint8_t type, uint8_t flags, uint32_t stream, const void *payload,
                      size_t length) {
    uint8_t head[9] = {
        (uint8_t)(length >> 16), (uint8_t)(length >> 8),  (uint8_t)length,        type,           flags,
        (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};
    put(w, head, sizeof head);
    put(w, payload, length);
}
#define FRAME(w, type, flags, stream, payload) put_frame(w, type, flags, stream, payload, sizeof payload - 1)

static struct wire *client_wire(void) {
    struct wire *w = calloc(1, sizeof *w);
    assert_non_null(w);
    put(w, PREFACE, sizeof PREFACE - 1);
    FRAME(w, SETTINGS, 0, 0, "\x00\x03\x00\x00\x00\x64");
    return w;
}

static struct wire *server_wire(void) {
    struct wire *w = calloc(1, sizeof *w);
    assert_non_null(w);
    FRAME(w, SETTINGS, 0, 0, "\x00\x04\x00\x01\x00\x00");
    FRAME(w, SETTINGS, 1, 0, "");
    return w;
}

static struct drive *begin(void) {
    struct drive *d = drive_new_of(protocols, EVENT_http);
    d->wants[EVENT_flow] = true;
    d->server_port = 80;
    drive_open(d);
    return d;
}

/* Sends both, cut into pieces of `cut` bytes, 0: in one; and ends the capture. */
static void run(struct drive *d, struct wire *up, struct wire *down, size_t cut) {
    struct wire *wires[2] = {up, down};
    for (unsigned side = 0; side < 2; side++) {
        struct wire *w = wires[side];
        for (size_t at = 0; w && at < w->length;) {
            size_t piece = cut && cut < w->length - at ? cut : w->length - at;
            drive_send(d, (enum direction)side, w->bytes + at, piece);
            at += piece;
        }
        free(w);
    }
    drive_close(d);
}

static void expect_count(const struct drive *d, uint32_t events, uint32_t anomalies) {
    if (d->events[EVENT_http] != events || d->events[EVENT_anomaly] != anomalies)
        fail_msg("%u events and %u anomalies, not %u and %u:\n%s", d->events[EVENT_http],
                 d->events[EVENT_anomaly], events, anomalies, d->text);
}

static void requests_share_a_table(void **state) {
    (void)state;
    for (size_t cut = 0; cut < 40; cut++) {
        struct wire *up = client_wire(), *down = server_wire();
        FRAME(up, HEADERS, END_HEADERS | END_STREAM, 1, ROOT);
        FRAME(up, HEADERS, END_HEADERS | END_STREAM, 3, ROOT_NO_CACHE);
        FRAME(up, HEADERS, END_HEADERS | END_STREAM, 5, INDEX_HTML);
        FRAME(down, HEADERS, END_HEADERS | END_STREAM, 3, MOVED);
        FRAME(down, HEADERS, END_HEADERS, 1, MOVED_AGAIN);
        FRAME(down, DATA, 0, 1, "hello ");
        FRAME(down, HEADERS, END_HEADERS, 5, OK_200);
        FRAME(down, DATA, END_STREAM, 1, "world");
        FRAME(down, DATA, END_STREAM, 5, "");
        struct drive *d = begin();
        run(d, up, down, cut);
        expect_count(d, 3, 0);
        drive_expect(d, "http.host=www.example.com");
        drive_expect(d, "http.method=GET");
        drive_expect(d, "http.url=/");
        drive_expect(d, "http.url=/index.html");
        drive_expect(d, "http.protocol=HTTP/2");
        drive_expect(d, "http.status=302");
        drive_expect(d, "http.status=307");
        drive_expect(d, "http.status=200");
        drive_expect(d, "http.redirect=https://www.example.com");
        drive_expect(d, "http.length=11");
        drive_expect(d, "http.stream_id=1");
        drive_expect(d, "http.stream_id=3");
        drive_expect(d, "http.stream_id=5");
        drive_expect(d, "http.request_headers=cache-control");
        drive_expect(d, "http.request_headers=custom-key");
        drive_expect(d, "flow.app_proto=http2");
        drive_expect(d, "flow.server_name=www.example.com");
        drive_expect(d, "flow.name_source=host");
        drive_free(d);
    }
}

/* Padding, a priority, a block in three frames, bodies both ways. */
static void frames_with_trimmings(void **state) {
    (void)state;
    struct wire *up = client_wire(), *down = server_wire();
    FRAME(up, HEADERS, PADDED | WITH_PRIORITY, 1, "\x03\x80\x00\x00\x00\x10\x82\x86\x84\0\0\0");
    FRAME(up, CONTINUATION, 0, 1, "\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a");
    FRAME(up, CONTINUATION, END_HEADERS, 1, "\x6b\xa0\xab\x90\xf4\xff");
    FRAME(up, DATA, PADDED, 1,
          "\x04"
          "12345"
          "\0\0\0\0");
    FRAME(up, DATA, END_STREAM, 1, "678");
    FRAME(down, WINDOW_UPDATE, 0, 0, "\0\0\0\x10");
    FRAME(down, PING, 0, 0, "12345678");
    FRAME(down, HEADERS, END_HEADERS, 1, OK_200);
    FRAME(down, 0xbe, 0xff, 1, "unknown types are passed over");
    FRAME(down, DATA, PADDED | END_STREAM, 1,
          "\x02"
          "abc"
          "\0\0");
    struct drive *d = begin();
    run(d, up, down, 7);
    expect_count(d, 1, 0);
    drive_expect(d, "http.host=www.example.com");
    drive_expect(d, "http.request_length=8");
    drive_expect(d, "http.length=3");
    drive_free(d);
}

/* Literals without indexing (RFC 7541 section 6.2.2): name length, name, value length, value. */
#define LITERAL(n, name, v, value) "\x00" n name v value

static void grpc_call(void **state) {
    (void)state;
    struct wire *up = client_wire(), *down = server_wire();
    FRAME(up, HEADERS, END_HEADERS, 1,
          LITERAL("\x07", ":method", "\x04", "POST")
              LITERAL("\x05", ":path", "\x1c", "/helloworld.Greeter/SayHello")
                  LITERAL("\x0a", ":authority", "\x0f", "Localhost:50051")
                      LITERAL("\x0c", "content-type", "\x10", "application/grpc")
                          LITERAL("\x0a", "user-agent", "\x0e", "grpc-go/1.60.0"));
    FRAME(up, DATA, END_STREAM, 1, "\0\0\0\0\x07\x0a\x05world");
    FRAME(down, HEADERS, END_HEADERS, 1, OK_200 LITERAL("\x0c", "content-type", "\x10", "application/grpc"));
    FRAME(down, DATA, 0, 1, "\0\0\0\0\x0d\x0a\x0bHello world");
    FRAME(down, HEADERS, END_HEADERS | END_STREAM, 1, LITERAL("\x0b", "grpc-status", "\x01", "0"));
    struct drive *d = begin();
    run(d, up, down, 0);
    expect_count(d, 1, 0);
    drive_expect(d, "http.grpc_service=helloworld.Greeter");
    drive_expect(d, "http.grpc_method=SayHello");
    drive_expect(d, "http.grpc_status=0");
    drive_expect(d, "http.host=localhost");
    drive_expect(d, "http.host_port=50051");
    drive_expect(d, "http.user_agent=grpc-go/1.60.0");
    drive_expect(d, "http.content_type=application/grpc");
    drive_expect(d, "http.length=18");
    drive_free(d);
}

static void interim_response_is_not_the_end(void **state) {
    (void)state;
    struct wire *up = client_wire(), *down = server_wire();
    FRAME(up, HEADERS, END_HEADERS | END_STREAM, 1, ROOT);
    FRAME(down, HEADERS, END_HEADERS, 1, LITERAL("\x07", ":status", "\x03", "103"));
    FRAME(down, HEADERS, END_HEADERS | END_STREAM, 1, OK_200);
    struct drive *d = begin();
    run(d, up, down, 0);
    expect_count(d, 1, 0);
    drive_expect(d, "http.status=200");
    drive_free(d);
}

static void reset_and_unfinished(void **state) {
    (void)state;
    struct wire *up = client_wire(), *down = server_wire();
    FRAME(up, HEADERS, END_HEADERS | END_STREAM, 1, ROOT);
    FRAME(up, HEADERS, END_HEADERS | END_STREAM, 3, ROOT_NO_CACHE);
    FRAME(up, RST_STREAM, 0, 1, "\0\0\0\x08");
    FRAME(down, HEADERS, END_HEADERS, 1, OK_200); /* too late: it is over */
    struct drive *d = begin();
    run(d, up, down, 0);
    expect_count(d, 2, 0);
    assert_null(strstr(d->text, "http.status"));
    drive_free(d);
}

static void either_side_alone(void **state) {
    (void)state;
    struct wire *up = client_wire(), *down = server_wire();
    FRAME(up, HEADERS, END_HEADERS | END_STREAM, 1, ROOT);
    struct drive *d = begin();
    run(d, up, NULL, 0);
    expect_count(d, 1, 0);
    drive_expect(d, "http.host=www.example.com");
    drive_clear(d);
    drive_open(d);
    FRAME(down, HEADERS, END_HEADERS, 1, MOVED);
    FRAME(down, DATA, END_STREAM, 1, "gone");
    run(d, NULL, down, 0);
    expect_count(d, 1, 0);
    drive_expect(d, "http.status=302");
    drive_expect(d, "http.length=4");
    drive_expect(d, "flow.app_proto=http2");
    drive_free(d);
}

static void promised_stream(void **state) {
    (void)state;
    struct wire *up = client_wire(), *down = server_wire();
    FRAME(up, HEADERS, END_HEADERS | END_STREAM, 1, ROOT);
    FRAME(down, PUSH_PROMISE, END_HEADERS, 1, "\0\0\0\x02" ROOT);
    FRAME(down, HEADERS, END_HEADERS | END_STREAM, 1, OK_200);
    FRAME(down, HEADERS, END_HEADERS | END_STREAM, 2, OK_200);
    struct drive *d = begin();
    run(d, up, down, 0);
    expect_count(d, 2, 0);
    drive_expect(d, "http.stream_id=2");
    drive_free(d);
}

/* RFC 7540 section 3.2: the request came as HTTP/1.1, its response comes on stream 1. */
static void upgrade_of_http_1(void **state) {
    (void)state;
    static const char request[] =
        "GET /old HTTP/1.1\r\nHost: Example.org\r\nUser-Agent: curl/8\r\nConnection: "
        "Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    static const char response[] =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    struct drive *d = begin();
    drive_send(d, TO_SERVER, request, sizeof request - 1);
    struct wire *up = client_wire(), *down = calloc(1, sizeof *down), *settings = server_wire();
    put(down, response, sizeof response - 1);
    put(down, settings->bytes, settings->length);
    free(settings);
    drive_send(d, TO_CLIENT, down->bytes, down->length);
    down->length = 0;
    FRAME(up, HEADERS, END_HEADERS | END_STREAM, 3, ROOT);
    FRAME(down, HEADERS, END_HEADERS, 1, OK_200);
    FRAME(down, DATA, END_STREAM, 1, "12345");
    FRAME(down, HEADERS, END_HEADERS | END_STREAM, 3, OK_200);
    run(d, up, down, 11);
    expect_count(d, 3, 0);
    drive_expect(d, "http.upgrade=h2c");
    drive_expect(d, "http.stream_id=1");
    drive_expect(d, "http.length=5");
    drive_expect(d, "http.stream_id=3");
    drive_expect(d, "flow.app_proto=http2");
    drive_expect(d, "flow.app_proto_orig=http");
    unsigned olds = 0;
    for (const char *at = d->text; (at = strstr(at, "http.url=/old\n")); at++) olds++;
    assert_int_equal(olds, 2);
    drive_free(d);
}

/* A lost segment within a body does no harm; one with a header block ends the side. */
static void gaps(void **state) {
    (void)state;
    struct wire *up = client_wire(), *down = server_wire();
    FRAME(up, HEADERS, END_HEADERS | END_STREAM, 1, ROOT);
    FRAME(up, HEADERS, END_HEADERS | END_STREAM, 3, ROOT_NO_CACHE);
    struct drive *d = begin();
    drive_send(d, TO_SERVER, up->bytes, up->length);
    FRAME(down, HEADERS, END_HEADERS, 1, OK_200);
    static const uint8_t body[3000] = {0};
    put_frame(down, DATA, END_STREAM, 1, body, sizeof body);
    drive_send(d, TO_CLIENT, down->bytes, down->length - 2000);
    d->next_seq[TO_CLIENT] += 1000;
    drive_send(d, TO_CLIENT, down->bytes + down->length - 1000, 1000);
    struct wire tail = {.length = 0};
    FRAME(&tail, HEADERS, END_HEADERS | END_STREAM, 3, OK_200);
    drive_send(d, TO_CLIENT, tail.bytes, tail.length);
    drive_close(d);
    expect_count(d, 2, 0);
    drive_expect(d, "http.length=3000");
    drive_expect(d, "http.stream_id=3");
    free(up);
    free(down);
    drive_free(d);
}

static void expect_anomaly(struct wire *up, struct wire *down, const char *name, uint32_t events) {
    char line[80];
    struct drive *d = begin();
    run(d, up, down, 0);
    snprintf(line, sizeof line, "anomaly.name=%s", name);
    drive_expect(d, line);
    assert_int_equal(d->events[EVENT_http], events);
    drive_free(d);
}

/* DATA that is said to be padded, of no length, at the very end of what was captured. */
static void padded_and_empty(void **state) {
    (void)state;
    struct wire *up = client_wire();
    FRAME(up, HEADERS, END_HEADERS, 1, ROOT);
    FRAME(up, DATA, PADDED, 1, "");
    struct drive *d = begin();
    run(d, up, NULL, 0);
    expect_count(d, 1, 1);
    drive_expect(d, "anomaly.name=bad_padding");
    drive_free(d);
}

static void what_is_wrong_is_said(void **state) {
    (void)state;
    struct wire *up = client_wire();
    FRAME(up, HEADERS, END_HEADERS | END_STREAM, 1, "\xff\xff\xff\xff\xff\xff"); /* an index beyond any */
    expect_anomaly(up, NULL, "unreadable_headers", 1);

    up = client_wire();
    FRAME(up, HEADERS, PADDED | END_HEADERS, 1, "\x40\x82");
    expect_anomaly(up, NULL, "bad_padding", 0);

    up = client_wire();
    FRAME(up, HEADERS, 0, 1, "\x82");
    FRAME(up, DATA, 0, 1, "in between");
    expect_anomaly(up, NULL, "broken_header_block", 1);

    up = client_wire();
    FRAME(up, HEADERS, 0, 1, "\x82");
    for (unsigned i = 0; i < 100; i++) FRAME(up, CONTINUATION, 0, 1, "");
    expect_anomaly(up, NULL, "endless_header_block", 1);

    up = client_wire();
    static const uint8_t long_block[40000] = {0};
    put_frame(up, HEADERS, END_HEADERS, 1, long_block, sizeof long_block);
    expect_anomaly(up, NULL, "header_block_too_long", 0);

    up = client_wire();
    FRAME(up, HEADERS, END_HEADERS, 0, ROOT);
    expect_anomaly(up, NULL, "bad_stream", 0);

    up = calloc(1, sizeof *up);
    put(up, PREFACE, sizeof PREFACE - 1);
    FRAME(up, HEADERS, END_HEADERS, 1, ROOT);
    expect_anomaly(up, NULL, "no_settings", 0);
}

/* 200 requests without an answer: each is told, and no more than a bounded number is kept. */
static void streams_without_end(void **state) {
    (void)state;
    struct wire *up = client_wire();
    FRAME(up, HEADERS, END_HEADERS | END_STREAM, 1, ROOT);
    for (uint32_t i = 1; i < 200; i++)
        FRAME(up, HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, "\x82\x86\x84\xbe");
    struct drive *d = begin();
    run(d, up, NULL, 0);
    expect_count(d, 200, 1);
    drive_expect(d, "anomaly.name=too_many_streams");
    drive_free(d);
}

static void others_are_not_taken(void **state) {
    (void)state;
    struct drive *d = begin();
    static const char client[][25] = {"PRI * HTTP/1.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
                                      "\0\0\x06\x04"};
    for (unsigned i = 0; i < 3; i++) {
        drive_open(d);
        drive_send(d, TO_SERVER, client[i], 24);
        drive_send(d, TO_CLIENT, "\0\0\x06\x05\0\0\0\0\0\0\0\0\0\0\0", 15);
        drive_close(d);
    }
    assert_null(strstr(d->text, "http2"));
    drive_free(d);
}

static void broken_bytes_do_no_harm(void **state) {
    (void)state;
    struct wire *up = client_wire();
    FRAME(up, HEADERS, PADDED | WITH_PRIORITY, 1, "\x03\x80\x00\x00\x00\x10\x82\x86\x84\0\0\0");
    FRAME(up, CONTINUATION, END_HEADERS, 1, "\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff");
    FRAME(up, DATA, PADDED, 1,
          "\x04"
          "12345"
          "\0\0\0\0");
    FRAME(up, HEADERS, END_HEADERS | END_STREAM, 3, ROOT_NO_CACHE);
    struct drive *d = begin();
    for (size_t i = 24; i < up->length; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            drive_open(d);
            up->bytes[i] ^= (uint8_t)(1 << bit);
            drive_send(d, TO_SERVER, up->bytes, up->length);
            drive_close(d);
            drive_clear(d);
            up->bytes[i] ^= (uint8_t)(1 << bit);
        }
    free(up);
    drive_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_share_a_table),
        cmocka_unit_test(frames_with_trimmings),
        cmocka_unit_test(grpc_call),
        cmocka_unit_test(interim_response_is_not_the_end),
        cmocka_unit_test(reset_and_unfinished),
        cmocka_unit_test(either_side_alone),
        cmocka_unit_test(promised_stream),
        cmocka_unit_test(upgrade_of_http_1),
        cmocka_unit_test(gaps),
        cmocka_unit_test(padded_and_empty),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(streams_without_end),
        cmocka_unit_test(others_are_not_taken),
        cmocka_unit_test(broken_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
