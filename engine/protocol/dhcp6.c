/* DHCPv6 (RFC 8415).
 *
 * A message is a type, a transaction id and options of four bytes of head each; a relay wraps it whole into
 * an option of its own message, and so may the next relay: the innermost message is what is told. Options
 * nest too (addresses in associations): one function walks a run of them, with what is right for where they
 * stand. */
#include "protocol/dhcp_event.h"
#include "protocol/dns_name.h"
#include "protocol/protocols.h"

enum {
    PORT_CLIENT = 546,
    PORT_SERVER = 547,
    HEADER = 4,
    RELAY_HEADER = 34,
    RELAYS_MOST = 8,
    NESTED_MOST = 3
};

/* IANA "DHCPv6 Message Types". */
enum { TYPE_ADVERTISE = 2, TYPE_REPLY = 7, TYPE_RECONFIGURE = 10, TYPE_RELAY = 12, TYPE_RELAY_REPLY = 13 };

/* IANA "DHCPv6 Option Codes". */
enum {
    OPTION_CLIENT_ID = 1,
    OPTION_SERVER_ID = 2,
    OPTION_IA_NA = 3,
    OPTION_IA_TA = 4,
    OPTION_ADDRESS = 5,
    OPTION_REQUEST = 6,
    OPTION_RELAYED = 9,
    OPTION_STATUS = 13,
    OPTION_USER_CLASS = 15,
    OPTION_VENDOR_CLASS = 16,
    OPTION_DNS_SERVERS = 23,
    OPTION_DOMAINS = 24,
    OPTION_IA_PD = 25,
    OPTION_PREFIX = 26,
    OPTION_FQDN = 39,
    OPTION_CAPTIVE_PORTAL = 103,
};

struct reading6 {
    struct dhcp_reading common;
    struct dhcp_list addresses, prefixes;
    bool searched; /* the list of domains was read: a message has one */
};

static const char *message_word(uint8_t type) {
    static const char *const words[] = {NULL,
                                        "solicit",
                                        "advertise",
                                        "request",
                                        "confirm",
                                        "renew",
                                        "rebind",
                                        "reply",
                                        "release",
                                        "decline",
                                        "reconfigure",
                                        "information_request",
                                        "relay_forward",
                                        "relay_reply",
                                        "lease_query",
                                        "lease_query_reply",
                                        "lease_query_done",
                                        "lease_query_data",
                                        "reconfigure_request",
                                        "reconfigure_reply",
                                        "dhcpv4_query",
                                        "dhcpv4_response"};
    return type < sizeof words / sizeof words[0] ? words[type] : "other";
}

static bool from_server(uint8_t type) {
    return type == TYPE_ADVERTISE || type == TYPE_REPLY || type == TYPE_RECONFIGURE || type == 15 ||
           type == 16 || type == 17 || type == 19 || type == 21;
}

static bool is_relayed(uint8_t type) {
    return type == TYPE_RELAY || type == TYPE_RELAY_REPLY;
}

/* Do the options end where the message does? */
static bool options_fill(const uint8_t *bytes, uint32_t length, bool cut) {
    struct cursor c = cursor_over(bytes, length);
    while (cursor_left(&c) > 0) {
        cursor_be16(&c);
        cursor_take(&c, cursor_be16(&c));
        if (c.failed) return cut;
    }
    return true;
}

static bool server_port(uint16_t port) {
    return port == PORT_CLIENT || port == PORT_SERVER;
}

static enum recognised dhcp6_recognise(const struct probe *probe) {
    if (!server_port(probe->client_port) && !server_port(probe->server_port)) return RECOGNISED_NO;
    if (probe->length < HEADER) return RECOGNISED_NO;
    uint8_t type = probe->data[0];
    if (type < 1 || type > 36) return RECOGNISED_NO; /* assigned so far */
    uint32_t header = is_relayed(type) ? RELAY_HEADER : HEADER;
    if (probe->length < header) return RECOGNISED_NO;
    bool cut = probe->length < probe->original;
    bool both = server_port(probe->client_port) && server_port(probe->server_port);
    bool fits = options_fill(probe->data + header, probe->length - header, cut);
    return fits || both ? RECOGNISED_YES : RECOGNISED_NO;
}

