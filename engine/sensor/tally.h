/* What a script host's detectors did, for the summary and for the exit code: of a worker's, and of the one
 * that gathers. */
#ifndef LUNETTE_SENSOR_TALLY_H
#define LUNETTE_SENSOR_TALLY_H

#include "output/summary.h"
#include "script/host.h"

/* Adds each detector's figures to its entry. */
void tally_detectors(const struct script_host *scripts, struct summary *summary);

/* Adds what all of them did to the sum. */
struct tally {
    uint64_t errors, evicted, off; /* evicted: entries of their state; off: how many are */
};
void tally_add(const struct script_host *scripts, struct tally *sum);

/* Detectors that failed to load or in a handler. */
uint32_t tally_failed(const struct script_host *scripts);

#endif
