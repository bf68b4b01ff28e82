/* IRC: registrations, channels, counts. Messages are after RFC 2812. */
#include "drive_text.h"

static struct drive *irc(const struct said *said, uint32_t count) {
    return drive_talk(&protocol_irc, EVENT_irc, 6667, said, count);
}

static const struct said session[] = {
    {TO_SERVER, "PASS secretpasswordhere\r\nNICK Wiz\r\nUSER guest 0 * :Ronnie Reagan\r\n", 0},
    {TO_CLIENT, ":irc.example.org NOTICE * :*** Looking up your hostname\r\n", 0},
    {TO_CLIENT, ":irc.example.org 433 * Wiz :Nickname is already in use\r\n", 0},
    {TO_SERVER, "NICK Wiz_\r\n", 0},
    {TO_CLIENT, ":irc.example.org 001 Wiz_ :Welcome\r\n:irc.example.org 376 Wiz_ :End\r\n", 0},
    {TO_SERVER, "JOIN #foo,&bar fubar,foobar\r\nJOIN #foo\r\nPRIVMSG #foo :the plan is on\r\n", 0},
    {TO_CLIENT, ":Angel!wings@irc.org PRIVMSG Wiz_ :Are you receiving this?\r\n", 0},
    {TO_SERVER, "QUIT :gone\r\n", 0},
    {TO_CLIENT, "ERROR :Closing link\r\n", 0},
};

static void a_session_is_told_in_its_steps(void **state) {
    (void)state;
    struct drive *d = irc(session, COUNT(session));
    assert_int_equal(d->events[EVENT_irc], 5); /* refused, welcome, two joins, end */
    drive_expect(d, "irc.type=refused");
    drive_expect(d, "irc.status=433");
    drive_expect(d, "irc.type=welcome");
    drive_expect(d, "irc.nick=Wiz_");
    drive_expect(d, "irc.user=guest");
    drive_expect(d, "irc.real_name=Ronnie Reagan");
    drive_expect(d, "irc.server=irc.example.org");
    drive_expect(d, "irc.password=1");
    drive_expect(d, "irc.type=join");
    drive_expect(d, "irc.channels=#foo,&bar");
    drive_expect(d, "irc.type=end");
    drive_expect(d, "irc.sent=1");
    drive_expect(d, "irc.received=1");
    drive_expect_none(d, "secret");
    drive_expect_none(d, "fubar");
    drive_expect_none(d, "plan");
    drive_free(d);
}

static void starttls_hands_both_sides_over(void **state) {
    (void)state;
    const struct said said[] = {
        {TO_SERVER, "CAP LS 302\r\n", 0},
        {TO_CLIENT, ":irc.example.org CAP * LS :tls\r\n", 0},
        {TO_SERVER, "STARTTLS\r\n", 0},
        {TO_CLIENT, ":irc.example.org 670 * :STARTTLS successful\r\n", 0},
        {TO_SERVER, DRIVE_HELLO "client", 12},
    };
    struct drive *d = irc(said, COUNT(said));
    assert_int_equal(d->events[EVENT_irc], 1);
    drive_expect(d, "irc.type=starttls");
    assert_string_equal(inner.carrier, "irc");
    assert_int_equal(inner.length[TO_SERVER], 12);
    drive_free(d);
}

static void content_tells(void **state) {
    (void)state;
    const struct protocol *p = &protocol_irc;
    assert_int_equal(drive_ask(p, TO_SERVER, 8000, "NICK Wiz\r\n"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_SERVER, 8000, "USER guest 0 * :Ronnie\r\n"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_SERVER, 21, "USER guest\r\n"), RECOGNISED_NO);
    assert_int_equal(drive_ask(p, TO_SERVER, 110, "PASS x\r\n"), RECOGNISED_MAYBE);
    assert_int_equal(drive_ask(p, TO_SERVER, 8000, "PASS x\r\nNICK a\r\n"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_SERVER, 8000, "PASS x\r\nLIST\r\n"), RECOGNISED_NO);
    assert_int_equal(drive_ask(p, TO_SERVER, 6667, "GET / HTTP/1.1\r\n"), RECOGNISED_NO);
    assert_int_equal(drive_ask(p, TO_CLIENT, 8000, ":irc.example.org 001 a :hi\r\n"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_CLIENT, 6667, "PING :a\r\n"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_CLIENT, 8000, "PING :a\r\n"), RECOGNISED_NO);
}

static void noise_does_no_harm(void **state) {
    (void)state;
    drive_noise(&protocol_irc, EVENT_irc, 6667, session, COUNT(session));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_told_in_its_steps),
        cmocka_unit_test(starttls_hands_both_sides_over),
        cmocka_unit_test(content_tells),
        cmocka_unit_test(noise_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
