/* RFB: versions, ways to log in and what comes of it, after RFC 6143's description; Apple's version by its
 * number. */
#include "drive_protocol.h"

#include "protocol/protocols.h"

static struct drive *rfb_drive(void) {
    struct drive *d = drive_new(&protocol_rfb, EVENT_rfb);
    d->server_port = 5900;
    drive_open(d);
    return d;
}

static void say(struct drive *d, enum direction direction, const char *bytes, size_t length) {
    drive_send(d, direction, bytes, length);
}
#define SAY(d, direction, text) say(d, direction, text, sizeof(text) - 1)

/* RFC 6143 section 7.1: version 3.8, VNC authentication that succeeds. */
static void a_password_that_is_right(void **state) {
    (void)state;
    struct drive *d = rfb_drive();
    SAY(d, TO_CLIENT, "RFB 003.008\n");
    SAY(d, TO_SERVER, "RFB 003.008\n");
    SAY(d, TO_CLIENT, "\x02\x01\x02");
    SAY(d, TO_SERVER, "\x02");
    SAY(d, TO_CLIENT, "0123456789abcdef");
    SAY(d, TO_SERVER, "fedcba9876543210");
    SAY(d, TO_CLIENT, "\0\0\0\0");
    drive_expect(d, "rfb.server_version=003.008");
    drive_expect(d, "rfb.client_version=003.008");
    drive_expect(d, "rfb.offered=none,vnc");
    drive_expect(d, "rfb.security=vnc");
    drive_expect(d, "rfb.result=accepted");
    assert_false(drive_has(d, "rfb.apple=1"));
    drive_free(d);
}

static void a_password_that_is_wrong(void **state) {
    (void)state;
    struct drive *d = rfb_drive();
    SAY(d, TO_CLIENT, "RFB 003.008\n");
    SAY(d, TO_SERVER, "RFB 003.008\n");
    SAY(d, TO_CLIENT, "\x01\x02");
    SAY(d, TO_SERVER, "\x02");
    SAY(d, TO_CLIENT, "0123456789abcdef");
    SAY(d, TO_SERVER, "fedcba9876543210");
    SAY(d, TO_CLIENT,
        "\0\0\0\1\0\0\0\x0c"
        "no such user");
    drive_expect(d, "rfb.result=refused");
    drive_expect(d, "rfb.reason=no such user");
    drive_free(d);
}

/* Screen Sharing offers its own ways; what follows the choice is Apple's and is not read. */
static void a_mac_is_told_by_its_version(void **state) {
    (void)state;
    struct drive *d = rfb_drive();
    SAY(d, TO_CLIENT, "RFB 003.889\n");
    SAY(d, TO_SERVER, "RFB 003.889\n");
    SAY(d, TO_CLIENT, "\x04\x1e\x21\x24\x23");
    SAY(d, TO_SERVER, "\x21\x00\x00\x00\x0a");
    SAY(d, TO_CLIENT, "\x00\x00\x01\x0a");
    drive_expect(d, "rfb.apple=1");
    drive_expect(d, "rfb.server_version=003.889");
    drive_expect(d, "rfb.security=apple");
    drive_expect(d, "rfb.security_type=33");
    assert_false(drive_has(d, "rfb.result=accepted"));
    drive_free(d);
}

/* Section 7.1.2: in version 3.3 the server decides, and none needs no answer. */
static void in_3_3_the_server_decides(void **state) {
    (void)state;
    struct drive *d = rfb_drive();
    SAY(d, TO_CLIENT, "RFB 003.003\n");
    SAY(d, TO_SERVER, "RFB 003.003\n");
    SAY(d, TO_CLIENT, "\0\0\0\1");
    SAY(d, TO_SERVER, "\1");
    drive_close(d);
    drive_expect(d, "rfb.security=none");
    assert_false(drive_has(d, "rfb.result=refused"));
    drive_free(d);
}

static void a_server_that_refuses_all(void **state) {
    (void)state;
    struct drive *d = rfb_drive();
    SAY(d, TO_CLIENT, "RFB 003.008\n");
    SAY(d, TO_SERVER, "RFB 003.008\n");
    SAY(d, TO_CLIENT,
        "\0\0\0\0\x04"
        "busy");
    drive_expect(d, "rfb.reason=busy");
    drive_expect(d, "rfb.result=refused");
    drive_free(d);
}

