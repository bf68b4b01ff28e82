/* A DNS message as a whole: header, question, and whether bytes are one at all (RFC 1035 section 4.1). */
#ifndef LUNETTE_PROTOCOL_DNS_MESSAGE_H
#define LUNETTE_PROTOCOL_DNS_MESSAGE_H

#include "flow/protocol.h"
#include "protocol/dns_name.h"

#include <stdbool.h>
#include <stdint.h>

enum { DNS_HEADER_SIZE = 12 };

/* Bits of the header's flag word. */
enum { DNS_RESPONSE = 0x8000, DNS_TRUNCATED = 0x0200, DNS_RESERVED = 0x0040 };

enum dns_opcode {
    DNS_QUERY = 0,
    DNS_IQUERY = 1,
    DNS_STATUS = 2,
    DNS_NOTIFY = 4,
    DNS_UPDATE = 5,
    DNS_DSO = 6
};

/* The bytes of one message, as far as they were captured. */
struct dns_message {
    const uint8_t *bytes;
    uint32_t length;   /* here */
    uint32_t original; /* on the wire */
};

struct dns_header {
    uint16_t id, flags;
    uint16_t questions, answers, authorities, additionals;
};

struct dns_question {
    struct dns_name name;
    uint16_t type, class; /* 0 if they were not in the bytes */
};

static inline uint8_t dns_opcode_of(uint16_t flags) {
    return flags >> 11 & 15;
}

/* False if the header is not all there. */
bool dns_header_read(const struct dns_message *message, struct dns_header *header);

/* Reads the question at `*offset` and moves past it. */
enum dns_name_status dns_question_read(const struct dns_message *message, uint32_t *offset,
                                       struct dns_question *question);

/* Do these bytes look like a message? `usual_port`: one side of the flow is port 53, so less proof will do.
 * MAYBE: more bytes are needed to tell. */
enum recognised dns_message_recognise(const struct dns_message *message, bool usual_port);

/* Makes the event for a message and teaches the name table; `rtt` is the seconds since the query, 0 if
 * unknown. The header and the question were read before; `offset` is where the answers begin. */
struct dns_reading {
    struct dns_message message;
    struct dns_header header;
    const struct dns_question *question; /* NULL if there is none */
    uint32_t offset;
    double rtt;
};
void dns_message_report(struct conversation *c, const struct dns_reading *reading, const struct ip *learner);

#endif
