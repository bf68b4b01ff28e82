/* See tunnel.h. The readers of headers are in tunnel_gre.c and tunnel_udp.c; here is what they share, IP in
 * IP, and the tunnel's identity. */
#include "decode/tunnel_inside.h"

#include "base/seed.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { PROTO_IPV4 = 4, PROTO_UDP = 17, PROTO_IPV6 = 41, PROTO_GRE = 47, PROTO_L2TP = 115, PROTO_MPLS = 137 };
enum { MPLS_LABELS_MOST = 16 };

const struct tunnel tunnel_mpls = {.kind = TUNNEL_MPLS, .depth = 1};
const struct tunnel tunnel_pseudowire = {.kind = TUNNEL_MPLS, .depth = 1};
const struct tunnel tunnel_pppoe = {.kind = TUNNEL_PPPOE, .depth = 1};

const char *tunnel_word(enum tunnel_kind kind) {
    static const char *const words[TUNNEL_KINDS] = {
        [TUNNEL_GRE] = "gre",     [TUNNEL_PPTP] = "pptp",     [TUNNEL_ERSPAN] = "erspan",
        [TUNNEL_WCCP] = "wccp",   [TUNNEL_IPIP] = "ipip",     [TUNNEL_4IN6] = "4in6",
        [TUNNEL_6IN4] = "6in4",   [TUNNEL_6IN6] = "6in6",     [TUNNEL_TEREDO] = "teredo",
        [TUNNEL_VXLAN] = "vxlan", [TUNNEL_GENEVE] = "geneve", [TUNNEL_GTP] = "gtp",
        [TUNNEL_L2TP] = "l2tp",   [TUNNEL_MPLS] = "mpls",     [TUNNEL_PPPOE] = "pppoe",
    };
    return kind < TUNNEL_KINDS ? words[kind] : NULL;
}

/* --------------------------------------------------------------- what is inside */

static void set_ip(struct rest r, struct inside *out) {
    out->packet = r;
    out->link_type = looks_like_ip(r) ? LINK_RAW : LINK_UNKNOWN;
}

/* IP, and what only travels beside it: LCP, IPCP, IPv6CP, CCP, ECP, MPLSCP, PAP, CHAP, EAP, LQR, and frames
 * that are compressed, encrypted or one of several parts (IANA "PPP DLL protocol numbers"). */
bool inside_ppp(struct rest r, struct inside *out) {
    if (r.captured >= 2 && r.at[0] == 0xff && r.at[1] == 0x03) r = rest_from(r, 2);
    if (r.captured < 2) return false;
    bool one_byte = r.at[0] & 1;
    uint16_t protocol = one_byte ? r.at[0] : load_be16(r.at);
    r = rest_from(r, one_byte ? 1 : 2);
    switch (protocol) {
    case 0x0021:
    case 0x0057:
        set_ip(r, out);
        return out->link_type == LINK_RAW;
    case 0x0281:
        inside_mpls(r, out);
        return true;
    case 0x003d:
    case 0x00fd:
    case 0x8021:
    case 0x8053:
    case 0x8057:
    case 0x80fd:
    case 0x8281:
    case 0xc021:
    case 0xc023:
    case 0xc025:
    case 0xc029:
    case 0xc223:
    case 0xc227:
        return true;
    default:
        return false;
    }
}

void inside_mpls(struct rest r, struct inside *out) {
    for (int i = 0; i < MPLS_LABELS_MOST && r.captured >= 4; i++) {
        bool last = r.at[2] & 1;
        r = rest_from(r, 4);
        if (!last) continue;
        out->link_type = mpls_payload(&r);
        out->packet = r;
        return;
    }
}

void inside_ethertype(uint16_t type, struct rest r, struct inside *out) {
    out->packet = r;
    switch (type) {
    case 0x0800:
    case 0x86dd:
        out->link_type = LINK_RAW;
        break;
    case 0x6558:
        out->link_type = LINK_ETHERNET;
        break;
    case 0x8847:
    case 0x8848:
        inside_mpls(r, out);
        break;
    case 0x880b:
        inside_ppp(r, out);
        break;
    default:
        break;
    }
}