static void cut_anywhere_it_says_the_same(void **state) {
    (void)state;
    static const char server[] = "RFB 003.008\n\x02\x01\x02"
                                 "0123456789abcdef\0\0\0\0";
    for (size_t cut = 1; cut < sizeof server - 1; cut++) {
        struct drive *d = rfb_drive();
        SAY(d, TO_SERVER,
            "RFB 003.008\n\x02"
            "fedcba9876543210");
        say(d, TO_CLIENT, server, cut);
        say(d, TO_CLIENT, server + cut, sizeof server - 1 - cut);
        drive_close(d);
        drive_expect(d, "rfb.security=vnc");
        drive_expect(d, "rfb.result=accepted");
        assert_int_equal(d->events[EVENT_rfb], 1);
        drive_free(d);
    }
}

/* Type 30: a generator, a length, a prime and a key that long; then the result. */
static void apples_login_is_answered(void **state) {
    (void)state;
    static const char server[] = "\x01\x1e"
                                 "\0\2\0\x08"
                                 "primeprimkeykeyk"
                                 "\0\0\0\1\0\0\0\2no";
    for (size_t cut = 3; cut < sizeof server - 1; cut++) {
        struct drive *d = rfb_drive();
        SAY(d, TO_CLIENT, "RFB 003.889\n");
        SAY(d, TO_SERVER, "RFB 003.889\n");
        say(d, TO_CLIENT, server, 2);
        SAY(d, TO_SERVER, "\x1e");
        say(d, TO_CLIENT, server + 2, cut - 2);
        say(d, TO_CLIENT, server + cut, sizeof server - 1 - cut);
        drive_expect(d, "rfb.security_type=30");
        drive_expect(d, "rfb.result=refused");
        drive_expect(d, "rfb.reason=no");
        drive_free(d);
    }
}

/* Section 7.1.3 and appendix A: of "none" only 3.8 tells a result, and the older side decides. */
static void the_older_version_counts(void **state) {
    (void)state;
    for (int new = 0; new < 2; new ++) {
        struct drive *d = rfb_drive();
        SAY(d, TO_CLIENT, "RFB 003.008\n");
        say(d, TO_SERVER, new ? "RFB 003.008\n" : "RFB 003.007\n", 12);
        SAY(d, TO_CLIENT, "\x01\x01");
        SAY(d, TO_SERVER, "\x01\x01");
        SAY(d, TO_CLIENT, "\0\0\0\0\x04\x00\x03\x00");
        drive_expect(d, "rfb.security=none");
        assert_int_equal(drive_has(d, "rfb.result=accepted"), new);
        assert_false(drive_has(d, "rfb.result=refused"));
        drive_free(d);
    }
}

/* A server that speaks 3.8 to a client that took 3.3, of which the capture has nothing. */
static void the_servers_side_alone(void **state) {
    (void)state;
    struct drive *d = rfb_drive();
    SAY(d, TO_CLIENT, "RFB 003.008\n");
    SAY(d, TO_CLIENT,
        "\0\0\0\2"
        "0123456789abcdef"
        "\0\0\0\0");
    drive_close(d);
    drive_expect(d, "rfb.security=vnc");
    drive_expect(d, "rfb.result=accepted");
    drive_free(d);
}

static void what_is_none(void **state) {
    (void)state;
    struct drive *d = rfb_drive();
    SAY(d, TO_CLIENT, "RFB 3.8 is a fine protocol\n");
    drive_close(d);
    assert_int_equal(d->events[EVENT_rfb], 0);
    drive_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_password_that_is_right),     cmocka_unit_test(a_password_that_is_wrong),
        cmocka_unit_test(a_mac_is_told_by_its_version), cmocka_unit_test(in_3_3_the_server_decides),
        cmocka_unit_test(a_server_that_refuses_all),    cmocka_unit_test(cut_anywhere_it_says_the_same),
        cmocka_unit_test(apples_login_is_answered),     cmocka_unit_test(the_older_version_counts),
        cmocka_unit_test(the_servers_side_alone),       cmocka_unit_test(what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
