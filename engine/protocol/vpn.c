/* See vpn.h. */
#include "protocol/vpn.h"

#include <stdarg.h>
#include <stdio.h>

void vpn_evidence(struct vpn_finding *finding, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finding->evidence, sizeof finding->evidence, format, arguments);
    va_end(arguments);
}

static struct text_ref hex_text(struct batch *batch, struct slice bytes) {
    static const char digits[] = "0123456789abcdef";
    char text[128];
    uint32_t length = bytes.length < sizeof text / 2 ? bytes.length : (uint32_t)sizeof text / 2;
    for (uint32_t i = 0; i < length; i++) {
        text[2 * i] = digits[bytes.at[i] >> 4];
        text[2 * i + 1] = digits[bytes.at[i] & 15];
    }
    return batch_text(batch, text, 2 * (size_t)length);
}

static bool is_text(struct slice bytes) {
    for (uint32_t i = 0; i < bytes.length; i++)
        if (bytes.at[i] < 0x20 || bytes.at[i] > 0x7e) return false;
    return bytes.length > 0;
}

static struct text_ref vendor_text(struct batch *batch, struct slice id) {
    const char *name = ike_vendor_name(id);
    if (!name && is_text(id)) return batch_text(batch, id.at, id.length);
    return name ? batch_string(batch, name) : hex_text(batch, id);
}

void vpn_report(struct conversation *c, const struct vpn_finding *finding) {
    struct event_vpn *event = conversation_event(c, EVENT_vpn);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_vpn_body *body = &event->body;
    body->kind = finding->kind;
    body->product = finding->product;
    body->transport = finding->transport;
    body->mode = finding->mode;
    body->phase = finding->phase;
    body->confidence = finding->certain ? "certain" : "likely";
    body->evidence = batch_string(batch, finding->evidence);
    struct slice name = conversation_name(c);
    if (name.length > 0) body->name = batch_text(batch, name.at, name.length);
    body->both_sides = finding->both_sides;
    body->version = finding->version;
    if (finding->initiator.length) body->initiator_spi = hex_text(batch, finding->initiator);
    if (finding->responder.length) body->responder_spi = hex_text(batch, finding->responder);
    struct text_ref vendors[VPN_VENDORS];
    for (uint32_t i = 0; i < finding->vendor_count; i++) vendors[i] = vendor_text(batch, finding->vendors[i]);
    if (finding->vendor_count) body->vendor_ids = batch_list(batch, vendors, finding->vendor_count);
    batch_commit(batch);
}
