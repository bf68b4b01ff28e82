/* What the QUIC parser knows of a flow.
 *
 *   quic.c          packets: recognition, keys, frames, the events      quic_packet.c   headers
 *   quic_crypt.c    keys and decryption                                 quic_stream.c   CRYPTO frames put
 * together quic_hello.c    transport parameters, Google's hello                quic_version.c  versions and
 * salts quic_report.c   the events */
#ifndef LUNETTE_PROTOCOL_QUIC_STATE_H
#define LUNETTE_PROTOCOL_QUIC_STATE_H

#include "protocol/ja4.h"
#include "protocol/quic_crypt.h"
#include "protocol/quic_hello.h"
#include "protocol/quic_stream.h"
#include "protocol/tls_event.h"

enum { QUIC_AGENT_KEPT = 128, QUIC_NAME_KEPT = 255 };

/* An id whose Initial keys were tried. */
struct quic_id {
    uint8_t length, bytes[QUIC_ID_LARGEST];
};

struct quic {
    nanoseconds time;                   /* of the first datagram */
    uint32_t number;                    /* of the version, as on the wire */
    const struct quic_version *version; /* NULL: unknown */
    uint32_t datagrams;

    bool has_keys;
    uint8_t client_side;      /* direction of the client's packets, once there are keys */
    struct quic_keys keys[2]; /* TO_SERVER opens the client's packets, whichever way they go */
    struct quic_id failed;    /* the last id whose keys were of no use */
    uint32_t failed_number;   /* and the version that they were made for */
    bool has_failed;
    uint8_t keys_made; /* for packets of this datagram: each costs eight HMACs */

    struct quic_stream streams[2]; /* the client's and the server's messages */
    uint32_t server_used;          /* bytes of the server's messages that are read */

    struct client_hello *hello; /* owned; NULL: not whole yet, or none */
    nanoseconds hello_time;
    char ja4[JA4_LENGTH + 1];
    bool has_server_hello, awaits_second;
    struct server_said said;
    nanoseconds server_time;

    bool has_chlo; /* Google's hello */
    uint8_t chlo_sni_length, chlo_agent_length;
    uint8_t chlo_sni[QUIC_NAME_KEPT], chlo_agent[QUIC_AGENT_KEPT];

    bool has_initial, has_server;
    bool cut, retry, negotiation, zero_rtt, token;
    uint8_t dcid_length, scid_length, server_scid_length;
};

/* quic_report.c: the events of what is known by now. */
void quic_report(struct conversation *c, struct quic *q);

#endif
