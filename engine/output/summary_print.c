/* The summary as text: a few lines of figures, then tables, then what the capture could not show. */
#include "output/summary.h"

#include "output/card_show.h"

#include "output/top.h"

#include <stdio.h>
#include <string.h>

enum { INDENT = PAGE_INDENT, LABEL = 12, TOP_NAMES = 12, TOP_HOSTS = 8, TOP_ANOMALIES = 5 };

void page_heading(struct page *p, const char *text) {
    buffer_char(p->b, '\n');
    terminal_ink(p->b, p->style, INK_BOLD);
    terminal_wrapped(p->b, p->style, 0, 0, text);
    terminal_ink(p->b, p->style, INK_PLAIN);
    buffer_char(p->b, '\n');
}

void page_more(struct page *p, uint32_t count) {
    char figure[FIGURE_SIZE];
    if (count) buffer_format(p->b, "  and %s more\n", figure_count(count, figure));
}

/* "  label       text" */
static void line(struct page *p, const char *label, const char *text) {
    buffer_fill(p->b, ' ', INDENT);
    terminal_ink(p->b, p->style, INK_DIM);
    buffer_string(p->b, label);
    terminal_ink(p->b, p->style, INK_PLAIN);
    buffer_fill(p->b, ' ', LABEL - strlen(label));
    terminal_wrapped(p->b, p->style, INDENT + LABEL, INDENT + LABEL, text);
    buffer_char(p->b, '\n');
}

/* "1,234 tcp, 56 udp": the parts that are not zero, each a figure and its word. */
struct parts {
    char text[512];
    size_t length;
};

static void add_part(struct parts *parts, uint64_t count, const char *word) {
    char figure[FIGURE_SIZE];
    if (!count || parts->length + FIGURE_SIZE + strlen(word) + 4 > sizeof parts->text) return;
    parts->length += (size_t)sprintf(parts->text + parts->length, "%s%s %s", parts->length ? ", " : "",
                                     figure_count(count, figure), word);
}

/* One of the names that belong to the last part. */
static void add_name(struct parts *parts, bool first, const char *name) {
    if (parts->length + strlen(name) + 3 > sizeof parts->text) return;
    parts->length += (size_t)sprintf(parts->text + parts->length, first ? " %s" : ", %s", name);
}

/* "1 error", "2 errors". */
static void add_counted(struct parts *parts, uint64_t count, const char *one, const char *many) {
    add_part(parts, count, count == 1 ? one : many);
}

static void parts_line(struct page *p, const char *label, const struct parts *parts) {
    if (parts->length) line(p, label, parts->text);
}

static void print_capture(struct page *p, const struct summary *s) {
    char packets[FIGURE_SIZE], bytes[FIGURE_SIZE], text[256], first[SHORT_TIME_SIZE], last[SHORT_TIME_SIZE];
    snprintf(text, sizeof text, "%s, %s%s", figure_count(s->packets, packets), figure_bytes(s->bytes, bytes),
             s->interrupted ? " (interrupted)" : "");
    line(p, "packets", text);
    if (s->packets) {
        terminal_time(s->first, first);
        terminal_time(s->last, last);
        snprintf(text, sizeof text, "%.19s to %.19s UTC, %s", first, last, /* without milliseconds */
                 figure_duration(ns_to_seconds(s->last - s->first), packets));
        line(p, "time", text);
    }
    if (!(s->seconds > 0)) return;
    char took[FIGURE_SIZE];
    snprintf(text, sizeof text, "%s: %s packets/s, %.2f Gbit/s", figure_duration(s->seconds, took),
             figure_count((uint64_t)((double)s->packets / s->seconds), packets),
             (double)s->bytes * 8 / s->seconds / 1e9);
    line(p, "took", text);
}

static void print_flows(struct page *p, const struct summary *s) {
    const struct flow_counters *f = &s->flow;
    struct parts made = {0}, ended = {0}, hosts = {0}, tunnels = {0};
    char total[FIGURE_SIZE], text[600];
    add_part(&made, f->flows_tcp, "TCP");
    add_part(&made, f->flows_udp, "UDP");
    add_part(&made, f->flows_icmp, "ICMP");
    add_part(&made, f->flows_other, "other");
    snprintf(text, sizeof text, "%s%s%s", figure_count(f->flows, total), made.length ? ": " : "", made.text);
    line(p, "flows", text);
    add_part(&ended, f->ended_fin, "fin");
    add_part(&ended, f->ended_rst, "rst");
    add_part(&ended, f->ended_timeout, "timeout");
    add_part(&ended, f->ended_reused, "reused");
    add_part(&ended, f->ended_evicted, "evicted");
    add_part(&ended, f->ended_capture, "open at the end");
    parts_line(p, "ended by", &ended);
    for (int i = 1; i < TUNNEL_KINDS; i++)
        add_part(&tunnels, f->tunnelled[i], tunnel_word((enum tunnel_kind)i));
    if (tunnels.length) {
        snprintf(text, sizeof text, "packets inside: %s", tunnels.text);
        line(p, "tunnels", text);
    }
    /* The workers' tables are summed into one, which does not know what gave way in them. */
    bool full = top_count(s->hosts) >= SUMMARY_HOSTS;
    add_part(&hosts, top_count(s->hosts), full ? "local at least" : "local");
    parts_line(p, "hosts", &hosts);
}

