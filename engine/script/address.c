/* Addresses are compared as two 64-bit words in host order; IPv4 lies below ::ffff:0:0/96, so its blocks are
 * 96 bits longer than they are written. What an address is for comes from the IANA special-purpose registries
 * (RFC 6890, as of 2025): the longest block that has it decides. */
#include "script/address.h"

#include "base/bytes.h"
#include "base/ip.h"
#include "script/api.h"

#include <stdio.h>
#include <stdlib.h>

struct words {
    uint64_t high, low;
};

#define V4(a, b, c, d, bits)                                                                                 \
    {0, UINT64_C(0xffff) << 32 | (uint64_t)(a) << 24 | (b) << 16 | (c) << 8 | (d)}, (bits) + 96

/* Blocks that other hosts of the Internet cannot reach, and the exceptions in them. `traits` are those of
 * an address in it; LUNETTE_GLOBAL where it can be reached. In order of length within what overlaps. */
static const struct special {
    struct words at;
    uint32_t bits;
    uint32_t traits;
} special[] = {
    {V4(0, 0, 0, 0, 8), 0},                            /* "this network", RFC 791 */
    {V4(10, 0, 0, 0, 8), LUNETTE_PRIVATE},             /* RFC 1918 */
    {V4(100, 64, 0, 0, 10), 0},                        /* shared by providers, RFC 6598 */
    {V4(127, 0, 0, 0, 8), LUNETTE_LOOPBACK},           /* RFC 1122 */
    {V4(169, 254, 0, 0, 16), LUNETTE_LINK_LOCAL},      /* RFC 3927 */
    {V4(172, 16, 0, 0, 12), LUNETTE_PRIVATE},          /* RFC 1918 */
    {V4(192, 0, 0, 0, 24), 0},                         /* protocol assignments, RFC 6890 */
    {V4(192, 0, 0, 9, 32), LUNETTE_GLOBAL},            /* PCP anycast, RFC 7723 */
    {V4(192, 0, 0, 10, 32), LUNETTE_GLOBAL},           /* TURN anycast, RFC 8155 */
    {V4(192, 0, 2, 0, 24), 0},                         /* documentation, RFC 5737 */
    {V4(192, 168, 0, 0, 16), LUNETTE_PRIVATE},         /* RFC 1918 */
    {V4(198, 18, 0, 0, 15), 0},                        /* benchmarks, RFC 2544 */
    {V4(198, 51, 100, 0, 24), 0},                      /* documentation */
    {V4(203, 0, 113, 0, 24), 0},                       /* documentation */
    {V4(224, 0, 0, 0, 4), LUNETTE_MULTICAST},          /* RFC 5771 */
    {V4(240, 0, 0, 0, 4), 0},                          /* reserved, limited broadcast among it, RFC 1112 */
    {{0, 0}, 128, 0},                                  /* unspecified */
    {{0, 1}, 128, LUNETTE_LOOPBACK},                   /* RFC 4291 */
    {{0x0064ff9b00010000, 0}, 48, 0},                  /* local translation, RFC 8215 */
    {{0x0100000000000000, 0}, 64, 0},                  /* discard-only, RFC 6666 */
    {{0x0100000000000001, 0}, 64, 0},                  /* dummy prefix, RFC 9780 */
    {{0x2001000000000000, 0}, 23, 0},                  /* protocol assignments, RFC 2928 */
    {{0x2001000100000000, 1}, 128, LUNETTE_GLOBAL},    /* PCP anycast */
    {{0x2001000100000000, 2}, 128, LUNETTE_GLOBAL},    /* TURN anycast */
    {{0x2001000100000000, 3}, 128, LUNETTE_GLOBAL},    /* DNS-SD registration, RFC 9665 */
    {{0x2001000300000000, 0}, 32, LUNETTE_GLOBAL},     /* AMT, RFC 7450 */
    {{0x2001000401120000, 0}, 48, LUNETTE_GLOBAL},     /* AS112, RFC 7535 */
    {{0x2001002000000000, 0}, 28, LUNETTE_GLOBAL},     /* ORCHIDv2, RFC 7343 */
    {{0x2001003000000000, 0}, 28, LUNETTE_GLOBAL},     /* drone identifiers, RFC 9374 */
    {{0x20010db800000000, 0}, 32, 0},                  /* documentation, RFC 3849 */
    {{0x3fff000000000000, 0}, 20, 0},                  /* documentation, RFC 9637 */
    {{0x5f00000000000000, 0}, 16, 0},                  /* segment routing, RFC 9602 */
    {{0xfc00000000000000, 0}, 7, LUNETTE_PRIVATE},     /* unique local, RFC 4193 */
    {{0xfe80000000000000, 0}, 10, LUNETTE_LINK_LOCAL}, /* RFC 4291 */
    {{0xff00000000000000, 0}, 8, LUNETTE_MULTICAST},   /* RFC 4291 */
};

