/* The board: what a running sensor shows of itself, copied together by the main thread once a second.
 *
 * Control socket, metrics, top and the statistics record all read this one snapshot; nobody asks a worker. */
#ifndef LUNETTE_SENSOR_BOARD_H
#define LUNETTE_SENSOR_BOARD_H

#include "base/time.h"
#include "endpoint/endpoint.h"
#include "flow/flow.h"
#include "output/receiver.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    BOARD_INTERFACES = 64,
    BOARD_DETECTORS = 128,
    BOARD_OUTPUTS = 16,
    BOARD_TOP = 32,
    BOARD_ALERTS = 64,
    BOARD_WORKERS = 64,
    BOARD_TEXT = 192,
};

struct board_interface {
    char name[64];
    bool open;
    uint32_t times_opened;
    uint64_t packets, bytes, dropped, interface_dropped; /* since the start, over all workers */
};

struct board_detector {
    char name[64];
    bool off;
    bool left_out; /* its script could not be loaded */
    uint64_t events, alerts, errors, evicted;
    uint64_t memory;          /* bytes, over all workers */
    double cpu_seconds;       /* spent in it since it was loaded, over all workers */
    char trouble[BOARD_TEXT]; /* the last error, "" if none */
};

/* A host or a name, with the bytes of its flows that ended in the last minutes (a decaying count). */
struct board_top {
    char name[256];
    uint64_t bytes, flows;
};

struct board_alert {
    nanoseconds time;
    uint8_t severity; /* enum severity */
    char detector[64], title[BOARD_TEXT], who[64], where[BOARD_TEXT], why[512], attack[64];
    char program[64]; /* whose traffic it was, "" unknown */
};

struct board_worker {
    uint64_t packets, bytes, events;
    double cpu_seconds; /* of its thread */
    nanoseconds clock;
};

struct board {
    nanoseconds started, now;   /* wall clock */
    char version[32], mode[16]; /* "live", "replay" (paced) */
    int pid;
    uint32_t restarts;          /* of the worker process, by the supervisor */
    char last_exit[BOARD_TEXT]; /* why it was restarted, "" if it was not */
    uint32_t worker_count;
    struct board_worker workers[BOARD_WORKERS];
    uint64_t packets, bytes, dropped, interface_dropped;
    double packet_rate, bit_rate, drop_rate, event_rate; /* a second, over the last ten seconds */
    struct flow_counters flow;                           /* over all workers */
    struct endpoint_figures host; /* host logs, as the first worker reads them; events over all */
    uint64_t programs_refused;    /* names of programs, and processes, for which there was no room */
    uint64_t resident;            /* bytes of memory of the process */
    uint32_t descriptors;         /* open */
    double cpu_seconds;           /* user and system, of the process */
    uint64_t alerts[5];           /* by severity, [1] high … [4] info */
    uint64_t reloads, reloads_failed;
    nanoseconds last_reload; /* or the last try; 0: never */
    bool last_reload_failed;
    char last_reload_summary[BOARD_TEXT * 2];
    double longest_pause;    /* seconds, of reloads */
    nanoseconds state_saved; /* 0: never */
    uint32_t interface_count;
    struct board_interface interfaces[BOARD_INTERFACES];
    uint32_t detector_count;
    struct board_detector detectors[BOARD_DETECTORS];
    uint32_t output_count;
    struct receiver_figures outputs[BOARD_OUTPUTS]; /* names are borrowed for the sensor's life */
    uint32_t host_count, name_count;
    struct board_top hosts[BOARD_TOP], names[BOARD_TOP]; /* most bytes first */
    uint32_t alert_count;
    struct board_alert latest[BOARD_ALERTS]; /* newest first */
};

#endif
