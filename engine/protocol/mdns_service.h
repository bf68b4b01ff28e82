/* Services of DNS-SD (RFC 6763) as the records of one message tell of them. */
#ifndef LUNETTE_PROTOCOL_MDNS_SERVICE_H
#define LUNETTE_PROTOCOL_MDNS_SERVICE_H

#include "event/batch.h"
#include "protocol/dns_name.h"
#include "protocol/dns_record.h"

enum { MDNS_SERVICES = 32, MDNS_TXT_MAX = 512 };

/* One instance of a service: what PTR, SRV and TXT records have said of it so far. */
struct mdns_service {
    uint64_t key; /* of its full name */
    struct text_ref instance, type, host, txt;
    uint16_t port;
};

struct mdns_services {
    struct batch *batch;
    struct event_mdns_body *body;
    struct mdns_service found[MDNS_SERVICES];
    uint32_t count;
};

/* Notes what a PTR, SRV or TXT record says; others are passed over. `owner` is the record's name. */
void mdns_service_note(struct mdns_services *services, const uint8_t *message, uint32_t length,
                       const struct dns_record *record, const struct dns_name *owner);

/* Puts the lists into the event. */
void mdns_service_report(struct mdns_services *services);

/* The part of a name that tells a service, from its start to its last label that begins with '_':
 * "_sub" and what is before it included. 0 if it has no such label. */
uint32_t mdns_service_length(const struct dns_name *name);

#endif
