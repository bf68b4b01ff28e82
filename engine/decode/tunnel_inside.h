/* What the readers of tunnel headers tell tunnel.c. Private to this room. */
#ifndef LUNETTE_DECODE_TUNNEL_INSIDE_H
#define LUNETTE_DECODE_TUNNEL_INSIDE_H

#include "decode/layers.h"
#include "decode/tunnel.h"

struct inside {
    struct rest packet;
    uint16_t link_type; /* LINK_ETHERNET or LINK_RAW; LINK_UNKNOWN: nothing inside that we open */
    uint8_t kind;       /* enum tunnel_kind; TUNNEL_NONE: it is no tunnel's datagram */
    uint32_t id;        /* for people */
    uint32_t shared_id; /* the part of it that both directions share */
    bool any_way;       /* the outer addresses may differ between directions */
};

/* RFC 1661: sets what a PPP frame (with or without ff 03, its protocol in one byte or two) has inside.
 * Returns false if its protocol is none of those that sessions are made of. */
bool inside_ppp(struct rest r, struct inside *out);

/* By EtherType: IP, Ethernet (6558), MPLS, PPP, a VLAN tag. Whatever else stays closed. */
void inside_ethertype(uint16_t type, struct rest r, struct inside *out);

void inside_mpls(struct rest r, struct inside *out);

void tunnel_gre(struct rest r, struct decoded *outer, struct inside *out);
void tunnel_udp(struct rest r, const struct decoded *outer, struct inside *out);
void tunnel_l2tp_over_ip(struct rest r, struct inside *out);

#endif
