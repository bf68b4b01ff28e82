/* A run of the live loop, for `live` and for `replay --pace`: what it was asked to do, and what that becomes
 * when the configuration is read anew. */
#ifndef LUNETTE_CLI_SESSION_H
#define LUNETTE_CLI_SESSION_H

#include "cli/values.h"
#include "sensor/supervisor.h"

struct invocation {
    unsigned command; /* FOR_REPLAY or FOR_LIVE */
    int argc;
    char **argv;
    int rest; /* the first argument that is no option: captures, interfaces */
};

/* All that the invocation says now; arguments of `live` that are no options are interfaces. NULL and why. */
struct values *session_values(struct invocation *invocation, struct error *err);

/* Runs until it is told to stop, and returns the exit code. Owns `values` from then on. */
int session_run(const struct invocation *invocation, struct values *values, const struct supervised *self);

/* Prints the help of a command, after `about`. Returns the exit code. */
int session_help(unsigned command, const char *about);

/* Loads the detectors as a run would, and prints what is in force. Returns the exit code. */
int session_check(unsigned command, const struct values *values);

#endif
