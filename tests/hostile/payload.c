/* Floods that are odd in what is said: names, headers, hellos, keys that collide; and one that is not odd at
 * all. */
#include "wire.h"

#include "flow/key.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zlib.h>

enum { PART = 1400, OPEN = 64, HELLO_ROOM = 600 };

static struct end resolver(void) {
    return end_v4(0x0a000001, 53);
}

static void label(struct wire *w, char *out, size_t length, const char *behind) {
    fill_letters(w, out, length);
    strcpy(out + length, behind);
}

/* -------------------------------------------------------------------- names */

/* Names that nobody asks twice, as long as a name may be; answers with eighty records; and names that point
 * at themselves, at each other, or beyond the message. */
void kind_names(struct wire *w, uint64_t turn) {
    char name[300];
    uint8_t body[2000];
    struct end client = local_end(w, 256);
    uint16_t id = (uint16_t)roll(w);
    size_t length;
    if (turn % 8 < 4) {
        label(w, name, 8 + below(w, 24), turn % 2 ? ".tunnel.example.com" : ".example");
        udp(w, client, resolver(), body, dns_query(body, id, name, turn % 3 ? 1 : 16));
    } else if (turn % 8 < 6) {
        for (int i = 0; i < 4; i++) label(w, name + i * 60, 59, ".");
        udp(w, client, resolver(), body, dns_query(body, id, name, 1));
    } else if (turn % 8 == 6) {
        label(w, name, 12, ".cdn.example.net");
        udp(w, client, resolver(), body, dns_query(body, id, name, 1));
        length = dns_answer(w, body, id, name, 80);
        udp(w, resolver(), client, body, length);
    } else {
        length = dns_answer(w, body, id, "a.example", 20);
        for (unsigned i = 0; i < 20; i++)
            put16(body + 27 + i * 16, 0xc000 | (i % 2 ? 27 + i * 16 : below(w, 512)));
        udp(w, resolver(), client, body, length);
    }
}

/* ------------------------------------------------------------------ headers */

static size_t bomb(uint8_t *out, size_t room) { /* zeroes, as a gzip stream that never ends */
    static uint8_t zeroes[1 << 20];
    z_stream z = {0};
    if (deflateInit2(&z, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY) != Z_OK) exit(1);
    z.next_out = out;
    z.avail_out = (uInt)room;
    while (z.avail_out > 0) {
        z.next_in = zeroes;
        z.avail_in = sizeof zeroes;
        if (deflate(&z, Z_NO_FLUSH) != Z_OK) break;
    }
    deflateEnd(&z);
    return room - z.avail_out;
}

/* Sixty-four connections side by side, each with one head or body without an end: headers by the million, one
 * header of one line, chunks of one byte, a gzip bomb, and requests that nobody answers. */
