/* Gathering over workers: the same results for any number of workers and any size of batches; who is behind
 * is waited for; bounds, mistakes, reload and saved state. Workers are script hosts without a network, whose
 * events are put into their batches by hand. */
#include "base/log.h"
#include "script/reload.h"
#include "script_bench.h"
#include "sensor/gather.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define LUNETTE "local lunette = require 'lunette'\n"

enum { MOST = 4, HOSTS = 8 };

struct worker {
    struct fleet *fleet;
    uint32_t index;
    struct batch *batch;
    struct script_host *host;
};

struct fleet {
    uint32_t count;
    struct gather *gather;
    struct worker workers[MOST];
};

static struct bench bench; /* for its files and what is said */
static struct fleet fleet;

static int begin(void **state) {
    (void)state;
    bench_begin(&bench);
    memset(&fleet, 0, sizeof fleet);
    return 0;
}

static void fleet_end(void) {
    for (uint32_t i = 0; i < fleet.count; i++) {
        script_host_free(fleet.workers[i].host);
        batch_free(fleet.workers[i].batch);
    }
    gather_free(fleet.gather);
    memset(&fleet, 0, sizeof fleet);
}

static int end(void **state) {
    (void)state;
    fleet_end();
    bench_end(&bench);
    return 0;
}

static void on_handled(void *context, nanoseconds clock, struct bag *bag) {
    struct worker *worker = context;
    gather_take(worker->fleet->gather, worker->index, clock, bag);
}

static bool is_heard(void *context) {
    return gather_hears(((struct worker *)context)->fleet->gather);
}

static void on_drained(void *context, nanoseconds clock) {
    struct worker *worker = context;
    (void)clock;
    gather_pause(worker->fleet->gather, worker->index);
}

static void on_event(void *context, enum event_kind kind, const void *event, const struct batch *batch) {
    (void)context, (void)kind, (void)event, (void)batch;
}

static void on_worker_alert(void *context, const struct alert *alert) {
    (void)context;
    bench_say(&bench, "worker: %s\n", alert->title);
}

static void on_worker_report(void *context, const struct report *report) {
    (void)context, (void)report;
}

static void on_alert(void *context, const struct alert *alert) {
    (void)context;
    bench_on_alert(&bench, alert);
}

static void on_report(void *context, const struct report *report) {
    (void)context;
    bench_on_report(&bench, report);
}

static struct script_options options_now(void) {
    return (struct script_options){
        .paths = (const char *const *)bench.paths, .path_count = bench.count, .memory_limit = bench.memory};
}

/* Loads the scripts into so many workers and what gathers; nobody has started. */
static void fleet_open(uint32_t count, uint32_t limit, bool live) {
    struct error err = {.text = ""};
    const struct gather_options gather = {
        .workers = count, .live = live, .on_alert = on_alert, .on_report = on_report};
    const struct script_options options = options_now();
    fleet.gather = gather_new(&gather, &err);
    assert_non_null(fleet.gather);
    for (; fleet.count < count; fleet.count++) {
        struct worker *worker = &fleet.workers[fleet.count];
        *worker = (struct worker){.fleet = &fleet, .index = fleet.count, .batch = batch_new(limit, &err)};
        const struct script_sink sink = {.context = worker,
                                         .on_event = on_event,
                                         .on_alert = on_worker_alert,
                                         .on_report = on_worker_report,
                                         .on_handled = on_handled,
                                         .is_heard = is_heard,
                                         .on_drained = on_drained};
        worker->host = script_host_new(&options, worker->batch, &sink, &err);
        if (!worker->host) fail_msg("%s", err.text);
    }
    if (gather_employ(fleet.gather, fleet.workers[0].host, &err) < 0) fail_msg("%s", err.text);
}

static void worker_begin(struct worker *worker, double seconds) {
    nanoseconds clock = (nanoseconds)(seconds * 1e9);
    script_host_start(worker->host, clock);
    gather_start(fleet.gather, worker->index, clock);
}

static void fleet_start(uint32_t count, uint32_t limit) {
    fleet_open(count, limit, false);
    for (uint32_t i = 0; i < count; i++) worker_begin(&fleet.workers[i], 1000);
}

static void worker_end(struct worker *worker, double seconds) {
    script_host_finish(worker->host, (nanoseconds)(seconds * 1e9));
    gather_finish(fleet.gather, worker->index, (nanoseconds)(seconds * 1e9));
}

static void fleet_finish(double seconds) {
    for (uint32_t i = 0; i < fleet.count; i++) worker_end(&fleet.workers[i], seconds);
}

