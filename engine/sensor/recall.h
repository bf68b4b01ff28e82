/* Rolling capture: the packets of a flow from before and after an alert, as a pcapng file.
 *
 * Each worker copies its packets into a ring of fixed size. When a detector alerts on an event of a flow, the
 * flow's packets that are still in the ring are written to a new file with the alert as the section's
 * comment (packet 1 has it too, so that Wireshark shows it), and what the flow says after it is appended until a bound is reached. An
 * alert without a flow (from a timer) takes the packets of its host (`who`) instead, and says so. */
#ifndef LUNETTE_SENSOR_RECALL_H
#define LUNETTE_SENSOR_RECALL_H

#include "base/error.h"
#include "capture/packet.h"
#include "decode/decode.h"
#include "event/alert.h"

struct recall;

struct recall_options {
    const char *folder;
    uint64_t ring_bytes;       /* per worker, default 32 MiB */
    nanoseconds before, after; /* defaults 60 s and 30 s of packet time around the alert */
    uint64_t file_bytes;       /* a file's bound, default 4 MiB */
    uint32_t files;            /* in the folder; the oldest of ours go, default 1000 */
    uint32_t at_once;          /* files that are still appended to, default 64; more alerts are counted, not kept */
    uint32_t worker;
    const char *(*interface_name)(void *context, uint8_t interface);
    void *context;
};
struct recall_options recall_options_defaults(void);

/* -1 style NULL if the folder cannot be made or written to. */
struct recall *recall_new(const struct recall_options *options, struct error *err);

/* Copies the packet into the ring; `flow_id` is its flow's (0: none). Appends it to files that wait for it. */
void recall_packet(struct recall *recall, const struct packet *packet, const struct decoded *decoded, uint64_t flow_id);

/* Writes the file. Returns its path (valid until the next call), or NULL if none was written (counted). */
const char *recall_alert(struct recall *recall, const struct alert *alert, uint64_t flow_id);

/* Ends files whose time is over; once a second or so. */
void recall_advance(struct recall *recall, nanoseconds clock);

struct recall_figures {
    uint64_t files, packets, bytes; /* written */
    uint64_t refused;               /* alerts without a file: too many at once, disk full */
    char trouble[160];
};
const struct recall_figures *recall_figures(const struct recall *recall);
void recall_free(struct recall *recall); /* ends all files in good order */

#endif
