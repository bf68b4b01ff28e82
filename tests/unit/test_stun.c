/* STUN and TURN: RFC 5769's messages are told as it says, and what is not STUN is left alone. */
#include "drive_protocol.h"

#include "protocol/protocols.h"

static struct drive *stun_drive(void) {
    struct drive *d = drive_new(&protocol_stun, EVENT_stun);
    d->proto = 17;
    d->server_port = 3478;
    return d;
}

/* RFC 5769 section 2.1. */
static const uint8_t request[] =
    "\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae"
    "\x80\x22\x00\x10STUN test client"
    "\x00\x24\x00\x04\x6e\x00\x01\xff\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36"
    "\x00\x06\x00\x09\x65vtj:h6vY\x20\x20\x20"
    "\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2"
    "\x80\x28\x00\x04\xe5\x7a\x3b\xcf";
/* Section 2.2. */
static const uint8_t response[] =
    "\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae"
    "\x80\x22\x00\x0btest vector\x20"
    "\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43"
    "\x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7"
    "\x80\x28\x00\x04\xc0\x7d\x4c\x96";
/* Section 2.3. */
static const uint8_t response6[] =
    "\x01\x01\x00\x48\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae"
    "\x80\x22\x00\x0btest vector\x20"
    "\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9"
    "\x00\x08\x00\x14\xa3\x82\x95\x4e\x4b\xe6\x7b\xf1\x17\x84\xc9\x7c\x82\x92\xc2\x75\xbf\xe3\xed\x41"
    "\x80\x28\x00\x04\xc8\xfb\x0b\x4c";

