/* Hosts' cards: what replaces what, what gives way and that it is counted, and that merging several workers'
 * tables gives what one table would have. */
#include "output/card_show.h"
#include "output/cards.h"
#include "output/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct ip host_number(uint32_t i) {
    struct ip ip;
    ip_from_v4(&ip, (const uint8_t[]){10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i});
    return ip;
}

static struct fact fact_of(uint32_t host, const char *topic, const char *text, nanoseconds time) {
    return (struct fact){.time = time,
                         .detector = "test",
                         .host = host_number(host),
                         .topic = topic,
                         .text = text,
                         .details = "{}"};
}

static void tell(struct cards *cards, uint32_t host, const char *topic, const char *text, nanoseconds time) {
    const struct fact fact = fact_of(host, topic, text, time);
    cards_tell(cards, &fact);
}

static void alert(struct cards *cards, const char *who, const char *title, uint8_t severity,
                  nanoseconds time) {
    const struct alert a = {
        .time = time, .severity = severity, .detector = "test", .title = title, .who = who};
    cards_alert(cards, &a);
}

static void flow(struct cards *cards, uint32_t host, const char *program, const char *path, uint64_t bytes) {
    struct event_flow e = {0};
    e.head.client_ip = host_number(host);
    e.head.client_local = 1;
    ip_from_v4(&e.head.server_ip, (const uint8_t[]){192, 0, 2, 1});
    e.head.program = program;
    e.head.path = path;
    e.body.client_bytes = bytes / 10;
    e.body.server_bytes = bytes - bytes / 10;
    e.body.server_packets = 1;
    cards_flow(cards, &e);
}

/* All cards as records, one below the other: the caller frees. */
static char *records_of(const struct cards *cards) {
    struct buffer b = {0};
    uint32_t count;
    const struct card **list = cards_list(cards, &count);
    for (uint32_t i = 0; i < count; i++) card_record(list[i], &b, 0);
    free(list);
    buffer_char(&b, '\0');
    assert_false(b.failed);
    return b.at;
}

static char *page_of(const struct cards *cards, struct card_extent extent) {
    const struct terminal_style style = {.width = 80};
    struct buffer b = {0};
    uint32_t count;
    const struct card **list = cards_list(cards, &count);
    card_print_list(list, count, 10, &b, &style, extent);
    free(list);
    buffer_char(&b, '\0');
    return b.at;
}

static void assert_says(const struct cards *cards, const char *what, bool expected) {
    char *records = records_of(cards);
    if ((strstr(records, what) != NULL) != expected)
        fail_msg("%s%s in %s", expected ? "no " : "", what, records);
    free(records);
}

/* ── facts ───────────────────────────────────────────────────────── */

static void the_latest_of_a_topic_counts(void **state) {
    (void)state;
    struct cards *cards = cards_new(100, CARDS_BYTES);
    tell(cards, 1, "phase", "install", 100 * NS_PER_SECOND);
    tell(cards, 1, "phase", "steady", 200 * NS_PER_SECOND);
    tell(cards, 1, "phase", "steady", 300 * NS_PER_SECOND);
    assert_says(cards, "install", false);
    assert_says(cards, "\"text\":[\"steady\"],\"detector\":\"test\",\"since\":\"1970-01-01T00:03:20", true);
    tell(cards, 1, "phase", "", 400 * NS_PER_SECOND);
    uint32_t count;
    assert_null(cards_list(cards, &count)); /* it was all there was to say */
    assert_int_equal(count, 0);
    cards_free(cards);
}

static void told_again_it_costs_no_memory(void **state) {
    (void)state;
    struct cards *cards = cards_new(100, CARDS_BYTES);
    tell(cards, 1, "identity", "a Mac", 1);
    uint64_t before = cards_figures(cards).bytes;
    for (int i = 2; i < 1000; i++) tell(cards, 1, "identity", "a Mac", i);
    assert_int_equal(cards_figures(cards).bytes, before);
    assert_int_equal(cards_figures(cards).hosts, 1);
    cards_free(cards);
}

