/* See profile_compare.h. */
#include "output/profile_compare.h"

#include "output/profile_figures.h"
#include "output/profile_key.h"
#include "output/profile_unmet.h"
#include "output/terminal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double COUNT_GRAIN = 1, BYTE_GRAIN = 500, GAP_GRAIN = 1;

struct comparing {
    const struct profile *learnt, *of_one;
    struct unmet_table unmet;
    uint32_t watched; /* hours */
    double least;
    struct profile_findings *out;
};

/* ── words ───────────────────────────────────────────────────────── */

static void say_count(char *out, size_t size, double count, const char *one, const char *many) {
    snprintf(out, size, count == floor(count) ? "%.0f %s" : "%.1f %s", count, count == 1 ? one : many);
}

/* "none of 8 hosts", "not the host" that was learnt. */
static void say_none(char *out, size_t size, const struct comparing *c) {
    size_t hosts = c->learnt->host_count;
    snprintf(out, size, hosts == 1 ? "the learnt host never" : "none of %zu hosts ever", hosts);
}

static void say_range(char *out, size_t size, const double three[3], const char *unit) {
    if (three[LOW] == three[HIGH])
        snprintf(out, size, "%.0f%s", three[MID], unit);
    else
        snprintf(out, size, "%.0f (%.0f to %.0f)%s", three[MID], three[LOW], three[HIGH], unit);
}

static void say_bytes_range(char *out, size_t size, const double three[3]) {
    char middle[FIGURE_SIZE], high[FIGURE_SIZE];
    snprintf(out, size, "%s (up to %s) sent", figure_bytes((uint64_t)three[MID], middle),
             figure_bytes((uint64_t)three[HIGH], high));
}

/* "1" of nothing else than connections: questions, requests, sessions. */
static const char *unit_of(enum profile_kind kind, bool many) {
    switch (kind) {
    case PROFILE_DNS:
        return many ? "messages" : "message";
    case PROFILE_DNS_NAME:
    case PROFILE_RESOLVER:
        return many ? "questions" : "question";
    case PROFILE_AGENT:
        return many ? "requests" : "request";
    default:
        return many ? "connections" : "connection";
    }
}

static const char *noun_of(enum profile_kind kind) {
    static const char *const nouns[PROFILE_KINDS] = {
        [PROFILE_VOLUME] = "amount",
        [PROFILE_NAME] = "name",
        [PROFILE_DNS_NAME] = "name",
        [PROFILE_ADDRESS] = "network without a name",
        [PROFILE_SERVICE] = "service",
        [PROFILE_RESOLVER] = "resolver",
        [PROFILE_DNS] = "kind of message",
        [PROFILE_TLS] = "TLS fingerprint",
        [PROFILE_TLS_NAME] = "fingerprint of the name",
        [PROFILE_SSH] = "SSH fingerprint",
        [PROFILE_AGENT] = "User-Agent",
        [PROFILE_PROGRAM] = "program",
        [PROFILE_PROGRAM_NAME] = "name of the program",
    };
    return nouns[kind];
}

/* ── findings ────────────────────────────────────────────────────── */

/* NULL if it is not surprising enough, or there is no memory. */
static struct profile_finding *add(struct comparing *c, double bits, enum profile_kind kind,
                                   const char *change, const char *what) {
    struct profile_findings *out = c->out;
    if (!(bits >= c->least)) return NULL;
    if (out->count == out->room) {
        size_t more = out->room ? out->room * 2 : 32;
        struct profile_finding *moved = realloc(out->at, more * sizeof *moved);
        if (!moved) out->failed = true;
        if (!moved) return NULL;
        out->at = moved;
        out->room = more;
    }
    struct profile_finding *finding = &out->at[out->count++];
    *finding = (struct profile_finding){.bits = bits, .kind = kind, .change = change};
    snprintf(finding->what, sizeof finding->what, "%s", what);
    snprintf(finding->was, sizeof finding->was, "-");
    snprintf(finding->is, sizeof finding->is, "-");
    return finding;
}

/* Behind the first space: the name of "JA4 name" and "program name". */
static const char *second_word(const char *key) {
    const char *space = strrchr(key, ' ');
    return space ? space + 1 : "";
}

/* The program that calls a name, where one is known; "" if not. */
static const char *caller_of(const struct profile *of_one, const char *name, int *length) {
    *length = 0;
    for (size_t i = 0; i < of_one->row_count; i++) {
        const struct profile_row *row = &of_one->rows[i];
        if (row->kind != PROFILE_PROGRAM_NAME || strcmp(second_word(row->key), name) != 0) continue;
        *length = (int)(second_word(row->key) - 1 - row->key);
        return row->key;
    }
    return "";
}

