/* See findings.h. The evidence is JSON that alerts.lua wrote; it is parsed when the alert comes, so that
 * nothing is held while Lua allocates. */
#include "workbench/findings.h"

#include "base/time.h"
#include "output/terminal.h"

#include <jansson.h>
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>

/* The texts of an alert, in the order of alert_texts[]. */
enum { TEXTS = 9 };
static const char *const text_names[TEXTS] = {"detector", "title", "category", "attack", "who",
                                              "where",    "why",   "next",     "pcap"};

struct found_alert {
    nanoseconds time;
    uint8_t severity;
    double score, confidence;
    uint32_t repeats;
    char *texts[TEXTS];
    char *json;
    json_t *evidence;
};

struct found_report {
    nanoseconds time;
    char *detector, *title, *note;
    uint32_t columns, rows;
    char **cells; /* the columns' headings, then the rows */
};

static char *copy(struct findings *findings, const char *text) {
    char *copied = strdup(text ? text : "");
    if (!copied) findings->failed = true;
    return copied;
}

static void *one_more(struct findings *findings, void **list, size_t count, size_t size) {
    void *grown = realloc(*list, (count + 1) * size);
    if (!grown) {
        findings->failed = true;
        return NULL;
    }
    *list = grown;
    void *place = (char *)grown + count * size;
    memset(place, 0, size);
    return place;
}

void findings_alert(struct findings *findings, const struct alert *alert) {
    const char *const texts[TEXTS] = {alert->detector, alert->title, alert->category,
                                      alert->attack,   alert->who,   alert->where,
                                      alert->why,      alert->next,  alert->pcap};
    void *list = findings->alerts;
    struct found_alert *found = one_more(findings, &list, findings->alert_count, sizeof *found);
    if (!found) return;
    findings->alerts = list;
    findings->alert_count++;
    found->time = alert->time;
    found->severity = alert->severity;
    found->score = alert->score;
    found->confidence = alert->confidence;
    found->repeats = alert->repeats;
    for (size_t i = 0; i < TEXTS; i++) found->texts[i] = copy(findings, texts[i]);
    found->json = copy(findings, alert->evidence);
    found->evidence = json_loads(alert->evidence, JSON_ALLOW_NUL, NULL);
}

void findings_report(struct findings *findings, const struct report *report) {
    void *list = findings->reports;
    struct found_report *found = one_more(findings, &list, findings->report_count, sizeof *found);
    if (!found) return;
    findings->reports = list;
    findings->report_count++;
    found->time = report->time;
    found->detector = copy(findings, report->detector);
    found->title = copy(findings, report->title);
    found->note = copy(findings, report->note);
    size_t cells = (size_t)report->columns * report->rows;
    found->cells = calloc(report->columns + cells + 1, sizeof(char *));
    if (!found->cells) {
        findings->failed = true;
        return;
    }
    found->columns = report->columns;
    found->rows = report->rows;
    for (size_t i = 0; i < report->columns; i++) found->cells[i] = copy(findings, report->names[i]);
    for (size_t i = 0; i < cells; i++) found->cells[report->columns + i] = copy(findings, report->cells[i]);
}

void findings_clear(struct findings *findings) {
    for (size_t i = 0; i < findings->alert_count; i++) {
        struct found_alert *alert = &findings->alerts[i];
        for (size_t k = 0; k < TEXTS; k++) free(alert->texts[k]);
        free(alert->json);
        json_decref(alert->evidence);
    }
    for (size_t i = 0; i < findings->report_count; i++) {
        struct found_report *report = &findings->reports[i];
        size_t cells = report->cells ? report->columns + (size_t)report->columns * report->rows : 0;
        for (size_t k = 0; k < cells; k++) free(report->cells[k]);
        free(report->cells);
        free(report->detector);
        free(report->title);
        free(report->note);
    }
    free(findings->alerts);
    free(findings->reports);
    *findings = (struct findings){.alerts = NULL};
}

/* ── for Lua ─────────────────────────────────────────────────────── */

