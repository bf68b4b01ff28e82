/* QUIC: the RFCs' own packets are opened and told; then packets sealed here, cut and mixed in every way. */
#include "drive_protocol.h"
#include "quic_vectors.h"

#include "protocol/protocols.h"
#include "protocol/quic_crypt.h"

#include <openssl/evp.h>

enum { BYTES_MOST = 4096 };

struct bytes {
    uint32_t length;
    uint8_t at[BYTES_MOST];
};

static struct bytes from_hex(const char *hex) {
    struct bytes b = {0};
    for (; hex[0] && hex[1]; hex += 2) {
        unsigned value;
        assert_int_equal(sscanf(hex, "%2x", &value), 1);
        b.at[b.length++] = (uint8_t)value;
    }
    return b;
}

static void put(struct bytes *b, const void *bytes, uint32_t length) {
    assert_true(b->length + length <= BYTES_MOST);
    if (length > 0) memcpy(b->at + b->length, bytes, length);
    b->length += length;
}

static void put_byte(struct bytes *b, unsigned value) {
    put(b, &(uint8_t){(uint8_t)value}, 1);
}

/* A variable-length integer of two bytes. */
static void put_two(struct bytes *b, unsigned value) {
    put_byte(b, 0x40 | value >> 8);
    put_byte(b, value);
}

static void put_zeros(struct bytes *b, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) put_byte(b, 0);
}

static struct drive *quic_drive(void) {
    struct drive *d = drive_new(&protocol_quic, EVENT_quic);
    d->proto = 17;
    d->wants[EVENT_tls] = d->wants[EVENT_encrypted_dns] = true;
    return d;
}

static void send_hex(struct drive *d, enum direction direction, const char *hex) {
    struct bytes b = from_hex(hex);
    drive_send(d, direction, b.at, b.length);
}

/* ------------------------------------------------------------------ sealing */

static const uint8_t client_id[] = {0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08};
static const uint8_t retry_id[] = {0xf0, 0x67, 0xa5, 0x50, 0x2a, 0x42, 0x62, 0xb5};

/* An Initial packet of the client to `dcid`, its keys made of `key_id`, without ids of its own. */
static struct bytes seal(const uint8_t dcid[8], const uint8_t key_id[8], uint32_t token, uint8_t number,
                         const struct bytes *frames) {
    struct quic_crypt *crypt = quic_crypt_new();
    struct quic_keys keys[2];
    assert_non_null(crypt);
    assert_true(quic_initial_keys(crypt, quic_version_find(1), (struct slice){key_id, 8}, keys));
    quic_crypt_free(crypt);

    struct bytes p = {0};
    put(&p, "\xc0\0\0\0\1\x08", 6); /* packet number of one byte */
    put(&p, dcid, 8);
    put_byte(&p, 0);
    put_byte(&p, token);
    put_zeros(&p, token);
    put_two(&p, 1 + frames->length + 16);
    uint32_t at = p.length;
    put_byte(&p, number);

    uint8_t nonce[12], mask[32];
    memcpy(nonce, keys[TO_SERVER].iv, 12);
    nonce[11] ^= number;
    int written;
    EVP_CIPHER_CTX *gcm = EVP_CIPHER_CTX_new(), *ecb = EVP_CIPHER_CTX_new();
    assert_int_equal(EVP_EncryptInit_ex(gcm, EVP_aes_128_gcm(), NULL, keys[TO_SERVER].key, nonce), 1);
    assert_int_equal(EVP_EncryptUpdate(gcm, NULL, &written, p.at, (int)p.length), 1);
    assert_int_equal(EVP_EncryptUpdate(gcm, p.at + p.length, &written, frames->at, (int)frames->length), 1);
    p.length += frames->length;
    assert_int_equal(EVP_EncryptFinal_ex(gcm, p.at + p.length, &written), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_GET_TAG, 16, p.at + p.length), 1);
    p.length += 16;
    assert_int_equal(EVP_EncryptInit_ex(ecb, EVP_aes_128_ecb(), NULL, keys[TO_SERVER].header, NULL), 1);
    assert_int_equal(EVP_EncryptUpdate(ecb, mask, &written, p.at + at + 4, 16), 1);
    p.at[0] ^= mask[0] & 0x0f;
    p.at[at] ^= mask[1];
    EVP_CIPHER_CTX_free(gcm);
    EVP_CIPHER_CTX_free(ecb);
    return p;
}

