/* Objects of lunette.series and lunette.sketch in named state: they outlive a reload and the disk, and a
 * script gets no hold of what is behind them. */
#include "base/log.h"
#include "script/reload.h"
#include "script_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static struct bench bench;

static int begin(void **state) {
    (void)state;
    bench_begin(&bench);
    return 0;
}

static int end(void **state) {
    (void)state;
    bench_end(&bench);
    return 0;
}

/* One of each in a table, and one that the body holds on to; says at each event what they know. */
static const char keeper[] =
    "local lunette = require 'lunette'\n"
    "local series, sketch = require 'lunette.series', require 'lunette.sketch'\n"
    "local of = lunette.state('of', { max = 50 })\n"
    "local all = series.moments()\n"
    "local settings = lunette.tunables { a = 1 }\n"
    "lunette.state('own', { max = 1 }):set('all', all)\n"
    "lunette.on('dns', function(e)\n"
    "  local o = of:get(e.client_ip)\n"
    "  if not o then\n"
    "    o = { ring = series.ring(4), hist = series.histogram { from = 1, to = 2000, buckets = 9, log = true "
    "},\n"
    "          seen = sketch.distinct(8), most = sketch.heavy(3) }\n"
    "    o.same, o.settings = o.ring, settings\n"
    "    of:set(e.client_ip, o)\n"
    "  end\n"
    "  o.ring:add(e.time); o.hist:add(e.time); o.seen:add(e.rrname); o.most:add(e.rrname, 2); "
    "all:add(e.time)\n"
    "  local top = o.most:top(1)[1]\n"
    "  lunette.alert { title = 'x', why = table.concat({ o.same:count(), o.ring:within(e.time, 3),\n"
    "    table.concat(o.hist:counts(), ','), o.hist:quantile(0.5), o.seen:count(), top.value, top.count, "
    "top.error,\n"
    "    all:count(), all:mean(), all:variance() or 0, tostring(o.same == o.ring), o.settings.a,\n"
    "    tostring(pcall(function() return o.settings.b end)) }, ' ') }\n"
    "end)\n";

static void start(uint32_t limit) {
    struct error err = {.text = ""};
    if (bench_start(&bench, limit, &err) < 0) fail_msg("%s", err.text);
}

static struct script_options options_now(void) {
    return (struct script_options){
        .paths = (const char *const *)bench.paths, .path_count = bench.count, .memory_limit = bench.memory};
}

static void reload(void) {
    struct error err = {.text = ""};
    const struct script_options options = options_now();
    struct script_reload *reload = script_reload_prepare(bench.host, &options, true, &err);
    if (!reload || script_reload_stage(reload, &err) < 0) fail_msg("%s", err.text);
    script_reload_commit(reload);
    assert_int_equal(script_reload_figures(reload)->entries_lost, 0);
    script_reload_free(reload);
}

/* A new host in place of the one at hand, with what that one remembered. False if it does not take it. */
static bool restart(const char *bytes, size_t size, double now) {
    struct error err = {.text = ""};
    const struct script_sink sink = {.context = &bench,
                                     .on_event = bench_on_event,
                                     .on_alert = bench_on_alert,
                                     .on_report = bench_on_report};
    const struct script_options options = options_now();
    script_host_free(bench.host);
    batch_free(bench.batch);
    bench.batch = batch_new(16, &err);
    bench.host = script_host_new(&options, bench.batch, &sink, &err);
    assert_non_null(bench.host);
    bool taken = script_host_restore(bench.host, "keeper", bytes, size, &err) == 0;
    if (!taken) assert_true(strlen(err.text) > 10);
    script_host_start(bench.host, (nanoseconds)(now * 1e9));
    return taken;
}

static void restart_with_all(double now) {
    struct state_blob blob = script_host_save(bench.host, 0);
    assert_non_null(blob.bytes);
    assert_true(restart(blob.bytes, blob.size, now));
    free(blob.bytes);
}

