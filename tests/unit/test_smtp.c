/* SMTP: envelopes, logins, STARTTLS and what is told of them. Conversations are after RFC 5321 appendix D. */
#include "drive_text.h"

static struct drive *smtp(const struct said *said, uint32_t count) {
    return drive_talk(&protocol_smtp, EVENT_smtp, 25, said, count);
}

static const struct said typical[] = {
    {TO_CLIENT, "220-foo.com Simple Mail Transfer Service Ready\r\n220 foo.com at your service\r\n", 0},
    {TO_SERVER, "EHLO bar.com\r\n", 0},
    {TO_CLIENT, "250-foo.com greets bar.com\r\n250-8BITMIME\r\n250-SIZE\r\n250 HELP\r\n", 0},
    {TO_SERVER, "MAIL FROM:<Smith@bar.com> SIZE=45\r\n", 0},
    {TO_CLIENT, "250 OK\r\n", 0},
    {TO_SERVER,
     "RCPT TO:<Jones@foo.com>\r\nRCPT TO:<Green@foo.com>\r\nrcpt to:<@relay.example:Brown@foo.com>\r\n", 0},
    {TO_CLIENT, "250 OK\r\n550 No such user here\r\n250 OK\r\n", 0},
    {TO_SERVER, "DATA\r\n", 0},
    {TO_CLIENT, "354 Start mail input; end with <CRLF>.<CRLF>\r\n", 0},
    {TO_SERVER, "Blah blah blah...\r\n..etc.\r\nQUIT\r\n.\r\n", 0},
    {TO_CLIENT, "250 2.0.0 queued as 12345\r\n", 0},
    {TO_SERVER, "QUIT\r\n", 0},
    {TO_CLIENT, "221 foo.com Service closing transmission channel\r\n", 0},
};

static void a_mail_is_told_by_its_envelope(void **state) {
    (void)state;
    struct drive *d = smtp(typical, COUNT(typical));
    assert_int_equal(d->events[EVENT_smtp], 1);
    drive_expect(d, "smtp.banner=foo.com Simple Mail Transfer Service Ready");
    drive_expect(d, "smtp.helo=bar.com");
    drive_expect(d, "smtp.mail_from=Smith@bar.com");
    drive_expect(d, "smtp.rcpt_to=Jones@foo.com,Green@foo.com,Brown@foo.com");
    drive_expect(d, "smtp.recipients=3");
    drive_expect(d, "smtp.refused=1");
    char line[32];
    snprintf(line, sizeof line, "smtp.size=%zu", strlen("Blah blah blah...\r\n..etc.\r\nQUIT\r\n"));
    drive_expect(d, line);
    drive_expect(d, "smtp.status=250");
    drive_expect(d, "smtp.status_text=2.0.0 queued as 12345");
    drive_free(d);
}

static void each_mail_of_a_session_is_one(void **state) {
    (void)state;
    const struct said said[] = {
        {TO_CLIENT, "220 foo.com ESMTP\r\n", 0},
        {TO_SERVER, "HELO bar.com\r\nMAIL FROM:<>\r\nRCPT TO:<a@foo.com>\r\nDATA\r\n", 0},
        {TO_CLIENT, "250 foo.com\r\n250 ok\r\n250 ok\r\n354 go on\r\n", 0},
        {TO_SERVER, ".\r\n", 0},
        {TO_CLIENT, "554 no valid recipients\r\n", 0},
        {TO_SERVER, "MAIL FROM:<b@bar.com>\r\nRCPT TO:<c@foo.com>\r\n", 0},
        {TO_CLIENT, "250 ok\r\n250 ok\r\n", 0},
        {TO_SERVER, "BDAT 7\r\nDATA\r\n\rBDAT 5 LAST\r\n.\r\n\r\n", 0},
        {TO_CLIENT, "250 7 octets\r\n250 message ok\r\n", 0},
    };
    struct drive *d = smtp(said, COUNT(said));
    assert_int_equal(d->events[EVENT_smtp], 2);
    drive_expect(d, "smtp.mail_from=");
    drive_expect(d, "smtp.status=554");
    drive_expect(d, "smtp.mail_from=b@bar.com");
    drive_expect(d, "smtp.size=12");
    drive_expect(d, "smtp.status_text=message ok");
    drive_expect(d, "smtp.depth=1");
    drive_free(d);
}