static void put_crypto(struct bytes *frames, const struct bytes *hello, uint32_t from, uint32_t to) {
    put_byte(frames, 6);
    put_two(frames, from);
    put_two(frames, to - from);
    put(frames, hello->at + from, to - from);
}

static void expect_the_hello(const struct drive *d) {
    drive_expect(d, "quic.sni=example.com");
    drive_expect(d, "quic.alpns=alpn");
    drive_expect(d, "quic.decrypted=1");
    drive_expect(d, "tls.sni=example.com");
    drive_expect(d, "tls.quic=1");
    assert_int_equal(d->events[EVENT_quic], 1);
    assert_int_equal(d->events[EVENT_anomaly], 0);
}

/* ------------------------------------------------------------------ the RFCs' packets */

static void keys_are_those_of(uint32_t version, const char *client, const char *server) {
    struct quic_crypt *crypt = quic_crypt_new();
    struct quic_keys keys[2];
    assert_non_null(crypt);
    assert_true(quic_initial_keys(crypt, quic_version_find(version),
                                  (struct slice){client_id, sizeof client_id}, keys));
    struct bytes expected[2] = {from_hex(client), from_hex(server)};
    assert_int_equal(expected[0].length, sizeof keys[0]);
    assert_memory_equal(&keys[TO_SERVER], expected[0].at, sizeof keys[0]);
    assert_memory_equal(&keys[TO_CLIENT], expected[1].at, sizeof keys[1]);
    quic_crypt_free(crypt);
}

static void keys_are_the_rfcs(void **state) {
    (void)state; /* key, iv, header key: RFC 9001 A.1, RFC 9369 A.1 */
    keys_are_those_of(
        1, "1f369613dd76d5467730efcbe3b1a22dfa044b2f42a3fd3b46fb255c9f50449e04a0e810283a1e9933adedd2",
        "cf3a5331653c364c88f0f379b6067e370ac1493ca1905853b0bba03ec206b8d9b9f0f37644430b490eeaa314");
    keys_are_those_of(
        0x6b3343cf,
        "8b1a0bc121284290a29e0971b5cd045d91f73e2351d8fa91660e909f45b95e15235d6f45a6b19cbcb0294ba9",
        "82db637861d55e1d011f19ea71d5d2a7dd13c276499c0249d3310652edf6d05c83121201b436e16877593c3a");
}

static void expect_the_server(const struct drive *d) {
    drive_expect(d, "tls.cipher=4865"); /* TLS_AES_128_GCM_SHA256 */
    drive_expect(d, "tls.version=TLS 1.3");
    drive_expect(d, "tls.ja3s_full=771,4865,51-43");
    drive_expect(d, "quic.server_scid_length=8");
}

static void version_1_is_read(void **state) {
    (void)state;
    struct drive *d = quic_drive();
    send_hex(d, TO_SERVER, rfc9001_client);
    send_hex(d, TO_CLIENT, rfc9001_server);
    expect_the_hello(d);
    expect_the_server(d);
    drive_expect(d, "quic.version=1");
    drive_expect(d, "quic.dcid_length=8");
    drive_expect(d, "quic.initial_max_data=4611686018427387903");
    drive_expect(d, "quic.max_idle_timeout=30000");
    drive_expect(d, "quic.parameters=0004,0005,0007,0008,0001,0009,000f,0006");
    drive_expect(d, "tls.ja3_full=771,4865-4866,0-65281-10-16-5-51-43-13-45-28-57,29-23-24,");
    drive_free(d);
}

static void version_2_is_read(void **state) {
    (void)state;
    struct drive *d = quic_drive();
    send_hex(d, TO_SERVER, rfc9369_client);
    send_hex(d, TO_CLIENT, rfc9369_server);
    expect_the_hello(d);
    expect_the_server(d);
    drive_expect(d, "quic.version=2");
    drive_free(d);
}

