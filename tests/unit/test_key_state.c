/* Entries whose keys are made of parts grow old, give way and are handed over as those with the key written
 * out: two states that are asked the same in the two ways, over random traffic, are never told apart. And no
 * string is made of the parts. */
#include "script/profile.h"
#include "script/reload.h"
#include "script_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void start(uint32_t limit) {
    struct error err = {.text = ""};
    if (bench_start(&bench, limit, &err) < 0) fail_msg("%s", err.text);
}

static struct detector_status status_of_first(void) {
    struct detector_status status;
    script_host_status(bench.host, 0, &status);
    return status;
}

static struct reload_figures reload(void) {
    struct error err = {.text = ""};
    const struct script_options options = {.paths = (const char *const *)bench.paths,
                                           .path_count = bench.count};
    struct script_reload *reload = script_reload_prepare(bench.host, &options, true, &err);
    if (!reload || script_reload_stage(reload, &err) < 0) fail_msg("%s", err.text);
    script_reload_commit(reload);
    struct reload_figures figures = *script_reload_figures(reload);
    script_reload_free(reload);
    return figures;
}

/* `parts` and `glued` are asked the same; what can be seen of them is told with each event. */
static const char twins[] =
    LUNETTE "local function pair(name) local o = { max = 7, ttl = 40, fields = { n = 'u32' } } return "
            "lunette.records(name .. ' r', o), lunette.state(name .. ' s', { max = 5, ttl = 20 }) end\n"
            "local pr, ps = pair('parts')\n"
            "local gr, gs = pair('glued')\n"
            "local counter = lunette.state('n', { max = 1 })\n"
            "local function seen(r, s)\n"
            "  local t = { r:count(), r:evicted(), s:count(), s:evicted() }\n"
            "  for k, v in r:each() do t[#t + 1] = k .. '=' .. v.n end\n"
            "  for k, v in s:each() do t[#t + 1] = k .. '=' .. v end\n"
            "  return table.concat(t, ' ')\n"
            "end\n"
            "lunette.on('dns', function(e)\n"
            "  local n = (counter:get('n') or 0) + 1 counter:set('n', n)\n"
            "  local key = e.client_ip .. '\\t' .. e.rrname\n"
            "  local one, fresh = pr:make(e, 'client_ip', 'rrname') one.n = one.n + 1\n"
            "  local other, new = gr:make(key) other.n = other.n + 1\n"
            "  if fresh ~= new then lunette.alert { title = 'new' } end\n"
            "  local there = ps:get('x', e, 'rrname')\n"
            "  if there ~= gs:get('x\\t' .. e.rrname) then lunette.alert { title = 'get' } end\n"
            "  if n % 3 == 0 then ps:set('x', e, 'rrname', n) gs:set('x\\t' .. e.rrname, n) end\n"
            "  if n % 11 == 0 then pr:delete(e, 'client_ip', 'rrname') gr:delete(key) end\n"
            "  if n % 13 == 0 then ps:delete('x', e.rrname) gs:delete('x\\t' .. e.rrname) end\n"
            "  local a, b = seen(pr, ps), seen(gr, gs)\n"
            "  if a ~= b then lunette.alert { title = 'differ', why = a .. ' | ' .. b } end\n"
            "end)\n"
            "lunette.on_end(function() lunette.alert { title = 'end', why = seen(pr, ps) } end)\n";

/* What the run's last line tells: `why` of the only alert. */
static void play_twins(uint32_t limit, int reload_each, char *last, size_t room) {
    bench_script(&bench, "twins.lua", twins);
    start(limit);
    unsigned seed = 3;
    for (int n = 0; n < 400; n++) {
        char name[32];
        snprintf(name, sizeof name, "n%d.test", rand_r(&seed) % 6);
        double pause = 45 * (n / 90); /* all grow old */
        bench_dns(&bench, 1000 + n * 1.1 + pause, rand_r(&seed) % 3, name);
        if (reload_each && n % reload_each == reload_each - 1) {
            struct reload_figures figures = reload();
            assert_int_equal(figures.entries_lost, 0);
        }
    }
    bench_finish(&bench, 1620);
    assert_int_equal(bench.alerts, 1);
    assert_non_null(strstr(bench.said, "|end|"));
    assert_int_equal(status_of_first().errors, 0);
    assert_true(bench.length < room);
    memcpy(last, bench.said, bench.length + 1);
}

