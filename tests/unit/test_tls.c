/* TLS: what is read out of a handshake, however it is cut into records and segments, and whatever is wrong
 * with it. Hellos are those of RFC 8448 section 3 or are put together here; JA4 is held against the examples
 * in FoxIO's specification; the certificate is made by OpenSSL during the test. */
#include "drive_protocol.h"

#include "protocol/ja4.h"
#include "protocol/protocols.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* ------------------------------------------------------------------ bytes to send */

enum { BYTES_MOST = 96 * 1024 };

struct bytes {
    size_t length;
    uint8_t at[BYTES_MOST];
};

static void put(struct bytes *b, const void *bytes, size_t length) {
    assert_true(b->length + length <= BYTES_MOST);
    if (length > 0) memcpy(b->at + b->length, bytes, length);
    b->length += length;
}

static void put_number(struct bytes *b, uint32_t value, int size) {
    for (int shift = (size - 1) * 8; shift >= 0; shift -= 8) put(b, &(uint8_t){(uint8_t)(value >> shift)}, 1);
}

/* A length of `size` bytes that block_end() fills in. */
static size_t block_begin(struct bytes *b, int size) {
    put_number(b, 0, size);
    return b->length;
}

static void block_end(struct bytes *b, size_t begin, int size) {
    size_t length = b->length - begin;
    for (int i = 0; i < size; i++) b->at[begin - 1 - (size_t)i] = (uint8_t)(length >> 8 * i);
}

static void put_hex(struct bytes *b, const char *hex) {
    for (; *hex; hex++) {
        unsigned value;
        if (*hex == ' ') continue;
        assert_int_equal(sscanf(hex, "%2x", &value), 1);
        put_number(b, value, 1);
        hex++;
    }
}

static const char rfc8448_client_hello[] = "01 00 00 c0 03 03 cb 34 ec b1 e7 81 63 ba 1c 38 c6 da cb 19 6a "
                                           "6d ff a2 1a 8d 99 12 ec 18 a2 ef 62 83 02 4d "
                                           "ec e7 00 00 06 13 01 13 03 13 02 01 00 00 91 00 00 00 0b 00 09 "
                                           "00 00 06 73 65 72 76 65 72 ff 01 00 01 00 00 "
                                           "0a 00 14 00 12 00 1d 00 17 00 18 00 19 01 00 01 01 01 02 01 03 "
                                           "01 04 00 23 00 00 00 33 00 26 00 24 00 1d 00 "
                                           "20 99 38 1d e5 60 e4 bd 43 d2 3d 8e 43 5a 7d ba fe b3 c0 6e 51 "
                                           "c1 3c ae 4d 54 13 69 1e 52 9a af 2c 00 2b 00 "
                                           "03 02 03 04 00 0d 00 20 00 1e 04 03 05 03 06 03 02 03 08 04 08 "
                                           "05 08 06 04 01 05 01 06 01 02 01 04 02 05 02 "
                                           "06 02 02 02 00 2d 00 02 01 01 00 1c 00 02 40 01";

static const char rfc8448_server_hello[] = "02 00 00 56 03 03 a6 af 06 a4 12 18 60 dc 5e 6e 60 24 9c d3 4c "
                                           "95 93 0c 8a c5 cb 14 34 da c1 55 77 2e d3 e2 "
                                           "69 28 00 13 01 00 00 2e 00 33 00 24 00 1d 00 20 c9 82 88 76 11 "
                                           "20 95 fe 66 76 2b db f7 c6 72 e1 56 d6 cc 25 "
                                           "3b 83 3d f1 dd 69 b1 b0 4e 75 1f 0f 00 2b 00 02 03 04";

static const char retry_random[] = "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c";

static void put_record(struct bytes *b, uint8_t type, const uint8_t *content, size_t length) {
    put_number(b, type, 1);
    put_number(b, 0x0303, 2);
    put_number(b, (uint32_t)length, 2);
    put(b, content, length);
}