void kind_headers(struct wire *w, uint64_t turn) {
    static struct {
        struct end client, server;
        uint32_t seq, sent;
    } open[OPEN];
    static uint8_t packed[PART];
    static size_t packed_length;
    unsigned which = turn % OPEN, mode = which % 5;
    struct end client = open[which].client, server = open[which].server;
    char text[PART + 100];
    size_t length = 0;
    if (open[which].sent == 0) {
        open[which].client = client = local_end(w, 4096);
        open[which].server = server = public_end(w, 80);
        open[which].seq = 1000;
        handshake(w, client, server, 1000);
        static const char get[] = "GET / HTTP/1.1\r\nHost: www.example\r\n", end[] = "\r\n";
        tcp(w, client, server, 1000, 1000, ACK, get, sizeof get - 1);
        if (mode == 2 || mode == 3) tcp(w, client, server, 1000 + sizeof get - 1, 1000, ACK, end, 2);
        if (mode < 2 || mode == 4) open[which].seq += sizeof get - 1;
        if (mode == 4) {
            tcp(w, client, server, open[which].seq, 1000, ACK, end, 2);
            open[which].seq += 2;
        }
    }
    switch (mode) {
    case 0:
        while (length < PART - 40)
            length += (size_t)sprintf(text + length, "X-%x: y\r\n", (unsigned)roll(w) & 0xffffff);
        break;
    case 1:
        if (open[which].sent == 0) length = (size_t)sprintf(text, "X: ");
        memset(text + length, 'a', PART - length);
        length = PART;
        break;
    case 2:
        if (open[which].sent == 0)
            length = (size_t)sprintf(text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while (length < PART - 6) length += (size_t)sprintf(text + length, "1\r\nA\r\n");
        break;
    case 3:
        if (!packed_length) packed_length = bomb(packed, sizeof packed);
        if (open[which].sent == 0)
            length = (size_t)sprintf(
                text, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000000000\r\n\r\n");
        memcpy(text + length, packed, PART - length);
        length = PART;
        break;
    default:
        while (length < PART - 60)
            length +=
                (size_t)sprintf(text + length, "GET /%x HTTP/1.1\r\nHost: a\r\n\r\n", (unsigned)roll(w));
    }
    bool answers = mode == 2 || mode == 3;
    tcp(w, answers ? server : client, answers ? client : server, open[which].seq, 1000, ACK, text, length);
    open[which].seq += (uint32_t)length;
    open[which].sent = open[which].sent == 1000 ? 0 : open[which].sent + 1;
}

/* -------------------------------------------------------------- hello bytes */

/* Two hundred ClientHellos at once, a byte a segment; and QUIC's, a byte a CRYPTO frame, backwards. */
void kind_hello_bytes(struct wire *w, uint64_t turn) {
    enum { HELLOS = 200 };
    static struct {
        struct end client, server;
        uint8_t bytes[HELLO_ROOM];
        size_t length, at;
    } open[HELLOS];
    unsigned which = turn % HELLOS;
    char name[40];
    if (open[which].at == open[which].length) {
        label(w, name, 16, ".example.org");
        open[which].client = local_end(w, 4096);
        open[which].server = public_end(w, 443);
        size_t length = client_hello(w, open[which].bytes + 5, name, false);
        memcpy(open[which].bytes, "\x16\x03\x01", 3);
        put16(open[which].bytes + 3, (uint32_t)length);
        open[which].length = length + 5;
        open[which].at = 0;
        if (which % 4) handshake(w, open[which].client, open[which].server, 1);
    }
    size_t at = open[which].at;
    if (which % 4) {
        tcp(w, open[which].client, open[which].server, 1 + (uint32_t)at, 1, ACK | PSH, open[which].bytes + at,
            1);
        open[which].at++;
        return;
    }
    uint8_t frames[PART], packet[PART], *to = frames;
    size_t inside = open[which].length - 5;
    for (size_t i = 0; i < 8 && at + 5 + i < open[which].length; i++) { /* the last bytes first */
        size_t offset = inside - 1 - at - i;
        *to++ = 6;
        put16(to, 0x4000 | (uint32_t)offset);
        to[2] = 1;
        to[3] = open[which].bytes[5 + offset];
        to += 4;
    }
    udp(w, open[which].client, open[which].server, packet,
        quic_initial((uint32_t)at, frames, (size_t)(to - frames), packet));
    open[which].at = at + 8 + 5 < open[which].length ? at + 8 : open[which].length;
}

/* --------------------------------------------------------------------- hash */

enum { COLLIDING = 1024, COLLIDING_BITS = 0x1fff };

static void request(struct wire *w, struct end client, struct end server, const char *name,
                    const char *agent) {
    char text[600];
    int length =
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n\r\n", name, agent);
    tcp(w, client, server, 0, 0, SYN, NULL, 0);
    tcp(w, client, server, 1, 0, ACK | PSH, text, (size_t)length);
}

/* What would share one place of a table if its hash had no key: names and flows under XXH3 without a seed, as
 * the engine's own tables would have them, and names that differ only where LuaJIT's sparse hash of strings
 * does not look. */
void kind_hash(struct wire *w, uint64_t turn) {
    static struct flow_key keys[COLLIDING];
    static char names[COLLIDING][32];
    static bool made;
    for (unsigned i = 0; !made && i < COLLIDING; i++) {
        struct flow_key *key = &keys[i];
        do {
            fill_letters(w, names[i], 16);
            strcpy(names[i] + 16, ".example");
        } while ((XXH3_64bits(names[i], 24) & COLLIDING_BITS) != 7);
        memset(key, 0, sizeof *key);
        key->proto = PROTO_UDP;
        key->port[0] = 4000;
        key->port[1] = 4001;
        for (int side = 0; side < 2; side++) memset(key->address[side].bytes + 10, 0xff, 2);
        put32(key->address[0].bytes + 12, 0x0a000007);
        do put32(key->address[1].bytes + 12, 0x10000000 + below(w, 0x40000000));
        while ((flow_key_hash(key, 0) & COLLIDING_BITS) != 7);
    }
    made = true;
    unsigned i = (unsigned)(turn / 3 % COLLIDING);
    if (turn % 3 == 0) {
        struct end a = end_v4(0x0a000007, 4000), b = {.version = 4, .port = 4001};
        memcpy(b.ip, keys[i].address[1].bytes + 12, 4);
        udp(w, a, b, "hello", 5);
    } else if (turn % 3 == 1) {
        request(w, local_end(w, 64), public_end(w, 80), names[i], "curl/8.6.0");
    } else { /* 64 letters; looked at: the first, the last, and those at 15 and 30 */
        char name[80];
        uint8_t body[200];
        memset(name, 'x', 64);
        name[31 + 15] = '.';
        strcpy(name + 50, "xxxxxx.example");
        fill_letters(w, name + 20, 9);
        fill_letters(w, name + 36, 9);
        udp(w, local_end(w, 64), resolver(), body, dns_query(body, (uint16_t)roll(w), name, 1));
    }
}

/* ------------------------------------------------------------------- events */

/* A certificate of its own for everybody: one is made, its name and number are overwritten. */
static size_t certificate(struct wire *w, uint8_t *out) {
    static uint8_t der[1000];
    static size_t length, name_at;
    static const char mark[] = "name-of-the-certificate.example";
    if (length == 0) {
        static const uint8_t secret[32] = {1}; /* and Ed25519 signs the same each time */
        EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof secret);
        X509 *x = X509_new();
        ASN1_INTEGER_set(X509_get_serialNumber(x), 0x12345678);
        ASN1_TIME_set(X509_getm_notBefore(x), 1717200000);
        ASN1_TIME_set(X509_getm_notAfter(x), 1717200000 + 86400 * 90);
        X509_NAME *name = X509_get_subject_name(x);
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)mark, -1, -1, 0);
        X509_set_issuer_name(x, name);
        X509_set_pubkey(x, key);
        X509_sign(x, key, NULL);
        uint8_t *to = der;
        length = (size_t)i2d_X509(x, &to);
        X509_free(x);
        EVP_PKEY_free(key);
        name_at = (size_t)((uint8_t *)memmem(der, length, mark, sizeof mark - 1) - der);
    }
    fill_letters(w, (char *)der + name_at, 20);
    memcpy(out, der, length);
    return length;
}

