/* The script room: what a detector sees, what it may do, and what its failures do to others. */
#include "script_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void start(uint32_t limit) {
    struct error err = {.text = ""};
    if (bench_start(&bench, limit, &err) < 0) fail_msg("%s", err.text);
}

static struct detector_status status_of(uint32_t index) {
    struct detector_status status;
    script_host_status(bench.host, index, &status);
    return status;
}

static void fields_read_as_the_schema_says(void **state) {
    (void)state;
    bench_script(&bench, "f.lua",
                 LUNETTE "lunette.on('dns', function(e)\n"
                         "  local a = e.a\n"
                         "  lunette.alert{ title='t', who=e.client_ip, where=e.rrname, "
                         "why=table.concat({e.time, e.client_port, e.proto,\n"
                         "    tostring(e.client_local), tostring(e.server_local), tostring(e.rcode), e.type, "
                         "#a, a[1], a[2], #e.cname}, ' ') }\n"
                         "end)");
    start(256);
    bench_dns(&bench, 1000.5, 7, "example.org");
    bench_finish(&bench, 1001);
    assert_string_equal(
        bench.said,
        "f|t|2|192.168.0.7|example.org|1000.5 50000 UDP true false nil query 2 10.1.1.1 10.1.1.2 0|{}|+0\n");
}

static void filters_decide_before_lua(void **state) {
    (void)state;
    bench_script(
        &bench, "f.lua",
        LUNETTE
        "local apple = lunette.set.domains { 'apple.com', 'icloud.com' }\n"
        "local home = lunette.set.prefixes { '192.168.0.0/29' }\n"
        "local function say(word) return function(e) lunette.alert{ title=word, where=e.rrname } end end\n"
        "lunette.on('dns', { rrname = apple }, say 'apple')\n"
        "lunette.on('dns', { client_ip = home, qtype = {1, 28} }, say 'low')\n"
        "lunette.on('dns', { rrname = { 'a.test', 'b.test' }, type = 'query' }, say 'listed')\n"
        "lunette.on('dns', { type = 'answer' }, say 'never')\n"
        "lunette.on('dns', { client_local = false }, say 'never')\n");
    start(256);
    bench_dns(&bench, 1001, 200, "www.apple.com");
    bench_dns(&bench, 1002, 200, "other.test");
    bench_dns(&bench, 1003, 3, "b.test");
    bench_finish(&bench, 1010);
    assert_string_equal(bench.said, "f|apple|2||www.apple.com||{}|+0\n"
                                    "f|low|2||b.test||{}|+0\n"
                                    "f|listed|2||b.test||{}|+0\n");
}

static void sets_find_without_strings(void **state) {
    (void)state;
    bench_script(&bench, "f.lua",
                 LUNETTE "local names = lunette.set.domains { 'example.org', 'apple.com' }\n"
                         "local nets = lunette.set.prefixes { '192.168.0.0/24' }\n"
                         "lunette.on('dns', function(e)\n"
                         "  lunette.alert{ title='t', why=tostring(names:find(e, 'rrname'))..' "
                         "'..tostring(names:find(e.rrname))..' '..\n"
                         "    tostring(nets:has(e, 'client_ip'))..' '..tostring(nets:has(e.client_ip))..' "
                         "'..tostring(names:has(e, 'rcode')) }\n"
                         "end)");
    start(256);
    bench_dns(&bench, 1001, 1, "store.apple.com");
    bench_dns(&bench, 1001, 1, "nothing.test");
    bench_finish(&bench, 1002);
    assert_string_equal(bench.said,
                        "f|t|2|||2 2 true true false|{}|+0\nf|t|2|||nil nil true true false|{}|+0\n");
}

