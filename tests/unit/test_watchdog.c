/* Handlers that do not come to their end, in every shape: each is stopped and named, its detector is off, the
 * one beside it says what it would have said without them. How long that takes is not asked here.
 *
 * LUNETTE_SOAK=N in the environment: N rounds over all shapes, in one process, with a line that tells of the
 * times. */
#include "script_bench.h"

#include "script/reload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

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

/* What is written where a handler's body would be.. */
static const struct shape {
    const char *name, *body;
} shapes[] = {
    {"empty loop", "while true do end"},
    {"counting loop", "local n = 0 while true do n = n + 1 end"},
    {"numeric loop", "for i = 1, math.huge do end"},
    {"reads of the view", "local n = 0 while true do n = n + e.qtype end"},
    {"address of the view", "while true do local ip = e.client_ip end"},
    {"protected calls", "while true do pcall(error, 'x') end"},
    {"handled errors", "while true do xpcall(error, function(m) return m end, 'x') end"},
    {"errors with tracebacks", "while true do pcall(function() local x = nil .. 'x' end) end"},
    {"calls", "local function f() return 1 end while true do f() end"},
    {"tail calls", "local function f() return f() end f()"},
    {"mutual tail calls", "local f, g f = function() return g() end g = function() return f() end f()"},
    {"pairs", "local t = { 1, 2, x = 3 } while true do for k in pairs(t) do end end"},
    {"a table that grows and shrinks",
     "local t = {} while true do t[#t + 1] = 1 if #t > 99 then t = {} end end"},
    {"closures", "while true do local x = {} local f = function() return x end end"},
    {"concatenation", "local i = 0 while true do i = i % 1000 + 1 local s = 'a' .. i end"},
    {"format", "while true do local s = string.format('%s %d', 'x', 5) end"},
    {"a pattern that tries all", "string.find(('a'):rep(60), ('a?'):rep(60) .. ('a'):rep(60) .. 'b')"},
    {"a pattern over a long text", "string.find(('a'):rep(300000), '.-.-.-b')"},
    {"substitution", "while true do ('abc'):gsub('.', function(c) return c end) end"},
    {"substitution by a pattern", "string.gsub(('a'):rep(100000), '(.-)(.-)(.-)b', '')"},
    {"iteration by a pattern", "while true do for w in ('a b c'):gmatch('%a') do end end"},
    {"sorting by no order",
     "while true do pcall(table.sort, { 5, 3, 4, 1, 2 }, function() return true end) end"},
    {"concatenation of a table",
     "local t = {} for i = 1, 999 do t[i] = 'x' end while true do table.concat(t) end"},
    {"metamethods",
     "local t = setmetatable({}, { __index = function(_, k) return k end }) while true do local x = t.a end"},
    {"an iterator without an end", "for x in function() return 1 end do end"},
    {"repetition", "while true do local s = ('x'):rep(100000) end"},
    {"public suffixes", "while true do lunette.registrable('www.bbc.co.uk') end"},
    {"a set", "while true do set:has(e, 'rrname') end"},
    {"named state", "local i = 0 while true do i = i + 1 state:set(i % 5000, i) end"},
    {"records", "local i = 0 while true do i = i + 1 records:make(i % 50).n = 1 end"},
    {"alerts", "while true do lunette.alert { title = 'again', key = 1, cooldown = 9 } end"},
    {"log lines", "while true do lunette.log('again') end"},
    {"dates", "while true do os.date('%Y') end"},
    {"timers at once", "local function again() lunette.after(0, again) end again()"},
    {"recursion that is caught", "local function f() pcall(f) pcall(f) end f()"},
    {"reloading of a module", "while true do pcall(require, 'nothing') end"},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0], AT_ONCE = BENCH_SCRIPTS - 1, EVENTS = 30 };

#define HEAD                                                                                                 \
    "local lunette = require 'lunette'\n"                                                                    \
    "local state = lunette.state('s', { max = 1000 })\n"                                                     \
    "local records = lunette.records('r', { max = 10, fields = { n = 'u32' } })\n"                           \
    "local set = lunette.set.domains { 'example.org' }\n"

static const char good[] =
    "local lunette, n = require 'lunette', 0\n"
    "lunette.on('dns', function(e)\n"
    "  n = n + 1\n"
    "  if n % 10 == 3 then lunette.alert { title = 'seen', who = e.client_ip, why = n } end\n"
    "end)\n"
    "lunette.on_end(function() lunette.alert { title = 'end', why = n } end)";

static void play(uint32_t limit) {
    struct error err = {.text = ""};
    if (bench_start(&bench, limit, &err) < 0) fail_msg("%s", err.text);
    for (int i = 0; i < EVENTS; i++) bench_dns(&bench, 1001 + i, i, "www.example.org");
    script_host_tick(bench.host);
    bench_finish(&bench, 1100);
}

