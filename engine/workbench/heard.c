/* See heard.h. The evidence is JSON that alerts.lua wrote; it is parsed when the alert comes, so that nothing
 * is held while Lua allocates. */
#include "workbench/heard.h"

#include "output/terminal.h"
#include "script/json_push.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct heard_report {
    nanoseconds time;
    char *detector, *title, *note;
    uint32_t columns, rows;
    char **cells; /* the columns' headings, then the rows */
};

struct heard_fact {
    struct ip host;
    char *detector, *topic, *text, *details;
    json_t *parsed; /* the details */
};

size_t heard_alerts(const struct heard *heard) {
    return heard->alerts ? alert_list_count(heard->alerts) : 0;
}

void heard_alert(struct heard *heard, const struct alert *alert) {
    if (!heard->alerts) heard->alerts = alert_list_new();
    size_t count = heard_alerts(heard);
    json_t **grown = heard->alerts ? realloc(heard->evidence, (count + 1) * sizeof(json_t *)) : NULL;
    if (grown) heard->evidence = grown;
    if (!grown || alert_list_add(heard->alerts, alert) < 0) {
        heard->failed = true;
        return;
    }
    /* Workers' alerts and those of what gathers come in two streams: where they meet depends on batches. */
    size_t at = alert_list_settle(heard->alerts);
    memmove(grown + at + 1, grown + at, (count - at) * sizeof(json_t *));
    grown[at] = json_loads(alert->evidence, JSON_ALLOW_NUL, NULL);
}

static char *copy(struct heard *heard, const char *text) {
    char *copied = strdup(text ? text : "");
    if (!copied) heard->failed = true;
    return copied;
}

void heard_report(struct heard *heard, const struct report *report) {
    struct heard_report *grown = realloc(heard->reports, (heard->report_count + 1) * sizeof *grown);
    size_t cells = (size_t)report->columns * report->rows;
    char **kept = calloc(report->columns + cells + 1, sizeof(char *));
    if (grown) heard->reports = grown;
    if (!grown || !kept) {
        heard->failed = true;
        free(kept);
        return;
    }
    grown[heard->report_count++] = (struct heard_report){
        .time = report->time,
        .detector = copy(heard, report->detector),
        .title = copy(heard, report->title),
        .note = copy(heard, report->note),
        .columns = report->columns,
        .rows = report->rows,
        .cells = kept,
    };
    for (size_t i = 0; i < report->columns; i++) kept[i] = copy(heard, report->names[i]);
    for (size_t i = 0; i < cells; i++) kept[report->columns + i] = copy(heard, report->cells[i]);
}

static void fact_clear(struct heard_fact *fact) {
    free(fact->detector);
    free(fact->topic);
    free(fact->text);
    free(fact->details);
    json_decref(fact->parsed);
}

static struct heard_fact *fact_of(const struct heard *heard, const struct ip *host, const char *topic) {
    for (size_t i = 0; i < heard->fact_count; i++)
        if (ip_equals(&heard->facts[i].host, host) && strcmp(heard->facts[i].topic, topic) == 0)
            return &heard->facts[i];
    return NULL;
}

void heard_fact(struct heard *heard, const struct fact *fact) {
    struct heard_fact *known = fact_of(heard, &fact->host, fact->topic);
    if (known) {
        fact_clear(known);
        *known = heard->facts[--heard->fact_count];
    }
    if (!fact->text[0]) return; /* taken back */
    struct heard_fact *grown = realloc(heard->facts, (heard->fact_count + 1) * sizeof *grown);
    if (!grown) {
        heard->failed = true;
        return;
    }
    heard->facts = grown;
    struct heard_fact made = {.host = fact->host,
                              .detector = copy(heard, fact->detector),
                              .topic = copy(heard, fact->topic),
                              .text = copy(heard, fact->text),
                              .details = copy(heard, fact->details),
                              .parsed = json_loads(fact->details, JSON_ALLOW_NUL, NULL)};
    if (made.detector && made.topic && made.text && made.details)
        grown[heard->fact_count++] = made;
    else
        fact_clear(&made);
}

void heard_clear(struct heard *heard) {
    for (size_t i = 0; i < heard_alerts(heard); i++) json_decref(heard->evidence[i]);
    for (size_t i = 0; i < heard->report_count; i++) {
        struct heard_report *report = &heard->reports[i];
        size_t cells = (size_t)report->columns * (report->rows + 1);
        for (size_t k = 0; k < cells; k++) free(report->cells[k]);
        free(report->cells);
        free(report->detector);
        free(report->title);
        free(report->note);
    }
    for (size_t i = 0; i < heard->fact_count; i++) fact_clear(&heard->facts[i]);
    free(heard->facts);
    alert_list_free(heard->alerts);
    free(heard->evidence);
    free(heard->reports);
    *heard = (struct heard){.alerts = NULL};
}

