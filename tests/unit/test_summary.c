/* The summary's counting, the busiest names in bounded memory, and that nothing off the wire reaches a
 * terminal raw. */
#include "output/output.h"
#include "output/summary.h"
#include "output/terminal.h"
#include "output/top.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const struct terminal_style plain = {.width = 60};

static char *text_of(struct buffer *b) {
    buffer_char(b, '\0');
    assert_false(b->failed);
    return b->at;
}

static void expect_text(struct buffer *b, const char *wanted) {
    assert_string_equal(text_of(b), wanted);
    buffer_free(b);
}

/* ── safe text ───────────────────────────────────────────────────── */

static void expect_safe(const void *bytes, size_t length, const char *wanted) {
    struct buffer b = {0};
    terminal_safe(&b, bytes, length);
    assert_int_equal(terminal_width_of(bytes, length), terminal_width_of(wanted, strlen(wanted)));
    expect_text(&b, wanted);
}

static void control_bytes_are_shown_not_sent(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        char byte = (char)c, wanted[8];
        snprintf(wanted, sizeof wanted, c < 0x20 || c >= 0x7f ? "\\x%02x" : "%c", (unsigned)c);
        expect_safe(&byte, 1, wanted);
    }
    expect_safe("\x1b[2Jevil\r\n", 10, "\\x1b[2Jevil\\x0d\\x0a");
    expect_safe("\xc2\x9b"
                "2J",
                4, "\\xc2\\x9b2J"); /* C1 control: CSI in one character */
    expect_safe("a\xe2\x80\xae"
                "b",
                5, "a\\xe2\\x80\\xaeb"); /* right-to-left override */
    expect_safe("caf\xc3\xa9 \xe2\x86\x92", 9, "caf\xc3\xa9 \xe2\x86\x92");
    expect_safe("\xe2\x86", 2, "\\xe2\\x86");
}

static void expect_wrapped(const char *text, const char *wanted) {
    const struct terminal_style narrow = {.width = 12};
    struct buffer b = {0};
    terminal_wrapped(&b, &narrow, 2, 2, text);
    expect_text(&b, wanted);
}

static void text_is_wrapped_at_the_width(void **state) {
    (void)state;
    expect_wrapped("", "");
    expect_wrapped("short", "short");
    expect_wrapped("one two three four", "one two\n  three four");
    expect_wrapped("aaaaaaaaaaaaaaa b", "aaaaaaaaaa\n  aaaaa b");
    expect_wrapped("\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2 \xe6\xbc\xa2\xe6\xbc\xa2",
                   "\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\n  \xe6\xbc\xa2\xe6\xbc\xa2");
}

static struct alert an_alert(void) {
    return (struct alert){.time = 1714564800 * NS_PER_SECOND,
                          .severity = SEVERITY_HIGH,
                          .score = NAN,
                          .confidence = NAN,
                          .detector = "beacon",
                          .title = "Calls home \x1b[31m",
                          .category = "",
                          .attack = "T1071",
                          .who = "10.0.0.1",
                          .where = "evil\x07.example",
                          .why = "Every 60 s for two hours, which is more often than people click.",
                          .next = "",
                          .evidence = "{}"};
}

static void an_alert_is_a_block(void **state) {
    (void)state;
    struct alert alert = an_alert();
    struct buffer b = {0};
    alert.repeats = 4;
    terminal_alert(&b, &plain, &alert);
    expect_text(&b, "HIGH    2024-05-01 12:00:00.000  Calls home \\x1b[31m\n"
                    "        who     10.0.0.1 → evil\\x07.example\n"
                    "        why     Every 60 s for two hours, which is more\n"
                    "                often than people click.\n"
                    "        ATT&CK  T1071\n"
                    "        by      beacon  (4 more held back)\n\n");
}

static void expect_program(struct event_head_body head, const char *wanted) {
    struct buffer b = {0};
    program_sentence(&b, &head);
    expect_text(&b, wanted);
}

