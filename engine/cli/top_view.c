/* From top to bottom: a bar that says who this is, four rows of figures, the panels, a row of keys. With the
 * focus on all, three panels share the room; else one has it alone. */
#include "cli/top_view.h"

#include "output/terminal.h"

#include <stdlib.h>

enum {
    HEADER_ROWS = 5,
    BARS_LABEL = 9,
    BARS_FIGURE = 14,
    BARS_MOST = 18,
    LEAST_WIDTH = 20,
    SIDE_BY_SIDE = 120
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
    double number = number_of(o, key);
    return number >= 0.5 && number < 1.8e19 ? (uint64_t)(number + 0.5) : 0;
}

static bool is_true(const json_t *o, const char *key) {
    return json_is_true(json_object_get(o, key));
}

/* "HH:MM:SS" of EVE's time. */
static const char *clock_of(const char *eve, char out[16]) {
    snprintf(out, 16, "%.8s", strlen(eve) > 19 ? eve + 11 : "");
    return out;
}

static void remember(struct top_view *view, const json_t *rates) {
    double *rows[] = {view->packets, view->bits, view->drops};
    const double values[] = {number_of(rates, "packets"), number_of(rates, "bits"),
                             number_of(rates, "drops")};
    bool full = view->samples == TOP_HISTORY;
    for (int i = 0; i < 3; i++) {
        if (full) memmove(rows[i], rows[i] + 1, (TOP_HISTORY - 1) * sizeof(double));
        rows[i][view->samples - full] = values[i];
    }
    if (!full) view->samples++;
}

int top_view_feed(struct top_view *view, const char *body, struct error *err) {
    json_error_t why;
    json_t *answer = json_loads(body, JSON_ALLOW_NUL, &why);
    const json_t *status = json_object_get(answer, "status");
    if (!json_is_object(status)) {
        json_decref(answer);
        return error_set(err, "the sensor's answer cannot be read");
    }
    /* Another process: its counters have nothing to do with those before. */
    const json_t *old = json_object_get(view->answer, "status");
    bool another = old && count_of(old, "pid") != count_of(status, "pid");
    json_decref(view->before);
    view->before = view->answer;
    view->answer = answer;
    if (another) {
        json_decref(view->before);
        view->before = NULL;
    }
    remember(view, json_object_get(status, "rates"));
    view->gone[0] = '\0';
    return 0;
}

void top_view_free(struct top_view *view) {
    json_decref(view->answer);
    json_decref(view->before);
    view->answer = view->before = NULL;
}

/* Processor time since the answer before, as a share of one processor; since the start if there is none. */
static double share_of(const struct top_view *view, const json_t *now, const json_t *before) {
    double up = number_of(json_object_get(view->answer, "status"), "uptime");
    double used = number_of(now, "cpu_seconds");
    double up_before = before ? number_of(json_object_get(view->before, "status"), "uptime") : 0;
    double used_before = before ? number_of(before, "cpu_seconds") : 0;
    return up > up_before && used > used_before ? (used - used_before) / (up - up_before) * 100 : 0;
}

/* ── the header ──────────────────────────────────────────────────── */

/* Words one after the other in a row, as long as there is room. */
struct pen {
    struct screen *screen;
    uint32_t row, column, end;
};

__attribute__((format(printf, 3, 4))) static void pen_write(struct pen *pen, enum screen_ink ink,
                                                            const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (pen->column < pen->end)
        pen->column += screen_put(pen->screen, pen->row, pen->column, pen->end - pen->column, ink, text);
}

static void draw_bar(struct screen *screen, const json_t *status) {
    char up[FIGURE_SIZE], clock[16], right[80];
    snprintf(right, sizeof right, "up %s  %s UTC ", figure_duration(number_of(status, "uptime"), up),
             clock_of(text_of(status, "now"), clock));
    uint32_t width = (uint32_t)strlen(right);
    uint32_t end = screen->columns > width + LEAST_WIDTH ? screen->columns - width : screen->columns;
    struct pen pen = {screen, 0, 1, end > 2 ? end - 2 : end};
    pen_write(&pen, SCREEN_BAR, "lunette %s  %s  ", text_of(status, "version"), text_of(status, "mode"));
    const json_t *interfaces = json_object_get(status, "interfaces");
    for (size_t i = 0; i < json_array_size(interfaces); i++) {
        const json_t *n = json_array_get(interfaces, i);
        pen_write(&pen, SCREEN_BAR, "%s%s%s", i ? ", " : "", text_of(n, "name"),
                  is_true(n, "open") ? "" : " (gone)");
    }
    if (end < screen->columns) screen_put(screen, 0, end, width, SCREEN_BAR, right);
    screen_ink_row(screen, 0, SCREEN_BAR);
}

