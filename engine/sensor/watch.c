/* See watch.h. For now the slow poll alone: a signature of what is to be seen, twice in a row the same. */
#include "sensor/watch.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { POLL_MILLISECONDS = 1000 };

struct watch {
    uv_timer_t poll;
    void (*on_change)(void *context);
    void *context;
    char **paths;
    uint32_t count;
    uint64_t told, last; /* signatures */
};

static uint64_t mix(uint64_t sum, uint64_t value) {
    return (sum ^ value) * 0x9e3779b97f4a7c15u + (sum >> 29);
}

static uint64_t sign_file(uint64_t sum, const char *path) {
    struct stat status;
    if (stat(path, &status) < 0) return mix(sum, 1);
    sum = mix(sum, (uint64_t)status.st_ino);
    sum = mix(sum, (uint64_t)status.st_size);
    sum = mix(sum, (uint64_t)status.st_mtim.tv_sec);
    return mix(sum, (uint64_t)status.st_mtim.tv_nsec);
}

static uint64_t sign(const struct watch *watch) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < watch->count; i++) sum = sign_file(sum, watch->paths[i]);
    return sum;
}

static void on_poll(uv_timer_t *timer) {
    struct watch *watch = timer->data;
    uint64_t now = sign(watch);
    bool settled = now == watch->last;
    watch->last = now;
    if (!settled || now == watch->told) return;
    watch->told = now;
    watch->on_change(watch->context);
}

struct watch *watch_new(uv_loop_t *loop, void (*on_change)(void *context), void *context, struct error *err) {
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch) {
        error_set(err, "out of memory");
        return NULL;
    }
    watch->on_change = on_change;
    watch->context = context;
    watch->poll.data = watch;
    uv_timer_init(loop, &watch->poll);
    uv_timer_start(&watch->poll, on_poll, POLL_MILLISECONDS, POLL_MILLISECONDS);
    return watch;
}

static void paths_free(struct watch *watch) {
    for (uint32_t i = 0; i < watch->count; i++) free(watch->paths[i]);
    free(watch->paths);
    watch->paths = NULL;
    watch->count = 0;
}

int watch_paths(struct watch *watch, const char *const *paths, uint32_t count, struct error *err) {
    paths_free(watch);
    watch->paths = calloc(count + 1, sizeof *watch->paths);
    if (!watch->paths) return error_set(err, "out of memory");
    while (watch->count < count) {
        char *copy = strdup(paths[watch->count]);
        if (!copy) return error_set(err, "out of memory");
        watch->paths[watch->count++] = copy;
    }
    watch->told = watch->last = sign(watch);
    return 0;
}

static void on_closed(uv_handle_t *handle) {
    struct watch *watch = handle->data;
    paths_free(watch);
    free(watch);
}

void watch_close(struct watch *watch) {
    uv_close((uv_handle_t *)&watch->poll, on_closed);
}
