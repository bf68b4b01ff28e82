/* From TLS records to handshake messages, in one direction of a connection.
 *
 * A handshake message may share a record with others or be spread over several (RFC 8446 section 5.1). The
 * reader keeps no bytes: as long as a message is not whole, its caller leaves it with the flow room, whose
 * bounds then hold, and asks again when more has come. Only a place in the current record is remembered. */
#ifndef LUNETTE_PROTOCOL_TLS_RECORD_H
#define LUNETTE_PROTOCOL_TLS_RECORD_H

#include "base/bytes.h"
#include "flow/protocol.h"

#include <stdbool.h>
#include <stdint.h>

enum tls_content {
    TLS_CHANGE_CIPHER_SPEC = 20,
    TLS_ALERT = 21,
    TLS_HANDSHAKE = 22,
    TLS_APPLICATION_DATA = 23,
    TLS_HEARTBEAT = 24,
};

enum tls_handshake_type {
    TLS_CLIENT_HELLO = 1,
    TLS_SERVER_HELLO = 2,
    TLS_CERTIFICATE = 11,
    TLS_SERVER_HELLO_DONE = 14,
};

enum {
    TLS_RECORD_HEADER = 5,
    TLS_HANDSHAKE_HEADER = 4,
    TLS_RECORD_LARGEST = 16384 + 2048, /* RFC 5246 section 6.2.3 */
    /* A message and the headers of the records around it must fit into what the flow room keeps. */
    TLS_HANDSHAKE_LARGEST = STREAM_KEEP - 1024,
};

struct tls_reader {
    uint32_t record_left;  /* content bytes of the current handshake record that lie ahead */
    uint32_t message_left; /* bytes of a message nobody wants that lie ahead */
    bool opaque; /* set by the caller after ChangeCipherSpec: handshake and alerts are not in clear */
};

enum tls_item_kind {
    TLS_ITEM_NONE,    /* more bytes are needed */
    TLS_ITEM_BROKEN,  /* this is not TLS: no way on */
    TLS_ITEM_MESSAGE, /* a handshake message */
    TLS_ITEM_ALERT,   /* an alert in clear */
    TLS_ITEM_RECORD,  /* any other record: its content is passed over */
};

struct tls_item {
    enum tls_item_kind kind;
    uint8_t type;      /* enum tls_content of a record, enum tls_handshake_type of a message */
    bool too_long;     /* the message is over TLS_HANDSHAKE_LARGEST and passed over */
    uint16_t alert;    /* level << 8 | description */
    struct slice body; /* wanted message: what follows its header; NONE: the first part of it, maybe empty */
};

/* Looks at `data` from `*used` on for the next item and moves `*used` past it; that may lie beyond `length`
 * when the end of a record is of no use. `wanted` has a bit (1 << type) for each message type whose body is
 * needed. A body that was spread over records is put together in `scratch`. */
struct tls_item tls_reader_next(struct tls_reader *reader, const uint8_t *data, uint32_t length,
                                uint32_t *used, uint32_t wanted, uint8_t scratch[TLS_HANDSHAKE_LARGEST]);

/* Could a record begin with these five bytes? */
bool tls_record_plausible(const uint8_t header[TLS_RECORD_HEADER]);

#endif
