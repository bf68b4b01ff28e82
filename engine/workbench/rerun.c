/* See rerun.h. One uv loop: between runs it sleeps, during a run it is asked now and then whether something
 * was saved. */
#include "workbench/rerun.h"

#include "base/log.h"
#include "script/reload.h"
#include "sensor/watch.h"
#include "sensor/worker.h"
#include "workbench/alert_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    FILES_MAX = 1024,
    BURSTS_BETWEEN_LOOKS = 512, /* some 30,000 packets: milliseconds */
    STOP_POLL = 100,            /* milliseconds */
};

struct rerun {
    const struct rerun_options *options;
    uv_loop_t loop;
    uv_timer_t stop_poll;
    struct watch *watch;
    bool saved; /* since the last run began */
    uint32_t bursts;
    struct alert_list *before, *now; /* before: of the last whole run, NULL at first */
    bool short_of_memory;
};

static void on_saved(void *context) {
    ((struct rerun *)context)->saved = true;
}

static bool is_over(const struct rerun *rerun) {
    return atomic_load_explicit(rerun->options->stop, memory_order_relaxed);
}

static void on_stop_poll(uv_timer_t *timer) {
    const struct rerun *rerun = timer->data;
    if (is_over(rerun)) uv_stop(timer->loop);
}

static void on_alert(void *context, const struct alert *alert) {
    struct rerun *rerun = context;
    if (alert_list_add(rerun->now, alert) < 0) rerun->short_of_memory = true;
}

static bool go_on(void *context) {
    struct rerun *rerun = context;
    if (++rerun->bursts % BURSTS_BETWEEN_LOOKS == 0) uv_run(&rerun->loop, UV_RUN_NOWAIT);
    return !rerun->saved && !is_over(rerun);
}

/* ------------------------------------------------------------------- printing */

static void say(struct buffer *b) {
    size_t done = 0;
    while (!b->failed && done < b->length) {
        ssize_t n = write(STDOUT_FILENO, b->at + done, b->length - done);
        if (n < 0 && errno != EINTR) break;
        done += n > 0 ? (size_t)n : 0;
    }
    b->length = 0;
}

static void put_alert(struct buffer *b, const struct terminal_style *style, const struct alert *alert,
                      char mark, enum ink ink) {
    char time[SHORT_TIME_SIZE];
    terminal_time(alert->time, time);
    terminal_ink(b, style, ink);
    buffer_format(b, "%c %s  %-6s  ", mark, time, severity_name(alert->severity));
    terminal_safe(b, alert->title, strlen(alert->title));
    terminal_ink(b, style, INK_PLAIN);
    buffer_string(b, "  (");
    terminal_safe(b, alert->detector, strlen(alert->detector));
    buffer_string(b, ")\n");
}

static void put_line(struct buffer *b, const struct terminal_style *style, const char *label,
                     const char *text) {
    enum { LABEL = 4, TEXT = 16 };
    if (!text[0]) return;
    buffer_fill(b, ' ', LABEL);
    terminal_ink(b, style, INK_DIM);
    buffer_format(b, "%-*s", TEXT - LABEL, label);
    terminal_ink(b, style, INK_PLAIN);
    terminal_wrapped(b, style, TEXT, TEXT, text);
    buffer_char(b, '\n');
}

static void put_new(struct buffer *b, const struct terminal_style *style, const struct alert *alert) {
    put_alert(b, style, alert, '+', INK_GREEN);
    put_line(b, style, "who", alert->who);
    put_line(b, style, "where", alert->where);
    put_line(b, style, "why", alert->why);
    if (strcmp(alert->evidence, "{}") != 0) put_line(b, style, "evidence", alert->evidence);
}

static void put_changed(struct buffer *b, const struct terminal_style *style, const struct difference *d) {
    const char *name, *was, *is;
    char room_was[ALERT_FIELD_TEXT], room_is[ALERT_FIELD_TEXT];
    put_alert(b, style, d->now, '~', INK_YELLOW);
    put_line(b, style, "who", d->now->who);
    put_line(b, style, "where", d->now->where);
    for (size_t i = 0; alert_field(d->before, i, &name, &was, room_was); i++) {
        alert_field(d->now, i, &name, &is, room_is);
        if (strcmp(was, is) == 0) continue;
        put_line(b, style, name, was[0] ? was : "(none)");
        put_line(b, style, "  is now", is[0] ? is : "(none)");
    }
}

static void put_difference(struct buffer *b, const struct terminal_style *style, const struct difference *d) {
    if (d->kind == DIFFERENCE_NEW) {
        put_new(b, style, d->now);
    } else if (d->kind == DIFFERENCE_CHANGED) {
        put_changed(b, style, d);
    } else {
        put_alert(b, style, d->before, '-', INK_RED);
        put_line(b, style, "who", d->before->who);
        put_line(b, style, "where", d->before->where);
    }
}

static void put_clock(struct buffer *b, const struct terminal_style *style) {
    char text[16];
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(text, sizeof text, "%H:%M:%S", &local);
    terminal_ink(b, style, INK_BOLD);
    buffer_string(b, text);
    terminal_ink(b, style, INK_PLAIN);
    buffer_string(b, "  ");
}

/* What was raised is logged; the same alerts as before do not make it fine. */
static void put_troubled(struct buffer *b, const struct script_host *host) {
    uint32_t troubled = 0;
    for (uint32_t i = 0; i < script_host_count(host); i++) {
        struct detector_status status;
        script_host_status(host, i, &status);
        troubled += status.errors > 0 || status.off;
    }
    if (troubled > 0) buffer_format(b, ", %u detector%s raised errors", troubled, troubled == 1 ? "" : "s");
}