/* The path is the program's, not that of who started it. */
static void a_program_is_told_with_its_own_path(void **state) {
    (void)state;
    expect_program(
        (struct event_head_body){
            .program = "curl", .process = "curl", .pid = 812, .path = "/usr/bin/curl", .parent = "sh"},
        "/usr/bin/curl (pid 812), started by sh");
    expect_program((struct event_head_body){.program = "Safari",
                                            .process = "mDNSResponder",
                                            .pid = 88,
                                            .effective_process = "Safari",
                                            .effective_pid = 512,
                                            .parent = "launchd"},
                   "Safari (pid 512), started by launchd, through mDNSResponder (pid 88)");
    expect_program((struct event_head_body){.program = "softwareupdated",
                                            .process = "softwareupdated",
                                            .path = "/private/tmp/.x"},
                   "softwareupdated, run from /private/tmp/.x");
    expect_program((struct event_head_body){.pid = 7}, "pid 7");
    expect_program((struct event_head_body){0}, "");
}

static void a_table_is_aligned_and_fits(void **state) {
    (void)state;
    static const char *const names[] = {"name", ">bytes"};
    static const char *const cells[] = {"a.example", "1", "caf\xc3\xa9", "1,234", "esc\x1b", NULL};
    struct buffer b = {0};
    terminal_table(&b, &plain, 2, 2, 3, names, cells);
    expect_text(&b,
                "  name       bytes\n  a.example      1\n  caf\xc3\xa9       1,234\n  esc\\x1b         \n");
    static const char *const wide[] = {"a-very-long-name-that-does-not-fit-into-the-room.example", "99"};
    const struct terminal_style narrow = {.width = 30, .fit_tables = 30};
    terminal_table(&b, &narrow, 0, 2, 1, names, wide);
    for (char *line = strtok(text_of(&b), "\n"); line; line = strtok(NULL, "\n"))
        assert_true(terminal_width_of(line, strlen(line)) <= 30);
    buffer_free(&b);
}

/* The names are what a table is read for; figures cut short say something wrong. */
static void a_narrow_table_keeps_names_and_figures(void **state) {
    (void)state;
    static const char *const names[] = {"name", "category", "purpose", ">connections", ">sent"};
    static const char *const cells[] = {"p68-caldav.icloud.com", "icloud",
                                        "Calendar synchronisation of the signed-in account", "17", "33.1 kB"};
    for (uint32_t width = 70; width <= 90; width += 10) {
        const struct terminal_style style = {.width = width, .fit_tables = width};
        struct buffer b = {0};
        terminal_table(&b, &style, 2, 5, 1, names, cells);
        text_of(&b);
        assert_non_null(strstr(b.at, "p68-caldav.icloud.com"));
        assert_non_null(strstr(b.at, "33.1 kB"));
        assert_null(strstr(b.at, "signed-in"));
        for (char *line = strtok(b.at, "\n"); line; line = strtok(NULL, "\n"))
            assert_true(terminal_width_of(line, strlen(line)) <= width);
        buffer_free(&b);
    }
}

static void figures_for_people(void **state) {
    (void)state;
    char f[FIGURE_SIZE];
    assert_string_equal(figure_bytes(999, f), "999 B");
    assert_string_equal(figure_bytes(1000, f), "1.0 kB");
    assert_string_equal(figure_bytes(999999, f), "1.0 MB");
    assert_string_equal(figure_bytes(1234567890, f), "1.2 GB");
    assert_string_equal(figure_bytes(UINT64_MAX, f), "18.4 EB");
    assert_string_equal(figure_count(0, f), "0");
    assert_string_equal(figure_count(1000, f), "1,000");
    assert_string_equal(figure_count(UINT64_MAX, f), "18,446,744,073,709,551,615");
    assert_string_equal(figure_duration(1.25, f), "1.25 s");
    assert_string_equal(figure_duration(125, f), "2 min 5 s");
    assert_string_equal(figure_duration(7384, f), "2 h 3 min");
    assert_string_equal(figure_duration(273600, f), "3 d 4 h");
    assert_string_equal(figure_duration(-1, f), "0.00 s");
}

/* ── the busiest ─────────────────────────────────────────────────── */

