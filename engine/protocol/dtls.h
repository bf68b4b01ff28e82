/* DTLS beside another protocol on one pair of ports: WebRTC's, where STUN comes first and its first byte
 * tells them apart (RFC 7983). The parser that has the flow keeps one of these and shows it what is DTLS's.
 */
#ifndef LUNETTE_PROTOCOL_DTLS_H
#define LUNETTE_PROTOCOL_DTLS_H

#include "flow/protocol.h"

struct dtls;

/* Does a handshake begin here? */
bool dtls_begins(struct slice payload, uint32_t original);

/* The caller owns it; NULL without memory. `c->shared` of whoever calls the others is a certificate cache. */
struct dtls *dtls_new(void);

/* Reads a datagram. True when all is told: nothing more is wanted. */
bool dtls_read(struct conversation *c, struct dtls *d, enum direction direction, struct slice payload,
               uint32_t original);

/* Tells what is known and was not told. */
void dtls_finish(struct conversation *c, struct dtls *d);

/* NULL is fine. */
void dtls_free(struct dtls *d);

#endif
