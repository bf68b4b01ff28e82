/* From values to what the engine takes. What is filled in borrows the values and the `struct filling`. */
#ifndef LUNETTE_CLI_FILL_H
#define LUNETTE_CLI_FILL_H

#include "audit/audits.h"
#include "cli/values.h"
#include "sensor/control_path.h"
#include "sensor/live.h"
#include "sensor/replay.h"

#include <limits.h>

/* What has no place in the values: settings cut to pieces, lists joined, the folder of the detectors shipped.
 */
struct filling {
    struct setting *settings;
    char *setting_text;
    char *home_networks;
    struct audits *audits;
    char shipped[PATH_MAX];
    const char *shipped_path;
    char control[CONTROL_PATH_SIZE];
};
void filling_clear(struct filling *filling);

/* The scripts to run and their settings. -1 if there is no memory or the detectors shipped are not found. */
int fill_scripts(struct script_options *scripts, const struct values *values, struct filling *filling,
                 struct error *err);

/* What --audit names, which is read here. fill_replay() and fill_live() do it themselves. */
int fill_audits(struct script_options *scripts, const struct values *values, struct filling *filling,
                struct error *err);

/* All but captures, interfaces, callbacks. -1 as above. */
int fill_replay(struct replay_options *replay, const struct values *values, struct filling *filling,
                struct error *err);

/* Standard input can be a capture or a host log: wrong use if it is to be both. */
int check_one_stdin(const struct endpoint_logs *logs, const char *const *captures, size_t count,
                    struct error *err);
int fill_live(struct live_options *live, const struct values *values, struct filling *filling,
              struct error *err);

/* Level, format and file of the program's own messages. */
int fill_log(const struct values *values, struct error *err);

#endif
