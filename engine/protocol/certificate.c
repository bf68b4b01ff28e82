/* See certificate.h. Texts are written through a memory BIO and cut at a bound: a certificate comes from a
 * stranger and may name itself at any length. */
#include "protocol/certificate.h"

#include "base/digest.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>

enum {
    NAME_MOST = 4096,  /* bytes of a subject or issuer that are kept */
    SERIAL_MOST = 128, /* bytes of the serial number; RFC 5280 allows 20 */
    ALT_NAMES_MOST = 512,
};

static struct text_ref hex_text(struct batch *batch, const uint8_t *bytes, size_t count, const char *digits) {
    char text[SERIAL_MOST * 3];
    size_t at = 0;
    for (size_t i = 0; i < count && i < SERIAL_MOST; i++) {
        if (i > 0) text[at++] = ':';
        text[at++] = digits[bytes[i] >> 4];
        text[at++] = digits[bytes[i] & 15];
    }
    return batch_text(batch, text, at);
}

/* "C=US, O=Example, CN=www.example.org": in the certificate's order, UTF-8 left as it is, control bytes
 * escaped. */
static struct text_ref name_text(struct batch *batch, const X509_NAME *name) {
    unsigned long flags =
        (ASN1_STRFLGS_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) | XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_FN_SN;
    struct text_ref text = {0, 0};
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio) return text;
    if (X509_NAME_print_ex(bio, name, 0, flags) >= 0) {
        char *bytes = NULL;
        long length = BIO_get_mem_data(bio, &bytes);
        if (length > 0) text = batch_text(batch, bytes, length < NAME_MOST ? (size_t)length : NAME_MOST);
    }
    BIO_free(bio);
    return text;
}

static nanoseconds time_of(const ASN1_TIME *time) {
    const nanoseconds most = INT64_MAX / NS_PER_SECOND;
    struct tm tm;
    if (!time || ASN1_TIME_to_tm(time, &tm) != 1) return 0;
    nanoseconds seconds = timegm(&tm);
    if (seconds > most) seconds = most; /* 9999 means "never": the last second that we can write */
    if (seconds < -most) seconds = -most;
    return seconds * NS_PER_SECOND;
}

static struct text_ref address_text(struct batch *batch, const ASN1_OCTET_STRING *address) {
    struct ip ip;
    char text[IP_TEXT_SIZE];
    const uint8_t *bytes = ASN1_STRING_get0_data(address);
    int length = ASN1_STRING_length(address);
    if (length != 4 && length != 16) return (struct text_ref){0, 0};
    if (length == 4)
        ip_from_v4(&ip, bytes);
    else
        memcpy(ip.bytes, bytes, 16);
    return batch_text(batch, text, (size_t)ip_format(&ip, text));
}

static struct text_ref alt_name_text(struct batch *batch, const GENERAL_NAME *name) {
    if (name->type == GEN_IPADD) return address_text(batch, name->d.iPAddress);
    if (name->type != GEN_DNS) return (struct text_ref){0, 0};
    return batch_text(batch, ASN1_STRING_get0_data(name->d.dNSName),
                      (size_t)ASN1_STRING_length(name->d.dNSName));
}

static struct list_ref alt_names(struct batch *batch, const X509 *certificate) {
    struct text_ref items[ALT_NAMES_MOST];
    uint32_t count = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    if (!names) return (struct list_ref){0, 0};
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && count < ALT_NAMES_MOST; i++) {
        struct text_ref text = alt_name_text(batch, sk_GENERAL_NAME_value(names, i));
        if (text.at) items[count++] = text;
    }
    GENERAL_NAMES_free(names);
    return batch_list(batch, items, count);
}

static void fill(const X509 *certificate, struct batch *batch, struct event_tls_body *out) {
    const X509_NAME *subject = X509_get_subject_name(certificate);
    const X509_NAME *issuer = X509_get_issuer_name(certificate);
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
    out->subject = name_text(batch, subject);
    out->issuer = name_text(batch, issuer);
    out->serial = hex_text(batch, ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial),
                           "0123456789ABCDEF");
    out->not_before = time_of(X509_get0_notBefore(certificate));
    out->not_after = time_of(X509_get0_notAfter(certificate));
    out->self_signed = X509_NAME_cmp(subject, issuer) == 0;
    out->subject_alt_names = alt_names(batch, certificate);
}

bool certificate_describe(struct slice der, struct batch *batch, struct event_tls_body *out) {
    uint8_t digest[DIGEST_MAX_BYTES];
    size_t digest_length = digest_bytes(DIGEST_SHA1, der.at, der.length, digest);
    if (digest_length > 0) out->fingerprint = hex_text(batch, digest, digest_length, "0123456789abcdef");

    const unsigned char *at = der.at;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.length);
    if (certificate) fill(certificate, batch, out);
    X509_free(certificate);
    ERR_clear_error(); /* else what OpenSSL has to say about broken ones piles up in the thread's queue */
    return certificate != NULL;
}
