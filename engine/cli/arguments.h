/* The command line, read by the table of options. */
#ifndef LUNETTE_CLI_ARGUMENTS_H
#define LUNETTE_CLI_ARGUMENTS_H

#include "cli/values.h"

/* Puts what the arguments say into `values`; `argv` is reordered so that those that are no options (captures,
 * interfaces) come last, from `*rest` on. argv[0] is the command's name. May be called again for the same
 * arguments. -1 and one sentence if they are wrong. */
int arguments_read(struct values *values, unsigned command, int argc, char **argv, int *rest,
                   struct error *err);

/* Everything an invocation says: defaults, the configuration that --config names, the arguments. NULL and
 * what is wrong, one line for each mistake. With --help the configuration is left alone. */
struct values *invocation_read(unsigned command, int argc, char **argv, int *rest, struct error *err);

#endif