static double most_of(const double *values, uint32_t count) {
    double most = 0;
    for (uint32_t i = 0; i < count; i++)
        if (values[i] > most) most = values[i];
    return most;
}

/* A rate: what it is now, the most of what is remembered, and how it went. */
struct rate {
    const char *label, *unit;
    double scale; /* of the unit */
    int digits;
};

static const char *rate_text(const struct rate *rate, double value, char *out, size_t size) {
    char figure[FIGURE_SIZE];
    if (rate->digits)
        snprintf(out, size, "%.*f %s", rate->digits, value / rate->scale, rate->unit);
    else
        snprintf(out, size, "%s%s", figure_count((uint64_t)(value / rate->scale + 0.5), figure), rate->unit);
    return out;
}

static void draw_rate(const struct top_view *view, struct screen *screen, uint32_t row,
                      const struct rate *rate, const double *values) {
    uint32_t left = BARS_LABEL + BARS_FIGURE + 2;
    double most = most_of(values, view->samples), now = view->samples ? values[view->samples - 1] : 0;
    char text[64], label[80];
    screen_put(screen, row, 1, BARS_LABEL, SCREEN_DIM, rate->label);
    screen_put_right(screen, row, BARS_LABEL, BARS_FIGURE, SCREEN_BOLD,
                     rate_text(rate, now, text, sizeof text));
    if (screen->columns <= left + BARS_MOST + 1 || view->samples < 2) return;
    snprintf(label, sizeof label, "max %s", rate_text(rate, most, text, sizeof text));
    screen_put(screen, row, left, BARS_MOST, SCREEN_DIM, label);
    left += BARS_MOST + 1;
    screen_bars(screen, row, left, screen->columns - left - 1, SCREEN_CYAN, values, view->samples, most);
}

static void draw_rates(const struct top_view *view, struct screen *screen) {
    const struct rate packets = {"packets", "/s", 1, 0}, traffic = {"traffic", "Mbit/s", 1e6, 1};
    draw_rate(view, screen, 1, &packets, view->packets);
    draw_rate(view, screen, 2, &traffic, view->bits);
}

static void draw_figures(const struct top_view *view, struct screen *screen, const json_t *status) {
    const json_t *rates = json_object_get(status, "rates"), *flows = json_object_get(status, "flows");
    const json_t *before = json_object_get(view->before, "status");
    char a[FIGURE_SIZE];
    double drops = number_of(rates, "drops");
    struct pen pen = {screen, 3, 1, screen->columns > 1 ? screen->columns - 1 : 0};
    pen_write(&pen, SCREEN_DIM, "drops ");
    pen_write(&pen, drops > 0 ? SCREEN_RED : SCREEN_PLAIN, drops > 0 && drops < 9.95 ? "%.1f/s" : "%.0f/s",
              drops);
    pen_write(&pen, SCREEN_PLAIN, " (%s)", figure_count(count_of(status, "dropped"), a));
    pen_write(&pen, SCREEN_DIM, "  flows ");
    pen_write(&pen, SCREEN_PLAIN, "%s", figure_count(count_of(flows, "active"), a));
    pen_write(&pen, SCREEN_DIM, "  events ");
    pen_write(&pen, SCREEN_PLAIN, "%s/s", figure_count(count_of(rates, "events"), a));
    pen_write(&pen, SCREEN_DIM, "  cpu ");
    pen_write(&pen, SCREEN_PLAIN, "%.0f %%", share_of(view, status, before));
    pen_write(&pen, SCREEN_DIM, "  memory ");
    pen_write(&pen, SCREEN_PLAIN, "%s", figure_bytes(count_of(status, "resident"), a));
}

/* ── what is wrong, in a row ─────────────────────────────────────── */

static void trouble(struct pen *pen, uint32_t *count, const char *text) {
    if ((*count)++) pen_write(pen, SCREEN_DIM, "; ");
    pen_write(pen, SCREEN_YELLOW, "%s", text);
}