/* The messages in `m`, in records of at most `most` bytes. */
static void put_records(struct bytes *b, const struct bytes *m, size_t most) {
    for (size_t at = 0; at < m->length; at += most)
        put_record(b, 22, m->at + at, m->length - at < most ? m->length - at : most);
}

static struct bytes client, server, message; /* scratch of the test that runs */

static void reset(void **state) {
    (void)state;
    client.length = server.length = message.length = 0;
}

static int setup(void **state) {
    reset(state);
    return 0;
}

static void rfc8448(struct bytes *to_server, struct bytes *to_client) {
    message.length = 0;
    put_hex(&message, rfc8448_client_hello);
    put_records(to_server, &message, 16384);
    message.length = 0;
    put_hex(&message, rfc8448_server_hello);
    put_records(to_client, &message, 16384);
    message.length = 0;
}

static void put_sni(struct bytes *b, const char *name) {
    put_number(b, 0, 2);
    size_t extension = block_begin(b, 2), list = block_begin(b, 2);
    put_number(b, 0, 1);
    size_t host = block_begin(b, 2);
    put(b, name, strlen(name));
    block_end(b, host, 2);
    block_end(b, list, 2);
    block_end(b, extension, 2);
}

static void put_extension(struct bytes *b, uint16_t type, const char *hex) {
    put_number(b, type, 2);
    size_t extension = block_begin(b, 2);
    put_hex(b, hex);
    block_end(b, extension, 2);
}

/* A ClientHello for TLS 1.2 with one cipher and the extensions already in `extensions`. */
static void put_hello(struct bytes *b, uint8_t type, const char *random, const char *session_id,
                      const char *ciphers, const struct bytes *extensions) {
    put_number(b, type, 1);
    size_t body = block_begin(b, 3);
    put_number(b, 0x0303, 2);
    if (random)
        put_hex(b, random);
    else
        for (int i = 0; i < 32; i++) put_number(b, 0xa0u + (unsigned)i, 1);
    size_t id = block_begin(b, 1);
    put_hex(b, session_id);
    block_end(b, id, 1);
    if (type == 1) {
        size_t list = block_begin(b, 2);
        put_hex(b, ciphers);
        block_end(b, list, 2);
        put_number(b, 0x0100, 2);
    } else {
        put_hex(b, ciphers);
        put_number(b, 0, 1);
    }
    if (extensions) {
        size_t block = block_begin(b, 2);
        put(b, extensions->at, extensions->length);
        block_end(b, block, 2);
    }
    block_end(b, body, 3);
}

static struct drive *tls_drive(void) {
    return drive_new(&protocol_tls, EVENT_tls);
}

/* ------------------------------------------------------------------ what is read */

static void test_rfc8448(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    rfc8448(&client, &server);
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);
    assert_int_equal(d->events[EVENT_tls], 0);
    drive_send(d, TO_CLIENT, server.at, server.length);
    assert_int_equal(d->events[EVENT_tls], 1); /* made at once, not at the end */
    drive_expect(d, "tls.sni=server");
    drive_expect(d, "tls.version=TLS 1.3");
    drive_expect(d, "tls.has_client_hello=1");
    drive_expect(d, "tls.has_server_hello=1");
    drive_expect(d, "tls.client_version=771");
    drive_expect(d, "tls.server_version=772");
    drive_expect(d, "tls.cipher=4865");
    drive_expect(d, "tls.client_versions=0304");
    drive_expect(d, "tls.ciphers=1301,1303,1302");
    drive_expect(d, "tls.extensions=0000,ff01,000a,0023,0033,002b,000d,002d,001c");
    drive_expect(d, "tls.groups=001d,0017,0018,0019,0100,0101,0102,0103,0104");
    drive_expect(d, "tls.signature_algorithms="
                    "0403,0503,0603,0203,0804,0805,0806,0401,0501,0601,0201,0402,0502,0602,0202");
    assert_null(strstr(d->text, "tls.resumed"));
    drive_close(d);
    assert_int_equal(d->events[EVENT_tls], 1);
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

