/* See origin.h. Processes lie in pages that are never moved, found by an open table of 32-bit numbers that
 * doubles; their texts in chunks, one behind the other. */
#include "capture/origin.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { PAGE = 256, PAGES = PROCESSES_MOST / PAGE, TABLE_FIRST = 256, CHUNK = 16 * 1024 };

struct chunk {
    struct chunk *next;
    uint32_t used, room;
    char text[];
};

struct processes {
    struct packet_process *pages[PAGES];
    uint32_t count;
    uint32_t *table; /* 1 + number of a process, 0: free */
    uint32_t mask;
    struct chunk *chunks;
    size_t text;   /* bytes in all chunks */
    uint64_t seed; /* nobody outside can aim processes at one place of the table */
};

static struct packet_process *process_at(const struct processes *all, uint32_t number) {
    return &all->pages[number / PAGE][number % PAGE];
}

static uint64_t hash_of(const struct processes *all, int32_t pid, struct slice name, struct slice path,
                        const uint8_t *uuid) {
    uint64_t hash = XXH3_64bits_withSeed(name.at, name.length, all->seed ^ (uint32_t)pid);
    hash = XXH3_64bits_withSeed(path.at, path.length, hash);
    return uuid ? XXH3_64bits_withSeed(uuid, 16, hash) : hash;
}

static bool equals(const char *text, struct slice with) {
    return strncmp(text, (const char *)with.at, with.length) == 0 && text[with.length] == '\0';
}

static bool is_that(const struct packet_process *p, int32_t pid, struct slice name, struct slice path,
                    const uint8_t *uuid) {
    if (p->pid != pid || p->has_uuid != (uuid != NULL)) return false;
    if (uuid && memcmp(p->uuid, uuid, sizeof p->uuid) != 0) return false;
    return equals(p->name, name) && equals(p->path, path);
}

/* The place in the table where it is, or where it belongs. */
static uint32_t place_of(const struct processes *all, uint64_t hash, int32_t pid, struct slice name,
                         struct slice path, const uint8_t *uuid) {
    uint32_t at = (uint32_t)hash & all->mask;
    for (; all->table[at]; at = (at + 1) & all->mask)
        if (is_that(process_at(all, all->table[at] - 1), pid, name, path, uuid)) break;
    return at;
}

