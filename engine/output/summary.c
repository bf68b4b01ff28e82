/* Adding things up. Whatever cannot be kept for want of memory or room is left out of the summary, never
 * fatal: the records have it. */
#include "output/summary.h"

#include "output/top.h"

#include <stdlib.h>
#include <string.h>

int summary_init(struct summary *summary, struct error *err) {
    *summary = (struct summary){0};
    summary->names = top_new(SUMMARY_NAMES);
    summary->hosts = top_new(SUMMARY_HOSTS);
    int who = summary_who_init(&summary->who);
    if (summary->names && summary->hosts && who == 0) return 0;
    summary_clear(summary);
    return error_set(err, "out of memory for the summary");
}

static void report_clear(struct summary_report *r) {
    for (uint32_t i = 0; r->names && i < r->columns; i++) free(r->names[i]);
    for (size_t i = 0; r->cells && i < (size_t)r->columns * r->rows; i++) free(r->cells[i]);
    free(r->names);
    free(r->cells);
    free(r->detector);
    free(r->title);
    free(r->note);
    *r = (struct summary_report){0};
}

void summary_clear(struct summary *summary) {
    for (uint32_t i = 0; i < summary->report_count; i++) report_clear(&summary->reports[i]);
    free(summary->reports);
    free(summary->detectors);
    top_free(summary->names);
    top_free(summary->hosts);
    summary_who_clear(&summary->who);
    *summary = (struct summary){0};
}

/* ── flows ───────────────────────────────────────────────────────── */

static void add_host(struct summary *summary, const struct ip *address, uint64_t sent, uint64_t received) {
    char text[IP_TEXT_SIZE];
    int length = ip_format(address, text);
    top_add(summary->hosts, text, (size_t)length, 1, sent, received);
}

static void add_name(struct summary *summary, const struct event_flow *flow, const struct batch *batch) {
    const struct text_ref *name = &flow->body.server_name;
    uint64_t sent = flow->body.client_bytes, received = flow->body.server_bytes;
    if (name->at && name->length) {
        top_add(summary->names, batch->text + name->at, name->length, 1, sent, received);
        return;
    }
    char text[IP_TEXT_SIZE];
    int length = ip_format(&flow->head.server_ip, text);
    top_add(summary->names, text, (size_t)length, 1, sent, received);
}

/* One side of a connection that must have had two (flow/partial.c). Datagrams are left to
 * scripts/visibility.lua: much is said to all and answered by none. */
static bool is_one_sided(const struct event_flow *flow) {
    if (!flow->head.proto || strcmp(flow->head.proto, "TCP") != 0) return false;
    return flow->head.partial && strstr(flow->head.partial, "one-sided");
}

void summary_add_flow(struct summary *summary, const struct event_flow *flow, const struct batch *batch) {
    const struct event_flow_body *f = &flow->body;
    add_name(summary, flow, batch);
    if (flow->head.client_local) add_host(summary, &flow->head.client_ip, f->client_bytes, f->server_bytes);
    bool is_host =
        flow->head.server_local && f->server_packets > 0; /* not a broadcast or multicast address */
    if (is_host) add_host(summary, &flow->head.server_ip, f->server_bytes, f->client_bytes);
    if (is_one_sided(flow)) summary->one_sided++;
    summary->gap_flows += f->gap_bytes > 0;
    summary->gap_bytes += f->gap_bytes;
}

bool summary_wants(enum event_kind kind) {
    return kind == EVENT_flow || summary_who_wants(kind);
}

void summary_add_event(struct summary *summary, enum event_kind kind, const void *event,
                       const struct batch *batch) {
    if (kind == EVENT_flow) summary_add_flow(summary, event, batch);
    summary_who_event(&summary->who, kind, event, batch);
}

/* ── detectors and their alerts ──────────────────────────────────── */

struct detector_summary *summary_detector(struct summary *summary, const char *name) {
    for (uint32_t i = 0; i < summary->detector_count; i++)
        if (strncmp(summary->detectors[i].name, name, sizeof summary->detectors[i].name - 1) == 0)
            return &summary->detectors[i];
    if (summary->detector_count == SUMMARY_DETECTORS) return NULL;
    struct detector_summary *grown =
        realloc(summary->detectors, (summary->detector_count + 1) * sizeof *summary->detectors);
    if (!grown) return NULL;
    summary->detectors = grown;
    struct detector_summary *d = &grown[summary->detector_count++];
    *d = (struct detector_summary){0};
    strncpy(d->name, name, sizeof d->name - 1);
    return d;
}

