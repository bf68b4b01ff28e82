/* Domain names on the wire (RFC 1035 sections 3.1 and 4.1.4): labels, compression pointers, and their text
 * form. */
#ifndef LUNETTE_PROTOCOL_DNS_NAME_H
#define LUNETTE_PROTOCOL_DNS_NAME_H

#include <stdint.h>

/* Text of the longest name: each of at most 254 bytes may become \DDD. */
enum { DNS_NAME_TEXT = 1024 };

struct dns_name {
    uint32_t length; /* of the text; 0 for the root */
    char text[DNS_NAME_TEXT];
};

enum dns_name_status {
    DNS_NAME_OK,
    DNS_NAME_SHORT,   /* the bytes end inside the name */
    DNS_NAME_FORWARD, /* a compression pointer to itself or to what comes later */
    DNS_NAME_LOOP,    /* a compression pointer into the name it belongs to */
    DNS_NAME_LONG,    /* more than 255 bytes */
    DNS_NAME_LABEL,   /* a label type that is not defined */
};

/* Reads the name at `*offset` of the message and moves `*offset` past it (past the first pointer, where there
 * is one). `name` may be NULL: the name is then only checked. The text is in lower case, without the last
 * dot; bytes that are not visible ASCII, and dots and backslashes within a label, are written as \DDD (RFC
 * 1035 section 5.1). On a failure
 * `*offset` is left alone and `name` holds what was read up to there. */
enum dns_name_status dns_name_read(const uint8_t *message, uint32_t length, uint32_t *offset,
                                   struct dns_name *name);

/* The anomaly that a status stands for: a static name. */
const char *dns_name_anomaly(enum dns_name_status status);

#endif