static void print_top(struct page *p, const char *title, const char *const names[4], const struct top *top,
                      uint32_t max) {
    const struct top_entry *busiest[TOP_NAMES];
    char figures[TOP_NAMES][3][FIGURE_SIZE];
    const char *cells[TOP_NAMES * 4];
    uint32_t count = top_busiest(top, busiest, max);
    if (count == 0) return;
    for (uint32_t i = 0; i < count; i++) {
        cells[i * 4] = busiest[i]->key;
        cells[i * 4 + 1] = figure_count(busiest[i]->flows, figures[i][0]);
        cells[i * 4 + 2] = figure_bytes(busiest[i]->sent, figures[i][1]);
        cells[i * 4 + 3] = figure_bytes(busiest[i]->received, figures[i][2]);
    }
    page_heading(p, title);
    terminal_table(p->b, p->style, INDENT, 4, count, names, cells);
    page_more(p, top_count(top) - count);
}

static uint64_t sum_of(const uint64_t alerts[SEVERITY_INFO + 1]) {
    uint64_t sum = 0;
    for (int i = 0; i <= SEVERITY_INFO; i++) sum += alerts[i];
    return sum;
}

static void print_alerts(struct page *p, const struct summary *s) {
    struct parts parts = {0};
    for (uint8_t i = SEVERITY_HIGH; i <= SEVERITY_INFO; i++) add_part(&parts, s->alerts[i], severity_name(i));
    line(p, "alerts", parts.length ? parts.text : "none");
    uint64_t off = 0, silent = 0, errors = 0, left_out = 0;
    for (uint32_t i = 0; i < s->detector_count; i++) {
        if (s->detectors[i].left_out) {
            left_out++;
            continue;
        }
        off += s->detectors[i].off;
        errors += s->detectors[i].errors;
        silent += sum_of(s->detectors[i].alerts) == 0;
    }
    struct parts ran = {0};
    add_part(&ran, s->detector_count - left_out, "ran");
    add_part(&ran, silent, "without an alert");
    add_counted(&ran, errors, "script error", "script errors");
    add_part(&ran, off, "switched off");
    add_part(&ran, left_out, "failed to load:");
    bool first = true;
    for (uint32_t i = 0; i < s->detector_count; i++) {
        if (!s->detectors[i].left_out) continue;
        add_name(&ran, first, s->detectors[i].name);
        first = false;
    }
    parts_line(p, "detectors", &ran);
}

static void print_detector(struct page *p, const struct detector_summary *d) {
    struct parts parts = {0};
    for (uint8_t i = SEVERITY_HIGH; i <= SEVERITY_INFO; i++) add_part(&parts, d->alerts[i], severity_name(i));
    add_part(&parts, d->held_back, "held back");
    add_counted(&parts, d->errors, "error", "errors");
    add_counted(&parts, d->ended_limit, "stream ended by its limit", "streams ended by their limit");
    add_counted(&parts, d->ended_gap, "stream ended by a gap", "streams ended by a gap");
    add_counted(&parts, d->ended_error, "stream ended by an error", "streams ended by an error");
    buffer_fill(p->b, ' ', INDENT);
    terminal_safe(p->b, d->name, strlen(d->name));
    uint32_t width = terminal_width_of(d->name, strlen(d->name));
    buffer_fill(p->b, ' ', width < 24 ? 24 - width : 2);
    buffer_string(p->b, parts.text);
    if (d->off) {
        buffer_string(p->b, parts.length ? "; switched off: " : "switched off: ");
        terminal_safe(p->b, d->reason, strlen(d->reason));
    }
    buffer_char(p->b, '\n');
}

static void print_detectors(struct page *p, const struct summary *s) {
    bool any = false;
    for (uint32_t i = 0; i < s->detector_count; i++) {
        const struct detector_summary *d = &s->detectors[i];
        bool ended = d->ended_gap + d->ended_limit + d->ended_error > 0;
        if (sum_of(d->alerts) == 0 && !d->errors && !d->off && !ended) continue;
        if (!any) page_heading(p, "Alerts by detector");
        any = true;
        print_detector(p, d);
    }
}

static void print_report(struct page *p, const struct summary_report *r) {
    page_heading(p, r->title);
    terminal_table(p->b, p->style, INDENT, r->columns, r->rows, (const char *const *)r->names,
                   (const char *const *)r->cells);
    if (r->rows_left_out)
        buffer_format(p->b, "  and %llu more in the records\n", (unsigned long long)r->rows_left_out);
    if (!r->note[0]) return;
    buffer_fill(p->b, ' ', INDENT);
    terminal_wrapped(p->b, p->style, INDENT, INDENT, r->note);
    buffer_char(p->b, '\n');
}

