/* What a profile tells of things that it does not hold: how often something new came, how often something is
 * called so much or so regularly. */
#ifndef LUNETTE_OUTPUT_PROFILE_UNMET_H
#define LUNETTE_OUTPUT_PROFILE_UNMET_H

#include "output/profile.h"

/* Good and Turing's two figures. Met once is what one host alone had; where one host alone was learnt, what
 * it had in one hour alone; where that was its only hour, what it called once. */
struct unmet {
    double once, met; /* met: occasions (profile_figures.h) */
    double rows;
};

/* Of the rows of a kind whose keys begin with `prefix`. */
struct unmet unmet_of(const struct profile *learnt, enum profile_kind kind, const char *prefix);

/* The same for all kinds, and for the registrable domains of names, found once for a comparison. */
struct unmet_table {
    struct unmet of_kind[PROFILE_KINDS], of_domains;
    const char **domains; /* each once, in order; they point into the profile's keys. Owned */
    size_t domain_count;
};
int unmet_table_init(struct unmet_table *table, const struct profile *learnt); /* -1: out of memory */
void unmet_table_clear(struct unmet_table *table);
bool unmet_knows_domain(const struct unmet_table *table, const char *domain);

/* Bits for how few of the learnt ones of its kind are called so often in an hour, or sent so much. */
double unmet_rank_bits(const struct profile *learnt, const struct profile_row *row);

/* Bits for how few of those that have a rhythm are as regular: interquartile range over median. */
double unmet_regular_bits(const struct profile *learnt, enum profile_kind kind, double spread);

#endif
