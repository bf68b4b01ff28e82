/* Services of one message: "Anna's Mac._airplay._tcp.local" is an instance, a type and a domain.
 *
 * PTR records lead from a type to its instances, SRV records from an instance to host and port, TXT records
 * to what it says of itself. They come in any order, some not at all; each adds to the entry of its instance.
 */
#include "protocol/mdns_service.h"

#include "base/bytes.h"
#include "base/seed.h"

#include <stdbool.h>
#include <strings.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* End of the label that begins at `at`. Dots within labels are escaped, so a dot is an end. */
static uint32_t label_end(const struct dns_name *name, uint32_t at) {
    while (at < name->length && name->text[at] != '.') at++;
    return at;
}

uint32_t mdns_service_length(const struct dns_name *name) {
    uint32_t last = 0;
    for (uint32_t at = 0; at < name->length; at = label_end(name, at) + 1)
        if (name->text[at] == '_') last = label_end(name, at);
    return last;
}

/* Where the type begins: the last but one label of those that tell the service. */
static uint32_t type_start(const struct dns_name *name, uint32_t end) {
    uint32_t before = 0, start = 0;
    for (uint32_t at = 0; at < end; at = label_end(name, at) + 1) {
        before = start;
        start = at;
    }
    return name->text[before] == '_' ? before : start;
}

/* The first label of a name as it was written: with capitals and blanks. The name was read before, so its
 * pointers are sound; a name that begins with a pointer has its first label there. */
static struct slice first_label(const uint8_t *message, uint32_t length, uint32_t at) {
    while (at + 1 < length && (message[at] & 0xc0) == 0xc0) {
        uint32_t target = load_be16(message + at) & 0x3fff;
        if (target >= at) return (struct slice){NULL, 0};
        at = target;
    }
    if (at >= length || message[at] > length - at - 1) return (struct slice){NULL, 0};
    return (struct slice){message + at + 1, message[at]};
}

/* The entry of the name that stands at `at`; a new one if there is none yet. NULL: no service, or too many.
 */
static struct mdns_service *entry(struct mdns_services *services, const uint8_t *message, uint32_t length,
                                  uint32_t at, const struct dns_name *name) {
    uint32_t end = mdns_service_length(name);
    if (end == 0) return NULL;
    uint64_t key = XXH3_64bits_withSeed(name->text, name->length, process_seed());
    for (uint32_t i = 0; i < services->count; i++)
        if (services->found[i].key == key) return &services->found[i];
    if (services->count == MDNS_SERVICES) return NULL;
    struct mdns_service *s = &services->found[services->count++];
    memset(s, 0, sizeof *s);
    s->key = key;
    uint32_t start = type_start(name, end);
    s->type = batch_text(services->batch, name->text + start, end - start);
    struct slice label = first_label(message, length, at);
    if (start > 0 && label.length)
        s->instance = batch_text(services->batch, label.at, label.length);
    else
        s->instance = batch_text(services->batch, "", 0);
    return s;
}

static bool key_is(struct slice pair, const char *key, struct slice *value) {
    size_t size = strlen(key);
    if (pair.length <= size || pair.at[size] != '=' || strncasecmp((const char *)pair.at, key, size) != 0)
        return false;
    *value = (struct slice){pair.at + size + 1, pair.length - (uint32_t)size - 1};
    return value->length > 0;
}

/* A small decimal number, 0 if it is none. */
static uint8_t number_of(struct slice text) {
    unsigned number = 0;
    for (uint32_t i = 0; i < text.length; i++) {
        if (text.at[i] < '0' || text.at[i] > '9') return 0;
        number = number * 10 + (text.at[i] - '0');
        if (number > UINT8_MAX) return 0;
    }
    return (uint8_t)number;
}

static void note_pair(struct mdns_services *services, struct slice pair) {
    struct event_mdns_body *body = services->body;
    struct slice value;
    if (key_is(pair, "model", &value) || key_is(pair, "am", &value) || key_is(pair, "rpMd", &value)) {
        if (!body->model.at) body->model = batch_text(services->batch, value.at, value.length);
    } else if (key_is(pair, "osxvers", &value)) {
        body->osxvers = number_of(value);
    } else if (key_is(pair, "osvers", &value)) {
        body->os_version = batch_text(services->batch, value.at, value.length);
    }
}

static void note_txt(struct mdns_services *services, struct mdns_service *s, const uint8_t *data,
                     uint32_t length) {
    char text[MDNS_TXT_MAX];
    uint32_t used = 0;
    struct cursor c = cursor_over(data, length);
    while (cursor_left(&c) > 0) {
        uint8_t size = cursor_u8(&c);
        const uint8_t *string = cursor_take(&c, size);
        if (!string) break;
        if (size == 0) continue;
        note_pair(services, (struct slice){string, size});
        uint32_t between = used ? 2 : 0;
        if (used + between + size > sizeof text) continue;
        memcpy(text + used, "; ", between);
        memcpy(text + used + between, string, size);
        used += between + size;
    }
    if (used) s->txt = batch_text(services->batch, text, used);
}

static void note_srv(struct mdns_services *services, struct mdns_service *s, const uint8_t *message,
                     const struct dns_record *record) {
    if (record->data_length < 7 || s->host.at) return; /* one host each: a repetition says the same */
    struct dns_name host;
    uint32_t at = record->data + 6;
    if (dns_name_read(message, record->data + record->data_length, &at, &host) != DNS_NAME_OK) return;
    s->port = load_be16(message + record->data + 4);
    s->host = batch_text(services->batch, host.text, host.length);
}

void mdns_service_note(struct mdns_services *services, const uint8_t *message, uint32_t length,
                       const struct dns_record *record, const struct dns_name *owner) {
    if (record->type == DNS_PTR) {
        struct dns_name target;
        uint32_t at = record->data;
        if (!mdns_service_length(owner)) return;
        if (dns_name_read(message, record->data + record->data_length, &at, &target) != DNS_NAME_OK) return;
        entry(services, message, length, record->data, &target);
    } else if (record->type == DNS_SRV || record->type == DNS_TXT) {
        struct mdns_service *s = entry(services, message, length, record->owner, owner);
        if (!s) return;
        if (record->type == DNS_SRV)
            note_srv(services, s, message, record);
        else
            note_txt(services, s, message + record->data, record->data_length);
    }
}

static struct text_ref or_empty(struct mdns_services *services, struct text_ref text) {
    return text.at ? text : batch_text(services->batch, "", 0);
}

void mdns_service_report(struct mdns_services *services) {
    if (services->count == 0) return;
    struct text_ref instances[MDNS_SERVICES], types[MDNS_SERVICES], hosts[MDNS_SERVICES], txts[MDNS_SERVICES];
    uint16_t ports[MDNS_SERVICES];
    for (uint32_t i = 0; i < services->count; i++) {
        const struct mdns_service *s = &services->found[i];
        instances[i] = s->instance;
        types[i] = s->type;
        hosts[i] = or_empty(services, s->host);
        txts[i] = or_empty(services, s->txt);
        ports[i] = s->port;
    }
    struct event_mdns_body *body = services->body;
    body->instances = batch_list(services->batch, instances, services->count);
    body->services = batch_list(services->batch, types, services->count);
    body->hosts = batch_list(services->batch, hosts, services->count);
    body->txts = batch_list(services->batch, txts, services->count);
    body->ports = batch_u16s(services->batch, ports, services->count);
}
