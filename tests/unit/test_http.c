/* HTTP/1.x: what is told of a request and its response, however they are cut into segments, and whatever is
 * wrong with them. Messages follow the examples and rules of RFC 9110 and RFC 9112. */
#include "drive_protocol.h"

#include "protocol/http_head.h"
#include "protocol/protocols.h"

static struct drive *http_drive(void) {
    struct drive *d = drive_new(&protocol_http, EVENT_http);
    d->server_port = 8080;
    return d;
}

static void client(struct drive *d, const char *text) {
    drive_send(d, TO_SERVER, text, strlen(text));
}
static void server(struct drive *d, const char *text) {
    drive_send(d, TO_CLIENT, text, strlen(text));
}

/* One connection with one exchange, to its end. */
static struct drive *exchange(const char *request, const char *response) {
    struct drive *d = http_drive();
    drive_open(d);
    if (request) client(d, request);
    if (response) server(d, response);
    drive_close(d);
    return d;
}

static void expect_count(const struct drive *d, uint32_t events, uint32_t anomalies) {
    if (d->events[EVENT_http] != events || d->events[EVENT_anomaly] != anomalies)
        fail_msg("%u events and %u anomalies, not %u and %u:\n%s", d->events[EVENT_http],
                 d->events[EVENT_anomaly], events, anomalies, d->text);
}

/* ----------------------------------------------------------- one exchange */

static void a_request_and_its_response_are_told(void **state) {
    (void)state;
    struct drive *d = http_drive();
    d->wants[EVENT_flow] = true;
    drive_open(d);
    client(
        d,
        "GET /hotspot-detect.html?a=b HTTP/1.1\r\nHost: Captive.Apple.com:8080\r\nUser-Agent: "
        "CaptiveNetworkSupport-390.60.1 wispr\r\nReferer:  http://x/ \r\nCookie: a=1\r\nAccept: */*\r\n\r\n");
    assert_int_equal(d->events[EVENT_http], 0);
    server(d, "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nServer: ATS\r\nContent-Length: "
              "7\r\n\r\nSuccess");
    assert_int_equal(d->events[EVENT_http], 1);
    drive_expect(d, "http.host=captive.apple.com");
    drive_expect(d, "http.host_port=8080");
    drive_expect(d, "http.url=/hotspot-detect.html?a=b");
    drive_expect(d, "http.user_agent=CaptiveNetworkSupport-390.60.1 wispr");
    drive_expect(d, "http.referer=http://x/");
    drive_expect(d, "http.cookie=a=1");
    drive_expect(d, "http.method=GET");
    drive_expect(d, "http.protocol=HTTP/1.1");
    drive_expect(d, "http.status=200");
    drive_expect(d, "http.length=7");
    drive_expect(d, "http.content_type=text/html; charset=utf-8");
    drive_expect(d, "http.server=ATS");
    drive_expect(d, "http.request_headers=Host,User-Agent,Referer,Cookie,Accept");
    drive_close(d);
    expect_count(d, 1, 0);
    drive_expect(d, "flow.server_name=captive.apple.com");
    drive_expect(d, "flow.name_source=host");
    drive_expect(d, "flow.app_proto=http");
    drive_free(d);
}

/* The time of an event is its request's, though it is made later. */
struct timed {
    struct drive *drive;
    nanoseconds time;
};

static bool note_time(void *context, enum event_kind kind, uint32_t index, const void *event) {
    struct timed *t = context;
    t->time = ((const struct event_http *)event)->head.time;
    return drive_offer(t->drive, kind, index, event);
}

