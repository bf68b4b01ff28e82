/* JA4, the fingerprint of a TLS client, over TCP (FoxIO's specification "JA4: TLS Client Fingerprinting", the
 * part of the JA4 family that is under the BSD 3-clause licence: technical_details/JA4.md in FoxIO-LLC/ja4).
 */
#ifndef LUNETTE_PROTOCOL_JA4_H
#define LUNETTE_PROTOCOL_JA4_H

#include "protocol/tls_hello.h"

enum { JA4_LENGTH = 36 };

/* Writes the fingerprint and a NUL. `transport` is 't' for TCP, 'q' for QUIC, 'd' for DTLS. Returns false,
 * and writes an empty string, if libcrypto has no SHA-256. */
bool ja4_of(const struct client_hello *hello, char transport, char out[JA4_LENGTH + 1]);

#endif
