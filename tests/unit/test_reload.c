/* Reloading scripts while they run: what they remember goes along, nothing else notices. */
#include "script/reload.h"
#include "script_bench.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#define LUNETTE "local lunette = require 'lunette'\n"

static struct bench bench;
static struct reload_figures figures;
static char summary[2048];

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

static void start(uint32_t limit) {
    struct error err = {.text = ""};
    if (bench_start(&bench, limit, &err) < 0) fail_msg("%s", err.text);
}

static struct script_options options_now(void) {
    return (struct script_options){.paths = (const char *const *)bench.paths,
                                   .path_count = bench.count,
                                   .settings = bench.settings,
                                   .setting_count = bench.setting_count,
                                   .memory_limit = bench.memory};
}

/* A whole reload. -1 if it failed, and why. */
static int reload(bool force, struct error *err) {
    const struct script_options options = options_now();
    struct script_reload *reload = script_reload_prepare(bench.host, &options, force, err);
    if (!reload) return -1;
    int outcome = script_reload_stage(reload, err);
    if (outcome == 0)
        script_reload_commit(reload);
    else
        script_reload_abandon(reload);
    figures = *script_reload_figures(reload);
    snprintf(summary, sizeof summary, "%s", script_reload_summary(reload));
    script_reload_free(reload);
    return outcome;
}

static void must_reload(bool force) {
    struct error err = {.text = ""};
    if (reload(force, &err) < 0) fail_msg("%s", err.text);
}

__attribute__((unused)) static void must_fail(bool force, const char *why) {
    struct error err = {.text = ""};
    assert_int_equal(reload(force, &err), -1);
    if (!strstr(err.text, why)) fail_msg("'%s' does not say '%s'", err.text, why);
}

__attribute__((unused)) static struct detector_status status_of(uint32_t index) {
    struct detector_status status;
    script_host_status(bench.host, index, &status);
    return status;
}

/* ------------------------------------------------------- nothing is forgotten */

/* State of all kinds, small enough for entries to give way and to grow old, with values that share tables. */
static const char busy_script[] = LUNETTE
    "local few = lunette.state('few', { max = 5 })\n"
    "local old = lunette.state('old', { max = 40, ttl = 9 })\n"
    "local recs = lunette.records('recs', { max = 6, ttl = 60, fields = { n='u32', first='f64', h='u16[5]', "
    "x='f32' } })\n"
    "local mine = { total = 0, order = {} }\n"
    "lunette.state('mine', { max = 1 }):set('all', mine)\n"
    "local function say(title, ...) lunette.alert { title = title, why = table.concat({ ... }, ' ') } end\n"
    "lunette.on('dns', function(e)\n"
    "  local name = e.rrname\n"
    "  mine.total = mine.total + 1\n"
    "  local v = few:get(name)\n"
    "  if not v then v = { n = 0, deep = { a = { b = {} } } }; few:set(name, v); mine.order[#mine.order % 7 "
    "+ 1] = v end\n"
    "  v.n = v.n + 1; v.deep.a.b[#v.deep.a.b % 4 + 1] = mine.total\n"
    "  if name == 'n3.test' then few:set(name, v) end\n"
    "  old:set(mine.total % 60, name .. mine.total)\n"
    "  local r, new = recs:make(e.client_ip)\n"
    "  if new then r.first = e.time; r.x = 0.1 end\n"
    "  r.n = r.n + 1; r:put('h', r.n % 5, r:at('h', r.n % 5) + 1)\n"
    "  if mine.total % 3 == 0 then\n"
    "    local seen = {}\n"
    "    for k, value in few:each() do seen[#seen + 1] = k .. '=' .. value.n .. '/' .. "
    "table.concat(value.deep.a.b, ',') end\n"
    "    for k, value in old:each() do seen[#seen + 1] = k .. ':' .. value end\n"
    "    for k, q in recs:each() do seen[#seen + 1] = k .. '#' .. q.n .. '@' .. q.first .. '~' .. q:at('h', "
    "2) .. '~' .. q.x end\n"
    "    for i, o in ipairs(mine.order) do o.n = o.n + i; seen[#seen + 1] = o.n end\n"
    "    say('seen', few:count(), few:evicted(), old:count(), old:evicted(), recs:count(), recs:evicted(), "
    "table.concat(seen, ' '))\n"
    "  end\n"
    "  lunette.alert { title = 'cool', key = name, cooldown = 11, why = name .. mine.total }\n"
    "  if mine.total % 50 == 0 then few:set(name, nil); recs:delete(e.client_ip) end\n"
    "end)\n"
    "lunette.every(7, function(now) say('tick', now, mine.total) end)\n"
    "lunette.every(7, function(now) say('tock', now, mine.total) end)\n"
    "lunette.every(2.5, function(now) few:set('timer', { n = now, deep = { a = { b = { 1 } } } }) end)\n"
    "lunette.after(33, function(now) say('once', now) end)\n"
    "lunette.after(95, function(now) say('later', now) end)\n"
    "lunette.on_end(function(now) say('end', now, mine.total) end)\n";

static const char other_script[] =
    LUNETTE "local names = lunette.state('names', { max = 3 })\n"
            "lunette.on('ssh', function(e)\n"
            "  names:set(e.client_banner, (names:get(e.client_banner) or 0) + 1)\n"
            "  lunette.alert { title = 'ssh', why = e.client_banner .. names:get(e.client_banner), key = "
            "e.client_banner, cooldown = 20 }\n"
            "end)\n"
            "lunette.every(10, function(now) lunette.alert { title = 'ten', why = now .. ' ' .. "
            "names:count() } end)\n";

enum { EVENTS = 500 };

/* The same traffic each time, a forced reload after event number `from` and then after each `step` more. */
static void run_with_reloads(uint32_t limit, int from, int step) {
    bench_script(&bench, "busy.lua", busy_script);
    bench_script(&bench, "other.lua", other_script);
    start(limit);
    unsigned seed = 5;
    for (int n = 0; n < EVENTS; n++) {
        char name[32];
        snprintf(name, sizeof name, "n%d.test", rand_r(&seed) % 10);
        double t = 1000 + n * 0.37 + (n > 300 ? 100 : 0);
        if (rand_r(&seed) % 4)
            bench_dns(&bench, t, rand_r(&seed) % 9, name);
        else
            bench_ssh(&bench, t, name);
        if (n == from) {
            must_reload(true);
            from += step;
        }
    }
    bench_finish(&bench, 1400);
    assert_int_equal(status_of(0).errors, 0);
    assert_int_equal(status_of(1).errors, 0);
    if (getenv("SHOW")) puts(bench.said);
}

static void a_reload_changes_no_result(void **state) {
    (void)state;
    static char expected[BENCH_TEXT];
    run_with_reloads(64, -1, 0);
    strcpy(expected, bench.said);
    if (bench.alerts < 300 || strlen(expected) >= BENCH_TEXT - 1)
        fail_msg("%llu alerts, %zu bytes", (unsigned long long)bench.alerts, strlen(expected));
    for (int from = 0; from < EVENTS; from += from < 20 ? 1 : 13) {
        bench_end(&bench);
        bench_begin(&bench);
        run_with_reloads(from % 2 ? 64 : 7, from, EVENTS);
        assert_string_equal(bench.said, expected);
        assert_int_equal(figures.loaded, 2);
        assert_int_equal(figures.entries_lost, 0);
    }
    bench_end(&bench);
    bench_begin(&bench);
    run_with_reloads(1024, 0, 1);
    assert_string_equal(bench.said, expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_reload_changes_no_result, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
