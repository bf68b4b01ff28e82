/* Tunnels: what is said of those that the specifications describe, and that look-alikes are left alone. */
#include "drive_protocol.h"

#include "protocol/protocols.h"

static struct drive *drive_on(const struct protocol *protocol, uint8_t proto, uint16_t port) {
    struct drive *d = drive_new(protocol, EVENT_vpn);
    d->wants[EVENT_flow] = true;
    d->proto = proto;
    d->server_port = port;
    return d;
}

static bool text_has(const struct drive *d, const char *part) {
    return strstr(d->text, part) != NULL;
}

static uint32_t put(uint8_t *at, const char *bytes, uint32_t length) {
    memcpy(at, bytes, length);
    return length;
}

/* ----------------------------------------------------------------- WireGuard */

/* The whitepaper's messages (section 5.4): type, reserved, indices in little endian. */
static void initiation(uint8_t out[148], uint32_t index) {
    memset(out, 0x5a, 148);
    memset(out, 0, 4);
    out[0] = 1;
    memcpy(out + 4, &index, 4);
    memset(out + 132, 0, 16);
}

static void response(uint8_t out[92], uint32_t index, uint32_t receiver) {
    memset(out, 0xa5, 92);
    memset(out, 0, 4);
    out[0] = 2;
    memcpy(out + 4, &index, 4);
    memcpy(out + 8, &receiver, 4);
}

static void data(uint8_t out[48], uint32_t receiver, uint64_t counter) {
    memset(out, 0x3c, 48);
    memset(out, 0, 4);
    out[0] = 4;
    memcpy(out + 4, &receiver, 4);
    memcpy(out + 8, &counter, 8);
}

static void a_handshake_whose_index_comes_back_is_wireguard(void **state) {
    (void)state;
    struct drive *d = drive_on(&protocol_wireguard, 17, 51820);
    uint8_t first[148], second[92];
    initiation(first, 0x11223344);
    response(second, 0x55667788, 0x11223344);
    drive_send(d, TO_SERVER, first, sizeof first);
    assert_int_equal(d->events[EVENT_vpn], 0);
    drive_send(d, TO_CLIENT, second, sizeof second);
    drive_expect(d, "vpn.kind=wireguard");
    drive_expect(d, "vpn.confidence=certain");
    drive_expect(d, "vpn.both_sides=1");
    assert_true(text_has(d, "index 11223344"));
    drive_send(d, TO_CLIENT, second, sizeof second);
    drive_close(d);
    assert_int_equal(d->events[EVENT_vpn], 1);
    drive_expect(d, "flow.app_proto=wireguard");
    drive_free(d);
}

static void an_initiation_alone_is_likely(void **state) {
    (void)state;
    struct drive *d = drive_on(&protocol_wireguard, 17, 53);
    uint8_t first[148];
    initiation(first, 7);
    drive_send(d, TO_SERVER, first, sizeof first);
    drive_close(d);
    drive_expect(d, "vpn.confidence=likely");
    drive_expect(d, "flow.app_proto=wireguard");
    drive_free(d);
}

static void data_of_both_sides_tells_in_the_middle(void **state) {
    (void)state;
    struct drive *d = drive_on(&protocol_wireguard, 17, 40000);
    uint8_t message[48];
    for (uint64_t i = 0; i < 3; i++) {
        data(message, 0xaaaa0001, 100 + i);
        drive_send(d, TO_SERVER, message, sizeof message);
        data(message, 0xbbbb0001, 7 + i);
        drive_send(d, TO_CLIENT, message, sizeof message);
    }
    drive_expect(d, "vpn.phase=data");
    assert_true(text_has(d, "receiver aaaa0001, counter at 102"));
    drive_free(d);
}

