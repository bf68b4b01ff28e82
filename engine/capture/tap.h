/* Live interfaces as one stream of packets: libpcap handles that never block.
 *
 *      patterns ─ rescan ─▶ a handle per interface and worker ─ next_burst ─▶ packets
 *
 * A tap belongs to one worker. It holds a handle for each interface that matches its patterns; interfaces
 * that vanish are let go of and picked up again when they are back (tap_rescan, once a second). With several
 * workers the packets of an interface are dealt to them by local host: on Linux by the kernel, each
 * interface's handles being a PACKET_FANOUT group that runs the deal's program; elsewhere, and on Linux if
 * asked for, by a filter of its own on each worker's handle that lets only its share through.
 *
 * Bytes that libpcap shows lie in the kernel's ring, and the part of the ring they lie in may be given back
 * before pcap_dispatch() returns; so the packets of a burst are copied, once, into memory of the tap's. */
#ifndef LUNETTE_CAPTURE_TAP_H
#define LUNETTE_CAPTURE_TAP_H

#include "base/error.h"
#include "capture/packet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tap;
struct tap_groups;

/* How packets are dealt to workers, compiled by sensor/deal.h to classic BPF. Instructions are those of
 * struct bpf_insn / sock_filter: 8 bytes each, host byte order; the same memory serves both. */
struct tap_program {
    const void *instructions;
    uint32_t count;
};
struct tap_deal {
    void *context;
    /* For PACKET_FANOUT_CBPF: returns the worker's index. NULL program: the interface is dealt by shares. */
    struct tap_program (*fanout)(void *context, int dlt);
    /* For a handle's own filter: lets through what is `worker`'s of `workers`, whose frames begin with the
     * link header. NULL program if there is none for this link type: then everything goes to worker 0. */
    struct tap_program (*share)(void *context, int dlt, uint32_t worker, uint32_t workers);
    struct tap_groups *groups; /* of all workers' taps: capture/tap_fanout.h */
};

enum tap_dealing { TAP_FANOUT, TAP_SHARE };

struct tap_options {
    const char *const *patterns; /* interface names, fnmatch(3) patterns ("utun*"), "any"; macOS: "pktap" */
    size_t pattern_count;
    const char *filter;   /* pcap-filter(7), set in the kernel; or NULL */
    uint32_t ring_bytes;  /* of each handle */
    uint32_t snap_length; /* bytes kept of a packet */
    bool promiscuous;
    bool patient; /* a plain name that is not there is waited for too: a sensor that was started again */
    uint32_t worker, workers;
    enum tap_dealing dealing;    /* with several workers */
    const struct tap_deal *deal; /* may be NULL for one worker */
    void *context;
    /* An interface came or went (`why`, or NULL). The descriptor is to be polled for reading from then, until
     * then; it is still open during the call. Called from tap_rescan(), tap_next_burst() and tap_free().
     * An error on the descriptor is no end: an interface that goes down and up again gives one. libuv stops a
     * poll on it (its callback gets UV_EBADF): take a burst then, and if the handle is still open, poll on.
     * Readiness may come late on Linux (libpcap issues 364, 380, 387), so take bursts after each rescan too.
     */
    void (*on_open)(void *context, uint32_t handle, int descriptor, const char *interface);
    void (*on_close)(void *context, uint32_t handle, int descriptor, const char *interface, const char *why);
};

enum { TAP_HANDLES = 64 };

/* NULL and an error that says what to do: no such interface (a plain name must be there at the start, unless
 * it looks like a tunnel's; a pattern may match nothing yet), not a filter (usage). `options` is borrowed for
 * the tap's life. Opens nothing before the first tap_rescan(). */
struct tap *tap_new(const struct tap_options *options, struct error *err);

/* Opens interfaces that match, are up and not open yet, and lets go of those that are gone, down, renamed or
 * made anew. -1 if one that is named plainly cannot be opened (no permission, the filter makes no sense for
 * its link type); the rest is open then. An interface that is not there or down is no failure: it is waited
 * for. Workers' taps must be rescanned in the order of their index, or the kernel's deal differs: a handle
 * that comes out of turn is filtered instead, which is right but slower. */
int tap_rescan(struct tap *tap, struct error *err);

/* Fills `burst` from one handle with up to PACKET_BURST packets that have come, without waiting. Their bytes
 * stay valid until the next call for any handle of the tap. Returns how many: 0 for none now (also if the
 * interface has just gone: on_close was called). */
int tap_next_burst(struct tap *tap, uint32_t handle, struct packet burst[PACKET_BURST]);

/* Name of a packet's interface, "" for 0. A name keeps its index for the tap's life; packets of an interface
 * that comes up after 255 others have 0. */
const char *tap_interface_name(const struct tap *tap, uint8_t interface);

/* One interface's figures since the start, over all times that it was open. */
struct tap_figures {
    const char *interface;
    bool open;
    uint32_t times_opened;
    uint64_t packets, bytes;    /* given to the worker */
    uint64_t dropped;           /* by the kernel: the ring was full */
    uint64_t interface_dropped; /* by the interface, where libpcap can tell */
};
/* Asks the kernel for its counters. Returns how many were written, at most TAP_HANDLES + 1: interfaces whose
 * place was needed for others are added up under the name "gone". */
uint32_t tap_figures(struct tap *tap, struct tap_figures *out, uint32_t max);

/* Times that a PKTAP header named a process for which there was no more room (capture/origin.h). */
uint64_t tap_processes_refused(const struct tap *tap);

void tap_free(struct tap *tap);

#endif
