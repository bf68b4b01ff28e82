/* Events that scripts declare, emit and hear: in which order, what is refused, what bounds them. */
#include "base/log.h"
#include "jit_watch.h"
#include "script/entry.h"
#include "script/reload.h"
#include "script/state.h"
#include "script_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void start(uint32_t limit) {
    struct error err = {.text = ""};
    if (bench_start(&bench, limit, &err) < 0) fail_msg("%s", err.text);
}

/* ------------------------------------------------------------ what is heard */

/* Each event's words are emitted one by one, by a script that comes after its listener. */
static const char words[] =
    LUNETTE "lunette.event('word', { text = 'str', n = 'u8', big = 'u64', odd = 'bool', to = 'ip', at = "
            "'time', share = 'f64',\n"
            "    all = 'list', int = 'u16', ['end'] = 'u32' }, 'A word')\n"
            "lunette.on('dns', function(e)\n"
            "    local n = 0\n"
            "    for w in e.rrname:gmatch('%w+') do\n"
            "        n = n + 1\n"
            "        lunette.emit('word', { text = w, n = n, big = 2^40 + n, odd = n % 2 == 1, to = "
            "'2001:db8::' .. n,\n"
            "            at = e.time + n, share = n / 4, all = { w, 'x' }, int = 70000, ['end'] = -5 })\n"
            "    end\n"
            "end)\n";

static void fields_arrive(void **state) {
    (void)state;
    bench_script(
        &bench, "a_listener.lua",
        LUNETTE
        "lunette.on('words.word', function(e)\n"
        "    lunette.alert { title = 'w', who = e.client_ip, where = e.text, why = table.concat({ e.n,\n"
        "        e.big - 2^40, tostring(e.odd), e.to, e.at, e.share, table.concat(e.all, '+'), e.int,\n"
        "        e['end'], e.client_port, e.proto, e.time }, ' ') }\n"
        "end)\n");
    bench_script(&bench, "words.lua", words);
    start(1024);
    assert_int_equal(script_host_failed(bench.host), 0);
    bench_dns(&bench, 2000, 7, "mail.example");
    bench_finish(&bench, 2001);
    assert_string_equal(
        bench.said, "a_listener|w|2|192.168.0.7|mail|1 1 true 2001:db8::1 2001 0.25 mail+x 65535 0 50000 UDP "
                    "2000|{}|+0\n"
                    "a_listener|w|2|192.168.0.7|example|2 2 false 2001:db8::2 2002 0.5 example+x 65535 0 "
                    "50000 UDP 2000|{}|+0\n");
}

static void absent_fields(void **state) {
    (void)state;
    bench_script(&bench, "bare.lua",
                 LUNETTE
                 "lunette.event('thing', { s = 'str', i = 'ip', l = 'list', n = 'u32', b = 'bool' })\n"
                 "lunette.event('nothing', {})\n"
                 "lunette.on('dns', function() lunette.emit('thing', {}) lunette.emit('nothing') end)\n");
    bench_script(
        &bench, "hears.lua",
        LUNETTE
        "lunette.on('bare.thing', function(e)\n"
        "    lunette.alert { title = 't', why = table.concat({ tostring(e.s), tostring(e.i), #e.l, e.n, "
        "tostring(e.b) }, ' ') }\n"
        "end)\n"
        "lunette.on('bare.nothing', function(e) lunette.alert { title = tostring(e) } end)\n");
    start(7);
    bench_dns(&bench, 2000, 7, "x");
    bench_finish(&bench, 2001);
    assert_string_equal(bench.said, "hears|t|2|||nil nil 0 0 false|{}|+0\n"
                                    "hears|bare.nothing event|2||||{}|+0\n");
}

/* ------------------------------------------------------------------- order */

/* A chain and its branches: `c_last` hears all, engine events too, and tells what it heard in which order.
 * Timers emit between and at the times of events, with functions that set each other. */
