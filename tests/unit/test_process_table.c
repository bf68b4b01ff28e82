/* The table of processes: who had a pid at which time. */
#include "endpoint/process_table.h"
#include "endpoint/sockets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct lab {
    struct words *words;
    struct process_table *table;
};

static nanoseconds at(double seconds) {
    return (nanoseconds)((1718270400 + seconds) * 1e9);
}

static struct lab *lab_new(uint32_t most) {
    struct error err;
    struct lab *lab = calloc(1, sizeof *lab);
    lab->words = words_new(4096, 1 << 20, &err);
    lab->table = process_table_new(most, lab->words, &err);
    assert_non_null(lab->table);
    return lab;
}

static void lab_free(struct lab *lab) {
    process_table_free(lab->table);
    words_free(lab->words);
    free(lab);
}

static struct span text(const char *s) {
    return span_of(s, s ? strlen(s) : 0);
}

static bool take(struct lab *lab, uint32_t host, const struct news *news) {
    bool fresh;
    process_table_take(lab->table, host, news, &fresh);
    return fresh;
}

static bool forks(struct lab *lab, double time, int32_t parent, const char *path, int32_t child) {
    struct news news;
    news_clear(&news);
    news.action = NEWS_FORK;
    news.time = at(time);
    news.actor.pid = parent;
    news.actor.path = text(path);
    news.image.pid = child;
    return take(lab, 0, &news);
}

static bool execs(struct lab *lab, uint32_t host, double time, int32_t pid, int32_t parent,
                  const char *path) {
    struct news news;
    news_clear(&news);
    news.action = NEWS_EXEC;
    news.time = at(time);
    news.image.pid = pid;
    news.image.parent_pid = parent;
    news.image.path = text(path);
    return take(lab, host, &news);
}

static bool acts(struct lab *lab, enum news_action action, double time, int32_t pid, const char *path) {
    struct news news;
    news_clear(&news);
    news.action = action;
    news.time = at(time);
    news.actor.pid = pid;
    news.actor.path = text(path);
    return take(lab, 0, &news);
}

static const char *path_at(struct lab *lab, uint32_t host, int32_t pid, double time) {
    const struct process *process = process_table_find(lab->table, host, pid, at(time));
    return process ? process->path : NULL;
}

static void assert_path(struct lab *lab, int32_t pid, double time, const char *path) {
    const char *found = path_at(lab, 0, pid, time);
    if (path)
        assert_string_equal(found ? found : "(nobody)", path);
    else
        assert_null(found);
}

static void assert_chain(struct lab *lab, int32_t pid, double time, const char *expected) {
    struct program program;
    char chain[256] = "";
    const struct process *process = process_table_find(lab->table, 0, pid, at(time));
    assert_non_null(process);
    process_table_describe(lab->table, process, &program);
    for (int i = 0; i < PROGRAM_ANCESTORS && program.ancestors[i]; i++) {
        strcat(chain, i ? " " : "");
        strcat(chain, program.ancestors[i]);
    }
    assert_string_equal(chain, expected);
}

static void exec_keeps_the_pid(void **state) {
    (void)state;
    struct lab *lab = lab_new(64);
    assert_true(execs(lab, 0, 0, 700, 1, "/Applications/Word"));
    assert_true(forks(lab, 4, 700, "/Applications/Word", 811));
    assert_true(execs(lab, 0, 4.01, 811, 700, "/bin/sh"));
    assert_true(forks(lab, 5, 811, "/bin/sh", 812));
    assert_true(execs(lab, 0, 5.01, 812, 811, "/usr/bin/curl"));
    assert_path(lab, 811, 4.005, "/Applications/Word");
    assert_path(lab, 811, 4.02, "/bin/sh");
    assert_path(lab, 812, 5.005, "/bin/sh");
    assert_path(lab, 812, 6, "/usr/bin/curl");
    assert_chain(lab, 812, 6, "sh Word launchd");
    lab_free(lab);
}

