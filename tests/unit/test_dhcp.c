/* DHCP of both versions: what is told of a message, which systems are known by their wishes, what is odd. */
#include "drive_protocol.h"

#include "protocol/dhcp_event.h"
#include "protocol/protocols.h"

static struct drive *dhcp_drive(const struct protocol *protocol) {
    struct drive *d = drive_new(protocol, EVENT_dhcp);
    d->proto = 17;
    d->client_port = protocol == &protocol_dhcp ? 68 : 546;
    d->server_port = protocol == &protocol_dhcp ? 67 : 547;
    return d;
}

/* The fixed part of a request of 02:00:5e:00:53:01, then options. Returns the length. */
static size_t request(uint8_t message[600], const void *options, size_t length) {
    static const uint8_t start[8] = {1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78};
    static const uint8_t mac[6] = {2, 0, 0x5e, 0, 0x53, 1}, cookie[4] = {99, 130, 83, 99};
    memset(message, 0, 240);
    memcpy(message, start, sizeof start);
    memcpy(message + 28, mac, sizeof mac);
    memcpy(message + 236, cookie, sizeof cookie);
    memcpy(message + 240, options, length);
    return 240 + length;
}

/* The options of a Mac as bootp sends them: shared/reference/macos-wire.md, section 2. */
static const uint8_t mac_options[] = {53,  1,  3, /* request */
                                      55,  12, 1,   121, 3,   6,    15,  108,  114, 119,
                                      252, 95, 44,  46,                                  /* wishes */
                                      57,  2,  5,   220,                                 /* 1500 bytes */
                                      61,  7,  1,   2,   0,   0x5e, 0,   0x53, 1,        /* client id */
                                      50,  4,  192, 0,   2,   7,                         /* address */
                                      54,  4,  192, 0,   2,   1,                         /* server */
                                      12,  8,  'A', 'n', 'n', 'a',  's', 'M',  'a', 'c', /* host name */
                                      255};

