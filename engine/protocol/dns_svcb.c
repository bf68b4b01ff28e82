/* SVCB and HTTPS parameters: key, length, value, one after the other.
 *
 * The value's form follows from its key. Encrypted ClientHello keys are long and random, so only their
 * presence is told. Keys that have no form here are written by number and without their value, as "key65280".
 */
#include "protocol/dns_svcb.h"

#include "base/ip.h"
#include "protocol/dns_text.h"

enum svcb_key {
    SVCB_MANDATORY = 0,
    SVCB_ALPN = 1,
    SVCB_NO_DEFAULT_ALPN = 2,
    SVCB_PORT = 3,
    SVCB_IPV4HINT = 4,
    SVCB_ECH = 5,
    SVCB_IPV6HINT = 6,
    SVCB_DOHPATH = 7, /* RFC 9461 */
    SVCB_OHTTP = 8,   /* RFC 9540 */
};

static void put_key(struct dns_text *text, uint16_t key) {
    static const char *const words[] = {"mandatory", "alpn",     "no-default-alpn", "port", "ipv4hint",
                                        "ech",       "ipv6hint", "dohpath",         "ohttp"};
    if (key < sizeof words / sizeof words[0]) {
        dns_text_word(text, words[key]);
        return;
    }
    dns_text_word(text, "key");
    dns_text_number(text, key);
}

/* Visible ASCII as it is; blanks, commas, quotes, backslashes and the rest as \DDD, so that words stay apart.
 */
static void put_escaped(struct dns_text *text, const uint8_t *bytes, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) {
        uint8_t byte = bytes[i];
        if (byte > 0x20 && byte < 0x7f && byte != ',' && byte != '"' && byte != '\\') {
            dns_text_put(text, &byte, 1);
            continue;
        }
        char escape[4] = {'\\', (char)('0' + byte / 100), (char)('0' + byte / 10 % 10),
                          (char)('0' + byte % 10)};
        dns_text_put(text, escape, sizeof escape);
    }
}

static void put_alpn(struct dns_text *text, struct cursor *value) {
    for (bool first = true; cursor_left(value) && !value->failed; first = false) {
        uint8_t size = cursor_u8(value);
        const uint8_t *id = cursor_take(value, size);
        if (!id) return;
        if (!first) dns_text_put(text, ",", 1);
        put_escaped(text, id, size);
    }
}

static void put_addresses(struct dns_text *text, struct cursor *value, size_t size) {
    for (bool first = true; cursor_left(value) && !value->failed; first = false) {
        const uint8_t *bytes = cursor_take(value, size);
        if (!bytes) return;
        struct ip address;
        char word[IP_TEXT_SIZE];
        if (size == 4)
            ip_from_v4(&address, bytes);
        else
            memcpy(address.bytes, bytes, 16);
        if (!first) dns_text_put(text, ",", 1);
        dns_text_put(text, word, (size_t)ip_format(&address, word));
    }
}

static void put_mandatory(struct dns_text *text, struct cursor *value) {
    for (bool first = true; cursor_left(value) && !value->failed; first = false) {
        uint16_t key = cursor_be16(value);
        if (value->failed) return;
        if (!first) dns_text_put(text, ",", 1);
        put_key(text, key);
    }
}

static void put_value(struct dns_text *text, uint16_t key, struct cursor *value) {
    if (key == SVCB_NO_DEFAULT_ALPN || key == SVCB_OHTTP || key > SVCB_OHTTP) return;
    dns_text_put(text, "=", 1);
    switch (key) {
    case SVCB_MANDATORY:
        put_mandatory(text, value);
        break;
    case SVCB_ALPN:
        put_alpn(text, value);
        break;
    case SVCB_PORT:
        dns_text_number(text, cursor_be16(value));
        break;
    case SVCB_IPV4HINT:
        put_addresses(text, value, 4);
        break;
    case SVCB_IPV6HINT:
        put_addresses(text, value, 16);
        break;
    case SVCB_ECH:
        dns_text_word(text, "present");
        break;
    case SVCB_DOHPATH:
        put_escaped(text, value->at, (uint32_t)cursor_left(value));
        break;
    default:
        break;
    }
}

void dns_svcb_parameters(struct cursor *data, struct dns_text *text) {
    while (cursor_left(data) && !data->failed) {
        uint16_t key = cursor_be16(data);
        uint16_t size = cursor_be16(data);
        struct cursor value = cursor_sub(data, size);
        if (data->failed) return;
        dns_text_put(text, " ", 1);
        put_key(text, key);
        put_value(text, key, &value);
        if (value.failed) data->failed = true;
    }
}
