/* Names on the local link: multicast DNS (RFC 6762), LLMNR (RFC 4795) and the NetBIOS name service (RFC
 * 1002).
 *
 * All three use DNS's form of message with rules of their own: many questions in one message, answers that
 * nobody asked for, top bits of the class that mean something else, names in other letters. So each message
 * is one event that says who looks for what and who offers what. Ports tell the three apart; DNS proper
 * refuses them (dns.c). */
#include "protocol/dns_message.h"
#include "base/seed.h"
#include "protocol/dns_record.h"
#include "protocol/mdns_service.h"
#include "protocol/protocols.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { PORT_DNS = 53, PORT_NBNS = 137, PORT_MDNS = 5353, PORT_LLMNR = 5355 };
enum { NAMES_MAX = 64, TOP_BIT = 0x8000, NETBIOS_LETTERS = 32, NETBIOS_TEXT = 24 };
enum { TYPE_NB = 32, TYPE_NBSTAT = 33 };

struct names_seen {
    struct text_ref text[NAMES_MAX];
    uint64_t key[NAMES_MAX];
    uint32_t count;
};

struct list64 {
    struct text_ref text[NAMES_MAX];
    uint32_t count;
};

struct walk {
    const struct dns_message *message;
    const struct dns_header *header;
    const char *protocol;
    struct batch *batch; /* NULL: nobody wants the event */
    struct event_mdns_body *body;
    uint32_t offset;
    const char *anomaly; /* the first that was found */
    struct list64 questions, types, browsed, addresses;
    struct names_seen names;
    struct mdns_services services;
};

/* ------------------------------------------------------------------ recognition */

static bool on_port(const struct probe *probe, uint16_t port) {
    return probe->client_port == port || probe->server_port == port;
}

/* Header and first name must make sense; `opcodes` is a set of bits. */
static enum recognised recognise(const struct probe *probe, uint32_t opcodes, bool one_question) {
    struct dns_message message = {probe->data, probe->length, probe->original};
    struct dns_header header;
    if (!dns_header_read(&message, &header)) return RECOGNISED_NO;
    if (!(opcodes >> dns_opcode_of(header.flags) & 1)) return RECOGNISED_NO;
    uint32_t records = (uint32_t)header.answers + header.authorities + header.additionals;
    if (header.questions + records == 0) return RECOGNISED_NO;
    if (DNS_HEADER_SIZE + 5u * header.questions + 11u * records > probe->original) return RECOGNISED_NO;
    if (one_question && header.questions != 1) return RECOGNISED_NO;
    uint32_t at = DNS_HEADER_SIZE;
    enum dns_name_status status = dns_name_read(message.bytes, message.length, &at, NULL);
    bool cut = status == DNS_NAME_SHORT && probe->length < probe->original;
    return status == DNS_NAME_OK || cut ? RECOGNISED_YES : RECOGNISED_NO;
}

static enum recognised mdns_recognise(const struct probe *probe) {
    if (!on_port(probe, PORT_MDNS) || on_port(probe, PORT_DNS)) return RECOGNISED_NO;
    return recognise(probe, 1u << DNS_QUERY, false);
}

static enum recognised llmnr_recognise(const struct probe *probe) {
    if (!on_port(probe, PORT_LLMNR) || on_port(probe, PORT_DNS)) return RECOGNISED_NO;
    return recognise(probe, 1u << DNS_QUERY, true);
}

/* Queries, registration, release, WACK, refresh (RFC 1002 section 4.2.1.1). */
static enum recognised nbns_recognise(const struct probe *probe) {
    if (!on_port(probe, PORT_NBNS) || on_port(probe, PORT_DNS)) return RECOGNISED_NO;
    return recognise(probe, 1u << 0 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 9, false);
}

/* ------------------------------------------------------------------ names */

/* A NetBIOS name is 16 bytes, each as two letters from A on (RFC 1001 section 14.1): fifteen of name, one
 * that tells the service. Returns its length as "NAME<20>", 0 if this is none. */