static void a_macs_request(void **state) {
    (void)state;
    struct drive *d = dhcp_drive(&protocol_dhcp);
    uint8_t message[600];
    drive_send(d, TO_SERVER, message, request(message, mac_options, sizeof mac_options));
    assert_int_equal(d->events[EVENT_dhcp], 1);
    drive_expect(d, "dhcp.version=4");
    drive_expect(d, "dhcp.type=request");
    drive_expect(d, "dhcp.message=request");
    drive_expect(d, "dhcp.id=305419896");
    drive_expect(d, "dhcp.client_mac=02:00:5e:00:53:01");
    drive_expect(d, "dhcp.client_id=0102005e005301");
    drive_expect(d, "dhcp.hostname=AnnasMac");
    drive_expect(d, "dhcp.server_id=192.0.2.1");
    drive_expect(d, "dhcp.parameters=1,121,3,6,15,108,114,119,252,95,44,46");
    drive_expect(d, "dhcp.options=53,55,57,61,50,54,12");
    drive_expect(d, "dhcp.max_size=1500");
    drive_expect(d, "dhcp.os=macOS");
    drive_expect(d, "dhcp.os_detail=macOS 12 or later");
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

static void systems_are_known_by_what_they_ask_for(void **state) {
    (void)state;
    static const struct {
        const char *parameters, *vendor, *os;
    } known[] = {{"1,121,3,6,15,119,252,95,44,46", "", "macOS"},
                 {"1,3,6,15,119,95,252,44,46,47", "", "macOS"},
                 {"1,121,3,6,15,119,252", "", "iOS"},
                 {"1,121,3,6,15,108,114,119,252", "", "iOS"},
                 {"1,121,3,6", "", NULL},
                 {"1,3,6,15,31,33,43,44,46,47,119,121,249,252", "MSFT 5.0", "Windows"},
                 {"1,3,6", "android-dhcp-13", "Android"},
                 {"1,121,3,6,15,119,252", "MSFT 5.0", "Windows"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct slice vendor = {(const uint8_t *)known[i].vendor, (uint32_t)strlen(known[i].vendor)};
        const struct dhcp_system *system =
            dhcp_system_of(known[i].parameters, strlen(known[i].parameters), vendor);
        if (known[i].os)
            assert_string_equal(system->os, known[i].os);
        else
            assert_null(system);
    }
}

static void what_a_server_gives(void **state) {
    (void)state;
    struct drive *d = dhcp_drive(&protocol_dhcp);
    /* RFC 3442's example of a route, RFC 3397's of a search list in two parts. */
    static const uint8_t options[] = {
        53,  1,    5,   51,  4,   0,   0,   14,  16,  1,   4,   255, 255, 255, 0,   3,   4,   192, 0,
        2,   1,    6,   8,   192, 0,   2,   1,   192, 0,   2,   2,   15,  7,   'e', 'x', 'a', 'm', 'p',
        'l', 'e',  121, 6,   8,   10,  192, 0,   2,   9,   119, 9,   3,   'e', 'n', 'g', 5,   'a', 'p',
        'p', 'l',  119, 18,  'e', 3,   'c', 'o', 'm', 0,   9,   'm', 'a', 'r', 'k', 'e', 't', 'i', 'n',
        'g', 0xc0, 4,   252, 12,  'h', 't', 't', 'p', ':', '/', '/', 'w', 'p', '/', 'p', 0,   114, 9,
        'h', 't',  't', 'p', 's', ':', '/', '/', 'c', 108, 4,   0,   0,   3,   132, 255};
    uint8_t message[600];
    size_t length = request(message, options, sizeof options);
    message[0] = 2;
    memcpy(message + 16, (uint8_t[]){192, 0, 2, 7}, 4);
    drive_send(d, TO_CLIENT, message, length);
    drive_expect(d, "dhcp.type=reply");
    drive_expect(d, "dhcp.message=ack");
    drive_expect(d, "dhcp.lease=3600");
    drive_expect(d, "dhcp.routers=192.0.2.1");
    drive_expect(d, "dhcp.dns_servers=192.0.2.1,192.0.2.2");
    drive_expect(d, "dhcp.domain=example");
    drive_expect(d, "dhcp.routes=10.0.0.0/8 via 192.0.2.9");
    drive_expect(d, "dhcp.search=eng.apple.com,marketing.apple.com");
    drive_expect(d, "dhcp.pac_url=http://wp/p");
    drive_expect(d, "dhcp.captive_portal=https://c");
    drive_expect(d, "dhcp.ipv6_only_wait=900");
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

static void options_in_other_fields(void **state) {
    (void)state;
    struct drive *d = dhcp_drive(&protocol_dhcp);
    static const uint8_t options[] = {53, 1, 1, 52, 1, 3, 255};
    uint8_t message[600];
    size_t length = request(message, options, sizeof options);
    memcpy(message + 108, (uint8_t[]){12, 3, 'm', 'a', 'c', 255}, 6);
    memcpy(message + 44, (uint8_t[]){15, 3, 'l', 'a', 'n', 255}, 6);
    drive_send(d, TO_SERVER, message, length);
    drive_expect(d, "dhcp.hostname=mac");
    drive_expect(d, "dhcp.domain=lan");
    drive_expect(d, "dhcp.overload=1");
    drive_expect(d, "dhcp.options=53,52,12,15");
    drive_free(d);
}

static void expect_odd(const void *options, size_t length, const char *anomaly) {
    struct drive *d = dhcp_drive(&protocol_dhcp);
    uint8_t message[600];
    char line[80];
    drive_send(d, TO_SERVER, message, request(message, options, length));
    assert_int_equal(d->events[EVENT_dhcp], 1);
    snprintf(line, sizeof line, "anomaly.name=%s", anomaly);
    drive_expect(d, line);
    drive_free(d);
}

static void broken_options_are_anomalies(void **state) {
    (void)state;
    expect_odd((uint8_t[]){53, 1, 1, 12, 9, 'a'}, 6, "option_cut_short");
    expect_odd((uint8_t[]){53, 1, 1, 12}, 4, "option_cut_short");
    expect_odd((uint8_t[]){53, 2, 1, 1, 255}, 5, "option_length");
    expect_odd((uint8_t[]){53, 1, 1, 6, 5, 1, 2, 3, 4, 5, 255}, 11, "option_length");
    expect_odd((uint8_t[]){53, 1, 1, 121, 2, 33, 1, 255}, 8, "option_length");
    expect_odd((uint8_t[]){53, 1, 1, 119, 2, 0xc0, 0, 255}, 8, "name_pointer_forward");
    expect_odd((uint8_t[]){53, 1, 1, 52, 1, 9, 255}, 7, "bad_overload");
    struct drive *d = dhcp_drive(&protocol_dhcp);
    uint8_t message[600];
    size_t length = request(message, mac_options, sizeof mac_options);
    drive_packet(d, TO_SERVER, 0, message, (uint32_t)length, 250); /* the capture's fault, not the client's */
    assert_int_equal(d->events[EVENT_dhcp], 1);
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

static enum recognised recognise(const struct protocol *protocol, const uint8_t *bytes, size_t length,
                                 uint16_t client_port, uint16_t server_port) {
    struct probe probe = {.data = bytes,
                          .length = (uint32_t)length,
                          .original = (uint32_t)length,
                          .transport = TRANSPORT_UDP,
                          .client_port = client_port,
                          .server_port = server_port};
    return protocol->recognise(&probe);
}

static void the_cookie_tells(void **state) {
    (void)state;
    uint8_t message[600];
    size_t length = request(message, mac_options, sizeof mac_options);
    assert_int_equal(recognise(&protocol_dhcp, message, length, 40000, 40001), RECOGNISED_YES);
    message[236] = 0; /* BOOTP */
    assert_int_equal(recognise(&protocol_dhcp, message, length, 68, 67), RECOGNISED_YES);
    assert_int_equal(recognise(&protocol_dhcp, message, length, 40000, 67), RECOGNISED_NO);
    message[0] = 3;
    assert_int_equal(recognise(&protocol_dhcp, message, length, 68, 67), RECOGNISED_NO);
}

/* RFC 8415: a Solicit with a DUID of link-layer address, wishes, an association with an address, a name. */
static const uint8_t solicit[] = {
    1, 1,  2, 3,  0,    1,  0,   10,   0,  3,  0,  1,  2, 0, 0x5e, 0,  0x53, 1, /* client id */
    0, 6,  0, 4,  0,    23, 0,   24,                                            /* wishes */
    0, 3,  0, 40, 0,    0,  0,   1,    0,  0,  14, 16, 0, 0, 21,   24,          /* IA_NA, T1, T2 */
    0, 5,  0, 24, 0x20, 1,  0xd, 0xb8, 0,  0,  0,  0,  0, 0, 0,    0,  0,    0,
    0, 7,  0, 0,  14,   16, 0,   0,    28, 32, /* address, lifetimes */
    0, 39, 0, 5,  0,    3,  'M', 'a',  'c'};

static void a_solicit(void **state) {
    (void)state;
    struct drive *d = dhcp_drive(&protocol_dhcp6);
    drive_send(d, TO_SERVER, solicit, sizeof solicit);
    drive_expect(d, "dhcp.version=6");
    drive_expect(d, "dhcp.message=solicit");
    drive_expect(d, "dhcp.id=66051");
    drive_expect(d, "dhcp.client_id=0003000102005e005301");
    drive_expect(d, "dhcp.client_mac=02:00:5e:00:53:01");
    drive_expect(d, "dhcp.parameters=23,24");
    drive_expect(d, "dhcp.options=1,6,3,39");
    drive_expect(d, "dhcp.addresses=2001:db8::7");
    drive_expect(d, "dhcp.renewal=3600");
    drive_expect(d, "dhcp.lease=7200");
    drive_expect(d, "dhcp.fqdn=mac");
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

static void relays_are_taken_off(void **state) {
    (void)state;
    struct drive *d = dhcp_drive(&protocol_dhcp6);
    uint8_t relayed[34 + 4 + sizeof solicit] = {12, 0, 0x20, 1, 0xd, 0xb8};
    relayed[35] = 9;
    relayed[37] = sizeof solicit;
    memcpy(relayed + 38, solicit, sizeof solicit);
    drive_send(d, TO_SERVER, relayed, sizeof relayed);
    drive_expect(d, "dhcp.message=solicit");
    drive_expect(d, "dhcp.fqdn=mac");
    drive_clear(d);
    relayed[35] = 8; /* no message inside */
    drive_send(d, TO_SERVER, relayed, sizeof relayed);
    drive_expect(d, "dhcp.message=relay_forward");
    drive_expect(d, "anomaly.name=relay_without_message");
    drive_free(d);
}

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return *seed >> 33;
}

static void broken_messages_do_no_harm(void **state) {
    (void)state;
    uint64_t seed = 5;
    for (int version = 0; version < 2; version++) {
        struct drive *d = dhcp_drive(version ? &protocol_dhcp6 : &protocol_dhcp);
        uint8_t message[600], broken[600];
        size_t length = request(message, mac_options, sizeof mac_options), fixed = 240;
        if (version) {
            memcpy(message, solicit, length = sizeof solicit);
            fixed = 4;
        }
        drive_send(d, TO_SERVER, message, length);
        for (int i = 0; i < 40000; i++) {
            memcpy(broken, message, length);
            for (int k = 0; k < 3; k++)
                broken[fixed + next_random(&seed) % (length - fixed)] = (uint8_t)next_random(&seed);
            drive_send(d, TO_SERVER, broken, i % 2 ? length : 1 + next_random(&seed) % length);
            if (i % 1000 == 0) batch_flush(d->batch);
            drive_clear(d);
        }
        drive_free(d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_macs_request),
        cmocka_unit_test(systems_are_known_by_what_they_ask_for),
        cmocka_unit_test(what_a_server_gives),
        cmocka_unit_test(options_in_other_fields),
        cmocka_unit_test(broken_options_are_anomalies),
        cmocka_unit_test(the_cookie_tells),
        cmocka_unit_test(a_solicit),
        cmocka_unit_test(relays_are_taken_off),
        cmocka_unit_test(broken_messages_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
