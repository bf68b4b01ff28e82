/* Where lines go: a file that is rotated, a socket with a spool, syslog, a descriptor.
 *
 * The writer thread hands each receiver whole lines. What a receiver does with them never holds up the
 * workers of a live sensor: it may spool, it may lose and count, it may not wait. (In replay a file or pipe
 * may be waited for: the capture does not run away.) */
#ifndef LUNETTE_OUTPUT_RECEIVER_H
#define LUNETTE_OUTPUT_RECEIVER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct receiver;

/* What an output is, from one word of the command line:
 *      PATH | file:PATH                       JSON lines, appended
 *      -                                      standard output
 *      unix:PATH                              JSON lines to a stream socket
 *      tcp:HOST:PORT                          the same over TCP ([v6] in brackets)
 *      syslog: | syslog:unix:PATH | syslog:udp:HOST:PORT | syslog:tcp:HOST:PORT
 *                                             RFC 5424; alerts and sensor records only; octet counting over TCP (RFC 6587)
 */
struct receiver_options {
    bool live;                /* never wait */
    uint64_t rotate_bytes;    /* file: begin a new one at this size; 0 never */
    uint64_t rotate_seconds;  /* file: begin a new one when it is this old, on the clock's multiples; 0 never */
    uint32_t rotate_keep;     /* file: rotated ones that are kept; 0 all */
    const char *spool_folder; /* sockets: where what cannot be sent waits; NULL: memory only */
    uint64_t spool_bytes;     /* … and how much of it */
};

struct receiver *receiver_open(const char *word, const struct receiver_options *options, struct error *err);

/* Whole lines of JSON, each with its line feed. Writer thread. */
void receiver_write(struct receiver *receiver, const char *lines, size_t length);

/* Does it want this kind of line at all? (syslog: "alert" and "sensor" only.) */
bool receiver_wants(const struct receiver *receiver, const char *event_type);

/* Begin a new file now (SIGUSR1, `lunette ctl rotate`); sockets: try to connect now. Any thread. */
void receiver_rotate(struct receiver *receiver);

struct receiver_figures {
    const char *name;         /* the word it was opened with */
    uint64_t lines, bytes;    /* delivered */
    uint64_t lost;            /* lines that were given up */
    uint64_t spooled;         /* bytes that wait now, memory and disk */
    bool healthy;             /* connected, writable */
    char trouble[160];        /* the last failure, "" if none */
};
void receiver_figures(struct receiver *receiver, struct receiver_figures *out); /* any thread */

/* Waits at most `seconds` for what is still to be sent; the rest stays in the spool, if there is one. -1 if lines were lost. */
int receiver_close(struct receiver *receiver, double seconds, struct error *err);

#endif
