/* See profile_print.h. */
#include "output/profile_print.h"

#include "output/json.h"
#include "output/profile_key.h"
#include "output/summary_page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELL = 48, SHOWN_COLUMNS = 8, FINDING_COLUMNS = 7 };

/* ── show ────────────────────────────────────────────────────────── */

static const char *const headings[PROFILE_KINDS] = {
    [PROFILE_VOLUME] = "Everything, in an hour of a host",
    [PROFILE_NAME] = "Names that are called",
    [PROFILE_DNS_NAME] = "Names that are asked for only",
    [PROFILE_ADDRESS] = "Networks of servers without a name",
    [PROFILE_SERVICE] = "Services",
    [PROFILE_RESOLVER] = "Resolvers",
    [PROFILE_DNS] = "DNS messages",
    [PROFILE_TLS] = "TLS fingerprints (JA4)",
    [PROFILE_TLS_NAME] = "TLS fingerprints by name",
    [PROFILE_SSH] = "SSH fingerprints (HASSH)",
    [PROFILE_AGENT] = "User-Agents",
    [PROFILE_PROGRAM] = "Programs",
    [PROFILE_PROGRAM_NAME] = "Names by program",
};

/* A row, with what orders it: its domain's hosts and hours, then its own. */
struct shown {
    const struct profile_row *row;
    const char *domain;
    double weight, domain_weight;
};

static int by_domain_name(const void *a, const void *b) {
    const struct shown *x = a, *y = b;
    int order = strcmp(x->domain, y->domain);
    return order ? order : strcmp(x->row->key, y->row->key);
}

static int by_weight(const void *a, const void *b) {
    const struct shown *x = a, *y = b;
    if (x->domain_weight != y->domain_weight) return x->domain_weight > y->domain_weight ? -1 : 1;
    int order = strcmp(x->domain, y->domain);
    if (order) return order;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return strcmp(x->row->key, y->row->key);
}

static double weight_of(const struct profile_row *row) {
    return row->hours * row->flows[MID];
}

/* The rows of one kind in the order in which they are shown; owned by the caller, NULL without memory. */
static struct shown *shown_rows(const struct profile *profile, enum profile_kind kind, size_t *count) {
    struct shown *rows = calloc(profile->row_count + 1, sizeof *rows);
    bool grouped = kind == PROFILE_NAME || kind == PROFILE_DNS_NAME;
    size_t n = 0;
    for (size_t i = 0; rows && i < profile->row_count; i++) {
        const struct profile_row *row = &profile->rows[i];
        if (row->kind == kind)
            rows[n++] = (struct shown){row, grouped ? profile_key_domain(row->key) : "", weight_of(row), 0};
    }
    if (rows) qsort(rows, n, sizeof *rows, by_domain_name);
    for (size_t i = 0, end; i < n; i = end) {
        double sum = 0;
        for (end = i; end < n && strcmp(rows[end].domain, rows[i].domain) == 0; end++)
            sum += rows[end].weight;
        for (size_t k = i; k < end; k++) rows[k].domain_weight = sum;
    }
    if (rows) qsort(rows, n, sizeof *rows, by_weight);
    *count = n;
    return rows;
}

static void range_cell(char out[CELL], const double three[3]) {
    if (three[LOW] == three[HIGH])
        snprintf(out, CELL, "%.4g", three[MID]);
    else
        snprintf(out, CELL, "%.4g (%.4g-%.4g)", three[MID], three[LOW], three[HIGH]);
}

static void rhythm_cell(char out[CELL], const struct profile_row *row) {
    if (isnan(row->gap))
        out[0] = '\0';
    else
        snprintf(out, CELL, "%.0f s ± %.0f", row->gap, row->gap_spread / 2);
}

static void fill_row(char (*cells)[CELL], const struct profile *profile, const struct profile_row *row) {
    snprintf(cells[0], CELL, "%u of %zu", row->hosts, profile->host_count);
    snprintf(cells[1], CELL, "%u", row->hours);
    range_cell(cells[2], row->flows);
    figure_bytes((uint64_t)row->up[MID], cells[3]);
    figure_bytes((uint64_t)row->down[MID], cells[4]);
    rhythm_cell(cells[5], row);
}

