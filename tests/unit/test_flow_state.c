/* lunette.flow_state: what a script keeps of a flow dies with it, whoever gets the flow's place afterwards;
 * survives a reload that declares the same; stays within its bounds. */
#include "capture/capture.h"
#include "decode/decode.h"
#include "flow/flow.h"
#include "protocol/list.h"
#include "script/reload.h"
#include "script_case.h"
#include "sensor/home.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void start(uint32_t limit) {
    struct error err = {.text = ""};
    if (bench_start(&bench, limit, &err) < 0) fail_msg("%s", err.text);
    assert_int_equal(script_host_failed(bench.host), 0);
}

static struct detector_status status_now(void) {
    struct detector_status status;
    script_host_tick(bench.host);
    script_host_status(bench.host, 0, &status);
    return status;
}

/* A DNS message of a flow at a place of the table. */
static void put(double seconds, uint64_t flow_id, uint32_t flow_slot, const char *name) {
    bench.batch->clock = (nanoseconds)(seconds * 1e9);
    struct event_dns *e = batch_begin(bench.batch, EVENT_dns);
    if (!e) return;
    e->head.time = bench.batch->clock;
    e->head.flow_id = flow_id;
    e->head.flow_slot = flow_slot;
    e->body.type = "query";
    e->body.rrname = batch_string(bench.batch, name);
    batch_commit(bench.batch);
}

static void expect_said(const char *text) {
    script_host_tick(bench.host);
    if (strstr(bench.said, text)) return;
    size_t from = bench.length > 1000 ? bench.length - 1000 : 0;
    fail_msg("'%s' is not in: %s", text, bench.said + from);
}

/* ------------------------------------------------- against a table of the script's own */

/* Counts twice: in the flow's state, and in a table by the flow's number. */
static const char twice[] = LUNETTE
    "local s = lunette.flow_state { n = 'u32', sum = 'u64', first = 'time', last = 'f64', odd = 'bool', h = "
    "'u16[5]', small = 'u8', x = 'f32', flags = 'bool[3]' }\n"
    "local own, wrong, events, top, flows = {}, 0, 0, 0, 0\n"
    "local function handler(e)\n"
    "    local v, o = s:of(e), own[e.flow_id]\n"
    "    if not v then return end\n"
    "    if not o then\n"
    "        o = { n = 0, sum = 0, first = 0, last = 0, odd = false, h = { [0] = 0, 0, 0, 0, 0 }, small = 0, "
    "x "
    "= 0, flags = { [0] = false, false, false } }\n"
    "        own[e.flow_id], flows = o, flows + 1\n"
    "    end\n"
    "    local i, b = o.n % 5, o.n % 3\n"
    "    if v.n ~= o.n or v.sum ~= o.sum or v.first ~= o.first or v.last ~= o.last or v.odd ~= o.odd or\n"
    "        v:at('h', i) ~= o.h[i] or v.small ~= o.small or v.x ~= o.x or v:at('flags', b) ~= o.flags[b] "
    "then wrong = wrong + 1 end\n"
    "    if o.n == 0 then o.first = e.time v.first = e.time end\n"
    "    o.n, o.sum, o.last, o.odd, o.h[i] = o.n + 1, o.sum + 5000000000, e.time, not o.odd, o.h[i] + 3\n"
    "    v.n, v.sum, v.last, v.odd = v.n + 1, v.sum + 5000000000, e.time, not v.odd\n"
    "    v:put('h', i, v:at('h', i) + 3)\n"
    "    o.small, o.x, o.flags[b] = math.min(255, o.small + 100), o.x + 0.5, not o.flags[b]\n"
    "    v.small, v.x = v.small + 100, v.x + 0.5\n"
    "    v:put('flags', b, not v:at('flags', b))\n"
    "    events, top = events + 1, math.max(top, e.flow_slot)\n"
    "end\n";
static const char twice_end[] =
    "lunette.on_end(function() lunette.alert { title = 'end', why = wrong .. ' wrong', evidence = { events = "
    "events, top = top, flows = flows } } end)\n";