/* A few gaps are soon alike by chance. */
static bool is_regular(const struct profile_row *row) {
    return row->gap > 0 && row->flows[MID] * row->hours >= 8 && row->gap_spread <= 0.3 * row->gap;
}

static void why_new(struct comparing *c, struct profile_finding *finding, const struct profile_row *row,
                    bool new_domain) {
    char hosts[48], domain[PROFILE_KEY_MAX + 64] = "", rhythm[64] = "", caller[96] = "";
    int length = 0;
    const char *program = row->kind == PROFILE_NAME ? caller_of(c->of_one, row->key, &length) : "";
    say_none(hosts, sizeof hosts, c);
    if (new_domain)
        snprintf(domain, sizeof domain, ", nor anything under %.80s", profile_key_domain(row->key));
    if (program[0]) snprintf(caller, sizeof caller, "; called by %.*s", length < 64 ? length : 64, program);
    if (is_regular(row)) snprintf(rhythm, sizeof rhythm, "; regular, every %.0f s", row->gap);
    snprintf(finding->why, sizeof finding->why, "a %s that %s had in %llu h%.100s%.70s%.40s",
             noun_of(row->kind), hosts, (unsigned long long)c->learnt->hours, domain, caller, rhythm);
    char up[FIGURE_SIZE] = "";
    figure_bytes((uint64_t)row->up_most, up);
    char flows[48];
    say_count(flows, sizeof flows, row->flows_most, unit_of(row->kind, false), unit_of(row->kind, true));
    snprintf(finding->is, sizeof finding->is, row->up_most > 0 ? "%s, %s sent" : "%s", flows, up);
}

static bool counts_amounts(enum profile_kind kind) {
    return kind == PROFILE_NAME || kind == PROFILE_DNS_NAME || kind == PROFILE_ADDRESS;
}

static void compare_new(struct comparing *c, const struct profile_row *row) {
    const struct unmet *unmet = &c->unmet.of_kind[row->kind], *domains = &c->unmet.of_domains;
    double bits = figures_bits(figures_unmet(unmet->once, unmet->met));
    bool new_domain = false;
    if (row->kind == PROFILE_NAME || row->kind == PROFILE_DNS_NAME) {
        if (row->kind == PROFILE_NAME && profile_find(c->learnt, PROFILE_DNS_NAME, row->key)) return;
        if (row->kind == PROFILE_DNS_NAME && profile_find(c->learnt, PROFILE_NAME, row->key)) return;
        new_domain = !unmet_knows_domain(&c->unmet, profile_key_domain(row->key));
        double more = figures_bits(figures_unmet(domains->once, domains->met));
        if (new_domain && more > bits) bits = more;
    }
    if (counts_amounts(row->kind)) bits += unmet_rank_bits(c->learnt, row);
    if (is_regular(row)) bits += unmet_regular_bits(c->learnt, row->kind, row->gap_spread / row->gap);
    struct profile_finding *finding = add(c, bits, row->kind, "new", row->key);
    if (finding) why_new(c, finding, row, new_domain);
}

/* Is this fingerprint told as one that is new for a name? */
static bool is_told_with_name(const struct comparing *c, const char *ja4) {
    size_t length = strlen(ja4);
    bool told = false;
    for (size_t i = 0; i < c->of_one->row_count; i++) {
        const struct profile_row *row = &c->of_one->rows[i];
        if (row->kind != PROFILE_TLS_NAME || strncmp(row->key, ja4, length) != 0 || row->key[length] != ' ')
            continue;
        if (!profile_find(c->learnt, PROFILE_NAME, second_word(row->key))) return false;
        told = true;
    }
    return told;
}

static void compare_fingerprint(struct comparing *c, const struct profile_row *row) {
    const char *name = second_word(row->key), *known = NULL;
    double met = 0;
    for (size_t i = 0; i < c->learnt->row_count; i++) {
        const struct profile_row *other = &c->learnt->rows[i];
        if (other->kind != PROFILE_TLS_NAME || strcmp(second_word(other->key), name) != 0) continue;
        met += other->hours * figures_occasions(other->flows[MID]);
        if (!known) known = other->key;
    }
    if (!known) return; /* the name itself is new */
    char ja4[64], hosts[64];
    snprintf(ja4, sizeof ja4, "%.*s", (int)strcspn(row->key, " "), row->key);
    const struct unmet *unmet = &c->unmet.of_kind[PROFILE_TLS];
    bool stranger = !profile_find(c->learnt, PROFILE_TLS, ja4);
    double bits = figures_bits(figures_unmet(0, met)),
           other = figures_bits(figures_unmet(unmet->once, unmet->met));
    if (stranger && other > bits) bits = other;
    struct profile_finding *finding = add(c, bits, row->kind, "new", name);
    if (!finding) return;
    say_none(hosts, sizeof hosts, c);
    snprintf(finding->was, sizeof finding->was, "%.*s", (int)strcspn(known, " "), known);
    snprintf(finding->is, sizeof finding->is, "%s", ja4);
    if (!stranger) snprintf(hosts, sizeof hosts, "it is known from other names, and this name never");
    snprintf(finding->why, sizeof finding->why, "another TLS stack calls a known name (%.0f %s): %s had it",
             row->flows_most, unit_of(row->kind, row->flows_most != 1), hosts);
}

