/* That flow ids count up in the order in which flows begin tells what is missing without a table: when a
 * packet of flow 17 has left the ring, so has the first packet of every flow up to 17, and of none above. */
#include "sensor/recall_ring.h"

#include "base/pages.h"

#include <stdalign.h>
#include <string.h>

enum { DIRECTION_BITS = 3, HAS_ORIGIN = 0x80 }; /* in an entry's `direction` */
enum { UNIT = 8, BYTES_PER_BUCKET = 512, BUCKETS_LEAST = 64, BUCKETS_MOST = 1 << 20 };

static uint64_t rounded(uint64_t bytes) {
    return (bytes + UNIT - 1) & ~(uint64_t)(UNIT - 1);
}

static struct ring_entry *entry_at(const struct recall_ring *ring, uint64_t offset) {
    return (struct ring_entry *)(void *)(ring->bytes + offset);
}

/* Offset of what lies at a place counted from the beginning, which must be in use. */
static uint64_t offset_of(const struct recall_ring *ring, uint64_t place) {
    uint64_t back = ring->head - place;
    return back <= ring->head_at ? ring->head_at - back : ring->head_at + ring->capacity - back;
}

static uint64_t reservation(const struct recall_ring *ring) {
    return ring->capacity + ((uint64_t)ring->bucket_mask + 1) * sizeof *ring->buckets;
}

int ring_open(struct recall_ring *ring, uint64_t bytes) {
    if (bytes < RING_SMALLEST) bytes = RING_SMALLEST;
    if (bytes > RING_LARGEST) bytes = RING_LARGEST;
    uint32_t buckets = BUCKETS_LEAST;
    while (buckets < BUCKETS_MOST && buckets < bytes / BYTES_PER_BUCKET) buckets *= 2;
    *ring = (struct recall_ring){.capacity = rounded(bytes), .bucket_mask = buckets - 1};
    ring->bytes = pages_reserve(reservation(ring), true);
    if (!ring->bytes) return -1;
    ring->buckets = (uint64_t *)(void *)(ring->bytes + ring->capacity);
    /* A bucket holds the place of its newest entry: places begin at 1 unit, so that 0 is none. */
    ring->head = ring->tail = UNIT;
    return 0;
}

void ring_close(struct recall_ring *ring) {
    pages_release(ring->bytes, reservation(ring));
    ring->bytes = NULL;
}

/* ── taking packets in ───────────────────────────────────────────── */

static void drop_oldest(struct recall_ring *ring) {
    const struct ring_entry *oldest = entry_at(ring, ring->tail_at);
    if (oldest->captured != RING_PADDING) {
        ring->gone = true;
        if (oldest->flow_id > ring->newest_gone) ring->newest_gone = oldest->flow_id;
    }
    ring->tail += oldest->size;
    ring->tail_at += oldest->size;
    if (ring->tail_at == ring->capacity) ring->tail_at = 0;
}

static struct ring_entry *take_place(struct recall_ring *ring, uint64_t size) {
    while (ring->capacity - (ring->head - ring->tail) < size) drop_oldest(ring);
    struct ring_entry *entry = entry_at(ring, ring->head_at);
    entry->size = (uint32_t)size;
    ring->head += size;
    ring->head_at += size;
    if (ring->head_at == ring->capacity) ring->head_at = 0;
    return entry;
}

static uint64_t *bucket_of(const struct recall_ring *ring, uint64_t flow_id) {
    return &ring->buckets[flow_id & ring->bucket_mask]; /* they count up: no hash spreads them better */
}

static uint32_t chain(struct recall_ring *ring, uint64_t place, uint64_t flow_id) {
    if (flow_id == 0) return 0;
    uint64_t *bucket = bucket_of(ring, flow_id), previous = *bucket;
    *bucket = place;
    return previous >= ring->tail ? (uint32_t)((place - previous) / UNIT) : 0;
}

/* Without the name of a function that dropped the packet: it lives no longer than the burst. */
static void origin_put(struct ring_entry *entry, const struct packet_origin *origin) {
    struct packet_origin kept = *origin;
    kept.drop_function = "";
    memcpy(entry->bytes, &kept, sizeof kept);
}

void ring_add(struct recall_ring *ring, const struct packet *packet, const struct ip *src,
              const struct ip *dst, uint64_t flow_id) {
    uint32_t origin = packet->origin ? sizeof *packet->origin : 0;
    uint64_t size = rounded(sizeof(struct ring_entry) + origin + (uint64_t)packet->captured);
    if (size > ring->capacity / 2) {
        ring->too_large++;
        return;
    }
    uint64_t to_end = ring->capacity - ring->head_at;
    if (size > to_end) take_place(ring, to_end)->captured = RING_PADDING;
    uint64_t place = ring->head;
    struct ring_entry *entry = take_place(ring, size);
    entry->captured = packet->captured;
    entry->original = packet->original;
    entry->back = chain(ring, place, flow_id);
    entry->time = packet->time;
    entry->flow_id = flow_id;
    entry->src = *src;
    entry->dst = *dst;
    entry->link_type = packet->link_type;
    entry->interface = packet->interface;
    entry->direction = (uint8_t)(packet->direction | (origin ? HAS_ORIGIN : 0));
    if (origin) origin_put(entry, packet->origin);
    memcpy(entry->bytes + origin, packet->bytes, packet->captured);
}

