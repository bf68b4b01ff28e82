/* Rolling capture: what is in the files is what was given, around the alert, whatever the ring has forgotten.
 */
#include "recall_lab.h"

/* -------------------------------------------------------------------------- what is kept */

static void packets_come_back_as_they_were(void **state) {
    struct lab *lab = *state;
    const struct recall_options options = lab_options(lab);
    lab_open(lab, &options);
    uint32_t wanted[200], count = 0;
    static const uint16_t types[] = {1, 101, 0, 276};
    for (uint32_t i = 0; i < 400; i++) {
        const struct made made = {.flow_id = 1 + i % 3,
                                  .time = begin + i * 10000001,
                                  .captured = i * 7 % 1400,
                                  .original = i * 7 % 1400 + (i % 5 == 0 ? 777 : 0),
                                  .link_type = types[i / 7 % 4],
                                  .interface = (uint8_t)(i / 5 % 3),
                                  .direction = (uint8_t)(i % 3),
                                  .host = 23};
        if (made.flow_id == 2) wanted[count++] = i;
        give_made(lab, &made);
        if (i == 199) assert_non_null(alert_on(lab, 2, made.time));
    }
    char path[512];
    recall_advance(lab->recall, begin + SECONDS(20)); /* the file is still open, and can be read */
    assert_int_equal(files_in(lab->alerts, path), 1);
    expect_numbers(lab, path, wanted, count);
    recall_advance(lab->recall, begin + SECONDS(100));
    assert_int_equal(recall_figures(lab->recall)->open, 0);
    expect_numbers(lab, path, wanted, count);
    const struct recall_figures *figures = recall_figures(lab->recall);
    assert_int_equal(figures->files, 1);
    assert_int_equal(figures->packets, count);
    struct stat seen;
    assert_int_equal(stat(path, &seen), 0);
    assert_int_equal(seen.st_size, figures->bytes);
    assert_int_equal(seen.st_mode & 07777 & ~0640u, 0);
    assert_string_equal(strrchr(path, '/') + 1, "20260321T101504Z-beacon-192.168.1.23-2.pcapng");
}

static void the_alert_is_the_comment(void **state) {
    struct lab *lab = *state;
    const struct recall_options options = lab_options(lab);
    lab_open(lab, &options);
    for (uint32_t i = 0; i < 3; i++) give(lab, 7, begin + i, 60);
    char path[512];
    snprintf(path, sizeof path, "%s", alert_on(lab, 7, begin + 2));
    static const char *const parts[] = {"Regular call home",
                                        "high",
                                        "beacon",
                                        "T1071.001",
                                        "192.168.1.23",
                                        "example.net",
                                        "60.0 s apart",
                                        "whose program",
                                        "{\"interval\":60.0}",
                                        "2026-03-21T10:15:02.123456",
                                        "3 kept"};
    for (int kind = 0; kind < 2; kind++)
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            expect_text(comments_of(path, kind ? SECTION : PACKETS), parts[i]);
    expect_no_text(comments_of(path, SECTION), "missing:");
    /* once only */
    assert_null(strstr(strstr(comments_of(path, PACKETS), "Regular") + 1, "Regular"));
    if (system("tshark --version >/dev/null 2>&1") != 0) return;
    char command[1400], got[4096];
    snprintf(
        command, sizeof command,
        "tshark -n -r '%s' -T fields -e frame.number -e frame.comment 2>/dev/null; capinfos '%s' 2>/dev/null",
        path, path);
    FILE *in = popen(command, "r");
    assert_non_null(in);
    size_t length = fread(got, 1, sizeof got - 1, in);
    got[length] = '\0';
    pclose(in);
    char *capinfos = strstr(got, "File name");
    assert_non_null(capinfos);
    expect_text(capinfos, "Regular call home");
    expect_text(capinfos, "lunette");
    *capinfos = '\0';
    expect_text(got, "1\talert:");
    expect_text(got, "Regular call home");
    expect_text(got, "\n2\t\n3\t\n");
}

