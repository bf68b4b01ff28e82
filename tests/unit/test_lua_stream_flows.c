/* lunette.stream: which flows are parsed, from when to when, and what gives way when there are too many. */
#include "stream_lab.h"

/* --------------------------------------------------------------------- bounds */

static void a_message_longer_than_the_limit_ends_the_parser(void **state) {
    (void)state;
    static const char script[] =
        SAY "lunette.stream { ports = { 9999 }, limit = 100,\n"
            "  client = function(r, s) say('line', #r:line()) r:skip(1000) say(r:position()) "
            "say(#r:bytes(r:u8())) "
            "end,\n"
            "  server = function(r, s) say('up to', r:upto('!', 4)) say('up to', r:upto('!', 4)) end,\n"
            "  closed = function(s, reason) say(reason, s.client_port) end }\n";
    struct lab lab;
    char text[1200];
    memset(text, 'x', sizeof text);
    text[100] = '\n';
    text[1101] = 101; /* bytes asked for: one too many, however many are there */
    for (size_t step = 1; step <= sizeof text; step *= 7) {
        lab_begin(&lab, script, 256);
        drive_open(&lab.drive);
        for (size_t at = 0; at < sizeof text; at += step)
            lab_say(&lab, TO_SERVER, text + at, sizeof text - at < step ? sizeof text - at : step);
        server(&lab, "four!fi");
        server(&lab, "ve.!");
        both_close(&lab);
        lab_finish(&lab);
        EXPECT(&lab, "line 100", "1101", "up to four", "limit 20001");
        lab_end(&lab);
    }
}

static void the_oldest_flow_gives_way(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab,
              SAY "lunette.stream { ports = { 9999 }, flows = 2, client = function(r, s)\n"
                  "  say(s.client_port, r:line()) say(s.client_port, r:line()) end }\n",
              256);
    uint32_t next[4];
    for (int i = 1; i <= 3; i++) {
        drive_open(&lab.drive);
        client(&lab, "one\n");
        next[i] = lab.drive.next_seq[TO_SERVER];
    }
    for (int i = 1; i <= 3; i++) {
        lab.drive.client_port = (uint16_t)(20000 + i);
        lab.drive.next_seq[TO_SERVER] = next[i];
        client(&lab, "two\n");
    }
    lab_finish(&lab);
    struct detector_status status;
    script_host_status(lab.bench.host, 0, &status);
    assert_int_equal(status.evicted, 1);
    EXPECT(&lab, "20001 one", "20002 one", "20003 one", "20002 two", "20003 two");
    lab_end(&lab);
}

/* What waits is bounded in all, too: a detector does not lose its memory to flows that never go on. */
static void bytes_that_wait_are_bounded_in_all(void **state) {
    (void)state;
    struct lab lab;
    static char chunk[60000];
    lab_begin(&lab, "require('lunette').stream { ports = { 9999 }, client = function(r) r:need(65000) end }",
              256);
    for (int i = 0; i < 3000; i++) { /* 180 MB of a bound of 256 */
        drive_open(&lab.drive);
        lab_say(&lab, TO_SERVER, chunk, sizeof chunk);
    }
    lab_finish(&lab);
    struct detector_status status;
    script_host_status(lab.bench.host, 0, &status);
    assert_false(status.off);
    assert_int_equal(status.errors, 0);
    assert_true(status.evicted > 1000);
    lab_end(&lab);
}

/* ----------------------------------------------------------- who is listened to */

