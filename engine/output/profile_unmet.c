/* See profile_unmet.h. */
#include "output/profile_unmet.h"

#include "output/profile_figures.h"
#include "output/profile_key.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool met_once(const struct profile *learnt, uint32_t hosts, uint32_t hours, double flows) {
    if (learnt->host_count > 1) return hosts == 1;
    return learnt->hours > 1 ? hours == 1 : flows <= 1;
}

struct unmet unmet_of(const struct profile *learnt, enum profile_kind kind, const char *prefix) {
    struct unmet unmet = {0};
    size_t length = strlen(prefix);
    for (size_t i = 0; i < learnt->row_count; i++) {
        const struct profile_row *row = &learnt->rows[i];
        if (row->kind != kind || strncmp(row->key, prefix, length) != 0) continue;
        unmet.once += met_once(learnt, row->hosts, row->hours, row->flows[MID]);
        unmet.met += row->hours * figures_occasions(row->flows[MID]);
        unmet.rows++;
    }
    return unmet;
}

static bool is_name(const struct profile_row *row) {
    return row->kind == PROFILE_NAME || row->kind == PROFILE_DNS_NAME;
}

struct domain_of {
    const char *domain;
    const struct profile_row *row;
};

static int by_domain(const void *a, const void *b) {
    const struct domain_of *x = a, *y = b;
    return strcmp(x->domain, y->domain);
}

/* All names under one domain; what they share of hosts and hours is not known, so it is as little as can be.
 */
static void add_domain(struct unmet_table *table, const struct profile *learnt, const struct domain_of *names,
                       size_t count) {
    uint32_t hosts = 0, hours = 0;
    double flows = 0;
    for (size_t i = 0; i < count; i++) {
        if (names[i].row->hosts > hosts) hosts = names[i].row->hosts;
        if (names[i].row->hours > hours) hours = names[i].row->hours;
        flows += names[i].row->flows[MID];
    }
    table->of_domains.once += met_once(learnt, hosts, hours, flows);
    table->of_domains.met += hours * figures_occasions(flows);
    table->of_domains.rows++;
    table->domains[table->domain_count++] = names->domain;
}

int unmet_table_init(struct unmet_table *table, const struct profile *learnt) {
    struct domain_of *names = calloc(learnt->row_count + 1, sizeof *names);
    *table = (struct unmet_table){.domains = calloc(learnt->row_count + 1, sizeof *table->domains)};
    size_t count = 0;
    for (size_t i = 0; names && i < learnt->row_count; i++)
        if (is_name(&learnt->rows[i]))
            names[count++] = (struct domain_of){profile_key_domain(learnt->rows[i].key), &learnt->rows[i]};
    if (!names || !table->domains) {
        free(names);
        unmet_table_clear(table);
        return -1;
    }
    qsort(names, count, sizeof *names, by_domain);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i; end < count && strcmp(names[end].domain, names[i].domain) == 0; end++) continue;
        add_domain(table, learnt, &names[i], end - i);
    }
    for (int kind = 0; kind < PROFILE_KINDS; kind++)
        table->of_kind[kind] = unmet_of(learnt, (enum profile_kind)kind, "");
    free(names);
    return 0;
}

void unmet_table_clear(struct unmet_table *table) {
    free(table->domains);
    *table = (struct unmet_table){0};
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool unmet_knows_domain(const struct unmet_table *table, const char *domain) {
    return bsearch(&domain, table->domains, table->domain_count, sizeof domain, compare_texts);
}

/* Beyond the most that was seen twice as much is half as likely (Zipf). */
static double rank_bits(double as_much, double rows, double value, double most) {
    double share = figures_share(as_much, rows);
    return figures_bits(value > most && most > 0 ? share * most / value : share);
}

double unmet_rank_bits(const struct profile *learnt, const struct profile_row *row) {
    double rows = 0, as_often = 0, as_much = 0, flows_most = 0, up_most = 0;
    for (size_t i = 0; i < learnt->row_count; i++) {
        const struct profile_row *other = &learnt->rows[i];
        if (other->kind != row->kind) continue;
        rows++;
        as_often += other->flows[HIGH] >= row->flows_most;
        as_much += other->up[HIGH] >= row->up_most;
        flows_most = fmax(flows_most, other->flows[HIGH]);
        up_most = fmax(up_most, other->up[HIGH]);
    }
    if (rows == 0) return 0;
    return fmax(rank_bits(as_often, rows, row->flows_most, flows_most),
                rank_bits(as_much, rows, row->up_most, up_most));
}

double unmet_regular_bits(const struct profile *learnt, enum profile_kind kind, double spread) {
    double rows = 0, as_regular = 0;
    for (size_t i = 0; i < learnt->row_count; i++) {
        const struct profile_row *other = &learnt->rows[i];
        if (other->kind != kind || !(other->gap > 0)) continue;
        rows++;
        as_regular += other->gap_spread <= spread * other->gap;
    }
    return rows > 0 ? figures_bits(figures_share(as_regular, rows)) : 0;
}
