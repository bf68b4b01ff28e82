/* An Initial packet of QUIC version 1, encrypted as RFC 9001 says. All have one connection id: its keys are
 * made once. */
#include "wire.h"

#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdlib.h>
#include <string.h>

enum { PACKET = 1200, TAG = 16, NUMBER_AT = 18 + 4, ID = 8 };

static const uint8_t id[ID] = {0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08}; /* of RFC 9001, appendix A */
static struct {
    uint8_t key[16], iv[12], cover[16];
    bool made;
} keys;

static void derive(int mode, const uint8_t *key, size_t key_length, const uint8_t *salt, size_t salt_length,
                   const char *label, uint8_t *out, size_t length) {
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
    uint8_t info[64] = {0, (uint8_t)length};
    bool fine = EVP_PKEY_derive_init(c) > 0 && EVP_PKEY_CTX_set_hkdf_md(c, EVP_sha256()) > 0 &&
                EVP_PKEY_CTX_set_hkdf_mode(c, mode) > 0 &&
                EVP_PKEY_CTX_set1_hkdf_key(c, key, (int)key_length) > 0;
    if (salt) fine = fine && EVP_PKEY_CTX_set1_hkdf_salt(c, salt, (int)salt_length) > 0;
    if (label) {
        size_t n = strlen(label);
        info[2] = (uint8_t)(n + 6);
        memcpy(info + 3, "tls13 ", 6);
        memcpy(info + 9, label, n);
        fine = fine && EVP_PKEY_CTX_add1_hkdf_info(c, info, (int)n + 10) > 0;
    }
    if (!fine || EVP_PKEY_derive(c, out, &length) <= 0) exit(1);
    EVP_PKEY_CTX_free(c);
}

static void make_keys(void) {
    static const uint8_t salt[20] = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                                     0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
    uint8_t initial[32], client[32];
    derive(EVP_PKEY_HKDEF_MODE_EXTRACT_ONLY, id, ID, salt, sizeof salt, NULL, initial, 32);
    derive(EVP_PKEY_HKDEF_MODE_EXPAND_ONLY, initial, 32, NULL, 0, "client in", client, 32);
    derive(EVP_PKEY_HKDEF_MODE_EXPAND_ONLY, client, 32, NULL, 0, "quic key", keys.key, 16);
    derive(EVP_PKEY_HKDEF_MODE_EXPAND_ONLY, client, 32, NULL, 0, "quic iv", keys.iv, 12);
    derive(EVP_PKEY_HKDEF_MODE_EXPAND_ONLY, client, 32, NULL, 0, "quic hp", keys.cover, 16);
    keys.made = true;
}

size_t quic_initial(uint32_t number, const uint8_t *frames, size_t length, uint8_t *out) {
    static EVP_CIPHER_CTX *seal, *cover;
    const size_t inside = PACKET - NUMBER_AT - TAG;
    int n;
    if (!keys.made) {
        make_keys();
        seal = EVP_CIPHER_CTX_new();
        cover = EVP_CIPHER_CTX_new();
        EVP_EncryptInit_ex(cover, EVP_aes_128_ecb(), NULL, keys.cover, NULL);
    }
    memset(out, 0, PACKET); /* frames of padding */
    out[0] = 0xc3;          /* Initial, four bytes of number */
    put32(out + 1, 1);
    out[5] = ID;
    memcpy(out + 6, id, ID);
    /* no source connection id, no token; then the length in two bytes */
    put16(out + 16, 0x4000 | (uint32_t)(PACKET - 18));
    put32(out + 18, number);
    uint8_t nonce[12], mask[16], *at = out + NUMBER_AT;
    memcpy(nonce, keys.iv, 12);
    for (int i = 0; i < 4; i++) nonce[8 + i] ^= out[18 + i];
    memcpy(at, frames, length < inside ? length : inside);
    EVP_EncryptInit_ex(seal, EVP_aes_128_gcm(), NULL, keys.key, nonce);
    EVP_EncryptUpdate(seal, NULL, &n, out, NUMBER_AT);
    EVP_EncryptUpdate(seal, at, &n, at, (int)inside);
    EVP_EncryptFinal_ex(seal, at + inside, &n);
    EVP_CIPHER_CTX_ctrl(seal, EVP_CTRL_GCM_GET_TAG, TAG, at + inside);
    EVP_EncryptUpdate(cover, mask, &n, out + 18 + 4, 16); /* the sample: RFC 9001 section 5.4.2 */
    out[0] ^= mask[0] & 0x0f;
    for (int i = 0; i < 4; i++) out[18 + i] ^= mask[1 + i];
    return PACKET;
}
