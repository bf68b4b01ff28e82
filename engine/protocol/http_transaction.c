/* What is remembered of a request until its response is over: one record and one growing text. */
#include "protocol/http_transaction.h"

#include "protocol/http_head.h"
#include "protocol/proxy_config.h"
#include "protocol/vpn.h"

#include <stdlib.h>
#include <strings.h>

enum { TEXT_FIRST_SIZE = 1024, NAME_MAX_BYTES = 128 };

/* How much of each field is kept. */
static const uint16_t field_limits[HTTP_TEXTS] = {
    [HTTP_TEXT_HOST] = 255,
    [HTTP_TEXT_URL] = 8192,
    [HTTP_TEXT_USER_AGENT] = 2048,
    [HTTP_TEXT_CONTENT_TYPE] = 512,
    [HTTP_TEXT_REFERER] = 4096,
    [HTTP_TEXT_METHOD] = 64,
    [HTTP_TEXT_REDIRECT] = 4096,
    [HTTP_TEXT_REQUEST_CONTENT_TYPE] = 512,
    [HTTP_TEXT_SERVER] = 512,
    [HTTP_TEXT_COOKIE] = 256,
    [HTTP_TEXT_UPGRADE] = 128,
    [HTTP_TEXT_ORIGIN] = 512,
    [HTTP_TEXT_WEBSOCKET_PROTOCOL] = 256,
    [HTTP_TEXT_WEBSOCKET_EXTENSIONS] = 256,
    [HTTP_TEXT_GRPC_STATUS] = 16,
};

bool http_transaction_wanted(const struct conversation *c) {
    return conversation_wants(c, EVENT_http) || conversation_wants(c, EVENT_websocket) ||
           conversation_wants(c, EVENT_proxy_config) || conversation_wants(c, EVENT_encrypted_dns) ||
           conversation_wants(c, EVENT_vpn);
}

struct http_transaction *http_transaction_new(uint16_t text_limit) {
    struct http_transaction *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    t->text_limit = text_limit;
    t->minor = -1;
    return t;
}

void http_transaction_free(struct http_transaction *t) {
    if (!t) return;
    free(t->text);
    free(t);
}

/* Makes room for up to `length` bytes and returns how many fit. */
static uint16_t make_room(struct http_transaction *t, uint32_t length) {
    uint32_t left = (uint32_t)t->text_limit - t->text_used;
    if (length > left) length = left;
    uint32_t need = t->text_used + length;
    if (need <= t->text_size) return (uint16_t)length;
    uint32_t size = t->text_size ? t->text_size : TEXT_FIRST_SIZE;
    while (size < need) size *= 2;
    if (size > t->text_limit) size = t->text_limit;
    char *text = realloc(t->text, size);
    if (!text) return (uint16_t)(t->text_size - t->text_used);
    t->text = text;
    t->text_size = (uint16_t)size;
    return (uint16_t)length;
}

/* Copies with line folds (RFC 9112 section 5.2) made into one blank. */
static struct http_span keep(struct http_transaction *t, struct slice value, uint32_t limit) {
    struct http_span span = {t->text_used, 0};
    uint16_t room = make_room(t, value.length < limit ? value.length : limit);
    for (uint32_t i = 0; i < value.length && span.length < room; i++) {
        uint8_t byte = value.at[i];
        if (byte == '\n') {
            while (span.length && t->text[span.at + span.length - 1] == '\r') span.length--;
            while (i + 1 < value.length && (value.at[i + 1] == ' ' || value.at[i + 1] == '\t')) i++;
            byte = ' ';
        }
        t->text[span.at + span.length++] = (char)byte;
    }
    t->text_used = (uint16_t)(t->text_used + span.length);
    return span;
}

void http_transaction_put(struct http_transaction *t, enum http_text_field field, struct slice value) {
    if (!t->wanted || http_transaction_has(t, field)) return;
    t->set = (uint16_t)(t->set | 1u << field);
    t->texts[field] = keep(t, value, field_limits[field]);
}

bool http_transaction_has(const struct http_transaction *t, enum http_text_field field) {
    return t->set >> field & 1;
}

struct slice http_transaction_get(const struct http_transaction *t, enum http_text_field field) {
    if (!t->text) return (struct slice){(const uint8_t *)"", 0};
    return (struct slice){(const uint8_t *)t->text + t->texts[field].at, t->texts[field].length};
}

void http_transaction_add_name(struct http_transaction *t, struct slice name) {
    if (!t->wanted || t->name_count == HTTP_HEADER_NAMES_MAX) return;
    struct http_span span = keep(t, name, NAME_MAX_BYTES);
    if (span.length) t->names[t->name_count++] = span;
}

