/* See certificate.h. The frame of the certificate is walked here and OpenSSL is asked for its parts, names
 * and times: d2i_X509 would decode the public key as well, which nobody wants and which costs twenty times
 * the rest. Texts are written through a memory BIO and cut at a bound: a certificate comes from a stranger
 * and may name itself at any length. */
#include "protocol/certificate.h"

#include "base/digest.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
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

/* --------------------------------------------------------------- the frame */

enum tag { /* X.690 section 8.1.2; [n] by context */
           TAG_INTEGER = 0x02,
           TAG_BIT_STRING = 0x03,
           TAG_OCTET_STRING = 0x04,
           TAG_OID = 0x06,
           TAG_SEQUENCE = 0x30,
           TAG_VERSION = 0xa0,
           TAG_EXTENSIONS = 0xa3,
           TAG_DNS_NAME = 0x82,
           TAG_IP_ADDRESS = 0x87,
};

struct element {
    uint8_t tag;
    struct slice whole;   /* with tag and length */
    struct cursor inside; /* failed if there was no element */
};

/* The next element in DER: one byte of tag, a length of at most four bytes. */
static struct element element_next(struct cursor *c) {
    struct element element = {.whole.at = c->at};
    element.tag = cursor_u8(c);
    uint32_t length = cursor_u8(c);
    if (length > 0x84 || length == 0x80) c->failed = true;
    if (length > 0x80) {
        uint32_t bytes = length & 0x7f;
        for (length = 0; bytes > 0; bytes--) length = length << 8 | cursor_u8(c);
    }
    element.inside = cursor_sub(c, length);
    element.whole.length = c->failed ? 0 : (uint32_t)(c->at - element.whole.at);
    return element;
}

/* The next element if it has that tag; otherwise the cursor fails. */
static struct element element_expect(struct cursor *c, uint8_t tag) {
    struct element element = element_next(c);
    if (element.tag == tag) return element;
    c->failed = element.inside.failed = true;
    return element;
}

static bool element_is_next(const struct cursor *c, uint8_t tag) {
    return !c->failed && cursor_left(c) > 0 && *c->at == tag;
}

/* What of a certificate is told (RFC 5280 section 4.1), each element whole. */
struct parts {
    struct slice serial, issuer, not_before, not_after, subject;
    struct cursor extensions; /* empty if there are none */
};

static bool parts_find(struct slice der, struct parts *parts) {
    struct cursor c = cursor_over(der.at, der.length);
    struct cursor certificate = element_expect(&c, TAG_SEQUENCE).inside;
    struct cursor tbs = element_expect(&certificate, TAG_SEQUENCE).inside;
    element_expect(&certificate, TAG_SEQUENCE); /* signature algorithm */
    element_expect(&certificate, TAG_BIT_STRING);
    if (element_is_next(&tbs, TAG_VERSION)) element_next(&tbs);
    parts->serial = element_expect(&tbs, TAG_INTEGER).whole;
    element_expect(&tbs, TAG_SEQUENCE); /* signature algorithm again */
    parts->issuer = element_expect(&tbs, TAG_SEQUENCE).whole;
    struct cursor validity = element_expect(&tbs, TAG_SEQUENCE).inside;
    parts->not_before = element_next(&validity).whole;
    parts->not_after = element_next(&validity).whole;
    parts->subject = element_expect(&tbs, TAG_SEQUENCE).whole;
    element_expect(&tbs, TAG_SEQUENCE); /* public key */
    bool sound = !c.failed && !certificate.failed && !tbs.failed && !validity.failed;
    parts->extensions = cursor_over(der.at, 0);
    while (sound && cursor_left(&tbs) > 0) {
        struct element optional = element_next(&tbs); /* unique identifiers come before extensions */
        if (optional.tag == TAG_EXTENSIONS)
            parts->extensions = element_expect(&optional.inside, TAG_SEQUENCE).inside;
        sound = !tbs.failed && !optional.inside.failed;
    }
    return sound;
}