static void ends_and_a_moment_after(void **state) {
    (void)state;
    struct lab *lab = lab_new(64);
    execs(lab, 0, 0, 50, 1, "/a");
    assert_true(acts(lab, NEWS_EXIT, 10, 50, "/a"));
    assert_path(lab, 50, 9, "/a");
    assert_path(lab, 50, 15, "/a");   /* what the kernel still sends */
    assert_path(lab, 50, 100, NULL);  /* too late */
    assert_path(lab, 50, -100, NULL); /* too early */
    lab_free(lab);
}

static void pids_are_used_again(void **state) {
    (void)state;
    struct lab *lab = lab_new(64);
    execs(lab, 0, 0, 50, 1, "/a");
    acts(lab, NEWS_EXIT, 10, 50, "/a");
    forks(lab, 20, 7, "/b", 50);
    execs(lab, 0, 20.1, 50, 7, "/c");
    assert_path(lab, 50, 5, "/a");
    assert_path(lab, 50, 20.05, "/b");
    assert_path(lab, 50, 30, "/c");
    lab_free(lab);
}

static void hosts_are_apart(void **state) {
    (void)state;
    struct lab *lab = lab_new(64);
    execs(lab, 0, 0, 50, 1, "/a");
    execs(lab, 1, 0, 50, 1, "/b");
    assert_string_equal(path_at(lab, 0, 50, 1), "/a");
    assert_string_equal(path_at(lab, 1, 50, 1), "/b");
    assert_null(path_at(lab, 2, 50, 1));
    lab_free(lab);
}

static void parents_may_be_gone(void **state) {
    (void)state;
    struct lab *lab = lab_new(64);
    execs(lab, 0, 0, 10, 1, "/bin/zsh");
    forks(lab, 1, 10, "/bin/zsh", 11);
    execs(lab, 0, 1.01, 11, 10, "/usr/bin/installer");
    forks(lab, 2, 11, "/usr/bin/installer", 12);
    acts(lab, NEWS_EXIT, 3, 11, "/usr/bin/installer");
    acts(lab, NEWS_EXIT, 3, 10, "/bin/zsh");
    execs(lab, 0, 400, 12, 1, "/tmp/agent"); /* launchd has adopted it by now */
    assert_chain(lab, 12, 500, "installer zsh launchd");
    lab_free(lab);
}

static void told_twice(void **state) {
    (void)state;
    struct lab *lab = lab_new(64);
    assert_true(execs(lab, 0, 10, 50, 1, "/a"));
    assert_false(execs(lab, 0, 10.4, 50, 1, "/a")); /* by another log */
    assert_true(execs(lab, 0, 60, 50, 1, "/a"));    /* it runs itself again */
    assert_true(acts(lab, NEWS_EXIT, 70, 50, "/a"));
    assert_false(acts(lab, NEWS_EXIT, 70.2, 50, "/a"));
    assert_int_equal(process_table_figures(lab->table)->made, 2);
    lab_free(lab);
}

static bool execs_as(struct lab *lab, double time, int32_t pid, uint32_t version, const char *before,
                     const char *path) {
    struct news news;
    news_clear(&news);
    news.action = NEWS_EXEC;
    news.time = at(time);
    news.actor.pid = news.image.pid = pid;
    news.actor.path = text(before);
    news.image.path = text(path);
    news.image.version = version;
    return take(lab, 0, &news);
}

/* Line by line, and log by log: the second telling may come at once, a little later, or when the rest is
 * long known. */
static void a_life_told_twice(void **state) {
    (void)state;
    static const double skews[] = {0, 0.001, -0.001, 0.9};
    for (int row = 0; row < 2; row++)
        for (size_t i = 0; i < sizeof skews / sizeof skews[0]; i++) {
            struct lab *lab = lab_new(64);
            int fresh = 0;
            for (int step = 0; step < 6; step++) {
                int copy = row ? step / 3 : step % 2, line = row ? step % 3 : step / 2;
                double skew = copy ? skews[i] : 0;
                if (line == 0) fresh += forks(lab, 1 + skew, 700, "/bin/sh", 811);
                if (line == 1) fresh += execs_as(lab, 1.2 + skew, 811, 0, "/bin/sh", "/usr/bin/curl");
                if (line == 2) fresh += acts(lab, NEWS_EXIT, 9 + skew, 811, "/usr/bin/curl");
            }
            assert_int_equal(fresh, 3);
            assert_path(lab, 811, 5, "/usr/bin/curl");
            lab_free(lab);
        }
}

