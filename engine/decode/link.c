/* Link layers: find the EtherType, or the address family, and with it the IP header. */
#include "decode/layers.h"
#include "decode/tunnel.h"

enum {
    ETHERNET_HEADER = 14,
    ETHERTYPE_SMALLEST = 0x0600, /* below: an IEEE 802.3 length, with LLC behind it */
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_ARP = 0x0806,
    ETHERTYPE_VLAN = 0x8100,
    ETHERTYPE_QINQ = 0x88a8,
    ETHERTYPE_QINQ_OLD = 0x9100,
    ETHERTYPE_IPV6 = 0x86dd,
    ETHERTYPE_MPLS = 0x8847,
    ETHERTYPE_PPPOE = 0x8864,
    VLAN_TAGS_MOST = 8,
    MPLS_LABELS_MOST = 16,
};

/* LINKTYPE_ numbers, tcpdump.org/linktypes. 12 and 14 are what BSDs put in place of 101. */
enum {
    LINK_NULL = 0,
    LINK_PPP = 9,
    LINK_RAW_12 = 12,
    LINK_RAW_14 = 14,
    LINK_PPP_HDLC = 50,
    LINK_PPPOE = 51,
    LINK_CISCO_HDLC = 104,
    LINK_LOOP = 108,
    LINK_SLL = 113,
    LINK_FIREWIRE = 138,
    LINK_IPV4 = 228,
    LINK_IPV6 = 229,
    LINK_SLL2 = 276,
};

static void decode_network(uint16_t type, struct rest r, struct decoded *out) {
    if (type == ETHERTYPE_IPV4)
        decode_ipv4(r, out);
    else if (type == ETHERTYPE_IPV6)
        decode_ipv6(r, out);
    else if (type == ETHERTYPE_ARP)
        out->kind = DECODED_ARP;
}

/* IEEE 802.2: IP by its own SAP, or SNAP with an EtherType (RFC 1042). Anything else is not IP. */
static void decode_llc(struct rest r, struct decoded *out) {
    if (r.captured < 3) return;
    if (r.at[0] == 0x06 && r.at[1] == 0x06 && r.at[2] == 0x03) {
        decode_ip(rest_from(r, 3), out);
        return;
    }
    bool snap = r.captured >= 8 && r.at[0] == 0xaa && r.at[1] == 0xaa && r.at[2] == 0x03;
    if (!snap || load_be24(r.at + 3) != 0) return;
    decode_network(load_be16(r.at + 6), rest_from(r, 8), out);
}

static void decode_ethernet(struct rest r, struct decoded *out);

/* RFC 3032: labels of four bytes, the last one marked. An Ethernet pseudowire may bring labels again, once.
 */
static void decode_mpls(struct rest r, struct decoded *out) {
    if (out->tunnel == &tunnel_pseudowire) {
        note_anomaly(out, "tunnel", "tunnel_too_deep");
        return;
    }
    for (int i = 0; i < MPLS_LABELS_MOST; i++) {
        if (lacks_header(r, 4, out, "link")) return;
        bool last = r.at[2] & 1;
        r = rest_from(r, 4);
        if (!last) continue;
        uint16_t inside = mpls_payload(&r);
        out->tunnel = inside == LINK_ETHERNET ? &tunnel_pseudowire : &tunnel_mpls;
        if (inside == LINK_RAW) decode_ip(r, out);
        if (inside == LINK_ETHERNET) decode_ethernet(r, out);
        return;
    }
    note_anomaly(out, "link", "too_many_labels");
}

/* RFC 1661: a protocol number of two bytes, or of one if it is odd; in HDLC framing behind ff 03 (RFC 1662).
 */
static void decode_ppp(struct rest r, struct decoded *out) {
    if (r.captured >= 2 && r.at[0] == 0xff && r.at[1] == 0x03) r = rest_from(r, 2);
    if (lacks_header(r, 2, out, "link")) return;
    bool one_byte = r.at[0] & 1;
    uint16_t protocol = one_byte ? r.at[0] : load_be16(r.at);
    r = rest_from(r, one_byte ? 1 : 2);
    if (protocol == 0x0021)
        decode_ipv4(r, out);
    else if (protocol == 0x0057)
        decode_ipv6(r, out);
    else if (protocol == 0x0281)
        decode_mpls(r, out);
}

/* RFC 2516 section 4: version and type, code 0 (a session), session id, length. */
static void decode_pppoe(struct rest r, struct decoded *out) {
    if (lacks_header(r, 6, out, "link")) return;
    if (r.at[0] != 0x11 || r.at[1] != 0) return;
    uint32_t length = load_be16(r.at + 4);
    r = rest_from(r, 6);
    if (length < r.wire) r.wire = length; /* the rest is padding of the Ethernet frame */
    if (r.captured > r.wire) r.captured = r.wire;
    out->tunnel = &tunnel_pppoe;
    decode_ppp(r, out);
}