static void compare_program_name(struct comparing *c, const struct profile_row *row) {
    char program[PROFILE_KEY_MAX + 1], prefix[PROFILE_KEY_MAX + 8];
    const char *name = second_word(row->key);
    snprintf(program, sizeof program, "%.*s", (int)(name - 1 - row->key), row->key);
    if (!profile_find(c->learnt, PROFILE_PROGRAM, program) || !profile_find(c->learnt, PROFILE_NAME, name))
        return;
    snprintf(prefix, sizeof prefix, "%s ", program);
    struct unmet unmet = unmet_of(c->learnt, row->kind, prefix);
    double bits = figures_bits(figures_unmet(unmet.once, unmet.met));
    struct profile_finding *finding = add(c, bits, row->kind, "new", row->key);
    if (!finding) return;
    say_count(finding->is, sizeof finding->is, row->flows_most, "connection", "connections");
    snprintf(finding->why, sizeof finding->why,
             "a known name, but %.60s never called it: %.0f other names of its were learnt", program,
             unmet.rows);
}

static void compare_missing(struct comparing *c, const struct profile_row *row) {
    double p = figures_missing(row->hosts, (double)c->learnt->host_count, row->flows[MID], row->hours,
                               c->learnt->hours, c->watched);
    struct profile_finding *finding = add(c, figures_bits(p), row->kind, "missing", row->key);
    if (!finding) return;
    say_range(finding->was, sizeof finding->was, row->flows,
              row->flows[HIGH] == 1 ? " connection" : " connections");
    snprintf(finding->is, sizeof finding->is, "none in %u h", c->watched);
    snprintf(finding->why, sizeof finding->why, "%u of %zu hosts had it, in %u of %llu hours", row->hosts,
             c->learnt->host_count, row->hours, (unsigned long long)c->learnt->hours);
}

/* ── amounts ─────────────────────────────────────────────────────── */

static void compare_flows(struct comparing *c, const struct profile_row *was, const struct profile_row *is) {
    bool more = is->flows_most > was->flows[MID];
    double value = more ? is->flows_most : is->flows[MID];
    if (!more && value >= was->flows[MID]) return;
    double p = figures_tail(was->flows, was->hours, value, COUNT_GRAIN);
    if (more) p = figures_any(p, is->hours);
    struct profile_finding *finding = add(c, figures_bits(p), is->kind, more ? "more" : "less", is->key);
    if (!finding) return;
    say_range(finding->was, sizeof finding->was, was->flows, "");
    size_t used = strlen(finding->was);
    snprintf(finding->was + used, sizeof finding->was - used, " %s",
             unit_of(is->kind, was->flows[HIGH] != 1));
    say_count(finding->is, sizeof finding->is, value, unit_of(is->kind, false), unit_of(is->kind, true));
    snprintf(finding->why, sizeof finding->why, "%.1f times as many in an hour as usual%s",
             value / fmax(was->flows[MID], 1), more && is->hours > 1 ? ", in its busiest hour" : "");
}

static void compare_up(struct comparing *c, const struct profile_row *was, const struct profile_row *is) {
    if (is->up_most <= was->up[MID]) return;
    double p = figures_any(figures_tail(was->up, was->hours, is->up_most, BYTE_GRAIN), is->hours);
    struct profile_finding *finding = add(c, figures_bits(p), is->kind, "more", is->key);
    if (!finding) return;
    char bytes[FIGURE_SIZE];
    say_bytes_range(finding->was, sizeof finding->was, was->up);
    snprintf(finding->is, sizeof finding->is, "%s sent", figure_bytes((uint64_t)is->up_most, bytes));
    snprintf(finding->why, sizeof finding->why, "%.1f times as many bytes sent in an hour as usual%s",
             is->up_most / fmax(was->up[MID], 1), is->hours > 1 ? ", in its busiest hour" : "");
}

