/* Loading scripts that need each other's events, each after those that it listens to.
 *
 * Whoever has a list of scripts to load (host.c at the start, reload.c) walks it with script_loader_at().
 * While one is being loaded it may ask for "redis.command": then redis.lua comes first, in the middle of the
 * other's load. A script that is asked for while it waits for the asking one closes a circle, which is an
 * error. */
#ifndef LUNETTE_SCRIPT_LOADER_H
#define LUNETTE_SCRIPT_LOADER_H

#include "script/entry.h"

enum { LOADER_DEPTH = 64 };

struct script_loader {
    const struct script_paths *paths;
    struct script_entry **entries; /* by path; NULL: not there yet */
    char (*names)[64];             /* by path: the detectors' */
    bool *begun;                   /* by path */
    bool *fresh;                   /* by path: loaded now, not kept from before */
    uint32_t trail[LOADER_DEPTH];  /* those being loaded, each for the one before it */
    struct script_entry *trail_entries[LOADER_DEPTH];
    uint32_t depth;
    bool failed; /* for good, and why */
    struct error why;
    void *context;
    /* Puts an entry in its place. -1 and why: all is given up. */
    int (*load)(void *context, struct script_loader *loader, uint32_t index, struct error *err);
};

/* -1 without memory. `paths` is borrowed. */
int script_loader_open(struct script_loader *loader, const struct script_paths *paths, struct error *err);
/* Frees the lists, not what is in them. */
void script_loader_close(struct script_loader *loader);

/* Loads one if that was not done yet. */
int script_loader_at(struct script_loader *loader, uint32_t index, struct error *err);

/* Loads all that are named, and with them those beside that are asked for. What nobody asked for is then
 * taken out of the lists; `*count` is how many are left, in the order of their paths. */
int script_loader_all(struct script_loader *loader, uint32_t *count, struct error *err);

/* The script of that name, -1 if there is none. */
int script_loader_find(const struct script_loader *loader, const char *name);

/* Within `load`: script_entry_load(), with the loader knowing what it is for. */
struct script_entry *script_loader_entry(struct script_loader *loader, uint32_t index,
                                         struct script_host *host, const struct script_options *options,
                                         struct error *err);

/* What a detector's find_event is: the context is the host, whose loader is at work. */
struct custom_kind *script_loader_event(void *context, const char *name, const char **near,
                                        uint32_t *near_count, struct error *err);

#endif
