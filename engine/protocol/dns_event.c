/* From a DNS message to its event, and to the table of names.
 *
 * The answers are walked over once: addresses go to the name table, and to the event's lists if somebody
 * wants the event. What is odd is remembered and reported after the event was committed, since only one event
 * can be open. */
#include "protocol/dns_message.h"
#include "protocol/dns_record.h"

/* Records of one message that go into lists: zone transfers are cut off here. */
enum { LISTED_MAX = 512 };

struct listed {
    uint16_t type;
    struct text_ref text;
};

struct walk {
    const struct dns_reading *reading;
    struct batch *batch;
    struct event_dns *event;  /* NULL: nobody wants it */
    struct names *names;      /* NULL: nothing to teach */
    const struct ip *learner; /* the client */
    nanoseconds now;
    const char *anomaly; /* the first that was found */
    uint32_t least_ttl;
    uint32_t listed_count;
    struct listed listed[LISTED_MAX];
};

static bool is_address(uint16_t type) {
    return type == DNS_A || type == DNS_AAAA;
}

static void learn(struct walk *walk, const struct dns_record *record) {
    if (!walk->names || record->class != DNS_CLASS_IN) return;
    const uint8_t *bytes = walk->reading->message.bytes + record->data;
    struct ip address;
    if (record->type == DNS_A && record->data_length == 4)
        ip_from_v4(&address, bytes);
    else if (record->type == DNS_AAAA && record->data_length == 16)
        memcpy(address.bytes, bytes, 16);
    else
        return;
    const struct dns_name *name = &walk->reading->question->name;
    struct slice text = {(const uint8_t *)name->text, name->length};
    names_learn(walk->names, walk->learner, &address, text, walk->now);
}

static bool listable(uint16_t type) {
    return is_address(type) || type == DNS_CNAME || type == DNS_HTTPS || type == DNS_SVCB ||
           type == DNS_PTR || type == DNS_TXT || type == DNS_MX || type == DNS_NS || type == DNS_SRV ||
           type == DNS_SOA;
}

static void list_record(struct walk *walk, const struct dns_record *record) {
    if (!walk->event || walk->listed_count == LISTED_MAX || !listable(record->type)) return;
    struct dns_text text;
    const struct dns_message *message = &walk->reading->message;
    const char *anomaly = dns_record_text(message->bytes, message->length, record, &text);
    if (anomaly) {
        if (!walk->anomaly) walk->anomaly = anomaly;
        return;
    }
    struct listed *slot = &walk->listed[walk->listed_count++];
    slot->type = record->type == DNS_SVCB ? DNS_HTTPS : record->type;
    slot->text = batch_text(walk->batch, text.text, text.length);
}

/* Reads the next record of a section. False: there is no way on. */
static bool next_record(struct walk *walk, uint32_t *offset, struct dns_record *record) {
    const struct dns_message *message = &walk->reading->message;
    enum dns_name_status status = dns_record_read(message->bytes, message->length, offset, record);
    if (status == DNS_NAME_OK) return true;
    bool cut_by_capture = message->length < message->original;
    bool cut_by_server = walk->reading->header.flags & DNS_TRUNCATED;
    if (status == DNS_NAME_SHORT && (cut_by_capture || cut_by_server)) return false;
    if (!walk->anomaly)
        walk->anomaly = status == DNS_NAME_SHORT ? "record_cut_short" : dns_name_anomaly(status);
    return false;
}

/* Returns where the authority section begins, 0 if the answers could not be read to their end. */
static uint32_t walk_answers(struct walk *walk) {
    uint32_t offset = walk->reading->offset;
    for (uint32_t i = 0; i < walk->reading->header.answers; i++) {
        struct dns_record record;
        if (!next_record(walk, &offset, &record)) return 0;
        if (record.ttl < walk->least_ttl) walk->least_ttl = record.ttl;
        learn(walk, &record);
        list_record(walk, &record);
    }
    return offset;
}

/* Of the authorities only the SOA is told: it comes with names that do not exist. */
static void walk_authorities(struct walk *walk, uint32_t offset) {
    for (uint32_t i = 0; i < walk->reading->header.authorities; i++) {
        struct dns_record record;
        if (!next_record(walk, &offset, &record)) return;
        if (record.type == DNS_SOA) list_record(walk, &record);
    }
}

static struct list_ref gather(struct walk *walk, uint16_t type) {
    struct text_ref items[LISTED_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < walk->listed_count; i++)
        if (walk->listed[i].type == type) items[count++] = walk->listed[i].text;
    return count ? batch_list(walk->batch, items, count) : (struct list_ref){0};
}

static void fill_lists(struct walk *walk) {
    if (!walk->listed_count) return;
    struct event_dns_body *body = &walk->event->body;
    body->a = gather(walk, DNS_A);
    body->aaaa = gather(walk, DNS_AAAA);
    body->cname = gather(walk, DNS_CNAME);
    body->https = gather(walk, DNS_HTTPS);
    body->ptr = gather(walk, DNS_PTR);
    body->txt = gather(walk, DNS_TXT);
    body->mx = gather(walk, DNS_MX);
    body->ns = gather(walk, DNS_NS);
    body->srv = gather(walk, DNS_SRV);
    body->soa = gather(walk, DNS_SOA);
}

static void fill_fixed(struct walk *walk) {
    const struct dns_header *header = &walk->reading->header;
    const struct dns_question *question = walk->reading->question;
    struct event_dns_body *body = &walk->event->body;
    bool answer = header->flags & DNS_RESPONSE;
    body->type = answer ? "answer" : "query";
    body->id = header->id;
    body->flags = header->flags;
    body->rcode = answer ? dns_rcode_word(header->flags & 15) : NULL;
    body->answer_count = header->answers;
    body->length = walk->reading->message.original;
    body->rtt = walk->reading->rtt;
    if (!question) return;
    body->rrname = batch_text(walk->batch, question->name.text, question->name.length);
    if (!question->type) return;
    body->qtype = question->type;
    body->rrtype = dns_type_word(question->type);
}

void dns_message_report(struct conversation *c, const struct dns_reading *reading, const struct ip *learner) {
    const struct dns_header *header = &reading->header;
    const struct dns_question *question = reading->question;
    bool answer = header->flags & DNS_RESPONSE && dns_opcode_of(header->flags) == DNS_QUERY;
    bool teaches = learner && answer && question && question->name.length && is_address(question->type);

    struct walk walk;
    walk.reading = reading;
    walk.names = teaches ? conversation_names(c) : NULL;
    walk.learner = learner;
    walk.now = c->time;
    walk.anomaly = NULL;
    walk.least_ttl = UINT32_MAX;
    walk.listed_count = 0;
    walk.batch = conversation_batch(c);
    walk.event = conversation_event(c, EVENT_dns);
    if (!walk.event && !walk.names) return;

    if (walk.event) fill_fixed(&walk);
    uint32_t authorities = answer ? walk_answers(&walk) : 0;
    if (walk.event) {
        if (authorities) walk_authorities(&walk, authorities);
        if (walk.least_ttl != UINT32_MAX) walk.event->body.ttl = walk.least_ttl;
        fill_lists(&walk);
        batch_commit(walk.batch);
    }
    if (walk.anomaly) conversation_anomaly(c, walk.anomaly);
}