/* A query of 192.168.0.`host`, seen by whoever has that host; the others see the time pass. */
static void query(double seconds, int host, const char *name) {
    struct worker *worker = &fleet.workers[(uint32_t)host % fleet.count];
    struct bench borrowed = {.batch = worker->batch};
    for (uint32_t i = 0; i < fleet.count; i++) fleet.workers[i].batch->clock = (nanoseconds)(seconds * 1e9);
    bench_dns(&borrowed, seconds, host, name);
}

static void tick(uint32_t worker, double seconds) {
    fleet.workers[worker].batch->clock = (nanoseconds)(seconds * 1e9);
    script_host_tick(fleet.workers[worker].host);
}

static void said(const char *expected) {
    if (strcmp(bench.said, expected) != 0) fail_msg("said:\n%s\nexpected:\n%s", bench.said, expected);
}

static void forget(void) {
    bench.length = 0;
    bench.said[0] = '\0';
}

/* ------------------------------------------------------------------- the order */

/* What comes in, in order, as one long report of alerts. */
static const char echo[] =
    LUNETTE "lunette.on('dns', function(e)\n"
            "    lunette.send(e.rrname, e.client_ip)\n"
            "    if e.rrname == 'twice' then lunette.send('b', 2) lunette.send('a', 1) end\n"
            "end)\n"
            "lunette.every(10, function(now) lunette.send('tick', { 'z', now = now }) end)\n"
            "lunette.on_end(function() lunette.send('end', true) end)\n"
            "lunette.gather(function()\n"
            "    lunette.receive(function(key, value, time)\n"
            "        if type(value) == 'table' then value = value[1] .. value.now end\n"
            "        lunette.alert { title = key, who = tostring(value), why = tostring(time) }\n"
            "    end)\n"
            "    lunette.every(7, function(now) lunette.alert { title = 'timer', why = tostring(now) } end)\n"
            "    lunette.on_end(function(now) lunette.alert { title = 'over', why = tostring(now) } end)\n"
            "end)\n";

/* Random traffic in which many things happen at the same time. What timers of workers send is told once for
 * each worker: the test asks for what hosts do. */
static void play(uint32_t seed) {
    double now = 1000;
    for (int i = 0; i < 400; i++) {
        seed = seed * 1664525u + 1013904223u;
        int host = (int)(seed >> 24) % HOSTS;
        if ((seed >> 16) % 4 == 0) now += 0.25 * ((seed >> 12) % 8);
        char name[16];
        snprintf(name, sizeof name, "n%u", (seed >> 8) % 50);
        query(now, host, (seed >> 5) % 16 == 0 ? "twice" : name);
        if ((seed >> 3) % 8 == 0) /* somebody runs ahead, or lags behind */
            script_host_tick(fleet.workers[(seed >> 20) % fleet.count].host);
    }
    fleet_finish(now + 1);
}

/* Lines without what each worker says once: its ticks and its end. */
static void without_workers_own(char *out, size_t size) {
    size_t used = 0;
    out[0] = '\0';
    for (char *line = strtok(bench.said, "\n"); line; line = strtok(NULL, "\n"))
        if (strncmp(line, "echo|tick|", 10) != 0 && strncmp(line, "echo|end|", 9) != 0)
            used += (size_t)snprintf(out + used, size - used, "%s\n", line);
}

static void any_number_of_workers_and_any_batch(void **state) {
    (void)state;
    static char first[BENCH_TEXT], other[BENCH_TEXT];
    static const uint32_t limits[] = {1, 7, 1024};
    bench_script(&bench, "echo.lua", echo);
    for (uint32_t seed = 1; seed <= 6; seed++) {
        first[0] = '\0';
        for (uint32_t count = 1; count <= MOST; count++)
            for (size_t l = 0; l < 3; l++) {
                fleet_start(count, limits[l]);
                play(seed);
                fleet_end();
                char *to = first[0] ? other : first;
                without_workers_own(to, BENCH_TEXT);
                forget();
                if (to == other && strcmp(first, other) != 0)
                    fail_msg("seed %u, %u workers, batches of %u:\n%s\ninstead of\n%s", seed, count,
                             limits[l], other, first);
            }
        assert_true(strlen(first) > 10000);
        assert_non_null(strstr(first, "echo|timer|"));
    }
}

static void what_one_handler_sends_stays_in_order(void **state) {
    (void)state;
    bench_script(&bench, "echo.lua", echo);
    fleet_start(2, 1);
    query(1001, 3, "twice");
    query(1001, 2, "twice");
    fleet_finish(1002);
    said("echo|twice|2|192.168.0.2||1001|{}|+0\necho|b|2|2||1001|{}|+0\necho|a|2|1||1001|{}|+0\n"
         "echo|twice|2|192.168.0.3||1001|{}|+0\necho|b|2|2||1001|{}|+0\necho|a|2|1||1001|{}|+0\n"
         "echo|end|2|true||1002|{}|+0\necho|end|2|true||1002|{}|+0\necho|over|2|||1002|{}|+0\n");
}