static void the_busy_stay_though_thousands_pass(void **state) {
    (void)state;
    enum { CAPACITY = 64, PASSING = 20000 };
    struct top *top = top_new(CAPACITY);
    assert_non_null(top);
    for (int i = 0; i < PASSING; i++) {
        char name[32];
        int n = snprintf(name, sizeof name, "n%d.example", i);
        top_add(top, name, (size_t)n, 1, 10, 20);
        if (i % 4 == 0) top_add(top, "busy.example", 12, 1, 1000, 2000);
        if (i % 8 == 0) top_add(top, "second.example", 14, 1, 1000, 1000);
    }
    const struct top_entry *busiest[3];
    assert_int_equal(top_count(top), CAPACITY);
    assert_int_equal(top_busiest(top, busiest, 3), 3);
    assert_string_equal(busiest[0]->key, "busy.example");
    assert_int_equal(busiest[0]->flows, PASSING / 4);
    assert_int_equal(busiest[0]->sent, PASSING / 4 * 1000);
    assert_string_equal(busiest[1]->key, "second.example");
    assert_int_equal(busiest[1]->received, PASSING / 8 * 1000);
    assert_true(top_replaced(top) > 0);
    top_free(top);
}

/* Below the capacity all figures are exact: compared with plain arrays. */
static void below_the_bound_all_is_exact(void **state) {
    (void)state;
    enum { KEYS = 500, ROUNDS = 20000 };
    static uint64_t flows[KEYS], sent[KEYS];
    struct top *top = top_new(KEYS);
    uint32_t random = 1;
    for (int i = 0; i < ROUNDS; i++) {
        char name[16];
        random = random * 1664525 + 1013904223;
        uint32_t key = (random >> 16) % KEYS;
        int n = snprintf(name, sizeof name, "%u", key);
        top_add(top, name, (size_t)n, 1, random >> 20, 0);
        flows[key]++;
        sent[key] += random >> 20;
    }
    assert_int_equal(top_replaced(top), 0);
    for (uint32_t i = 0; i < top_count(top); i++) {
        const struct top_entry *e = top_at(top, i);
        int key = atoi(e->key);
        assert_int_equal(e->flows, flows[key]);
        assert_int_equal(e->sent, sent[key]);
    }
    top_free(top);
}

/* Evictions free slots in the middle of probe runs: every key must still be found, or it would be there
 * twice. */
static void no_key_is_there_twice(void **state) {
    (void)state;
    struct top *top = top_new(16);
    uint32_t random = 7;
    for (int i = 0; i < 50000; i++) {
        char name[16];
        random = random * 1664525 + 1013904223;
        int n = snprintf(name, sizeof name, "%u", (random >> 16) % 40);
        top_add(top, name, (size_t)n, 1, (random >> 8) % 50, 0);
    }
    for (uint32_t i = 0; i < top_count(top); i++)
        for (uint32_t k = 0; k < i; k++) assert_string_not_equal(top_at(top, i)->key, top_at(top, k)->key);
    top_free(top);
}

/* ── the summary ─────────────────────────────────────────────────── */

static char batch_text_bytes[] = "\0www.example.com";
static struct batch names_batch = {.text = batch_text_bytes};

static struct event_flow a_flow(void) {
    struct event_flow e = {0};
    ip_from_v4(&e.head.client_ip, (const uint8_t[]){10, 0, 0, 1});
    ip_from_v4(&e.head.server_ip, (const uint8_t[]){192, 0, 2, 9});
    e.head.proto = "TCP";
    e.head.client_local = 1;
    e.body.server_name = (struct text_ref){1, 15};
    e.body.client_packets = e.body.server_packets = 5;
    e.body.client_bytes = 100;
    e.body.server_bytes = 2000;
    e.body.client_payload = e.body.server_payload = 10;
    return e;
}

