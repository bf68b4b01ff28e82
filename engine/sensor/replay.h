/* The replay loop: captures go in, as fast as they can be read; records, alerts and a summary come out. */
#ifndef LUNETTE_SENSOR_REPLAY_H
#define LUNETTE_SENSOR_REPLAY_H

#include "base/error.h"
#include "endpoint/endpoint.h"
#include "flow/flow.h"
#include "output/output.h"
#include "script/host.h"

#include <stdatomic.h>

struct replay_options {
    const char *const *captures;
    size_t capture_count;
    bool events;               /* they are no captures but records of events: sensor/event_log.h */
    const char *filter;        /* or NULL */
    const char *home_networks; /* or NULL for the defaults */
    uint32_t workers;
    uint32_t batch_limit;
    uint64_t fragment_memory;
    struct flow_config flow;
    struct endpoint_logs host_logs;
    struct script_options scripts;
    struct output_options outputs;
    const atomic_bool *stop;
};

enum replay_outcome { REPLAY_FINE = 0, REPLAY_FAILED = 1, REPLAY_USAGE = 2 };

/* Runs to the end of the captures. Problems that end the run are told in `err`; those that do not (a detector
 * that failed, a capture cut short) are told on the way, and only the first kind makes the outcome
 * REPLAY_FAILED. Files of records (`events`) without a single record are of the first kind. */
enum replay_outcome replay_run(const struct replay_options *options, struct error *err);

#endif