static void decode_vlan(struct rest r, struct decoded *out);

static void decode_ethertype(uint16_t type, struct rest r, struct decoded *out) {
    switch (type) {
    case ETHERTYPE_VLAN:
    case ETHERTYPE_QINQ:
    case ETHERTYPE_QINQ_OLD:
        decode_vlan(r, out);
        break;
    case ETHERTYPE_PPPOE:
        decode_pppoe(r, out);
        break;
    case ETHERTYPE_MPLS:
        decode_mpls(r, out);
        break;
    default:
        decode_network(type, r, out);
    }
}

/* Cisco HDLC, found under the link types of PPP too, has an EtherType behind 0f 00 or 8f 00. */
static void decode_hdlc(struct rest r, struct decoded *out) {
    bool cisco = r.captured >= 4 && (r.at[0] == 0x0f || r.at[0] == 0x8f) && r.at[1] == 0;
    if (cisco)
        decode_ethertype(load_be16(r.at + 2), rest_from(r, 4), out);
    else
        decode_ppp(r, out);
}

/* IEEE 802.1Q tags: priority and VLAN id, then the next EtherType. The outermost id is kept. All tags are
 * walked here, so that decode_ethertype() and this function do not call each other without end. */
static void decode_vlan(struct rest r, struct decoded *out) {
    for (int i = 0; i < VLAN_TAGS_MOST; i++) {
        if (lacks_header(r, 4, out, "link")) return;
        if (i == 0) out->vlan = load_be16(r.at) & 0x0fff;
        uint16_t type = load_be16(r.at + 2);
        r = rest_from(r, 4);
        if (type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ || type == ETHERTYPE_QINQ_OLD) continue;
        if (type < ETHERTYPE_SMALLEST)
            decode_llc(r, out);
        else
            decode_ethertype(type, r, out);
        return;
    }
    note_anomaly(out, "link", "too_many_vlan_tags");
}

static void decode_ethernet(struct rest r, struct decoded *out) {
    if (lacks_header(r, ETHERNET_HEADER, out, "link")) return;
    uint16_t type = load_be16(r.at + 12);
    r = rest_from(r, ETHERNET_HEADER);
    if (__builtin_expect(type == ETHERTYPE_IPV4, 1))
        decode_ipv4(r, out);
    else if (type < ETHERTYPE_SMALLEST)
        decode_llc(r, out);
    else
        decode_ethertype(type, r, out);
}

/* NULL: the BSD address family in the capturing host's byte order; LOOP: in network order. Families fit 16
 * bits, so the order shows. IPv6 is 24, 28 or 30, by system. Some writers put an EtherType in the last two
 * bytes. */
static void decode_null(struct rest r, struct decoded *out) {
    if (lacks_header(r, 4, out, "link")) return;
    uint32_t family = load_le32(r.at);
    if (family > 0xffff) family = __builtin_bswap32(family);
    r = rest_from(r, 4);
    if (family == 2)
        decode_ipv4(r, out);
    else if (family == 24 || family == 28 || family == 30)
        decode_ipv6(r, out);
    else if ((family & 0xffff) >= ETHERTYPE_SMALLEST)
        decode_ethertype(family & 0xffff, r, out);
}

/* Linux "cooked" headers: the EtherType is all we want. 4 stands for 802.2. */
static void decode_cooked(struct rest r, uint32_t header, uint32_t type_at, struct decoded *out) {
    if (lacks_header(r, header, out, "link")) return;
    uint16_t type = load_be16(r.at + type_at);
    r = rest_from(r, header);
    if (type == 4)
        decode_llc(r, out);
    else if (type >= ETHERTYPE_SMALLEST)
        decode_ethertype(type, r, out);
}

void decode_link(uint16_t link_type, struct rest r, struct decoded *out) {
    switch (link_type) {
    case LINK_ETHERNET:
        decode_ethernet(r, out);
        break;
    case LINK_NULL:
    case LINK_LOOP:
        decode_null(r, out);
        break;
    case LINK_RAW_12:
    case LINK_RAW_14:
    case LINK_RAW:
        decode_ip(r, out);
        break;
    case LINK_IPV4:
        decode_ipv4(r, out);
        break;
    case LINK_IPV6:
        decode_ipv6(r, out);
        break;
    case LINK_SLL:
        decode_cooked(r, 16, 14, out);
        break;
    case LINK_SLL2:
        decode_cooked(r, 20, 0, out);
        break;
    case LINK_PPP:
    case LINK_PPP_HDLC:
    case LINK_CISCO_HDLC:
        decode_hdlc(r, out);
        break;
    case LINK_PPPOE:
        decode_pppoe(r, out);
        break;
    case LINK_FIREWIRE:
        decode_cooked(r, 18, 16, out);
        break;
    default:
        break;
    }
}
