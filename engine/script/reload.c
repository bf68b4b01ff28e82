/* See reload.h. The reload holds the list of entries as it is to be: those of scripts that stay are the
 * host's own, the others are new and wait. Commit puts the list in place of the host's, and takes what is
 * left over. */
#include "script/reload.h"

#include "base/log.h"
#include "script/entry.h"
#include "script/handover.h"
#include "script/loader.h"
#include "script/offer.h"
#include "script/relay.h"
#include "script/state.h"

#include <stdlib.h>
#include <string.h>

enum { SUMMARY_SIZE = 2048 };

struct script_reload {
    struct script_host *host;
    struct script_options options;
    struct script_entry **entries;
    uint32_t count;
    bool *is_new;               /* of entries */
    struct script_entry **over; /* after commit: what is to be freed */
    uint32_t over_count;
    bool force, empty;
    struct reload_figures figures;
    char summary[SUMMARY_SIZE];
    size_t summary_length;
};

/* ------------------------------------------------------------------ summary */

__attribute__((format(printf, 2, 3))) static void tell(struct script_reload *reload, const char *format,
                                                       ...) {
    va_list arguments;
    if (reload->summary_length + 1 >= SUMMARY_SIZE) return;
    if (reload->summary_length > 0)
        reload->summary_length += (size_t)snprintf(reload->summary + reload->summary_length,
                                                   SUMMARY_SIZE - reload->summary_length, "; ");
    if (reload->summary_length + 1 >= SUMMARY_SIZE) return;
    va_start(arguments, format);
    int length = vsnprintf(reload->summary + reload->summary_length, SUMMARY_SIZE - reload->summary_length,
                           format, arguments);
    va_end(arguments);
    reload->summary_length += length > 0 ? (size_t)length : 0;
    if (reload->summary_length >= SUMMARY_SIZE) reload->summary_length = SUMMARY_SIZE - 1;
}

/* "beacon.lua", or "data/names.tsv". */
static const char *short_path(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return path;
    for (const char *at = slash; at > path;)
        if (*--at == '/') {
            bool beside = strncmp(at, "/data/", 6) == 0 || strncmp(at, "/lib/", 5) == 0;
            return beside ? at + 1 : slash + 1;
        }
    bool beside = strncmp(path, "data/", 5) == 0 || strncmp(path, "lib/", 4) == 0;
    return beside ? path : slash + 1;
}

/* ------------------------------------------------------------------ prepare */

static struct script_entry *entry_of_path(const struct script_host *host, const char *path) {
    for (uint32_t i = 0; i < host->entry_count; i++)
        if (strcmp(host->entries[i]->path, path) == 0) return host->entries[i];
    return NULL;
}

/* The detector that a new one takes the place of: of the same name, wherever its script lies. */
static struct detector *predecessor_of(const struct script_host *host, const struct detector *detector) {
    for (uint32_t i = 0; i < host->count; i++)
        if (strcmp(detector_name(host->detectors[i]), detector_name(detector)) == 0)
            return host->detectors[i];
    return NULL;
}

/* Why the script is to be loaded anew, NULL if it is as it was. */
static const char *reason_for(const struct script_reload *reload, struct script_entry *old, char *text,
                              size_t size) {
    const char *changed = script_files_changed(old->files);
    if (changed) {
        snprintf(text, size, "%s changed", short_path(changed));
        return text;
    }
    if (script_settings_digest(&reload->options, old->path) != old->settings) return "its settings changed";
    /* One that did not come to its end would do the same again. */
    bool mended = old->detector && detector_is_off(old->detector) && !detector_is_quarantined(old->detector);
    if (mended) return "it was switched off";
    return reload->force ? "asked for" : NULL;
}

/* What is read by a script that does not load is watched, too: its mending may lie there. */
static void keep_attempt(struct script_host *host, struct script_entry *entry) {
    script_files_free(host->attempt);
    host->attempt = entry->files;
    entry->files = NULL;
}

/* Is a script that it listens to loaded anew, or gone? Then its place among those that hear it is gone as
 * well. */
