/* Domain names: from labels and pointers to text.
 *
 * A pointer is followed only if it leads to before the run of labels that it ends. Each jump therefore goes
 * further back than the last, so a name ends after at most 255 bytes of labels or at the message's start,
 * whatever was sent. */
#include "protocol/dns_name.h"

#include "base/bytes.h"

static void name_put(struct dns_name *name, uint8_t byte) {
    if (byte > 0x20 && byte < 0x7f && byte != '.' && byte != '\\') {
        name->text[name->length++] = (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
        return;
    }
    char *out = name->text + name->length;
    out[0] = '\\';
    out[1] = (char)('0' + byte / 100);
    out[2] = (char)('0' + byte / 10 % 10);
    out[3] = (char)('0' + byte % 10);
    name->length += 4;
}

enum dns_name_status dns_name_read(const uint8_t *message, uint32_t length, uint32_t *offset,
                                   struct dns_name *name) {
    uint32_t at = *offset;
    uint32_t run_start = at; /* where the labels that are being read began */
    uint32_t after = 0;      /* where the message goes on, once a pointer was followed */
    uint32_t wire = 1;       /* bytes of the name without compression, its last zero included */
    if (name) name->length = 0;

    for (;;) {
        if (at >= length) return DNS_NAME_SHORT;
        uint8_t size = message[at];
        if (size == 0) break;
        if ((size & 0xc0) == 0xc0) {
            if (length - at < 2) return DNS_NAME_SHORT;
            uint32_t target = load_be16(message + at) & 0x3fff;
            if (target >= at) return DNS_NAME_FORWARD;
            if (target >= run_start) return DNS_NAME_LOOP;
            if (!after) after = at + 2;
            at = run_start = target;
            continue;
        }
        if (size & 0xc0) return DNS_NAME_LABEL;
        if (length - at - 1 < size) return DNS_NAME_SHORT;
        wire += 1u + size;
        if (wire > 255) return DNS_NAME_LONG;
        if (name) {
            if (name->length) name->text[name->length++] = '.';
            for (uint32_t i = 1; i <= size; i++) name_put(name, message[at + i]);
        }
        at += 1u + size;
    }
    *offset = after ? after : at + 1;
    return DNS_NAME_OK;
}

const char *dns_name_anomaly(enum dns_name_status status) {
    switch (status) {
    case DNS_NAME_OK:
        return NULL;
    case DNS_NAME_SHORT:
        return "name_cut_short";
    case DNS_NAME_FORWARD:
        return "name_pointer_forward";
    case DNS_NAME_LOOP:
        return "name_pointer_loop";
    case DNS_NAME_LONG:
        return "name_too_long";
    case DNS_NAME_LABEL:
        return "name_label_type";
    }
    return NULL;
}
