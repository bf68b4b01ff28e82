/* Drives one protocol through the real flow room, for tests of parsers.
 *
 * A test opens a connection, lets either side send bytes cut into segments as it likes, and reads the events
 * that came out as text, one field a line: "tls.sni=example.org". Times are left out of the text, so that two
 * ways to cut the same bytes can be compared. Packets are `struct decoded` built by hand: no capture, no
 * decoder. */
#ifndef LUNETTE_TESTS_DRIVE_PROTOCOL_H
#define LUNETTE_TESTS_DRIVE_PROTOCOL_H

#include "event/batch.h"
#include "flow/flow.h"
#include "flow/protocol.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DRIVE_TEXT = 256 * 1024, DRIVE_PROTOCOLS = 8 };

struct drive {
    struct batch *batch;
    struct flow_room *room;
    const struct protocol *protocols[DRIVE_PROTOCOLS + 1];
    bool wants[EVENT_KINDS];
    uint32_t events[EVENT_KINDS];
    char *text; /* all events so far */
    size_t used;
    nanoseconds now;
    uint16_t client_port, server_port;
    uint8_t proto;        /* IP protocol: 6 unless the test sets another */
    uint32_t next_seq[2]; /* by enum direction */
};

__attribute__((format(printf, 2, 3))) static inline void drive_print(struct drive *d, const char *format,
                                                                     ...) {
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(d->text + d->used, DRIVE_TEXT - d->used, format, arguments);
    va_end(arguments);
    d->used += (size_t)written < DRIVE_TEXT - d->used ? (size_t)written : 0;
}

static inline void drive_print_text(struct drive *d, struct text_ref ref) {
    for (uint32_t i = 0; i < ref.length; i++) {
        uint8_t byte = (uint8_t)d->batch->text[ref.at + i];
        if (byte >= ' ' && byte < 127)
            drive_print(d, "%c", byte);
        else
            drive_print(d, "\\x%02x", byte);
    }
}

static inline void drive_print_field(struct drive *d, const char *kind, const struct field *field,
                                     const uint8_t *event) {
    const void *at = event + field->offset;
    const struct list_ref *list = at;
    uint64_t number = 0;
    if (field->size <= 8) memcpy(&number, at, field->size);
    bool absent = field->type == FIELD_word                                ? !*(const char *const *)at
                  : field->type == FIELD_list || field->type == FIELD_u16s ? list->count == 0
                  : field->type == FIELD_ip ? memcmp(at, &(struct ip){{0}}, sizeof(struct ip)) == 0
                  : field->type == FIELD_str || field->type == FIELD_bytes
                      ? ((const struct text_ref *)at)->at == 0
                      : number == 0;
    if (absent) return;
    drive_print(d, "%s.%s=", kind, field->name);
    if (field->type == FIELD_word) drive_print(d, "%s", *(const char *const *)at);
    if (field->type == FIELD_str || field->type == FIELD_bytes)
        drive_print_text(d, *(const struct text_ref *)at);
    if (field->type == FIELD_list || field->type == FIELD_u16s)
        for (uint32_t i = 0; i < list->count; i++) {
            if (i > 0) drive_print(d, ",");
            if (field->type == FIELD_list)
                drive_print_text(d, ((const struct text_ref *)(const void *)(d->batch->text + list->at))[i]);
            else
                drive_print(d, "%04x", ((const uint16_t *)(const void *)(d->batch->text + list->at))[i]);
        }
    if (field->type <= FIELD_u64 || field->type == FIELD_bool || field->type == FIELD_time)
        drive_print(d, "%llu", (unsigned long long)number);
    char address[IP_TEXT_SIZE];
    if (field->type == FIELD_ip) drive_print(d, "%.*s", ip_format(at, address), address);
    if (field->type == FIELD_f64) drive_print(d, "%.6f", *(const double *)at);
    drive_print(d, "\n");
}

static inline bool drive_offer(void *context, enum event_kind kind, uint32_t index, const void *event) {
    struct drive *d = context;
    const struct event_schema *schema = event_schema_of(kind);
    (void)index;
    d->events[kind]++;
    for (uint32_t i = 0; i < schema->field_count; i++)
        drive_print_field(d, schema->name, &schema->fields[i], event);
    return true;
}

static inline void drive_drink(void *context) {
    (void)context;
}
static inline bool drive_no_local(void *context, const struct ip *address) {
    (void)context;
    (void)address;
    return false;
}
static inline const char *drive_interface(void *context, uint8_t interface) {
    (void)context;
    (void)interface;
    return "";
}

/* A driver of several protocols (NULL-terminated, at most DRIVE_PROTOCOLS), asked in that order. Listens to
 * events of `kind` and to anomalies; a test may set more of `wants`. Not inlined: gcc then unrolls the loop
 * beyond the lists of its callers, and warns of it. */