/* An initiation whose answer is missing: what tells is the data, and so the phase is. */
static void data_behind_an_unanswered_initiation_is_data(void **state) {
    (void)state;
    struct drive *d = drive_on(&protocol_wireguard, 17, 40000);
    uint8_t first[148], message[48];
    initiation(first, 7);
    drive_send(d, TO_SERVER, first, sizeof first);
    for (uint64_t i = 0; i < 3; i++) {
        data(message, 0xaaaa0001, i);
        drive_send(d, TO_SERVER, message, sizeof message);
        data(message, 0xbbbb0001, i);
        drive_send(d, TO_CLIENT, message, sizeof message);
    }
    drive_expect(d, "vpn.phase=data");
    drive_free(d);
}

static void what_does_not_count_or_answer_is_not_wireguard(void **state) {
    (void)state;
    uint8_t message[48], first[148], second[92];
    struct drive *d = drive_on(&protocol_wireguard, 17, 40000);
    for (int i = 0; i < 20; i++) { /* one side only */
        data(message, 0xaaaa0001, (uint64_t)i);
        drive_send(d, TO_SERVER, message, sizeof message);
    }
    d->client_port++;
    for (uint32_t i = 0; i < 20; i++) { /* another receiver each time */
        data(message, 0xaaaa0001 + i, 5);
        drive_send(d, TO_SERVER, message, sizeof message);
        drive_send(d, TO_CLIENT, message, sizeof message);
    }
    d->client_port++;
    initiation(first, 0x11223344); /* lengthened, so that nothing but the answer could tell */
    first[140] = 1;
    response(second, 1, 0x99999999);
    uint8_t longer[160] = {0};
    memcpy(longer, first, sizeof first);
    drive_send(d, TO_SERVER, longer, sizeof longer);
    drive_send(d, TO_CLIENT, second, sizeof second);
    drive_close(d);
    assert_int_equal(d->events[EVENT_vpn], 0);
    assert_false(text_has(d, "flow.app_proto"));
    drive_expect(d, "flow.first_speaker=client");
    drive_free(d);
}

static void tailscale_says_so_itself(void **state) {
    (void)state;
    struct drive *d = drive_on(&protocol_tailscale, 17, 41641);
    uint8_t disco[92] = "TS\xf0\x9f\x92\xac";
    drive_send(d, TO_SERVER, disco, sizeof disco);
    drive_send(d, TO_CLIENT, disco, sizeof disco);
    drive_expect(d, "vpn.kind=tailscale");
    drive_expect(d, "vpn.mode=disco");
    drive_expect(d, "vpn.confidence=certain");
    drive_free(d);
}

/* ----------------------------------------------------------------- OpenVPN */

static const char session_a[] = "\x57\x70\x3d\x96\xdb\x39\x01\x48",
                  session_b[] = "\xd3\x1c\x3a\x69\x64\x60\x2f\xa0";
enum { HMAC_SHA1 = 20 };

/* Opcode 7 or 8, session id, [HMAC, packet id 1, time], acknowledgements, number 0. */
static uint32_t reset(uint8_t *out, bool server, uint32_t hmac, const char *acknowledged) {
    uint32_t n = put(out, server ? "\x40" : "\x38", 1);
    n += put(out + n, server ? session_b : session_a, 8);
    if (hmac) {
        memset(out + n, 0xee, hmac);
        n += hmac + put(out + n + hmac, "\0\0\0\1\x65\x00\x00\x00", 8);
    }
    n += put(out + n, acknowledged ? "\1\0\0\0\0" : "\0", acknowledged ? 5 : 1);
    if (acknowledged) n += put(out + n, acknowledged, 8);
    return n + put(out + n, "\0\0\0\0", 4);
}

static void openvpn_is_told_by_the_session_that_is_repeated(void **state) {
    (void)state;
    static const uint32_t hmacs[] = {0, 16, HMAC_SHA1, 32, 64};
    for (unsigned i = 0; i < sizeof hmacs / sizeof *hmacs; i++) {
        struct drive *d = drive_on(&protocol_openvpn, 17, 443);
        uint8_t packet[256];
        drive_send(d, TO_SERVER, packet, reset(packet, false, hmacs[i], NULL));
        drive_send(d, TO_CLIENT, packet, reset(packet, true, hmacs[i], session_a));
        drive_expect(d, hmacs[i] ? "vpn.mode=tls-auth" : "vpn.mode=plain");
        drive_expect(d, "vpn.confidence=certain");
        drive_expect(d, "vpn.transport=udp");
        drive_free(d);
    }
}

