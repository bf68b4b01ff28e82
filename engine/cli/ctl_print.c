/* Tables are collected cell by cell and set by output/terminal.h, which makes safe what came off the wire. */
#include "cli/ctl_print.h"

#include "cli/card_read.h"
#include "event/alert.h"
#include "output/card_show.h"
#include "output/terminal.h"

#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

enum { LABEL = 12, CELL = 320 };

struct ctl_page {
    struct buffer *b;
    struct terminal_style style;
    uint32_t limit;
};

/* ── reading ─────────────────────────────────────────────────────── */

static const char *text_of(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static double number_of(const json_t *o, const char *key) {
    return json_number_value(json_object_get(o, key));
}

static uint64_t count_of(const json_t *o, const char *key) {
    const json_t *value = json_object_get(o, key);
    if (json_is_integer(value) && json_integer_value(value) > 0) return (uint64_t)json_integer_value(value);
    double number = json_number_value(value);
    return number >= 1 && number < 1.8e19 ? (uint64_t)number : 0;
}

/* ── lines ───────────────────────────────────────────────────────── */

__attribute__((format(printf, 3, 4))) static void line(struct ctl_page *page, const char *label,
                                                       const char *format, ...) {
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    terminal_ink(page->b, &page->style, INK_DIM);
    buffer_string(page->b, label);
    terminal_ink(page->b, &page->style, INK_PLAIN);
    buffer_fill(page->b, ' ', LABEL - strlen(label));
    terminal_wrapped(page->b, &page->style, LABEL, LABEL, text);
    buffer_char(page->b, '\n');
}

static void heading(struct ctl_page *page, const char *text) {
    if (page->b->length) buffer_char(page->b, '\n');
    terminal_ink(page->b, &page->style, INK_BOLD);
    buffer_string(page->b, text);
    terminal_ink(page->b, &page->style, INK_PLAIN);
    buffer_char(page->b, '\n');
}

/* ── tables ──────────────────────────────────────────────────────── */

/* A table under way: its columns' names, then cells, each of CELL bytes. */
struct table {
    const char *const *names;
    uint32_t columns, rows, used; /* cells of the row at hand */
    char (*cells)[CELL];
    uint32_t most; /* rows */
};

/* `names` end with NULL: there are as many columns as names. */
static struct table table_begin(const char *const *names, size_t rows) {
    struct table t = {.names = names, .most = (uint32_t)rows};
    while (names[t.columns]) t.columns++;
    t.cells = calloc(rows ? rows * t.columns : 1, CELL);
    if (!t.cells) t.most = 0;
    return t;
}

__attribute__((format(printf, 2, 3))) static void cell(struct table *t, const char *format, ...) {
    if (t->rows >= t->most) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(t->cells[t->rows * t->columns + t->used], CELL, format, arguments);
    va_end(arguments);
    if (++t->used < t->columns) return;
    t->used = 0;
    t->rows++;
}

static void table_end(struct ctl_page *page, struct table *t) {
    const char **cells = calloc(t->rows ? (size_t)t->rows * t->columns : 1, sizeof *cells);
    for (size_t i = 0; cells && i < (size_t)t->rows * t->columns; i++) cells[i] = t->cells[i];
    if (cells) terminal_table(page->b, &page->style, 0, t->columns, t->rows, t->names, cells);
    if (!cells) page->b->failed = true;
    free(cells);
    free(t->cells);
}

static size_t rows_of(const struct ctl_page *page, const json_t *array) {
    size_t count = json_array_size(array);
    return page->limit && page->limit < count ? page->limit : count;
}

/* ── status ──────────────────────────────────────────────────────── */

static void print_interfaces(struct ctl_page *page, const json_t *array) {
    static const char *const names[] = {"interface",  ">packets", ">bytes", ">dropped",
                                        ">before us", "state",    NULL};
    struct table t = table_begin(names, json_array_size(array));
    char a[FIGURE_SIZE];
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *n = json_array_get(array, i);
        cell(&t, "%s", text_of(n, "name"));
        cell(&t, "%s", figure_count(count_of(n, "packets"), a));
        cell(&t, "%s", figure_bytes(count_of(n, "bytes"), a));
        cell(&t, "%s", figure_count(count_of(n, "dropped"), a));
        cell(&t, "%s", figure_count(count_of(n, "interface_dropped"), a));
        cell(&t, "%s", json_is_true(json_object_get(n, "open")) ? "open" : "gone");
    }
    heading(page, "Interfaces");
    table_end(page, &t);
}

