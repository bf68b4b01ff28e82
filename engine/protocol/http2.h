/* HTTP/2 in clear (RFC 9113) that HTTP/1.1 was upgraded to (RFC 7540 section 3.2): see http2.c. */
#ifndef LUNETTE_PROTOCOL_HTTP2_H
#define LUNETTE_PROTOCOL_HTTP2_H

#include "protocol/http_transaction.h"

/* The server has agreed to h2c: hands the stream over. The request that asked becomes stream 1, which the
 * response comes on. `client`: the direction of who asked. Returns false if it could not be handed over; then
 * it was not.
 */
bool http2_begin(struct conversation *c, const struct http_transaction *t, enum direction client);

#endif