static void timers_send_in_the_order_of_what_they_say(void **state) {
    (void)state;
    bench_script(
        &bench, "own.lua",
        LUNETTE "local own = lunette.state('own', { max = 100 })\n"
                "lunette.on('dns', function(e) own:set(e.rrname, true) end)\n"
                "lunette.every(10, function()\n"
                "    for name in own:each() do lunette.send('name', { n = name, a = 1, b = { 2, 3 } }) end\n"
                "end)\n"
                "lunette.gather(function()\n"
                "    lunette.receive(function(_, v) lunette.alert { title = v.n, who = v.b[2] .. v.a } end)\n"
                "end)\n");
    static const char *const names[] = {"d", "a", "c", "b"};
    for (uint32_t count = 1; count <= 4; count++) {
        fleet_start(count, 1);
        for (int i = 0; i < 4; i++) query(1001 + i, i, names[i]);
        fleet_finish(1012);
        said("own|a|2|31|||{}|+0\nown|b|2|31|||{}|+0\nown|c|2|31|||{}|+0\nown|d|2|31|||{}|+0\n");
        fleet_end();
        forget();
    }
}

/* ------------------------------------------------------------- who is waited for */

static void nobody_is_ahead_of_the_slowest(void **state) {
    (void)state;
    bench_script(&bench, "echo.lua", echo);
    fleet_open(3, 1, false);
    worker_begin(&fleet.workers[0], 1000);
    worker_begin(&fleet.workers[1], 1000);
    query(1003, 1, "late");
    query(1002, 0, "early"); /* its worker's clock is older: nothing here runs backwards but the test */
    said("");                /* the third has not begun */
    worker_begin(&fleet.workers[2], 1000.5);
    said("");
    tick(2, 1002); /* there may be more at this very time */
    said("");
    tick(2, 1005);
    tick(0, 1002.5);
    said("echo|early|2|192.168.0.0||1002|{}|+0\n");
    worker_end(&fleet.workers[0], 1004); /* one that is done is not waited for; its last words are of 1004 */
    said("echo|early|2|192.168.0.0||1002|{}|+0\n");
    tick(1, 1003.5);
    said("echo|early|2|192.168.0.0||1002|{}|+0\necho|late|2|192.168.0.1||1003|{}|+0\n");
    forget();
    worker_end(&fleet.workers[1], 1005);
    worker_end(&fleet.workers[2], 1005);
    said("echo|end|2|true||1004|{}|+0\necho|end|2|true||1005|{}|+0\necho|end|2|true||1005|{}|+0\n"
         "echo|over|2|||1005|{}|+0\n");
}

static void timers_run_on_the_clock_of_all(void **state) {
    (void)state;
    bench_script(&bench, "echo.lua", echo);
    fleet_open(2, 1, false);
    worker_begin(&fleet.workers[0], 1000);
    worker_begin(&fleet.workers[1], 1003);
    tick(0, 1020);
    said(""); /* the other one is at 1003 */
    query(1014, 1, "same time");
    tick(0, 1020);
    said("echo|timer|2|||1007|{}|+0\necho|tick|2|z1010||1010|{}|+0\necho|tick|2|z1013||1013|{}|+0\n"
         "echo|timer|2|||1014|{}|+0\n"); /* the earliest start counts */
    forget();
    tick(1, 1015);
    said("echo|same time|2|192.168.0.1||1014|{}|+0\n"); /* timers come first */
}

static void a_hole_is_not_filled_with_timers(void **state) {
    (void)state;
    bench_script(&bench, "hole.lua",
                 LUNETTE "lunette.on('dns', function(e) lunette.send(e.rrname) end)\n"
                         "lunette.gather(function()\n"
                         "    local n = 0\n"
                         "    lunette.every(1, function() n = n + 1 end)\n"
                         "    lunette.receive(function(key, value)\n"
                         "        assert(value == nil)\n"
                         "        lunette.alert { title = key, who = tostring(n) }\n"
                         "    end)\n"
                         "end)\n");
    for (uint32_t count = 1; count <= 3; count++) {
        fleet_start(count, 1);
        query(1010.5, 0, "before");
        for (uint32_t i = 0; i < count; i++) {
            nanoseconds from = 1010500000000, to = 2000000000000000;
            fleet.workers[i].batch->clock = from;
            script_host_hole(fleet.workers[i].host, from, to);
            gather_hole(fleet.gather, i, from, to);
        }
        query(2000000, 1, "after");
        fleet_finish(2000001);
        assert_non_null(strstr(bench.said, "hole|before|2|10|"));
        assert_non_null(
            strstr(bench.said, "hole|after|2|101")); /* a thousand into the hole, one at its end */
        fleet_end();
        forget();
    }
}

