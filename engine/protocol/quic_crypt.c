/* See quic_crypt.h. Contexts are made once: fetching an algorithm costs more than using it. */
#include "protocol/quic_crypt.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum {
    SECRET_BYTES = 32,
    LABEL_LARGEST = 16,
    SAMPLE_BYTES = 16,
    NUMBER_LARGEST = 4, /* bytes of a packet number */
    PACKET_LARGEST = 65536,
    HEADER_LARGEST = 2048, /* a header that is longer than this is not opened: tokens are short */
};

struct quic_crypt {
    EVP_CIPHER *gcm, *ecb;
    EVP_CIPHER_CTX *open, *mask;
    EVP_MAC_CTX *hmac;
    uint8_t header[HEADER_LARGEST];
    uint8_t frames[PACKET_LARGEST];
};

static EVP_MAC_CTX *hmac_new(void) {
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac); /* the context holds it */
    char name[] = "SHA2-256";
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                                     OSSL_PARAM_construct_end()};
    if (context && EVP_MAC_CTX_set_params(context, parameters) == 1) return context;
    EVP_MAC_CTX_free(context);
    return NULL;
}

struct quic_crypt *quic_crypt_new(void) {
    struct quic_crypt *crypt = calloc(1, sizeof *crypt);
    if (!crypt) return NULL;
    crypt->gcm = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    crypt->ecb = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL);
    crypt->open = EVP_CIPHER_CTX_new();
    crypt->mask = EVP_CIPHER_CTX_new();
    crypt->hmac = hmac_new();
    if (crypt->gcm && crypt->ecb && crypt->open && crypt->mask && crypt->hmac &&
        EVP_DecryptInit_ex(crypt->open, crypt->gcm, NULL, NULL, NULL) == 1 &&
        EVP_EncryptInit_ex(crypt->mask, crypt->ecb, NULL, NULL, NULL) == 1)
        return crypt;
    quic_crypt_free(crypt);
    return NULL;
}

void quic_crypt_free(struct quic_crypt *crypt) {
    if (!crypt) return;
    EVP_CIPHER_CTX_free(crypt->open);
    EVP_CIPHER_CTX_free(crypt->mask);
    EVP_MAC_CTX_free(crypt->hmac);
    EVP_CIPHER_free(crypt->gcm);
    EVP_CIPHER_free(crypt->ecb);
    free(crypt);
}

/* HMAC-SHA-256: HKDF's extract, and its expand as long as no more than 32 bytes are asked for (RFC 5869). */
static bool hmac(struct quic_crypt *crypt, const uint8_t *key, size_t key_length, const uint8_t *data,
                 size_t length, uint8_t out[SECRET_BYTES]) {
    size_t written = 0;
    return EVP_MAC_init(crypt->hmac, key, key_length, NULL) == 1 &&
           EVP_MAC_update(crypt->hmac, data, length) == 1 &&
           EVP_MAC_final(crypt->hmac, out, &written, SECRET_BYTES) == 1 && written == SECRET_BYTES;
}

/* HKDF-Expand-Label without a context (RFC 8446 section 7.1). */
static bool expand(struct quic_crypt *crypt, const uint8_t secret[SECRET_BYTES], const char *label,
                   uint8_t *out, uint8_t size) {
    uint8_t info[4 + 6 + LABEL_LARGEST + 1], block[SECRET_BYTES];
    size_t length = strnlen(label, LABEL_LARGEST), at = 0;
    info[at++] = 0;
    info[at++] = size;
    info[at++] = (uint8_t)(6 + length);
    memcpy(info + at, "tls13 ", 6);
    memcpy(info + at + 6, label, length);
    at += 6 + length;
    info[at++] = 0; /* no context */
    info[at++] = 1; /* the first block */
    if (!hmac(crypt, secret, SECRET_BYTES, info, at, block)) return false;
    memcpy(out, block, size);
    return true;
}

