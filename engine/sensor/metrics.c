/* A family is its HELP and TYPE lines and then all its samples; the format allows no other order and no label
 * set twice. So what comes in rows (interfaces, detectors, outputs, workers) is written column by column,
 * and a row whose name was there before is left out. */
#include "sensor/metrics.h"

#include "base/utf8.h"
#include "event/alert.h"
#include "output/terminal.h"

#include <math.h>

static void put_head(struct buffer *b, const char *name, const char *type, const char *help) {
    buffer_format(b, "# HELP lunette_%s %s\n# TYPE lunette_%s %s\n", name, help, name, type);
}

/* Whole numbers as they are, others to the nanosecond. */
static void put_value(struct buffer *b, double value) {
    if (isnan(value))
        buffer_string(b, " NaN\n");
    else if (fabs(value) < 1e15 && value == floor(value))
        buffer_format(b, " %.0f\n", value);
    else
        buffer_format(b, " %.9f\n", value);
}

static void put_count(struct buffer *b, uint64_t value) {
    buffer_char(b, ' ');
    buffer_u64(b, value);
    buffer_char(b, '\n');
}

/* A label's value: backslash, quote and line feed are escaped, and what is not UTF-8 is replaced, since the
 * format allows nothing else. */
static void put_label_value(struct buffer *b, const char *text) {
    const uint8_t *p = (const uint8_t *)text, *end = p + strlen(text);
    while (p < end) {
        uint32_t code, used = utf8_decode(p, (size_t)(end - p), &code);
        if (!used)
            buffer_char(b, '?');
        else if (*p == '\n')
            buffer_string(b, "\\n");
        else if (*p == '\\' || *p == '"')
            buffer_put(b, (char[2]){'\\', (char)*p}, 2);
        else
            buffer_put(b, p, used);
        p += used ? used : 1;
    }
}

static void put_labelled(struct buffer *b, const char *name, const char *label, const char *text) {
    buffer_format(b, "lunette_%s{%s=\"", name, label);
    put_label_value(b, text);
    buffer_string(b, "\"}");
}

static void counter(struct buffer *b, const char *name, const char *help, uint64_t value) {
    put_head(b, name, "counter", help);
    buffer_format(b, "lunette_%s", name);
    put_count(b, value);
}

static void gauge(struct buffer *b, const char *name, const char *help, double value) {
    put_head(b, name, "gauge", help);
    buffer_format(b, "lunette_%s", name);
    put_value(b, value);
}

/* A counter whose parts have names that are ours. */
struct part {
    const char *value;
    uint64_t count;
};

static void parts(struct buffer *b, const char *name, const char *help, const char *label,
                  const struct part *part, uint32_t count) {
    put_head(b, name, "counter", help);
    for (uint32_t i = 0; i < count; i++) {
        put_labelled(b, name, label, part[i].value);
        put_count(b, part[i].count);
    }
}

/* ── rows ────────────────────────────────────────────────────────── */

/* A column of a table: a family with a sample for each row. */
struct column {
    const char *name, *type, *help;
    double (*get)(const void *row);
};

struct rows {
    const char *label;
    const void *first;
    size_t stride;
    uint32_t count;
    const char *(*name)(const void *row);
};

static const void *row_at(const struct rows *rows, uint32_t i) {
    return (const char *)rows->first + (size_t)i * rows->stride;
}

static bool came_before(const struct rows *rows, uint32_t i) {
    const char *name = rows->name(row_at(rows, i));
    for (uint32_t k = 0; k < i; k++)
        if (strcmp(rows->name(row_at(rows, k)), name) == 0) return true;
    return false;
}

static void put_rows(struct buffer *b, const struct rows *rows, const struct column *columns,
                     uint32_t count) {
    for (uint32_t c = 0; c < count && rows->count; c++) {
        put_head(b, columns[c].name, columns[c].type, columns[c].help);
        for (uint32_t i = 0; i < rows->count; i++) {
            if (came_before(rows, i)) continue;
            put_labelled(b, columns[c].name, rows->label, rows->name(row_at(rows, i)));
            put_value(b, columns[c].get(row_at(rows, i)));
        }
    }
}

