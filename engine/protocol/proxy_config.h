/* Who tells a machine its proxy: PAC files over HTTP, and the names and paths of WPAD
 * (draft-ietf-wrec-wpad-01). Whoever answers decides where all of its web traffic goes. DHCP's option 252 is
 * in the event dhcp. */
#ifndef LUNETTE_PROTOCOL_PROXY_CONFIG_H
#define LUNETTE_PROTOCOL_PROXY_CONFIG_H

#include "protocol/http_transaction.h"

/* A transaction is over: makes an event if it fetched a proxy configuration, or tried to. */
void proxy_config_fetched(struct conversation *c, const struct http_transaction *t);

/* A DNS question was sent: makes an event if it looks for wpad. `name` as text, in any case; `type` A, AAAA
 * or TXT count. */
void proxy_config_asked(struct conversation *c, struct slice name, uint16_t type);

#endif
