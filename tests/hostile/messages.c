/* Messages of DNS (RFC 1035) and TLS (RFC 8446) as more than one flood sends them. See wire.h. */
#include "wire.h"

#include <string.h>

static size_t put_name(uint8_t *out, const char *name) {
    uint8_t *at = out;
    while (*name) {
        size_t length = strcspn(name, ".");
        *at++ = (uint8_t)length;
        memcpy(at, name, length);
        at += length;
        name += length + (name[length] == '.');
    }
    *at++ = 0;
    return (size_t)(at - out);
}

size_t dns_query(uint8_t *out, uint16_t id, const char *name, unsigned type) {
    memset(out, 0, 12);
    put16(out, id);
    out[2] = 1; /* recursion desired */
    out[5] = 1; /* one question */
    size_t length = 12 + put_name(out + 12, name);
    put16(out + length, type);
    put16(out + length + 2, 1);
    return length + 4;
}

size_t dns_answer(struct wire *w, uint8_t *out, uint16_t id, const char *name, unsigned records) {
    size_t length = dns_query(out, id, name, 1);
    put16(out + 2, 0x8400);
    put16(out + 6, records);
    for (unsigned i = 0; i < records; i++, length += 16) {
        static const uint8_t record[12] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4};
        memcpy(out + length, record, sizeof record);
        put32(out + length + 12, 0x10000000 + below(w, 0x40000000));
    }
    return length;
}

static uint8_t *extension(uint8_t *at, unsigned type, size_t length) {
    put16(at, type);
    put16(at + 2, (uint32_t)length);
    return at + 4;
}

size_t client_hello(struct wire *w, uint8_t *out, const char *name, bool random_suites) {
    size_t name_length = strlen(name);
    unsigned suites = random_suites ? 2 + below(w, 30) : 3;
    uint8_t *at = out + 4;
    put16(at, 0x0303);
    fill(w, at + 2, 32);
    at[34] = 0; /* no session id */
    put16(at + 35, suites * 2);
    at += 37;
    for (unsigned i = 0; i < suites; i++, at += 2)
        put16(at, random_suites ? 0xc000 + below(w, 180) : 0x1301 + i);
    put16(at, 0x0100); /* compression: none */
    uint8_t *extensions = at + 2;
    at = extension(extensions + 2, 0, name_length + 5);
    put16(at, (uint32_t)name_length + 3);
    at[2] = 0;
    put16(at + 3, (uint32_t)name_length);
    memcpy(at + 5, name, name_length);
    at += name_length + 5;
    at = extension(at, 43, 3);
    memcpy(at, "\x02\x03\x04", 3);
    at += 3;
    for (unsigned i = random_suites ? below(w, 8) : 0; i > 0; i--)
        at = extension(at, 100 + below(w, 1000), 0);
    put16(extensions, (uint32_t)(at - extensions - 2));
    size_t length = (size_t)(at - out);
    out[0] = 1;
    out[1] = 0;
    put16(out + 2, (uint32_t)length - 4);
    return length;
}