static void windows_are_of_packet_time(void **state) {
    struct lab *lab = *state;
    struct recall_options options = lab_options(lab);
    options.before = SECONDS(10);
    options.after = SECONDS(5);
    lab_open(lab, &options);
    /* One packet a second; the alert is about the 20th and told when the 23rd has been. */
    for (uint32_t i = 0; i <= 23; i++) give(lab, 1, begin + SECONDS(i), 100);
    char path[512];
    snprintf(path, sizeof path, "%s", alert_on(lab, 1, begin + SECONDS(20)));
    for (uint32_t i = 24; i <= 40; i++) give(lab, 1, begin + SECONDS(i), 100);
    recall_advance(lab->recall, begin + SECONDS(40));
    uint32_t wanted[16];
    for (uint32_t i = 0; i < 16; i++) wanted[i] = 10 + i;
    expect_numbers(lab, path, wanted, 16);
    expect_text(comments_of(path, SECTION), "10 too old, 0 for want of room");
    expect_text(comments_of(path, STATISTICS), "complete until 2026-03-21T10:15:27");
}

/* Alerts about a flow's end come long after its last packet. */
static void a_silent_flow_is_kept_from_its_last_packet(void **state) {
    struct lab *lab = *state;
    struct recall_options options = lab_options(lab);
    options.before = SECONDS(10);
    lab_open(lab, &options);
    for (uint32_t i = 0; i < 20; i++) give(lab, 1, begin + SECONDS(i), 100);
    give(lab, 2, begin + SECONDS(300), 100);
    const char *path = alert_on(lab, 1, begin + SECONDS(300));
    uint32_t wanted[11];
    for (uint32_t i = 0; i < 11; i++) wanted[i] = 9 + i;
    expect_numbers(lab, path, wanted, 11);
}

static void an_alert_may_come_before_its_packet(void **state) {
    struct lab *lab = *state;
    const struct recall_options options = lab_options(lab);
    lab_open(lab, &options);
    give(lab, 1, begin, 100);
    char path[512], empty[512];
    snprintf(path, sizeof path, "%s", alert_on(lab, 2, begin));
    snprintf(empty, sizeof empty, "%s", alert_on(lab, 3, begin));
    assert_int_equal(recall_figures(lab->recall)->files, 0);
    give(lab, 2, begin + 1, 200);
    recall_advance(lab->recall, begin + SECONDS(60));
    expect_numbers(lab, path, (const uint32_t[]){1}, 1);
    expect_text(comments_of(path, PACKETS), "Regular call home");
    assert_int_equal(access(empty, F_OK), -1);
    assert_int_equal(recall_figures(lab->recall)->files, 1);
    assert_int_equal(recall_figures(lab->recall)->nothing, 1);
}

static void a_second_alert_is_a_comment(void **state) {
    struct lab *lab = *state;
    const struct recall_options options = lab_options(lab);
    lab_open(lab, &options);
    give(lab, 1, begin, 100);
    char path[512];
    snprintf(path, sizeof path, "%s", alert_on(lab, 1, begin));
    struct alert second = an_alert(begin + SECONDS(20));
    second.title = "Much data went out";
    assert_string_equal(recall_alert(lab->recall, &second, 1), path);
    give(lab, 1, begin + SECONDS(45), 100); /* within the second one's time */
    second.title = "And once more";
    assert_string_equal(recall_alert(lab->recall, &second, 1), path);
    recall_advance(lab->recall, begin + SECONDS(90));
    assert_int_equal(files_in(lab->alerts, NULL), 1);
    expect_numbers(lab, path, (const uint32_t[]){0, 1}, 2);
    expect_text(comments_of(path, PACKETS), "Much data went out");
    expect_text(comments_of(path, STATISTICS), "And once more"); /* no packet came that could carry it */
    expect_text(comments_of(path, STATISTICS), "alerts:   3");
}

static void an_alert_without_a_flow_takes_its_host(void **state) {
    struct lab *lab = *state;
    const struct recall_options options = lab_options(lab);
    lab_open(lab, &options);
    uint32_t wanted[40], count = 0;
    for (uint32_t i = 0; i < 120; i++) {
        struct made made = {.flow_id = i % 4,
                            .time = begin + i,
                            .captured = 80,
                            .original = 80,
                            .link_type = 1,
                            .host = (uint8_t)(22 + i % 3)};
        if (made.host == 23) wanted[count++] = i;
        give_made(lab, &made);
        if (i == 60) assert_non_null(alert_on(lab, 0, begin + 60));
    }
    recall_advance(lab->recall, begin + SECONDS(90));
    char path[512];
    assert_int_equal(files_in(lab->alerts, path), 1);
    expect_numbers(lab, path, wanted, count);
    expect_text(comments_of(path, SECTION), "of the host");
    struct alert nobody = an_alert(begin);
    nobody.who = "Anna's laptop";
    assert_null(recall_alert(lab->recall, &nobody, 0));
    nobody.who = "::";
    assert_null(recall_alert(lab->recall, &nobody, 0));
    assert_int_equal(recall_figures(lab->recall)->nothing, 2);
}