/* ----------------------------------------------------------- values and mistakes */

static void values_arrive_as_they_were(void **state) {
    (void)state;
    bench_script(
        &bench, "values.lua",
        LUNETTE
        "lunette.on('dns', function()\n"
        "    local twice = { 1, 2 }\n"
        "    lunette.send('s', 'text\\0with a zero') lunette.send('', '') lunette.send(-0.5, 1e300)\n"
        "    lunette.send('t', true) lunette.send('f', false) lunette.send('nil') lunette.send('n', 0/0)\n"
        "    lunette.send(3, { twice, twice, deep = { { { x = 'y' } } }, [true] = false, [1.5] = 2 })\n"
        "end)\n"
        "lunette.gather(function()\n"
        "    local n, want = 0, { 's', '', -0.5, 't', 'f', 'nil', 'n', 3 }\n"
        "    local values = { 'text\\0with a zero', '', 1e300, true, false }\n"
        "    lunette.receive(function(key, value, time)\n"
        "        n = n + 1\n"
        "        assert(key == want[n], tostring(key))\n"
        "        if n < 6 then assert(value == values[n], tostring(value)) end\n"
        "        if n == 6 then assert(value == nil) end\n"
        "        if n == 7 then assert(value ~= value) end\n"
        "        if n == 8 then\n"
        "            assert(value[1][2] == 2 and value[2][1] == 1 and value.deep[1][1].x == 'y')\n"
        "            assert(value[true] == false and value[1.5] == 2 and time == lunette.now())\n"
        "            lunette.alert { title = 'all' }\n"
        "        end\n"
        "    end)\n"
        "end)\n");
    fleet_start(1, 1);
    query(1001, 0, "go");
    fleet_finish(1002);
    said("values|all|2||||{}|+0\n");
}

static void what_cannot_be_sent_is_refused(void **state) {
    (void)state;
    bench_script(
        &bench, "wrong.lua",
        LUNETTE
        "local circle = {} circle[1] = circle\n"
        "local deep = {} do local at = deep for _ = 1, 100 do at[1] = {} at = at[1] end end\n"
        "local function wrong(pattern, ...)\n"
        "    local ok, why = pcall(lunette.send, ...)\n"
        "    if ok or not why:find(pattern) then lunette.alert { title = tostring(why) } end\n"
        "end\n"
        "wrong('nothing has happened yet', 'a')\n"
        "lunette.on('dns', function(e)\n"
        "    wrong('key must be', nil) wrong('key must be', {}) wrong('NaN', 0/0) wrong('key must be', "
        "true)\n"
        "    wrong('value must be.*function', 1, print) wrong('value must be.*cdata', 1, e)\n"
        "    wrong('or itself', 1, circle) wrong('or itself', 1, deep) wrong('or itself', 1, { print })\n"
        "    wrong('or itself', 1, setmetatable({}, {})) wrong('or itself', 1, { [{}] = 1 })\n"
        "    wrong('64 KiB', 1, ('x'):rep(65537)) wrong('64 KiB', ('x'):rep(65530), 'yyyyyyy')\n"
        "    wrong('64 KiB', 1, { ('x'):rep(65537) })\n"
        "    lunette.send('fine', ('x'):rep(65532))\n"
        "end)\n"
        "lunette.gather(function()\n"
        "    lunette.receive(function(key, value)\n"
        "        lunette.alert { title = key, who = tostring(#value) }\n"
        "        local ok, why = pcall(lunette.send, 1, 1)\n"
        "        assert(not ok and why:find('where messages are gathered'), why)\n"
        "        assert(not pcall(lunette.receive, print) and not pcall(lunette.gather, print))\n"
        "    end)\n"
        "end)\n");
    fleet_start(1, 1);
    query(1001, 0, "go");
    fleet_finish(1002);
    said("wrong|fine|2|65532|||{}|+0\n");
}

static char logged[4096];

static void log_sink(void *context, enum log_level level, const char *text) {
    (void)context, (void)level;
    snprintf(logged, sizeof logged, "%s", text);
}

