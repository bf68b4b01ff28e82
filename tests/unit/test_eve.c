/* Records, against lines written by hand after EVE's documentation. */
#include "output/eve.h"
#include "output/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* 2024-05-01 12:00:00.123456789 UTC, by date(1) */
#define NOON (1714564800 * NS_PER_SECOND + 123456789)

struct world {
    struct eve *eve;
    struct batch *batch;
    bool wants[EVENT_KINDS];
};

static void drink(void *context) {
    (void)context;
}

static bool offer(void *context, enum event_kind kind, uint32_t index, const void *event) {
    (void)context, (void)kind, (void)index, (void)event;
    return true;
}

static int set_up(void **state) {
    struct world *w = calloc(1, sizeof *w);
    struct error err;
    w->eve = eve_new(&err);
    w->batch = batch_new(16, &err);
    if (!w->eve || !w->batch) return -1;
    memset(w->wants, true, sizeof w->wants);
    w->batch->listener = (struct batch_listener){.wants = w->wants, .offer = offer, .drink = drink};
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    struct world *w = *state;
    eve_free(w->eve);
    batch_free(w->batch);
    free(w);
    return 0;
}

static void *begin(struct world *w, enum event_kind kind) {
    w->batch->clock = NOON;
    struct event_head_body *head = batch_begin(w->batch, kind);
    assert_non_null(head);
    head->time = NOON;
    head->flow_id = 1234567890123;
    ip_from_v4(&head->client_ip, (const uint8_t[]){192, 168, 1, 20});
    ip_from_v4(&head->server_ip, (const uint8_t[]){1, 1, 1, 1});
    head->client_port = 50000;
    head->server_port = 53;
    head->proto = "UDP";
    return head;
}

static void expect(struct buffer *b, const char *wanted) {
    assert_false(b->failed);
    assert_int_equal(b->at[b->length - 1], '\n');
    assert_true(json_is_object(b->at, b->length - 1));
    b->at[b->length - 1] = '\0';
    assert_string_equal(b->at, wanted);
    buffer_free(b);
}

static void expect_event(struct world *w, enum event_kind kind, const void *event, const char *wanted) {
    struct buffer b = {0};
    eve_event(w->eve, &b, kind, event, w->batch);
    batch_commit(w->batch);
    batch_flush(w->batch);
    expect(&b, wanted);
}

#define HEAD_UDP                                                                                             \
    "\"src_ip\":\"192.168.1.20\",\"src_port\":50000,\"dest_ip\":\"1.1.1.1\",\"dest_port\":53,\"proto\":"     \
    "\"UDP\""
#define BEGIN "{\"timestamp\":\"2024-05-01T12:00:00.123456+0000\",\"flow_id\":1234567890123,"

static void dns_with_lists_and_absent_fields(void **state) {
    struct world *w = *state;
    struct event_dns *e = begin(w, EVENT_dns);
    e->head.iface = batch_string(w->batch, "en0");
    e->head.vlan = 7;
    e->body.type = "answer";
    e->body.id = 513;
    e->body.rrname = batch_string(w->batch, "www.example.com");
    e->body.rrtype = "A";
    e->body.qtype = 1;
    e->body.length = 80;
    e->body.rtt = 0.0125;
    struct text_ref items[] = {batch_string(w->batch, "192.0.2.1"), batch_string(w->batch, "192.0.2.2")};
    e->body.a = batch_list(w->batch, items, 2);
    struct text_ref txt[] = {batch_text(w->batch, "a\"\xff", 3)};
    e->body.txt = batch_list(w->batch, txt, 1);
    expect_event(w, EVENT_dns, e,
                 BEGIN "\"in_iface\":\"en0\",\"event_type\":\"dns\",\"vlan\":[7]," HEAD_UDP
                       ",\"dns\":{\"type\":\"answer\",\"id\":513,\"rrname\":\"www.example.com\",\"rrtype\":"
                       "\"A\",\"qtype\":1,"
                       "\"length\":80,\"rtt\":0.0125,\"grouped\":{\"A\":[\"192.0.2.1\",\"192.0.2.2\"],"
                       "\"TXT\":[\"a\\\"\\u00ff\"]}}}");
}

