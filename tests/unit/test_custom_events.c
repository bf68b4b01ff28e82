/* Events that scripts declare, emit and hear: in which order, what is refused, what bounds them. */
#include "base/log.h"
#include "script/reload.h"
#include "script_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define LUNETTE "local lunette = require 'lunette'\n"

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
    bench_script(&bench, "hears.lua",
                 LUNETTE
                 "lunette.on('bare.thing', function(e)\n"
                 "    lunette.alert { title = 't', why = table.concat({ tostring(e.s), e.i, #e.l, e.n, "
                 "tostring(e.b) }, ' ') }\n"
                 "end)\n"
                 "lunette.on('bare.nothing', function(e) lunette.alert { title = tostring(e) } end)\n");
    start(7);
    bench_dns(&bench, 2000, 7, "x");
    bench_finish(&bench, 2001);
    assert_string_equal(bench.said, "hears|t|2|||nil :: 0 0 false|{}|+0\n"
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fields_arrive, begin, end),
        cmocka_unit_test_setup_teardown(absent_fields, begin, end),
        cmocka_unit_test_setup_teardown(chains_in_order, begin, end),
        cmocka_unit_test_setup_teardown(the_same_whatever_the_batch, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
