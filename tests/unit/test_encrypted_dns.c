/* DNS that is encrypted, and Apple's push service: told by what both show before they are encrypted. */
#include "drive_protocol.h"
#include "quic_vectors.h"

#include "protocol/encrypted_dns.h"
#include "protocol/protocols.h"
#include "protocol/tls_event.h"

static struct slice text(const char *text) {
    return (struct slice){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static void names_of_resolvers(void **state) {
    (void)state;
    assert_string_equal(encrypted_dns_provider(text("dns.google")), "Google");
    assert_string_equal(encrypted_dns_provider(text("mozilla.cloudflare-dns.com")), "Cloudflare");
    assert_string_equal(encrypted_dns_provider(text("abc123.dns.nextdns.io")), "NextDNS");
    assert_string_equal(encrypted_dns_provider(text("doh.dns.apple.com")), "Apple");
    assert_null(encrypted_dns_provider(text("notdns.google")));
    assert_null(encrypted_dns_provider(text("google")));
    assert_null(encrypted_dns_provider(text("")));
}

/* The RFC 9001 hello in a TLS record. */
static void send_hello(struct drive *d) {
    uint8_t bytes[512];
    uint32_t length = 5;
    for (const char *hex = rfc9001_hello; *hex; hex += 2) {
        unsigned value;
        assert_int_equal(sscanf(hex, "%2x", &value), 1);
        bytes[length++] = (uint8_t)value;
    }
    memcpy(bytes, "\x16\x03\x01", 3);
    bytes[3] = (uint8_t)((length - 5) >> 8);
    bytes[4] = (uint8_t)(length - 5);
    drive_open(d);
    drive_send(d, TO_SERVER, bytes, length);
}

static void tls_on_the_port_of_dns(void **state) {
    (void)state;
    struct drive *d = drive_new(&protocol_tls, EVENT_encrypted_dns);
    d->server_port = 853;
    send_hello(d);
    drive_expect(d, "encrypted_dns.kind=dot");
    drive_expect(d, "encrypted_dns.evidence=port");
    drive_expect(d, "encrypted_dns.resolver=example.com");
    drive_clear(d);
    d->server_port = 443;
    send_hello(d);
    assert_int_equal(d->events[EVENT_encrypted_dns], 0);
    drive_free(d);
}

static void ask(struct drive *d, const char *request, const char *response) {
    drive_open(d);
    drive_send(d, TO_SERVER, request, strlen(request));
    drive_send(d, TO_CLIENT, response, strlen(response));
}

static void http_in_clear(void **state) {
    (void)state;
    struct drive *d = drive_new(&protocol_http, EVENT_encrypted_dns);
    ask(d,
        "POST /dns-query HTTP/1.1\r\nHost: dns.google\r\nContent-Type: "
        "application/dns-message\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\nContent-Length: 0\r\n\r\n");
    drive_expect(d, "encrypted_dns.kind=doh");
    drive_expect(d, "encrypted_dns.evidence=content_type,path,name");
    drive_expect(d, "encrypted_dns.provider=Google");
    /* Once a flow. */
    const char *again = "GET /dns-query?dns=AAAB HTTP/1.1\r\nHost: dns.google\r\n\r\n";
    drive_send(d, TO_SERVER, again, strlen(again));
    drive_send(d, TO_CLIENT, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 38);
    assert_int_equal(d->events[EVENT_encrypted_dns], 1);
    drive_clear(d);
    ask(d, "GET /dns-queryable HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n");
    drive_close(d);
    assert_int_equal(d->events[EVENT_encrypted_dns], 0);
    drive_free(d);
}

static const char *service(const char *alpn, const char *name, uint16_t port, uint8_t block) {
    struct client_hello hello = {.alpn = text(alpn), .sni = text(name)};
    struct event_head_body head = {.server_port = port};
    ip_from_v4(&head.server_ip, (const uint8_t[4]){block, 57, 144, 6});
    return tls_service_word(&hello, &head);
}

static void push_is_told(void **state) {
    (void)state;
    assert_string_equal(service("\x10"
                                "apns-security-v3",
                                "", 443, 1),
                        "apns");
    assert_string_equal(service("\x02h2\x0c"
                                "apns-pack-v1",
                                "", 443, 1),
                        "apns");
    assert_string_equal(service("", "12-courier.push.apple.com", 443, 1), "apns");
    assert_string_equal(service("", "", 5223, 17), "apns");
    assert_null(service("", "", 5223, 18)); /* XMPP of old */
    assert_null(service("\x02h2", "www.apple.com", 443, 17));
    assert_null(service("\x0f"
                        "apns-security-v",
                        "", 443, 17));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_resolvers),
        cmocka_unit_test(tls_on_the_port_of_dns),
        cmocka_unit_test(http_in_clear),
        cmocka_unit_test(push_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
