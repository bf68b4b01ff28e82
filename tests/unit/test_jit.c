/* Do the hot loops stay compiled? A loop that falls out of the JIT costs 40 to 100 times more, and nothing
 * else would tell. */
#include "capture/capture.h"
#include "decode/decode.h"
#include "flow/flow.h"
#include "jit_watch.h"
#include "protocol/list.h"
#include "script/message.h"
#include "script/offer.h"
#include "script/state.h"
#include "sensor/home.h"

#include <lauxlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { EVENTS = 20000, ROUNDS = 12, MOST_ROUNDS = 48, HOT_EVENTS = 1000 };

struct bench {
    struct batch *batch;
    struct detector *detector;
    struct offers *offers;
    /* The scripts whose events it hears: loaded, and given none. */
    struct heard {
        char path[256];
        struct detector *detector;
    } heard[4];
    uint32_t heard_count;
    bool wants[EVENT_KINDS];
    uint64_t seen[EVENT_KINDS];
};

/* ------------------------------------------------------ a detector on its own */

static bool bench_offer(void *context, enum event_kind kind, uint32_t index, const void *event) {
    struct bench *bench = context;
    if (!offers_make(bench->offers, bench->batch, kind, index, event)) return false;
    bench->seen[kind]++;
    return true;
}

static void bench_drink(void *context) {
    struct bench *bench = context;
    detector_run(bench->detector, bench->batch->clock);
}

static void ignore_alert(void *context, const struct alert *alert, const struct alert_place *place) {
    (void)context, (void)alert, (void)place;
}
static void ignore_report(void *context, const struct report *report) {
    (void)context, (void)report;
}

static bool no_figures(void *context, nanoseconds clock, struct capture_figures *out) {
    (void)context, (void)clock;
    *out = (struct capture_figures){0};
    return true;
}

/* "mac_identity.host" is an event of scripts/mac_identity.lua. That script may hear others in turn: they come
 * first in the list. */
static struct custom_kind *bench_event(void *context, const char *name, const char **near,
                                       uint32_t *near_count, struct error *err) {
    struct bench *bench = context;
    const char *dot = strchr(name, '.');
    (void)near, (void)near_count;
    if (!dot) return NULL;
    char path[256];
    snprintf(path, sizeof path, "scripts/%.*s.lua", (int)(dot - name), name);
    const struct detector_options options = {.path = path,
                                             .memory_limit = (size_t)256 << 20,
                                             .batch = bench->batch,
                                             .quiet = true,
                                             .context = bench,
                                             .find_event = bench_event,
                                             .on_alert = ignore_alert,
                                             .on_report = ignore_report,
                                             .on_capture = no_figures};
    for (uint32_t i = 0; i < bench->heard_count; i++)
        if (strcmp(bench->heard[i].path, path) == 0)
            return emitter_find(bench->heard[i].detector->emitter, dot + 1);
    struct detector *heard = detector_load(&options, err);
    if (!heard) return NULL;
    assert_in_range(bench->heard_count, 0, sizeof bench->heard / sizeof bench->heard[0] - 1);
    struct heard *entry = &bench->heard[bench->heard_count++];
    snprintf(entry->path, sizeof entry->path, "%s", path);
    entry->detector = heard;
    return emitter_find(heard->emitter, dot + 1);
}

static void bench_begin_as(struct bench *bench, const char *path, enum stage stage) {
    struct error err = {.text = ""};
    memset(bench, 0, sizeof *bench);
    bench->batch = batch_new(256, &err);
    assert_non_null(bench->batch);
    const struct detector_options options = {.path = path,
                                             .memory_limit = (size_t)256 << 20,
                                             .batch = bench->batch,
                                             .quiet = true,
                                             .stage = stage,
                                             .context = bench,
                                             .find_event = bench_event,
                                             .on_alert = ignore_alert,
                                             .on_report = ignore_report,
                                             .on_capture = no_figures};
    bench->detector = detector_load(&options, &err);
    if (!bench->detector) fail_msg("%s", err.text);
    bench->offers = offers_new(&bench->detector, 1);
    assert_non_null(bench->offers);
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++)
        bench->wants[kind] = detector_handles(bench->detector, (enum event_kind)kind);
    bench->batch->listener = (struct batch_listener){
        .context = bench, .wants = bench->wants, .offer = bench_offer, .drink = bench_drink};
    assert_int_equal(luaL_dostring(bench->detector->lua, jit_watch), 0);
}

static void bench_begin(struct bench *bench, const char *path) {
    bench_begin_as(bench, path, STAGE_WORKER);
}