static void troubled_outputs(struct pen *pen, uint32_t *count, const json_t *status) {
    const json_t *outputs = json_object_get(status, "outputs");
    char text[512], waiting[FIGURE_SIZE];
    for (size_t i = 0; i < json_array_size(outputs); i++) {
        const json_t *o = json_array_get(outputs, i);
        if (is_true(o, "healthy")) continue;
        snprintf(text, sizeof text, "%s: %s, %s wait", text_of(o, "name"),
                 text_of(o, "trouble")[0] ? text_of(o, "trouble") : "not connected",
                 figure_bytes(count_of(o, "spooled"), waiting));
        trouble(pen, count, text);
    }
}

static void draw_troubles(const struct top_view *view, struct screen *screen, const json_t *status) {
    struct pen pen = {screen, 4, 1, screen->columns > 1 ? screen->columns - 1 : 0};
    const json_t *scripts = json_object_get(view->answer, "scripts");
    uint32_t count = 0, off = 0;
    char text[512], figure[FIGURE_SIZE];
    if (view->gone[0]) {
        pen_write(&pen, SCREEN_RED, "No answer: %s", view->gone);
        return;
    }
    for (size_t i = 0; i < json_array_size(scripts); i++)
        off += strcmp(text_of(json_array_get(scripts, i), "state"), "on") != 0;
    snprintf(text, sizeof text, off == 1 ? "%u detector is off" : "%u detectors are off", off);
    if (off) trouble(&pen, &count, text);
    uint64_t lost = count_of(json_object_get(status, "alerts"), "lost");
    snprintf(text, sizeof text, "%s alerts lost", figure_count(lost, figure));
    if (lost) trouble(&pen, &count, text);
    troubled_outputs(&pen, &count, status);
    uint64_t restarts = count_of(status, "restarts");
    snprintf(text, sizeof text, "restarted %s: %s", restarts == 1 ? "once" : figure_count(restarts, figure),
             text_of(status, "last_exit"));
    if (restarts) trouble(&pen, &count, text);
    if (!count) pen_write(&pen, SCREEN_GREEN, "all well");
}

/* ── panels ──────────────────────────────────────────────────────── */

/* A run of rows of the screen. */
struct panel {
    struct screen *screen;
    uint32_t row, rows;
};

/* A table's column: where it begins, how wide it is, whether it is flush right. */
struct column {
    const char *name;
    uint32_t at, width;
    bool right;
};

static void put_in(struct screen *screen, uint32_t row, const struct column *c, enum screen_ink ink,
                   const char *text) {
    if (c->right)
        screen_put_right(screen, row, c->at, c->width, ink, text);
    else
        screen_put(screen, row, c->at, c->width, ink, text);
}

static void put_names(struct screen *screen, uint32_t row, const struct column *columns, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        put_in(screen, row, &columns[i], i ? SCREEN_DIM : SCREEN_BOLD, columns[i].name);
}

/* How far one may scroll so that the last screen is full. */
static uint32_t scrolled(uint32_t *scroll, size_t have, uint32_t shown) {
    uint32_t most = have > shown ? (uint32_t)have - shown : 0;
    if (*scroll > most) *scroll = most;
    return *scroll;
}

/* With the flows' count where there is room for it beside a name. */
static void draw_busiest(const struct panel *panel, uint32_t left, uint32_t width, const char *name,
                         const json_t *array, uint32_t scroll) {
    bool flows = width >= 60;
    uint32_t figures = flows ? 20 : 10, room = width > figures + 3 ? width - figures - 1 : 2;
    const struct column columns[] = {
        {name, left, room, false}, {"bytes", left + room + 1, 9, true}, {"flows", left + room + 11, 9, true}};
    char figure[FIGURE_SIZE];
    put_names(panel->screen, panel->row, columns, flows ? 3 : 2);
    for (uint32_t i = 0; i + 1 < panel->rows && i + scroll < json_array_size(array); i++) {
        const json_t *h = json_array_get(array, i + scroll);
        uint32_t row = panel->row + 1 + i;
        put_in(panel->screen, row, &columns[0], SCREEN_PLAIN, text_of(h, "name"));
        put_in(panel->screen, row, &columns[1], SCREEN_PLAIN, figure_bytes(count_of(h, "bytes"), figure));
        if (flows)
            put_in(panel->screen, row, &columns[2], SCREEN_PLAIN, figure_count(count_of(h, "flows"), figure));
    }
    if (json_array_size(array) == 0 && panel->rows > 1)
        screen_put(panel->screen, panel->row + 1, left, width, SCREEN_DIM,
                   "none yet: a flow counts when it ends");
}

