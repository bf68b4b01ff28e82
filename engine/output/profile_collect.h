/* Counts what hosts do, from records (output/eve.h), and makes profiles of it.
 *
 * There is one way in, the line of JSON, also for what a replay in the same process sees: so a profile that
 * is learnt from a capture is the one that is learnt from its records. Only `flow`, `dns`, `http` and `ssh`
 * records count. Nothing depends on the order of records but which hour of presence a host is in, and that
 * goes by each host's own, whose order does not change with batches or workers.
 *
 * What is kept is bounded: PROFILE_ROWS_MAX keys, PROFILE_HOSTS_MAX hosts, COLLECT_CELLS_MAX hours of a key
 * at a host, the first COLLECT_STARTS_MAX connections of a name at a host for its rhythm. What comes when a
 * table is full is left out and counted. */
#ifndef LUNETTE_OUTPUT_PROFILE_COLLECT_H
#define LUNETTE_OUTPUT_PROFILE_COLLECT_H

#include "base/ip.h"
#include "output/profile.h"

struct profile_collector;

enum {
    COLLECT_CELLS_MAX = 2 << 20,
    COLLECT_RHYTHMS_MAX = 65536, /* names at hosts */
    COLLECT_STARTS_MAX = 1024,
};

/* Two addresses of one host. */
struct profile_alias {
    struct ip address, counts_as;
};

struct profile_collect_options {
    bool (*is_local)(void *context, const struct ip *address);
    void *context;
    const struct ip *only; /* these hosts alone; none: all local ones */
    size_t only_count;
    const struct profile_alias *aliases;
    size_t alias_count;
};

/* The options are copied, what they point to is borrowed. NULL and why. */
struct profile_collector *profile_collector_new(const struct profile_collect_options *options,
                                                struct error *err);
void profile_collector_free(struct profile_collector *collector);

/* What comes from now on is of that file or group of files. `apart` > 0: its hosts are other ones than those
 * of other files, whatever their addresses. */
void profile_collector_source(struct profile_collector *collector, const char *name, uint32_t apart);

enum profile_line {
    PROFILE_COUNTED,
    PROFILE_OTHER, /* a record of another kind, or of no host that is looked at */
    PROFILE_BAD,   /* no record */
};
enum profile_line profile_collect(struct profile_collector *collector, const char *line, size_t length);

/* Out of memory on the way: what was counted is not all. */
bool profile_collector_failed(const struct profile_collector *collector);

/* All hosts together; with what an earlier profile (NULL: none) holds. A host of an address that the earlier
 * one has counts as the same, and such hosts are taken to have been counted in the rows that it has. Its
 * quantiles and the new ones are averaged, weighed by hours. -1 without memory. */
int profile_learn(struct profile_collector *collector, const struct profile *earlier, struct profile *out,
                  struct error *err);

/* Each host alone, by name. `take` may keep nothing of it. -1 without memory, or if `take` returns -1. */
int profile_each_host(struct profile_collector *collector,
                      int (*take)(void *context, const struct profile *of_one, struct error *err),
                      void *context, struct error *err);

#endif