static void the_sample_messages(void **state) {
    (void)state;
    struct drive *d = stun_drive();
    drive_send(d, TO_SERVER, request, sizeof request - 1);
    assert_int_equal(d->events[EVENT_stun], 0);
    drive_send(d, TO_CLIENT, response, sizeof response - 1);
    drive_expect(d, "stun.method=binding");
    drive_expect(d, "stun.result=success");
    drive_expect(d, "stun.user=evtj:h6vY");
    drive_expect(d, "stun.client_software=STUN test client");
    drive_expect(d, "stun.server_software=test vector");
    drive_expect(d, "stun.mapped_ip=192.0.2.1");
    drive_expect(d, "stun.mapped_port=32853");
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

static void the_sample_of_ipv6(void **state) {
    (void)state;
    struct drive *d = stun_drive();
    d->server_port = 40000; /* the cookie tells on any port */
    drive_send(d, TO_SERVER, request, sizeof request - 1);
    drive_send(d, TO_CLIENT, response6, sizeof response6 - 1);
    drive_expect(d, "stun.mapped_ip=2001:db8:1234:5678:11:2233:4455:6677");
    drive_expect(d, "stun.mapped_port=32853");
    drive_free(d);
}

static void one_event_a_kind_of_success(void **state) {
    (void)state;
    struct drive *d = stun_drive();
    for (int i = 0; i < 5; i++) {
        drive_send(d, TO_SERVER, request, sizeof request - 1);
        drive_send(d, TO_CLIENT, response, sizeof response - 1);
    }
    drive_close(d);
    assert_int_equal(d->events[EVENT_stun], 1);
    drive_free(d);
}

static void who_is_not_answered_is_told_at_the_end(void **state) {
    (void)state;
    struct drive *d = stun_drive();
    drive_send(d, TO_SERVER, request, sizeof request - 1);
    drive_close(d);
    drive_expect(d, "stun.method=binding");
    drive_expect(d, "stun.messages=1");
    assert_false(drive_has(d, "stun.result=success"));
    drive_free(d);
}

/* 401 (RFC 8489 section 14.8: class 4, number 1). */
static void errors_are_told(void **state) {
    (void)state;
    static const uint8_t refused[] = "\x01\x13\x00\x24\x21\x12\xa4\x42"
                                     "abcdefghijkl"
                                     "\x00\x09\x00\x10\x00\x00\x04\x01Unauthorized"
                                     "\x00\x14\x00\x0b"
                                     "example.org\x00";
    struct drive *d = stun_drive();
    drive_send(d, TO_CLIENT, refused, sizeof refused - 1);
    drive_expect(d, "stun.method=allocate");
    drive_expect(d, "stun.result=error");
    drive_expect(d, "stun.error=401");
    drive_expect(d, "stun.reason=Unauthorized");
    drive_expect(d, "stun.realm=example.org");
    drive_free(d);
}

/* RFC 7983: on one socket with STUN go media and DTLS. */
static void what_shares_the_socket_is_passed_over(void **state) {
    (void)state;
    static const uint8_t media[] = "\x80\x60\x12\x34\x00\x00\x10\x00\xde\xad\xbe\xef payload of twenty";
    static const uint8_t dtls[] = "\x16\xfe\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04"
                                  "abcd with more behind it";
    struct drive *d = stun_drive();
    drive_send(d, TO_SERVER, request, sizeof request - 1);
    drive_send(d, TO_SERVER, media, sizeof media - 1);
    drive_send(d, TO_CLIENT, dtls, sizeof dtls - 1);
    drive_send(d, TO_CLIENT, response, sizeof response - 1);
    assert_int_equal(d->events[EVENT_stun], 1);
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

/* TURN over TCP (RFC 8656 section 12.5): channel data between messages, cut anywhere. */
static void over_tcp_in_any_pieces(void **state) {
    (void)state;
    static const uint8_t channel[] = "\x40\x01\x00\x05hello\x00\x00\x00";
    uint8_t all[sizeof channel + sizeof response];
    memcpy(all, channel, sizeof channel - 1);
    memcpy(all + sizeof channel - 1, response, sizeof response - 1);
    size_t size = sizeof channel + sizeof response - 2;
    for (size_t cut = 1; cut < size; cut++) {
        struct drive *d = drive_new(&protocol_stun, EVENT_stun);
        drive_open(d);
        drive_send(d, TO_SERVER, request, sizeof request - 1);
        drive_send(d, TO_CLIENT, all, cut);
        drive_send(d, TO_CLIENT, all + cut, size - cut);
        drive_expect(d, "stun.mapped_ip=192.0.2.1");
        assert_int_equal(d->events[EVENT_anomaly], 0);
        drive_free(d);
    }
}

static void without_the_cookie_only_on_its_port(void **state) {
    (void)state;
    uint8_t old[20] = {0, 1, 0, 0, 1, 2, 3, 4};
    for (int port = 3478; port <= 3479; port++) {
        struct drive *d = stun_drive();
        d->server_port = (uint16_t)port;
        drive_send(d, TO_SERVER, old, sizeof old);
        drive_close(d);
        assert_int_equal(d->events[EVENT_stun], port == 3478);
        drive_free(d);
    }
}

/* In ICE both sides ask (RFC 8445 section 7): each one's address is told, as what it is. */
static void both_sides_ask(void **state) {
    (void)state;
    struct drive *d = stun_drive();
    drive_send(d, TO_SERVER, request, sizeof request - 1);
    drive_send(d, TO_CLIENT, response, sizeof response - 1);
    assert_false(drive_has(d, "stun.server_asked=1"));
    drive_clear(d);
    drive_send(d, TO_CLIENT, request, sizeof request - 1);
    drive_send(d, TO_SERVER, response6, sizeof response6 - 1);
    drive_expect(d, "stun.server_asked=1");
    drive_expect(d, "stun.mapped_ip=2001:db8:1234:5678:11:2233:4455:6677");
    drive_close(d);
    assert_int_equal(d->events[EVENT_stun], 1);
    drive_free(d);
}

/* RFC 4571: a length before each message, media between them. */
static void framed_over_tcp(void **state) {
    (void)state;
    uint8_t all[200] = {0, sizeof request - 1};
    memcpy(all + 2, request, sizeof request - 1);
    size_t size = 2 + sizeof request - 1;
    uint8_t answer[200] = {0, 4, 0x80, 0x60, 0, 0, 0, sizeof response - 1};
    memcpy(answer + 8, response, sizeof response - 1);
    size_t answer_size = 8 + sizeof response - 1;
    for (size_t cut = 1; cut < size; cut++) {
        size_t there = cut < answer_size ? cut : answer_size - 1;
        struct drive *d = drive_new(&protocol_stun, EVENT_stun);
        drive_open(d);
        drive_send(d, TO_SERVER, all, cut);
        drive_send(d, TO_SERVER, all + cut, size - cut);
        drive_send(d, TO_CLIENT, answer, there);
        drive_send(d, TO_CLIENT, answer + there, answer_size - there);
        drive_expect(d, "stun.user=evtj:h6vY");
        drive_expect(d, "stun.mapped_ip=192.0.2.1");
        assert_int_equal(d->events[EVENT_anomaly], 0);
        drive_free(d);
    }
}

static void behind_a_gap(void **state) {
    (void)state;
    struct drive *d = drive_new(&protocol_stun, EVENT_stun);
    drive_open(d);
    drive_send(d, TO_SERVER, request, sizeof request - 1);
    drive_send(d, TO_CLIENT, response, 30);
    d->next_seq[TO_CLIENT] += 60;
    drive_send(d, TO_CLIENT, "the end of channel data", 23);
    drive_send(d, TO_CLIENT, response, sizeof response - 1);
    drive_close(d);
    drive_expect(d, "stun.mapped_ip=192.0.2.1");
    drive_free(d);
}

/* [MS-TURN]: its cookie first, nothing padded, the relay's address as MAPPED-ADDRESS. */
static void microsofts_turn(void **state) {
    (void)state;
    static const uint8_t granted[] = "\x01\x03\x00\x29\x21\x12\xa4\x42"
                                     "abcdefghijkl"
                                     "\x00\x0f\x00\x04\x72\xc6\x4b\xc6"
                                     "\x80\x22\x00\x05"
                                     "2.0.1"
                                     "\x00\x01\x00\x08\x00\x01\x0d\x98\xcb\x00\x71\x4e"
                                     "\x80\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43";
    struct drive *d = stun_drive();
    drive_send(d, TO_CLIENT, granted, sizeof granted - 1);
    drive_expect(d, "stun.server_software=2.0.1");
    drive_expect(d, "stun.relayed_ip=203.0.113.78");
    drive_expect(d, "stun.mapped_ip=192.0.2.1");
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

/* RFC 3489 section 11.2.1: no cookie, but a message that fits to the byte, attributes and all. */
static void the_old_kind_elsewhere(void **state) {
    (void)state;
    static const uint8_t old[] = "\x01\x01\x00\x0c\x01\x02\x03\x04"
                                 "abcdefghijkl"
                                 "\x00\x01\x00\x08\x00\x01\x0d\x98\xcb\x00\x71\x4e";
    for (int wrong = 0; wrong < 2; wrong++) {
        uint8_t bytes[sizeof old - 1];
        memcpy(bytes, old, sizeof bytes);
        if (wrong) bytes[23] = 9;
        struct drive *d = stun_drive();
        d->server_port = 40000;
        drive_send(d, TO_CLIENT, bytes, sizeof bytes);
        drive_close(d);
        assert_int_equal(drive_has(d, "stun.mapped_ip=203.0.113.78"), !wrong);
        assert_int_equal(d->events[EVENT_stun], !wrong);
        drive_free(d);
    }
}

static void lengths_that_lie(void **state) {
    (void)state;
    uint8_t bad[sizeof response - 1];
    for (size_t at = 20; at < sizeof bad; at++) {
        memcpy(bad, response, sizeof bad);
        bad[at] = 0xff;
        struct drive *d = stun_drive();
        drive_send(d, TO_SERVER, request, sizeof request - 1);
        drive_send(d, TO_CLIENT, bad, sizeof bad);
        drive_close(d);
        assert_in_range(d->events[EVENT_stun], 1, 2);
        drive_free(d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_messages),
        cmocka_unit_test(the_sample_of_ipv6),
        cmocka_unit_test(one_event_a_kind_of_success),
        cmocka_unit_test(who_is_not_answered_is_told_at_the_end),
        cmocka_unit_test(errors_are_told),
        cmocka_unit_test(what_shares_the_socket_is_passed_over),
        cmocka_unit_test(over_tcp_in_any_pieces),
        cmocka_unit_test(without_the_cookie_only_on_its_port),
        cmocka_unit_test(both_sides_ask),
        cmocka_unit_test(framed_over_tcp),
        cmocka_unit_test(behind_a_gap),
        cmocka_unit_test(microsofts_turn),
        cmocka_unit_test(the_old_kind_elsewhere),
        cmocka_unit_test(lengths_that_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
