/* One loop: wait in pselect(2) for a signal, for a word from the sensor or for the next second; then look at
 * everything. Signals are blocked but for that call, so none can fall between looking and waiting, and the
 * handlers do nothing but note that one came.
 *
 * The sensor's words are single bytes on a stream socket. Time is the monotonic clock. Silence is counted
 * only while this process itself runs on time: when the machine was suspended or both were stopped, nobody
 * was silent. */
#include "sensor/supervisor.h"

#include "base/log.h"
#include "sensor/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS has SO_NOSIGPIPE instead */
#endif

enum { WORD_READY = 'r', WORD_ALIVE = 'a', WORD_RELOADING = 'l', WORD_STOPPING = 's' };

static const nanoseconds TURN = NS_PER_SECOND;            /* between looks, if nothing happens */
static const nanoseconds OWN_GAP = 3 * NS_PER_SECOND;     /* a turn this long: we were stopped, too */
static const nanoseconds ABORT_GRACE = 2 * NS_PER_SECOND; /* from SIGABRT to SIGKILL */
static const nanoseconds SECOND_STOP =
    500 * NS_PER_MILLISECOND; /* timeout(1) and terminals send the first one twice */
static const double SETTLED = 60, SHORTEST_DOUBLED = 0.1; /* seconds */

/* ------------------------------------------------------------------ signals */

static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
enum { PASSED_ON = sizeof passed_on / sizeof passed_on[0] };

/* What a handler can leave behind: the one state that cannot live in a structure. */
enum { CAME = 1, CAME_TO_GROUP = 2 };
static volatile sig_atomic_t signal_came[PASSED_ON];

static void on_signal(int number, siginfo_t *information, void *context) {
    (void)context;
    int how = CAME;
#ifdef SI_KERNEL
    /* A key on the terminal: the whole foreground group has it, the sensor included. */
    if (information->si_code == SI_KERNEL) how = CAME_TO_GROUP;
#else
    (void)information;
#endif
    for (int i = 0; i < PASSED_ON; i++)
        if (passed_on[i] == number) signal_came[i] |= how;
}

/* SIGCHLD has only to end the wait. */
static void on_child(int number) {
    (void)number;
}

struct dispositions {
    struct sigaction of[PASSED_ON], child, pipe;
    sigset_t mask;
};

static void signals_take(struct dispositions *before) {
    sigset_t block;
    sigemptyset(&block);
    sigaddset(&block, SIGCHLD);
    for (int i = 0; i < PASSED_ON; i++) sigaddset(&block, passed_on[i]);
    sigprocmask(SIG_BLOCK, &block, &before->mask);

    struct sigaction note = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    struct sigaction wake = {.sa_handler = on_child, .sa_flags = SA_NOCLDSTOP};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&note.sa_mask);
    sigemptyset(&wake.sa_mask);
    sigemptyset(&ignore.sa_mask);
    for (int i = 0; i < PASSED_ON; i++) {
        signal_came[i] = 0;
        sigaction(passed_on[i], &note, &before->of[i]);
    }
    sigaction(SIGCHLD, &wake, &before->child);
    sigaction(SIGPIPE, &ignore, &before->pipe); /* whoever read our log may be gone */
}

static void signals_give_back(const struct dispositions *before) {
    for (int i = 0; i < PASSED_ON; i++) sigaction(passed_on[i], &before->of[i], NULL);
    sigaction(SIGCHLD, &before->child, NULL);
    sigaction(SIGPIPE, &before->pipe, NULL);
    sigprocmask(SIG_SETMASK, &before->mask, NULL);
}

/* ------------------------------------------------------------- the supervisor */

struct supervisor {
    const struct supervisor_options *options;
    int (*sensor)(void *context, const struct supervised *self);
    void *context;
    struct dispositions before;
    struct notify notify;
    nanoseconds fed; /* the manager's watchdog, last */

    /* Over all sensors. */
    double wait; /* the last one, negative if there was none yet */
    bool stop_asked;
    nanoseconds stop_asked_at;
    bool held[PASSED_ON];   /* signals that wait until the sensor is ready */
    struct supervised told; /* what the next sensor is told */
    char cause[96];         /* how the last one that was ready ended … */
    uint32_t failed;        /* … and the starts since that came to nothing */

    /* The sensor of now. */
    pid_t process;
    int descriptor; /* -1: it has closed its end */
    nanoseconds started, looked, silent;
    nanoseconds heard; /* its last word, wall clock; or its start */
    bool ready, stopping, silenced, killed;
};

static nanoseconds from_seconds(double seconds) {
    return seconds >= 1e9 ? (nanoseconds)1e18 : (nanoseconds)(seconds * 1e9);
}

