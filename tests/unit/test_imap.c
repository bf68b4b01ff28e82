/* IMAP: logins, literals, STARTTLS. Conversations are after RFC 9051 section 8 and RFC 3501. */
#include "drive_text.h"

static struct drive *imap(const struct said *said, uint32_t count) {
    return drive_talk(&protocol_imap, EVENT_imap, 143, said, count);
}

static const struct said session[] = {
    {TO_CLIENT, "* OK [CAPABILITY STARTTLS AUTH=SCRAM-SHA-256 IMAP4rev2] IMAP4rev2 Service Ready\r\n", 0},
    {TO_SERVER, "a000 ID (\"name\" \"Mac OS X Mail\" \"version\" \"16.0 (3774.600.62)\")\r\n", 0},
    {TO_CLIENT, "* ID NIL\r\na000 OK ID done\r\n", 0},
    {TO_SERVER, "a001 login \"mr\\\"c\" secret\r\n", 0},
    {TO_CLIENT, "a001 OK LOGIN completed\r\n", 0},
    {TO_SERVER, "a002 select inbox\r\n", 0},
    {TO_CLIENT, "* 18 EXISTS\r\na002 OK [READ-WRITE] SELECT completed\r\n", 0},
    {TO_SERVER, "a004 fetch 12 body[header]\r\n", 0},
    {TO_CLIENT,
     "* 12 FETCH (BODY[HEADER] {34}\r\na004 OK this is no answer\r\n* BYE \r\n)\r\na004 OK FETCH "
     "completed\r\n",
     0},
    {TO_SERVER, "a006 logout\r\n", 0},
    {TO_CLIENT, "* BYE IMAP4rev2 server terminating connection\r\na006 OK LOGOUT completed\r\n", 0},
};

static void a_login_is_told_without_its_secret(void **state) {
    (void)state;
    struct drive *d = imap(session, COUNT(session));
    assert_int_equal(d->events[EVENT_imap], 1);
    drive_expect(d, "imap.capabilities=STARTTLS AUTH=SCRAM-SHA-256 IMAP4rev2");
    drive_expect(d, "imap.client=(\"name\" \"Mac OS X Mail\" \"version\" \"16.0 (3774.600.62)\")");
    drive_expect(d, "imap.mechanism=LOGIN");
    drive_expect(d, "imap.user=mr\"c");
    drive_expect(d, "imap.password=1");
    drive_expect(d, "imap.status=ok");
    drive_expect(d, "imap.status_text=LOGIN completed");
    drive_expect_none(d, "secret");
    drive_free(d);
}

static void literals_are_counted(void **state) {
    (void)state;
    const struct said said[] = {
        {TO_CLIENT, "* OK IMAP4rev1\r\n", 0},
        {TO_SERVER, "A001 LOGIN {11}\r\n", 0},
        {TO_CLIENT, "+ Ready for additional command text\r\n", 0},
        {TO_SERVER, "FRED FOOBAR {7+}\r\nfat man\r\n", 0},
        {TO_CLIENT, "A001 NO LOGIN refused\r\n", 0},
        {TO_SERVER, "A002 APPEND saved {30+}\r\nA003 LOGIN not a-command \r\n...\r\n", 0},
        {TO_CLIENT, "A002 OK done\r\n", 0},
        {TO_SERVER, "A004 AUTHENTICATE PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n", 0},
        {TO_CLIENT, "A004 OK in\r\n", 0},
    };
    struct drive *d = imap(said, COUNT(said));
    assert_int_equal(d->events[EVENT_imap], 2);
    drive_expect(d, "imap.user=FRED FOOBAR");
    drive_expect(d, "imap.status=no");
    drive_expect(d, "imap.mechanism=PLAIN");
    drive_expect(d, "imap.user=tim");
    drive_expect_none(d, "fat man");
    drive_expect_none(d, "tanstaaf");
    drive_free(d);
}

static void a_login_in_steps_names_its_user(void **state) {
    (void)state;
    /* RFC 7677 section 3: SCRAM-SHA-256 of the user "user". */
    const struct said said[] = {
        {TO_CLIENT, "* OK IMAP4rev1\r\n", 0},
        {TO_SERVER, "1 AUTHENTICATE scram-sha-256\r\n", 0},
        {TO_CLIENT, "+ \r\n", 0},
        {TO_SERVER, "biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=\r\n", 0},
        {TO_CLIENT, "+ cj1yT3ByTkdmd0ViZVJXZ2JORWtxTyVodllEcFdVYTJSYVRDQWZ1eEZJbGopaE5s\r\n", 0},
        {TO_SERVER, "Yz1iaXdzLHI9ck9wck5H\r\n", 0},
        {TO_CLIENT, "1 OK welcome\r\n", 0},
    };
    struct drive *d = imap(said, COUNT(said));
    drive_expect(d, "imap.mechanism=SCRAM-SHA-256");
    drive_expect(d, "imap.user=user");
    drive_expect_none(d, "password");
    drive_free(d);
}

