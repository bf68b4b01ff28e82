/* From the paths that the user named to loaded detectors. See entry.h. */
#include "script/entry.h"

#include "base/log.h"
#include "base/nearest.h"
#include "script/emitter.h"
#include "script/shipped.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* ------------------------------------------------------------------- paths */

static int paths_add(struct script_paths *paths, const char *path, struct error *err) {
    char **grown = realloc(paths->list, (paths->count + 1) * sizeof *grown);
    if (!grown) return error_set(err, "out of memory");
    paths->list = grown;
    paths->list[paths->count] = strdup(path);
    if (!paths->list[paths->count]) return error_set(err, "out of memory");
    paths->count++;
    return 0;
}

static bool ends_in(const char *name, const char *ending) {
    size_t length = strlen(name), tail = strlen(ending);
    return length > tail && strcmp(name + length - tail, ending) == 0;
}

/* The tests of a detector may lie beside it: NAME_test.lua. */
static int is_script(const struct dirent *entry) {
    const char *name = entry->d_name;
    return name[0] != '.' && ends_in(name, ".lua") && !ends_in(name, "_test.lua");
}

static int paths_add_folder(struct script_paths *paths, const char *folder, struct error *err) {
    struct dirent **entries;
    int n = scandir(folder, &entries, is_script, alphasort);
    if (n < 0) {
        error_set(err, "%s: %s", folder, strerror(errno));
        return error_is_usage(err);
    }
    int outcome = 0;
    if (n == 0) {
        error_set(err, "no scripts in %s", folder);
        outcome = error_is_usage(err);
    }
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (outcome == 0) outcome = paths_add(paths, path, err);
        free(entries[i]);
    }
    free(entries);
    return outcome;
}

static int paths_add_given(struct script_paths *paths, const char *path, struct error *err) {
    struct stat status;
    if (stat(path, &status) < 0) {
        error_set(err, "no script %s: %s", path, strerror(errno));
        return error_is_usage(err);
    }
    return S_ISDIR(status.st_mode) ? paths_add_folder(paths, path, err) : paths_add(paths, path, err);
}

/* A script beside one that was named, or shipped, unless it has the name of one that is there: names are the
 * detectors'.
 */
static int paths_add_beside(struct script_paths *paths, const char *folder, int length, const char *name,
                            struct error *err) {
    char path[PATH_MAX];
    for (uint32_t i = 0; i < paths->count; i++) {
        const char *slash = strrchr(paths->list[i], '/');
        if (strcmp(slash ? slash + 1 : paths->list[i], name) == 0) return 0;
    }
    int n = snprintf(path, sizeof path, "%.*s%s", length, folder, name);
    return n < (int)sizeof path ? paths_add(paths, path, err) : 0;
}

/* Folders that cannot be looked into have nothing beside. */
static int paths_add_neighbours(struct script_paths *paths, const char *path, struct error *err) {
    const char *slash = strrchr(path, '/');
    int length = slash ? (int)(slash + 1 - path) : 0, outcome = 0;
    char folder[PATH_MAX];
    struct dirent **entries;
    snprintf(folder, sizeof folder, "%.*s", length ? length : 1, length ? path : ".");
    int n = scandir(folder, &entries, is_script, alphasort);
    for (int i = 0; i < n; i++) {
        if (outcome == 0) outcome = paths_add_beside(paths, path, length, entries[i]->d_name, err);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
    return outcome;
}

/* Those that come along, for who asks for their events. */
static int paths_add_shipped(struct script_paths *paths, struct error *err) {
    char folder[PATH_MAX - 1], path[PATH_MAX];
    if (!script_shipped_folder(folder, sizeof folder)) return 0;
    snprintf(path, sizeof path, "%s/", folder);
    return paths_add_neighbours(paths, path, err);
}

static bool is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int script_paths_find(struct script_paths *paths, const struct script_options *options, struct error *err) {
    *paths = (struct script_paths){0};
    for (size_t i = 0; i < options->path_count; i++) {
        if (paths_add_given(paths, options->paths[i], err) == 0) continue;
        script_paths_free(paths);
        return -1;
    }
    paths->named = paths->count;
    for (size_t i = 0; i < options->path_count; i++) {
        if (is_folder(options->paths[i]) || paths_add_neighbours(paths, options->paths[i], err) == 0)
            continue;
        script_paths_free(paths);
        return -1;
    }
    if (paths->named > 0 && paths_add_shipped(paths, err) < 0) {
        script_paths_free(paths);
        return -1;
    }
    return 0;
}

void script_paths_free(struct script_paths *paths) {
    for (uint32_t i = 0; i < paths->count; i++) free(paths->list[i]);
    free(paths->list);
    *paths = (struct script_paths){0};
}

/* ----------------------------------------------------------------- entries */

static void warn_if_idle(const struct detector *detector) {
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS + CUSTOM_KINDS; kind++)
        if (detector_handles(detector, (enum event_kind)kind)) return;
    log_line(LOG_WARNING, "%s asks for no events (lunette.on), so it will see nothing",
             detector_path(detector));
}

