/* What came of host logs, in words: for the end of a run. The commonest slip, a log of another Mac, of
 * another day or of a capture that names nobody, shows in nothing but missing programs, so it is looked for
 * here and told, with its likely cause. */
#ifndef LUNETTE_ENDPOINT_ACCOUNT_H
#define LUNETTE_ENDPOINT_ACCOUNT_H

#include "endpoint/endpoint.h"
#include "flow/flow.h"

/* Sentences without an end, "" where there is nothing to say. */
struct endpoint_account {
    char read[256];   /* how much, of which time */
    char joined[256]; /* how many flows found their program in it */
    char warnings[3][512];
    uint32_t warning_count;
};

/* `endpoints` are the workers', each of which has read the same logs; `flows` all workers' figures; `first`
 * and `last` the times of the capture, 0 if it has no packet. */
void endpoint_account_make(struct endpoint_account *account, const struct endpoint *const *endpoints,
                           uint32_t count, const struct flow_counters *flows, nanoseconds first,
                           nanoseconds last);

#endif
