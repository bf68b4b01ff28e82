/* lunette.stream: what a parser in Lua is given, through the real flow room: each byte once, in order,
 * whatever way it was cut into segments, and none after a gap; and what becomes of its mistakes. */
#include "stream_lab.h"

/* ------------------------------------------------------------- cut everywhere */

/* Reads with everything that a reader has, so that each may be cut in two. */
static const char everything[] = SAY
    "lunette.stream {\n"
    "  ports = { 9999 },\n"
    "  client = function(r, s)\n"
    "    say(r:u8(), r:u16be(), r:u16le(), r:u24be(), r:u24le())\n"
    "    say(r:u32be(), r:u32le(), ('%.0f'):format(r:u64be()), ('%.0f'):format(r:u64le()), 'at', "
    "r:position())\n"
    "    r:need(3) say(r:peek(3), r:bytes(2), r:bytes(0), r:position())\n"
    "    r:skip(1) say(r:line(), r:line(), r:line())\n"
    "    say(r:upto('--'), r:upto('\\0'), r:upto('ab'), r:position())\n"
    "    say('rest', r:rest(), r:position())\n"
    "  end,\n"
    "  closed = function(s, reason) say('closed', reason, s.client_ip, s.client_port, s.server_port) end,\n"
    "}\n";
static const char message[] = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b"
                              "\x10\x11\x12\x13\x14\x15\x16\x17"
                              "\x00\x01\x02\x03\x04\x05\x06\x07\x01\x00\x00\x00\x00\x00\x10\x00"
                              "xyz"
                              "one\ntwo\r\n\r\n"
                              "a-b--c\0aab"
                              "the end";
static const char *const heard[] = {"1 515 1284 395016 723465",
                                    "269554195 387323156 283686952306183 4503599627370497 at 35",
                                    "xyz xy  37",
                                    "one two ",
                                    "a-b c a 59",
                                    "rest the end 66",
                                    "closed end 192.0.2.1 20001 9999",
                                    NULL};

static void one_way_to_cut(const uint32_t *cuts, uint32_t count, uint32_t batch) {
    struct lab lab;
    lab_begin(&lab, everything, batch);
    drive_open(&lab.drive);
    uint32_t at = 0;
    for (uint32_t i = 0; i <= count; i++) {
        uint32_t to = i < count ? cuts[i] : sizeof message - 1;
        if (to > at) lab_say(&lab, TO_SERVER, message + at, to - at);
        at = to > at ? to : at;
    }
    both_close(&lab);
    lab_finish(&lab);
    expect_lines(&lab, heard);
    lab_end(&lab);
}

static void every_cut_gives_the_same(void **state) {
    (void)state;
    one_way_to_cut(NULL, 0, 256);
    for (uint32_t cut = 1; cut < sizeof message - 1; cut++) one_way_to_cut(&cut, 1, cut % 3 ? 256 : 1);
}

static void byte_by_byte_gives_the_same(void **state) {
    (void)state;
    uint32_t cuts[sizeof message];
    for (uint32_t i = 0; i < sizeof message - 2; i++) cuts[i] = i + 1;
    one_way_to_cut(cuts, sizeof message - 2, 1);
    one_way_to_cut(cuts, sizeof message - 2, 7);
    one_way_to_cut(cuts, sizeof message - 2, 1024);
}

/* ------------------------------------------------------------ order and holes */

static void both_directions_go_on_side_by_side(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, LINES, 256);
    drive_open(&lab.drive);
    client(&lab, "hel");
    server(&lab, "220 re");
    client(&lab, "lo\nmore");
    server(&lab, "ady\n");
    client(&lab, "\n");
    both_close(&lab);
    lab_finish(&lab);
    EXPECT(&lab, "C hello", "S 220 ready", "C more", "end");
    lab_end(&lab);
}

static void segments_out_of_order_and_twice_are_put_right(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, LINES, 256);
    drive_open(&lab.drive);
    client_at(&lab, 4, "two\n");
    client_at(&lab, 8, "three\n");
    client_at(&lab, 0, "one\n");
    client_at(&lab, 0, "ONE\nTWO\n"); /* the first to come is the one that counts */
    lab.drive.next_seq[TO_SERVER] += 14;
    client(&lab, "four\n");
    both_close(&lab);
    lab_finish(&lab);
    EXPECT(&lab, "C one", "C two", "C three", "C four", "end");
    lab_end(&lab);
}