static void show_kind(const struct profile *profile, enum profile_kind kind, uint32_t top,
                      struct page *page) {
    static const char *const names[SHOWN_COLUMNS] = {"what",     "domain", ">hosts",    ">hours",
                                                     ">an hour", ">sent",  ">received", "every"};
    bool grouped = kind == PROFILE_NAME || kind == PROFILE_DNS_NAME;
    size_t count;
    struct shown *rows = shown_rows(profile, kind, &count);
    size_t shown = top && top < count ? top : count;
    char(*texts)[CELL] = calloc(shown * 6 + 1, CELL);
    const char **cells = calloc(shown * SHOWN_COLUMNS + 1, sizeof *cells);
    if (!rows || !texts || !cells) page->b->failed = true;
    if (rows && texts && cells && count) {
        uint32_t columns = grouped ? SHOWN_COLUMNS : SHOWN_COLUMNS - 1;
        const char *used[SHOWN_COLUMNS];
        for (uint32_t i = 0, k = 0; i < SHOWN_COLUMNS; i++)
            if (grouped || i != 1) used[k++] = names[i];
        for (size_t i = 0; i < shown; i++) {
            const char **line = cells + i * columns;
            *line++ = rows[i].row->key;
            if (grouped) *line++ = i && strcmp(rows[i].domain, rows[i - 1].domain) == 0 ? "" : rows[i].domain;
            fill_row(texts + i * 6, profile, rows[i].row);
            for (int k = 0; k < 6; k++) *line++ = texts[i * 6 + (size_t)k];
        }
        page_heading(page, headings[kind]);
        terminal_table(page->b, page->style, PAGE_INDENT, columns, (uint32_t)shown, used, cells);
        page_more(page, (uint32_t)(count - shown));
    }
    free(rows);
    free(texts);
    free(cells);
}

static void date_of(nanoseconds time, char out[SHORT_TIME_SIZE]) {
    terminal_time(time, out);
    out[16] = '\0'; /* to the minute */
}

void profile_show(const struct profile *profile, enum profile_kind kind, uint32_t top,
                  const struct terminal_style *style, struct buffer *b) {
    char from[SHORT_TIME_SIZE], to[SHORT_TIME_SIZE];
    struct page page = {.b = b, .style = style};
    date_of(profile->first, from);
    date_of(profile->last, to);
    buffer_format(b, "%zu host%s, %llu hour%s of presence, %s to %s UTC\nlearnt from ", profile->host_count,
                  profile->host_count == 1 ? "" : "s", (unsigned long long)profile->hours,
                  profile->hours == 1 ? "" : "s", from, to);
    terminal_safe(b, profile->sources, strlen(profile->sources));
    buffer_char(b, '\n');
    for (size_t i = 0; i < profile->host_count && i < 16; i++) {
        buffer_string(b, "  ");
        terminal_safe(b, profile->hosts[i].name, strlen(profile->hosts[i].name));
        buffer_format(b, ", %u h\n", profile->hosts[i].hours);
    }
    if (profile->host_count > 16) buffer_format(b, "  and %zu more\n", profile->host_count - 16);
    if (profile->left_out)
        buffer_format(b, "%llu keys, hosts or hours did not fit and are not in it\n",
                      (unsigned long long)profile->left_out);
    for (int i = 0; i < PROFILE_KINDS; i++)
        if (kind == PROFILE_KINDS || (int)kind == i) show_kind(profile, (enum profile_kind)i, top, &page);
}

/* ── as JSON ─────────────────────────────────────────────────────── */

static void json_three(struct buffer *b, const char *key, const double three[3]) {
    json_key(b, key);
    buffer_char(b, '[');
    for (int i = LOW; i <= HIGH; i++) {
        json_item(b);
        json_f64(b, three[i]);
    }
    buffer_char(b, ']');
}

static void json_time(struct buffer *b, const char *key, nanoseconds time) {
    char text[TIMESTAMP_LENGTH + 1];
    time_format_eve(time, text);
    json_pair_text(b, key, text);
}

