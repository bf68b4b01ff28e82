/* PKTAP: find the inner frame. */
#include "capture/pktap.h"
#include "base/bytes.h"

enum {
    V1_SMALLEST = 108,
    V1_LARGEST = 1024,
    V1_FULL = 156,
    V2_FIXED = 40,
    V2_LARGEST = 130,
    FLAGS_AT = 36, /* in both versions, so that they can be told apart */
    FLAG_V2 = 0x00080000,
    RECORD_PACKET = 1,
    RECORD_DROP = 2,
    DROP_NAME_LENGTH_AT = V1_FULL + 4,
    DROP_NAME_AT = V1_FULL + 8,
};

/* The data links that xnu's pktap hands out, and the raw ones. */
static bool is_inner_link(uint32_t dlt) {
    return dlt == 0 || dlt == 1 || dlt == 9 || dlt == 12 || dlt == 14 || dlt == 101 || dlt == 108 ||
           dlt == 138;
}

static bool has_interface_name(const uint8_t *name, uint32_t room) {
    return name[0] > ' ' && name[0] < 0x7f && memchr(name, 0, room) != NULL;
}

/* A dropped packet's header goes on behind its stated length: reason, line and name of the function that
 * dropped it. */
static uint32_t droptap_length(const uint8_t *at, uint32_t captured) {
    if (captured <= DROP_NAME_LENGTH_AT) return 0;
    uint8_t name = at[DROP_NAME_LENGTH_AT];
    return name == 0 ? DROP_NAME_LENGTH_AT + 1u : DROP_NAME_AT + name + 1u;
}

static bool read_v1(const uint8_t *at, uint32_t captured, bool doubt, struct pktap *out) {
    if (captured < V1_SMALLEST) return false;
    uint32_t length = load_le32(at), record = load_le32(at + 4), dlt = load_le32(at + 8);
    if (length < V1_SMALLEST || length > V1_LARGEST || dlt > UINT16_MAX) return false;
    if (record != RECORD_PACKET && record != RECORD_DROP) return false;
    if (doubt && (!is_inner_link(dlt) || !has_interface_name(at + 12, 24))) return false;
    if (record == RECORD_DROP && length == V1_FULL) length = droptap_length(at, captured);
    if (length == 0 || length > captured) return false;
    *out = (struct pktap){.inner_at = length, .inner_link_type = (uint16_t)dlt};
    return true;
}

static bool read_v2(const uint8_t *at, uint32_t captured, struct pktap *out) {
    uint32_t length = at[0];
    if (length < V2_FIXED || length > V2_LARGEST || length > captured) return false;
    for (int i = 1; i <= 5; i++) /* offsets of uuids and names */
        if (at[i] != 0 && (at[i] < V2_FIXED || at[i] >= length)) return false;
    for (int i = 3; i <= 5; i++)
        if (at[i] != 0 && !memchr(at + at[i], 0, length - at[i])) return false;
    *out = (struct pktap){.inner_at = length, .inner_link_type = load_le16(at + 6)};
    return true;
}

bool pktap_read(const struct packet *packet, struct pktap *out) {
    if (packet->link_type != LINKTYPE_PKTAP && packet->link_type != LINKTYPE_USER2) return false;
    if (packet->captured < V2_FIXED) return false;
    bool doubt = packet->link_type == LINKTYPE_USER2;
    bool v2 = (load_le32(packet->bytes + FLAGS_AT) & FLAG_V2) != 0;
    if (!v2) return read_v1(packet->bytes, packet->captured, doubt, out);
    return read_v2(packet->bytes, packet->captured, out) && (!doubt || is_inner_link(out->inner_link_type));
}