/* Sends both sides, the client's cut at `cut` (0: whole), and compares with `expected`. */
static void send_and_compare(struct drive *d, size_t client_cut, size_t server_cut, const char *expected) {
    drive_clear(d);
    drive_open(d);
    if (client_cut > 0) drive_send(d, TO_SERVER, client.at, client_cut);
    drive_send(d, TO_SERVER, client.at + client_cut, client.length - client_cut);
    if (server_cut > 0) drive_send(d, TO_CLIENT, server.at, server_cut);
    drive_send(d, TO_CLIENT, server.at + server_cut, server.length - server_cut);
    drive_close(d);
    assert_string_equal(d->text, expected);
}

static void test_any_cut_gives_the_same_event(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    rfc8448(&client, &server);
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);
    drive_send(d, TO_CLIENT, server.at, server.length);
    drive_close(d);
    assert_int_equal(d->events[EVENT_tls], 1);
    char *expected = strdup(d->text);

    for (size_t cut = 1; cut < client.length; cut++) send_and_compare(d, cut, 0, expected);
    for (size_t cut = 1; cut < server.length; cut++) send_and_compare(d, 0, cut, expected);

    /* Two records of every size, in one segment and with a segment for each byte. */
    struct bytes *whole = calloc(1, sizeof *whole);
    put_hex(whole, rfc8448_client_hello);
    for (size_t cut = 1; cut < whole->length; cut++) {
        client.length = 0;
        put_record(&client, 22, whole->at, cut);
        put_record(&client, 22, whole->at + cut, whole->length - cut);
        send_and_compare(d, 0, 0, expected);
        send_and_compare(d, 5 + cut, 0, expected);
    }
    client.length = 0;
    put_records(&client, whole, 1);
    drive_clear(d);
    drive_open(d);
    for (size_t i = 0; i < client.length; i++) drive_send(d, TO_SERVER, client.at + i, 1);
    for (size_t i = 0; i < server.length; i++) drive_send(d, TO_CLIENT, server.at + i, 1);
    drive_close(d);
    assert_string_equal(d->text, expected);
    free(whole);
    free(expected);
    drive_free(d);
}

static void test_one_side_only(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    rfc8448(&client, &server);
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);
    drive_close(d);
    assert_int_equal(d->events[EVENT_tls], 1);
    drive_expect(d, "tls.sni=server");
    drive_expect(d, "tls.version=TLS 1.3");
    assert_null(strstr(d->text, "has_server_hello"));
    assert_null(strstr(d->text, "server_version"));

    drive_clear(d);
    drive_open(d);
    drive_send(d, TO_CLIENT, server.at, server.length);
    drive_close(d);
    assert_int_equal(d->events[EVENT_tls], 1);
    drive_expect(d, "tls.has_server_hello=1");
    drive_expect(d, "tls.server_version=772");
    assert_null(strstr(d->text, "has_client_hello"));
    drive_free(d);
}

static void test_client_data_means_the_server_is_not_in_the_capture(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    rfc8448(&client, &server);
    put_record(&client, 20, (const uint8_t *)"\1", 1);
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);
    assert_int_equal(d->events[EVENT_tls], 0);
    client.length = 0;
    put_record(&client, 23, (const uint8_t *)"0123456789", 10);
    drive_send(d, TO_SERVER, client.at, client.length);
    assert_int_equal(d->events[EVENT_tls], 1);
    drive_close(d);
    assert_int_equal(d->events[EVENT_tls], 1);
    drive_free(d);
}

