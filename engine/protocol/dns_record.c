/* Resource records: one function for each kind of data, and a table of who prints what.
 *
 * The data of a record is read through a cursor that ends with it, so that a wrong length inside cannot reach
 * the next record. Names are the exception: their pointers lead back into the message. */
#include "protocol/dns_record.h"

#include "base/bytes.h"
#include "base/ip.h"
#include "protocol/dns_svcb.h"
#include "protocol/dns_text.h"

const char *dns_rcode_word(uint8_t rcode) {
    static const char *const words[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                        "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                        "NXRRSET", "NOTAUTH", "NOTZONE",  "DSOTYPENI"};
    return rcode < sizeof words / sizeof words[0] ? words[rcode] : "RCODE";
}

bool dns_class_known(uint16_t class) {
    return class == DNS_CLASS_IN || class == 3 || class == 4 || class == 254 || class == 255;
}

enum dns_name_status dns_record_read(const uint8_t *message, uint32_t length, uint32_t *offset,
                                     struct dns_record *record) {
    uint32_t at = *offset;
    record->owner = at;
    enum dns_name_status status = dns_name_read(message, length, &at, NULL);
    if (status != DNS_NAME_OK) return status;
    if (length - at < 10) return DNS_NAME_SHORT;
    record->type = load_be16(message + at);
    record->class = load_be16(message + at + 2);
    record->ttl = load_be32(message + at + 4);
    record->data_length = load_be16(message + at + 8);
    record->data = at + 10;
    if (length - record->data < record->data_length) return DNS_NAME_SHORT;
    *offset = record->data + record->data_length;
    return DNS_NAME_OK;
}

/* What the printing functions share: the message for names, the record's data for the rest. */
struct data {
    const uint8_t *message;
    struct cursor left;
    struct dns_text *text;
};

static const char *put_name(struct data *data, bool alone) {
    /* The message ends for this name where the record does. */
    uint32_t length = (uint32_t)(data->left.end - data->message);
    uint32_t at = (uint32_t)(data->left.at - data->message);
    struct dns_name name;
    enum dns_name_status status = dns_name_read(data->message, length, &at, &name);
    if (status != DNS_NAME_OK) return dns_name_anomaly(status);
    data->left.at = data->message + at;
    if (name.length)
        dns_text_put(data->text, name.text, name.length);
    else if (!alone)
        dns_text_put(data->text, ".", 1);
    return NULL;
}

static const char *put_address(struct data *data) {
    size_t size = cursor_left(&data->left);
    struct ip address;
    if (size == 4)
        ip_from_v4(&address, data->left.at);
    else
        memcpy(address.bytes, data->left.at, 16);
    data->text->length += (uint32_t)ip_format(&address, data->text->text + data->text->length);
    return NULL;
}

static const char *put_mx(struct data *data) {
    dns_text_number(data->text, cursor_be16(&data->left));
    dns_text_put(data->text, " ", 1);
    return put_name(data, false);
}

static const char *put_srv(struct data *data) {
    for (int i = 0; i < 3; i++) {
        dns_text_number(data->text, cursor_be16(&data->left));
        dns_text_put(data->text, " ", 1);
    }
    return put_name(data, false);
}

static const char *put_soa(struct data *data) {
    const char *anomaly = put_name(data, false);
    if (anomaly) return anomaly;
    dns_text_put(data->text, " ", 1);
    if ((anomaly = put_name(data, false))) return anomaly;
    for (int i = 0; i < 5; i++) {
        dns_text_put(data->text, " ", 1);
        dns_text_number(data->text, cursor_be32(&data->left));
    }
    return NULL;
}

static const char *put_txt(struct data *data) {
    while (cursor_left(&data->left)) {
        uint8_t size = cursor_u8(&data->left);
        const uint8_t *string = cursor_take(&data->left, size);
        if (!string) break;
        dns_text_put(data->text, string, size);
    }
    return NULL;
}

static const char *put_svcb(struct data *data) {
    dns_text_number(data->text, cursor_be16(&data->left));
    dns_text_put(data->text, " ", 1);
    const char *anomaly = put_name(data, false);
    if (anomaly) return anomaly;
    dns_svcb_parameters(&data->left, data->text);
    return NULL;
}

static const char *put_data(struct data *data, uint16_t type) {
    switch (type) {
    case DNS_A:
        return cursor_left(&data->left) == 4 ? put_address(data) : "record_data_length";
    case DNS_AAAA:
        return cursor_left(&data->left) == 16 ? put_address(data) : "record_data_length";
    case DNS_NS:
    case DNS_CNAME:
    case DNS_PTR:
        return put_name(data, true);
    case DNS_MX:
        return put_mx(data);
    case DNS_SRV:
        return put_srv(data);
    case DNS_SOA:
        return put_soa(data);
    case DNS_TXT:
        return put_txt(data);
    case DNS_SVCB:
    case DNS_HTTPS:
        return put_svcb(data);
    default:
        return NULL;
    }
}

const char *dns_record_text(const uint8_t *message, uint32_t length, const struct dns_record *record,
                            struct dns_text *text) {
    text->length = 0;
    if (record->data > length || length - record->data < record->data_length) return "record_cut_short";
    struct data data = {message, cursor_over(message + record->data, record->data_length), text};
    const char *anomaly = put_data(&data, record->type);
    if (anomaly) return anomaly;
    return data.left.failed ? "record_data_length" : NULL;
}
