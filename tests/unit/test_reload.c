/* Reloading scripts while they run: what they remember goes along, nothing else notices. */
#include "base/log.h"
#include "script/reload.h"
#include "script_case.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static struct reload_figures figures;
static char summary[2048];

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

static void must_fail(bool force, const char *why) {
    struct error err = {.text = ""};
    assert_int_equal(reload(force, &err), -1);
    if (!strstr(err.text, why)) fail_msg("'%s' does not say '%s'", err.text, why);
}

static struct detector_status status_of(uint32_t index) {
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

/* -------------------------------------------------------------- what is handed over */

/* Says what is in its state at each event, with what the test adds to `body` and `handler`. */
static void counting_script(const char *name, const char *body, const char *handler) {
    char *text = NULL;
    if (asprintf(&text,
                 LUNETTE "%s\nlunette.on('dns', function(e)\n"
                         "local function say(...) local t = { ... }; for i = 1, select('#', ...) do t[i] = "
                         "tostring(t[i]) end\n"
                         "  lunette.alert { title = 'x', why = table.concat(t, ' ') } end\n%s\nend)\n",
                 body, handler) < 0)
        abort();
    char path[300];
    snprintf(path, sizeof path, "%s/%s", bench.folder, name);
    unlink(path); /* another file each time: no clock is fine enough to tell two writes apart */
    bench_file(&bench, name, text);
    free(text);
}

/* What was said last. */
static const char *said_last(void) {
    static const char MARK[] = "|x|2|||";
    static char line[4096];
    script_host_tick(bench.host);
    const char *last = "";
    for (const char *at = bench.said; (at = strstr(at, MARK)); last = at) at += sizeof MARK - 1;
    snprintf(line, sizeof line, "%.*s", (int)(strstr(last, "|{}") ? strstr(last, "|{}") - last : 0), last);
    return line;
}

static void add_script(const char *name, const char *body, const char *handler) {
    counting_script(name, body, handler);
    free(bench.paths[bench.count]);
    if (asprintf(&bench.paths[bench.count++], "%s/%s", bench.folder, name) < 0) abort();
}

static void fields_of_the_same_name_and_type_are_kept(void **state) {
    (void)state;
    add_script("a.lua",
               "local r = lunette.records('r', { max = 9, fields = { n='u32', gone='f64', h='u8[3]', "
               "turns='u16' } })",
               "local q = r:make(e.rrname); q.n = q.n + 1; q.gone = 5; q:put('h', 1, 7); q.turns = 3");
    start(16);
    bench_dns(&bench, 1001, 1, "one.test");
    bench_dns(&bench, 1002, 1, "two.test");
    bench_dns(&bench, 1003, 1, "two.test");
    counting_script("a.lua",
                    "local r = lunette.records('r', { max = 9, fields = { n='u32', h='u8[3]', turns='u32', "
                    "more='f64', a='u8' } })",
                    "local q = r:get(e.rrname); say(q.n, q:at('h', 1), q.turns, q.more, q.a)");
    must_reload(false);
    assert_int_equal(figures.loaded, 1);
    assert_int_equal(figures.entries_kept, 2);
    assert_int_equal(figures.entries_lost, 2); /* a field of each */
    assert_string_equal(summary, "a loaded anew (a.lua changed)");
    bench_dns(&bench, 1004, 1, "two.test");
    assert_string_equal(said_last(), "2 7 0 0 0");
}

static void a_smaller_max_keeps_whom_the_clock_spares(void **state) {
    (void)state;
    const char *look =
        "if e.rrname == 'look' then local t = {}; for k, v in s:each() do t[#t + 1] = k .. v end\n"
        "for k, q in r:each() do t[#t + 1] = k .. q.n end say(s:count(), r:count(), table.concat(t, ' ')) "
        "return end\n"
        "s:set(e.rrname, 1); r:make(e.rrname).n = 2\n"
        "if e.rrname == 'n9' then s:get('n4'); r:get('n4') end";
    add_script("a.lua",
               "local s = lunette.state('s', { max = 10 }); local r = lunette.records('r', { max = 10, "
               "fields = { n = 'u8' } })",
               look);
    start(16);
    for (int i = 0; i < 10; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%d", i);
        bench_dns(&bench, 1001 + i, 1, name);
    }
    counting_script("a.lua",
                    "local s = lunette.state('s', { max = 4 }); local r = lunette.records('r', { max = 4, "
                    "fields = { n = 'u8' } })",
                    look);
    must_reload(false);
    assert_int_equal(figures.entries_kept, 8);
    assert_int_equal(figures.entries_lost, 12);
    bench_dns(&bench, 1020, 1, "look");
    assert_string_equal(said_last(), "4 4 n41 n71 n81 n91 n42 n72 n82 n92");
    bench_dns(&bench, 1021, 1, "new");
    bench_dns(&bench, 1022, 1, "newer");
    bench_dns(&bench, 1023, 1, "look");
    assert_int_equal(strncmp(said_last(), "4 4 ", 4), 0);
    assert_int_equal(status_of(0).errors, 0);
}

static void names_that_are_gone_and_values_that_are_not_plain_are_counted(void **state) {
    (void)state;
    add_script("a.lua",
               "local s = lunette.state('s', { max = 10 }); local t = lunette.state('t', { max = 10 })\n"
               "local r = lunette.records('r', { max = 10, fields = { n = 'u8' } })",
               "if s:get('plain') then say('again') return end\n"
               "s:set('f', function() end); s:set('view', e); s:set('meta', setmetatable({}, {})); "
               "s:set('deep', { { { function() end } } })\n"
               "local loop = { 1 }; loop.self = loop; s:set('plain', loop); s:set('nan', 0/0); s:set(7, { "
               "[1] = 'a', [2] = 'b', x = false })\n"
               "t:set('a', 1); t:set('b', 2); r:make('c')");
    start(16);
    bench_dns(&bench, 1001, 1, "x.test");
    counting_script("a.lua",
                    "local s = lunette.state('s', { max = 10 }); local r = lunette.state('r', { max = 3 })",
                    "local p = s:get('plain'); local n = s:get('nan'); say(s:get('f'), s:get('view'), "
                    "s:get('meta'), s:get('deep'), p[1], p.self == p, n ~= n,\n"
                    "#s:get(7), s:get(7)[2], s:get(7).x, s:count(), r:count()); s:set('one more', 1)");
    must_reload(false);
    assert_int_equal(figures.entries_kept, 3);
    assert_int_equal(figures.entries_lost, 4 + 2 + 1);
    bench_dns(&bench, 1002, 1, "x.test");
    assert_string_equal(said_last(), "nil nil nil nil 1 true true 2 b false 3 0");
    for (int i = 0; i < 20; i++) bench_dns(&bench, 1003 + i, 1, "x.test");
    script_host_tick(bench.host);
    assert_int_equal(status_of(0).errors, 0);
}

static void what_the_body_holds_is_filled_and_what_it_adds_stays(void **state) {
    (void)state;
    add_script("a.lua",
               "local mine = { n = 0, dropped = 1 }; local s = lunette.state('s', { max = 10 }); "
               "s:set('mine', mine); s:set('list', 'old')",
               "mine.n = mine.n + 1; mine.dropped = nil; s:set('list', nil)");
    start(16);
    for (int i = 0; i < 5; i++) bench_dns(&bench, 1001 + i, 1, "x.test");
    counting_script("a.lua",
                    "local mine = { n = 0, dropped = 1, added = 4 }; local s = lunette.state('s', { max = 10 "
                    "}); s:set('mine', mine); s:set('list', 'old'); s:set('fresh', 'yes')",
                    "mine.n = mine.n + 1; say(mine.n, mine.dropped, mine.added, s:get('mine') == mine, "
                    "s:get('list'), s:get('fresh'), s:count())");
    must_reload(false);
    bench_dns(&bench, 1010, 1, "x.test");
    assert_string_equal(said_last(), "6 nil 4 true nil yes 2");
}

static void timers_of_the_body_keep_their_phase_and_those_of_handlers_are_counted(void **state) {
    (void)state;
    const char *body =
        "local ticks = 0; lunette.every(10, function(now) lunette.alert { title = 'tick', why = '' .. now } "
        "end)\n"
        "lunette.after(15, function(now) lunette.alert { title = 'after', why = '' .. now } end)";
    add_script("a.lua", body, "lunette.after(50, function() end); lunette.every(60, function() end)");
    start(16);
    bench_dns(&bench, 1003, 1, "x.test");
    bench_dns(&bench, 1017, 1, "x.test");
    counting_script("a.lua", body, "say('new')");
    must_reload(false);
    assert_int_equal(figures.timers_lost, 4);
    bench_dns(&bench, 1041, 1, "x.test");
    script_host_tick(bench.host);
    assert_string_equal(
        bench.said,
        "a|tick|2|||1010|{}|+0\na|after|2|||1015|{}|+0\na|tick|2|||1020|{}|+0\na|tick|2|||1030|{}|+0\n"
        "a|tick|2|||1040|{}|+0\na|x|2|||new|{}|+0\n");
}

/* ------------------------------------------------------------------ what is loaded */

static void only_what_has_changed_is_loaded(void **state) {
    (void)state;
    add_script("a.lua", "local set = lunette.set.strings(lunette.lines('names.txt'))",
               "if set:has(e.rrname) then say('a has it') end");
    add_script("b.lua", "local n = 0", "n = n + 1; say('b', n)");
    bench_file(&bench, "data/names.txt", "x.test\n");
    start(16);
    bench_dns(&bench, 1001, 1, "y.test");
    must_reload(false);
    assert_int_equal(figures.unchanged, 2);
    assert_string_equal(summary, "nothing has changed");
    bench_file(&bench, "data/names.txt", "y.test\n"); /* of the same size, in the same moment */
    must_reload(false);
    assert_int_equal(figures.unchanged, 1);
    assert_string_equal(summary, "a loaded anew (data/names.txt changed)");
    bench_dns(&bench, 1002, 1, "y.test");
    script_host_tick(bench.host);
    assert_non_null(strstr(bench.said, "b|x|2|||b 1|{}|+0\na|x|2|||a has it|{}|+0\nb|x|2|||b 2|"));
    const char *paths[16];
    uint32_t count = script_host_files(bench.host, paths, 16);
    assert_int_equal(count, 5); /* two as given, two scripts, one list */
}

static void what_cannot_be_loaded_leaves_all_as_they_were(void **state) {
    (void)state;
    add_script("a.lua", "local n = 0; lunette.lines('names.txt')", "n = n + 1; say('a', n)");
    add_script("b.lua", "local n = 0", "n = n + 1; say('b', n)");
    bench_file(&bench, "data/names.txt", "x.test\n");
    start(16);
    bench_dns(&bench, 1001, 1, "y.test");
    counting_script("a.lua", "local n = 10; lunette.lines('names.txt')", "n = n + 1; say('new a', n)");
    counting_script("b.lua", "local n = = 0", "");
    must_fail(false, "b.lua:2:");
    counting_script("b.lua", "local n = 0", "n = n + 1; say('b', n)");
    char path[300];
    snprintf(path, sizeof path, "%s/data/names.txt", bench.folder);
    unlink(path);
    must_fail(false, "data/names.txt: No such file");
    bench_dns(&bench, 1002, 1, "y.test");
    assert_string_equal(said_last(), "b 2");
    bench_file(&bench, "data/names.txt", "x.test\n");
    must_reload(false);
    assert_int_equal(figures.loaded, 1);
    bench_dns(&bench, 1003, 1, "y.test");
    script_host_tick(bench.host);
    assert_non_null(strstr(bench.said, "a|x|2|||new a 11|{}|+0\nb|x|2|||b 3|"));
    bench.paths[1][strlen(bench.paths[1]) - 5] = 'c'; /* there is no c.lua */
    must_fail(false, "c.lua");
    bench.paths[1][strlen(bench.paths[1]) - 5] = 'b';
}

static void detectors_come_and_go_in_the_order_of_the_paths(void **state) {
    (void)state;
    add_script("b.lua", "", "say('b')");
    add_script("d.lua", "", "say('d')");
    start(16);
    free(bench.paths[0]);
    free(bench.paths[1]);
    bench.paths[0] = strdup(bench.folder);
    bench.paths[1] = NULL;
    bench.count = 1;
    counting_script("a.lua", "", "say('a')");
    must_reload(false); /* the same scripts by their folder, and one more */
    assert_int_equal(figures.unchanged, 2);
    assert_int_equal(figures.added, 1);
    counting_script("c.lua", "", "say('c')");
    bench_dns(&bench, 1001, 1, "x.test");
    char path[300];
    snprintf(path, sizeof path, "%s/b.lua", bench.folder);
    unlink(path);
    must_reload(false);
    assert_string_equal(summary, "c added; b removed");
    assert_int_equal(script_host_count(bench.host), 3);
    bench_dns(&bench, 1002, 1, "x.test");
    script_host_tick(bench.host);
    assert_string_equal(bench.said, "a|x|2|||a|{}|+0\nb|x|2|||b|{}|+0\nd|x|2|||d|{}|+0\n"
                                    "a|x|2|||a|{}|+0\nc|x|2|||c|{}|+0\nd|x|2|||d|{}|+0\n");
    /* A kind of event that nobody asked for before is made from now on. */
    bench_file(&bench, "e.lua", LUNETTE "lunette.on('ssh', function(e) lunette.alert { title = 'ssh' } end)");
    bench_ssh(&bench, 1003, "none");
    must_reload(false);
    bench_ssh(&bench, 1004, "one");
    script_host_tick(bench.host);
    assert_non_null(strstr(bench.said, "e|ssh|"));
    assert_int_equal(status_of(3).events, 1);
}

static void one_that_was_left_out_waits_for_its_mending(void **state) {
    (void)state;
    add_script("a.lua", "oops(", "");
    add_script("b.lua", "", "say('b')");
    start(16);
    assert_int_equal(script_host_failed(bench.host), 1);
    counting_script("b.lua", "", "say('new b')");
    must_reload(false); /* the other, still broken, is in nobody's way */
    assert_int_equal(figures.loaded, 1);
    must_reload(true);
    assert_int_equal(script_host_failed(bench.host), 1);
    counting_script("a.lua", "oops[", "");
    must_fail(false, "a.lua:");
    counting_script("a.lua", "", "say('a')");
    must_reload(false);
    assert_string_equal(summary, "a added");
    assert_int_equal(script_host_failed(bench.host), 0);
    bench_dns(&bench, 1001, 1, "x.test");
    script_host_tick(bench.host);
    assert_string_equal(bench.said, "a|x|2|||a|{}|+0\nb|x|2|||new b|{}|+0\n");
}

static void settings_and_being_switched_off_are_reasons(void **state) {
    (void)state;
    add_script("a.lua", "local t = lunette.tunables { n = 1 }", "say(t.n)");
    add_script("b.lua", "local s = lunette.state('s', { max = 2 })",
               "s:set('n', (s:get('n') or 0) + 1); error('no ' .. s:get('n'))");
    start(1);
    for (int i = 0; i < 25; i++) bench_dns(&bench, 1001 + i, 1, "x.test");
    assert_true(status_of(1).off);
    bench.settings[0] = (struct setting){.detector = "a", .key = "n", .value = "7"};
    bench.setting_count = 1;
    must_reload(false);
    assert_string_equal(summary, "a loaded anew (its settings changed); b loaded anew (it was switched off)");
    assert_false(status_of(1).off);
    bench_dns(&bench, 1040, 1, "x.test");
    assert_string_equal(said_last(), "7");
    assert_non_null(strstr(status_of(1).last_error, "no 21"));
    bench.settings[0].key = "wrong";
    must_fail(false, "--set a.wrong: there is no such tunable");
    bench.settings[0] = (struct setting){.detector = "z", .key = "n", .value = "7"};
    must_fail(false, "--set z.n: no detector of that name");
}

static void state_that_does_not_fit_leaves_the_old_one_running(void **state) {
    (void)state;
    add_script(
        "a.lua", "local s = lunette.state('s', { max = 100000 })",
        "for i = 1, 1000 do s:set(e.rrname .. i, { i, ('x'):rep(40) .. i .. e.rrname }) end say(s:count())");
    add_script("b.lua", "", "say('b')");
    bench.memory = 64 << 20;
    start(16);
    for (int i = 0; i < 60; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.test", i);
        bench_dns(&bench, 1001 + i, 1, name);
    }
    bench.memory = 6 << 20;
    counting_script("b.lua", "", "say('new b')");
    must_fail(false, "not enough memory, its bound is 6 MiB");
    bench.memory = 64 << 20;
    bench_dns(&bench, 1100, 1, "more");
    assert_string_equal(said_last(), "b");
    assert_non_null(strstr(bench.said, "a|x|2|||61000|"));
    assert_false(status_of(0).off);
    must_reload(false); /* b alone */
    assert_int_equal(figures.loaded, 1);
    must_reload(true);
    assert_int_equal(figures.entries_kept, 61000);
    bench_dns(&bench, 1101, 1, "more");
    script_host_tick(bench.host);
    assert_int_equal(status_of(0).errors, 0);
    assert_true(status_of(0).cpu_seconds > 0);
}

static void nothing_is_left_behind_by_many_reloads(void **state) {
    (void)state;
    add_script("a.lua", "local s = lunette.state('s', { max = 100 }); lunette.every(5, function() end)",
               "s:set(e.rrname, { e.time }); say(s:count())");
    start(16);
    size_t memory = 0;
    for (int i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.test", i % 50);
        bench_dns(&bench, 1001 + i, 1, name);
        must_reload(true);
        if (i == 60) memory = status_of(0).memory;
    }
    assert_true(status_of(0).memory < memory * 11 / 10);
    assert_int_equal(status_of(0).events, 200);
    assert_string_equal(said_last(), "50");
}

/* As it is live: the main thread loads, the worker works on. */
struct loading {
    struct script_reload *reload;
    atomic_bool done;
};

static void *load_beside(void *context) {
    struct loading *loading = context;
    struct error err = {.text = ""};
    const struct script_options options = options_now();
    loading->reload = script_reload_prepare(bench.host, &options, true, &err);
    loading->done = true;
    return NULL;
}

static void loading_goes_on_beside_the_work(void **state) {
    (void)state;
    bench_script(&bench, "busy.lua", busy_script);
    bench_script(&bench, "other.lua", other_script);
    start(16);
    uint32_t made = 0;
    for (int round = 0; round < 10; round++) {
        struct loading loading = {.reload = NULL};
        struct error err = {.text = ""};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, load_beside, &loading), 0);
        for (; !loading.done; made++)
            bench_dns(&bench, 1001 + 0.01 * made, 1 + (int)(made % 9), made % 2 ? "a.test" : "b.test");
        pthread_join(thread, NULL);
        assert_non_null(loading.reload);
        assert_int_equal(script_reload_stage(loading.reload, &err), 0);
        script_reload_commit(loading.reload);
        script_reload_free(loading.reload);
    }
    script_host_tick(bench.host);
    assert_int_equal(status_of(0).events, made);
    assert_int_equal(status_of(0).errors, 0);
}