static void load_family(void) {
    bench_script(&bench, "b_last.lua",
                 LUNETTE "local function tell(what) lunette.alert { title = 'heard', who = what, why = "
                         "('%.3f'):format(lunette.now()) } end\n"
                         "lunette.on('dns', function(e) tell('dns ' .. e.rrname) end)\n"
                         "lunette.on('ssh', function(e) tell('ssh ' .. e.client_banner) end)\n"
                         "lunette.on('first.a', function(e) tell('a ' .. e.x .. ' ' .. e.client_ip) end)\n"
                         "lunette.on('second.b', function(e) tell('b ' .. e.x .. ' ' .. e.client_ip) end)\n"
                         "lunette.on('third.c', { n = { 1, 3 } }, function(e) tell('c ' .. e.x) end)\n"
                         "lunette.every(5, function() tell('own timer') end)\n");
    bench_script(
        &bench, "third.lua",
        LUNETTE
        "lunette.event('c', { x = 'str', n = 'u8' })\n"
        "lunette.on('second.b', function(e)\n"
        "    for n = 1, 3 do lunette.emit('c', { x = e.x .. '/' .. n, n = n }) end\n"
        "    lunette.after(0, function() lunette.emit('c', { x = 'soon after ' .. e.x, n = 1 }) end)\n"
        "end)\n"
        "lunette.on('ssh', function(e) lunette.emit('c', { x = e.client_banner, n = 3 }) end)\n");
    bench_script(&bench, "second.lua",
                 LUNETTE
                 "lunette.event('b', { x = 'str' })\n"
                 "lunette.on('first.a', function(e) lunette.emit('b', { x = e.x .. '+' }) end)\n"
                 "lunette.every(2.5, function(now) lunette.emit('b', { x = 'timer ' .. now }) end)\n");
    bench_script(&bench, "first.lua",
                 LUNETTE "lunette.event('a', { x = 'str' })\n"
                         "lunette.on('dns', function(e)\n"
                         "    lunette.emit('a', { x = e.rrname .. '1' })\n"
                         "    lunette.alert { title = 'between' }\n"
                         "    lunette.emit('a', { x = e.rrname .. '2' })\n"
                         "    lunette.after(0, function() lunette.emit('a', { x = 'at once' }) end)\n"
                         "end)\n"
                         "lunette.every(5, function(now) lunette.emit('a', { x = 'timer ' .. now }) end)\n"
                         "lunette.on_end(function() lunette.emit('a', { x = 'end' }) end)\n");
}

static void run_family(uint32_t limit, uint32_t events) {
    start(limit);
    assert_int_equal(script_host_failed(bench.host), 0);
    for (uint32_t i = 0; i < events; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%u", i);
        double at = 1001 + i * 0.25; /* some fall on the timers' times, and two have the same */
        bench_dns(&bench, at, (int)(i % 3) + 1, name);
        if (i % 2) bench_ssh(&bench, at, name);
        if (i % 5 == 0) bench_dns(&bench, at, 9, "same");
        if (i % 50 == 49) script_host_tick(bench.host);
    }
    bench_finish(&bench, 1001 + events * 0.25 + 7);
}

static void chains_in_order(void **state) {
    (void)state;
    load_family();
    run_family(1024, 1);
    /* "between" was raised at the same event as all that is below it: detectors in the order of the paths */
    const char *expected = "b_last|heard|2|dns n0||1001.000|{}|+0\n"
                           "b_last|heard|2|a n01 192.168.0.1||1001.000|{}|+0\n"
                           "b_last|heard|2|b n01+ 192.168.0.1||1001.000|{}|+0\n"
                           "b_last|heard|2|c n01+/1||1001.000|{}|+0\n"
                           "b_last|heard|2|c n01+/3||1001.000|{}|+0\n"
                           "b_last|heard|2|a n02 192.168.0.1||1001.000|{}|+0\n"
                           "b_last|heard|2|b n02+ 192.168.0.1||1001.000|{}|+0\n"
                           "b_last|heard|2|c n02+/1||1001.000|{}|+0\n"
                           "b_last|heard|2|c n02+/3||1001.000|{}|+0\n"
                           "first|between|2||||{}|+0\n";
    if (strncmp(bench.said, expected, strlen(expected)) != 0) fail_msg("%.2000s", bench.said);
    assert_non_null(strstr(bench.said, "|a at once ::|"));
    assert_non_null(strstr(bench.said, "|b timer 1002.5 ::|"));
    assert_non_null(strstr(bench.said, "|c timer 1002.5/3|"));
    assert_non_null(strstr(bench.said, "|c soon after timer 1002.5|"));
    assert_non_null(strstr(bench.said, "|c end+/3|"));
}