/* The last field of an inner object absent, then one of the outer object's siblings. */
static void objects_open_and_close_as_fields_come(void **state) {
    struct world *w = *state;
    struct event_ssh *e = begin(w, EVENT_ssh);
    e->body.hassh = batch_string(w->batch, "aa");
    e->body.client_kex = batch_string(w->batch, "curve25519-sha256");
    e->body.hassh_server = batch_string(w->batch, "bb");
    expect_event(w, EVENT_ssh, e,
                 BEGIN "\"event_type\":\"ssh\"," HEAD_UDP
                       ",\"ssh\":{\"client\":{\"hassh\":{\"hash\":\"aa\"},\"kex\":\"curve25519-sha256\"},"
                       "\"server\":{\"hassh\":{\"hash\":\"bb\"}}}}");
}

static void no_empty_objects(void **state) {
    struct world *w = *state;
    struct event_ssh *e = begin(w, EVENT_ssh);
    expect_event(w, EVENT_ssh, e, BEGIN "\"event_type\":\"ssh\"," HEAD_UDP "}");
}

static void flow_with_times_figures_and_bytes(void **state) {
    struct world *w = *state;
    struct event_flow *e = begin(w, EVENT_flow);
    e->head.proto = "TCP";
    e->head.flow_id = 0;
    e->body.app_proto = "tls";
    e->body.client_packets = 3;
    e->body.client_bytes = 18446744073709551615u;
    e->body.start = NOON;
    e->body.finish = NOON + 2 * NS_PER_SECOND;
    e->body.age = 2;
    e->body.state = "closed";
    e->body.reason = "fin";
    e->body.midstream = 1;
    e->body.client_head = batch_text(w->batch, "\x16\x03\x01", 3);
    e->body.server_head = batch_text(w->batch, "", 0);
    e->body.tcp_flags_client = 0x1b;
    e->body.tcp_state = "closed";
    expect_event(w, EVENT_flow, e,
                 "{\"timestamp\":\"2024-05-01T12:00:00.123456+0000\",\"event_type\":\"flow\","
                 "\"src_ip\":\"192.168.1.20\",\"src_port\":50000,\"dest_ip\":\"1.1.1.1\",\"dest_port\":53,"
                 "\"proto\":\"TCP\","
                 "\"app_proto\":\"tls\",\"flow\":{\"pkts_toserver\":3,\"pkts_toclient\":0,\"bytes_toserver\":"
                 "18446744073709551615,"
                 "\"bytes_toclient\":0,\"payload_toserver\":0,\"payload_toclient\":0,"
                 "\"start\":\"2024-05-01T12:00:00.123456+0000\",\"end\":\"2024-05-01T12:00:02.123456+0000\","
                 "\"age\":2.0,"
                 "\"state\":\"closed\",\"reason\":\"fin\",\"midstream\":true,\"head_toserver\":\"160301\","
                 "\"head_toclient\":\"\"},"
                 "\"tcp\":{\"tcp_flags_ts\":27,\"state\":\"closed\"}}");
}

static void tls_with_number_lists_and_ipv6(void **state) {
    struct world *w = *state;
    struct event_tls *e = begin(w, EVENT_tls);
    assert_int_equal(ip_parse("2001:db8::1", &e->head.client_ip), 0);
    assert_int_equal(ip_parse("fe80::1", &e->head.server_ip), 0);
    e->head.proto = "TCP";
    e->body.sni = batch_string(w->batch, "caf\xc3\xa9.example");
    e->body.has_client_hello = 1;
    const uint16_t ciphers[] = {4865, 4866, 65535};
    e->body.ciphers = batch_u16s(w->batch, ciphers, 3);
    e->body.groups = batch_u16s(w->batch, ciphers, 0);
    e->body.not_after = NOON;
    expect_event(
        w, EVENT_tls, e,
        BEGIN "\"event_type\":\"tls\",\"src_ip\":\"2001:db8::1\",\"src_port\":50000,\"dest_ip\":\"fe80::1\","
              "\"dest_port\":53,\"proto\":\"TCP\",\"tls\":{\"sni\":\"caf\xc3\xa9.example\","
              "\"client_ciphers\":[4865,4866,65535],\"notafter\":\"2024-05-01T12:00:00.123456+0000\"}}");
}