static void an_event_has_the_time_of_its_request(void **state) {
    (void)state;
    struct drive *d = http_drive();
    struct timed timed = {.drive = d};
    d->batch->listener.context = &timed;
    d->batch->listener.offer = note_time;
    drive_open(d);
    client(d, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    nanoseconds asked = d->now;
    server(d, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
    server(d, "cd");
    assert_true(timed.time == asked);
    d->batch->listener.context = d;
    drive_free(d);
}

static void a_response_without_a_body_is_over_with_its_head(void **state) {
    (void)state;
    struct {
        const char *method, *head;
    } bodiless[] = {{"HEAD", "200 OK\r\nContent-Length: 100\r\n"},
                    {"GET", "204 No Content\r\n"},
                    {"GET", "304 Not Modified\r\nContent-Length: 100\r\n"},
                    {"GET", "200 OK\r\nContent-Length: 0\r\n"}};
    for (size_t i = 0; i < sizeof bodiless / sizeof bodiless[0]; i++) {
        struct drive *d = http_drive();
        char request[128], response[128];
        snprintf(request, sizeof request, "%s / HTTP/1.1\r\nHost: a\r\n\r\n", bodiless[i].method);
        snprintf(response, sizeof response, "HTTP/1.1 %s\r\n", bodiless[i].head);
        drive_open(d);
        for (int k = 0; k < 2; k++) {
            client(d, request);
            server(d, response);
        }
        expect_count(d, 2, 0);
        assert_null(strstr(d->text, "http.length="));
        drive_free(d);
    }
}

static void chunks_are_counted_without_their_frames(void **state) {
    (void)state;
    /* RFC 9112 section 7.1: sizes in hexadecimal, extensions, a trailer */
    struct drive *d = exchange("POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Type: "
                               "text/plain\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                               "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n1A;name=\"v\"\r\n"
                               "abcdefghijklmnopqrstuvwxyz\r\n4 \r\n0123\r\n0\r\nExpires: never\r\n\r\n");
    expect_count(d, 1, 0);
    drive_expect(d, "http.length=30");
    drive_expect(d, "http.request_length=3");
    drive_expect(d, "http.request_content_type=text/plain");
    drive_free(d);
}

static void a_body_without_length_ends_with_the_flow(void **state) {
    (void)state;
    struct drive *d = http_drive();
    drive_open(d);
    client(d, "GET / HTTP/1.0\r\n\r\n");
    server(d, "HTTP/1.0 200 OK\nContent-Type: text/html\n\nabc");
    server(d, "defg");
    expect_count(d, 0, 0);
    drive_close(d);
    expect_count(d, 1, 0);
    drive_expect(d, "http.protocol=HTTP/1.0");
    drive_expect(d, "http.length=7");
    drive_expect(d, "http.content_type=text/html");
    drive_free(d);
}

static void long_bodies_are_counted_to_the_byte(void **state) {
    (void)state;
    struct drive *d = http_drive();
    static uint8_t block[1448];
    drive_open(d);
    client(d, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    server(d, "HTTP/1.1 200 OK\r\nContent-Length: 1448000\r\n\r\n");
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(d->events[EVENT_http], 0);
        drive_send(d, TO_CLIENT, block, sizeof block);
    }
    expect_count(d, 1, 0);
    drive_expect(d, "http.length=1448000");
    client(d, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    server(d, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    drive_expect(d, "http.status=404");
    drive_expect(d, "http.depth=1");
    drive_free(d);
}

static void an_interim_response_is_passed_over(void **state) {
    (void)state;
    struct drive *d = http_drive();
    drive_open(d);
    client(d, "PUT /f HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    server(d, "HTTP/1.1 100 Continue\r\n\r\n");
    client(d, "12345");
    server(d, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    expect_count(d, 1, 0);
    drive_expect(d, "http.status=201");
    drive_expect(d, "http.request_length=5");
    drive_free(d);
}

static void a_redirect_tells_where_to(void **state) {
    (void)state;
    struct drive *d = exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                               "HTTP/1.1 301 Moved\r\nLocation: https://b/\r\nContent-Length: 0\r\n\r\n");
    drive_expect(d, "http.redirect=https://b/");
    drive_free(d);
}

/* ----------------------------------------------------------- many exchanges */

static void pipelined_requests_keep_their_order(void **state) {
    (void)state;
    struct drive *d =
        exchange("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 "
                 "HTTP/1.1\r\nHost: a\r\n\r\n",
                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 201 OK\r\nContent-Length: "
                 "9\r\n\r\nHTTP/1.1 202 OK\r\nContent-Length: 0\r\n\r\n");
    expect_count(d, 3, 0);
    const char *at = d->text;
    const char *expected[] = {"http.url=/1\n",     "http.status=200\n", "http.url=/2\n",
                              "http.status=201\n", "http.url=/3\n",     "http.status=202\n"};
    for (int i = 0; i < 6; i++) {
        at = strstr(at, expected[i]);
        assert_non_null(at);
    }
    drive_free(d);
}

static void requests_without_answers_are_told_in_the_end(void **state) {
    (void)state;
    struct drive *d = http_drive();
    drive_open(d);
    for (int i = 0; i < 100; i++) client(d, "GET /one-sided HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_count(d, 36, 0); /* no more than 64 wait */
    drive_close(d);
    expect_count(d, 100, 0);
    drive_expect(d, "http.depth=99");
    assert_null(strstr(d->text, "http.status="));
    drive_free(d);
}

static void late_answers_go_to_their_requests(void **state) {
    (void)state;
    struct drive *d = http_drive();
    drive_open(d);
    for (int i = 0; i < 66; i++) client(d, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_count(d, 2, 0);
    drive_clear(d);
    for (int i = 0; i < 66; i++) {
        char response[64];
        snprintf(response, sizeof response, "HTTP/1.1 %d OK\r\nContent-Length: 2\r\n\r\nab", 400 + i);
        server(d, response);
        if (i == 1) expect_count(d, 0, 0); /* those were told already */
        if (i == 2) drive_expect(d, "http.status=402");
    }
    expect_count(d, 64, 0);
    drive_free(d);
}

static void a_response_alone_is_told(void **state) {
    (void)state;
    struct drive *d = exchange(NULL, "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\nab");
    expect_count(d, 1, 0);
    drive_expect(d, "http.status=200");
    drive_expect(d, "http.protocol=HTTP/1.1");
    drive_expect(d, "http.server=x");
    assert_null(strstr(d->text, "http.method="));
    drive_free(d);
}

/* ------------------------------------------------------------------- hosts */

static void the_target_outdoes_the_host_header(void **state) {
    (void)state;
    struct drive *d =
        exchange("GET http://User@Real.example:81/x HTTP/1.1\r\nHost: other.example\r\n\r\n", NULL);
    expect_count(d, 1, 0);
    drive_expect(d, "http.host=real.example");
    drive_expect(d, "http.host_port=81");
    drive_expect(d, "http.url=http://User@Real.example:81/x");
    drive_free(d);
}

static void addresses_are_hosts_but_no_names(void **state) {
    (void)state;
    struct drive *d = http_drive();
    d->wants[EVENT_flow] = true;
    drive_open(d);
    client(d, "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n");
    drive_close(d);
    drive_expect(d, "http.host=2001:db8::1");
    drive_expect(d, "http.host_port=8080");
    assert_null(strstr(d->text, "flow.server_name="));
    drive_free(d);
}

static void two_hosts_are_odd(void **state) {
    (void)state;
    struct drive *d = exchange("GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", NULL);
    drive_expect(d, "http.host=a.example");
    drive_expect(d, "anomaly.name=duplicate_host");
    drive_free(d);
}

/* -------------------------------------------------------------- leaving HTTP */

static void a_switch_of_protocols_ends_http(void **state) {
    (void)state;
    struct drive *d = http_drive();
    drive_open(d);
    client(d, "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    server(
        d,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello");
    client(d, "\x81\x85 and more that is not HTTP");
    drive_close(d);
    expect_count(d, 1, 0);
    drive_expect(d, "http.upgrade=websocket");
    drive_expect(d, "http.status=101");
    drive_free(d);
}

static void a_tunnel_ends_http(void **state) {
    (void)state;
    struct drive *d = http_drive();
    drive_open(d);
    client(d, "CONNECT www.Example.com:443 HTTP/1.1\r\nHost: www.example.com:443\r\n\r\n\x16\x03\x01");
    server(d, "HTTP/1.1 200 Connection established\r\n\r\n");
    client(d, "\x16\x03\x01 and so on");
    drive_close(d);
    expect_count(d, 1, 0);
    drive_expect(d, "http.upgrade=CONNECT");
    drive_expect(d, "http.host=www.example.com");
    drive_expect(d, "http.host_port=443");
    drive_free(d);
}

static void a_refused_tunnel_goes_on_as_http(void **state) {
    (void)state;
    struct drive *d = http_drive();
    drive_open(d);
    client(d, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
    server(d, "HTTP/1.1 407 Authenticate\r\nContent-Length: 2\r\n\r\nno");
    client(d, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nProxy-Authorization: x\r\n\r\n");
    server(d, "HTTP/1.1 200 OK\r\n\r\n");
    expect_count(d, 2, 0);
    drive_expect(d, "http.status=407");
    drive_expect(d, "http.upgrade=CONNECT");
    drive_free(d);
}

/* -------------------------------------------------------------- odd messages */

static void expect_anomaly(const char *request, const char *response, const char *name, const char *line) {
    struct drive *d = exchange(request, response);
    char text[64];
    snprintf(text, sizeof text, "anomaly.name=%s", name);
    drive_expect(d, text);
    if (line) drive_expect(d, line);
    drive_free(d);
}

static void lengths_that_contradict_each_other_are_odd(void **state) {
    (void)state;
    expect_anomaly("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "5\r\nabcde\r\n0\r\n\r\n",
                   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "ambiguous_length",
                   "http.request_length=5");
    expect_anomaly("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", NULL,
                   "ambiguous_length", "http.request_length=3");
    expect_anomaly("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", NULL, "ambiguous_length",
                   "http.request_length=3");
    expect_anomaly("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", NULL, "malformed_length",
                   NULL);
    expect_anomaly("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", NULL,
                   "malformed_length", NULL);
}

static void odd_lines_are_counted(void **state) {
    (void)state;
    const char *ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    expect_anomaly("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: one\r\n  two\r\n\r\n", ok, "folded_header",
                   "http.user_agent=one two");
    expect_anomaly("GET / HTTP/1.1\r\nHost : a\r\n\r\n", ok, "blank_before_colon", "http.host=a");
    expect_anomaly("GET / HTTP/1.1\r\nHost: a\r\nno colon here\r\n\r\n", ok, "malformed_header",
                   "http.status=200");
    expect_anomaly("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", ok, "malformed_host", "http.status=200");
    expect_anomaly("GET / HTTP/1.1\r\nHost: a\r\n\r\nrubbish\r\n", ok, "malformed_request_line",
                   "http.status=200");
    expect_anomaly("GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
                   "malformed_chunk_size", "http.length=3");
}

static void a_head_has_its_bound(void **state) {
    (void)state;
    struct drive *d = http_drive();
    char line[1200];
    memset(line, 'x', sizeof line);
    memcpy(line, "X-Fill: ", 8);
    memcpy(line + sizeof line - 3, "\r\n", 3);
    drive_open(d);
    client(d, "GET /endless HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 60; i++) client(d, line);
    drive_expect(d, "anomaly.name=head_too_long");
    drive_expect(d, "http.url=/endless");
    drive_free(d);
}

/* ---------------------------------------------------------------------- gaps */

static void a_hole_in_a_body_keeps_the_framing(void **state) {
    (void)state;
    struct drive *d = http_drive();
    drive_open(d);
    client(d, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    server(d, "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n");
    static const uint8_t body[3000];
    drive_packet(d, TO_CLIENT, TCP_ACK, body, 1400, 20);
    drive_packet(d, TO_CLIENT, TCP_ACK, body, 1600, 1600);
    client(d, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    server(d, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    drive_close(d);
    expect_count(d, 2, 0);
    drive_expect(d, "http.length=3000");
    drive_expect(d, "http.status=404");
    drive_free(d);
}

/* A capture with a small snap length: each packet's beginning, then a hole. */
static void heads_cut_by_the_capture_tell_what_they_have(void **state) {
    (void)state;
    struct drive *d = http_drive();
    drive_open(d);
    const char *request =
        "GET /%d HTTP/1.1\r\nHost: a.example\r\nUser-Agent: somebody with a long name\r\n\r\n";
    const char *response =
        "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nabcd";
    for (int i = 1; i <= 3; i++) {
        char text[200];
        int length = snprintf(text, sizeof text, request, i);
        drive_packet(d, TO_SERVER, TCP_ACK, (uint8_t *)text, (uint32_t)length, 48);
        drive_packet(d, TO_CLIENT, TCP_ACK, (const uint8_t *)response, (uint32_t)strlen(response), 40);
    }
    drive_close(d);
    expect_count(d, 3, 0);
    drive_expect(d, "http.url=/1");
    drive_expect(d, "http.url=/3");
    drive_expect(d, "http.host=a.example");
    drive_expect(d, "http.status=200");
    drive_free(d);
}

/* --------------------------------------------------------------------- cuts */

static const char cut_requests[] =
    "GET http://one.example/a HTTP/1.1\r\nHost: x\r\nUser-Agent: folded\r\n\tagent\r\n\r\n"
    "POST /b HTTP/1.1\r\nHost: two.example\r\nTransfer-Encoding: "
    "chunked\r\n\r\n4\r\nabcd\r\n10;x\r\n0123456789abcdef\r\n"
    "0\r\nT: t\r\n\r\n"
    "\r\nPUT /c HTTP/1.1\nHost: three.example\nContent-Length: 10\n\n0123456789"
    "HEAD /d HTTP/1.1\r\nHost: four.example\r\n\r\n";
static const char cut_responses[] =
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n012345678901"
    "HTTP/1.1 302 Found\r\nLocation: /e\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
    "HTTP/1.1 204 No\r\n\r\n"
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";

static void every_cut_gives_the_same_events(void **state) {
    (void)state;
    struct drive *d = http_drive();
    char *whole = NULL;
    size_t asked = sizeof cut_requests - 1, answered = sizeof cut_responses - 1;
    for (size_t cut = 0; cut < asked; cut++) {
        size_t answer_cut = cut < answered ? cut : 0;
        drive_clear(d);
        drive_open(d);
        if (cut) drive_send(d, TO_SERVER, cut_requests, cut);
        drive_send(d, TO_SERVER, cut_requests + cut, asked - cut);
        if (answer_cut) drive_send(d, TO_CLIENT, cut_responses, answer_cut);
        drive_send(d, TO_CLIENT, cut_responses + answer_cut, answered - answer_cut);
        drive_close(d);
        if (!whole) whole = strdup(d->text);
        assert_int_equal(d->events[EVENT_http], 4);
        assert_string_equal(d->text, whole);
    }
    for (size_t step = 1; step <= 7; step++) {
        drive_clear(d);
        drive_open(d);
        for (size_t at = 0; at < asked; at += step)
            drive_send(d, TO_SERVER, cut_requests + at, asked - at < step ? asked - at : step);
        for (size_t at = 0; at < answered; at += step)
            drive_send(d, TO_CLIENT, cut_responses + at, answered - at < step ? answered - at : step);
        drive_close(d);
        assert_string_equal(d->text, whole);
    }
    free(whole);
    drive_free(d);
}

/* -------------------------------------------------------------- recognition */

static void requests_and_responses_are_known_by_their_first_line(void **state) {
    (void)state;
    struct {
        const char *text;
        enum recognised request, status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n", RECOGNISED_YES, RECOGNISED_NO},
        {"GET / HTTP/1", RECOGNISED_MAYBE, RECOGNISED_NO},
        {"GET /a;cat\t/etc/passwd|?x=y HTTP/1.1\r\n", RECOGNISED_YES, RECOGNISED_NO},
        {"GET      / HTTP/1.1\r\n", RECOGNISED_YES, RECOGNISED_NO},
        {"GET /no/version\r\n", RECOGNISED_NO, RECOGNISED_NO},
        {"USER anonymous\r\n", RECOGNISED_NO, RECOGNISED_NO},
        {"BREW /pot HTTP/1.0\r\n", RECOGNISED_YES, RECOGNISED_NO},
        {"GET / HTTP/2.0\r\n", RECOGNISED_NO, RECOGNISED_NO},
        {"PRI * HTTP/2.0\r\n", RECOGNISED_NO, RECOGNISED_NO},
        {"OPTIONS * RTSP/1.0\r\n", RECOGNISED_NO, RECOGNISED_NO},
        {"INVITE sip:a SIP/2.0\r\n", RECOGNISED_NO, RECOGNISED_NO},
        {"SSH-2.0-OpenSSH_9.8\r\n", RECOGNISED_NO, RECOGNISED_NO},
        {"\x16\x03\x01", RECOGNISED_NO, RECOGNISED_NO},
        {"HTTP/1.1 200 OK\r\n", RECOGNISED_NO, RECOGNISED_YES},
        {"HTTP/1.0 404", RECOGNISED_NO, RECOGNISED_YES},
        {"HTTP/1", RECOGNISED_NO, RECOGNISED_MAYBE},
        {"HTTP/1.1 abc", RECOGNISED_NO, RECOGNISED_NO},
        {"H", RECOGNISED_MAYBE, RECOGNISED_MAYBE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint8_t *text = (const uint8_t *)cases[i].text;
        uint32_t length = (uint32_t)strlen(cases[i].text);
        assert_int_equal(http_recognise_request(text, length), cases[i].request);
        assert_int_equal(http_recognise_status(text, length), cases[i].status);
    }
}

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return *seed >> 33;
}

static void send_broken(struct drive *d, enum direction direction, const char *text, size_t length,
                        uint64_t *seed) {
    static const char bytes[] = "\r\n\r\n :;,0f9HTTP/1.\xff\x01";
    uint8_t copy[1024];
    memcpy(copy, text, length);
    for (uint64_t changes = next_random(seed) % 6; changes; changes--)
        copy[next_random(seed) % length] = (uint8_t)bytes[next_random(seed) % (sizeof bytes - 1)];
    for (size_t at = 0; at < length;) {
        size_t piece = 1 + next_random(seed) % 300;
        if (piece > length - at) piece = length - at;
        bool cut = next_random(seed) % 16 == 0;
        uint8_t *block = malloc(piece);
        assert_non_null(block);
        memcpy(block, copy + at, piece);
        uint32_t captured = cut ? (uint32_t)(next_random(seed) % piece) : (uint32_t)piece;
        drive_packet(d, direction, TCP_ACK, block, (uint32_t)piece, captured);
        free(block);
        at += piece;
    }
}

static void broken_streams_do_no_harm(void **state) {
    (void)state;
    uint64_t seed = 77;
    struct drive *d = http_drive();
    for (int i = 0; i < 50000; i++) {
        drive_open(d);
        for (uint64_t rounds = 1 + next_random(&seed) % 2; rounds; rounds--) {
            send_broken(d, TO_SERVER, cut_requests, sizeof cut_requests - 1, &seed);
            send_broken(d, TO_CLIENT, cut_responses, sizeof cut_responses - 1, &seed);
        }
        drive_close(d);
        drive_clear(d);
    }
    drive_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_response_are_told),
        cmocka_unit_test(an_event_has_the_time_of_its_request),
        cmocka_unit_test(a_response_without_a_body_is_over_with_its_head),
        cmocka_unit_test(chunks_are_counted_without_their_frames),
        cmocka_unit_test(a_body_without_length_ends_with_the_flow),
        cmocka_unit_test(long_bodies_are_counted_to_the_byte),
        cmocka_unit_test(an_interim_response_is_passed_over),
        cmocka_unit_test(a_redirect_tells_where_to),
        cmocka_unit_test(pipelined_requests_keep_their_order),
        cmocka_unit_test(requests_without_answers_are_told_in_the_end),
        cmocka_unit_test(late_answers_go_to_their_requests),
        cmocka_unit_test(a_response_alone_is_told),
        cmocka_unit_test(the_target_outdoes_the_host_header),
        cmocka_unit_test(addresses_are_hosts_but_no_names),
        cmocka_unit_test(two_hosts_are_odd),
        cmocka_unit_test(a_switch_of_protocols_ends_http),
        cmocka_unit_test(a_tunnel_ends_http),
        cmocka_unit_test(a_refused_tunnel_goes_on_as_http),
        cmocka_unit_test(lengths_that_contradict_each_other_are_odd),
        cmocka_unit_test(odd_lines_are_counted),
        cmocka_unit_test(a_head_has_its_bound),
        cmocka_unit_test(a_hole_in_a_body_keeps_the_framing),
        cmocka_unit_test(heads_cut_by_the_capture_tell_what_they_have),
        cmocka_unit_test(every_cut_gives_the_same_events),
        cmocka_unit_test(requests_and_responses_are_known_by_their_first_line),
        cmocka_unit_test(broken_streams_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