static void a_gap_ends_the_parser_of_its_direction(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, LINES, 256);
    drive_open(&lab.drive);
    client(&lab, "one\n");
    lab.drive.next_seq[TO_SERVER] += 100; /* these never come … */
    client(&lab, "two\n");
    server(&lab, "fine\n"); /* … though the server had them */
    client(&lab, "three\n");
    server(&lab, "still fine\n");
    both_close(&lab);
    lab_finish(&lab);
    EXPECT(&lab, "C one", "S fine", "S still fine", "gap");
    lab_end(&lab);
}

static void what_a_snap_length_cut_off_is_a_gap(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, LINES, 256);
    drive_open(&lab.drive);
    drive_packet(&lab.drive, TO_SERVER, TCP_ACK | TCP_PSH, (const uint8_t *)"one\ntwo\nthree\n", 14, 6);
    client(&lab, "four\n");
    server(&lab, "fine\n");
    both_close(&lab);
    lab_finish(&lab);
    EXPECT(&lab, "C one", "S fine", "gap");
    lab_end(&lab);
}

static void the_end_comes_with_the_flow(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, LINES, 256);
    drive_open(&lab.drive);
    client(&lab, "one\nhalf");
    drive_packet(&lab.drive, TO_CLIENT, TCP_RST, NULL, 0, 0);
    drive_open(&lab.drive);
    client(&lab, "other\n");
    lab_finish(&lab);
    EXPECT(&lab, "C one", "C other", "end", "end");
    lab_end(&lab);
}

/* --------------------------------------------------------------------- errors */

static void an_error_ends_the_flow_and_is_counted(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(
        &lab,
        SAY "lunette.stream { ports = { 9999 },\n"
            "  client = function(r, s) local l = r:line() if l == 'bad' then error('oops') end say(l) end,\n"
            "  server = function(r, s) while true do say(r:line()) end end,\n"
            "  closed = function(s, reason) say(s.client_port, reason) end }\n",
        256);
    drive_open(&lab.drive);
    server(&lab, "hello\n");
    client(&lab, "ba");
    client(&lab, "d\n");
    server(&lab, "not heard\n");
    drive_open(&lab.drive);
    client(&lab, "good\n");
    lab_finish(&lab);
    EXPECT(&lab, "hello", "20001 error", "good", "20002 end");
    struct detector_status status;
    script_host_status(lab.bench.host, 0, &status);
    assert_int_equal(status.errors, 1);
    assert_false(status.off);
    assert_non_null(strstr(status.last_error, "s.lua:7: oops"));
    lab_end(&lab);
}

static void why_parsers_were_ended_is_counted(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab,
              SAY "lunette.stream { ports = { 9999 }, limit = 64,\n"
                  "  client = function(r, s) say(r:line(4)) say(r:line(4)) say(r:line(4)) end,\n"
                  "  server = function(r, s) r:line() error('oops') end,\n"
                  "  closed = function(s, reason) say(reason) end }\n",
              256);
    drive_open(&lab.drive);
    client(&lab, "four\nfour\r\nfive5\n"); /* what ends a line does not count */
    drive_open(&lab.drive);
    client(&lab, "endless"); /* not a line of four any more, whatever comes */
    drive_open(&lab.drive);
    lab.drive.next_seq[TO_SERVER] += 100;
    client(&lab, "two\n");
    server(&lab, "x\n");
    lab_finish(&lab);
    EXPECT(&lab, "four", "four", "error", "limit", "limit");
    struct detector_status status;
    script_host_status(lab.bench.host, 0, &status);
    assert_int_equal(status.parsers_ended[PARSER_LIMIT], 2);
    assert_int_equal(status.parsers_ended[PARSER_GAP], 1);
    assert_int_equal(status.parsers_ended[PARSER_ERROR], 1);
    lab_end(&lab);
}

/* The one of several that are as near: the shortest, then the first of the alphabet. */
static void a_reading_that_there_is_not_is_told_with_one_that_begins_so(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab, "require('lunette').stream { ports = { 9999 }, client = function(r) r:u16() end }", 256);
    drive_open(&lab.drive);
    client(&lab, "x\n");
    lab_finish(&lab);
    struct detector_status status;
    script_host_status(lab.bench.host, 0, &status);
    assert_non_null(strstr(status.last_error, "s.lua:1: a reader has no 'u16'; did you mean 'u16be'?"));
    lab_end(&lab);
}