static void they_grow_old_and_give_way_alike(void **state) {
    (void)state;
    char last[4096];
    play_twins(256, 0, last, sizeof last);
    assert_true(status_of_first().evicted > 50);
}

static void a_reload_makes_no_difference(void **state) {
    (void)state;
    char without[4096], with[4096];
    play_twins(16, 0, without, sizeof without);
    end(NULL), begin(NULL);
    play_twins(16, 7, with, sizeof with);
    assert_string_equal(without, with);
}

static void they_are_gone_after_their_time(void **state) {
    (void)state;
    bench_script(&bench, "old.lua",
                 LUNETTE "local r = lunette.records('r', { max = 9, ttl = 10, fields = { n = 'u8' } })\n"
                         "lunette.on('dns', function(e)\n"
                         "  local there = r:get(e, 'client_ip', 'rrname') ~= nil\n"
                         "  if not there then r:make(e, 'client_ip', 'rrname') end\n"
                         "  lunette.alert { title = tostring(there), why = '' .. r:count() }\n"
                         "end)\n");
    start(256);
    bench_dns(&bench, 1000, 1, "a.test");
    bench_dns(&bench, 1009, 1, "a.test");
    bench_dns(&bench, 1010, 1, "a.test"); /* at its age it still is */
    bench_dns(&bench, 1011, 1, "a.test"); /* what was found was not set anew */
    bench_finish(&bench, 1012);
    static const char *const said[] = {"|false|", "|true|", "|true|", "|false|"};
    const char *at = bench.said;
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        at = strstr(at, said[i]);
        if (!at) fail_msg("no %s: %s", said[i], bench.said);
        at += strlen(said[i]);
    }
}

/* An event that is over has no fields any more, not as parts of a key either. */
static void an_event_that_is_over_is_no_part(void **state) {
    (void)state;
    bench_script(&bench, "late.lua",
                 LUNETTE "local s = lunette.state('s', { max = 9 })\n"
                         "local kept\n"
                         "lunette.on('dns', function(e) kept = kept or e end)\n"
                         "lunette.on_end(function() s:set(kept, 'client_ip', 'rrname', 1) end)\n");
    start(1);
    bench_dns(&bench, 1000, 1, "a.test");
    bench_dns(&bench, 1001, 1, "b.test");
    bench_finish(&bench, 1002);
    assert_int_equal(status_of_first().errors, 1);
    if (!strstr(status_of_first().last_error, "over")) fail_msg("%s", status_of_first().last_error);
}

/* A field that was not given has no value, other than in the engine's events an address neither. */
static void events_of_scripts_have_parts_too(void **state) {
    (void)state;
    bench_script(
        &bench, "says.lua",
        LUNETTE "lunette.event('it', { ip = 'ip', s = 'str', u = 'u64', f = 'f64', n = 'u32', t = 'time' })\n"
                "lunette.on('dns', function(e)\n"
                "  lunette.emit('it', { s = e.rrname })\n"
                "  lunette.emit('it', { ip = e.client_ip, s = e.rrname, u = 2 ^ 40, f = -1.5, n = 2 ^ 32 - "
                "1, t = e.time })\n"
                "end)\n");
    bench_script(&bench, "hears.lua",
                 LUNETTE
                 "local s = lunette.state('s', { max = 9 })\n"
                 "lunette.on('says.it', function(e)\n"
                 "  local glued = tostring(e.ip or '') .. '\\t' .. e.s .. '\\t' .. e.u .. '\\t' .. e.f\n"
                 "  s:set(e, 'ip', 's', 'u', 'f', 1)\n"
                 "  s:set(e, 'ip', 'n', 't', 2)\n"
                 "  local numbers = tostring(e.ip or '') .. '\\t' .. e.n .. '\\t' .. e.t\n"
                 "  lunette.alert { title = 'x', why = tostring(s:get(glued)) .. tostring(s:get(numbers)) .. "
                 "tostring((s:get(e, 'ip'))) .. s:count() }\n"
                 "end)\n");
    start(16);
    bench_dns(&bench, 1000.25, 1, "a.test");
    bench_finish(&bench, 1001);
    assert_int_equal(bench.alerts, 2);
    if (!strstr(bench.said, "|12nil2|") || !strstr(bench.said, "|12nil4|")) fail_msg("%s", bench.said);
}

