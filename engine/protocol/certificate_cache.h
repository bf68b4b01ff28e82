/* Certificates that were read before.
 *
 * A Mac meets the same few hundred certificates again and again, and OpenSSL needs some 40 µs to read one. So
 * each worker keeps what it found out about the last ones, by a keyed 128-bit hash of their bytes (XXH3:
 * nobody who does not know the key can make two certificates meet). Bounded: SLOTS certificates, and none
 * with more than TEXT_MOST bytes to say. */
#ifndef LUNETTE_PROTOCOL_CERTIFICATE_CACHE_H
#define LUNETTE_PROTOCOL_CERTIFICATE_CACHE_H

#include "base/bytes.h"
#include "event/batch.h"

#include <stdbool.h>

struct certificate_cache;

struct certificate_cache *certificate_cache_new(void);
void certificate_cache_free(struct certificate_cache *cache);

/* As certificate_describe(). A NULL cache (no memory) only costs time. */
bool certificate_cache_describe(struct certificate_cache *cache, struct slice der, struct batch *batch,
                                struct event_tls_body *out);

#endif
