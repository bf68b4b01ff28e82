/* What an event costs that a script handles: bench_events [EVENTS].
 *
 * Events are put into the batch by hand, so nothing is read, decoded or parsed. The same loop runs first with
 * nobody but a sink that wants the events and ignores them; that cost is taken off. What is left is noting
 * the event in the detector's feed, entering Lua once per batch, and the handlers. */
#include "figure.h"
#include "script/host.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIVE = 5, TWENTY = 20, REPEATS = 5 };

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

/* CPU time of `events` events, ns each; the least of some repeats, after one that warms up. */
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
    double best = 0;
    script_host_start(host, 1000 * NS_PER_SECOND);
    for (int repeat = 0; repeat <= REPEATS; repeat++) {
        double begun = cpu_now();
        for (uint64_t i = 0; i < events; i++) put_onset(batch, i);
        batch_flush(batch);
        double cost = (cpu_now() - begun) / (double)events;
        if (repeat > 0 && (best == 0 || cost < best)) best = cost;
    }
    script_host_free(host);
    batch_free(batch);
    if (path) unlink(path);
    free(path);
    return best;
}

/* `count` handlers of the same text, which counts in variables of its own. */
static double run_handlers(int count, const char *body, uint64_t events, uint32_t limit) {
    static char text[16384];
    int used =
        snprintf(text, sizeof text,
                 "local lunette = require \"lunette\"\nlunette.detector { title = \"bench\", category = "
                 "\"test\" }\nlocal apple = lunette.set.domains { \"apple.com\" }\n"
                 "local state = lunette.flow_state { n = \"u32\", bytes = \"u64\", last = \"time\" }\n");
    for (int i = 0; i < count; i++)
        used += snprintf(text + used, sizeof text - (size_t)used,
                         "do local n, sum = 0, 0\nlunette.on(\"onset\", function(e)\n%s\nend) end\n", body);
    return run(text, events, limit);
}

int main(int argc, char **argv) {
    static const char two_fields[] =
        "if e.server_port == 443 then n = n + 1 end\nsum = sum + e.client_payload";
    static const char string[] = "if e.server_name == \"www.example.com\" then n = n + 1 end";
    static const char set[] = "if apple:has(e, \"server_name\") then n = n + 1 end";
    static const char flow[] = "local s = state:of(e) s.n = s.n + 1 s.bytes = s.bytes + e.client_payload";
    uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
    double nobody = run(NULL, events, 256);
    figure("making an event", nobody);
    figure("1 handler, two fields", run_handlers(1, two_fields, events, 256) - nobody);
    figure("1 handler, two fields, batch 1024", run_handlers(1, two_fields, events, 1024) - nobody);
    figure("5 handlers, two fields, each", (run_handlers(FIVE, two_fields, events, 256) - nobody) / FIVE);
    figure("20 handlers, two fields, each",
           (run_handlers(TWENTY, two_fields, events, 256) - nobody) / TWENTY);
    figure("1 handler, a string compared", run_handlers(1, string, events, 256) - nobody);
    figure("1 handler, a name looked up in a set", run_handlers(1, set, events, 256) - nobody);
    figure("1 handler, flow state", run_handlers(1, flow, events, 256) - nobody);
    figure("5 handler, flow state", (run_handlers(5, flow, events, 256) - nobody)/5);
    figure("20 handler, flow state", (run_handlers(20, flow, events, 256) - nobody)/20);
    figure("1 handler, empty", run_handlers(1, "", events, 256) - nobody);
    return 0;
}
