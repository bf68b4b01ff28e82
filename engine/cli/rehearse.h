/* --check-config beyond words: loads the detectors as a run would and looks up who it would become, but opens
 * no interface, output, socket or state. */
#ifndef LUNETTE_CLI_REHEARSE_H
#define LUNETTE_CLI_REHEARSE_H

#include "cli/values.h"

/* -1 and what would keep a run of this command from beginning, with its place in the configuration if it came
 * from there. Scripts that cannot be loaded are told one by one as they are found. What may come right by
 * itself, such as an interface that is not there yet, is a warning. */
int rehearse(unsigned command, const struct values *values, struct error *err);

#endif
