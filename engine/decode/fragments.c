/* Reassembly of IP fragments.
 *
 * Each datagram in parts has a buffer for its payload and a bitmap with a bit for each 8 bytes of it, the
 * unit in which fragments are placed. Copying skips units that are there already, which is all it takes for
 * "first data wins"; the datagram is whole when as many units are there as its last fragment says there must
 * be. Datagrams stand in a hash table, and in a list by age, from whose front they go when too old or when
 * memory is needed. The hash is keyed with a random number, so that nobody can aim for one chain. */
#include "decode/fragments.h"
#include "decode/layers.h"
#include "decode/tunnel.h"

#include <stdlib.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    CHAINS = 1024,
    UNIT = 8,
    LARGEST = 65535,
    UNITS = (LARGEST + UNIT) / UNIT,
    SMALLEST_BUFFER = 2048,
    UNKNOWN = 0,
};
#define TIMEOUT (30 * NS_PER_SECOND)

/* RFC 791: source, destination, protocol, id; RFC 8200: source, destination, id. Inside a tunnel, its
 * identity too: two of them may carry the same private addresses. */
struct key {
    struct ip src, dst;
    uint64_t tunnel;
    uint32_t id;
    uint16_t vlan;
    uint8_t protocol; /* 0 for IPv6 */
    uint8_t version;
};

struct datagram {
    struct key key;
    struct datagram *chain;         /* next in the hash chain */
    struct datagram *older, *newer; /* by first fragment */
    nanoseconds began;
    uint8_t *bytes;
    uint32_t room;
    uint32_t length; /* of the whole payload, UNKNOWN until its last fragment is here */
    uint32_t reach;  /* highest end of a fragment so far */
    uint32_t units;  /* that are here */
    uint32_t wire_length;
    bool overlap;
    bool has_first;
    struct decoded first; /* headers of the fragment at offset 0 */
    uint64_t here[(UNITS + 63) / 64];
};

struct fragments {
    size_t bound;
    uint64_t seed;
    nanoseconds clock;
    struct datagram *oldest, *newest;
    struct datagram *given; /* what the last offers' `out` point into, one inside the other */
    struct fragments_counters counters;
    struct datagram *chains[CHAINS];
};

struct fragments *fragments_new(size_t bytes_bound, struct error *err) {
    struct fragments *f = calloc(1, sizeof *f);
    if (!f) {
        error_set(err, "out of memory");
        return NULL;
    }
    f->bound = bytes_bound;
    if (getrandom(&f->seed, sizeof f->seed, GRND_NONBLOCK) < 0) f->seed = (uint64_t)(uintptr_t)f;
    return f;
}

static struct datagram **chain_of(struct fragments *f, const struct key *key) {
    return &f->chains[XXH3_64bits_withSeed(key, sizeof *key, f->seed) % CHAINS];
}

static void destroy(struct fragments *f, struct datagram *d) {
    f->counters.memory -= sizeof *d + d->room;
    free(d->bytes);
    free(d);
}

static void unlink_datagram(struct fragments *f, struct datagram *d) {
    struct datagram **at = chain_of(f, &d->key);
    while (*at != d) at = &(*at)->chain;
    *at = d->chain;
    if (d->older)
        d->older->newer = d->newer;
    else
        f->oldest = d->newer;
    if (d->newer)
        d->newer->older = d->older;
    else
        f->newest = d->older;
    f->counters.waiting--;
}

static void drop(struct fragments *f, struct datagram *d) {
    unlink_datagram(f, d);
    destroy(f, d);
}

static void expire(struct fragments *f) {
    while (f->oldest && f->clock - f->oldest->began > TIMEOUT) {
        f->counters.timed_out++;
        drop(f, f->oldest);
    }
}

/* Makes `bytes` fit under the bound by dropping the oldest, but never `keep`. */
static bool make_room(struct fragments *f, size_t bytes, const struct datagram *keep) {
    while (f->counters.memory + bytes > f->bound) {
        struct datagram *victim = f->oldest == keep && keep ? keep->newer : f->oldest;
        if (!victim) return false;
        f->counters.evicted++;
        drop(f, victim);
    }
    return true;
}

static struct key key_of(const struct decoded *in) {
    bool v4 = ip_is_v4(&in->src);
    struct key key;
    memset(&key, 0, sizeof key); /* padding is hashed too */
    key.src = in->src;
    key.dst = in->dst;
    key.tunnel = in->tunnel ? in->tunnel->identity : 0;
    key.id = in->fragment_id;
    key.vlan = in->vlan;
    key.protocol = v4 ? in->fragment_protocol : 0;
    key.version = v4 ? 4 : 6;
    return key;
}

static struct datagram *find(struct fragments *f, const struct key *key) {
    struct datagram *d = *chain_of(f, key);
    while (d && memcmp(&d->key, key, sizeof *key) != 0) d = d->chain;
    return d;
}

static struct datagram *begin(struct fragments *f, const struct key *key) {
    struct datagram *d = make_room(f, sizeof *d, NULL) ? calloc(1, sizeof *d) : NULL;
    if (!d) return NULL;
    f->counters.memory += sizeof *d;
    f->counters.waiting++;
    d->key = *key;
    d->began = f->clock;
    struct datagram **chain = chain_of(f, key);
    d->chain = *chain;
    *chain = d;
    d->older = f->newest;
    if (f->newest)
        f->newest->newer = d;
    else
        f->oldest = d;
    f->newest = d;
    return d;
}

