/* See base64.h. */
#include "base/base64.h"

static int value_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t base64_decode(const char *text, size_t length, uint8_t *out, size_t room) {
    uint32_t bits = 0;
    size_t used = 0;
    unsigned have = 0;
    for (size_t i = 0; i < length && used < room; i++) {
        int value = value_of(text[i]);
        if (value < 0) break;
        bits = (bits << 6 | (uint32_t)value) & 0xffffff;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        out[used++] = (uint8_t)(bits >> have);
    }
    return used;
}
