/* Hostile detectors: each tries to reach what it must not, to bring the process down, or to take more memory
 * than its bound. Whatever it does, the process lives and the detector beside it sees every event. */
#include "script_bench.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

/* try() runs a function and says in `held` and `reached` what came of it: a sandbox holds if it raises an
 * error. */
#define LUNETTE                                                                                              \
    "local lunette = require 'lunette'\n"                                                                    \
    "local reached = {}\n"                                                                                   \
    "local function try(name, f, ...) if pcall(f, ...) then reached[#reached + 1] = name end end\n"          \
    "lunette.on_end(function() lunette.alert{ title = 'reached', why = table.concat(reached, ', ') } end)\n"

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

enum { ROUNDS = 60 };

static void icmp(double seconds, const char *payload) {
    bench.batch->clock = (nanoseconds)(seconds * 1e9);
    struct event_icmp_echo *e = batch_begin(bench.batch, EVENT_icmp_echo);
    if (!e) return;
    e->body.request = 1;
    e->body.payload = batch_string(bench.batch, payload);
    batch_commit(bench.batch);
}

/* Runs the script beside a well-behaved one, which must see all. Returns the hostile one's status. */
static struct detector_status run(const char *script, uint32_t limit) {
    struct error err = {.text = ""};
    bench_script(&bench, "bad.lua", script);
    bench_script(&bench, "good.lua",
                 "local lunette, n = require 'lunette', 0\n"
                 "lunette.on('dns', function(e) n = n + 1 end)\n"
                 "lunette.on_end(function() lunette.alert{ title = 'good', why = n } end)");
    if (bench.memory == 0) bench.memory = 32 << 20;
    if (bench_start(&bench, limit, &err) < 0) fail_msg("%s", err.text);
    for (int i = 0; i < ROUNDS; i++) {
        bench_dns(&bench, 1001 + i, i, "www.example.org");
        icmp(1001.2 + i, "0123456789012345678901234567890123456789");
        bench_ssh(&bench, 1001.5 + i, "SSH-2.0-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        if (i % 10 == 9) script_host_tick(bench.host);
    }
    bench_finish(&bench, 1100);
    struct detector_status good;
    script_host_status(bench.host, script_host_count(bench.host) - 1, &good);
    assert_int_equal(good.events, ROUNDS);
    assert_int_equal(good.alerts, 1);
    struct detector_status status = {.name = "left out"};
    if (script_host_count(bench.host) == 2) script_host_status(bench.host, 0, &status);
    return status;
}

static void nothing_reached(const char *script) {
    struct detector_status status = run(script, 4);
    if (!strstr(bench.said, "bad|reached|2||||{}|+0\n"))
        fail_msg("%.500s; last error: %s", bench.said, status.last_error);
}

static void again(void) {
    bench_end(&bench);
    bench_begin(&bench);
}

/* The methods of a slice, called with something else or with places that are none. */
static void slices_do_not_read_beyond_their_bytes(void **state) {
    (void)state;
    nothing_reached(LUNETTE
                    "local nan, huge = 0/0, math.huge\n"
                    "local odd = setmetatable({}, { __lt = function() return false end, __le = function() "
                    "return false end,\n"
                    "  __sub = function() return 2^45 end, __add = function() return 2^45 end })\n"
                    "lunette.on('icmp_echo', function(e)\n"
                    "  local s = e.payload\n"
                    "  local fake = { at = 0, length = 2^40, generation = s.generation }\n"
                    "  for _, name in ipairs { 'u8', 'u16be', 'u32be' } do\n"
                    "    local read = s[name]\n"
                    "    try(name .. ' fake', read, fake, 2^39)\n"
                    "    try(name .. ' view', read, e, 1)\n"
                    "    try(name .. ' odd', read, s, odd)\n"
                    "    for _, i in ipairs { nan, huge, -huge, 0, -1, 2^52, -2^52, #s + 1, 0.99 } do\n"
                    "      if read(s, i) ~= nil then reached[#reached + 1] = name .. ' ' .. i end\n"
                    "    end\n"
                    "  end\n"
                    "  if s:u8(#s) ~= 57 or s:u16be(#s) ~= nil or s:u32be(#s - 3) == nil then "
                    "reached[#reached + 1] = 'wrong' end\n"
                    "  try('tostring fake', s.tostring, fake)\n"
                    "  try('hex fake', s.hex, fake)\n"
                    "  try('find fake', s.find, fake, 'x')\n"
                    "  try('starts fake', s.starts, fake, 'x')\n"
                    "  try('find odd', s.find, s, 'x', odd)\n"
                    "  try('find nil', s.find, s, nil)\n"
                    "  try('starts table', s.starts, s, {})\n"
                    "  for _, i in ipairs { nan, huge, -huge, 2^52, -2^52, 1.5 } do\n"
                    "    if s:find('9', i) and i ~= 1.5 and i == i and i > 0 then reached[#reached + 1] = "
                    "'find ' .. i end\n"
                    "    for _, j in ipairs { nan, huge, -huge, 2^52, -2^52, 1.7 } do\n"
                    "      if #s:tostring(i, j) > #s then reached[#reached + 1] = 'tostring ' .. i end\n"
                    "    end\n"
                    "  end\n"
                    "end)");
}

/* The trusted code must not use what a script can change. */
static void changed_libraries_do_not_reach_the_trusted_code(void **state) {
    (void)state;
    nothing_reached(
        LUNETTE "local concat, pairs, type = table.concat, pairs, type\n"
                "local function spoil(name) return function(...)\n"
                "  reached[#reached + 1] = name\n"
                "  return 'local place = ... return function() return 1 end'\n"
                "end end\n"
                "for _, library in pairs { string, math, bit, os } do\n"
                "  for name in pairs(library) do library[name] = spoil(name) end\n"
                "end\n"
                "for name in pairs(table) do if name ~= 'concat' then table[name] = spoil(name) end end\n"
                "for name, f in pairs(_G) do if type(f) == 'function' then _G[name] = spoil(name) end end\n"
                "local records = lunette.records('r', { max = 4, fields = { n = 'u32', h = 'u8[4]' } })\n"
                "local set = lunette.set.domains { 'example.org' }\n"
                "lunette.on('dns', { rrname = set }, function(e)\n"
                "  local r = records:make(e.rrname)\n"
                "  r.n = r.n + 1\n"
                "  lunette.alert { title = 'x', why = e.client_ip, evidence = { a = e.a, b = 'q\"' } }\n"
                "end)\n"
                "lunette.on('icmp_echo', function(e) e.payload:hex() end)\n");
}

/* Views, records, slices and sets answer to nothing but what they are for. */
static void cdata_gives_nothing_away(void **state) {
    (void)state;
    nothing_reached(
        LUNETTE
        "local set = lunette.set.strings { 'x' }\n"
        "local records = lunette.records('r', { max = 2, fields = { h = 'u8[4]', n = 'u8' } })\n"
        "lunette.on('dns', function(e)\n"
        "  local r = records:make('k')\n"
        "  local found = e['\\0find']\n"
        "end)\n"
        "lunette.on('ssh', function(e)\n"
        "  local r = records:make('k')\n"
        "  for name, v in pairs { event = e, record = r } do\n"
        "    try(name .. ' index', function() return v[1] end)\n"
        "    try(name .. ' int64', function() return v[1LL] end)\n"
        "    try(name .. ' arithmetic', function() return v + 1 end)\n"
        "    try(name .. ' difference', function() return v - v end)\n"
        "    try(name .. ' concat', function() return v .. 'x' end)\n"
        "    try(name .. ' length', function() return #v end)\n"
        "    try(name .. ' call', function() return v() end)\n"
        "    try(name .. ' less', function() return v < v end)\n"
        "    try(name .. ' pairs', function() for k in pairs(v) do end end)\n"
        "    try(name .. ' next', next, v)\n"
        "    try(name .. ' unpack', unpack, v)\n"
        "    try(name .. ' format', string.format, '%d', v)\n"
        "    try(name .. ' setmetatable', setmetatable, v, {})\n"
        "    try(name .. ' write', function() v.view = 1 end)\n"
        "    try(name .. ' slot', function() v._slot = 1 end)\n"
        "    try(name .. ' own', function() return v.__index end)\n"
        "    try(name .. ' key', set.has, v, 'x')\n"
        "  end\n"
        "  try('int64 index', function() return (1LL)[5] end)\n"
        "  try('complex write', function() local c = 1i; c[0] = 5 end)\n"
        "  try('set of a set', set.has, set, set)\n"
        "  try('set fake', set.has, {}, 'x')\n"
        "  try('set nil', set.has, set, e, {})\n"
        "  try('set record', set.has, set, r, 'n')\n"
        "  try('set int64', set.has, set, 1LL, 'n')\n"
        "  try('set metatable', setmetatable, set, {})\n"
        "  for _, i in ipairs { -1, 4, 0/0, math.huge, -math.huge, 2^52, '1', 1LL, {} } do\n"
        "    try('at ' .. tostring(i), r.at, r, 'h', i)\n"
        "    try('put ' .. tostring(i), r.put, r, 'h', i, 1)\n"
        "  end\n"
        "  try('at fake', r.at, { _slot = 0, _turn = 0 }, 'h', 0)\n"
        "  try('at event', r.at, e, 'h', 0)\n"
        "  for _, v in ipairs { {}, 'x', 1LL, e } do try('value ' .. tostring(v), r.put, r, 'h', 0, v) end\n"
        "  try('nil value', function() r.n = nil end)\n"
        "  records:make('a') records:make('b') records:make('c')\n"
        "  try('evicted', function() return r.n end)\n"
        "  try('evicted write', function() r.n = 1 end)\n"
        "end)");
}

static void a_key_that_looks_like_ours_gives_no_function(void **state) {
    (void)state;
    nothing_reached(LUNETTE "lunette.on('dns', function(e)\n"
                            "  try('find', function() return e['\\0find'](e, nil, 'rrname') end)\n"
                            "  try('find', function() return e.find(e, nil, 'rrname') end)\n"
                            "end)");
}

/* A filter that was refused must not leave half a handler behind. */
static void a_refused_filter_leaves_no_handler(void **state) {
    (void)state;
    nothing_reached(
        LUNETTE
        "local names, nets = lunette.set.domains { 'a.test' }, lunette.set.prefixes { '10.0.0.0/8' }\n"
        "local function called() reached[#reached + 1] = 'called' end\n"
        "for _, filter in ipairs { { rrname = 5 }, { qtype = 'A' }, { rrname = nets }, { client_ip = names "
        "}, { a = 'x' },\n"
        "    { nothing = 1 }, { rrname = {} }, { rrname = { names, 'www.example.org' } }, { rrname = { "
        "'www.example.org', names } },\n"
        "    { client_ip = 'x' }, { rrname = { 'www.example.org', {} } }, { bpf = 'tcp' }, { [1] = 'dns' }, "
        "{ qtype = 0/0, rrname = 1LL } } do\n"
        "  try('filter', lunette.on, 'dns', filter, called)\n"
        "end\n"
        "for _, bpf in ipairs { {}, 5, 'tcp prt', ('tcp or '):rep(1e5) .. 'tcp', ('('):rep(3000) .. 'tcp', { "
        "'tcp', 'udp' } } do\n"
        "  try('bpf', lunette.on, 'packet', { bpf = bpf }, called)\n"
        "end\n"
        "try('event', lunette.on, 'no such', called)\n"
        "lunette.on('dns', function(e) end)");
}

/* List references lie in the text, where later batches write other bytes. */
static void a_view_kept_into_a_timer_raises(void **state) {
    (void)state;
    nothing_reached(LUNETTE
                    "local kept\n"
                    "lunette.on('dns', { client_ip = '192.168.0.1' }, function(e) kept = e end)\n"
                    "lunette.on('ssh', { client_banner = 'never' }, function() end)\n"
                    "lunette.every(7, function(now)\n"
                    "  if kept and now > 1030 then try('kept', function() return kept.a end) end\n"
                    "end)\n"
                    "lunette.on_end(function() try('at the end', function() return kept.rrname end) end)");
}

static void names_of_record_fields_are_only_names(void **state) {
    (void)state;
    nothing_reached(LUNETTE "for _, name in ipairs { 'a; } x; struct y {', '', '1a', 'a b', 'at', 'put', "
                            "'_slot', '_turn', 'a\\0', ('x'):rep(1e5) } do\n"
                            "  try('name', lunette.records, 'x', { max = 2, fields = { [name] = 'u8' } })\n"
                            "end\n"
                            "for _, kind in ipairs { 'u8; int x', 'u8[0]', 'u8[99999999999]', 'u8[65537]', "
                            "'char', 'u64', '', {}, 'u8[2][2]' } do\n"
                            "  try('type', lunette.records, 'x', { max = 2, fields = { n = kind } })\n"
                            "end\n"
                            "local wide = {}\n"
                            "for i = 1, 30 do wide['f' .. i] = 'f64[65536]' end\n"
                            "try('wide', lunette.records, 'x', { max = 2, fields = wide })\n"
                            "for _, max in ipairs { 0, -1, 0/0, 1e9, 1.5, '5', 5LL } do\n"
                            "  try('max', lunette.records, 'x', { max = max, fields = { n = 'u8' } })\n"
                            "end\n"
                            "local r = lunette.records('odd', { max = 2, fields = { slot = 'u32', turn = "
                            "'u8', int = 'u16', const = 'f32', view = 'u8', each = 'u8' } })\n"
                            "lunette.on('dns', function(e)\n"
                            "  local x = r:make('k')\n"
                            "  x.slot, x.turn, x.int, x.const, x.view = 70000, 300, -5, 1.5, 7\n"
                            "  if x.slot ~= 70000 or x.turn ~= 255 or x.int ~= 0 or x.const ~= 1.5 or x.view "
                            "~= 7 then reached[#reached + 1] = 'wrong' end\n"
                            "end)");
}

/* What could make results depend on the batch, or come from a detector that was never loaded, is refused. */
static void some_things_have_their_time(void **state) {
    (void)state;
    nothing_reached(LUNETTE "try('alert', lunette.alert, { title = 'x' })\n"
                            "try('report', lunette.report, { columns = {}, rows = {} })\n"
                            "lunette.on('dns', function(e)\n"
                            "  try('on', lunette.on, 'ssh', function() end)\n"
                            "  try('on_end', lunette.on_end, function() end)\n"
                            "end)");
    again();
    struct error err = {.text = ""};
    bench_script(&bench, "bad.lua", "pcall(require 'lunette'.alert, { title = 'early' }) error('broken')");
    assert_int_equal(bench_start(&bench, 1, &err), 0);
    assert_int_equal(script_host_failed(bench.host), 1);
    bench_finish(&bench, 1100);
    assert_string_equal(bench.said, "");
}

static uint32_t open_files(void) {
    uint32_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder) return 0;
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

/* Wherever the bound is passed, the state goes and nothing else does. */
static void memory_runs_out_anywhere(void **state) {
    (void)state;
#define EAT "local all = {} while true do all[#all + 1] = ('x'):rep(1000) .. #all end"
    static const char *const scripts[] = {
        "lunette.on('dns', function() " EAT " end)",
        "lunette.every(1, function() " EAT " end)",
        "lunette.after(5, function() local s = 'x' while true do s = s .. s end end)",
        "lunette.on_end(function() " EAT " end)",
        "lunette.on('dns', function() pcall(function() " EAT " end) end)",
        "lunette.on('dns', function() xpcall(error, function() " EAT " end) end)",
        "lunette.on('dns', function() ('x'):gsub('x', function() " EAT " end) end)",
        "lunette.on('dns', function() table.sort({3, 1, 2}, function() " EAT " end) end)",
        "lunette.on('dns', function() tostring(setmetatable({}, { __tostring = function() " EAT
        " end })) end)",
        "lunette.on('dns', function() return setmetatable({}, { __index = function() " EAT " end }).x end)",
        "lunette.on('dns', function() local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1e5) .. i end "
        "table.concat(t) end)",
        "lunette.on('dns', function() local f = function() end for i = 1, 1e9 do local g = f f = function() "
        "return g end end end)",
        "lunette.on('dns', function() local s = lunette.state('s', { max = 16777216 }) for i = 1, 2^24 do "
        "s:set(i, i) end end)",
        "lunette.on('dns', function() local r = lunette.records('r', { max = 16777216, fields = { a = "
        "'f64[60000]' } })\n"
        "  for i = 1, 2^24 do r:make(i) end end)",
        "lunette.on('dns', function() for i = 1, 1e9 do lunette.records('r' .. i, { max = 1, fields = { a = "
        "'u8' } }) end end)",
        "lunette.on('dns', function() lunette.lines('long.txt') end)",
        "lunette.on('dns', function() local t = {} for i = 1, 1e9 do t[i] = function() lunette.after(i, "
        "print) end t[i]() if i > 99000 then " EAT " end end end)",
        "for i = 1, 1e4 do lunette.on_end(function() end) end " EAT,
        "lunette.lines('long.txt')",
    };
    static char text[9 << 20];
    memset(text, 'x', sizeof text - 1);
    uint32_t files = open_files();
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        char script[1024];
        if (i > 0) again();
        bench_file(&bench, "data/long.txt", text);
        bench.memory = 16 << 20;
        snprintf(script, sizeof script, "local lunette = require 'lunette'\n%s", scripts[i]);
        struct detector_status status = run(script, 16);
        if (strcmp(status.name, "left out") == 0) continue;
        if (!status.off || status.memory != 0 || !strstr(status.last_error, "not enough memory"))
            fail_msg("not stopped: %s (%s)", scripts[i], status.last_error);
    }
    assert_int_equal(open_files(), files);
}

