/* The list of protocols. To add one: write its file, declare it in protocols.h, name it here. */
#include "protocol/list.h"

#include "protocol/protocols.h"

const struct protocol *const protocol_list[] = {
    &protocol_tls,       &protocol_http,  &protocol_dns,   &protocol_ssh,       &protocol_ntp,
    &protocol_icmp_echo, &protocol_socks, &protocol_http2, &protocol_websocket, NULL,
};
