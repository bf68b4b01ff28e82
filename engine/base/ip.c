/* Text forms of addresses, by the C library. IPv4 is written by hand: it is on the path of every record. */
#include "base/ip.h"

#include <arpa/inet.h>

static char *put_octet(char *out, uint8_t v) {
    if (v >= 100) {
        *out++ = (char)('0' + v / 100);
        v %= 100;
        *out++ = (char)('0' + v / 10);
    } else if (v >= 10) {
        *out++ = (char)('0' + v / 10);
    }
    *out++ = (char)('0' + v % 10);
    return out;
}

int ip_format(const struct ip *a, char out[IP_TEXT_SIZE]) {
    if (!ip_is_v4(a)) {
        inet_ntop(AF_INET6, a->bytes, out, IP_TEXT_SIZE);
        return (int)strlen(out);
    }
    char *p = out;
    for (int i = 12; i < 16; i++) {
        p = put_octet(p, a->bytes[i]);
        *p++ = '.';
    }
    *--p = '\0';
    return (int)(p - out);
}

int ip_parse(const char *text, struct ip *a) {
    uint8_t v4[4];
    if (inet_pton(AF_INET, text, v4) == 1) {
        ip_from_v4(a, v4);
        return 0;
    }
    return inet_pton(AF_INET6, text, a->bytes) == 1 ? 0 : -1;
}