/* ------------------------------------------------------------------------- on disk */

static const char saved_body[] =
    "local mine = { n = 0 }; local s = lunette.state('s', { max = 50, ttl = 100 }); s:set('mine', mine)\n"
    "local r = lunette.records('r', { max = 9, fields = { n = 'u32', t = 'f64', x = 'f32', h = 'f64[2]' } "
    "})\n"
    "lunette.every(10, function(now) lunette.alert { title = 'tick', why = '' .. now } end)";
static const char saved_handler[] = "mine.n = mine.n + 1; s:set(e.rrname, { e.client_ip, deep = { mine.n } "
                                    "}); local q = r:make(e.client_ip); q.n = q.n + 1; q.t = e.time\n"
                                    "lunette.alert { title = 'cool', key = 'k', cooldown = 100 }\n"
                                    "say(mine.n, s:count(), s:get('a.test') and s:get('a.test').deep[1], "
                                    "r:get('192.168.0.1').n, r:get('192.168.0.1').t)";

/* A host of its own, not started. */
static struct script_host *host_anew(struct batch **batch) {
    struct error err = {.text = ""};
    const struct script_sink sink = {.context = &bench,
                                     .on_event = bench_on_event,
                                     .on_alert = bench_on_alert,
                                     .on_report = bench_on_report};
    const struct script_options options = options_now();
    *batch = batch_new(16, &err);
    struct script_host *host = script_host_new(&options, *batch, &sink, &err);
    if (!host) fail_msg("%s", err.text);
    return host;
}