static void push_json(lua_State *lua, json_t *value) {
    luaL_checkstack(lua, 4, "evidence nested too deep");
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING:
        lua_pushlstring(lua, json_string_value(value), json_string_length(value));
        return;
    case JSON_INTEGER:
    case JSON_REAL:
        lua_pushnumber(lua, json_number_value(value));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(lua, json_is_true(value));
        return;
    case JSON_ARRAY:
        lua_newtable(lua);
        for (size_t i = 0; i < json_array_size(value); i++) {
            push_json(lua, json_array_get(value, i));
            lua_rawseti(lua, -2, (int)i + 1);
        }
        return;
    case JSON_OBJECT: {
        const char *key;
        json_t *item;
        lua_newtable(lua);
        json_object_foreach(value, key, item) {
            push_json(lua, item);
            lua_setfield(lua, -2, key);
        }
        return;
    }
    default:
        lua_pushnil(lua);
    }
}

static void set_text(lua_State *lua, const char *key, const char *text) {
    lua_pushstring(lua, text ? text : "");
    lua_setfield(lua, -2, key);
}

static void set_number(lua_State *lua, const char *key, double number) {
    if (isnan(number)) return;
    lua_pushnumber(lua, number);
    lua_setfield(lua, -2, key);
}

static void push_alert(lua_State *lua, const struct found_alert *alert) {
    lua_newtable(lua);
    for (size_t i = 0; i < TEXTS; i++) set_text(lua, text_names[i], alert->texts[i]);
    set_text(lua, "severity", severity_name(alert->severity));
    set_text(lua, "json", alert->json);
    set_number(lua, "score", alert->score);
    set_number(lua, "confidence", alert->confidence);
    set_number(lua, "repeats", alert->repeats);
    set_number(lua, "time", ns_to_seconds(alert->time));
    push_json(lua, alert->evidence);
    lua_setfield(lua, -2, "evidence");
}

/* A list of `count` cells from `from` on. */
static void push_cells(lua_State *lua, const struct found_report *report, size_t from) {
    lua_createtable(lua, (int)report->columns, 0);
    for (uint32_t i = 0; i < report->columns; i++) {
        lua_pushstring(lua, report->cells[from + i] ? report->cells[from + i] : "");
        lua_rawseti(lua, -2, (int)i + 1);
    }
}

static void push_report(lua_State *lua, const struct found_report *report) {
    lua_newtable(lua);
    set_text(lua, "detector", report->detector);
    set_text(lua, "title", report->title);
    set_text(lua, "note", report->note);
    set_number(lua, "time", ns_to_seconds(report->time));
    push_cells(lua, report, 0);
    lua_setfield(lua, -2, "columns");
    lua_newtable(lua);
    for (uint32_t row = 0; row < report->rows; row++) {
        push_cells(lua, report, (size_t)report->columns * (row + 1));
        lua_rawseti(lua, -2, (int)row + 1);
    }
    lua_setfield(lua, -2, "rows");
}

void findings_push(const struct findings *findings, lua_State *lua) {
    luaL_checkstack(lua, 8, "no room for the findings");
    lua_newtable(lua);
    lua_newtable(lua);
    for (size_t i = 0; i < findings->alert_count; i++) {
        push_alert(lua, &findings->alerts[i]);
        lua_rawseti(lua, -2, (int)i + 1);
    }
    lua_setfield(lua, -2, "alerts");
    lua_newtable(lua);
    for (size_t i = 0; i < findings->report_count; i++) {
        push_report(lua, &findings->reports[i]);
        lua_rawseti(lua, -2, (int)i + 1);
    }
    lua_setfield(lua, -2, "reports");
}

/* ── compared ────────────────────────────────────────────────────── */

static bool same_text(const char *a, const char *b) {
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_number(double a, double b) {
    return a == b || (isnan(a) && isnan(b));
}

static bool same_alert(const struct found_alert *a, const struct found_alert *b) {
    for (size_t i = 0; i < TEXTS; i++)
        if (!same_text(a->texts[i], b->texts[i])) return false;
    return a->time == b->time && a->severity == b->severity && a->repeats == b->repeats &&
           same_number(a->score, b->score) && same_number(a->confidence, b->confidence) &&
           same_text(a->json, b->json);
}

ptrdiff_t findings_differ(const struct findings *a, const struct findings *b) {
    size_t both = a->alert_count < b->alert_count ? a->alert_count : b->alert_count;
    for (size_t i = 0; i < both; i++)
        if (!same_alert(&a->alerts[i], &b->alerts[i])) return (ptrdiff_t)i;
    return a->alert_count == b->alert_count ? -1 : (ptrdiff_t)both;
}