static void topics_come_in_the_order_of_the_card(void **state) {
    (void)state;
    static const char *const topics[] = {"zebra",    "visibility",    "alpha",
                                         "gui apps", "third parties", "phase"};
    struct cards *cards = cards_new(100, CARDS_BYTES);
    for (int i = 0; i < 6; i++) tell(cards, 1, topics[i], "x", i);
    char *records = records_of(cards);
    const char *order[] = {"\"phase\"",      "\"third parties\"", "\"gui apps\"",
                           "\"visibility\"", "\"alpha\"",         "\"zebra\""};
    for (int i = 1; i < 6; i++) assert_true(strstr(records, order[i - 1]) < strstr(records, order[i]));
    assert_true(json_is_object(records, strlen(records) - 1));
    free(records);
    cards_free(cards);
}

static void the_seventeenth_topic_takes_the_oldest_ones_place(void **state) {
    (void)state;
    struct cards *cards = cards_new(100, CARDS_BYTES);
    char topic[32];
    for (int i = 0; i < 16; i++) {
        snprintf(topic, sizeof topic, "topic%02d", i);
        tell(cards, 1, topic, "x", i);
    }
    tell(cards, 1, "topic00", "x", 50); /* told again: now topic01 is the oldest */
    tell(cards, 1, "one more", "x", 60);
    assert_says(cards, "\"topic00\"", true);
    assert_says(cards, "\"topic01\"", false);
    assert_says(cards, "\"one more\"", true);
    assert_int_equal(cards_figures(cards).dropped, 1);
    cards_free(cards);
}

static void what_was_never_told_costs_nothing_to_take_back(void **state) {
    (void)state;
    struct cards *cards = cards_new(100, CARDS_BYTES);
    char topic[32];
    for (int i = 0; i < 16; i++) {
        snprintf(topic, sizeof topic, "topic%02d", i);
        tell(cards, 1, topic, "x", i);
    }
    tell(cards, 1, "one more", "", 60);
    assert_says(cards, "\"topic00\"", true);
    assert_int_equal(cards_figures(cards).dropped, 0);
    cards_free(cards);
}

/* ── findings and programs ───────────────────────────────────────── */

static void findings_are_counted_by_title(void **state) {
    (void)state;
    struct cards *cards = cards_new(100, CARDS_BYTES);
    alert(cards, "10.0.0.1", "Odd", SEVERITY_LOW, 10 * NS_PER_SECOND);
    alert(cards, "10.0.0.1", "Odd", SEVERITY_HIGH, 30 * NS_PER_SECOND);
    alert(cards, "10.0.0.1", "Odd", SEVERITY_INFO, 20 * NS_PER_SECOND);
    alert(cards, "some words", "Odd", SEVERITY_HIGH, 20 * NS_PER_SECOND);
    alert(cards, "", "Odd", SEVERITY_HIGH, 20 * NS_PER_SECOND);
    assert_says(
        cards,
        "{\"title\":\"Odd\",\"detector\":\"test\",\"severity\":1,\"count\":3,\"last\":\"1970-01-01T00:00:30",
        true);
    assert_int_equal(cards_figures(cards).hosts, 1);
    cards_free(cards);
}

static void the_least_severe_finding_gives_way(void **state) {
    (void)state;
    struct cards *cards = cards_new(100, CARDS_BYTES);
    char title[32];
    for (int i = 0; i < 40; i++) {
        snprintf(title, sizeof title, "title %02d", i);
        alert(cards, "10.0.0.1", title, i % 4 == 0 ? SEVERITY_HIGH : SEVERITY_LOW, i);
    }
    for (int i = 0; i < 40; i += 4) {
        snprintf(title, sizeof title, "title %02d", i);
        assert_says(cards, title, true);
    }
    assert_says(cards, "title 39", true); /* of the low ones the latest */
    assert_says(cards, "title 01", false);
    assert_int_equal(cards_figures(cards).dropped, 40 - CARD_FINDINGS);
    cards_free(cards);
}