static void test_server_name(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    static const struct {
        const char *sent, *line, *anomaly;
    } cases[] = {
        {"WWW.Example.ORG", "tls.sni=www.example.org", NULL},
        {"_dns.resolver.arpa", "tls.sni=_dns.resolver.arpa", NULL},
        {"a b\x01", "tls.sni=a b\\x01", "anomaly.name=sni_bad_bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes *extensions = calloc(1, sizeof *extensions);
        reset(NULL);
        put_sni(extensions, cases[i].sent);
        put_hello(&message, 1, NULL, "", "c02f", extensions);
        put_records(&client, &message, 16384);
        drive_clear(d);
        drive_open(d);
        drive_send(d, TO_SERVER, client.at, client.length);
        drive_close(d);
        drive_expect(d, cases[i].line);
        assert_int_equal(d->events[EVENT_anomaly], cases[i].anomaly != NULL);
        if (cases[i].anomaly) drive_expect(d, cases[i].anomaly);
        free(extensions);
    }
    drive_free(d);
}

static void test_hello_cut_by_the_capture_still_names_the_server(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    rfc8448(&client, &server);
    drive_open(d);
    drive_packet(d, TO_SERVER, TCP_ACK | TCP_PSH, client.at, (uint32_t)client.length, 96);
    drive_send(d, TO_CLIENT, server.at, server.length);
    drive_close(d);
    assert_int_equal(d->events[EVENT_tls], 1);
    drive_expect(d, "tls.sni=server");
    drive_expect(d, "tls.has_server_hello=1");
    assert_null(strstr(d->text, "has_client_hello"));
    assert_null(strstr(d->text, "tls.ja4"));
    drive_free(d);
}

static void test_retry_keeps_the_first_client_hello(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    struct bytes *extensions = calloc(1, sizeof *extensions);
    put_extension(extensions, 43, "0304");
    rfc8448(&client, &server);
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);

    put_hello(&message, 2, retry_random, "", "1302", extensions);
    struct bytes *retry = calloc(1, sizeof *retry);
    put_records(retry, &message, 16384);
    put_record(retry, 20, (const uint8_t *)"\1", 1);
    drive_send(d, TO_CLIENT, retry->at, retry->length);
    assert_int_equal(d->events[EVENT_tls], 0);

    reset(NULL);
    extensions->length = 0;
    put_sni(extensions, "second");
    put_hello(&message, 1, NULL, "", "1302", extensions);
    put_record(&client, 20, (const uint8_t *)"\1", 1);
    put_records(&client, &message, 16384);
    drive_send(d, TO_SERVER, client.at, client.length);
    drive_send(d, TO_CLIENT, server.at, server.length); /* nothing: it was reset */

    extensions->length = 0;
    put_extension(extensions, 43, "0304");
    message.length = 0;
    put_hello(&message, 2, NULL, "", "1302", extensions);
    put_records(&server, &message, 16384);
    drive_send(d, TO_CLIENT, server.at, server.length);
    assert_int_equal(d->events[EVENT_tls], 1);
    drive_expect(d, "tls.sni=server");
    drive_expect(d, "tls.ciphers=1301,1303,1302");
    drive_expect(d, "tls.cipher=4866");
    drive_close(d);
    assert_int_equal(d->events[EVENT_anomaly], 0);
    free(extensions);
    free(retry);
    drive_free(d);
}

static void test_resumed_by_session_id(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    put_hello(&message, 1, NULL, "01020304", "c02f", NULL);
    put_records(&client, &message, 16384);
    message.length = 0;
    put_hello(&message, 2, NULL, "01020304", "c02f", NULL);
    put_records(&server, &message, 16384);
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);
    drive_send(d, TO_CLIENT, server.at, server.length);
    drive_expect(d, "tls.resumed=1");
    drive_expect(d, "tls.version=TLS 1.2");
    assert_int_equal(d->events[EVENT_tls], 1);
    drive_free(d);
}