/* The same traffic for any batch size: alerts, timers and events in one order. */
static void nothing_depends_on_the_batch_size(void **state) {
    (void)state;
    static const uint32_t limits[] = {1, 7, 1024};
    static char first[BENCH_TEXT];
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (i > 0) {
            bench_end(&bench);
            bench_begin(&bench);
        }
        bench_script(&bench, "a.lua",
                     LUNETTE
                     "local n = 0\n"
                     "lunette.on('dns', function(e) n = n + 1; if n % 5 == 0 then "
                     "lunette.alert{title='fifth', why=n..' at '..lunette.now()} end end)\n"
                     "lunette.every(10, function(now) lunette.alert{title='tick', why=n..' at '..now} end)\n"
                     "lunette.after(33, function(now) lunette.after(0.5, function(t) "
                     "lunette.alert{title='later', why=t..''} end) end)\n");
        bench_script(&bench, "b.lua",
                     LUNETTE
                     "lunette.on('ssh', function(e) lunette.alert{title='ssh', why=e.client_banner} end)\n"
                     "lunette.on('dns', {rrname='n7.test'}, function(e) lunette.alert{title='seven', "
                     "why=e.rrname, key='k', cooldown=20} end)\n"
                     "lunette.every(10, function(now) lunette.alert{title='tock', why=''..now} end)\n");
        start(limits[i]);
        srand(3);
        for (int n = 0; n < 600; n++) {
            char name[32];
            snprintf(name, sizeof name, "n%d.test", rand() % 10);
            if (rand() % 4)
                bench_dns(&bench, 1000 + n * 0.37, n % 250, name);
            else
                bench_ssh(&bench, 1000 + n * 0.37, name);
        }
        bench_finish(&bench, 1300);
        if (i == 0) strcpy(first, bench.said);
        assert_true(strlen(bench.said) > 5000);
        assert_string_equal(bench.said, first);
    }
}

static void a_failing_handler_is_named_and_the_others_go_on(void **state) {
    (void)state;
    bench_script(&bench, "bad.lua",
                 LUNETTE "lunette.on('dns', function(e)\n  local x = nil\n  return x.field\nend)");
    bench_script(&bench, "good.lua",
                 LUNETTE "lunette.on('dns', function(e) lunette.alert{title='seen', why=e.rrname} end)");
    bench_script(&bench, "broken.lua", LUNETTE "lunette.on('dns' function(e) end)");
    start(4);
    assert_int_equal(script_host_failed(bench.host), 1);
    for (int i = 0; i < 50; i++) bench_dns(&bench, 1001 + i, 1, "x.test");
    bench_finish(&bench, 1100);
    struct detector_status bad = status_of(0);
    assert_true(bad.off);
    assert_true(bad.errors >= 20);
    assert_non_null(strstr(bad.last_error, "bad.lua:4:"));
    int lines = 0;
    for (const char *at = bench.said; (at = strstr(at, "good|seen|")); at++) lines++;
    assert_int_equal(lines, 50);
}

static void a_detector_that_eats_memory_is_stopped_by_its_bound(void **state) {
    (void)state;
    bench_script(
        &bench, "eats.lua",
        LUNETTE
        "local all = {}\n"
        "lunette.on('dns', function(e) while true do all[#all + 1] = ('x'):rep(1000) .. #all end end)");
    bench_script(&bench, "good.lua",
                 LUNETTE "lunette.on('dns', function(e) lunette.alert{title='seen'} end)");
    bench.memory = 32 << 20;
    start(2);
    for (int i = 0; i < 30; i++) bench_dns(&bench, 1001 + i, 1, "x.test");
    bench_finish(&bench, 1100);
    struct detector_status eats = status_of(0);
    assert_true(eats.off);
    assert_true(eats.memory <= 32 << 20);
    assert_non_null(strstr(eats.last_error, "eats.lua:3"));
    assert_non_null(strstr(eats.last_error, "not enough memory"));
    assert_int_equal(status_of(1).alerts, 30);
}

static void a_view_kept_too_long_raises(void **state) {
    (void)state;
    bench_script(&bench, "keep.lua",
                 LUNETTE "local kept\n"
                         "lunette.on('dns', function(e)\n"
                         "  if not kept then kept = e return end\n"
                         "  local ok, message = pcall(function() return kept.rrname end)\n"
                         "  lunette.alert{title=tostring(ok), why=message}\n"
                         "end)");
    start(1);
    bench_dns(&bench, 1001, 1, "one.test");
    bench_dns(&bench, 1002, 1, "two.test");
    bench_finish(&bench, 1003);
    assert_non_null(strstr(bench.said, "keep|false|"));
    assert_non_null(strstr(bench.said, "keep.lua:5: this event is over"));
}

