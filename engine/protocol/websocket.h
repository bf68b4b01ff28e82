/* The WebSocket that an HTTP exchange has agreed on: see websocket.c. */
#ifndef LUNETTE_PROTOCOL_WEBSOCKET_H
#define LUNETTE_PROTOCOL_WEBSOCKET_H

#include "protocol/http_transaction.h"

/* The server has agreed: makes the event and hands the stream over. `client`: the direction of who asked.
 * Returns false if it could not be handed over; then it was not. */
bool websocket_begin(struct conversation *c, const struct http_transaction *t, enum direction client);

#endif
