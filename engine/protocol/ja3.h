/* JA3 and JA3S, the older fingerprints of TLS clients and servers (Salesforce, 2017: "TLS Fingerprinting with
 * JA3 and JA3S"): numbers of the hello in decimal, joined by '-' within a list and by ',' between lists, and
 * the MD5 of that text. GREASE values are left out (RFC 8701). */
#ifndef LUNETTE_PROTOCOL_JA3_H
#define LUNETTE_PROTOCOL_JA3_H

#include "protocol/tls_hello.h"

enum {
    JA3_LENGTH = 32,
    /* "65535," for each number of the longest lists: ciphers, groups, extensions, 255 point formats. */
    JA3_TEXT = (2 * HELLO_NUMBERS + HELLO_EXTENSIONS + 256 + 2) * 6,
};

/* version,ciphers,extensions,groups,point formats. Returns the length; `out` is not terminated. */
uint32_t ja3_text(const struct client_hello *hello, char out[JA3_TEXT]);

/* version,cipher,extensions. */
uint32_t ja3s_text(const struct server_said *said, char out[JA3_TEXT]);

/* The MD5 of a text, in hex, and a NUL. Returns false, and writes an empty string, if libcrypto offers no
 * MD5. */
bool ja3_hash(const char *text, uint32_t length, char out[JA3_LENGTH + 1]);

#endif