static void bench_end(struct bench *bench) {
    struct detector_status status;
    detector_status(bench->detector, &status);
    assert_false(status.off);
    assert_int_equal(status.errors, 0);
    offers_free(bench->offers);
    detector_free(bench->detector);
    while (bench->heard_count > 0) detector_free(bench->heard[--bench->heard_count].detector);
    batch_free(bench->batch);
}

static int noted(const struct bench *bench, const char *what, const char *kind) {
    return jit_noted(bench->detector->lua, what, kind);
}

static void put_onset(struct batch *batch, uint32_t i) {
    batch->clock += NS_PER_MILLISECOND;
    struct event_onset *e = batch_begin(batch, EVENT_onset);
    if (!e) return;
    e->head.time = batch->clock;
    e->head.flow_id = 1 + i % 300 + i / 3000 * 300; /* flows that end, and others in their places */
    e->head.flow_slot = 1 + i % 300;
    e->head.server_port = i & 1 ? 443 : 80;
    e->head.proto = "TCP";
    e->head.client_local = 1;
    e->body.kind = "start";
    e->body.client_payload = i & 511;
    e->body.server_name = batch_string(batch, "www.example.com");
    batch_commit(batch);
}

/* --------------------------------------------------------- the loops themselves */

static void expect_compiled(const char *handlers) {
    char path[] = "/tmp/lunette-jit-XXXXXX.lua";
    int fd = mkstemps(path, 4);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    assert_non_null(file);
    fprintf(file,
            "local lunette = require \"lunette\"\n"
            "lunette.detector { title = \"t\", category = \"c\" }\n"
            "local names = lunette.set.domains { \"example.com\" }\n"
            "local n, sum = 0, 0\n%s",
            handlers);
    fclose(file);
    struct bench bench;
    bench_begin(&bench, path);
    unlink(path);
    detector_start(bench.detector, 0);
    for (uint32_t i = 0; i < EVENTS; i++) put_onset(bench.batch, i);
    batch_flush(bench.batch);
    assert_int_equal(bench.seen[EVENT_onset], EVENTS);
    assert_int_equal(noted(&bench, "aborted", "onset"), 0);
    assert_true(noted(&bench, "finished", "onset") > 0);
    bench_end(&bench);
}

static void numbers_are_read_and_compared(void **state) {
    (void)state;
    expect_compiled("lunette.on(\"onset\", function(e)\n"
                    "    if e.server_port == 443 then n = n + 1 end\n"
                    "    sum = sum + e.client_payload\n"
                    "end)\n");
}

static void strings_sets_and_words_are_read(void **state) {
    (void)state;
    expect_compiled("lunette.on(\"onset\", function(e)\n"
                    "    if e.kind == \"start\" and names:has(e, \"server_name\") then n = n + 1 end\n"
                    "    if e.server_name == \"www.example.com\" then sum = sum + e.time end\n"
                    "end)\n");
}

/* Read and written by many handlers: no getter may use up what one trace has of tail calls or exits. */
static void flow_state_is_read_and_written(void **state) {
    (void)state;
    char text[8192];
    int used = snprintf(text, sizeof text,
                        "local s = lunette.flow_state { n = 'u32', sum = 'u64', last = 'time', h = 'u16[8]', "
                        "odd = 'bool' }\n");
    expect_compiled("local s = lunette.flow_state { n = 'u32', sum = 'u64', last = 'time', h = 'u16[8]', odd "
                    "= 'bool' }\n"
                    "lunette.on('onset', function(e)\n"
                    "    local f = s:of(e)\n"
                    "    f.n, f.sum, f.last = f.n + 1, f.sum + e.client_payload, e.time\n"
                    "    f:put('h', f.n % 8, f:at('h', f.n % 8) + 1)\n"
                    "    f.odd = not f.odd\n"
                    "    n = n + f.n\n"
                    "end)\n");
    for (int i = 0; i < 20; i++)
        used += snprintf(text + used, sizeof text - (size_t)used,
                         "lunette.on('onset', function(e) local f = s:of(e) f.n = f.n + 1 f.sum = f.sum + "
                         "e.client_payload end)\n");
    expect_compiled(text);
}

