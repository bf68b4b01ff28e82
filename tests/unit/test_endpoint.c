/* Logs as files: put in order of time whatever their own order, followed while they grow, are replaced or
 * cut, and what cannot be read is counted. */
#include "base/log.h"
#include "endpoint/endpoint.h"
#include "endpoint/log_file.h"
#include "endpoint/pending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct lab {
    char folder[64], path[128];
    struct words *words;
    struct batch *batch;
    bool wants[EVENT_KINDS];
    char order[4096]; /* "exec 812, …" of the events */
    struct endpoint *endpoint;
};

static bool on_offer(void *context, enum event_kind kind, uint32_t index, const void *event) {
    struct lab *lab = context;
    const struct event_process *process = event;
    char text[64];
    (void)index;
    assert_int_equal(kind, EVENT_process);
    snprintf(text, sizeof text, "%s%s %u", lab->order[0] ? ", " : "", process->body.action,
             process->head.pid);
    if (strlen(lab->order) + strlen(text) < sizeof lab->order) strcat(lab->order, text);
    return true;
}

static void on_drink(void *context) {
    (void)context;
}

static bool owns(void *context, const struct ip *address) {
    (void)context, (void)address;
    return true;
}

static void silent(void *context, enum log_level level, const char *text) {
    (void)context, (void)level, (void)text;
}

static int set_up(void **state) {
    struct lab *lab = calloc(1, sizeof *lab);
    struct error err;
    strcpy(lab->folder, "/tmp/lunette-test-XXXXXX");
    assert_non_null(mkdtemp(lab->folder));
    snprintf(lab->path, sizeof lab->path, "%s/log", lab->folder);
    lab->words = words_new(4096, 1 << 20, &err);
    lab->batch = batch_new(16, &err);
    lab->wants[EVENT_process] = true;
    lab->batch->listener =
        (struct batch_listener){.context = lab, .wants = lab->wants, .offer = on_offer, .drink = on_drink};
    log_divert(silent, NULL);
    *state = lab;
    return 0;
}

static int tear_down(void **state) {
    struct lab *lab = *state;
    char command[128];
    endpoint_free(lab->endpoint);
    batch_free(lab->batch);
    words_free(lab->words);
    snprintf(command, sizeof command, "rm -rf %s", lab->folder);
    assert_int_equal(system(command), 0);
    log_divert(NULL, NULL);
    free(lab);
    return 0;
}

