/* An IP address: 16 bytes in network order, IPv4 kept as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so that
 * one key type and one prefix matcher serve both families. */
#ifndef LUNETTE_BASE_IP_H
#define LUNETTE_BASE_IP_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct ip {
    uint8_t bytes[16];
};

enum { IP_TEXT_SIZE = 46 };

static const uint8_t ip_v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static inline bool ip_is_v4(const struct ip *a) {
    return memcmp(a->bytes, ip_v4_prefix, 12) == 0;
}

static inline void ip_from_v4(struct ip *a, const uint8_t v4[4]) {
    memcpy(a->bytes, ip_v4_prefix, 12);
    memcpy(a->bytes + 12, v4, 4);
}

static inline bool ip_equals(const struct ip *a, const struct ip *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

/* Writes the usual text form ("192.0.2.1", RFC 5952 for IPv6) and returns its length. */
int ip_format(const struct ip *a, char out[IP_TEXT_SIZE]);

/* Parses either family. Returns 0, or -1 if the text is no address. */
int ip_parse(const char *text, struct ip *a);

#endif
