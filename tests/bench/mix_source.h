/* A capture held in memory to be played again and again, and what make_mix has to know of it to change it:
 * where the headers are, which end of a flow is the client, which addresses are inside, and which flow can
 * carry more bytes than it did. */
#ifndef BENCH_MIX_SOURCE_H
#define BENCH_MIX_SOURCE_H

#include "capture/capture.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MIX_SNAP = 65535,
    MIX_ETHERNET = 1, /* link type */
    MIX_ETHERNET_HEADER = 14,
    MIX_NO_FLOW = UINT32_MAX,
    /* What an end of a packet is. Numbers from 1 on are the insiders of the capture, in the order they spoke.
     */
    END_OUTSIDE = 0,
    END_MOST_INSIDERS = 4096,
    END_BROADCAST = 0xfffe,
    END_GATEWAY = 0xffff, /* who answers DNS and DHCP */
};

enum client_end { CLIENT_UNKNOWN, CLIENT_SENDS, CLIENT_RECEIVES };
enum packet_kind { KIND_OTHER, KIND_ARP, KIND_IP, KIND_TCP, KIND_UDP, KIND_DHCP };

struct source_packet {
    uint32_t at, captured, original;
    nanoseconds gap;             /* since the packet before */
    uint32_t flow;               /* of the source, or MIX_NO_FLOW */
    uint16_t network, transport; /* where these headers begin in the frame; transport 0: not there, or cut */
    uint16_t sender, receiver;   /* END_… or an insider's number */
    uint8_t kind, client;        /* enum packet_kind, enum client_end */
};

/* A flow that goes on after its hello: where bytes can be put in, and the packets that show their headers. */
struct carrier {
    bool found, tcp;      /* TLS over TCP, or QUIC */
    uint32_t flow, after; /* put in after this packet, which the server sent */
    uint32_t client_packet;
    uint32_t server_sequence, client_sequence; /* of the next byte; TCP */
};

struct source {
    uint8_t *bytes;
    size_t used, room;
    struct source_packet *packets;
    uint32_t count, packet_room;
    uint32_t insiders;
    struct carrier carrier;
};

/* Loads the Ethernet packets of a capture. False: it cannot be read, or has none. */
bool source_load(struct source *source, const char *path);

/* Finds out about headers, clients and insiders (mix_learn.c); what --hosts and --bulk need. */
void source_learn(struct source *source);

/* Finds the carrier; after source_learn (mix_bulk.c). */
void source_find_carrier(struct source *source);

void source_free(struct source *source);

_Noreturn void mix_fail(const char *what, const char *why);
void *mix_grow(void *at, size_t bytes);
uint64_t mix_scramble(uint64_t x); /* splitmix64's finish */

bool v4_is_group(const uint8_t *a);
bool v4_is_local(const uint8_t *a);
bool v6_is_group(const uint8_t *a);
bool v6_is_local(const uint8_t *a);

#endif