/* The first packet that was seen went to what looks like the client: the keys know better. */
static void the_keys_tell_who_the_client_is(void **state) {
    (void)state;
    struct drive *d = quic_drive();
    d->server_port = 20000;
    d->client_port = 443;
    send_hex(d, TO_CLIENT, rfc9001_client);
    send_hex(d, TO_SERVER, rfc9001_server);
    expect_the_hello(d);
    expect_the_server(d);
    drive_free(d);
}

static void a_server_alone_is_told(void **state) {
    (void)state;
    struct drive *d = quic_drive();
    send_hex(d, TO_CLIENT, rfc9001_server);
    drive_close(d);
    drive_expect(d, "quic.why_not=none");
    assert_false(drive_has(d, "quic.decrypted=1"));
    drive_free(d);
}

static void a_cut_packet_is_told(void **state) {
    (void)state;
    struct drive *d = quic_drive();
    struct bytes b = from_hex(rfc9001_client);
    drive_packet(d, TO_SERVER, 0, b.at, b.length, 96);
    drive_close(d);
    drive_expect(d, "quic.why_not=cut");
    drive_expect(d, "quic.version=1");
    drive_free(d);
}

/* ------------------------------------------------------------------ cut and mixed */

static void frames_come_in_any_order(void **state) {
    (void)state;
    struct bytes hello = from_hex(rfc9001_hello);
    static const uint32_t cuts[][2] = {{200, 241}, {0, 1}, {100, 150}, {1, 60}, {140, 220}, {55, 100}};
    for (unsigned packets = 1; packets <= 3; packets++) {
        struct drive *d = quic_drive();
        for (unsigned i = 0; i < packets; i++) {
            struct bytes frames = {0};
            put_byte(&frames, 1); /* PING */
            for (unsigned cut = 0; cut < 6; cut++)
                if (cut % packets == i) put_crypto(&frames, &hello, cuts[cut][0], cuts[cut][1]);
            put(&frames, "\x02\x05\x00\x01\x01\x00\x00", 7); /* an ACK of two ranges */
            put_zeros(&frames, 1170 - frames.length);
            struct bytes packet = seal(client_id, client_id, 0, (uint8_t)(packets - i), &frames);
            drive_send(d, TO_SERVER, packet.at, packet.length);
        }
        drive_close(d);
        expect_the_hello(d);
        drive_free(d);
    }
}

static void packets_share_a_datagram(void **state) {
    (void)state;
    struct bytes hello = from_hex(rfc9001_hello), both = {0};
    for (unsigned i = 0; i < 2; i++) {
        struct bytes frames = {0};
        put_crypto(&frames, &hello, i ? 0 : 120, i ? 120 : 241);
        put_zeros(&frames, 600 - frames.length);
        struct bytes packet = seal(client_id, client_id, 0, (uint8_t)i, &frames);
        put(&both, packet.at, packet.length);
    }
    struct drive *d = quic_drive();
    drive_send(d, TO_SERVER, both.at, both.length);
    drive_close(d);
    expect_the_hello(d);
    drive_free(d);
}

/* Keys cost more than anything else here: packets to many ids in one datagram are not tried one by one. */
static void ids_tried_are_bounded(void **state) {
    (void)state;
    struct bytes hello = from_hex(rfc9001_hello), frames = {0};
    put_crypto(&frames, &hello, 0, 241);
    put_zeros(&frames, 1170 - frames.length);
    struct bytes genuine = seal(client_id, client_id, 0, 0, &frames);
    for (unsigned strangers = 1; strangers <= 40; strangers += 39) {
        struct bytes datagram = {0};
        for (unsigned i = 0; i < strangers; i++) {
            put(&datagram, "\xc0\0\0\0\1\x08", 6);
            put_byte(&datagram, i);
            put_zeros(&datagram, 7 + 1 + 1);
            put_two(&datagram, 20);
            put_zeros(&datagram, 20);
        }
        put(&datagram, genuine.at, genuine.length);
        struct drive *d = quic_drive();
        drive_send(d, TO_SERVER, datagram.at, datagram.length);
        drive_close(d);
        assert_int_equal(drive_has(d, "quic.decrypted=1"), strangers == 1);
        if (strangers > 1) drive_expect(d, "quic.why_not=keys");
        drive_free(d);
    }
}

