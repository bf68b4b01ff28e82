/* What is to be seen of a path is put into one number: of a file its real path, inode, size and time; of a
 * folder the same of all that lies in it. A change is told once a path's number has been the same at two
 * looks, SETTLE apart, after the last notice.
 *
 * The system's notices come from the folders: of each path the one that it lies in and the one above, as they
 * are named and as they really are. A notice about a folder dies with the folder, so at each look those are
 * compared with what they were, and watched anew if they are others. */
#include "sensor/watch.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    SETTLE = 80,     /* milliseconds without a notice */
    PATIENCE = 2000, /* if notices do not end */
    POLL = 2000,
};

struct watched_path {
    char *path;
    uint64_t told, candidate;
};

struct watched_folder {
    uv_fs_event_t handle; /* first: the handle is the folder */
    struct watched_folder *next;
    char *path;
    dev_t device;
    ino_t inode;
    bool wanted; /* while folders are compared */
};

struct watch {
    uv_loop_t *loop;
    void (*on_change)(void *context);
    void *context;
    struct watched_path *paths;
    uint32_t count;
    struct watched_folder *folders;
    uv_timer_t settle, poll;
    uint64_t first_notice; /* of those that were not looked into yet; 0: none */
    uint32_t open_handles;
    bool closing;
};

/* ------------------------------------------------------------ what is to be seen */

static uint64_t status_digest(const struct stat *status, uint64_t seed) {
    const uint64_t words[] = {(uint64_t)status->st_dev,          (uint64_t)status->st_ino,
                              (uint64_t)status->st_size,         (uint64_t)status->st_mtim.tv_sec,
                              (uint64_t)status->st_mtim.tv_nsec, (uint64_t)status->st_mode};
    return XXH3_64bits_withSeed(words, sizeof words, seed);
}

static int is_shown(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* Sizes and times of folders change with hidden files, those of what lies in them count. */
static uint64_t folder_digest(const char *path, uint64_t seed) {
    struct dirent **entries;
    int n = scandir(path, &entries, is_shown, alphasort);
    for (int i = 0; i < n; i++) {
        char inner[PATH_MAX];
        struct stat status;
        snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
        seed = XXH3_64bits_withSeed(entries[i]->d_name, strlen(entries[i]->d_name), seed);
        if (stat(inner, &status) == 0 && !S_ISDIR(status.st_mode)) seed = status_digest(&status, seed);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
    return seed;
}

static uint64_t path_digest(const char *path) {
    struct stat status;
    char real[PATH_MAX];
    if (stat(path, &status) < 0 || !realpath(path, real)) return 1;
    uint64_t seed = XXH3_64bits(real, strlen(real));
    return S_ISDIR(status.st_mode) ? folder_digest(path, seed) : status_digest(&status, seed);
}

/* ---------------------------------------------------------------- folders */

static void on_settled(uv_timer_t *timer);

static void notice_soon(struct watch *watch) {
    uint64_t now = uv_now(watch->loop);
    if (watch->closing) return;
    if (watch->first_notice == 0) watch->first_notice = now ? now : 1;
    bool waiting = uv_is_active((uv_handle_t *)&watch->settle);
    if (waiting && now - watch->first_notice > PATIENCE) return;
    uv_timer_start(&watch->settle, on_settled, SETTLE, 0);
}

static void on_notice(uv_fs_event_t *handle, const char *name, int events, int status) {
    (void)name, (void)events, (void)status;
    notice_soon(handle->data);
}

static void handle_closed(struct watch *watch) {
    if (--watch->open_handles > 0 || !watch->closing) return;
    for (uint32_t i = 0; i < watch->count; i++) free(watch->paths[i].path);
    free(watch->paths);
    free(watch);
}

static void folder_closed(uv_handle_t *handle) {
    struct watched_folder *folder = (struct watched_folder *)handle;
    struct watch *watch = handle->data;
    free(folder->path);
    free(folder);
    handle_closed(watch);
}

static void folder_open(struct watch *watch, const char *path, const struct stat *status) {
    struct watched_folder *folder = calloc(1, sizeof *folder);
    if (!folder) return;
    folder->path = strdup(path);
    if (!folder->path || uv_fs_event_init(watch->loop, &folder->handle) < 0) {
        free(folder->path);
        free(folder);
        return;
    }
    watch->open_handles++;
    folder->handle.data = watch;
    folder->device = status->st_dev;
    folder->inode = status->st_ino;
    folder->wanted = true;
    /* If the system has no more notices to give, the poll does it alone. */
    uv_fs_event_start(&folder->handle, on_notice, path, 0);
    folder->next = watch->folders;
    watch->folders = folder;
}

/* The path names a folder: it is watched, newly if it is another folder than it was. */
static void folder_want(struct watch *watch, const char *path) {
    struct stat status;
    if (stat(path, &status) < 0 || !S_ISDIR(status.st_mode)) return;
    for (struct watched_folder *folder = watch->folders; folder; folder = folder->next) {
        if (strcmp(folder->path, path) != 0 || folder->device != status.st_dev ||
            folder->inode != status.st_ino)
            continue;
        folder->wanted = true;
        return;
    }
    folder_open(watch, path, &status);
}

/* The folder that `path` lies in, in place. */
static void parent_of(char *path) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') path[--length] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        strcpy(path, ".");
    else if (slash == path)
        path[1] = '\0';
    else
        *slash = '\0';
}

/* What the path lies in, and the folder above, named as the path is. */
static void folders_around(struct watch *watch, const char *path, bool is_folder) {
    char folder[PATH_MAX];
    if (strlen(path) >= sizeof folder) return;
    strcpy(folder, path);
    if (!is_folder) parent_of(folder);
    folder_want(watch, folder);
    parent_of(folder);
    folder_want(watch, folder);
}

static void folders_compare(struct watch *watch) {
    for (struct watched_folder *folder = watch->folders; folder; folder = folder->next)
        folder->wanted = false;
    for (uint32_t i = 0; i < watch->count; i++) {
        struct stat status;
        char real[PATH_MAX];
        const char *path = watch->paths[i].path;
        bool is_folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
        folders_around(watch, path, is_folder);
        if (realpath(path, real)) folders_around(watch, real, is_folder);
    }
    for (struct watched_folder **at = &watch->folders; *at;) {
        struct watched_folder *folder = *at;
        if (folder->wanted) {
            at = &folder->next;
            continue;
        }
        *at = folder->next;
        uv_close((uv_handle_t *)&folder->handle, folder_closed);
    }
}

/* -------------------------------------------------------------------- looks */

static void look(struct watch *watch) {
    bool changed = false, unsettled = false;
    watch->first_notice = 0;
    folders_compare(watch);
    for (uint32_t i = 0; i < watch->count; i++) {
        struct watched_path *path = &watch->paths[i];
        uint64_t now = path_digest(path->path);
        bool settled = now == path->candidate;
        path->candidate = now;
        if (now == path->told) continue;
        unsettled |= !settled;
        changed |= settled;
        if (settled) path->told = now;
    }
    if (unsettled) notice_soon(watch);
    if (changed) watch->on_change(watch->context); /* may call watch_paths() */
}

static void on_settled(uv_timer_t *timer) {
    look(timer->data);
}

static void on_poll(uv_timer_t *timer) {
    struct watch *watch = timer->data;
    if (!uv_is_active((uv_handle_t *)&watch->settle)) look(watch);
}

/* --------------------------------------------------------------------- life */

struct watch *watch_new(uv_loop_t *loop, void (*on_change)(void *context), void *context, struct error *err) {
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch) {
        error_set(err, "out of memory");
        return NULL;
    }
    watch->loop = loop;
    watch->on_change = on_change;
    watch->context = context;
    uv_timer_init(loop, &watch->settle);
    uv_timer_init(loop, &watch->poll);
    watch->open_handles = 2;
    watch->settle.data = watch->poll.data = watch;
    uv_timer_start(&watch->poll, on_poll, POLL, POLL);
    return watch;
}

