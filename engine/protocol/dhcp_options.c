/* The options of DHCP, version 4 (RFC 2132): code, length, value, one after the other.
 *
 * Each known option is held against the size that its definition gives; one of another size is an anomaly and
 * is passed over, since nobody knows what its sender meant. */
#include "protocol/dhcp_event.h"

enum {
    OPTION_PAD = 0,
    OPTION_SUBNET_MASK = 1,
    OPTION_ROUTERS = 3,
    OPTION_DNS_SERVERS = 6,
    OPTION_HOST_NAME = 12,
    OPTION_DOMAIN = 15,
    OPTION_REQUESTED = 50,
    OPTION_LEASE = 51,
    OPTION_OVERLOAD = 52,
    OPTION_MESSAGE_TYPE = 53,
    OPTION_SERVER = 54,
    OPTION_PARAMETERS = 55,
    OPTION_ERROR = 56,
    OPTION_MAX_SIZE = 57,
    OPTION_RENEWAL = 58,
    OPTION_REBINDING = 59,
    OPTION_VENDOR_CLASS = 60,
    OPTION_CLIENT_ID = 61,
    OPTION_USER_CLASS = 77,
    OPTION_FQDN = 81,
    OPTION_IPV6_ONLY = 108,
    OPTION_CAPTIVE_PORTAL = 114,
    OPTION_SEARCH = 119,
    OPTION_ROUTES = 121,
    OPTION_PAC = 252,
    OPTION_END = 255,
};

enum { FQDN_ENCODED = 4 }; /* flag E: the name is in DNS form (RFC 4702 section 2.1) */

/* Does a value of that size make sense? RFC 2132 by option; RFC 3442, 4702, 8925, 8910. */
static bool size_valid(uint8_t code, uint32_t length) {
    switch (code) {
    case OPTION_OVERLOAD:
    case OPTION_MESSAGE_TYPE:
        return length == 1;
    case OPTION_MAX_SIZE:
        return length == 2;
    case OPTION_SUBNET_MASK:
    case OPTION_REQUESTED:
    case OPTION_LEASE:
    case OPTION_SERVER:
    case OPTION_RENEWAL:
    case OPTION_REBINDING:
    case OPTION_IPV6_ONLY:
        return length == 4;
    case OPTION_ROUTERS:
    case OPTION_DNS_SERVERS:
        return length >= 4 && length % 4 == 0;
    case OPTION_FQDN:
        return length >= 3;
    case OPTION_CLIENT_ID:
        return length >= 2;
    case OPTION_HOST_NAME:
    case OPTION_DOMAIN:
    case OPTION_PARAMETERS:
    case OPTION_VENDOR_CLASS:
    case OPTION_ROUTES:
        return length >= 1;
    default:
        return true;
    }
}

static struct list_ref address_list(struct dhcp_reading *r, const uint8_t *bytes, uint32_t length) {
    struct dhcp_list list = {.count = 0};
    for (uint32_t at = 0; at + 4 <= length; at += 4) {
        struct ip address;
        ip_from_v4(&address, bytes + at);
        dhcp_list_address(r, &list, &address);
    }
    return dhcp_list_done(r, &list);
}

/* Width of the prefix, as many of its bytes as that takes, router (RFC 3442). */
static void read_routes(struct dhcp_reading *r, const uint8_t *bytes, uint32_t length) {
    struct dhcp_list list = {.count = 0};
    struct cursor c = cursor_over(bytes, length);
    while (cursor_left(&c) > 0) {
        uint8_t width = cursor_u8(&c), destination[4] = {0};
        uint32_t significant = (width + 7u) / 8;
        const uint8_t *prefix = width <= 32 ? cursor_take(&c, significant) : NULL;
        const uint8_t *router = prefix ? cursor_take(&c, 4) : NULL;
        if (!router) {
            dhcp_note(r, "option_length");
            break;
        }
        memcpy(destination, prefix, significant);
        char text[64 + 2 * IP_TEXT_SIZE];
        struct ip address;
        ip_from_v4(&address, destination);
        r->scratch.length = 0;
        dns_text_put(&r->scratch, text, (size_t)ip_format(&address, text));
        dns_text_word(&r->scratch, "/");
        dns_text_number(&r->scratch, width);
        dns_text_word(&r->scratch, " via ");
        ip_from_v4(&address, router);
        dns_text_put(&r->scratch, text, (size_t)ip_format(&address, text));
        dhcp_list_put(r, &list, r->scratch.text, r->scratch.length);
    }
    r->body->routes = dhcp_list_done(r, &list);
}

/* Strings behind their lengths (RFC 3004), or, as many send it, one string. */
static struct text_ref user_class(struct dhcp_reading *r, const uint8_t *bytes, uint32_t length) {
    r->scratch.length = 0;
    struct cursor c = cursor_over(bytes, length);
    while (cursor_left(&c) > 0) {
        uint8_t size = cursor_u8(&c);
        const uint8_t *string = size ? cursor_take(&c, size) : NULL;
        if (!string) return dhcp_text(r, bytes, length);
        if (r->scratch.length) dns_text_word(&r->scratch, ",");
        dns_text_put(&r->scratch, string, size);
    }
    return dhcp_text(r, r->scratch.text, r->scratch.length);
}

