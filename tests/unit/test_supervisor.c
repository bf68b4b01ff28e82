/* The supervisor with real processes: the test forks one, its sensors play a part each and report lines on a
 * pipe. Nothing sleeps: the test waits for lines, with a deadline that only a failure reaches. */
#include "sensor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 30000, PARTS = 8, LINE = 256 };

/* ------------------------------------------------------- the sensors' parts */

enum part {
    END = 0, /* exit 0 at once */
    FAIL,    /* exit 1 before it is ready */
    FAIL_READY,
    CRASH, /* SIGSEGV before it is ready */
    CRASH_READY,
    ODD_READY, /* exit 9 */
    ANEW_READY,
    ANEW,
    WATCH,    /* ready, alive, reports signals and its end */
    HANG,     /* ready, then silent for ever */
    DEAF,     /* the same, and SIGABRT and SIGTERM do not impress it */
    SLEEPER,  /* ready, reports ticks without a sign of life until SIGUSR1, then as WATCH */
    LATE,     /* default dispositions for a while, then as WATCH */
    SINCE,    /* reports since when nobody has watched, exit 1 before it is ready */
    UNSTARTED /* never ready, waits with default dispositions */
};

struct play {
    enum part parts[PARTS]; /* by number of restarts; the rest END */
    int report;             /* pipe's writing end */
};

static int report_pipe = -1;

__attribute__((format(printf, 1, 2))) static void report(const char *format, ...) {
    char line[LINE];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    line[n] = '\n';
    ssize_t written = write(report_pipe, line, (size_t)n + 1);
    (void)written;
}

static volatile sig_atomic_t asked_to_stop, told_to_wake;

static void on_signal(int number) {
    const char *name = number == SIGTERM   ? "TERM\n"
                       : number == SIGINT  ? "INT\n"
                       : number == SIGHUP  ? "HUP\n"
                       : number == SIGUSR1 ? "USR1\n"
                                           : "USR2\n";
    if (number == SIGTERM || number == SIGINT) asked_to_stop = 1;
    if (number == SIGUSR1) told_to_wake = 1;
    ssize_t written = write(report_pipe, name, strlen(name));
    (void)written;
}

static void handle_signals(void) {
    static const int all[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        sigaction(all[i], &(struct sigaction){.sa_handler = on_signal}, NULL);
}

static int watch(const struct supervised *self, bool alive) {
    handle_signals();
    supervised_ready(self);
    report("ready");
    struct pollfd gone = {.fd = self->descriptor, .events = POLLIN};
    while (!asked_to_stop) {
        if (alive || told_to_wake)
            supervised_alive(self);
        else
            report("tick");
        if (poll(&gone, 1, 50) > 0) {
            char byte;
            report(read(self->descriptor, &byte, 1) <= 0 ? "orphan" : "surprised"); /* its end, or a reset */
            return 0;
        }
    }
    supervised_stopping(self);
    return 0;
}

static void crash(void) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would turn it into an exit */
    raise(SIGSEGV);
}