static void another_session_is_no_answer(void **state) {
    (void)state;
    struct drive *d = drive_on(&protocol_openvpn, 17, 1194);
    uint8_t packet[256];
    drive_send(d, TO_SERVER, packet, reset(packet, false, HMAC_SHA1, NULL));
    drive_send(d, TO_CLIENT, packet, reset(packet, true, HMAC_SHA1, "12345678"));
    drive_close(d);
    drive_expect(d, "vpn.confidence=likely");
    assert_false(drive_has(d, "vpn.both_sides=1"));
    drive_free(d);
}

/* tls-crypt: session id, packet id, time, HMAC of 32 bytes, the rest encrypted. */
static uint32_t crypted(uint8_t *out, bool server, const char *clock) {
    uint32_t n = put(out, server ? "\x40" : "\x38", 1);
    n += put(out + n, server ? session_b : session_a, 8);
    n += put(out + n, "\0\0\0\1", 4);
    n += put(out + n, clock, 4);
    uint32_t rest = 32 + (server ? 17 : 5);
    memset(out + n, 0xc7, rest);
    return n + rest;
}

static void tls_crypt_is_told_by_its_clocks(void **state) {
    (void)state;
    struct drive *d = drive_on(&protocol_openvpn, 17, 1194);
    uint8_t packet[256];
    drive_send(d, TO_SERVER, packet, crypted(packet, false, "\x65\x00\x00\x00"));
    drive_send(d, TO_CLIENT, packet, crypted(packet, true, "\x65\x00\x00\x04"));
    drive_expect(d, "vpn.mode=tls-crypt");
    drive_clear(d);
    d->client_port++;
    drive_send(d, TO_SERVER, packet, crypted(packet, false, "\x65\x00\x00\x00"));
    drive_send(d, TO_CLIENT, packet, crypted(packet, true, "\x75\x00\x00\x04")); /* eight years off */
    assert_int_equal(d->events[EVENT_vpn], 0);
    drive_free(d);
}

static void openvpn_over_tcp_has_a_length_before_each_packet(void **state) {
    (void)state;
    for (uint32_t cut = 1; cut < 16; cut++) {
        struct drive *d = drive_on(&protocol_openvpn, 6, 443);
        uint8_t up[64] = {0}, down[64] = {0};
        up[1] = (uint8_t)reset(up + 2, false, 0, NULL);
        down[1] = (uint8_t)reset(down + 2, true, 0, session_a);
        drive_open(d);
        drive_send(d, TO_SERVER, up, cut);
        drive_send(d, TO_SERVER, up + cut, 2u + up[1] - cut);
        drive_send(d, TO_CLIENT, down, cut);
        drive_send(d, TO_CLIENT, down + cut, 2u + down[1] - cut);
        drive_expect(d, "vpn.transport=tcp");
        drive_expect(d, "vpn.mode=plain");
        drive_free(d);
    }
}

/* ----------------------------------------------------------------- IPsec */

/* RFC 7296 section 3.1: an IKE_SA_INIT with a nonce and a vendor id. */
static uint32_t ike_init(uint8_t *out, bool response_) {
    memset(out, 0, 28);
    memcpy(out, "\x05\xac\x0f\x4d\x12\x20\x13\xf4", 8);
    if (response_) memcpy(out + 8, "\x5f\x46\xee\x70\xbc\x4c\x5d\x0d", 8);
    memcpy(out + 16, "\x28\x20\x22", 3); /* nonce, version 2.0, exchange 34 */
    out[19] = response_ ? 0x20 : 0x08;
    uint32_t n = 28;
    n += put(out + n, "\x2b\x00\x00\x24", 4);
    memset(out + n, 0x9d, 32);
    n += 32;
    n += put(out + n, "\x00\x00\x00\x14\x4a\x13\x1c\x81\x07\x03\x58\x45\x5c\x57\x28\xf2\x0e\x95\x45\x2f", 20);
    out[27] = (uint8_t)n;
    return n;
}

