/* DNS: what is told of a message, how names teach the flows, and what must not be taken for DNS.
 *
 * Names are held against the example of RFC 1035 section 4.1.4, service bindings against the vectors of RFC
 * 9460 appendix D.2; other messages are put together here. */
#include "drive_protocol.h"

#include "protocol/dns_message.h"
#include "protocol/dns_name.h"
#include "protocol/dns_record.h"
#include "protocol/protocols.h"

/* ------------------------------------------------------------------ messages */

struct message {
    size_t length;
    uint8_t at[8192];
};

static void put(struct message *m, const void *bytes, size_t length) {
    assert_true(m->length + length <= sizeof m->at);
    if (length) memcpy(m->at + m->length, bytes, length);
    m->length += length;
}

static void put_u8(struct message *m, unsigned value) {
    put(m, &(uint8_t){(uint8_t)value}, 1);
}

static void put_u16(struct message *m, unsigned value) {
    put_u8(m, value >> 8);
    put_u8(m, value & 0xff);
}

static void put_u32(struct message *m, uint32_t value) {
    put_u16(m, value >> 16);
    put_u16(m, value & 0xffff);
}

static void put_hex(struct message *m, const char *hex) {
    for (; *hex; hex++) {
        unsigned value;
        if (*hex == ' ') continue;
        assert_int_equal(sscanf(hex, "%2x", &value), 1);
        put_u8(m, value);
        hex++;
    }
}

static void put_labels(struct message *m, const char *name) {
    while (*name) {
        size_t size = strcspn(name, ".");
        put_u8(m, (unsigned)size);
        put(m, name, size);
        name += size + (name[size] == '.');
    }
}

static void put_name(struct message *m, const char *name) {
    put_labels(m, name);
    put_u8(m, 0);
}

enum { QUERY = 0x0100, ANSWER = 0x8180, NXDOMAIN = 0x8183 };

static void put_header(struct message *m, unsigned id, unsigned flags, unsigned qd, unsigned an, unsigned ns,
                       unsigned ar) {
    unsigned words[] = {id, flags, qd, an, ns, ar};
    for (int i = 0; i < 6; i++) put_u16(m, words[i]);
}

static void put_question(struct message *m, const char *name, unsigned type) {
    put_name(m, name);
    put_u16(m, type);
    put_u16(m, 1);
}

/* A record up to its data's length; its owner is the question's name. */
static size_t record_begin(struct message *m, unsigned type, uint32_t ttl) {
    put_u16(m, 0xc00c);
    put_u16(m, type);
    put_u16(m, 1);
    put_u32(m, ttl);
    put_u16(m, 0);
    return m->length;
}

static void record_end(struct message *m, size_t begin) {
    m->at[begin - 2] = (uint8_t)((m->length - begin) >> 8);
    m->at[begin - 1] = (uint8_t)(m->length - begin);
}

static void put_record(struct message *m, unsigned type, uint32_t ttl, const void *data, size_t length) {
    size_t begin = record_begin(m, type, ttl);
    put(m, data, length);
    record_end(m, begin);
}

static void put_opt(struct message *m) {
    put_hex(m, "00 0029 1000 00008000 0000");
}

static struct message query(unsigned id, const char *name, unsigned type) {
    struct message m = {0};
    put_header(&m, id, QUERY, 1, 0, 0, 1);
    put_question(&m, name, type);
    put_opt(&m);
    return m;
}

/* CNAME, then two addresses, the first of which is the drive's server. */
static struct message answer(unsigned id, const char *name) {
    struct message m = {0};
    put_header(&m, id, ANSWER, 1, 3, 0, 1);
    put_question(&m, name, DNS_A);
    size_t begin = record_begin(&m, DNS_CNAME, 300);
    put_name(&m, "edge.Example.NET");
    record_end(&m, begin);
    put_record(&m, DNS_A, 60, (uint8_t[]){198, 51, 100, 1}, 4);
    put_record(&m, DNS_A, 90, (uint8_t[]){198, 51, 100, 2}, 4);
    put_opt(&m);
    return m;
}

static struct drive *udp_drive(void) {
    struct drive *d = drive_new(&protocol_dns, EVENT_dns);
    d->proto = 17;
    d->server_port = 53;
    return d;
}

static void send_message(struct drive *d, enum direction direction, const struct message *m) {
    drive_send(d, direction, m->at, m->length);
    batch_flush(d->batch);
}