/* No string is made for a key, of whatever it is made, and none of the ways ends compiled code. */
static void keys_are_made_of_fields(void **state) {
    (void)state;
    expect_compiled(
        "local pairs = lunette.records('pairs', { max = 100, ttl = 60, fields = { n = 'u32' } })\n"
        "lunette.on('onset', function(e)\n"
        "    local p, new = pairs:make(e, 'server_name', 'server_port')\n"
        "    p.n = p.n + 1\n"
        "    if new then sum = sum + 1 end\n"
        "    local q = pairs:get(e, 'client_ip', 'server_name', 'proto')\n"
        "    if q then n = n + q.n end\n"
        "    p = pairs:make('of all', e, 'server_port')\n"
        "    p.n = p.n + 1\n"
        "end)\n");
    expect_compiled("local seen = lunette.state('seen', { max = 100 })\n"
                    "lunette.on('onset', function(e)\n"
                    "    local before = seen:get(e, 'server_name', 'server_port') or 0\n"
                    "    seen:set(e, 'server_name', 'server_port', before + 1)\n"
                    "    seen:set(e.server_port, before)\n"
                    "    n = n + (seen:get(e, 'server_port') or 0)\n"
                    "end)\n");
}

static void many_handlers_make_one_loop(void **state) {
    (void)state;
    char text[8192];
    int used = 0;
    for (int i = 0; i < 20; i++)
        used += snprintf(text + used, sizeof text - (size_t)used,
                         "lunette.on(\"onset\", function(e) if e.server_port == %d then n = n + 1 end "
                         "sum = sum + e.client_payload end)\n",
                         400 + i);
    expect_compiled(text);
}

/* --------------------------------------------------------------------- messages */

static void what_handlers_send_leaves_them_compiled(void **state) {
    (void)state;
    expect_compiled("lunette.gather(print)\n"
                    "lunette.on(\"onset\", function(e)\n"
                    "    lunette.send(e.server_name, e.server_port)\n"
                    "    lunette.send(e.client_payload, e.kind == \"start\")\n"
                    "end)\n");
}

/* Long and short runs of messages. */
static void what_is_received_is_handled_compiled(void **state) {
    (void)state;
    char path[] = "/tmp/lunette-jit-XXXXXX.lua";
    int fd = mkstemps(path, 4);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    assert_non_null(file);
    fputs("local lunette = require \"lunette\"\n"
          "lunette.gather(function()\n"
          "    local n, sum = 0, 0\n"
          "    lunette.receive(function(key, value, time)\n"
          "        if key == \"www.example.com\" then n = n + 1 end\n"
          "        sum = sum + value + time\n"
          "    end)\n"
          "end)\n",
          file);
    fclose(file);
    struct {
        struct message message;
        char name[16];
    } sent = {.message = {.cause = CAUSE_TIMER,
                          .key_kind = LUNETTE_MAIL_TEXT,
                          .key_length = 15,
                          .value_kind = LUNETTE_MAIL_NUMBER,
                          .value_number = 1},
              .name = "www.example.com"};
    for (uint32_t run = 3; run <= 300; run *= 10) {
        struct bench bench;
        bench_begin_as(&bench, path, STAGE_GATHER);
        detector_start(bench.detector, 0);
        for (uint32_t i = 0; i < EVENTS; i += run) {
            sent.message.time = i;
            for (uint32_t k = 0; k < run; k++) detector_mail(bench.detector, &sent.message, i + k);
            detector_receive(bench.detector, i);
        }
        assert_int_equal(jit_noted_in(bench.detector->lua, "aborted", "gathering.lua"), 0);
        assert_true(jit_noted_in(bench.detector->lua, "finished", "gathering.lua") > 0);
        bench_end(&bench);
    }
    unlink(path);
}

/* What begins within a timer's function returns to C at its end. */
static void timers_find_their_way_out(void **state) {
    (void)state;
    char path[] = "/tmp/lunette-jit-XXXXXX.lua";
    int fd = mkstemps(path, 4);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    assert_non_null(file);
    fputs("local lunette = require \"lunette\"\n"
          "local n, sum = 0, 0\n"
          "lunette.every(0.002, function(now) sum = sum + now n = n + 1 end)\n"
          "lunette.on(\"onset\", function(e) if e.server_port == 443 then n = n + 1 end end)\n",
          file);
    fclose(file);
    struct bench bench;
    bench_begin(&bench, path);
    unlink(path);
    detector_start(bench.detector, 0);
    for (uint32_t i = 0; i < EVENTS; i++) put_onset(bench.batch, i);
    batch_flush(bench.batch);
    assert_int_equal(bench.seen[EVENT_onset], EVENTS);
    assert_int_equal(jit_noted_in(bench.detector->lua, "aborted", "NYI: return to lower frame"), 0);
    assert_true(noted(&bench, "finished", "onset") > 0);
    bench_end(&bench);
}

