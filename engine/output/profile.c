/* See profile.h: names of kinds, order, look-up. */
#include "output/profile.h"

#include <stdlib.h>
#include <string.h>

static const char *const kind_names[PROFILE_KINDS] = {
    [PROFILE_VOLUME] = "volume",
    [PROFILE_NAME] = "name",
    [PROFILE_DNS_NAME] = "dns-name",
    [PROFILE_ADDRESS] = "address",
    [PROFILE_SERVICE] = "service",
    [PROFILE_RESOLVER] = "resolver",
    [PROFILE_DNS] = "dns",
    [PROFILE_TLS] = "tls",
    [PROFILE_TLS_NAME] = "tls-name",
    [PROFILE_SSH] = "ssh",
    [PROFILE_AGENT] = "agent",
    [PROFILE_PROGRAM] = "program",
    [PROFILE_PROGRAM_NAME] = "program-name",
};

const char *profile_kind_name(enum profile_kind kind) {
    return kind_names[kind];
}

enum profile_kind profile_kind_named(const char *name) {
    int kind = 0;
    while (kind < PROFILE_KINDS && strcmp(kind_names[kind], name) != 0) kind++;
    return (enum profile_kind)kind;
}

void profile_clear(struct profile *profile) {
    for (size_t i = 0; i < profile->row_count; i++) {
        free(profile->rows[i].key);
        free(profile->rows[i].note);
    }
    for (size_t i = 0; i < profile->host_count; i++) free(profile->hosts[i].name);
    free(profile->rows);
    free(profile->hosts);
    free(profile->sources);
    *profile = (struct profile){0};
}

static int compare_rows(const void *a, const void *b) {
    const struct profile_row *x = a, *y = b;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    return strcmp(x->key, y->key);
}

static int compare_hosts(const void *a, const void *b) {
    const struct profile_host *x = a, *y = b;
    return strcmp(x->name, y->name);
}

void profile_sort(struct profile *profile) {
    if (profile->row_count) qsort(profile->rows, profile->row_count, sizeof *profile->rows, compare_rows);
    if (profile->host_count)
        qsort(profile->hosts, profile->host_count, sizeof *profile->hosts, compare_hosts);
}

const struct profile_row *profile_find(const struct profile *profile, enum profile_kind kind,
                                       const char *key) {
    struct profile_row wanted = {.kind = kind, .key = (char *)key};
    if (!profile->row_count) return NULL;
    return bsearch(&wanted, profile->rows, profile->row_count, sizeof wanted, compare_rows);
}

bool profile_has_host(const struct profile *profile, const char *name) {
    struct profile_host wanted = {.name = (char *)name};
    return profile->host_count &&
           bsearch(&wanted, profile->hosts, profile->host_count, sizeof wanted, compare_hosts);
}
