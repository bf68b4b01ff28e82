/* The protocols that the engine knows; engine/protocol/list.c puts them in order. */
#ifndef LUNETTE_PROTOCOL_PROTOCOLS_H
#define LUNETTE_PROTOCOL_PROTOCOLS_H

#include "flow/protocol.h"

extern const struct protocol protocol_dns;
extern const struct protocol protocol_http;
extern const struct protocol protocol_http2;
extern const struct protocol protocol_icmp_echo;
extern const struct protocol protocol_ntp;
extern const struct protocol protocol_socks;
extern const struct protocol protocol_ssh;
extern const struct protocol protocol_tls;
extern const struct protocol protocol_websocket;

#endif
