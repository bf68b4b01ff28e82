/* SMB: messages built after [MS-SMB2] section 2.2 and [MS-NLMP] section 2.2.1.3; cut anywhere, compounded,
 * around gaps, with lengths that lie, and begun in version 1. */
#include "drive_protocol.h"

#include "protocol/protocols.h"

enum { ROOM = 2048, RESPONSE = 1 };
#define MORE_PROCESSING 0xc0000016u
#define PENDING         0x103u
#define DENIED          0xc0000022u

struct message {
    uint8_t bytes[ROOM];
    size_t length;
};

static void put(struct message *m, uint64_t value, unsigned size) {
    assert_true(m->length + size <= ROOM);
    for (unsigned i = 0; i < size; i++) m->bytes[m->length++] = (uint8_t)(value >> 8 * i);
}

static void put_text(struct message *m, const char *text) {
    for (; *text; text++) put(m, (uint8_t)*text, 2);
}

/* Section 2.2.1: the header, without NextCommand. */
static struct message header(uint16_t command, uint64_t id, uint32_t status, uint32_t flags) {
    struct message m = {.length = 0};
    put(&m, 0x424d53fe, 4);
    put(&m, 64, 2);
    put(&m, 0, 2);
    put(&m, status, 4);
    put(&m, command, 2);
    put(&m, 1, 2);
    put(&m, flags, 4);
    put(&m, 0, 4);
    put(&m, id, 8);
    m.length = 64; /* the rest is zero */
    return m;
}

static struct message negotiate(void) {
    struct message m = header(0, 0, 0, 0);
    put(&m, 36, 2);
    put(&m, 3, 2);
    put(&m, 1, 8);
    put(&m, 0, 8);
    put(&m, 0, 8);
    put(&m, 0, 8);
    put(&m, 0x0202, 2);
    put(&m, 0x0302, 2);
    put(&m, 0x0311, 2);
    return m;
}

static struct message negotiated(uint16_t dialect) {
    struct message m = header(0, 0, 0, RESPONSE);
    put(&m, 65, 2);
    put(&m, 3, 2);
    put(&m, dialect, 2);
    for (int i = 0; i < 59; i++) put(&m, 0, 1);
    return m;
}

/* NTLM's third message behind some bytes of SPNEGO. */
static struct message login(uint64_t id, const char *domain, const char *user, const char *host) {
    struct message m = header(1, id, 0, 0);
    const char *values[] = {domain, user, host};
    size_t spnego = 10, names = 88, total = spnego + names;
    for (int i = 0; i < 3; i++) total += 2 * strlen(values[i]);
    put(&m, 25, 2);
    put(&m, 0, 8);
    put(&m, 0, 2);
    put(&m, 88, 2);
    put(&m, total, 2);
    put(&m, 0, 8);
    for (size_t i = 0; i < spnego; i++) put(&m, 0xa1, 1);
    put(&m, 0x5053534d4c544e, 8); /* "NTLMSSP" and a zero */
    put(&m, 3, 4);
    put(&m, 0, 8);
    put(&m, 0, 8);
    size_t at = names;
    for (int i = 0; i < 3; i++) {
        size_t length = 2 * strlen(values[i]);
        put(&m, length, 2);
        put(&m, length, 2);
        put(&m, at, 4);
        at += length;
    }
    put(&m, 0, 8);
    put(&m, 0x62088215, 4);
    for (int i = 0; i < 24; i++) put(&m, 0, 1);
    for (int i = 0; i < 3; i++) put_text(&m, values[i]);
    return m;
}

static struct message logged_in(uint64_t id, uint32_t status) {
    struct message m = header(1, id, status, RESPONSE);
    put(&m, 9, 2);
    put(&m, 0, 6);
    return m;
}

static struct message tree(uint64_t id, const char *path) {
    struct message m = header(3, id, 0, 0);
    put(&m, 9, 2);
    put(&m, 0, 2);
    put(&m, 72, 2);
    put(&m, 2 * strlen(path), 2);
    put_text(&m, path);
    return m;
}