/* Beside each other; but when this has a narrow screen alone, below each other, so that names can be read. */
static void draw_traffic(struct top_view *view, const struct panel *panel) {
    const json_t *hosts = json_object_get(view->answer, "hosts"),
                 *names = json_object_get(view->answer, "names");
    size_t hosts_count = json_array_size(hosts), names_count = json_array_size(names);
    struct panel upper = *panel, lower = *panel;
    uint32_t columns = panel->screen->columns, left = columns / 2 + 1, width = columns / 2 - 2, offset = 0;
    if (view->focus == FOCUS_TRAFFIC) {
        if (columns < SIDE_BY_SIDE) {
            upper.rows = (panel->rows - 1) / 2;
            lower = (struct panel){panel->screen, panel->row + upper.rows + 1, panel->rows - upper.rows - 1};
            left = 1;
            width = columns - 2;
        }
        offset = scrolled(&view->scroll[FOCUS_TRAFFIC], hosts_count > names_count ? hosts_count : names_count,
                          upper.rows ? upper.rows - 1 : 0);
    }
    draw_busiest(&upper, 1, width, "Hosts", hosts, offset);
    draw_busiest(&lower, left, left == 1 ? width : columns - left - 1, "Names", names, offset);
}

/* ── detectors ───────────────────────────────────────────────────── */

struct ranked {
    const json_t *detector;
    double share;
    bool on;
};

/* What is off comes first, then what costs most. */
static int by_cost(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->on != y->on) return x->on - y->on;
    if (x->share != y->share) return x->share < y->share ? 1 : -1;
    return strcmp(text_of(x->detector, "name"), text_of(y->detector, "name"));
}

static const json_t *same_before(const struct top_view *view, const char *name) {
    const json_t *scripts = json_object_get(view->before, "scripts");
    for (size_t i = 0; i < json_array_size(scripts); i++)
        if (strcmp(text_of(json_array_get(scripts, i), "name"), name) == 0) return json_array_get(scripts, i);
    return NULL;
}

static void draw_detector(struct screen *screen, uint32_t row, const struct column *columns,
                          const struct ranked *r) {
    const json_t *d = r->detector;
    char figure[FIGURE_SIZE], text[64];
    put_in(screen, row, &columns[0], r->on ? SCREEN_PLAIN : SCREEN_RED, text_of(d, "name"));
    put_in(screen, row, &columns[1], SCREEN_PLAIN, figure_count(count_of(d, "events"), figure));
    put_in(screen, row, &columns[2], SCREEN_PLAIN, figure_count(count_of(d, "alerts"), figure));
    put_in(screen, row, &columns[3], count_of(d, "errors") ? SCREEN_YELLOW : SCREEN_PLAIN,
           figure_count(count_of(d, "errors"), figure));
    snprintf(text, sizeof text, "%.1f %%", r->share);
    put_in(screen, row, &columns[4], SCREEN_PLAIN, text);
    put_in(screen, row, &columns[5], SCREEN_PLAIN, figure_bytes(count_of(d, "memory"), figure));
    if (!r->on) put_in(screen, row, &columns[6], SCREEN_RED, text_of(d, "state"));
}

/* Alone on the screen, a detector's last trouble has a row of its own below it. */
static void draw_ranked(struct top_view *view, const struct panel *panel, const struct ranked *ranked,
                        size_t count) {
    static const struct column columns[] = {{"Detectors", 1, 18, false}, {"events", 20, 12, true},
                                            {"alerts", 33, 7, true},     {"errors", 41, 7, true},
                                            {"cpu", 49, 8, true},        {"memory", 58, 9, true},
                                            {"", 69, 9, false}};
    struct screen *screen = panel->screen;
    bool alone = view->focus == FOCUS_DETECTORS;
    uint32_t room = panel->rows ? panel->rows - 1 : 0, troubled = 0, row = panel->row + 1,
             end = panel->row + panel->rows;
    for (size_t i = 0; i < count; i++) troubled += text_of(ranked[i].detector, "trouble")[0] != '\0';
    uint32_t from = alone ? scrolled(&view->scroll[FOCUS_DETECTORS], count + troubled, room) : 0;
    put_names(screen, panel->row, columns, 7);
    for (size_t i = from; i < count && row < end; i++) {
        const char *trouble = text_of(ranked[i].detector, "trouble");
        draw_detector(screen, row++, columns, &ranked[i]);
        if (alone && trouble[0] && row < end)
            screen_put(screen, row++, 3, screen->columns - 4, SCREEN_YELLOW, trouble);
    }
    if (count == 0 && room) screen_put(screen, row, 1, 40, SCREEN_DIM, "none loaded");
}