static void the_same_whatever_the_batch(void **state) {
    (void)state;
    static char whole[BENCH_TEXT];
    const uint32_t limits[] = {1024, 7, 1, 300};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (i > 0) {
            bench_end(&bench);
            bench_begin(&bench);
        }
        load_family();
        run_family(limits[i], 700);
        if (i == 0) memcpy(whole, bench.said, sizeof whole);
        assert_true(bench.alerts > 5000);
        assert_string_equal(bench.said, whole);
    }
}

/* ------------------------------------------------------------------- bounds */

/* Far more than there is room for: rounds within a batch. Each listener keeps a sum that depends on the
 * order. */
static void load_flood(void) {
    bench_script(
        &bench, "a_sum.lua",
        LUNETTE
        "local sum, n, last = 0, 0, 0\n"
        "local function add(x, e)\n"
        "    n = n + 1\n"
        "    sum = (sum * 31 + x + #(e.text or '') + e.client_port) % 1000003\n"
        "    if lunette.now() < last then error('back in time') end\n"
        "    last = lunette.now()\n"
        "end\n"
        "lunette.on('dns', function(e) add(1, { client_port = e.client_port }) end)\n"
        "lunette.on('source.drop', function(e) add(e.n, e) end)\n"
        "lunette.on('double.drop', function(e) add(e.n * 7, e) end)\n"
        "lunette.on('source.tick', function(e) add(e.n * 11, { client_port = 0 }) end)\n"
        "lunette.every(3, function(now) lunette.alert { title = 'sum', why = ('%d %d'):format(n, sum) } "
        "end)\n"
        "lunette.on_end(function() lunette.alert { title = 'end', why = ('%d %d'):format(n, sum) } end)\n");
    bench_script(&bench, "source.lua",
                 LUNETTE
                 "lunette.event('drop', { n = 'u32', text = 'str' })\n"
                 "lunette.event('tick', { n = 'u32' })\n"
                 "local events, kept = 0, 0\n"
                 "lunette.on('dns', function(e)\n"
                 "    events = events + 1\n"
                 "    for n = 1, events * 397 % 5000 do\n"
                 "        if lunette.emit('drop', { n = n, text = e.rrname }) then kept = kept + 1 end\n"
                 "    end\n"
                 "end)\n"
                 "lunette.every(0.05, function() for n = 1, 900 do lunette.emit('tick', { n = n }) end end)\n"
                 "lunette.on_end(function() lunette.alert { title = 'kept', why = tostring(kept) } end)\n");
    bench_script(&bench, "double.lua",
                 LUNETTE "lunette.event('drop', { n = 'u32', text = 'str' })\n"
                         "lunette.on('source.drop', { n = { 1, 2, 3, 5, 8, 13, 21, 34, 55 } }, function(e)\n"
                         "    lunette.emit('drop', { n = e.n, text = e.text .. '!' })\n"
                         "    lunette.emit('drop', { n = e.n + 1, text = 'again' })\n"
                         "end)\n");
}

