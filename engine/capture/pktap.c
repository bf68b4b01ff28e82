/* PKTAP: read the header, step behind it. */
#include "capture/pktap.h"

enum {
    V1_SMALLEST = 108,
    V1_LARGEST = 1024,
    V1_FULL = 156,
    V2_FIXED = 40,
    V2_LARGEST = 130,
    FLAGS_AT = 36, /* in both versions, so that they can be told apart */
    RECORD_PACKET = 1,
    RECORD_DROP = 2,
    INTERFACE_SIZE = 24,
    COMMAND_SIZE = 17,
    DROP_NAME_LENGTH_AT = V1_FULL + 4,
    DROP_LINE_AT = V1_FULL + 6,
    DROP_NAME_AT = V1_FULL + 8,
};

enum header_flag {
    FLAG_IN = 0x1,
    FLAG_OUT = 0x2,
    FLAG_NEW_FLOW = 0x4000,
    FLAG_RETRANSMIT = 0x8000,
    FLAG_KEEP_ALIVE = 0x10000,
    FLAG_SOCKET = 0x20000,
    FLAG_NEXUS_CHANNEL = 0x40000,
    FLAG_V2 = 0x80000,
    FLAG_WAKE = 0x100000,
};

struct pktap {
    uint32_t inner_at;  /* where the inner frame begins */
    uint32_t inner_dlt; /* Darwin's number */
    uint32_t flags, service_class, flow_id;
    int32_t pid, effective_pid;
    struct slice interface, name, effective_name; /* may have NULs in them, and anything behind those */
    const uint8_t *uuid, *effective_uuid;         /* or NULL */
    uint32_t drop_reason;
    uint16_t drop_line;
    struct slice drop_function;
};

/* The data links that xnu's pktap hands out, and the raw ones. */
static bool is_inner_link(uint32_t dlt) {
    return dlt == 0 || dlt == 1 || dlt == 9 || dlt == 12 || dlt == 14 || dlt == 101 || dlt == 108 ||
           dlt == 138;
}

/* Raw IP has other numbers there. */
static uint16_t link_type_of(uint32_t dlt) {
    enum { RAW_12 = 12, RAW_14 = 14, LINKTYPE_RAW = 101 };
    return dlt == RAW_12 || dlt == RAW_14 ? LINKTYPE_RAW : (uint16_t)dlt;
}

static bool has_interface_name(const uint8_t *name, uint32_t room) {
    return name[0] > ' ' && name[0] < 0x7f && memchr(name, 0, room) != NULL;
}

/* A dropped packet's header goes on behind its stated length: reason, line and name of the function that
 * dropped it. 0 if it is not all there. */
static uint32_t read_drop(const uint8_t *at, uint32_t captured, struct pktap *out) {
    if (captured <= DROP_NAME_LENGTH_AT) return 0;
    out->drop_reason = load_le32(at + V1_FULL);
    uint8_t name = at[DROP_NAME_LENGTH_AT];
    if (name == 0) return DROP_NAME_LENGTH_AT + 1u;
    uint32_t length = DROP_NAME_AT + name + 1u;
    if (length > captured) return 0;
    out->drop_line = load_le16(at + DROP_LINE_AT);
    out->drop_function = (struct slice){at + DROP_NAME_AT, name};
    return length;
}

static bool read_v1(const uint8_t *at, uint32_t captured, bool doubt, struct pktap *out) {
    if (captured < V1_SMALLEST) return false;
    uint32_t length = load_le32(at), record = load_le32(at + 4), dlt = load_le32(at + 8);
    if (length < V1_SMALLEST || length > V1_LARGEST || length > captured || dlt > UINT16_MAX) return false;
    if (record != RECORD_PACKET && record != RECORD_DROP) return false;
    if (doubt && (!is_inner_link(dlt) || !has_interface_name(at + 12, INTERFACE_SIZE))) return false;
    *out = (struct pktap){
        .inner_at = length,
        .inner_dlt = dlt,
        .flags = load_le32(at + FLAGS_AT),
        .service_class = load_le32(at + 76),
        .pid = (int32_t)load_le32(at + 52),
        .effective_pid = (int32_t)load_le32(at + 84),
        .interface = {at + 12, INTERFACE_SIZE},
        .name = {at + 56, COMMAND_SIZE},
        .effective_name = {at + 88, COMMAND_SIZE},
    };
    if (length >= V1_FULL) {
        out->flow_id = load_le32(at + 108);
        out->uuid = at + 124;
        out->effective_uuid = at + 140;
    }
    if (record == RECORD_DROP && length == V1_FULL) out->inner_at = read_drop(at, captured, out);
    return out->inner_at > 0;
}

/* A text of version 2, whose end must be in the header. */
static bool read_text(const uint8_t *at, uint32_t length, uint8_t from, struct slice *out) {
    if (from == 0) return true;
    if (from < V2_FIXED || from >= length || !memchr(at + from, 0, length - from)) return false;
    *out = (struct slice){at + from, length - from};
    return true;
}

static bool read_uuid(const uint8_t *at, uint32_t length, uint8_t from, const uint8_t **out) {
    if (from == 0) return true;
    if (from < V2_FIXED || from + 16u > length) return false;
    *out = at + from;
    return true;
}

