/* How a run over captures is broken off. */
#ifndef LUNETTE_CLI_INTERRUPT_H
#define LUNETTE_CLI_INTERRUPT_H

#include <stdatomic.h>

/* From now on the first SIGINT or SIGTERM sets what is returned, and ends the run in good order, also one
 * that waits for a pipe: its read() is not taken up again (no SA_RESTART). A second one ends the program at
 * once.
 */
atomic_bool *interrupts_catch(void);

#endif