static int sensor(void *context, const struct supervised *self) {
    const struct play *play = context;
    report_pipe = play->report;
    report("start %u %d %s", self->restarts, self->unwatched_since != 0, self->last_exit);
    switch (self->restarts < PARTS ? play->parts[self->restarts] : END) {
    case END:
        return 0;
    case FAIL_READY:
        supervised_ready(self);
        return 1;
    case FAIL:
        return 1;
    case SINCE:
        report("since %lld", (long long)self->unwatched_since);
        return 1;
    case CRASH_READY:
        supervised_ready(self);
        crash();
        return 0;
    case CRASH:
        crash();
        return 0;
    case ODD_READY:
        supervised_ready(self);
        return 9;
    case ANEW_READY:
        supervised_ready(self);
        return SENSOR_ANEW;
    case ANEW:
        return SENSOR_ANEW;
    case WATCH:
        return watch(self, true);
    case SLEEPER:
        return watch(self, false);
    case LATE:
        report("waiting");
        poll(NULL, 0, 300);
        return watch(self, true);
    case DEAF:
        signal(SIGABRT, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
        /* fall through */
    case HANG:
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        if (play->parts[self->restarts] == HANG) signal(SIGABRT, SIG_DFL);
        supervised_ready(self);
        report("ready");
        for (;;) pause();
    case UNSTARTED:
        report("waiting");
        for (;;) pause();
    }
    return 0;
}

/* ----------------------------------------------------------- the test's side */

struct stage {
    pid_t supervisor;
    int report;
    char buffered[4096];
    size_t length;
};

static struct supervisor_options quick(void) {
    return (struct supervisor_options){.silence_limit = 20, .first_wait = 0.01, .longest_wait = 0.04};
}

static struct stage raise_curtain(const struct supervisor_options *options, const enum part *parts,
                                  size_t count) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct play play = {.report = ends[1]};
    memcpy(play.parts, parts, count * sizeof *parts);
    fflush(NULL);
    pid_t process = fork();
    assert_true(process >= 0);
    if (process == 0) {
        int nowhere = open("/dev/null", O_WRONLY); /* its log */
        dup2(nowhere, STDERR_FILENO);
        close(ends[0]);
        _exit(supervisor_run(options, sensor, &play));
    }
    close(ends[1]);
    return (struct stage){.supervisor = process, .report = ends[0]};
}

/* The next line of the report, or false at its end: when supervisor and sensor are gone. */
static bool next_line(struct stage *stage, char line[LINE]) {
    for (;;) {
        char *end = memchr(stage->buffered, '\n', stage->length);
        if (end) {
            size_t n = (size_t)(end - stage->buffered);
            assert_true(n < LINE);
            memcpy(line, stage->buffered, n);
            line[n] = 0;
            stage->length -= n + 1;
            memmove(stage->buffered, end + 1, stage->length);
            return true;
        }
        struct pollfd readable = {.fd = stage->report, .events = POLLIN};
        assert_int_equal(poll(&readable, 1, DEADLINE_MS), 1);
        ssize_t n =
            read(stage->report, stage->buffered + stage->length, sizeof stage->buffered - stage->length);
        if (n <= 0) return false;
        stage->length += (size_t)n;
    }
}

static void expect(struct stage *stage, const char *wanted) {
    char line[LINE];
    assert_true(next_line(stage, line));
    assert_string_equal(line, wanted);
}

/* Both are gone, and nothing more was said. Returns the supervisor's wait status. */
static int curtain_status(struct stage *stage) {
    char line[LINE] = "";
    bool more = next_line(stage, line);
    if (more) fail_msg("unexpected: %s", line);
    int status;
    assert_int_equal(waitpid(stage->supervisor, &status, 0), stage->supervisor);
    close(stage->report);
    return status;
}