static void ike_is_told_with_its_cookies(void **state) {
    (void)state;
    struct drive *d = drive_on(&protocol_ike, 17, 500);
    uint8_t message[256];
    drive_send(d, TO_SERVER, message, ike_init(message, false));
    drive_send(d, TO_CLIENT, message, ike_init(message, true));
    drive_expect(d, "vpn.kind=ipsec");
    drive_expect(d, "vpn.version=IKEv2");
    drive_expect(d, "vpn.initiator_spi=05ac0f4d122013f4");
    drive_expect(d, "vpn.responder_spi=5f46ee70bc4c5d0d");
    drive_expect(d, "vpn.vendor_ids=RFC 3947 NAT-T");
    drive_expect(d, "vpn.confidence=certain");
    drive_free(d);
}

static void esp_in_udp_is_told_when_it_counts(void **state) {
    (void)state;
    struct drive *d = drive_on(&protocol_ike, 17, 4500);
    uint8_t packet[96];
    memset(packet, 0x77, sizeof packet);
    memcpy(packet, "\xc1\xf4\xa0\x01\0\0\0", 7);
    for (uint8_t i = 1; i <= 3; i++) {
        packet[7] = i;
        drive_send(d, TO_SERVER, packet, sizeof packet);
        drive_send(d, TO_SERVER, "\xff", 1); /* keeps the path through a NAT */
    }
    drive_expect(d, "vpn.mode=esp-in-udp");
    assert_true(text_has(d, "SPI c1f4a001"));
    drive_clear(d);
    d->client_port++;
    for (uint8_t i = 1; i <= 40; i++) {
        memset(packet, i * 37, 8);
        drive_send(d, TO_SERVER, packet, sizeof packet);
    }
    drive_close(d);
    assert_int_equal(d->events[EVENT_vpn], 0);
    drive_free(d);
}

static void esp_is_an_ip_protocol(void **state) {
    (void)state;
    struct drive *d = drive_on(&protocol_esp, 50, 0);
    d->client_port = 0;
    uint8_t packet[96] = {0x12, 0x34, 0x56, 0x78};
    for (uint8_t i = 1; i <= 3; i++) {
        packet[7] = i;
        drive_send(d, TO_SERVER, packet, sizeof packet);
    }
    drive_expect(d, "vpn.transport=ip");
    drive_expect(d, "vpn.mode=esp");
    drive_close(d);
    drive_expect(d, "flow.app_proto=esp");
    assert_int_equal(d->events[EVENT_vpn], 1);
    drive_free(d);
}

/* ----------------------------------------------------------------- others */

static void pptp_names_its_vendor(void **state) {
    (void)state;
    struct drive *d = drive_on(&protocol_pptp, 6, 1723);
    uint8_t message[156] = {0, 156, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1};
    drive_open(d);
    drive_send(d, TO_SERVER, message, sizeof message);
    message[9] = 2;
    memcpy(message + 92, "Acme", 4);
    drive_send(d, TO_CLIENT, message, 30);
    drive_send(d, TO_CLIENT, message + 30, sizeof message - 30);
    drive_expect(d, "vpn.kind=pptp");
    assert_true(text_has(d, "vendor is Acme"));
    drive_free(d);
}

