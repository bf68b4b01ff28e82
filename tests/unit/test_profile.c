/* The figures of profiles, against values worked out by hand; keys; what a collector makes of records; that a
 * profile comes back from its file as it went. */
#include "output/profile_collect.h"
#include "output/profile_compare.h"
#include "output/profile_figures.h"
#include "output/profile_file.h"
#include "output/profile_key.h"
#include "output/profile_unmet.h"

#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void near(double got, double expected) {
    if (fabs(got - expected) > 1e-9 * (1 + fabs(expected))) fail_msg("%.12g is not %.12g", got, expected);
}

/* ── figures ─────────────────────────────────────────────────────── */

static void test_quantiles(void **state) {
    (void)state;
    double three[3], few[] = {7, 1, 4, 2}, many[21];
    figures_quantiles(few, 4, three);
    near(three[LOW], 1), near(three[MID], 3), near(three[HIGH], 7);
    for (int i = 0; i < 21; i++) many[i] = (i * 8) % 21; /* 0 to 20, in disorder */
    figures_quantiles(many, 21, three);
    near(three[LOW], 2), near(three[MID], 10), near(three[HIGH], 18);
    double ten[] = {10, 20, 30, 40, 50, 60, 70, 80, 90, 100};
    figures_quantiles(ten, 10, three);
    near(three[LOW], 19), near(three[MID], 55), near(three[HIGH], 91); /* place 0.9, 4.5 and 8.1 */
    figures_quantiles(NULL, 0, three);
    near(three[MID], 0);
}

static void test_shares(void **state) {
    (void)state;
    near(figures_share(8, 8), 8.5 / 9);
    near(figures_unmet(0, 3), 0.125);
    near(figures_bits(0.125), 3);
    near(figures_bits(1), 0);
    near(figures_bits(0), 99);
    near(figures_occasions(0.5), 1);
    near(figures_occasions(1), 1);
    near(figures_occasions(6), 3); /* 6 / (1 + 5/5) */
    assert_true(figures_occasions(1e9) < 5 + 1e-6);
    near(figures_any(0.5, 2), 0.75);
    near(figures_any(0.25, 1), 0.25);
}

static void test_missing(void **state) {
    (void)state;
    near(figures_missing(8, 8, 1, 8, 8, 1), 0.5 / 9); /* all had it in every hour: the host lacks it */
    /* In half of their hours: two hours without it leave a quarter of those who have it. */
    near(figures_missing(2, 2, 1, 10, 20, 2), 0.5 / 3 + 2.5 / 3 * 0.25);
    /* Six connections each count for three occasions: 6.5 of 7. */
    near(figures_missing(2, 2, 6, 2, 2, 1), 0.5 / 7);
    /* The longer it was watched, the more its silence says. */
    assert_true(figures_missing(3, 4, 1, 6, 40, 100) < figures_missing(3, 4, 1, 6, 40, 5));
}

static void test_tails(void **state) {
    (void)state;
    /* Of a thousand hours the prior hardly counts: the 90th of a hundred is exceeded by one in ten. */
    const double learnt[3] = {100e3, 200e3, 400e3};
    assert_true(fabs(figures_tail(learnt, 1000000, 400e3, 1) - 0.1) < 1e-3);
    assert_true(fabs(figures_tail(learnt, 1000000, 100e3, 1) - 0.1) < 1e-3);
    near(figures_tail(learnt, 5, 200e3, 1), 0.5);
    /* One hour, no spread: two parts prior (ln 2 / ln 5), one part none; ten times as much. */
    const double one[3] = {1e6, 1e6, 1e6};
    double scale = 2.0 / 3 * log(2) / log(5);
    assert_true(fabs(figures_tail(one, 1, 1e7, 1) / (0.5 * exp(-log(10) / scale)) - 1) < 1e-4);
    assert_true(figures_tail(one, 100, 1e7, 1) < figures_tail(one, 1, 1e7, 1));
    /* Few of a thing scatter widely: three times two is nothing. */
    const double two[3] = {2, 2, 2};
    assert_true(figures_bits(figures_tail(two, 2, 6, 1)) < 4);
}