/* ── for Lua ─────────────────────────────────────────────────────── */

static void set_text(lua_State *lua, const char *key, const char *text) {
    lua_pushstring(lua, text ? text : "");
    lua_setfield(lua, -2, key);
}

static void set_number(lua_State *lua, const char *key, double number) {
    if (isnan(number)) return;
    lua_pushnumber(lua, number);
    lua_setfield(lua, -2, key);
}

static void push_alert(lua_State *lua, const struct alert *alert, json_t *evidence) {
    lua_newtable(lua);
    set_text(lua, "detector", alert->detector);
    set_text(lua, "title", alert->title);
    set_text(lua, "category", alert->category);
    set_text(lua, "attack", alert->attack);
    set_text(lua, "who", alert->who);
    set_text(lua, "where", alert->where);
    set_text(lua, "why", alert->why);
    set_text(lua, "next", alert->next);
    set_text(lua, "severity", severity_name(alert->severity));
    set_number(lua, "score", alert->score);
    set_number(lua, "confidence", alert->confidence);
    set_number(lua, "repeats", alert->repeats);
    set_number(lua, "time", ns_to_seconds(alert->time));
    json_push(lua, evidence);
    lua_setfield(lua, -2, "evidence");
}

/* A list of `count` cells from `from` on. */
static void push_cells(lua_State *lua, const struct heard_report *report, size_t from) {
    lua_createtable(lua, (int)report->columns, 0);
    for (uint32_t i = 0; i < report->columns; i++) {
        lua_pushstring(lua, report->cells[from + i] ? report->cells[from + i] : "");
        lua_rawseti(lua, -2, (int)i + 1);
    }
}

static void push_report(lua_State *lua, const struct heard_report *report) {
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

static void push_fact(lua_State *lua, const struct heard_fact *fact) {
    char host[IP_TEXT_SIZE];
    ip_format(&fact->host, host);
    lua_newtable(lua);
    set_text(lua, "host", host);
    set_text(lua, "detector", fact->detector);
    set_text(lua, "topic", fact->topic);
    set_text(lua, "text", fact->text);
    json_push(lua, fact->parsed);
    lua_setfield(lua, -2, "details");
}

void heard_push(const struct heard *heard, lua_State *lua) {
    luaL_checkstack(lua, 8, "no room for the findings");
    lua_newtable(lua);
    lua_newtable(lua);
    for (size_t i = 0; i < heard_alerts(heard); i++) {
        push_alert(lua, alert_list_at(heard->alerts, i), heard->evidence[i]);
        lua_rawseti(lua, -2, (int)i + 1);
    }
    lua_setfield(lua, -2, "alerts");
    lua_newtable(lua);
    for (size_t i = 0; i < heard->report_count; i++) {
        push_report(lua, &heard->reports[i]);
        lua_rawseti(lua, -2, (int)i + 1);
    }
    lua_setfield(lua, -2, "reports");
    lua_newtable(lua);
    for (size_t i = 0; i < heard->fact_count; i++) {
        push_fact(lua, &heard->facts[i]);
        lua_rawseti(lua, -2, (int)i + 1);
    }
    lua_setfield(lua, -2, "facts");
}

/* ── compared ────────────────────────────────────────────────────── */

static bool same_text(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

static bool same_number(double a, double b) {
    return a == b || (isnan(a) && isnan(b));
}

static bool same_alert(const struct alert *a, const struct alert *b) {
    return a->time == b->time && a->severity == b->severity && a->repeats == b->repeats &&
           same_number(a->score, b->score) && same_number(a->confidence, b->confidence) &&
           same_text(a->detector, b->detector) && same_text(a->title, b->title) &&
           same_text(a->category, b->category) && same_text(a->attack, b->attack) &&
           same_text(a->who, b->who) && same_text(a->where, b->where) && same_text(a->why, b->why) &&
           same_text(a->next, b->next) && same_text(a->evidence, b->evidence);
}

ptrdiff_t heard_differ(const struct heard *a, const struct heard *b) {
    size_t of_a = heard_alerts(a), of_b = heard_alerts(b), both = of_a < of_b ? of_a : of_b;
    for (size_t i = 0; i < both; i++)
        if (!same_alert(alert_list_at(a->alerts, i), alert_list_at(b->alerts, i))) return (ptrdiff_t)i;
    return of_a == of_b ? -1 : (ptrdiff_t)both;
}

const char *heard_facts_differ(const struct heard *a, const struct heard *b) {
    for (size_t i = 0; i < a->fact_count; i++) {
        const struct heard_fact *one = &a->facts[i], *other = fact_of(b, &one->host, one->topic);
        if (!other || !same_text(one->text, other->text) || !same_text(one->details, other->details))
            return one->topic;
    }
    return a->fact_count < b->fact_count ? b->facts[0].topic : NULL;
}
