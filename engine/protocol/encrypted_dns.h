/* DNS that nobody on the way can read: over TLS (RFC 7858), HTTPS (RFC 8484), QUIC (RFC 9250). What betrays
 * it are facts of the protocol (ALPN "dot" and "doq", port 853, the path /dns-query, application/dns-message)
 * and names of public resolvers (resolvers.def). A resolver that has neither a known name nor its own port
 * cannot be told from a web server. */
#ifndef LUNETTE_PROTOCOL_ENCRYPTED_DNS_H
#define LUNETTE_PROTOCOL_ENCRYPTED_DNS_H

#include "flow/protocol.h"
#include "protocol/tls_hello.h"

/* A ClientHello was read: makes the event if it is a resolver's client's. To be called once a flow. */
void encrypted_dns_of_hello(struct conversation *c, const struct client_hello *hello, bool quic);

/* An HTTP request and what is known of its response, in clear: of any version of HTTP. Absent values are
 * empty. Returns true if it was DNS. */
struct encrypted_dns_request {
    struct slice host, target, request_type, response_type;
};
bool encrypted_dns_of_http(struct conversation *c, const struct encrypted_dns_request *request);

/* Whose resolver has that name (lower case), or NULL. Names below a listed one count too. */
const char *encrypted_dns_provider(struct slice name);

#endif
