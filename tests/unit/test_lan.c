/* The local network: multicast DNS and its relatives, SSDP, NAT-PMP and PCP. What is told of a message, what
 * is recognised, and that broken ones do no harm. */
#include "drive_protocol.h"

#include "protocol/protocols.h"

static struct drive *lan_drive(const struct protocol *protocol, enum event_kind kind, uint16_t port) {
    struct drive *d = drive_new(protocol, kind);
    d->proto = 17;
    d->client_port = port == 5353 ? 5353 : 40000;
    d->server_port = port;
    return d;
}

static enum recognised recognise(const struct protocol *protocol, const void *bytes, size_t length,
                                 uint16_t client_port, uint16_t server_port) {
    struct probe probe = {.data = bytes,
                          .length = (uint32_t)length,
                          .original = (uint32_t)length,
                          .transport = TRANSPORT_UDP,
                          .client_port = client_port,
                          .server_port = server_port};
    return protocol->recognise(&probe);
}

/* ----------------------------------------------------------------- mDNS */

/* Two questions, the first with the QU bit; one answer is known. */
#define BROWSE                                                                                               \
    "\0\0\0\0\0\2\0\1\0\0\0\0"                                                                               \
    "\x08_airplay\4_tcp\5local\0\0\x0c\x80\1"                                                                \
    "\x0a_universal\4_sub\4_ipp\xc0\x15\0\x0c\0\1"                                                           \
    "\xc0\x0c\0\x0c\0\1\0\0\x11\x94\0\5\2TV\xc0\x0c"