static void a_login_is_told_without_its_secret(void **state) {
    (void)state;
    /* RFC 4616: "tim", "tanstaaftanstaaf"; and LOGIN with the same. */
    const struct said said[] = {
        {TO_CLIENT, "220 smtp.example.com ESMTP server ready\r\n", 0},
        {TO_SERVER, "EHLO jgm.example.com\r\n", 0},
        {TO_CLIENT, "250-smtp.example.com\r\n250 AUTH CRAM-MD5 DIGEST-MD5 PLAIN\r\n", 0},
        {TO_SERVER, "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n", 0},
        {TO_CLIENT, "535 5.7.8 Authentication credentials invalid\r\n", 0},
        {TO_SERVER, "AUTH LOGIN\r\n", 0},
        {TO_CLIENT, "334 VXNlcm5hbWU6\r\n", 0},
        {TO_SERVER, "dGlt\r\n", 0},
        {TO_CLIENT, "334 UGFzc3dvcmQ6\r\n", 0},
        {TO_SERVER, "dGFuc3RhYWZ0YW5zdGFhZg==\r\n", 0},
        {TO_CLIENT, "235 2.7.0 Authentication successful\r\n", 0},
        {TO_SERVER, "MAIL FROM:<tim@example.com>\r\n", 0},
        {TO_CLIENT, "250 ok\r\n", 0},
    };
    struct drive *d = smtp(said, COUNT(said));
    assert_int_equal(d->events[EVENT_smtp], 2);
    drive_expect(d, "smtp.mechanism=PLAIN");
    drive_expect(d, "smtp.auth_status=535");
    drive_expect(d, "smtp.mechanism=LOGIN");
    drive_expect(d, "smtp.auth_status=235");
    drive_expect(d, "smtp.user=tim");
    drive_expect(d, "smtp.password=1");
    drive_expect(d, "smtp.mail_from=tim@example.com");
    drive_expect_none(d, "tanstaaf");
    drive_expect_none(d, "dGFuc3");
    drive_free(d);
}

static const struct said upgrade[] = {
    {TO_CLIENT, "220 mail.example.com ESMTP\r\n", 0},
    {TO_SERVER, "EHLO mac.local\r\n", 0},
    {TO_CLIENT, "250-mail.example.com\r\n250 STARTTLS\r\n", 0},
    {TO_SERVER, "STARTTLS\r\n", 0},
    {TO_CLIENT, "220 2.0.0 Ready to start TLS\r\n", 0},
    {TO_SERVER, DRIVE_HELLO "client", 12},
    {TO_CLIENT, DRIVE_HELLO "server", 12},
};

static void starttls_hands_both_sides_over(void **state) {
    (void)state;
    struct drive *d = smtp(upgrade, COUNT(upgrade));
    assert_int_equal(d->events[EVENT_smtp], 1);
    drive_expect(d, "smtp.starttls=1");
    drive_expect(d, "smtp.helo=mac.local");
    assert_string_equal(inner.carrier, "smtp");
    assert_int_equal(inner.length[TO_SERVER], 12);
    assert_memory_equal(inner.bytes[TO_SERVER], DRIVE_HELLO "client", 12);
    assert_memory_equal(inner.bytes[TO_CLIENT], DRIVE_HELLO "server", 12);
    drive_free(d);
}

/* A capture may show the client's hello before the answer that let it come, or only one side. */
static void the_order_of_the_capture_does_not_matter(void **state) {
    (void)state;
    struct said said[COUNT(upgrade)];
    memcpy(said, upgrade, sizeof upgrade);
    said[4] = upgrade[5];
    said[5] = upgrade[4];
    struct drive *d = smtp(said, COUNT(said));
    drive_expect(d, "smtp.starttls=1");
    assert_int_equal(inner.length[TO_SERVER], 12);
    assert_int_equal(inner.length[TO_CLIENT], 12);
    drive_free(d);
    const struct said client[] = {upgrade[1], upgrade[3], upgrade[5]};
    d = smtp(client, COUNT(client));
    drive_expect(d, "smtp.starttls=1");
    assert_int_equal(inner.length[TO_SERVER], 12);
    drive_free(d);
    const struct said server[] = {upgrade[0], upgrade[2], upgrade[4], upgrade[6]};
    d = smtp(server, COUNT(server));
    drive_expect(d, "smtp.starttls=1");
    assert_int_equal(inner.length[TO_CLIENT], 12);
    drive_free(d);
}

/* What was sent behind the request at once waits for the answer, not for more. */
static void a_refused_starttls_hides_nothing(void **state) {
    (void)state;
    const struct said said[] = {
        {TO_CLIENT, "220 foo.com ESMTP\r\n", 0},
        {TO_SERVER,
         "EHLO bar.com\r\nSTARTTLS\r\nMAIL FROM:<a@bar.com>\r\nSTARTTLS\r\nRCPT TO:<b@foo.com>\r\nDATA\r\n",
         0},
        {TO_CLIENT, "250 foo.com\r\n454 no\r\n250 ok\r\n503 not now\r\n550 nobody here\r\n554 no\r\n", 0},
    };
    struct drive *d = smtp(said, COUNT(said));
    assert_int_equal(d->events[EVENT_smtp], 1);
    drive_expect(d, "smtp.mail_from=a@bar.com");
    drive_expect(d, "smtp.rcpt_to=b@foo.com");
    drive_expect(d, "smtp.refused=1");
    drive_expect(d, "smtp.status=554");
    drive_free(d);
}

