/* A profile: what is normal for some hosts, learnt from their traffic (`lunette baseline`).
 *
 *      captures ─ records ─┐
 *      records of a sensor ┴─▶ collector (profile_collect.h) ─▶ struct profile ◀─▶ file (profile_file.h)
 *                                                                     └─▶ compared with one host's
 * (profile_compare.h)
 *
 * A profile is a list of rows. A row is a key of some kind (a name, a fingerprint, a program …) and says how
 * many of the hosts had it, in how many host-hours, and how much there was of it in such an hour. An hour of
 * a host is an hour of its presence: the first begins with its first traffic, and after an absence of an hour
 * or more counting begins anew. So the first seven minutes after a boot are one hour wherever the clock
 * stood. What belongs to a connection counts where that began. */
#ifndef LUNETTE_OUTPUT_PROFILE_H
#define LUNETTE_OUTPUT_PROFILE_H

#include "base/error.h"
#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum profile_kind {
    PROFILE_VOLUME,       /* "all": everything that the host said */
    PROFILE_NAME,         /* server_name of its connections */
    PROFILE_DNS_NAME,     /* asked for by DNS, and in no connection's server_name */
    PROFILE_ADDRESS,      /* network of servers without a name, outside the home networks */
    PROFILE_SERVICE,      /* "tcp/443/tls"; "in tcp/22/ssh" if the host is the server */
    PROFILE_RESOLVER,     /* who is asked by DNS; "local" stands for all in the home networks */
    PROFILE_DNS,          /* "query HTTPS", "answer NXDOMAIN" */
    PROFILE_TLS,          /* JA4 */
    PROFILE_TLS_NAME,     /* "JA4 name" */
    PROFILE_SSH,          /* HASSH of the client */
    PROFILE_AGENT,        /* product of the User-Agent */
    PROFILE_PROGRAM,      /* where the capture or a host log tells */
    PROFILE_PROGRAM_NAME, /* "program name" */
    PROFILE_KINDS
};

/* Quantiles over the host-hours in which the key was there: the 10th, 50th and 90th of a hundred; of fewer
 * than ten hours the least, the median and the greatest. */
enum { LOW, MID, HIGH };

struct profile_row {
    enum profile_kind kind;
    char *key; /* owned */
    uint32_t hosts, hours;
    double flows[3], up[3], down[3]; /* connections (questions, requests), bytes from and to the host */
    double gap, gap_spread;     /* seconds between calls: median, and interquartile range; NAN: too few */
    double flows_most, up_most; /* of one hour; not in the file: 0 if it was read */
    nanoseconds first_seen;
    char *note; /* owned; "" if there is nothing to say */
};

struct profile_host {
    char *name; /* address; with " (2)" behind it if files are told apart. Owned */
    uint32_t hours;
};

struct profile {
    struct profile_row *rows; /* by kind, then by key */
    size_t row_count;
    struct profile_host *hosts; /* by name */
    size_t host_count;
    uint64_t hours;          /* of all hosts */
    nanoseconds first, last; /* 0: nothing was seen */
    char *sources;           /* names of files, joined by ", "; owned, never NULL once made */
    uint64_t left_out;       /* of keys, hosts or hours beyond what is kept */
};

enum {
    PROFILE_ROWS_MAX = 65536,
    PROFILE_HOSTS_MAX = 4096,
    PROFILE_KEY_MAX = 400,
    PROFILE_SOURCES_MAX = 1000, /* bytes of their names; then "…" */
};

void profile_clear(struct profile *profile);

const char *profile_kind_name(enum profile_kind kind);

/* PROFILE_KINDS if there is none of that name. */
enum profile_kind profile_kind_named(const char *name);

/* Into the order of the file. */
void profile_sort(struct profile *profile);

/* NULL if there is no such row. The profile is sorted. */
const struct profile_row *profile_find(const struct profile *profile, enum profile_kind kind,
                                       const char *key);
bool profile_has_host(const struct profile *profile, const char *name);

#endif
