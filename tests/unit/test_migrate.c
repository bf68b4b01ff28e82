/* Named state of another version: migrate brings its entries to the one that is declared, when a script is
 * reloaded and when a saved state comes back. keep = "reload" stays off the disk. */
#include "base/log.h"
#include "script/reload.h"
#include "script_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define LUNETTE "local lunette = require 'lunette'\n"
/* What follows a state `s`: an event "look" has all of it told, another one is put in. */
#define LOOK                                                                                                 \
    "lunette.on('dns', function(e)\n"                                                                        \
    "  if e.rrname ~= 'look' then return put(e.rrname) end\n"                                                \
    "  local t = {}\n"                                                                                       \
    "  for k, v in s:each() do t[#t + 1] = k .. '=' .. show(v) end\n"                                        \
    "  table.sort(t)\n"                                                                                      \
    "  lunette.alert { title = 'x', why = '<' .. table.concat(t, ' ') .. '>' }\n"                            \
    "end)\n"

static struct bench bench;
static nanoseconds time_limit;
static struct reload_figures figures;
static char logged[4096];

static void on_log(void *context, enum log_level level, const char *text) {
    (void)context, (void)level;
    size_t length = strlen(logged);
    snprintf(logged + length, sizeof logged - length, "%s\n", text);
}

static int begin(void **state) {
    (void)state;
    logged[0] = '\0';
    time_limit = 0;
    log_divert(on_log, NULL);
    bench_begin(&bench);
    return 0;
}

static int end(void **state) {
    (void)state;
    bench_end(&bench);
    log_divert(NULL, NULL);
    return 0;
}

static void script_put(const char *text) {
    char path[300];
    snprintf(path, sizeof path, "%s/a.lua", bench.folder);
    unlink(path); /* another file each time: no clock is fine enough to tell two writes apart */
    bench_file(&bench, "a.lua", text);
}

static void start(const char *text) {
    struct error err = {.text = ""};
    bench.count = 0;
    bench_script(&bench, "a.lua", text);
    if (bench_start(&bench, 1, &err) < 0) fail_msg("%s", err.text);
    if (script_host_failed(bench.host) > 0) fail_msg("not loaded: %s", logged);
}

static int reload(const char *text, struct error *err) {
    script_put(text);
    const struct script_options options = {
        .paths = (const char *const *)bench.paths, .path_count = bench.count, .time_limit = time_limit};
    struct script_reload *reload = script_reload_prepare(bench.host, &options, true, err);
    if (!reload) return -1;
    int outcome = script_reload_stage(reload, err);
    if (outcome == 0)
        script_reload_commit(reload);
    else
        script_reload_abandon(reload);
    figures = *script_reload_figures(reload);
    script_reload_free(reload);
    return outcome;
}

static void must_reload(const char *text) {
    struct error err = {.text = ""};
    if (reload(text, &err) < 0) fail_msg("%s", err.text);
}

static void put(const char *name) {
    static double clock = 1000;
    bench_dns(&bench, clock += 1, 1, name);
}

static void expect(const char *contents) {
    char wanted[512];
    bench.length = 0;
    bench.said[0] = '\0';
    put("look");
    script_host_tick(bench.host);
    snprintf(wanted, sizeof wanted, "|<%s>|", contents);
    if (!strstr(bench.said, wanted)) fail_msg("'%s' is not in: %s; logged: %s", wanted, bench.said, logged);
}

static void expect_logged(const char *text) {
    if (!strstr(logged, text)) fail_msg("'%s' was not logged: %s", text, logged);
}

/* ---------------------------------------------------------------------- state */

static const char numbers[] =
    LUNETTE "local s = lunette.state('s', { max = 9 })\n"
            "local function put(k) s:set(k, (s:get(k) or 0) + 1) end\nlocal show = tostring\n" LOOK;