static void test_resumed_by_ticket_shows_in_an_early_cipher_change(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    put_hello(&message, 1, NULL, "", "c02f", NULL);
    put_records(&client, &message, 16384);
    message.length = 0;
    put_hello(&message, 2, NULL, "", "c02f", NULL);
    put_records(&server, &message, 16384);
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);
    drive_send(d, TO_CLIENT, server.at, server.length);
    assert_int_equal(d->events[EVENT_tls], 0); /* a certificate could come */
    drive_send(d, TO_CLIENT, "\x14\x03\x03\x00\x01\x01", 6);
    assert_int_equal(d->events[EVENT_tls], 1);
    drive_expect(d, "tls.resumed=1");
    drive_free(d);
}

static void test_alert(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    rfc8448(&client, &server);
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);
    drive_send(d, TO_CLIENT, "\x15\x03\x01\x00\x02\x01\x70", 7); /* warning unrecognized_name: goes on */
    assert_int_equal(d->events[EVENT_tls], 0);
    drive_send(d, TO_CLIENT, "\x15\x03\x01\x00\x02\x02\x28", 7);
    assert_int_equal(d->events[EVENT_tls], 1);
    drive_expect(d, "tls.alert=368"); /* the first: 1 << 8 | 112 */
    drive_expect(d, "tls.sni=server");
    drive_free(d);
}

static void test_plain_text_from_the_server(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    static const char text[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    rfc8448(&client, &server);
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);
    drive_send(d, TO_CLIENT, text, strlen(text));
    assert_int_equal(d->events[EVENT_tls], 1);
    drive_expect(d, "anomaly.name=bad_record");
    drive_expect(d, "tls.sni=server");
    assert_null(strstr(d->text, "has_server_hello"));
    drive_free(d);
}

static void test_answer_to_an_ssl2_hello(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    put_hello(&message, 2, NULL, "", "c02f", NULL);
    put_records(&server, &message, 16384);
    drive_open(d);
    drive_send(d, TO_SERVER,
               "\x80\x1c\x01\x03\x01\x00\x03\x00\x00\x00\x10\x00\x00\x2f"
               "0123456789abcdef",
               30);
    drive_send(d, TO_CLIENT, server.at, server.length);
    drive_close(d);
    assert_int_equal(d->events[EVENT_tls], 1);
    drive_expect(d, "tls.has_server_hello=1");
    drive_expect(d, "anomaly.name=ssl2_hello");
    drive_free(d);
}

/* ------------------------------------------------------------------ certificate */

static X509 *make_certificate(const char *alt_names) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    assert_non_null(key);
    assert_non_null(certificate);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 0x0102af);
    ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), "20240102030405Z");
    ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), "99991231235959Z");
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const uint8_t *)"Example, Inc.", -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)"www.example.org", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_set_pubkey(certificate, key);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt_names);
    assert_non_null(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    EVP_PKEY_free(key);
    return certificate;
}

/* Certificate message with that certificate and `more` stand-ins for its issuers. */
static void put_certificate(struct bytes *b, X509 *certificate, int more) {
    uint8_t *der = NULL;
    int size = i2d_X509(certificate, &der);
    assert_true(size > 0);
    put_number(b, 11, 1);
    size_t body = block_begin(b, 3), chain = block_begin(b, 3);
    for (int i = 0; i <= more; i++) {
        put_number(b, (uint32_t)size, 3);
        put(b, der, (size_t)size);
    }
    block_end(b, chain, 3);
    block_end(b, body, 3);
    OPENSSL_free(der);
}

static void put_tls12(X509 *certificate, int more, size_t record) {
    put_hello(&message, 1, NULL, "", "c02f", NULL);
    put_records(&client, &message, 16384);
    message.length = 0;
    put_hello(&message, 2, NULL, "0102", "c02f", NULL);
    put_certificate(&message, certificate, more);
    put_hex(&message, "0e000000");
    put_records(&server, &message, record);
}