static void a_host_elsewhere_gets_no_card(void **state) {
    (void)state;
    struct cards *cards = cards_new(100, CARDS_BYTES);
    struct alert a = {
        .severity = SEVERITY_LOW, .detector = "test", .title = "x", .who = "192.0.2.1", .has_head = true};
    ip_from_v4(&a.head.server_ip, (const uint8_t[]){192, 0, 2, 1});
    cards_alert(cards, &a);
    assert_int_equal(cards_figures(cards).hosts, 0);
    cards_free(cards);
}

static void the_busiest_programs_are_shown(void **state) {
    (void)state;
    static char names[60][16];
    struct cards *cards = cards_new(100, CARDS_BYTES);
    for (uint32_t i = 0; i < 60; i++) snprintf(names[i], sizeof names[i], "program%02u", i);
    for (int turn = 0; turn < 20; turn++)
        for (uint32_t i = 0; i < 60; i++) flow(cards, 1, names[i], NULL, i < 50 ? 10 : 100000 * (i + 1));
    char *records = records_of(cards), word[32];
    for (uint32_t i = 0; i < 60; i++) {
        snprintf(word, sizeof word, "\"%s\"", names[i]);
        assert_true((strstr(records, word) != NULL) == (i >= 52)); /* the eight */
    }
    assert_true(strstr(records, "\"program59\"") < strstr(records, "\"program52\""));
    free(records);
    cards_free(cards);
}

static void the_same_program_at_two_paths_is_two(void **state) {
    (void)state;
    struct cards *cards = cards_new(100, CARDS_BYTES);
    flow(cards, 1, "curl", "/usr/bin/curl", 100);
    flow(cards, 1, "curl", "/tmp/curl", 50);
    flow(cards, 1, "curl", "/usr/bin/curl", 100);
    assert_says(cards,
                "{\"name\":\"curl\",\"path\":\"/usr/bin/curl\",\"flows\":2,\"sent\":20,\"received\":180}",
                true);
    assert_says(cards, "{\"name\":\"curl\",\"path\":\"/tmp/curl\",\"flows\":1,\"sent\":5,\"received\":45}",
                true);
    assert_says(cards, "\"host\":{\"flows\":3,\"sent\":25,\"received\":225,", true);
    cards_free(cards);
}

/* ── bounds ──────────────────────────────────────────────────────── */

static void hosts_of_which_little_is_known_go_first(void **state) {
    (void)state;
    struct cards *cards = cards_new(100, CARDS_BYTES);
    tell(cards, 1, "identity", "a Mac", 1);
    for (uint32_t i = 1000; i < 3000; i++) flow(cards, i, NULL, NULL, 100); /* a scan with false senders */
    assert_int_equal(cards_figures(cards).hosts, 100);
    assert_int_equal(cards_figures(cards).evicted, 1901);
    assert_says(cards, "\"a Mac\"", true);
    for (uint32_t i = 2; i < 200; i++) {
        tell(cards, i, "identity", "another", i);
        tell(cards, 1, "identity", "a Mac", i); /* heard of again and again */
    }
    assert_int_equal(cards_figures(cards).hosts, 100);
    assert_says(cards, "\"a Mac\"", true);
    assert_says(cards, "\"src_ip\":\"10.0.0.199\"", true);
    assert_says(cards, "\"src_ip\":\"10.0.0.2\"", false);
    cards_free(cards);
}

static void bytes_are_bounded(void **state) {
    (void)state;
    enum { ROOM = 1 << 20 };
    struct cards *cards = cards_new(CARDS_HOSTS, ROOM);
    char text[1025];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (uint32_t i = 0; i < 5000; i++) {
        tell(cards, i, "apple", text, i);
        assert_true(cards_figures(cards).bytes <= ROOM);
    }
    struct card_figures figures = cards_figures(cards);
    assert_int_equal(figures.hosts + figures.evicted, 5000);
    assert_in_range(figures.hosts, ROOM / 2048, ROOM / 1024);
    cards_free(cards);
}

/* ── several workers ─────────────────────────────────────────────── */

