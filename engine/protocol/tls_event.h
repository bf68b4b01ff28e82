/* What the `tls` event says of two hellos: the same whether they came over TCP, in QUIC's Initial packets or
 * in DTLS. */
#ifndef LUNETTE_PROTOCOL_TLS_EVENT_H
#define LUNETTE_PROTOCOL_TLS_EVENT_H

#include "flow/protocol.h"
#include "protocol/tls_hello.h"

/* All that a whole hello tells. `ja4` may be "". */
void tls_event_client(struct batch *batch, struct event_tls_body *body, const struct client_hello *hello,
                      const char *ja4);

/* Of a hello that the capture has only in part the lists would be wrong: the name is all that is told. */
void tls_event_part_of_client(struct batch *batch, struct event_tls_body *body,
                              const struct client_hello *hello);

void tls_event_server(struct batch *batch, struct event_tls_body *body, const struct server_said *said);

/* The names of an ALPN list as texts of the event that is open. */
struct list_ref tls_event_alpns(struct batch *batch, struct slice names);

/* What runs inside, as far as the client's hello and the server's address tell: "apns" (ALPN, names below
 * push.apple.com, or port 5223 of Apple's block), or NULL. `hello` was kept: its name is lower case. */
const char *tls_service_word(const struct client_hello *hello, const struct event_head_body *head);

/* "TLS 1.2" …, NULL for a number without a name. */
const char *tls_version_word(uint16_t version);

#endif