static void loads_with(const char *text, const char *complaint) {
    struct error err = {.text = ""};
    bench.count = 0;
    bench_script(&bench, "wrong.lua", text);
    struct batch *batch = batch_new(1, &err);
    struct batch *other = batch_new(1, &err);
    const struct script_sink sink = {.on_event = on_event, .on_alert = on_worker_alert};
    struct script_options options = options_now();
    struct script_host *host = script_host_new(&options, batch, &sink, &err);
    assert_non_null(host);
    struct script_host *gathering = script_host_new_gathering(host, other, &sink, &err);
    assert_non_null(gathering);
    uint32_t failed = script_host_failed(host) + script_host_failed(gathering);
    if (failed != (complaint ? 1 : 0)) fail_msg("%u failed: %s", failed, text);
    if (complaint && !strstr(logged, complaint)) fail_msg("%s: %s", text, logged);
    script_host_free(gathering);
    script_host_free(host);
    batch_free(batch);
    batch_free(other);
}

static void declarations(void **state) {
    (void)state;
    log_divert(log_sink, NULL);
    loads_with(LUNETTE "lunette.gather(function() end)", NULL);
    loads_with(LUNETTE "lunette.gather(3)", "a function is expected");
    loads_with(LUNETTE "lunette.gather(print) lunette.gather(print)", "the second");
    loads_with(LUNETTE "lunette.receive(print)", "in the function");
    loads_with(LUNETTE "lunette.gather(function() lunette.receive(3) end)", "a function is expected");
    loads_with(LUNETTE "lunette.gather(function() lunette.receive(print) lunette.receive(print) end)",
               "second");
    loads_with(LUNETTE "lunette.gather(function() lunette.on('dns', print) end)", "no events come");
    loads_with(LUNETTE "lunette.gather(function() error('on purpose') end)", "on purpose");
    loads_with(LUNETTE "lunette.gather(function() lunette.send(1) end)", "where messages");
    log_divert(NULL, NULL);
}

/* The body runs in both stages; what it asks for is a worker's only. */
static void the_body_is_idle_where_messages_are_gathered(void **state) {
    (void)state;
    bench_script(
        &bench, "body.lua",
        LUNETTE
        "local both = lunette.state('both', { max = 10 })\n"
        "lunette.on('dns', { type = 'query' }, function(e) both:set(1, 'worker') lunette.send(1) end)\n"
        "lunette.every(1, function() if both:get(1) ~= 'worker' then error('a timer of the body') end end)\n"
        "lunette.after(0.5, function() both:set(1, 'worker') end)\n"
        "lunette.on_end(function() lunette.alert { title = tostring(both:get(1)) } end)\n"
        "lunette.gather(function()\n"
        "    lunette.after(2, function() both:set(1, 'gatherer') end)\n"
        "    lunette.receive(function() assert(both:get(1) == nil) both:set(1, 'message') end)\n"
        "    lunette.on_end(function() lunette.alert { title = both:get(1) } end)\n"
        "end)\n");
    fleet_start(1, 1);
    query(1001, 0, "go");
    fleet_finish(1010);
    said("worker: worker\nbody|gatherer|2||||{}|+0\n");
}

static void a_failing_receiver_is_switched_off(void **state) {
    (void)state;
    struct gather_detector status;
    bench_script(&bench, "fails.lua",
                 LUNETTE "lunette.on('dns', function(e) lunette.send(e.rrname) end)\n"
                         "lunette.gather(function() lunette.receive(function(key) error(key) end) end)\n");
    bench_script(&bench, "works.lua",
                 LUNETTE "lunette.on('dns', function(e) lunette.send(e.rrname) end)\n"
                         "lunette.gather(function()\n"
                         "    local n = 0\n"
                         "    lunette.receive(function() n = n + 1 end)\n"
                         "    lunette.on_end(function() lunette.alert { title = tostring(n) } end)\n"
                         "end)\n");
    fleet_start(2, 7);
    for (int i = 0; i < 50; i++) query(1001 + i, i, "x");
    fleet_finish(1100);
    said("works|50|2||||{}|+0\n");
    assert_int_equal(gather_detectors(fleet.gather, &status, 1), 2);
    assert_string_equal(status.name, "fails");
    assert_true(status.status.off);
    assert_int_equal(status.status.errors, 20);
    assert_non_null(strstr(status.status.last_error, "fails.lua:3: x"));
    assert_int_equal(gather_figures(fleet.gather).messages, 100);
}

static void memory_has_its_bound(void **state) {
    (void)state;
    struct gather_detector status;
    bench.memory = 8 << 20;
    bench_script(&bench, "greedy.lua",
                 LUNETTE "lunette.on('dns', function(e) lunette.send(1, ('x'):rep(60000)) end)\n"
                         "lunette.gather(function()\n"
                         "    local all, n = {}, 0\n"
                         "    lunette.receive(function(_, text) n = n + 1 all[n] = text .. n end)\n"
                         "end)\n");
    fleet_start(1, 1);
    for (int i = 0; i < 300; i++) query(1001 + i, 1, "x");
    fleet_finish(1400);
    gather_detectors(fleet.gather, &status, 1);
    assert_true(status.status.off);
    assert_non_null(strstr(status.status.last_error, "not enough memory"));
}