static struct state_blob saved(void) {
    add_script("a.lua", saved_body, saved_handler);
    start(16);
    bench_dns(&bench, 1001, 1, "a.test");
    bench_dns(&bench, 1012, 1, "b.test");
    script_host_tick(bench.host);
    struct state_blob blob = script_host_save(bench.host, 0);
    assert_non_null(blob.bytes);
    return blob;
}

/* Puts a new host in place of the one that was saved. */
static void restart(void) {
    script_host_free(bench.host);
    batch_free(bench.batch);
    bench.host = host_anew(&bench.batch);
    bench.length = 0;
    bench.said[0] = '\0';
}

static void state_comes_back_after_a_restart(void **state) {
    (void)state;
    struct error err = {.text = ""};
    struct state_blob blob = saved();
    restart();
    assert_int_equal(script_host_restore(bench.host, "nobody", blob.bytes, blob.size, &err), -1);
    if (script_host_restore(bench.host, "a", blob.bytes, blob.size, &err) < 0) fail_msg("%s", err.text);
    script_host_start(bench.host, 1045 * NS_PER_SECOND);
    bench_dns(&bench, 1050, 1, "c.test");
    bench_dns(&bench, 1102, 1, "d.test"); /* a.test is older than its 100 s, counted from its own time */
    script_host_tick(bench.host);
    assert_string_equal(bench.said, "a|tick|2|||1050|{}|+0\na|x|2|||3 4 1 3 1050|{}|+0\n"
                                    "a|tick|2|||1060|{}|+0\na|tick|2|||1070|{}|+0\na|tick|2|||1080|{}|+0\na|"
                                    "tick|2|||1090|{}|+0\na|tick|2|||1100|{}|+0\n"
                                    "a|cool|2||||{}|+2\na|x|2|||4 5 nil 4 1102|{}|+0\n");
    free(blob.bytes);
}

