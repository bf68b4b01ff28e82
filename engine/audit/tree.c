/* See tree.h. The way down is a stack of open folders: ".." pops, an absolute link pops all but the root.
 * What is looked at and what is opened are compared, since a live disk may change in between. */
#include "audit/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH = 64, LINKS = 40 };

#ifndef O_PATH
#define O_PATH O_RDONLY /* where folders cannot be passed without being read */
#endif

struct tree {
    int root;
    size_t left; /* bytes that may still be read */
};

struct walk {
    int folders[DEPTH]; /* folders[0] is the tree's own root */
    int depth;          /* of the last one */
    int links;
    char rest[PATH_MAX]; /* of the path, not walked yet */
};

struct tree *tree_open(const char *root, struct error *err) {
    struct tree *tree = calloc(1, sizeof *tree);
    if (!tree) {
        error_set(err, "out of memory");
        return NULL;
    }
    tree->left = TREE_BYTES_MOST;
    tree->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tree->root >= 0) return tree;
    error_set(err, "%s: %s", root, strerror(errno));
    free(tree);
    return NULL;
}

void tree_close(struct tree *tree) {
    if (!tree) return;
    close(tree->root);
    free(tree);
}

/* ── walking ─────────────────────────────────────────────────────── */

static void walk_up_to(struct walk *walk, int depth) {
    while (walk->depth > depth) close(walk->folders[walk->depth--]);
}

/* The next component of the rest into `name`; false if there is none, or it is longer than a name can be. */
static bool next_name(struct walk *walk, char name[NAME_MAX + 1]) {
    size_t skip = strspn(walk->rest, "/"), length = strcspn(walk->rest + skip, "/");
    if (length == 0 || length > NAME_MAX) return false;
    memcpy(name, walk->rest + skip, length);
    name[length] = '\0';
    memmove(walk->rest, walk->rest + skip + length, strlen(walk->rest + skip + length) + 1);
    return true;
}

static bool is_last(const struct walk *walk) {
    return walk->rest[strspn(walk->rest, "/")] == '\0';
}

static enum tree_outcome outcome_of(int error) {
    if (error == ENOENT || error == ENOTDIR) return TREE_NOT_THERE;
    return error == ELOOP ? TREE_LOOP : TREE_NOT_READABLE;
}

static enum tree_outcome follow(struct walk *walk, const char *name) {
    char target[PATH_MAX], whole[PATH_MAX];
    ssize_t length = readlinkat(walk->folders[walk->depth], name, target, sizeof target - 1);
    if (length < 0) return outcome_of(errno);
    target[length] = '\0';
    if (++walk->links > LINKS) return TREE_LOOP;
    if (snprintf(whole, sizeof whole, "%s/%s", target, walk->rest) >= (int)sizeof whole) return TREE_LOOP;
    memcpy(walk->rest, whole, sizeof whole);
    if (target[0] == '/') walk_up_to(walk, 0);
    return TREE_READ;
}

