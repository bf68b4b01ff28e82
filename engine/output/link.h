/* A connection to whoever takes records: opened without waiting, sent to without waiting. It knows how much
 * of what was sent the other side has not taken yet. Used by one thread.
 *
 * What is not known to be taken: for TCP what the peer's kernel has not acknowledged, for Unix sockets what
 * the peer has not read (rounded up, since the kernel counts its own buffers). Datagrams are gone once they
 * are sent. */
#ifndef LUNETTE_OUTPUT_LINK_H
#define LUNETTE_OUTPUT_LINK_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum link_kind { LINK_UNIX, LINK_TCP, LINK_UNIX_DATAGRAM, LINK_UDP, LINK_DESCRIPTOR };

struct link;

enum { LINK_DATAGRAM_MOST = 65000 };

/* `address`: a path, or HOST:PORT with v6 addresses in brackets. `word` is what the user wrote, for messages.
 */
struct link *link_new(enum link_kind kind, const char *address, const char *word, struct error *err);

/* A pipe or terminal that is open already and borrowed; it does not come back. */
struct link *link_from(int fd, struct error *err);
void link_free(struct link *link);

bool link_is_datagram(const struct link *link);

/* Looks up the host's name: this may wait for a name server. -1 if there is none. */
int link_resolve(struct link *link, struct error *err);

/* Begins to connect to the next of the addresses. */
int link_connect(struct link *link, struct error *err);

enum link_state { LINK_DOWN, LINK_CONNECTING, LINK_UP, LINK_OVER /* never again */ };
enum link_state link_state(const struct link *link);

/* The descriptor to poll and for what; -1 if there is none. */
int link_descriptor(const struct link *link);
short link_events(const struct link *link, bool has_more);

/* Deals with what poll() said. -1: the connection is down, `err` says why. */
int link_look(struct link *link, short events, struct error *err);

/* Sends what goes; 0 if nothing does at the moment, -1 if the connection is down. A datagram goes whole or
 * not at all.
 */
long link_send(struct link *link, const char *at, size_t length, struct error *err);

/* At most so many of the bytes sent last have not been taken. */
size_t link_untaken(struct link *link);

void link_close(struct link *link);

#endif