static void test_rhythm(void **state) {
    (void)state;
    const nanoseconds s = NS_PER_SECOND;
    double gap, spread;
    nanoseconds regular[] = {90 * s, 0,          30 * s,
                             60 * s, 60 * s + 1, 120 * s}; /* a burst of two, out of order */
    assert_true(figures_rhythm(regular, 6, &gap, &spread));
    assert_true(fabs(gap - 30) < 1e-6 && spread < 1e-6);
    nanoseconds uneven[] = {0, 10 * s, 30 * s, 60 * s, 100 * s, 150 * s}; /* 10 20 30 40 50 */
    assert_true(figures_rhythm(uneven, 6, &gap, &spread));
    near(gap, 30), near(spread, 20);
    nanoseconds absent[] = {0, 10 * s, 20 * s, 30 * s, 100000 * s};
    assert_false(figures_rhythm(absent, 5, &gap, &spread));
    assert_false(figures_rhythm(uneven, 0, &gap, &spread));
}

/* ── keys ────────────────────────────────────────────────────────── */

static void name_is(const char *name, const char *expected) {
    char key[PROFILE_KEY_MAX + 1];
    profile_key_name(name, key);
    assert_string_equal(key, expected);
}

static void test_names(void **state) {
    (void)state;
    name_is("24-courier.push.apple.com", "*-courier.push.apple.com");
    name_is("P70-CalDAV.icloud.com.", "p*-caldav.icloud.com");
    name_is("gspe21-ssl.ls.apple.com", "gspe21-ssl.ls.apple.com");
    name_is("3.pool.ntp.org", "*.pool.ntp.org");
    name_is("a1b2c3d4e5f60718.cdn.example.com", "*.cdn.example.com");
    name_is("deadbeef.example.com", "deadbeef.example.com"); /* a word, for all we know */
    name_is("node-123456.example.co.uk", "node-*.example.co.uk");
    name_is("163.com", "163.com"); /* registered so */
    name_is("192.168.1.7", "192.168.1.7");
    name_is("115.3.10.10.in-addr.arpa", "*.in-addr.arpa");
    name_is("tab\there.example", "tab?here.example");
    name_is("\xff\xfe.example", "??.example");
    name_is("", "");
    char key[PROFILE_KEY_MAX + 1], *longest = malloc(5000);
    memset(longest, 'a', 4999);
    longest[4999] = '\0';
    profile_key_name(longest, key);
    assert_int_equal(strlen(key), PROFILE_KEY_MAX);
    free(longest);
    assert_string_equal(profile_key_domain("*-courier.push.apple.com"), "apple.com");
    assert_string_equal(profile_key_domain("localhost"), "localhost");
}

static void agent_is(const char *agent, const char *expected) {
    char key[PROFILE_KEY_MAX + 1];
    profile_key_agent(agent, key);
    assert_string_equal(key, expected);
}

static void test_others(void **state) {
    (void)state;
    agent_is("com.apple.trustd/2.0", "com.apple.trustd");
    agent_is("CaptiveNetworkSupport-390.60.1 wispr", "CaptiveNetworkSupport");
    agent_is("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15", "Mozilla (Macintosh)");
    agent_is("python-requests/2.31", "python-requests");
    agent_is("7-2", "7"), agent_is("", "");
    char key[PROFILE_KEY_MAX + 1];
    profile_key_service("TCP", 443, "tls", false, key);
    assert_string_equal(key, "tcp/443/tls");
    profile_key_service("UDP", 51820, NULL, true, key);
    assert_string_equal(key, "in udp/49152+");
    profile_key_service("ICMP", 0, NULL, false, key);
    assert_string_equal(key, "icmp");
    struct ip address;
    ip_parse("203.0.113.77", &address);
    profile_key_network(&address, key);
    assert_string_equal(key, "203.0.113.0/24");
    ip_parse("2001:db8:1:2::3", &address);
    profile_key_network(&address, key);
    assert_string_equal(key, "2001:db8:1::/48");
}

/* ── collecting ──────────────────────────────────────────────────── */

static bool is_ten(void *context, const struct ip *address) {
    (void)context;
    return ip_is_v4(address) && address->bytes[12] == 10;
}

static struct profile_collector *collector(void) {
    const struct profile_collect_options options = {.is_local = is_ten};
    return profile_collector_new(&options, NULL);
}

