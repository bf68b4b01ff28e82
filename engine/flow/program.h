/* Programs, as flows know them: what stands behind a process id.
 *
 * Captures name the process that owns a socket (capture/packet.h); endpoint logs tell the rest: its path, who
 * started it, who answers for it, who signed it. The flow room asks for that through flow_surroundings, once
 * per flow and again while it got nothing, so that this header is all that joins the two.
 *
 * Every text here is a word: NUL-terminated, valid UTF-8 without control characters, and never freed while
 * the program runs (base/words.h keeps them, bounded), so that events, alerts and threads may hold on to it.
 */
#ifndef LUNETTE_FLOW_PROGRAM_H
#define LUNETTE_FLOW_PROGRAM_H

#include "base/ip.h"
#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

enum { PROGRAM_ANCESTORS = 8 };

/* An instance of a program. NULL where nothing is known. */
struct program {
    int32_t pid; /* -1 unknown */
    const char *name;
    const char *path;
    const char *arguments;                    /* joined by spaces, at most 1024 bytes */
    const char *ancestors[PROGRAM_ANCESTORS]; /* names, parent first; NULL behind the last */
    const char *responsible;                  /* path */
    const char *signing_id, *team_id;
    const char *platform; /* "yes", "no" or NULL */
};

/* What a flow is asked by, seen from the host that the capture or a log is about. */
struct socket_name {
    struct ip local, remote;
    uint16_t local_port, remote_port;
    uint8_t proto; /* IP protocol number */
};

/* Where the room asks. Both functions fill `out` and return true if they know; `time` is the packets'. */
struct program_source {
    void *context;
    /* The instance that had that pid on the host of `local` at that time. */
    bool (*by_pid)(void *context, const struct ip *local, int32_t pid, nanoseconds time, struct program *out);
    /* The instance that had that socket: for captures which name no process. */
    bool (*by_socket)(void *context, const struct socket_name *socket, nanoseconds time, struct program *out);
};

#endif