static struct watched_path *known_path(struct watch *watch, const char *path) {
    for (uint32_t i = 0; i < watch->count; i++)
        if (strcmp(watch->paths[i].path, path) == 0) return &watch->paths[i];
    return NULL;
}

int watch_paths(struct watch *watch, const char *const *paths, uint32_t count, struct error *err) {
    struct watched_path *list = calloc(count ? count : 1, sizeof *list);
    bool complete = list != NULL;
    for (uint32_t i = 0; i < count && complete; i++) {
        list[i].path = strdup(paths[i]);
        complete = list[i].path != NULL;
        /* What was known stays known: what changed since it was told is not to be missed. */
        const struct watched_path *known = known_path(watch, paths[i]);
        list[i].told = known ? known->told : path_digest(paths[i]);
        list[i].candidate = known ? known->candidate : list[i].told;
    }
    if (!complete) {
        for (uint32_t i = 0; list && i < count; i++) free(list[i].path);
        free(list);
        return error_set(err, "out of memory");
    }
    for (uint32_t i = 0; i < watch->count; i++) free(watch->paths[i].path);
    free(watch->paths);
    watch->paths = list;
    watch->count = count;
    folders_compare(watch);
    notice_soon(watch);
    return 0;
}

static void timer_closed(uv_handle_t *handle) {
    handle_closed(handle->data);
}

void watch_close(struct watch *watch) {
    if (!watch || watch->closing) return;
    watch->closing = true;
    uv_close((uv_handle_t *)&watch->settle, timer_closed);
    uv_close((uv_handle_t *)&watch->poll, timer_closed);
    for (struct watched_folder *folder = watch->folders; folder; folder = folder->next)
        uv_close((uv_handle_t *)&folder->handle, folder_closed); /* which frees it, later */
    watch->folders = NULL;
}
