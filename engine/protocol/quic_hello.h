/* What the `quic` event tells beside the TLS hello: QUIC's transport parameters (RFC 9000 section 18), and
 * the hello of Google's QUIC, which is no TLS ("QUIC Crypto", 2013). */
#ifndef LUNETTE_PROTOCOL_QUIC_HELLO_H
#define LUNETTE_PROTOCOL_QUIC_HELLO_H

#include "base/bytes.h"
#include "event/batch.h"

#include <stdbool.h>

/* The parameters as ClientHello's extension holds them. */
void quic_hello_parameters(struct batch *batch, struct event_quic_body *body, struct slice parameters);

/* A CHLO: the values of its tags SNI and UAID, empty if they are not there. */
struct quic_chlo {
    struct slice sni, agent;
};

/* Looks for a CHLO at the beginning of a packet's frames; the frame that it lies in has no form that all
 * versions share, so it is known by its tag. Returns false if there is none. */
bool quic_chlo_find(struct slice frames, struct quic_chlo *out);

#endif
