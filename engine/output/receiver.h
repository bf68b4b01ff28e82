/* Where lines go: a file that is rotated, a socket with a spool, syslog, a descriptor.
 *
 * In a live sensor every receiver has a thread and a queue of its own in memory. Whoever has lines puts them
 * into the queue and goes on; what becomes of them never holds up the workers:
 *
 *      lines ─▶ queue (8 MiB) ─▶ file                        a full disk: tried again each second
 *                             ├▶ standard output             a reader who is gone: lost and counted
 *                             ├▶ socket                      connected and quick
 *                             └▶ spool on disk ─▶ socket     away or slow
 *
 * A line is lost in one place only, the full queue: it is the newest that is refused, whole, and counted, so
 * what arrives is in order. In replay a file or pipe is written by the caller, who waits: the capture does
 * not run away.
 *
 * Sockets deliver at least once. Bytes that the other side's kernel (TCP) or program (Unix) is not known to
 * have taken when a connection ends are sent again, from the start of their line. What a TCP peer had taken
 * but not read when it died nobody can know; it is gone. */
#ifndef LUNETTE_OUTPUT_RECEIVER_H
#define LUNETTE_OUTPUT_RECEIVER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct receiver;

enum {
    RECEIVER_QUEUE_BYTES = 8 * 1024 * 1024,
    RECEIVER_SPOOL_BYTES = 256 * 1024 * 1024, /* if nothing else is asked for */
};

/* What an output is, from one word of the command line:
 *      PATH | file:PATH                       JSON lines, appended
 *      -                                      standard output
 *      unix:PATH                              JSON lines to a stream socket
 *      tcp:HOST:PORT                          the same over TCP ([v6] in brackets)
 *      syslog: | syslog:unix:PATH | syslog:udp:HOST:PORT | syslog:tcp:HOST:PORT
 *                                             RFC 5424; alerts and sensor records only; octet counting over
 * TCP (RFC 6587); "syslog:" is /dev/log
 * Any other word of small letters before a colon is refused: a file of that name is file:… or ./… */
struct receiver_options {
    bool live;             /* never wait */
    uint64_t rotate_bytes; /* file: begin a new one before it grows beyond this size; 0 never */
    uint64_t
        rotate_seconds;   /* file: begin a new one when it is this old, on the clock's multiples; 0 never */
    uint32_t rotate_keep; /* file: rotated ones that are kept; 0 all */
    const char *spool_folder; /* sockets: where what cannot be sent waits; NULL: memory only */
    uint64_t spool_bytes;     /* … and how much of it, for each socket; 0: RECEIVER_SPOOL_BYTES */
    uint64_t queue_bytes;     /* 0: RECEIVER_QUEUE_BYTES */
};

/* A file that cannot be opened, or that another live sensor writes, and a word that makes no sense
 * (err->usage) are errors; a socket that nobody
 * listens on is not. Starts a thread, if live or a socket. */
struct receiver *receiver_open(const char *word, const struct receiver_options *options, struct error *err);

/* The same for a descriptor that is already open; it is borrowed. */
struct receiver *receiver_open_descriptor(int fd, const char *name, const struct receiver_options *options,
                                          struct error *err);

/* The path if the word means a file, "-" for standard output, NULL for everything else. Points into `word`.
 */
const char *receiver_path(const char *word);

/* Replay: empties the file, if it is one. Before the first write. */
int receiver_empty(struct receiver *receiver, struct error *err);

/* Whole lines of JSON, each with its line feed. Any thread. */
void receiver_write(struct receiver *receiver, const char *lines, size_t length);

/* Waits until so many bytes fit into its queue, at most so many seconds, and not where there is nobody to
 * take them. Returns the seconds that are left. Any thread. */
double receiver_await(struct receiver *receiver, size_t length, double seconds);

/* Does it want this kind of line at all? (syslog: "alert" and "sensor" only.) receiver_write() looks itself.
 */
bool receiver_wants(const struct receiver *receiver, const char *event_type);

/* Begin a new file now (SIGUSR1, `lunette ctl rotate`), or open it again if somebody moved it away; sockets:
 * try to connect now. Any thread. */
void receiver_rotate(struct receiver *receiver);

/* Replay: true once a write has failed for good. Any thread. */
bool receiver_failed(struct receiver *receiver);

struct receiver_figures {
    const char *name;      /* the word it was opened with */
    uint64_t lines, bytes; /* delivered */
    uint64_t lost;         /* lines that were given up */
    uint64_t spooled;      /* bytes that wait now, memory and disk */
    bool healthy;          /* connected, writable */
    char trouble[160];     /* the last failure, "" if none */
};
void receiver_figures(struct receiver *receiver, struct receiver_figures *out); /* any thread */

/* Waits at most `seconds` for what is still to be sent; the rest stays in the spool, if there is one. Frees.
 * -1 if a file could not be written (replay) or lines were lost since it was opened. */
int receiver_close(struct receiver *receiver, double seconds, struct error *err);

#endif