/* Live: the other worker stands still, and messages pile up. */
static void what_finds_no_room_is_lost_and_counted(void **state) {
    (void)state;
    bench_script(&bench, "many.lua",
                 LUNETTE "lunette.on('dns', function() lunette.send(1, ('x'):rep(60000)) end)\n"
                         "lunette.gather(function()\n"
                         "    local n = 0\n"
                         "    lunette.receive(function() n = n + 1 end)\n"
                         "    lunette.on_end(function() lunette.alert { title = tostring(n) } end)\n"
                         "end)\n");
    fleet_open(2, 1, true);
    for (uint32_t i = 0; i < 2; i++) worker_begin(&fleet.workers[i], 1000);
    enum { SENT = 1500 };
    for (int i = 0; i < SENT; i++) query(1001 + i, 1, "x");
    uint64_t lost = gather_figures(fleet.gather).lost;
    assert_in_range(lost, 300, SENT - 1000);
    fleet_finish(4000);
    char title[32];
    snprintf(title, sizeof title, "many|%llu|", (unsigned long long)(SENT - lost));
    assert_non_null(strstr(bench.said, title));
    assert_int_equal(gather_figures(fleet.gather).messages, SENT - lost);
}

/* ----------------------------------------------------------------------- threads */

enum { EACH = 2000 };

static void *thread_main(void *context) {
    struct worker *worker = context;
    struct bench borrowed = {.batch = worker->batch};
    for (int i = 0; i < EACH; i++) bench_dns(&borrowed, 1001 + i / 4, (int)worker->index, "x");
    worker_end(worker, 1001 + EACH);
    return NULL;
}

/* More than a worker may be ahead: in replay they wait, and nothing is lost. */
static void workers_wait_for_each_other(void **state) {
    (void)state;
    pthread_t threads[MOST];
    bench_script(&bench, "count.lua",
                 LUNETTE
                 "lunette.on('dns', function() lunette.send(1, ('x'):rep(30000)) end)\n"
                 "lunette.gather(function()\n"
                 "    local n, last = 0, 0\n"
                 "    lunette.receive(function(_, _, time) assert(time >= last) last, n = time, n + 1 end)\n"
                 "    lunette.on_end(function() lunette.alert { title = tostring(n) } end)\n"
                 "end)\n");
    fleet_start(MOST, 16);
    for (uint32_t i = 0; i < MOST; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &fleet.workers[i]), 0);
    for (uint32_t i = 0; i < MOST; i++) pthread_join(threads[i], NULL);
    said("count|8000|2||||{}|+0\n");
    assert_int_equal(gather_figures(fleet.gather).lost, 0);
}

/* ------------------------------------------------------------ reload, saved state */

#define COUNTER(what)                                                                                        \
    LUNETTE                                                                                                  \
    "lunette.on('dns', function(e) lunette.send(e.rrname) end)\n"                                            \
    "lunette.gather(function()\n"                                                                            \
    "    local seen = lunette.state('seen', { max = 100 })\n"                                                \
    "    lunette.every(100, function(now) lunette.alert { title = 'timer', who = tostring(now) } end)\n"     \
    "    lunette.receive(function(name)\n"                                                                   \
    "        seen:set(name, (seen:get(name) or 0) + 1)\n"                                                    \
    "        lunette.alert { title = '" what "', who = name .. seen:get(name) }\n"                           \
    "    end)\n"                                                                                             \
    "end)\n"

/* All workers and the part that gathers, as the live sensor does it. Returns how many entries were kept
 * there. */
static uint64_t reload_all(void) {
    const struct script_options options = options_now();
    struct script_reload *reloads[MOST];
    struct error err = {.text = ""};
    for (uint32_t i = 0; i < fleet.count; i++) {
        reloads[i] = script_reload_prepare(fleet.workers[i].host, &options, false, &err);
        assert_non_null(reloads[i]);
    }
    assert_int_equal(gather_hold(fleet.gather, 1), 0);
    struct script_reload *gathering =
        script_reload_prepare_gathering(gather_scripts(fleet.gather), reloads[0], false, &err);
    assert_non_null(gathering);
    for (uint32_t i = 0; i < fleet.count; i++) assert_int_equal(script_reload_stage(reloads[i], &err), 0);
    assert_int_equal(script_reload_stage(gathering, &err), 0);
    script_reload_commit(gathering);
    gather_release(fleet.gather);
    uint64_t kept = script_reload_figures(gathering)->entries_kept;
    for (uint32_t i = 0; i < fleet.count; i++) script_reload_commit(reloads[i]);
    script_reload_free(gathering);
    for (uint32_t i = 0; i < fleet.count; i++) script_reload_free(reloads[i]);
    return kept;
}