static uint32_t netbios_name(const struct dns_name *name, char out[NETBIOS_TEXT]) {
    if (name->length < NETBIOS_LETTERS) return 0;
    uint8_t bytes[16];
    for (unsigned i = 0; i < 16; i++) {
        char high = name->text[2 * i], low = name->text[2 * i + 1];
        if (high < 'a' || high > 'p' || low < 'a' || low > 'p') return 0;
        bytes[i] = (uint8_t)((high - 'a') << 4 | (low - 'a'));
    }
    uint32_t length = 15;
    while (length > 0 && (bytes[length - 1] == ' ' || bytes[length - 1] == 0)) length--;
    for (uint32_t i = 0; i < length; i++) out[i] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '.';
    static const char digits[] = "0123456789abcdef";
    out[length++] = '<';
    out[length++] = digits[bytes[15] >> 4];
    out[length++] = digits[bytes[15] & 15];
    out[length++] = '>';
    return length;
}

static struct text_ref name_text(struct walk *walk, const struct dns_name *name) {
    char netbios[NETBIOS_TEXT];
    uint32_t length = walk->protocol[0] == 'n' ? netbios_name(name, netbios) : 0;
    if (length) return batch_text(walk->batch, netbios, length);
    return batch_text(walk->batch, name->text, name->length);
}

static void put(struct list64 *list, struct text_ref text) {
    if (list->count < NAMES_MAX) list->text[list->count++] = text;
}

static struct list_ref list_done(struct walk *walk, const struct text_ref *text, uint32_t count) {
    return count ? batch_list(walk->batch, text, count) : (struct list_ref){0};
}

static void note_name(struct walk *walk, const struct dns_name *name) {
    struct names_seen *seen = &walk->names;
    uint64_t key = XXH3_64bits_withSeed(name->text, name->length, process_seed());
    for (uint32_t i = 0; i < seen->count; i++)
        if (seen->key[i] == key) return;
    if (seen->count == NAMES_MAX) return;
    seen->key[seen->count] = key;
    seen->text[seen->count++] = name_text(walk, name);
}

static const char *type_word(const struct walk *walk, uint16_t type) {
    if (walk->protocol[0] != 'n') return dns_type_word(type);
    return type == TYPE_NB ? "NB" : type == TYPE_NBSTAT ? "NBSTAT" : dns_type_word(type);
}

/* ------------------------------------------------------------------ questions and records */

/* A name or record could not be read: an anomaly, unless the capture or the sender (TC) cut it. */
static void stopped(struct walk *walk, enum dns_name_status status, const char *cut_word) {
    bool cut = walk->message->length < walk->message->original || walk->header->flags & DNS_TRUNCATED;
    if (walk->anomaly || (status == DNS_NAME_SHORT && cut)) return;
    walk->anomaly = status == DNS_NAME_SHORT ? cut_word : dns_name_anomaly(status);
}

static bool walk_questions(struct walk *walk) {
    for (uint32_t i = 0; i < walk->header->questions; i++) {
        struct dns_question question;
        enum dns_name_status status = dns_question_read(walk->message, &walk->offset, &question);
        if (status != DNS_NAME_OK) {
            stopped(walk, status, "question_cut_short");
            return false;
        }
        if (question.class & TOP_BIT && walk->protocol[0] == 'm') walk->body->unicast = true;
        /* The event's text has a bound too: what is not listed must not use it up. */
        if (!walk->batch || walk->questions.count == NAMES_MAX) continue;
        put(&walk->questions, name_text(walk, &question.name));
        put(&walk->types, batch_string(walk->batch, type_word(walk, question.type)));
        uint32_t service = question.type == DNS_PTR ? mdns_service_length(&question.name) : 0;
        bool asks = !(walk->header->flags & DNS_RESPONSE);
        if (service && asks) put(&walk->browsed, batch_text(walk->batch, question.name.text, service));
    }
    return true;
}

static void note_address(struct walk *walk, const struct dns_record *record) {
    const uint8_t *data = walk->message->bytes + record->data;
    struct ip address;
    if (walk->addresses.count == NAMES_MAX) return;
    if (record->type == DNS_A && record->data_length == 4)
        ip_from_v4(&address, data);
    else if (record->type == DNS_AAAA && record->data_length == 16)
        memcpy(address.bytes, data, 16);
    else
        return;
    char text[IP_TEXT_SIZE];
    put(&walk->addresses, batch_text(walk->batch, text, (size_t)ip_format(&address, text)));
}