static void print_outputs(struct ctl_page *page, const json_t *array) {
    static const char *const names[] = {"output", ">lines", ">bytes", ">lost", ">waiting", "state", NULL};
    struct table t = table_begin(names, json_array_size(array));
    char a[FIGURE_SIZE];
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *o = json_array_get(array, i);
        const char *trouble = text_of(o, "trouble");
        bool healthy = json_is_true(json_object_get(o, "healthy"));
        cell(&t, "%s", text_of(o, "name"));
        cell(&t, "%s", figure_count(count_of(o, "lines"), a));
        cell(&t, "%s", figure_bytes(count_of(o, "bytes"), a));
        cell(&t, "%s", figure_count(count_of(o, "lost"), a));
        cell(&t, "%s", figure_bytes(count_of(o, "spooled"), a));
        cell(&t, "%s", healthy ? "well" : trouble[0] ? trouble : "not connected");
    }
    heading(page, "Outputs");
    table_end(page, &t);
}

static void print_figures(struct ctl_page *page, const json_t *s) {
    const json_t *rates = json_object_get(s, "rates"), *flows = json_object_get(s, "flows");
    const json_t *alerts = json_object_get(s, "alerts"), *detectors = json_object_get(s, "detectors");
    char a[FIGURE_SIZE], b[FIGURE_SIZE], c[FIGURE_SIZE];
    line(page, "packets", "%s, %s", figure_count(count_of(s, "packets"), a),
         figure_bytes(count_of(s, "bytes"), b));
    line(page, "rates", "%s packets/s, %.1f Mbit/s, %s events/s", figure_count(count_of(rates, "packets"), a),
         number_of(rates, "bits") / 1e6, figure_count(count_of(rates, "events"), b));
    line(page, "dropped", "%s by the kernel, %s before it; %.1f/s now",
         figure_count(count_of(s, "dropped"), a), figure_count(count_of(s, "interface_dropped"), b),
         number_of(rates, "drops"));
    line(page, "flows", "%s open (at most %s), %s in all", figure_count(count_of(flows, "active"), a),
         figure_count(count_of(flows, "active_peak"), b), figure_count(count_of(flows, "total"), c));
    line(page, "alerts", "%llu high, %llu medium, %llu low, %llu info",
         (unsigned long long)count_of(alerts, "high"), (unsigned long long)count_of(alerts, "medium"),
         (unsigned long long)count_of(alerts, "low"), (unsigned long long)count_of(alerts, "info"));
    if (count_of(alerts, "lost"))
        line(page, "", "%s lost on the way out", figure_count(count_of(alerts, "lost"), a));
    line(page, "detectors", "%llu on, %llu off, %llu left out", (unsigned long long)count_of(detectors, "on"),
         (unsigned long long)count_of(detectors, "off"), (unsigned long long)count_of(detectors, "left_out"));
    line(page, "process", "%s, %llu descriptors, %s of processor time",
         figure_bytes(count_of(s, "resident"), a), (unsigned long long)count_of(s, "descriptors"),
         figure_duration(number_of(s, "cpu_seconds"), b));
}

/* "2024-05-01T12:00:00.123456+0000" without what is behind the seconds. */
static const char *short_time(const char *eve, char out[32]) {
    snprintf(out, 32, "%.19s", eve);
    if (out[0] && strlen(out) > 10) out[10] = ' ';
    return out;
}

static void print_upkeep(struct ctl_page *page, const json_t *s) {
    const json_t *reloads = json_object_get(s, "reloads");
    char time[32];
    const char *last = text_of(reloads, "last"), *saved = text_of(s, "state_saved");
    if (last[0])
        line(page, "reloads", "%llu done, %llu failed; the last at %s UTC: %s; longest pause %.1f ms",
             (unsigned long long)count_of(reloads, "done"), (unsigned long long)count_of(reloads, "failed"),
             short_time(last, time), text_of(reloads, "summary"), number_of(reloads, "longest_pause") * 1000);
    if (saved[0]) line(page, "state", "saved at %s UTC", short_time(saved, time));
    if (count_of(s, "restarts"))
        line(page, "restarts", "%llu; the last: %s", (unsigned long long)count_of(s, "restarts"),
             text_of(s, "last_exit"));
}

void ctl_print_status(struct ctl_page *page, const void *answer) {
    char up[FIGURE_SIZE], time[32];
    line(page, "lunette", "%s, %s, process %llu", text_of(answer, "version"), text_of(answer, "mode"),
         (unsigned long long)count_of(answer, "pid"));
    line(page, "up", "%s, since %s UTC, %zu %s", figure_duration(number_of(answer, "uptime"), up),
         short_time(text_of(answer, "started"), time), json_array_size(json_object_get(answer, "workers")),
         json_array_size(json_object_get(answer, "workers")) == 1 ? "worker" : "workers");
    print_figures(page, answer);
    print_upkeep(page, answer);
    if (json_array_size(json_object_get(answer, "interfaces")))
        print_interfaces(page, json_object_get(answer, "interfaces"));
    if (json_array_size(json_object_get(answer, "outputs")))
        print_outputs(page, json_object_get(answer, "outputs"));
}