/* Counts beyond 2^53 lose their last digits as doubles, as they do in whoever stores the samples. */
#define GETTER(row, field)                                                                                   \
    static double row##_##field(const void *at) {                                                            \
        return (double)((const struct board_##row *)at)->field;                                              \
    }

GETTER(interface, packets)
GETTER(interface, bytes)
GETTER(interface, dropped)
GETTER(interface, interface_dropped)
GETTER(interface, open)
GETTER(interface, times_opened)
GETTER(detector, events)
GETTER(detector, alerts)
GETTER(detector, errors)
GETTER(detector, evicted)
GETTER(detector, memory)
GETTER(detector, cpu_seconds)

static double detector_off(const void *at) {
    const struct board_detector *d = at;
    return d->off || d->left_out;
}

static const char *interface_name(const void *at) {
    return ((const struct board_interface *)at)->name;
}

static const char *detector_name(const void *at) {
    return ((const struct board_detector *)at)->name;
}

static const struct column interface_columns[] = {
    {"interface_packets_total", "counter", "Packets taken from the interface.", interface_packets},
    {"interface_bytes_total", "counter", "Bytes of those packets on the wire.", interface_bytes},
    {"interface_kernel_dropped_packets_total", "counter",
     "Packets the kernel dropped because the sensor was late.", interface_dropped},
    {"interface_driver_dropped_packets_total", "counter", "Packets the interface or its driver dropped.",
     interface_interface_dropped},
    {"interface_open", "gauge", "1 while the interface is being captured from.", interface_open},
    {"interface_opens_total", "counter", "Times the interface was opened, as it came and went.",
     interface_times_opened},
};

static const struct column detector_columns[] = {
    {"detector_events_total", "counter", "Events handed to the detector.", detector_events},
    {"detector_alerts_total", "counter", "Alerts of the detector.", detector_alerts},
    {"detector_errors_total", "counter", "Errors its script raised.", detector_errors},
    {"detector_evicted_total", "counter", "Entries of its state that gave way because a bound was reached.",
     detector_evicted},
    {"detector_memory_bytes", "gauge", "Memory of its Lua states.", detector_memory},
    {"detector_cpu_seconds_total", "counter", "Time spent in it since it was loaded.", detector_cpu_seconds},
    {"detector_off", "gauge", "1 if it was switched off or could not be loaded.", detector_off},
};

/* ── outputs ─────────────────────────────────────────────────────── */

static double output_lines(const void *at) {
    return (double)((const struct receiver_figures *)at)->lines;
}
static double output_bytes(const void *at) {
    return (double)((const struct receiver_figures *)at)->bytes;
}
static double output_lost(const void *at) {
    return (double)((const struct receiver_figures *)at)->lost;
}
static double output_spooled(const void *at) {
    return (double)((const struct receiver_figures *)at)->spooled;
}
static double output_healthy(const void *at) {
    return ((const struct receiver_figures *)at)->healthy;
}

static const char *output_name(const void *at) {
    const struct receiver_figures *o = at;
    return o->name ? o->name : "";
}

static const struct column output_columns[] = {
    {"output_lines_total", "counter", "Lines delivered.", output_lines},
    {"output_bytes_total", "counter", "Bytes delivered.", output_bytes},
    {"output_lost_lines_total", "counter", "Lines given up.", output_lost},
    {"output_spooled_bytes", "gauge", "Bytes that wait to be delivered, in memory and on disk.",
     output_spooled},
    {"output_healthy", "gauge", "1 while the output takes what it is given.", output_healthy},
};

/* ── workers ─────────────────────────────────────────────────────── */

/* Workers have numbers, not names. */
static void put_workers(struct buffer *b, const struct board *board) {
    static const struct {
        const char *name, *type, *help;
    } families[] = {
        {"worker_packets_total", "counter", "Packets of the worker."},
        {"worker_bytes_total", "counter", "Bytes of those packets."},
        {"worker_events_total", "counter", "Events the worker made."},
        {"worker_cpu_seconds_total", "counter", "Processor time of its thread."},
        {"worker_clock_lag_seconds", "gauge", "How far its clock, the packets', is behind the wall clock."},
    };
    uint32_t count = board->worker_count < BOARD_WORKERS ? board->worker_count : BOARD_WORKERS;
    for (uint32_t f = 0; f < sizeof families / sizeof families[0] && count; f++) {
        put_head(b, families[f].name, families[f].type, families[f].help);
        for (uint32_t i = 0; i < count; i++) {
            const struct board_worker *w = &board->workers[i];
            /* A worker that has seen no packet has no clock yet; a capture's clock has nothing to do with
             * ours. */
            bool comparable = w->clock && strcmp(board->mode, "live") == 0;
            double lag = comparable ? ns_to_seconds(board->now - w->clock) : NAN;
            double values[] = {(double)w->packets, (double)w->bytes, (double)w->events, w->cpu_seconds, lag};
            buffer_format(b, "lunette_%s{worker=\"%u\"}", families[f].name, i);
            put_value(b, values[f]);
        }
    }
}

/* ── the rest ────────────────────────────────────────────────────── */

static void put_traffic(struct buffer *b, const struct board *board) {
    counter(b, "packets_total", "Packets taken from all interfaces.", board->packets);
    counter(b, "bytes_total", "Bytes of those packets on the wire.", board->bytes);
    const struct part drops[] = {{"kernel", board->dropped}, {"driver", board->interface_dropped}};
    parts(b, "dropped_packets_total",
          "Packets lost: by the kernel because the sensor was late, or before it.", "by", drops, 2);
    uint64_t events = 0;
    for (uint32_t i = 0; i < board->worker_count && i < BOARD_WORKERS; i++)
        events += board->workers[i].events;
    counter(b, "events_total", "Events handed to detectors and records.", events);
}

static void put_hosts(struct buffer *b, const struct endpoint_figures *f, const struct flow_counters *flow) {
    if (f->lines == 0) return;
    counter(b, "host_log_lines_total", "Lines of host logs read.", f->lines);
    counter(b, "host_log_unread_lines_total", "Lines that could not be read.", f->broken + f->unknown);
    counter(b, "host_log_late_total", "News from host logs that came after their time.", f->late);
    counter(b, "host_flows_asked_total", "Flows that ended and asked host logs for their program.",
            flow->programs_asked);
    counter(b, "host_flows_joined_total", "Flows that found their program in host logs.",
            flow->programs_joined);
    counter(b, "host_flows_contradicted_total",
            "Flows of which host logs name another program than the kernel does under that process id.",
            flow->programs_contradicted);
    counter(b, "host_events_total", "Process events made.", f->events);
    gauge(b, "host_processes", "Processes known, those that ended included.", (double)f->processes_now);
    counter(b, "host_processes_evicted_total", "Processes given up for others.", f->processes_evicted);
}

static void put_flows(struct buffer *b, const struct flow_counters *f) {
    const struct part protocols[] = {
        {"tcp", f->flows_tcp}, {"udp", f->flows_udp}, {"icmp", f->flows_icmp}, {"other", f->flows_other}};
    const struct part reasons[] = {{"fin", f->ended_fin},         {"rst", f->ended_rst},
                                   {"timeout", f->ended_timeout}, {"evicted", f->ended_evicted},
                                   {"reused", f->ended_reused},   {"end_of_capture", f->ended_capture}};
    parts(b, "flows_total", "Flows that began.", "protocol", protocols, 4);
    parts(b, "flows_ended_total", "Flows that ended.", "reason", reasons, 6);
    gauge(b, "flows_active", "Flows open now.", f->active);
    gauge(b, "flows_active_peak", "Most flows open at once.", f->active_peak);
    gauge(b, "flow_memory_bytes", "Memory of flow tables and reassembly.", (double)f->memory);
    counter(b, "flows_midstream_total", "TCP flows picked up without their SYN.", f->midstream);
    counter(b, "stream_gaps_total", "Gaps in TCP streams.", f->gaps);
    counter(b, "stream_gap_bytes_total", "Bytes missing in TCP streams.", f->gap_bytes);
    counter(b, "stream_retransmits_total", "TCP segments that brought nothing new.", f->retransmits);
    counter(b, "stream_overlaps_total", "TCP segments that overlapped others.", f->overlaps);
    counter(b, "flow_rebinds_total", "Times a QUIC connection went on from another address or port.",
            f->rebinds);
    counter(b, "flow_rebind_evicted_total",
            "QUIC connection ids and addresses forgotten because a bound was reached.", f->rebind_evicted);
    counter(b, "flow_names_evicted_total",
            "Names learnt from DNS that were forgotten because a bound was reached.", f->names_evicted);
    counter(b, "reassembly_dropped_bytes_total",
            "Bytes of TCP streams let go of because a bound was reached.", f->reassembly_dropped);
    counter(b, "fragments_unjoined_total", "IP fragments not put together.", f->fragments);
    counter(b, "fragments_joined_total", "IP datagrams put together from fragments.", f->fragments_joined);
    counter(b, "fragment_overlaps_total", "IP fragments that overlapped others with other bytes or bounds.",
            f->fragment_overlaps);
    struct part tunnels[TUNNEL_KINDS - 1];
    for (int i = 1; i < TUNNEL_KINDS; i++)
        tunnels[i - 1] = (struct part){tunnel_word((enum tunnel_kind)i), f->tunnelled[i]};
    parts(b, "tunnelled_packets_total", "Packets inside tunnels, by the innermost.", "tunnel", tunnels,
          TUNNEL_KINDS - 1);
    counter(b, "tunnels_refused_total", "Packets inside tunnels beyond those that are told apart.",
            f->tunnels_refused);
}

static void put_alerts(struct buffer *b, const struct board *board) {
    struct part severities[SEVERITY_INFO];
    for (uint8_t i = SEVERITY_HIGH; i <= SEVERITY_INFO; i++)
        severities[i - 1] = (struct part){severity_name(i), board->alerts[i]};
    parts(b, "alerts_total", "Alerts.", "severity", severities, SEVERITY_INFO);
}

static void put_process(struct buffer *b, const struct board *board) {
    put_head(b, "build_info", "gauge", "Always 1; the version is its label.");
    buffer_string(b, "lunette_build_info{version=\"");
    put_label_value(b, board->version);
    buffer_string(b, "\",mode=\"");
    put_label_value(b, board->mode);
    buffer_string(b, "\"} 1\n");
    gauge(b, "start_time_seconds", "When the sensor was started, since 1970.", ns_to_seconds(board->started));
    gauge(b, "process_resident_memory_bytes", "Resident memory of the sensor's process.",
          (double)board->resident);
    gauge(b, "process_open_fds", "Open file descriptors.", board->descriptors);
    put_head(b, "process_cpu_seconds_total", "counter", "Processor time of the process, user and system.");
    buffer_string(b, "lunette_process_cpu_seconds_total");
    put_value(b, board->cpu_seconds);
    counter(b, "restarts_total", "Times the supervisor started the sensor anew.", board->restarts);
}

static void put_upkeep(struct buffer *b, const struct board *board) {
    counter(b, "reloads_total", "Reloads of scripts and settings that were done.", board->reloads);
    counter(b, "reloads_failed_total", "Reloads that were refused; what was loaded stayed.",
            board->reloads_failed);
    gauge(b, "last_reload_timestamp_seconds", "When the last reload was, since 1970; 0 is never.",
          ns_to_seconds(board->last_reload));
    gauge(b, "reload_longest_pause_seconds", "Longest time a reload held up a worker.", board->longest_pause);
    gauge(b, "state_saved_timestamp_seconds", "When state was last saved, since 1970; 0 is never.",
          ns_to_seconds(board->state_saved));
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

void metrics_write(struct buffer *b, const struct board *board) {
    const struct rows interfaces = {"interface", board->interfaces, sizeof board->interfaces[0],
                                    least(board->interface_count, BOARD_INTERFACES), interface_name};
    const struct rows detectors = {"detector", board->detectors, sizeof board->detectors[0],
                                   least(board->detector_count, BOARD_DETECTORS), detector_name};
    const struct rows outputs = {"output", board->outputs, sizeof board->outputs[0],
                                 least(board->output_count, BOARD_OUTPUTS), output_name};
    put_process(b, board);
    put_traffic(b, board);
    put_rows(b, &interfaces, interface_columns, sizeof interface_columns / sizeof interface_columns[0]);
    put_flows(b, &board->flow);
    put_hosts(b, &board->host, &board->flow);
    counter(b, "programs_refused_total",
            "Names of programs, and processes of PKTAP headers, for which there was no more room.",
            board->programs_refused);
    put_alerts(b, board);
    put_rows(b, &detectors, detector_columns, sizeof detector_columns / sizeof detector_columns[0]);
    put_rows(b, &outputs, output_columns, sizeof output_columns / sizeof output_columns[0]);
    put_workers(b, board);
    put_upkeep(b, board);
}