/* What is not the same: another image, a second later, another pidversion. */
static void not_told_twice(void **state) {
    (void)state;
    struct lab *lab = lab_new(64);
    assert_true(execs_as(lab, 1, 811, 5, "/bin/sh", "/bin/a"));
    assert_false(execs_as(lab, 1.001, 811, 0, "/bin/sh", "/bin/a"));
    assert_true(execs_as(lab, 1.1, 811, 6, "/bin/a", "/bin/a")); /* it ran itself anew */
    assert_true(execs_as(lab, 1.2, 811, 7, "/bin/a", "/bin/b"));
    assert_true(execs_as(lab, 5, 811, 0, "/bin/b", "/bin/b"));
    lab_free(lab);
}

static const char *named(struct lab *lab, int32_t pid, double time, const char *name, bool contradicted) {
    bool found;
    const struct process *process = process_table_find_named(lab->table, 0, pid, at(time), name, &found);
    assert_int_equal(found, contradicted);
    return process ? process->path : "(nobody)";
}

static void the_kernels_name_must_agree(void **state) {
    (void)state;
    struct lab *lab = lab_new(64);
    execs(lab, 0, 10, 811, 700, "/bin/sh");
    execs(lab, 0, 20, 811, 700, "/usr/bin/curl");
    execs(lab, 0, 30, 811, 700, "/usr/bin/nc");
    assert_string_equal(named(lab, 811, 25, "curl", false), "/usr/bin/curl");
    assert_string_equal(named(lab, 811, 25, "python3.12", true), "(nobody)");
    assert_string_equal(named(lab, 811, 25, "sh", true), "(nobody)");           /* that was long before */
    assert_string_equal(named(lab, 811, 19.9, "curl", false), "/usr/bin/curl"); /* clocks, and execs */
    assert_string_equal(named(lab, 811, 20.1, "sh", false), "/bin/sh");
    assert_string_equal(named(lab, 811, 30.5, "curl", false), "/usr/bin/curl");
    assert_string_equal(named(lab, 811, 40, "nc", false), "/usr/bin/nc");
    assert_string_equal(named(lab, 999, 25, "curl", false), "(nobody)"); /* unknown is no contradiction */
    lab_free(lab);
}

static void told_late(void **state) {
    (void)state;
    struct lab *lab = lab_new(64);
    execs(lab, 0, 30, 50, 1, "/c");
    execs(lab, 0, 10, 50, 1, "/a");
    assert_path(lab, 50, 12, "/a");
    assert_path(lab, 50, 29, "/a");
    assert_path(lab, 50, 31, "/c");
    lab_free(lab);
}

static void seen_only(void **state) {
    (void)state;
    struct lab *lab = lab_new(64);
    assert_true(acts(lab, NEWS_SEEN, 100, 50, "/a"));
    assert_false(acts(lab, NEWS_SEEN, 101, 50, "/a"));
    assert_path(lab, 50, 90, "/a"); /* it was there before it was seen */
    assert_true(acts(lab, NEWS_SEEN, 200, 50, "/b"));
    assert_path(lab, 50, 150, "/a");
    assert_path(lab, 50, 210, "/b");
    struct news news;
    news_clear(&news);
    news.action = NEWS_SEEN;
    news.time = at(300);
    news.actor.pid = 60;
    news.actor.name = text("a name of more than fifteen bytes");
    assert_true(take(lab, 0, &news));
    news.actor.name = text("a name of more ");
    assert_false(take(lab, 0, &news));
    lab_free(lab);
}