static bool read_v2(const uint8_t *at, uint32_t captured, bool doubt, struct pktap *out) {
    uint32_t length = at[0];
    if (length < V2_FIXED || length > V2_LARGEST || length > captured) return false;
    *out = (struct pktap){
        .inner_at = length,
        .inner_dlt = load_le16(at + 6),
        .flags = load_le32(at + FLAGS_AT),
        .service_class = load_le32(at + 20),
        .flow_id = load_le32(at + 24),
        .pid = (int32_t)load_le32(at + 28),
        .effective_pid = (int32_t)load_le32(at + 32),
    };
    if (doubt && !is_inner_link(out->inner_dlt)) return false;
    return read_uuid(at, length, at[1], &out->uuid) && read_uuid(at, length, at[2], &out->effective_uuid) &&
           read_text(at, length, at[3], &out->interface) && read_text(at, length, at[4], &out->name) &&
           read_text(at, length, at[5], &out->effective_name);
}

static bool pktap_read(const struct packet *packet, struct pktap *out) {
    if (packet->captured < V2_FIXED) return false;
    bool doubt = packet->link_type == LINKTYPE_USER2;
    bool v2 = (load_le32(packet->bytes + FLAGS_AT) & FLAG_V2) != 0;
    return v2 ? read_v2(packet->bytes, packet->captured, doubt, out)
              : read_v1(packet->bytes, packet->captured, doubt, out);
}

static uint32_t origin_flags(uint32_t flags) {
    static const uint32_t pairs[][2] = {
        {FLAG_NEW_FLOW, ORIGIN_NEW_FLOW},
        {FLAG_KEEP_ALIVE, ORIGIN_KEEP_ALIVE},
        {FLAG_RETRANSMIT, ORIGIN_RETRANSMIT},
        {FLAG_SOCKET, ORIGIN_SOCKET},
        {FLAG_WAKE, ORIGIN_WAKE},
        {FLAG_NEXUS_CHANNEL, ORIGIN_NEXUS_CHANNEL},
    };
    uint32_t result = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (flags & pairs[i][0]) result |= pairs[i][1];
    return result;
}

static const struct packet_origin *origin_of(const struct pktap_names *names, const struct pktap *header) {
    static const struct slice no_path;
    struct packet_origin *origin = origins_take(names->origins);
    if (!origin) return NULL;
    origin->process =
        processes_keep(names->processes, header->pid, header->name, no_path, header->uuid, names->refused);
    origin->effective = processes_keep(names->processes, header->effective_pid, header->effective_name,
                                       no_path, header->effective_uuid, names->refused);
    origin->service_class = header->service_class;
    origin->flow_id = header->flow_id;
    origin->flags = origin_flags(header->flags);
    origin->drop_reason = header->drop_reason;
    origin->drop_line = header->drop_line;
    if (header->drop_function.length) origins_name_function(origin, header->drop_function);
    return origin;
}

bool pktap_strip(const struct pktap_names *names, struct packet *packet) {
    struct pktap header;
    if (!pktap_is_possible(packet->link_type) || !pktap_read(packet, &header)) return false;
    packet->origin = origin_of(names, &header);
    if (header.interface.length > 0 && header.interface.at[0]) {
        const uint8_t *nul = memchr(header.interface.at, 0, header.interface.length);
        uint32_t length = nul ? (uint32_t)(nul - header.interface.at) : header.interface.length;
        packet->interface = names->interface(names->context, header.interface.at, length);
    }
    uint32_t way = header.flags & (FLAG_IN | FLAG_OUT);
    if (way == FLAG_IN || way == FLAG_OUT) packet->direction = way == FLAG_IN ? PACKET_IN : PACKET_OUT;
    packet->link_type = link_type_of(header.inner_dlt);
    packet->bytes += header.inner_at;
    packet->captured -= header.inner_at;
    packet->original -= header.inner_at;
    return true;
}

/* Where the IP header lies behind the link layers that droptap has; 0xffffffff elsewhere. */
static uint32_t ip_at(const struct packet *packet) {
    enum { ETHERNET = 1, ETHERNET_HEADER = 14, FAMILY = 4, VLAN_TAG = 4 };
    switch (packet->link_type) {
    case 12:
    case 14:
    case 101:
        return 0;
    case 0:
    case 108:
        return FAMILY;
    case ETHERNET:
        if (packet->captured < ETHERNET_HEADER) return UINT32_MAX;
        return ETHERNET_HEADER + (load_be16(packet->bytes + 12) == 0x8100 ? VLAN_TAG : 0);
    default:
        return UINT32_MAX;
    }
}

void droptap_clip(struct packet *packet) {
    enum { V4_LEAST = 20, V6_HEADER = 40 };
    uint32_t at = ip_at(packet), length = 0;
    if (at >= packet->captured) return;
    const uint8_t *ip = packet->bytes + at;
    uint32_t here = packet->captured - at;
    if (here >= V4_LEAST && ip[0] >> 4 == 4) length = load_be16(ip + 2);
    if (here >= V6_HEADER && ip[0] >> 4 == 6) length = V6_HEADER + load_be16(ip + 4);
    if (length < V4_LEAST) return;
    if (packet->captured > at + length) packet->captured = at + length;
    if (packet->original > at + length) packet->original = at + length;
}