static long resident_mib(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
}

/* Sets, filters, alerts and reports do not lie in the Lua state: they have bounds of their own. */
static void memory_beside_the_state_has_bounds(void **state) {
    (void)state;
    static const char *const scripts[] = {
        "lunette.on('dns', function() if not once then return end once = false for i = 1, 1e5 do "
        "pcall(lunette.set.strings, { 'a' }) end end)",
        "lunette.on('dns', function() if not once then return end once = false for i = 1, 1e4 do "
        "pcall(lunette.set.strings, { ('x'):rep(1e5) .. i }) "
        "end end)",
        "local list = {} for i = 1, 100 do list[i] = ('x'):rep(30000) .. i end\n"
        "for i = 1, 31 do pcall(lunette.on, 'dns', { rrname = list, rrtype = list, iface = list }, print) "
        "end",
        "lunette.on('dns', function() if not once then return end once = false for i = 1, 300 do "
        "lunette.alert { title = ('t'):rep(1e5), why = "
        "('w'):rep(1e5),\n"
        "  evidence = { a = ('e'):rep(1e5), b = ('\\255'):rep(1e5) } } end end)",
        "lunette.on('dns', function() if not once then return end once = false for i = 1, 20000 do "
        "lunette.alert { title = 't\\0t' } end end)",
        "lunette.on_end(function() local cell, row, rows = ('x'):rep(1e6), {}, {} for i = 1, 100 do row[i], "
        "rows[i] = cell, row end\n"
        "  for i = 1, 10 do pcall(lunette.report, { columns = row, rows = rows }) end end)",
        "lunette.on_end(function() local row, rows = {}, {} for i = 1, 1000 do row[i], rows[i] = '', row "
        "end\n"
        "  for i = 1, 3 do pcall(lunette.report, { columns = row, rows = rows }) end end)",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        char script[1024];
        if (i > 0) again();
        snprintf(script, sizeof script, "local lunette, once = require 'lunette', true\n%s", scripts[i]);
        struct detector_status status = run(script, 1024);
        assert_true(status.memory <= 2 * bench.memory + (1 << 20));
    }
    if (!getenv("LUNETTE_SANITIZE") || strcmp(getenv("LUNETTE_SANITIZE"), "1") != 0)
        assert_true(resident_mib() < 250);
}

