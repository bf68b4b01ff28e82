/* DNS messages: reading their frame, and telling them from other traffic.
 *
 * On port 53 a sane header and a question that can be read are enough, since tunnels and odd clients there
 * are what people look for. On other ports nothing may be odd: one question of a known type and class, counts
 * that fit the length, and records that end exactly where the message ends. Random bytes pass that less than
 * once in 2^60. */
#include "protocol/dns_message.h"

#include "protocol/dns_record.h"

#include <string.h>

bool dns_header_read(const struct dns_message *message, struct dns_header *header) {
    if (message->length < DNS_HEADER_SIZE) return false;
    const uint8_t *p = message->bytes;
    header->id = load_be16(p);
    header->flags = load_be16(p + 2);
    header->questions = load_be16(p + 4);
    header->answers = load_be16(p + 6);
    header->authorities = load_be16(p + 8);
    header->additionals = load_be16(p + 10);
    return true;
}

enum dns_name_status dns_question_read(const struct dns_message *message, uint32_t *offset,
                                       struct dns_question *question) {
    uint32_t at = *offset;
    question->type = question->class = 0;
    enum dns_name_status status = dns_name_read(message->bytes, message->length, &at, &question->name);
    if (status != DNS_NAME_OK) return status;
    if (message->length - at < 4) return DNS_NAME_SHORT;
    question->type = load_be16(message->bytes + at);
    question->class = load_be16(message->bytes + at + 2);
    *offset = at + 4;
    return DNS_NAME_OK;
}

static bool opcode_known(uint8_t opcode) {
    return opcode <= DNS_DSO && opcode != 3;
}

/* A question takes at least 5 bytes, a record at least 11. */
static bool counts_fit(const struct dns_header *header, uint32_t length) {
    uint32_t records = (uint32_t)header->answers + header->authorities + header->additionals;
    return DNS_HEADER_SIZE + 5u * header->questions + 11u * records <= length;
}

static bool header_plausible(const struct dns_header *header, uint32_t length, bool usual_port) {
    if (!opcode_known(dns_opcode_of(header->flags))) return false;
    bool response = header->flags & DNS_RESPONSE;
    if (usual_port) {
        if (header->questions > 4) return false;
        /* Without a question: more answers of a zone transfer, errors, cookies (RFC 7873 section 5.4). */
        return header->questions > 0 || counts_fit(header, length);
    }
    if (header->questions != 1 || header->flags & DNS_RESERVED) return false;
    if (!response && (header->flags & 15 || header->flags & DNS_TRUNCATED)) return false;
    bool update = dns_opcode_of(header->flags) == DNS_UPDATE;
    if (!response && header->answers && !update && dns_opcode_of(header->flags) != DNS_NOTIFY) return false;
    return counts_fit(header, length);
}

static bool type_known(uint16_t type) {
    return strcmp(dns_type_word(type), "TYPE") != 0;
}

/* Walks over all records: they must end where the message does. What was cut away by the capture cannot be
 * held against it. */
static bool records_fill(const struct dns_message *message, const struct dns_header *header,
                         uint32_t offset) {
    uint32_t records = (uint32_t)header->answers + header->authorities + header->additionals;
    for (uint32_t i = 0; i < records; i++) {
        struct dns_record record;
        enum dns_name_status status = dns_record_read(message->bytes, message->length, &offset, &record);
        if (status == DNS_NAME_SHORT) return message->length < message->original;
        if (status != DNS_NAME_OK) return false;
    }
    return offset == message->length || message->length < message->original;
}

enum recognised dns_message_recognise(const struct dns_message *message, bool usual_port) {
    struct dns_header header;
    if (message->original < DNS_HEADER_SIZE) return RECOGNISED_NO;
    if (!dns_header_read(message, &header)) return RECOGNISED_MAYBE;
    if (!header_plausible(&header, message->original, usual_port)) return RECOGNISED_NO;
    if (header.questions == 0)
        return records_fill(message, &header, DNS_HEADER_SIZE) ? RECOGNISED_YES : RECOGNISED_NO;

    struct dns_question question;
    uint32_t offset = DNS_HEADER_SIZE;
    enum dns_name_status status = dns_question_read(message, &offset, &question);
    if (status == DNS_NAME_SHORT && message->length < message->original) return RECOGNISED_MAYBE;
    if (status != DNS_NAME_OK) return RECOGNISED_NO;
    if (!dns_class_known(question.class)) return RECOGNISED_NO;
    if (usual_port) return RECOGNISED_YES;
    if (!type_known(question.type)) return RECOGNISED_NO;
    return records_fill(message, &header, offset) ? RECOGNISED_YES : RECOGNISED_NO;
}