static enum profile_line flow(struct profile_collector *c, const char *client, const char *start,
                              const char *name, unsigned sent) {
    char line[1024];
    int length =
        snprintf(line, sizeof line,
                 "{\"event_type\":\"flow\",\"src_ip\":\"%s\",\"dest_ip\":\"192.0.2.1\",\"dest_port\":443,"
                 "\"proto\":\"TCP\",\"app_proto\":\"tls\",\"server_name\":\"%s\",\"ja4\":\"t13\",\"flow\":{"
                 "\"bytes_toserver\":%u,\"bytes_toclient\":9,\"start\":\"2024-06-11T%s.000000+0000\"}}",
                 client, name, sent, start);
    return profile_collect(c, line, (size_t)length);
}

static struct profile learnt(struct profile_collector *c, const struct profile *earlier) {
    struct profile profile;
    struct error err;
    profile_collector_source(c, "/some/where/a.pcap", 0);
    assert_int_equal(profile_learn(c, earlier, &profile, &err), 0);
    profile_collector_free(c);
    return profile;
}

static void test_hours_of_presence(void **state) {
    (void)state;
    struct profile_collector *c = collector();
    /* 08:50 to 09:20 is one hour of presence, 11:00 begins another, 12:05 is the one behind that. */
    assert_int_equal(flow(c, "10.0.0.1", "08:50:00", "a.example.com", 100), PROFILE_COUNTED);
    assert_int_equal(flow(c, "10.0.0.1", "09:20:00", "a.example.com", 300), PROFILE_COUNTED);
    assert_int_equal(flow(c, "10.0.0.1", "08:40:00", "a.example.com", 1), PROFILE_COUNTED); /* told late */
    flow(c, "10.0.0.1", "11:00:00", "a.example.com", 500);
    flow(c, "10.0.0.1", "12:05:00", "b.example.com", 1);
    flow(c, "10.0.0.2", "12:00:00", "a.example.com", 700);
    assert_int_equal(flow(c, "192.0.2.9", "12:00:00", "a.example.com", 700), PROFILE_OTHER);
    struct profile p = learnt(c, NULL);
    assert_int_equal(p.host_count, 2);
    assert_int_equal(p.hours, 4);
    const struct profile_row *a = profile_find(&p, PROFILE_NAME, "a.example.com");
    assert_non_null(a);
    assert_int_equal(a->hosts, 2);
    assert_int_equal(a->hours, 3);
    near(a->flows[LOW], 1), near(a->flows[MID], 1), near(a->flows[HIGH], 3);
    near(a->up[LOW], 401), near(a->up[MID], 500), near(a->up[HIGH], 700);
    assert_string_equal(a->note, "example.com");
    assert_non_null(profile_find(&p, PROFILE_TLS_NAME, "t13 a.example.com"));
    assert_non_null(profile_find(&p, PROFILE_SERVICE, "tcp/443/tls"));
    profile_clear(&p);
}

/* A question alone makes an hour; an announcement to a group makes none, and is not counted in one. */
static void test_presence(void **state) {
    (void)state;
    static const char query[] =
        "{\"event_type\":\"dns\",\"timestamp\":\"2024-06-11T11:00:00Z\",\"src_ip\":\"10.0.0.1\","
        "\"dest_ip\":\"10.0.0.9\",\"dns\":{\"type\":\"query\",\"rrname\":\"q.example.com\"}}";
    static const char group[] =
        "{\"event_type\":\"flow\",\"src_ip\":\"10.0.0.%d\",\"dest_ip\":\"224.0.0.251\",\"proto\":"
        "\"UDP\",\"flow\":{\"start\":\"2024-06-11T15:00:00Z\",\"bytes_toserver\":80}}";
    struct profile_collector *c = collector();
    flow(c, "10.0.0.1", "08:00:00", "a.example.com", 100);
    profile_collect(c, query, sizeof query - 1);
    for (int host = 1; host < 4; host++) {
        char line[sizeof group];
        profile_collect(c, line, (size_t)snprintf(line, sizeof line, group, host));
    }
    struct profile p = learnt(c, NULL);
    assert_int_equal(p.host_count, 1);
    assert_int_equal(p.hours, 2);
    assert_int_equal(profile_find(&p, PROFILE_VOLUME, "all")->hours, 2);
    assert_int_equal(profile_find(&p, PROFILE_RESOLVER, "local")->hours, 1);
    assert_int_equal(profile_find(&p, PROFILE_DNS_NAME, "q.example.com")->hours, 1);
    assert_null(profile_find(&p, PROFILE_SERVICE, "udp"));
    profile_clear(&p);
}