static void a_flood_is_bounded_by_the_event(void **state) {
    (void)state;
    static char whole[BENCH_TEXT];
    const uint32_t limits[] = {1024, 1, 7, 100};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (i > 0) {
            bench_end(&bench);
            bench_begin(&bench);
        }
        load_flood();
        start(limits[i]);
        uint64_t kept = 0;
        for (uint32_t k = 1; k <= 120; k++) {
            char name[32];
            snprintf(name, sizeof name, "name%u", k);
            bench_dns(&bench, 1001 + k * 0.1, 1, name);
            kept += k * 397 % 5000 < 4096 ? k * 397 % 5000 : 4096;
        }
        bench_finish(&bench, 1020);
        if (i == 0) memcpy(whole, bench.said, sizeof whole);
        assert_string_equal(bench.said, whole);
        char expected[64];
        snprintf(expected, sizeof expected, "|%llu|", (unsigned long long)kept);
        assert_non_null(strstr(bench.said, expected));
        assert_null(strstr(bench.said, "back in time"));
        struct detector_status status;
        script_host_status(bench.host, 0, &status);
        assert_int_equal(status.errors, 0);
    }
}

static void long_texts_are_bounded_too(void **state) {
    (void)state;
    bench_script(
        &bench, "source.lua",
        LUNETTE "lunette.event('drop', { text = 'str', all = 'list' })\n"
                "local long = ('x'):rep(200000)\n"
                "lunette.on('dns', function(e)\n"
                "    local kept = 0\n"
                "    local list = {}\n"
                "    for n = 1, 2000 do list[n] = 'y' end\n"
                "    lunette.emit('drop', { all = list })\n"
                "    for n = 1, 12 do if lunette.emit('drop', { text = long }) then kept = kept + 1 end end\n"
                "    lunette.alert { title = 'kept', why = tostring(kept) }\n"
                "end)\n");
    bench_script(&bench, "z.lua",
                 LUNETTE "lunette.on('source.drop', function(e) lunette.alert { title = 'heard', why = "
                         "#(e.text or '') .. ' ' .. #e.all } end)\n");
    start(1024);
    for (int i = 0; i < 3; i++) bench_dns(&bench, 1001 + i, 1, "x");
    bench_finish(&bench, 1010);
    /* 65,536 bytes of a text, 1,024 items of a list, 512 KiB in all */
    assert_non_null(strstr(bench.said, "source|kept|2|||7|"));
    assert_null(strstr(bench.said, "source|kept|2|||8|"));
    assert_non_null(strstr(bench.said, "z|heard|2|||65536 0|"));
    assert_non_null(strstr(bench.said, "z|heard|2|||0 1024|"));
    assert_int_equal(bench.alerts, 3 * (1 + 7 + 1));
}

/* -------------------------------------------------------------- what is refused */

static void filters_and_sets(void **state) {
    (void)state;
    bench_script(&bench, "words.lua", words);
    bench_script(&bench, "hears.lua",
                 LUNETTE
                 "local names = lunette.set.strings { 'one', 'three' }\n"
                 "local nets = lunette.set.prefixes { '2001:db8::2/127' }\n"
                 "local function tell(title) return function(e) lunette.alert { title = title, why = e.text "
                 "} end end\n"
                 "lunette.on('words.word', { text = names }, tell 'set')\n"
                 "lunette.on('words.word', { to = nets }, tell 'net')\n"
                 "lunette.on('words.word', { odd = true, n = { 3, 4 } }, tell 'number')\n"
                 "lunette.on('words.word', { text = 'two', client_ip = '192.168.0.5' }, tell 'text')\n"
                 "lunette.on('words.word', function(e)\n"
                 "    if names:has(e, 'text') and nets:has(e, 'to') then lunette.alert { title = 'both', why "
                 "= e.text } end\n"
                 "end)\n");
    start(16);
    bench_dns(&bench, 1001, 5, "one two three");
    bench_finish(&bench, 1002);
    assert_string_equal(bench.said, "hears|set|2|||one|{}|+0\n"
                                    "hears|net|2|||two|{}|+0\n"
                                    "hears|text|2|||two|{}|+0\n"
                                    "hears|set|2|||three|{}|+0\n"
                                    "hears|net|2|||three|{}|+0\n"
                                    "hears|number|2|||three|{}|+0\n"
                                    "hears|both|2|||three|{}|+0\n");
}

