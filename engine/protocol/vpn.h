/* The `vpn` event: what its many finders have in common.
 *
 * A finder fills a struct vpn_finding and hands it in once a flow. It says what it saw in words and figures:
 * an analyst must be able to judge it without the packets. */
#ifndef LUNETTE_PROTOCOL_VPN_H
#define LUNETTE_PROTOCOL_VPN_H

#include "flow/protocol.h"

enum { VPN_EVIDENCE = 240, VPN_VENDORS = 16 };

struct vpn_finding {
    const char *kind, *product, *transport, *mode, *phase; /* static words, NULL where there is none */
    bool certain;
    bool both_sides;
    char evidence[VPN_EVIDENCE];
    const char *version;               /* IKE only, from here on */
    struct slice initiator, responder; /* cookies */
    struct slice vendors[VPN_VENDORS];
    uint32_t vendor_count;
};

__attribute__((format(printf, 2, 3))) void vpn_evidence(struct vpn_finding *finding, const char *format, ...);

/* Makes the event, at the conversation's time. */
void vpn_report(struct conversation *c, const struct vpn_finding *finding);

/* vpn_carried.c: looks for tunnels in what a TLS handshake (a whole ClientHello; the server's certificate,
 * which may be empty) and an HTTP request say. Cheap where there is none. */
struct client_hello;
struct certificate_cache;
void vpn_in_tls(struct conversation *c, const struct client_hello *hello, struct slice leaf,
                struct certificate_cache *cache);
void vpn_in_http(struct conversation *c, struct slice method, struct slice url, struct slice upgrade,
                 uint16_t status);

/* ike_vendor.c: the name of a vendor id's bytes, NULL if it has none here. */
const char *ike_vendor_name(struct slice id);

#endif