static void twenty_errors_in_a_row_switch_it_off(void **state) {
    (void)state;
    for (uint32_t batch = 1; batch <= 1024; batch *= 32) {
        struct lab lab;
        lab_begin_two(
            &lab,
            "require('lunette').stream { ports = { 9999 }, client = function(r) r:line() error('x') end }",
            LINES, batch);
        for (int i = 0; i < 30; i++) {
            drive_open(&lab.drive);
            client(&lab, "x\n");
        }
        lab_finish(&lab);
        struct detector_status status;
        script_host_status(lab.bench.host, 0, &status);
        assert_true(status.off);
        assert_int_equal(status.errors, 20);
        script_host_status(lab.bench.host, 1, &status);
        assert_int_equal(status.alerts, 60); /* "C x" and "end" of each flow */
        lab_end(&lab);
    }
}

/* LuaJIT lets a coroutine yield across pcall: waiting inside of one is no error. */
static void a_parser_may_wait_inside_pcall(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(&lab,
              SAY "lunette.stream { ports = { 9999 }, client = function(r, s)\n"
                  "  local ok, text = pcall(function() return r:bytes(6) end) say(ok, text)\n"
                  "  ok, text = pcall(function() r:need(2) error({}) end) say(ok, type(text))\n"
                  "  ok, text = pcall(r.bytes, r, -1) say(ok, text)\n"
                  "  ok, text = pcall(r.bytes, r, 0/0) say(ok)\n"
                  "  ok, text = pcall(r.skip, r, 1.5) say(ok)\n"
                  "  pcall(function() r:need(1e9) end) say('never') end,\n"
                  "  closed = function(s, reason) say(reason) end }\n",
              256);
    drive_open(&lab.drive);
    client(&lab, "abc");
    client(&lab, "def");
    client(&lab, "gh");
    lab_finish(&lab);
    EXPECT(&lab, "true abcdef", "false table", "false a number of bytes is expected, got -1", "false",
           "false", "limit");
    lab_end(&lab);
}

/* What a message says of its inside cannot lead out of it, nor end the parser. */
static void lengths_inside_do_not_lead_out(void **state) {
    (void)state;
    static const char script[] =
        SAY "local function body(r, tag) local n = r:u8() return tag .. r:bytes(n) .. r:available() end\n"
            "lunette.stream { ports = { 9999 }, client = function(r, s) while true do\n"
            "  local n = r:u8() local before = r:position()\n"
            "  if n == 5 then say(n, r:within(n, function(r) return r:within(2, body, 'deep') end))\n"
            "  elseif n == 6 then say(n, r:within(n, function(r) r:skip(r:u8() - 9) end))\n"
            "  elseif n == 7 then say(n, r:within(n, function(r) return r:u8() .. r:rest() end))\n"
            "  elseif n == 8 then say(n, r:within(n, function(r) return r:upto('!') end))\n"
            "  elseif n == 9 then say(n, r:within(n, function(r) r:bytes(r:u32be() * 65536) end))\n"
            "  elseif n == 10 then say(n, pcall(r.within, r, n, function(r) error('own', 0) end))\n"
            "  else say(n, r:within(n, body, 'x')) end\n"
            "  if r:position() ~= before + n then say('lost') end\n"
            "end end }\n";
    static const char bytes[] = "\x04\x02"
                                "abc"
                                "\x04\x09"
                                "abc"
                                "\x05\x01z"
                                "abc"
                                "\x06\x03"
                                "abcde"
                                "\x07\x01"
                                "abcdef"
                                "\x08"
                                "abcdefg."
                                "\x08"
                                "abc!efg."
                                "\x09\xff\xff\xff\xff"
                                "abcde"
                                "\x0a"
                                "0123456789"
                                "\x01\x00";
    for (size_t step = 1; step <= sizeof bytes; step += 3) {
        struct lab lab;
        lab_begin(&lab, script, 256);
        drive_open(&lab.drive);
        for (size_t at = 0; at < sizeof bytes - 1; at += step)
            lab_say(&lab, TO_SERVER, bytes + at, sizeof bytes - 1 - at < step ? sizeof bytes - 1 - at : step);
        lab_finish(&lab);
        EXPECT(&lab, "4 true xab1", "4 false", "5 true true deepz0", "6 false", "7 true 1abcdef", "8 false",
               "8 true abc", "9 false", "10 false own", "1 true x0");
        lab_end(&lab);
    }
}

