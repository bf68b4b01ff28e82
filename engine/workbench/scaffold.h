/* `lunette new`: a detector to begin with, and its test. The texts are templates that travel in the binary
 * (engine/workbench/templates), one pair for each kind. */
#ifndef LUNETTE_WORKBENCH_SCAFFOLD_H
#define LUNETTE_WORKBENCH_SCAFFOLD_H

#include "base/error.h"

#include <limits.h>

struct scaffold_options {
    const char *name;   /* of the detector: letters, digits and _ */
    const char *folder; /* is made if it is not there */
    const char *kind;   /* one of scaffold_kinds */
    const char *stubs;  /* folder of the editor's stubs; NULL: no .luarc.json is written */
};

/* Names of the kinds, then NULL. */
extern const char *const scaffold_kinds[];

/* What was written; an empty path if it was not. */
struct scaffold {
    char detector[PATH_MAX], test[PATH_MAX], settings[PATH_MAX];
};

/* Writes NAME.lua, NAME_test.lua and, if there is none, .luarc.json. Nothing is ever overwritten: if one of
 * the first two is there already, nothing is written at all. -1 and why; err->usage if the name or the kind
 * is wrong. */
int scaffold_write(const struct scaffold_options *options, struct scaffold *written, struct error *err);

#endif
