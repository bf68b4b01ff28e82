/* What the tools that look at captures (`console`, `profile`, `replay --watch`) make of replay's options. */
#ifndef LUNETTE_CLI_RIG_VALUES_H
#define LUNETTE_CLI_RIG_VALUES_H

#include "base/words.h"
#include "cli/fill.h"
#include "cli/session.h"
#include "workbench/rig.h"

/* Did the command line give options that the tool does not take, or no capture? `taken` ends with
 * OPTION_HELP. */
int rig_values_check(const char *tool, const enum option_id *taken, const struct invocation *invocation,
                     const struct values *values, struct error *err);

struct rig_values {
    struct filling filling;
    struct words *words;
    struct rig_options rig; /* without callbacks */
    const char *const *captures;
    size_t capture_count;
    enum colour_choice colour;
};

/* Borrows the invocation and the values. */
int rig_values_fill(struct rig_values *out, const struct invocation *invocation, const struct values *values,
                    struct error *err);
void rig_values_clear(struct rig_values *values);

#endif