static void first_bytes_decide(void **state) {
    (void)state;
    static const char script[] = SAY
        "lunette.stream { starts = { client = { 'HEL', 'PING ' }, server = 'YO' },\n"
        "  client = function(r, s) while true do say('C', s.client_port, r:line(), r:position()) end end,\n"
        "  server = function(r, s) while true do say('S', s.client_port, r:line(), r:position()) end end }\n";
    for (uint32_t batch = 1; batch <= 1024; batch *= 32) {
        struct lab lab;
        lab_begin(&lab, script, batch);
        drive_open(&lab.drive); /* 20001: cut in the middle of what is looked for */
        client(&lab, "H");
        server(&lab, "welcome\n");
        client(&lab, "EL");
        client(&lab, "O\n");
        drive_open(&lab.drive); /* 20002: the server's word decides, late */
        client(&lab, "first\n");
        client(&lab, "second\n");
        server(&lab, "YO!\n");
        drive_open(&lab.drive); /* 20003: none of it */
        client(&lab, "HEY\n");
        server(&lab, "NO\n");
        client(&lab, "HELLO\n");
        drive_open(&lab.drive); /* 20004: what came before the gap cannot tell */
        client(&lab, "PI");
        lab.drive.next_seq[TO_SERVER] += 3;
        client(&lab, "PING \n");
        server(&lab, "YO\n");
        lab_finish(&lab);
        EXPECT(&lab, "S 20001 welcome 8", "C 20001 HELO 5", "C 20002 first 6", "C 20002 second 13",
               "S 20002 YO! 4", "S 20004 YO 3");
        lab_end(&lab);
    }
}

static void a_parser_that_returns_wants_no_more(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(
        &lab,
        SAY
        "lunette.stream { ports = { 9999 }, client = function(r, s) say(r:line()) end,\n"
        "  server = function(r, s) say(r:line()) local function deep() r:stop() end deep() say('no') end,\n"
        "  closed = function(s, reason) say(reason) end }\n",
        1);
    drive_open(&lab.drive);
    client(&lab, "one\ntwo\n");
    struct detector_status before, after;
    script_host_status(lab.bench.host, 0, &before);
    for (int i = 0; i < 100; i++) client(&lab, "more\n");
    script_host_status(lab.bench.host, 0, &after);
    assert_int_equal(before.events, after.events); /* nothing is made for nobody */
    server(&lab, "ready\nx\n");
    for (int i = 0; i < 100; i++) server(&lab, "more\n");
    both_close(&lab);
    lab_finish(&lab);
    EXPECT(&lab, "one", "ready", "end");
    lab_end(&lab);
}

static void datagrams_are_parsed_one_by_one(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(
        &lab,
        SAY "lunette.stream { transport = 'udp', ports = { 9999 }, starts = { client = 'Q' },\n"
            "  client = function(r, s) s.state.n = (s.state.n or 0) + 1\n"
            "    say('C', s.state.n, r:available(), r:bytes(2), r:position()) r:need(3) say(r:rest()) end,\n"
            "  server = function(r, s) say('S', s.state.n, r:line()) end,\n"
            "  closed = function(s, reason) say(s.server_port, reason) end }\n",
        256);
    lab.drive.proto = 17;
    lab.drive.client_port = 30000;
    client(&lab, "abcdef");
    client(&lab, "x"); /* too short: its parser waits for what never comes */
    server(&lab, "yes\n");
    client(&lab, "mnop");
    lab.drive.server_port = 9998;
    client(&lab, "no");
    client(&lab, "Qyes");
    lab_finish(&lab);
    EXPECT(&lab, "C 1 6 ab 2", "cdef", "S 2 yes", "C 3 4 mn 2", "C 1 4 Qy 2", "9999 end", "9998 end");
    lab_end(&lab);
}

static void alerts_carry_the_flow(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(
        &lab,
        "local lunette = require 'lunette'\nlunette.stream { ports = { 9999 }, client = function(r, s)\n"
        "  r:line() lunette.alert { title = 'x', who = s.client_ip, where = s.server_ip, why = "
        "('%.3f %.3f'):format(s.time, lunette.now()) } end }\n",
        256);
    drive_open(&lab.drive);
    client(&lab, "o");
    client(&lab, "n\n");
    lab_finish(&lab);
    expect_said(&lab, "s|x|2|192.0.2.1|198.51.100.1|1700000000.005 1700000000.005|{}|+0\n");
    lab_end(&lab);
}

