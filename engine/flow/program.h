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

enum program_answer {
    PROGRAM_UNKNOWN,
    PROGRAM_TOLD,
    PROGRAM_CONTRADICTED, /* the pid is known, but as another program's than the kernel names */
};

/* Where the room asks. Both functions fill `out` if they say PROGRAM_TOLD; `time` is the packets'. */
struct program_source {
    void *context;
    /* The instance that had that pid on the host of `local` at that time. `name` is what the kernel calls it
     * (program_is_named), NULL if it does not: an instance of another name is not believed, since the log
     * may be of another host, or its clock wrong. */
    enum program_answer (*by_pid)(void *context, const struct ip *local, int32_t pid, const char *name,
                                  nanoseconds time, struct program *out);
    /* The instance that had that socket: for captures which name no process. */
    enum program_answer (*by_socket)(void *context, const struct socket_name *socket, nanoseconds time,
                                     struct program *out);
};

/* May a program of that name be what the kernel calls so? The kernel's p_comm is the base name of the
 * executable, cut to 16 bytes (xnu bsd/sys/param.h, MAXCOMLEN); some that show it cut it to 15. Either of the
 * two may be the one that was cut. Both are words. */
bool program_is_named(const char *program, const char *kernel);

/* The ancestors' names, parent first, joined by " < ": a word, NULL if there is none. */
struct words;
const char *program_ancestry(struct words *words, const char *const ancestors[PROGRAM_ANCESTORS]);

#endif
