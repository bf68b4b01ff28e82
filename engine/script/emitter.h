/* What a detector emits: the events that it declared (lunette.event), and the memory in which they wait until
 * all who listen have heard them.
 *
 * A declared event has a schema like an engine event's, and an array of slots. Texts and lists lie in one
 * arena a detector, as those of engine events do in the batch's. Both are emptied at once, when everybody has
 * heard what is in there (relay.c). An event that comes out of one engine event or one run of a timer finds
 * at most EMIT_LIMIT of its like before it; what is beyond is lost and counted. The memory is twice that, and
 * a detector that has filled half of it is made to wait at the next engine event: so what is lost depends on
 * the packets alone, never on the batch's size. */
#ifndef LUNETTE_SCRIPT_EMITTER_H
#define LUNETTE_SCRIPT_EMITTER_H

#include "base/error.h"
#include "event/custom.h"
#include "script/api.h"

#include <lua.h>
#include <stdbool.h>

enum {
    CUSTOM_KINDS = 32, /* that a detector may declare, and that it may hear */
    CUSTOM_FIELDS = 32,
    CUSTOM_NAME = 32, /* bytes of an event's name, and of a field's, with the NUL */
    EMIT_LIMIT = 4096,
    EMIT_TEXT_LIMIT = 512 * 1024, /* bytes of texts, of the same events */
    EMIT_VIEW_BITS = 13,          /* of a view, for the slot */
    EMIT_GENERATION_MASK = (1 << 19) - 1,
};

/* Where in the order of things an event belongs, or stands: rank 0 for engine events and what comes of them,
 * above it for what timers emit, by detector. */
struct order_key {
    double now;
    uint64_t seq;
    uint32_t rank;
};

struct detector;
struct emitter;
struct relay;

struct custom_kind {
    struct custom_schema declared;
    struct emitter *emitter;
    struct field fields[CUSTOM_FIELDS];
    char *names; /* of the schema and its fields, and their keys */
    char *doc;
    uint8_t *slots;
    uint32_t used;
    uint32_t peak; /* the most that was ever in use */
    bool wanted;   /* heard by somebody, or recorded */
    bool recorded;
};

struct emitter {
    struct lunette_arena arena;
    struct detector *detector;
    struct relay *relay; /* NULL: nobody listens yet */
    char *text;
    uint32_t text_used, text_mark, text_peak;
    struct custom_kind *kinds[CUSTOM_KINDS];
    uint32_t kind_count;
    uint32_t rank;
    /* Since the engine event or timer at hand began. */
    struct order_key origin;
    uint32_t origin_turn;
    uint32_t origin_events, origin_text;
    struct text_ref iface_from, iface; /* the interface's name that was copied last, and the copy */
    bool cut;                          /* a text did not fit into the event that is being made */
    struct order_key last;             /* of what it emitted last: nothing of it comes later */
    uint32_t hint;                     /* relay.c: where its last timer's event stands */
    uint64_t emitted, lost;
};

void emitter_free(struct emitter *emitter);

/* Declares "NAME.event" for a detector, or finds it if it is there already with the same fields. `types`
 * holds enum field_type. NULL and why if the names are not fit for it, or there are too many. */
struct custom_kind *emitter_declare(struct detector *detector, const char *event, const char *doc,
                                    uint32_t count, const char *const *names, const uint8_t *types,
                                    struct error *err);

/* The event called `event` (without the detector's name), or NULL. */
struct custom_kind *emitter_find(const struct emitter *emitter, const char *event);

/* Has it filled half of its room? */
bool emitter_is_full(const struct emitter *emitter);

/* Everything was heard. */
void emitter_empty(struct emitter *emitter);

const void *custom_event(const struct custom_kind *kind, uint32_t slot);

/* Pushes what views.lua needs of a kind that goes by `number` in the asking detector: { name=, size=,
 * fields=, cdef=, slots=, arena=, own = struct name }. */
void custom_push(lua_State *lua, const struct custom_kind *kind, uint32_t number);

/* struct lunette_api */
int32_t api_emit_begin(struct lunette_detector *opaque, uint32_t kind);
uint32_t api_emit_text(struct lunette_detector *opaque, const char *text, uint32_t length);
uint32_t api_emit_list(struct lunette_detector *opaque, uint32_t count);
void api_emit_item(struct lunette_detector *opaque, uint32_t list, uint32_t i, const char *text,
                   uint32_t length);
int32_t api_ip_parse(const char *text, uint32_t length, uint8_t *address);
int32_t api_emit_commit(struct lunette_detector *opaque, uint32_t kind);

#endif