static void slips_are_told_with_the_line_and_the_nearest_name(void **state) {
    (void)state;
    static const struct {
        const char *script, *expected;
    } slips[] = {
        {LUNETTE "lunette.on('dnss', print)",
         "x.lua:2: lunette.on: there is no event 'dnss'; did you mean 'dns'?"},
        {LUNETTE "lunette.on('dns', { rrnam = 'x' }, print)", "rrnam"},
        {LUNETTE "lunette.on('packet', { bpf = 'tcp prt 80' }, print)", "x.lua:2: lunette.on:"},
        {LUNETTE "lunette.every(0, print)", "x.lua:2: lunette.every"},
        {LUNETTE "lunette.state('s', {})", "x.lua:2: lunette.state: max"},
        {LUNETTE "lunette.alert { titel = 'x' }",
         "x.lua:2: lunette.alert: there is no 'titel'; did you mean 'title'?"},
        {LUNETTE "lunette.set.prefixes { '10.0.0.0/99' }", "x.lua:2: lunette.set.prefixes: entry 1"},
        {"require 'nothing'", "x.lua:1: require: no module 'nothing'"},
        {LUNETTE "lunette.state('s', { max = 1, tll = 86400 })",
         "x.lua:2: lunette.state: there is no 'tll'; did you mean 'ttl'?"},
        {LUNETTE "lunette.state('s', { max = 1, fields = {} })",
         "x.lua:2: lunette.state: there is no 'fields'"},
        {LUNETTE "lunette.records('r', { max = 1, kep = false, fields = { n = 'u8' } })",
         "x.lua:2: lunette.records: there is no 'kep'; did you mean 'keep'?"},
        {LUNETTE "lunette.detector { titel = 'x' }",
         "x.lua:2: lunette.detector: there is no 'titel'; did you mean 'title'?"},
        {LUNETTE "lunette.set.domains { ['apple.com'] = true }", "x.lua:2: lunette.set.domains: a list"},
        {LUNETTE "require('lunette.series').histogram { from = 1, to = 9, bucket = 3 }",
         "x.lua:2: series.histogram: there is no 'bucket'; did you mean 'buckets'?"},
        {LUNETTE "local t = lunette.tunables { window = 60 }\nlocal w = t.windw * 2",
         "x.lua:3: there is no tunable 'windw'; did you mean 'window'?"},
        {LUNETTE "lunette.isaddress('x')", "x.lua:2: lunette has no 'isaddress'; did you mean 'is_address'?"},
        {LUNETTE "lunette.set.domain { 'x' }",
         "x.lua:2: lunette.set has no 'domain'; did you mean 'domains'?"},
        {LUNETTE "require('lunette.names').entropie('x')",
         "x.lua:2: lunette.names has no 'entropie'; did you mean 'entropy'?"},
        {LUNETTE "require('lunette.beat').updat()",
         "x.lua:2: lunette.beat has no 'updat'; did you mean 'update'?"},
    };
    for (size_t i = 0; i < sizeof slips / sizeof slips[0]; i++) {
        struct error err = {.text = ""};
        bench.count = 0;
        bench_script(&bench, "x.lua", slips[i].script);
        struct detector_options options = {
            .path = bench.paths[0], .memory_limit = 64 << 20, .batch = batch_new(1, &err), .quiet = true};
        assert_null(detector_load(&options, &err));
        batch_free((struct batch *)options.batch);
        if (!strstr(err.text, slips[i].expected))
            fail_msg("'%s' does not tell '%s'", err.text, slips[i].expected);
    }
    bench.count = 0;
    start(1);
}

/* They are a table as any other but for that: read by pairs, changed, given a metatable, kept in a state. */
static void tunables_are_a_plain_table(void **state) {
    (void)state;
    bench_script(&bench, "s.lua",
                 LUNETTE "local t = lunette.tunables { a = 1, b = 2 }\n"
                         "local n = 0 for _, value in pairs(t) do n = n + value end\n"
                         "t.own = 4 t[1] = 5\n"
                         "local u = setmetatable(lunette.tunables { c = 3 }, { __index = { d = 6 } })\n"
                         "lunette.on_end(function() lunette.alert { title = 't', evidence = { t = t },\n"
                         "  why = table.concat({ n, t.own, t[1], tostring(t[2]), u.c, u.d }, ' ') } end)");
    start(1);
    bench_finish(&bench, 1001);
    assert_non_null(strstr(bench.said, "|3 4 5 nil 3 6|"));
}