static void draw_detectors(struct top_view *view, const struct panel *panel) {
    const json_t *scripts = json_object_get(view->answer, "scripts");
    size_t count = json_array_size(scripts);
    struct ranked *ranked = calloc(count + 1, sizeof *ranked);
    if (!ranked) return;
    for (size_t i = 0; i < count; i++) {
        const json_t *d = json_array_get(scripts, i);
        ranked[i] = (struct ranked){d, share_of(view, d, same_before(view, text_of(d, "name"))),
                                    strcmp(text_of(d, "state"), "on") == 0};
    }
    qsort(ranked, count, sizeof *ranked, by_cost);
    draw_ranked(view, panel, ranked, count);
    free(ranked);
}

/* ── alerts ──────────────────────────────────────────────────────── */

static enum screen_ink ink_of(const char *severity) {
    if (strcmp(severity, "high") == 0) return SCREEN_RED;
    if (strcmp(severity, "medium") == 0) return SCREEN_YELLOW;
    return strcmp(severity, "low") == 0 ? SCREEN_CYAN : SCREEN_DIM;
}

/* One row; in full three: what, who and by which detector, why. */
static void draw_alert(struct screen *screen, uint32_t row, const json_t *a, bool full) {
    enum { TEXT = 19 };
    char clock[16];
    const char *severity = text_of(a, "severity"), *arrow = screen->unicode ? "→" : ">";
    const char *attack = text_of(a, "attack");
    uint32_t end = screen->columns > 1 ? screen->columns - 1 : 0;
    struct pen pen = {screen, row, TEXT, end}, who = {screen, row + 1, TEXT, end};
    screen_put(screen, row, 1, 8, SCREEN_DIM, clock_of(text_of(a, "time"), clock));
    screen_put(screen, row, 11, 6, ink_of(severity), severity);
    if (!full) pen_write(&pen, SCREEN_PLAIN, "%s  ", text_of(a, "who"));
    pen_write(&pen, full ? SCREEN_BOLD : SCREEN_PLAIN, "%s", text_of(a, "title"));
    if (!full) return;
    pen_write(&who, SCREEN_PLAIN, "%s", text_of(a, "who"));
    if (text_of(a, "where")[0]) pen_write(&who, SCREEN_PLAIN, " %s %s", arrow, text_of(a, "where"));
    if (text_of(a, "program")[0]) pen_write(&who, SCREEN_PLAIN, "  %s", text_of(a, "program"));
    pen_write(&who, SCREEN_DIM, "  %s%s%s", text_of(a, "detector"), attack[0] ? ", " : "", attack);
    screen_put(screen, row + 2, TEXT, end > TEXT ? end - TEXT : 0, SCREEN_PLAIN, text_of(a, "why"));
}

static void draw_alerts(struct top_view *view, const struct panel *panel) {
    const json_t *alerts = json_object_get(view->answer, "alerts");
    const json_t *counts = json_object_get(json_object_get(view->answer, "status"), "alerts");
    static const char *const names[] = {"high", "medium", "low", "info"};
    bool full = view->focus == FOCUS_ALERTS;
    uint32_t each = full ? 3 : 1;
    uint32_t shown = panel->rows > 1 ? (panel->rows - 1) / each : 0;
    size_t count = json_array_size(alerts);
    uint32_t from = scrolled(&view->scroll[FOCUS_ALERTS], count, shown);
    struct pen pen = {panel->screen, panel->row, 1,
                      panel->screen->columns > 1 ? panel->screen->columns - 1 : 0};
    char figure[FIGURE_SIZE];
    pen_write(&pen, SCREEN_BOLD, "Alerts   ");
    for (int i = 0; i < 4; i++)
        pen_write(&pen, SCREEN_DIM, "%s%s %s", i ? ", " : "",
                  figure_count(count_of(counts, names[i]), figure), names[i]);
    if (from) pen_write(&pen, SCREEN_DIM, "; %u newer above", from);
    for (uint32_t i = 0; i < shown && i + from < count; i++)
        draw_alert(panel->screen, panel->row + 1 + i * each, json_array_get(alerts, i + from), full);
    if (count == 0) screen_put(panel->screen, panel->row + 1, 1, 40, SCREEN_DIM, "none yet");
}

/* ── the whole ───────────────────────────────────────────────────── */

