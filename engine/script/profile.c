/* See profile.h. Ticks become seconds by comparing both clocks at the beginning and when figures are asked
 * for. */
#include "script/profile.h"

#include "script/inventory.h"

#include "script/state.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH = 16, TRIALS = 20000 };

struct slot {
    char *what, *place;
    uint64_t calls, ticks, bytes;
};

/* A handler that runs; `inner` is what was counted for those inside it. */
struct running {
    uint32_t slot;
    uint64_t ticks, bytes;
    uint64_t inner_ticks, inner_bytes;
};

struct profile {
    struct slot *slots; /* slot 0 counts for nobody */
    uint32_t count;
    struct running stack[DEPTH];
    uint32_t depth; /* may be more than DEPTH: then nothing is counted up there */
    uint64_t began_ticks;
    nanoseconds began;
    double inner_ticks; /* of the readings: how much of them one measurement takes in */
    double pair_ticks;  /* what enter and leave take in all */
};

static inline uint64_t ticks_now(void) {
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return (uint64_t)time_monotonic();
#endif
}

static void enter(struct profile *profile, uint64_t bytes, uint32_t slot) {
    uint32_t depth = profile->depth++;
    if (depth >= DEPTH) return;
    struct running *running = &profile->stack[depth];
    *running = (struct running){.slot = slot < profile->count ? slot : 0, .bytes = bytes};
    running->ticks = ticks_now();
}

static void leave(struct profile *profile, uint64_t bytes) {
    uint64_t now = ticks_now();
    if (profile->depth == 0 || --profile->depth >= DEPTH) return;
    struct running *running = &profile->stack[profile->depth];
    struct slot *slot = &profile->slots[running->slot];
    uint64_t ticks = now - running->ticks;
    bytes -= running->bytes;
    slot->calls++;
    slot->ticks += ticks > running->inner_ticks ? ticks - running->inner_ticks : 0;
    slot->bytes += bytes > running->inner_bytes ? bytes - running->inner_bytes : 0;
    if (profile->depth == 0) return;
    running[-1].inner_ticks += ticks;
    running[-1].inner_bytes += bytes;
}

void profile_enter(struct lunette_detector *opaque, uint32_t slot) {
    struct detector *detector = (void *)opaque;
    if (detector->profile) enter(detector->profile, heap_taken(detector->heap), slot);
}

void profile_leave(struct lunette_detector *opaque) {
    struct detector *detector = (void *)opaque;
    if (detector->profile) leave(detector->profile, heap_taken(detector->heap));
}

static int compare_ticks(const void *left, const void *right) {
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* The median of many: single ones are held up by whatever else the machine does. */
static void measure_cost(struct profile *profile) {
    uint64_t *found = calloc(TRIALS, sizeof *found);
    if (!found) return;
    for (int i = 0; i < TRIALS; i++) {
        profile->slots[0].ticks = 0;
        enter(profile, 0, 0);
        leave(profile, 0);
        found[i] = profile->slots[0].ticks;
    }
    qsort(found, TRIALS, sizeof *found, compare_ticks);
    profile->inner_ticks = (double)found[TRIALS / 2];
    for (int i = 0; i < TRIALS; i++) {
        uint64_t from = ticks_now();
        enter(profile, 0, 0);
        leave(profile, 0);
        found[i] = ticks_now() - from;
    }
    qsort(found, TRIALS, sizeof *found, compare_ticks);
    profile->pair_ticks = (double)found[TRIALS / 2];
    profile->slots[0] = (struct slot){.what = NULL};
    free(found);
}

struct profile *profile_new(void) {
    struct profile *profile = calloc(1, sizeof *profile);
    if (!profile) return NULL;
    profile->slots = calloc(1, sizeof *profile->slots);
    profile->count = 1;
    if (!profile->slots) {
        free(profile);
        return NULL;
    }
    measure_cost(profile);
    profile->began = time_monotonic();
    profile->began_ticks = ticks_now();
    return profile;
}

void profile_free(struct profile *profile) {
    if (!profile) return;
    for (uint32_t i = 0; i < profile->count; i++) {
        free(profile->slots[i].what);
        free(profile->slots[i].place);
    }
    free(profile->slots);
    free(profile);
}

uint32_t profile_slot(struct profile *profile, const char *what, const char *place) {
    struct slot *grown = realloc(profile->slots, (profile->count + 1) * sizeof *grown);
    if (!grown) return 0;
    profile->slots = grown;
    struct slot *slot = &grown[profile->count];
    *slot = (struct slot){.what = strdup(what), .place = strdup(place)};
    if (slot->what && slot->place) return profile->count++;
    free(slot->what);
    free(slot->place);
    return 0;
}

void profile_reset(struct profile *profile) {
    if (profile) profile->depth = 0;
}

/* ------------------------------------------------------------ figures */

static double seconds_of_tick(const struct profile *profile) {
    uint64_t ticks = ticks_now() - profile->began_ticks;
    return ticks ? ns_to_seconds(time_monotonic() - profile->began) / (double)ticks : 0;
}

uint32_t detector_profile_count(const struct detector *detector) {
    return detector->profile ? detector->profile->count - 1 : 0;
}

void detector_profile(const struct detector *detector, uint32_t index, struct profile_handler *out) {
    const struct profile *profile = detector->profile;
    const struct slot *slot = &profile->slots[index + 1];
    double ticks = (double)slot->ticks - (double)slot->calls * profile->inner_ticks;
    *out = (struct profile_handler){
        .what = slot->what,
        .place = slot->place,
        .calls = slot->calls,
        .seconds = ticks > 0 ? ticks * seconds_of_tick(profile) : 0,
        .bytes = slot->bytes,
    };
}

double detector_profile_cost(const struct detector *detector) {
    const struct profile *profile = detector->profile;
    uint64_t calls = 0;
    for (uint32_t i = 1; profile && i < profile->count; i++) calls += profile->slots[i].calls;
    return profile ? (double)calls * profile->pair_ticks * seconds_of_tick(profile) : 0;
}

char *detector_profile_traces(struct detector *detector) {
    return detector->profile ? detector_written(detector, detector->call_traces, false) : NULL;
}