static void the_dead_give_way(void **state) {
    (void)state;
    struct lab *lab = lab_new(64);
    execs(lab, 0, 0, 10, 1, "/runs");
    for (int i = 0; i < 1000; i++) {
        execs(lab, 0, 1 + i, 1000 + i, 10, "/tool");
        acts(lab, NEWS_EXIT, 1.5 + i, 1000 + i, "/tool");
    }
    const struct process_table_figures *figures = process_table_figures(lab->table);
    assert_int_equal(figures->now, 64);
    assert_int_equal(figures->evicted, 1001 - 64);
    assert_path(lab, 10, 1001, "/runs");
    assert_path(lab, 1999, 1001, "/tool");
    assert_path(lab, 1100, 101.2, NULL);
    /* All running: the first gives way. */
    for (int i = 0; i < 100; i++) execs(lab, 0, 2000 + i, 5000 + i, 1, "/all");
    assert_int_equal(figures->now, 64);
    assert_path(lab, 5099, 2200, "/all");
    assert_path(lab, 10, 2200, NULL);
    lab_free(lab);
}

/* A program that runs exec in a loop: its old images go, nobody else's. */
static void one_pid_fills_the_table(void **state) {
    (void)state;
    struct lab *lab = lab_new(64);
    execs(lab, 0, 0, 10, 1, "/stays");
    for (int i = 0; i < 1000; i++) execs(lab, 0, 1 + i, 700, 1, i % 2 ? "/odd" : "/even");
    assert_int_equal(process_table_figures(lab->table)->now, 64);
    assert_path(lab, 10, 1001, "/stays");
    assert_path(lab, 700, 1000.5, "/odd");
    assert_path(lab, 700, 999.5, "/even");
    assert_path(lab, 700, 940.5, "/odd"); /* the oldest but one that is left */
    assert_path(lab, 700, 900, NULL);
    execs(lab, 0, 950.5, 700, 1, "/late"); /* in its place */
    assert_path(lab, 700, 950.7, "/late");
    assert_path(lab, 700, 951.5, "/even");
    for (int i = 0; i < 64; i++) execs(lab, 0, 2000 + i, 800 + i, 1, "/others");
    assert_path(lab, 700, 1000.5, NULL);
    lab_free(lab);
}

/* Whatever comes: bounds hold, and every instance that is found covers the time. */
static void anything_goes(void **state) {
    (void)state;
    static const char *const paths[] = {"/a", "/b", "/c/d", NULL};
    struct lab *lab = lab_new(32);
    uint64_t seed = 42;
    for (int i = 0; i < 50000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        struct news news;
        uint32_t r = (uint32_t)(seed >> 33);
        news_clear(&news);
        news.action = r % 4;
        news.time = at(r / 7 % 500);
        news.actor.pid = (int32_t)(r / 11 % 12) - 1;
        news.actor.path = text(paths[r / 13 % 4]);
        news.actor.parent_pid = (int32_t)(r / 17 % 12) - 1;
        news.image = news.actor;
        news.image.pid = (int32_t)(r / 19 % 12) - 1;
        if (r / 23 % 2) news.arguments = (struct span){"a\0b", 4};
        take(lab, r / 29 % 2, &news);
        const struct process *found = process_table_find(lab->table, 0, news.actor.pid, news.time);
        assert_true(!found || found->start <= news.time + NS_PER_SECOND);
        struct program program;
        if (found) process_table_describe(lab->table, found, &program);
    }
    assert_true(process_table_figures(lab->table)->now <= 32);
    lab_free(lab);
}

/* ------------------------------------------------------------------ sockets */

static struct socket_name name(const char *local, uint16_t local_port, const char *remote,
                               uint16_t remote_port) {
    struct socket_name name = {.local_port = local_port, .remote_port = remote_port, .proto = 6};
    if (local) ip_parse(local, &name.local);
    if (remote) ip_parse(remote, &name.remote);
    return name;
}