static void server_flight(struct wire *w, struct end client, struct end server) {
    uint8_t bytes[2000], *at = bytes + 5;
    memset(bytes, 0, 60);
    at[0] = 2; /* ServerHello, TLS 1.2: RFC 5246 section 7.4.1.3 */
    at[3] = 38;
    put16(at + 4, 0x0303);
    fill(w, at + 6, 32);
    put16(at + 39, 0xc02b);
    at += 42;
    size_t length = certificate(w, at + 10);
    at[0] = 11;
    put16(at + 2, (uint32_t)length + 6);
    put16(at + 5, (uint32_t)length + 3);
    put16(at + 8, (uint32_t)length);
    at[1] = at[4] = at[7] = 0;
    at += 10 + length;
    memcpy(bytes, "\x16\x03\x03", 3);
    put16(bytes + 3, (uint32_t)(at - bytes - 5));
    tcp(w, server, client, 1, 1, ACK, bytes, (size_t)(at - bytes));
}

/* For the detectors: all that they remember by (programs, names, fingerprints, certificates) is new every
 * time. */
void kind_events(struct wire *w, uint64_t turn) {
    char name[60], agent[60];
    uint8_t bytes[HELLO_ROOM];
    label(w, name, 6 + below(w, 20), turn % 2 ? ".com" : ".s3.amazonaws.com");
    fill_letters(w, agent, 10);
    sprintf(agent + 10, "/%u.%u CFNetwork/1%03u Darwin/2%u.0", below(w, 100), below(w, 100), below(w, 999),
            below(w, 9));
    struct end client = local_end(w, 512), server = public_end(w, turn % 3 ? 443 : 80);
    if (turn % 3 == 0) {
        request(w, client, server, name, agent);
        return;
    }
    size_t length = client_hello(w, bytes + 5, name, true);
    memcpy(bytes, "\x16\x03\x01", 3);
    put16(bytes + 3, (uint32_t)length);
    tcp(w, client, server, 0, 0, SYN, NULL, 0);
    tcp(w, server, client, 0, 1, SYN | ACK, NULL, 0);
    tcp(w, client, server, 1, 1, ACK | PSH, bytes, length + 5);
    if (turn % 3 == 1) server_flight(w, client, server);
}