static const struct said upgrade[] = {
    {TO_CLIENT, "* OK ready\r\n", 0},
    {TO_SERVER, ". CAPABILITY\r\n", 0},
    {TO_CLIENT, "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n. OK done\r\n", 0},
    {TO_SERVER, ". STARTTLS\r\n", 0},
    {TO_CLIENT, ". OK Begin TLS negotiation now\r\n", 0},
    {TO_SERVER, DRIVE_HELLO "client", 12},
    {TO_CLIENT, DRIVE_HELLO "server", 12},
};

static void starttls_hands_both_sides_over(void **state) {
    (void)state;
    struct drive *d = imap(upgrade, COUNT(upgrade));
    assert_int_equal(d->events[EVENT_imap], 1);
    drive_expect(d, "imap.starttls=1");
    drive_expect(d, "imap.capabilities=IMAP4rev1 STARTTLS LOGINDISABLED");
    assert_string_equal(inner.carrier, "imap");
    assert_memory_equal(inner.bytes[TO_SERVER], DRIVE_HELLO "client", 12);
    assert_memory_equal(inner.bytes[TO_CLIENT], DRIVE_HELLO "server", 12);
    assert_int_equal(inner.length[TO_SERVER], 12);
    assert_int_equal(inner.length[TO_CLIENT], 12);
    drive_free(d);
}

static void content_and_port_tell(void **state) {
    (void)state;
    const struct protocol *p = &protocol_imap;
    assert_int_equal(drive_ask(p, TO_CLIENT, 1143, "* OK IMAP4rev1 ready\r\n"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_CLIENT, 143, "* OK hi\r\n"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_CLIENT, 1143, "* OK hi\r\n"), RECOGNISED_MAYBE);
    assert_int_equal(drive_ask(p, TO_SERVER, 1143, "a1 CAPABILITY\r\n"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_SERVER, 143, "GET / HTTP/1.1\r\n"), RECOGNISED_NO);
    assert_int_equal(drive_ask(p, TO_SERVER, 80, "GET LIST HTTP/1.1\r\n"), RECOGNISED_MAYBE);
    assert_int_equal(drive_ask(p, TO_CLIENT, 143, "HTTP/1.1 200 OK\r\n"), RECOGNISED_NO);
    assert_int_equal(drive_ask(p, TO_CLIENT, 143, "\x16\x03\x03 12"), RECOGNISED_NO);
}

static void noise_does_no_harm(void **state) {
    (void)state;
    drive_noise(&protocol_imap, EVENT_imap, 143, session, COUNT(session));
    drive_noise(&protocol_imap, EVENT_imap, 143, upgrade, COUNT(upgrade));
}

/* A name too long to be kept is passed over, and the password behind it is not taken for one. */
static void a_literal_that_is_no_user(void **state) {
    (void)state;
    char name[300 + 64];
    memset(name, 'n', 300);
    strcpy(name + 300, " {6+}\r\nsecret\r\n");
    const struct said said[] = {{TO_CLIENT, "* OK IMAP4rev1\r\n", 0},
                                {TO_SERVER, "A001 LOGIN {300+}\r\n", 0},
                                {TO_SERVER, name, 0},
                                {TO_CLIENT, "A001 OK in\r\n", 0}};
    struct drive *d = imap(said, COUNT(said));
    drive_expect(d, "imap.password=1");
    drive_expect_none(d, "secret");
    drive_free(d);
    drive_expect_hidden(&protocol_imap, EVENT_imap, 143, said, COUNT(said), "secret");
}

/* The server may send a literal of its own while the client's is awaited. */
static void literals_of_both_sides(void **state) {
    (void)state;
    const struct said said[] = {{TO_CLIENT, "* OK IMAP4rev1\r\n", 0},
                                {TO_SERVER, "A001 LOGIN {4}\r\n", 0},
                                {TO_CLIENT, "* 1 FETCH (BODY {20}\r\n01234567890123456789)\r\n", 0},
                                {TO_SERVER, "anna {6+}\r\nsecret\r\n", 0},
                                {TO_CLIENT, "A001 OK in\r\n", 0}};
    struct drive *d = imap(said, COUNT(said));
    drive_expect(d, "imap.user=anna");
    drive_expect(d, "imap.status=ok");
    drive_expect_none(d, "secret");
    drive_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_literal_that_is_no_user),
        cmocka_unit_test(literals_of_both_sides),
        cmocka_unit_test(a_login_is_told_without_its_secret),
        cmocka_unit_test(literals_are_counted),
        cmocka_unit_test(a_login_in_steps_names_its_user),
        cmocka_unit_test(starttls_hands_both_sides_over),
        cmocka_unit_test(content_and_port_tell),
        cmocka_unit_test(noise_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