static bool side_keys(struct quic_crypt *crypt, const struct quic_version *version,
                      const uint8_t secret[SECRET_BYTES], const char *side, struct quic_keys *out) {
    uint8_t own[SECRET_BYTES];
    bool second = version->second;
    return expand(crypt, secret, side, own, sizeof own) &&
           expand(crypt, own, second ? "quicv2 key" : "quic key", out->key, sizeof out->key) &&
           expand(crypt, own, second ? "quicv2 iv" : "quic iv", out->iv, sizeof out->iv) &&
           expand(crypt, own, second ? "quicv2 hp" : "quic hp", out->header, sizeof out->header);
}

bool quic_initial_keys(struct quic_crypt *crypt, const struct quic_version *version, struct slice dcid,
                       struct quic_keys out[2]) {
    static const uint8_t none[1];
    uint8_t secret[SECRET_BYTES];
    return hmac(crypt, version->salt, QUIC_SALT_BYTES, dcid.length ? dcid.at : none, dcid.length, secret) &&
           side_keys(crypt, version, secret, "client in", &out[TO_SERVER]) &&
           side_keys(crypt, version, secret, "server in", &out[TO_CLIENT]);
}

/* Five bytes that hide the packet number and its length (RFC 9001 section 5.4.3). */
static bool header_mask(struct quic_crypt *crypt, const struct quic_keys *keys, const uint8_t *sample,
                        uint8_t out[SAMPLE_BYTES]) {
    int written = 0;
    return EVP_EncryptInit_ex(crypt->mask, NULL, NULL, keys->header, NULL) == 1 &&
           EVP_EncryptUpdate(crypt->mask, out, &written, sample, SAMPLE_BYTES) == 1 &&
           written == SAMPLE_BYTES;
}

static bool decrypt(struct quic_crypt *crypt, const struct quic_keys *keys, const uint8_t nonce[12],
                    struct slice header, struct slice sealed) {
    int written = 0, text = (int)(sealed.length - QUIC_TAG_BYTES);
    uint8_t tag[QUIC_TAG_BYTES];
    memcpy(tag, sealed.at + text, sizeof tag);
    return EVP_DecryptInit_ex(crypt->open, NULL, NULL, keys->key, nonce) == 1 &&
           EVP_DecryptUpdate(crypt->open, NULL, &written, header.at, (int)header.length) == 1 &&
           EVP_DecryptUpdate(crypt->open, crypt->frames, &written, sealed.at, text) == 1 &&
           EVP_CIPHER_CTX_ctrl(crypt->open, EVP_CTRL_AEAD_SET_TAG, QUIC_TAG_BYTES, tag) == 1 &&
           EVP_DecryptFinal_ex(crypt->open, crypt->frames + written, &written) == 1;
}

struct slice quic_open(struct quic_crypt *crypt, const struct quic_keys *keys,
                       const struct quic_packet *packet) {
    const struct slice nothing = {NULL, 0};
    struct slice rest = packet->rest;
    uint32_t header = packet->whole.length - rest.length;
    if (rest.length < packet->length || header > HEADER_LARGEST - NUMBER_LARGEST) return nothing;
    if (rest.length < NUMBER_LARGEST + SAMPLE_BYTES || rest.length > PACKET_LARGEST) return nothing;

    uint8_t mask[SAMPLE_BYTES], nonce[12];
    if (!header_mask(crypt, keys, rest.at + NUMBER_LARGEST, mask)) return nothing;
    memcpy(crypt->header, packet->whole.at, header);
    crypt->header[0] ^= mask[0] & 0x0f;
    uint32_t size = (crypt->header[0] & 3u) + 1;
    memcpy(nonce, keys->iv, sizeof nonce);
    /* Initial packet numbers begin at 0 and are few: what is sent of the number is the number. */
    for (uint32_t i = 0; i < size; i++) {
        uint8_t byte = rest.at[i] ^ mask[1 + i];
        crypt->header[header + i] = byte;
        nonce[sizeof nonce - size + i] ^= byte;
    }
    struct slice sealed = {rest.at + size, rest.length - size};
    if (sealed.length < QUIC_TAG_BYTES) return nothing;
    if (!decrypt(crypt, keys, nonce, (struct slice){crypt->header, header + size}, sealed)) return nothing;
    return (struct slice){crypt->frames, sealed.length - QUIC_TAG_BYTES};
}