void summary_add_alert(struct summary *summary, const struct alert *alert) {
    uint8_t severity = alert->severity <= SEVERITY_INFO ? alert->severity : 0;
    summary->alerts[severity]++;
    struct detector_summary *d = summary_detector(summary, alert->detector);
    if (!d) return;
    d->alerts[severity]++;
    d->held_back += alert->repeats;
}

static void merge_detector(struct summary *into, const struct detector_summary *from) {
    struct detector_summary *d = summary_detector(into, from->name);
    if (!d) return;
    d->events += from->events;
    d->held_back += from->held_back;
    d->errors += from->errors;
    d->evicted += from->evicted;
    d->ended_gap += from->ended_gap;
    d->ended_limit += from->ended_limit;
    d->ended_error += from->ended_error;
    d->left_out |= from->left_out;
    for (int i = 0; i <= SEVERITY_INFO; i++) d->alerts[i] += from->alerts[i];
    if (!from->off || d->off) return;
    d->off = true;
    memcpy(d->reason, from->reason, sizeof d->reason);
}

/* ── the engine's counters ───────────────────────────────────────── */

void summary_add_counters(struct summary *summary, const struct flow_counters *c) {
    struct flow_counters *sum = &summary->flow;
    sum->packets += c->packets;
    sum->bytes += c->bytes;
    sum->flows += c->flows;
    sum->flows_tcp += c->flows_tcp;
    sum->flows_udp += c->flows_udp;
    sum->flows_icmp += c->flows_icmp;
    sum->flows_other += c->flows_other;
    sum->ended_fin += c->ended_fin;
    sum->ended_rst += c->ended_rst;
    sum->ended_timeout += c->ended_timeout;
    sum->ended_evicted += c->ended_evicted;
    sum->ended_reused += c->ended_reused;
    sum->ended_capture += c->ended_capture;
    sum->midstream += c->midstream;
    sum->reassembly_dropped += c->reassembly_dropped;
    sum->gaps += c->gaps;
    sum->gap_bytes += c->gap_bytes;
    sum->retransmits += c->retransmits;
    sum->overlaps += c->overlaps;
    sum->rebinds += c->rebinds;
    sum->programs_asked += c->programs_asked;
    sum->programs_joined += c->programs_joined;
    sum->programs_contradicted += c->programs_contradicted;
    sum->programs_unnamed += c->programs_unnamed;
    sum->rebind_evicted += c->rebind_evicted;
    sum->names_evicted += c->names_evicted;
    sum->fragments += c->fragments;
    sum->fragments_joined += c->fragments_joined;
    sum->fragment_overlaps += c->fragment_overlaps;
    for (int i = 0; i < TUNNEL_KINDS; i++) sum->tunnelled[i] += c->tunnelled[i];
    sum->tunnels_refused += c->tunnels_refused;
    sum->active += c->active;
    sum->active_peak += c->active_peak;
    sum->memory += c->memory;
}

static bool is_same_anomaly(const struct anomaly_count *a, const struct anomaly_count *b) {
    return strcmp(a->name, b->name) == 0 && strcmp(a->protocol, b->protocol) == 0 &&
           strcmp(a->layer, b->layer) == 0;
}

static void add_anomaly(struct summary *summary, const struct anomaly_count *anomaly) {
    for (uint32_t i = 0; i < summary->anomaly_count; i++) {
        if (!is_same_anomaly(&summary->anomalies[i], anomaly)) continue;
        summary->anomalies[i].count += anomaly->count;
        return;
    }
    if (summary->anomaly_count == SUMMARY_ANOMALIES) return;
    summary->anomalies[summary->anomaly_count++] = *anomaly;
}

void summary_add_anomalies(struct summary *summary, const struct anomaly_count *anomalies, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) add_anomaly(summary, &anomalies[i]);
}

/* ── reports ─────────────────────────────────────────────────────── */

static char *copy_text(const char *text) {
    return strdup(text ? text : "");
}

static bool is_same_report(const struct summary_report *a, const struct report *b) {
    if (a->columns != b->columns || strcmp(a->title, b->title) != 0 || strcmp(a->detector, b->detector) != 0)
        return false;
    for (uint32_t i = 0; i < a->columns; i++)
        if (strcmp(a->names[i], b->names[i]) != 0) return false;
    return true;
}

