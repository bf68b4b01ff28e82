/* What the two hellos of TLS say (RFC 5246 section 7.4.1, RFC 8446 section 4.1).
 *
 * Parsing copies nothing: slices point into the message and lists stay as on the wire, 16-bit numbers in
 * network order. client_hello_keep() makes a copy that outlives it. */
#ifndef LUNETTE_PROTOCOL_TLS_HELLO_H
#define LUNETTE_PROTOCOL_TLS_HELLO_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    HELLO_NUMBERS = 512,    /* numbers kept of one list; real clients send fewer than 120 */
    HELLO_EXTENSIONS = 128, /* extensions kept */
    HELLO_SNI = 1024,       /* bytes of server_name kept; RFC 6066 allows 255 at most */
    HELLO_ALPN = 2048,      /* bytes of the ALPN list kept */
    HELLO_QUIC = 1024,      /* bytes of QUIC's transport parameters kept */
    SERVER_EXTENSIONS = 32, /* extensions kept of a ServerHello */
};

struct client_hello {
    uint16_t legacy_version;
    bool has_sni; /* the extension is there, whatever is in it */
    bool ech;
    bool early_data;
    bool cut;   /* a list was longer than what is kept */
    bool sound; /* well formed and whole */
    struct slice session_id;
    struct slice sni;     /* the host name; lower case in a kept copy */
    struct slice alpn;    /* protocol names, each behind its length byte */
    struct slice ciphers; /* this and the next three: lists of numbers */
    struct slice versions;
    struct slice groups;
    struct slice signature_algorithms;
    struct slice point_formats; /* a byte each (RFC 8422 section 5.1.2) */
    struct slice quic;          /* transport parameters (RFC 9000 section 18) */
    uint16_t extension_count;
    uint16_t extensions[HELLO_EXTENSIONS]; /* types in order, host byte order, GREASE left out */
};

/* Reads the message's body. Returns false if it is not well formed or not whole; what could be read is there.
 */
bool client_hello_parse(struct slice body, struct client_hello *out);

/* A copy in one block that the caller frees, or NULL. */
struct client_hello *client_hello_keep(const struct client_hello *hello);

/* The highest version that the client offers, GREASE left out. */
uint16_t client_hello_version(const struct client_hello *hello);

struct server_hello {
    uint16_t version; /* agreed, supported_versions included */
    uint16_t legacy_version;
    uint16_t cipher;
    bool retry; /* HelloRetryRequest: another ServerHello will follow */
    bool psk;   /* a pre-shared key was accepted */
    struct slice session_id;
    struct slice alpn; /* the protocol chosen, where it is in clear */
    uint8_t extension_count;
    uint16_t extensions[SERVER_EXTENSIONS]; /* types in order, GREASE left out */
};

/* What is kept of a ServerHello. */
struct server_said {
    uint16_t version, legacy_version, cipher;
    bool resumed; /* an old session was taken up */
    uint8_t alpn_length;
    uint8_t extension_count;
    uint16_t extensions[SERVER_EXTENSIONS];
    uint8_t alpn[255];
};

/* `client` may be NULL: then nobody can tell whether a session was taken up before TLS 1.3. */
void server_hello_keep(const struct server_hello *hello, const struct client_hello *client,
                       struct server_said *out);

bool server_hello_parse(struct slice body, struct server_hello *out);

/* Reserved values that a peer must ignore, sent to keep it honest (RFC 8701). */
static inline bool tls_is_grease(uint16_t value) {
    return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

/* TLS 1.3 or one of its drafts. */
static inline bool tls_is_13(uint16_t version) {
    return version == 0x0304 || version >> 8 == 0x7f;
}

/* Copies a list of numbers to host byte order, GREASE left out. Returns how many there are, at most
 * HELLO_NUMBERS. */
uint32_t hello_numbers(struct slice list, uint16_t out[HELLO_NUMBERS]);

#endif
