/* Kerberos: messages in DER as RFC 4120 section 5 lays them down, built here; cut anywhere, with lengths that
 * lie, over UDP, over TCP, from one side alone and around gaps. */
#include "drive_protocol.h"

#include "protocol/protocols.h"

enum { ROOM = 4096 };
struct der {
    uint8_t bytes[ROOM];
    size_t length;
};

/* The element with that tag around `content`. */
static struct der wrap(uint8_t tag, struct der content) {
    struct der out = {.length = 0};
    out.bytes[out.length++] = tag;
    if (content.length >= 128) {
        out.bytes[out.length++] = 0x82;
        out.bytes[out.length++] = (uint8_t)(content.length >> 8);
    }
    out.bytes[out.length++] = (uint8_t)content.length;
    assert_true(out.length + content.length <= ROOM);
    memcpy(out.bytes + out.length, content.bytes, content.length);
    out.length += content.length;
    return out;
}

static struct der join(struct der a, struct der b) {
    assert_true(a.length + b.length <= ROOM);
    memcpy(a.bytes + a.length, b.bytes, b.length);
    a.length += b.length;
    return a;
}

static struct der number(uint8_t value) {
    return wrap(2, (struct der){{value}, 1});
}

static struct der text(uint8_t tag, const char *value) {
    struct der out = {.length = strlen(value)};
    memcpy(out.bytes, value, out.length);
    return wrap(tag, out);
}

static struct der field(uint8_t at, struct der content) {
    return wrap((uint8_t)(0xa0 + at), content);
}

static struct der principal(const char *first, const char *second) {
    struct der names = text(0x1b, first);
    if (second) names = join(names, text(0x1b, second));
    return wrap(0x30, join(field(0, number(2)), field(1, wrap(0x30, names))));
}

static struct der encrypted(uint8_t type, size_t size) {
    struct der bytes = {.length = size};
    memset(bytes.bytes, 0x5a, size);
    return wrap(0x30, join(field(0, number(type)), field(2, wrap(4, bytes))));
}

static struct der ticket(const char *first, const char *second, uint8_t type, size_t size) {
    struct der t = join(field(0, number(5)), field(1, text(0x1b, "EXAMPLE.ORG")));
    return wrap(
        0x61, wrap(0x30, join(join(t, field(2, principal(first, second))), field(3, encrypted(type, size)))));
}

static struct der request(uint8_t kind, const char *client, const char *first, const char *second,
                          uint8_t type) {
    struct der body = field(0, wrap(3, (struct der){{0, 0x40, 0x81, 0, 0x10}, 5}));
    if (client) body = join(body, field(1, principal(client, NULL)));
    body = join(body, field(2, text(0x1b, "EXAMPLE.ORG")));
    body = join(body, field(3, principal(first, second)));
    body = join(body, field(5, text(0x18, "20300101000000Z")));
    body = join(body, field(8, wrap(0x30, join(number(type), number(23)))));
    struct der message = join(field(1, number(5)), field(2, number(kind)));
    return wrap((uint8_t)(0x60 + kind), wrap(0x30, join(message, field(4, wrap(0x30, body)))));
}

static struct der reply(uint8_t kind, const char *first, const char *second, uint8_t type) {
    struct der m = join(field(0, number(5)), field(1, number(kind)));
    m = join(join(m, field(3, text(0x1b, "EXAMPLE.ORG"))), field(4, principal("anna", NULL)));
    m = join(join(m, field(5, ticket(first, second, type, 200))), field(6, encrypted(18, 100)));
    return wrap((uint8_t)(0x60 + kind), wrap(0x30, m));
}

static struct der failure(uint8_t code) {
    struct der m = join(field(0, number(5)), field(1, number(30)));
    m = join(join(m, field(4, text(0x18, "20240101000000Z"))), field(5, number(0)));
    m = join(join(m, field(6, number(code))), field(9, text(0x1b, "EXAMPLE.ORG")));
    return wrap(0x7e, wrap(0x30, join(m, field(10, principal("krbtgt", "EXAMPLE.ORG")))));
}

/* With the length that goes before it over TCP. */
static struct der framed(struct der message) {
    struct der length = {{0, 0, (uint8_t)(message.length >> 8), (uint8_t)message.length}, 4};
    return join(length, message);
}

