/* See tls_hello.h. Each extension is read through a cursor of its own, so that a broken one does no harm to
 * the rest. */
#include "protocol/tls_hello.h"

#include <stdlib.h>

enum extension_type {
    EXTENSION_SERVER_NAME = 0,
    EXTENSION_SUPPORTED_GROUPS = 10,
    EXTENSION_POINT_FORMATS = 11,
    EXTENSION_SIGNATURE_ALGORITHMS = 13,
    EXTENSION_ALPN = 16,
    EXTENSION_PRE_SHARED_KEY = 41,
    EXTENSION_EARLY_DATA = 42,
    EXTENSION_SUPPORTED_VERSIONS = 43,
    EXTENSION_QUIC = 57,
    EXTENSION_QUIC_DRAFT = 0xffa5, /* before RFC 9001 */
    EXTENSION_ENCRYPTED_CLIENT_HELLO = 0xfe0d,
};

/* SHA-256 of "HelloRetryRequest": the random of a ServerHello that is one (RFC 8446 section 4.1.3). */
static const uint8_t retry_random[32] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
                                         0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
                                         0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

/* The next `n` bytes, or as many of them as are there (and the cursor fails). */
static struct slice slice_take(struct cursor *c, size_t n) {
    if (c->failed) return (struct slice){c->end, 0};
    size_t left = cursor_left(c);
    struct slice taken = {c->at, (uint32_t)(n < left ? n : left)};
    if (!cursor_take(c, n)) c->at = c->end;
    return taken;
}

static struct slice slice_cut(struct slice s, uint32_t most, bool *cut) {
    if (s.length <= most) return s;
    *cut = true;
    return (struct slice){s.at, most};
}

static bool read_numbers(struct cursor *c, struct slice *list, bool *cut) {
    *list = slice_cut(slice_take(c, cursor_be16(c)), HELLO_NUMBERS * 2, cut);
    return !c->failed && list->length % 2 == 0;
}

/* A block with its length before it, of which the end may be missing when the capture has only part of a
 * hello. */
static struct cursor block_here(struct cursor *c) {
    struct slice block = slice_take(c, cursor_be16(c));
    return cursor_over(block.at, block.length);
}

static bool read_server_name(struct cursor *c, struct client_hello *hello) {
    hello->has_sni = true;
    struct cursor names = block_here(c);
    while (cursor_left(&names) > 0) {
        uint8_t type = cursor_u8(&names);
        struct slice name = slice_take(&names, cursor_be16(&names));
        if (names.failed) return false;
        if (type == 0 && !hello->sni.at) hello->sni = slice_cut(name, HELLO_SNI, &hello->cut);
    }
    return !c->failed;
}

static bool read_alpn(struct cursor *c, struct client_hello *hello) {
    struct slice names = slice_take(c, cursor_be16(c));
    if (c->failed) return false;
    struct cursor walk = cursor_over(names.at, names.length);
    while (cursor_left(&walk) > 0 && !walk.failed) cursor_take(&walk, cursor_u8(&walk));
    if (walk.failed) return false;
    hello->alpn = slice_cut(names, HELLO_ALPN, &hello->cut);
    return true;
}

static bool read_supported_versions(struct cursor *c, struct client_hello *hello) {
    hello->versions = slice_take(c, cursor_u8(c));
    return !c->failed && hello->versions.length % 2 == 0;
}

static bool read_client_extension(uint16_t type, struct cursor c, struct client_hello *hello) {
    switch (type) {
    case EXTENSION_SERVER_NAME:
        return read_server_name(&c, hello);
    case EXTENSION_ALPN:
        return read_alpn(&c, hello);
    case EXTENSION_SUPPORTED_GROUPS:
        return read_numbers(&c, &hello->groups, &hello->cut);
    case EXTENSION_SIGNATURE_ALGORITHMS:
        return read_numbers(&c, &hello->signature_algorithms, &hello->cut);
    case EXTENSION_SUPPORTED_VERSIONS:
        return read_supported_versions(&c, hello);
    case EXTENSION_POINT_FORMATS:
        hello->point_formats = slice_take(&c, cursor_u8(&c)); /* for JA3 alone: it need not be sound */
        return true;
    case EXTENSION_QUIC:
    case EXTENSION_QUIC_DRAFT:
        hello->quic =
            (struct slice){c.at, (uint32_t)(cursor_left(&c) < HELLO_QUIC ? cursor_left(&c) : HELLO_QUIC)};
        return true;
    case EXTENSION_EARLY_DATA:
        hello->early_data = true;
        return true;
    case EXTENSION_ENCRYPTED_CLIENT_HELLO:
        hello->ech = true;
        return true;
    default:
        return true;
    }
}

static void note_extension(uint16_t type, struct client_hello *hello) {
    if (tls_is_grease(type)) return;
    if (hello->extension_count == HELLO_EXTENSIONS) {
        hello->cut = true;
        return;
    }
    hello->extensions[hello->extension_count++] = type;
}

static bool read_client_extensions(struct cursor *c, struct client_hello *hello) {
    bool sound = true;
    struct cursor block = block_here(c);
    while (cursor_left(&block) > 0) {
        uint16_t type = cursor_be16(&block);
        uint16_t size = cursor_be16(&block);
        if (block.failed) break;
        struct slice content = slice_take(&block, size);
        note_extension(type, hello);
        sound = read_client_extension(type, cursor_over(content.at, content.length), hello) && sound;
        if (block.failed) break;
    }
    return sound && !block.failed && !c->failed;
}

