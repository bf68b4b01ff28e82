/* Who had which socket: what osquery tells of connections, for captures that name no process.
 *
 * A row of a fixed number of entries, the oldest given up first, found by host, ports and remote address.
 * Where a log names no remote side (a listener, a UDP socket that sends anywhere) the local port must do. */
#ifndef LUNETTE_ENDPOINT_SOCKETS_H
#define LUNETTE_ENDPOINT_SOCKETS_H

#include "base/error.h"
#include "flow/program.h"

struct sockets;

struct sockets *sockets_new(uint32_t most, struct error *err);
void sockets_free(struct sockets *sockets);

/* The process had the socket from that time on; `path` is a word or NULL. Told again, it stays one. */
void sockets_open(struct sockets *sockets, uint32_t host, const struct socket_name *name, int32_t pid,
                  const char *path, nanoseconds time);
void sockets_close(struct sockets *sockets, uint32_t host, const struct socket_name *name, int32_t pid,
                   nanoseconds time);

/* Who had it at that time, of the latest that had such a one; -1 if nobody is known. */
int32_t sockets_find(const struct sockets *sockets, uint32_t host, const struct socket_name *name,
                     nanoseconds time, const char **path);

uint64_t sockets_made(const struct sockets *sockets);

#endif