/* -------------------------------------------------------------------- against a model */

static uint32_t random_state = 20260321;
static uint32_t random_below(uint32_t n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

/* Whatever the sizes: of the flow, the file has all packets from some point on, the begin is said to be
 * missing exactly if it is, and the ring did not forget earlier than its size makes it. */
static void any_ring_any_packets(void **state) {
    struct lab *lab = *state;
    static uint32_t numbers[MADE_MOST], expected[MADE_MOST];
    uint32_t without_begin = 0, with_begin = 0;
    for (int round = 0; round < 150; round++) {
        struct recall_options options = lab_options(lab);
        options.ring_bytes = 65536 + random_below(random_below(4) == 0 ? 600000 : 30000);
        options.before = options.after = SECONDS(1000000);
        options.file_bytes = 64 << 20;
        lab_open(lab, &options);
        uint32_t packets = 1 + random_below(1500), largest = 1 + random_below(3000);
        uint32_t flows = 1 + random_below(40), at = random_below(packets), host = 0;
        uint64_t newest = 1, chosen = 0;
        char path[512] = "";
        bool too_large = false;
        for (uint32_t i = 0; i < packets; i++) {
            /* ids count up: a flow that was there, or the next */
            uint64_t flow = 1 + random_below((uint32_t)newest);
            bool new_flow = random_below(20) == 0 && newest < flows;
            if (new_flow) flow = ++newest;
            uint32_t length = random_below(50) == 0 ? random_below(40000) : random_below(largest);
            too_large |= length + 72 > options.ring_bytes / 2 - 8;
            const struct made made = {.flow_id = i == 0 || new_flow || random_below(10) ? flow : 0,
                                      .time = begin + i,
                                      .captured = length,
                                      .original = length,
                                      .link_type = 1,
                                      .host = (uint8_t)flow};
            give_made(lab, &made);
            if (i != at) continue;
            struct alert alert = an_alert(begin + i);
            char who[32];
            bool by_host = random_below(3) == 0;
            snprintf(who, sizeof who, "192.168.1.%u", (unsigned)flow);
            alert.who = who;
            const char *kept = recall_alert(lab->recall, &alert, by_host ? 0 : flow);
            assert_non_null(kept);
            snprintf(path, sizeof path, "%s", kept);
            chosen = by_host ? 0 : flow;
            host = by_host ? (uint32_t)flow : 0;
        }
        recall_free(lab->recall);
        lab->recall = NULL;
        uint32_t count = 0;
        for (uint32_t i = 0; i < packets; i++) {
            const struct made *made = &lab->made[i];
            bool wanted = chosen ? made->flow_id == chosen : made->host == host || host == 1;
            /* what never fits into the ring is only seen behind the alert */
            bool fits = i > at || made->captured + 72u <= options.ring_bytes / 2 - 8;
            if (wanted && fits) expected[count++] = i;
        }
        if (access(path, F_OK) != 0) { /* nothing of it was there */
            clear_folder(lab->alerts);
            continue;
        }
        uint32_t got = read_numbers(lab, path, numbers);
        assert_true(got <= count);
        for (uint32_t i = 0; i < got; i++) assert_int_equal(numbers[i], expected[count - got + i]);
        if (got < count) { /* the first that is missing was pushed out by what came up to the alert */
            uint64_t since = 0;
            uint32_t lost = expected[count - got - 1];
            assert_true(lost <= at);
            for (uint32_t i = lost; i <= at; i++) since += (lab->made[i].captured + 72 + 7) & ~7u;
            assert_true(since + 40000 + 72 > options.ring_bytes);
        }
        bool says = strstr(comments_of(path, SECTION), "missing:") != NULL;
        if (chosen && !too_large) assert_int_equal(says, got < count);
        without_begin += got < count;
        with_begin += got == count;
        clear_folder(lab->alerts);
    }
    assert_true(without_begin > 10 && with_begin > 10); /* both were tried */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LAB_TEST(packets_come_back_as_they_were),
        LAB_TEST(the_alert_is_the_comment),
        LAB_TEST(windows_are_of_packet_time),
        LAB_TEST(a_silent_flow_is_kept_from_its_last_packet),
        LAB_TEST(an_alert_may_come_before_its_packet),
        LAB_TEST(a_second_alert_is_a_comment),
        LAB_TEST(an_alert_without_a_flow_takes_its_host),
        LAB_TEST(any_ring_any_packets),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