static void add_to(const char *path, const char *mode, const char *text) {
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* A line of Santa's: the shortest that says something. */
static void add_exec(struct lab *lab, const char *mode, int second, int pid) {
    char line[256];
    snprintf(line, sizeof line,
             "[2024-06-13T09:20:%02d.000Z] I santad: action=EXEC|pid=%d|ppid=1|path=/bin/p%d\n", second, pid,
             pid);
    add_to(lab->path, mode, line);
}

static void open_log(struct lab *lab, bool follow, const char *offset) {
    struct error err = {.text = ""};
    const char *words[] = {lab->path}, *offsets[] = {offset};
    const struct endpoint_options options = {
        .logs = {.words = words, .count = 1, .offsets = offsets, .offset_count = offset ? 1 : 0},
        .follow = follow,
        .words = lab->words,
        .batch = lab->batch,
        .context = lab,
        .owns = owns};
    lab->endpoint = endpoint_new(&options, &err);
    if (!lab->endpoint) fail_msg("%s", err.text);
}

static void play_all(struct lab *lab) {
    while (endpoint_next(lab->endpoint) != INT64_MAX) endpoint_play(lab->endpoint);
}

static void in_order_of_time(void **state) {
    struct lab *lab = *state;
    add_exec(lab, "a", 1, 101);
    add_exec(lab, "a", 4, 104);
    add_exec(lab, "a", 2, 102); /* within the window */
    add_exec(lab, "a", 20, 120);
    add_exec(lab, "a", 3, 103); /* far behind */
    add_exec(lab, "a", 21, 121);
    open_log(lab, false, NULL);
    play_all(lab);
    assert_string_equal(lab->order, "exec 101, exec 102, exec 104, exec 103, exec 120, exec 121");
    assert_int_equal(endpoint_figures(lab->endpoint).late, 1);
}

/* What was played cannot be taken back: late news happen at once, and are counted. */
static void too_late(void **state) {
    struct lab *lab = *state;
    for (int i = 0; i < 20; i++) add_exec(lab, "a", i, 100 + i);
    add_exec(lab, "a", 1, 999);
    for (int i = 20; i < 40; i++) add_exec(lab, "a", i, 100 + i);
    open_log(lab, false, NULL);
    play_all(lab);
    struct endpoint_figures figures = endpoint_figures(lab->endpoint);
    assert_int_equal(figures.late, 1);
    assert_int_equal(figures.events, 41);
    assert_int_equal(figures.lines, 41);
    assert_non_null(strstr(lab->order, "exec 999"));
    struct program program;
    const struct program_source *source = endpoint_programs(lab->endpoint);
    struct ip anybody = {{0}};
    assert_int_equal(
        source->by_pid(source->context, &anybody, 999, NULL, 1718270410LL * NS_PER_SECOND, &program),
        PROGRAM_TOLD);
    assert_string_equal(program.path, "/bin/p999");
}

static void clocks_are_set_right(void **state) {
    struct lab *lab = *state;
    add_exec(lab, "a", 10, 101);
    open_log(lab, false, "-2.5");
    assert_true(endpoint_next(lab->endpoint) == 1718270407500000000);
}

static void what_cannot_be_read_is_counted(void **state) {
    struct lab *lab = *state;
    add_exec(lab, "a", 1, 101);
    add_to(lab->path, "a", "{\"event\":\n\nhello\n");
    size_t length = LOG_LINE_MOST + 100000;
    char *line = malloc(length + 2);
    memset(line, 'x', length);
    strcpy(line + length, "\n");
    add_to(lab->path, "a", line);
    free(line);
    add_exec(lab, "a", 2, 102);
    open_log(lab, false, NULL);
    play_all(lab);
    struct endpoint_figures figures = endpoint_figures(lab->endpoint);
    assert_string_equal(lab->order, "exec 101, exec 102");
    assert_int_equal(figures.lines, 5);
    assert_int_equal(figures.broken, 2);
    assert_int_equal(figures.unknown, 1);
    assert_true(endpoint_report(lab->endpoint));
}

static void nothing_understood(void **state) {
    struct lab *lab = *state;
    add_to(lab->path, "a", "hello\nworld\n");
    open_log(lab, false, NULL);
    play_all(lab);
    assert_false(endpoint_report(lab->endpoint));
}

/* ------------------------------------------------------------------ following */

static void follow(struct lab *lab) {
    while (endpoint_follow(lab->endpoint, 65536)) continue;
}

static void followed_while_it_grows(void **state) {
    struct lab *lab = *state;
    char old[160];
    add_exec(lab, "a", 1, 101);
    open_log(lab, true, NULL);
    follow(lab);
    assert_string_equal(lab->order, ""); /* it was there before: the table alone learns of it */
    assert_int_equal(endpoint_figures(lab->endpoint).processes, 1);
    add_exec(lab, "a", 2, 102);
    follow(lab);
    assert_string_equal(lab->order, "exec 102");
    add_to(lab->path, "a", "[2024-06-13T09:20:03.000Z] I santad: action=EXEC|pid=103|");
    follow(lab);
    assert_string_equal(lab->order, "exec 102"); /* half a line */
    add_to(lab->path, "a", "ppid=1|path=/x\n");
    follow(lab);
    assert_string_equal(lab->order, "exec 102, exec 103");
    snprintf(old, sizeof old, "%s.0", lab->path); /* moved away; what is written to it still counts */
    assert_int_equal(rename(lab->path, old), 0);
    add_to(old, "a", "[2024-06-13T09:20:04.000Z] I santad: action=EXEC|pid=104|ppid=1|path=/x\n");
    follow(lab);
    add_exec(lab, "w", 5, 105);
    follow(lab);
    follow(lab);
    assert_string_equal(lab->order, "exec 102, exec 103, exec 104, exec 105");
    add_to(lab->path, "w", ""); /* cut, and written anew */
    follow(lab);
    add_exec(lab, "a", 6, 106);
    follow(lab);
    follow(lab);
    assert_string_equal(lab->order, "exec 102, exec 103, exec 104, exec 105, exec 106");
}

static void a_pipe_is_not_waited_for(void **state) {
    struct lab *lab = *state;
    assert_int_equal(mkfifo(lab->path, 0600), 0);
    open_log(lab, true, NULL);
    follow(lab);
    FILE *writer = fopen(lab->path, "r+");
    fputs("[2024-06-13T09:20:04.000Z] I santad: action=EXEC|pid=104|ppid=1|path=/x\n", writer);
    fflush(writer);
    follow(lab);
    assert_string_equal(lab->order, "exec 104");
    fclose(writer);
    follow(lab);
}

/* -------------------------------------------------------------------- words */

static void words_of_the_command_line(void **state) {
    (void)state;
    struct error err = {.text = ""};
    struct hosts hosts = {.list = NULL};
    struct ip a, b, other;
    ip_parse("192.168.1.20", &a);
    ip_parse("fd00::20", &b);
    ip_parse("192.168.1.21", &other);
    assert_string_equal(hosts_path("192.168.1.20,fd00::20=a=b.json"), "a=b.json");
    assert_string_equal(hosts_path("a=b.json"), "a=b.json");
    assert_int_equal(hosts_check_log("192.168.1.300=x", &err), -1);
    assert_int_equal(hosts_check_log("192.168.1.20=", &err), -1);
    assert_int_equal(hosts_check_log("logs/a=b", &err), 0);
    assert_int_equal(hosts_check_offset("-1.5", &err), 0);
    assert_int_equal(hosts_check_offset("192.168.1.20=+0.25", &err), 0);
    assert_int_equal(hosts_check_offset("soon", &err), -1);
    assert_int_equal(hosts_check_offset("1e9", &err), -1);
    assert_int_equal(hosts_add(&hosts, "192.168.1.20,fd00::20=x", &err), 0);
    assert_int_equal(hosts_add(&hosts, "192.168.1.21=y", &err), 1);
    assert_int_equal(hosts_find(&hosts, &a), 0);
    assert_int_equal(hosts_find(&hosts, &b), 0);
    assert_int_equal(hosts_find(&hosts, &other), 1);
    struct ip stranger;
    ip_parse("192.168.1.22", &stranger);
    assert_int_equal(hosts_find(&hosts, &stranger), -1);
    assert_int_equal(hosts_add(&hosts, "z", &err), 2);
    assert_int_equal(hosts_find(&hosts, &stranger), 2);
    assert_int_equal(hosts_add(&hosts, "fd00::20=again", &err), 0);
    assert_int_equal(hosts_add(&hosts, "192.168.1.20,192.168.1.21=both", &err),
                     -1); /* whose is x, whose y? */
    assert_int_equal(hosts_add(&hosts, "192.168.1.20,192.168.1.23=more", &err), 0);
    assert_int_equal(hosts_set_offset(&hosts, "fd00::20=2", &err), 0);
    assert_int_equal(hosts_set_offset(&hosts, "-1", &err), 0);
    assert_true(hosts.list[0].clock_offset == 2 * NS_PER_SECOND);
    assert_true(hosts.list[1].clock_offset == -NS_PER_SECOND);
    assert_int_equal(hosts_set_offset(&hosts, "10.0.0.1=2", &err), -1);
    hosts_clear(&hosts);
}

/* News that wait are bounded by their bytes too. */
static void many_long_news(void **state) {
    (void)state;
    static char arguments[NEWS_ARGUMENTS_TEXT];
    struct pending pending = {.heap = NULL};
    struct news news;
    news_clear(&news);
    news.arguments = (struct span){arguments, sizeof arguments};
    while (!pending_is_full(&pending)) {
        struct pending_news waiting = {.time = 1000 - pending.count, .news = news_copy(&news)};
        assert_non_null(waiting.news);
        assert_int_equal(pending_add(&pending, waiting), 0);
    }
    assert_true(pending.count < PENDING_MOST);
    assert_true(pending.bytes <= PENDING_BYTES + 2 * sizeof arguments);
    free(pending_take(&pending).news);
    assert_false(pending_is_full(&pending));
    while (pending_first(&pending)) free(pending_take(&pending).news);
    assert_int_equal(pending.bytes, 0);
    pending_clear(&pending);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_long_news),
        cmocka_unit_test_setup_teardown(in_order_of_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(clocks_are_set_right, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_understood, set_up, tear_down),
        cmocka_unit_test_setup_teardown(followed_while_it_grows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pipe_is_not_waited_for, set_up, tear_down),
        cmocka_unit_test(words_of_the_command_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