static struct drive *over(uint8_t proto) {
    struct drive *d = drive_new(&protocol_krb5, EVENT_krb5);
    d->proto = proto;
    d->server_port = 88;
    if (proto == 6) drive_open(d);
    return d;
}

static void say(struct drive *d, enum direction direction, struct der message) {
    drive_send(d, direction, message.bytes, message.length);
}

static void a_ticket_for_a_service(void **state) {
    (void)state;
    struct drive *d = over(17);
    say(d, TO_SERVER, request(12, NULL, "cifs", "files.example.org", 18));
    assert_int_equal(d->events[EVENT_krb5], 0);
    say(d, TO_CLIENT, reply(13, "cifs", "files.example.org", 23));
    drive_expect(d, "krb5.request=TGS-REQ");
    drive_expect(d, "krb5.answer=TGS-REP");
    drive_expect(d, "krb5.realm=EXAMPLE.ORG");
    drive_expect(d, "krb5.client=anna");
    drive_expect(d, "krb5.service=cifs/files.example.org");
    drive_expect(d, "krb5.encryption=rc4-hmac");
    drive_expect(d, "krb5.weak=1");
    drive_expect(d, "krb5.offered=aes256-cts-hmac-sha1-96");
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

static void a_login_that_fails(void **state) {
    (void)state;
    struct drive *d = over(17);
    say(d, TO_SERVER, request(10, "anna", "krbtgt", "EXAMPLE.ORG", 18));
    say(d, TO_CLIENT, failure(24));
    drive_expect(d, "krb5.request=AS-REQ");
    drive_expect(d, "krb5.answer=ERROR");
    drive_expect(d, "krb5.error=24");
    drive_expect(d, "krb5.client=anna");
    assert_false(drive_has(d, "krb5.weak=1"));
    drive_free(d);
}

/* A question sent again is one; another question is another. */
static void what_nobody_answered(void **state) {
    (void)state;
    struct drive *d = over(17);
    say(d, TO_SERVER, request(12, NULL, "http", "a.example.org", 23));
    say(d, TO_SERVER, request(12, NULL, "http", "a.example.org", 23));
    say(d, TO_SERVER, request(12, NULL, "http", "b.example.org", 23));
    drive_close(d);
    assert_int_equal(d->events[EVENT_krb5], 2);
    drive_expect(d, "krb5.service=http/a.example.org");
    drive_expect(d, "krb5.service=http/b.example.org");
    assert_null(strstr(d->text, "krb5.answer"));
    drive_free(d);
}

static void the_servers_side_alone(void **state) {
    (void)state;
    struct drive *d = over(17);
    say(d, TO_CLIENT, reply(11, "krbtgt", "EXAMPLE.ORG", 17));
    drive_expect(d, "krb5.answer=AS-REP");
    drive_expect(d, "krb5.service=krbtgt/EXAMPLE.ORG");
    assert_null(strstr(d->text, "krb5.request"));
    drive_free(d);
}

/* An AP-REQ has a ticket's encryption, and offers none. */
static void a_ticket_that_is_shown(void **state) {
    (void)state;
    struct drive *d = over(17);
    struct der m = join(join(field(0, number(5)), field(1, number(14))),
                        field(2, wrap(3, (struct der){{0, 0, 0, 0, 0}, 5})));
    m = join(join(m, field(3, ticket("host", "mac.example.org", 18, 50))), field(4, encrypted(18, 50)));
    say(d, TO_SERVER, wrap(0x6e, wrap(0x30, m)));
    drive_close(d);
    drive_expect(d, "krb5.request=AP-REQ");
    drive_expect(d, "krb5.service=host/mac.example.org");
    assert_null(strstr(d->text, "krb5.offered"));
    drive_free(d);
}

static void over_tcp_cut_anywhere(void **state) {
    (void)state;
    struct der up = framed(request(12, NULL, "cifs", "files.example.org", 18));
    struct der down = join(framed(failure(7)), framed(reply(13, "cifs", "files.example.org", 18)));
    size_t most = up.length > down.length ? up.length : down.length;
    for (size_t cut = 1; cut < most; cut++) {
        struct drive *d = over(6);
        size_t first = cut < up.length ? cut : up.length, second = cut < down.length ? cut : down.length;
        drive_send(d, TO_SERVER, up.bytes, first);
        if (first < up.length) drive_send(d, TO_SERVER, up.bytes + first, up.length - first);
        drive_send(d, TO_CLIENT, down.bytes, second);
        if (second < down.length) drive_send(d, TO_CLIENT, down.bytes + second, down.length - second);
        drive_expect(d, "krb5.error=7");
        drive_expect(d, "krb5.answer=TGS-REP");
        assert_int_equal(d->events[EVENT_krb5], 2);
        assert_int_equal(d->events[EVENT_anomaly], 0);
        drive_free(d);
    }
}

/* What the capture lacks of one record does not hide the next. */
static void behind_a_gap(void **state) {
    (void)state;
    struct der login = framed(request(10, "anna", "krbtgt", "EXAMPLE.ORG", 18)),
               answer = framed(reply(11, "krbtgt", "EXAMPLE.ORG", 18));
    struct drive *d = over(6);
    say(d, TO_SERVER, login);
    drive_send(d, TO_CLIENT, answer.bytes, 40);
    d->next_seq[TO_CLIENT] += 100;
    drive_send(d, TO_CLIENT, answer.bytes + 140, answer.length - 140);
    say(d, TO_SERVER, framed(request(12, NULL, "cifs", "files.example.org", 18)));
    say(d, TO_CLIENT, framed(reply(13, "cifs", "files.example.org", 18)));
    drive_close(d);
    drive_expect(d, "krb5.answer=TGS-REP");
    assert_int_equal(d->events[EVENT_krb5], 2);
    assert_false(drive_has(d, "anomaly.name=bad_length"));
    drive_free(d);
}

/* Each byte another: it may say less, or other things, and must not read outside. */
static void lengths_that_lie(void **state) {
    (void)state;
    static const uint8_t values[] = {0, 0x7f, 0x80, 0x84, 0x85, 0xff};
    struct der good[] = {request(10, "anna", "krbtgt", "EXAMPLE.ORG", 18),
                         reply(13, "cifs", "files.example.org", 18), failure(6)};
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++)
        for (size_t at = 0; at < good[i].length; at++) {
            struct drive *d = over(17);
            for (unsigned v = 0; v < sizeof values; v++) {
                struct der bad = good[i];
                bad.bytes[at] = values[v];
                say(d, TO_SERVER, good[0]);
                say(d, TO_CLIENT, bad);
            }
            drive_close(d);
            drive_free(d);
        }
}