static void compare_rhythm(struct comparing *c, const struct profile_row *was, const struct profile_row *is) {
    if (isnan(was->gap) || isnan(is->gap)) return;
    const double learnt[3] = {fmax(was->gap - was->gap_spread, 0), was->gap, was->gap + was->gap_spread};
    double bits = figures_bits(figures_tail(learnt, was->hours, is->gap, GAP_GRAIN));
    bool stricter =
        is_regular(is) && was->gap_spread / fmax(was->gap, 1) > 3 * is->gap_spread / is->gap + 0.2;
    double regular = stricter ? unmet_regular_bits(c->learnt, is->kind, is->gap_spread / is->gap) : 0;
    struct profile_finding *finding = add(c, fmax(bits, regular), is->kind, "rhythm", is->key);
    if (!finding) return;
    snprintf(finding->was, sizeof finding->was, "every %.0f s, half within %.0f s", was->gap,
             was->gap_spread);
    snprintf(finding->is, sizeof finding->is, "every %.0f s, half within %.0f s", is->gap, is->gap_spread);
    snprintf(finding->why, sizeof finding->why, "%s",
             regular > bits       ? "calls have become regular"
             : is->gap < was->gap ? "calls follow each other faster"
                                  : "calls are further apart");
}

static void compare_rare(struct comparing *c, const struct profile_row *was, const struct profile_row *is) {
    if (was->hosts * 2 > c->learnt->host_count || profile_has_host(c->learnt, c->of_one->hosts[0].name))
        return;
    double p = figures_share(was->hosts, (double)c->learnt->host_count);
    struct profile_finding *finding = add(c, figures_bits(p), is->kind, "rare", is->key);
    if (!finding) return;
    snprintf(finding->was, sizeof finding->was, "%u of %zu hosts", was->hosts, c->learnt->host_count);
    say_count(finding->is, sizeof finding->is, is->flows_most, unit_of(is->kind, false),
              unit_of(is->kind, true));
    snprintf(finding->why, sizeof finding->why, "a %s that few of the learnt hosts had", noun_of(is->kind));
}

/* ── all of it ───────────────────────────────────────────────────── */

static void compare_known(struct comparing *c, const struct profile_row *was, const struct profile_row *is) {
    bool amounts = is->kind == PROFILE_NAME || is->kind == PROFILE_ADDRESS || is->kind == PROFILE_PROGRAM;
    if (amounts || is->kind == PROFILE_DNS) compare_flows(c, was, is);
    if (amounts || is->kind == PROFILE_VOLUME) compare_up(c, was, is);
    if (is->kind == PROFILE_NAME || is->kind == PROFILE_ADDRESS) compare_rhythm(c, was, is);
    if (is->kind != PROFILE_TLS_NAME && is->kind != PROFILE_PROGRAM_NAME) compare_rare(c, was, is);
}

static void compare_row(struct comparing *c, const struct profile_row *is) {
    const struct profile_row *was = profile_find(c->learnt, is->kind, is->key);
    if (was)
        compare_known(c, was, is);
    else if (is->kind == PROFILE_TLS_NAME)
        compare_fingerprint(c, is);
    else if (is->kind == PROFILE_PROGRAM_NAME)
        compare_program_name(c, is);
    else if (is->kind != PROFILE_TLS || !is_told_with_name(c, is->key))
        compare_new(c, is);
}

static int by_surprise(const void *a, const void *b) {
    const struct profile_finding *x = a, *y = b;
    if (x->bits != y->bits) return x->bits > y->bits ? -1 : 1;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    int order = strcmp(x->what, y->what);
    return order ? order : strcmp(x->change, y->change);
}

void profile_compare(const struct profile *learnt, const struct profile *of_one, double least,
                     struct profile_findings *out) {
    struct comparing c = {
        .learnt = learnt, .of_one = of_one, .watched = (uint32_t)of_one->hours, .least = least, .out = out};
    size_t before = out->count;
    if (unmet_table_init(&c.unmet, learnt) < 0) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < of_one->row_count; i++) compare_row(&c, &of_one->rows[i]);
    for (size_t i = 0; i < learnt->row_count; i++) {
        const struct profile_row *row = &learnt->rows[i];
        if (row->kind != PROFILE_NAME && row->kind != PROFILE_PROGRAM) continue;
        if (!profile_find(of_one, row->kind, row->key)) compare_missing(&c, row);
    }
    unmet_table_clear(&c.unmet);
    if (out->count > before) qsort(out->at + before, out->count - before, sizeof *out->at, by_surprise);
}

void profile_findings_clear(struct profile_findings *findings) {
    free(findings->at);
    *findings = (struct profile_findings){0};
}
