/* Rolling capture: the packets of a flow from before and after an alert, as a pcapng file.
 *
 * Each worker copies its packets into a ring of fixed size. When a detector alerts on an event of a flow, the
 * flow's packets that are still in the ring are written to a new file, and what the flow says after it is
 * appended until its time is over or a bound is reached. The alert is the section's comment and that of the
 * first packet, where Wireshark shows it. A further alert on a flow whose file is still open becomes a
 * comment of the next packet. An alert without a flow (from a timer) takes the packets of its host (`who`, if
 * that is an address) instead, and says so.
 *
 * A file can be read at any time: it ends with a whole block whenever it is written to, which is at the
 * alert, once a second, and at its end. Its last block (interface statistics) has a comment that says why it
 * ended.
 *
 * For the caller: SIGXFSZ must be ignored, so that a file size limit is an error and no death. A recall
 * belongs to its worker, but an alert on one of its flows may be raised by what gathers over all workers, on
 * another thread: so whoever calls something here holds the recall meanwhile. */
#ifndef LUNETTE_SENSOR_RECALL_H
#define LUNETTE_SENSOR_RECALL_H

#include "base/error.h"
#include "capture/packet.h"
#include "decode/decode.h"
#include "event/alert.h"

struct recall;

struct recall_options {
    const char *folder;  /* made if it is not there; its parent must be */
    uint64_t ring_bytes; /* per worker, default 32 MiB, at least 64 KiB */
    nanoseconds before,
        after;           /* defaults 60 s and 30 s of packet time around the alert; if the flow was silent
                          * before it (an alert about a flow's end), `before` counts from its last packet */
    uint64_t file_bytes; /* a file's bound, default 4 MiB, at least 128 KiB; three quarters of it for what was
                          * before the alert, of which the newest is kept */
    uint32_t files;   /* of ours in the folder, default 1000: the oldest go. Workers that begin files at the
                       * same moment may be over it by one each for that moment */
    uint32_t at_once; /* files that are still appended to, default 64; more alerts are counted, not kept */
    uint32_t per_second; /* files a second of packet time, default 16, with bursts of 64; 0: no bound */
    uint32_t worker;
    const char *(*interface_name)(void *context, uint8_t interface);
    void *context;
};
struct recall_options recall_options_defaults(void);

/* NULL if the folder cannot be made or written to, or there is no memory. */
struct recall *recall_new(const struct recall_options *options, struct error *err);

/* Keeps other threads off, also from what recall_alert() returned. Not nested. */
void recall_hold(struct recall *recall);
void recall_release(struct recall *recall);

/* Copies the packet into the ring; `flow_id` is its flow's (0: none). Appends it to files that wait for it.
 * Flow ids count up in the order of the flows' first packets: what is said to be missing rests on that. */
void recall_packet(struct recall *recall, const struct packet *packet, const struct decoded *decoded,
                   uint64_t flow_id);

/* Writes the file. Returns its path (valid until the next call), or NULL if none was written (counted). The
 * packet that the alert is about may come afterwards. If no packet comes at all the file is removed when its
 * time is over. */
const char *recall_alert(struct recall *recall, const struct alert *alert, uint64_t flow_id);

/* Ends files whose time is over and writes what waits; once a second or so. */
void recall_advance(struct recall *recall, nanoseconds clock);

/* They only grow, but for `trouble` and `open`. */
struct recall_figures {
    uint64_t files, packets, bytes; /* written; files that have a packet */
    uint64_t
        refused; /* alerts without a file: too many at once or a second, it could not be made, disk full */
    uint64_t nothing;   /* alerts without a file: no packet came, or neither flow nor address to go by */
    uint64_t left_out;  /* packets that a file had no room for */
    uint64_t ended;     /* files that ended early since the disk was full or failed */
    uint64_t removed;   /* oldest files that gave way */
    uint64_t too_large; /* packets larger than half the ring: only in files that were open */
    uint32_t open;
    char trouble[160]; /* what failed last, "" once a file was written again */
};
const struct recall_figures *recall_figures(const struct recall *recall);

/* Ends all files in good order. Takes NULL as well. */
void recall_free(struct recall *recall);

#endif