static void a_refused_starttls_changes_nothing(void **state) {
    (void)state;
    const struct said said[] = {
        upgrade[0], upgrade[1], upgrade[2], upgrade[3], {TO_CLIENT, "454 TLS not available\r\n", 0},
        typical[3], typical[4],
    };
    struct drive *d = smtp(said, COUNT(said));
    drive_expect(d, "smtp.mail_from=Smith@bar.com");
    drive_expect_none(d, "starttls");
    assert_int_equal(inner.length[TO_SERVER], 0);
    drive_free(d);
}

static void long_lines_are_passed_over(void **state) {
    (void)state;
    char *line = malloc(40002);
    assert_non_null(line);
    memset(line, 'x', 40000);
    memcpy(line + 40000, "\r\n", 2);
    struct drive *d = drive_new(&protocol_smtp, EVENT_smtp);
    d->server_port = 25;
    drive_open(d);
    drive_say(d, &upgrade[0], 0);
    drive_send(d, TO_SERVER, line, 20000);
    drive_send(d, TO_SERVER, line + 20000, 20002);
    drive_say(d, &upgrade[1], 0);
    drive_close(d);
    drive_expect(d, "anomaly.name=line_too_long");
    drive_expect(d, "smtp.helo=mac.local");
    drive_free(d);
    free(line);
}

static void what_is_missing_is_survived(void **state) {
    (void)state;
    struct drive *d = drive_new(&protocol_smtp, EVENT_smtp);
    d->server_port = 25;
    drive_open(d);
    for (unsigned i = 0; i < 9; i++) drive_say(d, &typical[i], 0);
    d->next_seq[TO_SERVER] += 500; /* a part of the message */
    drive_say(d, &typical[9], 0);
    drive_packet(d, TO_CLIENT, TCP_ACK, NULL, 0, 0); /* which the server got */
    drive_say(d, &typical[10], 0);
    drive_close(d);
    drive_expect(d, "smtp.mail_from=Smith@bar.com");
    char line[32];
    snprintf(line, sizeof line, "smtp.size=%zu", 500 + strlen("Blah blah blah...\r\n..etc.\r\nQUIT\r\n"));
    drive_expect(d, line);
    drive_free(d);
}

static void both_sides_and_the_port_decide(void **state) {
    (void)state;
    const struct protocol *p = &protocol_smtp;
    assert_int_equal(drive_ask(p, TO_CLIENT, 2525, "220 mx ESMTP ready\r\n"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_CLIENT, 25, "220 mx ready\r\n"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_CLIENT, 2525, "220 ready\r\n"), RECOGNISED_MAYBE);
    assert_int_equal(drive_ask(p, TO_CLIENT, 25, "220 ProFTPD Server\r\n"), RECOGNISED_NO);
    assert_int_equal(drive_ask(p, TO_CLIENT, 25, "HTTP/1.1 200 OK\r\n"), RECOGNISED_NO);
    assert_int_equal(drive_ask(p, TO_SERVER, 25, "GET / HTTP/1.1\r\n"), RECOGNISED_NO);
    assert_int_equal(drive_ask(p, TO_SERVER, 2525, "EHLO x.example\r\n"), RECOGNISED_MAYBE);
    assert_int_equal(drive_ask(p, TO_SERVER, 2525, "MAIL FROM:<a@b>\r\n"), RECOGNISED_YES);
    assert_int_equal(drive_ask(p, TO_SERVER, 25, "\x16\x03\x01"), RECOGNISED_NO);
    const struct said quiet[] = {{TO_CLIENT, "220 welcome\r\n", 0}, {TO_SERVER, "EHLO a.example\r\n", 0}};
    struct drive *d = drive_play(p, EVENT_smtp, 2525, quiet, 2, 0);
    drive_expect(d, "smtp.helo=a.example");
    drive_free(d);
    const struct said ftp[] = {{TO_CLIENT, "220 welcome\r\n", 0}, {TO_SERVER, "USER a\r\n", 0}};
    d = drive_play(p, EVENT_smtp, 2525, ftp, 2, 0);
    assert_int_equal(d->events[EVENT_smtp], 0);
    drive_free(d);
}

static void noise_does_no_harm(void **state) {
    (void)state;
    drive_noise(&protocol_smtp, EVENT_smtp, 25, typical, COUNT(typical));
    drive_noise(&protocol_smtp, EVENT_smtp, 25, upgrade, COUNT(upgrade));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mail_is_told_by_its_envelope),
        cmocka_unit_test(each_mail_of_a_session_is_one),
        cmocka_unit_test(a_login_is_told_without_its_secret),
        cmocka_unit_test(starttls_hands_both_sides_over),
        cmocka_unit_test(the_order_of_the_capture_does_not_matter),
        cmocka_unit_test(a_refused_starttls_changes_nothing),
        cmocka_unit_test(a_refused_starttls_hides_nothing),
        cmocka_unit_test(long_lines_are_passed_over),
        cmocka_unit_test(what_is_missing_is_survived),
        cmocka_unit_test(both_sides_and_the_port_decide),
        cmocka_unit_test(noise_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