/* Recursion through C functions ends at Lua's own limits, before the C stack does. */
static void recursion_ends(void **state) {
    (void)state;
    static const char *const scripts[] = {
        "local f f = function(s) return (s:gsub('.', f)) end f('abc')",
        "local t = {} setmetatable(t, { __index = function(_, k) return (('abc'):gsub('.', t)) end }) "
        ";('abc'):gsub('.', t)",
        "local f f = function(a, b) table.sort({ 3, 1, 2 }, f) return a < b end f(1, 2)",
        "local m = {} m.__tostring = function(s) return string.format('%s %s', s, s) end "
        "tostring(setmetatable({}, m))",
        "local m = {} m.__tostring = function(s) "
        "return tostring(s) .. '' end "
        "tostring(setmetatable({}, m))",
        "local m = {} m.__index = function(t, k) return t[k .. 'x'] end return setmetatable({}, m).x",
        "local m = {} m.__lt = function(a, b) return b < a end local a = setmetatable({}, m) return a < a",
        "local m = {} m.__concat = function(a, b) return a .. b end local a = setmetatable({}, m) return a "
        ".. a",
        "local function f() return pcall(f) end f() error('x')",
        "local function f() return xpcall(f, f) end f() error('x')",
        "local function f(m) error(m) end xpcall(error, f, 'x') error('x')",
        "local function f() return 1 + f() end f()",
        "error(setmetatable({}, { __tostring = function(s) return tostring(s) .. '' end }))",
        "error(('x'):rep(1e6))",
        "unpack({}, 1, 1e8)",
        "unpack({}, -2^31, 2^31 - 1)",
        "string.format('%99999d', 1)",
        "table.sort({ 3, 1, 2, 5, 4, 7, 6, 9, 8 }, function() return true end) error('x')",
        "table.concat({}, 'x', 1, 1e9)",
        "('x'):rep(1e9)",
        "('x'):rep(1e6, ('y'):rep(1e6)) error('x')",
        "select(-2^31, 1)",
        "error(nil)",
        "error(1LL)",
        "local ok, m = pcall(error, {}) error(m)",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        char script[1024];
        if (i > 0) again();
        snprintf(script, sizeof script,
                 "local lunette = require 'lunette'\nlunette.on('dns', function(e) %s end)", scripts[i]);
        struct detector_status status = run(script, 7);
        if (!status.off) fail_msg("went well: %s", scripts[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(slices_do_not_read_beyond_their_bytes, begin, end),
        cmocka_unit_test_setup_teardown(changed_libraries_do_not_reach_the_trusted_code, begin, end),
        cmocka_unit_test_setup_teardown(cdata_gives_nothing_away, begin, end),
        cmocka_unit_test_setup_teardown(a_key_that_looks_like_ours_gives_no_function, begin, end),
        cmocka_unit_test_setup_teardown(a_refused_filter_leaves_no_handler, begin, end),
        cmocka_unit_test_setup_teardown(a_view_kept_into_a_timer_raises, begin, end),
        cmocka_unit_test_setup_teardown(names_of_record_fields_are_only_names, begin, end),
        cmocka_unit_test_setup_teardown(some_things_have_their_time, begin, end),
        cmocka_unit_test_setup_teardown(memory_runs_out_anywhere, begin, end),
        cmocka_unit_test_setup_teardown(memory_beside_the_state_has_bounds, begin, end),
        cmocka_unit_test_setup_teardown(recursion_ends, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