static void expect_code(struct stage *stage, int code) {
    int status = curtain_status(stage);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

#define PLAY(options, ...)                                                                                   \
    raise_curtain(options, (const enum part[]){__VA_ARGS__},                                                 \
                  sizeof((const enum part[]){__VA_ARGS__}) / sizeof(enum part))

static void a_crash_is_told_to_the_next_sensor(void **state) {
    (void)state;
    struct supervisor_options options = quick();
    struct stage stage = PLAY(&options, CRASH_READY, ODD_READY, WATCH);
    expect(&stage, "start 0 0 ");
    expect(&stage, "start 1 1 was killed by signal 11 (Segmentation fault)");
    expect(&stage, "start 2 1 ended with exit code 9");
    expect(&stage, "ready");
    kill(stage.supervisor, SIGTERM);
    expect(&stage, "TERM");
    expect_code(&stage, 0);
}

static void before_it_was_ever_ready_death_is_final(void **state) {
    (void)state;
    struct supervisor_options options = quick();
    struct stage stage = PLAY(&options, FAIL, WATCH);
    expect(&stage, "start 0 0 ");
    expect_code(&stage, 1);
    stage = PLAY(&options, CRASH, WATCH);
    expect(&stage, "start 0 0 ");
    expect_code(&stage, 1);
}

static void its_own_decision_is_final(void **state) {
    (void)state;
    struct supervisor_options options = quick();
    struct stage stage = PLAY(&options, FAIL_READY, WATCH);
    expect(&stage, "start 0 0 ");
    expect_code(&stage, 1);
    stage = PLAY(&options, END, WATCH);
    expect(&stage, "start 0 0 ");
    expect_code(&stage, 0);
}

#define SEGV "was killed by signal 11 (Segmentation fault)"

/* The first cause is kept while the starts fail; once one was ready its death is the cause. */
static void after_a_restart_it_keeps_trying(void **state) {
    (void)state;
    struct supervisor_options options = quick();
    struct stage stage = PLAY(&options, CRASH_READY, FAIL, CRASH, FAIL, CRASH_READY, WATCH);
    expect(&stage, "start 0 0 ");
    expect(&stage, "start 1 1 " SEGV);
    expect(&stage, "start 2 1 " SEGV "; 1 start failed since, it ended with exit code 1");
    expect(&stage, "start 3 1 " SEGV "; 2 starts failed since, the last " SEGV);
    expect(&stage, "start 4 1 " SEGV "; 3 starts failed since, the last ended with exit code 1");
    expect(&stage, "start 5 1 " SEGV);
    expect(&stage, "ready");
    kill(stage.supervisor, SIGINT);
    expect(&stage, "INT");
    expect_code(&stage, 0);
}

static void anew_starts_again(void **state) {
    (void)state;
    struct supervisor_options options = quick();
    struct stage stage = PLAY(&options, ANEW_READY, ANEW, END);
    expect(&stage, "start 0 0 ");
    expect(&stage, "start 1 1 asked to be started anew");
    expect(&stage, "start 2 1 asked to be started anew; 1 start failed since, it asked to be started anew");
    expect_code(&stage, 0);
}

static void the_silent_are_killed(void **state) {
    (void)state;
    struct supervisor_options options = quick();
    options.silence_limit = 0.5;
    struct stage stage = PLAY(&options, HANG, DEAF, UNSTARTED, END);
    expect(&stage, "start 0 0 ");
    expect(&stage, "ready");
    expect(&stage, "start 1 1 said nothing for 0.5 s and was killed");
    expect(&stage, "ready");
    expect(&stage, "start 2 1 said nothing for 0.5 s and was killed");
    expect(&stage, "waiting");
    expect(&stage,
           "start 3 1 said nothing for 0.5 s and was killed; 1 start failed since, it said nothing for "
           "0.5 s and was killed");
    expect_code(&stage, 0);
}

static nanoseconds wall_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * NS_PER_SECOND + t.tv_nsec;
}

static nanoseconds next_since(struct stage *stage) {
    char line[LINE];
    long long since;
    assert_true(next_line(stage, line));
    assert_int_equal(sscanf(line, "since %lld", &since), 1);
    return since;
}

/* Watching stopped with the last sign of life, not when the supervisor lost its patience, and it did not
 * begin again with a start that failed. */
static void the_time_not_watched_is_counted_from_its_start(void **state) {
    (void)state;
    struct supervisor_options options = quick();
    options.silence_limit = 0.5;
    nanoseconds begin = wall_clock();
    struct stage stage = PLAY(&options, HANG, SINCE, SINCE, CRASH_READY, SINCE);
    expect(&stage, "start 0 0 ");
    expect(&stage, "ready");
    expect(&stage, "start 1 1 said nothing for 0.5 s and was killed");
    nanoseconds again = wall_clock(), since = next_since(&stage);
    assert_true(since >= begin && since <= again - 500 * NS_PER_MILLISECOND);
    char line[LINE];
    assert_true(next_line(&stage, line)); /* start 2 */
    assert_true(next_since(&stage) == since);
    assert_true(next_line(&stage, line)); /* start 3, which watches until it crashes */
    expect(&stage, "start 4 1 " SEGV);
    assert_true(next_since(&stage) >= again);
    assert_true(next_line(&stage, line)); /* start 5 */
    expect_code(&stage, 0);
}

