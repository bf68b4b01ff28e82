/* See tls_record.h. `struct content` walks the content of successive handshake records as if their headers
 * were not there; it is tried on a copy of the place first, so that nothing moves while a message is
 * incomplete. */
#include "protocol/tls_record.h"

bool tls_record_plausible(const uint8_t header[TLS_RECORD_HEADER]) {
    return header[0] >= TLS_CHANGE_CIPHER_SPEC && header[0] <= TLS_HEARTBEAT && header[1] == 3 &&
           header[2] <= 4 && load_be16(header + 3) <= TLS_RECORD_LARGEST;
}

struct content {
    const uint8_t *data;
    uint32_t length;
    uint32_t at;
    uint32_t left; /* in the record that `at` is in */
};

enum content_result { CONTENT_OK, CONTENT_MORE, CONTENT_BROKEN };

static enum content_result content_next_record(struct content *c) {
    if (c->length - c->at < TLS_RECORD_HEADER) return CONTENT_MORE;
    const uint8_t *header = c->data + c->at;
    if (header[0] != TLS_HANDSHAKE || !tls_record_plausible(header)) return CONTENT_BROKEN;
    c->left = load_be16(header + 3);
    c->at += TLS_RECORD_HEADER;
    return CONTENT_OK;
}

/* Passes `n` content bytes, copying them if `out` is given. */
static enum content_result content_take(struct content *c, uint8_t *out, uint32_t n) {
    while (n > 0) {
        if (c->left == 0) {
            enum content_result next = content_next_record(c);
            if (next != CONTENT_OK) return next;
            continue;
        }
        uint32_t here = c->length - c->at < c->left ? c->length - c->at : c->left;
        uint32_t take = n < here ? n : here;
        if (take == 0) return CONTENT_MORE;
        if (out) memcpy(out, c->data + c->at, take);
        if (out) out += take;
        c->at += take;
        c->left -= take;
        n -= take;
    }
    return CONTENT_OK;
}

static struct tls_item item_for(enum content_result result) {
    return (struct tls_item){.kind = result == CONTENT_BROKEN ? TLS_ITEM_BROKEN : TLS_ITEM_NONE};
}

static struct tls_item message_next(struct tls_reader *reader, const uint8_t *data, uint32_t length,
                                    uint32_t *used, uint32_t wanted, uint8_t *scratch) {
    struct content place = {.data = data, .length = length, .at = *used, .left = reader->record_left};
    uint8_t header[TLS_HANDSHAKE_HEADER];
    enum content_result result = content_take(&place, header, sizeof header);
    if (result != CONTENT_OK) return item_for(result);

    struct tls_item item = {.kind = TLS_ITEM_MESSAGE, .type = header[0]};
    uint32_t size = load_be24(header + 1);
    item.too_long = size > TLS_HANDSHAKE_LARGEST;
    bool skip = item.too_long || item.type > 31 || !(wanted >> item.type & 1);
    struct content body = place;
    if (skip) {
        reader->message_left = size;
    } else {
        result = content_take(&place, NULL, size);
        bool spread = size > body.left;
        if (result != CONTENT_OK) {
            uint32_t here = length - body.at;
            item.kind = item_for(result).kind;
            item.body = (struct slice){data + body.at, spread && body.left < here ? body.left : here};
            return item;
        }
        if (spread) content_take(&body, scratch, size);
        item.body = (struct slice){spread ? scratch : data + body.at, size};
    }
    *used = place.at;
    reader->record_left = place.left;
    return item;
}

static void message_skip(struct tls_reader *reader, uint32_t *used) {
    uint32_t pass = reader->message_left < reader->record_left ? reader->message_left : reader->record_left;
    *used += pass;
    reader->message_left -= pass;
    reader->record_left -= pass;
}

struct tls_item tls_reader_next(struct tls_reader *reader, const uint8_t *data, uint32_t length,
                                uint32_t *used, uint32_t wanted, uint8_t scratch[TLS_HANDSHAKE_LARGEST]) {
    while (*used < length) {
        if (reader->record_left > 0 && reader->message_left > 0) {
            message_skip(reader, used);
            continue;
        }
        if (reader->record_left > 0) return message_next(reader, data, length, used, wanted, scratch);

        const uint8_t *header = data + *used;
        if (length - *used < TLS_RECORD_HEADER) break;
        if (!tls_record_plausible(header)) return (struct tls_item){.kind = TLS_ITEM_BROKEN};
        uint32_t size = load_be16(header + 3);
        if (header[0] == TLS_HANDSHAKE && !reader->opaque) {
            *used += TLS_RECORD_HEADER;
            reader->record_left = size;
            continue;
        }
        if (header[0] == TLS_ALERT && !reader->opaque && size == 2) {
            if (length - *used < TLS_RECORD_HEADER + 2) break;
            *used += TLS_RECORD_HEADER + 2;
            return (struct tls_item){
                .kind = TLS_ITEM_ALERT, .type = TLS_ALERT, .alert = load_be16(header + TLS_RECORD_HEADER)};
        }
        *used += TLS_RECORD_HEADER + size;
        return (struct tls_item){.kind = TLS_ITEM_RECORD, .type = header[0]};
    }
    return (struct tls_item){.kind = TLS_ITEM_NONE};
}
