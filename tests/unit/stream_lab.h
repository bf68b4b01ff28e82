/* A script, a flow room and connections that say what a test wants: for tests of lunette.stream.
 *
 * Script and packets go the real way, from the segment to the parser. What parsers say() comes out as the
 * titles of alerts when the run is over. */
#ifndef LUNETTE_TESTS_STREAM_LAB_H
#define LUNETTE_TESTS_STREAM_LAB_H

#include "drive_protocol.h"
#include "protocol/list.h"
#include "script/reload.h"
#include "script_bench.h"

struct lab {
    struct bench bench;
    struct drive drive;
};

static inline bool lab_is_local(void *context, const struct ip *address) {
    (void)context, (void)address;
    return false;
}

/* Loads `script` as s.lua (and another one, if given), with packets to come through a flow room. */
static inline void lab_begin_with(struct lab *lab, const char *script, const char *other, uint32_t batch,
                                  size_t memory) {
    struct error err = {.text = ""};
    memset(lab, 0, sizeof *lab);
    bench_begin(&lab->bench);
    lab->bench.memory = memory;
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

static inline void lab_begin_two(struct lab *lab, const char *script, const char *other, uint32_t batch) {
    lab_begin_with(lab, script, other, batch, 0);
}

static inline void lab_begin(struct lab *lab, const char *script, uint32_t batch) {
    lab_begin_two(lab, script, NULL, batch);
}

/* The capture is over. What was said is in lab->bench.said. */
static inline void lab_finish(struct lab *lab) {
    flow_room_finish(lab->drive.room);
    script_host_finish(lab->bench.host, lab->drive.now);
}

static inline void lab_end(struct lab *lab) {
    flow_room_free(lab->drive.room);
    bench_end(&lab->bench);
}

static inline void lab_say(struct lab *lab, enum direction direction, const void *bytes, size_t length) {
    drive_send(&lab->drive, direction, bytes, length);
}

static inline void client(struct lab *lab, const char *text) {
    lab_say(lab, TO_SERVER, text, strlen(text));
}
static inline void server(struct lab *lab, const char *text) {
    lab_say(lab, TO_CLIENT, text, strlen(text));
}
static inline void both_close(struct lab *lab) {
    drive_packet(&lab->drive, TO_SERVER, TCP_FIN | TCP_ACK, NULL, 0, 0);
    drive_packet(&lab->drive, TO_CLIENT, TCP_FIN | TCP_ACK, NULL, 0, 0);
}

/* A segment out of its place: its sequence number is moved by `shift`, and what follows is not. */
static inline void client_at(struct lab *lab, int32_t shift, const char *text) {
    uint32_t next = lab->drive.next_seq[TO_SERVER];
    lab->drive.next_seq[TO_SERVER] = next + (uint32_t)shift;
    client(lab, text);
    lab->drive.next_seq[TO_SERVER] = next;
}

static inline void expect_said(const struct lab *lab, const char *expected) {
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
static inline const char *line(const char *text) {
    static char lines[8][256];
    static int next;
    char *out = lines[next++ % 8];
    snprintf(out, sizeof lines[0], "s|%s|2||||{}|+0\n", text);
    return out;
}

static inline void expect_lines(const struct lab *lab, const char *const *lines) {
    char expected[8192] = "";
    for (; *lines; lines++) strcat(expected, line(*lines));
    expect_said(lab, expected);
}
#define EXPECT(lab, ...) expect_lines(lab, (const char *const[]){__VA_ARGS__, NULL})

/* Says each line of both sides, and why it is over. */
#define LINES                                                                                                \
    SAY "lunette.stream { ports = { 9999 },\n"                                                               \
        "  client = function(r, s) while true do say('C', r:line()) end end,\n"                              \
        "  server = function(r, s) while true do say('S', r:line()) end end,\n"                              \
        "  closed = function(s, reason) say(reason) end }\n"

#endif
