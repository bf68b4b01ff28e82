/* What the two versions of DHCP share: the event that is being filled, and ways to put things into it. */
#ifndef LUNETTE_PROTOCOL_DHCP_EVENT_H
#define LUNETTE_PROTOCOL_DHCP_EVENT_H

#include "flow/protocol.h"
#include "protocol/dns_text.h"

enum { DHCP_TEXT_MAX = 256, DHCP_LIST_MAX = 32 };

struct dhcp_list {
    struct text_ref items[DHCP_LIST_MAX];
    uint32_t count;
};

/* One message while it is read. Where nobody wants the event, `body` is a dummy and no text is kept: the
 * message is read all the same, so that its anomalies do not depend on who listens. */
struct dhcp_reading {
    struct batch *batch; /* NULL: nobody wants the event */
    struct event_dhcp_body *body;
    const char *anomaly;     /* the first that was found */
    bool cut;                /* the capture holds less than was sent */
    struct dns_text options; /* codes in the order sent */
    struct slice vendor;     /* vendor class, in the message */
    struct dns_text scratch; /* a text that is being put together */
    struct dns_text search;  /* option 119, whose parts are joined before they are read */
    uint8_t message;         /* its type */
};

void dhcp_note(struct dhcp_reading *r, const char *anomaly);

/* Text in the event, without the zeros that some append; at most DHCP_TEXT_MAX bytes. */
struct text_ref dhcp_text(struct dhcp_reading *r, const void *bytes, size_t length);

/* Bytes as hex digits, as many as fit. */
struct text_ref dhcp_hex(struct dhcp_reading *r, const uint8_t *bytes, uint32_t length);

/* aa:bb:cc:dd:ee:ff */
struct text_ref dhcp_mac(struct dhcp_reading *r, const uint8_t *bytes, uint32_t length);

/* Adds to the list; what is beyond its end is left out. */
void dhcp_list_put(struct dhcp_reading *r, struct dhcp_list *list, const void *bytes, size_t length);
void dhcp_list_address(struct dhcp_reading *r, struct dhcp_list *list, const struct ip *address);
struct list_ref dhcp_list_done(struct dhcp_reading *r, const struct dhcp_list *list);

/* Domain names one after the other, whose compression pointers count from the first byte (RFC 3397). */
void dhcp_domains(struct dhcp_reading *r, struct dhcp_list *list, const uint8_t *bytes, uint32_t length);

/* Appends ",CODE". */
void dhcp_code(struct dns_text *text, uint32_t code);

/* Who asks for such a list of options, in such words. NULL if nobody we know. */
struct dhcp_system {
    const char *os, *detail; /* static; detail may be NULL */
};
const struct dhcp_system *dhcp_system_of(const char *parameters, size_t length, struct slice vendor);

/* The options of version 4 between two places of a message; see dhcp_options.c. Returns the overload bits. */
uint8_t dhcp_options_read(struct dhcp_reading *r, const uint8_t *bytes, uint32_t length, bool whole);

#endif