static void test_lines(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "x",
                                      "{}",
                                      "{\"event_type\":\"flow\"",
                                      "{\"event_type\":\"flow\"}",
                                      "[\"event_type\"]",
                                      "{\"event_type\":\"dns\",\"timestamp\":\"yesterday\"}",
                                      "{\"event_type\":\"flow\",\"flow\":{\"start\":5},\"src_ip\":[]}"};
    struct profile_collector *c = collector();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(profile_collect(c, bad[i], strlen(bad[i])), PROFILE_BAD);
    static const char other[] = "{\"event_type\": \"alert\", broken";
    assert_int_equal(profile_collect(c, other, sizeof other - 1), PROFILE_OTHER);
    static const char odd[] =
        "{\"event_type\": \"dns\",\"timestamp\":\"2024-06-11T08:00:00Z\",\"src_ip\":\"10.0.0.1\","
        "\"dest_ip\":\"10.0.0.9\",\"dns\":[1,2]}";
    assert_int_equal(profile_collect(c, odd, sizeof odd - 1), PROFILE_COUNTED);
    assert_false(profile_collector_failed(c));
    struct profile p = learnt(c, NULL);
    assert_int_equal(p.host_count, 0);
    profile_clear(&p);
}

static void test_bounds(void **state) {
    (void)state;
    struct profile_collector *c = collector();
    for (unsigned i = 0; i < PROFILE_ROWS_MAX + 100; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%c%c%c%c.example.com", 'a' + i % 26, 'a' + i / 26 % 26,
                 'a' + i / 676 % 26, 'a' + i / 17576 % 26);
        flow(c, "10.0.0.1", "08:00:00", name, 1);
    }
    struct profile p = learnt(c, NULL);
    assert_true(p.row_count <= PROFILE_ROWS_MAX);
    assert_true(p.left_out >= 100);
    profile_clear(&p);
}

/* ── earlier ones, files ─────────────────────────────────────────── */

static void test_add(void **state) {
    (void)state;
    struct profile_collector *c = collector();
    flow(c, "10.0.0.1", "08:00:00", "a.example.com", 100);
    flow(c, "10.0.0.1", "08:00:01", "old.example.com", 100);
    struct profile first = learnt(c, NULL);
    c = collector();
    flow(c, "10.0.0.1", "10:00:00", "a.example.com", 300); /* the same host again, and another */
    flow(c, "10.0.0.2", "10:00:00", "a.example.com", 300);
    flow(c, "10.0.0.2", "10:00:00", "new.example.com", 300);
    struct profile both = learnt(c, &first);
    const struct profile_row *a = profile_find(&both, PROFILE_NAME, "a.example.com");
    assert_int_equal(both.host_count, 2);
    assert_int_equal(both.hours, 3);
    assert_int_equal(a->hosts, 2);
    assert_int_equal(a->hours, 3);
    near(a->up[MID], (100 + 2 * 300) / 3.0);
    assert_int_equal(profile_find(&both, PROFILE_NAME, "old.example.com")->hosts, 1);
    assert_int_equal(profile_find(&both, PROFILE_NAME, "new.example.com")->hours, 1);
    assert_string_equal(both.sources, "a.pcap, a.pcap");
    profile_clear(&first);
    profile_clear(&both);
}

/* As a file of its own; -1 if it cannot be read again. */
static int read_back(const struct buffer *b, struct profile *out, struct error *err) {
    char path[] = "/tmp/test_profile.XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, b->at, b->length), b->length);
    close(fd);
    int outcome = profile_read(path, out, err);
    unlink(path);
    return outcome;
}