static void flows_hosts_and_names_are_counted(void **state) {
    (void)state;
    struct summary a, b;
    assert_int_equal(summary_init(&a, NULL), 0);
    assert_int_equal(summary_init(&b, NULL), 0);
    struct event_flow e = a_flow();
    summary_add_flow(&a, &e, &names_batch);
    e.body.server_packets = 0; /* the client's data and nothing of the server */
    e.head.partial = "midstream, one-sided";
    summary_add_flow(&b, &e, &names_batch);
    e.body.client_payload = 0; /* a call that nobody answered */
    e.head.partial = NULL;
    e.body.server_name.at = 0;
    summary_add_flow(&b, &e, &names_batch);
    summary_merge(&a, &b);
    const struct top_entry *top[3];
    assert_int_equal(a.one_sided, 1);
    assert_int_equal(top_busiest(a.names, top, 3), 2);
    assert_string_equal(top[0]->key, "www.example.com");
    assert_int_equal(top[0]->flows, 2);
    assert_int_equal(top[0]->sent, 200);
    assert_int_equal(top[0]->received, 4000);
    assert_string_equal(top[1]->key, "192.0.2.9");
    assert_int_equal(top_busiest(a.hosts, top, 3), 1);
    assert_string_equal(top[0]->key, "10.0.0.1");
    assert_int_equal(top[0]->flows, 3);
    summary_clear(&a);
    summary_clear(&b);
}

static struct report a_report(const char *const *cells, uint32_t rows) {
    static const char *const names[] = {"host", ">n"};
    return (struct report){.detector = "beacon",
                           .title = "Rhythms",
                           .note = "A note.",
                           .columns = 2,
                           .rows = rows,
                           .names = names,
                           .cells = cells};
}

static void workers_are_added_up_and_printed(void **state) {
    (void)state;
    struct summary all, worker;
    assert_int_equal(summary_init(&all, NULL), 0);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(summary_init(&worker, NULL), 0);
        struct alert alert = an_alert();
        summary_add_alert(&worker, &alert);
        struct event_flow e = a_flow();
        e.head.client_ip.bytes[15] = (uint8_t)(i + 1);
        summary_add_flow(&worker, &e, &names_batch);
        const char *cells[] = {i ? "10.0.0.2" : "10.0.0.1", "7"};
        struct report report = a_report(cells, 1);
        summary_add_report(&worker, &report);
        struct flow_counters counters = {
            .flows = 5, .flows_tcp = 5, .ended_fin = 5, .gaps = 2, .gap_bytes = 1500};
        summary_add_counters(&worker, &counters);
        worker.gap_flows = 2;
        worker.gap_bytes = 1500;
        const struct anomaly_count anomaly = {"stream", "tcp", "overlap_mismatch", 3};
        summary_add_anomalies(&worker, &anomaly, 1);
        struct detector_summary *d = summary_detector(&worker, "silent");
        d->events = 10;
        d = summary_detector(&worker, "broken");
        d->errors = 20;
        d->off = true;
        strcpy(d->reason, "broken.lua:3: no such field\x1b");
        summary_merge(&all, &worker);
        summary_clear(&worker);
    }
    const char *warnings[] = {"a.pcap: cut short at offset 24"};
    all.packets = 1234;
    all.bytes = 567890;
    all.first = 1714564800 * NS_PER_SECOND;
    all.last = all.first + 90 * NS_PER_SECOND;
    all.seconds = 0.5;
    all.warnings = warnings;
    all.warning_count = 1;
    struct buffer b = {0};
    const struct terminal_style wide = {.width = 100};
    summary_print(&all, &b, &wide);
    static const char *const lines[] = {
        "  packets     1,234, 567.9 kB\n",
        "  time        2024-05-01 12:00:00 to 2024-05-01 12:01:30 UTC, 1 min 30 s\n",
        "  took        0.50 s: 2,468 packets/s, 0.01 Gbit/s\n",
        "  flows       10: 10 TCP\n",
        "  ended by    10 fin\n",
        "  hosts       2 local\n",
        "  alerts      2 high\n",
        "  detectors   3 ran, 2 without an alert, 40 script errors, 1 switched off\n",
        "  www.example.com      2  200 B   4.0 kB\n",
        "Rhythms\n  host      n\n  10.0.0.1  7\n  10.0.0.2  7\n  A note.\n",
        "  beacon                  2 high\n",
        "  broken                  40 errors; switched off: broken.lua:3: no such field\\x1b\n",
        "  TCP flows with bytes missing (3.0 kB): 4\n",
        "  a.pcap: cut short at offset 24\n",
        "  anomalies   6 tcp overlap_mismatch\n",
    };
    const char *text = text_of(&b);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (!strstr(text, lines[i])) fail_msg("no line \"%s\" in:\n%s", lines[i], text);
    assert_null(strchr(text, 0x1b));
    buffer_free(&b);
    summary_clear(&all);
}