#define NOISE                                                                                                \
    LUNETTE                                                                                                  \
    "lunette.on('dns', function(e)\n"                                                                        \
    "    lunette.alert { title = 'asked', where = e.rrname, key = e.rrname, cooldown = 5 }\n"                \
    "    lunette.send(e.rrname)\n"                                                                           \
    "end)\n"                                                                                                 \
    "lunette.gather(function()\n"                                                                            \
    "    lunette.receive(function(name) lunette.alert { title = 'gathered', where = name } end)\n"           \
    "end)\n"
#define LISTENER(what)                                                                                       \
    LUNETTE                                                                                                  \
    "lunette.gather(function()\n"                                                                            \
    "    local count = lunette.state('count', { max = 10 })\n"                                               \
    "    lunette.receive_alerts(function(a)\n"                                                               \
    "        count:set(a.title, (count:get(a.title) or 0) + 1)\n"                                            \
    "        lunette.alert { title = '" what "', who = a.detector .. ' ' .. a.title, where = a.where,\n"     \
    "            why = count:get(a.title) .. ' at ' .. a.time }\n"                                           \
    "    end)\n"                                                                                             \
    "end)\n"

/* Alerts of a worker and of a part that gathers, the listener's script standing first; those that a cooldown
 * holds back are none. What was raised before a reload, and is heard after it, is not lost. */
static void alerts_are_heard_through_a_reload(void **state) {
    (void)state;
    bench_script(&bench, "a.lua", LISTENER("old"));
    bench_script(&bench, "noise.lua", NOISE);
    fleet_start(2, 1);
    query(1001, 0, "x");
    query(1001, 1, "x"); /* another worker's, with a cooldown of its own */
    query(1002, 0, "x"); /* held back */
    tick(0, 1003);
    said("worker: asked\nworker: asked\n"); /* the other worker has not come so far */
    forget();
    tick(1, 1003);
    said("noise|gathered|2||x||{}|+0\nnoise|gathered|2||x||{}|+0\nnoise|gathered|2||x||{}|+0\n"
         "a|old|2|noise asked|x|1 at 1001|{}|+0\na|old|2|noise asked|x|2 at 1001|{}|+0\n"
         "a|old|2|noise gathered|x|1 at 1001|{}|+0\na|old|2|noise gathered|x|2 at 1001|{}|+0\n"
         "a|old|2|noise gathered|x|3 at 1002|{}|+0\n");
    forget();
    query(1004, 1, "y");
    bench_file(&bench, "a.lua", LISTENER("new"));
    assert_int_equal(reload_all(), 2);
    forget();
    tick(0, 1005);
    tick(1, 1005);
    said("noise|gathered|2||y||{}|+0\n"
         "a|new|2|noise asked|y|3 at 1004|{}|+0\na|new|2|noise gathered|y|4 at 1004|{}|+0\n");
    assert_int_equal(gather_figures(fleet.gather).lost, 0);
}

/* While nobody asks, alerts are no messages. */
static void what_nobody_hears_is_not_made(void **state) {
    (void)state;
    bench_script(&bench, "noise.lua", NOISE);
    fleet_start(2, 1);
    query(1001, 0, "x");
    fleet_finish(1002);
    assert_int_equal(gather_figures(fleet.gather).messages, 1);
    assert_false(gather_hears(fleet.gather));
}

