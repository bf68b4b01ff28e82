/* Files below a root that is not trusted: a mounted disk, or a folder that somebody sent.
 *
 * Paths are read as the Mac would read them, with the root for "/": links are followed by hand, a component
 * at a time, absolute ones from the root, and ".." stops there, so nothing leads out. Only regular files are
 * opened, never a pipe or a device; what is read and listed has bounds. */
#ifndef LUNETTE_AUDIT_TREE_H
#define LUNETTE_AUDIT_TREE_H

#include "base/error.h"

#include <stddef.h>

enum { TREE_FILE_MOST = 16 << 20, TREE_NAMES_MOST = 4096, TREE_BYTES_MOST = 512 << 20 };

struct tree;

/* NULL and why: no such folder, or it may not be read. */
struct tree *tree_open(const char *root, struct error *err);
void tree_close(struct tree *tree);

enum tree_outcome {
    TREE_READ,
    TREE_NOT_THERE,
    TREE_NOT_READABLE, /* no permission, or the disk fails */
    TREE_NO_FILE,      /* a folder, pipe, device … */
    TREE_TOO_LARGE,
    TREE_LOOP,  /* links in a circle, or too many of them */
    TREE_SPENT, /* TREE_BYTES_MOST were read already */
};

/* The whole file, with a zero byte behind it; the caller frees it. */
enum tree_outcome tree_read(struct tree *tree, const char *path, char **bytes, size_t *size);

/* Names in a folder in the order of their bytes, without those that begin with a dot; the caller frees the
 * list with tree_names_free(). `*cut`: there are more than TREE_NAMES_MOST. */
enum tree_outcome tree_names(struct tree *tree, const char *path, char ***names, size_t *count, bool *cut);
void tree_names_free(char **names, size_t count);

const char *tree_outcome_words(enum tree_outcome outcome);

#endif
