/* HTTP/2's header blocks (RFC 7541, by libnghttp2's inflater) into a transaction's fields.
 *
 * Both ends keep a table that each block changes, so every block must be read, wanted or not, and one that is
 * lost makes all later ones of that side unreadable. The table is bounded: who sets it larger than browsers
 * do is not followed. The sender of a block tells when it takes a larger or smaller table, so the SETTINGS
 * that allow it need not be watched. */
#include "protocol/http2_state.h"
#include "protocol/http_head.h"

enum { TABLE_MOST = 64 * 1024, FIELDS_MOST = 1024 };

static void request_pseudo(struct conversation *c, struct http_transaction *t, struct slice name,
                           struct slice value) {
    if (slice_equals(name, ":method")) http_transaction_put(t, HTTP_TEXT_METHOD, value);
    if (slice_equals(name, ":path")) http_transaction_put(t, HTTP_TEXT_URL, value);
    if (slice_equals(name, ":authority")) http_transaction_set_host(c, t, value);
}

static void request_field(struct conversation *c, struct http_transaction *t, struct slice name,
                          struct slice value) {
    http_transaction_add_name(t, name);
    switch (http_header_id(name)) {
    case HTTP_HOST:
        if (!http_transaction_has(t, HTTP_TEXT_HOST)) http_transaction_set_host(c, t, value);
        break;
    case HTTP_USER_AGENT:
        http_transaction_put(t, HTTP_TEXT_USER_AGENT, value);
        break;
    case HTTP_REFERER:
        http_transaction_put(t, HTTP_TEXT_REFERER, value);
        break;
    case HTTP_COOKIE:
        http_transaction_put(t, HTTP_TEXT_COOKIE, value);
        break;
    case HTTP_CONTENT_TYPE:
        http_transaction_put(t, HTTP_TEXT_REQUEST_CONTENT_TYPE, value);
        break;
    default:
        break;
    }
}

static void response_status(struct http_transaction *t, struct slice value) {
    uint64_t status;
    if (value.length == 3 && http_length(value, &status) && status >= 100) t->status = (uint16_t)status;
}

static void response_field(struct http_transaction *t, struct slice name, struct slice value) {
    if (t->status > 0 && t->status < 200) return; /* an interim response: the real one follows */
    if (slice_equals(name, "grpc-status")) http_transaction_put(t, HTTP_TEXT_GRPC_STATUS, value);
    switch (http_header_id(name)) {
    case HTTP_CONTENT_TYPE:
        http_transaction_put(t, HTTP_TEXT_CONTENT_TYPE, value);
        break;
    case HTTP_SERVER:
        http_transaction_put(t, HTTP_TEXT_SERVER, value);
        break;
    case HTTP_LOCATION:
        if (t->status >= 300 && t->status < 400) http_transaction_put(t, HTTP_TEXT_REDIRECT, value);
        break;
    default:
        break;
    }
}

static void take_field(struct conversation *c, struct http_transaction *t, bool is_request,
                       const nghttp2_nv *nv) {
    struct slice name = {nv->name, (uint32_t)nv->namelen}, value = {nv->value, (uint32_t)nv->valuelen};
    bool pseudo = name.length && name.at[0] == ':';
    if (is_request && pseudo)
        request_pseudo(c, t, name, value);
    else if (is_request)
        request_field(c, t, name, value);
    else if (pseudo && slice_equals(name, ":status"))
        response_status(t, value);
    else if (!pseudo)
        response_field(t, name, value);
}

static bool inflater_ready(struct http2_side *side) {
    if (side->inflater) return true;
    if (nghttp2_hd_inflate_new(&side->inflater) != 0) {
        side->inflater = NULL;
        return false;
    }
    return nghttp2_hd_inflate_change_table_size(side->inflater, TABLE_MOST) == 0;
}

const char *http2_headers_read(struct conversation *c, unsigned sender, struct http_transaction *t,
                               bool is_request, struct slice block, bool last) {
    struct http2 *h = c->state;
    struct http2_side *side = &h->side[sender];
    if (side->lost) return NULL;
    if (!inflater_ready(side)) return "unreadable_headers";
    unsigned fields = 0;
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(side->inflater, &nv, &flags, block.at, block.length, last);
        if (used < 0) return "unreadable_headers";
        block.at += used;
        block.length -= (uint32_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            if (t && fields < FIELDS_MOST) take_field(c, t, is_request, &nv);
            if (fields++ == FIELDS_MOST) conversation_anomaly(c, "too_many_headers");
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL) {
            nghttp2_hd_inflate_end_headers(side->inflater);
            return NULL;
        }
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && block.length == 0) return NULL;
    }
}

void http2_headers_free(struct http2_side *side) {
    if (side->inflater) nghttp2_hd_inflate_del(side->inflater);
    side->inflater = NULL;
}