/* What a script's body raises, beside a script "words" with the event above. */
static void body_says(const char *body, const char *expected) {
    char script[4096];
    snprintf(script, sizeof script,
             LUNETTE "local ok, why = pcall(function()\n%s\nend)\nlunette.on('dns', function() lunette.alert "
                     "{ title = why or 'fine' } end)\n",
             body);
    bench_begin(&bench);
    bench_script(&bench, "words.lua", words);
    bench_script(&bench, "asks.lua", script);
    start(1);
    bench_dns(&bench, 1001, 5, "one");
    if (!strstr(bench.said, expected)) fail_msg("'%s' does not say '%s'", bench.said, expected);
    bench_end(&bench);
}

static void wrong_uses_are_told(void **state) {
    (void)state;
    body_says("lunette.on('word.word', print)", "no script word.lua was named");
    body_says("lunette.on('word.word', print)", "; did you mean 'words.word'?");
    body_says("lunette.on('words.wort', print)", "there is no event 'words.wort'");
    body_says("lunette.on('words.wort', print)", "did you mean 'words.word'?");
    body_says("lunette.on('asks.own', print)", "call a function where you emit it");
    body_says("lunette.on('words.', print)", "there is no event 'words.'");
    body_says("lunette.on('.', print)", "no script .lua was named");
    body_says("lunette.on('words.word', { txt = 'x' }, print)",
              "words.word events have no such field; did you mean 'text'?");
    body_says("lunette.on('words.word', { text = 5 }, print)", "it is a str, not a number");
    body_says("lunette.on('words.word', { n = 'x' }, print)", "it is a u8, not a string");
    body_says("lunette.on('words.word', { all = 'x' }, print)", "it is a list, not a string");
    body_says("lunette.on('words.word', { bpf = 'icmp' }, print)", "bpf filters work on packet events only");
    body_says("lunette.on('words.word', { to = lunette.set.strings { 'x' } }, print)",
              "addresses go with prefix sets");
    body_says("lunette.on('dns', { rrnam = 'x' }, print)", "did you mean 'rrname'?");
    body_says("lunette.event('a b', {})", "cannot be an event's name");
    body_says("lunette.event('a', { ['x-y'] = 'str' })", "cannot be a field's name");
    body_says("lunette.event('a', { x = 'strr' })", "there is no type 'strr' (of 'x'); did you mean 'str'?");
    body_says("lunette.event('a', { client_ip = 'ip' })", "every event has a field 'client_ip' already");
    body_says("lunette.event('a', 'x')", "a table of fields is expected");
    body_says("lunette.event('a', {}) lunette.event('a', {})", "'a' is declared twice");
    body_says("for i = 1, 33 do lunette.event('e' .. i, {}) end", "32 events at most");
    body_says("local f = {} for i = 1, 33 do f['f' .. i] = 'u8' end lunette.event('a', f)",
              "32 fields at most");
    body_says("lunette.event('a', {}) lunette.emit('a', {})", "not while the script is being loaded");
    body_says("local f = {} for i = 1, 32 do f['f' .. i] = 'ip' end lunette.event('a', f)", "fine");
}

static void emit_says(const char *call, const char *expected) {
    char script[4096];
    snprintf(script, sizeof script,
             LUNETTE "lunette.event('word', { text = 'str', n = 'u8', to = 'ip', all = 'list', odd = 'bool', "
                     "at = 'time' })\n"
                     "lunette.on('dns', function(e)\n"
                     "    local ok, why = pcall(function()\n%s\nend)\n"
                     "    lunette.alert { title = why or 'fine' }\n"
                     "end)\n",
             call);
    bench_begin(&bench);
    bench_script(&bench, "emits.lua", script);
    bench_script(&bench, "hears.lua",
                 LUNETTE "lunette.on('emits.word', function(e) lunette.alert { title = 'heard' } end)");
    start(1);
    bench_dns(&bench, 1001, 5, "one");
    if (!strstr(bench.said, expected)) fail_msg("'%s' does not say '%s'", bench.said, expected);
    bool fine = strcmp(expected, "fine") == 0;
    assert_int_equal(strstr(bench.said, "heard") != NULL, fine);
    assert_int_equal(bench.alerts, fine ? 2 : 1);
    bench_end(&bench);
}