static void draw_help(const struct panel *panel) {
    static const char *const lines[] = {
        "q         quit",
        "p         pause: the figures stand still until the next p",
        "1 2 3 4   show all; hosts and names; detectors; alerts",
        "tab       the next of these",
        "arrows    scroll (in the first view: the alerts); page up, page down, home",
        "r         reload configuration, scripts and their data (asks first)",
        "h         close this help",
        "",
        "drops     packets the kernel gave up because the sensor was late",
        "cpu       share of one processor since the last look, over all workers",
        "bytes     of a host's or name's flows that ended in the last minutes",
    };
    screen_put(panel->screen, panel->row, 1, 40, SCREEN_BOLD, "Keys and words");
    for (uint32_t i = 0; i + 1 < panel->rows && i < sizeof lines / sizeof lines[0]; i++)
        screen_put(panel->screen, panel->row + 1 + i, 1, panel->screen->columns - 2, SCREEN_PLAIN, lines[i]);
}

static void draw_keys(const struct top_view *view, struct screen *screen) {
    uint32_t row = screen->rows - 1;
    struct pen pen = {screen, row, 1, screen->columns > 1 ? screen->columns - 1 : 0};
    if (view->asking) {
        pen_write(&pen, SCREEN_BOLD, "Reload configuration and scripts? y: yes, any other key: no");
        return;
    }
    if (view->paused) pen_write(&pen, SCREEN_YELLOW, "paused  ");
    if (view->message[0]) {
        pen_write(&pen, SCREEN_BOLD, "%s", view->message);
        return;
    }
    pen_write(&pen, SCREEN_DIM, "q quit  p pause  ");
    static const char *const names[FOCUS_COUNT] = {"1 all", "2 hosts", "3 detectors", "4 alerts"};
    for (int i = 0; i < FOCUS_COUNT; i++)
        pen_write(&pen, i == (int)view->focus ? SCREEN_BOLD : SCREEN_DIM, "%s  ", names[i]);
    pen_write(&pen, SCREEN_DIM, "r reload  h help");
}

/* All three: alerts get what the others leave. */
static void draw_all(struct top_view *view, struct screen *screen, uint32_t row, uint32_t rows) {
    uint32_t content = rows > 5 ? rows - 5 : 0; /* three headings, two blank rows */
    uint32_t traffic = content / 3, detectors = content / 3;
    struct panel panel = {screen, row, rows};
    if (content < 3) {
        draw_alerts(view, &panel);
        return;
    }
    panel.rows = traffic + 1;
    draw_traffic(view, &panel);
    panel = (struct panel){screen, row + traffic + 2, detectors + 1};
    draw_detectors(view, &panel);
    panel = (struct panel){screen, row + traffic + detectors + 4, content - traffic - detectors + 1};
    draw_alerts(view, &panel);
}

static void draw_nothing_yet(const struct top_view *view, struct screen *screen) {
    screen_put(screen, 0, 1, screen->columns, SCREEN_BAR, "lunette top");
    screen_ink_row(screen, 0, SCREEN_BAR);
    if (view->gone[0]) screen_put(screen, 2, 1, screen->columns - 1, SCREEN_RED, view->gone);
    screen_put(screen, view->gone[0] ? 4 : 2, 1, screen->columns - 1, SCREEN_DIM,
               view->gone[0] ? "Trying again every second; q quits." : "Waiting for the sensor.");
}

void top_view_draw(struct top_view *view, struct screen *screen) {
    const json_t *status = json_object_get(view->answer, "status");
    if (screen->rows < 2 || screen->columns < LEAST_WIDTH) return;
    if (!status) {
        draw_nothing_yet(view, screen);
        return;
    }
    draw_bar(screen, status);
    draw_rates(view, screen);
    draw_figures(view, screen, status);
    draw_troubles(view, screen, status);
    uint32_t keys = view->once ? 0 : 2, first = HEADER_ROWS + 1;
    struct panel panel = {screen, first, screen->rows > first + keys ? screen->rows - first - keys : 0};
    if (panel.rows > 1) {
        if (view->help)
            draw_help(&panel);
        else if (view->focus == FOCUS_ALL)
            draw_all(view, screen, panel.row, panel.rows);
        else if (view->focus == FOCUS_TRAFFIC)
            draw_traffic(view, &panel);
        else if (view->focus == FOCUS_DETECTORS)
            draw_detectors(view, &panel);
        else
            draw_alerts(view, &panel);
    }
    if (!view->once) {
        for (uint32_t i = 0; i < screen->columns; i++)
            screen_put(screen, screen->rows - 1, i, 1, SCREEN_PLAIN, " ");
        draw_keys(view, screen);
    }
}