/* Sends one answer of one record to a query of its type and returns what was told. */
static struct drive *answered_with(unsigned type, const void *data, size_t length) {
    struct drive *d = udp_drive();
    struct message m = {0};
    put_header(&m, 7, ANSWER, 1, 1, 0, 0);
    put_question(&m, "example.com", type);
    put_record(&m, type, 5, data, length);
    send_message(d, TO_CLIENT, &m);
    return d;
}

static void expect_record(unsigned type, const struct message *data, const char *line) {
    struct drive *d = answered_with(type, data->at, data->length);
    drive_expect(d, line);
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

/* --------------------------------------------------------------------- names */

static void names_follow_the_example_of_rfc_1035(void **state) {
    (void)state;
    struct message m = {0};
    while (m.length < 20) put_u8(&m, 0xee);
    put_name(&m, "F.ISI.ARPA");
    while (m.length < 40) put_u8(&m, 0xee);
    put_hex(&m, "03 464f4f c014");
    while (m.length < 64) put_u8(&m, 0xee);
    put_hex(&m, "c01a");
    while (m.length < 92) put_u8(&m, 0xee);
    put_u8(&m, 0);

    struct {
        uint32_t at, after;
        const char *text;
    } expected[] = {{20, 32, "f.isi.arpa"}, {40, 46, "foo.f.isi.arpa"}, {64, 66, "arpa"}, {92, 93, ""}};
    for (int i = 0; i < 4; i++) {
        struct dns_name name;
        uint32_t offset = expected[i].at;
        assert_int_equal(dns_name_read(m.at, (uint32_t)m.length, &offset, &name), DNS_NAME_OK);
        assert_int_equal(offset, expected[i].after);
        assert_int_equal(name.length, strlen(expected[i].text));
        assert_memory_equal(name.text, expected[i].text, name.length);
    }
}

static void expect_name(const char *hex, enum dns_name_status status, const char *text) {
    struct message m = {0};
    put_hex(&m, hex);
    struct dns_name name;
    uint32_t offset = 0;
    assert_int_equal(dns_name_read(m.at, (uint32_t)m.length, &offset, &name), status);
    if (!text) return;
    assert_int_equal(name.length, strlen(text));
    assert_memory_equal(name.text, text, name.length);
}

static void names_that_are_wrong_are_told_apart(void **state) {
    (void)state;
    expect_name("c000", DNS_NAME_FORWARD, NULL);
    expect_name("c004 0000 00", DNS_NAME_FORWARD, NULL);
    expect_name("0161 c000", DNS_NAME_LOOP, NULL);
    expect_name("0361", DNS_NAME_SHORT, NULL);
    expect_name("0161", DNS_NAME_SHORT, NULL);
    expect_name("0161c0", DNS_NAME_SHORT, NULL);
    expect_name("", DNS_NAME_SHORT, NULL);
    expect_name("4161 00", DNS_NAME_LABEL, NULL);
    expect_name("8161 00", DNS_NAME_LABEL, NULL);
    expect_name("03 412e20 02 5cff 00", DNS_NAME_OK, "a\\046\\032.\\092\\255");
}

static void the_longest_name_is_255_bytes(void **state) {
    (void)state;
    uint8_t wire[300];
    struct dns_name name;
    for (int last = 61; last <= 62; last++) {
        uint32_t at = 0, offset = 0;
        for (int label = 0; label < 4; label++) {
            int size = label == 3 ? last : 63;
            wire[at++] = (uint8_t)size;
            memset(wire + at, 0xff, (size_t)size);
            at += (uint32_t)size;
        }
        wire[at++] = 0;
        assert_int_equal(dns_name_read(wire, at, &offset, &name), last == 61 ? DNS_NAME_OK : DNS_NAME_LONG);
        if (last == 61) assert_int_equal(name.length, (63 * 3 + 61) * 4 + 3);
    }
}

/* ------------------------------------------------------------------- records */

static void service_bindings_follow_rfc_9460_appendix_d(void **state) {
    (void)state;
    struct {
        const char *rdata, *line;
    } vectors[] = {
        {"0000 03666f6f076578616d706c6503636f6d00", "dns.https=0 foo.example.com"},
        {"0001 00", "dns.https=1 ."},
        {"0010 03666f6f076578616d706c6503636f6d00 0003 0002 0035", "dns.https=16 foo.example.com port=53"},
        {"0001 03666f6f076578616d706c6503636f6d00 029b 0005 68656c6c6f",
         "dns.https=1 foo.example.com key667"},
        {"0001 03666f6f076578616d706c6503636f6d00 0006 0020 20010db8000000000000000000000001 "
         "20010db8000000000000000000530001",
         "dns.https=1 foo.example.com ipv6hint=2001:db8::1,2001:db8::53:1"},
        {"0010 03666f6f076578616d706c65036f726700 0000 0004 0001 0004 0001 0009 02 6832 05 68332d3139 0004 "
         "0004 "
         "c0000201",
         "dns.https=16 foo.example.org mandatory=alpn,ipv4hint alpn=h2,h3-19 ipv4hint=192.0.2.1"},
        {"0010 03666f6f076578616d706c65036f726700 0001 000c 08 665c6f6f2c626172 02 6832",
         "dns.https=16 foo.example.org alpn=f\\092oo\\044bar,h2"},
        {"0001 00 0001 0003 02 6832 0002 0000 0005 0004 deadbeef",
         "dns.https=1 . alpn=h2 no-default-alpn ech=present"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct message data = {0};
        put_hex(&data, vectors[i].rdata);
        expect_record(i % 2 ? DNS_HTTPS : DNS_SVCB, &data, vectors[i].line);
    }
}

static void other_records_are_written_as_people_write_them(void **state) {
    (void)state;
    struct message mx = {0}, srv = {0}, soa = {0}, txt = {0}, ptr = {0}, aaaa = {0}, null_mx = {0}, ns = {0};
    put_u16(&mx, 10);
    put_name(&mx, "Mail.Example.com");
    expect_record(DNS_MX, &mx, "dns.mx=10 mail.example.com");
    put_hex(&null_mx, "0000 00"); /* RFC 7505 */
    expect_record(DNS_MX, &null_mx, "dns.mx=0 .");
    put_hex(&srv, "0001 0005 01bb c00c");
    expect_record(DNS_SRV, &srv, "dns.srv=1 5 443 example.com");
    put_name(&soa, "ns.example.com");
    put_name(&soa, "host.example.com");
    for (uint32_t i = 1; i <= 5; i++) put_u32(&soa, i * 1000000);
    expect_record(DNS_SOA, &soa,
                  "dns.soa=ns.example.com host.example.com 1000000 2000000 3000000 4000000 5000000");
    put_hex(&txt, "03 763d73 00 04 70663120");
    expect_record(DNS_TXT, &txt, "dns.txt=v=spf1 ");
    put_name(&ptr, "mac.local");
    expect_record(DNS_PTR, &ptr, "dns.ptr=mac.local");
    put_name(&ns, "ns1.example.com");
    expect_record(DNS_NS, &ns, "dns.ns=ns1.example.com");
    put_hex(&aaaa, "20010db8000000000000000000000001");
    expect_record(DNS_AAAA, &aaaa, "dns.aaaa=2001:db8::1");
}

static void data_of_a_wrong_length_is_an_anomaly(void **state) {
    (void)state;
    struct {
        unsigned type;
        const char *data;
    } wrong[] = {{DNS_A, "c00002"},
                 {DNS_AAAA, "c0000201"},
                 {DNS_TXT, "05 6162"},
                 {DNS_SRV, "0001 00"},
                 {DNS_HTTPS, "0001 00 0001 0009 02"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct message data = {0};
        put_hex(&data, wrong[i].data);
        struct drive *d = answered_with(wrong[i].type, data.at, data.length);
        assert_int_equal(d->events[EVENT_dns], 1);
        assert_int_equal(d->events[EVENT_anomaly], 1);
        drive_free(d);
    }
}

/* ------------------------------------------------------------------ messages */

static void a_query_and_its_answer_are_told(void **state) {
    (void)state;
    struct drive *d = udp_drive();
    struct message ask = query(0x1234, "WWW.example.com", DNS_A), reply = answer(0x1234, "www.example.com");
    send_message(d, TO_SERVER, &ask);
    drive_expect(d, "dns.type=query");
    drive_expect(d, "dns.id=4660");
    drive_expect(d, "dns.rrname=www.example.com");
    drive_expect(d, "dns.rrtype=A");
    drive_expect(d, "dns.qtype=1");
    assert_null(strstr(d->text, "dns.rcode="));
    drive_clear(d);

    send_message(d, TO_CLIENT, &reply);
    drive_expect(d, "dns.type=answer");
    drive_expect(d, "dns.rcode=NOERROR");
    drive_expect(d, "dns.answer_count=3");
    drive_expect(d, "dns.ttl=60");
    drive_expect(d, "dns.a=198.51.100.1,198.51.100.2");
    drive_expect(d, "dns.cname=edge.example.net");
    drive_expect(d, "dns.rtt=0.001000"); /* the drive's clock: a millisecond a packet */
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

static void a_repeated_query_counts_from_its_first_time(void **state) {
    (void)state;
    struct drive *d = udp_drive();
    struct message ask = query(5, "example.com", DNS_A), other = query(6, "example.com", DNS_AAAA),
                   reply = answer(5, "example.com");
    send_message(d, TO_SERVER, &ask);
    send_message(d, TO_SERVER, &other);
    send_message(d, TO_SERVER, &ask);
    drive_clear(d);
    send_message(d, TO_CLIENT, &reply);
    drive_expect(d, "dns.rtt=0.003000");
    drive_clear(d);
    send_message(d, TO_CLIENT, &reply); /* the question is no longer open */
    assert_null(strstr(d->text, "dns.rtt="));
    drive_free(d);
}

static void names_that_do_not_exist_tell_their_soa(void **state) {
    (void)state;
    struct drive *d = udp_drive();
    struct message m = {0};
    put_header(&m, 9, NXDOMAIN, 1, 0, 1, 0);
    put_question(&m, "nowhere.example.com", DNS_A);
    size_t begin = record_begin(&m, DNS_SOA, 900);
    put_name(&m, "a.example");
    put_name(&m, "b.example");
    for (uint32_t i = 0; i < 5; i++) put_u32(&m, i);
    record_end(&m, begin);
    send_message(d, TO_CLIENT, &m);
    drive_expect(d, "dns.rcode=NXDOMAIN");
    drive_expect(d, "dns.soa=a.example b.example 0 1 2 3 4");
    assert_null(strstr(d->text, "dns.ttl="));
    drive_free(d);
}

/* The name a client asked for names its flows, whether or not anybody listens to DNS. */
static void an_answer_names_the_flows_of_its_client(void **state) {
    (void)state;
    for (int listening = 0; listening < 2; listening++) {
        struct drive *d = udp_drive();
        d->wants[EVENT_dns] = listening;
        d->wants[EVENT_flow] = true;
        struct message reply = answer(1, "www.example.com");
        send_message(d, TO_CLIENT, &reply);
        drive_clear(d);
        d->proto = 6;
        d->server_port = 443;
        drive_open(d);
        drive_close(d);
        drive_expect(d, "flow.server_name=www.example.com");
        drive_expect(d, "flow.name_source=dns");
        drive_free(d);
    }
}

static void a_message_cut_by_the_capture_is_read_as_far_as_it_goes(void **state) {
    (void)state;
    struct message reply = answer(1, "www.example.com");
    for (uint32_t captured = 0; captured < reply.length; captured++) {
        struct drive *d = udp_drive();
        uint8_t *copy = malloc(captured + 1);
        assert_non_null(copy);
        memcpy(copy, reply.at, captured);
        drive_packet(d, TO_CLIENT, 0, copy, (uint32_t)reply.length, captured);
        batch_flush(d->batch);
        assert_int_equal(d->events[EVENT_anomaly], 0);
        if (captured >= 12 + 21) drive_expect(d, "dns.rrname=www.example.com");
        if (captured >= reply.length - 30) drive_expect(d, "dns.cname=edge.example.net");
        free(copy);
        drive_free(d);
    }
}

/* ----------------------------------------------------------------------- TCP */

static struct message framed(const struct message *first, const struct message *second) {
    struct message stream = {0};
    put_u16(&stream, (unsigned)first->length);
    put(&stream, first->at, first->length);
    put_u16(&stream, (unsigned)second->length);
    put(&stream, second->at, second->length);
    return stream;
}

static void over_tcp_every_cut_gives_the_same_events(void **state) {
    (void)state;
    struct message a = query(1, "one.example.com", DNS_A), b = query(2, "two.example.com", DNS_HTTPS);
    struct message reply_a = answer(1, "one.example.com"), reply_b = answer(2, "two.example.com");
    struct message asked = framed(&a, &b), answered = framed(&reply_a, &reply_b);
    char *whole = NULL;
    struct drive *d = drive_new(&protocol_dns, EVENT_dns);
    for (size_t cut = 0; cut < answered.length; cut++) {
        size_t ask_cut = cut < asked.length ? cut : 0;
        drive_clear(d);
        drive_open(d);
        if (ask_cut) drive_send(d, TO_SERVER, asked.at, ask_cut);
        drive_send(d, TO_SERVER, asked.at + ask_cut, asked.length - ask_cut);
        if (cut) drive_send(d, TO_CLIENT, answered.at, cut);
        drive_send(d, TO_CLIENT, answered.at + cut, answered.length - cut);
        drive_close(d);
        assert_int_equal(d->events[EVENT_dns], 4);
        assert_int_equal(d->events[EVENT_anomaly], 0);
        for (char *rtt = d->text; (rtt = strstr(rtt, "dns.rtt=")); rtt++) memset(rtt + 8, '-', 8);
        if (!whole) whole = strdup(d->text);
        assert_string_equal(d->text, whole);
    }
    free(whole);
    drive_free(d);
}

static void the_longest_message_fits(void **state) {
    (void)state;
    struct drive *d = drive_new(&protocol_dns, EVENT_dns);
    uint8_t *stream = calloc(1, 2 + 65535);
    assert_non_null(stream);
    struct message head = {0};
    put_u16(&head, 65535);
    put_header(&head, 3, ANSWER, 1, 1, 0, 0);
    put_question(&head, "big.example.com", DNS_TXT);
    put_u16(&head, 0xc00c);
    put_u16(&head, DNS_TXT);
    put_u16(&head, 1);
    put_u32(&head, 77);
    put_u16(&head, (unsigned)(2 + 65535 - head.length - 2));
    memcpy(stream, head.at, head.length);
    drive_open(d);
    for (size_t at = 0; at < 2 + 65535; at += 1400) {
        size_t left = 2 + 65535 - at;
        drive_send(d, TO_CLIENT, stream + at, left < 1400 ? left : 1400);
    }
    drive_close(d);
    drive_expect(d, "dns.rrname=big.example.com");
    drive_expect(d, "dns.ttl=77");
    drive_expect(d, "dns.length=65535");
    free(stream);
    drive_free(d);
}

/* --------------------------------------------------------------- recognition */

static enum recognised recognise(const struct message *m, uint16_t client_port, uint16_t server_port) {
    struct probe probe = {.data = m->at,
                          .length = (uint32_t)m->length,
                          .original = (uint32_t)m->length,
                          .transport = TRANSPORT_UDP,
                          .client_port = client_port,
                          .server_port = server_port};
    return protocol_dns.recognise(&probe);
}

static void dns_is_known_on_any_port(void **state) {
    (void)state;
    struct message ask = query(1, "example.com", DNS_A), reply = answer(1, "example.com");
    assert_int_equal(recognise(&ask, 40000, 53), RECOGNISED_YES);
    assert_int_equal(recognise(&ask, 40000, 9953), RECOGNISED_YES);
    assert_int_equal(recognise(&reply, 40000, 9953), RECOGNISED_YES);
    put_u8(&ask, 0); /* a byte too many: only borne with where DNS is at home */
    assert_int_equal(recognise(&ask, 40000, 9953), RECOGNISED_NO);
    assert_int_equal(recognise(&ask, 40000, 53), RECOGNISED_YES);
}

static void its_relatives_are_refused(void **state) {
    (void)state;
    struct message ask = query(0, "mac.local", DNS_PTR);
    assert_int_equal(recognise(&ask, 5353, 5353), RECOGNISED_NO);
    assert_int_equal(recognise(&ask, 40000, 5353), RECOGNISED_NO);
    assert_int_equal(recognise(&ask, 40000, 5355), RECOGNISED_NO);
    assert_int_equal(recognise(&ask, 137, 137), RECOGNISED_NO);
    assert_int_equal(recognise(&ask, 5353, 53), RECOGNISED_YES);
}

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return *seed >> 33;
}

static void random_datagrams_are_refused(void **state) {
    (void)state;
    uint64_t seed = 11;
    for (int i = 0; i < 200000; i++) {
        struct message m = {.length = 12 + next_random(&seed) % 200};
        for (size_t k = 0; k < m.length; k++) m.at[k] = (uint8_t)next_random(&seed);
        assert_int_equal(recognise(&m, 40000, 40001), RECOGNISED_NO);
        assert_int_equal(recognise(&m, 40000, 53), RECOGNISED_NO);
    }
}

/* ------------------------------------------------------------- broken input */

static void odd_messages_are_counted(void **state) {
    (void)state;
    struct {
        const char *hex, *line;
    } odd[] = {
        {"0001 0100 0001 0000 0000 0000 0161 c00c 0001 0001", "anomaly.name=name_pointer_loop"},
        {"0001 0100 0001 0000 0000 0000 0161 c040 0001 0001", "anomaly.name=name_pointer_forward"},
        {"0001 0100 0001 0000 0000 0000 0561", "anomaly.name=name_cut_short"},
        {"0001 01", "anomaly.name=short_header"},
        {"0001 8180 0001 0001 0000 0000 016100 0001 0001 c00c 0001 0001 00000000 0009 01",
         "anomaly.name=record_cut_short"},
        {"0001 0100 0002 0000 0000 0000 016100 0001 0001 016200 0001 0001", "anomaly.name=several_questions"},
    };
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct drive *d = udp_drive();
        struct message ask = query(1, "example.com", DNS_A), m = {0};
        send_message(d, TO_SERVER, &ask);
        put_hex(&m, odd[i].hex);
        send_message(d, TO_SERVER, &m);
        drive_expect(d, odd[i].line);
        drive_free(d);
    }
}

static struct message specimen(uint64_t which) {
    if (which % 3 == 0) return query(1, "www.example.com", DNS_HTTPS);
    if (which % 3 == 1) return answer(1, "www.example.com");
    struct message m = {0};
    put_header(&m, 4, ANSWER, 1, 3, 1, 0);
    put_question(&m, "example.com", DNS_HTTPS);
    size_t begin = record_begin(&m, DNS_HTTPS, 10);
    put_hex(&m, "0001 03666f6fc00c 0001 0006 02683202 6833 0004 0004 01020304 0005 0002 0000");
    record_end(&m, begin);
    put_record(&m, DNS_TXT, 10, "\3abc\2de", 7);
    put_record(&m, DNS_MX, 10, "\0\1\4mail\300\14", 9);
    begin = record_begin(&m, DNS_SOA, 10);
    put_hex(&m, "026e73c00c c00c 00000001 00000002 00000003 00000004 00000005");
    record_end(&m, begin);
    return m;
}

static void mutate(struct message *m, uint64_t *seed) {
    for (uint64_t changes = 1 + next_random(seed) % 4; changes; changes--) {
        size_t at = next_random(seed) % m->length;
        switch (next_random(seed) % 4) {
        case 0:
            m->at[at] = (uint8_t)next_random(seed);
            break;
        case 1:
            m->at[at] ^= (uint8_t)(1u << next_random(seed) % 8);
            break;
        case 2:
            m->at[at] = 0xc0;
            break;
        case 3:
            m->length = at + 1;
            break;
        }
    }
}

static void broken_messages_do_no_harm(void **state) {
    (void)state;
    uint64_t seed = 42;
    struct drive *d = udp_drive();
    struct message first = query(1, "example.com", DNS_A);
    for (int i = 0; i < 100000; i++) {
        struct message m = specimen(next_random(&seed));
        mutate(&m, &seed);
        if (i % 500 == 0) {
            d->client_port++;
            drive_send(d, TO_SERVER, first.at, first.length);
        }
        drive_send(d, i % 2 ? TO_CLIENT : TO_SERVER, m.at, m.length);
        drive_clear(d);
    }
    drive_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_follow_the_example_of_rfc_1035),
        cmocka_unit_test(names_that_are_wrong_are_told_apart),
        cmocka_unit_test(the_longest_name_is_255_bytes),
        cmocka_unit_test(service_bindings_follow_rfc_9460_appendix_d),
        cmocka_unit_test(other_records_are_written_as_people_write_them),
        cmocka_unit_test(data_of_a_wrong_length_is_an_anomaly),
        cmocka_unit_test(a_query_and_its_answer_are_told),
        cmocka_unit_test(a_repeated_query_counts_from_its_first_time),
        cmocka_unit_test(names_that_do_not_exist_tell_their_soa),
        cmocka_unit_test(an_answer_names_the_flows_of_its_client),
        cmocka_unit_test(a_message_cut_by_the_capture_is_read_as_far_as_it_goes),
        cmocka_unit_test(over_tcp_every_cut_gives_the_same_events),
        cmocka_unit_test(the_longest_message_fits),
        cmocka_unit_test(dns_is_known_on_any_port),
        cmocka_unit_test(its_relatives_are_refused),
        cmocka_unit_test(random_datagrams_are_refused),
        cmocka_unit_test(odd_messages_are_counted),
        cmocka_unit_test(broken_messages_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