static void wrong_emissions_are_told(void **state) {
    (void)state;
    emit_says("lunette.emit('wort', {})", "declares no event 'wort'; did you mean 'word'?");
    emit_says("lunette.emit('emits.word', {})", "leave the script's own name out");
    emit_says("lunette.emit(nil, {})", "declares no event 'nil'");
    emit_says("lunette.emit('word', { txt = 'x' })",
              ":5: lunette.emit: 'emits.word' has no field 'txt'; did you mean 'text'?");
    emit_says(
        "lunette.emit('word', { text = 'x', n = 1, to = '::1', all = {}, odd = true, at = 1, more = 2 })",
        "has no field 'more'");
    emit_says("lunette.emit('word', { text = 5 })", "'text' of 'emits.word' is 5: expected a string");
    emit_says("lunette.emit('word', { n = 'x' })", "'n' of 'emits.word' is 'x': expected a number");
    emit_says("lunette.emit('word', { n = 0/0 })", "expected a number");
    emit_says("lunette.emit('word', { to = '1.2.3' })",
              "'to' of 'emits.word' is '1.2.3': expected an address");
    emit_says("lunette.emit('word', { all = { 'x', 5 } })", "expected a list of strings");
    emit_says("lunette.emit('word', { odd = 1 })", "expected true or false");
    emit_says("lunette.emit('word', 'x')", "a table of fields is expected");
    emit_says("lunette.emit('word', e)", "a table of fields is expected");
    emit_says("lunette.emit('word', setmetatable({}, { __index = function() error 'called' end }))", "fine");
    emit_says("lunette.emit('word')", "fine");
}

static void circles_are_named(void **state) {
    (void)state;
    bench_script(&bench, "a.lua", LUNETTE "lunette.event('x', {})\nlunette.on('c.x', function() end)\n");
    bench_script(&bench, "b.lua", LUNETTE "lunette.event('x', {})\nlunette.on('a.x', function() end)\n");
    bench_script(&bench, "c.lua",
                 LUNETTE "lunette.event('x', {})\nlocal ok, why = pcall(lunette.on, 'b.x', print)\n"
                         "lunette.on('dns', function() lunette.alert { title = why } end)\n");
    start(1);
    bench_dns(&bench, 1001, 1, "x");
    assert_non_null(strstr(bench.said, "'a.x' closes a circle") ? ""
                                                                : strstr(bench.said, "could not be loaded"));
    assert_int_equal(script_host_failed(bench.host), 1); /* b; the others could do without */
    assert_non_null(strstr(script_host_failed_path(bench.host, 0), "b.lua"));
}

/* A view of an emitted event is as good for its handler only as any other. */
static void views_end_with_their_events(void **state) {
    (void)state;
    bench_script(&bench, "words.lua", words);
    bench_script(
        &bench, "hears.lua",
        LUNETTE
        "local kept\n"
        "lunette.on('words.word', function(e)\n"
        "    if kept then lunette.alert { title = select(2, pcall(function() return kept.text end)) } end\n"
        "    if not pcall(function() e.text = 'x' end) then lunette.alert { title = 'read only' } end\n"
        "    local ok, why = pcall(function() return e.txet end)\n"
        "    if not kept then lunette.alert { title = why } end\n"
        "    kept = e\n"
        "end)\n");
    start(1);
    bench_dns(&bench, 1001, 1, "one");
    bench_dns(&bench, 1002, 1, "two");
    assert_non_null(strstr(bench.said, "this event is over"));
    assert_non_null(strstr(bench.said, "read only"));
    assert_non_null(strstr(bench.said, "words.word events have no field 'txet'; did you mean 'text'?"));
}

/* ------------------------------------------------------------------- reload */

static char summary[2048];