static enum tree_outcome go_down(struct walk *walk, const char *name) {
    if (walk->depth + 1 == DEPTH) return TREE_LOOP;
    int folder = openat(walk->folders[walk->depth], name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return outcome_of(errno);
    walk->folders[++walk->depth] = folder;
    return TREE_READ;
}

/* Goes to the last component. TREE_READ: `name` is in the folder that the walk has come to, and is no link
 * ("." if it is the folder itself). */
static enum tree_outcome walk_to(struct walk *walk, const struct tree *tree, const char *path,
                                 char name[NAME_MAX + 1], struct stat *status) {
    enum tree_outcome outcome;
    *walk = (struct walk){.folders = {tree->root}};
    if (snprintf(walk->rest, sizeof walk->rest, "%s", path) >= (int)sizeof walk->rest) return TREE_LOOP;
    while (!is_last(walk)) {
        if (!next_name(walk, name)) return TREE_NOT_THERE;
        if (strcmp(name, ".") == 0) continue;
        if (strcmp(name, "..") == 0) {
            walk_up_to(walk, walk->depth > 0 ? walk->depth - 1 : 0);
            continue;
        }
        if (fstatat(walk->folders[walk->depth], name, status, AT_SYMLINK_NOFOLLOW) < 0)
            return outcome_of(errno);
        if (S_ISLNK(status->st_mode))
            outcome = follow(walk, name);
        else if (is_last(walk))
            return TREE_READ;
        else
            outcome = S_ISDIR(status->st_mode) ? go_down(walk, name) : TREE_NOT_THERE;
        if (outcome != TREE_READ) return outcome;
    }
    strcpy(name, ".");
    return fstatat(walk->folders[walk->depth], name, status, AT_SYMLINK_NOFOLLOW) < 0 ? outcome_of(errno)
                                                                                      : TREE_READ;
}

/* ── files ───────────────────────────────────────────────────────── */

static enum tree_outcome read_all(struct tree *tree, int file, char **bytes, size_t *size) {
    struct stat status;
    if (fstat(file, &status) < 0) return TREE_NOT_READABLE;
    if (!S_ISREG(status.st_mode)) return TREE_NO_FILE;
    if (status.st_size > TREE_FILE_MOST) return TREE_TOO_LARGE;
    if ((uint64_t)status.st_size > tree->left) return TREE_SPENT;
    size_t room = (size_t)status.st_size;
    tree->left -= room;
    *size = 0;
    *bytes = malloc(room + 1);
    if (!*bytes) return TREE_NOT_READABLE;
    while (*size < room) {
        ssize_t got = read(file, *bytes + *size, room - *size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            free(*bytes);
            *bytes = NULL;
            return TREE_NOT_READABLE;
        }
        if (got == 0) break;
        *size += (size_t)got;
    }
    (*bytes)[*size] = '\0';
    return TREE_READ;
}

enum tree_outcome tree_read(struct tree *tree, const char *path, char **bytes, size_t *size) {
    struct walk walk;
    struct stat status;
    char name[NAME_MAX + 1];
    enum tree_outcome outcome = walk_to(&walk, tree, path, name, &status);
    *bytes = NULL;
    if (outcome == TREE_READ && !S_ISREG(status.st_mode)) outcome = TREE_NO_FILE;
    if (outcome == TREE_READ) {
        int file =
            openat(walk.folders[walk.depth], name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        outcome = file < 0 ? outcome_of(errno) : read_all(tree, file, bytes, size);
        if (file >= 0) close(file);
    }
    walk_up_to(&walk, 0);
    return outcome;
}

/* ── folders ─────────────────────────────────────────────────────── */

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool names_add(char ***names, size_t *count, size_t *room, const char *name) {
    if (*count == *room) {
        size_t more = *room ? *room * 2 : 64;
        char **grown = realloc(*names, more * sizeof **names);
        if (!grown) return false;
        *names = grown;
        *room = more;
    }
    (*names)[*count] = strdup(name);
    return (*names)[*count] && ++*count;
}

static void list(DIR *folder, char ***names, size_t *count, bool *cut) {
    size_t room = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        *cut = *count == TREE_NAMES_MOST || !names_add(names, count, &room, entry->d_name);
        if (*cut) break;
    }
    if (*count > 1) qsort(*names, *count, sizeof **names, by_bytes);
}

enum tree_outcome tree_names(struct tree *tree, const char *path, char ***names, size_t *count, bool *cut) {
    struct walk walk;
    struct stat status;
    char name[NAME_MAX + 1];
    *names = NULL;
    *count = 0;
    *cut = false;
    enum tree_outcome outcome = walk_to(&walk, tree, path, name, &status);
    if (outcome == TREE_READ && !S_ISDIR(status.st_mode)) outcome = TREE_NO_FILE;
    if (outcome == TREE_READ) {
        int file = openat(walk.folders[walk.depth], name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *folder = file < 0 ? NULL : fdopendir(file);
        if (!folder) {
            outcome = outcome_of(errno);
            if (file >= 0) close(file);
        } else {
            list(folder, names, count, cut);
            closedir(folder);
        }
    }
    walk_up_to(&walk, 0);
    return outcome;
}

void tree_names_free(char **names, size_t count) {
    for (size_t i = 0; i < count; i++) free(names[i]);
    free(names);
}

const char *tree_outcome_words(enum tree_outcome outcome) {
    static const char *const words[] = {
        "read",
        "not there",
        "may not be read",
        "no regular file",
        "larger than 16 MiB",
        "a circle of links, or a path that is too long",
        "not read: the audit has read 512 MiB already",
    };
    return words[outcome];
}