static void settings_reach_tunables_and_wrong_ones_are_refused(void **state) {
    (void)state;
    static const char script[] =
        LUNETTE "local t = lunette.tunables { limit = 3, on = false, names = { 'a' } }\n"
                "lunette.on_end(function() lunette.alert{title='t', why=t.limit..' '..tostring(t.on)..' "
                "'..table.concat(t.names, '+')} end)";
    bench_script(&bench, "s.lua", script);
    bench.settings[0] = (struct setting){"s", "limit", "4.5"};
    bench.settings[1] = (struct setting){"s", "on", "true"};
    bench.settings[2] = (struct setting){"s", "names", "x,y"};
    bench.setting_count = 3;
    start(1);
    bench_finish(&bench, 1001);
    assert_string_equal(bench.said, "s|t|2|||4.5 true x+y|{}|+0\n");

    static const struct setting wrong[] = {{"s", "limt", "1"}, {"s", "limit", "many"}, {"t", "limit", "1"}};
    for (size_t i = 0; i < 3; i++) {
        struct error err = {.text = ""};
        bench_end(&bench);
        bench_begin(&bench);
        bench_script(&bench, "s.lua", script);
        bench.settings[0] = wrong[i];
        bench.setting_count = 1;
        assert_int_equal(bench_start(&bench, 1, &err), -1);
        assert_true(err.usage);
        assert_non_null(strstr(err.text, "--set "));
    }
}

static void state_is_bounded_and_ages(void **state) {
    (void)state;
    bench_script(
        &bench, "s.lua",
        LUNETTE
        "local s = lunette.state('s', { max = 3, ttl = 100 })\n"
        "local r = lunette.records('r', { max = 4, fields = { n = 'u16', h = 'u8[4]', t = 'f64' } })\n"
        "lunette.on('dns', function(e)\n"
        "  s:set(e.rrname, (s:get(e.rrname) or 0) + 1)\n"
        "  local x, new = r:make(e.rrname)\n"
        "  x.n = x.n + 40000\n"
        "  x:put('h', 3, x:at('h', 3) + 1)\n"
        "  x.t = e.time\n"
        "end)\n"
        "lunette.on_end(function()\n"
        "  local x = r:get('keep')\n"
        "  local ok, message = pcall(x.at, x, 'h', 4)\n"
        "  local seen = 0\n"
        "  for key, value in s:each() do seen = seen + 1 end\n"
        "  lunette.alert{title='t', why=table.concat({s:count(), seen, s:get('keep') or 'gone', "
        "s:get('early') or 'gone', r:count(), x.n,\n"
        "    x:at('h', 3), x.t, tostring(ok), r:evicted(), s:evicted()}, ' ')}\n"
        "end)");
    start(5);
    bench_dns(&bench, 1000, 1, "early");
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        bench_dns(&bench, 1001 + i, 1, "keep");
        bench_dns(&bench, 1001 + i, 1, name);
    }
    bench_finish(&bench, 1050);
    /* "keep" is used all the time and stays; u16 stops at its limit */
    assert_non_null(strstr(bench.said, "|3 3 20 gone 4 65535 20 1020 false "));
}