/* What the detector said, of all that was said. */
static void lines_of(const char *detector, char *out, size_t size) {
    size_t used = 0, name = strlen(detector);
    out[0] = '\0';
    for (const char *line = bench.said; *line;) {
        size_t length = strcspn(line, "\n") + 1;
        bool its = strncmp(line, detector, name) == 0 && line[name] == '|';
        if (its && used + length < size) {
            memcpy(out + used, line, length);
            out[used += length] = '\0';
        }
        line += length;
    }
}

static double slowest, total;
static const char *slowest_shape;
static uint32_t kills;

/* Shapes from `first` on beside the good one. */
static void run_beside(const char *alone, size_t first) {
    char name[32], script[1024], said[4096];
    size_t count = 0;
    for (; count < AT_ONCE && first + count < SHAPES; count++) {
        snprintf(name, sizeof name, "bad%zu.lua", count);
        snprintf(script, sizeof script, HEAD "lunette.on('dns', function(e)\n%s\nend)",
                 shapes[first + count].body);
        bench_script(&bench, name, script);
    }
    bench_script(&bench, "good.lua", good);
    bench.time = 50 * NS_PER_MILLISECOND;
    bench.memory = 64 << 20;
    play(16);
    for (size_t i = 0; i < count; i++) {
        struct detector_status status;
        script_host_status(bench.host, (uint32_t)i, &status);
        snprintf(name, sizeof name, "bad%zu", i);
        lines_of(name, said, sizeof said);
        if (!status.off || !strstr(status.last_error, "did not come to its end"))
            fail_msg("%s: %s; %s", shapes[first + i].name, status.off ? "off" : "on", status.last_error);
        if (!strstr(status.last_error, ".lua:"))
            fail_msg("%s: %s", shapes[first + i].name, status.last_error);
        if (!strstr(bench.said, "was stopped")) fail_msg("%s: no alert", shapes[first + i].name);
        assert_int_equal(status.memory <= 1 << 20, 1); /* what lies beside the state */
        kills++;
        total += status.cpu_seconds - 0.05;
        if (status.cpu_seconds - 0.05 > slowest) {
            slowest = status.cpu_seconds - 0.05;
            slowest_shape = shapes[first + i].name;
        }
    }
    lines_of("good", said, sizeof said);
    assert_string_equal(said, alone);
}

static void again(void) {
    bench_end(&bench);
    bench_begin(&bench);
}

static void whatever_does_not_end_is_stopped(void **state) {
    (void)state;
    const char *soak = getenv("LUNETTE_SOAK");
    char alone[4096];
    bench_script(&bench, "good.lua", good);
    play(16);
    lines_of("good", alone, sizeof alone);
    assert_non_null(strstr(alone, "good|end|"));
    for (int round = 0; round < (soak ? atoi(soak) : 1); round++)
        for (size_t first = 0; first < SHAPES; first += AT_ONCE) {
            again();
            run_beside(alone, first);
        }
    if (soak)
        printf(
            "%u stopped, of %u shapes; beyond the limit of 50 ms: %.1f ms on average, %.1f ms at most (%s)\n",
            kills, (unsigned)SHAPES, 1e3 * total / kills, 1e3 * slowest, slowest_shape);
}

/* The alert stands where the handler was; what was said before remains. */
static void the_alert_names_the_handler(void **state) {
    (void)state;
    bench_script(&bench, "bad.lua",
                 "local lunette, n = require 'lunette', 0\n"
                 "lunette.on('dns', function(e)\n"
                 "  n = n + 1\n"
                 "  lunette.alert { title = 'number', why = n }\n"
                 "  while n == 3 do end\n"
                 "end)\n");
    bench.time = 50 * NS_PER_MILLISECOND;
    play(16);
    assert_non_null(strstr(bench.said, "bad|number|2|||3|{}|+0\n"));
    char *stopped = strstr(bench.said, "bad|Detector bad was stopped and is off|2||");
    assert_non_null(stopped);
    assert_non_null(strstr(stopped, "bad.lua:2|The handler at "));
    assert_non_null(strstr(stopped, "\"limit_seconds\":0.05"));
    assert_int_equal(bench.alerts, 4);
    assert_int_equal(bench.alerted, 1003 * NS_PER_SECOND);
}

