/* DHCP and BOOTP (RFC 951, 2131) over IPv4.
 *
 * A message is a fixed header and options behind a cookie of four bytes; where the options do not fit, two
 * fields of the header hold more of them (overload). An event for each message: there are few, and each says
 * something. Requests of a Mac tell its name and, by the list of options that it asks for, its system. */
#include "protocol/dhcp_event.h"
#include "protocol/protocols.h"

enum {
    PORT_SERVER = 67,
    PORT_CLIENT = 68,
    BOOT_REQUEST = 1,
    BOOT_REPLY = 2,
    AT_CIADDR = 12,
    AT_CHADDR = 28,
    CHADDR_SIZE = 16,
    AT_SNAME = 44,
    AT_FILE = 108,
    AT_COOKIE = 236,
    AT_OPTIONS = 240,
    SHOWN_FROM = AT_CHADDR + CHADDR_SIZE, /* with less of it there is nothing to tell */
    BOOTP_LEAST = AT_COOKIE,
    OVERLOAD_FILE = 1,
    OVERLOAD_SNAME = 2,
    HARDWARE_LEAST = 1,
};

static const uint8_t cookie[4] = {0x63, 0x82, 0x53, 0x63};

static bool header_plausible(const uint8_t *p) {
    return (p[0] == BOOT_REQUEST || p[0] == BOOT_REPLY) && p[2] <= CHADDR_SIZE;
}

static bool usual_port(uint16_t port) {
    return port == PORT_SERVER || port == PORT_CLIENT;
}

static enum recognised dhcp_recognise(const struct probe *probe) {
    if (probe->length < 4 || !header_plausible(probe->data)) return RECOGNISED_NO;
    bool has_cookie = probe->length >= AT_OPTIONS && memcmp(probe->data + AT_COOKIE, cookie, 4) == 0;
    if (has_cookie && probe->data[1] >= HARDWARE_LEAST) return RECOGNISED_YES;
    bool on_port = usual_port(probe->client_port) && usual_port(probe->server_port);
    bool cut = probe->length < AT_OPTIONS && probe->original > probe->length;
    return on_port && (cut || probe->original >= BOOTP_LEAST) ? RECOGNISED_YES : RECOGNISED_NO;
}

/* IANA "DHCP Message Type 53 Values". */
static const char *message_word(uint8_t type) {
    static const char *const words[] = {NULL,
                                        "discover",
                                        "offer",
                                        "request",
                                        "decline",
                                        "ack",
                                        "nak",
                                        "release",
                                        "inform",
                                        "force_renew",
                                        "lease_query",
                                        "lease_unassigned",
                                        "lease_unknown",
                                        "lease_active",
                                        "bulk_lease_query",
                                        "lease_query_done",
                                        "active_lease_query",
                                        "lease_query_status",
                                        "tls"};
    return type < sizeof words / sizeof words[0] ? words[type] : "other";
}

static void address_at(struct ip *to, const uint8_t *p) {
    if (load_be32(p)) ip_from_v4(to, p);
}

static void read_header(struct dhcp_reading *r, const uint8_t *p) {
    struct event_dhcp_body *body = r->body;
    body->version = 4;
    body->type = p[0] == BOOT_REQUEST ? "request" : "reply";
    body->id = load_be32(p + 4);
    address_at(&body->current_ip, p + AT_CIADDR);
    address_at(&body->assigned_ip, p + AT_CIADDR + 4);
    address_at(&body->next_server, p + AT_CIADDR + 8);
    address_at(&body->relay, p + AT_CIADDR + 12);
    if (p[2]) body->client_mac = dhcp_mac(r, p + AT_CHADDR, p[2]);
}

static void read_options(struct dhcp_reading *r, struct slice message) {
    const uint8_t *p = message.at;
    if (message.length < AT_OPTIONS || memcmp(p + AT_COOKIE, cookie, 4) != 0) return; /* BOOTP */
    uint8_t overload = dhcp_options_read(r, p + AT_OPTIONS, message.length - AT_OPTIONS, !r->cut);
    if (overload > (OVERLOAD_FILE | OVERLOAD_SNAME)) dhcp_note(r, "bad_overload");
    /* The file field first (RFC 2131 section 4.1); neither can overload again. */
    if (overload & OVERLOAD_FILE) dhcp_options_read(r, p + AT_FILE, AT_COOKIE - AT_FILE, true);
    if (overload & OVERLOAD_SNAME) dhcp_options_read(r, p + AT_SNAME, AT_FILE - AT_SNAME, true);
    r->body->overload = overload != 0;
}

static void finish(struct dhcp_reading *r) {
    struct event_dhcp_body *body = r->body;
    body->message = message_word(r->message);
    if (r->search.length) {
        struct dhcp_list list = {.count = 0};
        dhcp_domains(r, &list, (const uint8_t *)r->search.text, r->search.length);
        body->search = dhcp_list_done(r, &list);
    }
    const struct dhcp_system *named = dhcp_system_of("", 0, r->vendor);
    if (named) {
        body->os = named->os;
        body->os_detail = named->detail;
    }
    if (r->batch && r->options.length)
        body->options = batch_text(r->batch, r->options.text, r->options.length);
}

static void dhcp_datagram(struct conversation *c, enum direction direction, struct slice payload,
                          uint32_t original) {
    (void)direction;
    if (payload.length < SHOWN_FROM) {
        if (original < BOOTP_LEAST) conversation_anomaly(c, "short_message");
        return;
    }
    if (!header_plausible(payload.at)) {
        conversation_anomaly(c, "bad_header");
        return;
    }
    struct event_dhcp_body unwanted;
    struct event_dhcp *event = conversation_event(c, EVENT_dhcp);
    if (!event) memset(&unwanted, 0, sizeof unwanted);

    struct dhcp_reading r;
    r.batch = event ? conversation_batch(c) : NULL;
    r.body = event ? &event->body : &unwanted;
    r.anomaly = NULL;
    r.cut = payload.length < original;
    r.options.length = r.search.length = 0;
    r.vendor = (struct slice){NULL, 0};
    r.message = 0;
    read_header(&r, payload.at);
    if (payload.length >= AT_COOKIE) read_options(&r, payload);
    finish(&r);
    if (event) batch_commit(r.batch);
    if (original < BOOTP_LEAST) dhcp_note(&r, "short_message");
    if (r.anomaly) conversation_anomaly(c, r.anomaly);
}

const struct protocol protocol_dhcp = {
    .name = "dhcp",
    .transports = TRANSPORT_UDP,
    .recognise = dhcp_recognise,
    .datagram = dhcp_datagram,
};