static const char *reason_above(struct script_loader *loader, const struct script_entry *old, char *text,
                                size_t size, struct error *err) {
    for (uint32_t i = 0; i < old->need_count; i++) {
        int index = script_loader_find(loader, old->needs[i]);
        if (index < 0 && !old->detector) continue; /* it was left out for that, and nothing has changed */
        bool under_way = index >= 0 && loader->begun[index] && !loader->entries[index];
        if (index >= 0 && !under_way && script_loader_at(loader, (uint32_t)index, err) < 0) return NULL;
        if (index >= 0 && !under_way && !loader->fresh[index]) continue;
        snprintf(text, size, "%s, which it hears, %s", old->needs[i],
                 index < 0 ? "is gone" : "was loaded anew");
        return text;
    }
    return NULL;
}

static int load_one(void *context, struct script_loader *loader, uint32_t index, struct error *err) {
    struct script_reload *reload = context;
    struct script_host *host = reload->host;
    struct script_entry *old = entry_of_path(host, loader->paths->list[index]);
    char text[512];
    const char *reason = old ? reason_for(reload, old, text, sizeof text) : "added";
    if (!reason) reason = reason_above(loader, old, text, sizeof text, err);
    if (loader->failed) return -1;
    if (!reason) {
        loader->entries[index] = old;
        reload->figures.unchanged += old->detector != NULL;
        return 0;
    }
    struct script_entry *entry = script_loader_entry(loader, index, host, &reload->options, err);
    if (!entry) return -1;
    if (!entry->detector) {
        /* One that was left out, and is as it was, keeps nobody from anything. */
        bool known = old && !old->detector && !script_files_changed(old->files) && !err->usage;
        if (known)
            loader->entries[index] = old;
        else
            keep_attempt(host, entry);
        loader->fresh[index] = false;
        script_entry_free(entry);
        return known ? 0 : -1;
    }
    loader->entries[index] = entry;
    const char *name = detector_name(entry->detector);
    if (predecessor_of(host, entry->detector)) {
        reload->figures.loaded++;
        tell(reload, "%s loaded anew (%s)", name, old ? reason : "its script has moved");
    } else {
        reload->figures.added++;
        tell(reload, "%s added", name);
    }
    return 0;
}

/* Detectors that will be no more. */
static void count_removed(struct script_reload *reload) {
    const struct script_host *host = reload->host;
    for (uint32_t i = 0; i < host->count; i++) {
        const char *name = detector_name(host->detectors[i]);
        bool stays = false;
        for (uint32_t k = 0; k < reload->count && !stays; k++)
            stays = reload->entries[k]->detector &&
                    strcmp(detector_name(reload->entries[k]->detector), name) == 0;
        if (stays) continue;
        reload->figures.removed++;
        tell(reload, "%s removed", name);
    }
}

static int load_all(struct script_reload *reload, const struct script_paths *paths, struct error *err) {
    struct script_loader loader = {.context = reload, .load = load_one};
    int outcome = script_loader_open(&loader, paths, err);
    if (outcome == 0) outcome = script_loader_all(&loader, &reload->count, err);
    reload->entries = loader.entries; /* and whatever is in there */
    reload->is_new = loader.fresh;
    loader.entries = NULL;
    loader.fresh = NULL;
    script_loader_close(&loader);
    if (outcome < 0) return -1;
    const struct script_host *host = reload->host;
    bool is_part = host->stage == STAGE_GATHER; /* of what was checked already */
    if (!is_part && script_entries_check(reload->entries, reload->count, &reload->options, err) < 0)
        return -1;
    count_removed(reload);
    reload->empty = reload->count == host->entry_count;
    for (uint32_t i = 0; i < reload->count && reload->empty; i++)
        reload->empty = reload->entries[i] == host->entries[i];
    return 0;
}

static struct script_reload *prepare(struct script_host *host, const struct script_options *options,
                                     const struct script_paths *paths, bool force, struct error *err) {
    struct script_reload *reload = calloc(1, sizeof *reload);
    struct error why;
    if (!reload) {
        error_set(err, "out of memory");
        return NULL;
    }
    reload->host = host;
    reload->options = *options;
    reload->force = force;
    if (load_all(reload, paths, &why) == 0) {
        script_files_free(host->attempt);
        host->attempt = NULL;
        return reload;
    }
    if (err) *err = why;
    script_reload_free(reload);
    return NULL;
}

