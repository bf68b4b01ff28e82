/* A look at inode, size and time is enough in nearly all cases. A file that was written to just before it was
 * read could change again without its time doing so: then, as when something differs, its contents decide. */
#include "script/files.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FRESH_SECONDS = 2 };

struct file {
    char *path;
    bool there;
    bool fresh; /* it had changed shortly before it was read */
    struct stat status;
    uint64_t hash;
};

struct script_files {
    pthread_mutex_t lock;
    struct file *list;
    uint32_t count, room;
};

struct script_files *script_files_new(void) {
    struct script_files *files = calloc(1, sizeof *files);
    if (files) pthread_mutex_init(&files->lock, NULL);
    return files;
}

void script_files_free(struct script_files *files) {
    if (!files) return;
    for (uint32_t i = 0; i < files->count; i++) free(files->list[i].path);
    free(files->list);
    pthread_mutex_destroy(&files->lock);
    free(files);
}

static bool is_fresh(const struct stat *status) {
    return status->st_mtim.tv_sec + FRESH_SECONDS >= time(NULL);
}

static bool is_known(const struct script_files *files, const char *path) {
    for (uint32_t i = 0; i < files->count; i++)
        if (strcmp(files->list[i].path, path) == 0) return true;
    return false;
}

static struct file *file_add(struct script_files *files, const char *path) {
    if (files->count == files->room) {
        uint32_t room = files->room ? files->room * 2 : 8;
        struct file *grown = realloc(files->list, room * sizeof *grown);
        if (!grown) return NULL;
        files->list = grown;
        files->room = room;
    }
    struct file *file = &files->list[files->count];
    *file = (struct file){.path = strdup(path)};
    if (!file->path) return NULL;
    files->count++;
    return file;
}

void script_files_note(struct script_files *files, const char *path, const struct stat *status,
                       const void *bytes, size_t size) {
    pthread_mutex_lock(&files->lock);
    struct file *file = is_known(files, path) ? NULL : file_add(files, path);
    if (file && status) {
        file->there = true;
        file->status = *status;
        file->fresh = is_fresh(status);
        file->hash = XXH3_64bits(bytes, size);
    }
    pthread_mutex_unlock(&files->lock);
}

/* The hash of what is in the file now. */
static bool contents_hash(const char *path, uint64_t *hash) {
    FILE *stream = fopen(path, "rb");
    XXH3_state_t *state = stream ? XXH3_createState() : NULL;
    bool fine = state != NULL;
    if (fine) {
        char bytes[16384];
        size_t n;
        XXH3_64bits_reset(state);
        while ((n = fread(bytes, 1, sizeof bytes, stream)) > 0) XXH3_64bits_update(state, bytes, n);
        fine = !ferror(stream);
        *hash = XXH3_64bits_digest(state);
    }
    XXH3_freeState(state);
    if (stream) fclose(stream);
    return fine;
}

static bool file_changed(struct file *file) {
    struct stat now;
    bool there = stat(file->path, &now) == 0 && S_ISREG(now.st_mode);
    if (!there || !file->there) return there != file->there;
    const struct stat *was = &file->status;
    bool looks_same = was->st_dev == now.st_dev && was->st_ino == now.st_ino && was->st_size == now.st_size &&
                      was->st_mtim.tv_sec == now.st_mtim.tv_sec &&
                      was->st_mtim.tv_nsec == now.st_mtim.tv_nsec;
    if (looks_same && !file->fresh) return false;
    uint64_t hash;
    bool fresh = is_fresh(&now);
    if (!contents_hash(file->path, &hash) || hash != file->hash) return true;
    file->status = now;
    file->fresh = fresh;
    return false;
}

const char *script_files_changed(struct script_files *files) {
    const char *changed = NULL;
    pthread_mutex_lock(&files->lock);
    for (uint32_t i = 0; i < files->count && !changed; i++)
        if (file_changed(&files->list[i])) changed = files->list[i].path;
    pthread_mutex_unlock(&files->lock);
    return changed;
}

uint32_t script_files_list(struct script_files *files, const char **paths, uint32_t max) {
    pthread_mutex_lock(&files->lock);
    uint32_t n = files->count < max ? files->count : max;
    for (uint32_t i = 0; i < n; i++) paths[i] = files->list[i].path;
    pthread_mutex_unlock(&files->lock);
    return n;
}
