/* What the table of options says of itself: --help, and --check-config. */
#ifndef LUNETTE_CLI_USAGE_H
#define LUNETTE_CLI_USAGE_H

#include "cli/values.h"

/* The options of a command under their headings, wrapped at 100 columns. */
void usage_options(struct buffer *b, unsigned command);

/* What is in force as a configuration: one assignment a line, in Lua that --config takes, with who said it.
 */
void usage_in_force(struct buffer *b, unsigned command, const struct values *values);

#endif
