/* What a run saw, in one struct: filled by the sensor and by the outputs as they go, printed at the end.
 *
 * Hosts and names are counted from flow events in tables of fixed size. Names that are too many give way to
 * busier ones (space-saving: Metwally, Agrawal, El Abbadi, "Efficient computation of frequent and top-k
 * elements in data streams", 2005, weighted by bytes); for those that stay, figures are counted from when
 * they came in. Each worker fills a summary of its own; summary_merge() adds them up. */
#ifndef LUNETTE_OUTPUT_SUMMARY_H
#define LUNETTE_OUTPUT_SUMMARY_H

#include "base/error.h"
#include "event/alert.h"
#include "flow/flow.h"
#include "output/summary_who.h"
#include "output/terminal.h"

struct card;
struct top;

enum {
    SUMMARY_DETECTORS = 1024,
    SUMMARY_ANOMALIES = 256,
    SUMMARY_NAMES = 4096,
    SUMMARY_HOSTS = 4096,
    SUMMARY_REPORTS = 256,
    SUMMARY_REPORT_ROWS = 200, /* shown; the records have all */
};

/* A detector, added up over the workers. */
struct detector_summary {
    char name[64];                      /* of the file, if it was left out */
    uint64_t events;                    /* handled */
    uint64_t alerts[SEVERITY_INFO + 1]; /* by severity; [0] is not used */
    uint64_t held_back;                 /* alerts that the cooldown kept back */
    uint64_t errors;
    uint64_t evicted;                             /* entries of its state that gave way */
    uint64_t ended_gap, ended_limit, ended_error; /* streams whose parser was ended by these */
    bool off;
    bool left_out;    /* it could not be loaded: nothing else is filled in */
    char reason[256]; /* why it was switched off */
};

/* A report that was kept to be shown; owned by the summary. */
struct summary_report {
    char *detector, *title, *note;
    uint32_t columns, rows;
    uint64_t rows_left_out;
    char **names; /* columns of them */
    char **cells; /* rows × columns */
};

struct summary {
    /* The capture: said once, by whoever reads it. */
    uint64_t packets, bytes;     /* bytes on the wire */
    nanoseconds first, last;     /* packet time; both 0 if there were no packets */
    double seconds;              /* of work, wall clock */
    uint64_t truncated;          /* packets that the capture had cut */
    uint64_t not_ip;             /* packets without an IP datagram inside */
    uint64_t undecoded;          /* packets whose headers could not be read */
    const char *const *warnings; /* of the capture files, borrowed until printed */
    uint32_t warning_count;
    const char
        *host_logs[2]; /* what was read of them, and how many flows it joined; "" or NULL: none. Borrowed */
    bool interrupted;  /* the run ended before the capture did */

    /* Of each worker. */
    struct flow_counters flow;
    uint64_t one_sided;                 /* TCP flows of which one direction is missing */
    uint64_t gap_flows, gap_bytes;      /* TCP flows with bytes missing or cut off */
    uint64_t cut_text;                  /* strings that did not fit in an event */
    uint64_t alerts[SEVERITY_INFO + 1]; /* by severity; [0] is not used */
    struct anomaly_count anomalies[SUMMARY_ANOMALIES];
    uint32_t anomaly_count;
    struct detector_summary *detectors; /* grows up to SUMMARY_DETECTORS; owned */
    uint32_t detector_count;
    struct top *names;              /* servers' names: owned */
    struct top *hosts;              /* local addresses: owned */
    struct summary_who who;         /* programs, protocols, proxies, VPNs, logins */
    struct summary_report *reports; /* owned */
    uint32_t report_count;
    uint32_t reports_left_out;

    /* Of all workers together, by the outputs, while the summary is printed. */
    const struct card **cards; /* the busiest hosts first */
    uint32_t card_count, cards_shown;
    uint64_t hosts_evicted; /* whose cards gave way to others */
};

int summary_init(struct summary *summary, struct error *err);
void summary_clear(struct summary *summary);

/* Counts a flow that has ended: hosts, names, one-sidedness. Not its packets: they are in the room's
 * counters. */
void summary_add_flow(struct summary *summary, const struct event_flow *flow, const struct batch *batch);

/* Is there something to count in events of that kind? Then they are wanted, flows or not. */
bool summary_wants(enum event_kind kind);
void summary_add_event(struct summary *summary, enum event_kind kind, const void *event,
                       const struct batch *batch);
void summary_add_alert(struct summary *summary, const struct alert *alert);
void summary_add_counters(struct summary *summary, const struct flow_counters *counters);
void summary_add_anomalies(struct summary *summary, const struct anomaly_count *anomalies, uint32_t count);

/* Copies the report. Reports of the same detector and title and with the same columns become one. */
void summary_add_report(struct summary *summary, const struct report *report);

/* The detector's entry, made if there is none; NULL if there are too many or memory is short. */
struct detector_summary *summary_detector(struct summary *summary, const char *name);

/* Adds a worker's figures. Those of the capture are added too, and its times widened. */
void summary_merge(struct summary *into, const struct summary *from);

/* Appends the whole summary as text. */
void summary_print(const struct summary *summary, struct buffer *b, const struct terminal_style *style);

#endif
