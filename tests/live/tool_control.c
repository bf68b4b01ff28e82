/* A control socket with nothing behind it but a filled-in board: what test_control.py knocks at.
 *
 *      tool_control SOCKET [--metrics ADDRESS] [--gate FIFO]
 *
 * Says "ready" once it listens and a word for each call it got. Lines on its standard input: "mend" does what
 * the sensor does once a second, "log" writes a line of each level, "kill" makes the latest detector fail;
 * the end of the input ends it. A reload waits until somebody writes a line into the FIFO: "fine" or why it
 * failed. */
#include "base/log.h"
#include "event/alert.h"
#include "output/json.h"
#include "sensor/control.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DETECTORS = 9, HOSTS = 12, NAMES = 14, ALERTS = 40 };

static const char *gate;
static atomic_uint asked;
static atomic_bool trouble;

static void say(const char *word) {
    if (dprintf(STDOUT_FILENO, "%s\n", word) < 0) _exit(1);
}

static void fill_detectors(struct board *out, unsigned turn) {
    static const char *const names[DETECTORS] = {
        "beacon", "beat", "lolbin", "apple_allowlist", "dns_tunnel", "tls_odd", "quote\"back\\slash",
        "broken", "idle"};
    out->detector_count = DETECTORS;
    for (unsigned i = 0; i < DETECTORS; i++) {
        struct board_detector *d = &out->detectors[i];
        snprintf(d->name, sizeof d->name, "%s", names[i]);
        d->events = 1000000 >> i;
        d->alerts = i < 4 ? 7 - i : 0;
        d->memory = (uint64_t)(i + 1) * 1500000;
        d->cpu_seconds = 12.5 / (i + 1) + turn * 0.08 / (i + 1);
    }
    struct board_detector *off = &out->detectors[5], *left_out = &out->detectors[7];
    off->off = true;
    off->errors = 100;
    snprintf(off->trouble, sizeof off->trouble, "tls_odd.lua:12: attempt to index a nil value (field 'sni')");
    left_out->left_out = true;
    snprintf(left_out->trouble, sizeof left_out->trouble, "broken.lua:3: '=' expected near 'x'");
    if (!atomic_load(&trouble)) return;
    out->detectors[8].off = true;
    snprintf(out->detectors[8].trouble, sizeof out->detectors[8].trouble, "its memory bound was reached");
}

static void fill_alerts(struct board *out, nanoseconds now) {
    out->alerts[SEVERITY_HIGH] = 3;
    out->alerts[SEVERITY_MEDIUM] = 5;
    out->alerts[SEVERITY_LOW] = 30;
    out->alerts[SEVERITY_INFO] = 2;
    out->alert_count = ALERTS;
    for (unsigned i = 0; i < ALERTS; i++) {
        struct board_alert *a = &out->latest[i];
        a->time = now - (nanoseconds)i * 61 * NS_PER_SECOND;
        a->severity = (uint8_t)(i % 4 + 1);
        snprintf(a->detector, sizeof a->detector, "%s", out->detectors[i % 4].name);
        snprintf(a->title, sizeof a->title,
                 "Alert number %u: a regular beat to a rare name, a title that is a little long", i);
        snprintf(a->who, sizeof a->who, "192.168.1.%u", i + 10);
        snprintf(a->where, sizeof a->where, i == 1 ? "evil\x1b[2J\xff.example" : "updates%u.example.net", i);
        snprintf(a->why, sizeof a->why, "%u connections, 60.0 s apart, jitter 0.4 s, for 3 h", 100 + i);
        snprintf(a->attack, sizeof a->attack, "T1071.001");
    }
}