static int reload(struct error *err) {
    const struct script_options options = {
        .paths = (const char *const *)bench.paths, .path_count = bench.count, .memory_limit = bench.memory};
    struct script_reload *reload = script_reload_prepare(bench.host, &options, false, err);
    if (!reload) return -1;
    int outcome = script_reload_stage(reload, err);
    if (outcome == 0)
        script_reload_commit(reload);
    else
        script_reload_abandon(reload);
    snprintf(summary, sizeof summary, "%s", script_reload_summary(reload));
    script_reload_free(reload);
    return outcome;
}

static void must_reload(void) {
    struct error err = {.text = ""};
    if (reload(&err) < 0) fail_msg("%s", err.text);
}

static const char counts[] = LUNETTE "local own = { n = 0 }\n"
                                     "lunette.state('own', { max = 1 }):set('all', own)\n"
                                     "lunette.on('source.thing', function(e)\n"
                                     "    own.n = own.n + 1\n"
                                     "    lunette.alert { title = 'heard', why = e.x .. ' ' .. own.n }\n"
                                     "end)\n";

static void listeners_go_with_their_emitter(void **state) {
    (void)state;
    struct error err = {.text = ""};
    bench_script(&bench, "listens.lua", counts);
    bench_script(&bench, "other.lua", LUNETTE "lunette.on('ssh', function() end)\n");
    bench_script(&bench, "source.lua",
                 LUNETTE "lunette.event('thing', { x = 'str' })\n"
                         "lunette.on('dns', function(e) lunette.emit('thing', { x = e.rrname }) end)\n");
    start(1024);
    bench_dns(&bench, 1001, 1, "one");
    bench_file(&bench, "source.lua",
               LUNETTE
               "lunette.event('more', { y = 'u8' })\n"
               "lunette.event('thing', { a = 'ip', x = 'str' })\n"
               "lunette.on('dns', function(e) lunette.emit('thing', { x = 'new ' .. e.rrname }) end)\n");
    must_reload();
    assert_non_null(strstr(summary, "source loaded anew (source.lua changed)"));
    assert_non_null(strstr(summary, "listens loaded anew (source, which it hears, was loaded anew)"));
    assert_null(strstr(summary, "other"));
    bench_dns(&bench, 1002, 1, "two");
    script_host_tick(bench.host);
    assert_string_equal(bench.said, "listens|heard|2|||one 1|{}|+0\nlistens|heard|2|||new two 2|{}|+0\n");

    /* the event is gone: the listener does not load, so all stay */
    bench_file(&bench, "source.lua",
               LUNETTE "lunette.event('more', {})\nlunette.on('dns', function(e) end)\n");
    assert_int_equal(reload(&err), -1);
    assert_non_null(strstr(err.text, "listens.lua:4: lunette.on: there is no event 'source.thing'"));
    bench_dns(&bench, 1003, 1, "three");
    script_host_tick(bench.host);
    assert_non_null(strstr(bench.said, "new three 3"));

    /* so is the whole script: it is not named, and does not lie beside the listener either */
    size_t count = bench.count;
    bench.count = 2;
    char source[300];
    snprintf(source, sizeof source, "%s/source.lua", bench.folder);
    unlink(source);
    assert_int_equal(reload(&err), -1);
    assert_non_null(strstr(err.text, "no script source.lua was named"));
    bench.count = count;
    bench_dns(&bench, 1004, 1, "four");
    script_host_tick(bench.host);
    assert_non_null(strstr(bench.said, "new four 4"));
}

static void a_listener_comes_in_when_its_emitter_does(void **state) {
    (void)state;
    bench_script(&bench, "listens.lua", counts);
    bench_script(&bench, "source.lua", LUNETTE "lunette.event('thing', { x = 'str' }");
    start(1024);
    assert_int_equal(script_host_failed(bench.host), 2);
    bench_file(&bench, "source.lua",
               LUNETTE "lunette.event('thing', { x = 'str' })\n"
                       "lunette.on('dns', function(e) lunette.emit('thing', { x = e.rrname }) end)\n");
    must_reload();
    assert_int_equal(script_host_failed(bench.host), 0);
    bench_dns(&bench, 1001, 1, "one");
    script_host_tick(bench.host);
    assert_string_equal(bench.said, "listens|heard|2|||one 1|{}|+0\n");
}

