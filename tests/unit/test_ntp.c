/* NTP and ICMP echo: what is told of a message, and what is not taken for one. */
#include "drive_protocol.h"

#include "protocol/protocols.h"

static struct drive *ntp_drive(void) {
    struct drive *d = drive_new(&protocol_ntp, EVENT_ntp);
    d->proto = 17;
    d->server_port = 123;
    return d;
}

/* A server's answer as RFC 5905 lays it out: stratum 1, GPS, sent at 2021-07-01T00:00:00.5Z. */
static const uint8_t server_message[48] = {
    0x24, 1,    6,    0xe9, 0,    0, 0, 16, 0, 0, 0, 32, 'G', 'P', 'S', 0, /* reference id */
    0xe4, 0x86, 0xcd, 0x00, 0,    0, 0, 0,  0, 0, 0, 0,  0,   0,   0,   0, /* reference, origin */
    0xe4, 0x87, 0x1c, 0x80, 0,    0, 0, 0,                                 /* receive */
    0xe4, 0x87, 0x1c, 0x80, 0x80, 0, 0, 0,                                 /* transmit */
};

static void a_server_message_is_told(void **state) {
    (void)state;
    struct drive *d = ntp_drive();
    drive_send(d, TO_CLIENT, server_message, sizeof server_message);
    drive_expect(d, "ntp.version=4");
    drive_expect(d, "ntp.mode=4");
    drive_expect(d, "ntp.stratum=1");
    drive_expect(d, "ntp.reference_id=GPS");
    char line[64];
    /* 1900 to 1970 are 2208988800 seconds (RFC 868). */
    snprintf(line, sizeof line, "ntp.transmit=%lld",
             (0xe4871c80LL - 2208988800LL) * 1000000000LL + 500000000LL);
    drive_expect(d, line);
    assert_false(drive_has(d, "ntp.to_server=1"));
    drive_free(d);
}

static void stamps_go_on_after_2036(void **state) {
    (void)state;
    struct drive *d = ntp_drive();
    uint8_t message[48];
    memcpy(message, server_message, sizeof message);
    memset(message + 40, 0, 8);
    message[43] = 1; /* one second into the next era: 2036-02-07T06:28:17Z (RFC 4330 section 3) */
    drive_send(d, TO_CLIENT, message, sizeof message);
    drive_expect(d, "ntp.transmit=2085978497000000000");
    drive_free(d);
}

static void the_request_of_a_mac_is_all_zero(void **state) {
    (void)state;
    struct drive *d = ntp_drive();
    uint8_t request[48] = {0x23};
    drive_send(d, TO_SERVER, request, sizeof request);
    drive_expect(d, "ntp.all_zero=1");
    drive_expect(d, "ntp.to_server=1");
    drive_expect(d, "ntp.mode=3");
    drive_clear(d);
    request[47] = 1;
    drive_send(d, TO_SERVER, request, sizeof request);
    assert_int_equal(d->events[EVENT_ntp], 1);
    assert_false(drive_has(d, "ntp.all_zero=1"));
    drive_free(d);
}

static void upper_strata_name_their_server_by_address(void **state) {
    (void)state;
    struct drive *d = ntp_drive();
    uint8_t message[48];
    memcpy(message, server_message, sizeof message);
    message[1] = 2;
    memcpy(message + 12, (uint8_t[]){192, 0, 2, 9}, 4);
    drive_send(d, TO_CLIENT, message, sizeof message);
    drive_expect(d, "ntp.reference_id=192.0.2.9");
    drive_free(d);
}

static enum recognised recognise(const uint8_t *bytes, uint32_t length, uint16_t server_port) {
    struct probe probe = {.data = bytes,
                          .length = length,
                          .original = length,
                          .transport = TRANSPORT_UDP,
                          .client_port = 40000,
                          .server_port = server_port};
    return protocol_ntp.recognise(&probe);
}

static void content_tells_on_other_ports(void **state) {
    (void)state;
    uint8_t request[48] = {0x1b};
    assert_int_equal(recognise(server_message, 48, 4123), RECOGNISED_YES);
    assert_int_equal(recognise(request, 48, 4123), RECOGNISED_YES);
    assert_int_equal(recognise(server_message, 47, 123), RECOGNISED_NO);
    uint8_t wrong[48];
    memcpy(wrong, server_message, sizeof wrong);
    wrong[4] = 1; /* a delay of 256 s */
    assert_int_equal(recognise(wrong, 48, 4123), RECOGNISED_NO);
    assert_int_equal(recognise(wrong, 48, 123), RECOGNISED_YES);
    wrong[0] = 0x3c; /* version 7 */
    assert_int_equal(recognise(wrong, 48, 123), RECOGNISED_NO);
    const uint8_t monitor_list[8] = {0x17, 0, 3, 0x2a};
    assert_int_equal(recognise(monitor_list, 8, 123), RECOGNISED_YES);
    assert_int_equal(recognise(monitor_list, 8, 4123), RECOGNISED_NO);
}

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return *seed >> 33;
}