static void fill_traffic(struct board *out, unsigned turn) {
    static const char *const interfaces[] = {"en0", "utun3", "weird\"if\n"};
    out->interface_count = 3;
    for (unsigned i = 0; i < 3; i++) {
        struct board_interface *n = &out->interfaces[i];
        snprintf(n->name, sizeof n->name, "%s", interfaces[i]);
        n->open = i != 1;
        n->times_opened = i + 1;
        n->packets = (12345678 + turn * 1000) / (i + 1);
        n->bytes = n->packets * 800;
        n->dropped = i * 17;
        n->interface_dropped = i * 3;
        out->packets += n->packets;
        out->bytes += n->bytes;
        out->dropped += n->dropped;
        out->interface_dropped += n->interface_dropped;
    }
    out->packet_rate = 20000 + 900 * (turn * 7 % 13);
    out->bit_rate = out->packet_rate * 6400;
    out->drop_rate = 0.3;
    out->event_rate = 3210.5;
    out->flow = (struct flow_counters){.packets = out->packets,
                                       .bytes = out->bytes,
                                       .flows = 4321,
                                       .flows_tcp = 3000,
                                       .flows_udp = 1300,
                                       .flows_icmp = 20,
                                       .flows_other = 1,
                                       .ended_fin = 2000,
                                       .ended_timeout = 1000,
                                       .active = 1321,
                                       .active_peak = 1999,
                                       .gaps = 4,
                                       .gap_bytes = 4000,
                                       .memory = 34000000};
    out->worker_count = 2;
    for (unsigned i = 0; i < 2; i++)
        out->workers[i] = (struct board_worker){.packets = out->packets / 2,
                                                .bytes = out->bytes / 2,
                                                .events = 5000,
                                                .cpu_seconds = 40.25,
                                                .clock = i ? 0 : out->now - 2 * NS_PER_SECOND};
}

static void fill_top(struct board *out) {
    out->host_count = HOSTS;
    for (unsigned i = 0; i < HOSTS; i++) {
        snprintf(out->hosts[i].name, sizeof out->hosts[i].name,
                 i == 2 ? "2001:db8:1234:5678:9abc:def0:1234:%u" : "192.168.1.%u", i + 10);
        out->hosts[i].bytes = 9000000000 >> i;
        out->hosts[i].flows = 5000 >> i;
    }
    out->name_count = NAMES;
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(out->names[i].name, sizeof out->names[i].name,
                 i == 1 ? "a-very-long-name-that-does-not-fit.cdn.some-provider.example.com"
                        : "updates%u.example.net",
                 i);
        out->names[i].bytes = 7000000000 >> i;
        out->names[i].flows = 3000 >> i;
    }
}

static void fill_outputs(struct board *out) {
    out->output_count = 2;
    out->outputs[0] = (struct receiver_figures){
        .name = "/var/log/lunette/eve.json", .lines = 54321, .bytes = 43210987, .healthy = true};
    out->outputs[1] = (struct receiver_figures){.name = "tcp:siem.example.net:5170",
                                                .lines = 50000,
                                                .bytes = 40000000,
                                                .lost = 12,
                                                .spooled = 3210987};
    snprintf(out->outputs[1].trouble, sizeof out->outputs[1].trouble, "connection refused");
}

static void show_board(void *context, struct board *out) {
    (void)context;
    unsigned turn = atomic_fetch_add(&asked, 1);
    *out = (struct board){.started = 1700000000 * NS_PER_SECOND,
                          .pid = (int)getpid(),
                          .restarts = 1,
                          .reloads = 4,
                          .reloads_failed = 1};
    out->now = out->started + (273 * 1000 + (nanoseconds)turn) * NS_PER_SECOND;
    snprintf(out->version, sizeof out->version, "%s", LUNETTE_VERSION);
    snprintf(out->mode, sizeof out->mode, "live");
    snprintf(out->last_exit, sizeof out->last_exit, "was killed by signal 11 (Segmentation fault)");
    out->resident = 123456789;
    out->descriptors = 42;
    out->cpu_seconds = 100.125 + turn * 0.34;
    out->last_reload = out->now - 3600 * NS_PER_SECOND;
    snprintf(out->last_reload_summary, sizeof out->last_reload_summary, "1 changed (beacon), 8 kept");
    out->longest_pause = 0.0042;
    fill_detectors(out, turn);
    fill_alerts(out, out->now);
    fill_traffic(out, turn);
    fill_top(out);
    fill_outputs(out);
}

static int show_flows(void *context, const char *host, uint32_t limit, struct buffer *json,
                      struct error *err) {
    (void)context;
    if (host && strcmp(host, "192.0.2.99") == 0) return error_set(err, "worker 1 did not answer within 2 s");
    buffer_char(json, '[');
    for (uint32_t i = 0; i < limit && i < 250; i++) {
        json_item(json);
        buffer_char(json, '{');
        json_pair_text(json, "src_ip", host ? host : "192.168.1.10");
        json_pair_u64(json, "src_port", 50000 + i);
        json_pair_text(json, "dest_ip", "2001:db8::1");
        json_pair_u64(json, "dest_port", 443);
        json_pair_text(json, "proto", "TCP");
        json_pair_text(json, "app_proto", "tls");
        json_pair_text(json, "server_name", "www.example.net");
        json_key(json, "flow");
        buffer_string(
            json,
            "{\"bytes_toserver\":1200,\"bytes_toclient\":34000,\"age\":12.5,\"state\":\"established\"}");
        buffer_char(json, '}');
    }
    buffer_char(json, ']');
    return 0;
}