double supervisor_wait(const struct supervisor_options *options, double last, double lived) {
    if (last < 0 || lived >= SETTLED) return options->first_wait;
    double wait = last > 0 ? last * 2 : SHORTEST_DOUBLED;
    return wait < options->longest_wait ? wait : options->longest_wait;
}

__attribute__((format(printf, 2, 3))) static void tell_manager(const struct supervisor *s, const char *format,
                                                               ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    notify_send(&s->notify, text);
}

static void feed_watchdog(struct supervisor *s, nanoseconds now) {
    if (!s->notify.watchdog || now - s->fed < s->notify.watchdog / 3) return;
    s->fed = now;
    notify_send(&s->notify, "WATCHDOG=1");
}

/* Sleeps for at most `longest`, until a signal comes or `descriptor` (or -1) is readable. */
static void sleep_until_something(const struct supervisor *s, nanoseconds longest, int descriptor) {
    if (longest > TURN) longest = TURN;
    if (s->notify.watchdog && longest > s->notify.watchdog / 3) longest = s->notify.watchdog / 3;
    if (longest < 0) longest = 0;
    struct timespec timeout = {.tv_sec = longest / NS_PER_SECOND, .tv_nsec = longest % NS_PER_SECOND};
    sigset_t mask = s->before.mask;
    sigdelset(&mask, SIGCHLD);
    for (int i = 0; i < PASSED_ON; i++) sigdelset(&mask, passed_on[i]);
    fd_set readable;
    FD_ZERO(&readable);
    if (descriptor >= 0) FD_SET(descriptor, &readable);
    pselect(descriptor + 1, &readable, NULL, NULL, &timeout, &mask);
}

/* ------------------------------------------------------------ one sensor's life */

static int make_pair(int pair[2]) {
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) return -1;
    for (int i = 0; i < 2; i++) {
        fcntl(pair[i], F_SETFD, FD_CLOEXEC);
        fcntl(pair[i], F_SETFL, O_NONBLOCK);
#ifdef SO_NOSIGPIPE
        setsockopt(pair[i], SOL_SOCKET, SO_NOSIGPIPE, &(int){1}, sizeof(int));
#endif
    }
    if (pair[0] < FD_SETSIZE) return 0; /* pselect's limit */
    close(pair[0]);
    close(pair[1]);
    errno = EMFILE;
    return -1;
}

__attribute__((noreturn)) static void be_the_sensor(struct supervisor *s, const int pair[2]) {
    close(pair[0]);
    notify_close(&s->notify);
    signals_give_back(&s->before);
    struct supervised self = s->told;
    self.descriptor = pair[1];
    int code = s->sensor(s->context, &self);
    fflush(NULL);
    _exit(code & 0xff);
}

static int sensor_start(struct supervisor *s) {
    int pair[2];
    if (make_pair(pair) < 0) return -1;
    fflush(NULL); /* or the sensor would write what is left in our buffers once more */
    s->process = fork();
    if (s->process == 0) be_the_sensor(s, pair);
    int reason = errno;
    close(pair[1]);
    if (s->process < 0) {
        close(pair[0]);
        errno = reason;
        return -1;
    }
    s->descriptor = pair[0];
    s->started = s->looked = time_monotonic();
    s->heard = time_wall();
    s->silent = 0;
    s->ready = s->stopping = s->silenced = s->killed = false;
    return 0;
}

static void send_signal(const struct supervisor *s, int number) {
    if (kill(s->process, number) < 0)
        log_line(LOG_WARNING, "cannot send %s to the sensor (process %ld): %s", strsignal(number),
                 (long)s->process, strerror(errno));
}

static void sensor_is_ready(struct supervisor *s) {
    char history[400] = "";
    if (s->told.restarts)
        snprintf(history, sizeof history, "; started again %u time%s, the one before %s", s->told.restarts,
                 s->told.restarts == 1 ? "" : "s", s->told.last_exit);
    tell_manager(s, "READY=1\nMAINPID=%ld\nSTATUS=watching%s", (long)getpid(), history);
    s->ready = true;
    for (int i = 0; i < PASSED_ON; i++) {
        if (s->held[i]) send_signal(s, passed_on[i]);
        s->held[i] = false;
    }
}

static void hear_word(struct supervisor *s, char word, nanoseconds now) {
    switch (word) {
    case WORD_READY:
        sensor_is_ready(s);
        break;
    case WORD_ALIVE:
        break;
    case WORD_RELOADING:
        tell_manager(s, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(now / NS_PER_MICROSECOND));
        break;
    case WORD_STOPPING:
        if (!s->stopping && !s->stop_asked) notify_send(&s->notify, "STOPPING=1");
        s->stopping = true;
        break;
    default:
        return; /* not a word of ours: no sign of life either */
    }
    s->silent = 0;
    s->heard = time_wall();
    feed_watchdog(s, now);
}