static void json_row(struct buffer *b, const struct profile_row *row) {
    buffer_char(b, '{');
    json_pair_text(b, "kind", profile_kind_name(row->kind));
    json_pair_text(b, "key", row->key);
    json_pair_u64(b, "hosts", row->hosts);
    json_pair_u64(b, "hours", row->hours);
    json_three(b, "flows", row->flows);
    json_three(b, "up", row->up);
    json_three(b, "down", row->down);
    json_pair_f64(b, "gap", row->gap);
    json_pair_f64(b, "gap_spread", row->gap_spread);
    json_time(b, "first_seen", row->first_seen);
    json_pair_text(b, "note", row->note);
    buffer_string(b, "}\n");
}

void profile_show_json(const struct profile *profile, enum profile_kind kind, struct buffer *b) {
    buffer_char(b, '{');
    json_pair_text(b, "sources", profile->sources);
    json_time(b, "from", profile->first);
    json_time(b, "to", profile->last);
    json_pair_u64(b, "host_hours", profile->hours);
    json_pair_u64(b, "left_out", profile->left_out);
    json_key(b, "hosts");
    buffer_char(b, '[');
    for (size_t i = 0; i < profile->host_count; i++) {
        json_item(b);
        json_text(b, profile->hosts[i].name);
    }
    buffer_string(b, "]}\n");
    for (size_t i = 0; i < profile->row_count; i++)
        if (kind == PROFILE_KINDS || profile->rows[i].kind == kind) json_row(b, &profile->rows[i]);
}

/* ── findings ────────────────────────────────────────────────────── */

static void findings_heading(const struct profile *of_one, const struct profile_findings *findings,
                             struct page *page) {
    char text[160];
    snprintf(text, sizeof text, "%s, %llu hour%s%s", of_one->hosts[0].name, (unsigned long long)of_one->hours,
             of_one->hours == 1 ? "" : "s", findings->count ? "" : ": nothing surprising");
    page_heading(page, text);
}

void profile_findings_print(const struct profile *of_one, const struct profile_findings *findings,
                            uint32_t top, const struct terminal_style *style, struct buffer *b) {
    static const char *const names[FINDING_COLUMNS] = {">surprise", "kind", "change", "what",
                                                       "was",       "is",   "why"};
    struct page page = {.b = b, .style = style};
    size_t count = top && top < findings->count ? top : findings->count;
    findings_heading(of_one, findings, &page);
    if (!count) return;
    char(*bits)[16] = calloc(count, sizeof *bits);
    const char **cells = calloc(count * FINDING_COLUMNS, sizeof *cells);
    if (!bits || !cells) b->failed = true;
    for (size_t i = 0; bits && cells && i < count; i++) {
        const struct profile_finding *f = &findings->at[i];
        const char **line = cells + i * FINDING_COLUMNS;
        snprintf(bits[i], sizeof bits[i], "%.1f", f->bits);
        const char *texts[FINDING_COLUMNS] = {
            bits[i], profile_kind_name(f->kind), f->change, f->what, f->was, f->is, f->why};
        memcpy(line, texts, sizeof texts);
    }
    if (bits && cells) terminal_table(b, style, PAGE_INDENT, FINDING_COLUMNS, (uint32_t)count, names, cells);
    page_more(&page, (uint32_t)(findings->count - count));
    free(bits);
    free(cells);
}

void profile_findings_json(const struct profile *of_one, const struct profile_findings *findings,
                           uint32_t top, struct buffer *b) {
    size_t count = top && top < findings->count ? top : findings->count;
    for (size_t i = 0; i < count; i++) {
        const struct profile_finding *f = &findings->at[i];
        buffer_char(b, '{');
        json_pair_f64(b, "surprise", f->bits);
        json_pair_text(b, "host", of_one->hosts[0].name);
        json_pair_text(b, "kind", profile_kind_name(f->kind));
        json_pair_text(b, "change", f->change);
        json_pair_text(b, "what", f->what);
        json_pair_text(b, "was", f->was);
        json_pair_text(b, "is", f->is);
        json_pair_text(b, "why", f->why);
        buffer_string(b, "}\n");
    }
}