/* ------------------------------------------------------------------- IP in IP */

static bool is_6to4(const uint8_t *address) {
    return address[0] == 0x20 && address[1] == 0x02;
}

static void tunnel_ip(struct rest r, const struct decoded *outer, struct inside *out) {
    bool in_v4 = ip_is_v4(&outer->src);
    out->packet = r;
    out->link_type = LINK_RAW;
    if (outer->proto == PROTO_IPV4) {
        out->kind = in_v4 ? TUNNEL_IPIP : TUNNEL_4IN6;
        return;
    }
    out->kind = in_v4 ? TUNNEL_6IN4 : TUNNEL_6IN6;
    out->any_way = in_v4 && r.captured >= 40 && (is_6to4(r.at + 8) || is_6to4(r.at + 24));
}

/* ------------------------------------------------------------------- identity */

static uint64_t identity_of(const struct inside *inside, const struct decoded *outer) {
    struct {
        struct ip low, high;
        uint64_t around;
        uint32_t id;
        uint16_t vlan;
        uint8_t kind, unused;
    } who;
    memset(&who, 0, sizeof who);
    if (!inside->any_way) {
        bool in_order = memcmp(&outer->src, &outer->dst, sizeof outer->src) <= 0;
        who.low = in_order ? outer->src : outer->dst;
        who.high = in_order ? outer->dst : outer->src;
    }
    who.around = outer->tunnel ? outer->tunnel->identity : 0;
    who.id = inside->shared_id;
    who.vlan = outer->vlan;
    who.kind = inside->kind;
    uint64_t hash = XXH3_64bits_withSeed(&who, sizeof who, process_seed());
    return hash ? hash : 1;
}

static void read_inside(struct decoded *outer, struct inside *out) {
    struct rest r = {outer->payload, outer->payload_captured, outer->payload_length};
    switch (outer->proto) {
    case PROTO_UDP:
        tunnel_udp(r, outer, out);
        break;
    case PROTO_GRE:
        tunnel_gre(r, outer, out);
        break;
    case PROTO_IPV4:
    case PROTO_IPV6:
        tunnel_ip(r, outer, out);
        break;
    case PROTO_MPLS:
        out->kind = TUNNEL_MPLS;
        inside_mpls(r, out);
        break;
    case PROTO_L2TP:
        tunnel_l2tp_over_ip(r, out);
        break;
    default:
        break;
    }
}

bool tunnel_open(const struct packet *packet, struct decoded *outer, struct packet *inner,
                 struct tunnel *tunnel) {
    if (outer->kind != DECODED_TRANSPORT || outer->fragment || outer->payload_captured == 0) return false;
    struct inside inside = {.link_type = LINK_UNKNOWN, .kind = TUNNEL_NONE};
    read_inside(outer, &inside);
    if (inside.kind == TUNNEL_NONE) return false;
    outer->carries = tunnel_word(inside.kind);
    if (inside.link_type == LINK_UNKNOWN) return false;
    unsigned depth = outer->tunnel ? outer->tunnel->depth : 0;
    if (depth >= TUNNELS_MOST) {
        note_anomaly(outer, "tunnel", "tunnel_too_deep");
        return false;
    }
    *tunnel = (struct tunnel){.kind = inside.kind,
                              .depth = (uint8_t)(depth + 1),
                              .id = inside.id,
                              .identity = identity_of(&inside, outer),
                              .src = outer->src,
                              .dst = outer->dst};
    *inner = *packet;
    inner->bytes = inside.packet.at;
    inner->captured = inside.packet.captured;
    inner->original = inside.packet.wire;
    inner->link_type = inside.link_type;
    inner->origin = NULL; /* the kernel named the owner of the socket outside */
    return true;
}

void tunnel_decode(const struct packet *inner, struct tunnel *tunnel, struct decoded *out) {
    decode_packet(inner, out);
    if (out->tunnel) {
        tunnel->kind = out->tunnel->kind;
        tunnel->depth++;
    }
    out->tunnel = tunnel;
}
