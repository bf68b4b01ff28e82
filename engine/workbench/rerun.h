/* `replay --watch`: runs detectors over captures, again whenever a script or a file that one read is saved,
 * and prints how the alerts differ from those of the run before.
 *
 * The author edits on one side of the screen and sees here what that did. A run that a further save overtakes
 * is given up; a script that does not load leaves the last result standing. Reads whole captures each time:
 * results are those of `replay`. */
#ifndef LUNETTE_WORKBENCH_RERUN_H
#define LUNETTE_WORKBENCH_RERUN_H

#include "output/terminal.h"
#include "workbench/rig.h"

#include <stdatomic.h>

struct rerun_options {
    struct rig_options rig; /* callbacks are rerun's own */
    const char *const *captures;
    size_t capture_count;
    struct terminal_style style;
    const atomic_bool *stop; /* a signal sets it: the end */
};

/* Until `stop`. -1 and why for a wrong use (a capture or a path that is not there at the start). */
int rerun_watch(const struct rerun_options *options, struct error *err);

#endif