/* ── looking back ────────────────────────────────────────────────── */

static uint32_t link_to(const struct recall_ring *ring, const struct ring_entry *entry) {
    return (uint32_t)((uint64_t)((const uint8_t *)entry - ring->bytes) / UNIT + 1);
}

static struct ring_entry *linked(const struct recall_ring *ring, uint32_t link) {
    return link ? entry_at(ring, (uint64_t)(link - 1) * UNIT) : NULL;
}

/* Links the host's packets, each to the one before, and returns the newest. */
static struct ring_entry *link_host(struct recall_ring *ring, const struct ip *who) {
    struct ring_entry *newest = NULL;
    uint64_t at = ring->tail_at;
    for (uint64_t place = ring->tail; place < ring->head;) {
        struct ring_entry *entry = entry_at(ring, at);
        if (entry->captured != RING_PADDING && (ip_equals(&entry->src, who) || ip_equals(&entry->dst, who))) {
            entry->link = newest ? link_to(ring, newest) : 0;
            newest = entry;
        }
        place += entry->size;
        at += entry->size;
        if (at == ring->capacity) at = 0;
    }
    return newest;
}

struct search {
    struct recall_ring *ring;
    const struct ring_wish *wish;
    struct ring_found found;
    nanoseconds from, to;
    bool anchored; /* the last packet at the time of the alert was met */
    bool full;
    uint64_t bytes;
};

/* Is asked from the newest to the oldest. */
static void consider(struct search *search, struct ring_entry *entry) {
    const struct ring_wish *wish = search->wish;
    if (entry->time > search->to) return;
    if (!search->anchored && entry->time <= wish->time) {
        search->anchored = true;
        if (entry->time < search->from) search->from = entry->time - wish->before;
    }
    if (entry->time < search->from) {
        search->found.too_old++;
        return;
    }
    search->bytes += (uint64_t)entry->captured + wish->overhead;
    if (search->bytes > wish->bytes) search->full = true;
    if (search->full) {
        search->found.no_room++;
        return;
    }
    entry->link = search->found.first ? link_to(search->ring, search->found.first) : 0;
    search->found.first = entry;
    search->found.count++;
}

static void search_flow(struct search *search) {
    const struct recall_ring *ring = search->ring;
    uint64_t place = *bucket_of(ring, search->wish->flow_id);
    while (place >= ring->tail && place > 0) {
        struct ring_entry *entry = entry_at(ring, offset_of(ring, place));
        if (entry->flow_id == search->wish->flow_id) consider(search, entry);
        if (entry->back == 0) break;
        place -= (uint64_t)entry->back * UNIT;
    }
    search->found.begin_gone = search->wish->flow_id <= ring->newest_gone;
}

static void search_host(struct search *search) {
    struct ring_entry *entry = link_host(search->ring, &search->wish->who);
    while (entry) {
        struct ring_entry *older = linked(search->ring, entry->link);
        consider(search, entry);
        entry = older;
    }
    search->found.begin_gone = search->ring->gone && search->found.oldest > search->from;
}

static nanoseconds oldest_time(const struct recall_ring *ring) {
    if (ring->head == ring->tail) return 0;
    const struct ring_entry *oldest = entry_at(ring, ring->tail_at);
    return oldest->captured == RING_PADDING ? entry_at(ring, 0)->time : oldest->time;
}

struct ring_found ring_find(struct recall_ring *ring, const struct ring_wish *wish) {
    struct search search = {.ring = ring, .wish = wish, .found.oldest = oldest_time(ring)};
    search.from = wish->time - wish->before;
    if (__builtin_add_overflow(wish->time, wish->after, &search.to)) search.to = INT64_MAX;
    if (wish->flow_id)
        search_flow(&search);
    else
        search_host(&search);
    return search.found;
}

const struct ring_entry *ring_next(const struct recall_ring *ring, const struct ring_entry *entry) {
    return linked(ring, entry->link);
}

struct packet ring_packet(const struct ring_entry *entry) {
    const struct packet_origin *origin =
        entry->direction & HAS_ORIGIN ? (const struct packet_origin *)(const void *)entry->bytes : NULL;
    return (struct packet){.bytes = entry->bytes + (origin ? sizeof *origin : 0),
                           .captured = entry->captured,
                           .original = entry->original,
                           .time = entry->time,
                           .link_type = entry->link_type,
                           .interface = entry->interface,
                           .direction = entry->direction & DIRECTION_BITS,
                           .origin = origin};
}

_Static_assert(offsetof(struct ring_entry, bytes) % alignof(struct packet_origin) == 0,
               "origins lie where bytes begin");
