/* See tls_event.h. JA3 is made here and not when the hello is read, since nothing but this event shows it. */
#include "protocol/tls_event.h"

#include "protocol/ja3.h"

enum {
    ALPN_NAMES = 64,  /* protocols of a ClientHello that are reported */
    PUSH_PORT = 5223, /* of Apple's push service, which others use too */
};

const char *tls_version_word(uint16_t version) {
    if (tls_is_13(version)) return "TLS 1.3";
    switch (version) {
    case 0x0303:
        return "TLS 1.2";
    case 0x0302:
        return "TLS 1.1";
    case 0x0301:
        return "TLS 1.0";
    case 0x0300:
        return "SSLv3";
    case 0xfeff:
    case 0x0100: /* from before its RFC: Cisco's */
        return "DTLS 1.0";
    case 0xfefd:
        return "DTLS 1.2";
    case 0xfefc:
        return "DTLS 1.3";
    default:
        return NULL;
    }
}

static struct list_ref numbers_list(struct batch *batch, struct slice list) {
    uint16_t numbers[HELLO_NUMBERS];
    return batch_u16s(batch, numbers, hello_numbers(list, numbers));
}

struct list_ref tls_event_alpns(struct batch *batch, struct slice names) {
    struct text_ref items[ALPN_NAMES];
    uint32_t count = 0;
    struct cursor c = cursor_over(names.at, names.length);
    while (cursor_left(&c) > 0 && count < ALPN_NAMES) {
        uint8_t length = cursor_u8(&c);
        const uint8_t *name = cursor_take(&c, length);
        if (!name) break; /* the list was cut */
        items[count++] = batch_text(batch, name, length);
    }
    return batch_list(batch, items, count);
}

static void put_fingerprint(struct batch *batch, const char *text, uint32_t length, struct text_ref *hash,
                            struct text_ref *full) {
    char digits[JA3_LENGTH + 1];
    if (!ja3_hash(text, length, digits)) return;
    *hash = batch_text(batch, digits, JA3_LENGTH);
    *full = batch_text(batch, text, length);
}

void tls_event_part_of_client(struct batch *batch, struct event_tls_body *body,
                              const struct client_hello *hello) {
    if (hello->sni.length > 0) body->sni = batch_text(batch, hello->sni.at, hello->sni.length);
    body->client_version = hello->legacy_version;
    body->ech = hello->ech;
}

void tls_event_client(struct batch *batch, struct event_tls_body *body, const struct client_hello *hello,
                      const char *ja4) {
    tls_event_part_of_client(batch, body, hello);
    body->has_client_hello = true;
    if (ja4[0]) body->ja4 = batch_string(batch, ja4);
    if (hello->sound && !hello->cut) {
        char text[JA3_TEXT];
        put_fingerprint(batch, text, ja3_text(hello, text), &body->ja3, &body->ja3_full);
    }
    if (hello->alpn.length > 0) body->client_alpns = tls_event_alpns(batch, hello->alpn);
    body->client_versions = numbers_list(batch, hello->versions);
    body->ciphers = numbers_list(batch, hello->ciphers);
    body->extensions = batch_u16s(batch, hello->extensions, hello->extension_count);
    body->groups = numbers_list(batch, hello->groups);
    body->signature_algorithms = numbers_list(batch, hello->signature_algorithms);
    if (!body->has_server_hello) body->version = tls_version_word(client_hello_version(hello));
}

static bool offers_push(struct slice alpn) {
    static const char *const marks[] = {"apns-security-v", "apns-pack-v"};
    struct cursor c = cursor_over(alpn.at, alpn.length);
    while (cursor_left(&c) > 0) {
        uint8_t length = cursor_u8(&c);
        const uint8_t *name = cursor_take(&c, length);
        for (size_t i = 0; name && i < sizeof marks / sizeof marks[0]; i++)
            if (length > strlen(marks[i]) && memcmp(name, marks[i], strlen(marks[i])) == 0) return true;
    }
    return false;
}

/* 17.0.0.0/8, from which Apple's couriers answer. */
static bool apple_block(const struct ip *address) {
    return ip_is_v4(address) && address->bytes[12] == 17;
}

const char *tls_service_word(const struct client_hello *hello, const struct event_head_body *head) {
    bool push = offers_push(hello->alpn) || slice_ends(hello->sni, ".push.apple.com") ||
                (head->server_port == PUSH_PORT && apple_block(&head->server_ip));
    return push ? "apns" : NULL;
}

void tls_event_server(struct batch *batch, struct event_tls_body *body, const struct server_said *said) {
    char text[JA3_TEXT];
    body->has_server_hello = true;
    body->version = tls_version_word(said->version);
    body->server_version = said->version;
    body->cipher = said->cipher;
    body->resumed = said->resumed;
    if (said->alpn_length > 0) body->server_alpn = batch_text(batch, said->alpn, said->alpn_length);
    put_fingerprint(batch, text, ja3s_text(said, text), &body->ja3s, &body->ja3s_full);
}
