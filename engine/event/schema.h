/* The C side of the event schema: structs and the table of fields, both made from lua-api/events.def.
 *
 * Whoever walks the table needs no other knowledge of an event: the JSON writer, the text for LuaJIT's
 * ffi.cdef, the Lua getters, the filters and `lunette events` are loops over it. */
#ifndef LUNETTE_EVENT_SCHEMA_H
#define LUNETTE_EVENT_SCHEMA_H

#include "base/ip.h"
#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>

/* A run of bytes in the batch's text; at == 0 means absent. Valid until the batch is flushed. */
struct text_ref {
    uint32_t at;
    uint32_t length;
};

/* `count` elements at offset `at` of the batch's text: struct text_ref (list) or uint16_t (u16s). */
struct list_ref {
    uint32_t at;
    uint32_t count;
};

typedef uint8_t field_u8;
typedef uint16_t field_u16;
typedef uint32_t field_u32;
typedef uint64_t field_u64;
typedef double field_f64;
typedef uint8_t field_bool;
typedef nanoseconds field_time;
typedef struct ip field_ip;
typedef const char *field_word;
typedef struct text_ref field_str;
typedef struct text_ref field_bytes;
typedef struct list_ref field_list;
typedef struct list_ref field_u16s;

#define EVENT_BEGIN(name, doc)             struct event_##name##_body {
#define FIELD(event, type, name, key, doc) field_##type name;
#define EVENT_END(name)                                                                                      \
    }                                                                                                        \
    ;
#include "lua-api/events.def"

/* Event kinds in the order of events.def. EVENT_head stands for the fields common to all. */
enum event_kind {
#define EVENT_BEGIN(name, doc) EVENT_##name,
#define FIELD(event, type, name, key, doc)
#define EVENT_END(name)
#include "lua-api/events.def"
    EVENT_KINDS
};

/* An event is its head followed by its body: struct event_dns { struct event_head_body head; …body }. */
#define EVENT_BEGIN(name, doc)                                                                               \
    struct event_##name {                                                                                    \
        struct event_head_body head;                                                                         \
        struct event_##name##_body body;                                                                     \
    };
#define FIELD(event, type, name, key, doc)
#define EVENT_END(name)
#include "lua-api/events.def"

enum field_type {
    FIELD_u8,
    FIELD_u16,
    FIELD_u32,
    FIELD_u64,
    FIELD_f64,
    FIELD_bool,
    FIELD_time,
    FIELD_ip,
    FIELD_word,
    FIELD_str,
    FIELD_bytes,
    FIELD_list,
    FIELD_u16s,
    FIELD_TYPES
};

struct field {
    const char *name;
    const char *key; /* JSON key without the '?'; "" if not written */
    const char *doc;
    uint32_t offset; /* from the start of the event, head included */
    uint16_t size;
    uint8_t type;         /* enum field_type */
    uint8_t omit_if_zero; /* the key had a '?' */
};

struct event_schema {
    const char *name;
    const char *doc;
    const struct field *fields; /* its own fields, without the head's */
    uint32_t field_count;
    uint32_t size; /* sizeof(struct event_NAME) */
};

const struct event_schema *event_schema_of(enum event_kind kind);

/* The kind of that name, or EVENT_head if there is none. */
enum event_kind event_kind_named(const char *name);

/* Is the kind the engine's own, that no script may subscribe to and that is never recorded? */
static inline bool event_is_hidden(enum event_kind kind) {
    return kind == EVENT_stream;
}

/* Finds a field by name among the kind's own fields and the head's; NULL if there is none. */
const struct field *event_field_named(enum event_kind kind, const char *name);

/* The same among the fields of a schema, whoever made it, and the head's. */
const struct field *event_schema_field(const struct event_schema *schema, const char *name);

/* The word events.def uses for a type: "u16", "str" … */
const char *event_type_name(enum field_type type);

#endif
