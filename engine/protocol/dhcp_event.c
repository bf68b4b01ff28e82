/* Putting what a DHCP message says into its event. */
#include "protocol/dhcp_event.h"

#include "protocol/dns_name.h"

static const char digits[] = "0123456789abcdef";

void dhcp_note(struct dhcp_reading *r, const char *anomaly) {
    if (!r->anomaly) r->anomaly = anomaly;
}

struct text_ref dhcp_text(struct dhcp_reading *r, const void *bytes, size_t length) {
    const uint8_t *text = bytes;
    while (length > 0 && text[length - 1] == 0) length--;
    if (!r->batch || length == 0) return (struct text_ref){0};
    return batch_text(r->batch, bytes, length < DHCP_TEXT_MAX ? length : DHCP_TEXT_MAX);
}

struct text_ref dhcp_hex(struct dhcp_reading *r, const uint8_t *bytes, uint32_t length) {
    char text[DHCP_TEXT_MAX];
    uint32_t used = 0;
    for (uint32_t i = 0; i < length && used + 2 <= sizeof text; i++) {
        text[used++] = digits[bytes[i] >> 4];
        text[used++] = digits[bytes[i] & 15];
    }
    return dhcp_text(r, text, used);
}

struct text_ref dhcp_mac(struct dhcp_reading *r, const uint8_t *bytes, uint32_t length) {
    char text[48];
    uint32_t used = 0;
    for (uint32_t i = 0; i < length && used + 3 <= sizeof text; i++) {
        if (i > 0) text[used++] = ':';
        text[used++] = digits[bytes[i] >> 4];
        text[used++] = digits[bytes[i] & 15];
    }
    return dhcp_text(r, text, used);
}

void dhcp_list_put(struct dhcp_reading *r, struct dhcp_list *list, const void *bytes, size_t length) {
    if (!r->batch || list->count == DHCP_LIST_MAX) return;
    if (length > DHCP_TEXT_MAX) length = DHCP_TEXT_MAX;
    list->items[list->count++] = batch_text(r->batch, bytes, length);
}

void dhcp_list_address(struct dhcp_reading *r, struct dhcp_list *list, const struct ip *address) {
    char text[IP_TEXT_SIZE];
    dhcp_list_put(r, list, text, (size_t)ip_format(address, text));
}

struct list_ref dhcp_list_done(struct dhcp_reading *r, const struct dhcp_list *list) {
    if (!r->batch || list->count == 0) return (struct list_ref){0};
    return batch_list(r->batch, list->items, list->count);
}

void dhcp_domains(struct dhcp_reading *r, struct dhcp_list *list, const uint8_t *bytes, uint32_t length) {
    uint32_t at = 0;
    /* A name may be two bytes, a pointer to a long one: no more are read than fit into the list. */
    for (uint32_t names = 0; at < length && names < DHCP_LIST_MAX; names++) {
        struct dns_name name;
        enum dns_name_status status = dns_name_read(bytes, length, &at, &name);
        if (status != DNS_NAME_OK) {
            if (!(status == DNS_NAME_SHORT && r->cut)) dhcp_note(r, dns_name_anomaly(status));
            return;
        }
        if (name.length) dhcp_list_put(r, list, name.text, name.length);
    }
}

void dhcp_code(struct dns_text *text, uint32_t code) {
    if (text->length) dns_text_put(text, ",", 1);
    dns_text_number(text, code);
}