struct script_reload *script_reload_prepare(struct script_host *host, const struct script_options *options,
                                            bool force, struct error *err) {
    struct script_paths paths = {0};
    if (script_paths_find(&paths, options, err) < 0) return NULL;
    struct script_reload *reload = prepare(host, options, &paths, force, err);
    script_paths_free(&paths);
    return reload;
}

struct script_reload *script_reload_prepare_gathering(struct script_host *host,
                                                      const struct script_reload *workers, bool force,
                                                      struct error *err) {
    struct script_paths paths = {0}; /* the strings are the workers' */
    paths.list = calloc(workers->count ? workers->count : 1, sizeof *paths.list);
    if (!paths.list) {
        error_set(err, "out of memory");
        return NULL;
    }
    for (uint32_t i = 0; i < workers->count; i++) {
        const struct script_entry *entry = workers->entries[i];
        if (entry->detector && detector_gathers(entry->detector)) paths.list[paths.count++] = entry->path;
    }
    paths.named = paths.count;
    struct script_reload *reload = prepare(host, &workers->options, &paths, force, err);
    free(paths.list);
    return reload;
}

bool script_reload_is_empty(const struct script_reload *reload) {
    return reload->empty;
}

/* ------------------------------------------------------- stage, commit, abandon */

static int hand_over(struct script_reload *reload, struct detector *old, struct detector *new,
                     struct error *err) {
    struct handover_figures figures = {0};
    struct outgoing bytes = {0};
    int outcome = 0;
    detector_succeed(new, old);
    if (old->lua) {
        outcome = handover_write(old, true, &bytes, &figures, err);
        if (outcome == 0) {
            new->feed->now = old->feed->now;
            outcome = handover_read(new, bytes.bytes, bytes.used, true, &figures, err);
        }
    }
    free(bytes.bytes);
    reload->figures.entries_kept += figures.kept;
    reload->figures.entries_lost += figures.lost;
    reload->figures.timers_lost += figures.timers_lost;
    return outcome;
}

static int stage_one(struct script_reload *reload, struct detector *detector, struct error *err) {
    struct script_host *host = reload->host;
    struct detector *old = predecessor_of(host, detector);
    if (old && hand_over(reload, old, detector, err) < 0) return -1;
    if (host->started) detector_start(detector, host->batch->clock);
    struct detector_status status;
    detector_status(detector, &status);
    if (!status.off) return 0;
    return error_set(err, "%s", status.last_error);
}

int script_reload_stage(struct script_reload *reload, struct error *err) {
    nanoseconds before = time_monotonic();
    if (reload->host->started) script_host_tick(reload->host);
    int outcome = 0;
    for (uint32_t i = 0; i < reload->count && outcome == 0; i++)
        if (reload->is_new[i]) outcome = stage_one(reload, reload->entries[i]->detector, err);
    reload->figures.pause += time_monotonic() - before;
    return outcome;
}

static bool is_listed(struct script_entry *const *entries, uint32_t count, const struct script_entry *entry) {
    for (uint32_t i = 0; i < count; i++)
        if (entries[i] == entry) return true;
    return false;
}

void script_reload_commit(struct script_reload *reload) {
    struct script_host *host = reload->host;
    nanoseconds before = time_monotonic();
    uint32_t was_count = host->entry_count;
    struct script_entry **was = calloc(was_count ? was_count : 1, sizeof(struct script_entry *));
    if (was) {
        memcpy(was, host->entries, was_count * sizeof(struct script_entry *));
        if (host_adopt(host, reload->entries, reload->count) < 0) {
            free(was);
            was = NULL;
        }
    }
    if (!was) {
        log_line(LOG_ERROR, "no memory for the list of detectors: the reload is given up");
        return;
    }
    for (uint32_t i = 0; i < was_count; i++)
        if (!is_listed(reload->entries, reload->count, was[i])) was[reload->over_count++] = was[i];
    reload->over = was;
    reload->entries = NULL; /* the host's now */
    host->options = reload->options;
    reload->figures.pause += time_monotonic() - before;
}

