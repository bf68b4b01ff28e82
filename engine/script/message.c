/* See message.h. */
#include "script/message.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t message_name_digest(const char *name) {
    return XXH3_64bits(name, strlen(name));
}

const char *message_key(const struct message *message) {
    return (const char *)(message + 1);
}

const char *message_value(const struct message *message) {
    return message_key(message) + message->key_length;
}

const char *message_iface(const struct message *message) {
    return message_value(message) + message->value_length;
}

/* -------------------------------------------------------------------- bags */

static bool bag_reserve(struct bag *bag, size_t size) {
    if (bag->room - bag->used >= size) return true;
    if (bag->used + size > bag->most) return false;
    size_t room = bag->room ? bag->room : BAG_FIRST;
    while (room < bag->used + size) room *= 2;
    char *grown = realloc(bag->bytes, room);
    if (!grown) return false;
    bag->bytes = grown;
    bag->room = room;
    return true;
}

int bag_add(struct bag *bag, const struct message *message, const struct message_parts *parts,
            const struct batch *batch) {
    if ((size_t)message->key_length + message->value_length > MESSAGE_MOST) return BAG_TOO_LARGE;
    uint32_t iface = message->cause == CAUSE_EVENT ? message->head.iface.length : 0;
    size_t size = sizeof *message + message->key_length + message->value_length + iface;
    size = (size + 7) & ~(size_t)7;
    if (!bag_reserve(bag, size)) {
        bag->lost++;
        return BAG_FULL;
    }
    struct message *to = (struct message *)(void *)(bag->bytes + bag->used);
    *to = *message;
    to->size = (uint32_t)size;
    to->iface_length = iface;
    char *at = (char *)(to + 1);
    if (to->key_length) memcpy(at, parts->key, to->key_length);
    if (to->value_length) memcpy(at + to->key_length, parts->value, to->value_length);
    if (iface) memcpy(at + to->key_length + to->value_length, batch->text + message->head.iface.at, iface);
    if (bag->count++ == 0 || to->time < bag->least) bag->least = to->time;
    bag->used += size;
    return BAG_FINE;
}

int bag_copy(struct bag *bag, const struct message *message) {
    if (!bag_reserve(bag, message->size)) {
        bag->lost++;
        return BAG_FULL;
    }
    memcpy(bag->bytes + bag->used, message, message->size);
    if (bag->count++ == 0 || message->time < bag->least) bag->least = message->time;
    bag->used += message->size;
    return BAG_FINE;
}

void bag_free(struct bag *bag) {
    free(bag->bytes);
    *bag = (struct bag){0};
}

struct message *bag_next(struct bag *bag, size_t *at) {
    if (*at >= bag->used) return NULL;
    struct message *message = (struct message *)(void *)(bag->bytes + *at);
    *at += message->size;
    return message;
}

/* ------------------------------------------------------------------- order */

static int compare_u64(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

/* What is no number comes last. */
static int compare_f64(double a, double b) {
    if (a != a || b != b) return (a != a) - (b != b);
    return a < b ? -1 : a > b;
}

static int compare_bytes(const char *a, size_t a_length, const char *b, size_t b_length) {
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : compare_u64(a_length, b_length);
}

static int compare_flows(const struct event_head_body *a, const struct event_head_body *b) {
    int order = memcmp(&a->client_ip, &b->client_ip, sizeof a->client_ip);
    if (!order) order = memcmp(&a->server_ip, &b->server_ip, sizeof a->server_ip);
    if (!order) order = compare_u64(a->client_port, b->client_port);
    if (!order) order = compare_u64(a->server_port, b->server_port);
    if (!order && a->proto != b->proto) order = strcmp(a->proto ? a->proto : "", b->proto ? b->proto : "");
    return order ? order : compare_u64(a->vlan, b->vlan);
}

static int compare_contents(const struct message *a, const struct message *b) {
    int order = compare_u64(a->key_kind, b->key_kind);
    if (!order) order = compare_f64(a->key_number, b->key_number);
    if (!order) order = compare_bytes(message_key(a), a->key_length, message_key(b), b->key_length);
    if (!order) order = compare_u64(a->value_kind, b->value_kind);
    if (!order) order = compare_f64(a->value_number, b->value_number);
    if (!order) order = compare_bytes(message_value(a), a->value_length, message_value(b), b->value_length);
    return order;
}

int message_compare(const struct message *a, const struct message *b) {
    int order = compare_f64(a->time, b->time);
    if (!order) order = compare_u64(a->cause, b->cause);
    bool of_event = a->cause == CAUSE_EVENT;
    if (!order && a->cause == CAUSE_GATHERED) order = compare_f64(a->key_number, b->key_number);
    if (!order && a->cause == CAUSE_GATHERED) return compare_u64(a->number, b->number);
    if (!order && of_event) order = compare_flows(&a->head, &b->head);
    if (!order && of_event) order = compare_u64(a->head.seq, b->head.seq);
    if (!order) order = compare_u64(a->detector, b->detector);
    if (!order && !of_event) order = compare_contents(a, b);
    return order ? order : compare_u64(a->number, b->number);
}
