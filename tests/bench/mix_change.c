/* Addresses and ports of a play.
 *
 * Every play for itself: the last bytes of local addresses are xored with the key, the same way in both
 * directions. Local addresses stay local. A public address whose peer is local stays as it is: DNS answers,
 * which are not changed, then still name the servers that are called.
 *
 * An office: insider i of the capture becomes host (key + i) of a pool, 10.77.0.1 and up, with a MAC address
 * of its own (02:77:…), in ARP and DHCP as well. Who answers DNS or DHCP is the one gateway, 10.77.255.254. A
 * client's port is moved within 1024 to 16383 or within 16384 to 65535, by as much as the key says, so that
 * two ports of a play stay two; ports that are the same at both ends (mDNS, NTP) stay. What is quoted in
 * payloads, ICMP's errors say, stays. */
#include "mix_change.h"

#include "base/bytes.h"

#include <string.h>

/* --------------------------------------------------- every play for itself */

/* The last bytes are xored: whoever is in a block of /16 (IPv6: /96) stays in it. */
static void address_change(uint8_t *end, unsigned bytes, uint32_t key) {
    for (unsigned i = 1; i <= bytes; i++, key >>= 8) end[-(int)i] ^= (uint8_t)key;
}

static void addresses_change(uint8_t *ip, uint32_t length, uint32_t key) {
    bool v4 = length >= 20 && ip[0] >> 4 == 4, v6 = length >= 40 && ip[0] >> 4 == 6;
    if (!v4 && !v6) return;
    unsigned size = v4 ? 4 : 16, changed = v4 ? 2 : 4;
    uint8_t *src = ip + (v4 ? 12 : 8), *dst = src + size;
    bool (*is_group)(const uint8_t *) = v4 ? v4_is_group : v6_is_group;
    bool (*is_local)(const uint8_t *) = v4 ? v4_is_local : v6_is_local;
    bool both_public = !is_local(src) && !is_local(dst);
    if (!is_group(src) && (is_local(src) || both_public)) address_change(src + size, changed, key);
    if (!is_group(dst) && (is_local(dst) || both_public)) address_change(dst + size, changed, key);
}

void frame_change_addresses(uint8_t *frame, uint32_t length, uint32_t key) {
    uint32_t at = 12;
    uint16_t type = load_be16(frame + at);
    while ((type == 0x8100 || type == 0x88a8) && at + 6 <= length) {
        at += 4;
        type = load_be16(frame + at);
    }
    if (type == 0x0800 || type == 0x86dd) addresses_change(frame + at + 2, length - at - 2, key);
}

/* ------------------------------------------------------------------ office */

enum { GATEWAY = 0xfffe, BROADCAST = 0xffff, LOWEST_PORT = 1024, MIDDLE_PORT = 16384 };

/* The last two bytes of the new address: 1 and up for hosts, 0: it is nobody's of the office. */
static uint32_t office_number(uint16_t end, uint32_t hosts, uint32_t key) {
    if (end == END_OUTSIDE) return 0;
    if (end == END_GATEWAY) return GATEWAY;
    if (end == END_BROADCAST) return BROADCAST;
    return (key + end - 1U) % hosts + 1;
}

static void put_v4(uint8_t *at, uint32_t number) {
    if (number == 0 || v4_is_group(at)) return;
    memcpy(at, (const uint8_t[]){10, 77, (uint8_t)(number >> 8), (uint8_t)number}, 4);
}

static void put_v6(uint8_t *at, uint32_t number) {
    if (number == 0 || v6_is_group(at)) return;
    bool link_local = at[0] == 0xfe && (at[1] & 0xc0) == 0x80;
    memset(at, 0, 16);
    at[0] = link_local ? 0xfe : 0xfd;
    at[1] = link_local ? 0x80 : 0x77;
    at[14] = (uint8_t)(number >> 8);
    at[15] = (uint8_t)number;
}

static void put_mac(uint8_t *at, uint32_t number) {
    static const uint8_t nobody[6];
    if (number == 0 || number == BROADCAST || at[0] & 1 || memcmp(at, nobody, 6) == 0) return;
    memcpy(at, (const uint8_t[]){2, 0x77, 0, 0, (uint8_t)(number >> 8), (uint8_t)number}, 6);
}

static uint16_t port_moved(uint16_t port, uint32_t key) {
    uint32_t from = port < MIDDLE_PORT ? LOWEST_PORT : MIDDLE_PORT;
    uint32_t many = port < MIDDLE_PORT ? MIDDLE_PORT - LOWEST_PORT : 65536 - MIDDLE_PORT;
    return port < LOWEST_PORT ? port : (uint16_t)(from + (port - from + (key >> 8)) % many);
}

static void port_change(uint8_t *ports, uint8_t client, uint32_t key) {
    if (load_be16(ports) == load_be16(ports + 2)) return;
    uint8_t *at = ports + (client == CLIENT_SENDS ? 0 : 2);
    uint16_t moved = port_moved(load_be16(at), key);
    at[0] = (uint8_t)(moved >> 8);
    at[1] = (uint8_t)moved;
}

/* RFC 2131, section 2; options 50 (address asked for) and 61 (client's name: its MAC address) of RFC 2132. */
static void dhcp_change(uint8_t *message, uint32_t length, uint32_t number) {
    put_v4(message + 12, number);
    put_v4(message + 16, number);
    put_mac(message + 28, number);
    for (uint32_t at = 240; at + 2 <= length && message[at] != 255;) {
        if (message[at] == 0) {
            at++;
            continue;
        }
        uint32_t size = message[at + 1];
        if (at + 2 + size > length) return;
        if (message[at] == 50 && size == 4) put_v4(message + at + 2, number);
        if (message[at] == 61 && size == 7 && message[at + 2] == 1) put_mac(message + at + 3, number);
        at += 2 + size;
    }
}

void frame_change_to_office(uint8_t *frame, const struct source_packet *packet, uint32_t hosts,
                            uint32_t key) {
    uint32_t sender = office_number(packet->sender, hosts, key);
    uint32_t receiver = office_number(packet->receiver, hosts, key);
    uint8_t *network = frame + packet->network;
    put_mac(frame + 6, sender);
    put_mac(frame, receiver);
    switch (packet->kind) {
    case KIND_OTHER:
        return;
    case KIND_ARP:
        put_mac(network + 8, sender);
        put_v4(network + 14, sender);
        put_mac(network + 18, receiver);
        put_v4(network + 24, receiver);
        return;
    default:
        break;
    }
    if (network[0] >> 4 == 4) {
        put_v4(network + 12, sender);
        put_v4(network + 16, receiver);
    } else {
        put_v6(network + 8, sender);
        put_v6(network + 24, receiver);
    }
    if (packet->kind == KIND_DHCP)
        dhcp_change(frame + packet->transport + 8, packet->captured - packet->transport - 8,
                    packet->client == CLIENT_SENDS ? sender : receiver);
    else if (packet->transport && packet->client != CLIENT_UNKNOWN)
        port_change(frame + packet->transport, packet->client, key);
}