static void a_clock_that_was_set_back_counts_as_now(void **state) {
    (void)state;
    struct error err = {.text = ""};
    struct state_blob blob = saved();
    restart();
    assert_int_equal(script_host_restore(bench.host, "a", blob.bytes, blob.size, &err), 0);
    script_host_start(bench.host, 500 * NS_PER_SECOND);
    bench_dns(&bench, 599, 1, "c.test");
    assert_string_equal(said_last(), "3 4 1 3 599");
    bench_dns(&bench, 601, 1, "d.test");
    assert_string_equal(said_last(), "4 5 nil 4 601");
    free(blob.bytes);
}

static void damaged_bytes_are_refused(void **state) {
    (void)state;
    struct error err;
    struct state_blob blob = saved();
    restart();
    for (size_t i = 0; i < blob.size; i++) {
        blob.bytes[i] ^= 0x41;
        err.text[0] = '\0';
        assert_int_equal(script_host_restore(bench.host, "a", blob.bytes, blob.size, &err), -1);
        assert_true(strlen(err.text) > 10);
        blob.bytes[i] ^= 0x41;
    }
    for (size_t size = 0; size < blob.size; size++)
        assert_int_equal(script_host_restore(bench.host, "a", blob.bytes, size, &err), -1);
    assert_int_equal(script_host_restore(bench.host, "a", blob.bytes, blob.size, &err), 0);
    free(blob.bytes);
}