static void l2tp_is_told_by_its_control_messages(void **state) {
    (void)state;
    struct drive *d = drive_on(&protocol_l2tp, 17, 1701);
    uint8_t message[20] = {0xc8, 2, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 8, 0, 0, 0, 0, 0, 1}; /* SCCRQ */
    drive_send(d, TO_SERVER, message, sizeof message);
    message[19] = 2; /* SCCRP */
    drive_send(d, TO_CLIENT, message, sizeof message);
    drive_expect(d, "vpn.kind=l2tp");
    drive_expect(d, "vpn.confidence=certain");
    drive_free(d);
}

static void zerotier_is_told_by_addresses_that_answer(void **state) {
    (void)state;
    struct drive *d = drive_on(&protocol_zerotier, 17, 9993);
    uint8_t up[60], down[60];
    memset(up, 0x61, sizeof up);
    memset(down, 0x62, sizeof down);
    memcpy(up + 8, "\x01\x02\x03\x04\x05\x0a\x0b\x0c\x0d\x0e\x08", 11);
    memcpy(down + 8, "\x0a\x0b\x0c\x0d\x0e\x01\x02\x03\x04\x06\x08", 11);
    drive_send(d, TO_SERVER, up, sizeof up);
    drive_send(d, TO_CLIENT, down, sizeof down);
    assert_int_equal(d->events[EVENT_vpn], 0);
    down[17] = 5;
    drive_send(d, TO_CLIENT, down, sizeof down);
    drive_expect(d, "vpn.kind=zerotier");
    assert_true(text_has(d, "0a0b0c0d0e and 0102030405"));
    drive_free(d);
}

static void softether_asks_what_it_appears_as(void **state) {
    (void)state;
    struct drive *d = drive_on(&protocol_softether, 17, 5004);
    static const char answer[] = "IP=192.0.2.1,PORT=51381";
    drive_send(d, TO_SERVER, "A", 1);
    drive_send(d, TO_CLIENT, answer, sizeof answer - 1);
    drive_send(d, TO_SERVER, "A", 1);
    drive_expect(d, "vpn.kind=softether");
    drive_free(d);
}