static void long_reports_are_cut_in_the_summary(void **state) {
    (void)state;
    struct summary s;
    assert_int_equal(summary_init(&s, NULL), 0);
    enum { ROWS = SUMMARY_REPORT_ROWS + 50 };
    const char *cells[ROWS * 2];
    for (int i = 0; i < ROWS * 2; i++) cells[i] = "x";
    struct report report = a_report(cells, ROWS);
    summary_add_report(&s, &report);
    assert_int_equal(s.reports[0].rows, SUMMARY_REPORT_ROWS);
    assert_int_equal(s.reports[0].rows_left_out, 50);
    summary_clear(&s);
}

static void an_empty_run_has_a_summary_too(void **state) {
    (void)state;
    struct summary s;
    assert_int_equal(summary_init(&s, NULL), 0);
    struct buffer b = {0};
    summary_print(&s, &b, &plain);
    assert_non_null(strstr(text_of(&b), "packets     0, 0 B\n"));
    buffer_free(&b);
    summary_clear(&s);
}

/* ── the facade ──────────────────────────────────────────────────── */

static void the_facade_writes_records_in_order(void **state) {
    (void)state;
    char path[] = "/tmp/lunette-test-XXXXXX";
    close(mkstemp(path));
    struct error err = {.text = ""};
    struct output_options options = output_options_defaults();
    const char *const words[] = {path};
    options.records = words;
    options.record_count = 1;
    options.show_alerts = options.show_summary = options.show_progress = false;
    struct outputs *o = outputs_open(&options, 2, &err);
    assert_non_null(o);
    assert_true(outputs_want(o, EVENT_flow));
    assert_false(outputs_want(o, EVENT_onset));
    for (uint32_t i = 0; i < 2; i++) {
        struct output_worker *w = outputs_worker(o, i);
        struct event_flow e = a_flow();
        e.head.time = e.head.clock = 10 - i;
        outputs_event(w, EVENT_flow, &e, &names_batch);
        struct event_onset unwanted = {0};
        outputs_event(w, EVENT_onset, &unwanted, &names_batch);
        struct alert alert = an_alert();
        alert.time = 10;
        outputs_alert(w, &alert, NULL);
        outputs_advance(w, 10);
        outputs_done(w);
    }
    struct summary s;
    assert_int_equal(summary_init(&s, &err), 0);
    assert_int_equal(outputs_close(o, &s, &err), 0);
    assert_int_equal(s.alerts[SEVERITY_HIGH], 2);
    summary_clear(&s);
    FILE *f = fopen(path, "r");
    char line[4096];
    static const char *const order[] = {"flow", "flow", "alert", "alert"};
    for (int i = 0; i < 4; i++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "\"event_type\":\"%s\"", order[i]);
        assert_non_null(fgets(line, sizeof line, f));
        assert_non_null(strstr(line, wanted));
    }
    assert_null(fgets(line, sizeof line, f));
    fclose(f);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_bytes_are_shown_not_sent),
        cmocka_unit_test(text_is_wrapped_at_the_width),
        cmocka_unit_test(an_alert_is_a_block),
        cmocka_unit_test(a_program_is_told_with_its_own_path),
        cmocka_unit_test(a_table_is_aligned_and_fits),
        cmocka_unit_test(a_narrow_table_keeps_names_and_figures),
        cmocka_unit_test(figures_for_people),
        cmocka_unit_test(the_busy_stay_though_thousands_pass),
        cmocka_unit_test(below_the_bound_all_is_exact),
        cmocka_unit_test(no_key_is_there_twice),
        cmocka_unit_test(flows_hosts_and_names_are_counted),
        cmocka_unit_test(workers_are_added_up_and_printed),
        cmocka_unit_test(long_reports_are_cut_in_the_summary),
        cmocka_unit_test(an_empty_run_has_a_summary_too),
        cmocka_unit_test(the_facade_writes_records_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