static void what_is_browsed(void **state) {
    (void)state;
    struct drive *d = lan_drive(&protocol_mdns, EVENT_mdns, 5353);
    drive_send(d, TO_SERVER, BROWSE, sizeof BROWSE - 1);
    drive_expect(d, "mdns.type=query");
    drive_expect(d, "mdns.protocol=mdns");
    drive_expect(d, "mdns.questions=_airplay._tcp.local,_universal._sub._ipp._tcp.local");
    drive_expect(d, "mdns.question_types=PTR,PTR");
    drive_expect(d, "mdns.browsed=_airplay._tcp,_universal._sub._ipp._tcp");
    drive_expect(d, "mdns.unicast=1");
    drive_expect(d, "mdns.known_answers=1");
    assert_null(strstr(d->text, "mdns.instances")); /* known is not announced */
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

/* Thousands of questions for one long name, each two bytes of pointer: what comes behind them is told. */
static void many_questions_leave_room_for_the_rest(void **state) {
    (void)state;
    enum { QUESTIONS = 4000, LABEL = 60 };
    static uint8_t message[12 + 4 * (1 + LABEL) + 1 + 4 + QUESTIONS * 6 + 16];
    memset(message, 1, sizeof message); /* control characters: four bytes of text each */
    memcpy(message,
           "\0\0\x84\0"
           "\x0f\xa0"
           "\0\1\0\0\0\0",
           12);
    for (unsigned i = 0; i < 4; i++) message[12 + i * (1 + LABEL)] = LABEL;
    uint8_t *at = message + 12 + 4 * (1 + LABEL);
    memcpy(at, "\0\0\xff\0\1", 5);
    at += 5;
    for (unsigned i = 1; i < QUESTIONS; i++, at += 6) memcpy(at, "\xc0\x0c\0\xff\0\1", 6);
    memcpy(at, "\xc0\x0c\0\1\0\1\0\0\0\x78\0\4\xc0\0\2\7", 16);
    struct drive *d = lan_drive(&protocol_mdns, EVENT_mdns, 5353);
    drive_send(d, TO_SERVER, message, (size_t)(at + 16 - message));
    drive_close(d);
    drive_expect(d, "mdns.addresses=192.0.2.7");
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

/* A Mac's own: PTR to "My Mac", its SRV, TXT with a pair, _device-info, a goodbye. */
#define ANNOUNCE                                                                                             \
    "\0\0\x84\0\0\0\0\5\0\0\0\0"                                                                             \
    "\x0f_companion-link\4_tcp\5local\0\0\x0c\0\1\0\0\x11\x94\0\x09\6My Mac\xc0\x0c"                         \
    "\xc0\x32\0\x21\x80\1\0\0\0\x78\0\x0d\0\0\0\0\xc0\x64\4mymc\xc0\x21"                                     \
    "\xc0\x32\0\x10\x80\1\0\0\x11\x94\0\x0b\x0arpVr=360.4"                                                   \
    "\6My Mac\x0c_device-info\xc0\x1c\0\x10\0\1\0\0\x11\x94\0\x1a\x0emodel=Mac14,15\x0aosxvers=23"           \
    "\xc0\x4d\0\1\x80\1\0\0\0\0\0\4\xc0\0\2\7"

static void what_is_announced(void **state) {
    (void)state;
    struct drive *d = lan_drive(&protocol_mdns, EVENT_mdns, 5353);
    drive_send(d, TO_SERVER, ANNOUNCE, sizeof ANNOUNCE - 1);
    drive_expect(d, "mdns.type=answer");
    drive_expect(d, "mdns.instances=My Mac,My Mac");
    drive_expect(d, "mdns.services=_companion-link._tcp,_device-info._tcp");
    drive_expect(d, "mdns.ports=c064,0000");
    drive_expect(d, "mdns.hosts=mymc.local,");
    drive_expect(d, "mdns.txts=rpVr=360.4,model=Mac14,15; osxvers=23");
    drive_expect(d, "mdns.model=Mac14,15");
    drive_expect(d, "mdns.osxvers=23");
    drive_expect(d, "mdns.addresses=192.0.2.7");
    drive_expect(d, "mdns.goodbye=1");
    assert_int_equal(d->events[EVENT_anomaly], 0);
    drive_free(d);
}

static void broken_names_are_anomalies(void **state) {
    (void)state;
    struct drive *d = lan_drive(&protocol_mdns, EVENT_mdns, 5353);
    drive_send(d, TO_SERVER, BROWSE, sizeof BROWSE - 1);
    drive_clear(d);
    drive_send(d, TO_SERVER, BROWSE, sizeof BROWSE - 3);
    drive_expect(d, "anomaly.name=record_cut_short");
    drive_send(d, TO_SERVER, "\0\0\0\0\0\1\0\0\0\0\0\0\xc0\x0c\0\x0c\0\1", 18);
    drive_expect(d, "anomaly.name=name_pointer_forward");
    drive_free(d);
}

static void ports_tell_the_relatives_apart(void **state) {
    (void)state;
    static const char llmnr[] = "\x12\x34\0\0\0\1\0\0\0\0\0\0\4wpad\0\0\1\0\1";
    assert_int_equal(recognise(&protocol_mdns, BROWSE, sizeof BROWSE - 1, 5353, 5353), RECOGNISED_YES);
    assert_int_equal(recognise(&protocol_mdns, BROWSE, sizeof BROWSE - 1, 40000, 5354), RECOGNISED_NO);
    assert_int_equal(recognise(&protocol_mdns, BROWSE, sizeof BROWSE - 1, 5353, 53), RECOGNISED_NO);
    assert_int_equal(recognise(&protocol_mdns, "hello, this is no DNS", 21, 5353, 5353), RECOGNISED_NO);
    assert_int_equal(recognise(&protocol_llmnr, llmnr, sizeof llmnr - 1, 40000, 5355), RECOGNISED_YES);
    assert_int_equal(recognise(&protocol_llmnr, BROWSE, sizeof BROWSE - 1, 40000, 5355), RECOGNISED_NO);
    struct drive *d = lan_drive(&protocol_llmnr, EVENT_mdns, 5355);
    drive_send(d, TO_SERVER, llmnr, sizeof llmnr - 1);
    drive_expect(d, "mdns.protocol=llmnr");
    drive_expect(d, "mdns.questions=wpad");
    drive_free(d);
}

static void netbios_names_are_decoded(void **state) {
    (void)state;
    /* RFC 1001 section 14.1: "FRED" padded with blanks, service 0x20. */
    static const char query[] = "\x12\x34\1\x10\0\1\0\0\0\0\0\0\x20"
                                "EGFCEFEECACACACACACACACACACACACA\0\0\x20\0\1";
    struct drive *d = lan_drive(&protocol_nbns, EVENT_mdns, 137);
    drive_send(d, TO_SERVER, query, sizeof query - 1);
    drive_expect(d, "mdns.protocol=nbns");
    drive_expect(d, "mdns.questions=FRED<20>");
    drive_expect(d, "mdns.question_types=NB");
    drive_free(d);
}

/* ----------------------------------------------------------------- SSDP */

static const char search[] =
    "M-SEARCH * HTTP/1.1\r\nHOST:239.255.255.250:1900\r\nMAN:\"ssdp:discover\"\r\nMX: 3\r\n"
    "ST: upnp:rootdevice\r\nUSER-AGENT: Probe/1.0\r\n\r\n";
static const char offer[] =
    "HTTP/1.1 200 OK\nCache-Control: no-cache, max-age = 1800\nst:upnp:rootdevice\n"
    "USN: uuid:1::upnp:rootdevice\nLocation: http://192.0.2.7/d.xml\nServer: Linux UPnP/1.0\n\n";

static void searches_and_offers(void **state) {
    (void)state;
    struct drive *d = lan_drive(&protocol_ssdp, EVENT_ssdp, 1900);
    drive_send(d, TO_SERVER, search, sizeof search - 1);
    drive_expect(d, "ssdp.type=search");
    drive_expect(d, "ssdp.target=upnp:rootdevice");
    drive_expect(d, "ssdp.user_agent=Probe/1.0");
    drive_expect(d, "ssdp.max_wait=3");
    drive_clear(d);
    drive_send(d, TO_CLIENT, offer, sizeof offer - 1);
    drive_expect(d, "ssdp.type=response");
    drive_expect(d, "ssdp.location=http://192.0.2.7/d.xml");
    drive_expect(d, "ssdp.usn=uuid:1::upnp:rootdevice");
    drive_expect(d, "ssdp.server=Linux UPnP/1.0");
    drive_expect(d, "ssdp.max_age=1800");
    drive_send(d, TO_SERVER, "something else", 14);
    drive_expect(d, "anomaly.name=bad_start_line");
    drive_free(d);
    assert_int_equal(recognise(&protocol_ssdp, search, sizeof search - 1, 5, 6), RECOGNISED_YES);
    assert_int_equal(recognise(&protocol_ssdp, offer, sizeof offer - 1, 5, 6), RECOGNISED_YES);
    assert_int_equal(recognise(&protocol_ssdp, "HTTP/1.1 200 OK\r\n\r\n", 19, 5, 6), RECOGNISED_NO);
}

/* ----------------------------------------------------------------- NAT-PMP and PCP */

static void natpmp_mappings(void **state) {
    (void)state;
    struct drive *d = lan_drive(&protocol_natpmp, EVENT_portmap, 5351);
    drive_send(d, TO_SERVER, "\0\2\0\0\x17\x0c\x17\x0c\0\0\x1c\x20", 12);
    drive_expect(d, "portmap.protocol=nat-pmp");
    drive_expect(d, "portmap.op=map");
    drive_expect(d, "portmap.transport=tcp");
    drive_expect(d, "portmap.internal_port=5900");
    drive_expect(d, "portmap.lifetime=7200");
    drive_clear(d);
    drive_send(d, TO_CLIENT, "\0\x82\0\0\0\0\0\x2a\x17\x0c\x9d\xdb\0\0\x0e\x10", 16);
    drive_expect(d, "portmap.type=response");
    drive_expect(d, "portmap.result=success");
    drive_expect(d, "portmap.epoch=42");
    drive_expect(d, "portmap.external_port=40411");
    drive_clear(d);
    drive_send(d, TO_SERVER, "\0\1\0\0\x17\x0c\0\0\0\0\0\0", 12);
    drive_expect(d, "portmap.delete=1");
    drive_clear(d);
    drive_send(d, TO_CLIENT, "\0\0\0\1\0\0\0\x2a", 8); /* RFC 6886 section 3.5, as printed */
    drive_expect(d, "portmap.result=unsupported_version");
    drive_send(d, TO_SERVER, "\0\1\0\0", 4);
    drive_expect(d, "anomaly.name=bad_length_or_opcode");
    drive_free(d);
}

static size_t pcp_map(uint8_t out[80], bool third_party) {
    static const uint8_t request[60] = {2, 1, 0, 0,    0,    0,   14, 16, 0, 0,    0,    0,    0,    0,    0,
                                        0, 0, 0, 0xff, 0xff, 192, 0,  2,  7, 1,    2,    3,    4,    5,    6,
                                        7, 8, 9, 10,   11,   12,  17, 0,  0, 0,    0x11, 0x94, 0x11, 0x94, 0,
                                        0, 0, 0, 0,    0,    0,   0,  0,  0, 0xff, 0xff, 0,    0,    0,    0};
    memset(out, 0, 80);
    memcpy(out, request, sizeof request);
    out[60] = 1;
    out[63] = 16;
    memcpy(out + 74, (uint8_t[]){0xff, 0xff, 192, 0, 2, 9}, 6);
    return third_party ? 80 : 60;
}

static void pcp_mappings(void **state) {
    (void)state;
    struct drive *d = lan_drive(&protocol_pcp, EVENT_portmap, 5351);
    uint8_t message[80];
    size_t length = pcp_map(message, true);
    drive_send(d, TO_SERVER, message, length);
    drive_expect(d, "portmap.protocol=pcp");
    drive_expect(d, "portmap.type=request");
    drive_expect(d, "portmap.op=map");
    drive_expect(d, "portmap.transport=udp");
    drive_expect(d, "portmap.internal_port=4500");
    drive_expect(d, "portmap.lifetime=3600");
    drive_clear(d);
    message[1] = 0x81;
    message[3] = 8;
    drive_send(d, TO_CLIENT, message, 60);
    drive_expect(d, "portmap.result=no_resources");
    drive_free(d);
    assert_int_equal(recognise(&protocol_pcp, message, 60, 40000, 5351), RECOGNISED_YES);
    assert_int_equal(recognise(&protocol_pcp, message, 60, 40000, 5352), RECOGNISED_NO);
    assert_int_equal(recognise(&protocol_pcp, message, 59, 40000, 5351), RECOGNISED_NO);
}

/* ----------------------------------------------------------------- harm */

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return *seed >> 33;
}

static void batter(const struct protocol *protocol, enum event_kind kind, uint16_t port, const void *message,
                   size_t length) {
    uint64_t seed = port;
    uint8_t broken[512];
    struct drive *d = lan_drive(protocol, kind, port);
    drive_send(d, TO_SERVER, message, length);
    for (int i = 0; i < 40000; i++) {
        memcpy(broken, message, length);
        for (int k = 0; k < 3; k++) broken[next_random(&seed) % length] = (uint8_t)next_random(&seed);
        drive_send(d, TO_SERVER, broken, i % 2 ? length : 1 + next_random(&seed) % length);
        if (i % 500 == 0) batch_flush(d->batch);
        drive_clear(d);
    }
    drive_free(d);
}

static void broken_messages_do_no_harm(void **state) {
    (void)state;
    uint8_t pcp[80];
    batter(&protocol_mdns, EVENT_mdns, 5353, BROWSE, sizeof BROWSE - 1);
    batter(&protocol_mdns, EVENT_mdns, 5353, ANNOUNCE, sizeof ANNOUNCE - 1);
    batter(&protocol_ssdp, EVENT_ssdp, 1900, search, sizeof search - 1);
    batter(&protocol_ssdp, EVENT_ssdp, 1900, offer, sizeof offer - 1);
    batter(&protocol_natpmp, EVENT_portmap, 5351, "\0\2\0\0\x17\x0c\x17\x0c\0\0\x1c\x20", 12);
    batter(&protocol_pcp, EVENT_portmap, 5351, pcp, pcp_map(pcp, true));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_browsed),
        cmocka_unit_test(many_questions_leave_room_for_the_rest),
        cmocka_unit_test(what_is_announced),
        cmocka_unit_test(broken_names_are_anomalies),
        cmocka_unit_test(ports_tell_the_relatives_apart),
        cmocka_unit_test(netbios_names_are_decoded),
        cmocka_unit_test(searches_and_offers),
        cmocka_unit_test(natpmp_mappings),
        cmocka_unit_test(pcp_mappings),
        cmocka_unit_test(broken_messages_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