#define TABLES(version, migrate)                                                                             \
    LUNETTE "local s\ns = lunette.state('s', { max = 9, version = " version ", " migrate "})\n"              \
            "local function put(k) local v = s:get(k) or { n = 0 } v.n = v.n + 1 s:set(k, v) end\n"          \
            "local function show(v) return 'n' .. v.n end\n" LOOK

static void each_entry_is_brought_to_the_new_version(void **state) {
    (void)state;
    start(numbers);
    put("one");
    put("two");
    put("two");
    must_reload(
        TABLES("2", "migrate = function(v, version, key) return { n = v * 10 + version, was = key } end "));
    assert_int_equal(figures.entries_kept, 2);
    assert_int_equal(figures.entries_lost, 0);
    expect("one=n11 two=n21");
    put("two");
    expect("one=n11 two=n22");
    must_reload(TABLES("2", "migrate = function() error('not asked') end ")); /* the same version */
    expect("one=n11 two=n22");
    must_reload(TABLES("3", "migrate = function(v, version) v.n = v.n .. 'v' .. version return v end "));
    expect("one=n11v2 two=n22v2");
    assert_string_equal(logged, "");
}

static void nil_and_errors_drop_an_entry_and_are_told_once(void **state) {
    (void)state;
    start(numbers);
    for (const char *const *name = (const char *const[]){"a", "b", "c", "d", "e", NULL}; *name; name++)
        put(*name);
    must_reload(TABLES("2", "migrate = function(v, version, key)\n"
                            "  if key == 'a' then return nil end\n"
                            "  if key == 'b' then return v.no.such end\n"
                            "  if key == 'c' then error({}) end\n"
                            "  return { n = v }\nend "));
    assert_int_equal(figures.entries_kept, 2);
    assert_int_equal(figures.entries_lost, 3);
    expect("d=n1 e=n1");
    expect_logged("a: lunette.state 's': migrate at ");
    expect_logged("a.lua:3 failed for 2 of 5 entries, which are dropped; the first time: ");
    expect_logged("a.lua:5: attempt to index local 'v' (a number value)\n");
    assert_null(strstr(strstr(logged, "lunette.state") + 1, "lunette.state"));
    struct detector_status status;
    script_host_status(bench.host, 0, &status);
    assert_false(status.off);
}

static void without_migrate_all_entries_are_dropped_and_that_is_logged(void **state) {
    (void)state;
    start(numbers);
    put("a");
    put("b");
    must_reload(TABLES("4", ""));
    assert_int_equal(figures.entries_kept, 0);
    assert_int_equal(figures.entries_lost, 2);
    expect("");
    expect_logged("a: lunette.state 's': 2 entries of version 1 are dropped: it is of version 4 and has no "
                  "migrate\n");
    logged[0] = '\0';
    must_reload(TABLES("5", "")); /* nothing to drop, nothing to tell */
    assert_string_equal(logged, "");
}

/* A script that keys its state otherwise from now on. */
static void migrate_may_put_entries_under_other_keys(void **state) {
    (void)state;
    start(numbers);
    put("a.test");
    put("b.test");
    put("b.test");
    must_reload(TABLES("2", "migrate = function(v, version, key) s:set(key:upper(), { n = v }) end "));
    expect("A.TEST=n1 B.TEST=n2");
    for (const char *const *name = (const char *const[]){"1", "2", "3", "4", "5", "6", "7", NULL}; *name;
         name++)
        put(*name); /* the places that were given back are found */
    expect("1=n1 2=n1 3=n1 4=n1 5=n1 6=n1 7=n1 A.TEST=n1 B.TEST=n2");
}

