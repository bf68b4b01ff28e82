/* The live loop: interfaces (or a capture played at its own pace) go in, for months.
 *
 *      main thread   libuv: signals, control, files that change, the board, state on disk, alarms about drops
 *      worker 0..N   libuv each: its tap's descriptors, a tick, requests from the main thread, done between
 * batches writer        records and alerts to their receivers control       HTTP on the control socket
 *
 * Workers share nothing but the outputs. What the main thread wants of one is posted to it and done at a
 * batch boundary. */
#ifndef LUNETTE_SENSOR_LIVE_H
#define LUNETTE_SENSOR_LIVE_H

#include "base/error.h"
#include "capture/tap.h"
#include "endpoint/endpoint.h"
#include "flow/flow.h"
#include "output/output.h"
#include "script/host.h"
#include "sensor/privilege.h"
#include "sensor/recall.h"
#include "sensor/supervisor.h"

struct live_options {
    /* Interfaces, or, for `replay --pace`, captures: one of the two. */
    const char *const *interfaces;
    size_t interface_count;
    const char *const *captures;
    size_t capture_count;
    double pace; /* packet seconds per second */

    const char *filter;        /* or NULL */
    const char *home_networks; /* or NULL for the defaults */
    uint32_t workers;
    enum tap_dealing dealing;
    uint32_t ring_bytes; /* of each interface's handle in each worker */
    uint32_t snap_length;
    bool promiscuous;
    uint32_t batch_limit;
    uint64_t fragment_memory;
    struct flow_config flow;
    struct endpoint_logs host_logs; /* followed; with captures, read along with them */
    struct script_options scripts;
    struct output_options outputs;
    struct recall_options recall; /* folder NULL: off */
    struct privilege_options privilege;
    const char *control;      /* path of the control socket, NULL: none */
    const char *metrics;      /* "127.0.0.1:9177", NULL: none */
    const char *state_folder; /* where named state is kept over restarts, NULL: nowhere */
    double state_interval;    /* seconds between saves, default 60 */
    double stats_interval;    /* seconds between stats records, default 60; 0: none */
    double host_interval;     /* seconds between records of hosts, default 3600; 0: none */
    bool watch;               /* reload when a script or its data change; default true */
    /* The configuration was asked to be read anew (SIGHUP, control): fills in what can change while it runs
     * (scripts and settings, log level). -1: it is broken, the old stays. NULL if there is no file. What it
     * puts into `scripts` is borrowed until the next call. */
    int (*reconfigure)(void *context, struct script_options *scripts, struct error *err);
    const char *config_path; /* watched, or NULL */
    void *context;
};

/* Runs until it is told to stop. Returns the exit code of the process: 0 fine, 1 something failed, 2 wrong
 * use, SENSOR_ANEW. With SIGINT, SIGTERM or POST /stop it ends in good order. */
int live_run(const struct live_options *options, const struct supervised *self, struct error *err);

struct live_options live_options_defaults(void);

#endif