static void tunnels_in_clear_http_are_told(void **state) {
    (void)state;
    static const struct {
        const char *request, *answer, *kind;
    } cases[] = {
        {"SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\r\nHost: vpn.example\r\n"
         "Content-Length: 18446744073709551615\r\n\r\n",
         "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n", "vpn.kind=sstp"},
        {"GET /derp HTTP/1.1\r\nHost: relay.example\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n\r\n",
         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\nDerp-Version: "
         "2\r\n\r\n",
         "vpn.kind=tailscale"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct drive *d = drive_on(&protocol_http, 6, 80);
        drive_open(d);
        drive_send(d, TO_SERVER, cases[i].request, strlen(cases[i].request));
        drive_send(d, TO_CLIENT, cases[i].answer, strlen(cases[i].answer));
        drive_close(d);
        drive_expect(d, cases[i].kind);
        drive_free(d);
    }
}

/* ----------------------------------------------------------------- DTLS */

/* RFC 6347 section 4.2: a ClientHello with a cookie of four bytes, two ciphers, the name example.org; the
 * part from `at` of `here` bytes, in a record of its own. Returns the datagram's length. */
static uint32_t dtls_hello(uint8_t *out, const char *version, uint32_t at, uint32_t here) {
    uint8_t body[96];
    uint32_t n = put(body, version, 2);
    memset(body + n, 0x42, 32);
    n += 32;
    n += put(body + n, "\0\4cook", 6);
    n += put(body + n, "\0\4\xc0\x2b\xc0\x2f\1\0", 8);
    n += put(body + n,
             "\0\x14\0\0\0\x10\0\x0e\0\0\x0b"
             "example.org",
             22);
    if (here > n - at) here = n - at;
    memset(out, 0, 25);
    out[0] = 22;
    memcpy(out + 1, version, 2);
    out[12] = (uint8_t)(12 + here);
    out[13] = 1;
    out[16] = (uint8_t)n;
    out[21] = (uint8_t)at;
    out[24] = (uint8_t)here;
    memcpy(out + 25, body + at, here);
    return 25 + here;
}

static void a_dtls_hello_is_one_of_tls_without_its_cookie(void **state) {
    (void)state;
    for (uint32_t cut = 1; cut < 70; cut++) {
        struct drive *d = drive_on(&protocol_dtls, 17, 443);
        d->wants[EVENT_tls] = true;
        uint8_t datagram[128];
        drive_send(d, TO_SERVER, datagram, dtls_hello(datagram, "\xfe\xfd", 0, cut));
        drive_send(d, TO_SERVER, datagram, dtls_hello(datagram, "\xfe\xfd", cut, 1000));
        drive_close(d);
        drive_expect(d, "tls.sni=example.org");
        drive_expect(d, "tls.version=DTLS 1.2");
        drive_expect(d, "tls.ciphers=c02b,c02f");
        assert_true(text_has(d, "tls.ja4=dd2d020100_"));
        assert_int_equal(d->events[EVENT_tls], 1);
        assert_int_equal(d->events[EVENT_vpn], 0);
        drive_free(d);
    }
}

static void dtls_from_before_its_rfc_is_anyconnect(void **state) {
    (void)state;
    struct drive *d = drive_on(&protocol_dtls, 17, 443);
    uint8_t datagram[128];
    drive_send(d, TO_SERVER, datagram, dtls_hello(datagram, "\1\0", 0, 1000));
    drive_close(d);
    drive_expect(d, "vpn.kind=anyconnect");
    drive_expect(d, "vpn.confidence=likely");
    drive_free(d);
}

/* RFC 7983: STUN opens the path, DTLS comes through it, and both sides go on with STUN. */
static void dtls_behind_stun_is_told_once(void **state) {
    (void)state;
    static const uint8_t asks[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3};
    static const struct protocol *const both[] = {&protocol_dtls, &protocol_stun, NULL};
    for (uint32_t cut = 1; cut < 70; cut += 17) {
        struct drive *d = drive_new_of(both, EVENT_tls);
        d->proto = 17;
        d->server_port = 40000;
        d->wants[EVENT_stun] = d->wants[EVENT_flow] = true;
        uint8_t datagram[128];
        drive_send(d, TO_SERVER, asks, sizeof asks);
        drive_send(d, TO_SERVER, datagram, dtls_hello(datagram, "\xfe\xfd", 0, cut));
        drive_send(d, TO_CLIENT, asks, sizeof asks);
        drive_send(d, TO_SERVER, datagram, dtls_hello(datagram, "\xfe\xfd", cut, 1000));
        for (unsigned side = 0; side < 2; side++) /* a record of epoch 1: what follows is encrypted */
            drive_send(d, (enum direction)side, "\x17\xfe\xfd\0\1\0\0\0\0\0\0\0\1x", 14);
        drive_send(d, TO_SERVER, datagram, dtls_hello(datagram, "\xfe\xfd", 0, 1000)); /* too late to count */
        drive_close(d);
        drive_expect(d, "tls.sni=example.org");
        drive_expect(d, "tls.version=DTLS 1.2");
        drive_expect(d, "stun.method=binding");
        drive_expect(d, "flow.app_proto=stun");
        drive_expect(d, "flow.server_name=example.org");
        assert_int_equal(d->events[EVENT_tls], 1);
        assert_int_equal(d->events[EVENT_stun], 1);
        assert_int_equal(d->events[EVENT_anomaly], 0);
        drive_free(d);
    }
}

/* ----------------------------------------------------------------- noise */

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return *seed >> 33;
}

/* Random bytes, and messages with a few bytes spoilt, at whatever length: no harm, and of the random ones no
 * event. */
