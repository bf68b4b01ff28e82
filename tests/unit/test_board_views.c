/* The board as JSON and as metrics, with everything in it that can go wrong: all rows used, names that are
 * not text, names that come twice, figures at their ends. jansson reads the JSON; the metrics' format is read
 * by tests/live/prometheus_text.py too. */
#include "sensor/board_json.h"
#include "sensor/control_path.h"
#include "sensor/metrics.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const char hostile[] = "a\"b\\c\nd\te\x01\x1b[2J\xff\xc3\xa9\xed\xa0\x80{}";

static struct board *full_board(void) {
    struct board *board = calloc(1, sizeof *board);
    assert_non_null(board);
    board->started = board->now = INT64_MAX;
    board->worker_count = board->interface_count = board->detector_count = UINT32_MAX;
    board->output_count = board->host_count = board->name_count = board->alert_count = UINT32_MAX;
    board->packets = UINT64_MAX / 4;
    board->packet_rate = INFINITY;
    board->bit_rate = NAN;
    board->drop_rate = -1;
    snprintf(board->mode, sizeof board->mode, "%.10s", hostile);
    snprintf(board->last_exit, sizeof board->last_exit, "%s", hostile);
    for (int i = 0; i < BOARD_INTERFACES; i++)
        snprintf(board->interfaces[i].name, 64, "%s%d", hostile, i / 2);
    for (int i = 0; i < BOARD_DETECTORS; i++) {
        snprintf(board->detectors[i].name, 64, "%s%d", hostile, i);
        snprintf(board->detectors[i].trouble, BOARD_TEXT, "%s", hostile);
    }
    for (int i = 0; i < BOARD_OUTPUTS; i++) board->outputs[i].name = i % 2 ? hostile : NULL;
    for (int i = 0; i < BOARD_TOP; i++) snprintf(board->names[i].name, 256, "%s", hostile);
    for (int i = 0; i < BOARD_ALERTS; i++) {
        board->latest[i].severity = (uint8_t)i;
        snprintf(board->latest[i].title, BOARD_TEXT, "%s", hostile);
    }
    return board;
}

static json_t *parsed(struct buffer *b) {
    json_error_t why;
    assert_false(b->failed);
    json_t *value = json_loadb(b->at, b->length, JSON_REJECT_DUPLICATES, &why);
    if (!value) fail_msg("%s", why.text);
    buffer_free(b);
    return value;
}

static void json_is_valid_whatever_is_on_the_board(void **state) {
    (void)state;
    struct board *board = full_board();
    struct buffer b = {0};
    board_json_status(&b, board);
    json_t *status = parsed(&b);
    assert_int_equal(json_array_size(json_object_get(status, "interfaces")), BOARD_INTERFACES);
    assert_int_equal(json_array_size(json_object_get(status, "outputs")), BOARD_OUTPUTS);
    assert_int_equal(json_array_size(json_object_get(status, "workers")), BOARD_WORKERS);
    assert_true(json_is_null(json_object_get(json_object_get(status, "rates"), "packets")));
    json_decref(status);
    static const struct {
        void (*put)(struct buffer *b, const struct board *board);
        size_t rows;
    } arrays[] = {
        {board_json_scripts, BOARD_DETECTORS}, {board_json_hosts, BOARD_TOP}, {board_json_names, BOARD_TOP}};
    for (int i = 0; i < 3; i++) {
        arrays[i].put(&b, board);
        json_t *array = parsed(&b);
        assert_int_equal(json_array_size(array), arrays[i].rows);
        json_decref(array);
    }
    board_json_alerts(&b, board, 3);
    json_t *alerts = parsed(&b);
    assert_int_equal(json_array_size(alerts), 3);
    /* What came in as bytes comes out as the same characters; the ill-formed ones one by one. */
    assert_string_equal(json_string_value(json_object_get(json_array_get(alerts, 0), "title")),
                        "a\"b\\c\nd\te\x01\x1b[2J\xc3\xbf\xc3\xa9\xc3\xad\xc2\xa0\xc2\x80{}");
    json_decref(alerts);
    free(board);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every line is a comment or "name{labels} value"; no series comes twice; nothing but UTF-8 and line feeds.
 */
static void metrics_are_well_formed_whatever_is_on_the_board(void **state) {
    (void)state;
    enum { MOST = 8192 };
    struct board *board = full_board();
    struct buffer b = {0};
    metrics_write(&b, board);
    buffer_char(&b, '\0');
    assert_false(b.failed);
    json_t *as_text = json_stringn(b.at, b.length - 1); /* refuses what is not UTF-8 */
    assert_non_null(as_text);
    json_decref(as_text);
    char **series = calloc(MOST, sizeof *series), *rest = b.at;
    assert_non_null(series);
    size_t count = 0;
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        assert_int_equal(strncmp(line, line[0] == '#' ? "# " : "lunette_", line[0] == '#' ? 2 : 8), 0);
        if (line[0] == '#') continue;
        char *value = strrchr(line, ' ');
        assert_non_null(value);
        *value = '\0';
        char *end;
        strtod(value + 1, &end);
        assert_true(end > value + 1 && *end == '\0');
        assert_true(count < MOST);
        series[count++] = line;
    }
    assert_true(count > BOARD_DETECTORS * 7);
    qsort(series, count, sizeof *series, by_text);
    for (size_t i = 1; i < count; i++) assert_string_not_equal(series[i - 1], series[i]);
    free(series);
    buffer_free(&b);
    free(board);
}

static void an_empty_board_is_fine(void **state) {
    (void)state;
    struct board *board = calloc(1, sizeof *board);
    struct buffer b = {0};
    assert_non_null(board);
    metrics_write(&b, board);
    assert_false(b.failed);
    buffer_free(&b);
    board_json_status(&b, board);
    json_decref(parsed(&b));
    free(board);
}

/* ── where the socket lies ───────────────────────────────────────── */

static void paths_follow_the_environment(void **state) {
    (void)state;
    char path[CONTROL_PATH_SIZE], expected[64];
    struct error err = {0};
    unsetenv("LUNETTE_SOCKET");
    setenv("RUNTIME_DIRECTORY", "/run/one:/run/two", 1);
    assert_int_equal(control_path_default(path, &err), 0);
    assert_string_equal(path, "/run/one/control.sock");
    setenv("RUNTIME_DIRECTORY", "not/absolute", 1);
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    assert_int_equal(control_path_default(path, &err), 0);
    if (geteuid() != 0) {
        assert_string_equal(path, "/run/user/7/lunette/control.sock");
        unsetenv("XDG_RUNTIME_DIR");
        snprintf(expected, sizeof expected, "/tmp/lunette-%u/control.sock", (unsigned)geteuid());
        assert_int_equal(control_path_default(path, &err), 0);
        assert_string_equal(path, expected);
    }
    setenv("LUNETTE_SOCKET", "/tmp/mine", 1);
    assert_int_equal(control_path_for_client(NULL, path, &err), 0);
    assert_string_equal(path, "/tmp/mine");
    assert_int_equal(control_path_for_client("given", path, &err), 0);
    assert_string_equal(path, "given");
    char longer[CONTROL_PATH_SIZE + 1];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(control_path_for_client(longer, path, &err), -1);
    assert_true(err.usage);
    longer[CONTROL_PATH_SIZE - 1] = '\0';
    assert_int_equal(control_path_for_client(longer, path, &err), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_valid_whatever_is_on_the_board),
        cmocka_unit_test(metrics_are_well_formed_whatever_is_on_the_board),
        cmocka_unit_test(an_empty_board_is_fine),
        cmocka_unit_test(paths_follow_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