static void signs_of_life_keep_it_alive(void **state) {
    (void)state;
    struct supervisor_options options = quick();
    options.silence_limit = 1;
    struct stage stage = PLAY(&options, WATCH, END);
    expect(&stage, "start 0 0 ");
    expect(&stage, "ready");
    for (int i = 0; i < 12; i++) { /* over twice the limit, by the answers' own pace */
        struct pollfd quiet = {.fd = stage.report, .events = POLLIN};
        assert_int_equal(poll(&quiet, 1, 200), 0);
    }
    kill(stage.supervisor, SIGTERM);
    expect(&stage, "TERM");
    expect_code(&stage, 0);
}

/* A laptop is closed, or somebody presses Ctrl-Z: time in which the supervisor stood still is nobody's
 * silence. */
static void a_stopped_supervisor_does_not_count(void **state) {
    (void)state;
    struct supervisor_options options = quick();
    options.silence_limit = 2.5;
    struct stage stage = PLAY(&options, SLEEPER, END);
    expect(&stage, "start 0 0 ");
    expect(&stage, "ready");
    kill(stage.supervisor, SIGSTOP);
    int status;
    assert_int_equal(waitpid(stage.supervisor, &status, WUNTRACED), stage.supervisor);
    for (int ticks = 0; ticks < 80; ticks++) expect(&stage, "tick"); /* four seconds of the sensor's */
    kill(stage.supervisor, SIGCONT);
    kill(stage.supervisor, SIGUSR1);
    char line[LINE];
    do assert_true(next_line(&stage, line));
    while (strcmp(line, "tick") == 0);
    assert_string_equal(line, "USR1");
    kill(stage.supervisor, SIGTERM);
    do assert_true(next_line(&stage, line));
    while (strcmp(line, "tick") == 0);
    assert_string_equal(line, "TERM");
    expect_code(&stage, 0);
}

static void signals_are_passed_on(void **state) {
    (void)state;
    static const struct {
        int number;
        const char *name;
    } all[] = {{SIGHUP, "HUP"}, {SIGUSR1, "USR1"}, {SIGUSR2, "USR2"}, {SIGHUP, "HUP"}, {SIGTERM, "TERM"}};
    struct supervisor_options options = quick();
    struct stage stage = PLAY(&options, WATCH);
    expect(&stage, "start 0 0 ");
    expect(&stage, "ready");
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        kill(stage.supervisor, all[i].number);
        expect(&stage, all[i].name);
    }
    expect_code(&stage, 0);
}

static void a_reload_waits_until_it_is_ready(void **state) {
    (void)state;
    struct supervisor_options options = quick();
    struct stage stage = PLAY(&options, LATE);
    expect(&stage, "start 0 0 ");
    expect(&stage, "waiting");
    kill(stage.supervisor, SIGHUP); /* would kill it now */
    char line[LINE];
    for (int lines = 0; lines < 2; lines++) {
        assert_true(next_line(&stage, line));
        assert_true(strcmp(line, "ready") == 0 || strcmp(line, "HUP") == 0); /* the order is open */
    }
    kill(stage.supervisor, SIGTERM);
    expect(&stage, "TERM");
    expect_code(&stage, 0);
}

static void a_stop_before_it_is_ready_ends_it(void **state) {
    (void)state;
    struct supervisor_options options = quick();
    struct stage stage = PLAY(&options, UNSTARTED);
    expect(&stage, "start 0 0 ");
    expect(&stage, "waiting");
    kill(stage.supervisor, SIGTERM);
    expect_code(&stage, 0);
}

static void a_second_stop_kills(void **state) {
    (void)state;
    struct supervisor_options options = quick();
    struct stage stage = PLAY(&options, DEAF, WATCH);
    expect(&stage, "start 0 0 ");
    expect(&stage, "ready");
    struct pollfd gone = {.fd = stage.report, .events = POLLIN};
    for (int i = 0; i < DEADLINE_MS / 50 && poll(&gone, 1, 50) == 0; i++) kill(stage.supervisor, SIGTERM);
    expect_code(&stage, 1);
}