static bool grow(struct fragments *f, struct datagram *d, uint32_t end) {
    if (end <= d->room) return true;
    uint32_t room = d->room ? d->room : SMALLEST_BUFFER;
    while (room < end) room *= 2;
    if (!make_room(f, room - d->room, d)) return false;
    uint8_t *bytes = realloc(d->bytes, room);
    if (!bytes) return false;
    f->counters.memory += room - d->room;
    d->bytes = bytes;
    d->room = room;
    return true;
}

static bool unit_is_here(const struct datagram *d, uint32_t unit) {
    return d->here[unit / 64] >> unit % 64 & 1;
}

/* Copies what is not there yet. Returns whether the fragment overlaps what was there other than by repeating
 * it. */
static bool place(struct datagram *d, uint32_t offset, const uint8_t *bytes, uint32_t length) {
    uint32_t repeated = 0, units = (length + UNIT - 1) / UNIT;
    bool differs = false;
    for (uint32_t i = 0; i < units; i++) {
        uint32_t at = i * UNIT, unit = offset / UNIT + i;
        uint32_t size = length - at < UNIT ? length - at : UNIT;
        if (unit_is_here(d, unit)) {
            repeated++;
            differs = differs || memcmp(d->bytes + offset + at, bytes + at, size) != 0;
            continue;
        }
        memcpy(d->bytes + offset + at, bytes + at, size);
        d->here[unit / 64] |= 1ull << unit % 64;
        d->units++;
    }
    return differs || (repeated > 0 && repeated < units);
}

/* Can this be a part of a datagram? RFC 791 section 3.1: all but the last fragment hold multiples of 8 bytes;
 * 65,535 is the most there can be. */
static bool is_usable(const struct decoded *in) {
    uint32_t length = in->ip_payload_length;
    if (length == 0 || in->ip_payload_captured < length) return false;
    if (in->more_fragments && length % UNIT != 0) return false;
    return in->fragment_offset + length <= LARGEST;
}

/* The last fragment says how long the whole is. False if that contradicts what came before. */
static bool fits(const struct datagram *d, const struct decoded *in) {
    uint32_t end = in->fragment_offset + in->ip_payload_length;
    if (!in->more_fragments && (d->reach > end || (d->length != UNKNOWN && d->length != end))) return false;
    return d->length == UNKNOWN || end <= d->length;
}

static void forget_given(struct fragments *f) {
    while (f->given) {
        struct datagram *d = f->given;
        f->given = d->chain;
        destroy(f, d);
    }
}

static bool lies_in(const struct decoded *in, const struct datagram *d) {
    return in->ip_payload >= d->bytes && in->ip_payload < d->bytes + d->room;
}

static void give(struct fragments *f, struct datagram *d, const struct decoded *last, struct decoded *out) {
    unlink_datagram(f, d);
    d->chain = f->given;
    f->given = d;
    f->counters.datagrams++;
    *out = d->first;
    out->tunnel = last->tunnel; /* the first one's was borrowed from a packet that is gone */
    out->carries = NULL;
    out->fragment = out->more_fragments = out->has_ports = false;
    out->wire_length = d->wire_length;
    /* What the first fragment's transport looked like may have been due to the cut, and its bytes are gone.
     */
    out->src_port = out->dst_port = 0;
    out->tcp_options = NULL;
    out->tcp_options_length = 0;
    out->payload_captured = out->payload_length = 0;
    out->anomaly = out->anomaly_protocol = NULL;
    if (d->overlap) note_anomaly(out, d->key.version == 4 ? "ip" : "ipv6", "fragment_overlap");
    struct rest whole = {d->bytes, d->length, d->length};
    if (d->key.version == 4)
        decode_transport(d->first.fragment_protocol, whole, out);
    else
        decode_ip_payload(d->first.fragment_protocol, whole, out);
}

/* Returns the datagram if that was the last missing part of it. */
static struct datagram *take_in(struct fragments *f, const struct packet *packet, const struct decoded *in) {
    f->counters.fragments++;
    if (packet->time > f->clock) f->clock = packet->time;
    expire(f);
    if (!is_usable(in)) {
        f->counters.refused++;
        return NULL;
    }
    struct key key = key_of(in);
    struct datagram *d = find(f, &key);
    if (!d) d = begin(f, &key);
    uint32_t end = in->fragment_offset + in->ip_payload_length;
    if (!d || !grow(f, d, end)) {
        f->counters.refused++;
        return NULL;
    }
    if (!fits(d, in)) {
        d->overlap = true;
        f->counters.overlaps++;
        return NULL;
    }
    if (place(d, in->fragment_offset, in->ip_payload, in->ip_payload_length)) {
        d->overlap = true;
        f->counters.overlaps++;
    }
    if (in->fragment_offset == 0 && !d->has_first) {
        d->has_first = true;
        d->first = *in;
    }
    if (end > d->reach) d->reach = end;
    if (!in->more_fragments) d->length = end;
    d->wire_length += packet->original;
    if (d->length == UNKNOWN || !d->has_first || d->units < (d->length + UNIT - 1) / UNIT) return NULL;
    return d;
}

bool fragments_offer(struct fragments *f, const struct packet *packet, const struct decoded *in,
                     struct decoded *out) {
    if (!in->fragment) return false;
    if (f->given && !lies_in(in, f->given)) forget_given(f);
    struct datagram *whole = take_in(f, packet, in);
    if (whole) give(f, whole, in, out);
    return whole != NULL;
}

const struct fragments_counters *fragments_counters(const struct fragments *f) {
    return &f->counters;
}

void fragments_free(struct fragments *f) {
    if (!f) return;
    while (f->oldest) drop(f, f->oldest);
    forget_given(f);
    free(f);
}
