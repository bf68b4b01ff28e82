/* What the files of a trial share; nobody else includes this. */
#ifndef LUNETTE_WORKBENCH_TRIAL_STATE_H
#define LUNETTE_WORKBENCH_TRIAL_STATE_H

#include "audit/audits.h"
#include "script/heap.h"
#include "workbench/heard.h"
#include "workbench/story.h"
#include "workbench/trial.h"

#include <lua.h>

enum { TRIAL_DETECTORS = 64, TRIAL_SETTINGS = 256, TRIAL_FAILURES = 64 };

/* All that a trial holds hangs here, not on Lua's stack: control may jump out of Lua at any allocation. */
struct trial {
    const struct trial_options *options;
    struct trial_cases *collected;   /* by trial_list(), else NULL */
    const struct trial_cases *cases; /* in trial_run() */
    struct trial_outcome *outcome;
    struct heap *heap;
    lua_State *lua;
    int call_load, call_run, call_judge;
    size_t number; /* of the case, from 1 */
    struct story *story;
    struct made_words words;
    struct made_event event; /* the one being made */
    uint64_t random;
    nanoseconds end;
    bool told; /* the case's function came to its end */
    char *home;
    char *detectors[TRIAL_DETECTORS];
    size_t detector_count;
    struct setting settings[TRIAL_SETTINGS];
    uint32_t setting_lines[TRIAL_SETTINGS];
    size_t setting_count;
    struct audits *audits; /* of c:configuration; NULL: none */
    struct heard heard;
    uint8_t *frame;        /* FRAME_MOST bytes */
    char last_error[1024]; /* logged by whoever could not be loaded */
};

/* trial_host.c: pushes the table of C functions that the boot script calls `host`. */
void trial_host_push(lua_State *lua, struct trial *trial);

/* trial.c: adds to the outcome. */
void trial_fail(struct trial *trial, enum verdict verdict, uint32_t line, const char *text);

#endif
