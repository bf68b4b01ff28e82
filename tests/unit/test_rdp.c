/* RDP's first exchange: the sample of [MS-RDPBCGR] section 4.1, what the server chooses, and TLS behind it.
 */
#include "drive_protocol.h"

#include "protocol/protocols.h"

static struct drive *rdp_drive(void) {
    struct drive *d = drive_new(&protocol_rdp, EVENT_rdp);
    d->server_port = 3389;
    drive_open(d);
    return d;
}

/* Section 4.1.1, and the same with CredSSP and TLS offered. */
static const uint8_t request[] = "\x03\x00\x00\x2c\x27\xe0\x00\x00\x00\x00\x00"
                                 "Cookie: mstshash=eltons\r\n"
                                 "\x01\x00\x08\x00\x00\x00\x00\x00";
static const uint8_t request_tls[] = "\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00"
                                     "\x01\x00\x08\x00\x03\x00\x00\x00";
/* Section 4.1.2. */
static const uint8_t confirm[] = "\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00"
                                 "\x02\x00\x08\x00\x00\x00\x00\x00";
static const uint8_t confirm_credssp[] = "\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00"
                                         "\x02\x01\x08\x00\x02\x00\x00\x00";
static const uint8_t refuse[] = "\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00"
                                "\x03\x00\x08\x00\x05\x00\x00\x00";

static void the_sample(void **state) {
    (void)state;
    for (size_t cut = 1; cut < sizeof request - 1; cut++) {
        struct drive *d = rdp_drive();
        drive_send(d, TO_SERVER, request, cut);
        drive_send(d, TO_SERVER, request + cut, sizeof request - 1 - cut);
        drive_send(d, TO_CLIENT, confirm, sizeof confirm - 1);
        drive_expect(d, "rdp.cookie=eltons");
        drive_expect(d, "rdp.selected=rdp");
        assert_int_equal(d->events[EVENT_rdp], 1);
        assert_int_equal(d->events[EVENT_anomaly], 0);
        drive_free(d);
    }
}

static void credssp_is_chosen(void **state) {
    (void)state;
    struct drive *d = rdp_drive();
    drive_send(d, TO_SERVER, request_tls, sizeof request_tls - 1);
    drive_send(d, TO_CLIENT, confirm_credssp, sizeof confirm_credssp - 1);
    drive_expect(d, "rdp.requested=3");
    drive_expect(d, "rdp.selected=credssp");
    drive_free(d);
}

/* HYBRID_REQUIRED_BY_SERVER is 5 (section 2.2.1.2.2). */
static void the_server_refuses(void **state) {
    (void)state;
    struct drive *d = rdp_drive();
    drive_send(d, TO_SERVER, request, sizeof request - 1);
    drive_send(d, TO_CLIENT, refuse, sizeof refuse - 1);
    drive_expect(d, "rdp.failure=5");
    assert_false(drive_has(d, "rdp.selected=rdp"));
    drive_free(d);
}

static void a_request_without_an_answer(void **state) {
    (void)state;
    struct drive *d = rdp_drive();
    drive_send(d, TO_SERVER, request, sizeof request - 1);
    drive_close(d);
    drive_expect(d, "rdp.cookie=eltons");
    drive_free(d);
}

/* Section 2.2.1.1.2: a correlation id may follow what is asked for. */
static void a_correlation_id_behind_it(void **state) {
    (void)state;
    uint8_t long_one[4 + 7 + 10 + 8 + 36] = "\x03\x00\x00\x41\x3c\xe0\x00\x00\x00\x00\x00"
                                            "Cookie: \r\n"
                                            "\x01\x08\x08\x00\x0b\x00\x00\x00\x06\x00\x24\x00";
    struct drive *d = rdp_drive();
    d->server_port = 3390;
    drive_open(d);
    drive_send(d, TO_SERVER, long_one, sizeof long_one);
    drive_send(d, TO_CLIENT, confirm_credssp, sizeof confirm_credssp - 1);
    drive_expect(d, "rdp.requested=11");
    drive_expect(d, "rdp.selected=credssp");
    drive_free(d);
}

/* Of one side alone is told what that side said, once. */
static void one_side_alone(void **state) {
    (void)state;
    static const uint8_t connect_initial[] = "\x03\x00\x01\xa0\x02\xf0\x80\x7f\x65\x82";
    struct drive *d = rdp_drive();
    drive_send(d, TO_SERVER, request, sizeof request - 1);
    drive_send(d, TO_SERVER, connect_initial, sizeof connect_initial - 1);
    drive_expect(d, "rdp.cookie=eltons");
    assert_null(strstr(d->text, "rdp.selected"));
    drive_close(d);
    assert_int_equal(d->events[EVENT_rdp], 1);
    drive_free(d);
    d = rdp_drive();
    drive_send(d, TO_CLIENT, confirm_credssp, sizeof confirm_credssp - 1);
    drive_expect(d, "rdp.selected=credssp");
    drive_free(d);
}

static void lengths_that_lie(void **state) {
    (void)state;
    for (size_t at = 0; at < sizeof request - 1; at++)
        for (unsigned value = 0; value < 256; value += 51) {
            uint8_t bad[sizeof request - 1];
            memcpy(bad, request, sizeof bad);
            bad[at] = (uint8_t)value;
            struct drive *d = rdp_drive();
            drive_send(d, TO_SERVER, bad, sizeof bad);
            drive_send(d, TO_CLIENT, confirm, sizeof confirm - 1);
            drive_close(d);
            drive_free(d);
        }
}

/* TPKT and X.224 carry H.323, S7 and others too: without cookie and negotiation it is none, but on RDP's
 * port. */
static void other_things_on_tpkt(void **state) {
    (void)state;
    static const uint8_t s7[] =
        "\x03\x00\x00\x16\x11\xe0\x00\x00\x00\x01\x00\xc1\x02\x01\x00\xc2\x02\x01\x02\xc0\x01\x0a";
    struct drive *d = drive_new(&protocol_rdp, EVENT_rdp);
    d->server_port = 102;
    drive_open(d);
    drive_send(d, TO_SERVER, s7, sizeof s7 - 1);
    drive_close(d);
    assert_int_equal(d->events[EVENT_rdp], 0);
    drive_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample),
        cmocka_unit_test(credssp_is_chosen),
        cmocka_unit_test(the_server_refuses),
        cmocka_unit_test(a_request_without_an_answer),
        cmocka_unit_test(a_correlation_id_behind_it),
        cmocka_unit_test(one_side_alone),
        cmocka_unit_test(lengths_that_lie),
        cmocka_unit_test(other_things_on_tpkt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
