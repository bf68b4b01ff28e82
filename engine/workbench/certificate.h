/* A server's certificate for a test (X.509, RFC 5280): built by libcrypto, signed with a key that everybody
 * knows, the same bytes for the same parts. */
#ifndef LUNETTE_WORKBENCH_CERTIFICATE_H
#define LUNETTE_WORKBENCH_CERTIFICATE_H

#include "base/error.h"

#include <stdint.h>
#include <time.h>

enum { CERTIFICATE_MOST = 8192, CERTIFICATE_NAMES = 64 };

struct certificate_parts {
    const char *subject, *issuer; /* common names */
    const char *const *names;     /* DNS names, or addresses */
    size_t name_count;
    time_t not_before, not_after;
    uint32_t serial;
};

/* Writes DER; returns its length, 0 and why if it cannot be made. */
uint32_t certificate_build(const struct certificate_parts *parts, uint8_t *out, size_t room,
                           struct error *err);

#endif