static void random_datagrams_are_refused(void **state) {
    (void)state;
    uint64_t seed = 3;
    for (int i = 0; i < 200000; i++) {
        uint8_t bytes[68];
        for (size_t k = 0; k < sizeof bytes; k++) bytes[k] = (uint8_t)next_random(&seed);
        assert_int_equal(recognise(bytes, i % 2 ? 48 : 68, 40001), RECOGNISED_NO);
    }
}

static void broken_messages_do_no_harm(void **state) {
    (void)state;
    uint64_t seed = 5;
    struct drive *d = ntp_drive();
    for (int i = 0; i < 100000; i++) {
        uint8_t message[48];
        memcpy(message, server_message, sizeof message);
        for (int k = 0; k < 3; k++) message[next_random(&seed) % 48] = (uint8_t)next_random(&seed);
        size_t length = next_random(&seed) % 49;
        if (i % 100 == 0) {
            d->client_port++;
            length = 48;
            message[0] = 0x24;
        }
        drive_send(d, TO_CLIENT, message, length);
        drive_clear(d);
    }
    drive_free(d);
}

/* ----------------------------------------------------------------- ICMP echo */

struct echoes {
    struct drive *drive;
    uint64_t hash[2]; /* of the request, of the reply */
};

static bool note_hash(void *context, enum event_kind kind, uint32_t index, const void *event) {
    struct echoes *e = context;
    const struct event_icmp_echo *echo = event;
    if (kind == EVENT_icmp_echo) e->hash[!echo->body.request] = echo->body.payload_hash;
    return drive_offer(e->drive, kind, index, event);
}

static void send_echo(struct drive *d, bool request, uint16_t sequence, const char *data) {
    static const uint8_t client[4] = {192, 0, 2, 1}, server[4] = {198, 51, 100, 1};
    d->now += NS_PER_MILLISECOND;
    uint32_t length = (uint32_t)strlen(data);
    struct packet packet = {.captured = length, .original = length, .time = d->now};
    struct decoded decoded = {.kind = DECODED_TRANSPORT,
                              .proto = 1,
                              .ttl = 61,
                              .has_ports = true,
                              .icmp_type = request ? 8 : 0,
                              .icmp_id = 77,
                              .icmp_sequence = sequence,
                              .payload = (const uint8_t *)data,
                              .payload_captured = length,
                              .payload_length = length + 1000,
                              .wire_length = length + 42};
    ip_from_v4(&decoded.src, request ? client : server);
    ip_from_v4(&decoded.dst, request ? server : client);
    flow_room_burst(d->room, &packet, &decoded, 1, NULL, NULL);
}

static void echoes_are_told_and_compared(void **state) {
    (void)state;
    struct drive *d = drive_new(&protocol_icmp_echo, EVENT_icmp_echo);
    struct echoes echoes = {.drive = d};
    d->batch->listener.context = &echoes;
    d->batch->listener.offer = note_hash;
    send_echo(d, true, 1, "abcdefgh");
    drive_expect(d, "icmp_echo.request=1");
    drive_expect(d, "icmp_echo.id=77");
    drive_expect(d, "icmp_echo.sequence=1");
    drive_expect(d, "icmp_echo.ttl=61");
    drive_expect(d, "icmp_echo.payload_length=1008");
    drive_expect(d, "icmp_echo.payload=abcdefgh");
    send_echo(d, false, 1, "abcdefgh");
    assert_true(echoes.hash[0] == echoes.hash[1]);
    send_echo(d, false, 2, "abcdefgX");
    assert_true(echoes.hash[0] != echoes.hash[1]);
    assert_int_equal(d->events[EVENT_icmp_echo], 3);
    d->batch->listener.context = d;
    drive_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_message_is_told),
        cmocka_unit_test(stamps_go_on_after_2036),
        cmocka_unit_test(the_request_of_a_mac_is_all_zero),
        cmocka_unit_test(upper_strata_name_their_server_by_address),
        cmocka_unit_test(content_tells_on_other_ports),
        cmocka_unit_test(random_datagrams_are_refused),
        cmocka_unit_test(broken_messages_do_no_harm),
        cmocka_unit_test(echoes_are_told_and_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
