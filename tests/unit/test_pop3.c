/* POP3: logins, answers of several lines, STLS. The conversation is after RFC 1939 section 10. */
#include "drive_text.h"

static struct drive *pop3(const struct said *said, uint32_t count) {
    return drive_talk(&protocol_pop3, EVENT_pop3, 110, said, count);
}

static const struct said session[] = {
    {TO_CLIENT, "+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n", 0},
    {TO_SERVER, "CAPA\r\n", 0},
    {TO_CLIENT, "+OK list follows\r\nUSER\r\nSASL PLAIN\r\n+OK\r\n.\r\n", 0},
    {TO_SERVER, "USER mrose\r\nPASS secret\r\n", 0},
    {TO_CLIENT, "+OK name is valid\r\n-ERR [AUTH] wrong\r\n", 0},
    {TO_SERVER, "APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n", 0},
    {TO_CLIENT, "+OK mrose's maildrop has 2 messages (320 octets)\r\n", 0},
    {TO_SERVER, "RETR 1\r\n", 0},
    {TO_CLIENT, "+OK 120 octets\r\n-ERR in the message\r\n..\r\n.\r\n", 0},
    {TO_SERVER, "QUIT\r\n", 0},
    {TO_CLIENT, "+OK bye\r\n", 0},
};

static void each_login_is_told(void **state) {
    (void)state;
    struct drive *d = pop3(session, COUNT(session));
    assert_int_equal(d->events[EVENT_pop3], 2);
    drive_expect(d, "pop3.banner=POP3 server ready <1896.697170952@dbc.mtview.ca.us>");
    drive_expect(d, "pop3.mechanism=USER");
    drive_expect(d, "pop3.user=mrose");
    drive_expect(d, "pop3.status=err");
    drive_expect(d, "pop3.status_text=[AUTH] wrong");
    drive_expect(d, "pop3.mechanism=APOP");
    drive_expect(d, "pop3.status=ok");
    drive_expect_none(d, "secret");
    drive_expect_none(d, "c4c933");
    drive_free(d);
}

static void passwords_are_in_no_record(void **state) {
    (void)state;
    const struct said said[] = {{TO_CLIENT, "+OK hi\r\n", 0},
                                {TO_SERVER, "USER mrose\r\nPASS secret\r\n", 0},
                                {TO_CLIENT, "+OK\r\n+OK\r\n", 0}};
    drive_expect_hidden(&protocol_pop3, EVENT_pop3, 110, said, COUNT(said), "secret");
}

static void sasl_names_its_user(void **state) {
    (void)state;
    /* RFC 2195: the user is "tim"; the digest behind it is not told. */
    const struct said said[] = {
        {TO_CLIENT, "+OK ready\r\n", 0},
        {TO_SERVER, "AUTH CRAM-MD5\r\n", 0},
        {TO_CLIENT, "+ PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n", 0},
        {TO_SERVER, "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n", 0},
        {TO_CLIENT, "+OK CRAM authentication successful\r\n", 0},
    };
    struct drive *d = pop3(said, COUNT(said));
    assert_int_equal(d->events[EVENT_pop3], 1);
    drive_expect(d, "pop3.mechanism=CRAM-MD5");
    drive_expect(d, "pop3.user=tim");
    drive_expect_none(d, "b913a6");
    drive_free(d);
}

static const struct said upgrade[] = {
    {TO_CLIENT, "+OK lavad\r\n", 0},
    {TO_SERVER, "STLS\r\n", 0},
    {TO_CLIENT, "+OK Ready to start TLS negotiation.\r\n", 0},
    {TO_SERVER, DRIVE_HELLO "client", 12},
    {TO_CLIENT, DRIVE_HELLO "server", 12},
};

static void stls_hands_both_sides_over(void **state) {
    (void)state;
    struct drive *d = pop3(upgrade, COUNT(upgrade));
    drive_expect(d, "pop3.starttls=1");
    assert_int_equal(d->events[EVENT_pop3], 1);
    assert_string_equal(inner.carrier, "pop3");
    assert_int_equal(inner.length[TO_SERVER], 12);
    assert_int_equal(inner.length[TO_CLIENT], 12);
    drive_free(d);
}

static void redis_is_no_mail(void **state) {
    (void)state;
    const struct protocol *p = &protocol_pop3;
    const struct said redis[] = {{TO_SERVER, "*1\r\n$4\r\nPING\r\n", 0}, {TO_CLIENT, "+OK\r\n", 0}};
    struct drive *d = drive_play(p, EVENT_pop3, 6379, redis, 2, 0);
    assert_int_equal(d->events[EVENT_pop3], 0);
    drive_free(d);
    assert_int_equal(drive_ask(p, TO_CLIENT, 6379, "+OK\r\n"), RECOGNISED_MAYBE);
    assert_int_equal(drive_ask(p, TO_CLIENT, 110, "+OK\r\n"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_CLIENT, 110, "+OKAY"), RECOGNISED_NO);
    assert_int_equal(drive_ask(p, TO_SERVER, 110, "GET / HTTP/1.0\r\n"), RECOGNISED_NO);
    const struct said other[] = {{TO_CLIENT, "+OK hi\r\n", 0}, {TO_SERVER, "CAPA\r\n", 0}};
    d = drive_play(p, EVENT_pop3, 1110, other, 2, 0);
    assert_int_equal(d->events[EVENT_pop3], 1);
    drive_free(d);
}

static void noise_does_no_harm(void **state) {
    (void)state;
    drive_noise(&protocol_pop3, EVENT_pop3, 110, session, COUNT(session));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_login_is_told),         cmocka_unit_test(sasl_names_its_user),
        cmocka_unit_test(stls_hands_both_sides_over), cmocka_unit_test(redis_is_no_mail),
        cmocka_unit_test(noise_does_no_harm),         cmocka_unit_test(passwords_are_in_no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
