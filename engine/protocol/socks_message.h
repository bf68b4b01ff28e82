/* SOCKS' messages one by one, as pure functions over bytes: nothing here keeps anything. Slices point into
 * the bytes that were read. */
#ifndef LUNETTE_PROTOCOL_SOCKS_MESSAGE_H
#define LUNETTE_PROTOCOL_SOCKS_MESSAGE_H

#include "base/bytes.h"
#include "base/ip.h"

enum { VERSION_4 = 4, VERSION_5 = 5, VERSION_PASSWORD = 1 };
enum { COMMAND_CONNECT = 1, COMMAND_BIND = 2, COMMAND_UDP = 3 };

/* A message is there and the cursor behind it; may be there when more has come; is none. */
enum socks_reading { READ_WHOLE, READ_SHORT, READ_BROKEN };

struct socks_endpoint {
    struct slice name; /* if it is one: its length is not 0 */
    struct ip address; /* else */
    uint16_t port;
};

struct socks_request {
    uint8_t command;
    struct socks_endpoint target;
    struct slice user; /* of version 4 */
};

struct socks_login {
    struct slice user;
    bool password; /* there is one; it is passed over */
};

/* ATYP, address, port (RFC 1928 section 5). */
enum socks_reading socks_read_endpoint(struct cursor *c, struct socks_endpoint *out);

/* Version, count, methods (RFC 1928 section 3). `plausible`: a program might offer these. */
enum socks_reading socks_read_greeting(struct cursor *c, bool *plausible);

/* Name and password (RFC 1929 section 2). */
enum socks_reading socks_read_login(struct cursor *c, struct socks_login *out);

enum socks_reading socks_read_request_5(struct cursor *c, struct socks_request *out);

/* Version 4, and 4a, whose address 0.0.0.x with x not zero says that a name follows. */
enum socks_reading socks_read_request_4(struct cursor *c, struct socks_request *out);

#endif