static void a_stop_ends_the_wait_for_a_restart(void **state) {
    (void)state;
    struct supervisor_options options = {.first_wait = 3600, .longest_wait = 3600};
    struct stage stage = PLAY(&options, CRASH_READY, WATCH);
    expect(&stage, "start 0 0 ");
    kill(stage.supervisor, SIGTERM); /* before, at or after the crash: no second start in any case */
    int status = curtain_status(&stage);
    assert_true(WIFEXITED(status));
}

static void an_orphan_reads_the_end(void **state) {
    (void)state;
    struct supervisor_options options = quick();
    struct stage stage = PLAY(&options, CRASH_READY, WATCH);
    expect(&stage, "start 0 0 ");
    expect(&stage, "start 1 1 was killed by signal 11 (Segmentation fault)");
    expect(&stage, "ready");
    kill(stage.supervisor, SIGKILL);
    expect(&stage, "orphan");
    assert_true(WIFSIGNALED(curtain_status(&stage)));
}

static void waits_double_up_to_the_longest(void **state) {
    (void)state;
    struct supervisor_options options = {.first_wait = 1, .longest_wait = 10};
    static const double wanted[] = {1, 2, 4, 8, 10, 10};
    double wait = -1;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        wait = supervisor_wait(&options, wait, 0.5);
        assert_true(wait == wanted[i]);
    }
    assert_true(supervisor_wait(&options, wait, 61) == 1);
    options.first_wait = 0;
    assert_true(supervisor_wait(&options, -1, 0.5) == 0);
    assert_true(supervisor_wait(&options, 0, 0.5) > 0); /* but not for ever */
}

/* What the caller had set up for itself is what the sensor finds, and what the caller finds again. */
static int look_at_signals(void *context, const struct supervised *self) {
    (void)self;
    struct sigaction usr2, term, pipe_action;
    sigset_t mask;
    sigaction(SIGUSR2, NULL, &usr2);
    sigaction(SIGTERM, NULL, &term);
    sigaction(SIGPIPE, NULL, &pipe_action);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    bool same = usr2.sa_handler == SIG_IGN && term.sa_handler == SIG_DFL &&
                pipe_action.sa_handler == SIG_DFL && sigismember(&mask, SIGWINCH) &&
                !sigismember(&mask, SIGTERM) && !sigismember(&mask, SIGCHLD);
    return context ? (same ? 1 : 2) : (same ? 0 : 3);
}

