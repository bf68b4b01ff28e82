/* Who talked, in what, from which program: the part of the summary that is counted from flows, VPNs and
 * logins.
 *
 * Everything is kept in tables of the busiest (output/top.h), so memory is bounded: with more keys than
 * places the least busy give way. Until then every figure is a sum and every text is chosen by a rule, so
 * that the result does not depend on how events were cut into batches or dealt to workers. */
#ifndef LUNETTE_OUTPUT_SUMMARY_WHO_H
#define LUNETTE_OUTPUT_SUMMARY_WHO_H

#include "base/time.h"
#include "event/batch.h"
#include "output/summary_page.h"

enum {
    WHO_PLACES = 1024, /* programs, proxies, VPNs, logins */
    WHO_TRAITS = 4096, /* servers and parents, of all programs together */
    WHO_PROTOCOLS = 256,
    WHO_EVIDENCE = 240,
};

struct top;
struct vpn_note {
    nanoseconds time;
    char evidence[WHO_EVIDENCE];
};

struct summary_who {
    struct top *programs, *traits, *protocols, *proxies, *vpns, *logins; /* owned */
    struct vpn_note *notes; /* of each VPN's first event, by its number in `vpns`: owned */
};

int summary_who_init(struct summary_who *who); /* -1: out of memory; clear it all the same */
void summary_who_clear(struct summary_who *who);

/* Is there something to count in events of that kind? */
bool summary_who_wants(enum event_kind kind);
void summary_who_event(struct summary_who *who, enum event_kind kind, const void *event,
                       const struct batch *batch);

void summary_who_merge(struct summary_who *into, const struct summary_who *from);

/* Appends the tables that have rows. */
void summary_who_print_programs(const struct summary_who *who, struct page *page);
void summary_who_print_rest(const struct summary_who *who, struct page *page);

#endif
