/* Live outputs: what the sensor says of itself waits for nobody, and a flush brings lines out as soon as the
 * slowest worker's clock has passed them. */
#include "receive.h"

#include "base/log.h"
#include "output/output.h"

#include <jansson.h>

static const char *records_word[1];

static struct outputs *open_with(uint32_t workers, uint64_t queue_bytes) {
    struct error err = {.text = ""};
    struct output_options options = output_options_defaults();
    records_word[0] = in_folder("eve.json");
    options.records = records_word;
    options.record_count = 1;
    options.live = true;
    options.receiver.queue_bytes = queue_bytes;
    options.show_alerts = options.show_summary = false;
    struct outputs *o = outputs_open(&options, workers, &err);
    if (!o) fail_msg("%s", err.text);
    assert_int_equal(outputs_begin(o, &err), 0);
    return o;
}

static struct outputs *open_outputs(uint32_t workers) {
    return open_with(workers, 0);
}

static uint64_t delivered(struct outputs *o) {
    struct receiver_figures figures;
    assert_int_equal(outputs_figures(o, &figures, 1), 1);
    return figures.lines;
}

/* The lines of the file, as JSON. */
static size_t read_records(json_t *out[], size_t most) {
    struct buffer text = {0};
    size_t count = 0;
    read_file(in_folder("eve.json"), &text);
    for (size_t at = 0; at < text.length && count < most;) {
        const char *end = memchr(text.at + at, '\n', text.length - at);
        assert_non_null(end);
        size_t length = (size_t)(end - text.at) - at;
        out[count] = json_loadb(text.at + at, length, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(out[count++]);
        at += length + 1;
    }
    buffer_free(&text);
    return count;
}

static const char *text_at(const json_t *record, const char *object, const char *key) {
    const json_t *holder = object ? json_object_get(record, object) : record;
    return json_string_value(json_object_get(holder, key));
}

static void give_figures(struct outputs *o, uint32_t worker, nanoseconds time) {
    const struct stat_figure figures[] = {{"capture.packets", 1}};
    outputs_stats(outputs_worker(o, worker), time, figures, 1);
}

static void the_sensor_is_heard_while_workers_are_behind(void **state) {
    (void)state;
    struct outputs *o = open_outputs(2);
    give_figures(o, 0, 100);
    outputs_advance(outputs_worker(o, 0), 100);
    outputs_flush(outputs_worker(o, 0)); /* worker 1 has said nothing yet: this must wait for it */
    outputs_say(o, 50, "reload", 0, "2 scripts changed", "{\"changed\":2}");
    outputs_say(o, 60, "drops", SEVERITY_MEDIUM, "12 packets were \"dropped\"", NULL);
    const struct stat_figure figures[] = {{"capture.dropped", 12}};
    outputs_say_stats(o, 70, figures, 1);
    wait_until(delivered(o) == 4);
    json_t *records[8];
    assert_int_equal(read_records(records, 8), 4);
    assert_string_equal(text_at(records[0], NULL, "event_type"), "sensor");
    assert_string_equal(text_at(records[0], "sensor", "what"), "reload");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(records[0], "sensor"), "changed")),
                     2);
    assert_string_equal(text_at(records[1], "sensor", "message"), "12 packets were \"dropped\"");
    assert_string_equal(text_at(records[2], NULL, "event_type"), "alert");
    assert_string_equal(text_at(records[2], "lunette", "detector"), "lunette");
    assert_string_equal(text_at(records[2], "lunette", "why"), "12 packets were \"dropped\"");
    assert_string_equal(text_at(records[3], NULL, "event_type"), "stats");
    for (int i = 0; i < 4; i++) json_decref(records[i]);
    outputs_advance(outputs_worker(o, 1),
                    101); /* the idle one's clock moves on: no flush, no line of its own */
    wait_until(delivered(o) == 5);
    assert_int_equal(outputs_close(o, NULL, NULL), 0);
}