/* What happens at host `i`, all of it in one table. */
static void life(struct cards *cards, uint32_t i) {
    static const char *const programs[] = {"curl", "Safari", "ssh"};
    char text[64], who[IP_TEXT_SIZE];
    struct ip ip = host_number(i);
    ip_format(&ip, who);
    for (uint32_t k = 0; k < 1 + i % 5; k++) {
        snprintf(text, sizeof text, "number %u of %u", k, i);
        tell(cards, i, k % 2 ? "phase" : "identity", text, k);
        flow(cards, i, programs[(i + k) % 3], NULL, 1000 * i + k);
        if (i % 3 == 0) alert(cards, who, "Found", SEVERITY_MEDIUM, k);
    }
}

static void merged_it_is_as_if_there_had_been_one(void **state) {
    (void)state;
    enum { HOSTS = 300 };
    struct cards *one = cards_new(CARDS_HOSTS, CARDS_BYTES);
    for (uint32_t i = 0; i < HOSTS; i++) life(one, i);
    char *expected = records_of(one);
    for (uint32_t workers = 1; workers <= 4; workers++) {
        struct cards *merged = cards_new(UINT32_MAX, SIZE_MAX);
        for (uint32_t w = 0; w < workers; w++) {
            struct cards *cards = cards_new(CARDS_HOSTS, CARDS_BYTES);
            for (uint32_t i = w; i < HOSTS; i += workers) life(cards, i);
            cards_merge(merged, cards, NULL);
            cards_free(cards);
        }
        char *got = records_of(merged);
        assert_string_equal(got, expected);
        free(got);
        cards_free(merged);
    }
    free(expected);
    cards_free(one);
}

static void of_two_facts_the_later_one_stays(void **state) {
    (void)state;
    for (int turned = 0; turned < 2; turned++) {
        struct cards *a = cards_new(10, CARDS_BYTES), *b = cards_new(10, CARDS_BYTES);
        struct cards *merged = cards_new(10, CARDS_BYTES);
        tell(a, 1, "phase", "early", 5);
        tell(b, 1, "phase", "late", 9);
        tell(a, 1, "tools", "wrong", 5);
        tell(b, 1, "tools", "", 9); /* taken back by who gathers */
        struct fact fact = fact_of(1, "identity", "seen from afar", 9);
        fact.second_hand = true; /* the other has the host's traffic */
        cards_tell(b, &fact);
        tell(a, 1, "identity", "seen", 5);
        cards_merge(merged, turned ? b : a, NULL);
        cards_merge(merged, turned ? a : b, NULL);
        assert_says(merged, "\"late\"", true);
        assert_says(merged, "\"early\"", false);
        assert_says(merged, "wrong", false);
        assert_says(merged, "\"seen\"", true);
        cards_free(a);
        cards_free(b);
        cards_free(merged);
    }
}

static void one_host_can_be_asked_for(void **state) {
    (void)state;
    struct cards *cards = cards_new(CARDS_HOSTS, CARDS_BYTES), *one = cards_new(10, CARDS_BYTES);
    for (uint32_t i = 0; i < 100; i++) life(cards, i);
    const struct ip wanted = host_number(42);
    cards_merge(one, cards, &wanted);
    uint32_t count;
    const struct card **list = cards_list(one, &count);
    assert_int_equal(count, 1);
    assert_true(ip_equals(&list[0]->address, &wanted));
    free(list);
    cards_free(cards);
    cards_free(one);
}

/* ── on paper ────────────────────────────────────────────────────── */