static void reload_hands_state_over(void **state) {
    (void)state;
    struct error err = {.text = ""};
    bench_script(&bench, "first.lua",
                 LUNETTE "lunette.on('dns', function(e) lunette.send(e.rrname) end)\n"
                         "lunette.gather(function() lunette.receive(function() end) end)\n");
    bench_script(&bench, "counter.lua", COUNTER("old"));
    fleet_start(2, 1);
    query(1001, 0, "a");
    query(1002, 1, "a");
    query(1003, 1, "b"); /* waits for the other worker, and for what comes after the reload */
    tick(0, 1002);
    said("counter|old|2|a1|||{}|+0\n");
    forget();

    char path[128];
    snprintf(path, sizeof path, "%s", bench.paths[1]);
    bench_file(&bench, "counter.lua", COUNTER("new"));
    bench.paths[0][0] = '\0'; /* the first script is no more: the others move up */
    const char *only[] = {path};
    const struct script_options options = {.paths = only, .path_count = 1};
    struct script_reload *reloads[2];
    for (int i = 0; i < 2; i++) {
        reloads[i] = script_reload_prepare(fleet.workers[i].host, &options, false, &err);
        assert_non_null(reloads[i]);
    }
    assert_int_equal(gather_hold(fleet.gather, 1), 0);
    struct script_reload *gathering =
        script_reload_prepare_gathering(gather_scripts(fleet.gather), reloads[0], false, &err);
    assert_non_null(gathering);
    assert_false(script_reload_is_empty(gathering));
    for (int i = 0; i < 2; i++) assert_int_equal(script_reload_stage(reloads[i], &err), 0);
    assert_int_equal(script_reload_stage(gathering, &err), 0);
    script_reload_commit(gathering);
    gather_release(fleet.gather);
    for (int i = 0; i < 2; i++) script_reload_commit(reloads[i]);
    assert_int_equal(script_reload_figures(gathering)->entries_kept, 1);
    script_reload_free(gathering);
    for (int i = 0; i < 2; i++) script_reload_free(reloads[i]);

    query(1004, 0, "b");
    tick(0, 1005);
    tick(1, 1005);
    said("counter|new|2|a2|||{}|+0\ncounter|new|2|b1|||{}|+0\ncounter|new|2|b2|||{}|+0\n");
    forget();
    tick(0, 1101);
    tick(1, 1101);
    said("counter|timer|2|1100|||{}|+0\n"); /* it keeps its time */
    assert_int_equal(script_host_count(gather_scripts(fleet.gather)), 1);
}

static void saved_state_is_good_for_any_number_of_workers(void **state) {
    (void)state;
    struct error err = {.text = ""};
    bench_script(&bench, "counter.lua", COUNTER("x"));
    fleet_start(3, 1);
    query(1001, 0, "a");
    query(1002, 1, "a");
    for (uint32_t i = 0; i < 3; i++) tick(i, 1003);
    assert_int_equal(gather_hold(fleet.gather, 1), 0);
    struct state_blob blob = script_host_save(gather_scripts(fleet.gather), 0);
    assert_non_null(blob.bytes);
    gather_release(fleet.gather);
    fleet_end();
    forget();
    fleet_open(1, 1, false);
    assert_int_equal(
        script_host_restore(gather_scripts(fleet.gather), "counter", blob.bytes, blob.size, &err), 0);
    free(blob.bytes);
    worker_begin(&fleet.workers[0], 1010);
    query(1011, 0, "a");
    tick(0, 1012);
    said("counter|x|2|a3|||{}|+0\n");
}

static void whoever_holds_it_is_waited_for(void **state) {
    (void)state;
    bench_script(&bench, "echo.lua", echo);
    fleet_start(1, 1);
    assert_int_equal(gather_hold(fleet.gather, 1), 0);
    assert_int_equal(gather_hold(fleet.gather, 0.01), -1);
    query(1001, 0, "a");
    tick(0, 1002);
    said("");
    gather_release(fleet.gather);
    tick(0, 1003);
    said("echo|a|2|192.168.0.0||1001|{}|+0\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_number_of_workers_and_any_batch, begin, end),
        cmocka_unit_test_setup_teardown(what_one_handler_sends_stays_in_order, begin, end),
        cmocka_unit_test_setup_teardown(timers_send_in_the_order_of_what_they_say, begin, end),
        cmocka_unit_test_setup_teardown(nobody_is_ahead_of_the_slowest, begin, end),
        cmocka_unit_test_setup_teardown(timers_run_on_the_clock_of_all, begin, end),
        cmocka_unit_test_setup_teardown(a_hole_is_not_filled_with_timers, begin, end),
        cmocka_unit_test_setup_teardown(values_arrive_as_they_were, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_be_sent_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(declarations, begin, end),
        cmocka_unit_test_setup_teardown(the_body_is_idle_where_messages_are_gathered, begin, end),
        cmocka_unit_test_setup_teardown(a_failing_receiver_is_switched_off, begin, end),
        cmocka_unit_test_setup_teardown(memory_has_its_bound, begin, end),
        cmocka_unit_test_setup_teardown(what_finds_no_room_is_lost_and_counted, begin, end),
        cmocka_unit_test_setup_teardown(workers_wait_for_each_other, begin, end),
        cmocka_unit_test_setup_teardown(reload_hands_state_over, begin, end),
        cmocka_unit_test_setup_teardown(alerts_are_heard_through_a_reload, begin, end),
        cmocka_unit_test_setup_teardown(what_nobody_hears_is_not_made, begin, end),
        cmocka_unit_test_setup_teardown(saved_state_is_good_for_any_number_of_workers, begin, end),
        cmocka_unit_test_setup_teardown(whoever_holds_it_is_waited_for, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