/* The alternative names: a list of them inside the octet string of the extension 2.5.29.17, or nothing. */
static struct cursor alt_names_find(struct cursor extensions) {
    static const uint8_t alt_name[] = {0x55, 0x1d, 0x11};
    while (!extensions.failed && cursor_left(&extensions) > 0) {
        struct cursor extension = element_expect(&extensions, TAG_SEQUENCE).inside;
        struct cursor oid = element_expect(&extension, TAG_OID).inside;
        if (cursor_left(&oid) != sizeof alt_name || memcmp(oid.at, alt_name, sizeof alt_name) != 0) continue;
        if (!element_is_next(&extension, TAG_OCTET_STRING)) element_next(&extension); /* critical */
        struct cursor value = element_expect(&extension, TAG_OCTET_STRING).inside;
        return element_expect(&value, TAG_SEQUENCE).inside;
    }
    return cursor_over(extensions.end, 0);
}

/* --------------------------------------------------------------- the fields */

static struct text_ref address_text(struct batch *batch, const uint8_t *bytes, size_t length) {
    struct ip ip;
    char text[IP_TEXT_SIZE];
    if (length != 4 && length != 16) return (struct text_ref){0, 0};
    if (length == 4)
        ip_from_v4(&ip, bytes);
    else
        memcpy(ip.bytes, bytes, 16);
    return batch_text(batch, text, (size_t)ip_format(&ip, text));
}

static struct text_ref alt_name_text(struct batch *batch, const struct element *name) {
    if (name->tag == TAG_IP_ADDRESS) return address_text(batch, name->inside.at, cursor_left(&name->inside));
    if (name->tag != TAG_DNS_NAME) return (struct text_ref){0, 0};
    return batch_text(batch, name->inside.at, cursor_left(&name->inside));
}

static struct list_ref alt_names(struct batch *batch, struct cursor extensions) {
    struct text_ref items[ALT_NAMES_MOST];
    uint32_t count = 0;
    struct cursor names = alt_names_find(extensions);
    while (!names.failed && cursor_left(&names) > 0 && count < ALT_NAMES_MOST) {
        struct element name = element_next(&names);
        if (name.inside.failed) break;
        struct text_ref text = alt_name_text(batch, &name);
        if (text.at) items[count++] = text;
    }
    return batch_list(batch, items, count);
}

static bool fill_names(const struct parts *parts, struct batch *batch, struct event_tls_body *out) {
    const unsigned char *at = parts->subject.at;
    X509_NAME *subject = d2i_X509_NAME(NULL, &at, (long)parts->subject.length);
    at = parts->issuer.at;
    X509_NAME *issuer = d2i_X509_NAME(NULL, &at, (long)parts->issuer.length);
    bool sound = subject && issuer;
    if (sound) {
        out->subject = name_text(batch, subject);
        out->issuer = name_text(batch, issuer);
        out->self_signed = X509_NAME_cmp(subject, issuer) == 0;
    }
    X509_NAME_free(subject);
    X509_NAME_free(issuer);
    return sound;
}

static bool fill_serial(struct slice der, struct batch *batch, struct event_tls_body *out) {
    const unsigned char *at = der.at;
    ASN1_INTEGER *serial = d2i_ASN1_INTEGER(NULL, &at, (long)der.length);
    if (!serial) return false;
    out->serial = hex_text(batch, ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial),
                           "0123456789ABCDEF");
    ASN1_INTEGER_free(serial);
    return true;
}

static bool fill_time(struct slice der, nanoseconds *out) {
    const unsigned char *at = der.at;
    ASN1_TIME *time = d2i_ASN1_TIME(NULL, &at, (long)der.length);
    if (!time) return false;
    *out = time_of(time);
    ASN1_TIME_free(time);
    return true;
}

static bool fill(struct slice der, struct batch *batch, struct event_tls_body *out) {
    struct parts parts;
    if (!parts_find(der, &parts)) return false;
    if (!fill_names(&parts, batch, out) || !fill_serial(parts.serial, batch, out)) return false;
    if (!fill_time(parts.not_before, &out->not_before) || !fill_time(parts.not_after, &out->not_after))
        return false;
    out->subject_alt_names = alt_names(batch, parts.extensions);
    return true;
}

bool certificate_describe(struct slice der, struct batch *batch, struct event_tls_body *out) {
    uint8_t digest[DIGEST_MAX_BYTES];
    size_t digest_length = digest_bytes(DIGEST_SHA1, der.at, der.length, digest);
    if (digest_length > 0) out->fingerprint = hex_text(batch, digest, digest_length, "0123456789abcdef");
    bool sound = fill(der, batch, out);
    ERR_clear_error(); /* else what OpenSSL has to say about broken ones piles up in the thread's queue */
    return sound;
}