static struct message connected(uint64_t id, uint32_t status) {
    struct message m = header(3, id, status, RESPONSE);
    put(&m, status ? 9 : 16, 2);
    put(&m, status ? 0 : 2, 1); /* a pipe */
    put(&m, 0, 1);
    put(&m, 0, 8);
    put(&m, 0, 4);
    return m;
}

static struct message join(struct message a, struct message b) {
    assert_true(a.length + b.length <= ROOM);
    memcpy(a.bytes + a.length, b.bytes, b.length);
    a.length += b.length;
    return a;
}

static struct message framed(struct message m) {
    struct message out = {{0, 0, (uint8_t)(m.length >> 8), (uint8_t)m.length}, 4};
    return join(out, m);
}

static struct drive *smb_drive(uint16_t port) {
    struct drive *d = drive_new(&protocol_smb, EVENT_smb);
    d->server_port = port;
    drive_open(d);
    return d;
}

static void say(struct drive *d, enum direction direction, struct message m) {
    m = framed(m);
    drive_send(d, direction, m.bytes, m.length);
}

static void a_session(void **state) {
    (void)state;
    struct drive *d = smb_drive(445);
    say(d, TO_SERVER, negotiate());
    say(d, TO_CLIENT, negotiated(0x0311));
    drive_expect(d, "smb.command=negotiate");
    drive_expect(d, "smb.offered=2.0.2,3.0.2,3.1.1");
    drive_expect(d, "smb.dialect=3.1.1");
    drive_expect(d, "smb.signing_required=1");
    say(d, TO_SERVER, login(1, "CORP", "anna", "MAC"));
    say(d, TO_CLIENT, logged_in(1, 0));
    drive_expect(d, "smb.user=anna");
    drive_expect(d, "smb.domain=CORP");
    drive_expect(d, "smb.host=MAC");
    say(d, TO_SERVER, tree(2, "\\\\files\\IPC$"));
    say(d, TO_CLIENT, connected(2, 0));
    drive_expect(d, "smb.path=\\\\files\\IPC$");
    drive_expect(d, "smb.share=pipe");
    drive_clear(d);
    say(d, TO_SERVER, tree(3, "\\\\files\\C$"));
    say(d, TO_CLIENT, connected(3, DENIED));
    drive_expect(d, "smb.result=failure");
    drive_expect(d, "smb.status=3221225506");
    assert_null(strstr(d->text, "smb.share"));
    drive_close(d);
    assert_int_equal(d->events[EVENT_smb], 1);
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

/* Interim answers ([MS-SMB2] section 3.3.4.2) and the first leg of a login are no results. */
static void answers_that_are_none_yet(void **state) {
    (void)state;
    struct drive *d = smb_drive(445);
    say(d, TO_SERVER, tree(2, "\\\\files\\IPC$"));
    say(d, TO_CLIENT, connected(2, PENDING));
    say(d, TO_CLIENT, logged_in(1, MORE_PROCESSING));
    assert_int_equal(d->events[EVENT_smb], 0);
    say(d, TO_CLIENT, connected(2, 0));
    drive_expect(d, "smb.path=\\\\files\\IPC$");
    drive_free(d);
}

/* One login's names are not told of the next, which shows none. */
static void names_belong_to_their_login(void **state) {
    (void)state;
    struct drive *d = smb_drive(445);
    say(d, TO_SERVER, login(1, "CORP", "anna", "MAC"));
    say(d, TO_CLIENT, logged_in(1, 0));
    drive_clear(d);
    struct message other = header(1, 2, 0, 0);
    put(&other, 25, 2);
    for (int i = 0; i < 22; i++) put(&other, 0, 1);
    say(d, TO_SERVER, other);
    say(d, TO_CLIENT, logged_in(2, 0));
    assert_int_equal(d->events[EVENT_smb], 1);
    assert_null(strstr(d->text, "smb.user"));
    drive_free(d);
}

static void several_in_one(void **state) {
    (void)state;
    struct message first = tree(5, "\\\\files\\one"), both;
    while (first.length % 8) put(&first, 0, 1);
    first.bytes[20] = (uint8_t)first.length;
    both = join(first, tree(6, "\\\\files\\two"));
    struct drive *d = smb_drive(445);
    say(d, TO_SERVER, both);
    say(d, TO_CLIENT, connected(6, 0));
    say(d, TO_CLIENT, connected(5, 0));
    drive_expect(d, "smb.path=\\\\files\\one");
    drive_expect(d, "smb.path=\\\\files\\two");
    drive_free(d);
}

/* [MS-SMB2] section 3.3.5.3.1: asked in version 1, answered in version 2. */
static void begun_in_version_1(void **state) {
    (void)state;
    static const uint8_t ask[] =
        "\xffSMB\x72\0\0\0\0\x18\x53\xc8\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xfe\xff\0\0\0\0"
        "\0\x22\0\2NT LM 0.12\0\2SMB 2.002\0\2SMB 2.???";
    static const uint8_t answer[] =
        "\xffSMB\x72\0\0\0\0\x98\x53\xc8\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xfe\xff\0\0\0\0"
        "\x11\0\0\3\x32\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    struct message m = {.length = sizeof ask};
    memcpy(m.bytes, ask, sizeof ask);
    struct drive *d = smb_drive(445);
    say(d, TO_SERVER, m);
    say(d, TO_CLIENT, negotiated(0x02ff));
    drive_expect(d, "smb.dialect=2.?");
    drive_expect(d, "smb.offered=2.0.2,2.?");
    say(d, TO_SERVER, negotiate());
    say(d, TO_CLIENT, negotiated(0x0302));
    drive_expect(d, "smb.dialect=3.0.2");
    drive_close(d);
    assert_int_equal(d->events[EVENT_smb], 2);
    drive_free(d);
    d = smb_drive(445);
    say(d, TO_SERVER, m);
    m.length = sizeof answer;
    memcpy(m.bytes, answer, sizeof answer);
    say(d, TO_CLIENT, m);
    drive_expect(d, "smb.dialect=1");
    m.bytes[33] = m.bytes[34] = 0xff; /* none of those */
    drive_clear(d);
    say(d, TO_CLIENT, m);
    assert_false(drive_has(d, "smb.dialect=1"));
    drive_free(d);
}

/* RFC 1002 section 4.3: a session is asked for and granted; later it is kept alive. */
static void netbios_around_it(void **state) {
    (void)state;
    uint8_t ask[4 + 68] = {0x81, 0, 0, 68, 0x20};
    struct drive *d = smb_drive(139);
    drive_send(d, TO_SERVER, ask, sizeof ask);
    drive_send(d, TO_CLIENT, "\x82\0\0", 4);
    say(d, TO_SERVER, negotiate());
    drive_send(d, TO_SERVER, "\x85\0\0", 4);
    say(d, TO_CLIENT, negotiated(0x0202));
    drive_expect(d, "smb.dialect=2.0.2");
    drive_close(d);
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
    d = smb_drive(445); /* the capture begins in the middle */
    drive_send(d, TO_SERVER, "\x85\0\0", 4);
    say(d, TO_SERVER, tree(9, "\\\\files\\x"));
    say(d, TO_CLIENT, connected(9, 0));
    drive_expect(d, "smb.path=\\\\files\\x");
    drive_free(d);
}

/* [MS-SMB2] section 2.2.41: a share may be encrypted while others are not. */
static void encrypted_ones_between(void **state) {
    (void)state;
    struct message sealed = {.length = 120};
    memset(sealed.bytes, 0x77, 120);
    memcpy(sealed.bytes, "\xfdSMB", 4);
    struct drive *d = smb_drive(445);
    say(d, TO_SERVER, sealed);
    say(d, TO_CLIENT, sealed);
    say(d, TO_SERVER, tree(4, "\\\\files\\open"));
    say(d, TO_CLIENT, connected(4, 0));
    drive_expect(d, "smb.path=\\\\files\\open");
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

static void behind_a_gap(void **state) {
    (void)state;
    struct drive *d = smb_drive(445);
    say(d, TO_SERVER, negotiate());
    d->next_seq[TO_SERVER] += 333;
    drive_send(d, TO_SERVER, "the rest of a long write", 24);
    say(d, TO_SERVER, tree(8, "\\\\files\\after"));
    say(d, TO_CLIENT, connected(8, 0));
    drive_close(d);
    drive_expect(d, "smb.path=\\\\files\\after");
    drive_expect(d, "smb.result=success");
    drive_free(d);
}

static void one_side_alone(void **state) {
    (void)state;
    struct drive *d = smb_drive(445);
    say(d, TO_SERVER, negotiate());
    say(d, TO_SERVER, login(2, "CORP", "anna", "MAC"));
    say(d, TO_SERVER, tree(3, "\\\\files\\one"));
    drive_close(d);
    assert_int_equal(d->events[EVENT_smb], 3);
    drive_expect(d, "smb.offered=2.0.2,3.0.2,3.1.1");
    drive_expect(d, "smb.user=anna");
    drive_expect(d, "smb.path=\\\\files\\one");
    assert_null(strstr(d->text, "smb.result"));
    drive_free(d);
    d = smb_drive(445);
    say(d, TO_CLIENT, negotiated(0x0210));
    say(d, TO_CLIENT, connected(3, 0));
    drive_close(d);
    drive_expect(d, "smb.dialect=2.1");
    drive_expect(d, "smb.share=pipe");
    drive_free(d);
}

static void cut_anywhere(void **state) {
    (void)state;
    struct message up =
        join(framed(negotiate()), join(framed(login(1, "CORP", "anna", "MAC")), framed(tree(2, "\\\\f\\s"))));
    struct message down =
        join(framed(negotiated(0x0300)), join(framed(logged_in(1, 0)), framed(connected(2, 0))));
    for (size_t cut = 1; cut < up.length; cut++) {
        size_t there = cut < down.length ? cut : down.length - 1;
        struct drive *d = smb_drive(445);
        drive_send(d, TO_SERVER, up.bytes, cut);
        drive_send(d, TO_SERVER, up.bytes + cut, up.length - cut);
        drive_send(d, TO_CLIENT, down.bytes, there);
        drive_send(d, TO_CLIENT, down.bytes + there, down.length - there);
        drive_expect(d, "smb.dialect=3.0");
        drive_expect(d, "smb.user=anna");
        drive_expect(d, "smb.path=\\\\f\\s");
        assert_int_equal(d->events[EVENT_smb], 3);
        assert_int_equal(d->events[EVENT_anomaly], 0);
        drive_free(d);
    }
}

static void lengths_that_lie(void **state) {
    (void)state;
    struct message all[] = {negotiate(), login(1, "CORP", "anna", "MAC"), tree(2, "\\\\f\\s"),
                            negotiated(0x0300), connected(2, 0)};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        struct message good = framed(all[i]);
        for (size_t at = 0; at < good.length; at++)
            for (unsigned value = 0; value < 256; value += 85) {
                struct message bad = good;
                bad.bytes[at] = (uint8_t)value;
                struct drive *d = smb_drive(445);
                drive_send(d, i < 3 ? TO_SERVER : TO_CLIENT, bad.bytes, bad.length);
                drive_close(d);
                drive_free(d);
            }
    }
}

static void what_is_none(void **state) {
    (void)state;
    struct drive *d = smb_drive(445);
    drive_send(d, TO_SERVER, "\0\0\0\x20 not a message of any kind at all", 36);
    drive_close(d);
    assert_int_equal(d->events[EVENT_smb], 0);
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session),
        cmocka_unit_test(answers_that_are_none_yet),
        cmocka_unit_test(names_belong_to_their_login),
        cmocka_unit_test(several_in_one),
        cmocka_unit_test(begun_in_version_1),
        cmocka_unit_test(netbios_around_it),
        cmocka_unit_test(encrypted_ones_between),
        cmocka_unit_test(behind_a_gap),
        cmocka_unit_test(one_side_alone),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(lengths_that_lie),
        cmocka_unit_test(what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
