/* A rig: one worker on the bench, for tools that run detectors to look at them.
 *
 * It is the worker of replay and of the live sensor, without outputs: what its detectors say, and the events
 * that the tool wants to see, go to callbacks. Packets come from captures, or from the tool itself. */
#ifndef LUNETTE_WORKBENCH_RIG_H
#define LUNETTE_WORKBENCH_RIG_H

#include "base/error.h"
#include "capture/packet.h"
#include "endpoint/endpoint.h"
#include "event/alert.h"
#include "event/batch.h"
#include "script/host.h"

struct rig;
struct words;
struct worker;

struct rig_options {
    struct script_options scripts;
    uint32_t batch_limit; /* events, 1 to BATCH_EVENTS; 0: as replay has it by default */
    struct endpoint_logs host_logs;
    const char *filter;        /* pcap-filter(7), or NULL */
    const char *home_networks; /* comma separated CIDR blocks, or NULL for the usual ones */
    struct words *words;       /* programs' names in alerts last as long; NULL: as long as the rig */
    void *context;             /* of the callbacks; each may be NULL */
    bool wanted[EVENT_KINDS];  /* events that on_event is told of */
    void (*on_event)(void *context, enum event_kind kind, const void *event, const struct batch *batch);
    void (*on_alert)(void *context, const struct alert *alert);
    void (*on_report)(void *context, const struct report *report);
    void (*on_fact)(void *context, const struct fact *fact);
    void (*on_custom)(void *context, struct custom_schema *schema, const void *event, const char *text);
};

/* `options` is copied, what it points to is borrowed for the rig's life. NULL and why: a path that is not
 * there, a wrong filter; a script that cannot be loaded is told on standard error and counted by
 * script_host_failed(). */
struct rig *rig_new(const struct rig_options *options, struct error *err);
void rig_free(struct rig *rig);

/* Reads captures to their end, or until `go_on` (may be NULL) says false between two bursts. -1 and why if
 * one cannot be opened. */
int rig_captures(struct rig *rig, const char *const *paths, size_t count, bool (*go_on)(void *context),
                 struct error *err);

/* Packets of the caller's own, any number, in the order of time. Their bytes are borrowed for the call. */
void rig_packets(struct rig *rig, const struct packet *packets, size_t count);

/* The end of the capture: flows end, detectors say their last. Once. */
void rig_finish(struct rig *rig);

struct worker *rig_worker(struct rig *rig);        /* for its batch, its scripts, its clock */
struct script_host *rig_gatherer(struct rig *rig); /* what gathers, or NULL */

#endif