static void a_flush_brings_out_what_others_keep_open(void **state) {
    (void)state;
    struct outputs *o = open_outputs(3);
    for (nanoseconds t = 1; t <= 50; t++) {
        for (uint32_t i = 0; i < 3; i++) give_figures(o, i, t * 10);
        for (uint32_t i = 0; i < 3; i++) outputs_advance(outputs_worker(o, i), t * 10);
    }
    for (uint32_t i = 0; i < 3; i++) outputs_flush(outputs_worker(o, i));
    for (uint32_t i = 0; i < 3; i++) outputs_advance(outputs_worker(o, i), 501);
    wait_until(delivered(o) == 150);
    assert_int_equal(outputs_close(o, NULL, NULL), 0);
}

/* Ten megabytes of hosts where three may wait: a piece a second, and at the end as the file takes them. */
static void records_of_many_hosts_are_not_lost(void **state) {
    (void)state;
    enum { HOSTS = 3000 };
    struct outputs *o = open_with(2, 3 << 20);
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (uint32_t i = 0; i < HOSTS; i++) {
        struct fact fact = {.time = 1, .detector = "d", .text = text, .details = "{}"};
        static const char *const topics[] = {"identity", "phase", "apple"};
        fact.host =
            (struct ip){{[10] = 0xff, [11] = 0xff, [12] = 10, [14] = (uint8_t)(i >> 8), [15] = (uint8_t)i}};
        for (int k = 0; k < 3; k++) {
            fact.topic = topics[k];
            outputs_fact(outputs_worker(o, i % 2), &fact);
        }
    }
    outputs_say_hosts(o, 10);
    uint64_t before = 0, rounds = 0;
    for (; before < HOSTS; rounds++) {
        outputs_each_second(o);
        wait_until(delivered(o) > before);
        before = delivered(o);
        outputs_say_hosts(o, 20); /* not while these are on their way */
    }
    assert_true(rounds > 5);
    outputs_hosts(outputs_worker(o, 0), 30);
    for (uint32_t i = 0; i < 2; i++) outputs_done(outputs_worker(o, i));
    assert_int_equal(outputs_close(o, NULL, NULL), 0);
    struct buffer file = {0};
    size_t lines = 0;
    read_file(in_folder("eve.json"), &file);
    for (size_t i = 0; i < file.length; i++) lines += file.at[i] == '\n';
    assert_int_equal(lines, 2 * HOSTS);
    buffer_free(&file);
}

static void the_log_in_json(void **state) {
    (void)state;
    struct error err;
    char path[256];
    snprintf(path, sizeof path, "%s", in_folder("log"));
    assert_int_equal(log_open(path, &err), 0);
    log_set_format(LOG_JSON);
    log_line(LOG_WARNING, "a \"quoted\" \\ back\nline two \x1b[2J \xff %s", "\xe2\x86\x92");
    log_line(LOG_DEBUG, "not at this level");
    log_set_level(LOG_DEBUG);
    log_line(LOG_DEBUG, "%s", "at this one");
    log_set_level(LOG_WARNING);
    assert_int_equal(rename(path, in_folder("log.1")), 0);
    log_reopen();
    log_set_format(LOG_TEXT_TIMED);
    log_line(LOG_WARNING, "in the new file");
    log_set_format(LOG_TEXT);
    struct buffer old = {0}, new = {0};
    read_file(in_folder("log.1"), &old);
    read_file(path, &new);
    const char *end = memchr(old.at, '\n', old.length);
    json_t *line = json_loadb(old.at, (size_t)(end - old.at), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(line);
    assert_string_equal(text_at(line, NULL, "level"), "warning");
    assert_string_equal(text_at(line, NULL, "message"),
                        "a \"quoted\" \\ back\nline two \\x1b[2J \\xff \xe2\x86\x92");
    json_decref(line);
    line = json_loadb(end + 1, old.length - (size_t)(end + 1 - old.at) - 1, 0, NULL);
    assert_string_equal(text_at(line, NULL, "message"), "at this one");
    json_decref(line);
    buffer_char(&new, '\0');
    assert_non_null(strstr(new.at, "+0000 lunette: warning: in the new file\n"));
    buffer_free(&old);
    buffer_free(&new);
}

#define each(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        each(the_sensor_is_heard_while_workers_are_behind),
        each(a_flush_brings_out_what_others_keep_open),
        each(records_of_many_hosts_are_not_lost),
        each(the_log_in_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