enum { EVENTS = 200 };
enum interruption { NONE, RELOAD, RESTART };

static void run(enum interruption interruption, uint32_t limit) {
    bench_script(&bench, "keeper.lua", keeper);
    start(limit);
    unsigned seed = 3;
    for (int n = 0; n < EVENTS; n++) {
        char name[32];
        snprintf(name, sizeof name, "n%d.test", rand_r(&seed) % (1 + rand_r(&seed) % 40));
        double now = 1000 + n * 0.7;
        bench_dns(&bench, now, rand_r(&seed) % 3, name);
        if (n % 7 != 6) continue;
        script_host_tick(bench.host);
        if (interruption == RELOAD) reload();
        if (interruption == RESTART) restart_with_all(now);
    }
    bench_finish(&bench, 1400);
    assert_int_equal(bench.alerts, EVENTS);
}

static void objects_outlive_reload_and_disk(void **state) {
    (void)state;
    static char expected[BENCH_TEXT];
    run(NONE, 16);
    strcpy(expected, bench.said);
    for (enum interruption how = RELOAD; how <= RESTART; how++) {
        bench_end(&bench);
        bench_begin(&bench);
        run(how, 16);
        assert_string_equal(bench.said, expected);
    }
}

/* The version after does not ask for the modules: the objects are still objects. */
static void classes_are_there_without_being_asked_for(void **state) {
    (void)state;
    bench_script(&bench, "keeper.lua", keeper);
    start(16);
    bench_dns(&bench, 1001, 1, "a.test");
    script_host_tick(bench.host);
    char path[128];
    snprintf(path, sizeof path, "%s/keeper.lua", bench.folder);
    unlink(path);
    bench_file(&bench, "keeper.lua",
               "local lunette = require 'lunette'\nlocal of = lunette.state('of', { max = 50 })\n"
               "lunette.state('own', { max = 1 })\n"
               "lunette.on('dns', function(e)\n"
               "  local o = of:get(e.client_ip)\n  o.ring:add(e.time)\n"
               "  lunette.alert { title = 'x', why = o.ring:count() .. ' ' .. o.seen:count() .. ' ' .. "
               "o.most:top()[1].value }\nend)\n");
    reload();
    bench.length = 0;
    bench_dns(&bench, 1002, 1, "b.test");
    script_host_tick(bench.host);
    assert_string_equal(bench.said, "keeper|x|2|||2 1 a.test|{}|+0\n");
}

/* What the bytes on the disk say of objects is taken or refused; the detector runs either way. */
static void hostile_bytes_do_no_harm(void **state) {
    (void)state;
    enum { FRAME = 32, CHECKSUM_AT = 24 };
    bench_script(&bench, "keeper.lua", keeper);
    start(16);
    for (int n = 0; n < 9; n++) bench_dns(&bench, 1001 + n, 1, n % 2 ? "a.test" : "b.test");
    script_host_tick(bench.host);
    struct state_blob blob = script_host_save(bench.host, 0);
    char *bytes = malloc(blob.size);
    unsigned seed = 7;
    int taken = 0;
    for (int round = 0; round < 600; round++) {
        memcpy(bytes, blob.bytes, blob.size);
        bytes[FRAME + (size_t)rand_r(&seed) % (blob.size - FRAME)] = (char)rand_r(&seed);
        uint64_t checksum = XXH3_64bits(bytes + FRAME, blob.size - FRAME);
        memcpy(bytes + CHECKSUM_AT, &checksum, sizeof checksum);
        taken += restart(bytes, blob.size, 1050);
        for (int n = 0; n < 4; n++) bench_dns(&bench, 1051 + n, 1, n % 2 ? "a.test" : "c.test");
        script_host_tick(bench.host);
        assert_int_equal(script_host_count(bench.host), 1);
    }
    assert_in_range(taken, 50, 599);
    free(bytes);
    free(blob.bytes);
}

