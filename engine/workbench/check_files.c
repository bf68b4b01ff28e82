/* See check_files.h. */
#include "workbench/check_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_FILES = 100000, DEEPEST = 32, LARGEST = 64 * 1024 * 1024 };

static bool ends_in(const char *name, const char *ending) {
    size_t length = strlen(name), tail = strlen(ending);
    return length > tail && strcmp(name + length - tail, ending) == 0;
}

static char *text_of(const char *path, size_t *size, struct error *err) {
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t used = 0, room = 0, n = 1;
    while (file && n > 0) {
        if (used + 1 >= room) {
            room = room ? room * 2 : 16384;
            char *grown = room <= LARGEST ? realloc(text, room) : NULL;
            if (!grown) break;
            text = grown;
        }
        n = fread(text + used, 1, room - used - 1, file);
        used += n;
    }
    bool fine = file && n == 0 && !ferror(file);
    if (!fine) error_set(err, "%s: %s", path, errno ? strerror(errno) : "too large for a script");
    if (file) fclose(file);
    if (fine) {
        *size = used;
        return text;
    }
    error_is_usage(err);
    free(text);
    return NULL;
}

static int add(struct check_files *files, const char *path, struct error *err) {
    struct check_file *grown =
        files->count < MOST_FILES ? realloc(files->list, (files->count + 1) * sizeof *grown) : NULL;
    if (!grown) return error_set(err, "%s: too many files", path);
    files->list = grown;
    struct check_file *file = &files->list[files->count];
    *file = (struct check_file){.path = strdup(path)};
    errno = 0;
    if (file->path) file->text = text_of(path, &file->size, err);
    if (file->text) {
        files->count++;
        return 0;
    }
    free(file->path);
    return -1;
}

static int is_shown(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* lunette.lua is the configuration of a sensor, not a script. */
static bool is_wanted(const char *name, const struct check_options *options) {
    if (!ends_in(name, ".lua") || strcmp(name, "lunette.lua") == 0) return false;
    return options->tests || !ends_in(name, "_test.lua");
}

static int add_folder(struct check_files *files, const char *folder, const struct check_options *options,
                      int depth, struct error *err) {
    struct dirent **entries;
    int n = depth < DEEPEST ? scandir(folder, &entries, is_shown, alphasort) : 0;
    if (n < 0) return error_set(err, "%s: %s", folder, strerror(errno));
    int outcome = 0;
    for (int i = 0; i < n; i++) {
        char path[4096];
        struct stat status;
        const char *slash = ends_in(folder, "/") ? "" : "/";
        int length = snprintf(path, sizeof path, "%s%s%s", folder, slash, entries[i]->d_name);
        /* Links to folders are not followed: they may lead round. */
        bool there = outcome == 0 && length < (int)sizeof path && lstat(path, &status) == 0;
        if (there && S_ISDIR(status.st_mode))
            outcome = add_folder(files, path, options, depth + 1, err);
        else if (there && is_wanted(entries[i]->d_name, options) && stat(path, &status) == 0 &&
                 S_ISREG(status.st_mode))
            outcome = add(files, path, err);
        free(entries[i]);
    }
    if (depth < DEEPEST) free(entries);
    return outcome;
}

static int add_given(struct check_files *files, const char *path, const struct check_options *options,
                     struct error *err) {
    struct stat status;
    if (stat(path, &status) < 0) {
        error_set(err, "%s: %s", path, strerror(errno));
        return error_is_usage(err);
    }
    if (!S_ISDIR(status.st_mode)) return add(files, path, err);
    size_t before = files->count;
    if (add_folder(files, path, options, 0, err) < 0) return -1;
    if (files->count > before) return 0;
    error_set(err, "%s: no scripts below this folder", path);
    return error_is_usage(err);
}

/* Does the text hold "NAME. or 'NAME. as it does when it asks for events of NAME.lua? */
static bool asks_for(const struct check_file *file, const char *name, size_t length) {
    for (const char *at = file->text; (at = memmem(at, (size_t)(file->text + file->size - at), name, length));
         at++)
        if (at > file->text && (at[-1] == '"' || at[-1] == '\'') && at + length < file->text + file->size &&
            at[length] == '.')
            return true;
    return false;
}

static bool is_there(const struct check_files *files, const char *path) {
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->list[i].path, path) == 0) return true;
    return false;
}

static bool is_readable_file(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, R_OK) == 0;
}

static int add_beside(struct check_files *files, size_t asking, struct error *err) {
    const struct check_options detectors = {.tests = false};
    const char *slash = strrchr(files->list[asking].path, '/');
    int folder = slash ? (int)(slash + 1 - files->list[asking].path) : 0, outcome = 0;
    char path[PATH_MAX];
    struct dirent **entries;
    snprintf(path, sizeof path, "%.*s", folder, files->list[asking].path);
    int n = scandir(folder ? path : ".", &entries, is_shown, alphasort);
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        int length = snprintf(path, sizeof path, "%.*s%s", folder, files->list[asking].path, name);
        if (outcome == 0 && length < (int)sizeof path && is_wanted(name, &detectors) &&
            asks_for(&files->list[asking], name, strlen(name) - strlen(".lua")) && !is_there(files, path) &&
            is_readable_file(path)) {
            outcome = add(files, path, err);
            if (outcome == 0) files->list[files->count - 1].beside = true;
        }
        free(entries[i]);
    }
    if (n >= 0) free(entries);
    return outcome;
}

int check_files_find(struct check_files *files, const struct check_options *options, struct error *err) {
    *files = (struct check_files){.list = NULL};
    for (size_t i = 0; i < options->path_count; i++) {
        if (add_given(files, options->paths[i], options, err) == 0) continue;
        check_files_free(files);
        return -1;
    }
    for (size_t i = 0; i < files->count; i++) { /* those that this adds may ask others again */
        if (add_beside(files, i, err) == 0) continue;
        check_files_free(files);
        return -1;
    }
    return 0;
}

void check_files_free(struct check_files *files) {
    for (size_t i = 0; i < files->count; i++) {
        free(files->list[i].path);
        free(files->list[i].text);
        free(files->list[i].why);
        free(files->list[i].inventory);
    }
    free(files->list);
    *files = (struct check_files){.list = NULL};
}

void check_file_name(const struct check_file *file, char *out, size_t size) {
    const char *slash = strrchr(file->path, '/'), *base = slash ? slash + 1 : file->path;
    size_t length = strlen(base);
    if (length > 4 && strcmp(base + length - 4, ".lua") == 0) length -= 4;
    snprintf(out, size, "%.*s", (int)length, base);
}
