/* WebSockets, proxies by CONNECT, and proxy configurations: what HTTP leads to. The frames of a WebSocket are
 * the examples of RFC 6455 section 5.7; its handshake is that of section 1.2. */
#include "drive_protocol.h"

#include "protocol/protocols.h"

static const struct protocol *const protocols[] = {&protocol_tls,   &protocol_http,      &protocol_ssh,
                                                   &protocol_http2, &protocol_websocket, NULL};

#define ASK                                                                                                  \
    "GET /chat HTTP/1.1\r\nHost: Server.Example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"        \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\nUser-Agent: Safari\r\n"    \
    "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n"
#define AGREE                                                                                                \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                      \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n"                 \
    "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
#define AGREE_PLAIN "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n"
/* RFC 6455 section 5.7 */
#define HELLO        "\x81\x05\x48\x65\x6c\x6c\x6f"
#define HELLO_MASKED "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
#define HEL          "\x01\x03\x48\x65\x6c"
#define LO           "\x80\x02\x6c\x6f"
#define PING         "\x89\x05\x48\x65\x6c\x6c\x6f"
#define PONG_MASKED  "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
#define BINARY_256   "\x82\x7e\x01\x00"
#define BINARY_64K   "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"

#define CLIENT(d, bytes) drive_send(d, TO_SERVER, bytes, sizeof bytes - 1)
#define SERVER(d, bytes) drive_send(d, TO_CLIENT, bytes, sizeof bytes - 1)

static struct drive *begin(enum event_kind kind) {
    struct drive *d = drive_new_of(protocols, kind);
    d->wants[EVENT_flow] = true;
    d->server_port = 8080;
    drive_open(d);
    return d;
}

/* --------------------------------------------------------------- WebSockets */

static void open_and_closed(void **state) {
    (void)state;
    static const uint8_t payload[65536] = {0};
    struct drive *d = begin(EVENT_websocket);
    CLIENT(d, ASK);
    SERVER(d, AGREE);
    drive_expect(d, "websocket.state=open");
    drive_expect(d, "websocket.host=server.example.com");
    drive_expect(d, "websocket.url=/chat");
    drive_expect(d, "websocket.origin=http://example.com");
    drive_expect(d, "websocket.user_agent=Safari");
    drive_expect(d, "websocket.protocol=chat");
    drive_expect(d, "websocket.extensions=permessage-deflate");
    drive_clear(d);
    CLIENT(d, HELLO_MASKED PONG_MASKED);
    SERVER(d, HELLO HEL LO PING BINARY_256);
    drive_send(d, TO_CLIENT, payload, 256);
    SERVER(d, BINARY_64K);
    for (unsigned i = 0; i < 64; i++) drive_send(d, TO_CLIENT, payload, 1024);
    CLIENT(d, "\x88\x82\x01\x02\x03\x04\x02\xea"); /* 0x03e8 under the mask */
    SERVER(d, "\x88\x02\x03\xe9");
    assert_int_equal(d->events[EVENT_websocket], 1);
    drive_close(d);
    assert_int_equal(d->events[EVENT_websocket], 1);
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_expect(d, "websocket.state=closed");
    drive_expect(d, "websocket.client_text=1");
    drive_expect(d, "websocket.client_control=2");
    drive_expect(d, "websocket.client_payload=12");
    drive_expect(d, "websocket.server_text=2");
    drive_expect(d, "websocket.server_binary=2");
    drive_expect(d, "websocket.server_control=2");
    drive_expect(d, "websocket.server_payload=65809"); /* 5 + 3 + 2 + 5 + 256 + 65536 + 2 */
    drive_expect(d, "websocket.close_code=1000");
    drive_expect(d, "flow.app_proto=websocket");
    drive_expect(d, "flow.app_proto_orig=http");
    drive_free(d);
}

static void any_cut_is_the_same(void **state) {
    (void)state;
    static const char up[] = ASK HELLO_MASKED PONG_MASKED "\x88\x82\x01\x02\x03\x04\x02\xea";
    static const char down[] = AGREE_PLAIN HELLO HEL LO PING "\x88\x02\x03\xe8";
    for (size_t cut = 1; cut < 40; cut++) {
        struct drive *d = begin(EVENT_websocket);
        CLIENT(d, ASK);
        for (size_t at = 0; at < sizeof down - 1; at += cut)
            drive_send(d, TO_CLIENT, down + at, at + cut < sizeof down - 1 ? cut : sizeof down - 1 - at);
        for (size_t at = sizeof ASK - 1; at < sizeof up - 1; at += cut)
            drive_send(d, TO_SERVER, up + at, at + cut < sizeof up - 1 ? cut : sizeof up - 1 - at);
        drive_close(d);
        assert_int_equal(d->events[EVENT_anomaly], 0);
        drive_expect(d, "websocket.client_payload=12");
        drive_expect(d, "websocket.server_payload=17");
        drive_expect(d, "websocket.close_code=1000");
        drive_free(d);
    }
}

