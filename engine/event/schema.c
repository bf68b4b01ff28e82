/* The table of fields, expanded from lua-api/events.def. */
#include "event/schema.h"

#include <string.h>

/* An event's own fields begin behind the head; the head's own at zero. */
#define FIELD_OFFSET(event, name)                                                                            \
    (uint32_t)((EVENT_##event == EVENT_head ? 0 : offsetof(struct event_##event, body)) +                    \
               offsetof(struct event_##event##_body, name))

#define EVENT_BEGIN(name, doc) static const struct field fields_of_##name[] = {
#define FIELD(event, field_kind, field_name, json, text)                                                     \
    {.name = #field_name,                                                                                    \
     .key = (json)[0] == '?' ? (json) + 1 : (json),                                                          \
     .doc = text,                                                                                            \
     .offset = FIELD_OFFSET(event, field_name),                                                              \
     .size = sizeof(field_##field_kind),                                                                     \
     .type = FIELD_##field_kind,                                                                             \
     .omit_if_zero = (json)[0] == '?'},
#define EVENT_END(name)                                                                                      \
    }                                                                                                        \
    ;
#include "lua-api/events.def"

#define EVENT_BEGIN(event, text)                                                                             \
    {.name = #event,                                                                                         \
     .doc = text,                                                                                            \
     .fields = fields_of_##event,                                                                            \
     .field_count = sizeof fields_of_##event / sizeof fields_of_##event[0],                                  \
     .size = EVENT_##event == EVENT_head ? sizeof(struct event_head_body) : sizeof(struct event_##event)},
#define FIELD(event, type, name, key, doc)
#define EVENT_END(name)
static const struct event_schema schemas[EVENT_KINDS] = {
#include "lua-api/events.def"
};

const struct event_schema *event_schema_of(enum event_kind kind) {
    return &schemas[kind];
}

enum event_kind event_kind_named(const char *name) {
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++)
        if (strcmp(schemas[kind].name, name) == 0) return (enum event_kind)kind;
    return EVENT_head;
}

static const struct field *field_in(const struct event_schema *schema, const char *name) {
    for (uint32_t i = 0; i < schema->field_count; i++)
        if (strcmp(schema->fields[i].name, name) == 0) return &schema->fields[i];
    return NULL;
}

const struct field *event_schema_field(const struct event_schema *schema, const char *name) {
    const struct field *own = field_in(schema, name);
    return own ? own : field_in(&schemas[EVENT_head], name);
}

const struct field *event_field_named(enum event_kind kind, const char *name) {
    return event_schema_field(&schemas[kind], name);
}

const char *event_type_name(enum field_type type) {
    static const char *const names[FIELD_TYPES] = {
        [FIELD_u8] = "u8",     [FIELD_u16] = "u16",   [FIELD_u32] = "u32",     [FIELD_u64] = "u64",
        [FIELD_f64] = "f64",   [FIELD_bool] = "bool", [FIELD_time] = "time",   [FIELD_ip] = "ip",
        [FIELD_word] = "word", [FIELD_str] = "str",   [FIELD_bytes] = "bytes", [FIELD_list] = "list",
        [FIELD_u16s] = "u16s",
    };
    return type < FIELD_TYPES ? names[type] : "?";
}