static void dispositions_are_given_back(void **state) {
    (void)state;
    fflush(NULL);
    pid_t process = fork();
    if (process == 0) {
        sigset_t mask;
        sigemptyset(&mask);
        sigaddset(&mask, SIGWINCH);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        signal(SIGUSR2, SIG_IGN);
        signal(SIGPIPE, SIG_DFL);
        struct supervisor_options options = quick();
        if (supervisor_run(&options, look_at_signals, &options) != 1) _exit(4);
        _exit(look_at_signals(NULL, NULL));
    }
    int status;
    waitpid(process, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ----------------------------------------------------------- service manager */

static int manager_listen(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@') address.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(
        bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
        0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

/* The next message, whole. Watchdog messages are counted instead, where the caller wants them. */
static void next_message(int manager, char *text, size_t size, int *watchdogs) {
    do {
        struct pollfd readable = {.fd = manager, .events = POLLIN};
        assert_int_equal(poll(&readable, 1, DEADLINE_MS), 1);
        ssize_t n = recv(manager, text, size - 1, 0);
        assert_true(n > 0);
        text[n] = 0;
        if (strcmp(text, "WATCHDOG=1") == 0 && watchdogs) ++*watchdogs;
    } while (strcmp(text, "WATCHDOG=1") == 0 && watchdogs);
}

static void expect_message(int manager, const char *wanted) {
    char text[1024];
    int watchdogs = 0;
    next_message(manager, text, sizeof text, &watchdogs);
    assert_string_equal(text, wanted);
}

static void expect_ready(int manager, pid_t supervisor, const char *status) {
    char wanted[512];
    snprintf(wanted, sizeof wanted, "READY=1\nMAINPID=%ld\nSTATUS=%s", (long)supervisor, status);
    expect_message(manager, wanted);
}

static void the_manager_is_told(const char *name) {
    int manager = manager_listen(name);
    struct supervisor_options options = quick();
    setenv("WATCHDOG_USEC", "200000", 1);
    struct stage stage = PLAY(&options, CRASH_READY, WATCH);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    expect_ready(manager, stage.supervisor, "watching");
    expect_message(
        manager,
        "STATUS=waiting 0.01 s for restart 1: the sensor was killed by signal 11 (Segmentation fault)");
    expect_ready(
        manager, stage.supervisor,
        "watching; started again 1 time, the one before was killed by signal 11 (Segmentation fault)");
    char text[1024];
    for (int i = 0; i < 3; i++) {
        next_message(manager, text, sizeof text, NULL);
        assert_string_equal(text, "WATCHDOG=1");
    }
    kill(stage.supervisor, SIGTERM);
    expect_message(manager, "STOPPING=1");
    expect(&stage, "start 0 0 ");
    expect(&stage, "start 1 1 was killed by signal 11 (Segmentation fault)");
    expect(&stage, "ready");
    expect(&stage, "TERM");
    expect_code(&stage, 0);
    while (recv(manager, text, sizeof text - 1, MSG_DONTWAIT) > 0) assert_memory_equal(text, "WATCHDOG", 8);
    close(manager);
}

static void the_manager_is_told_by_path(void **state) {
    (void)state;
    char folder[] = "/tmp/lunette-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/notify", folder);
    the_manager_is_told(path);
    unlink(path);
    rmdir(folder);
}

#ifdef __linux__
static void the_manager_is_told_by_abstract_name(void **state) {
    (void)state;
    char name[64];
    snprintf(name, sizeof name, "@lunette-test-%ld", (long)getpid());
    the_manager_is_told(name);
}
#endif

static int reload_and_end(void *context, const struct supervised *self) {
    (void)context;
    supervised_ready(self);
    supervised_reloading(self);
    supervised_ready(self);
    supervised_stopping(self);
    return 0;
}

static void a_reload_is_told(void **state) {
    (void)state;
    char folder[] = "/tmp/lunette-test-XXXXXX", path[64], text[1024];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/notify", folder);
    int manager = manager_listen(path);
    struct supervisor_options options = quick();
    assert_int_equal(supervisor_run(&options, reload_and_end, NULL), 0);
    unsetenv("NOTIFY_SOCKET");
    expect_ready(manager, getpid(), "watching");
    next_message(manager, text, sizeof text, NULL);
    long long at = 0;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%lld", &at), 1);
    assert_true(at > 0 && at <= now.tv_sec * 1000000LL + now.tv_nsec / 1000);
    expect_ready(manager, getpid(), "watching");
    expect_message(manager, "STOPPING=1");
    close(manager);
    unlink(path);
    rmdir(folder);
}

int main(void) {
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_is_told_to_the_next_sensor),
        cmocka_unit_test(before_it_was_ever_ready_death_is_final),
        cmocka_unit_test(its_own_decision_is_final),
        cmocka_unit_test(after_a_restart_it_keeps_trying),
        cmocka_unit_test(anew_starts_again),
        cmocka_unit_test(the_silent_are_killed),
        cmocka_unit_test(the_time_not_watched_is_counted_from_its_start),
        cmocka_unit_test(signs_of_life_keep_it_alive),
        cmocka_unit_test(a_stopped_supervisor_does_not_count),
        cmocka_unit_test(signals_are_passed_on),
        cmocka_unit_test(a_reload_waits_until_it_is_ready),
        cmocka_unit_test(a_stop_before_it_is_ready_ends_it),
        cmocka_unit_test(a_second_stop_kills),
        cmocka_unit_test(a_stop_ends_the_wait_for_a_restart),
        cmocka_unit_test(an_orphan_reads_the_end),
        cmocka_unit_test(waits_double_up_to_the_longest),
        cmocka_unit_test(dispositions_are_given_back),
        cmocka_unit_test(the_manager_is_told_by_path),
#ifdef __linux__
        cmocka_unit_test(the_manager_is_told_by_abstract_name),
#endif
        cmocka_unit_test(a_reload_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
