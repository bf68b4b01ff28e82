/* See socks_message.h. */
#include "protocol/socks_message.h"

enum { USER_SCAN = 512 };
enum { ADDRESS_V4 = 1, ADDRESS_NAME = 3, ADDRESS_V6 = 4 };

static bool host_byte(uint8_t byte) {
    return byte > 0x20 && byte < 0x7f;
}

enum socks_reading socks_read_endpoint(struct cursor *c, struct socks_endpoint *out) {
    uint8_t type = cursor_u8(c);
    out->name = (struct slice){NULL, 0};
    const uint8_t *p = NULL;
    if (c->failed) return READ_SHORT;
    if (type == ADDRESS_V4) {
        p = cursor_take(c, 4);
        if (p) ip_from_v4(&out->address, p);
    } else if (type == ADDRESS_V6) {
        p = cursor_take(c, 16);
        if (p) memcpy(out->address.bytes, p, 16);
    } else if (type == ADDRESS_NAME) {
        uint8_t length = cursor_u8(c);
        if (!c->failed && length == 0) return READ_BROKEN;
        p = cursor_take(c, length);
        if (p) out->name = (struct slice){p, length};
        for (uint32_t i = 0; p && i < length; i++)
            if (!host_byte(p[i])) return READ_BROKEN;
    } else {
        return READ_BROKEN;
    }
    out->port = cursor_be16(c);
    return c->failed ? READ_SHORT : READ_WHOLE;
}

enum socks_reading socks_read_request_5(struct cursor *c, struct socks_request *out) {
    const uint8_t *p = cursor_take(c, 3);
    if (!p) return READ_SHORT;
    out->command = p[1];
    out->user = (struct slice){NULL, 0};
    if (p[0] != VERSION_5 || p[1] < COMMAND_CONNECT || p[1] > COMMAND_UDP || p[2] != 0) return READ_BROKEN;
    return socks_read_endpoint(c, &out->target);
}

/* Text up to a zero byte. */
static enum socks_reading read_terminated(struct cursor *c, struct slice *out) {
    size_t left = cursor_left(c), look = left < USER_SCAN ? left : USER_SCAN;
    const uint8_t *zero = look ? memchr(c->at, 0, look) : NULL;
    size_t length = zero ? (size_t)(zero - c->at) : look;
    for (size_t i = 0; i < length; i++)
        if (c->at[i] < 0x20) return READ_BROKEN;
    if (!zero) return look == USER_SCAN ? READ_BROKEN : READ_SHORT;
    *out = (struct slice){c->at, (uint32_t)length};
    cursor_take(c, length + 1);
    return READ_WHOLE;
}

enum socks_reading socks_read_request_4(struct cursor *c, struct socks_request *out) {
    const uint8_t *p = cursor_take(c, 8);
    if (!p) return READ_SHORT;
    if (p[0] != VERSION_4 || p[1] < COMMAND_CONNECT || p[1] > COMMAND_BIND) return READ_BROKEN;
    out->command = p[1];
    out->target.port = load_be16(p + 2);
    out->target.name = (struct slice){NULL, 0};
    ip_from_v4(&out->target.address, p + 4);
    enum socks_reading user = read_terminated(c, &out->user);
    bool named = p[4] == 0 && p[5] == 0 && p[6] == 0 && p[7] != 0;
    if (user != READ_WHOLE || !named) return user;
    enum socks_reading name = read_terminated(c, &out->target.name);
    if (name != READ_WHOLE) return name;
    if (out->target.name.length == 0) return READ_BROKEN;
    for (uint32_t i = 0; i < out->target.name.length; i++)
        if (!host_byte(out->target.name.at[i])) return READ_BROKEN;
    return READ_WHOLE;
}

enum socks_reading socks_read_login(struct cursor *c, struct socks_login *out) {
    uint8_t version = cursor_u8(c), length = cursor_u8(c);
    const uint8_t *name = cursor_take(c, length);
    uint8_t secret = cursor_u8(c);
    cursor_take(c, secret);
    if (version != VERSION_PASSWORD) return READ_BROKEN;
    if (c->failed) return READ_SHORT;
    *out = (struct socks_login){{name, length}, secret > 0};
    return READ_WHOLE;
}

enum socks_reading socks_read_greeting(struct cursor *c, bool *plausible) {
    uint8_t version = cursor_u8(c), count = cursor_u8(c);
    const uint8_t *methods = cursor_take(c, count);
    if (version != VERSION_5) return READ_BROKEN;
    if (!methods) return READ_SHORT;
    if (count == 0) return READ_BROKEN;
    *plausible = count <= 8;
    for (unsigned i = 0; i < count; i++) {
        if (methods[i] > 9 && methods[i] < 0x80) *plausible = false; /* of IANA's list none */
        for (unsigned k = 0; k < i; k++)
            if (methods[i] == methods[k]) *plausible = false;
    }
    return READ_WHOLE;
}