static bool is_local(void *context, const struct ip *address) {
    return home_has(context, address);
}

static void play(const char *path, struct home *home) {
    struct error err = {.text = ""};
    struct packet packets[PACKET_BURST];
    static struct decoded decoded[PACKET_BURST];
    struct capture *capture = capture_open(&path, 1, &err);
    if (!capture) fail_msg("%s", err.text);
    const struct flow_config config = flow_config_defaults();
    const struct flow_surroundings around = {
        .batch = bench.batch, .protocols = protocol_list, .is_local = is_local, .context = home};
    struct flow_room *room = flow_room_new(&config, &around, &err);
    assert_non_null(room);
    int n;
    while ((n = capture_next_burst(capture, packets)) > 0) {
        for (int i = 0; i < n; i++) decode_packet(&packets[i], &decoded[i]);
        flow_room_burst(room, packets, decoded, n, NULL, NULL);
    }
    flow_room_finish(room);
    bench_finish(&bench, 2e9);
    flow_room_free(room);
    capture_close(capture);
}

static unsigned number_after(const char *name) {
    const char *at = strstr(bench.said, name);
    if (!at) fail_msg("no %s in %s", name, bench.said);
    return (unsigned)strtoul(at + strlen(name), NULL, 10);
}

/* All events of a real capture, at any size of the batch. */
static void flows_of_a_capture_are_told_apart(void **state) {
    (void)state;
    static const uint32_t limits[] = {1, 7, 1024};
    static char text[8192], first[BENCH_TEXT];
    struct error err = {.text = ""};
    snprintf(text, sizeof text,
             "%sfor _, k in ipairs { 'flow_start', 'onset', 'flow', 'dns', 'tls', 'http' } do lunette.on(k, "
             "handler) end\n%s",
             twice, twice_end);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (i > 0) {
            bench_end(&bench);
            bench_begin(&bench);
        }
        struct home *home = home_new(NULL, &err);
        bench_script(&bench, "a.lua", text);
        start(limits[i]);
        play("examples/mac-with-implant.pcapng.gz", home);
        home_free(home);
        assert_int_equal(status_now().errors, 0);
        expect_said("|0 wrong|");
        assert_true(number_after("\"flows\":") > number_after("\"top\":")); /* places were used again */
        if (i == 0) memcpy(first, bench.said, sizeof first);
        assert_string_equal(bench.said, first);
    }
}

/* Many short flows on few places, given back and taken again as the engine's slab does. */
static void places_are_used_again(void **state) {
    (void)state;
    enum { OPEN = 300, EVENTS = 60000 };
    static char text[8192];
    static uint64_t flow_at[OPEN + 1];
    uint64_t next = 1;
    unsigned seed = 11;
    snprintf(text, sizeof text, "%slunette.on('dns', handler)\n%s", twice, twice_end);
    bench_script(&bench, "a.lua", text);
    start(64);
    memset(flow_at, 0, sizeof flow_at);
    for (int i = 0; i < EVENTS; i++) {
        uint32_t slot = 1 + (uint32_t)(rand_r(&seed) % OPEN);
        if (!flow_at[slot] || rand_r(&seed) % 6 == 0) flow_at[slot] = next++;
        put(1000 + i * 0.001, flow_at[slot], slot, "x.test");
    }
    bench_finish(&bench, 2000);
    assert_int_equal(status_now().errors, 0);
    expect_said("|0 wrong|");
    assert_int_equal(number_after("\"events\":"), EVENTS);
    assert_int_equal(number_after("\"flows\":"), next - 1);
    assert_int_equal(number_after("\"top\":"), OPEN);
}

/* ------------------------------------------------------------------- bounds */