/* Each attempt says what came of it. */
static void scripts_cannot_forge_or_open_objects(void **state) {
    (void)state;
    static const char attempts[] =
        "local lunette = require 'lunette'\n"
        "local series, sketch = require 'lunette.series', require 'lunette.sketch'\n"
        "local ring, heavy = series.ring(3), sketch.heavy(3)\n"
        "lunette.on('dns', function(e)\n"
        "  local failures = 0\n"
        "  local function refused(f, ...) if pcall(f, ...) then failures = failures + 1 end end\n"
        "  refused(setmetatable, ring, {})\n"
        "  refused(setmetatable, ring, nil)\n"
        "  refused(ring.add, { values = {}, size = 3, held = 0, newest_at = 0, sorted = true }, 1)\n"
        "  refused(ring.add, heavy, 1)\n"
        "  refused(ring.add, e, 1)\n"
        "  refused(ring.add, 'x', 1)\n"
        "  refused(ring.add)\n"
        "  refused(ring.add, setmetatable({}, { __index = ring, __metatable = false }), 1)\n"
        "  refused(ring.add, ring, 0/0)\n"
        "  refused(ring.add, ring, '1')\n"
        "  for _, n in ipairs { 0/0, -1, 0, 1.5, 1e9, 1/0, '3' } do\n"
        "    refused(series.ring, n)\n"
        "    refused(sketch.heavy, n)\n"
        "    refused(sketch.distinct, n)\n"
        "    refused(series.histogram, { from = 1, to = 2, buckets = n })\n"
        "    refused(heavy.add, heavy, 'x', type(n) == 'number' and n >= 0 and n < 1/0 and -1 - n or n)\n"
        "  end\n"
        "  refused(heavy.add, heavy, {})\n"
        "  refused(heavy.add, heavy, 0/0)\n"
        "  refused(series.histogram, {})\n"
        "  refused(series.histogram, { 3, 2 })\n"
        "  refused(series.histogram, { 1, 0/0 })\n"
        "  refused(series.histogram, { from = 2, to = 1, buckets = 3 })\n"
        "  refused(series.histogram, { from = 0, to = 1, buckets = 3, log = true })\n"
        "  refused(sketch.distinct(8).merge, sketch.distinct(8), sketch.distinct(9))\n"
        "  for _, field in ipairs { '__index', '__metatable', 'meta', 'make' } do\n"
        "    if ring[field] ~= nil then failures = failures + 1 end\n"
        "  end\n"
        /* what is broken by its owner raises errors, and reaches nothing */
        "  local broken = series.ring(3)\n"
        "  broken.values, broken.held = 7, 1e300\n"
        "  refused(broken.at, broken, 5)\n"
        "  local sketchy = sketch.distinct(8)\n"
        "  sketchy.words, sketchy.bits = 'x', 4e9\n"
        "  pcall(sketchy.add, sketchy, 'y')\n"
        "  refused(require, 'lunette.bigrams')\n"
        "  refused(require, 'lunette.punycode')\n"
        "  refused(require, 'lunette.boot')\n"
        "  refused(require, 'lunette.helpers')\n"
        "  lunette.alert { title = 'failures', why = '' .. failures }\n"
        "end)\n";
    bench_script(&bench, "attempts.lua", attempts);
    start(16);
    bench_dns(&bench, 1001, 1, "a.test");
    script_host_tick(bench.host);
    assert_string_equal(bench.said, "attempts|failures|2|||0|{}|+0\n");
}

int main(void) {
    log_set_level(LOG_ERROR); /* hostile bytes make many a handler fail */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(objects_outlive_reload_and_disk, begin, end),
        cmocka_unit_test_setup_teardown(classes_are_there_without_being_asked_for, begin, end),
        cmocka_unit_test_setup_teardown(hostile_bytes_do_no_harm, begin, end),
        cmocka_unit_test_setup_teardown(scripts_cannot_forge_or_open_objects, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