static void addresses_are_left_out_where_there_was_no_ip(void **state) {
    struct world *w = *state;
    struct event_anomaly *e = begin(w, EVENT_anomaly);
    struct event_head_body bare = {.time = NOON};
    e->head = bare;
    e->body.layer = "decode";
    e->body.name = "bad_header_length";
    expect_event(w, EVENT_anomaly, e,
                 "{\"timestamp\":\"2024-05-01T12:00:00.123456+0000\",\"event_type\":\"anomaly\","
                 "\"anomaly\":{\"type\":\"decode\",\"event\":\"bad_header_length\"}}");
}

/* Whatever an event has in it, the line is JSON. */
static void each_kind_full_and_empty_is_json(void **state) {
    struct world *w = *state;
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++) {
        const struct event_schema *schema = event_schema_of((enum event_kind)kind);
        for (int full = 0; full < 2; full++) {
            char *e = begin(w, (enum event_kind)kind);
            for (uint32_t i = 0; full && i < schema->field_count; i++) {
                const struct field *f = &schema->fields[i];
                struct text_ref text = batch_text(w->batch, "\x00\"\\\xe2\x86\x92\xe2\x86", 8);
                const char *word = "word\"\n";
                double number = -0.125;
                struct list_ref list = {0};
                memset(e + f->offset, 0xff, f->size);
                if (f->type == FIELD_word) memcpy(e + f->offset, &word, sizeof word);
                if (f->type == FIELD_f64) memcpy(e + f->offset, &number, sizeof number);
                if (f->type == FIELD_str || f->type == FIELD_bytes) memcpy(e + f->offset, &text, sizeof text);
                if (f->type == FIELD_list) list = batch_list(w->batch, (struct text_ref[]){text, text}, 2);
                if (f->type == FIELD_u16s) list = batch_u16s(w->batch, (uint16_t[]){0, 65535}, 2);
                if (list.count) memcpy(e + f->offset, &list, sizeof list);
            }
            struct buffer b = {0};
            eve_event(w->eve, &b, (enum event_kind)kind, e, w->batch);
            assert_true(json_is_object(b.at, b.length - 1));
            buffer_free(&b);
            batch_commit(w->batch);
        }
        batch_flush(w->batch);
    }
}

static struct alert an_alert(void) {
    return (struct alert){
        .time = NOON,
        .severity = SEVERITY_MEDIUM,
        .score = NAN,
        .confidence = NAN,
        .detector = "longnames",
        .title = "Repeated \"long\" names",
        .category = "Command and Control",
        .attack = "T1071.004, T1568",
        .who = "192.168.1.20",
        .where = "evil.example",
        .why = "5 names",
        .next = "",
        .evidence = "{\"last\":\"a\\nb\",\"names\":5}",
    };
}

/* FNV-1a of "longnames\0Repeated \"long\" names", 31 bits, from a few lines of Python. */
enum { LONGNAMES_ID = 1187549737 };

static void alert_without_a_head(void **state) {
    struct world *w = *state;
    struct alert alert = an_alert();
    char wanted[1024];
    snprintf(
        wanted, sizeof wanted,
        "{\"timestamp\":\"2024-05-01T12:00:00.123456+0000\",\"event_type\":\"alert\",\"alert\":{\"action\":"
        "\"allowed\",\"gid\":1,\"signature_id\":%d,\"rev\":1,\"signature\":\"Repeated \\\"long\\\" names\","
        "\"category\":\"Command and "
        "Control\",\"severity\":2,\"metadata\":{\"mitre_technique_id\":[\"T1071.004\","
        "\"T1568\"]}},\"lunette\":{\"detector\":\"longnames\",\"who\":\"192.168.1.20\",\"where\":\"evil."
        "example\","
        "\"why\":\"5 names\",\"evidence\":{\"last\":\"a\\nb\",\"names\":5}}}",
        LONGNAMES_ID);
    struct buffer b = {0};
    eve_alert(w->eve, &b, &alert, NULL);
    expect(&b, wanted);
}