static void whole_numbers_stop_at_their_limits(void **state) {
    (void)state;
    bench_script(&bench, "a.lua",
                 LUNETTE "local s = lunette.flow_state { a = 'u8', b = 'u16', c = 'u32', d = 'u64' }\n"
                         "lunette.on('dns', function(e)\n"
                         "  local v = s:of(e)\n"
                         "  v.a = 300 v.b = 1e9 v.c = 1e12 v.d = 1e300\n"
                         "  local most = ('%d %d %d %.0f'):format(v.a, v.b, v.c, v.d)\n"
                         "  v.a = -1 v.b = -1 v.c = -1e9 v.d = -5\n"
                         "  local least = ('%d %d %d %d'):format(v.a, v.b, v.c, v.d)\n"
                         "  v.d = 2.75 local whole = v.d\n"
                         "  lunette.alert { title = 'x', why = most .. ' ' .. least .. ' ' .. whole }\n"
                         "end)\n");
    start(1);
    put(1001, 1, 1, "x");
    expect_said("|255 65535 4294967295 9007199254740992 0 0 0 0 2|");
}

static void an_event_without_a_flow_has_none(void **state) {
    (void)state;
    bench_script(&bench, "a.lua",
                 LUNETTE
                 "local s = lunette.flow_state { n = 'u8' }\n"
                 "lunette.on('dns', function(e) lunette.alert { title = 'x', why = tostring(s:of(e)) } "
                 "end)\n");
    start(1);
    put(1001, 0, 0, "x");
    expect_said("|nil|");
    put(1002, 9, 3, "x");
    expect_said("|state of a flow|");
}

/* Places are paid for as far as flows come; beyond the bound an error says so, and the detector goes on. */
static void a_flood_of_flows_ends_at_the_bound(void **state) {
    (void)state;
    bench_script(&bench, "a.lua",
                 LUNETTE "local s = lunette.flow_state { h = 'u8[1000]' }\n"
                         "lunette.on('dns', function(e)\n"
                         "  if e.rrname == 'careful' then\n"
                         "    local ok, why = pcall(function() local v = s:of(e) end)\n"
                         "    lunette.alert { title = 'x', why = tostring(why) } return\n"
                         "  end\n"
                         "  s:of(e):put('h', 999, 7)\n"
                         "end)\n");
    bench.memory = (size_t)8 << 20;
    start(256);
    size_t before = status_now().memory;
    for (uint32_t slot = 1; slot <= 4000; slot++) put(1001, slot, slot, "x");
    size_t used = status_now().memory - before;
    assert_int_equal(status_now().errors, 0);
    if (used < 4000 * 1008 || used > 5000 * 1008) fail_msg("%zu bytes", used);
    for (uint32_t slot = 1; slot <= 4000; slot++) put(1002, 10000 + slot, slot, "x"); /* used again */
    assert_true(status_now().memory - before < used + (1 << 20));
    for (uint32_t slot = 4001; slot <= 20000; slot++) put(1003, 20000 + slot, slot, "careful");
    struct detector_status status = status_now();
    assert_int_equal(status.errors, 0);
    assert_true(status.memory < (size_t)16 << 20);
    expect_said("a.lua:5: flow_state: no place for flow ");
    expect_said("--script-memory");
    put(1004, 99999, 1, "x");
    assert_int_equal(status_now().errors, 0);
}

/* ---------------------------------------------------------------- wrong uses */

static void expect_error(const char *code, const char *message) {
    static char text[4096];
    bench_end(&bench);
    bench_begin(&bench);
    snprintf(text, sizeof text,
             LUNETTE
             "local s = lunette.flow_state { n = 'u8', h = 'u16[4]', odd = 'bool', at_once = 'time' }\n"
             "local other = lunette.flow_state { n = 'u8' }\n"
             "local recs, kept = lunette.records('r', { max = 9, fields = { n = 'u8' } }), nil\n"
             "lunette.on('dns', function(e)\n"
             "  local ok, why = pcall(function() local v = s:of(e) %s end)\n"
             "  lunette.alert { title = 'x', why = tostring(why) }\n"
             "end)\n",
             code);
    bench_script(&bench, "a.lua", text);
    start(1);
    put(1001, 5, 1, "x");
    put(1002, 6, 1, "y"); /* the same place, another flow */
    expect_said(message);
}

