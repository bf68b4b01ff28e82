/* See certificate.h. Ed25519 (RFC 8032) signs without randomness, hence the same bytes each time. */
#include "workbench/certificate.h"

#include "base/ip.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

static EVP_PKEY *test_key(void) {
    static const uint8_t seed[32] = "lunette: a key for tests alone.";
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
}

static bool set_name(X509_NAME *name, const char *common_name) {
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)common_name, -1, -1, 0) ==
           1;
}

static GENERAL_NAME *general_name(const char *text) {
    struct ip ip;
    bool address = ip_parse(text, &ip) == 0, v4 = address && ip_is_v4(&ip);
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = address ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    const void *bytes = address ? ip.bytes + (v4 ? 12 : 0) : (const void *)text;
    int length = address ? v4 ? 4 : 16 : (int)strlen(text);
    if (name && value && ASN1_STRING_set(value, bytes, length)) {
        GENERAL_NAME_set0_value(name, address ? GEN_IPADD : GEN_DNS, value);
        return name;
    }
    ASN1_STRING_free(value);
    GENERAL_NAME_free(name);
    return NULL;
}

static bool set_alternatives(X509 *certificate, const struct certificate_parts *parts) {
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool fine = names != NULL;
    for (size_t i = 0; fine && i < parts->name_count; i++) {
        GENERAL_NAME *name = general_name(parts->names[i]);
        fine = name && sk_GENERAL_NAME_push(names, name) > 0;
        if (!fine) GENERAL_NAME_free(name);
    }
    if (fine && parts->name_count)
        fine = X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(names);
    return fine;
}

static bool fill(X509 *certificate, const struct certificate_parts *parts, EVP_PKEY *key) {
    return X509_set_version(certificate, X509_VERSION_3) &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), parts->serial) &&
           ASN1_TIME_set(X509_getm_notBefore(certificate), parts->not_before) &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), parts->not_after) &&
           set_name(X509_get_subject_name(certificate), parts->subject) &&
           set_name(X509_get_issuer_name(certificate), parts->issuer) && X509_set_pubkey(certificate, key) &&
           set_alternatives(certificate, parts) && X509_sign(certificate, key, NULL) > 0;
}

uint32_t certificate_build(const struct certificate_parts *parts, uint8_t *out, size_t room,
                           struct error *err) {
    EVP_PKEY *key = test_key();
    X509 *certificate = X509_new();
    int length = -1;
    error_set(err, "it cannot be made of these names");
    if (key && certificate && fill(certificate, parts, key)) {
        length = i2d_X509(certificate, NULL);
        if (length > 0 && (size_t)length > room) error_set(err, "it is larger than %zu bytes", room);
        if (length > 0 && (size_t)length <= room)
            length = i2d_X509(certificate, &out);
        else
            length = -1;
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    return length > 0 ? (uint32_t)length : 0;
}
