/* Tunnels: packets inside packets, opened one at a time.
 *
 * decode_packet() has read the outer datagram, which stays a packet of a flow of its own. If it belongs to a
 * tunnel, tunnel_open() finds the packet inside, as a `struct packet` that is decoded in turn: its bytes
 * begin with an Ethernet header (link type 1) or an IP header (101), whatever stood around them. So
 * everything behind takes it as it takes any packet.
 *
 * A tunnel over UDP is believed if port, header and what is inside agree: other datagrams on its port stay
 * what they are. Encrypted and compressed payloads stay closed.
 *
 * Flows inside different tunnels are different flows, even between the same addresses; both directions of one
 * tunnel meet. A tunnel's identity is therefore its kind, its two outer addresses in order, the key or
 * network number that both directions share (GRE key, VNI, ERSPAN session), and what the tunnel itself came
 * in. Numbers that each end chooses for itself (GTP's TEID, L2TP's and PPTP's session, MPLS labels) do not
 * count, nor the addresses of Teredo and of 6to4, whose packets may return through another relay: there the
 * inner addresses are unique.
 *
 * Sources: RFC 2784, 2890 (GRE), 7637 (NVGRE), 2637 (PPTP), draft-foschiano-erspan, draft-param-wccp (WCCP),
 * RFC 2003, 4213, 2473 (IP in IP), 3056 (6to4), 4380 (Teredo), 7348 (VXLAN), draft-ietf-nvo3-vxlan-gpe, 8300
 * (NSH), 8926 (GENEVE), 3GPP TS 29.281 (GTP-U), RFC 2661 and 3931 (L2TP), 3032, 4448, 7510 (MPLS), 2516
 * (PPPoE). */
#ifndef LUNETTE_DECODE_TUNNEL_H
#define LUNETTE_DECODE_TUNNEL_H

#include "base/ip.h"
#include "capture/packet.h"
#include "decode/decode.h"

#include <stdbool.h>
#include <stdint.h>

enum tunnel_kind {
    TUNNEL_NONE,
    TUNNEL_GRE,
    TUNNEL_PPTP,
    TUNNEL_ERSPAN,
    TUNNEL_WCCP,
    TUNNEL_IPIP,
    TUNNEL_4IN6,
    TUNNEL_6IN4,
    TUNNEL_6IN6,
    TUNNEL_TEREDO,
    TUNNEL_VXLAN,
    TUNNEL_GENEVE,
    TUNNEL_GTP,
    TUNNEL_L2TP,
    TUNNEL_MPLS,
    TUNNEL_PPPOE,
    TUNNEL_KINDS
};

/* "gre", "ipip" …; static. NULL for TUNNEL_NONE. */
const char *tunnel_word(enum tunnel_kind kind);

struct tunnel {
    uint8_t kind;       /* enum tunnel_kind, of the innermost */
    uint8_t depth;      /* tunnels around the packet, this one included */
    uint32_t id;        /* key, VNI or session; 0 if it has none or one for each direction */
    uint64_t identity;  /* hash of what makes it this tunnel; 0: it does not tell flows apart */
    struct ip src, dst; /* outer addresses; all zero if it has none (MPLS, PPPoE) */
};

/* What decode_packet() notes. The second is an Ethernet frame behind MPLS labels. */
extern const struct tunnel tunnel_mpls, tunnel_pseudowire, tunnel_pppoe;

enum { TUNNELS_MOST = 4 }; /* that are opened one inside the other */

static inline bool tunnel_has_port(uint16_t port) {
    switch (port) {
    case 1701: /* L2TP */
    case 2152: /* GTP-U */
    case 3544: /* Teredo */
    case 4789: /* VXLAN */
    case 4790: /* VXLAN-GPE */
    case 6081: /* GENEVE */
    case 6635: /* MPLS */
    case 8472: /* VXLAN as Linux had it first */
        return true;
    default:
        return false;
    }
}

/* Is it worth a call of tunnel_open()? By protocol number and ports alone. */
static inline bool tunnel_possible(const struct decoded *d) {
    if (d->proto == 6) return false;
    if (d->proto == 17) return tunnel_has_port(d->dst_port) || tunnel_has_port(d->src_port);
    return d->proto == 4 || d->proto == 41 || d->proto == 47 || d->proto == 115 || d->proto == 137;
}

/* Looks into a whole datagram (`outer->fragment` is left alone). If it is a tunnel's, says so in
 * outer->carries; if a packet is inside, gives it (without a process: the outer socket's is not its own),
 * borrowed from the outer one, with its tunnel, and returns true. An oddity is noted in `outer`; a packet
 * inside the last of TUNNELS_MOST tunnels is one, and is not opened. */
bool tunnel_open(const struct packet *packet, struct decoded *outer, struct packet *inner,
                 struct tunnel *tunnel);

/* decode_packet() for a packet that tunnel_open() gave: out->tunnel is `tunnel`, which learns of MPLS or
 * PPPoE inside. */
void tunnel_decode(const struct packet *inner, struct tunnel *tunnel, struct decoded *out);

#endif