static void wrong_uses_are_told(void **state) {
    (void)state;
    expect_error("v.m = 1", "a.lua:6: lunette.flow_state's fields have no such field 'm'");
    expect_error("return v.ood", "did you mean 'odd'?");
    expect_error("v.n = 'x'", "a.lua:6: n is a number, got string");
    expect_error("v.n = nil", "n is a number, got nil");
    expect_error("v.odd = 1", "odd is a boolean, got number");
    expect_error("return v.h", "'h' is an array");
    expect_error("v:put('h', 4, 1)", "h[4]: the index goes from 0 to 3");
    expect_error("v:put('h', 0/0, 1)", "the index goes from 0 to 3");
    expect_error("v:put('h', 1, true)", "h is a number, got boolean");
    expect_error("v.at(e, 'h', 1)", "a state of a flow is expected");
    expect_error("v.at(other:of(e), 'h', 1)", "a state of a flow is expected");
    expect_error("v.at(recs:make(1), 'h', 1)", "a state of a flow is expected");
    expect_error("s.of(e)", "got nil: call it as state:of(e), with a colon");
    expect_error("s:of('x')", "an event is expected, got string");
    expect_error("s:of({})", "an event or a stream is expected");
    expect_error("kept = kept or v; kept.n = 1", "the flow of this state is over");
    expect_error("lunette.flow_state { n = 'u8' }", "declare it when the script is loaded, not in a handler");
    expect_error("s:of({ flow_id = 1, flow_slot = 1e300 })", "no place for flow");
    expect_error("s:of({ flow_id = 1, flow_slot = 4294967295 }).n = 1", "no place for flow");
    expect_error("error(tostring(s:of({ flow_id = 1, flow_slot = 0/0 })))", "nil");
    expect_error("error(tostring(s:of({ flow_id = 0/0, flow_slot = 1 })))", "nil");
    expect_error("error(tostring(s:of({ flow_id = 1, flow_slot = -7 })))", "nil");
}

static void expect_refused(const char *declaration, const char *message) {
    struct error err = {.text = ""};
    static char text[4096];
    bench_end(&bench);
    bench_begin(&bench);
    bench_script(&bench, "good.lua", LUNETTE "lunette.on('dns', function() end)\n");
    assert_int_equal(bench_start(&bench, 1, &err), 0);
    snprintf(text, sizeof text, LUNETTE "lunette.flow_state%s\n", declaration);
    bench_script(&bench, "a.lua", text);
    const struct script_options options = {.paths = (const char *const *)bench.paths,
                                           .path_count = bench.count};
    assert_null(script_reload_prepare(bench.host, &options, false, &err));
    if (!strstr(err.text, message)) fail_msg("'%s' does not say '%s'", err.text, message);
    if (!strstr(err.text, "a.lua:2: ")) fail_msg("'%s' does not say where", err.text);
}

static void wrong_declarations_are_told(void **state) {
    (void)state;
    expect_refused("()", "{ name = \"u32\", … } is expected");
    expect_refused("{}", "{ name = \"u32\", … } is expected");
    expect_refused("{ n = 'u128' }", "expected u8, u16, u32, u64, f32, f64, time, bool or an array");
    expect_refused("{ n = 4 }", "got '4'");
    expect_refused("{ 'u8' }", "'1' cannot be a field's name");
    expect_refused("{ at = 'u8' }", "'at' cannot be a field's name");
    expect_refused("{ ['a b'] = 'u8' }", "cannot be a field's name");
    expect_refused("{ ['end; } x; struct y {'] = 'u8' }", "cannot be a field's name");
    expect_refused("{ h = 'u8[0]' }", "1 to 65536 elements");
    expect_refused("{ h = 'u8[5000]' }", "bytes a flow, at most 4096 are possible");
    expect_refused("{ a = 'u8' } for i = 1, 64 do lunette.flow_state { a = 'u8' } end",
                   "more than 64 of them");
}

/* -------------------------------------------------------------------- reload */