static void noise_is_not_taken_for_a_tunnel(void **state) {
    (void)state;
    static const struct {
        const struct protocol *protocol;
        uint8_t proto;
        uint16_t port;
    } all[] = {{&protocol_wireguard, 17, 51820}, {&protocol_openvpn, 17, 1194},
               {&protocol_ike, 17, 4500},        {&protocol_zerotier, 17, 9993},
               {&protocol_l2tp, 17, 1701},       {&protocol_softether, 17, 5004},
               {&protocol_dtls, 17, 443},        {&protocol_tailscale, 17, 41641}};
    uint64_t seed = 11;
    for (unsigned k = 0; k < sizeof all / sizeof *all; k++) {
        struct drive *d = drive_on(all[k].protocol, all[k].proto, all[k].port);
        for (int i = 0; i < 20000; i++) {
            uint8_t bytes[180];
            for (size_t n = 0; n < sizeof bytes; n++) bytes[n] = (uint8_t)next_random(&seed);
            if (i % 8 == 0) d->client_port = (uint16_t)(20000 + i % 30000);
            drive_send(d, i % 2 ? TO_SERVER : TO_CLIENT, bytes, next_random(&seed) % sizeof bytes);
        }
        drive_close(d);
        assert_int_equal(d->events[EVENT_vpn], 0);
        drive_free(d);
    }
}

static void spoilt_messages_do_no_harm(void **state) {
    (void)state;
    static const struct protocol *const all[] = {&protocol_wireguard, &protocol_openvpn, &protocol_ike};
    uint64_t seed = 13;
    for (unsigned k = 0; k < 3; k++) {
        struct drive *d = drive_on(all[k], 17, 4500);
        for (int i = 0; i < 30000; i++) {
            uint8_t bytes[256] = {0};
            uint32_t length = 148;
            if (k == 0) initiation(bytes, 9);
            if (k == 1) length = reset(bytes, i % 2, i % 3 ? HMAC_SHA1 : 0, i % 2 ? session_a : NULL);
            if (k == 2) length = ike_init(bytes, i % 2);
            for (int n = 0; n < 2; n++) bytes[next_random(&seed) % length] = (uint8_t)next_random(&seed);
            if (i % 4 == 0) length = (uint32_t)(next_random(&seed) % (length + 1));
            if (i % 16 == 0) d->client_port = (uint16_t)(20000 + i % 30000);
            drive_send(d, i % 2 ? TO_CLIENT : TO_SERVER, bytes, length);
            drive_clear(d);
        }
        drive_free(d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_whose_index_comes_back_is_wireguard),
        cmocka_unit_test(an_initiation_alone_is_likely),
        cmocka_unit_test(data_of_both_sides_tells_in_the_middle),
        cmocka_unit_test(data_behind_an_unanswered_initiation_is_data),
        cmocka_unit_test(what_does_not_count_or_answer_is_not_wireguard),
        cmocka_unit_test(tailscale_says_so_itself),
        cmocka_unit_test(openvpn_is_told_by_the_session_that_is_repeated),
        cmocka_unit_test(another_session_is_no_answer),
        cmocka_unit_test(tls_crypt_is_told_by_its_clocks),
        cmocka_unit_test(openvpn_over_tcp_has_a_length_before_each_packet),
        cmocka_unit_test(ike_is_told_with_its_cookies),
        cmocka_unit_test(esp_in_udp_is_told_when_it_counts),
        cmocka_unit_test(esp_is_an_ip_protocol),
        cmocka_unit_test(pptp_names_its_vendor),
        cmocka_unit_test(l2tp_is_told_by_its_control_messages),
        cmocka_unit_test(zerotier_is_told_by_addresses_that_answer),
        cmocka_unit_test(softether_asks_what_it_appears_as),
        cmocka_unit_test(tunnels_in_clear_http_are_told),
        cmocka_unit_test(a_dtls_hello_is_one_of_tls_without_its_cookie),
        cmocka_unit_test(dtls_behind_stun_is_told_once),
        cmocka_unit_test(dtls_from_before_its_rfc_is_anyconnect),
        cmocka_unit_test(noise_is_not_taken_for_a_tunnel),
        cmocka_unit_test(spoilt_messages_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
