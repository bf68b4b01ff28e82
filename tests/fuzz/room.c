/* See room.h. Packets are decoded headers built by hand. Payloads are copied to blocks of their own size, so
 * that a read behind the end is seen. */
#include "fuzz/room.h"
#include "fuzz/see.h"

#include "event/batch.h"

#include <stdlib.h>
#include <string.h>

struct fuzz_room {
    struct batch *batch;
    struct flow_room *room;
    bool wants[EVENT_KINDS];
    nanoseconds now;
    uint16_t client_port, server_port;
    uint8_t proto;
    uint32_t next_seq[2];
};

static bool offer(void *context, enum event_kind kind, uint32_t index, const void *event) {
    struct fuzz_room *room = context;
    (void)index;
    see_event(room->batch, kind, event);
    return true;
}

static void drink(void *context) {
    (void)context;
}

static bool no_local(void *context, const struct ip *address) {
    (void)context;
    (void)address;
    return false;
}

static void give_up(const struct error *err) {
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

struct fuzz_room *fuzz_room_new(const struct protocol *const *protocols) {
    struct error err = {0};
    struct fuzz_room *room = calloc(1, sizeof *room);
    if (!room) abort();
    memset(room->wants, 1, sizeof room->wants);
    room->now = 1700000000 * NS_PER_SECOND;
    room->client_port = 20000;
    room->batch = batch_new(BATCH_EVENTS, &err);
    if (!room->batch) give_up(&err);
    room->batch->listener =
        (struct batch_listener){.context = room, .wants = room->wants, .offer = offer, .drink = drink};
    struct flow_config config = flow_config_defaults();
    config.max_flows = 64;
    config.max_names = 64;
    config.reassembly_total = 4 << 20;
    struct flow_surroundings around = {
        .batch = room->batch, .protocols = protocols, .is_local = no_local, .context = room};
    room->room = flow_room_new(&config, &around, &err);
    if (!room->room) give_up(&err);
    return room;
}

void fuzz_room_free(struct fuzz_room *room) {
    flow_room_free(room->room);
    batch_free(room->batch);
    free(room);
}

static void send(struct fuzz_room *room, enum direction direction, uint8_t flags, uint32_t ahead,
                 const uint8_t *bytes, uint32_t length, uint32_t beyond) {
    static const uint8_t client[4] = {192, 0, 2, 1}, server[4] = {198, 51, 100, 1};
    bool up = direction == TO_SERVER, has_ports = room->proto != 50 && room->proto != 47;
    room->now += NS_PER_MILLISECOND;
    struct packet packet = {
        .bytes = bytes, .captured = length, .original = length + beyond, .time = room->now};
    struct decoded decoded = {.kind = DECODED_TRANSPORT,
                              .proto = room->proto,
                              .ttl = 64,
                              .has_ports = has_ports,
                              .truncated = beyond > 0,
                              .icmp_type = room->proto == 58 ? (up ? 128 : 129) : (up ? 8 : 0),
                              .icmp_id = 7,
                              .tcp_flags = flags,
                              .tcp_window = 65535,
                              .tcp_seq = room->next_seq[direction] + ahead,
                              .tcp_ack = room->next_seq[!direction],
                              .payload = bytes,
                              .payload_captured = length,
                              .payload_length = length + beyond,
                              .ip_payload = bytes,
                              .ip_payload_captured = length,
                              .ip_payload_length = length + beyond,
                              .wire_length = length + beyond + 54};
    if (has_ports) {
        decoded.src_port = up ? room->client_port : room->server_port;
        decoded.dst_port = up ? room->server_port : room->client_port;
    }
    ip_from_v4(&decoded.src, up ? client : server);
    ip_from_v4(&decoded.dst, up ? server : client);
    flow_room_burst(room->room, &packet, &decoded, 1, NULL, NULL);
}

void fuzz_room_open(struct fuzz_room *room, uint8_t ip_protocol, uint8_t port) {
    static const uint16_t ports[] = {443,  80,   53,  22,   123,   25,   143,  110,  389,  21,   6667, 1883,
                                     5222, 67,   547, 5353, 1900,  5351, 1080, 8080, 445,  88,   3389, 5900,
                                     3478, 1194, 500, 4500, 51820, 9993, 853,  5223, 1701, 1723, 40000};
    room->proto = ip_protocol;
    room->server_port = ports[port % (sizeof ports / sizeof *ports)];
    room->client_port = room->client_port == 60000 ? 20000 : (uint16_t)(room->client_port + 1);
    room->next_seq[TO_SERVER] = 1000;
    room->next_seq[TO_CLIENT] = 5000;
    if (ip_protocol != 6) return;
    send(room, TO_SERVER, TCP_SYN, 0, NULL, 0, 0);
    room->next_seq[TO_SERVER]++;
    send(room, TO_CLIENT, TCP_SYN | TCP_ACK, 0, NULL, 0, 0);
    room->next_seq[TO_CLIENT]++;
    send(room, TO_SERVER, TCP_ACK, 0, NULL, 0, 0);
}

void fuzz_room_send(struct fuzz_room *room, const struct record *record) {
    enum direction direction = record->marks & RECORD_TO_CLIENT ? TO_CLIENT : TO_SERVER;
    uint8_t *copy = malloc(record->length ? record->length : 1);
    if (!copy) abort();
    memcpy(copy, record->bytes, record->length);
    uint32_t ahead = 0;
    if (room->proto == 6) {
        if (record->marks & RECORD_GAP) room->next_seq[direction] += record->length;
        if (record->marks & RECORD_EARLY) ahead = 16;
    }
    uint32_t beyond = room->proto != 6 && record->marks & RECORD_CUT ? 100 : 0;
    send(room, direction, TCP_ACK | TCP_PSH, ahead, copy, record->length, beyond);
    if (!ahead) room->next_seq[direction] += record->length;
    free(copy);
}

void fuzz_room_close(struct fuzz_room *room) {
    flow_room_finish(room->room);
    batch_flush(room->batch);
}