static void alert_with_a_head_and_figures(void **state) {
    struct world *w = *state;
    struct event_dns *e = begin(w, EVENT_dns);
    struct alert alert = an_alert();
    alert.has_head = true;
    alert.head = e->head;
    alert.time = NOON + NS_PER_SECOND;
    alert.attack = "";
    alert.score = 0.5;
    alert.confidence = 1;
    alert.repeats = 3;
    alert.next = "Look";
    alert.evidence = "{\"broken\":"; /* not JSON: kept as text, the line stays whole */
    char wanted[1024];
    snprintf(
        wanted, sizeof wanted,
        "{\"timestamp\":\"2024-05-01T12:00:01.123456+0000\",\"flow_id\":1234567890123,\"event_type\":"
        "\"alert\"," HEAD_UDP ",\"alert\":{\"action\":\"allowed\",\"gid\":1,\"signature_id\":%d,\"rev\":1,"
        "\"signature\":\"Repeated \\\"long\\\" names\",\"category\":\"Command and Control\",\"severity\":2},"
        "\"lunette\":{\"detector\":\"longnames\",\"who\":\"192.168.1.20\",\"where\":\"evil.example\",\"why\":"
        "\"5 names\","
        "\"next\":\"Look\",\"score\":0.5,\"confidence\":1.0,\"repeats\":3,\"evidence_text\":\"{"
        "\\\"broken\\\":\"}}",
        LONGNAMES_ID);
    struct buffer b = {0};
    eve_alert(w->eve, &b, &alert, w->batch);
    batch_commit(w->batch);
    batch_flush(w->batch);
    expect(&b, wanted);
}

static void reports_and_statistics(void **state) {
    (void)state;
    const char *names[] = {"host", ">bytes"}, *cells[] = {"a", "1", NULL, "2"};
    struct report report = {.time = NOON,
                            .detector = "d",
                            .title = "T",
                            .note = "",
                            .columns = 2,
                            .rows = 2,
                            .names = names,
                            .cells = cells};
    struct buffer b = {0};
    eve_report(&b, &report);
    expect(&b, "{\"timestamp\":\"2024-05-01T12:00:00.123456+0000\",\"event_type\":\"report\",\"report\":{"
               "\"detector\":\"d\","
               "\"title\":\"T\",\"columns\":[\"host\",\"bytes\"],\"rows\":[[\"a\",\"1\"],[\"\",\"2\"]]}}");
    const struct stat_figure figures[] = {
        {"uptime", 1}, {"flow.tcp.new", 2}, {"flow.tcp.old", 3}, {"flow.udp", 4}, {"end", 5}};
    b = (struct buffer){0};
    eve_stats(&b, NOON, figures, 5);
    expect(
        &b,
        "{\"timestamp\":\"2024-05-01T12:00:00.123456+0000\",\"event_type\":\"stats\",\"stats\":{\"uptime\":1,"
        "\"flow\":{\"tcp\":{\"new\":2,\"old\":3},\"udp\":4},\"end\":5}}");
    b = (struct buffer){0};
    eve_stats(&b, NOON, figures, 3);
    expect(
        &b,
        "{\"timestamp\":\"2024-05-01T12:00:00.123456+0000\",\"event_type\":\"stats\",\"stats\":{\"uptime\":1,"
        "\"flow\":{\"tcp\":{\"new\":2,\"old\":3}}}}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(dns_with_lists_and_absent_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(objects_open_and_close_as_fields_come, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_empty_objects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(flow_with_times_figures_and_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tls_with_number_lists_and_ipv6, set_up, tear_down),
        cmocka_unit_test_setup_teardown(addresses_are_left_out_where_there_was_no_ip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_kind_full_and_empty_is_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(alert_without_a_head, set_up, tear_down),
        cmocka_unit_test_setup_teardown(alert_with_a_head_and_figures, set_up, tear_down),
        cmocka_unit_test(reports_and_statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