static void note_record(struct walk *walk, const struct dns_record *record, bool told) {
    struct dns_name owner;
    uint32_t at = record->owner;
    if (dns_name_read(walk->message->bytes, walk->message->length, &at, &owner) != DNS_NAME_OK) return;
    if (!owner.length) return; /* OPT, and what asks the root */
    note_name(walk, &owner);
    if (!told) return;
    if (record->ttl == 0) walk->body->goodbye = true;
    if (walk->protocol[0] == 'n') return;
    note_address(walk, record);
    mdns_service_note(&walk->services, walk->message->bytes, walk->message->length, record, &owner);
}

/* `told`: the records are what the sender says of itself, not what it knows or wishes. */
static bool walk_records(struct walk *walk, uint32_t count, bool told) {
    for (uint32_t i = 0; i < count; i++) {
        struct dns_record record;
        enum dns_name_status status =
            dns_record_read(walk->message->bytes, walk->message->length, &walk->offset, &record);
        if (status != DNS_NAME_OK) {
            stopped(walk, status, "record_cut_short");
            return false;
        }
        if (walk->batch) note_record(walk, &record, told);
    }
    return true;
}

static void walk_message(struct walk *walk) {
    const struct dns_header *header = walk->header;
    struct event_mdns_body *body = walk->body;
    bool answer = header->flags & DNS_RESPONSE;
    body->type = answer ? "answer" : "query";
    body->protocol = walk->protocol;
    body->answer_count = header->answers;
    body->length = walk->message->original;
    if (!answer) body->known_answers = header->answers;
    body->probe = !answer && header->authorities > 0 && walk->protocol[0] == 'm';
    if (walk_questions(walk) && walk_records(walk, header->answers, answer) &&
        walk_records(walk, header->authorities, false))
        walk_records(walk, header->additionals, answer);
    if (!walk->batch) return;
    body->questions = list_done(walk, walk->questions.text, walk->questions.count);
    body->question_types = list_done(walk, walk->types.text, walk->types.count);
    body->browsed = list_done(walk, walk->browsed.text, walk->browsed.count);
    body->addresses = list_done(walk, walk->addresses.text, walk->addresses.count);
    body->names = list_done(walk, walk->names.text, walk->names.count);
    mdns_service_report(&walk->services);
}

static void read_message(struct conversation *c, struct slice payload, uint32_t original,
                         const char *protocol) {
    struct dns_message message = {payload.at, payload.length, original};
    struct dns_header header;
    if (!dns_header_read(&message, &header)) {
        if (original < DNS_HEADER_SIZE) conversation_anomaly(c, "short_header");
        return;
    }
    struct event_mdns_body unwanted;
    struct event_mdns *event = conversation_event(c, EVENT_mdns);
    if (!event) memset(&unwanted, 0, sizeof unwanted);

    struct walk walk;
    walk.message = &message;
    walk.header = &header;
    walk.protocol = protocol;
    walk.batch = event ? conversation_batch(c) : NULL;
    walk.body = event ? &event->body : &unwanted;
    walk.offset = DNS_HEADER_SIZE;
    walk.anomaly = NULL;
    walk.questions.count = walk.types.count = walk.browsed.count = walk.addresses.count = 0;
    walk.names.count = walk.services.count = 0;
    walk.services.batch = walk.batch;
    walk.services.body = walk.body;
    walk_message(&walk);
    if (event) batch_commit(walk.batch);
    if (walk.anomaly) conversation_anomaly(c, walk.anomaly);
}

static void mdns_datagram(struct conversation *c, enum direction direction, struct slice payload,
                          uint32_t original) {
    (void)direction;
    read_message(c, payload, original, "mdns");
}

static void llmnr_datagram(struct conversation *c, enum direction direction, struct slice payload,
                           uint32_t original) {
    (void)direction;
    read_message(c, payload, original, "llmnr");
}

static void nbns_datagram(struct conversation *c, enum direction direction, struct slice payload,
                          uint32_t original) {
    (void)direction;
    read_message(c, payload, original, "nbns");
}

const struct protocol protocol_mdns = {
    .name = "mdns",
    .transports = TRANSPORT_UDP,
    .recognise = mdns_recognise,
    .datagram = mdns_datagram,
};

const struct protocol protocol_llmnr = {
    .name = "llmnr",
    .transports = TRANSPORT_UDP,
    .recognise = llmnr_recognise,
    .datagram = llmnr_datagram,
};

const struct protocol protocol_nbns = {
    .name = "nbns",
    .transports = TRANSPORT_UDP,
    .recognise = nbns_recognise,
    .datagram = nbns_datagram,
};