static void timers_and_ends_are_stopped(void **state) {
    (void)state;
    static const char *const scripts[] = {
        "lunette.every(5, function() while true do end end)",
        "lunette.after(3, function() string.find(('a'):rep(300000), '.-.-.-b') end)",
        "lunette.on_end(function() while true do pcall(error) end end)",
        "lunette.every(1e-3, function() local n = 0 for i = 1, 1e7 do n = n + i end end)",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        char script[512];
        if (i > 0) again();
        snprintf(script, sizeof script,
                 "local lunette = require 'lunette'\n%s\nlunette.on('dns', function() end)", scripts[i]);
        bench_script(&bench, "bad.lua", script);
        bench.time = 50 * NS_PER_MILLISECOND;
        play(16);
        if (!strstr(bench.said, "bad.lua:2|The handler at ")) fail_msg("%s: %s", scripts[i], bench.said);
    }
}

/* The hook's budget does not see into a C function. */
static void a_body_that_does_not_end_is_left_out(void **state) {
    (void)state;
    bench_script(&bench, "bad.lua", "string.find(('a'):rep(300000), '.-.-.-b')");
    bench_script(&bench, "good.lua", good);
    bench.time = 20 * NS_PER_MILLISECOND;
    play(16);
    assert_int_equal(script_host_failed(bench.host), 1);
    assert_non_null(strstr(bench.said, "good|end|"));
}

/* Reloads the bench's scripts; the number of detectors that were loaded anew. */
static uint32_t reload(bool force) {
    const struct script_options options = {.paths = (const char *const *)bench.paths,
                                           .path_count = bench.count,
                                           .memory_limit = bench.memory,
                                           .time_limit = bench.time};
    struct error err = {.text = ""};
    struct script_reload *reload = script_reload_prepare(bench.host, &options, force, &err);
    if (!reload || script_reload_stage(reload, &err) < 0) fail_msg("%s", err.text);
    script_reload_commit(reload);
    uint32_t loaded = script_reload_figures(reload)->loaded;
    script_reload_free(reload);
    return loaded;
}

static bool bad_is_off(void) {
    struct detector_status status;
    script_host_status(bench.host, 0, &status);
    return status.off;
}

static void what_was_stopped_stays_off_until_it_is_changed(void **state) {
    (void)state;
    bench_script(&bench, "bad.lua",
                 "local lunette = require 'lunette' lunette.on('dns', function() while true do end end)");
    bench_script(&bench, "good.lua", good);
    bench.time = 50 * NS_PER_MILLISECOND;
    play(16);
    assert_true(bad_is_off());
    assert_int_equal(reload(false), 0);
    bench_file(&bench, "good.lua", "local lunette = require 'lunette' lunette.on('dns', print)");
    assert_int_equal(reload(false), 1);
    assert_true(bad_is_off());
    bench_file(&bench, "bad.lua",
               "local lunette = require 'lunette' lunette.on('dns', function() end) -- mended");
    assert_int_equal(reload(false), 1);
    assert_false(bad_is_off());
}

/* The script's own function in a hand-over. */
static void a_migration_that_does_not_end_leaves_the_old_one(void **state) {
    (void)state;
    static const char before[] = "local lunette = require 'lunette'\n"
                                 "local s = lunette.state('s', { max = 9 })\n"
                                 "lunette.on('dns', function(e) s:set(e.client_ip, 1) end)\n";
    static const char after[] = "local lunette = require 'lunette'\n"
                                "local s = lunette.state('s', { max = 9, version = 2,\n"
                                "  migrate = function() while true do end end })\n"
                                "lunette.on('dns', function(e) s:set(e.client_ip, 1) end)\n";
    bench_script(&bench, "bad.lua", before);
    bench.time = 20 * NS_PER_MILLISECOND;
    play(16);
    bench_file(&bench, "bad.lua", after);
    const struct script_options options = {
        .paths = (const char *const *)bench.paths, .path_count = bench.count, .time_limit = bench.time};
    struct error err = {.text = ""};
    struct script_reload *reload = script_reload_prepare(bench.host, &options, false, &err);
    assert_non_null(reload);
    assert_int_equal(script_reload_stage(reload, &err), -1);
    assert_non_null(strstr(err.text, "did not come to its end"));
    script_reload_abandon(reload);
    script_reload_free(reload);
    assert_false(bad_is_off());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whatever_does_not_end_is_stopped, begin, end),
        cmocka_unit_test_setup_teardown(the_alert_names_the_handler, begin, end),
        cmocka_unit_test_setup_teardown(timers_and_ends_are_stopped, begin, end),
        cmocka_unit_test_setup_teardown(a_body_that_does_not_end_is_left_out, begin, end),
        cmocka_unit_test_setup_teardown(what_was_stopped_stays_off_until_it_is_changed, begin, end),
        cmocka_unit_test_setup_teardown(a_migration_that_does_not_end_leaves_the_old_one, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