static void print_anomalies(struct page *p, const struct summary *s) {
    bool taken[SUMMARY_ANOMALIES] = {false};
    struct parts parts = {0};
    for (int n = 0; n < TOP_ANOMALIES; n++) {
        uint32_t best = SUMMARY_ANOMALIES;
        for (uint32_t i = 0; i < s->anomaly_count; i++)
            if (!taken[i] && (best == SUMMARY_ANOMALIES || s->anomalies[i].count > s->anomalies[best].count))
                best = i;
        if (best == SUMMARY_ANOMALIES) break;
        taken[best] = true;
        char word[96];
        snprintf(word, sizeof word, "%s %s", s->anomalies[best].protocol, s->anomalies[best].name);
        add_part(&parts, s->anomalies[best].count, word);
    }
    parts_line(p, "anomalies", &parts);
}

/* The heading comes with the first line, if there is any. */
static void unseen_line(struct page *p, bool *any, const char *text) {
    if (!*any) page_heading(p, "Could not be seen");
    *any = true;
    buffer_fill(p->b, ' ', INDENT);
    terminal_wrapped(p->b, p->style, INDENT, INDENT + 2, text);
    buffer_char(p->b, '\n');
}

static void unseen(struct page *p, bool *any, uint64_t count, const char *what) {
    char figure[FIGURE_SIZE], text[256];
    if (!count) return;
    snprintf(text, sizeof text, "%s: %s", what, figure_count(count, figure));
    unseen_line(p, any, text);
}

static void print_unseen(struct page *p, const struct summary *s) {
    const struct flow_counters *f = &s->flow;
    char words[128], bytes[FIGURE_SIZE];
    bool any = false;
    uint64_t evicted = 0;
    unseen(p, &any, s->truncated, "packets cut short by the capture");
    snprintf(words, sizeof words, "TCP flows with bytes missing (%s)", figure_bytes(s->gap_bytes, bytes));
    unseen(p, &any, s->gap_flows, words);
    unseen(p, &any, s->one_sided, "TCP flows of which only one side was captured");
    unseen(p, &any, f->midstream, "TCP flows already open when they were first seen");
    unseen(p, &any, f->fragments, "IP fragments not put together");
    unseen(p, &any, f->fragment_overlaps, "IP fragments that overlapped others");
    unseen(p, &any, f->tunnels_refused, "packets inside more tunnels than can be told apart");
    unseen(p, &any, f->ended_evicted, "flows given up because the flow table was full");
    unseen(p, &any, f->names_evicted, "names from DNS forgotten because there were more than can be kept");
    unseen(p, &any, f->reassembly_dropped, "bytes of streams given up because reassembly was full");
    unseen(p, &any, s->undecoded, "packets whose headers could not be read");
    unseen(p, &any, s->not_ip, "packets without IP");
    unseen(p, &any, s->cut_text, "strings cut because an event had too much text");
    unseen(p, &any, s->reports_left_out, "reports left out of this summary");
    unseen(p, &any, s->hosts_evicted, "hosts forgotten because there were more than can be kept");
    for (uint32_t i = 0; i < s->detector_count; i++) evicted += s->detectors[i].evicted;
    unseen(p, &any, evicted, "things that detectors forgot because there were more than they can remember");
    for (uint32_t i = 0; i < s->warning_count; i++) unseen_line(p, &any, s->warnings[i]);
    if (!s->anomaly_count) return;
    page_heading(p, "Odd in the traffic");
    print_anomalies(p, s);
}

static void print_hosts(struct page *p, const struct summary *s) {
    if (!s->card_count || !s->cards_shown) return;
    page_heading(p, "Hosts");
    card_print_list(s->cards, s->card_count, s->cards_shown, p->b, p->style, card_brief);
}

void summary_print(const struct summary *s, struct buffer *b, const struct terminal_style *style) {
    static const char *const host_columns[] = {"host", ">flows", ">sent", ">received"};
    static const char *const name_columns[] = {"name", ">flows", ">to it", ">from it"};
    struct page page = {.b = b, .style = style};
    terminal_ink(b, style, INK_BOLD);
    buffer_string(b, "Summary\n");
    terminal_ink(b, style, INK_PLAIN);
    print_capture(&page, s);
    print_flows(&page, s);
    for (int i = 0; i < 2; i++)
        if (s->host_logs[i] && s->host_logs[i][0]) line(&page, i ? "joined" : "host logs", s->host_logs[i]);
    print_alerts(&page, s);
    if (top_count(s->hosts) > 1) print_top(&page, "Local hosts", host_columns, s->hosts, TOP_HOSTS);
    print_hosts(&page, s);
    summary_who_print_programs(&s->who, &page);
    print_top(&page, "Servers", name_columns, s->names, TOP_NAMES);
    summary_who_print_rest(&s->who, &page);
    for (uint32_t i = 0; i < s->report_count; i++) print_report(&page, &s->reports[i]);
    print_detectors(&page, s);
    print_unseen(&page, s);
}
