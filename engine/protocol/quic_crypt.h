/* The protection of Initial packets, which everybody can take off: its keys come from the connection id that
 * the client chose and from a number printed in the RFC (RFC 9001 sections 5.2 to 5.4, RFC 9369 section 3.3).
 */
#ifndef LUNETTE_PROTOCOL_QUIC_CRYPT_H
#define LUNETTE_PROTOCOL_QUIC_CRYPT_H

#include "flow/flow.h"
#include "protocol/quic_packet.h"

struct quic_keys {
    uint8_t key[16], iv[12], header[16];
};

/* libcrypto's objects and room for one packet: one for each worker. NULL: no memory, or libcrypto has no
 * AES-128-GCM. */
struct quic_crypt;
struct quic_crypt *quic_crypt_new(void);
void quic_crypt_free(struct quic_crypt *crypt);

/* Keys by the direction of the packets that they open. Returns false if libcrypto refuses. */
bool quic_initial_keys(struct quic_crypt *crypt, const struct quic_version *version, struct slice dcid,
                       struct quic_keys out[2]);

/* Opens a packet that has a packet number. Returns its frames, which are valid until the next call, or
 * nothing
 * (`at` is NULL) if it is not whole or the keys are not its own. */
struct slice quic_open(struct quic_crypt *crypt, const struct quic_keys *keys,
                       const struct quic_packet *packet);

#endif
