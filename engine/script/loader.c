/* See loader.h. */
#include "script/loader.h"

#include "script/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int script_loader_open(struct script_loader *loader, const struct script_paths *paths, struct error *err) {
    size_t count = paths->count ? paths->count : 1;
    loader->paths = paths;
    loader->entries = calloc(count, sizeof(struct script_entry *));
    loader->names = calloc(count, sizeof *loader->names);
    loader->begun = calloc(count, sizeof(bool));
    loader->fresh = calloc(count, sizeof(bool));
    if (!loader->entries || !loader->names || !loader->begun || !loader->fresh)
        return error_set(err, "out of memory");
    for (uint32_t i = 0; i < paths->count; i++)
        detector_name_of(paths->list[i], loader->names[i], sizeof loader->names[i]);
    return 0;
}

void script_loader_close(struct script_loader *loader) {
    free(loader->entries);
    free(loader->names);
    free(loader->begun);
    free(loader->fresh);
    loader->entries = NULL;
    loader->names = NULL;
    loader->begun = loader->fresh = NULL;
}

int script_loader_at(struct script_loader *loader, uint32_t index, struct error *err) {
    if (!loader->failed && !loader->begun[index]) {
        loader->begun[index] = true;
        struct error why = {.text = ""};
        if (loader->load(loader->context, loader, index, &why) < 0 && !loader->failed) {
            loader->failed = true; /* the first reason counts: it may be why others failed */
            loader->why = why;
        }
    }
    if (!loader->failed) return 0;
    if (err) *err = loader->why;
    return -1;
}

int script_loader_all(struct script_loader *loader, uint32_t *count, struct error *err) {
    int outcome = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < loader->paths->named && outcome == 0; i++)
        outcome = script_loader_at(loader, i, err);
    for (uint32_t i = 0; i < loader->paths->count; i++) {
        if (!loader->begun[i]) continue;
        loader->entries[kept] = loader->entries[i];
        loader->fresh[kept++] = loader->fresh[i];
    }
    *count = kept;
    return outcome;
}

int script_loader_find(const struct script_loader *loader, const char *name) {
    for (uint32_t i = 0; i < loader->paths->count; i++)
        if (strcmp(name, loader->names[i]) == 0) return (int)i;
    return -1;
}

struct script_entry *script_loader_entry(struct script_loader *loader, uint32_t index,
                                         struct script_host *host, const struct script_options *options,
                                         struct error *err) {
    struct script_entry *entry = script_entry_new(options, loader->paths->list[index], err);
    if (!entry) return NULL;
    uint32_t depth = loader->depth++;
    loader->trail[depth] = index;
    loader->trail_entries[depth] = entry;
    struct script_loader *before = host->loader;
    host->loader = loader;
    script_entry_fill(entry, host, options, index, err);
    host->loader = before;
    loader->depth = depth;
    loader->fresh[index] = true;
    return entry;
}

/* ------------------------------------------------------------ finding events */

/* "redis.command" in two; the script's part into `script`. */
static const char *split_name(const char *name, char *script, size_t size) {
    const char *dot = strrchr(name, '.');
    if (!dot || (size_t)(dot - name) >= size) return NULL;
    memcpy(script, name, (size_t)(dot - name));
    script[dot - name] = '\0';
    return dot + 1;
}

/* "a hears b hears a" */
static int circle(const struct script_loader *loader, uint32_t index, const char *name, struct error *err) {
    if (loader->depth == 0) return error_set(err, "'%s' is of a script that waits for this one", name);
    char text[512] = "";
    uint32_t from = 0;
    size_t used = 0;
    while (from + 1 < loader->depth && loader->trail[from] != index) from++;
    for (uint32_t i = from; i < loader->depth; i++) {
        int n = snprintf(text + used, sizeof text - used, "%s hears ", loader->names[loader->trail[i]]);
        used += n > 0 && (size_t)n < sizeof text - used ? (size_t)n : 0;
    }
    snprintf(text + used, sizeof text - used, "%s", loader->names[index]);
    return error_set(err, "'%s' closes a circle, so none of them could be first: %s", name, text);
}

static void note_need(struct script_entry *entry, const char *script) {
    for (uint32_t i = 0; i < entry->need_count; i++)
        if (strcmp(entry->needs[i], script) == 0) return;
    char **grown = realloc(entry->needs, (entry->need_count + 1) * sizeof *grown);
    if (!grown) return;
    entry->needs = grown;
    entry->needs[entry->need_count] = strdup(script);
    if (entry->needs[entry->need_count]) entry->need_count++;
}

static struct custom_kind *kind_in(const struct detector *detector, const char *event, const char *name,
                                   const char **near, uint32_t *near_count, struct error *err) {
    const struct emitter *emitter = detector->emitter;
    struct custom_kind *kind = emitter_find(emitter, event);
    if (kind) return kind;
    for (uint32_t i = 0; emitter && i < emitter->kind_count; i++)
        near[(*near_count)++] = emitter->kinds[i]->declared.schema.name;
    error_set(err, "there is no event '%s': %s declares %s", name, detector->path,
              *near_count ? "others" : "none (lunette.event)");
    return NULL;
}

static const struct detector *loaded_before(const struct script_host *host, const char *script) {
    for (uint32_t i = 0; i < host->count; i++)
        if (strcmp(detector_name(host->detectors[i]), script) == 0) return host->detectors[i];
    return NULL;
}

struct custom_kind *script_loader_event(void *context, const char *name, const char **near,
                                        uint32_t *near_count, struct error *err) {
    struct script_host *host = context;
    struct script_loader *loader = host->loader;
    char script[DETECTOR_NAME];
    const char *event = split_name(name, script, sizeof script);
    const struct detector *detector = NULL;
    if (!event) {
        error_set(err, "'%s' is no name of an event", name);
        return NULL;
    }
    if (!loader) { /* a detector that was there before begins anew: all others are there */
        detector = loaded_before(host, script);
    } else {
        if (loader->depth > 0) note_need(loader->trail_entries[loader->depth - 1], script);
        int index = script_loader_find(loader, script);
        if (index < 0) {
            for (uint32_t i = 0; i < loader->paths->count && *near_count < CUSTOM_KINDS; i++)
                near[(*near_count)++] = loader->names[i];
            error_set(err,
                      "there is no event '%s': no script %s.lua was named, and none lies beside those that "
                      "were, or comes along",
                      name, script);
            return NULL;
        }
        if (loader->depth > 0 && loader->trail[loader->depth - 1] == (uint32_t)index) {
            error_set(err, "'%s' is the script's own event: call a function where you emit it", name);
            return NULL;
        }
        if (loader->begun[index] && !loader->entries[index]) {
            circle(loader, (uint32_t)index, name, err);
            return NULL;
        }
        if (loader->depth == LOADER_DEPTH) {
            error_set(err, "'%s' is the end of a chain of more than %d scripts", name, LOADER_DEPTH);
            return NULL;
        }
        if (script_loader_at(loader, (uint32_t)index, err) < 0) return NULL;
        detector = loader->entries[index]->detector;
    }
    if (detector) return kind_in(detector, event, name, near, near_count, err);
    error_set(err, "there is no event '%s': the script %s.lua could not be loaded", name, script);
    return NULL;
}
