/* XMPP: streams, logins, STARTTLS. Conversations are after RFC 6120 section 9. */
#include "drive_text.h"

static struct drive *xmpp(const struct said *said, uint32_t count) {
    return drive_talk(&protocol_xmpp, EVENT_xmpp, 5222, said, count);
}

static const struct said session[] = {
    {TO_SERVER,
     "<?xml version='1.0'?><stream:stream from='juliet@im.example.com' to='IM.example.com' version='1.0' "
     "xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
     0},
    {TO_CLIENT,
     "<?xml version='1.0'?><stream:stream from='im.example.com' id='t7AMCin9zjMNwQKDnplntZPIDEI=' "
     "to='juliet@im.example.com' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
     "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism>"
     "</mechanisms></stream:features>",
     0},
    /* "juliet", "r0m30myr0m30" */
    {TO_SERVER,
     "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldAByMG0zMG15cjBtMzA=</auth>",
     0},
    {TO_CLIENT, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", 0},
    {TO_SERVER, "<iq id='yhc13a95' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", 0},
    {TO_CLIENT,
     "<iq id='yhc13a95' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
     "<jid>juliet@im.example.com/balcony</jid></bind></iq>",
     0},
    {TO_SERVER, "<message to='romeo@example.net'><body>O Romeo > Romeo</body></message>", 0},
};

static void a_login_is_told_without_its_secret(void **state) {
    (void)state;
    struct drive *d = xmpp(session, COUNT(session));
    assert_int_equal(d->events[EVENT_xmpp], 1);
    drive_expect(d, "xmpp.kind=client");
    drive_expect(d, "xmpp.to=im.example.com");
    drive_expect(d, "xmpp.from=juliet@im.example.com");
    drive_expect(d, "xmpp.server=im.example.com");
    drive_expect(d, "xmpp.mechanism=PLAIN");
    drive_expect(d, "xmpp.user=juliet");
    drive_expect(d, "xmpp.password=1");
    drive_expect(d, "xmpp.status=success");
    drive_expect(d, "xmpp.jid=juliet@im.example.com/balcony");
    drive_expect_none(d, "r0m30");
    drive_expect_none(d, "Romeo");
    drive_free(d);
}

static void a_refused_login_is_told(void **state) {
    (void)state;
    const struct said said[] = {session[0],
                                session[1],
                                session[2],
                                {TO_CLIENT, "<failure><not-authorized/></failure></stream:stream>", 0}};
    struct drive *d = xmpp(said, COUNT(said));
    assert_int_equal(d->events[EVENT_xmpp], 1);
    drive_expect(d, "xmpp.status=failure");
    drive_expect(d, "xmpp.user=juliet");
    drive_free(d);
}

static void the_old_login_is_known(void **state) {
    (void)state;
    const struct said said[] = {
        session[0],
        {TO_SERVER,
         "<iq type='set' id='auth2'><query xmlns='jabber:iq:auth'><username>bill</username>"
         "<password>Calli0pe</password><resource>globe</resource></query></iq>",
         0},
    };
    struct drive *d = xmpp(said, COUNT(said));
    drive_expect(d, "xmpp.mechanism=jabber:iq:auth");
    drive_expect(d, "xmpp.user=bill");
    drive_expect(d, "xmpp.password=1");
    drive_expect_none(d, "Calli0pe");
    drive_free(d);
}

static const struct said upgrade[] = {
    {TO_SERVER, "<stream:stream to=\"im.example.com\" xmlns=\"jabber:server\" a='>'>", 0},
    {TO_CLIENT, "<stream:stream from='im.example.com'><stream:features><starttls/></stream:features>", 0},
    {TO_SERVER, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", 0},
    {TO_CLIENT, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", 0},
    {TO_SERVER, DRIVE_HELLO "client", 12},
    {TO_CLIENT, DRIVE_HELLO "server", 12},
};

static void starttls_hands_both_sides_over(void **state) {
    (void)state;
    struct drive *d = xmpp(upgrade, COUNT(upgrade));
    assert_int_equal(d->events[EVENT_xmpp], 1);
    drive_expect(d, "xmpp.kind=server");
    drive_expect(d, "xmpp.to=im.example.com");
    drive_expect(d, "xmpp.starttls=1");
    assert_string_equal(inner.carrier, "xmpp");
    assert_int_equal(inner.length[TO_SERVER], 12);
    assert_int_equal(inner.length[TO_CLIENT], 12);
    assert_memory_equal(inner.bytes[TO_SERVER], DRIVE_HELLO "client", 12);
    drive_free(d);
}

static void content_tells(void **state) {
    (void)state;
    const struct protocol *p = &protocol_xmpp;
    assert_int_equal(drive_ask(p, TO_SERVER, 80, "<?xml version='1.0'?>\n<stream:stream to='a'>"),
                     RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_SERVER, 80, "<?xml version='1.0'?>"), RECOGNISED_MAYBE);
    assert_int_equal(drive_ask(p, TO_SERVER, 80, "<?xml version='1.0'?><html>"), RECOGNISED_NO);
    assert_int_equal(drive_ask(p, TO_SERVER, 80, "<presence/>"), RECOGNISED_NO);
    assert_int_equal(drive_ask(p, TO_SERVER, 5222, "<presence/>"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_SERVER, 5223, "\x16\x03\x01"), RECOGNISED_NO);
}

static void noise_does_no_harm(void **state) {
    (void)state;
    drive_noise(&protocol_xmpp, EVENT_xmpp, 5222, session, COUNT(session));
    drive_noise(&protocol_xmpp, EVENT_xmpp, 5222, upgrade, COUNT(upgrade));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_login_is_told_without_its_secret),
        cmocka_unit_test(a_refused_login_is_told),
        cmocka_unit_test(the_old_login_is_known),
        cmocka_unit_test(starttls_hands_both_sides_over),
        cmocka_unit_test(content_tells),
        cmocka_unit_test(noise_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
