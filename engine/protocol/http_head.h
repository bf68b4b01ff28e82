/* The lines of an HTTP/1.x head (RFC 9112), as pure functions over bytes: nothing here keeps anything. */
#ifndef LUNETTE_PROTOCOL_HTTP_HEAD_H
#define LUNETTE_PROTOCOL_HTTP_HEAD_H

#include "base/bytes.h"
#include "flow/protocol.h"

/* Do the bytes begin with a request line, with a status line? MAYBE: they may when more have come. */
enum recognised http_recognise_request(const uint8_t *data, uint32_t length);
enum recognised http_recognise_status(const uint8_t *data, uint32_t length);

/* All slices point into the line. Lines come without their line end. */
struct http_request_line {
    struct slice method, target;
    uint8_t minor; /* of HTTP/1.minor */
};

struct http_status_line {
    uint16_t status;
    uint8_t minor;
};

/* Return false if the line is not one. Blanks within the target are borne with. */
bool http_request_line(struct slice line, struct http_request_line *out);
bool http_status_line(struct slice line, struct http_status_line *out);

/* The headers that mean something here. */
enum http_header_id {
    HTTP_OTHER,
    HTTP_HOST,
    HTTP_USER_AGENT,
    HTTP_REFERER,
    HTTP_COOKIE,
    HTTP_CONTENT_TYPE,
    HTTP_CONTENT_LENGTH,
    HTTP_TRANSFER_ENCODING,
    HTTP_LOCATION,
    HTTP_SERVER,
    HTTP_UPGRADE,
    HTTP_ORIGIN,
    HTTP_WEBSOCKET_PROTOCOL,
    HTTP_WEBSOCKET_EXTENSIONS,
    HTTP_AUTHORIZATION, /* the proxy's too */
};

struct http_header {
    enum http_header_id id;
    struct slice name;
    struct slice value;      /* without blanks around it; line folds are still in it */
    bool blank_before_colon; /* forbidden by RFC 9112 section 5.1, since proxies disagree on it */
};

/* Which of them a name means, in any case. */
enum http_header_id http_header_id(struct slice name);

/* Returns false if the line has no name and colon. */
bool http_header_line(struct slice line, struct http_header *out);

/* host[:port] with user information dropped. The host of an IPv6 literal comes without its brackets. */
struct http_authority {
    struct slice host;
    uint16_t port; /* 0 if none */
    bool address;  /* the host is an IP address */
};

/* Returns false if it holds what no host has: blanks, control characters, bytes beyond ASCII, slashes, a
 * wrong port. */
bool http_authority(struct slice text, struct http_authority *out);

/* The authority of an absolute-form target (http://authority/path), empty for other forms (RFC 9112
 * section 3.2). */
struct slice http_target_authority(struct slice target);

/* A Content-Length: digits, below 2^63. */
bool http_length(struct slice value, uint64_t *out);

/* The size at the start of a chunk's line; extensions behind it are passed over (RFC 9112 section 7.1). */
bool http_chunk_size(struct slice line, uint64_t *out);

/* Is chunked the last coding of a Transfer-Encoding? */
bool http_ends_chunked(struct slice value);

/* Compares without regard to case. */
bool http_word_is(struct slice word, const char *text);

#endif