/* A script cannot reach what lies behind a reader, and a reader is of no use elsewhere. */
static void readers_stay_with_their_parsers(void **state) {
    (void)state;
    struct lab lab;
    lab_begin(
        &lab,
        SAY
        "local kept\n"
        "local function try(what, ...) say((pcall(...)), what) end\n"
        "lunette.stream { ports = { 9999 },\n"
        "  client = function(r, s) kept = r r:line()\n"
        "    for k in pairs(r) do say('field', k) end\n"
        "    try('set', function() r.base = 1 end) try('get', function() return r.base end)\n"
        "    try('meta', setmetatable, r, {}) try('dot', r.u8) try('other', r.u8, { at = 0 }) r:line() end,\n"
        "  server = function(r, s) try('crossed', kept.u8, kept) try('s', function() return s.clinet_ip end) "
        "s.state.x = 1 end,\n"
        "  closed = function() try('closed', kept.u8, kept) end }\n"
        "lunette.on_end(function() try('late', kept.u8, kept) say(coroutine) end)\n",
        256);
    drive_open(&lab.drive);
    client(&lab, "one\n");
    server(&lab, "x");
    both_close(&lab);
    lab_finish(&lab);
    assert_null(strstr(lab.bench.said, "true"));
    assert_null(strstr(lab.bench.said, "field"));
    lab_end(&lab);
}

static void refuses(const char *script, const char *because) {
    struct bench bench;
    struct error err = {.text = ""};
    bench_begin(&bench);
    char text[512];
    snprintf(text, sizeof text, "local lunette = require 'lunette'\nlocal function f() end\n%s", script);
    bench_script(&bench, "s.lua", text);
    bench.batch = batch_new(1, &err);
    const struct detector_options options = {
        .path = bench.paths[0], .memory_limit = (size_t)64 << 20, .batch = bench.batch, .quiet = true};
    struct detector *detector = detector_load(&options, &err);
    assert_null(detector);
    if (!strstr(err.text, because) || !strstr(err.text, "s.lua:3: ")) fail_msg("%s", err.text);
    bench_end(&bench);
}

static void wrong_declarations_are_refused(void **state) {
    (void)state;
    refuses("lunette.stream {}", "parser");
    refuses("lunette.stream { client = f }", "which flows");
    refuses("lunette.stream { client = f, ports = { 0 } }", "port");
    refuses("lunette.stream { client = f, ports = { 0/0 } }", "port");
    refuses("lunette.stream { client = f, prots = { 1 } }", "ports");
    refuses("lunette.stream { client = f, starts = { client = '' } }", "64");
    refuses("lunette.stream { client = f, starts = { clint = 'x' } }", "client");
    refuses("lunette.stream { client = f, ports = { 1 }, transport = 'sctp' }", "udp");
    refuses("lunette.stream { client = f, ports = { 1 }, limit = 1 }", "limit");
    refuses("lunette.on('stream', f)", "lunette.stream");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_gives_the_same),
        cmocka_unit_test(byte_by_byte_gives_the_same),
        cmocka_unit_test(both_directions_go_on_side_by_side),
        cmocka_unit_test(segments_out_of_order_and_twice_are_put_right),
        cmocka_unit_test(a_gap_ends_the_parser_of_its_direction),
        cmocka_unit_test(what_a_snap_length_cut_off_is_a_gap),
        cmocka_unit_test(the_end_comes_with_the_flow),
        cmocka_unit_test(an_error_ends_the_flow_and_is_counted),
        cmocka_unit_test(why_parsers_were_ended_is_counted),
        cmocka_unit_test(a_reading_that_there_is_not_is_told_with_one_that_begins_so),
        cmocka_unit_test(twenty_errors_in_a_row_switch_it_off),
        cmocka_unit_test(a_parser_may_wait_inside_pcall),
        cmocka_unit_test(lengths_inside_do_not_lead_out),
        cmocka_unit_test(readers_stay_with_their_parsers),
        cmocka_unit_test(wrong_declarations_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