/* What the body sets is as for any hand-over: the table that it holds is the one that is filled. */
static void what_the_body_holds_is_filled_with_what_migrate_returns(void **state) {
    (void)state;
    static const char first[] = LUNETTE
        "local own, s = { total = 5 }, lunette.state('s', { max = 9 })\ns:set('own', own) s:set('bad', 1)\n"
        "local function put(k) own.total = own.total + 1 end\n"
        "local function show(v) return type(v) == 'table' and v.total or v end\n" LOOK;
    static const char second[] = LUNETTE
        "local own, s = { sum = 0, name = 'new' }, lunette.state('s', { max = 9, version = 2,\n"
        "  migrate = function(v, _, key) if key == 'own' then return { sum = v.total * 100 } end end })\n"
        "s:set('own', own) s:set('bad', 7) s:set('fresh', 8)\n"
        "local function put(k) own.sum = own.sum + 1 end\n"
        "local function show(v) return type(v) == 'table' and v.sum .. tostring(v.name) .. tostring(v == "
        "own) or v end\n" LOOK;
    start(first);
    put("x");
    must_reload(second);
    put("x");
    expect("bad=7 fresh=8 own=601niltrue");
}

static void a_migrate_that_never_ends_fails_the_reload(void **state) {
    (void)state;
    struct error err = {.text = ""};
    start(numbers);
    put("a");
    time_limit = 20 * NS_PER_MILLISECOND;
    assert_int_equal(reload(TABLES("2", "migrate = function(v) while true do v = v + 1 end end "), &err), -1);
    if (!strstr(err.text, "a.lua:3: did not come to its end")) fail_msg("%s", err.text);
    put("a");
    expect("a=2"); /* the old one goes on */
}

static void expect_refused(const char *options, const char *message) {
    struct error err = {.text = ""};
    char text[1024];
    snprintf(text, sizeof text, LUNETTE "lunette.state('s', { max = 1, %s })\n", options);
    assert_int_equal(reload(text, &err), -1);
    if (!strstr(err.text, message)) fail_msg("'%s' does not say '%s'", err.text, message);
}

static void wrong_options_are_told(void **state) {
    (void)state;
    start(numbers);
    expect_refused("keep = 'disk'",
                   "a.lua:2: lunette.state: keep must be true, false or \"reload\", got disk");
    expect_refused("version = 0", "version must be a whole number from 1, got 0");
    expect_refused("version = 1.5", "version must be a whole number from 1, got 1.5");
    expect_refused("version = 0/0", "version must be a whole number from 1");
    expect_refused("version = '2'", "version must be a whole number from 1");
    expect_refused("migrate = {}", "migrate must be a function, got table");
}

/* -------------------------------------------------------------------- records */

#define RECORDS(fields, options, body)                                                                       \
    LUNETTE "local s = lunette.records('s', { max = 9, fields = { " fields " }, " options "})\n" body LOOK

static void records_are_migrated_in_place(void **state) {
    (void)state;
    start(RECORDS("n = 'u32', last = 'time', big = 'u64', odd = 'bool', h = 'bool[3]', gone = 'u8'", "",
                  "local function put(k) local r = s:make(k) r.n = r.n + 1 r.last = 1e9 + 0.25 r.big = 2^53 "
                  "r.odd = not r.odd r:put('h', 1, true) end\n"
                  "local function show(r) return r.n end\n"));
    put("a");
    put("b");
    put("b");
    put("drop");
    put("fail");
    must_reload(
        RECORDS("n = 'u32', last = 'time', big = 'u64', odd = 'bool', h = 'bool[3]', twice = 'u16'",
                "version = 2, migrate = function(r, version, key)\n"
                "  if key == 'fail' then r.nothing = 1 end\n"
                "  r.twice = r.n * 2 + version\n"
                "  return key ~= 'drop'\nend ",
                "local function put() end\n"
                "local function show(r) return table.concat({ r.n, r.twice, r.last, ('%.0f'):format(r.big), "
                "tostring(r.odd), tostring(r:at('h', 1)), tostring(r:at('h', 2)) }, '/') end\n"));
    expect("a=1/3/1000000000.25/9007199254740992/true/true/false "
           "b=2/5/1000000000.25/9007199254740992/false/true/false");
    expect_logged("lunette.records 's': migrate at ");
    expect_logged("failed for 1 of 4 entries");
    expect_logged("records 's' have no such field 'nothing'");
    assert_int_equal(figures.entries_kept, 2);
}