/* RFC 9001 section 5.2: after a Retry keys come from the id that it gave. */
static void a_retry_gives_new_keys(void **state) {
    (void)state;
    struct bytes hello = from_hex(rfc9001_hello), frames = {0}, part = {0};
    put_crypto(&part, &hello, 0, 100);
    put_zeros(&part, 1170 - part.length);
    put_crypto(&frames, &hello, 0, 241);
    put_zeros(&frames, 1170 - frames.length);
    struct bytes first = seal(client_id, client_id, 0, 0, &part);
    struct bytes second = seal(retry_id, retry_id, 5, 1, &frames);
    struct drive *d = quic_drive();
    drive_send(d, TO_SERVER, first.at, first.length);
    send_hex(d, TO_CLIENT, rfc9001_retry);
    drive_send(d, TO_SERVER, second.at, second.length);
    drive_close(d);
    expect_the_hello(d);
    drive_expect(d, "quic.retry=1");
    drive_free(d);
}

static void two_connections_on_the_same_ports(void **state) {
    (void)state;
    struct bytes hello = from_hex(rfc9001_hello), frames = {0};
    put_crypto(&frames, &hello, 0, 241);
    put_zeros(&frames, 1170 - frames.length);
    struct bytes first = seal(client_id, client_id, 0, 0, &frames),
                 second = seal(retry_id, retry_id, 0, 0, &frames);
    struct drive *d = quic_drive();
    drive_send(d, TO_SERVER, first.at, first.length);
    drive_send(d, TO_SERVER, second.at, second.length);
    drive_close(d);
    assert_int_equal(d->events[EVENT_quic], 2);
    assert_int_equal(d->events[EVENT_tls], 2);
    drive_free(d);
}

static void a_hello_without_end_is_bounded(void **state) {
    (void)state;
    struct drive *d = quic_drive();
    struct bytes much = {.length = 1000};
    for (uint32_t i = 0; i < 40; i++) {
        struct bytes frames = {0};
        put_byte(&frames, 6);
        uint32_t offset = 4 + i * 1000;
        put_byte(&frames, 0x80);
        put_byte(&frames, 0);
        put_byte(&frames, offset >> 8);
        put_byte(&frames, offset);
        put_two(&frames, 1000);
        put(&frames, much.at, 1000);
        put_zeros(&frames, 170);
        struct bytes packet = seal(client_id, client_id, 0, (uint8_t)i, &frames);
        drive_send(d, TO_SERVER, packet.at, packet.length);
    }
    drive_close(d);
    drive_expect(d, "quic.why_not=part");
    drive_expect(d, "anomaly.name=crypto_out_of_bounds");
    drive_free(d);
}

/* ------------------------------------------------------------------ Google's, negotiation, none at all */

static void google_hello_in_clear(void **state) {
    (void)state;
    struct bytes b = {0};
    put(&b,
        "\x0d"
        "ABCDEFGH"
        "Q043"
        "\x01",
        14);
    put_zeros(&b, 12);
    put(&b, "\xa0\x01\x00\x00", 4);
    put(&b,
        "CHLO\x02\0\0\0"
        "SNI\0\x0f\0\0\0"
        "UAID\x1a\0\0\0"
        "www.Example.com"
        "Chrome/9.99",
        24 + 26);
    put_zeros(&b, 1000);
    struct drive *d = quic_drive();
    drive_send(d, TO_SERVER, b.at, b.length);
    drive_expect(d, "quic.version=Q043");
    drive_expect(d, "quic.sni=www.example.com");
    drive_expect(d, "quic.user_agent=Chrome/9.99");
    drive_free(d);
}