static bool copy_heading(struct summary_report *copy, const struct report *report) {
    copy->detector = copy_text(report->detector);
    copy->title = copy_text(report->title);
    copy->note = copy_text(report->note);
    copy->names = calloc(report->columns ? report->columns : 1, sizeof *copy->names);
    if (!copy->detector || !copy->title || !copy->note || !copy->names) return false;
    for (copy->columns = 0; copy->columns < report->columns; copy->columns++) {
        copy->names[copy->columns] = copy_text(report->names[copy->columns]);
        if (!copy->names[copy->columns]) return false;
    }
    return true;
}

static struct summary_report *report_for(struct summary *summary, const struct report *report) {
    for (uint32_t i = 0; i < summary->report_count; i++)
        if (is_same_report(&summary->reports[i], report)) return &summary->reports[i];
    if (summary->report_count == SUMMARY_REPORTS) return NULL;
    struct summary_report *grown = realloc(summary->reports, (summary->report_count + 1) * sizeof *grown);
    if (!grown) return NULL;
    summary->reports = grown;
    struct summary_report *copy = &grown[summary->report_count];
    *copy = (struct summary_report){0};
    if (copy_heading(copy, report)) {
        summary->report_count++;
        return copy;
    }
    report_clear(copy);
    return NULL;
}

static bool copy_row(struct summary_report *copy, const char *const *cells) {
    size_t used = (size_t)copy->rows * copy->columns;
    char **grown = realloc(copy->cells, (used + copy->columns + 1) * sizeof *grown);
    if (!grown) return false;
    copy->cells = grown;
    for (uint32_t i = 0; i < copy->columns; i++) {
        grown[used + i] = copy_text(cells[i]);
        if (grown[used + i]) continue;
        while (i-- > 0) free(grown[used + i]);
        return false;
    }
    copy->rows++;
    return true;
}

void summary_add_report(struct summary *summary, const struct report *report) {
    struct summary_report *copy = report_for(summary, report);
    if (!copy) {
        summary->reports_left_out++;
        return;
    }
    for (uint32_t i = 0; i < report->rows; i++) {
        const char *const *row = report->cells + (size_t)i * report->columns;
        if (copy->rows == SUMMARY_REPORT_ROWS || !copy_row(copy, row)) copy->rows_left_out++;
    }
}

static void merge_report(struct summary *into, const struct summary_report *from) {
    struct report report = {
        .detector = from->detector,
        .title = from->title,
        .note = from->note,
        .columns = from->columns,
        .rows = from->rows,
        .names = (const char *const *)from->names,
        .cells = (const char *const *)from->cells,
    };
    summary_add_report(into, &report);
    struct summary_report *merged = report_for(into, &report);
    if (merged) merged->rows_left_out += from->rows_left_out;
}

/* ── one summary into another ────────────────────────────────────── */

static void merge_top(struct top *into, const struct top *from) {
    for (uint32_t i = 0; i < top_count(from); i++) {
        const struct top_entry *e = top_at(from, i);
        top_add(into, e->key, e->key_length, e->flows, e->sent, e->received);
    }
}

static void widen(struct summary *into, const struct summary *from) {
    if (from->first && (!into->first || from->first < into->first)) into->first = from->first;
    if (from->last > into->last) into->last = from->last;
}

void summary_merge(struct summary *into, const struct summary *from) {
    widen(into, from);
    into->packets += from->packets;
    into->bytes += from->bytes;
    into->truncated += from->truncated;
    into->not_ip += from->not_ip;
    into->undecoded += from->undecoded;
    into->one_sided += from->one_sided;
    into->gap_flows += from->gap_flows;
    into->gap_bytes += from->gap_bytes;
    into->cut_text += from->cut_text;
    into->interrupted = into->interrupted || from->interrupted;
    into->reports_left_out += from->reports_left_out;
    for (int i = 0; i <= SEVERITY_INFO; i++) into->alerts[i] += from->alerts[i];
    summary_add_counters(into, &from->flow);
    summary_add_anomalies(into, from->anomalies, from->anomaly_count);
    for (uint32_t i = 0; i < from->detector_count; i++) merge_detector(into, &from->detectors[i]);
    for (uint32_t i = 0; i < from->report_count; i++) merge_report(into, &from->reports[i]);
    merge_top(into->names, from->names);
    merge_top(into->hosts, from->hosts);
    summary_who_merge(&into->who, &from->who);
}