__attribute__((noinline, unused)) static struct drive *drive_new_of(const struct protocol *const *protocols,
                                                                    enum event_kind kind) {
    struct error err = {0};
    struct drive *d = calloc(1, sizeof *d);
    assert_non_null(d);
    d->text = calloc(1, DRIVE_TEXT);
    assert_non_null(d->text);
    for (unsigned i = 0; i < DRIVE_PROTOCOLS && protocols[i]; i++) d->protocols[i] = protocols[i];
    d->wants[kind] = d->wants[EVENT_anomaly] = true;
    d->now = 1700000000 * NS_PER_SECOND;
    d->client_port = 20000;
    d->server_port = 443;
    d->proto = 6;
    d->batch = batch_new(BATCH_EVENTS, &err);
    assert_non_null(d->batch);
    d->batch->listener =
        (struct batch_listener){.context = d, .wants = d->wants, .offer = drive_offer, .drink = drive_drink};
    struct flow_config config = flow_config_defaults();
    config.max_flows = 1024;
    config.max_names = 64;
    struct flow_surroundings around = {.batch = d->batch,
                                       .protocols = d->protocols,
                                       .is_local = drive_no_local,
                                       .interface_name = drive_interface,
                                       .context = d};
    d->room = flow_room_new(&config, &around, &err);
    assert_non_null(d->room);
    return d;
}

/* A driver of one. */
static inline struct drive *drive_new(const struct protocol *protocol, enum event_kind kind) {
    return drive_new_of((const struct protocol *const[]){protocol, NULL}, kind);
}

static inline void drive_free(struct drive *d) {
    flow_room_free(d->room);
    batch_free(d->batch);
    free(d->text);
    free(d);
}

/* One packet with a payload of which the capture holds `captured` bytes. */
static inline void drive_packet(struct drive *d, enum direction direction, uint8_t flags,
                                const uint8_t *bytes, uint32_t length, uint32_t captured) {
    static const uint8_t client[4] = {192, 0, 2, 1}, server[4] = {198, 51, 100, 1};
    bool up = direction == TO_SERVER;
    d->now += NS_PER_MILLISECOND;
    struct packet packet = {.bytes = bytes, .captured = captured, .original = length, .time = d->now};
    struct decoded decoded = {.kind = DECODED_TRANSPORT,
                              .proto = d->proto,
                              .ttl = 64,
                              .has_ports = true,
                              .truncated = captured < length,
                              .src_port = up ? d->client_port : d->server_port,
                              .dst_port = up ? d->server_port : d->client_port,
                              .tcp_flags = flags,
                              .tcp_window = 65535,
                              .tcp_seq = d->next_seq[direction],
                              .tcp_ack = d->next_seq[!direction],
                              .payload = bytes,
                              .payload_captured = captured,
                              .payload_length = length,
                              .wire_length = length + 54};
    ip_from_v4(&decoded.src, up ? client : server);
    ip_from_v4(&decoded.dst, up ? server : client);
    flow_room_burst(d->room, &packet, &decoded, 1, NULL, NULL);
    d->next_seq[direction] += length + (flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
}

/* A new connection, with its handshake. */
static inline void drive_open(struct drive *d) {
    d->client_port = d->client_port == 60000 ? 20000 : (uint16_t)(d->client_port + 1);
    d->next_seq[TO_SERVER] = 1000;
    d->next_seq[TO_CLIENT] = 5000;
    drive_packet(d, TO_SERVER, TCP_SYN, NULL, 0, 0);
    drive_packet(d, TO_CLIENT, TCP_SYN | TCP_ACK, NULL, 0, 0);
    drive_packet(d, TO_SERVER, TCP_ACK, NULL, 0, 0);
}

static inline void drive_send(struct drive *d, enum direction direction, const void *bytes, size_t length) {
    /* Bytes are copied to the end of a block of their own, so that the sanitizer sees a read behind them. */
    uint8_t *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    drive_packet(d, direction, TCP_ACK | TCP_PSH, copy, (uint32_t)length, (uint32_t)length);
    free(copy);
}

/* The capture ends here: what is pending is reported. */
static inline void drive_close(struct drive *d) {
    flow_room_finish(d->room);
    batch_flush(d->batch);
}

/* Forgets what was collected. */
static inline void drive_clear(struct drive *d) {
    d->used = 0;
    d->text[0] = '\0';
    memset(d->events, 0, sizeof d->events);
}

static inline bool drive_has(const struct drive *d, const char *line) {
    size_t length = strlen(line);
    for (const char *at = d->text; (at = strstr(at, line)); at += length)
        if ((at == d->text || at[-1] == '\n') && at[length] == '\n') return true;
    return false;
}

static inline void drive_expect(const struct drive *d, const char *line) {
    if (!drive_has(d, line)) fail_msg("no line %s in:\n%s", line, d->text);
}

#endif