static void the_world_outside_is_out_of_reach(void **state) {
    (void)state;
    bench_file(&bench, "secret.txt", "secret");
    bench_file(&bench, "data/list.txt", "# a comment\nplain\n");
    bench_script(
        &bench, "x.lua",
        LUNETTE
        "local names = {}\n"
        "for _, name in ipairs { 'ffi', 'jit', 'debug', 'io', 'package', 'load', 'loadstring', 'dofile', "
        "'getfenv', 'setfenv',\n"
        "    'getmetatable', 'rawset', 'rawget', 'collectgarbage', 'newproxy', 'coroutine', 'module' } do\n"
        "  if _G[name] ~= nil then names[#names + 1] = name end\n"
        "end\n"
        "for _, name in ipairs { 'execute', 'remove', 'rename', 'getenv', 'exit', 'tmpname' } do\n"
        "  if os[name] ~= nil then names[#names + 1] = 'os.' .. name end\n"
        "end\n"
        "if string.dump or ('').dump then names[#names + 1] = 'dump' end\n"
        "for _, name in ipairs { 'ffi', 'io', 'lunette.boot', 'lunette.views', '../secret', 'lunette.../x' } "
        "do\n"
        "  if pcall(require, name) then names[#names + 1] = 'require ' .. name end\n"
        "end\n"
        "for _, name in ipairs { '../secret.txt', '/etc/passwd', '.hidden', '..' } do\n"
        "  if pcall(lunette.lines, name) then names[#names + 1] = 'read ' .. name end\n"
        "end\n"
        "if pcall(string.rep, 'x', 1e9) then names[#names + 1] = 'rep' end\n"
        "if lunette.lines('list.txt')[1] ~= 'plain' then names[#names + 1] = 'no data' end\n"
        "lunette.on('dns', function(e)\n"
        "  if pcall(function() e.rrname = 'x' end) then names[#names + 1] = 'write' end\n"
        "  if pcall(function() e.view = 0 end) then names[#names + 1] = 'write view' end\n"
        "  if pcall(function() return e[1] end) then names[#names + 1] = 'index' end\n"
        "  if pcall(function() return (e + 1).view end) then names[#names + 1] = 'arithmetic' end\n"
        "  lunette.alert{title='reached', why=table.concat(names, ', ')}\n"
        "end)");
    start(1);
    bench_dns(&bench, 1001, 1, "x.test");
    bench_finish(&bench, 1002);
    assert_string_equal(bench.said, "x|reached|2||||{}|+0\n");
}

static void names_are_cut_by_the_public_suffix_list(void **state) {
    (void)state;
    bench_script(&bench, "x.lua",
                 LUNETTE
                 "local function show(x) return tostring(x) end\n"
                 "lunette.on_end(function() lunette.alert{title='t', why=table.concat({ "
                 "show(lunette.registrable('a.b.bbc.co.uk')),\n"
                 "  show(lunette.registrable('co.uk')), show(lunette.suffix('www.apple.com')), "
                 "show(lunette.is_address('10.0.0.1')),\n"
                 "  show(lunette.is_address('::1')), show(lunette.is_address('apple.com')) }, ' ')} end)");
    start(1);
    bench_finish(&bench, 1001);
    assert_string_equal(bench.said, "x|t|2|||bbc.co.uk nil com true true false|{}|+0\n");
}

static void alerts_carry_evidence_and_cool_down(void **state) {
    (void)state;
    bench_script(
        &bench, "x.lua",
        LUNETTE
        "lunette.on('dns', function(e)\n"
        "  lunette.alert{ severity='high', title='t', who='h', key=e.client_ip, cooldown=10, why='w',\n"
        "    evidence={ b=1.5, a={'x','y'}, c='q\"\\n', big=1700000000.123 } }\n"
        "end)");
    start(3);
    for (int i = 0; i < 25; i++) bench_dns(&bench, 1001 + i, 1, "x.test");
    bench_finish(&bench, 1100);
    assert_string_equal(
        bench.said,
        "x|t|1|h||w|{\"a\":[\"x\",\"y\"],\"b\":1.5,\"big\":1700000000.123,\"c\":\"q\\u0022\\u000a\"}|+0\n"
        "x|t|1|h||w|{\"a\":[\"x\",\"y\"],\"b\":1.5,\"big\":1700000000.123,\"c\":\"q\\u0022\\u000a\"}|+9\n"
        "x|t|1|h||w|{\"a\":[\"x\",\"y\"],\"b\":1.5,\"big\":1700000000.123,\"c\":\"q\\u0022\\u000a\"}|+9\n");
}

static void evidence_says(const char *value, const char *told) {
    char script[512];
    snprintf(script, sizeof script,
             LUNETTE "lunette.on('dns', function(e)\n"
                     "  local _, told = pcall(lunette.alert, { title = 'raised', evidence = { %s } })\n"
                     "  lunette.alert{ title = 'told', why = tostring(told) }\n"
                     "end)",
             value);
    bench_script(&bench, "x.lua", script);
    start(1);
    bench_dns(&bench, 1001, 1, "x.test");
    bench_finish(&bench, 1100);
    assert_null(strstr(bench.said, "raised"));
    assert_non_null(strstr(bench.said, told));
}

