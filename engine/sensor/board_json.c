/* Text on the board is somebody else's (names off the wire, paths, what a script said): all of it goes
 * through json_text(). */
#include "sensor/board_json.h"

#include "event/alert.h"
#include "output/json.h"
#include "output/terminal.h"

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static void pair_bool(struct buffer *b, const char *key, bool value) {
    json_key(b, key);
    json_bool(b, value);
}

static void pair_time(struct buffer *b, const char *key, nanoseconds t) {
    char text[TIMESTAMP_LENGTH + 1];
    json_key(b, key);
    if (t == 0) {
        buffer_string(b, "null");
        return;
    }
    time_format_eve(t, text);
    json_text(b, text);
}

static void begin(struct buffer *b, const char *key, char bracket) {
    json_key(b, key);
    buffer_char(b, bracket);
}

static void begin_element(struct buffer *b) {
    json_item(b);
    buffer_char(b, '{');
}

static void put_process(struct buffer *b, const struct board *board) {
    json_pair_text(b, "version", board->version);
    json_pair_text(b, "mode", board->mode);
    json_key(b, "pid");
    json_u64(b, board->pid > 0 ? (uint64_t)board->pid : 0);
    pair_time(b, "started", board->started);
    pair_time(b, "now", board->now);
    json_pair_f64(b, "uptime", board->now > board->started ? ns_to_seconds(board->now - board->started) : 0);
    json_pair_u64(b, "resident", board->resident);
    json_pair_u64(b, "descriptors", board->descriptors);
    json_pair_f64(b, "cpu_seconds", board->cpu_seconds);
    json_pair_u64(b, "restarts", board->restarts);
    json_pair_text(b, "last_exit", board->last_exit);
    pair_time(b, "state_saved", board->state_saved);
}

static void put_traffic(struct buffer *b, const struct board *board) {
    json_pair_u64(b, "packets", board->packets);
    json_pair_u64(b, "bytes", board->bytes);
    json_pair_u64(b, "dropped", board->dropped);
    json_pair_u64(b, "interface_dropped", board->interface_dropped);
    begin(b, "rates", '{');
    json_pair_f64(b, "packets", board->packet_rate);
    json_pair_f64(b, "bits", board->bit_rate);
    json_pair_f64(b, "drops", board->drop_rate);
    json_pair_f64(b, "events", board->event_rate);
    buffer_char(b, '}');
}

static void put_flows(struct buffer *b, const struct flow_counters *f) {
    begin(b, "flows", '{');
    json_pair_u64(b, "active", f->active);
    json_pair_u64(b, "active_peak", f->active_peak);
    json_pair_u64(b, "total", f->flows);
    json_pair_u64(b, "tcp", f->flows_tcp);
    json_pair_u64(b, "udp", f->flows_udp);
    json_pair_u64(b, "icmp", f->flows_icmp);
    json_pair_u64(b, "other", f->flows_other);
    json_pair_u64(b, "evicted", f->ended_evicted);
    json_pair_u64(b, "midstream", f->midstream);
    json_pair_u64(b, "gaps", f->gaps);
    json_pair_u64(b, "gap_bytes", f->gap_bytes);
    json_pair_u64(b, "reassembly_dropped", f->reassembly_dropped);
    json_pair_u64(b, "memory", f->memory);
    buffer_char(b, '}');
}

static void put_alert_counts(struct buffer *b, const struct board *board) {
    begin(b, "alerts", '{');
    for (uint8_t i = SEVERITY_HIGH; i <= SEVERITY_INFO; i++)
        json_pair_u64(b, severity_name(i), board->alerts[i]);
    buffer_char(b, '}');
}

static void put_detector_counts(struct buffer *b, const struct board *board) {
    uint32_t off = 0, left_out = 0, count = least(board->detector_count, BOARD_DETECTORS);
    for (uint32_t i = 0; i < count; i++) {
        left_out += board->detectors[i].left_out;
        off += board->detectors[i].off && !board->detectors[i].left_out;
    }
    begin(b, "detectors", '{');
    json_pair_u64(b, "on", count - off - left_out);
    json_pair_u64(b, "off", off);
    json_pair_u64(b, "left_out", left_out);
    buffer_char(b, '}');
}

static void put_reloads(struct buffer *b, const struct board *board) {
    begin(b, "reloads", '{');
    json_pair_u64(b, "done", board->reloads);
    json_pair_u64(b, "failed", board->reloads_failed);
    pair_time(b, "last", board->last_reload);
    json_pair_text(b, "summary", board->last_reload_summary);
    json_pair_f64(b, "longest_pause", board->longest_pause);
    buffer_char(b, '}');
}

