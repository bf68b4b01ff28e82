/* Flows without end, from nothing: a random one of N for each packet, the worst case for caches. Even flows
 * are TCP (SYN, SYN-ACK, then data both ways), odd ones UDP; servers are random, the port is no protocol's.
 * First every flow comes once, in order, so that all exist (with a TLS 1.3 hello of both sides: four times,
 * all flows TCP and to port 443), then at random. Ten packets a microsecond: no pause is long enough to mean
 * anything. */
#include "mix_flows.h"

#include "mix_source.h"

#include <stdlib.h>
#include <string.h>

enum { PORT = 9443, HELLO_ROUNDS = 4, HELLO_MOST = 160 };

/* What a flow remembers: TCP must count its bytes. */
struct endless {
    uint32_t sent[2];
    uint32_t packets;
};

void mix_put_header(FILE *out) {
    const uint32_t words[] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, MIX_SNAP, MIX_ETHERNET};
    fwrite(words, sizeof words, 1, out);
}

uint64_t mix_put_packet(FILE *out, nanoseconds time, const uint8_t *bytes, uint32_t captured,
                        uint32_t original) {
    const uint32_t head[] = {(uint32_t)(time / NS_PER_SECOND), (uint32_t)(time % NS_PER_SECOND / 1000),
                             captured, original};
    fwrite(head, sizeof head, 1, out);
    fwrite(bytes, captured, 1, out);
    return sizeof head + captured;
}

static void put_be16(uint8_t *at, uint16_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_be32(uint8_t *at, uint32_t value) {
    put_be16(at, (uint16_t)(value >> 16));
    put_be16(at + 2, (uint16_t)value);
}

/* A ClientHello or ServerHello in one record: RFC 8446, section 4.1. All clients call the same few names. */
static uint32_t put_hello(uint8_t *to, bool server, uint32_t number) {
    static const uint8_t client_head[] = {22, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3},
                         server_head[] = {22, 3, 3, 0, 0, 2, 0, 0, 0, 3, 3};
    static const uint8_t client_tail[] = {0, 0,  2, 0x13, 1, 1, 0, /* no session, one suite, no compression */
                                          0, 30, 0, 43,   0, 3, 2, 3, 4, 0, 0, 0, 19, 0, 17, 0, 0, 14};
    static const uint8_t server_tail[] = {0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 3, 4};
    uint8_t *at = to + sizeof client_head;
    memcpy(to, server ? server_head : client_head, sizeof client_head);
    for (int i = 0; i < 32; i += 8) {
        uint64_t chance = mix_scramble(((uint64_t)number << 3 | (unsigned)i >> 2 | server) + 1);
        memcpy(at + i, &chance, 8);
    }
    at += 32;
    memcpy(at, server ? server_tail : client_tail, server ? sizeof server_tail : sizeof client_tail);
    at += server ? sizeof server_tail : sizeof client_tail;
    if (!server) {
        char name[15];
        snprintf(name, sizeof name, "n%u.example.org", number % 10);
        memcpy(at, name, 14);
        at += 14;
    }
    uint32_t length = (uint32_t)(at - to);
    put_be16(to + 3, (uint16_t)(length - 5));
    put_be16(to + 7, (uint16_t)(length - 9));
    return length;
}

static void put_ends(uint8_t *ip, const struct endless_mix *mix, uint32_t number, bool server) {
    uint32_t hosts = mix->hosts ? mix->hosts : 1 << 24;
    uint32_t client = 0x0a000000 + number % hosts + (mix->hosts ? 0x4d0001 : 0);
    uint32_t port = mix->hosts ? 1024 + number / hosts % 64000 : 32768 + number % 28000;
    put_be32(ip + (server ? 16 : 12), client);
    put_be32(ip + (server ? 12 : 16), 0x2d000000 + (uint32_t)(mix_scramble(number) & 0xffff));
    put_be16(ip + 20 + (server ? 2 : 0), (uint16_t)port);
    put_be16(ip + 20 + (server ? 0 : 2), mix->hello ? 443 : PORT);
}

/* Returns the frame's length; the frame has room for a hello. */
static uint32_t endless_frame(uint8_t *frame, const struct endless_mix *mix, struct endless *flow,
                              uint32_t number, uint64_t chance) {
    bool tcp = mix->hello || number % 2 == 0, syn = tcp && flow->packets < 2;
    bool hello = mix->hello && !syn && flow->packets < HELLO_ROUNDS;
    bool server =
        flow->packets < HELLO_ROUNDS && (flow->packets < 2 || mix->hello) ? flow->packets & 1 : chance & 1;
    uint32_t header = MIX_ETHERNET_HEADER + 20 + (tcp ? 20 : 8), payload = mix->frame - header,
             length = mix->frame;
    uint8_t *ip = frame + MIX_ETHERNET_HEADER, *l4 = ip + 20;
    for (uint32_t i = 0; i < mix->frame; i += 8, chance = mix_scramble(chance)) memcpy(frame + i, &chance, 8);
    if (hello) {
        payload = put_hello(frame + header, server, number);
        length = header + payload;
    }
    frame[0] = frame[6] = 2;
    put_be16(frame + 12, 0x0800);
    memset(ip, 0, 20);
    ip[0] = 0x45;
    put_be16(ip + 2, (uint16_t)((syn ? header : length) - MIX_ETHERNET_HEADER));
    ip[8] = 64;
    ip[9] = tcp ? 6 : 17;
    put_ends(ip, mix, number, server);
    if (tcp) {
        put_be32(l4 + 4, flow->sent[server]);
        put_be32(l4 + 8, flow->packets ? flow->sent[!server] : 0);
        l4[12] = 0x50;
        l4[13] = flow->packets == 0 ? 2 : flow->packets == 1 ? 18 : 16;
        put_be16(l4 + 14, 4096);
        memset(l4 + 16, 0, 4);
    } else {
        put_be16(l4 + 4, (uint16_t)(8 + payload));
        memset(l4 + 6, 0, 2);
    }
    flow->sent[server] += syn ? 1 : payload;
    flow->packets++;
    return length;
}

void make_flows(FILE *out, const struct endless_mix *mix) {
    struct endless *table = calloc(mix->flows, sizeof *table);
    uint8_t frame[1514 + HELLO_MOST];
    uint64_t in_order = (uint64_t)mix->flows * (mix->hello ? HELLO_ROUNDS : 1);
    if (!table) mix_fail("memory", "there is not enough");
    for (uint64_t i = 0; i < mix->packets && !ferror(out); i++) {
        uint64_t chance = mix_scramble(i);
        uint32_t number = (uint32_t)(i < in_order ? i % mix->flows : (chance >> 32) % mix->flows);
        uint32_t length = endless_frame(frame, mix, &table[number], number, chance);
        mix_put_packet(out, mix_first_time + (nanoseconds)i * 100, frame, length, length);
    }
    free(table);
}
