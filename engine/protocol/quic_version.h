/* The versions of QUIC whose Initial packets can be read, and what differs between them (RFC 9001
 * section 5.2, RFC 9369 section 3; drafts: the same sections of draft-ietf-quic-tls; mvfst is Meta's, Q and T
 * are Google's).
 */
#ifndef LUNETTE_PROTOCOL_QUIC_VERSION_H
#define LUNETTE_PROTOCOL_QUIC_VERSION_H

#include <stdbool.h>
#include <stdint.h>

enum { QUIC_SALT_BYTES = 20 };

enum quic_family {
    QUIC_IETF,        /* TLS in CRYPTO frames, Initial packets protected */
    QUIC_GOOGLE_TLS,  /* T050, T051: TLS in Google's own frames */
    QUIC_GOOGLE_SEAL, /* Q050: Google's own hello in protected Initial packets */
    QUIC_GOOGLE_LONG, /* Q044 to Q048: the hello in clear behind a long header of its own form */
    QUIC_GOOGLE,      /* Q043 and before: the hello in clear behind a public header */
};

struct quic_version {
    uint32_t number;
    const char *word; /* "1", "2", "draft-29", "mvfst-27", "Q046" … */
    enum quic_family family;
    bool second;         /* labels and packet types of version 2 */
    const uint8_t *salt; /* of the Initial secret, QUIC_SALT_BYTES; NULL if nothing is protected */
};

/* One of those that nobody speaks, sent to make servers negotiate: 0x?a?a?a?a (RFC 9000 section 15). */
static inline bool quic_version_reserved(uint32_t number) {
    return (number & 0x0f0f0f0f) == 0x0a0a0a0a;
}

/* NULL: unknown. A reserved number gives the version "reserved", whose packets are sealed as version 1's. */
const struct quic_version *quic_version_find(uint32_t number);

#endif
