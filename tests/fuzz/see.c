/* See see.h. What is read is summed into a volatile, so that no compiler leaves the reading out. */
#include "fuzz/see.h"

#include <stdlib.h>
#include <string.h>

static volatile uint32_t sum;

static void see_bytes(const struct batch *batch, struct text_ref ref) {
    if (ref.at == 0) return;
    if (ref.at > batch->text_used || ref.length > batch->text_used - ref.at) abort();
    uint32_t all = 0;
    for (uint32_t i = 0; i < ref.length; i++) all += (uint8_t)batch->text[ref.at + i];
    sum += all;
}

static void see_list(const struct batch *batch, const struct list_ref *list) {
    for (uint32_t i = 0; i < list->count; i++) {
        struct text_ref item;
        memcpy(&item, batch->text + list->at + i * sizeof item, sizeof item);
        see_bytes(batch, item);
    }
}

static void see_field(const struct batch *batch, const struct field *field, const uint8_t *event) {
    const void *at = event + field->offset;
    const char *word;
    switch (field->type) {
    case FIELD_str:
    case FIELD_bytes:
        see_bytes(batch, *(const struct text_ref *)at);
        break;
    case FIELD_list:
        see_list(batch, at);
        break;
    case FIELD_u16s: {
        const struct list_ref *list = at;
        see_bytes(batch, (struct text_ref){list->at, list->count * 2});
        break;
    }
    case FIELD_word:
        memcpy(&word, at, sizeof word);
        if (word) sum += (uint32_t)strlen(word);
        break;
    case FIELD_bool:
        if (*(const uint8_t *)at > 1) abort();
        break;
    default:
        break;
    }
}

void see_event(const struct batch *batch, enum event_kind kind, const void *event) {
    const struct event_schema *schema = event_schema_of(kind), *head = event_schema_of(EVENT_head);
    for (uint32_t i = 0; i < head->field_count; i++) see_field(batch, &head->fields[i], event);
    for (uint32_t i = 0; i < schema->field_count; i++) see_field(batch, &schema->fields[i], event);
}
