/* See hassh.h. */
#include "protocol/hassh.h"

#include "base/digest.h"

enum {
    KEXINIT_MESSAGE = 20,
    KEXINIT_COOKIE = 16,
    KEXINIT_LARGEST = 35000, /* RFC 4253 section 6.1: what every implementation must take */
};

bool kexinit_parse(struct slice payload, struct slice lists[KEXINIT_LISTS]) {
    struct cursor c = cursor_over(payload.at, payload.length);
    if (cursor_u8(&c) != KEXINIT_MESSAGE) return false;
    cursor_take(&c, KEXINIT_COOKIE);
    for (int i = 0; i < KEXINIT_LISTS; i++) {
        uint32_t length = cursor_be32(&c);
        lists[i] = (struct slice){cursor_take(&c, length), length};
    }
    return !c.failed;
}

bool hassh_of(const struct slice lists[KEXINIT_LISTS], bool client, char out[HASSH_LENGTH + 1]) {
    const struct slice parts[] = {
        lists[KEXINIT_KEX],
        lists[client ? KEXINIT_CIPHER_TO_SERVER : KEXINIT_CIPHER_TO_CLIENT],
        lists[client ? KEXINIT_MAC_TO_SERVER : KEXINIT_MAC_TO_CLIENT],
        lists[client ? KEXINIT_COMPRESSION_TO_SERVER : KEXINIT_COMPRESSION_TO_CLIENT],
    };
    char text[KEXINIT_LARGEST];
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].length >= sizeof text - at) return false;
        if (i > 0) text[at++] = ';';
        memcpy(text + at, parts[i].at, parts[i].length);
        at += parts[i].length;
    }
    return digest_hex(DIGEST_MD5, text, at, out, HASSH_LENGTH) == HASSH_LENGTH;
}