/* What does not fit beside what was there is counted, and the file can be read. */
static void test_add_to_a_full_one(void **state) {
    (void)state;
    struct profile earlier = {0}, again;
    struct error err;
    for (int turn = 0; turn < 2; turn++) {
        struct profile_collector *c = collector();
        for (unsigned i = 0; i < PROFILE_ROWS_MAX; i++) {
            char name[48];
            snprintf(name, sizeof name, "n%c%c%c%c.%s.com", 'a' + i % 26, 'a' + i / 26 % 26,
                     'a' + i / 676 % 26, 'a' + i / 17576 % 26, turn ? "new" : "old");
            flow(c, "10.0.0.1", "08:00:00", name, 1);
        }
        struct profile p = learnt(c, turn ? &earlier : NULL);
        profile_clear(&earlier);
        earlier = p;
    }
    struct buffer b = {0};
    profile_write(&earlier, &b);
    assert_int_equal(read_back(&b, &again, &err), 0);
    assert_true(earlier.row_count <= PROFILE_ROWS_MAX && earlier.left_out > PROFILE_ROWS_MAX / 2);
    assert_non_null(profile_find(&again, PROFILE_VOLUME, "all"));
    profile_clear(&earlier);
    profile_clear(&again);
    buffer_free(&b);
}

static void test_file(void **state) {
    (void)state;
    struct profile_collector *c = collector();
    for (int i = 0; i < 6; i++) {
        char at[16];
        snprintf(at, sizeof at, "08:%02d:00", i * 3);
        flow(c, "10.0.0.1", at, "a.example.com", 100u + (unsigned)i);
    }
    struct profile p = learnt(c, NULL), again;
    struct buffer b = {0}, second = {0};
    struct error err;
    profile_write(&p, &b);
    assert_int_equal(read_back(&b, &again, &err), 0);
    profile_write(&again, &second);
    assert_int_equal(b.length, second.length);
    assert_memory_equal(b.at, second.at, b.length);
    near(profile_find(&again, PROFILE_NAME, "a.example.com")->gap, 180);
    char *gap = strstr(b.at, "\t180\t0\t");
    assert_non_null(gap);
    gap[5] = '-'; /* a rhythm is two numbers or none */
    struct profile half;
    assert_int_equal(read_back(&b, &half, &err), -1);
    assert_non_null(strstr(err.text, "gap, gap_spread: expected two numbers or two '-', got '180' and '-'"));
    profile_clear(&p);
    profile_clear(&again);
    buffer_free(&b);
    buffer_free(&second);
}

/* ── comparing ───────────────────────────────────────────────────── */

static int compare_one(void *context, const struct profile *of_one, struct error *err) {
    (void)err;
    void **both = context;
    profile_compare(both[0], of_one, 0, both[1]);
    return 0;
}

static const struct profile_finding *found(const struct profile_findings *findings, const char *change,
                                           const char *what) {
    for (size_t i = 0; i < findings->count; i++)
        if (strcmp(findings->at[i].change, change) == 0 && strcmp(findings->at[i].what, what) == 0)
            return &findings->at[i];
    fail_msg("no finding: %s %s", change, what);
    return NULL;
}

/* Three hosts that all call a and b once; the fourth calls a and a stranger. */
static void test_surprise(void **state) {
    (void)state;
    struct profile_collector *c = collector();
    static const char *const hosts[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
    for (int i = 0; i < 3; i++) {
        flow(c, hosts[i], "08:00:00", "a.example.com", 100);
        flow(c, hosts[i], "08:00:01", "b.example.com", 100);
    }
    struct profile p = learnt(c, NULL);
    struct profile_findings findings = {0};
    void *both[] = {&p, &findings};
    c = collector();
    flow(c, "10.0.0.4", "08:00:00", "a.example.com", 100);
    flow(c, "10.0.0.4", "08:00:01", "x.stranger.org", 100);
    assert_int_equal(profile_each_host(c, compare_one, both, NULL), 0);
    profile_collector_free(c);
    /* Not one of two names was met once: 1/2 of 6 + 1. One domain, three hosts with two connections in its
     * hour, 3 * 2 / 1.2 = 5 occasions: 1/2 of 5 + 1, which is less surprising. Both names are called once as
     * well, and send as much: (2 + 1/2) / (2 + 1) on top. */
    near(found(&findings, "new", "x.stranger.org")->bits, -log2(0.5 / 7) - log2(2.5 / 3));
    near(found(&findings, "missing", "b.example.com")->bits, -log2(0.5 / 4));
    for (size_t i = 1; i < findings.count; i++) assert_true(findings.at[i - 1].bits >= findings.at[i].bits);
    profile_findings_clear(&findings);
    profile_clear(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_tails),
        cmocka_unit_test(test_rhythm),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_presence),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_hours_of_presence),
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_add_to_a_full_one),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_surprise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