static struct script_reload *prepare(const char *text) {
    char path[300];
    struct error err = {.text = ""};
    snprintf(path, sizeof path, "%s/a.lua", bench.folder);
    unlink(path); /* another file each time: no clock is fine enough to tell two writes apart */
    bench_file(&bench, "a.lua", text);
    const struct script_options options = {
        .paths = (const char *const *)bench.paths, .path_count = bench.count, .memory_limit = bench.memory};
    struct script_reload *reload = script_reload_prepare(bench.host, &options, true, &err);
    if (!reload) fail_msg("%s", err.text);
    if (script_reload_stage(reload, &err) < 0) fail_msg("%s", err.text);
    return reload;
}

static void reload(const char *text) {
    struct script_reload *reload = prepare(text);
    script_reload_commit(reload);
    script_reload_free(reload);
}

#define COUNT                                                                                                \
    "lunette.on('dns', function(e) local a, b = s:of(e), t:of(e) a.n = a.n + 1 b.m = b.m + 1\n"              \
    "  lunette.alert { title = 'x', why = e.flow_id .. ' ' .. a.n .. ' ' .. b.m } end)\n"
static const char counts[] = LUNETTE "local s = lunette.flow_state { n = 'u32', on = 'bool' }\nlocal t = "
                                     "lunette.flow_state { m = 'u16' }\n" COUNT;
static const char counts_again[] =
    LUNETTE "-- another text\nlocal s = lunette.flow_state { on = 'bool', n = 'u32' }\n"
            "local t = lunette.flow_state { m = 'u16' }\nlocal u = lunette.flow_state { z = 'f64' }\n" COUNT;
static const char counts_otherwise[] = LUNETTE "local s = lunette.flow_state { n = 'u32', on = 'bool' "
                                               "}\nlocal t = lunette.flow_state { m = 'u32' }\n" COUNT;

static void a_reload_keeps_what_is_declared_the_same(void **state) {
    (void)state;
    bench_script(&bench, "a.lua", counts);
    start(16);
    put(1001, 7, 1, "x");
    put(1002, 8, 5000, "x");
    put(1003, 7, 1, "x");
    size_t memory = status_now().memory;
    reload(counts_again);
    put(1004, 7, 1, "x");
    expect_said("|7 3 3|");
    put(1005, 8, 5000, "x");
    expect_said("|8 2 2|");
    put(1006, 9, 5000, "x");
    expect_said("|9 1 1|");
    put(1007, 10, 100000, "x"); /* goes on growing */
    expect_said("|10 1 1|");
    assert_true(status_now().memory > memory);
    reload(counts_otherwise);
    put(1008, 7, 1, "x");
    expect_said("|7 4 1|");
    put(1009, 10, 100000, "x");
    expect_said("|10 2 1|");
    assert_int_equal(status_now().errors, 0);
}

/* While a reload waits for other workers, both have it; given up, the old one goes on. */
static void a_reload_that_is_given_up_takes_nothing_away(void **state) {
    (void)state;
    bench_script(&bench, "a.lua", counts);
    start(16);
    put(1001, 7, 1, "x");
    put(1001, 8, 3000, "x");
    struct script_reload *given_up = prepare(counts_again);
    script_reload_abandon(given_up);
    script_reload_free(given_up);
    put(1002, 7, 1, "x");
    put(1003, 8, 3000, "x");
    put(1004, 9, 90000, "x");
    expect_said("|7 2 2|");
    expect_said("|8 2 2|");
    expect_said("|9 1 1|");
    assert_int_equal(status_now().errors, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(flows_of_a_capture_are_told_apart, begin, end),
        cmocka_unit_test_setup_teardown(places_are_used_again, begin, end),
        cmocka_unit_test_setup_teardown(whole_numbers_stop_at_their_limits, begin, end),
        cmocka_unit_test_setup_teardown(an_event_without_a_flow_has_none, begin, end),
        cmocka_unit_test_setup_teardown(a_flood_of_flows_ends_at_the_bound, begin, end),
        cmocka_unit_test_setup_teardown(wrong_uses_are_told, begin, end),
        cmocka_unit_test_setup_teardown(wrong_declarations_are_told, begin, end),
        cmocka_unit_test_setup_teardown(a_reload_keeps_what_is_declared_the_same, begin, end),
        cmocka_unit_test_setup_teardown(a_reload_that_is_given_up_takes_nothing_away, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
