/* What an event costs that a script handles: bench_events [EVENTS].
 *
 * Events are put into the batch by hand, so nothing is read, decoded or parsed. The same loop runs with
 * nobody but a sink that wants the events and ignores them; that cost is taken off. What is left is noting
 * the event in the detector's feed, entering Lua once per batch, and the handlers. A figure is the median of
 * five runs, by the number of handlers that each event has: of the event for one, of each handler for more.
 */
#include "figure.h"
#include "script/host.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REPEATS = 5 };

static void ignore_event(void *context, enum event_kind kind, const void *event, const struct batch *batch) {
    (void)context, (void)kind, (void)event, (void)batch;
}
static void ignore_alert(void *context, const struct alert *alert) {
    (void)context, (void)alert;
}
static void ignore_report(void *context, const struct report *report) {
    (void)context, (void)report;
}

static void put_onset(struct batch *batch, uint64_t i) {
    batch->clock += 1000;
    struct event_onset *e = batch_begin(batch, EVENT_onset);
    if (!e) return;
    e->head.time = batch->clock;
    e->head.flow_id = 1 + (i & 1023);
    e->head.flow_slot = 1 + (i & 1023);
    e->head.client_port = (uint16_t)(40000 + (i & 4095));
    e->head.server_port = i & 1 ? 443 : 80;
    e->head.proto = "TCP";
    e->head.client_local = 1;
    e->body.kind = "start";
    e->body.client_payload = i & 511;
    e->body.server_payload = i & 8191;
    e->body.server_name = batch_text(batch, "www.apple.com", 13);
    batch_commit(batch);
}

static char *script_write(const char *text) {
    char *path = strdup("/tmp/lunette-bench-XXXXXX.lua");
    int fd = mkstemps(path, 4);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file) {
        perror("bench_events: a script in /tmp");
        exit(1);
    }
    fputs(text, file);
    fclose(file);
    return path;
}

/* CPU time of `events` events, ns each, in a host of its own; the first quarter warms up and is not counted.
 */
static double run(const char *script, uint64_t events, uint32_t limit) {
    struct error err;
    char *path = script ? script_write(script) : NULL;
    const struct script_sink sink = {.record = {[EVENT_onset] = true},
                                     .on_event = ignore_event,
                                     .on_alert = ignore_alert,
                                     .on_report = ignore_report};
    const struct script_options options = {.paths = (const char *const *)&path, .path_count = path != NULL};
    struct batch *batch = batch_new(limit, &err);
    struct script_host *host = batch ? script_host_new(&options, batch, &sink, &err) : NULL;
    if (!host || script_host_failed(host)) {
        fprintf(stderr, "bench_events: the script was not loaded\n");
        exit(1);
    }
    script_host_start(host, 1000 * NS_PER_SECOND);
    for (uint64_t i = 0; i < events / 4; i++) put_onset(batch, i);
    batch_flush(batch);
    double begun = cpu_now();
    for (uint64_t i = 0; i < events; i++) put_onset(batch, i);
    batch_flush(batch);
    double cost = (cpu_now() - begun) / (double)events;
    script_host_free(host);
    batch_free(batch);
    if (path) unlink(path);
    free(path);
    return cost;
}

/* `count` handlers of the same text, each with variables of its own. */
static double run_handlers(int count, const char *body, uint64_t events, uint32_t limit) {
    static char text[16384];
    int used =
        snprintf(text, sizeof text,
                 "local lunette = require \"lunette\"\n"
                 "lunette.detector { title = \"bench\", category = \"test\" }\n"
                 "local apple = lunette.set.domains { \"apple.com\", \"icloud.com\", \"mzstatic.com\" }\n"
                 "local flows = lunette.flow_state { n = \"u32\", bytes = \"u64\", last = \"time\" }\n");
    for (int i = 0; i < count; i++)
        used += snprintf(text + used, sizeof text - (size_t)used,
                         "do local n, sum = 0, 0\nlunette.on(\"onset\", function(e)\n%s\nend) end\n", body);
    return run(text, events, limit);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values) {
    qsort(values, REPEATS, sizeof *values, compare);
    return values[REPEATS / 2];
}

/* All take turns, so that a busy moment of the machine falls on all of them. */
int main(int argc, char **argv) {
    static const struct {
        const char *name, *body;
    } kinds[] = {
        {"empty", ""},
        {"a field", "if e.server_port == 443 then n = n + 1 end"},
        {"two fields", "if e.server_port == 443 then n = n + 1 end\nsum = sum + e.client_payload"},
        {"a string compared", "if e.server_name == \"www.example.com\" then n = n + 1 end"},
        {"a name in a set", "if apple:has(e, \"server_name\") then n = n + 1 end"},
        {"flow state", "local f = flows:of(e) f.n = f.n + 1"},
        {"flow state, three fields",
         "local f = flows:of(e) f.n, f.last = f.n + 1, e.time f.bytes = f.bytes + e.client_payload"},
    };
    static const int counts[] = {1, 5, 20};
    enum { KINDS = sizeof kinds / sizeof kinds[0], COUNTS = sizeof counts / sizeof counts[0] };
    static double making[REPEATS], costs[KINDS][COUNTS][REPEATS];
    uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        making[repeat] = run(NULL, events, 256);
        for (int k = 0; k < KINDS; k++)
            for (int c = 0; c < COUNTS; c++)
                costs[k][c][repeat] =
                    (run_handlers(counts[c], kinds[k].body, events, 256) - making[repeat]) / counts[c];
    }
    figure("making an event", median(making));
    for (int k = 0; k < KINDS; k++)
        for (int c = 0; c < COUNTS; c++) {
            char name[64];
            snprintf(name, sizeof name, "%s, %d handler%s", kinds[k].name, counts[c],
                     counts[c] > 1 ? "s, each" : "");
            figure(name, median(costs[k][c]));
        }
    return 0;
}
