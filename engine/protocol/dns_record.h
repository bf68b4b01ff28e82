/* Resource records: walking over them, and their data as people write it. */
#ifndef LUNETTE_PROTOCOL_DNS_RECORD_H
#define LUNETTE_PROTOCOL_DNS_RECORD_H

#include "protocol/dns_name.h"
#include "protocol/dns_text.h"

#include <stdbool.h>
#include <stdint.h>

/* IANA "DNS Parameters": the types that this engine prints. */
enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_SRV = 33,
    DNS_SVCB = 64,
    DNS_HTTPS = 65,
};

enum { DNS_CLASS_IN = 1 };

/* The mnemonic of a type; "TYPE" for those without one, whose number is in the event's qtype. */
const char *dns_type_word(uint16_t type);

/* The mnemonic of a response code (RFC 1035, 2136, 6895); "RCODE" for numbers not assigned. */
const char *dns_rcode_word(uint8_t rcode);

/* IN, CH, HS, NONE or ANY. */
bool dns_class_known(uint16_t class);

struct dns_record {
    uint32_t owner; /* offset of the owner's name */
    uint16_t type, class;
    uint32_t ttl;
    uint32_t data; /* offset of its data in the message */
    uint16_t data_length;
};

/* Reads the record at `*offset` and moves past it. DNS_NAME_SHORT, also for fixed parts and data, where the
 * bytes end inside the record. */
enum dns_name_status dns_record_read(const uint8_t *message, uint32_t length, uint32_t *offset,
                                     struct dns_record *record);

/* Writes a record's data in presentation form: addresses, names, "preference name" for MX, "priority weight
 * port target" for SRV, "mname rname serial refresh retry expire minimum" for SOA, "priority target key=value
 * …" for SVCB and HTTPS (RFC 9460, `ech` as "ech=present"), the joined strings for TXT. The root is "" where
 * a name stands alone and "." among others. Returns NULL, or the name of the anomaly that kept it from being
 * read; *text is then of no use. */
const char *dns_record_text(const uint8_t *message, uint32_t length, const struct dns_record *record,
                            struct dns_text *text);

#endif
