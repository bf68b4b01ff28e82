/* The second half of a check: detectors are loaded as a run would, and asked what they declare. */
#ifndef LUNETTE_WORKBENCH_CHECK_LOAD_H
#define LUNETTE_WORKBENCH_CHECK_LOAD_H

#include "workbench/check_files.h"

/* Loads the files that are detectors, those of one folder together, and fills `why`, or `inventory` and
 * `memory`. -1 without memory. */
int check_load(struct check_files *files, struct error *err);

/* The names that scripts may use: a text as of inventory.h, to be freed. NULL and why. */
char *check_load_names(struct error *err);

#endif
