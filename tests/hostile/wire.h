/* What a flood is made with: packets built layer by layer into one buffer and written as a pcap file.
 *
 * Headers are put in front of what is there, from the inside out, so any nesting of tunnels is a list of
 * calls. Checksums are left zero: lunette does not look at them. Numbers come from a generator with a seed; a
 * flood with the same seed is the same flood. */
#ifndef LUNETTE_TESTS_HOSTILE_WIRE_H
#define LUNETTE_TESTS_HOSTILE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { WIRE_ROOM = 16384, WIRE_HEADERS = 4096 }; /* of which the headers take at most */
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32 };

struct end {
    uint8_t ip[16]; /* the first four of it if version is 4 */
    uint8_t version;
    uint16_t port;
};

struct wire {
    FILE *out;
    uint64_t random; /* the generator's state */
    uint64_t sent, wanted;
    int64_t start, step; /* nanoseconds: of the first packet, between two */
    int64_t shift;       /* added to the time, by floods that play with the clock */
    uint32_t strange;    /* added to a packet's nanoseconds as they are written */
    uint64_t mac;        /* of the sender; 0: made from its address */
    uint8_t room[WIRE_ROOM];
    uint8_t *at; /* what is built so far: from here … */
    size_t length;
};

uint64_t roll(struct wire *w);                       /* 64 random bits */
uint32_t below(struct wire *w, uint32_t bound);      /* less than bound */
void fill(struct wire *w, void *out, size_t length); /* random bytes */
void fill_letters(struct wire *w, char *out, size_t length);
bool wire_done(const struct wire *w);

struct end end_v4(uint32_t address, uint16_t port);
struct end end_v6(struct wire *w, uint64_t network, uint16_t port); /* the lower half is random */
struct end local_end(struct wire *w, uint32_t hosts);               /* in 10.0.0.0/8, of that many */
struct end public_end(struct wire *w, uint16_t port);

void wire_header(const struct wire *w);

/* A packet: begun with its innermost payload, then what is around it, then sent. */
void begin(struct wire *w, const void *payload, size_t length);
uint8_t *push(struct wire *w, size_t length); /* room in front, zeroed */
void put16(uint8_t *at, uint32_t value);
void put32(uint8_t *at, uint32_t value);
void push_udp(struct wire *w, struct end from, struct end to);
void push_tcp(struct wire *w, struct end from, struct end to, uint32_t seq, uint32_t ack, unsigned flags);
void push_ip(struct wire *w, struct end from, struct end to, unsigned protocol);
void push_fragment(struct wire *w, struct end from, struct end to, unsigned protocol, uint32_t id,
                   uint32_t offset, bool more);
void push_ethernet(struct wire *w, struct end from, struct end to, unsigned type);
void finish(struct wire *w); /* writes it */

/* All of it, for what is not odd below the payload. */
void udp(struct wire *w, struct end from, struct end to, const void *payload, size_t length);
void tcp(struct wire *w, struct end from, struct end to, uint32_t seq, uint32_t ack, unsigned flags,
         const void *payload, size_t length);
void handshake(struct wire *w, struct end client, struct end server, uint32_t seq); /* both begin at seq */

typedef void kind(struct wire *w, uint64_t turn); /* some packets of the flood */
kind kind_syn_flood, kind_flows, kind_fragments, kind_overlaps, kind_tunnels, kind_clock, kind_hosts;
kind kind_hash, kind_names, kind_headers, kind_hello_bytes, kind_events, kind_clean;

/* messages.c: what more than one kind says. They return the length. */
size_t client_hello(struct wire *w, uint8_t *out, const char *name, bool random_suites);
size_t dns_query(uint8_t *out, uint16_t id, const char *name, unsigned type);
size_t dns_answer(struct wire *w, uint8_t *out, uint16_t id, const char *name, unsigned records);

/* quic.c: an Initial packet of 1,200 bytes with these frames, encrypted (RFC 9001 section 5). */
size_t quic_initial(uint32_t number, const uint8_t *frames, size_t length, uint8_t *out);
#endif