/* ------------------------------------------------------------- beside coroutines */

static void put_stream(struct batch *batch, uint32_t i) {
    struct event_stream *e = batch_begin(batch, EVENT_stream);
    if (!e) return;
    e->head.time = batch->clock;
    e->head.flow_id = 1 + (i & 63);
    e->body.wishes = 1;
    e->body.first = i < 64;
    e->body.to_server = i >> 6 & 1;
    e->body.data = batch_string(batch, i & 128 ? "a line and half" : " of another\n");
    batch_commit(batch);
}

/* Onsets, and after each `run` of them a piece of a stream. Returns how often the onsets' loop was given up
 * before it was compiled: LuaJIT throws dice for when it tries, and may hit an odd moment. */
static int play_beside_streams(const char *path, uint32_t run) {
    struct bench bench;
    bench_begin(&bench, path);
    bench.detector->streams->number[0] = 0; /* of the wish that the events are for */
    detector_start(bench.detector, 0);
    for (uint32_t i = 0; i < EVENTS; i++) {
        put_onset(bench.batch, i);
        if (i % run == 0) put_stream(bench.batch, i / run);
    }
    batch_flush(bench.batch);
    assert_int_equal(bench.seen[EVENT_onset], EVENTS);
    assert_true(bench.seen[EVENT_stream] >= EVENTS / run);
    assert_true(noted(&bench, "finished", "onset") > 0);
    int aborted = noted(&bench, "aborted", "onset");
    bench_end(&bench);
    return aborted;
}

/* Parsers of streams run in coroutines, which the compiler cannot follow: that must not cost the loops over
 * other kinds their place, whether runs are long or short. */
static void streams_do_not_spoil_the_others(void **state) {
    (void)state;
    char path[] = "/tmp/lunette-jit-XXXXXX.lua";
    int fd = mkstemps(path, 4);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    assert_non_null(file);
    fputs("local lunette = require \"lunette\"\n"
          "local n, sum, lines = 0, 0, 0\n"
          "local function parse(r, s) while true do local line = r:line() for i = 1, #line do sum = sum + "
          "line:byte(i) "
          "end lines = lines + 1 end end\n"
          "lunette.stream { ports = { 1 }, client = parse, server = parse }\n"
          "lunette.on(\"onset\", function(e) if e.server_port == 443 then n = n + 1 end sum = sum + "
          "e.client_payload end)\n"
          "lunette.on_end(function() lunette.log(n .. \" \" .. lines) end)\n",
          file);
    fclose(file);
    for (uint32_t run = 1; run <= 100; run += 33) {
        int aborted = play_beside_streams(path, run);
        for (int again = 0; again < 2 && aborted > 0; again++) aborted = play_beside_streams(path, run);
        assert_int_equal(aborted, 0);
    }
    unlink(path);
}

/* --------------------------------------------------------- the shipped detectors */

static bool is_local(void *context, const struct ip *address) {
    return home_has(context, address);
}

static void play(struct bench *bench, const char *path, struct home *home) {
    struct error err = {.text = ""};
    struct packet packets[PACKET_BURST];
    static struct decoded decoded[PACKET_BURST];
    struct capture *capture = capture_open(&path, 1, &err);
    if (!capture) fail_msg("%s", err.text);
    const struct flow_config config = flow_config_defaults();
    const struct flow_surroundings around = {
        .batch = bench->batch, .protocols = protocol_list, .is_local = is_local, .context = home};
    struct flow_room *room = flow_room_new(&config, &around, &err);
    assert_non_null(room);
    int n;
    while ((n = capture_next_burst(capture, packets)) > 0) {
        for (int i = 0; i < n; i++) decode_packet(&packets[i], &decoded[i]);
        flow_room_burst(room, packets, decoded, n, NULL, NULL);
    }
    flow_room_finish(room);
    batch_flush(bench->batch);
    flow_room_free(room);
    capture_close(capture);
}

/* Of the kinds that came often enough to be hot: one whose loop is not compiled, or EVENT_head. */
static enum event_kind not_compiled(struct bench *bench, uint32_t *hot) {
    *hot = 0;
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++) {
        if (bench->seen[kind] < HOT_EVENTS) continue;
        (*hot)++;
        const char *name = event_schema_of((enum event_kind)kind)->name;
        if (noted(bench, "finished", name) == 0) return (enum event_kind)kind;
    }
    return EVENT_head;
}

