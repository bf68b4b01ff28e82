/* See wire.h. */
#include "wire.h"

#include <stdlib.h>
#include <string.h>

uint64_t roll(struct wire *w) { /* splitmix64 */
    uint64_t x = w->random += 0x9e3779b97f4a7c15ULL;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

uint32_t below(struct wire *w, uint32_t bound) {
    return (uint32_t)((roll(w) >> 32) * bound >> 32);
}

void fill(struct wire *w, void *out, size_t length) {
    uint8_t *at = out;
    for (; length >= 8; at += 8, length -= 8) {
        uint64_t bits = roll(w);
        memcpy(at, &bits, 8);
    }
    uint64_t bits = roll(w);
    memcpy(at, &bits, length);
}

void fill_letters(struct wire *w, char *out, size_t length) {
    uint64_t bits = 0;
    for (size_t i = 0; i < length; i++, bits >>= 5) {
        if (i % 12 == 0) bits = roll(w);
        out[i] = "abcdefghijklmnopqrstuvwxyz234567"[bits & 31];
    }
}

bool wire_done(const struct wire *w) {
    return w->sent >= w->wanted;
}

void put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

void put32(uint8_t *at, uint32_t value) {
    put16(at, value >> 16);
    put16(at + 2, value);
}

struct end end_v4(uint32_t address, uint16_t port) {
    struct end end = {.version = 4, .port = port};
    put32(end.ip, address);
    return end;
}

struct end end_v6(struct wire *w, uint64_t network, uint16_t port) {
    struct end end = {.version = 6, .port = port};
    put32(end.ip, (uint32_t)(network >> 32));
    put32(end.ip + 4, (uint32_t)network);
    fill(w, end.ip + 8, 8);
    return end;
}

struct end local_end(struct wire *w, uint32_t hosts) {
    return end_v4(0x0a000001 + below(w, hosts), (uint16_t)(1024 + below(w, 64000)));
}

struct end public_end(struct wire *w, uint16_t port) {
    return end_v4(0x10000000 + below(w, 0x40000000), port); /* 16.0.0.0 to 79.255.255.255 */
}

static void write_or_end(const void *bytes, size_t length, FILE *out) {
    if (fwrite(bytes, 1, length, out) != length) exit(1); /* who read it is gone, or the disk is full */
}

void wire_header(const struct wire *w) {
    const uint32_t words[] = {0xa1b23c4d, 2 | 4 << 16, 0, 0, 65535, 1}; /* nanoseconds, Ethernet */
    write_or_end(words, sizeof words, w->out);
}

void begin(struct wire *w, const void *payload, size_t length) {
    w->at = w->room + WIRE_HEADERS;
    w->length = length;
    if (length) memmove(w->at, payload, length);
}

uint8_t *push(struct wire *w, size_t length) {
    w->at -= length;
    w->length += length;
    return memset(w->at, 0, length);
}

void push_udp(struct wire *w, struct end from, struct end to) {
    uint32_t length = (uint32_t)w->length + 8;
    uint8_t *h = push(w, 8);
    put16(h, from.port);
    put16(h + 2, to.port);
    put16(h + 4, length);
}

void push_tcp(struct wire *w, struct end from, struct end to, uint32_t seq, uint32_t ack, unsigned flags) {
    uint8_t *h = push(w, 20);
    put16(h, from.port);
    put16(h + 2, to.port);
    put32(h + 4, seq);
    put32(h + 8, ack);
    h[12] = 5 << 4;
    h[13] = (uint8_t)flags;
    put16(h + 14, 65535);
    if (flags & URG) put16(h + 18, 1);
}

void push_ip(struct wire *w, struct end from, struct end to, unsigned protocol) {
    uint32_t length = (uint32_t)w->length;
    if (from.version == 4) {
        uint8_t *h = push(w, 20);
        h[0] = 0x45;
        put16(h + 2, length + 20);
        h[6] = 0x40;
        h[8] = 64;
        h[9] = (uint8_t)protocol;
        memcpy(h + 12, from.ip, 4);
        memcpy(h + 16, to.ip, 4);
        return;
    }
    uint8_t *h = push(w, 40);
    h[0] = 0x60;
    put16(h + 4, length);
    h[6] = (uint8_t)protocol;
    h[7] = 64;
    memcpy(h + 8, from.ip, 16);
    memcpy(h + 24, to.ip, 16);
}

void push_fragment(struct wire *w, struct end from, struct end to, unsigned protocol, uint32_t id,
                   uint32_t offset, bool more) {
    if (from.version == 4) {
        push_ip(w, from, to, protocol);
        put16(w->at + 4, id);
        put16(w->at + 6, (more ? 0x2000 : 0) | offset / 8);
        return;
    }
    uint8_t *h = push(w, 8);
    h[0] = (uint8_t)protocol;
    put16(h + 2, (offset / 8) << 3 | more);
    put32(h + 4, id);
    push_ip(w, from, to, 44);
}

static void put_mac(uint8_t *at, const struct end *end) {
    at[0] = 2;
    at[1] = end->version;
    memcpy(at + 2, end->version == 4 ? end->ip : end->ip + 12, 4);
}

void push_ethernet(struct wire *w, struct end from, struct end to, unsigned type) {
    uint8_t *h = push(w, 14);
    put_mac(h, &to);
    put_mac(h + 6, &from);
    if (w->mac) {
        put16(h + 6, 0x0200 | (uint32_t)(w->mac >> 32 & 0xff));
        put32(h + 8, (uint32_t)w->mac);
    }
    put16(h + 12, type);
}

void finish(struct wire *w) {
    int64_t time = w->start + (int64_t)w->sent * w->step + w->shift;
    const uint32_t head[] = {(uint32_t)(time / 1000000000), (uint32_t)(time % 1000000000) + w->strange,
                             (uint32_t)w->length, (uint32_t)w->length};
    write_or_end(head, sizeof head, w->out);
    write_or_end(w->at, w->length, w->out);
    w->sent++;
}

static void send_ip(struct wire *w, struct end from, struct end to, unsigned protocol) {
    push_ip(w, from, to, protocol);
    push_ethernet(w, from, to, from.version == 4 ? 0x0800 : 0x86dd);
    finish(w);
}

void udp(struct wire *w, struct end from, struct end to, const void *payload, size_t length) {
    begin(w, payload, length);
    push_udp(w, from, to);
    send_ip(w, from, to, 17);
}

void tcp(struct wire *w, struct end from, struct end to, uint32_t seq, uint32_t ack, unsigned flags,
         const void *payload, size_t length) {
    begin(w, payload, length);
    push_tcp(w, from, to, seq, ack, flags);
    send_ip(w, from, to, 6);
}

void handshake(struct wire *w, struct end client, struct end server, uint32_t seq) {
    tcp(w, client, server, seq - 1, 0, SYN, NULL, 0);
    tcp(w, server, client, seq - 1, seq, SYN | ACK, NULL, 0);
    tcp(w, client, server, seq, seq, ACK, NULL, 0);
}
