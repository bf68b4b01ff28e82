/* A QUIC connection that goes on from another port or address stays one flow, as far as its connection ids
 * tell. The handshakes are the RFC's. */
#include "drive_protocol.h"
#include "quic_vectors.h"

#include "protocol/protocols.h"

static const uint8_t elsewhere[4] = {203, 0, 113, 9}, client[4] = {192, 0, 2, 1},
                     server[4] = {198, 51, 100, 1};

/* A datagram between any two ends. */
static void send_between(struct drive *d, const uint8_t from[4], uint16_t from_port, const uint8_t to[4],
                         uint16_t to_port, const void *bytes, uint32_t length) {
    d->now += NS_PER_MILLISECOND;
    struct packet packet = {.bytes = bytes, .captured = length, .original = length, .time = d->now};
    struct decoded decoded = {.kind = DECODED_TRANSPORT,
                              .proto = 17,
                              .ttl = 64,
                              .has_ports = true,
                              .src_port = from_port,
                              .dst_port = to_port,
                              .payload = bytes,
                              .payload_captured = length,
                              .payload_length = length,
                              .wire_length = length + 42};
    ip_from_v4(&decoded.src, from);
    ip_from_v4(&decoded.dst, to);
    flow_room_burst(d->room, &packet, &decoded, 1, NULL, NULL);
}

static bool server_is_local(void *context, const struct ip *address) {
    struct ip local;
    (void)context;
    ip_from_v4(&local, server);
    return memcmp(address, &local, sizeof local) == 0;
}

static bool client_is_local(void *context, const struct ip *address) {
    struct ip local;
    (void)context;
    ip_from_v4(&local, client);
    return memcmp(address, &local, sizeof local) == 0;
}

static void send_hex_between(struct drive *d, const uint8_t from[4], uint16_t from_port, const uint8_t to[4],
                             uint16_t to_port, const char *hex) {
    uint8_t bytes[2048];
    uint32_t length = 0;
    for (; hex[0]; hex += 2) {
        unsigned value;
        assert_int_equal(sscanf(hex, "%2x", &value), 1);
        bytes[length++] = (uint8_t)value;
    }
    send_between(d, from, from_port, to, to_port, bytes, length);
}

/* 1-RTT packets: to the server's id of RFC 9001 appendix A, and to the client's, which has none. */
static const char to_server[] = "40f067a5502a4262b5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char to_client[] = "40aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char to_nobody[] = "40f167a5502a4262b5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static struct drive *rebind_drive(bool (*is_local)(void *, const struct ip *)) {
    struct drive *d = drive_new(&protocol_quic, EVENT_flow);
    struct flow_config config = flow_config_defaults();
    struct error err = {0};
    config.max_flows = 64;
    flow_room_free(d->room);
    struct flow_surroundings around = {.batch = d->batch,
                                       .protocols = d->protocols,
                                       .is_local = is_local,
                                       .interface_name = drive_interface,
                                       .context = d};
    d->room = flow_room_new(&config, &around, &err);
    assert_non_null(d->room);
    send_hex_between(d, client, 50000, server, 443, rfc9001_client);
    send_hex_between(d, server, 443, client, 50000, rfc9001_server);
    return d;
}

static uint64_t flows(struct drive *d) {
    return flow_room_counters(d->room)->flows;
}

static void a_new_port_is_the_same_flow(void **state) {
    (void)state;
    struct drive *d = rebind_drive(client_is_local);
    send_hex_between(d, client, 50001, server, 443, to_server);
    send_hex_between(d, server, 443, client, 50001, to_client); /* by the alias: it has no id */
    send_hex_between(d, client, 50001, server, 443, to_server);
    assert_int_equal(flows(d), 1);
    assert_int_equal(flow_room_counters(d->room)->rebinds, 1);
    drive_close(d);
    drive_expect(d, "flow.client_packets=3");
    drive_expect(d, "flow.server_packets=2");
    drive_expect(d, "flow.rebinds=1");
    drive_expect(d, "flow.rebound_port=50001");
    drive_free(d);
}

/* Addresses in another order: the lower one is the other side of the key. */
static void a_new_address_is_the_same_flow(void **state) {
    (void)state;
    struct drive *d = rebind_drive(server_is_local);
    send_hex_between(d, elsewhere, 1024, server, 443, to_server);
    send_hex_between(d, server, 443, elsewhere, 1024, to_client);
    assert_int_equal(flows(d), 1);
    drive_close(d);
    drive_expect(d, "flow.client_packets=2");
    drive_expect(d, "flow.server_packets=2");
    drive_free(d);
}

/* Another worker would get its packets, if there were more. */
static void a_local_host_that_moves_is_a_new_flow(void **state) {
    (void)state;
    struct drive *d = rebind_drive(client_is_local);
    send_hex_between(d, elsewhere, 50000, server, 443, to_server);
    assert_int_equal(flows(d), 2);
    assert_int_equal(flow_room_counters(d->room)->rebinds, 0);
    drive_free(d);
}

static void others_are_new_flows(void **state) {
    (void)state;
    struct drive *d = rebind_drive(client_is_local);
    send_hex_between(d, client, 50001, server, 443, to_nobody);
    send_hex_between(d, client, 50002, elsewhere, 443, to_server); /* the id, but both ends are others */
    send_hex_between(d, client, 50003, server, 443, "40f067");
    assert_int_equal(flows(d), 4);
    drive_free(d);
}

static void a_flow_that_is_over_has_no_more_packets(void **state) {
    (void)state;
    struct drive *d = rebind_drive(client_is_local);
    send_hex_between(d, client, 50001, server, 443, to_server);
    flow_room_advance(d->room, d->now + 3600 * NS_PER_SECOND);
    d->now += 3601 * NS_PER_SECOND;
    send_hex_between(d, client, 50001, server, 443, to_server);
    send_hex_between(d, client, 50002, server, 443, to_server);
    assert_int_equal(flows(d), 3);
    drive_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_port_is_the_same_flow),
        cmocka_unit_test(a_new_address_is_the_same_flow),
        cmocka_unit_test(a_local_host_that_moves_is_a_new_flow),
        cmocka_unit_test(others_are_new_flows),
        cmocka_unit_test(a_flow_that_is_over_has_no_more_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