bool client_hello_parse(struct slice body, struct client_hello *out) {
    memset(out, 0, sizeof *out);
    struct cursor c = cursor_over(body.at, body.length);
    out->legacy_version = cursor_be16(&c);
    cursor_take(&c, sizeof retry_random);
    out->session_id = slice_take(&c, cursor_u8(&c));
    bool sound = read_numbers(&c, &out->ciphers, &out->cut);
    cursor_take(&c, cursor_u8(&c)); /* compression methods */
    if (c.failed) return false;
    if (cursor_left(&c) == 0) return sound; /* extensions came with TLS 1.0's RFC 3546 and may be left out */
    return read_client_extensions(&c, out) && sound && cursor_left(&c) == 0;
}

static void lower_case(uint8_t *at, uint32_t length) {
    for (uint32_t i = 0; i < length; i++)
        if (at[i] >= 'A' && at[i] <= 'Z') at[i] |= 0x20;
}

struct client_hello *client_hello_keep(const struct client_hello *hello) {
    size_t bytes = (size_t)hello->session_id.length + hello->sni.length + hello->alpn.length +
                   hello->ciphers.length + hello->versions.length + hello->groups.length +
                   hello->signature_algorithms.length + hello->point_formats.length + hello->quic.length;
    struct client_hello *kept = malloc(sizeof *kept + bytes);
    if (!kept) return NULL;
    *kept = *hello;
    struct slice *const parts[] = {&kept->session_id,
                                   &kept->sni,
                                   &kept->alpn,
                                   &kept->ciphers,
                                   &kept->versions,
                                   &kept->groups,
                                   &kept->signature_algorithms,
                                   &kept->point_formats,
                                   &kept->quic};
    uint8_t *room = (uint8_t *)(kept + 1);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!parts[i]->at) continue;
        memcpy(room, parts[i]->at, parts[i]->length);
        parts[i]->at = room;
        if (parts[i] == &kept->sni) lower_case(room, parts[i]->length);
        room += parts[i]->length;
    }
    return kept;
}

uint32_t hello_numbers(struct slice list, uint16_t out[HELLO_NUMBERS]) {
    uint32_t count = 0;
    for (uint32_t i = 0; i + 1 < list.length && count < HELLO_NUMBERS; i += 2) {
        uint16_t value = load_be16(list.at + i);
        if (!tls_is_grease(value)) out[count++] = value;
    }
    return count;
}

/* Of DTLS, whose numbers count down. */
static uint16_t newest_dtls(const struct client_hello *hello) {
    uint16_t newest = hello->legacy_version;
    for (uint32_t i = 0; i + 1 < hello->versions.length; i += 2) {
        uint16_t value = load_be16(hello->versions.at + i);
        if (value >> 8 == 0xfe && value < newest) newest = value;
    }
    return newest;
}

uint16_t client_hello_version(const struct client_hello *hello) {
    if (hello->legacy_version >> 8 == 0xfe) return newest_dtls(hello);
    uint16_t highest = 0;
    for (uint32_t i = 0; i + 1 < hello->versions.length; i += 2) {
        uint16_t value = load_be16(hello->versions.at + i);
        if (!tls_is_grease(value) && value > highest) highest = value;
    }
    return highest ? highest : hello->legacy_version;
}

static void read_server_extension(uint16_t type, struct cursor c, struct server_hello *hello) {
    switch (type) {
    case EXTENSION_SUPPORTED_VERSIONS:
        hello->version = cursor_be16(&c);
        return;
    case EXTENSION_PRE_SHARED_KEY:
        hello->psk = true;
        return;
    case EXTENSION_ALPN:
        cursor_be16(&c);
        hello->alpn = slice_take(&c, cursor_u8(&c));
        return;
    default:
        return;
    }
}

bool server_hello_parse(struct slice body, struct server_hello *out) {
    memset(out, 0, sizeof *out);
    struct cursor c = cursor_over(body.at, body.length);
    out->version = out->legacy_version = cursor_be16(&c);
    const uint8_t *random = cursor_take(&c, sizeof retry_random);
    out->session_id = slice_take(&c, cursor_u8(&c));
    out->cipher = cursor_be16(&c);
    cursor_u8(&c); /* compression method */
    if (c.failed) return false;
    out->retry = memcmp(random, retry_random, sizeof retry_random) == 0;
    if (cursor_left(&c) == 0) return true;
    struct cursor block = block_here(&c);
    while (cursor_left(&block) > 0) {
        uint16_t type = cursor_be16(&block);
        struct cursor content = cursor_sub(&block, cursor_be16(&block));
        if (block.failed) return false;
        if (out->extension_count < SERVER_EXTENSIONS && !tls_is_grease(type))
            out->extensions[out->extension_count++] = type;
        read_server_extension(type, content, out);
    }
    return !c.failed;
}

static bool session_id_echoed(const struct client_hello *client, struct slice id) {
    return client && id.length > 0 && id.length == client->session_id.length &&
           memcmp(id.at, client->session_id.at, id.length) == 0;
}

void server_hello_keep(const struct server_hello *hello, const struct client_hello *client,
                       struct server_said *out) {
    memset(out, 0, sizeof *out);
    out->version = hello->version;
    out->legacy_version = hello->legacy_version;
    out->cipher = hello->cipher;
    out->resumed = tls_is_13(hello->version) ? hello->psk : session_id_echoed(client, hello->session_id);
    out->alpn_length = (uint8_t)hello->alpn.length;
    if (hello->alpn.length > 0) memcpy(out->alpn, hello->alpn.at, out->alpn_length);
    out->extension_count = hello->extension_count;
    memcpy(out->extensions, hello->extensions, sizeof out->extensions);
}
