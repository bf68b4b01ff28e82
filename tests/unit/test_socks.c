/* SOCKS: what a client asks for, what the proxy answers, and what then runs behind it. Messages are put
 * together by the words of RFC 1928, RFC 1929 and the memos of versions 4 and 4a. */
#include "drive_protocol.h"

#include "protocol/protocols.h"

#define CLIENT(d, bytes) drive_send(d, TO_SERVER, bytes, sizeof bytes - 1)
#define SERVER(d, bytes) drive_send(d, TO_CLIENT, bytes, sizeof bytes - 1)

static const struct protocol *const protocols[] = {&protocol_http, &protocol_socks, NULL};

#define GREETING "\x05\x02\x00\x02"
#define NO_LOGIN "\x05\x00"
#define REQUEST_NAME                                                                                         \
    "\x05\x01\x00\x03\x0b"                                                                                   \
    "Example.COM"                                                                                            \
    "\x00\x50"
#define GRANTED       "\x05\x00\x00\x01\xc0\x00\x02\x07\x12\x34"
#define HTTP_REQUEST  "GET /inside HTTP/1.1\r\nHost: example.com\r\n\r\n"
#define HTTP_RESPONSE "HTTP/1.1 204 No Content\r\n\r\n"

static struct drive *begin(uint16_t port) {
    struct drive *d = drive_new_of(protocols, EVENT_socks);
    d->wants[EVENT_http] = d->wants[EVENT_flow] = true;
    d->server_port = port;
    drive_open(d);
    return d;
}

static void expect_nothing_odd(const struct drive *d) {
    if (d->events[EVENT_anomaly] != 0) fail_msg("anomalies in:\n%s", d->text);
}

static void version_5_by_name(void **state) {
    (void)state;
    struct drive *d = begin(1080);
    CLIENT(d, GREETING);
    SERVER(d, NO_LOGIN);
    CLIENT(d, REQUEST_NAME);
    assert_int_equal(d->events[EVENT_socks], 0);
    SERVER(d, GRANTED);
    assert_int_equal(d->events[EVENT_socks], 1);
    CLIENT(d, HTTP_REQUEST);
    SERVER(d, HTTP_RESPONSE);
    drive_close(d);
    drive_expect(d, "socks.version=5");
    drive_expect(d, "socks.command=connect");
    drive_expect(d, "socks.host=example.com");
    drive_expect(d, "socks.port=80");
    drive_expect(d, "socks.method=none");
    drive_expect(d, "socks.reply=succeeded");
    drive_expect(d, "socks.bound=192.0.2.7");
    drive_expect(d, "socks.bound_port=4660");
    drive_expect(d, "http.url=/inside");
    drive_expect(d, "http.status=204");
    drive_expect(d, "flow.app_proto=http");
    drive_expect(d, "flow.app_proto_orig=socks");
    drive_expect(d, "flow.proxy=socks5");
    drive_expect(d, "flow.proxy_target=example.com:80");
    drive_expect(d, "flow.server_name=example.com");
    assert_null(strstr(d->text, "socks.user"));
    expect_nothing_odd(d);
    drive_free(d);
}

/* The same bytes however they are cut. */
static void any_cut_is_the_same(void **state) {
    (void)state;
    static const char up[] = GREETING "\x01\x03"
                                      "ada"
                                      "\x06"
                                      "secret" REQUEST_NAME HTTP_REQUEST;
    static const char down[] = "\x05\x02\x01\x00" GRANTED HTTP_RESPONSE;
    for (size_t cut = 1; cut < sizeof up - 1; cut++) {
        struct drive *d = begin(1080);
        for (size_t at = 0; at < sizeof up - 1; at += cut)
            drive_send(d, TO_SERVER, up + at, at + cut < sizeof up - 1 ? cut : sizeof up - 1 - at);
        for (size_t at = 0; at < sizeof down - 1; at += cut)
            drive_send(d, TO_CLIENT, down + at, at + cut < sizeof down - 1 ? cut : sizeof down - 1 - at);
        drive_close(d);
        drive_expect(d, "socks.host=example.com");
        drive_expect(d, "http.url=/inside");
        drive_expect(d, "flow.app_proto=http");
        assert_null(strstr(d->text, "secret"));
        drive_free(d);
    }
}

static void password_is_not_kept(void **state) {
    (void)state;
    struct drive *d = begin(1080);
    CLIENT(d, GREETING);
    SERVER(d, "\x05\x02");
    CLIENT(d, "\x01\x03"
              "ada"
              "\x06"
              "secret");
    SERVER(d, "\x01\x00");
    CLIENT(d, "\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x16");
    SERVER(d, "\x05\x05\x00\x01\0\0\0\0\0\0");
    drive_close(d);
    drive_expect(d, "socks.user=ada");
    drive_expect(d, "socks.password=1");
    drive_expect(d, "socks.method=password");
    drive_expect(d, "socks.host=2001:db8::1");
    drive_expect(d, "socks.port=22");
    drive_expect(d, "socks.reply=connection_refused");
    drive_expect(d, "flow.app_proto=socks");
    drive_expect(d, "flow.proxy=socks5"); /* it went nowhere, but it was asked for */
    drive_expect(d, "flow.proxy_target=[2001:db8::1]:22");
    assert_null(strstr(d->text, "app_proto_orig"));
    assert_null(strstr(d->text, "secret"));
    drive_free(d);
}

