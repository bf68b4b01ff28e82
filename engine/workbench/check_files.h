/* The scripts that `lunette check` looks at, with their texts. */
#ifndef LUNETTE_WORKBENCH_CHECK_FILES_H
#define LUNETTE_WORKBENCH_CHECK_FILES_H

#include "workbench/check.h"

struct check_file {
    char *path; /* as it is told */
    char *text;
    size_t size;
    bool beside;      /* named by nobody: it is here for the events that others ask it for */
    bool is_detector; /* it asks for "lunette", and is no test and no part of another (in lib/) */
    char *why;        /* it could not be loaded */
    char *inventory;  /* what it declares */
    size_t memory;    /* bytes in use once it was loaded */
};

struct check_files {
    struct check_file *list;
    size_t count;
};

/* In order: as named, folders by name; then what lies beside those, and is asked for events by them. -1 and
 * why if a path is not there or cannot be read; nothing is left then. */
int check_files_find(struct check_files *files, const struct check_options *options, struct error *err);
void check_files_free(struct check_files *files);

/* The file's name without folder and ".lua". */
void check_file_name(const struct check_file *file, char *out, size_t size);

#endif