/* ── detectors ───────────────────────────────────────────────────── */

static void print_detectors(struct ctl_page *page, const json_t *array) {
    static const char *const names[] = {"detector", "state",     ">events", ">alerts", ">errors",
                                        ">time",    ">ns/event", ">memory", NULL};
    size_t rows = rows_of(page, array);
    struct table t = table_begin(names, rows);
    char a[FIGURE_SIZE];
    for (size_t i = 0; i < rows; i++) {
        const json_t *d = json_array_get(array, i);
        double events = number_of(d, "events"), seconds = number_of(d, "cpu_seconds");
        cell(&t, "%s", text_of(d, "name"));
        cell(&t, "%s", text_of(d, "state"));
        cell(&t, "%s", figure_count(count_of(d, "events"), a));
        cell(&t, "%s", figure_count(count_of(d, "alerts"), a));
        cell(&t, "%s", figure_count(count_of(d, "errors"), a));
        cell(&t, "%s", figure_duration(seconds, a));
        cell(&t, "%.0f", events > 0 ? seconds / events * 1e9 : 0.0);
        cell(&t, "%s", figure_bytes(count_of(d, "memory"), a));
    }
    table_end(page, &t);
}

static void print_troubles(struct ctl_page *page, const json_t *array) {
    bool any = false;
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *d = json_array_get(array, i);
        if (!text_of(d, "trouble")[0]) continue;
        if (!any) heading(page, "Trouble");
        any = true;
        const char *name = text_of(d, "name"), *trouble = text_of(d, "trouble");
        terminal_safe(page->b, name, strlen(name));
        buffer_string(page->b, ": ");
        terminal_wrapped(page->b, &page->style, terminal_width_of(name, strlen(name)) + 2, 4, trouble);
        buffer_char(page->b, '\n');
    }
}

void ctl_print_scripts(struct ctl_page *page, const void *answer) {
    const json_t *array = json_object_get(answer, "scripts");
    print_detectors(page, array);
    print_troubles(page, array);
}

/* ── flows, hosts, alerts ────────────────────────────────────────── */

static const char *end_point(const json_t *flow, const char *address, const char *port, char *out,
                             size_t size) {
    const char *ip = text_of(flow, address);
    uint64_t number = count_of(flow, port);
    if (!number)
        snprintf(out, size, "%s", ip);
    else
        snprintf(out, size, strchr(ip, ':') ? "[%s]:%llu" : "%s:%llu", ip, (unsigned long long)number);
    return out;
}

void ctl_print_flows(struct ctl_page *page, const void *answer) {
    static const char *const names[] = {"client", "server",   "protocol", "name",  "program",
                                        ">to it", ">from it", ">age",     "state", NULL};
    const json_t *array = json_object_get(answer, "flows");
    size_t rows = rows_of(page, array);
    struct table t = table_begin(names, rows);
    char a[80];
    for (size_t i = 0; i < rows; i++) {
        const json_t *f = json_array_get(array, i), *figures = json_object_get(f, "flow");
        const char *app = text_of(f, "app_proto"), *name = text_of(f, "server_name"),
                   *program = text_of(json_object_get(f, "process"), "program");
        cell(&t, "%s", end_point(f, "src_ip", "src_port", a, sizeof a));
        cell(&t, "%s", end_point(f, "dest_ip", "dest_port", a, sizeof a));
        cell(&t, "%s", app[0] ? app : text_of(f, "proto"));
        cell(&t, "%s", name[0] ? name : "-");
        cell(&t, "%s", program[0] ? program : "-");
        cell(&t, "%s", figure_bytes(count_of(figures, "bytes_toserver"), a));
        cell(&t, "%s", figure_bytes(count_of(figures, "bytes_toclient"), a));
        cell(&t, "%s", figure_duration(number_of(figures, "age"), a));
        cell(&t, "%s", text_of(figures, "state"));
    }
    if (rows)
        table_end(page, &t);
    else
        free(t.cells);
    if (!rows) buffer_string(page->b, "no flow is open\n");
}