/* ----------------------------------------------------------------------- disk */

static struct state_blob saved(void) {
    struct state_blob blob = script_host_save(bench.host, 0);
    assert_non_null(blob.bytes);
    return blob;
}

/* A new start, with what was saved. */
static int restart(const char *text, const void *bytes, size_t size, struct error *err) {
    bench_end(&bench);
    bench_begin(&bench);
    const struct script_sink sink = {.context = &bench,
                                     .on_event = bench_on_event,
                                     .on_alert = bench_on_alert,
                                     .on_report = bench_on_report};
    bench_script(&bench, "a.lua", text);
    const struct script_options options = {
        .paths = (const char *const *)bench.paths, .path_count = bench.count, .time_limit = time_limit};
    bench.batch = batch_new(1, err);
    bench.host = bench.batch ? script_host_new(&options, bench.batch, &sink, err) : NULL;
    if (!bench.host || script_host_failed(bench.host)) fail_msg("not loaded: %s", logged);
    int outcome = script_host_restore(bench.host, "a", bytes, size, err);
    script_host_start(bench.host, 2000 * NS_PER_SECOND);
    return outcome;
}

static void must_restart(const char *text, struct state_blob blob) {
    struct error err = {.text = ""};
    if (restart(text, blob.bytes, blob.size, &err) < 0) fail_msg("%s", err.text);
    free(blob.bytes);
}

#define PLUS                                                                                                 \
    "migrate = function(v, version) return { n = (type(v) == 'table' and v.n or v) * 10 + version } end "

static void versions_go_along_to_the_disk(void **state) {
    (void)state;
    start(numbers);
    put("a");
    must_restart(TABLES("2", PLUS), saved());
    expect("a=n11");
    must_restart(TABLES("2", PLUS), saved());
    expect("a=n11");
    must_restart(TABLES("7", PLUS), saved());
    expect("a=n112");
    must_restart(TABLES("1", ""), saved());
    expect("");
    expect_logged("1 entries of version 7 are dropped: it is of version 1 and has no migrate");
}

static void a_migrate_that_never_ends_begins_anew(void **state) {
    (void)state;
    struct error err = {.text = ""};
    start(numbers);
    put("a");
    struct state_blob blob = saved();
    time_limit = 20 * NS_PER_MILLISECOND;
    assert_int_equal(
        restart(TABLES("2", "migrate = function() repeat until false end "), blob.bytes, blob.size, &err),
        -1);
    if (!strstr(err.text, "did not come to its end")) fail_msg("%s", err.text);
    expect("");
    free(blob.bytes);
}

static void keep_says_what_goes_where(void **state) {
    (void)state;
    static const char three[] = LUNETTE
        "local all = {}\n"
        "for i, keep in ipairs { 'yes', 'reload', 'no' } do\n"
        "  all[i] = lunette.state('s' .. i, { max = 9, keep = keep == 'yes' or keep == 'reload' and keep })\n"
        "end\n"
        "local r = lunette.records('r', { max = 9, keep = 'reload', fields = { n = 'u8' } })\n"
        "local s = { each = function() local i = 0 return function() i = i + 1 if all[i] then return i, "
        "all[i]:get('x') or 0 end end end }\n"
        "local function put() for _, one in ipairs(all) do one:set('x', (one:get('x') or 0) + 1) end "
        "r:make(1).n = 9 end\n"
        "local function show(v) return v .. (r:get(1) and 'r' or '') end\n" LOOK;
    start(three);
    put("x");
    expect("1=1r 2=1r 3=1r");
    must_reload(three);
    expect("1=1r 2=1r 3=0r");
    must_restart(three, saved());
    expect("1=1 2=0 3=0");
}