static void negotiation_is_told(void **state) {
    (void)state;
    struct bytes b = from_hex(rfc9001_client);
    memcpy(b.at + 1, "\x1a\x2a\x3a\x4a", 4); /* a version that nobody speaks */
    struct drive *d = quic_drive();
    drive_send(d, TO_SERVER, b.at, b.length);
    send_hex(d, TO_CLIENT,
             "8000000000"
             "00"
             "088394c8f03e515708"
             "00000001"
             "6b3343cf");
    send_hex(d, TO_SERVER, rfc9001_client);
    drive_close(d);
    expect_the_hello(d);
    drive_expect(d, "quic.version_negotiation=1");
    drive_expect(d, "quic.version=1");
    drive_free(d);
}

static bool recognised(const void *bytes, uint32_t length) {
    struct probe probe = {.data = bytes, .length = length, .original = length, .transport = TRANSPORT_UDP};
    return protocol_quic.recognise(&probe) == RECOGNISED_YES;
}

static void other_datagrams_are_left_alone(void **state) {
    (void)state;
    static const uint8_t stun[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
    static const uint8_t dtls[20] = {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
    static const uint8_t rtp[40] = {0x80, 0x60, 0, 0, 0, 1, 0x20, 9, 9, 9, 9, 9};
    static const uint8_t one[40] = {0xc0, 0, 0, 0, 1, 0xff, 0xff};
    static const uint8_t negotiation[15] = {0x80, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    assert_false(recognised(stun, sizeof stun));
    assert_false(recognised(dtls, sizeof dtls));
    assert_false(recognised(rtp, sizeof rtp));
    assert_false(recognised(one, sizeof one));
    assert_false(recognised(negotiation, sizeof negotiation));
    assert_false(recognised("\xc0", 1));
}

/* Whatever is cut or changed, nothing is read that is not there. */
static void broken_packets_do_no_harm(void **state) {
    (void)state;
    struct bytes client = from_hex(rfc9001_client), server = from_hex(rfc9001_server);
    struct drive *d = quic_drive();
    for (uint32_t length = 1; length < 64; length++) {
        d->client_port++;
        drive_send(d, TO_SERVER, client.at, length);
        drive_send(d, TO_CLIENT, server.at, length < server.length ? length : server.length);
    }
    for (uint32_t i = 0; i < 200; i++) {
        struct bytes changed = i % 2 ? server : client;
        d->client_port++;
        changed.at[i * 7 % 40] ^= (uint8_t)(i * 37 + 1);
        drive_send(d, TO_SERVER, client.at, i % 3 ? client.length : 30);
        drive_send(d, i % 2 ? TO_CLIENT : TO_SERVER, changed.at, changed.length);
    }
    drive_close(d);
    drive_free(d);
}

static void dns_over_quic_is_told(void **state) {
    (void)state;
    struct drive *d = quic_drive();
    d->server_port = 853;
    send_hex(d, TO_SERVER, rfc9001_client);
    drive_expect(d, "encrypted_dns.kind=doq");
    drive_expect(d, "encrypted_dns.resolver=example.com");
    drive_expect(d, "encrypted_dns.evidence=port");
    drive_close(d);
    drive_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_the_rfcs),
        cmocka_unit_test(version_1_is_read),
        cmocka_unit_test(version_2_is_read),
        cmocka_unit_test(the_keys_tell_who_the_client_is),
        cmocka_unit_test(a_server_alone_is_told),
        cmocka_unit_test(a_cut_packet_is_told),
        cmocka_unit_test(frames_come_in_any_order),
        cmocka_unit_test(packets_share_a_datagram),
        cmocka_unit_test(a_retry_gives_new_keys),
        cmocka_unit_test(ids_tried_are_bounded),
        cmocka_unit_test(two_connections_on_the_same_ports),
        cmocka_unit_test(a_hello_without_end_is_bounded),
        cmocka_unit_test(google_hello_in_clear),
        cmocka_unit_test(negotiation_is_told),
        cmocka_unit_test(other_datagrams_are_left_alone),
        cmocka_unit_test(broken_packets_do_no_harm),
        cmocka_unit_test(dns_over_quic_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
