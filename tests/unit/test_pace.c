/* A capture played at its own pace: a packet comes when its time has come, not before, and all of them come.
 * Time is given by hand. */
#include "build_capture.h"
#include "sensor/pace.h"

enum { MAGIC = 0xa1b2c3d4, BEGAN = 1700000000, ETHERNET = 1 };

static const nanoseconds wall = 5000 * NS_PER_SECOND; /* when play begins */

/* Packets that many milliseconds after BEGAN. */
static const char *capture_of(const char *name, const uint32_t *milliseconds, uint32_t count) {
    struct file f = {0};
    pcap_header(&f, MAGIC, ETHERNET);
    for (uint32_t i = 0; i < count; i++)
        pcap_packet(&f, MAGIC, BEGAN + milliseconds[i] / 1000, milliseconds[i] % 1000 * 1000, 60, 60, i);
    const char *path = save(name, &f);
    free(f.bytes);
    return path;
}

static struct pace *play(const char *path, double speed) {
    struct error err;
    struct pace *pace = pace_new(&path, 1, speed, &err);
    if (!pace) fail_msg("%s", err.text);
    pace_begin(pace, wall);
    return pace;
}

/* How many packets come at that moment of the wall's clock until it says 0 or -1, which `last` gets. */
static int take(struct pace *pace, nanoseconds after, int *last) {
    struct packet burst[PACKET_BURST];
    int total = 0;
    while ((*last = pace_next_burst(pace, wall + after, burst)) > 0) total += *last;
    return total;
}

static void packets_come_when_they_are_due(void **state) {
    (void)state;
    struct pace *pace = play(capture_of("due", (const uint32_t[]){0, 100, 200, 1000}, 4), 1);
    int last;
    assert_int_equal(take(pace, 0, &last), 1);
    assert_int_equal(last, 0);
    assert_int_equal(take(pace, 99 * NS_PER_MILLISECOND, &last), 0);
    assert_int_equal(take(pace, 100 * NS_PER_MILLISECOND, &last), 1);
    assert_int_equal(take(pace, 999 * NS_PER_MILLISECOND, &last), 1);
    assert_int_equal(last, 0);
    assert_int_equal(take(pace, 1000 * NS_PER_MILLISECOND, &last), 1);
    assert_int_equal(last, -1);
    assert_int_equal(take(pace, 2000 * NS_PER_MILLISECOND, &last), 0);
    assert_int_equal(last, -1);
    pace_free(pace);
}

static void speed_divides_the_wait(void **state) {
    (void)state;
    const char *path = capture_of("speed", (const uint32_t[]){0, 10000}, 2);
    int last;
    struct pace *fast = play(path, 100);
    assert_int_equal(take(fast, 99 * NS_PER_MILLISECOND, &last), 1);
    assert_int_equal(take(fast, 101 * NS_PER_MILLISECOND, &last), 1);
    pace_free(fast);
    struct pace *slow = play(path, 0.5);
    assert_int_equal(take(slow, 19 * NS_PER_SECOND, &last), 1);
    assert_int_equal(take(slow, 21 * NS_PER_SECOND, &last), 1);
    pace_free(slow);
}

static void the_clock_is_the_captures(void **state) {
    (void)state;
    struct pace *pace = play(capture_of("clock", (const uint32_t[]){0, 1}, 2), 1000);
    const nanoseconds began = BEGAN * NS_PER_SECOND;
    assert_int_equal(pace_now(pace, wall), began);
    assert_int_equal(pace_now(pace, wall + NS_PER_SECOND), began + 1000 * NS_PER_SECOND);
    pace_free(pace);
}

/* However fast and however long: the clock stays a time. */
static void the_clock_does_not_run_over(void **state) {
    (void)state;
    struct pace *pace = play(capture_of("far", (const uint32_t[]){0, 1}, 2), 1e15);
    nanoseconds sooner = pace_now(pace, wall + NS_PER_SECOND);
    nanoseconds later = pace_now(pace, wall + 1000000 * NS_PER_SECOND);
    assert_true(sooner > BEGAN * NS_PER_SECOND);
    assert_true(later >= sooner);
    pace_free(pace);
}

/* More than one burst, in order and unmixed, with the late one held back. */
static void long_captures_come_whole(void **state) {
    (void)state;
    enum { COUNT = 1000 };
    uint32_t times[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) times[i] = i;
    times[COUNT - 1] = 100000;
    struct pace *pace = play(capture_of("long", times, COUNT), 1);
    struct packet burst[PACKET_BURST];
    uint32_t number = 0;
    int n;
    while ((n = pace_next_burst(pace, wall + 50 * NS_PER_SECOND, burst)) > 0)
        for (int i = 0; i < n; i++) check_packet(&burst[i], 60, number++);
    assert_int_equal(n, 0);
    assert_int_equal(number, COUNT - 1);
    assert_int_equal(take(pace, 100 * NS_PER_SECOND, &n), 1);
    assert_int_equal(n, -1);
    pace_free(pace);
}

/* A packet that is stamped earlier than the one before it is not waited for. */
static void a_step_back_holds_nothing_up(void **state) {
    (void)state;
    struct pace *pace = play(capture_of("back", (const uint32_t[]){5000, 0, 5100}, 3), 1);
    int last;
    assert_int_equal(take(pace, 0, &last), 2);
    assert_int_equal(take(pace, 100 * NS_PER_MILLISECOND, &last), 1);
    assert_int_equal(last, -1);
    pace_free(pace);
}

static void an_empty_capture_is_over_at_once(void **state) {
    (void)state;
    struct pace *pace = play(capture_of("empty", NULL, 0), 1);
    int last;
    assert_int_equal(take(pace, 0, &last), 0);
    assert_int_equal(last, -1);
    assert_null(pace_warning(pace, 0));
    pace_free(pace);
}

static void a_cut_capture_is_played_and_told_of(void **state) {
    (void)state;
    struct file f = {0};
    pcap_header(&f, MAGIC, ETHERNET);
    pcap_packet(&f, MAGIC, BEGAN, 0, 60, 60, 0);
    pcap_packet(&f, MAGIC, BEGAN, 0, 60, 60, 1);
    struct pace *pace = play(save_bytes("cut", f.bytes, f.length - 20), 1);
    free(f.bytes);
    int last;
    assert_int_equal(take(pace, NS_PER_SECOND, &last), 1);
    assert_int_equal(last, -1);
    assert_non_null(pace_warning(pace, 0));
    pace_free(pace);
}

static void what_is_no_capture_is_refused(void **state) {
    (void)state;
    struct error err = {.text = ""};
    const char *text = save_bytes("text", "hello, world", 12), *gone = path_of("gone");
    assert_null(pace_new(&text, 1, 1, &err));
    assert_non_null(strstr(err.text, "not a capture"));
    assert_null(pace_new(&gone, 1, 1, &err));
    assert_non_null(strstr(err.text, gone));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_come_when_they_are_due),
        cmocka_unit_test(speed_divides_the_wait),
        cmocka_unit_test(the_clock_is_the_captures),
        cmocka_unit_test(the_clock_does_not_run_over),
        cmocka_unit_test(long_captures_come_whole),
        cmocka_unit_test(a_step_back_holds_nothing_up),
        cmocka_unit_test(an_empty_capture_is_over_at_once),
        cmocka_unit_test(a_cut_capture_is_played_and_told_of),
        cmocka_unit_test(what_is_no_capture_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