static void sockets_are_found(void **state) {
    (void)state;
    struct error err;
    struct sockets *sockets = sockets_new(16, &err);
    const char *path = NULL;
    struct socket_name full = name("10.0.0.1", 50000, "192.0.2.1", 443),
                       bound = name(NULL, 50000, "192.0.2.1", 443);
    sockets_open(sockets, 0, &bound, 7, "/a", at(10));
    sockets_open(sockets, 0, &bound, 7, "/a", at(20)); /* the next snapshot */
    assert_int_equal(sockets_made(sockets), 1);
    assert_int_equal(sockets_find(sockets, 0, &full, at(12), &path), 7);
    assert_string_equal(path, "/a");
    assert_int_equal(sockets_find(sockets, 1, &full, at(12), &path), -1);
    assert_int_equal(sockets_find(sockets, 0, &full, at(2), &path), -1);
    sockets_close(sockets, 0, &bound, 7, at(30));
    assert_int_equal(sockets_find(sockets, 0, &full, at(60), &path), -1);
    sockets_open(sockets, 0, &full, 8, NULL, at(50)); /* the port is used again */
    assert_int_equal(sockets_find(sockets, 0, &full, at(60), &path), 8);
    assert_int_equal(sockets_find(sockets, 0, &full, at(25), &path), 7);
    struct socket_name listens = name(NULL, 22, NULL, 0), comes = name("10.0.0.1", 22, "192.0.2.9", 5000);
    sockets_open(sockets, 0, &listens, 1, "/sshd", at(0));
    assert_int_equal(sockets_find(sockets, 0, &comes, at(40), &path), 1);
    for (uint16_t i = 0; i < 40; i++) {
        struct socket_name other = name("10.0.0.1", (uint16_t)(1000 + i), "192.0.2.1", 80);
        sockets_open(sockets, 0, &other, 100 + i, NULL, at(100));
    }
    assert_int_equal(sockets_find(sockets, 0, &full, at(60), &path), -1); /* overwritten */
    struct socket_name last = name("10.0.0.1", 1039, "192.0.2.1", 80);
    assert_int_equal(sockets_find(sockets, 0, &last, at(101), &path), 139);
    sockets_free(sockets);
}

/* One port that is bound and closed all day: whoever had it lately is found. */
static void a_busy_port(void **state) {
    (void)state;
    struct error err;
    struct sockets *sockets = sockets_new(4096, &err);
    const char *path = NULL;
    struct socket_name bound = name(NULL, 5000, NULL, 0), comes = name("10.0.0.1", 5000, "192.0.2.9", 53);
    for (int i = 0; i < 2000; i++) {
        sockets_open(sockets, 0, &bound, 100 + i, NULL, at(20 * i));
        assert_int_equal(sockets_find(sockets, 0, &comes, at(20 * i + 1), &path), 100 + i);
        sockets_close(sockets, 0, &bound, 100 + i, at(20 * i + 10));
    }
    assert_int_equal(sockets_find(sockets, 0, &comes, at(20 * 1900 + 1), &path), 2000);
    assert_int_equal(sockets_find(sockets, 0, &comes, at(20 * 10 + 1), &path), -1); /* too long ago */
    sockets_free(sockets);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exec_keeps_the_pid),  cmocka_unit_test(ends_and_a_moment_after),
        cmocka_unit_test(pids_are_used_again), cmocka_unit_test(hosts_are_apart),
        cmocka_unit_test(parents_may_be_gone), cmocka_unit_test(told_twice),
        cmocka_unit_test(told_late),           cmocka_unit_test(seen_only),
        cmocka_unit_test(the_dead_give_way),   cmocka_unit_test(one_pid_fills_the_table),
        cmocka_unit_test(anything_goes),       cmocka_unit_test(sockets_are_found),
        cmocka_unit_test(a_busy_port),         cmocka_unit_test(a_life_told_twice),
        cmocka_unit_test(not_told_twice),      cmocka_unit_test(the_kernels_name_must_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