enum { FRAME = 32, CHECKSUM_AT = 24 };

/* Whatever is in a frame that looks right: the detector takes it or refuses it, and runs either way. */
static void try_bytes(char *bytes, size_t size) {
    struct error err = {.text = ""};
    uint64_t checksum = XXH3_64bits(bytes + FRAME, size - FRAME);
    memcpy(bytes + CHECKSUM_AT, &checksum, sizeof checksum);
    restart();
    if (script_host_restore(bench.host, "a", bytes, size, &err) < 0) assert_true(strlen(err.text) > 10);
    script_host_start(bench.host, 1045 * NS_PER_SECOND);
    for (int i = 0; i < 40; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.test", i);
        bench_dns(&bench, 1050 + i * 9, i % 12, name);
    }
    script_host_tick(bench.host);
    must_reload(true);
    assert_int_equal(script_host_count(bench.host), 1);
    assert_false(status_of(0).off && strstr(status_of(0).last_error, "memory"));
}

static void hostile_bytes_do_no_harm(void **state) {
    (void)state;
    struct state_blob blob = saved();
    char *bytes = malloc(blob.size);
    unsigned seed = 11;
    for (int round = 0; round < 400; round++) {
        memcpy(bytes, blob.bytes, blob.size);
        /* Nearly all of it is records; what comes before them is more fragile. */
        size_t reach = round % 4 ? 700 : blob.size - FRAME;
        for (int n = 0; n <= round % 3; n++)
            bytes[FRAME + (size_t)rand_r(&seed) % reach] = (char)rand_r(&seed);
        try_bytes(bytes, blob.size);
    }
    /* In each place the four bytes that LuaJIT might take for the tag of a pointer, and a length beyond all.
     */
    for (size_t at = FRAME; at + 4 < FRAME + 700; at += 3) {
        memcpy(bytes, blob.bytes, blob.size);
        memset(bytes + at, 0xff, 4);
        try_bytes(bytes, blob.size);
    }
    memcpy(bytes, blob.bytes, blob.size);
    memset(bytes + blob.size / 2, 0xff, blob.size - blob.size / 2);
    try_bytes(bytes, blob.size);
    free(bytes);
    free(blob.bytes);
}

