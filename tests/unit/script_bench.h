/* A script host without a network: scripts are given as text, events are put into the batch by hand, and what
 * comes out is collected as lines of text. For tests of the script room. */
#ifndef LUNETTE_TESTS_SCRIPT_BENCH_H
#define LUNETTE_TESTS_SCRIPT_BENCH_H

#include "script/host.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BENCH_SCRIPTS = 8, BENCH_TEXT = 1 << 20 };

struct bench {
    char folder[64];
    char *paths[BENCH_SCRIPTS];
    size_t count;
    struct setting settings[4];
    size_t setting_count;
    size_t memory;
    nanoseconds time; /* CPU time of an entry, 0: the default */
    bool profile;
    struct batch *batch;
    struct script_host *host;
    char said[BENCH_TEXT];         /* one line per alert and report */
    nanoseconds alerted, reported; /* times of the last alert and report */
    size_t length;
    uint64_t alerts;
};

static inline void bench_on_event(void *context, enum event_kind kind, const void *event,
                                  const struct batch *batch) {
    (void)context, (void)kind, (void)event, (void)batch;
}

/* Adds a line; what does not fit any more is cut off. */
__attribute__((format(printf, 2, 3))) static inline void bench_say(struct bench *bench, const char *format,
                                                                   ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t room = BENCH_TEXT - bench->length;
    size_t length = (size_t)vsnprintf(bench->said + bench->length, room, format, arguments);
    bench->length += length < room ? length : room - 1;
    va_end(arguments);
}

static inline void bench_on_alert(void *context, const struct alert *alert) {
    struct bench *bench = context;
    bench->alerts++;
    bench_say(bench, "%s|%s|%d|%s|%s|%s|%s|+%u\n", alert->detector, alert->title, alert->severity, alert->who,
              alert->where, alert->why, alert->evidence, alert->repeats);
    bench->alerted = alert->time;
}

static inline void bench_on_report(void *context, const struct report *report) {
    struct bench *bench = context;
    bench_say(bench, "report %s: %s %ux%u\n", report->detector, report->title, report->rows, report->columns);
    bench->reported = report->time;
}

static inline void bench_begin(struct bench *bench) {
    memset(bench, 0, sizeof *bench);
    strcpy(bench->folder, "/tmp/lunette-script-XXXXXX");
    if (!mkdtemp(bench->folder)) abort();
}

static inline void bench_file(struct bench *bench, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", bench->folder, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    mkdir(path, 0700);
    *slash = '/';
    FILE *file = fopen(path, "w");
    if (!file) abort();
    fputs(text, file);
    fclose(file);
}

static inline void bench_script(struct bench *bench, const char *name, const char *text) {
    free(bench->paths[bench->count]);
    if (asprintf(&bench->paths[bench->count++], "%s/%s", bench->folder, name) < 0) abort();
    bench_file(bench, name, text);
}

static inline int bench_start(struct bench *bench, uint32_t limit, struct error *err) {
    const struct script_sink sink = {.context = bench,
                                     .on_event = bench_on_event,
                                     .on_alert = bench_on_alert,
                                     .on_report = bench_on_report};
    const struct script_options options = {.paths = (const char *const *)bench->paths,
                                           .path_count = bench->count,
                                           .settings = bench->settings,
                                           .setting_count = bench->setting_count,
                                           .memory_limit = bench->memory,
                                           .time_limit = bench->time,
                                           .profile = bench->profile};
    bench->batch = batch_new(limit, err);
    bench->host = bench->batch ? script_host_new(&options, bench->batch, &sink, err) : NULL;
    if (!bench->host) return -1;
    script_host_start(bench->host, 1000 * NS_PER_SECOND);
    return 0;
}

/* A DNS query for `name` at `seconds`, from 192.168.0.`host`. */
static inline void bench_dns(struct bench *bench, double seconds, int host, const char *name) {
    bench->batch->clock = (nanoseconds)(seconds * 1e9);
    struct event_dns *e = batch_begin(bench->batch, EVENT_dns);
    if (!e) return;
    ip_from_v4(&e->head.client_ip, (const uint8_t[]){192, 168, 0, (uint8_t)host});
    ip_from_v4(&e->head.server_ip, (const uint8_t[]){192, 168, 0, 1});
    e->head.time = bench->batch->clock;
    e->head.client_port = 50000;
    e->head.server_port = 53;
    e->head.proto = "UDP";
    e->head.client_local = 1;
    e->body.type = "query";
    e->body.qtype = 1;
    e->body.rrtype = "A";
    e->body.rrname = batch_string(bench->batch, name);
    struct text_ref items[2] = {batch_string(bench->batch, "10.1.1.1"),
                                batch_string(bench->batch, "10.1.1.2")};
    e->body.a = batch_list(bench->batch, items, 2);
    batch_commit(bench->batch);
}

static inline void bench_ssh(struct bench *bench, double seconds, const char *banner) {
    bench->batch->clock = (nanoseconds)(seconds * 1e9);
    struct event_ssh *e = batch_begin(bench->batch, EVENT_ssh);
    if (!e) return;
    e->head.time = bench->batch->clock;
    e->body.client_banner = batch_string(bench->batch, banner);
    batch_commit(bench->batch);
}

static inline void bench_finish(struct bench *bench, double seconds) {
    script_host_finish(bench->host, (nanoseconds)(seconds * 1e9));
}

static inline void bench_end(struct bench *bench) {
    char command[128];
    script_host_free(bench->host);
    batch_free(bench->batch);
    for (size_t i = 0; i < BENCH_SCRIPTS; i++) free(bench->paths[i]);
    snprintf(command, sizeof command, "rm -rf '%s'", bench->folder);
    if (system(command) != 0) abort();
}

#endif
