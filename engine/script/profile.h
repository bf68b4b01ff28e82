/* Where a detector's time goes, measured inside it: for `lunette profile` alone, switched on by the
 * detector's options. The generated loops (dispatch.lua) then read a clock before and after each handler.
 *
 * Time is counted in ticks of the processor's own clock, the cheapest to read; what a reading costs is
 * measured and taken off again. Bytes are those that the handler's Lua asked its heap for. */
#ifndef LUNETTE_SCRIPT_PROFILE_H
#define LUNETTE_SCRIPT_PROFILE_H

#include "script/api.h"
#include "script/detector.h"

struct profile;

struct profile_handler {
    const char *what;  /* "dns", "timer", "end of capture" */
    const char *place; /* "file:line" of the function */
    uint64_t calls;
    double seconds; /* without the readings themselves */
    uint64_t bytes;
};

struct profile *profile_new(void); /* NULL without memory */
void profile_free(struct profile *profile);

/* A number for enter and leave, 0 (it counts nobody) if there is no memory. */
uint32_t profile_slot(struct profile *profile, const char *what, const char *place);

/* Of struct lunette_api. What runs inside of another handler is not counted twice. */
void profile_enter(struct lunette_detector *detector, uint32_t slot);
void profile_leave(struct lunette_detector *detector);

/* A state was entered anew: whatever ran is not running any more. */
void profile_reset(struct profile *profile);

uint32_t detector_profile_count(const struct detector *detector);
void detector_profile(const struct detector *detector, uint32_t index, struct profile_handler *out);

/* The seconds that all its readings took, as measured beside the run. */
double detector_profile_cost(const struct detector *detector);

/* What the compiler did: a Lua table written out as inventory.h has it, { aborts = list of { at, reason,
 * times }, interpreted = list of { at, what }, collections = number }. NULL if it cannot be had. The caller
 * frees it. */
char *detector_profile_traces(struct detector *detector);

#endif
