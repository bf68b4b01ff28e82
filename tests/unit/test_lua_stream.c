/* lunette.stream: parsers in Lua on reassembled bytes, through the real flow room.
 *
 * What a parser is given is compared with what was sent, whatever way it was cut into segments: each byte
 * once, in order, or none after a gap. */
#include "drive_protocol.h"
#include "protocol/list.h"
#include "script/reload.h"
#include "script_bench.h"

struct lab {
    struct bench bench;
    struct drive drive;
};

static bool lab_is_local(void *context, const struct ip *address) {
    (void)context, (void)address;
    return false;
}

/* Loads `script` as s.lua (and another one, if given), with packets to come through a flow room. */
static void lab_begin_two(struct lab *lab, const char *script, const char *other, uint32_t batch) {
    struct error err = {.text = ""};
    memset(lab, 0, sizeof *lab);
    bench_begin(&lab->bench);
    bench_script(&lab->bench, "s.lua", script);
    if (other) bench_script(&lab->bench, "other.lua", other);
    if (bench_start(&lab->bench, batch, &err) < 0) fail_msg("%s", err.text);
    struct drive *d = &lab->drive;
    d->batch = lab->bench.batch;
    d->now = 1700000000 * NS_PER_SECOND;
    d->client_port = 20000;
    d->server_port = 9999;
    d->proto = 6;
    struct flow_config config = flow_config_defaults();
    config.max_flows = 8192;
    config.max_names = 64;
    const struct flow_surroundings around = {.batch = d->batch,
                                             .protocols = protocol_list,
                                             .is_local = lab_is_local,
                                             .interface_name = drive_interface,
                                             .context = lab};
    d->room = flow_room_new(&config, &around, &err);
    if (!d->room) fail_msg("%s", err.text);
    script_host_listen(lab->bench.host, d->room);
}

static void lab_begin(struct lab *lab, const char *script, uint32_t batch) {
    lab_begin_two(lab, script, NULL, batch);
}

/* The capture is over. What was said is in lab->bench.said. */
static void lab_finish(struct lab *lab) {
    flow_room_finish(lab->drive.room);
    script_host_finish(lab->bench.host, lab->drive.now);
}

static void lab_end(struct lab *lab) {
    flow_room_free(lab->drive.room);
    bench_end(&lab->bench);
}

static void lab_say(struct lab *lab, enum direction direction, const void *bytes, size_t length) {
    drive_send(&lab->drive, direction, bytes, length);
}

static void client(struct lab *lab, const char *text) {
    lab_say(lab, TO_SERVER, text, strlen(text));
}
static void server(struct lab *lab, const char *text) {
    lab_say(lab, TO_CLIENT, text, strlen(text));
}
static void both_close(struct lab *lab) {
    drive_packet(&lab->drive, TO_SERVER, TCP_FIN | TCP_ACK, NULL, 0, 0);
    drive_packet(&lab->drive, TO_CLIENT, TCP_FIN | TCP_ACK, NULL, 0, 0);
}

/* A segment out of its place: its sequence number is moved by `shift`, and what follows is not. */
static void client_at(struct lab *lab, int32_t shift, const char *text) {
    uint32_t next = lab->drive.next_seq[TO_SERVER];
    lab->drive.next_seq[TO_SERVER] = next + (uint32_t)shift;
    client(lab, text);
    lab->drive.next_seq[TO_SERVER] = next;
}

static void expect_said(const struct lab *lab, const char *expected) {
    if (strcmp(lab->bench.said, expected) != 0)
        fail_msg("said:\n%s\nexpected:\n%s", lab->bench.said, expected);
}

/* Parsers say things by the title of an alert; this makes say() known to scripts and the lines short. */
#define SAY                                                                                                  \
    "local lunette = require 'lunette'\n"                                                                    \
    "local said = {}\n"                                                                                      \
    "local function say(...) local t = { ... } for i = 1, #t do t[i] = tostring(t[i]) end\n"                 \
    "  said[#said + 1] = table.concat(t, ' ') end\n"                                                         \
    "lunette.on_end(function() for i, text in ipairs(said) do lunette.alert { title = text } end end)\n"

/* What `said` holds as alert lines. */
static const char *line(const char *text) {
    static char lines[8][256];
    static int next;
    char *out = lines[next++ % 8];
    snprintf(out, sizeof lines[0], "s|%s|2||||{}|+0\n", text);
    return out;
}

static void expect_lines(const struct lab *lab, const char *const *lines) {
    char expected[8192] = "";
    for (; *lines; lines++) strcat(expected, line(*lines));
    expect_said(lab, expected);
}
#define EXPECT(lab, ...) expect_lines(lab, (const char *const[]){__VA_ARGS__, NULL})

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

#define LINES                                                                                                \
    SAY "lunette.stream { ports = { 9999 },\n"                                                               \
        "  client = function(r, s) while true do say('C', r:line()) end end,\n"                              \
        "  server = function(r, s) while true do say('S', r:line()) end end,\n"                              \
        "  closed = function(s, reason) say(reason) end }\n"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_gives_the_same),
        cmocka_unit_test(byte_by_byte_gives_the_same),
        cmocka_unit_test(both_directions_go_on_side_by_side),
        cmocka_unit_test(segments_out_of_order_and_twice_are_put_right),
        cmocka_unit_test(a_gap_ends_the_parser_of_its_direction),
        cmocka_unit_test(what_a_snap_length_cut_off_is_a_gap),
        cmocka_unit_test(the_end_comes_with_the_flow),
        cmocka_unit_test(a_message_longer_than_the_limit_ends_the_parser),
        cmocka_unit_test(the_oldest_flow_gives_way),
        cmocka_unit_test(bytes_that_wait_are_bounded_in_all),
        cmocka_unit_test(an_error_ends_the_flow_and_is_counted),
        cmocka_unit_test(twenty_errors_in_a_row_switch_it_off),
        cmocka_unit_test(a_parser_may_wait_inside_pcall),
        cmocka_unit_test(lengths_inside_do_not_lead_out),
        cmocka_unit_test(readers_stay_with_their_parsers),
        cmocka_unit_test(wrong_declarations_are_refused),
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