void script_reload_abandon(struct script_reload *reload) {
    (void)reload; /* the new ones wait for script_reload_free() */
}

const struct reload_figures *script_reload_figures(const struct script_reload *reload) {
    return &reload->figures;
}

const char *script_reload_summary(const struct script_reload *reload) {
    return reload->summary_length > 0 ? reload->summary : "nothing has changed";
}

void script_reload_free(struct script_reload *reload) {
    if (!reload) return;
    for (uint32_t i = 0; reload->entries && reload->is_new && i < reload->count; i++)
        if (reload->is_new[i]) script_entry_free(reload->entries[i]);
    for (uint32_t i = 0; i < reload->over_count; i++) script_entry_free(reload->over[i]);
    free(reload->entries);
    free(reload->is_new);
    free(reload->over);
    free(reload);
}

/* --------------------------------------------------------------- for watching */

uint32_t script_host_files(const struct script_host *host, const char **paths, uint32_t max) {
    uint32_t count = 0;
    for (size_t i = 0; i < host->options.path_count && count < max; i++)
        paths[count++] = host->options.paths[i];
    for (uint32_t i = 0; i < host->entry_count; i++)
        count += script_files_list(host->entries[i]->files, paths + count, max - count);
    if (host->attempt) count += script_files_list(host->attempt, paths + count, max - count);
    return count;
}

/* --------------------------------------------------------------- state on disk */

struct state_blob script_host_save(struct script_host *host, uint32_t index) {
    struct state_blob blob = {0};
    struct handover_figures figures = {0};
    struct outgoing bytes = {0};
    struct detector *detector = host->detectors[index];
    if (detector->off) return blob;
    handover_open(&bytes);
    if (handover_write(detector, false, &bytes, &figures, NULL) == 0 && figures.written > 0) {
        handover_seal(&bytes);
        return (struct state_blob){.bytes = bytes.bytes, .size = bytes.used};
    }
    free(bytes.bytes);
    return blob;
}

/* Half of it may be in there now: a new one instead, which knows nothing. */
static int start_over(struct script_host *host, struct script_entry *entry, struct error *err) {
    struct detector_options options = host_detector_options(host, &host->options);
    uint32_t index = entry->detector->options.index;
    options.path = entry->path;
    options.index = index;
    options.files = entry->files;
    options.emitter = entry->detector->emitter; /* others listen to it */
    struct detector *fresh = detector_load(&options, err);
    if (!fresh) {
        entry->detector->off = true;
        return -1;
    }
    host->detectors[index] = fresh;
    struct offers *offers = offers_new(host->detectors, host->count);
    if (!offers) {
        host->detectors[index] = entry->detector;
        fresh->emitter = NULL; /* the other's still */
        detector_free(fresh);
        entry->detector->off = true;
        return error_set(err, "out of memory");
    }
    offers_free(host->offers);
    host->offers = offers;
    entry->detector->emitter = NULL;
    detector_free(entry->detector);
    entry->detector = fresh;
    host_streams_refresh(host);
    int arranged = relay_arrange(host);
    host->packets_plain = offers_packets_are_plain(offers);
    return arranged == 0 ? 0 : error_set(err, "out of memory");
}

int script_host_restore(struct script_host *host, const char *name, const void *bytes, size_t size,
                        struct error *err) {
    struct script_entry *entry = NULL;
    for (uint32_t i = 0; i < host->entry_count && !entry; i++)
        if (host->entries[i]->detector && strcmp(detector_name(host->entries[i]->detector), name) == 0)
            entry = host->entries[i];
    if (!entry) return error_set(err, "there is no detector %s to give its state back to", name);
    if (host->started) return error_set(err, "%s runs already", name);
    struct slice inside;
    if (handover_unseal(bytes, size, &inside, err) < 0) return -1;
    struct handover_figures figures = {0};
    if (handover_read(entry->detector, inside.at, inside.length, false, &figures, err) == 0) return 0;
    struct error worse;
    if (start_over(host, entry, &worse) < 0) log_line(LOG_ERROR, "%s", worse.text);
    return -1;
}