static struct slice text_slice(const char *text) {
    return (struct slice){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static bool table_grow(struct processes *all) {
    uint32_t size = all->table ? (all->mask + 1) * 2 : TABLE_FIRST;
    uint32_t *larger = calloc(size, sizeof *larger), *old = all->table;
    if (!larger) return false;
    all->table = larger;
    all->mask = size - 1;
    for (uint32_t i = 0; i < all->count; i++) {
        const struct packet_process *p = process_at(all, i);
        const uint8_t *uuid = p->has_uuid ? p->uuid : NULL;
        struct slice name = text_slice(p->name), path = text_slice(p->path);
        all->table[place_of(all, hash_of(all, p->pid, name, path, uuid), p->pid, name, path, uuid)] = i + 1;
    }
    free(old);
    return true;
}

static const char *text_keep(struct processes *all, struct slice text) {
    uint32_t size = text.length + 1;
    if (text.length == 0) return "";
    struct chunk *chunk = all->chunks;
    if (!chunk || chunk->room - chunk->used < size) {
        if (all->text + CHUNK > PROCESSES_TEXT || !(chunk = malloc(sizeof *chunk + CHUNK))) return NULL;
        *chunk = (struct chunk){.next = all->chunks, .room = CHUNK};
        all->chunks = chunk;
        all->text += CHUNK;
    }
    char *copy = chunk->text + chunk->used;
    memcpy(copy, text.at, text.length);
    copy[text.length] = '\0';
    chunk->used += size;
    return copy;
}

static const struct packet_process *process_add(struct processes *all, uint32_t place, int32_t pid,
                                                struct slice name, struct slice path, const uint8_t *uuid) {
    struct packet_process **page = &all->pages[all->count / PAGE];
    if (!*page && !(*page = calloc(PAGE, sizeof **page))) return NULL;
    const char *kept_name = text_keep(all, name), *kept_path = text_keep(all, path);
    if (!kept_name || !kept_path) return NULL;
    struct packet_process *made = process_at(all, all->count);
    *made =
        (struct packet_process){.pid = pid, .name = kept_name, .path = kept_path, .has_uuid = uuid != NULL};
    if (uuid) memcpy(made->uuid, uuid, sizeof made->uuid);
    all->table[place] = ++all->count;
    return made;
}

/* Old writers count the NUL into a text. */
static struct slice trimmed(struct slice text, uint32_t most) {
    static const uint8_t nothing[1];
    if (text.length == 0) return (struct slice){nothing, 0};
    if (text.length > most) text.length = most;
    const uint8_t *nul = memchr(text.at, 0, text.length);
    if (nul) text.length = (uint32_t)(nul - text.at);
    return text;
}

static struct processes *processes_new(void) {
    struct processes *all = calloc(1, sizeof *all);
    if (all && getrandom(&all->seed, sizeof all->seed, 0) < 0) all->seed = (uintptr_t)all;
    return all;
}

const struct packet_process *processes_keep(struct processes **all, int32_t pid, struct slice name,
                                            struct slice path, const uint8_t *uuid, uint64_t *refused) {
    static const uint8_t no_uuid[16];
    name = trimmed(name, PROCESS_NAME_MOST);
    path = trimmed(path, PROCESS_PATH_MOST);
    if (uuid && memcmp(uuid, no_uuid, sizeof no_uuid) == 0) uuid = NULL;
    if ((pid == 0 || pid == -1) && name.length == 0 && path.length == 0 && !uuid) return NULL;
    if (!*all) *all = processes_new();
    struct processes *p = *all;
    bool room = p && (p->count * 2 < p->mask || table_grow(p));
    if (room) {
        uint32_t place = place_of(p, hash_of(p, pid, name, path, uuid), pid, name, path, uuid);
        if (p->table[place]) return process_at(p, p->table[place] - 1);
        const struct packet_process *made =
            p->count < PROCESSES_MOST ? process_add(p, place, pid, name, path, uuid) : NULL;
        if (made) return made;
    }
    ++*refused;
    return NULL;
}

void processes_free(struct processes *all) {
    if (!all) return;
    for (int i = 0; i < PAGES && all->pages[i]; i++) free(all->pages[i]);
    while (all->chunks) {
        struct chunk *chunk = all->chunks;
        all->chunks = chunk->next;
        free(chunk);
    }
    free(all->table);
    free(all);
}

/* ── the ring ────────────────────────────────────────────────────── */

struct origin_slot {
    struct packet_origin origin; /* first, so that one leads to the other */
    char function[ORIGIN_FUNCTION_SIZE];
};

struct packet_origin *origins_take(struct origins *ring) {
    if (!ring->slots) ring->slots = calloc(ORIGINS, sizeof *ring->slots);
    if (!ring->slots) return NULL;
    struct packet_origin *origin = &ring->slots[ring->next++ % ORIGINS].origin;
    *origin = (struct packet_origin){.service_class = ORIGIN_NO_CLASS, .drop_function = ""};
    return origin;
}

void origins_give_back(struct origins *ring) {
    ring->next--;
}

void origins_name_function(struct packet_origin *origin, struct slice name) {
    struct origin_slot *slot = (struct origin_slot *)(void *)origin;
    name = trimmed(name, ORIGIN_FUNCTION_SIZE - 1);
    memcpy(slot->function, name.at, name.length);
    slot->function[name.length] = '\0';
    origin->drop_function = slot->function;
}

void origins_free(struct origins *ring) {
    free(ring->slots);
    *ring = (struct origins){0};
}

bool origin_says_something(const struct packet_origin *o) {
    return o->process || o->effective || o->service_class != ORIGIN_NO_CLASS || o->flow_id || o->flags ||
           o->drop_reason || o->drop_line || o->drop_function[0];
}