/* Of each kind that came often enough to be hot, the loop must be compiled, whatever branches in its handlers
 * are left to the interpreter. Traces that begin within a handler may run through a loop that was not tried
 * yet, so that it takes longer to get hot: then more is played, but compiled it must be in the end. */
static bool detector_gets_compiled(const char *path, bool last_try) {
    static const char *const samples[] = {"examples/mac-install.pcapng.gz",
                                          "examples/mac-with-implant.pcapng.gz"};
    struct bench bench;
    struct error err;
    struct home *home = home_new(NULL, &err);
    assert_non_null(home);
    bench_begin(&bench, path);
    detector_start(bench.detector, 0);
    uint32_t hot = 0;
    enum event_kind left = EVENT_head;
    for (int round = 0; round < MOST_ROUNDS; round++) {
        for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) play(&bench, samples[i], home);
        if (round + 1 < ROUNDS) continue;
        left = not_compiled(&bench, &hot);
        if (left == EVENT_head) break;
    }
    if (left != EVENT_head && last_try) {
        const char *name = event_schema_of(left)->name;
        fail_msg("%s: the loop over %s is not compiled: %llu events, %d attempts given up", path, name,
                 (unsigned long long)bench.seen[left], noted(&bench, "aborted", name));
    }
    assert_true(hot > 0);
    /* What is compiled within a handler must find its way back to the loop. Now and then one is begun at an
     * odd moment; it was twenty and more when handlers were called through a pcall of Lua's. Timers may: they
     * are called one by one. */
    assert_in_range(jit_noted_in(bench.detector->lua, "aborted", "in a handler: return to lower frame"), 0,
                    4);
    bench_end(&bench);
    home_free(home);
    return left == EVENT_head;
}

/* LuaJIT throws dice for when it tries a loop, and one in some thirty states is unlucky: that is no fault of
 * the detector's unless it happens to each. */
static void expect_detector_compiled(const char *path) {
    if (!detector_gets_compiled(path, false) && !detector_gets_compiled(path, false))
        detector_gets_compiled(path, true);
}

static void apple_allowlist_is_compiled(void **state) {
    (void)state;
    expect_detector_compiled("scripts/apple_allowlist.lua");
}
static void beacon_is_compiled(void **state) {
    (void)state;
    expect_detector_compiled("scripts/beacon.lua");
}
static void lolbin_is_compiled(void **state) {
    (void)state;
    expect_detector_compiled("scripts/lolbin.lua");
}
static void gui_app_is_compiled(void **state) {
    (void)state;
    expect_detector_compiled("scripts/gui_app.lua");
}
static void lifecycle_is_compiled(void **state) {
    (void)state;
    expect_detector_compiled("scripts/lifecycle.lua");
}
static void mac_identity_is_compiled(void **state) {
    (void)state;
    expect_detector_compiled("scripts/mac_identity.lua");
}
static void tls_odd_is_compiled(void **state) {
    (void)state;
    expect_detector_compiled("scripts/tls_odd.lua");
}
static void rare_is_compiled(void **state) {
    (void)state;
    expect_detector_compiled("scripts/rare.lua");
}
static void vpn_is_compiled(void **state) {
    (void)state;
    expect_detector_compiled("scripts/vpn.lua");
}
static void after_login_is_compiled(void **state) {
    (void)state;
    expect_detector_compiled("scripts/after_login.lua");
}
static void visibility_is_compiled(void **state) {
    (void)state;
    expect_detector_compiled("scripts/visibility.lua");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_and_compared),
        cmocka_unit_test(strings_sets_and_words_are_read),
        cmocka_unit_test(flow_state_is_read_and_written),
        cmocka_unit_test(keys_are_made_of_fields),
        cmocka_unit_test(many_handlers_make_one_loop),
        cmocka_unit_test(what_handlers_send_leaves_them_compiled),
        cmocka_unit_test(what_is_received_is_handled_compiled),
        cmocka_unit_test(timers_find_their_way_out),
        cmocka_unit_test(streams_do_not_spoil_the_others),
        cmocka_unit_test(apple_allowlist_is_compiled),
        cmocka_unit_test(beacon_is_compiled),
        cmocka_unit_test(lolbin_is_compiled),
        cmocka_unit_test(gui_app_is_compiled),
        cmocka_unit_test(lifecycle_is_compiled),
        cmocka_unit_test(mac_identity_is_compiled),
        cmocka_unit_test(tls_odd_is_compiled),
        cmocka_unit_test(rare_is_compiled),
        cmocka_unit_test(vpn_is_compiled),
        cmocka_unit_test(after_login_is_compiled),
        cmocka_unit_test(visibility_is_compiled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