static void expect_fault(const char *up, size_t up_length, const char *down, size_t down_length,
                         const char *name) {
    char line[80];
    struct drive *d = begin(EVENT_websocket);
    CLIENT(d, ASK);
    SERVER(d, AGREE_PLAIN);
    if (up_length) drive_send(d, TO_SERVER, up, up_length);
    if (down_length) drive_send(d, TO_CLIENT, down, down_length);
    drive_close(d);
    snprintf(line, sizeof line, "anomaly.name=%s", name);
    drive_expect(d, line);
    drive_expect(d, "websocket.state=closed");
    drive_free(d);
}

static void faults_are_anomalies(void **state) {
    (void)state;
    expect_fault(HELLO, 7, "", 0, "unmasked_client_frame");
    expect_fault("", 0, HELLO_MASKED, 11, "masked_server_frame");
    expect_fault("", 0, "\x83\x00", 2, "reserved_opcode");
    expect_fault("", 0, "\xc1\x00", 2, "reserved_bits");
    expect_fault("", 0, "\x09\x00", 2, "bad_control_frame");
    expect_fault("", 0, "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10, "bad_length");
}

/* ------------------------------------------------------------------ CONNECT */

#define TUNNEL "CONNECT Git.Example:22 HTTP/1.1\r\nHost: git.example:22\r\n"
#define BANNER "SSH-2.0-OpenSSH_9.8\r\n"

static void what_runs_in_a_tunnel_is_read(void **state) {
    (void)state;
    struct drive *d = begin(EVENT_http);
    d->wants[EVENT_ssh] = true;
    CLIENT(d, TUNNEL "\r\n");
    SERVER(d, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nwho?");
    assert_null(strstr(d->text, "CONNECT\nhttp.upgrade"));
    CLIENT(d, TUNNEL "Proxy-Authorization: Basic YTpi\r\n\r\n");
    SERVER(d, "HTTP/1.1 200 Connection established\r\n\r\n" BANNER);
    CLIENT(d, BANNER);
    drive_close(d);
    assert_int_equal(d->events[EVENT_http], 2);
    drive_expect(d, "http.status=407");
    drive_expect(d, "http.status=200");
    drive_expect(d, "http.upgrade=CONNECT");
    drive_expect(d, "ssh.client_software=OpenSSH_9.8");
    drive_expect(d, "ssh.server_software=OpenSSH_9.8");
    drive_expect(d, "flow.app_proto=ssh");
    drive_expect(d, "flow.app_proto_orig=http");
    drive_expect(d, "flow.proxy=http");
    drive_expect(d, "flow.proxy_target=Git.Example:22");
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

/* Nobody listens to HTTP, and the flow still knows where it goes. The client did not wait. */
static void target_without_listeners(void **state) {
    (void)state;
    struct drive *d = begin(EVENT_ssh);
    CLIENT(d, TUNNEL "\r\n" BANNER);
    SERVER(d, "HTTP/1.1 200 OK\r\n\r\n" BANNER);
    drive_close(d);
    drive_expect(d, "ssh.client_software=OpenSSH_9.8");
    drive_expect(d, "flow.proxy_target=Git.Example:22");
    drive_free(d);
}

static void refused_tunnel_was_asked_for(void **state) {
    (void)state;
    struct drive *d = begin(EVENT_http);
    CLIENT(d, TUNNEL "\r\n");
    SERVER(d, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    drive_close(d);
    drive_expect(d, "http.status=403");
    drive_expect(d, "flow.proxy=http");
    drive_expect(d, "flow.proxy_target=Git.Example:22");
    drive_expect(d, "flow.app_proto=http");
    assert_null(strstr(d->text, "app_proto_orig"));
    drive_free(d);
}

static void lost_answer_of_a_proxy(void **state) {
    (void)state;
    struct drive *d = begin(EVENT_ssh);
    CLIENT(d, TUNNEL "\r\n");
    d->next_seq[TO_CLIENT] += 39;
    CLIENT(d, BANNER);
    SERVER(d, BANNER);
    drive_close(d);
    drive_expect(d, "ssh.client_software=OpenSSH_9.8");
    drive_expect(d, "flow.proxy=http");
    drive_free(d);
}

/* ------------------------------------------------------ proxy configurations */

static void expect_config(const char *request, const char *response, const char *kind) {
    char line[80];
    struct drive *d = begin(EVENT_proxy_config);
    drive_send(d, TO_SERVER, request, strlen(request));
    if (response) drive_send(d, TO_CLIENT, response, strlen(response));
    drive_close(d);
    assert_int_equal(d->events[EVENT_proxy_config], kind ? 1 : 0);
    snprintf(line, sizeof line, "proxy_config.kind=%s", kind);
    if (kind) drive_expect(d, line);
    drive_free(d);
}

static void configurations_over_http(void **state) {
    (void)state;
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    char typed[200], plain[200];
    snprintf(typed, sizeof typed, "%sContent-Type: application/x-ns-proxy-autoconfig; charset=utf-8\r\n\r\n",
             ok);
    snprintf(plain, sizeof plain, "%sContent-Type: text/html\r\n\r\n", ok);
    expect_config("GET /proxy HTTP/1.1\r\nHost: a.example\r\n\r\n", typed, "pac");
    expect_config("GET /corp.PAC?v=2 HTTP/1.1\r\nHost: a.example\r\n\r\n", NULL, "pac");
    expect_config("GET /wpad.dat HTTP/1.1\r\nHost: wpad.example\r\n\r\n", "HTTP/1.1 404 No\r\n\r\n",
                  "wpad_http");
    expect_config("GET /wpad.dat.html HTTP/1.1\r\nHost: a.example\r\n\r\n", plain, NULL);
    expect_config("GET /space HTTP/1.1\r\nHost: a.example\r\n\r\n", plain, NULL);

    struct drive *d = begin(EVENT_proxy_config);
    CLIENT(d, "GET /wpad.dat HTTP/1.1\r\nHost: WPAD.corp.example\r\nUser-Agent: CFNetworkAgent/1\r\n\r\n");
    SERVER(d, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfunction ");
    drive_close(d);
    drive_expect(d, "proxy_config.host=wpad.corp.example");
    drive_expect(d, "proxy_config.url=/wpad.dat");
    drive_expect(d, "proxy_config.user_agent=CFNetworkAgent/1");
    drive_expect(d, "proxy_config.status=200");
    drive_expect(d, "proxy_config.length=9");
    drive_free(d);
}

static void ask_dns(const char *question, size_t length, bool expected) {
    struct drive *d = drive_new(&protocol_dns, EVENT_proxy_config);
    d->proto = 17;
    d->server_port = 53;
    uint8_t message[64] = {0x12, 0x34, 1, 0, 0, 1};
    memcpy(message + 12, question, length);
    drive_packet(d, TO_SERVER, 0, message, (uint32_t)(12 + length), (uint32_t)(12 + length));
    message[2] = 0x81;
    drive_packet(d, TO_CLIENT, 0, message, (uint32_t)(12 + length), (uint32_t)(12 + length));
    drive_close(d);
    assert_int_equal(d->events[EVENT_proxy_config], expected);
    if (expected) drive_expect(d, "proxy_config.kind=wpad_dns");
    drive_free(d);
}

static void configurations_by_name(void **state) {
    (void)state;
    ask_dns("\x04wpad\x00\x00\x01\x00\x01", 10, true);
    ask_dns("\x04WPAD\x04"
            "corp\x00\x00\x1c\x00\x01",
            15, true);
    ask_dns("\x04wpad\x04"
            "corp\x00\x00\x06\x00\x01",
            15, false); /* SOA */
    ask_dns("\x05wpads\x04"
            "corp\x00\x00\x01\x00\x01",
            16, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_and_closed),          cmocka_unit_test(any_cut_is_the_same),
        cmocka_unit_test(faults_are_anomalies),     cmocka_unit_test(what_runs_in_a_tunnel_is_read),
        cmocka_unit_test(target_without_listeners), cmocka_unit_test(refused_tunnel_was_asked_for),
        cmocka_unit_test(lost_answer_of_a_proxy),   cmocka_unit_test(configurations_over_http),
        cmocka_unit_test(configurations_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
