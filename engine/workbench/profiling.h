/* `lunette profile`: runs detectors over captures on a rig, with clocks around their handlers
 * (script/profile.h), and tells where the time went and what the compiler could not do. */
#ifndef LUNETTE_WORKBENCH_PROFILING_H
#define LUNETTE_WORKBENCH_PROFILING_H

#include "output/buffer.h"
#include "workbench/rig.h"

struct profiling_options {
    struct rig_options rig; /* its callbacks are not used */
    const char *const *captures;
    size_t capture_count;
    uint32_t top; /* handlers that are shown; 0: all */
    bool json;
};

/* Appends the report. How many detectors could not be loaded, or failed on the way; -1 and why if nothing
 * could be run. */
int profiling_run(const struct profiling_options *options, struct buffer *out, struct error *err);

#endif
