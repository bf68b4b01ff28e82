/* From a collector's counts to profiles: cells are put into order, and each run of one key becomes a row. */
#include "output/profile_collect.h"
#include "output/profile_figures.h"
#include "output/profile_inner.h"
#include "output/profile_key.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct making {
    struct profile_collector *collector;
    const struct profile *earlier; /* NULL: none */
    struct profile *out;
    bool *known; /* of each host: the earlier profile has it; NULL without one */
    double *flows, *up, *down, *gap, *gap_spread; /* values of one row */
    struct error *err;
};

/* ── order ───────────────────────────────────────────────────────── */

static int by_numbers(uint32_t a, uint32_t b) {
    return a < b ? -1 : a > b;
}

static int by_key(const void *a, const void *b) {
    const struct collect_cell *x = a, *y = b;
    int order = by_numbers(x->key, y->key);
    if (!order) order = by_numbers(x->host, y->host);
    return order ? order : by_numbers(x->hour, y->hour);
}

static int by_host(const void *a, const void *b) {
    const struct collect_cell *x = a, *y = b;
    int order = by_numbers(x->host, y->host);
    return order ? order : by_key(a, b);
}

static int rhythms_by_key(const void *a, const void *b) {
    const struct collect_rhythm *x = a, *y = b;
    int order = by_numbers(x->key, y->key);
    return order ? order : by_numbers(x->host, y->host);
}