/* State of the flow, as handlers of events keep it: what a parser puts there, they find. */
static void per_flow_state_is_the_flows(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab,
              SAY "local counts = lunette.flow_state { lines = 'u32' }\n"
                  "lunette.stream { ports = { 9999 }, client = function(r, s)\n"
                  "  while true do r:line() local c = counts:of(s) c.lines = c.lines + 1 end end }\n"
                  "lunette.on('flow', function(e) say(e.client_port, counts:of(e).lines) end)\n",
              256);
    for (int i = 1; i <= 3; i++) {
        drive_open(&lab.drive);
        for (int k = 0; k < i; k++) client(&lab, "x\n");
    }
    lab_finish(&lab);
    EXPECT(&lab, "20001 1", "20002 2", "20003 3");
    lab_end(&lab);
}

/* ----------------------------------------------------------------------- reload */

static void reload(struct lab *lab, const char *script) {
    struct error err = {.text = ""};
    bench_file(&lab->bench, "s.lua", script);
    const struct script_options options = {.paths = (const char *const *)lab->bench.paths,
                                           .path_count = lab->bench.count};
    struct script_reload *reload = script_reload_prepare(lab->bench.host, &options, true, &err);
    if (!reload) fail_msg("%s", err.text);
    assert_int_equal(script_reload_stage(reload, &err), 0);
    script_reload_commit(reload);
    script_reload_free(reload);
}

static void open_flows_are_not_the_new_ones(void **state) {
    (void)state;
    static const char other[] =
        "local lunette = require 'lunette'\nlunette.stream { ports = { 9999 }, client = "
        "function(r, s) while true do lunette.alert { title = 'o ' .. r:line() } end end }\n";
    struct lab lab;
    lab_begin_two(&lab, LINES, other, 1);
    drive_open(&lab.drive);
    client(&lab, "one\ntw");
    reload(&lab, LINES "-- anew\n");
    client(&lab, "o\n");
    drive_open(&lab.drive);
    client(&lab, "three\n");
    both_close(&lab);
    lab_finish(&lab);
    char expected[1024] = "";
    strcat(expected, "other|o one|2||||{}|+0\nother|o three|2||||{}|+0\n");
    strcat(expected, line("C three"));
    strcat(expected, line("end"));
    expect_said(&lab, expected);
    lab_end(&lab);
}

static void a_flow_begun_before_the_script_is_not_listened_to(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, "require('lunette').on('dns', function() end)", 1);
    drive_open(&lab.drive); /* its first bytes come later */
    reload(&lab, LINES);
    client(&lab, "one\n");
    drive_open(&lab.drive);
    client(&lab, "two\n");
    reload(&lab, "require('lunette').on('dns', function() end)");
    client(&lab, "three\n");
    reload(&lab, LINES);
    client(&lab, "four\n");
    both_close(&lab);
    lab_finish(&lab);
    expect_said(&lab, "");
    lab_end(&lab);
}

/* Nor to many that are open at once, however little each has said, nor with little memory. */
static void flows_that_wait_are_bounded_in_all(void **state) {
    (void)state;
    struct lab lab;
    const char script[] = "local function f(r, s) while true do s.state.line = r:line() end end\n"
                          "require('lunette').stream { ports = { 9999 }, client = f, server = f }";
    lab_begin_with(&lab, script, NULL, 256, (size_t)16 << 20);
    for (int i = 0; i < 6000; i++) {
        drive_open(&lab.drive);
        client(&lab, "hello\nwor");
        server(&lab, "hello\nwor");
    }
    lab_finish(&lab);
    struct detector_status status;
    script_host_status(lab.bench.host, 0, &status);
    assert_false(status.off);
    assert_true(status.evicted > 5000);
    lab_end(&lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_longer_than_the_limit_ends_the_parser),
        cmocka_unit_test(the_oldest_flow_gives_way),
        cmocka_unit_test(bytes_that_wait_are_bounded_in_all),
        cmocka_unit_test(flows_that_wait_are_bounded_in_all),
        cmocka_unit_test(first_bytes_decide),
        cmocka_unit_test(a_parser_that_returns_wants_no_more),
        cmocka_unit_test(datagrams_are_parsed_one_by_one),
        cmocka_unit_test(alerts_carry_the_flow),
        cmocka_unit_test(per_flow_state_is_the_flows),
        cmocka_unit_test(open_flows_are_not_the_new_ones),
        cmocka_unit_test(a_flow_begun_before_the_script_is_not_listened_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