static void refusals(void **state) {
    (void)state;
    struct drive *d = begin(1080);
    CLIENT(d, "\x05\x01\x01");
    SERVER(d, "\x05\xff");
    drive_close(d);
    drive_expect(d, "socks.method=not_acceptable");
    drive_expect(d, "socks.reply=no_acceptable_method");
    drive_expect(d, "flow.proxy=socks5");
    assert_null(strstr(d->text, "flow.proxy_target"));
    drive_clear(d);
    drive_open(d);
    CLIENT(d, "\x05\x01\x02");
    SERVER(d, "\x05\x02");
    CLIENT(d, "\x01\x03"
              "ada"
              "\x05"
              "wrong");
    SERVER(d, "\x01\x01");
    drive_close(d);
    drive_expect(d, "socks.reply=authentication_failed");
    drive_expect(d, "socks.user=ada");
    drive_clear(d);
    drive_open(d);
    CLIENT(d, "\x04\x01\x00\x50\x5d\xb8\xd8\x22\x00");
    SERVER(d, "\x00\x5b\x00\x00\x00\x00\x00\x00");
    drive_close(d);
    drive_expect(d, "socks.reply=rejected");
    drive_expect(d, "flow.proxy_target=93.184.216.34:80");
    drive_expect(d, "socks.host=93.184.216.34");
    expect_nothing_odd(d);
    drive_free(d);
}

static void version_4_and_4a(void **state) {
    (void)state;
    struct drive *d = begin(9901);
    CLIENT(d, "\x04\x01\x01\xbb\x5d\xb8\xd8\x22"
              "ada\x00");
    SERVER(d, "\x00\x5a\x00\x00\x00\x00\x00\x00");
    CLIENT(d, HTTP_REQUEST);
    drive_close(d);
    drive_expect(d, "socks.version=4");
    drive_expect(d, "socks.user=ada");
    drive_expect(d, "socks.host=93.184.216.34");
    drive_expect(d, "socks.port=443");
    drive_expect(d, "flow.proxy=socks4");
    drive_expect(d, "http.url=/inside");
    drive_clear(d);
    drive_open(d);
    CLIENT(d, "\x04\x01\x01\xbb\x00\x00\x00\x01\x00"
              "Login.Example\x00");
    SERVER(d, "\x00\x5a\x00\x00\x00\x00\x00\x00");
    CLIENT(d, HTTP_REQUEST);
    drive_close(d);
    drive_expect(d, "socks.host=login.example");
    drive_expect(d, "flow.proxy_target=login.example:443");
    drive_expect(d, "flow.app_proto=http");
    expect_nothing_odd(d);
    drive_free(d);
}

/* Off the usual ports the greeting is not enough: three bytes may be anybody's. */
static void other_ports_need_the_request(void **state) {
    (void)state;
    struct drive *d = begin(21477);
    CLIENT(d, GREETING);
    SERVER(d, NO_LOGIN);
    CLIENT(d, REQUEST_NAME);
    SERVER(d, GRANTED);
    CLIENT(d, HTTP_REQUEST);
    drive_close(d);
    drive_expect(d, "socks.host=example.com");
    drive_expect(d, "flow.app_proto=http");
    drive_clear(d);
    drive_open(d);
    CLIENT(d, GREETING);
    SERVER(d, NO_LOGIN);
    CLIENT(d, "something else");
    drive_close(d);
    assert_int_equal(d->events[EVENT_socks], 0);
    assert_null(strstr(d->text, "app_proto"));
    drive_free(d);
}

static void client_alone(void **state) {
    (void)state;
    struct drive *d = begin(1080);
    CLIENT(d, GREETING);
    CLIENT(d, REQUEST_NAME);
    CLIENT(d, HTTP_REQUEST);
    drive_close(d);
    drive_expect(d, "socks.host=example.com");
    assert_null(strstr(d->text, "socks.reply"));
    drive_expect(d, "http.url=/inside");
    drive_expect(d, "flow.proxy_target=example.com:80");
    drive_free(d);
}

static void server_alone(void **state) {
    (void)state;
    struct drive *d = begin(4321);
    SERVER(d, NO_LOGIN);
    SERVER(d, GRANTED);
    SERVER(d, HTTP_RESPONSE);
    drive_close(d);
    drive_expect(d, "socks.reply=succeeded");
    drive_expect(d, "socks.bound=192.0.2.7");
    drive_expect(d, "http.status=204");
    drive_expect(d, "flow.proxy=socks5");
    drive_free(d);
}