int main(void) {
    log_set_level(LOG_ERROR); /* many a detector fails here, as it should */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_reload_changes_no_result, begin, end),
        cmocka_unit_test_setup_teardown(fields_of_the_same_name_and_type_are_kept, begin, end),
        cmocka_unit_test_setup_teardown(a_smaller_max_keeps_whom_the_clock_spares, begin, end),
        cmocka_unit_test_setup_teardown(names_that_are_gone_and_values_that_are_not_plain_are_counted, begin,
                                        end),
        cmocka_unit_test_setup_teardown(what_the_body_holds_is_filled_and_what_it_adds_stays, begin, end),
        cmocka_unit_test_setup_teardown(timers_of_the_body_keep_their_phase_and_those_of_handlers_are_counted,
                                        begin, end),
        cmocka_unit_test_setup_teardown(only_what_has_changed_is_loaded, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_be_loaded_leaves_all_as_they_were, begin, end),
        cmocka_unit_test_setup_teardown(detectors_come_and_go_in_the_order_of_the_paths, begin, end),
        cmocka_unit_test_setup_teardown(one_that_was_left_out_waits_for_its_mending, begin, end),
        cmocka_unit_test_setup_teardown(settings_and_being_switched_off_are_reasons, begin, end),
        cmocka_unit_test_setup_teardown(state_that_does_not_fit_leaves_the_old_one_running, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_left_behind_by_many_reloads, begin, end),
        cmocka_unit_test_setup_teardown(loading_goes_on_beside_the_work, begin, end),
        cmocka_unit_test_setup_teardown(state_comes_back_after_a_restart, begin, end),
        cmocka_unit_test_setup_teardown(a_clock_that_was_set_back_counts_as_now, begin, end),
        cmocka_unit_test_setup_teardown(damaged_bytes_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(hostile_bytes_do_no_harm, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
