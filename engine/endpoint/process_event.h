/* Makes a `process` event of news. */
#ifndef LUNETTE_ENDPOINT_PROCESS_EVENT_H
#define LUNETTE_ENDPOINT_PROCESS_EVENT_H

#include "endpoint/hosts.h"
#include "endpoint/process_table.h"
#include "event/batch.h"

/* `process` is who it is about, as the table knows it by now; NULL if it does not. True if somebody wanted
 * it. */
bool process_event_make(struct batch *batch, struct process_table *table, struct words *words,
                        const struct host *host, const struct news *news, const struct process *process);

#endif
