/* The parameters of SVCB and HTTPS records (RFC 9460 section 2.1) in presentation form. */
#ifndef LUNETTE_PROTOCOL_DNS_SVCB_H
#define LUNETTE_PROTOCOL_DNS_SVCB_H

#include "base/bytes.h"
#include "protocol/dns_record.h"

/* Appends " key=value" for each parameter that is left. A parameter that is cut short marks the cursor
 * failed. */
void dns_svcb_parameters(struct cursor *data, struct dns_text *text);

#endif
