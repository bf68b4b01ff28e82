/* Files that change under the watcher, in the ways in which editors and configuration systems change them. */
#include "sensor/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static uv_loop_t loop;
static struct watch *watch;
static int calls;

static void on_change(void *context) {
    (void)context;
    calls++;
    uv_stop(&loop);
}

__attribute__((format(printf, 1, 2))) static void run(const char *format, ...) {
    char command[1024] = "cd ", *rest = command + 3;
    va_list arguments;
    rest += sprintf(rest, "%s && ", folder);
    va_start(arguments, format);
    vsnprintf(rest, sizeof command - (size_t)(rest - command), format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

static int begin(void **state) {
    (void)state;
    struct error err;
    strcpy(folder, "/tmp/lunette-watch-XXXXXX");
    assert_non_null(mkdtemp(folder));
    uv_loop_init(&loop);
    watch = watch_new(&loop, on_change, NULL, &err);
    assert_non_null(watch);
    calls = 0;
    return 0;
}

static int end(void **state) {
    (void)state;
    watch_close(watch);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void watch_these(const char *first, const char *second) {
    struct error err;
    char a[256], b[256];
    snprintf(a, sizeof a, "%s/%s", folder, first);
    snprintf(b, sizeof b, "%s/%s", folder, second ? second : "");
    const char *const paths[] = {a, b};
    assert_int_equal(watch_paths(watch, paths, second ? 2 : 1, &err), 0);
}

static void on_deadline(uv_timer_t *timer) {
    *(bool *)timer->data = true;
    uv_stop(timer->loop);
}

static void on_closed(uv_handle_t *handle) {
    *(bool *)handle->data = true;
}

/* Runs the loop for so long, or until the watcher calls. */
static void loop_for(unsigned milliseconds) {
    bool over = false, closed = false;
    uv_timer_t deadline;
    uv_timer_init(&loop, &deadline);
    deadline.data = &over;
    uv_timer_start(&deadline, on_deadline, milliseconds, 0);
    int before = calls;
    while (!over && calls == before) uv_run(&loop, UV_RUN_ONCE);
    deadline.data = &closed;
    uv_close((uv_handle_t *)&deadline, on_closed);
    while (!closed) uv_run(&loop, UV_RUN_ONCE);
}

static void expect_call(void) {
    int before = calls;
    loop_for(20000);
    assert_int_equal(calls, before + 1);
}

/* Nothing is said that was said before: not at the next looks, either. */
static void expect_silence(void) {
    int before = calls;
    loop_for(2500);
    assert_int_equal(calls, before);
}

static void a_file_renamed_over_is_noticed_each_time(void **state) {
    (void)state;
    run("echo 1 > a.lua");
    watch_these("a.lua", NULL);
    for (int i = 0; i < 3; i++) {
        run("echo 2%d > .new && mv .new a.lua", i);
        expect_call();
    }
    expect_silence();
}

static void a_file_written_in_place_is_noticed(void **state) {
    (void)state;
    run("echo 1 > a.lua");
    watch_these("a.lua", NULL);
    run("echo more >> a.lua");
    expect_call();
    run("rm a.lua");
    expect_call();
    run("echo again > a.lua");
    expect_call();
}

static void links_swapped_as_by_kubernetes_are_noticed(void **state) {
    (void)state;
    run("mkdir m m/..1 m/..2 && echo a > m/..1/a.lua && echo b > m/..2/a.lua && ln -s ..1 m/..data && ln -s "
        "..data/a.lua m/a.lua");
    watch_these("m", "m/a.lua");
    run("ln -s ..2 m/..tmp && mv -T m/..tmp m/..data && rm -r m/..1");
    expect_call();
    run("echo in place >> m/..2/a.lua");
    expect_call();
    expect_silence();
}

static void a_link_to_a_folder_that_is_turned_is_noticed(void **state) {
    (void)state;
    run("mkdir one two && echo a > one/a.lua && echo b > two/a.lua && ln -s one now");
    watch_these("now", NULL);
    run("ln -s two next && mv -T next now");
    expect_call();
    run("echo c > two/c.lua");
    expect_call();
}

static void a_folder_that_is_replaced_is_watched_on(void **state) {
    (void)state;
    run("mkdir s && echo a > s/a.lua");
    watch_these("s", "s/a.lua");
    run("mkdir n && echo b > n/a.lua && mv s away && mv n s");
    expect_call();
    run("echo c > s/a.lua");
    expect_call();
    run("echo d > s/b.lua");
    expect_call();
    run("rm -r s");
    expect_call();
    run("mkdir s && echo back > s/a.lua");
    expect_call();
}

static void a_burst_of_writes_is_one_change(void **state) {
    (void)state;
    run("mkdir s && echo a > s/a.lua");
    watch_these("s", "s/a.lua");
    run("for i in $(seq 300); do echo $i >> s/a.lua; echo $i > s/b$i.lua; done");
    expect_call();
    expect_silence();
}

static void what_does_not_matter_is_not_told(void **state) {
    (void)state;
    run("mkdir s && echo a > s/a.lua");
    watch_these("s", NULL);
    run("echo x > s/.a.lua.swp && echo y > beside && rm s/.a.lua.swp");
    expect_silence();
}

/* The caller reads the files, then names new paths: what changed in between is told. */
static void a_change_while_paths_are_named_anew_is_not_missed(void **state) {
    (void)state;
    run("mkdir s d && echo a > s/a.lua && echo d > d/x.tsv");
    watch_these("s/a.lua", NULL);
    run("echo b > s/a.lua");
    expect_call();
    run("echo c >> s/a.lua");
    watch_these("s/a.lua", "d/x.tsv");
    expect_call();
    run("echo e >> d/x.tsv");
    expect_call();
    watch_these("d/x.tsv", NULL);
    run("echo f >> s/a.lua");
    expect_silence();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_renamed_over_is_noticed_each_time, begin, end),
        cmocka_unit_test_setup_teardown(a_file_written_in_place_is_noticed, begin, end),
        cmocka_unit_test_setup_teardown(links_swapped_as_by_kubernetes_are_noticed, begin, end),
        cmocka_unit_test_setup_teardown(a_link_to_a_folder_that_is_turned_is_noticed, begin, end),
        cmocka_unit_test_setup_teardown(a_folder_that_is_replaced_is_watched_on, begin, end),
        cmocka_unit_test_setup_teardown(a_burst_of_writes_is_one_change, begin, end),
        cmocka_unit_test_setup_teardown(what_does_not_matter_is_not_told, begin, end),
        cmocka_unit_test_setup_teardown(a_change_while_paths_are_named_anew_is_not_missed, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