static void print_busiest(struct ctl_page *page, const char *what, const json_t *array, size_t most) {
    const char *names[] = {what, ">bytes", ">flows", NULL};
    size_t rows = rows_of(page, array);
    if (rows > most) rows = most;
    if (!rows) {
        buffer_string(page->b, "none yet: a flow counts when it ends\n");
        return;
    }
    struct table t = table_begin(names, rows);
    char a[FIGURE_SIZE];
    for (size_t i = 0; i < rows; i++) {
        const json_t *h = json_array_get(array, i);
        cell(&t, "%s", text_of(h, "name"));
        cell(&t, "%s", figure_bytes(count_of(h, "bytes"), a));
        cell(&t, "%s", figure_count(count_of(h, "flows"), a));
    }
    table_end(page, &t);
}

void ctl_print_hosts(struct ctl_page *page, const void *answer) {
    print_busiest(page, "host", json_object_get(answer, "hosts"), SIZE_MAX);
}

void ctl_print_top(struct ctl_page *page, const void *answer) {
    enum { MOST = 10 };
    heading(page, "Hosts");
    print_busiest(page, "host", json_object_get(answer, "hosts"), MOST);
    heading(page, "Names");
    print_busiest(page, "name", json_object_get(answer, "names"), MOST);
    heading(page, "Detectors");
    print_detectors(page, json_object_get(answer, "scripts"));
}

static void print_party(struct ctl_page *page, const char *label, const char *text) {
    if (!text[0]) return;
    buffer_string(page->b, "    ");
    terminal_ink(page->b, &page->style, INK_DIM);
    buffer_string(page->b, label);
    terminal_ink(page->b, &page->style, INK_PLAIN);
    buffer_fill(page->b, ' ', LABEL - 4 - strlen(label));
    terminal_wrapped(page->b, &page->style, LABEL, LABEL, text);
    buffer_char(page->b, '\n');
}

static enum ink ink_of(const char *severity) {
    return strcmp(severity, "high") == 0 ? INK_RED : strcmp(severity, "medium") == 0 ? INK_YELLOW : INK_CYAN;
}

void ctl_print_alerts(struct ctl_page *page, const void *answer) {
    const json_t *array = json_object_get(answer, "alerts");
    size_t rows = rows_of(page, array);
    for (size_t i = 0; i < rows; i++) {
        const json_t *a = json_array_get(array, i);
        const char *severity = text_of(a, "severity");
        char time[32];
        if (i) buffer_char(page->b, '\n');
        buffer_string(page->b, short_time(text_of(a, "time"), time));
        buffer_string(page->b, "  ");
        terminal_ink(page->b, &page->style, ink_of(severity));
        terminal_safe(page->b, severity, strlen(severity));
        terminal_ink(page->b, &page->style, INK_PLAIN);
        buffer_fill(page->b, ' ', strlen(severity) < 8 ? 8 - strlen(severity) : 1);
        terminal_wrapped(page->b, &page->style, 29, LABEL, text_of(a, "title"));
        buffer_char(page->b, '\n');
        print_party(page, "who", text_of(a, "who"));
        print_party(page, "where", text_of(a, "where"));
        print_party(page, "program", text_of(a, "program"));
        print_party(page, "why", text_of(a, "why"));
        print_party(page, "by", text_of(a, "detector"));
        print_party(page, "ATT&CK", text_of(a, "attack"));
    }
    if (!rows) buffer_string(page->b, "no alert yet\n");
}

void ctl_print_cards(struct ctl_page *page, const void *answer) {
    const json_t *array = json_object_get(answer, "cards");
    size_t rows = rows_of(page, array), shown = 0;
    for (size_t i = 0; i < rows; i++) {
        struct card *card = card_read(json_array_get(array, i));
        if (!card) continue;
        if (shown++) buffer_char(page->b, '\n');
        card_print(card, page->b, &page->style, card_whole);
        card_free(card);
    }
    if (!shown) buffer_string(page->b, "no such host yet, or nothing is known of it\n");
}

/* What was done, in a line: of reload, rotate, stop and log-level. */
void ctl_print_summary(struct ctl_page *page, const void *answer) {
    const char *text = text_of(answer, "summary");
    if (text_of(answer, "level")[0]) buffer_string(page->b, "log level: ");
    if (!text[0]) text = text_of(answer, "level");
    terminal_safe(page->b, text, strlen(text));
    buffer_char(page->b, '\n');
}

int ctl_print(ctl_printer *print, const char *body, uint32_t limit, struct buffer *out, struct error *err) {
    json_error_t why;
    json_t *root = json_loads(body, JSON_ALLOW_NUL, &why);
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(err, "the sensor's answer cannot be read: %s", why.text);
    }
    struct ctl_page page = {.b = out, .style = terminal_style_of(STDOUT_FILENO, COLOUR_AUTO), .limit = limit};
    print(&page, root);
    json_decref(root);
    return 0;
}