/* Saved by lunette before states had versions: { "old.test" → { n = 3, names = { "x" } } }. */
static const char old_file[] =
    "6c756e65747465000100000004030201b10000000000000009186b368fb2e8ff00000000020000000a00000000636f6f6c646f77"
    "6e730100000000000000000000000000000000000000000000000000000000000000000100000073010100000000000000000000"
    "00"
    "00000000000000000000000001000000010000000000000000488f400004080000006f6c642e7465737405000000000200000004"
    "05"
    "0000006e616d657305010000000100000003000000000000f03f04010000007804010000006e03000000000000084000000000";

static void files_of_before_are_version_one(void **state) {
    (void)state;
    uint8_t bytes[sizeof old_file / 2];
    size_t size = sizeof old_file / 2;
    struct error err = {.text = ""};
    for (size_t i = 0; i < size; i++) {
        unsigned byte;
        assert_int_equal(sscanf(old_file + 2 * i, "%2x", &byte), 1);
        bytes[i] = (uint8_t)byte;
    }
    if (restart(TABLES("1", ""), bytes, size, &err) < 0) fail_msg("%s", err.text);
    expect("old.test=n3");
    if (restart(TABLES("2", PLUS), bytes, size, &err) < 0) fail_msg("%s", err.text);
    expect("old.test=n31");
}

/* Bytes of the disk are not trusted: no number of them may pass for a pointer. */
static void numbers_from_the_disk_are_tamed(void **state) {
    (void)state;
    struct error err = {.text = ""};
    static const char script[] = RECORDS(
        "big = 'u64', at_once = 'time', on = 'bool'", "",
        "local function put(k) local r = s:make(k) r.big = 6004799503160661 r.at_once = 12345678.5 end\n"
        "local function show(r) return ('%s/%s/%s'):format(r.big, r.at_once, tostring(r.on)) end\n");
    start(script);
    put("a");
    struct state_blob blob = saved();
    const double number = 12345678.5;
    uint8_t *at = memmem(blob.bytes, blob.size, &number, sizeof number);
    assert_non_null(at);
    if (restart(script, blob.bytes, blob.size, &err) < 0) fail_msg("%s", err.text);
    expect("a=6.0047995031607e+15/12345678.5/false");
    memset(at, 0xff, sizeof number); /* a NaN, and what LuaJIT would take for nil */
    const uint64_t checksum = XXH3_64bits(blob.bytes + 32, blob.size - 32);
    memcpy(blob.bytes + 24, &checksum, sizeof checksum);
    if (restart(script, blob.bytes, blob.size, &err) < 0) fail_msg("%s", err.text);
    expect("a=6.0047995031607e+15/0/false");
    free(blob.bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_entry_is_brought_to_the_new_version, begin, end),
        cmocka_unit_test_setup_teardown(nil_and_errors_drop_an_entry_and_are_told_once, begin, end),
        cmocka_unit_test_setup_teardown(without_migrate_all_entries_are_dropped_and_that_is_logged, begin,
                                        end),
        cmocka_unit_test_setup_teardown(migrate_may_put_entries_under_other_keys, begin, end),
        cmocka_unit_test_setup_teardown(what_the_body_holds_is_filled_with_what_migrate_returns, begin, end),
        cmocka_unit_test_setup_teardown(a_migrate_that_never_ends_fails_the_reload, begin, end),
        cmocka_unit_test_setup_teardown(wrong_options_are_told, begin, end),
        cmocka_unit_test_setup_teardown(records_are_migrated_in_place, begin, end),
        cmocka_unit_test_setup_teardown(versions_go_along_to_the_disk, begin, end),
        cmocka_unit_test_setup_teardown(a_migrate_that_never_ends_begins_anew, begin, end),
        cmocka_unit_test_setup_teardown(keep_says_what_goes_where, begin, end),
        cmocka_unit_test_setup_teardown(files_of_before_are_version_one, begin, end),
        cmocka_unit_test_setup_teardown(numbers_from_the_disk_are_tamed, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