static void address_of(struct ip *to, const uint8_t *p) {
    memcpy(to->bytes, p, sizeof to->bytes);
}

static uint32_t longer(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

/* Hardware type and address of a DUID that is made of one: with a time (1) or without (3), RFC 8415
 * section 11. */
static void read_duid_mac(struct dhcp_reading *r, const uint8_t *duid, uint32_t length) {
    uint16_t type = length >= 4 ? load_be16(duid) : 0;
    uint32_t at = type == 1 ? 8 : type == 3 ? 4 : 0;
    if (at && length > at && length - at <= 20) r->body->client_mac = dhcp_mac(r, duid + at, length - at);
}

static void read_address(struct reading6 *r, const uint8_t *value, uint32_t length) {
    struct event_dhcp_body *body = r->common.body;
    if (length < 24) {
        dhcp_note(&r->common, "option_length");
        return;
    }
    struct ip address;
    address_of(&address, value);
    body->lease = longer(body->lease, load_be32(value + 20));
    struct ip *first = from_server(r->common.message) ? &body->assigned_ip : &body->requested_ip;
    if (r->addresses.count == 0) *first = address;
    dhcp_list_address(&r->common, &r->addresses, &address);
}

static void read_prefix(struct reading6 *r, const uint8_t *value, uint32_t length) {
    if (length < 25) {
        dhcp_note(&r->common, "option_length");
        return;
    }
    r->common.body->lease = longer(r->common.body->lease, load_be32(value + 4));
    struct ip prefix;
    char text[IP_TEXT_SIZE];
    address_of(&prefix, value + 9);
    struct dns_text *scratch = &r->common.scratch;
    scratch->length = 0;
    dns_text_put(scratch, text, (size_t)ip_format(&prefix, text));
    dns_text_word(scratch, "/");
    dns_text_number(scratch, value[8]);
    dhcp_list_put(&r->common, &r->prefixes, scratch->text, scratch->length);
}

/* Strings behind lengths of two bytes. */
static struct text_ref class_text(struct dhcp_reading *r, const uint8_t *value, uint32_t length) {
    r->scratch.length = 0;
    struct cursor c = cursor_over(value, length);
    while (cursor_left(&c) > 0) {
        uint16_t size = cursor_be16(&c);
        const uint8_t *string = cursor_take(&c, size);
        if (!string) {
            dhcp_note(r, "option_length");
            break;
        }
        if (r->scratch.length) dns_text_word(&r->scratch, ",");
        dns_text_put(&r->scratch, string, size);
    }
    return dhcp_text(r, r->scratch.text, r->scratch.length);
}

static void read_request(struct dhcp_reading *r, const uint8_t *value, uint32_t length) {
    if (length % 2) dhcp_note(r, "option_length");
    r->scratch.length = 0;
    for (uint32_t at = 0; at + 2 <= length; at += 2) dhcp_code(&r->scratch, load_be16(value + at));
    if (r->batch && r->scratch.length)
        r->body->parameters = batch_text(r->batch, r->scratch.text, r->scratch.length);
}

static void read_servers(struct dhcp_reading *r, const uint8_t *value, uint32_t length) {
    if (length % 16) dhcp_note(r, "option_length");
    struct dhcp_list list = {.count = 0};
    for (uint32_t at = 0; at + 16 <= length; at += 16) {
        struct ip address;
        address_of(&address, value + at);
        dhcp_list_address(r, &list, &address);
    }
    r->body->dns_servers = dhcp_list_done(r, &list);
}

/* Flags, then a name in DNS form that may be partial (RFC 4704): without the zero at its end then. */
static void read_fqdn(struct dhcp_reading *r, const uint8_t *value, uint32_t length) {
    if (length < 2) return;
    uint8_t ended[256];
    uint32_t size = length - 1 < sizeof ended - 1 ? length - 1 : sizeof ended - 1;
    memcpy(ended, value + 1, size);
    ended[size] = 0;
    struct dns_name name;
    uint32_t at = 0;
    enum dns_name_status status = dns_name_read(ended, size + 1, &at, &name);
    if (status == DNS_NAME_OK)
        r->body->fqdn = dhcp_text(r, name.text, name.length);
    else
        dhcp_note(r, dns_name_anomaly(status));
}

/* RFC 8415 section 21.13. The worst counts: an association's status is not covered by the message's success.
 */
static void read_status(struct dhcp_reading *r, const uint8_t *value, uint32_t length) {
    static const char *const words[] = {NULL,        "UnspecFail",   "NoAddrsAvail", "NoBinding",
                                        "NotOnLink", "UseMulticast", "NoPrefixAvail"};
    uint16_t code = length >= 2 ? load_be16(value) : 0;
    if (length < 2) dhcp_note(r, "option_length");
    if (code == 0 || r->body->status.at) return;
    const char *word = code < sizeof words / sizeof words[0] ? words[code] : "Failed";
    r->body->status = dhcp_text(r, word, strlen(word));
}

static void read_options(struct reading6 *r, const uint8_t *bytes, uint32_t length, int depth);

/* T1, T2 behind the association's number, then options (RFC 8415 sections 21.4, 21.5, 21.21). */
static void read_association(struct reading6 *r, const uint8_t *value, uint32_t length, int depth,
                             bool timed) {
    struct event_dhcp_body *body = r->common.body;
    uint32_t head = timed ? 12 : 4;
    if (length < head) {
        dhcp_note(&r->common, "option_length");
        return;
    }
    if (timed) {
        body->renewal = longer(body->renewal, load_be32(value + 4));
        body->rebinding = longer(body->rebinding, load_be32(value + 8));
    }
    read_options(r, value + head, length - head, depth + 1);
}

static void read_option(struct reading6 *r, uint16_t code, const uint8_t *value, uint32_t length, int depth) {
    struct dhcp_reading *common = &r->common;
    struct event_dhcp_body *body = common->body;
    struct dhcp_list domains = {.count = 0};
    switch (code) {
    case OPTION_CLIENT_ID:
        body->client_id = dhcp_hex(common, value, length);
        read_duid_mac(common, value, length);
        break;
    case OPTION_SERVER_ID:
        body->server_id = dhcp_hex(common, value, length);
        break;
    case OPTION_IA_NA:
    case OPTION_IA_PD:
        read_association(r, value, length, depth, true);
        break;
    case OPTION_IA_TA:
        read_association(r, value, length, depth, false);
        break;
    case OPTION_ADDRESS:
        read_address(r, value, length);
        if (length > 24) read_options(r, value + 24, length - 24, depth + 1);
        break;
    case OPTION_PREFIX:
        read_prefix(r, value, length);
        if (length > 25) read_options(r, value + 25, length - 25, depth + 1);
        break;
    case OPTION_REQUEST:
        read_request(common, value, length);
        break;
    case OPTION_STATUS:
        read_status(common, value, length);
        break;
    case OPTION_USER_CLASS:
        body->user_class = class_text(common, value, length);
        break;
    case OPTION_VENDOR_CLASS:
        if (length > 4) body->vendor_class = class_text(common, value + 4, length - 4);
        break;
    case OPTION_DNS_SERVERS:
        read_servers(common, value, length);
        break;
    case OPTION_DOMAINS:
        if (r->searched) break;
        r->searched = true;
        dhcp_domains(common, &domains, value, length);
        body->search = dhcp_list_done(common, &domains);
        break;
    case OPTION_FQDN:
        read_fqdn(common, value, length);
        break;
    case OPTION_CAPTIVE_PORTAL:
        body->captive_portal = dhcp_text(common, value, length);
        break;
    default:
        break;
    }
}

static void read_options(struct reading6 *r, const uint8_t *bytes, uint32_t length, int depth) {
    if (depth > NESTED_MOST) {
        dhcp_note(&r->common, "nested_too_deep");
        return;
    }
    struct cursor c = cursor_over(bytes, length);
    while (cursor_left(&c) > 0) {
        uint16_t code = cursor_be16(&c), size = cursor_be16(&c);
        if (!c.failed && depth == 0) dhcp_code(&r->common.options, code);
        const uint8_t *value = cursor_take(&c, size);
        if (!value) {
            if (!r->common.cut) dhcp_note(&r->common, "option_cut_short");
            return;
        }
        read_option(r, code, value, size, depth);
    }
}

/* The message inside a relay's; an empty slice if it holds none. */
static struct slice relayed(const uint8_t *bytes, uint32_t length) {
    struct cursor c = cursor_over(bytes, length);
    while (cursor_left(&c) > 0) {
        uint16_t code = cursor_be16(&c), size = cursor_be16(&c);
        if (code == OPTION_RELAYED && size > cursor_left(&c)) size = (uint16_t)cursor_left(&c);
        const uint8_t *value = cursor_take(&c, size);
        if (!value) break;
        if (code == OPTION_RELAYED) return (struct slice){value, size};
    }
    return (struct slice){NULL, 0};
}

/* Takes relays off until the client's or the server's own message is there. */
static struct slice unwrap(struct reading6 *r, struct slice message) {
    for (int hops = 0; hops < RELAYS_MOST && message.length >= RELAY_HEADER && is_relayed(message.at[0]);
         hops++) {
        struct slice inner = relayed(message.at + RELAY_HEADER, message.length - RELAY_HEADER);
        address_of(&r->common.body->relay, message.at + 2);
        if (inner.length < HEADER) break;
        message = inner;
    }
    return message;
}

static void read_message(struct reading6 *r, struct slice payload) {
    struct event_dhcp_body *body = r->common.body;
    struct slice message = unwrap(r, payload);
    r->common.message = message.at[0];
    body->version = 6;
    body->message = message_word(message.at[0]);
    bool reply = from_server(message.at[0]) || payload.at[0] == TYPE_RELAY_REPLY;
    body->type = reply ? "reply" : "request";
    if (is_relayed(message.at[0])) {
        if (!r->common.cut) dhcp_note(&r->common, "relay_without_message");
        return;
    }
    body->id = load_be24(message.at + 1);
    read_options(r, message.at + HEADER, message.length - HEADER, 0);
    body->addresses = dhcp_list_done(&r->common, &r->addresses);
    body->prefixes = dhcp_list_done(&r->common, &r->prefixes);
    if (r->common.batch && r->common.options.length)
        body->options = batch_text(r->common.batch, r->common.options.text, r->common.options.length);
}

static void dhcp6_datagram(struct conversation *c, enum direction direction, struct slice payload,
                           uint32_t original) {
    (void)direction;
    if (payload.length < HEADER) {
        if (original < HEADER) conversation_anomaly(c, "short_message");
        return;
    }
    struct event_dhcp_body unwanted;
    struct event_dhcp *event = conversation_event(c, EVENT_dhcp);
    if (!event) memset(&unwanted, 0, sizeof unwanted);

    struct reading6 r;
    r.common.batch = event ? conversation_batch(c) : NULL;
    r.common.body = event ? &event->body : &unwanted;
    r.common.anomaly = NULL;
    r.common.cut = payload.length < original;
    r.common.options.length = 0;
    r.addresses.count = r.prefixes.count = 0;
    r.searched = false;
    read_message(&r, payload);
    if (event) batch_commit(r.common.batch);
    if (r.common.anomaly) conversation_anomaly(c, r.common.anomaly);
}

const struct protocol protocol_dhcp6 = {
    .name = "dhcpv6",
    .transports = TRANSPORT_UDP,
    .recognise = dhcp6_recognise,
    .datagram = dhcp6_datagram,
};