static void read_fqdn(struct dhcp_reading *r, const uint8_t *bytes, uint32_t length) {
    if (!(bytes[0] & FQDN_ENCODED)) {
        r->body->fqdn = dhcp_text(r, bytes + 3, length - 3);
        return;
    }
    /* A partial name has no zero at its end: label by label then. */
    r->scratch.length = 0;
    struct cursor c = cursor_over(bytes + 3, length - 3);
    while (cursor_left(&c) > 0) {
        uint8_t size = cursor_u8(&c);
        if (size == 0) break;
        const uint8_t *label = size < 64 ? cursor_take(&c, size) : NULL;
        if (!label) {
            dhcp_note(r, "name_cut_short");
            return;
        }
        if (r->scratch.length) dns_text_word(&r->scratch, ".");
        dns_text_put(&r->scratch, label, size);
    }
    for (uint32_t i = 0; i < r->scratch.length; i++) {
        char letter = r->scratch.text[i];
        if (letter >= 'A' && letter <= 'Z') r->scratch.text[i] = (char)(letter | 0x20);
    }
    r->body->fqdn = dhcp_text(r, r->scratch.text, r->scratch.length);
}

static void read_parameters(struct dhcp_reading *r, const uint8_t *bytes, uint32_t length) {
    r->scratch.length = 0;
    for (uint32_t i = 0; i < length; i++) dhcp_code(&r->scratch, bytes[i]);
    if (r->batch) r->body->parameters = batch_text(r->batch, r->scratch.text, r->scratch.length);
    const struct dhcp_system *system =
        dhcp_system_of(r->scratch.text, r->scratch.length, (struct slice){NULL, 0});
    if (!system) return;
    r->body->os = system->os;
    r->body->os_detail = system->detail;
}

static struct text_ref server(struct dhcp_reading *r, const uint8_t *bytes) {
    struct ip address;
    char text[IP_TEXT_SIZE];
    ip_from_v4(&address, bytes);
    return dhcp_text(r, text, (size_t)ip_format(&address, text));
}

static void read_option(struct dhcp_reading *r, uint8_t code, const uint8_t *value, uint32_t length,
                        uint8_t *overload) {
    struct event_dhcp_body *body = r->body;
    switch (code) {
    case OPTION_MESSAGE_TYPE:
        r->message = value[0];
        break;
    case OPTION_OVERLOAD:
        *overload = value[0];
        break;
    case OPTION_SUBNET_MASK:
        ip_from_v4(&body->subnet_mask, value);
        break;
    case OPTION_ROUTERS:
        body->routers = address_list(r, value, length);
        break;
    case OPTION_DNS_SERVERS:
        body->dns_servers = address_list(r, value, length);
        break;
    case OPTION_HOST_NAME:
        body->hostname = dhcp_text(r, value, length);
        break;
    case OPTION_DOMAIN:
        body->domain = dhcp_text(r, value, length);
        break;
    case OPTION_REQUESTED:
        ip_from_v4(&body->requested_ip, value);
        break;
    case OPTION_LEASE:
        body->lease = load_be32(value);
        break;
    case OPTION_SERVER:
        body->server_id = server(r, value);
        break;
    case OPTION_PARAMETERS:
        read_parameters(r, value, length);
        break;
    case OPTION_ERROR:
        body->status = dhcp_text(r, value, length);
        break;
    case OPTION_MAX_SIZE:
        body->max_size = load_be16(value);
        break;
    case OPTION_RENEWAL:
        body->renewal = load_be32(value);
        break;
    case OPTION_REBINDING:
        body->rebinding = load_be32(value);
        break;
    case OPTION_VENDOR_CLASS:
        body->vendor_class = dhcp_text(r, value, length);
        r->vendor = (struct slice){value, length};
        break;
    case OPTION_CLIENT_ID:
        body->client_id = dhcp_hex(r, value, length);
        break;
    case OPTION_USER_CLASS:
        body->user_class = user_class(r, value, length);
        break;
    case OPTION_FQDN:
        read_fqdn(r, value, length);
        break;
    case OPTION_IPV6_ONLY:
        body->ipv6_only_wait = load_be32(value);
        break;
    case OPTION_CAPTIVE_PORTAL:
        body->captive_portal = dhcp_text(r, value, length);
        break;
    case OPTION_SEARCH:
        dns_text_put(&r->search, value, length);
        break;
    case OPTION_ROUTES:
        read_routes(r, value, length);
        break;
    case OPTION_PAC:
        body->pac_url = dhcp_text(r, value, length);
        break;
    default:
        break;
    }
}

uint8_t dhcp_options_read(struct dhcp_reading *r, const uint8_t *bytes, uint32_t length, bool whole) {
    uint8_t overload = 0;
    uint32_t at = 0;
    while (at < length) {
        uint8_t code = bytes[at++];
        if (code == OPTION_PAD) continue;
        if (code == OPTION_END) return overload;
        dhcp_code(&r->options, code);
        if (at >= length || length - at - 1 < bytes[at]) {
            if (whole) dhcp_note(r, "option_cut_short");
            return overload;
        }
        uint8_t size = bytes[at];
        if (size_valid(code, size))
            read_option(r, code, bytes + at + 1, size, &overload);
        else
            dhcp_note(r, "option_length");
        at += 1u + size;
    }
    return overload;
}