/* -------------------------------------------------------------------- clean */

/* What the floods are compared with: forty Macs that ask for a name, fetch something by HTTP or TLS, and hang
 * up. */
void kind_clean(struct wire *w, uint64_t turn) {
    static const char *const names[] = {"www.apple.com", "www.example.com", "mail.example.org",
                                        "cdn.example.net"};
    const char *name = names[turn % 4];
    uint8_t bytes[PART] = {0};
    struct end client = local_end(w, 40),
               server = end_v4(0x11000000 + (uint32_t)(turn % 4), turn % 3 ? 443 : 80);
    uint16_t id = (uint16_t)roll(w);
    uint32_t length = (uint32_t)dns_query(bytes, id, name, 1);
    udp(w, client, resolver(), bytes, length);
    length = (uint32_t)dns_answer(w, bytes, id, name, 1);
    memcpy(bytes + length - 4, server.ip, 4);
    udp(w, resolver(), client, bytes, length);
    handshake(w, client, server, 1);
    if (turn % 3) {
        length = (uint32_t)client_hello(w, bytes + 5, name, false);
        memcpy(bytes, "\x16\x03\x01", 3);
        put16(bytes + 3, length);
        length += 5;
    } else {
        length = (uint32_t)sprintf((char *)bytes,
                                   "GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: Mozilla/5.0\r\n\r\n", name);
    }
    tcp(w, client, server, 1, 1, ACK | PSH, bytes, length);
    memset(bytes, 23, sizeof bytes);
    for (uint32_t i = 0; i < 12; i++) {
        memcpy(bytes, "\x17\x03\x03\x05\x73", 5);
        tcp(w, server, client, 1 + i * PART, 1 + length, ACK, bytes, sizeof bytes);
        if (i % 2) tcp(w, client, server, 1 + length, 1 + (i + 1) * PART, ACK, NULL, 0);
    }
    tcp(w, client, server, 1 + length, 1 + 12 * PART, ACK | FIN, NULL, 0);
    tcp(w, server, client, 1 + 12 * PART, 2 + length, ACK | FIN, NULL, 0);
}