static int parse(const char *text, uint32_t length, struct ip *address) {
    char copy[IP_TEXT_SIZE];
    if (length >= sizeof copy || memchr(text, '\0', length)) return -1;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return ip_parse(copy, address);
}

static struct words words_of(const struct ip *address) {
    return (struct words){.high = load_be64(address->bytes), .low = load_be64(address->bytes + 8)};
}

/* The first `bits` bits of a 64-bit word; less than 0 or more than 64 are none or all. */
static uint64_t word_mask(int bits) {
    if (bits <= 0) return 0;
    return bits >= 64 ? UINT64_MAX : ~(UINT64_MAX >> bits);
}

static struct words words_mask(struct words words, uint32_t bits) {
    words.high &= word_mask((int)bits);
    words.low &= word_mask((int)bits - 64);
    return words;
}

static bool words_within(struct words words, struct words block, uint32_t bits) {
    words = words_mask(words, bits);
    return words.high == block.high && words.low == block.low;
}

uint32_t address_traits(const char *text, uint32_t length) {
    struct ip address;
    if (parse(text, length, &address) < 0) return 0;
    struct words words = words_of(&address);
    uint32_t traits = LUNETTE_GLOBAL, longest = 0;
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        if (special[i].bits < longest || !words_within(words, special[i].at, special[i].bits)) continue;
        longest = special[i].bits;
        traits = special[i].traits;
    }
    return traits | (ip_is_v4(&address) ? LUNETTE_IPV4 : LUNETTE_IPV6);
}

/* The number behind a block's slash, -1 if it is none. */
static int prefix_length(const char *text, uint32_t length, int most) {
    int bits = 0;
    if (length == 0 || length > 3) return -1;
    for (uint32_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return -1;
        bits = bits * 10 + (text[i] - '0');
    }
    return bits <= most ? bits : -1;
}

int32_t address_inside(const char *text, uint32_t length, const char *block, uint32_t block_length) {
    struct ip address, network;
    const char *slash = memchr(block, '/', block_length);
    uint32_t before = slash ? (uint32_t)(slash - block) : block_length;
    if (parse(block, before, &network) < 0) return BLOCK_NONE;
    int most = ip_is_v4(&network) ? 32 : 128, bits = most;
    if (slash) bits = prefix_length(slash + 1, block_length - before - 1, most);
    if (bits < 0) return BLOCK_NONE;
    if (parse(text, length, &address) < 0) return ADDRESS_NONE;
    if (ip_is_v4(&address) != ip_is_v4(&network)) return 0;
    uint32_t all_bits = (uint32_t)bits + (most == 32 ? 96 : 0);
    return words_within(words_of(&address), words_mask(words_of(&network), all_bits), all_bits);
}

int32_t address_canonical(const char *text, uint32_t length, char *out) {
    struct ip address;
    if (parse(text, length, &address) < 0) return ADDRESS_NONE;
    return ip_format(&address, out);
}

int32_t address_reverse(const char *text, uint32_t length, char *out) {
    static const char digits[] = "0123456789abcdef";
    struct ip address;
    if (parse(text, length, &address) < 0) return ADDRESS_NONE;
    const uint8_t *bytes = address.bytes;
    if (ip_is_v4(&address))
        return sprintf(out, "%u.%u.%u.%u.in-addr.arpa", bytes[15], bytes[14], bytes[13], bytes[12]);
    char *at = out;
    for (int i = 15; i >= 0; i--) {
        *at++ = digits[bytes[i] & 15];
        *at++ = '.';
        *at++ = digits[bytes[i] >> 4];
        *at++ = '.';
    }
    return (int32_t)(at - out) + sprintf(at, "ip6.arpa");
}

int32_t address_network(const char *text, uint32_t length, uint32_t bits, char *out) {
    struct ip address;
    if (parse(text, length, &address) < 0) return ADDRESS_NONE;
    bool v4 = ip_is_v4(&address);
    if (bits > (v4 ? 32 : 128)) return BLOCK_NONE;
    struct words words = words_mask(words_of(&address), bits + (v4 ? 96 : 0));
    for (int i = 0; i < 8; i++) {
        address.bytes[i] = (uint8_t)(words.high >> (56 - 8 * i));
        address.bytes[i + 8] = (uint8_t)(words.low >> (56 - 8 * i));
    }
    int used = ip_format(&address, out);
    return used + sprintf(out + used, "/%u", bits);
}
