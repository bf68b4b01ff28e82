/* Message digests, by libcrypto. The algorithms are looked up once for the whole process: a look-up per call
 * (as in EVP_sha256()) costs more than hashing the few hundred bytes that a fingerprint is made of. */
#ifndef LUNETTE_BASE_DIGEST_H
#define LUNETTE_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

enum digest_kind { DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA256, DIGEST_KINDS };
enum { DIGEST_MAX_BYTES = 32 };

/* Writes the digest and returns its length: 16, 20 or 32. Returns 0 if libcrypto does not offer the
 * algorithm, as MD5 in a FIPS-only set-up. */
size_t digest_bytes(enum digest_kind kind, const void *data, size_t length, uint8_t out[DIGEST_MAX_BYTES]);

/* Writes the first `digits` lower-case hex digits of the digest (an even number, at most twice its length)
 * and a NUL. Returns `digits`, or 0 and an empty string as above. */
size_t digest_hex(enum digest_kind kind, const void *data, size_t length, char *out, size_t digits);

#endif