static void cut_datagrams(void **state) {
    (void)state;
    struct der answer = reply(13, "cifs", "files.example.org", 18);
    for (size_t length = 0; length < answer.length; length++) {
        struct drive *d = over(17);
        say(d, TO_SERVER, request(12, NULL, "cifs", "files.example.org", 18));
        drive_send(d, TO_CLIENT, answer.bytes, length);
        drive_close(d);
        assert_in_range(d->events[EVENT_krb5], 1, 1);
        drive_expect(d, "krb5.service=cifs/files.example.org");
        drive_free(d);
    }
}

/* LDAP is BER too; SNMP's first bytes are a sequence; and version 4 is none of ours. */
static void what_is_none(void **state) {
    (void)state;
    struct der others[] = {wrap(0x30, join(number(1), text(4, "public"))),
                           wrap(0x60, join(number(3), text(4, "cn=anna"))),
                           wrap(0x6a, wrap(0x30, join(field(1, number(4)), field(2, number(10)))))};
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++) {
        struct drive *d = over(17);
        say(d, TO_SERVER, others[i]);
        drive_close(d);
        assert_int_equal(d->events[EVENT_krb5], 0);
        assert_int_equal(d->events[EVENT_anomaly], 0);
        drive_free(d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_for_a_service), cmocka_unit_test(a_login_that_fails),
        cmocka_unit_test(what_nobody_answered),   cmocka_unit_test(the_servers_side_alone),
        cmocka_unit_test(a_ticket_that_is_shown), cmocka_unit_test(over_tcp_cut_anywhere),
        cmocka_unit_test(behind_a_gap),           cmocka_unit_test(lengths_that_lie),
        cmocka_unit_test(cut_datagrams),          cmocka_unit_test(what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