static void put_interfaces(struct buffer *b, const struct board *board) {
    begin(b, "interfaces", '[');
    for (uint32_t i = 0; i < least(board->interface_count, BOARD_INTERFACES); i++) {
        const struct board_interface *n = &board->interfaces[i];
        begin_element(b);
        json_pair_text(b, "name", n->name);
        pair_bool(b, "open", n->open);
        json_pair_u64(b, "times_opened", n->times_opened);
        json_pair_u64(b, "packets", n->packets);
        json_pair_u64(b, "bytes", n->bytes);
        json_pair_u64(b, "dropped", n->dropped);
        json_pair_u64(b, "interface_dropped", n->interface_dropped);
        buffer_char(b, '}');
    }
    buffer_char(b, ']');
}

static void put_workers(struct buffer *b, const struct board *board) {
    begin(b, "workers", '[');
    for (uint32_t i = 0; i < least(board->worker_count, BOARD_WORKERS); i++) {
        const struct board_worker *w = &board->workers[i];
        begin_element(b);
        json_pair_u64(b, "packets", w->packets);
        json_pair_u64(b, "bytes", w->bytes);
        json_pair_u64(b, "events", w->events);
        json_pair_f64(b, "cpu_seconds", w->cpu_seconds);
        pair_time(b, "clock", w->clock);
        buffer_char(b, '}');
    }
    buffer_char(b, ']');
}

static void put_outputs(struct buffer *b, const struct board *board) {
    begin(b, "outputs", '[');
    for (uint32_t i = 0; i < least(board->output_count, BOARD_OUTPUTS); i++) {
        const struct receiver_figures *o = &board->outputs[i];
        begin_element(b);
        json_pair_text(b, "name", o->name ? o->name : "");
        pair_bool(b, "healthy", o->healthy);
        json_pair_u64(b, "lines", o->lines);
        json_pair_u64(b, "bytes", o->bytes);
        json_pair_u64(b, "lost", o->lost);
        json_pair_u64(b, "spooled", o->spooled);
        json_pair_text(b, "trouble", o->trouble);
        buffer_char(b, '}');
    }
    buffer_char(b, ']');
}

void board_json_status(struct buffer *b, const struct board *board) {
    buffer_char(b, '{');
    put_process(b, board);
    put_traffic(b, board);
    put_flows(b, &board->flow);
    put_alert_counts(b, board);
    put_detector_counts(b, board);
    put_reloads(b, board);
    put_interfaces(b, board);
    put_workers(b, board);
    put_outputs(b, board);
    buffer_char(b, '}');
}

void board_json_scripts(struct buffer *b, const struct board *board) {
    buffer_char(b, '[');
    for (uint32_t i = 0; i < least(board->detector_count, BOARD_DETECTORS); i++) {
        const struct board_detector *d = &board->detectors[i];
        begin_element(b);
        json_pair_text(b, "name", d->name);
        json_pair_text(b, "state", d->left_out ? "left out" : d->off ? "off" : "on");
        json_pair_u64(b, "events", d->events);
        json_pair_u64(b, "alerts", d->alerts);
        json_pair_u64(b, "errors", d->errors);
        json_pair_u64(b, "evicted", d->evicted);
        json_pair_u64(b, "memory", d->memory);
        json_pair_f64(b, "cpu_seconds", d->cpu_seconds);
        json_pair_text(b, "trouble", d->trouble);
        buffer_char(b, '}');
    }
    buffer_char(b, ']');
}

static void put_top(struct buffer *b, const struct board_top *top, uint32_t count) {
    buffer_char(b, '[');
    for (uint32_t i = 0; i < least(count, BOARD_TOP); i++) {
        begin_element(b);
        json_pair_text(b, "name", top[i].name);
        json_pair_u64(b, "bytes", top[i].bytes);
        json_pair_u64(b, "flows", top[i].flows);
        buffer_char(b, '}');
    }
    buffer_char(b, ']');
}

void board_json_hosts(struct buffer *b, const struct board *board) {
    put_top(b, board->hosts, board->host_count);
}

void board_json_names(struct buffer *b, const struct board *board) {
    put_top(b, board->names, board->name_count);
}

void board_json_alerts(struct buffer *b, const struct board *board, uint32_t limit) {
    buffer_char(b, '[');
    for (uint32_t i = 0; i < least(least(board->alert_count, BOARD_ALERTS), limit); i++) {
        const struct board_alert *a = &board->latest[i];
        begin_element(b);
        pair_time(b, "time", a->time);
        json_pair_text(b, "severity", severity_name(a->severity));
        json_pair_text(b, "detector", a->detector);
        json_pair_text(b, "title", a->title);
        json_pair_text(b, "who", a->who);
        json_pair_text(b, "where", a->where);
        if (a->program[0]) json_pair_text(b, "program", a->program);
        json_pair_text(b, "why", a->why);
        json_pair_text(b, "attack", a->attack);
        buffer_char(b, '}');
    }
    buffer_char(b, ']');
}