struct script_entry *script_entry_new(const struct script_options *options, const char *path,
                                      struct error *why) {
    struct script_entry *entry = calloc(1, sizeof *entry);
    if (entry) {
        entry->path = strdup(path);
        entry->files = script_files_new();
    }
    if (!entry || !entry->path || !entry->files) {
        error_set(why, "out of memory");
        script_entry_free(entry);
        return NULL;
    }
    entry->settings = script_settings_digest(options, path);
    return entry;
}

void script_entry_fill(struct script_entry *entry, struct script_host *host,
                       const struct script_options *options, uint32_t index, struct error *why) {
    struct detector_options detector_options = host_detector_options(host, options);
    detector_options.path = entry->path;
    detector_options.index = index;
    detector_options.files = entry->files;
    entry->detector = detector_load(&detector_options, why);
    if (entry->detector && !options->quiet && host->stage == STAGE_WORKER) warn_if_idle(entry->detector);
    if (!entry->detector) entry->why = strdup(why->text);
    /* alerts.lua: the value or the key of a setting is wrong. */
    if (!entry->detector && strncmp(why->text, "--set ", 6) == 0) error_is_usage(why);
}

void script_entry_free(struct script_entry *entry) {
    if (!entry) return;
    detector_free(entry->detector);
    script_files_free(entry->files);
    for (uint32_t i = 0; i < entry->need_count; i++) free(entry->needs[i]);
    free(entry->needs);
    free(entry->path);
    free(entry->why);
    free(entry);
}

static bool is_name_of(const char *name, const char *path) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t length = strlen(name);
    return strncmp(base, name, length) == 0 && (base[length] == '\0' || strcmp(base + length, ".lua") == 0);
}

uint64_t script_settings_digest(const struct script_options *options, const char *path) {
    uint64_t digest = options->memory_limit;
    for (size_t i = 0; i < options->setting_count; i++) {
        const struct setting *setting = &options->settings[i];
        if (!is_name_of(setting->detector, path)) continue;
        digest = XXH3_64bits_withSeed(setting->key, strlen(setting->key) + 1, digest);
        digest = XXH3_64bits_withSeed(setting->value, strlen(setting->value) + 1, digest);
    }
    return digest;
}

/* --set, records and the summary know a detector by its name alone. */
static int check_names(struct script_entry *const *entries, uint32_t count, struct error *err) {
    for (uint32_t i = 0; i < count; i++) {
        const struct detector *detector = entries[i]->detector;
        for (uint32_t k = 0; detector && k < i; k++) {
            const struct detector *other = entries[k]->detector;
            if (!other || strcmp(detector_name(other), detector_name(detector)) != 0) continue;
            error_set(err, "two detectors are called %s: %s and %s", detector_name(detector),
                      detector_path(other), detector_path(detector));
            return error_is_usage(err);
        }
    }
    return 0;
}

static int no_detector(struct script_entry *const *entries, uint32_t count, const struct setting *setting,
                       struct error *err) {
    const char **names = calloc(count ? count : 1, sizeof *names);
    for (uint32_t i = 0; names && i < count; i++) names[i] = detector_name(entries[i]->detector);
    const char *near = names ? nearest_name(setting->detector, names, count) : NULL;
    error_set(err, "--set %s.%s: no detector of that name is loaded%s%s%s", setting->detector, setting->key,
              near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    free(names);
    return error_is_usage(err);
}

int script_entries_check(struct script_entry *const *entries, uint32_t count,
                         const struct script_options *options, struct error *err) {
    if (check_names(entries, count, err) < 0) return -1;
    for (size_t s = 0; s < options->setting_count; s++) {
        bool found = false;
        for (uint32_t i = 0; i < count && !found; i++) {
            /* A setting for a detector that is not there is a slip of the user's, unless a script failed to
             * load: then it may be its. */
            if (!entries[i]->detector)
                found = true;
            else
                found = strcmp(detector_name(entries[i]->detector), options->settings[s].detector) == 0;
        }
        if (found) continue;
        return no_detector(entries, count, &options->settings[s], err);
    }
    return 0;
}
