/* FTP: logins, transfers and where their data flows, AUTH TLS. After RFC 959, RFC 2428 and RFC 4217. */
#include "drive_text.h"

static struct drive *ftp(const struct said *said, uint32_t count) {
    return drive_talk(&protocol_ftp, EVENT_ftp, 21, said, count);
}

static const struct said session[] = {
    {TO_CLIENT, "220-Welcome\r\n  220 is our number\r\n220 to FTP\r\n", 0},
    {TO_SERVER, "USER anna\r\n", 0},
    {TO_CLIENT, "331 User name okay, need password\r\n", 0},
    {TO_SERVER, "PASS hunter2\r\n", 0},
    {TO_CLIENT, "230 User logged in\r\n", 0},
    {TO_SERVER, "PASV\r\n", 0},
    {TO_CLIENT, "227 Entering Passive Mode (192,0,2,7,4,1)\r\n", 0},
    {TO_SERVER, "RETR /pub/a file.zip\r\n", 0},
    {TO_CLIENT, "150 Opening\r\n226 Transfer complete\r\n", 0},
    {TO_SERVER, "PORT 198,51,100,9,200,10\r\nSTOR loot.tgz\r\n", 0},
    {TO_CLIENT, "200 ok\r\n553 not allowed\r\n", 0},
    {TO_SERVER, "EPRT |2|2001:db8::7|5282|\r\nNLST\r\n", 0},
    {TO_CLIENT, "200 ok\r\n226 done\r\n", 0},
    {TO_SERVER, "EPSV\r\nAPPE more\r\n", 0},
    {TO_CLIENT, "229 Entering Extended Passive Mode (|||6446|)\r\n226 done\r\n", 0},
    {TO_SERVER, "SITE PSWD old new\r\nDELE gone\r\n", 0},
    {TO_CLIENT, "500 no\r\n250 ok\r\n", 0},
};

/* Found by fuzzing: the text of an earlier reply was taken for a banner when its bytes were long gone. */
static void a_line_that_is_no_reply_says_nothing(void **state) {
    (void)state;
    static const struct said odd[] = {
        {TO_SERVER, "USER anna\r\n", 0},      {TO_CLIENT, "220 hello\r\n", 0},
        {TO_CLIENT, "nothing of FTP\r\n", 0}, {TO_SERVER, "RETR loot\r\n", 0},
        {TO_CLIENT, "226 done\r\n", 0},
    };
    struct drive *d = ftp(odd, COUNT(odd));
    drive_expect(d, "ftp.command=RETR");
    assert_null(strstr(d->text, "ftp.banner"));
    drive_free(d);
}

static void logins_and_transfers_are_told(void **state) {
    (void)state;
    struct drive *d = ftp(session, COUNT(session));
    assert_int_equal(d->events[EVENT_ftp], 7);
    drive_expect(d, "ftp.banner=Welcome");
    drive_expect(d, "ftp.user=anna");
    drive_expect(d, "ftp.command=PASS");
    drive_expect(d, "ftp.password=1");
    drive_expect(d, "ftp.status=230");
    drive_expect(d, "ftp.command=RETR");
    drive_expect(d, "ftp.argument=/pub/a file.zip");
    drive_expect(d, "ftp.status=226");
    drive_expect(d, "ftp.mode=passive");
    drive_expect(d, "ftp.data_ip=192.0.2.7");
    drive_expect(d, "ftp.data_port=1025");
    drive_expect(d, "ftp.argument=loot.tgz");
    drive_expect(d, "ftp.status=553");
    drive_expect(d, "ftp.mode=active");
    drive_expect(d, "ftp.data_ip=198.51.100.9");
    drive_expect(d, "ftp.data_port=51210");
    drive_expect(d, "ftp.data_ip=2001:db8::7");
    drive_expect(d, "ftp.data_port=5282");
    drive_expect(d, "ftp.data_port=6446");
    drive_expect(d, "ftp.command=DELE");
    drive_expect_none(d, "hunter2");
    drive_expect_none(d, "old new");
    drive_free(d);
}

static const struct said upgrade[] = {
    {TO_CLIENT, "220 FTP\r\n", 0},
    {TO_SERVER, "AUTH TLS\r\n", 0},
    {TO_CLIENT, "234 Proceed with negotiation.\r\n", 0},
    {TO_SERVER, DRIVE_HELLO "client", 12},
    {TO_CLIENT, DRIVE_HELLO "server", 12},
};

static void auth_hands_both_sides_over(void **state) {
    (void)state;
    struct drive *d = ftp(upgrade, COUNT(upgrade));
    drive_expect(d, "ftp.starttls=1");
    drive_expect(d, "ftp.command=AUTH");
    drive_expect(d, "ftp.argument=TLS");
    assert_int_equal(d->events[EVENT_ftp], 1);
    assert_string_equal(inner.carrier, "ftp");
    assert_int_equal(inner.length[TO_SERVER], 12);
    assert_int_equal(inner.length[TO_CLIENT], 12);
    drive_free(d);
}

static void a_session_without_commands_is_one_event(void **state) {
    (void)state;
    struct drive *d = ftp(upgrade, 1);
    assert_int_equal(d->events[EVENT_ftp], 1);
    drive_expect(d, "ftp.banner=FTP");
    drive_free(d);
}

static void both_sides_and_the_port_decide(void **state) {
    (void)state;
    const struct protocol *p = &protocol_ftp;
    assert_int_equal(drive_ask(p, TO_CLIENT, 2121, "220 (vsFTPd 3.0.3)\r\n"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_CLIENT, 21, "220 hello\r\n"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_CLIENT, 2121, "220 hello\r\n"), RECOGNISED_MAYBE);
    assert_int_equal(drive_ask(p, TO_CLIENT, 21, "220 mx ESMTP\r\n"), RECOGNISED_NO);
    assert_int_equal(drive_ask(p, TO_SERVER, 110, "USER a\r\n"), RECOGNISED_MAYBE);
    assert_int_equal(drive_ask(p, TO_SERVER, 21, "USER a\r\n"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_SERVER, 21, "GET / HTTP/1.1\r\n"), RECOGNISED_NO);
    const struct said said[] = {{TO_CLIENT, "220 welcome\r\n", 0}, {TO_SERVER, "USER a\r\n", 0}};
    struct drive *d = drive_play(p, EVENT_ftp, 2121, said, 2, 0);
    drive_expect(d, "ftp.user=a");
    drive_free(d);
    const struct said pop3[] = {{TO_CLIENT, "+OK welcome\r\n", 0}, {TO_SERVER, "USER a\r\n", 0}};
    d = drive_play(p, EVENT_ftp, 2110, pop3, 2, 0);
    assert_int_equal(d->events[EVENT_ftp], 0);
    drive_free(d);
}

static void noise_does_no_harm(void **state) {
    (void)state;
    drive_noise(&protocol_ftp, EVENT_ftp, 21, session, COUNT(session));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_that_is_no_reply_says_nothing),
        cmocka_unit_test(logins_and_transfers_are_told),
        cmocka_unit_test(auth_hands_both_sides_over),
        cmocka_unit_test(a_session_without_commands_is_one_event),
        cmocka_unit_test(both_sides_and_the_port_decide),
        cmocka_unit_test(noise_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