static void tell(struct rerun *rerun, const struct script_host *host, double seconds) {
    const struct terminal_style *style = &rerun->options->style;
    struct alert_list *none = rerun->before ? NULL : alert_list_new();
    const struct alert_list *before = rerun->before ? rerun->before : none;
    struct buffer b = {.at = NULL};
    size_t count = 0, of_kind[3] = {0};
    bool failed = !before;
    struct difference *list = before ? alert_list_compare(before, rerun->now, &count, &failed) : NULL;
    for (size_t i = 0; i < count; i++) of_kind[list[i].kind]++;
    put_clock(&b, style);
    size_t alerts = alert_list_count(rerun->now);
    buffer_format(&b, "%zu alert%s in %.2f s", alerts, alerts == 1 ? "" : "s", seconds);
    if (rerun->before && count > 0)
        buffer_format(&b, ": %zu new, %zu gone, %zu changed", of_kind[DIFFERENCE_NEW],
                      of_kind[DIFFERENCE_GONE], of_kind[DIFFERENCE_CHANGED]);
    if (rerun->before && count == 0) buffer_string(&b, ": as before");
    put_troubled(&b, host);
    buffer_char(&b, '\n');
    for (size_t i = 0; i < count; i++) put_difference(&b, style, &list[i]);
    if (failed || rerun->short_of_memory) buffer_string(&b, "memory is short: this is not all\n");
    say(&b);
    buffer_free(&b);
    free(list);
    alert_list_free(none);
}

static void tell_not_run(const struct rerun *rerun, const char *why) {
    struct buffer b = {.at = NULL};
    put_clock(&b, &rerun->options->style);
    terminal_wrapped(&b, &rerun->options->style, 10, 10, why);
    buffer_char(&b, '\n');
    say(&b);
    buffer_free(&b);
}

/* ------------------------------------------------------------------------ runs */

static void watch_again(struct rerun *rerun, struct rig *rig) {
    const char *files[FILES_MAX];
    struct error err;
    uint32_t count = script_host_files(worker_scripts(rig_worker(rig)), files, FILES_MAX);
    if (watch_paths(rerun->watch, files, count, &err) < 0) log_line(LOG_WARNING, "%s", err.text);
}

static double seconds_now(void) {
    return ns_to_seconds(time_monotonic());
}

/* The rig is there and its scripts are loaded. */
static int run_over_captures(struct rerun *rerun, struct rig *rig, struct error *err) {
    const struct rerun_options *options = rerun->options;
    double begun = seconds_now();
    rerun->now = alert_list_new();
    if (!rerun->now) return error_set(err, "out of memory");
    rerun->short_of_memory = false;
    int outcome = rig_captures(rig, options->captures, options->capture_count, go_on, err);
    bool whole = outcome == 0 && !rerun->saved && !is_over(rerun);
    if (whole) rig_finish(rig);
    if (whole) {
        tell(rerun, worker_scripts(rig_worker(rig)), seconds_now() - begun);
        alert_list_free(rerun->before);
        rerun->before = rerun->now;
    } else {
        alert_list_free(rerun->now);
    }
    rerun->now = NULL;
    return outcome;
}

static int run_once(struct rerun *rerun, struct error *err) {
    struct rig_options rig_options = rerun->options->rig;
    rig_options.context = rerun;
    rig_options.on_alert = on_alert;
    rerun->saved = false;
    struct rig *rig = rig_new(&rig_options, err);
    if (!rig) return -1;
    watch_again(rerun, rig);
    int outcome = 0;
    if (script_host_failed(worker_scripts(rig_worker(rig))) == 0)
        outcome = run_over_captures(rerun, rig, err);
    else
        tell_not_run(rerun, "not run: what is said above must load first");
    rig_free(rig);
    return outcome;
}

static void close_handle(uv_handle_t *handle, void *context) {
    (void)context;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

static int rerun_open(struct rerun *rerun, struct error *err) {
    int failure = uv_loop_init(&rerun->loop);
    if (failure) return error_set(err, "cannot watch files: %s", uv_strerror(failure));
    uv_timer_init(&rerun->loop, &rerun->stop_poll);
    rerun->stop_poll.data = rerun;
    uv_timer_start(&rerun->stop_poll, on_stop_poll, STOP_POLL, STOP_POLL);
    rerun->watch = watch_new(&rerun->loop, on_saved, rerun, err);
    return rerun->watch ? 0 : -1;
}

static void rerun_close(struct rerun *rerun) {
    if (rerun->watch) watch_close(rerun->watch);
    uv_walk(&rerun->loop, close_handle, NULL);
    uv_run(&rerun->loop, UV_RUN_DEFAULT);
    uv_loop_close(&rerun->loop);
    alert_list_free(rerun->before);
}

int rerun_watch(const struct rerun_options *options, struct error *err) {
    struct rerun rerun = {.options = options};
    if (rerun_open(&rerun, err) < 0) return -1;
    int outcome = run_once(&rerun, err);
    while (outcome == 0 && !is_over(&rerun)) {
        while (!rerun.saved && !is_over(&rerun)) uv_run(&rerun.loop, UV_RUN_ONCE);
        if (is_over(&rerun)) break;
        struct error why = {.text = ""};
        if (run_once(&rerun, &why) < 0) tell_not_run(&rerun, why.text);
    }
    rerun_close(&rerun);
    return outcome;
}
