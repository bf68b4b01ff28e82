/* What a collector of profiles holds: filled by profile_collect.c, read by profile_learn.c. */
#ifndef LUNETTE_OUTPUT_PROFILE_INNER_H
#define LUNETTE_OUTPUT_PROFILE_INNER_H

#include "output/profile_collect.h"

/* Numbers of entries by a hash of theirs: open addressing, at most half full. */
struct index_slot {
    uint32_t hash, number; /* of the entry, plus one; 0 is free */
};
struct index {
    struct index_slot *slots;
    uint32_t mask, used;
};

struct collect_key {
    enum profile_kind kind;
    char *text;
    nanoseconds first_seen;
};

struct collect_host {
    char *name;
    bool begun;
    int64_t first, anchor, latest; /* seconds: of the first hour, of this presence's first hour, last seen */
};

/* What a host had of a key in one of its hours. */
struct collect_cell {
    uint32_t key, host, hour; /* the hour: second at which it begins */
    uint32_t flows;
    uint64_t up, down;
};

struct collect_rhythm {
    uint32_t key, host, count, room;
    nanoseconds *starts; /* owned */
};

struct profile_collector {
    struct profile_collect_options options;
    char sources[PROFILE_SOURCES_MAX + 8];
    uint32_t apart;
    struct index key_index, host_index, cell_index, rhythm_index;
    struct collect_key *keys;
    struct collect_host *hosts;
    struct collect_cell *cells;
    struct collect_rhythm *rhythms;
    uint32_t key_count, host_count, cell_count, rhythm_count;
    uint32_t key_room, host_room, cell_room, rhythm_room;
    nanoseconds first, last;
    uint64_t left_out;
    bool failed;
    bool settled; /* nothing is counted any more: indexes of cells and rhythms no longer hold */
};

/* Takes out what belongs to no hour of presence, and hosts without one. */
void collector_settle(struct profile_collector *collector);

#endif