static void expect_certificate(const struct drive *d, const X509 *certificate) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    char line[128] = "tls.fingerprint=";
    X509_digest(certificate, EVP_sha1(), digest, &length);
    for (unsigned i = 0; i < length; i++)
        snprintf(line + strlen(line), sizeof line - strlen(line), "%s%02x", i ? ":" : "", digest[i]);
    drive_expect(d, line);
    drive_expect(d, "tls.subject=O=Example\\, Inc., CN=www.example.org");
    drive_expect(d, "tls.issuer=O=Example\\, Inc., CN=www.example.org");
    drive_expect(d, "tls.serial=01:02:AF");
    drive_expect(d, "tls.self_signed=1");
    drive_expect(d, "tls.not_before=1704164645000000000");
    drive_expect(d, "tls.version=TLS 1.2");
}

static void test_certificate(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    X509 *certificate = make_certificate("DNS:www.example.org,DNS:*.example.net,IP:192.0.2.7,IP:2001:db8::1");
    static const size_t records[] = {16384, 1000, 100, 7};
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        reset(NULL);
        put_tls12(certificate, 2, records[i]);
        drive_clear(d);
        drive_open(d);
        drive_send(d, TO_SERVER, client.at, client.length);
        for (size_t at = 0; at < server.length; at += 536)
            drive_send(d, TO_CLIENT, server.at + at, server.length - at < 536 ? server.length - at : 536);
        assert_int_equal(d->events[EVENT_tls], 1);
        expect_certificate(d, certificate);
        drive_expect(d, "tls.certificates=3");
        drive_expect(d, "tls.subject_alt_names=www.example.org,*.example.net,192.0.2.7,2001:db8::1");
        drive_close(d);
    }
    X509_free(certificate);
    drive_free(d);
}

static void test_certificate_without_the_client(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    X509 *certificate = make_certificate("DNS:www.example.org");
    put_tls12(certificate, 0, 16384);
    drive_open(d);
    drive_send(d, TO_CLIENT, server.at, server.length);
    drive_close(d);
    assert_int_equal(d->events[EVENT_tls], 1);
    expect_certificate(d, certificate);
    X509_free(certificate);
    drive_free(d);
}

static void test_broken_certificate(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    X509 *certificate = make_certificate("DNS:www.example.org");
    put_tls12(certificate, 0, 16384);
    server.at[5 + 4 + 2 + 32 + 3 + 2 + 1 + 4 + 3 + 3 + 4] ^= 0xff; /* in the certificate's outermost tag */
    for (size_t i = 0; i < 32; i++) server.at[server.length - 64 - i] ^= 0x5a;
    memset(server.at + 70, 0xff, 16);
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);
    drive_send(d, TO_CLIENT, server.at, server.length);
    drive_close(d);
    assert_int_equal(d->events[EVENT_tls], 1);
    drive_expect(d, "anomaly.name=bad_certificate");
    X509_free(certificate);
    drive_free(d);
}

/* ------------------------------------------------------------------ JA4 */

/* The specification's worked example, with GREASE where Chrome puts it. */
static void test_ja4_example(void **state) {
    (void)state;
    static const uint16_t order[] = {0x1a1a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d,
                                     0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015, 0xfafa};
    struct drive *d = tls_drive();
    struct bytes *extensions = calloc(1, sizeof *extensions);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (order[i] == 0x0000)
            put_sni(extensions, "example.org");
        else if (order[i] == 0x0010)
            put_extension(extensions, 0x0010, "000c 026832 08 687474702f312e31");
        else if (order[i] == 0x000d)
            put_extension(extensions, 0x000d, "0010 0403080404010503080505010806 0601");
        else if (order[i] == 0x002b)
            put_extension(extensions, 0x002b, "06 8a8a 0304 0303");
        else if (order[i] == 0x000a)
            put_extension(extensions, 0x000a, "0008 7a7a 001d 0017 0018");
        else
            put_extension(extensions, order[i], "");
    }
    put_hello(&message, 1, NULL, "", "3a3a13011302 1303c02bc02fc02cc030cca9cca8c013c014009c009d002f0035",
              extensions);
    put_records(&client, &message, 16384);
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);
    drive_close(d);
    drive_expect(d, "tls.ja4=t13d1516h2_8daaf6152771_e5627efa2ab1");
    drive_expect(d, "tls.client_alpns=h2,http/1.1");
    drive_expect(d, "tls.client_versions=0304,0303");
    drive_expect(d, "tls.groups=001d,0017,0018");
    drive_expect(d, "tls.ciphers=1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035");
    assert_int_equal(d->events[EVENT_anomaly], 0);
    free(extensions);
    drive_free(d);
}