void http_transaction_set_host(struct conversation *c, struct http_transaction *t, struct slice text) {
    struct http_authority authority;
    if (!http_authority(text, &authority)) {
        conversation_anomaly(c, "malformed_host");
        return;
    }
    uint8_t lower[255];
    struct slice host = {lower, authority.host.length < sizeof lower ? authority.host.length : sizeof lower};
    for (uint32_t i = 0; i < host.length; i++) {
        uint8_t byte = authority.host.at[i];
        lower[i] = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
    }
    if (t) {
        http_transaction_put(t, HTTP_TEXT_HOST, host);
        t->host_port = authority.port;
    }
    /* An address is no name: one that DNS gave tells more. */
    if (host.length && !authority.address) conversation_set_name(c, NAME_HOST, host);
}

static struct text_ref text_of(struct batch *batch, const struct http_transaction *t,
                               enum http_text_field field) {
    if (!http_transaction_has(t, field)) return (struct text_ref){0};
    struct slice value = http_transaction_get(t, field);
    return batch_text(batch, value.at, value.length);
}

static struct list_ref names_of(struct batch *batch, const struct http_transaction *t) {
    struct text_ref items[HTTP_HEADER_NAMES_MAX];
    for (uint32_t i = 0; i < t->name_count; i++)
        items[i] = batch_text(batch, t->text + t->names[i].at, t->names[i].length);
    return t->name_count ? batch_list(batch, items, t->name_count) : (struct list_ref){0};
}

static const char *protocol_word(const struct http_transaction *t) {
    if (t->stream_id) return "HTTP/2";
    if (t->minor == 0) return "HTTP/1.0";
    return t->minor == 1 ? "HTTP/1.1" : "HTTP/1.x";
}

/* A gRPC call's path is /SERVICE/METHOD (grpc/grpc, doc/PROTOCOL-HTTP2.md). */
static void fill_grpc(struct batch *batch, struct event_http_body *body, const struct http_transaction *t) {
    struct slice type = http_transaction_get(t, HTTP_TEXT_REQUEST_CONTENT_TYPE);
    if (type.length == 0) type = http_transaction_get(t, HTTP_TEXT_CONTENT_TYPE);
    if (type.length < 16 || strncasecmp((const char *)type.at, "application/grpc", 16) != 0) return;
    struct slice path = http_transaction_get(t, HTTP_TEXT_URL);
    if (path.length > 1 && path.at[0] == '/') {
        const uint8_t *end = path.at + path.length;
        const uint8_t *slash = memchr(path.at + 1, '/', path.length - 1);
        const uint8_t *stop = slash ? slash : end;
        body->grpc_service = batch_text(batch, path.at + 1, (size_t)(stop - path.at - 1));
        if (slash) body->grpc_method = batch_text(batch, slash + 1, (size_t)(end - slash - 1));
    }
    body->grpc_status = text_of(batch, t, HTTP_TEXT_GRPC_STATUS);
}

void http_transaction_report(struct conversation *c, const struct http_transaction *t) {
    if (t->silent) return;
    proxy_config_fetched(c, t);
    vpn_in_http(c, http_transaction_get(t, HTTP_TEXT_METHOD), http_transaction_get(t, HTTP_TEXT_URL),
                http_transaction_get(t, HTTP_TEXT_UPGRADE), t->status);
    struct event_http *event = conversation_event(c, EVENT_http);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_http_body *body = &event->body;
    event->head.time = t->time;
    body->host = text_of(batch, t, HTTP_TEXT_HOST);
    body->host_port = t->host_port;
    body->url = text_of(batch, t, HTTP_TEXT_URL);
    body->user_agent = text_of(batch, t, HTTP_TEXT_USER_AGENT);
    body->content_type = text_of(batch, t, HTTP_TEXT_CONTENT_TYPE);
    body->referer = text_of(batch, t, HTTP_TEXT_REFERER);
    body->method = text_of(batch, t, HTTP_TEXT_METHOD);
    if (t->minor >= 0 || t->stream_id) body->protocol = batch_string(batch, protocol_word(t));
    body->status = t->status;
    body->redirect = text_of(batch, t, HTTP_TEXT_REDIRECT);
    body->length = t->length;
    body->request_length = t->request_length;
    body->request_content_type = text_of(batch, t, HTTP_TEXT_REQUEST_CONTENT_TYPE);
    body->server = text_of(batch, t, HTTP_TEXT_SERVER);
    body->cookie = text_of(batch, t, HTTP_TEXT_COOKIE);
    body->request_headers = names_of(batch, t);
    body->upgrade = text_of(batch, t, HTTP_TEXT_UPGRADE);
    body->depth = t->depth;
    body->stream_id = t->stream_id;
    if (t->stream_id) fill_grpc(batch, body, t);
    batch_commit(batch);
}
