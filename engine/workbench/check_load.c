/* See check_load.h. A host of its own for each folder: the detectors of one know each other (custom events),
 * and two folders may have detectors of the same name. */
#include "workbench/check_load.h"

#include "script/host.h"
#include "script/inventory.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 16, MEMORY = 256 << 20 };

static void ignore_event(void *context, enum event_kind kind, const void *event, const struct batch *batch) {
    (void)context, (void)kind, (void)event, (void)batch;
}

static void ignore_alert(void *context, const struct alert *alert) {
    (void)context, (void)alert;
}

static void ignore_report(void *context, const struct report *report) {
    (void)context, (void)report;
}

static struct check_file *file_of(struct check_files *files, const char *path) {
    for (size_t i = 0; i < files->count; i++)
        if (files->list[i].is_detector && strcmp(files->list[i].path, path) == 0) return &files->list[i];
    return NULL;
}

static void ask(struct check_files *files, struct script_host *host) {
    for (uint32_t i = 0; i < script_host_count(host); i++) {
        struct check_file *file = file_of(files, script_host_path(host, i));
        struct detector_status status;
        if (!file || file->inventory) continue;
        script_host_status(host, i, &status);
        file->memory = status.memory;
        file->inventory = script_host_inventory(host, i);
    }
    for (uint32_t i = 0; i < script_host_failed(host); i++) {
        struct check_file *file = file_of(files, script_host_failed_path(host, i));
        const char *why = script_host_failed_why(host, i);
        if (file && !file->why) file->why = strdup(why ? why : "cannot be loaded");
    }
}

static int load(struct check_files *files, const char *const *paths, size_t count, struct error *err) {
    const struct script_options options = {
        .paths = paths, .path_count = count, .quiet = true, .inspect = true};
    const struct script_sink sink = {
        .on_event = ignore_event, .on_alert = ignore_alert, .on_report = ignore_report};
    struct error why = {.text = ""};
    struct batch *batch = batch_new(BATCH, err);
    if (!batch) return -1;
    struct script_host *host = script_host_new(&options, batch, &sink, &why);
    if (host) {
        ask(files, host);
        script_host_free(host);
    } else {
        for (size_t i = 0; i < count; i++) {
            struct check_file *file = file_of(files, paths[i]);
            if (file && !file->why) file->why = strdup(why.text);
        }
    }
    batch_free(batch);
    return 0;
}

/* How much of a path is its folder. */
static size_t folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

static bool same_folder(const char *a, const char *b) {
    size_t length = folder_length(a);
    return length == folder_length(b) && strncmp(a, b, length) == 0;
}

int check_load(struct check_files *files, struct error *err) {
    const char **paths = calloc(files->count ? files->count : 1, sizeof *paths);
    bool *done = calloc(files->count ? files->count : 1, sizeof *done);
    int outcome = paths && done ? 0 : error_set(err, "out of memory");
    for (size_t i = 0; i < files->count && outcome == 0; i++) {
        size_t count = 0;
        for (size_t k = i; k < files->count; k++) {
            if (done[k] || !files->list[k].is_detector || !files->list[i].is_detector) continue;
            if (!same_folder(files->list[i].path, files->list[k].path)) continue;
            bool named_twice = false;
            for (size_t p = 0; p < count; p++) named_twice |= strcmp(paths[p], files->list[k].path) == 0;
            if (!named_twice) paths[count++] = files->list[k].path;
            done[k] = true;
        }
        if (count > 0) outcome = load(files, paths, count, err);
    }
    free(paths);
    free(done);
    return outcome;
}

static void ignore_placed(void *context, const struct alert *alert, const struct alert_place *place) {
    (void)context, (void)alert, (void)place;
}

char *check_load_names(struct error *err) {
    struct batch *batch = batch_new(BATCH, err);
    if (!batch) return NULL;
    const struct detector_options options = {
        .path = "/dev/null", /* a script that says nothing */
        .memory_limit = MEMORY,
        .batch = batch,
        .quiet = true,
        .inspect = true,
        .on_alert = ignore_placed,
        .on_report = ignore_report,
    };
    struct detector *detector = detector_load(&options, err);
    char *names = detector ? detector_inventory(detector, INVENTORY_NAMES) : NULL;
    if (detector && !names) error_set(err, "the names that scripts may use cannot be had");
    detector_free(detector);
    batch_free(batch);
    return names;
}