static void hear_sensor(struct supervisor *s, nanoseconds now) {
    char words[256];
    while (s->descriptor >= 0) {
        ssize_t n = recv(s->descriptor, words, sizeof words, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (n <= 0) {
            close(s->descriptor);
            s->descriptor = -1;
            return;
        }
        for (ssize_t i = 0; i < n; i++) hear_word(s, words[i], now);
    }
}

/* A stop was asked for; there may be no sensor just now. */
static void note_stop(struct supervisor *s, nanoseconds now) {
    if (s->stop_asked) return;
    s->stop_asked = true;
    s->stop_asked_at = now;
    if (!s->stopping) notify_send(&s->notify, "STOPPING=1");
}

static void pass_stop_on(struct supervisor *s, int number, int how, nanoseconds now) {
    if (s->stop_asked && now - s->stop_asked_at >= SECOND_STOP) {
        if (!s->killed) log_line(LOG_WARNING, "asked to stop a second time: the sensor is killed");
        s->killed = true;
        send_signal(s, SIGKILL);
        return;
    }
    note_stop(s, now);
    if (how & CAME) send_signal(s, number);
}

static void pass_signals_on(struct supervisor *s, nanoseconds now) {
    for (int i = 0; i < PASSED_ON; i++) {
        int how = signal_came[i]; /* blocked now: nobody writes */
        signal_came[i] = 0;
        if (!how) continue;
        if (passed_on[i] == SIGTERM || passed_on[i] == SIGINT)
            pass_stop_on(s, passed_on[i], how, now);
        else if (!s->ready)
            s->held[i] = true;
        else if (how & CAME)
            send_signal(s, passed_on[i]);
    }
}

/* A sensor's first start may take what it takes, since somebody is waiting for it; any later one is watched.
 */
static bool is_watched(const struct supervisor *s) {
    return s->options->silence_limit > 0 && (s->ready || s->told.restarts > 0);
}

/* How much longer it may say nothing before the next step is taken. */
static nanoseconds patience(const struct supervisor *s) {
    if (s->silenced) return ABORT_GRACE - s->silent;
    return is_watched(s) ? from_seconds(s->options->silence_limit) - s->silent : TURN;
}

static void end_silence(struct supervisor *s) {
    if ((!is_watched(s) && !s->silenced) || patience(s) > 0) return;
    if (!s->silenced)
        log_line(LOG_ERROR, "the sensor said nothing for %g s: it is killed", s->options->silence_limit);
    send_signal(s, s->silenced ? SIGKILL : SIGABRT);
    s->silenced = true;
    s->silent = 0;
}

/* Stays until the sensor is dead; returns its status. */
static int sensor_watch(struct supervisor *s) {
    for (;;) {
        sleep_until_something(s, patience(s), s->descriptor);
        nanoseconds now = time_monotonic(), turn = now - s->looked;
        s->looked = now;
        if (turn < OWN_GAP) s->silent += turn;
        hear_sensor(s, now);

        int status;
        if (waitpid(s->process, &status, WNOHANG) == s->process) {
            hear_sensor(s, now); /* its last words may have come just before its death */
            if (s->descriptor >= 0) close(s->descriptor);
            s->descriptor = -1;
            return status;
        }
        pass_signals_on(s, now);
        end_silence(s);
        if (!s->ready) feed_watchdog(s, now); /* starting is no failure; its length is bounded by the limit */
    }
}

/* ------------------------------------------------------------- what comes after */

/* A predicate: what the sensor did, or what was done to it. */
static void describe_death(const struct supervisor *s, int status, char *out, size_t size) {
    if (s->silenced)
        snprintf(out, size, "said nothing for %g s and was killed", s->options->silence_limit);
    else if (WIFSIGNALED(status))
        snprintf(out, size, "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == SENSOR_ANEW)
        snprintf(out, size, "asked to be started anew");
    else
        snprintf(out, size, "ended with exit code %d", WEXITSTATUS(status));
}

/* The exit code to end with, or -1 if the sensor is to be started again. */
static int final_code(const struct supervisor *s, int status) {
    bool stop = s->stop_asked || s->stopping;
    if (WIFSIGNALED(status)) {
        int number = WTERMSIG(status);
        if (s->stop_asked && (number == SIGTERM || number == SIGINT)) return 0; /* it had no handlers yet */
        return stop || (!s->ready && s->told.restarts == 0) ? 1 : -1;
    }
    int code = WEXITSTATUS(status);
    if (s->silenced && !stop) return -1;
    if (code == SENSOR_ANEW) return s->stop_asked ? 0 : -1;
    if (code == 0 || stop) return code;
    if (s->ready) return code <= 2 ? code : -1;
    return s->told.restarts == 0 ? code : -1;
}

/* Waits before the next start. False: asked to stop meanwhile. */
static bool wait_a_while(struct supervisor *s, double seconds) {
    for (nanoseconds now = time_monotonic(), until = now + from_seconds(seconds);; now = time_monotonic()) {
        for (int i = 0; i < PASSED_ON; i++) {
            /* The next sensor reads everything anew: of the signals only a stop matters. */
            if (signal_came[i] && (passed_on[i] == SIGTERM || passed_on[i] == SIGINT)) note_stop(s, now);
            signal_came[i] = 0;
            s->held[i] = false;
        }
        if (s->stop_asked) return false;
        if (now >= until) return true;
        feed_watchdog(s, now);
        sleep_until_something(s, until - now, -1);
    }
}

/* Nobody watches from the death of one that was ready until another one is; why the first of them died is
 * not lost over the starts between. */
static void note_death(struct supervisor *s, const char *death) {
    struct supervised *told = &s->told;
    if (s->ready || !told->unwatched_since) {
        snprintf(s->cause, sizeof s->cause, "%s", death);
        snprintf(told->last_exit, sizeof told->last_exit, "%s", death);
        told->unwatched_since = s->silenced ? s->heard : time_wall();
        s->failed = 0;
    } else {
        s->failed++;
        snprintf(told->last_exit, sizeof told->last_exit, "%s; %u start%s failed since, %s %s", s->cause,
                 s->failed, s->failed == 1 ? "" : "s", s->failed == 1 ? "it" : "the last", death);
    }
    told->restarts++;
}

/* Keeps what the next sensor is told and waits for its time. False: asked to stop meanwhile. */
static bool prepare_restart(struct supervisor *s, const char *death, bool anew) {
    double lived = ns_to_seconds(time_monotonic() - s->started), wait = 0;
    bool at_once = anew && s->ready && lived >= s->options->first_wait;
    if (!at_once) s->wait = wait = supervisor_wait(s->options, s->wait, lived);
    note_death(s, death);
    log_line(anew ? LOG_INFO : LOG_ERROR, "the sensor %s: restart %u in %g s", death, s->told.restarts, wait);
    tell_manager(s, "STATUS=waiting %g s for restart %u: the sensor %s", wait, s->told.restarts, death);
    return wait_a_while(s, wait);
}

static int supervise(struct supervisor *s) {
    for (;;) {
        char death[sizeof s->cause];
        bool anew = false;
        if (sensor_start(s) < 0) {
            snprintf(death, sizeof death, "could not be started: %s", strerror(errno));
            s->started = time_monotonic();
            s->ready = s->silenced = false;
            if (s->told.restarts == 0) {
                log_line(LOG_ERROR, "the sensor %s", death);
                return 1;
            }
        } else {
            int status = sensor_watch(s), code = final_code(s, status);
            describe_death(s, status, death, sizeof death);
            anew = WIFEXITED(status) && WEXITSTATUS(status) == SENSOR_ANEW;
            if (code >= 0) {
                if (code > 0 && WIFSIGNALED(status)) log_line(LOG_ERROR, "the sensor %s", death);
                return code;
            }
        }
        if (!prepare_restart(s, death, anew)) return 0;
    }
}

int supervisor_run(const struct supervisor_options *options,
                   int (*sensor)(void *context, const struct supervised *self), void *context) {
    struct supervisor s = {.options = options,
                           .sensor = sensor,
                           .context = context,
                           .wait = -1,
                           .told = {.descriptor = -1},
                           .descriptor = -1};
    signals_take(&s.before);
    notify_open(&s.notify);
    int code = supervise(&s);
    notify_close(&s.notify);
    signals_give_back(&s.before);
    return code;
}

/* ------------------------------------------------------------ the sensor's side */

static void say(const struct supervised *self, char word) {
    if (self->descriptor < 0) return;
    ssize_t sent = send(self->descriptor, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent; /* full: the supervisor is stopped; gone: the sensor reads that for itself */
}

void supervised_ready(const struct supervised *self) {
    say(self, WORD_READY);
}

void supervised_alive(const struct supervised *self) {
    say(self, WORD_ALIVE);
}

void supervised_reloading(const struct supervised *self) {
    say(self, WORD_RELOADING);
}

void supervised_stopping(const struct supervised *self) {
    say(self, WORD_STOPPING);
}