/* Room for long parts is the detector's, and goes with it. */
static void what_it_took_is_given_back(void **state) {
    (void)state;
    bench_script(
        &bench, "off.lua",
        LUNETTE
        "local s = lunette.state('s', { max = 100000 })\n"
        "local long = ('x'):rep(100000)\n"
        "lunette.on('dns', function(e) for i = 1, 100000 do s:set(long, i, e, 'rrname', i) end end)\n");
    bench.memory = (size_t)8 << 20;
    start(16);
    bench_dns(&bench, 1000, 1, "a.test");
    bench_finish(&bench, 1001);
    assert_true(status_of_first().off);
    assert_int_equal(status_of_first().memory, 0);
}

enum { LONG_NAME = 2000, LONG_NAMES = 1000 };

/* Bytes that a handler asks Lua's memory for at each event, over long names none of which comes twice. */
static uint64_t bytes_of(const char *handler) {
    char script[512], name[LONG_NAME + 1];
    snprintf(script, sizeof script,
             LUNETTE "local s = lunette.state('s', { max = 9 })\n"
                     "lunette.on('dns', function(e) %s end)\n",
             handler);
    bench_script(&bench, "names.lua", script);
    bench.profile = true;
    start(16);
    memset(name, 'x', LONG_NAME);
    name[LONG_NAME] = '\0';
    for (int n = 0; n < LONG_NAMES; n++) {
        char number[16];
        int length = snprintf(number, sizeof number, "%d.", n);
        memcpy(name, number, (size_t)length);
        bench_dns(&bench, 1000 + n, 1, name);
    }
    bench_finish(&bench, 3000);
    assert_int_equal(status_of_first().errors, 0);
    struct profile_handler figures;
    detector_profile(script_host_detector(bench.host, 0), 0, &figures);
    assert_int_equal(figures.calls, LONG_NAMES);
    return figures.bytes / LONG_NAMES;
}

static void no_string_is_made(void **state) {
    (void)state;
    assert_true(bytes_of("local there = s:get(e.rrname)") >= LONG_NAME); /* it would show */
    end(NULL), begin(NULL);
    assert_true(bytes_of("local there = s:get(e, 'rrname')") < LONG_NAME / 4);
    end(NULL), begin(NULL);
    assert_true(bytes_of("s:delete('x', e, 'client_ip', 'rrname', 'client_port')") < LONG_NAME / 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(they_grow_old_and_give_way_alike, begin, end),
        cmocka_unit_test_setup_teardown(a_reload_makes_no_difference, begin, end),
        cmocka_unit_test_setup_teardown(they_are_gone_after_their_time, begin, end),
        cmocka_unit_test_setup_teardown(an_event_that_is_over_is_no_part, begin, end),
        cmocka_unit_test_setup_teardown(events_of_scripts_have_parts_too, begin, end),
        cmocka_unit_test_setup_teardown(what_it_took_is_given_back, begin, end),
        cmocka_unit_test_setup_teardown(no_string_is_made, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