/* An emitter that is switched off emits no more; whoever listens goes on. */
static void off_is_off(void **state) {
    (void)state;
    bench_script(&bench, "listens.lua",
                 LUNETTE
                 "lunette.on('source.thing', function(e) lunette.alert { title = 'thing', why = e.x } end)\n"
                 "lunette.on('dns', function(e) lunette.alert { title = 'dns' } end)\n");
    bench_script(&bench, "source.lua",
                 LUNETTE
                 "lunette.event('thing', { x = 'str' })\n"
                 "lunette.on('dns', function(e) lunette.emit('thing', { x = e.rrname }) error('no') end)\n");
    start(1024);
    for (int i = 0; i < 30; i++) bench_dns(&bench, 1001 + i, 1, "x");
    bench_finish(&bench, 1040);
    assert_int_equal(bench.alerts, 30 + 20);
    struct detector_status status;
    script_host_status(bench.host, 1, &status);
    assert_true(status.off);
}

/* --------------------------------------------------------------- compiled */

static void both_ends_are_compiled(void **state) {
    (void)state;
    bench_script(&bench, "source.lua",
                 LUNETTE
                 "lunette.event('thing', { x = 'str', n = 'u32', to = 'ip', odd = 'bool', at = 'time' })\n"
                 "lunette.on('dns', function(e)\n"
                 "    lunette.emit('thing', { x = e.rrname, n = e.client_port, to = e.client_ip, odd = true, "
                 "at = e.time })\n"
                 "end)\n");
    bench_script(&bench, "listens.lua",
                 LUNETTE
                 "local names, sum = lunette.set.domains { 'example' }, 0\n"
                 "lunette.on('source.thing', { odd = true }, function(e)\n"
                 "    if names:has(e, 'x') and e.client_ip ~= '' then sum = sum + e.n + #e.x end\n"
                 "end)\n"
                 "lunette.on_end(function() lunette.alert { title = 'sum', why = tostring(sum) } end)\n");
    start(256);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(luaL_dostring(bench.host->detectors[i]->lua, jit_watch), 0);
    for (int i = 0; i < 20000; i++) bench_dns(&bench, 1001 + i * 0.001, 1, "mail.example");
    bench_finish(&bench, 1100);
    assert_non_null(strstr(bench.said, "|1000240000|"));
    assert_int_equal(jit_noted(bench.host->detectors[0]->lua, "aborted", "dns"), 0);
    assert_true(jit_noted(bench.host->detectors[0]->lua, "finished", "dns") > 0);
    assert_int_equal(jit_noted(bench.host->detectors[1]->lua, "aborted", "source.thing"), 0);
    assert_true(jit_noted(bench.host->detectors[1]->lua, "finished", "source.thing") > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fields_arrive, begin, end),
        cmocka_unit_test_setup_teardown(absent_fields, begin, end),
        cmocka_unit_test_setup_teardown(chains_in_order, begin, end),
        cmocka_unit_test_setup_teardown(the_same_whatever_the_batch, begin, end),
        cmocka_unit_test_setup_teardown(a_flood_is_bounded_by_the_event, begin, end),
        cmocka_unit_test_setup_teardown(long_texts_are_bounded_too, begin, end),
        cmocka_unit_test_setup_teardown(filters_and_sets, begin, end),
        cmocka_unit_test_setup_teardown(circles_are_named, begin, end),
        cmocka_unit_test_setup_teardown(views_end_with_their_events, begin, end),
        cmocka_unit_test_setup_teardown(listeners_go_with_their_emitter, begin, end),
        cmocka_unit_test_setup_teardown(a_listener_comes_in_when_its_emitter_does, begin, end),
        cmocka_unit_test_setup_teardown(off_is_off, begin, end),
        cmocka_unit_test_setup_teardown(both_ends_are_compiled, begin, end),
        cmocka_unit_test(wrong_uses_are_told),
        cmocka_unit_test(wrong_emissions_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