static void a_card_is_readable(void **state) {
    (void)state;
    struct cards *cards = cards_new(10, CARDS_BYTES);
    struct fact identity =
        fact_of(1, "identity", "MacBook Pro \"Annas-Mac\", macOS 14 (97 % sure)\nby its SYN", 1);
    identity.details = "{\"same_as\":[\"fe80::1\",\"fd00::2\"]}";
    cards_tell(cards, &identity);
    tell(cards, 1, "third parties", "dropbox.com, slack.com", 1);
    flow(cards, 1, "curl", "/usr/bin/curl", 1000);
    alert(cards, "10.0.0.1", "Beacon", SEVERITY_HIGH, 0);
    char *page = page_of(cards, card_whole);
    assert_string_equal(page, "  10.0.0.1  MacBook Pro \"Annas-Mac\", macOS 14 (97 % sure)\n"
                              "      also           fe80::1, fd00::2\n"
                              "      findings       high: Beacon (1970-01-01 00:00:00)\n"
                              "      identity       by its SYN\n"
                              "      third parties  dropbox.com, slack.com\n"
                              "      programs       /usr/bin/curl: 1 flow, 100 B sent, 900 B received\n"
                              "      traffic        1 flow, 100 B sent, 900 B received\n");
    free(page);
    cards_free(cards);
}

/* What comes off the wire, and what a script says, must not steer a terminal or break a record. */
static void what_it_says_is_made_safe(void **state) {
    (void)state;
    struct cards *cards = cards_new(10, CARDS_BYTES);
    struct fact fact = fact_of(1, "identity",
                               "\x1b[2J\"\\\xff a word that is long enough to be wrapped at the "
                               "width of the terminal, twice if need be, and then some more",
                               1);
    fact.details = "{\"same_as\":[1,{},\"\"],"; /* no JSON */
    cards_tell(cards, &fact);
    tell(cards, 1, "a topic of thirty-two letters ok", "y", 1);
    flow(cards, 1, "\x1b]0;x\a", "/tmp/\n", 10);
    alert(cards, "10.0.0.1", "\x1b[31m", 9, 0);
    char *page = page_of(cards, card_brief), *records = records_of(cards);
    assert_null(strchr(page, 0x1b));
    assert_null(strchr(page, '\a'));
    for (const char *line = page; *line;) {
        size_t length = strcspn(line, "\n");
        assert_true(terminal_width_of(line, length) <= 80);
        line += length + (line[length] != '\0');
    }
    assert_true(json_is_object(records, strlen(records) - 1));
    assert_null(strstr(records, "same_as"));
    free(page);
    free(records);
    cards_free(cards);
}

/* The figure that the engine's README tells. */
static void six_facts_take_little(void **state) {
    (void)state;
    static const char *const topics[] = {"identity", "phase", "apple", "third parties", "elsewhere", "tools"};
    struct cards *cards = cards_new(CARDS_HOSTS, CARDS_BYTES);
    for (uint32_t i = 0; i < 10000; i++)
        for (int k = 0; k < 6; k++)
            tell(cards, i, topics[k],
                 "some eighty bytes of what the detector knows, as a line of the card has them ok", 1);
    struct card_figures figures = cards_figures(cards);
    print_message("%.0f bytes a host with six facts, %.1f MiB for 10,000\n",
                  (double)figures.bytes / (double)figures.hosts, (double)figures.bytes / (1 << 20));
    assert_int_equal(figures.hosts, 10000);
    assert_int_equal(figures.evicted, 0);
    cards_free(cards);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_latest_of_a_topic_counts),
        cmocka_unit_test(told_again_it_costs_no_memory),
        cmocka_unit_test(topics_come_in_the_order_of_the_card),
        cmocka_unit_test(the_seventeenth_topic_takes_the_oldest_ones_place),
        cmocka_unit_test(what_was_never_told_costs_nothing_to_take_back),
        cmocka_unit_test(findings_are_counted_by_title),
        cmocka_unit_test(the_least_severe_finding_gives_way),
        cmocka_unit_test(a_host_elsewhere_gets_no_card),
        cmocka_unit_test(the_busiest_programs_are_shown),
        cmocka_unit_test(the_same_program_at_two_paths_is_two),
        cmocka_unit_test(hosts_of_which_little_is_known_go_first),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(merged_it_is_as_if_there_had_been_one),
        cmocka_unit_test(of_two_facts_the_later_one_stays),
        cmocka_unit_test(one_host_can_be_asked_for),
        cmocka_unit_test(a_card_is_readable),
        cmocka_unit_test(what_it_says_is_made_safe),
        cmocka_unit_test(six_facts_take_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
