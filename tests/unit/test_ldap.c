/* LDAP: binds, StartTLS, searches. Messages are laid out by hand after RFC 4511. */
#include "drive_text.h"

#define DN  "cn=admin,dc=example" /* 19 bytes */
#define OID "1.3.6.1.4.1.1466.20037"

#define SAID(direction, bytes)                                                                               \
    { direction, bytes, sizeof(bytes) - 1 }

static const struct said session[] = {
    /* bind, version 3, simple: message 1 */
    SAID(TO_SERVER, "\x30\x24\x02\x01\x01\x60\x1f\x02\x01\x03\x04\x13" DN "\x80\x05"
                    "pa55!"),
    /* invalidCredentials, with the length in the long form that Windows likes */
    SAID(TO_CLIENT, "\x30\x84\x00\x00\x00\x0f\x02\x01\x01\x61\x0a\x0a\x01\x31\x04\x00\x04\x03"
                    "bad"),
    /* bind, SASL GSS-SPNEGO, in two rounds */
    SAID(TO_SERVER, "\x30\x1d\x02\x01\x02\x60\x18\x02\x01\x03\x04\x00\xa3\x11\x04\x0aGSS-SPNEGO\x04\x03NTL"),
    SAID(TO_CLIENT, "\x30\x0c\x02\x01\x02\x61\x07\x0a\x01\x0e\x04\x00\x04\x00"),
    SAID(TO_SERVER, "\x30\x1d\x02\x01\x03\x60\x18\x02\x01\x03\x04\x00\xa3\x11\x04\x0aGSS-SPNEGO\x04\x03XYZ"),
    SAID(TO_CLIENT, "\x30\x0c\x02\x01\x03\x61\x07\x0a\x01\x00\x04\x00\x04\x00"),
    /* search of dc=example, below, never deref, no limits, (objectClass=*) */
    SAID(TO_SERVER, "\x30\x2f\x02\x01\x04\x63\x2a\x04\x0a"
                    "dc=example"
                    "\x0a\x01\x02\x0a\x01\x00\x02\x01\x00\x02\x01\x00"
                    "\x01\x01\x00\x87\x0bobjectClass\x30\x00"),
    SAID(TO_CLIENT, "\x30\x1c\x02\x01\x04\x64\x17\x04\x13" DN "\x30\x00"
                    "\x30\x0c\x02\x01\x04\x65\x07\x0a\x01\x00\x04\x00\x04\x00"),
};

static struct drive *ldap(const struct said *said, uint32_t count) {
    return drive_talk(&protocol_ldap, EVENT_ldap, 389, said, count);
}

static void binds_and_searches_are_told(void **state) {
    (void)state;
    struct drive *d = ldap(session, 6);
    assert_int_equal(d->events[EVENT_ldap], 2);
    drive_expect(d, "ldap.version=3");
    drive_expect(d, "ldap.name=" DN);
    drive_expect(d, "ldap.method=simple");
    drive_expect(d, "ldap.password=1");
    drive_expect(d, "ldap.result=49");
    drive_expect(d, "ldap.message=bad");
    drive_expect(d, "ldap.method=sasl");
    drive_expect(d, "ldap.mechanism=GSS-SPNEGO");
    drive_expect_none(d, "pa55");
    drive_expect_hidden(&protocol_ldap, EVENT_ldap, 389, session, 6, "pa55");
    drive_expect_none(d, "result=14");
    drive_free(d);
    d = ldap(session + 6, 2);
    assert_int_equal(d->events[EVENT_ldap], 1);
    drive_expect(d, "ldap.type=end");
    drive_expect(d, "ldap.bases=dc=example");
    drive_expect(d, "ldap.searches=1");
    drive_expect(d, "ldap.entries=1");
    drive_free(d);
}

static const struct said upgrade[] = {
    SAID(TO_SERVER, "\x30\x1d\x02\x01\x01\x77\x18\x80\x16" OID),
    SAID(TO_CLIENT, "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"),
    SAID(TO_SERVER, DRIVE_HELLO "client"),
    SAID(TO_CLIENT, DRIVE_HELLO "server"),
};

static void starttls_hands_both_sides_over(void **state) {
    (void)state;
    struct drive *d = ldap(upgrade, COUNT(upgrade));
    assert_int_equal(d->events[EVENT_ldap], 1);
    drive_expect(d, "ldap.type=starttls");
    drive_expect(d, "ldap.answered=1");
    assert_string_equal(inner.carrier, "ldap");
    assert_int_equal(inner.length[TO_SERVER], 12);
    assert_int_equal(inner.length[TO_CLIENT], 12);
    drive_free(d);
    struct said said[] = {upgrade[0],
                          SAID(TO_CLIENT, "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00"),
                          session[0], session[1]};
    d = ldap(said, COUNT(said)); /* unavailable */
    drive_expect(d, "ldap.result=52");
    drive_expect(d, "ldap.type=bind");
    assert_int_equal(inner.length[TO_SERVER], 0);
    drive_free(d);
}

/* An entry of half a megabyte in small segments: what follows it is still read. */
static void large_messages_are_not_kept(void **state) {
    (void)state;
    enum { SIZE = 500000 };
    static uint8_t big[SIZE + 5] = {
        0x30, 0x83, SIZE >> 16,       SIZE >> 8 & 255,       SIZE & 255,       0x02, 0x01, 0x04,
        0x64, 0x83, (SIZE - 8) >> 16, (SIZE - 8) >> 8 & 255, (SIZE - 8) & 255, 0x04, 0x00};
    struct drive *d = drive_new(&protocol_ldap, EVENT_ldap);
    d->server_port = 389;
    drive_open(d);
    drive_say(d, &session[6], 0);
    for (uint32_t at = 0; at < SIZE + 5; at += 1400)
        drive_send(d, TO_CLIENT, big + at, SIZE + 5 - at < 1400 ? SIZE + 5 - at : 1400);
    assert_true(flow_room_counters(d->room)->memory < 32 * 1024 * 1024);
    drive_say(d, &session[7], 0);
    drive_close(d);
    drive_expect(d, "ldap.entries=2");
    drive_expect_none(d, "anomaly");
    drive_free(d);
}

static enum recognised asks(enum direction direction, uint16_t port, const struct said *said) {
    struct probe probe = {.data = (const uint8_t *)said->bytes,
                          .length = said->length,
                          .direction = direction,
                          .transport = TRANSPORT_TCP,
                          .server_port = port};
    return protocol_ldap.recognise(&probe);
}

static void content_tells(void **state) {
    (void)state;
    for (unsigned i = 0; i < COUNT(session); i++)
        assert_int_equal(asks(session[i].direction, 1389, &session[i]), RECOGNISED_YES);
    const struct said snmp = SAID(TO_SERVER, "\x30\x0c\x02\x01\x00\x04\x06public\xa0\x00");
    assert_int_equal(asks(TO_SERVER, 1389, &snmp), RECOGNISED_NO);
    const struct said http = SAID(TO_SERVER, "GET / HTTP/1.1\r\n");
    assert_int_equal(asks(TO_SERVER, 1389, &http), RECOGNISED_NO);
}

static void noise_does_no_harm(void **state) {
    (void)state;
    drive_noise(&protocol_ldap, EVENT_ldap, 389, session, COUNT(session));
    drive_noise(&protocol_ldap, EVENT_ldap, 389, upgrade, COUNT(upgrade));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binds_and_searches_are_told), cmocka_unit_test(starttls_hands_both_sides_over),
        cmocka_unit_test(large_messages_are_not_kept), cmocka_unit_test(content_tells),
        cmocka_unit_test(noise_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