static void evidence_is_no_function(void **state) {
    (void)state;
    evidence_says("when = lunette.now",
                  "lunette.alert: evidence.when must be a string, a number, a boolean or a "
                  "table of them, got function");
}

static void evidence_has_no_cdata_in_its_lists(void **state) {
    (void)state;
    evidence_says("a = { b = { 1, 5ULL } }", "evidence.a.b[2] must be");
}

static void a_clock_that_jumps_does_not_run_timers_for_years(void **state) {
    (void)state;
    bench_script(&bench, "x.lua",
                 LUNETTE "local n = 0\n"
                         "lunette.every(1, function() n = n + 1 end)\n"
                         "lunette.on('dns', function(e) end)\n"
                         "lunette.on_end(function() lunette.alert{title='t', why=tostring(n < 2000)} end)");
    start(1);
    script_host_hole(bench.host, 1000 * NS_PER_SECOND, 4000000000 * NS_PER_SECOND);
    bench_dns(&bench, 4e9, 1, "x.test");
    bench_finish(&bench, 4e9 + 1);
    assert_string_equal(bench.said, "x|t|2|||true|{}|+0\n");
}

/* A double of seconds since 1970 has room for 240 ns. What is said at the end would come before the last
 * events. */
static void what_is_said_at_the_end_has_the_last_nanosecond(void **state) {
    (void)state;
    bench_script(&bench, "x.lua",
                 LUNETTE "lunette.on_end(function()\n"
                         "  lunette.alert{title='t', why='w'}\n"
                         "  lunette.report{title='t', columns={'a'}, rows={{'1'}}}\n"
                         "end)");
    start(1);
    const nanoseconds last = 1718114889776540917;
    script_host_finish(bench.host, last);
    assert_int_equal(bench.alerted, last);
    assert_int_equal(bench.reported, last);
}

/* Not even pcall around each turn holds it up, and the one beside it is loaded. */
static void a_body_that_never_ends_is_left_out(void **state) {
    (void)state;
    bench_script(&bench, "a.lua", "local n = 0\nwhile true do pcall(function() n = n + 1 end) end");
    bench_script(&bench, "b.lua", LUNETTE "lunette.on('dns', function() lunette.alert{title='seen'} end)");
    start(256);
    assert_int_equal(script_host_failed(bench.host), 1);
    bench_dns(&bench, 1000, 1, "example.org");
    bench_finish(&bench, 1001);
    assert_non_null(strstr(bench.said, "seen"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fields_read_as_the_schema_says, begin, end),
        cmocka_unit_test_setup_teardown(filters_decide_before_lua, begin, end),
        cmocka_unit_test_setup_teardown(sets_find_without_strings, begin, end),
        cmocka_unit_test_setup_teardown(nothing_depends_on_the_batch_size, begin, end),
        cmocka_unit_test_setup_teardown(a_failing_handler_is_named_and_the_others_go_on, begin, end),
        cmocka_unit_test_setup_teardown(a_detector_that_eats_memory_is_stopped_by_its_bound, begin, end),
        cmocka_unit_test_setup_teardown(a_view_kept_too_long_raises, begin, end),
        cmocka_unit_test_setup_teardown(slips_are_told_with_the_line_and_the_nearest_name, begin, end),
        cmocka_unit_test_setup_teardown(tunables_are_a_plain_table, begin, end),
        cmocka_unit_test_setup_teardown(settings_reach_tunables_and_wrong_ones_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(state_is_bounded_and_ages, begin, end),
        cmocka_unit_test_setup_teardown(the_world_outside_is_out_of_reach, begin, end),
        cmocka_unit_test_setup_teardown(names_are_cut_by_the_public_suffix_list, begin, end),
        cmocka_unit_test_setup_teardown(alerts_carry_evidence_and_cool_down, begin, end),
        cmocka_unit_test_setup_teardown(evidence_is_no_function, begin, end),
        cmocka_unit_test_setup_teardown(evidence_has_no_cdata_in_its_lists, begin, end),
        cmocka_unit_test_setup_teardown(a_clock_that_jumps_does_not_run_timers_for_years, begin, end),
        cmocka_unit_test_setup_teardown(a_body_that_never_ends_is_left_out, begin, end),
        cmocka_unit_test_setup_teardown(what_is_said_at_the_end_has_the_last_nanosecond, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