static struct slice slice_of(const void *bytes, size_t length) {
    return (struct slice){bytes, (uint32_t)length};
}

static void test_ja4_parts(void **state) {
    (void)state;
    static const struct {
        const char *alpn;
        size_t length;
        const char *mark;
    } alpns[] = {
        {"", 0, "00"},
        {"\0", 1, "00"},
        {"\2h2", 3, "h2"},
        {"\x8http/1.1", 9, "h1"},
        {"\1x", 2, "xx"},
        {"\1\xab", 2, "ab"},
        {"\2\xab\xcd", 3, "ad"},
        {"\2\x30\xab", 3, "3b"},
        {"\4\x30\x31\xab\xcd", 5, "3d"},
        {"\4\x30\xab\xcd\x31", 5, "01"},
    };
    char ja4[JA4_LENGTH + 1];
    struct client_hello hello = {.legacy_version = 0x0301};
    for (size_t i = 0; i < sizeof alpns / sizeof alpns[0]; i++) {
        hello.alpn = slice_of(alpns[i].alpn, alpns[i].length);
        assert_true(ja4_of(&hello, 't', ja4));
        assert_memory_equal(ja4 + 8, alpns[i].mark, 2);
    }
    hello.alpn = slice_of("", 0);
    assert_true(ja4_of(&hello, 't', ja4));
    assert_string_equal(ja4, "t10i000000_000000000000_000000000000");

    /* The specification's list without signature algorithms. */
    static const uint16_t types[] = {0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d,
                                     0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015};
    hello.extension_count = sizeof types / sizeof types[0];
    memcpy(hello.extensions, types, sizeof types);
    assert_true(ja4_of(&hello, 't', ja4));
    assert_string_equal(ja4 + 24, "6d807ffa2a79");

    static const struct {
        uint16_t version;
        const char *mark;
    } versions[] = {{0x0304, "13"}, {0x0303, "12"}, {0x0302, "11"}, {0x0301, "10"},
                    {0x0300, "s3"}, {0x0002, "s2"}, {0x0666, "00"}};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        hello.legacy_version = versions[i].version;
        assert_true(ja4_of(&hello, 't', ja4));
        assert_memory_equal(ja4 + 1, versions[i].mark, 2);
    }

    uint8_t many[300];
    for (size_t i = 0; i < sizeof many; i += 2) many[i] = 0xc0, many[i + 1] = (uint8_t)(i / 2);
    hello.ciphers = slice_of(many, sizeof many);
    assert_true(ja4_of(&hello, 't', ja4));
    assert_memory_equal(ja4 + 4, "99", 2);
}

/* ------------------------------------------------------------------ bad input */

static void test_too_long_a_message(void **state) {
    (void)state;
    struct drive *d = tls_drive();
    put_hex(&client, "16 0301 4000 01 00ffff 0303");
    for (int i = 0; i < 16378; i++) put_number(&client, 0, 1);
    drive_open(d);
    drive_send(d, TO_SERVER, client.at, client.length);
    drive_close(d);
    assert_int_equal(d->events[EVENT_tls], 0);
    drive_expect(d, "anomaly.name=handshake_too_long");
    drive_free(d);
}