/* Tor's clients send their first data with the request. */
static void hurried_client(void **state) {
    (void)state;
    struct drive *d = begin(9050);
    CLIENT(d, "\x05\x01\x00");
    SERVER(d, NO_LOGIN);
    CLIENT(d, REQUEST_NAME HTTP_REQUEST);
    assert_int_equal(d->events[EVENT_socks], 0);
    SERVER(d, GRANTED HTTP_RESPONSE);
    drive_close(d);
    drive_expect(d, "socks.reply=succeeded");
    drive_expect(d, "http.url=/inside");
    drive_expect(d, "http.status=204");
    expect_nothing_odd(d);
    drive_free(d);
}

static void bind_has_two_answers(void **state) {
    (void)state;
    struct drive *d = begin(1080);
    CLIENT(d, "\x05\x01\x00");
    SERVER(d, NO_LOGIN);
    CLIENT(d, "\x05\x02\x00\x01\xc6\x33\x64\x01\x00\x15");
    SERVER(d, GRANTED);
    assert_null(strstr(d->text, "http"));
    SERVER(d, "\x05\x00\x00\x01\xc6\x33\x64\x01\x00\x14" HTTP_RESPONSE);
    drive_close(d);
    assert_int_equal(d->events[EVENT_socks], 1);
    drive_expect(d, "socks.command=bind");
    drive_expect(d, "socks.bound_port=4660");
    drive_expect(d, "flow.app_proto=http");
    drive_free(d);
}

static void udp_associate_is_noted(void **state) {
    (void)state;
    struct drive *d = begin(1080);
    CLIENT(d, "\x05\x01\x00");
    SERVER(d, NO_LOGIN);
    CLIENT(d, "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00");
    SERVER(d, GRANTED);
    drive_close(d);
    drive_expect(d, "socks.command=udp_associate");
    drive_expect(d, "socks.bound=192.0.2.7");
    drive_expect(d, "flow.app_proto=socks");
    expect_nothing_odd(d);
    drive_free(d);
}

static void lost_answer(void **state) {
    (void)state;
    struct drive *d = begin(1080);
    CLIENT(d, GREETING);
    SERVER(d, NO_LOGIN);
    CLIENT(d, REQUEST_NAME);
    d->next_seq[TO_CLIENT] += 10; /* the capture missed it */
    CLIENT(d, HTTP_REQUEST);
    SERVER(d, HTTP_RESPONSE);
    drive_close(d);
    drive_expect(d, "socks.host=example.com");
    drive_expect(d, "http.url=/inside");
    drive_free(d);
}

static void nonsense_is_an_anomaly(void **state) {
    (void)state;
    struct drive *d = begin(1080);
    CLIENT(d, GREETING);
    SERVER(d, NO_LOGIN);
    CLIENT(d, "\x05\x09\x00\x01\x01\x02\x03\x04\x00\x50");
    drive_close(d);
    drive_expect(d, "anomaly.name=malformed_request");
    drive_clear(d);
    drive_open(d);
    CLIENT(d, GREETING);
    SERVER(d, NO_LOGIN);
    CLIENT(d, REQUEST_NAME);
    SERVER(d, "\x48\x49\x4a\x4b");
    drive_close(d);
    drive_expect(d, "anomaly.name=malformed_reply");
    drive_expect(d, "socks.host=example.com");
    drive_free(d);
}

/* Each prefix of a conversation, and each with a byte turned over: nobody reads beyond what is there. */
static void broken_bytes_do_no_harm(void **state) {
    (void)state;
    static const char up[] = GREETING "\x01\x03"
                                      "ada"
                                      "\x06"
                                      "secret" REQUEST_NAME;
    static const char down[] = "\x05\x02\x01\x00" GRANTED;
    struct drive *d = begin(1080);
    for (size_t i = 0; i < sizeof up - 1; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            char bytes[sizeof up];
            memcpy(bytes, up, sizeof up);
            bytes[i] = (char)(bytes[i] ^ 1 << bit);
            drive_open(d);
            drive_send(d, TO_SERVER, bytes, sizeof up - 1);
            drive_send(d, TO_CLIENT, down, i % (sizeof down - 1) + 1);
            drive_close(d);
            drive_clear(d);
        }
    drive_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_5_by_name),      cmocka_unit_test(any_cut_is_the_same),
        cmocka_unit_test(password_is_not_kept),   cmocka_unit_test(refusals),
        cmocka_unit_test(version_4_and_4a),       cmocka_unit_test(other_ports_need_the_request),
        cmocka_unit_test(client_alone),           cmocka_unit_test(server_alone),
        cmocka_unit_test(hurried_client),         cmocka_unit_test(bind_has_two_answers),
        cmocka_unit_test(udp_associate_is_noted), cmocka_unit_test(lost_answer),
        cmocka_unit_test(nonsense_is_an_anomaly), cmocka_unit_test(broken_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
