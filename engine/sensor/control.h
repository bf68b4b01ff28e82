/* The control socket: HTTP/1.1 with JSON on a Unix socket of mode 0600, so that curl speaks it, and metrics
 * in Prometheus' text format there and, if asked for, on a loopback TCP port.
 *
 *      GET  /status /scripts /hosts?limit= /alerts?limit= /top /metrics /flows?host=&limit=
 * /cards?host=&limit= POST /reload?force=1 /rotate /stop /log-level?level=debug
 *
 * Answers are JSON, also those that say no: {"error":"…"}. libmicrohttpd runs a thread for each request, so
 * that a reload that takes its time or a client that does holds up nobody else, with bounds on how many there
 * may be, on the size of a request and on how long it may take to arrive. A peer of another user is turned
 * away (besides root). Nothing here reaches into a worker: answers come from the board and from the calls
 * below. */
#ifndef LUNETTE_SENSOR_CONTROL_H
#define LUNETTE_SENSOR_CONTROL_H

#include "base/error.h"
#include "output/buffer.h"
#include "sensor/board.h"

struct control;

/* Made from control's threads: `board` from several at once, `reload` from one at a time, the others from one
 * at a time. `stop` is called when the answer has been sent. control_close() waits for calls under way:
 * whoever closes must first see to it that `flows` and `reload` return. */
struct control_calls {
    void *context;
    void (*board)(void *context, struct board *out);
    /* Appends a JSON array of at most `limit` flows that are open now; `host` (text of an address) or NULL.
     * -1 if the workers did not answer in time. */
    int (*flows)(void *context, const char *host, uint32_t limit, struct buffer *json, struct error *err);
    /* Appends a JSON array of the records of at most `limit` hosts, the busiest first; `host` as above. */
    int (*cards)(void *context, const char *host, uint32_t limit, struct buffer *json, struct error *err);
    /* Reloads; waits for the outcome. `summary` says what was done, `err` why not. */
    int (*reload)(void *context, bool force, char *summary, size_t size, struct error *err);
    void (*rotate)(void *context);
    void (*stop)(void *context);
};

struct control_options {
    const char
        *path; /* of the Unix socket, or NULL for none. A stale one is replaced, a live one is an error */
    const char *metrics; /* "127.0.0.1:9177", "[::1]:9177": loopback only; or NULL */
    struct control_calls calls;
};

/* After privileges were given up, so that the socket belongs to the user who runs the sensor; its folder is
 * made before (sensor/control_path.h). */
struct control *control_open(const struct control_options *options, struct error *err);

/* Once a second: ends connections that take too long, and makes the socket anew if somebody removed it. -1
 * and why if that fails (told once). */
int control_mend(struct control *control, struct error *err);
void control_close(struct control *control);

#endif
