/* What one host does, held against a profile: findings, each with its surprise in bits (profile_figures.h).
 *
 * - new: a key that no learnt host had. Its share is what was met once only among the learnt ones of its
 *   kind; a name under an unknown registrable domain is held against domains as well. How few of the learnt
 *   ones are called so often, sent so much, or called so regularly comes on top.
 * - missing: a name or program that learnt hosts had. Whether the host was watched long enough is in the sum.
 * - rare: one that few of the learnt hosts had.
 * - more, less: connections, questions or bytes sent in an hour, against the learnt quantiles; of many hours
 *   the greatest counts, and that it is one of many is in the sum.
 * - rhythm: seconds between calls, or their regularity.
 *
 * A thing is told once: a new name's fingerprint or program is not told again as new for that name. */
#ifndef LUNETTE_OUTPUT_PROFILE_COMPARE_H
#define LUNETTE_OUTPUT_PROFILE_COMPARE_H

#include "output/profile.h"

struct profile_finding {
    double bits;
    enum profile_kind kind;
    const char *change; /* one of the words above */
    char what[PROFILE_KEY_MAX + 1];
    char was[96], is[96];
    char why[320];
};

struct profile_findings {
    struct profile_finding *at; /* owned */
    size_t count, room;
    bool failed; /* out of memory: some are missing */
};

/* Appends what is at least so surprising, the most surprising first. */
void profile_compare(const struct profile *learnt, const struct profile *of_one, double least,
                     struct profile_findings *out);
void profile_findings_clear(struct profile_findings *findings);

#endif
