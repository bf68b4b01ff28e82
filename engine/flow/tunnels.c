/* See tunnels.h. A hash table with chains over an array, and a list by age of the places that have no flows.
 */
#include "flow/tunnels.h"

#include <stdlib.h>

enum {
    VLANS = 4096,
    FIRST = VLANS + TUNNEL_KINDS, /* numbers below are those that tunnels of one kind share */
    CHAINS = 16384,               /* 2^14: the hash's top 14 bits */
};
_Static_assert(FIRST + TUNNELS_TOLD_APART <= UINT16_MAX, "a number has 16 bits");

static struct tunnel_number *at(const struct tunnels *t, uint16_t place) {
    return &t->numbers[place - 1];
}

/* Multiplied by a secret, so that nobody can aim for one chain. */
static uint16_t *chain_of(const struct tunnels *t, uint64_t identity, uint16_t vlan) {
    return &t->chains[((identity ^ vlan) * (t->seed | 1)) >> 50];
}

static void idle_put(struct tunnels *t, uint16_t place) {
    struct tunnel_number *n = at(t, place);
    n->older = t->newest;
    n->newer = 0;
    if (t->newest)
        at(t, t->newest)->newer = place;
    else
        t->oldest = place;
    t->newest = place;
}

static void idle_take(struct tunnels *t, uint16_t place) {
    struct tunnel_number *n = at(t, place);
    if (n->older)
        at(t, n->older)->newer = n->newer;
    else
        t->oldest = n->newer;
    if (n->newer)
        at(t, n->newer)->older = n->older;
    else
        t->newest = n->older;
}

static bool prepare(struct tunnels *t) {
    if (t->numbers) return true;
    t->numbers = calloc(TUNNELS_TOLD_APART, sizeof *t->numbers);
    t->chains = calloc(CHAINS, sizeof *t->chains);
    if (t->numbers && t->chains) return true;
    free(t->numbers);
    free(t->chains);
    t->numbers = NULL;
    t->chains = NULL;
    return false;
}

/* A place that is in no chain, or 0. */
static uint16_t place_free(struct tunnels *t) {
    if (t->used < TUNNELS_TOLD_APART) return ++t->used;
    uint16_t place = t->oldest;
    if (place == 0 || at(t, place)->burst == t->burst) return 0;
    const struct tunnel_number *n = at(t, place);
    idle_take(t, place);
    uint16_t *link = chain_of(t, n->identity, n->vlan);
    while (*link != place) link = &at(t, *link)->chain;
    *link = n->chain;
    return place;
}

uint16_t tunnels_number(struct tunnels *t, const struct tunnel *tunnel, uint16_t vlan) {
    if (prepare(t)) {
        uint16_t *chain = chain_of(t, tunnel->identity, vlan);
        for (uint16_t place = *chain; place; place = at(t, place)->chain) {
            struct tunnel_number *n = at(t, place);
            if (n->identity != tunnel->identity || n->vlan != vlan) continue;
            n->burst = t->burst;
            if (n->flows == 0) { /* or the oldest might be in use while others are not */
                idle_take(t, place);
                idle_put(t, place);
            }
            return (uint16_t)(FIRST + place - 1);
        }
        uint16_t place = place_free(t);
        if (place) {
            chain = chain_of(t, tunnel->identity, vlan);
            *at(t, place) = (struct tunnel_number){
                .identity = tunnel->identity, .burst = t->burst, .vlan = vlan, .chain = *chain};
            *chain = place;
            idle_put(t, place);
            return (uint16_t)(FIRST + place - 1);
        }
    }
    t->refused++;
    return (uint16_t)(VLANS + tunnel->kind);
}

void tunnels_enter(struct tunnels *t, uint16_t number) {
    if (number < FIRST) return;
    uint16_t place = (uint16_t)(number - FIRST + 1);
    if (at(t, place)->flows++ == 0) idle_take(t, place);
}

void tunnels_leave(struct tunnels *t, uint16_t number) {
    if (number < FIRST) return;
    uint16_t place = (uint16_t)(number - FIRST + 1);
    if (--at(t, place)->flows == 0) idle_put(t, place);
}

uint16_t tunnels_vlan(const struct tunnels *t, uint16_t number) {
    if (number < VLANS) return number;
    return number < FIRST ? 0 : at(t, (uint16_t)(number - FIRST + 1))->vlan;
}

size_t tunnels_memory(const struct tunnels *t) {
    return t->numbers ? TUNNELS_TOLD_APART * sizeof *t->numbers + CHAINS * sizeof *t->chains : 0;
}

void tunnels_release(struct tunnels *t) {
    free(t->numbers);
    free(t->chains);
}
