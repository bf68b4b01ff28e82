/* See sockets.h. An entry is linked into the bucket of its host, ports and remote address; links lead to
 * entries made earlier, and one that was overwritten since ends the chain: its number is then beyond the
 * row's length behind the newest. */
#include "endpoint/sockets.h"

#include "base/bytes.h"
#include "base/pages.h"

#include <stdlib.h>
#include <string.h>

/* osquery writes whole seconds, and hears of a connection when it is made or a little later. */
static const nanoseconds SLACK = 5 * NS_PER_SECOND;
/* Ends are often not told. */
static const nanoseconds LASTS = 86400 * NS_PER_SECOND;

/* Entries of a bucket that are looked at: a port that is bound and closed all day has many. */
enum { STEPS_MOST = 256 };

struct entry {
    struct socket_name name;
    uint32_t host;
    int32_t pid;
    const char *path;
    nanoseconds from, to; /* `to` is INT64_MAX while nothing else is told */
    uint64_t older;       /* number of the next in the bucket, 0: none */
};

struct sockets {
    struct entry *entries; /* number n lies at n % most; numbers begin at 1 */
    uint64_t *buckets;     /* the newest entry's number */
    uint32_t most, mask;
    uint64_t made;
};

struct sockets *sockets_new(uint32_t most, struct error *err) {
    struct sockets *sockets = calloc(1, sizeof *sockets);
    uint32_t buckets = 64;
    while (buckets < most) buckets *= 2;
    if (sockets) {
        sockets->most = most;
        sockets->mask = buckets - 1;
        sockets->entries = pages_reserve((size_t)most * sizeof *sockets->entries, false);
        sockets->buckets = pages_reserve((size_t)buckets * sizeof *sockets->buckets, false);
    }
    if (sockets && sockets->entries && sockets->buckets) return sockets;
    sockets_free(sockets);
    error_set(err, "out of memory for the table of sockets");
    return NULL;
}

void sockets_free(struct sockets *sockets) {
    if (!sockets) return;
    if (sockets->entries) pages_release(sockets->entries, (size_t)sockets->most * sizeof *sockets->entries);
    if (sockets->buckets)
        pages_release(sockets->buckets, ((size_t)sockets->mask + 1) * sizeof *sockets->buckets);
    free(sockets);
}

static uint64_t *bucket_of(const struct sockets *sockets, uint32_t host, const struct socket_name *name) {
    uint32_t hash = host * 0x85ebca6bu ^ ((uint32_t)name->local_port << 16 | name->remote_port);
    for (int i = 0; i < 16; i += 4) hash = (hash ^ load_be32(name->remote.bytes + i)) * 0x9e3779b1u;
    return &sockets->buckets[(hash ^ hash >> 15) & sockets->mask];
}

static struct entry *entry_of(const struct sockets *sockets, uint64_t number) {
    if (number == 0 || number + sockets->most <= sockets->made) return NULL; /* overwritten since */
    return &sockets->entries[number % sockets->most];
}

static bool is_told(const struct ip *address) {
    static const struct ip none;
    return !ip_equals(address, &none);
}

/* What a side does not tell fits anything. */
static bool fits(const struct entry *entry, uint32_t host, const struct socket_name *name) {
    const struct socket_name *had = &entry->name;
    if (entry->host != host || had->local_port != name->local_port || had->remote_port != name->remote_port)
        return false;
    if (had->proto && name->proto && had->proto != name->proto) return false;
    if (is_told(&had->local) && is_told(&name->local) && !ip_equals(&had->local, &name->local)) return false;
    return ip_equals(&had->remote, &name->remote);
}

static struct entry *held_by(const struct sockets *sockets, uint32_t host, const struct socket_name *name,
                             int32_t pid) {
    struct entry *entry = entry_of(sockets, *bucket_of(sockets, host, name));
    for (int i = 0; entry && i < STEPS_MOST; i++, entry = entry_of(sockets, entry->older))
        if (entry->pid == pid && entry->to == INT64_MAX && fits(entry, host, name)) return entry;
    return NULL;
}

void sockets_open(struct sockets *sockets, uint32_t host, const struct socket_name *name, int32_t pid,
                  const char *path, nanoseconds time) {
    if (held_by(sockets, host, name, pid)) return;
    uint64_t *bucket = bucket_of(sockets, host, name), number = ++sockets->made;
    sockets->entries[number % sockets->most] = (struct entry){.name = *name,
                                                              .host = host,
                                                              .pid = pid,
                                                              .path = path,
                                                              .from = time,
                                                              .to = INT64_MAX,
                                                              .older = *bucket};
    *bucket = number;
}

void sockets_close(struct sockets *sockets, uint32_t host, const struct socket_name *name, int32_t pid,
                   nanoseconds time) {
    struct entry *entry = held_by(sockets, host, name, pid);
    if (entry) entry->to = time > entry->from ? time : entry->from;
}

static const struct entry *find(const struct sockets *sockets, uint32_t host, const struct socket_name *name,
                                nanoseconds time) {
    const struct entry *entry = entry_of(sockets, *bucket_of(sockets, host, name));
    for (int i = 0; entry && i < STEPS_MOST; i++, entry = entry_of(sockets, entry->older)) {
        if (!fits(entry, host, name) || entry->from - SLACK > time) continue;
        nanoseconds to = entry->to == INT64_MAX ? entry->from + LASTS : entry->to;
        if (time <= to + SLACK) return entry;
    }
    return NULL;
}

int32_t sockets_find(const struct sockets *sockets, uint32_t host, const struct socket_name *name,
                     nanoseconds time, const char **path) {
    const struct entry *entry = find(sockets, host, name, time);
    if (!entry) {
        struct socket_name unbound = *name;
        memset(&unbound.remote, 0, sizeof unbound.remote);
        unbound.remote_port = 0;
        entry = find(sockets, host, &unbound, time);
    }
    if (!entry) return -1;
    *path = entry->path;
    return entry->pid;
}

uint64_t sockets_made(const struct sockets *sockets) {
    return sockets->made;
}