static uint32_t random_next(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void mutate(struct bytes *b, uint64_t *seed) {
    uint32_t changes = random_next(seed) % 6;
    for (uint32_t i = 0; i < changes && b->length > 1; i++) {
        size_t at = random_next(seed) % b->length;
        switch (random_next(seed) % 4) {
        case 0:
            b->at[at] = (uint8_t)random_next(seed);
            break;
        case 1:
            b->at[at] ^= (uint8_t)(1u << random_next(seed) % 8);
            break;
        case 2:
            b->at[at] = random_next(seed) & 1 ? 0xff : 0;
            break;
        default: /* a piece goes missing */
            memmove(b->at + at, b->at + at + 1, b->length - at - 1);
            b->length--;
        }
    }
    if (random_next(seed) % 8 == 0) b->length = 1 + random_next(seed) % b->length;
}

static void send_in_pieces(struct drive *d, enum direction direction, const struct bytes *b, uint64_t *seed) {
    for (size_t at = 0; at < b->length;) {
        size_t size = 1 + random_next(seed) % (random_next(seed) % 2 ? 1460 : 40);
        if (size > b->length - at) size = b->length - at;
        drive_send(d, direction, b->at + at, size);
        at += size;
    }
}

static void test_mutations_do_no_harm(void **state) {
    (void)state;
    enum { ROUNDS = 100000 };
    uint64_t seed = 20240501;
    struct drive *d = tls_drive();
    X509 *certificate = make_certificate("DNS:www.example.org,IP:192.0.2.7");
    struct bytes *seeds = calloc(4, sizeof *seeds);
    assert_non_null(seeds);
    rfc8448(&seeds[0], &seeds[1]);
    put_tls12(certificate, 1, 300);
    seeds[2].length = client.length;
    memcpy(seeds[2].at, client.at, client.length);
    seeds[3].length = server.length;
    memcpy(seeds[3].at, server.at, server.length);
    for (int i = 0; i < ROUNDS; i++) {
        const struct bytes *to_server = &seeds[i % 2 ? 2 : 0], *to_client = &seeds[i % 2 ? 3 : 1];
        client.length = to_server->length;
        memcpy(client.at, to_server->at, to_server->length);
        server.length = to_client->length;
        memcpy(server.at, to_client->at, to_client->length);
        mutate(&client, &seed);
        mutate(&server, &seed);
        drive_clear(d);
        drive_open(d);
        if (random_next(&seed) % 8) send_in_pieces(d, TO_SERVER, &client, &seed);
        if (random_next(&seed) % 8) send_in_pieces(d, TO_CLIENT, &server, &seed);
        drive_close(d);
        assert_true(d->events[EVENT_tls] <= 1);
    }
    free(seeds);
    X509_free(certificate);
    drive_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rfc8448, setup),
        cmocka_unit_test_setup(test_any_cut_gives_the_same_event, setup),
        cmocka_unit_test_setup(test_one_side_only, setup),
        cmocka_unit_test_setup(test_client_data_means_the_server_is_not_in_the_capture, setup),
        cmocka_unit_test_setup(test_server_name, setup),
        cmocka_unit_test_setup(test_hello_cut_by_the_capture_still_names_the_server, setup),
        cmocka_unit_test_setup(test_retry_keeps_the_first_client_hello, setup),
        cmocka_unit_test_setup(test_resumed_by_session_id, setup),
        cmocka_unit_test_setup(test_resumed_by_ticket_shows_in_an_early_cipher_change, setup),
        cmocka_unit_test_setup(test_alert, setup),
        cmocka_unit_test_setup(test_plain_text_from_the_server, setup),
        cmocka_unit_test_setup(test_answer_to_an_ssl2_hello, setup),
        cmocka_unit_test_setup(test_certificate, setup),
        cmocka_unit_test_setup(test_certificate_without_the_client, setup),
        cmocka_unit_test_setup(test_broken_certificate, setup),
        cmocka_unit_test_setup(test_ja4_example, setup),
        cmocka_unit_test_setup(test_ja4_parts, setup),
        cmocka_unit_test_setup(test_too_long_a_message, setup),
        cmocka_unit_test_setup(test_mutations_do_no_harm, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
