/* See alert_list.h. Lists are compared by sorting both by subject, then walking them side by side. */
#include "workbench/alert_list.h"

#include "output/terminal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct alert_list {
    struct alert *alerts; /* each with strings of its own */
    size_t count, room;
};

struct alert_list *alert_list_new(void) {
    return calloc(1, sizeof(struct alert_list));
}

void alert_list_free(struct alert_list *list) {
    if (!list) return;
    for (size_t i = 0; i < list->count; i++) alert_release(&list->alerts[i]);
    free(list->alerts);
    free(list);
}

int alert_list_add(struct alert_list *list, const struct alert *alert) {
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 64;
        struct alert *grown = realloc(list->alerts, room * sizeof *grown);
        if (!grown) return -1;
        list->alerts = grown;
        list->room = room;
    }
    struct alert copy = *alert;
    if (!alert_own(&copy)) return -1;
    list->alerts[list->count++] = copy;
    return 0;
}

size_t alert_list_settle(struct alert_list *list) {
    size_t at = list->count - 1;
    const struct alert last = list->alerts[at];
    for (; at > 0; at--) {
        const struct alert *before = &list->alerts[at - 1];
        if (before->time < last.time) break;
        if (before->time == last.time && strcmp(before->detector, last.detector) <= 0) break;
        list->alerts[at] = *before;
    }
    list->alerts[at] = last;
    return at;
}

size_t alert_list_count(const struct alert_list *list) {
    return list->count;
}

const struct alert *alert_list_at(const struct alert_list *list, size_t index) {
    return &list->alerts[index];
}

bool alert_field(const struct alert *alert, size_t index, const char **name, const char **text,
                 char room[ALERT_FIELD_TEXT]) {
    static const char *const names[] = {"time",  "severity", "why",    "evidence",
                                        "score", "next",     "attack", "category"};
    const char *const strings[] = {room,          severity_name(alert->severity),
                                   alert->why,    alert->evidence,
                                   room,          alert->next,
                                   alert->attack, alert->category};
    if (index >= sizeof names / sizeof names[0]) return false;
    *name = names[index];
    *text = strings[index];
    if (index == 0) terminal_time(alert->time, room);
    if (index == 4) snprintf(room, ALERT_FIELD_TEXT, isnan(alert->score) ? "none" : "%.3g", alert->score);
    return true;
}

/* ----------------------------------------------------------------- comparison */

static int compare_subjects(const struct alert *a, const struct alert *b) {
    int order = strcmp(a->detector, b->detector);
    if (order == 0) order = strcmp(a->title, b->title);
    if (order == 0) order = strcmp(a->who, b->who);
    if (order == 0) order = strcmp(a->where, b->where);
    return order;
}

/* By subject, then by time; pointers into one list, so that equals stay in their order. */
static int compare_places(const void *left, const void *right) {
    const struct alert *a = *(const struct alert *const *)left, *b = *(const struct alert *const *)right;
    int order = compare_subjects(a, b);
    if (order != 0) return order;
    if (a->time != b->time) return a->time < b->time ? -1 : 1;
    return a < b ? -1 : a > b;
}

static bool says_the_same(const struct alert *a, const struct alert *b) {
    const char *name, *text_a, *text_b;
    char room_a[ALERT_FIELD_TEXT], room_b[ALERT_FIELD_TEXT];
    if (a->time != b->time) return false;
    for (size_t i = 1; alert_field(a, i, &name, &text_a, room_a); i++) {
        alert_field(b, i, &name, &text_b, room_b);
        if (strcmp(text_a, text_b) != 0) return false;
    }
    return true;
}

static const struct alert **sorted(const struct alert_list *list) {
    const struct alert **places = malloc((list->count + 1) * sizeof *places);
    if (!places) return NULL;
    for (size_t i = 0; i < list->count; i++) places[i] = &list->alerts[i];
    qsort(places, list->count, sizeof *places, compare_places);
    return places;
}

/* How many from `places` on are of the same subject as the first. */
static size_t run_length(const struct alert **places, size_t left) {
    size_t n = left > 0 ? 1 : 0;
    while (n < left && compare_subjects(places[0], places[n]) == 0) n++;
    return n;
}

/* Takes out of both lists what is in both; the order of the rest stays. Quadratic only in what differs: equal
 * alerts are mostly found at once, both lists being sorted by time. */
static void strike_equals(const struct alert **before, size_t *before_count, const struct alert **now,
                          size_t *now_count) {
    size_t kept = 0, from = 0;
    for (size_t i = 0; i < *before_count; i++) {
        size_t k = from;
        while (k < *now_count && (!now[k] || now[k]->time < before[i]->time)) k++;
        from = k;
        while (k < *now_count &&
               (!now[k] || (now[k]->time == before[i]->time && !says_the_same(before[i], now[k]))))
            k++;
        if (k < *now_count && says_the_same(before[i], now[k]))
            now[k] = NULL;
        else
            before[kept++] = before[i];
    }
    *before_count = kept;
    kept = 0;
    for (size_t k = 0; k < *now_count; k++)
        if (now[k]) now[kept++] = now[k];
    *now_count = kept;
}

static size_t compare_run(const struct alert **before, size_t before_count, const struct alert **now,
                          size_t now_count, struct difference *out) {
    strike_equals(before, &before_count, now, &now_count);
    size_t n = before_count > now_count ? before_count : now_count;
    for (size_t i = 0; i < n; i++) {
        const struct alert *was = i < before_count ? before[i] : NULL, *is = i < now_count ? now[i] : NULL;
        out[i] = (struct difference){.kind = !was  ? DIFFERENCE_NEW
                                             : !is ? DIFFERENCE_GONE
                                                   : DIFFERENCE_CHANGED,
                                     .before = was,
                                     .now = is};
    }
    return n;
}

static int compare_differences(const void *left, const void *right) {
    const struct difference *a = left, *b = right;
    const struct alert *at_a = a->now ? a->now : a->before, *at_b = b->now ? b->now : b->before;
    if (at_a->time != at_b->time) return at_a->time < at_b->time ? -1 : 1;
    int order = compare_subjects(at_a, at_b);
    return order ? order : (int)a->kind - (int)b->kind;
}

struct difference *alert_list_compare(const struct alert_list *before, const struct alert_list *now,
                                      size_t *count, bool *failed) {
    size_t most = before->count + now->count, n = 0;
    const struct alert **was = sorted(before), **is = sorted(now);
    struct difference *out = malloc((most + 1) * sizeof *out);
    *failed = !was || !is || !out;
    for (size_t b = 0, k = 0; !*failed && (b < before->count || k < now->count);) {
        size_t old_run = run_length(was + b, before->count - b), new_run = run_length(is + k, now->count - k);
        int order = old_run == 0 ? 1 : new_run == 0 ? -1 : compare_subjects(was[b], is[k]);
        if (order < 0) new_run = 0;
        if (order > 0) old_run = 0;
        n += compare_run(was + b, old_run, is + k, new_run, out + n);
        b += old_run;
        k += new_run;
    }
    free(was);
    free(is);
    *count = n;
    if (n > 0) qsort(out, n, sizeof *out, compare_differences);
    if (n > 0) return out;
    free(out);
    return NULL;
}