/* Two hosts, one with all that a card may have. */
static int show_cards(void *context, const char *host, uint32_t limit, struct buffer *json,
                      struct error *err) {
    static const char *const known[] = {"192.168.7.23", "192.168.7.24"};
    (void)context, (void)err;
    buffer_char(json, '[');
    for (uint32_t i = 0; i < 2 && limit > 0; i++) {
        if (host && strcmp(host, known[i]) != 0) continue;
        limit--;
        json_item(json);
        buffer_string(json, "{\"timestamp\":\"2024-06-11T09:00:00.000000+0000\",\"event_type\":\"host\"");
        json_pair_text(json, "src_ip", known[i]);
        buffer_string(
            json,
            i ? ",\"host\":{\"flows\":1,\"facts\":{\"phase\":{\"text\":[\"boot\"],\"detector\":\"x\"}}}}"
              : ",\"host\":{\"flows\":12,\"sent\":1000,\"received\":2000000,\"facts\":{\"identity\":{"
                "\"text\":[\"MacBook Pro\",\"by its SYN\"],\"detector\":\"mac_identity\",\"since\":"
                "\"2024-06-11T09:00:00.000000+0000\",\"details\":{\"same_as\":[\"fe80::1\"]}}},"
                "\"programs\":[{\"name\":\"curl\",\"path\":\"/usr/bin/curl\",\"flows\":2,\"sent\":10,"
                "\"received\":20}],\"findings\":[{\"title\":\"Beacon\",\"detector\":\"beacon\","
                "\"severity\":1,\"count\":3,\"last\":\"2024-06-11T09:30:00.000000+0000\"}]}}");
    }
    buffer_char(json, ']');
    return 0;
}

static int reload(void *context, bool force, char *summary, size_t size, struct error *err) {
    (void)context;
    char word[200] = "fine";
    say(force ? "reload force" : "reload");
    FILE *file = gate ? fopen(gate, "r") : NULL;
    if (file && !fgets(word, sizeof word, file)) return error_set(err, "nobody said anything");
    if (file) fclose(file);
    word[strcspn(word, "\n")] = '\0';
    if (strcmp(word, "fine") != 0) return error_set(err, "%s", word);
    snprintf(summary, size, "1 changed (beacon), 8 kept");
    return 0;
}

static void rotate(void *context) {
    (void)context;
    say("rotate");
}

static void stop(void *context) {
    (void)context;
    say("stop");
}

static void on_word(struct control *control, const char *word) {
    struct error err = {0};
    if (strcmp(word, "mend") == 0) say(control_mend(control, &err) == 0 ? "mended" : err.text);
    if (strcmp(word, "kill") == 0) atomic_store(&trouble, true);
    if (strcmp(word, "log") != 0) return;
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++)
        log_line((enum log_level)level, "level %d", level);
    say("logged");
}

int main(int argc, char **argv) {
    struct control_options options = {
        .calls = {NULL, show_board, show_flows, show_cards, reload, rotate, stop}};
    struct error err = {0};
    if (argc > 1 && strcmp(argv[1], "-") != 0) options.path = argv[1];
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--metrics") == 0) options.metrics = argv[i + 1];
        if (strcmp(argv[i], "--gate") == 0) gate = argv[i + 1];
    }
    struct control *control = control_open(&options, &err);
    if (!control) {
        log_failure(err.text);
        return err.usage ? 2 : 1;
    }
    say("ready");
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char word[64];
    for (;;) {
        if (poll(&input, 1, 1000) == 0) {
            if (control_mend(control, &err) != 0) log_failure(err.text);
            continue;
        }
        /* One line at a time, unbuffered: poll() must see the rest. */
        size_t length = 0;
        while (length + 1 < sizeof word && read(STDIN_FILENO, word + length, 1) == 1 && word[length] != '\n')
            length++;
        if (length == 0) break;
        word[length] = '\0';
        on_word(control, word);
    }
    control_close(control);
    return 0;
}