/* The first rhythm of a key; they are in order. */
static uint32_t rhythm_at(const struct profile_collector *c, uint32_t key) {
    uint32_t low = 0, high = c->rhythm_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (c->rhythms[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void put_in_order(struct profile_collector *c, int (*order)(const void *, const void *)) {
    collector_settle(c);
    if (c->cell_count) qsort(c->cells, c->cell_count, sizeof *c->cells, order);
    if (c->rhythm_count) qsort(c->rhythms, c->rhythm_count, sizeof *c->rhythms, rhythms_by_key);
}

/* ── one row ─────────────────────────────────────────────────────── */

static double greatest(const double *values, size_t count) {
    return count ? values[count - 1] : 0; /* they are sorted by now */
}

/* Of the hosts' rhythms the middle one. `host`: of that one alone, or UINT32_MAX. */
static void row_rhythm(struct making *m, struct profile_row *row, uint32_t key, uint32_t host) {
    struct profile_collector *c = m->collector;
    size_t n = 0;
    row->gap = row->gap_spread = NAN;
    for (uint32_t i = rhythm_at(c, key); i < c->rhythm_count && c->rhythms[i].key == key; i++) {
        if (host != UINT32_MAX && c->rhythms[i].host != host) continue;
        if (figures_rhythm(c->rhythms[i].starts, c->rhythms[i].count, &m->gap[n], &m->gap_spread[n])) n++;
    }
    double three[3];
    if (!n) return;
    figures_quantiles(m->gap, n, three);
    row->gap = three[MID];
    figures_quantiles(m->gap_spread, n, three);
    row->gap_spread = three[MID];
}

static char *row_note(const struct profile_row *row) {
    bool named = row->kind == PROFILE_NAME || row->kind == PROFILE_DNS_NAME;
    return strdup(named ? profile_key_domain(row->key) : "");
}

/* `cells` are those of one key. `fresh`: hosts among them that an earlier profile does not have. */
static int make_row(struct making *m, const struct collect_cell *cells, size_t count, uint32_t host,
                    uint32_t *fresh) {
    struct profile_collector *c = m->collector;
    const struct collect_key *key = &c->keys[cells->key];
    struct profile_row row = {.kind = key->kind, .hours = (uint32_t)count, .first_seen = key->first_seen};
    *fresh = 0;
    for (size_t i = 0; i < count; i++) {
        m->flows[i] = cells[i].flows;
        m->up[i] = (double)cells[i].up;
        m->down[i] = (double)cells[i].down;
        if (i && cells[i].host == cells[i - 1].host) continue;
        row.hosts++;
        *fresh += !m->known || !m->known[cells[i].host];
    }
    figures_quantiles(m->flows, count, row.flows);
    figures_quantiles(m->up, count, row.up);
    figures_quantiles(m->down, count, row.down);
    row.flows_most = greatest(m->flows, count);
    row.up_most = greatest(m->up, count);
    row_rhythm(m, &row, cells->key, host);
    row.key = strdup(key->text);
    row.note = row.key ? row_note(&row) : NULL;
    if (!row.note) {
        free(row.key);
        return error_set(m->err, "out of memory");
    }
    m->out->rows[m->out->row_count++] = row;
    return 0;
}

/* ── with what was learnt before ─────────────────────────────────── */

static double averaged(double a, double weight_a, double b, double weight_b) {
    if (isnan(a)) return b;
    if (isnan(b)) return a;
    return (a * weight_a + b * weight_b) / (weight_a + weight_b);
}

/* `fresh` of the new row's hosts are not in the earlier profile. */
static void join_row(struct profile_row *row, const struct profile_row *before, uint32_t fresh) {
    double now = row->hours, then = before->hours;
    for (int i = LOW; i <= HIGH; i++) {
        row->flows[i] = averaged(before->flows[i], then, row->flows[i], now);
        row->up[i] = averaged(before->up[i], then, row->up[i], now);
        row->down[i] = averaged(before->down[i], then, row->down[i], now);
    }
    row->gap = averaged(before->gap, then, row->gap, now);
    row->gap_spread = averaged(before->gap_spread, then, row->gap_spread, now);
    row->hosts = before->hosts + fresh;
    row->hours += before->hours;
    if (before->first_seen < row->first_seen) row->first_seen = before->first_seen;
}

static int copy_row(struct making *m, const struct profile_row *before) {
    struct profile_row row = *before;
    row.key = strdup(before->key);
    row.note = strdup(before->note);
    if (!row.key || !row.note) {
        free(row.key);
        free(row.note);
        return error_set(m->err, "out of memory");
    }
    m->out->rows[m->out->row_count++] = row;
    return 0;
}

static int add_host(struct making *m, const char *name, uint32_t hours) {
    struct profile *out = m->out;
    for (size_t i = 0; i < out->host_count; i++) {
        if (strcmp(out->hosts[i].name, name) != 0) continue;
        out->hosts[i].hours += hours;
        return 0;
    }
    if (out->host_count == PROFILE_HOSTS_MAX) {
        out->left_out++;
        return 0;
    }
    char *copy = strdup(name);
    if (!copy) return error_set(m->err, "out of memory");
    out->hosts[out->host_count++] = (struct profile_host){.name = copy, .hours = hours};
    return 0;
}

/* Names that are in connections are no news as questions. */
static void drop_asked_and_called(struct profile *profile) {
    size_t kept = 0;
    bool *drop = calloc(profile->row_count + 1, sizeof *drop);
    if (!drop) return;
    for (size_t i = 0; i < profile->row_count; i++)
        drop[i] = profile->rows[i].kind == PROFILE_DNS_NAME &&
                  profile_find(profile, PROFILE_NAME, profile->rows[i].key);
    for (size_t i = 0; i < profile->row_count; i++) {
        if (!drop[i]) {
            profile->rows[kept++] = profile->rows[i];
            continue;
        }
        free(profile->rows[i].key);
        free(profile->rows[i].note);
    }
    profile->row_count = kept;
    free(drop);
}

/* ── a profile ───────────────────────────────────────────────────── */

static int making_begin(struct making *m, size_t rows, size_t hosts) {
    struct profile_collector *c = m->collector;
    size_t most = c->cell_count > c->rhythm_count ? c->cell_count : c->rhythm_count;
    *m->out = (struct profile){.first = c->first, .last = c->last, .left_out = c->left_out};
    m->out->rows = calloc(rows + 1, sizeof *m->out->rows);
    m->out->hosts = calloc(hosts + 1, sizeof *m->out->hosts);
    if (!m->flows) m->flows = calloc((most + 1) * 5, sizeof *m->flows);
    if (!m->out->rows || !m->out->hosts || !m->flows) return error_set(m->err, "out of memory");
    m->up = m->flows + most + 1;
    m->down = m->up + most + 1;
    m->gap = m->down + most + 1;
    m->gap_spread = m->gap + most + 1;
    return 0;
}

/* Rows of the cells from `from` on to `to`, in order by key within. */
static int make_rows(struct making *m, uint32_t from, uint32_t to, uint32_t host) {
    const struct collect_cell *cells = m->collector->cells;
    for (uint32_t end; from < to; from = end) {
        uint32_t fresh;
        for (end = from; end < to && cells[end].key == cells[from].key; end++) continue;
        const struct collect_key *key = &m->collector->keys[cells[from].key];
        if (make_row(m, &cells[from], end - from, host, &fresh) < 0) return -1;
        const struct profile_row *before = m->earlier ? profile_find(m->earlier, key->kind, key->text) : NULL;
        if (before) join_row(&m->out->rows[m->out->row_count - 1], before, fresh);
    }
    return 0;
}

static int learn_hosts(struct making *m) {
    struct profile_collector *c = m->collector;
    for (size_t i = 0; m->earlier && i < m->earlier->host_count; i++)
        if (add_host(m, m->earlier->hosts[i].name, m->earlier->hosts[i].hours) < 0) return -1;
    uint32_t *hours = calloc((size_t)c->host_count + 1, sizeof *hours);
    if (!hours) return error_set(m->err, "out of memory");
    for (uint32_t i = 0; i < c->cell_count; i++)
        hours[c->cells[i].host] += c->keys[c->cells[i].key].kind == PROFILE_VOLUME;
    int outcome = 0;
    for (uint32_t i = 0; i < c->host_count && outcome == 0; i++) {
        outcome = hours[i] ? add_host(m, c->hosts[i].name, hours[i]) : 0;
        m->out->hours += hours[i];
    }
    if (m->earlier) m->out->hours += m->earlier->hours;
    free(hours);
    return outcome;
}

static int learn_sources(struct making *m) {
    const char *before = m->earlier ? m->earlier->sources : "", *now = m->collector->sources;
    char joined[2 * PROFILE_SOURCES_MAX + 32];
    snprintf(joined, sizeof joined, "%s%s%s", before, before[0] && now[0] ? ", " : "", now);
    if (strlen(joined) >= PROFILE_SOURCES_MAX) {
        size_t cut = PROFILE_SOURCES_MAX - 8;
        while (cut > 0 && joined[cut] != ',') cut--;
        strcpy(joined + cut, ", …");
    }
    m->out->sources = strdup(joined);
    return m->out->sources ? 0 : error_set(m->err, "out of memory");
}

static int learn_rows(struct making *m) {
    struct profile_collector *c = m->collector;
    if (make_rows(m, 0, c->cell_count, UINT32_MAX) < 0) return -1;
    profile_sort(m->out);
    size_t fresh_rows = m->out->row_count;
    for (size_t i = 0; m->earlier && i < m->earlier->row_count; i++) {
        const struct profile_row *before = &m->earlier->rows[i];
        struct profile fresh = {.rows = m->out->rows, .row_count = fresh_rows};
        if (profile_find(&fresh, before->kind, before->key)) continue;
        if (m->out->row_count >= PROFILE_ROWS_MAX)
            m->out->left_out++;
        else if (copy_row(m, before) < 0)
            return -1;
    }
    profile_sort(m->out);
    drop_asked_and_called(m->out);
    return 0;
}

static int find_known(struct making *m) {
    if (!m->earlier) return 0;
    m->known = calloc((size_t)m->collector->host_count + 1, sizeof *m->known);
    if (!m->known) return error_set(m->err, "out of memory");
    for (uint32_t i = 0; i < m->collector->host_count; i++)
        m->known[i] = profile_has_host(m->earlier, m->collector->hosts[i].name);
    return 0;
}

static void join_times(struct profile *out, const struct profile *earlier) {
    if (earlier->first && (!out->first || earlier->first < out->first)) out->first = earlier->first;
    if (earlier->last > out->last) out->last = earlier->last;
    out->left_out += earlier->left_out;
}

int profile_learn(struct profile_collector *collector, const struct profile *earlier, struct profile *out,
                  struct error *err) {
    struct making m = {.collector = collector, .earlier = earlier, .out = out, .err = err};
    put_in_order(collector, by_key);
    if (collector->failed) return error_set(err, "out of memory");
    size_t rows = collector->key_count + (earlier ? earlier->row_count : 0);
    int outcome = making_begin(&m, rows, collector->host_count + (earlier ? earlier->host_count : 0));
    if (outcome == 0) outcome = find_known(&m);
    if (outcome == 0) outcome = learn_rows(&m);
    if (outcome == 0) outcome = learn_hosts(&m);
    for (size_t i = 0; outcome == 0 && i < out->row_count; i++) /* hosts beyond the bound are in no list */
        if (out->rows[i].hosts > out->host_count) out->rows[i].hosts = (uint32_t)out->host_count;
    if (outcome == 0) outcome = learn_sources(&m);
    if (outcome == 0 && earlier) join_times(out, earlier);
    profile_sort(out);
    free(m.flows);
    free(m.known);
    if (outcome < 0) profile_clear(out);
    return outcome;
}

/* ── each host ───────────────────────────────────────────────────── */

static uint32_t hours_of_one(const struct profile *of_one) {
    const struct profile_row *all = profile_find(of_one, PROFILE_VOLUME, "all");
    return all ? all->hours : 0;
}

static int one_host(struct making *m, uint32_t from, uint32_t to,
                    int (*take)(void *context, const struct profile *of_one, struct error *err),
                    void *context) {
    struct profile of_one;
    uint32_t host = m->collector->cells[from].host;
    m->out = &of_one;
    int outcome = making_begin(m, to - from, 1);
    if (outcome == 0) outcome = make_rows(m, from, to, host);
    profile_sort(&of_one);
    drop_asked_and_called(&of_one);
    of_one.hours = hours_of_one(&of_one);
    if (outcome == 0) outcome = add_host(m, m->collector->hosts[host].name, (uint32_t)of_one.hours);
    if (outcome == 0 && of_one.hours) outcome = take(context, &of_one, m->err);
    profile_clear(&of_one);
    return outcome;
}

struct host_cells {
    const char *name;
    uint32_t from, to;
};

static int by_name(const void *a, const void *b) {
    const struct host_cells *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Which cells are whose, by the hosts' names; owned by the caller. NULL without memory. */
static struct host_cells *cells_of_hosts(const struct profile_collector *c, uint32_t *count) {
    struct host_cells *hosts = calloc((size_t)c->host_count + 1, sizeof *hosts);
    *count = 0;
    for (uint32_t from = 0, to; hosts && from < c->cell_count; from = to) {
        for (to = from; to < c->cell_count; to++)
            if (c->cells[to].host != c->cells[from].host) break;
        hosts[(*count)++] = (struct host_cells){c->hosts[c->cells[from].host].name, from, to};
    }
    if (hosts) qsort(hosts, *count, sizeof *hosts, by_name);
    return hosts;
}

int profile_each_host(struct profile_collector *collector,
                      int (*take)(void *context, const struct profile *of_one, struct error *err),
                      void *context, struct error *err) {
    struct making m = {.collector = collector, .err = err};
    uint32_t count;
    put_in_order(collector, by_host);
    struct host_cells *hosts = collector->failed ? NULL : cells_of_hosts(collector, &count);
    int outcome = hosts ? 0 : error_set(err, "out of memory");
    for (uint32_t i = 0; outcome == 0 && i < count; i++)
        outcome = one_host(&m, hosts[i].from, hosts[i].to, take, context);
    free(hosts);
    free(m.flows);
    return outcome;
}
