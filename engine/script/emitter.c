/* See emitter.h. The Lua side (events.lua) checks what a script gives; this side checks nothing but room. */
#include "script/emitter.h"

#include "base/log.h"
#include "base/pages.h"
#include "script/cdef.h"
#include "script/relay.h"
#include "script/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(1 << (int)EMIT_VIEW_BITS == (int)LUNETTE_EMITTED, "views carry a slot of the emitter's");
_Static_assert((int)EMIT_LIMIT * 2 == (int)LUNETTE_EMITTED, "half full, and once more the limit, fits");
_Static_assert((int)EMIT_TEXT_LIMIT * 2 == (int)LUNETTE_TEXT, "the same for texts");

/* -------------------------------------------------------------- declaring */

static uint16_t size_of(uint8_t type) {
    switch (type) {
    case FIELD_u8:
    case FIELD_bool:
        return 1;
    case FIELD_u16:
        return 2;
    case FIELD_u32:
        return 4;
    case FIELD_ip:
        return sizeof(struct ip);
    default:
        return 8;
    }
}

static uint32_t alignment_of(uint8_t type) {
    if (type == FIELD_ip) return 1;
    if (type == FIELD_str || type == FIELD_list) return 4;
    return size_of(type);
}

/* As a C compiler does it. */
static void lay_out(struct custom_kind *kind, uint32_t count) {
    uint32_t body = 0, widest = 1;
    uint32_t head = sizeof(struct event_head_body); /* a multiple of 8, as its times are */
    for (uint32_t i = 0; i < count; i++) {
        struct field *field = &kind->fields[i];
        uint32_t alignment = alignment_of(field->type);
        body = (body + alignment - 1) & ~(alignment - 1);
        field->offset = head + body;
        field->size = size_of(field->type);
        body += field->size;
        if (alignment > widest) widest = alignment;
    }
    body = (body + widest - 1) & ~(widest - 1);
    kind->declared.schema.size = (head + body + 7) & ~7u;
}

/* The schema's name, the fields' names and keys, one behind the other in one allocation. */
static int write_names(struct custom_kind *kind, const char *detector, const char *event, uint32_t count,
                       const char *const *names) {
    size_t prefix = strlen(detector) + 1 + strlen(event), size = prefix + 1;
    for (uint32_t i = 0; i < count; i++) size += 2 * strlen(names[i]) + prefix + 3;
    char *at = kind->names = malloc(size), *end = at + size;
    if (!at) return -1;
    kind->declared.schema.name = at;
    at += snprintf(at, (size_t)(end - at), "%s.%s", detector, event) + 1;
    for (uint32_t i = 0; i < count; i++) {
        kind->fields[i].name = at;
        at += snprintf(at, (size_t)(end - at), "%s", names[i]) + 1;
        kind->fields[i].key = at;
        at += snprintf(at, (size_t)(end - at), "%s.%s.%s", detector, event, names[i]) + 1;
        kind->fields[i].doc = "";
        /* Zero is what was not given; of numbers it may have been. */
        kind->fields[i].omit_if_zero = kind->fields[i].type == FIELD_time || kind->fields[i].type == FIELD_ip;
    }
    return 0;
}

static size_t slots_bytes(const struct custom_kind *kind) {
    return (size_t)kind->declared.schema.size * LUNETTE_EMITTED;
}

static void kind_free(struct custom_kind *kind) {
    if (!kind) return;
    if (kind->declared.note) kind->declared.note_free(kind->declared.note);
    pages_release(kind->slots, kind->slots ? slots_bytes(kind) : 0);
    free(kind->names);
    free(kind->doc);
    free(kind);
}

static struct custom_kind *kind_new(const char *detector, const char *event, const char *doc, uint32_t count,
                                    const char *const *names, const uint8_t *types) {
    struct custom_kind *kind = calloc(1, sizeof *kind);
    if (!kind) return NULL;
    for (uint32_t i = 0; i < count; i++) kind->fields[i].type = types[i];
    kind->doc = strdup(doc);
    kind->declared.schema.doc = kind->doc;
    kind->declared.schema.fields = kind->fields;
    kind->declared.schema.field_count = count;
    if (kind->doc && write_names(kind, detector, event, count, names) == 0) {
        lay_out(kind, count);
        kind->slots = pages_reserve(slots_bytes(kind), false);
        if (kind->slots) return kind;
    }
    kind_free(kind);
    return NULL;
}

static struct emitter *emitter_of(struct detector *detector) {
    if (detector->emitter) return detector->emitter;
    struct emitter *emitter = calloc(1, sizeof *emitter);
    if (!emitter) return NULL;
    emitter->text = pages_reserve(LUNETTE_TEXT, false);
    if (!emitter->text) {
        free(emitter);
        return NULL;
    }
    emitter->arena.text = emitter->text;
    emitter->arena.generation = 1;
    emitter->text_used = emitter->text_mark = 1; /* 0 means absent */
    emitter->origin.now = -INFINITY;
    emitter->detector = detector;
    detector->emitter = emitter;
    return emitter;
}

static bool is_same(const struct custom_kind *kind, uint32_t count, const char *const *names,
                    const uint8_t *types) {
    if (kind->declared.schema.field_count != count) return false;
    for (uint32_t i = 0; i < count; i++)
        if (kind->fields[i].type != types[i] || strcmp(kind->fields[i].name, names[i]) != 0) return false;
    return true;
}

struct custom_kind *emitter_declare(struct detector *detector, const char *event, const char *doc,
                                    uint32_t count, const char *const *names, const uint8_t *types,
                                    struct error *err) {
    struct emitter *emitter = emitter_of(detector);
    struct custom_kind *kind = emitter ? emitter_find(emitter, event) : NULL;
    if (kind && is_same(kind, count, names, types)) return kind;
    if (kind) {
        error_set(err, "'%s' is declared twice", event);
        return NULL;
    }
    if (emitter && emitter->kind_count == CUSTOM_KINDS) {
        error_set(err, "a detector may declare %d events at most", CUSTOM_KINDS);
        return NULL;
    }
    if (emitter) kind = kind_new(detector->name, event, doc, count, names, types);
    if (!kind) {
        error_set(err, "out of memory");
        return NULL;
    }
    kind->emitter = emitter;
    emitter->kinds[emitter->kind_count++] = kind;
    return kind;
}

struct custom_kind *emitter_find(const struct emitter *emitter, const char *event) {
    for (uint32_t i = 0; emitter && i < emitter->kind_count; i++)
        if (strcmp(strrchr(emitter->kinds[i]->declared.schema.name, '.') + 1, event) == 0)
            return emitter->kinds[i];
    return NULL;
}

void emitter_free(struct emitter *emitter) {
    if (!emitter) return;
    for (uint32_t i = 0; i < emitter->kind_count; i++) kind_free(emitter->kinds[i]);
    pages_release(emitter->text, LUNETTE_TEXT);
    free(emitter);
}

const void *custom_event(const struct custom_kind *kind, uint32_t slot) {
    return kind->slots + (size_t)slot * kind->declared.schema.size;
}

/* -------------------------------------------------------------------- room */

bool emitter_is_full(const struct emitter *emitter) {
    if (!emitter) return false;
    if (emitter->text_used > EMIT_TEXT_LIMIT) return true;
    for (uint32_t i = 0; i < emitter->kind_count; i++)
        if (emitter->kinds[i]->used > EMIT_LIMIT) return true;
    return false;
}

/* What was touched once stays with the process: it counts as the detector's. */
static void count_peaks(struct emitter *emitter) {
    size_t grown = 0;
    for (uint32_t i = 0; i < emitter->kind_count; i++) {
        struct custom_kind *kind = emitter->kinds[i];
        if (kind->used <= kind->peak) continue;
        grown += (size_t)(kind->used - kind->peak) * kind->declared.schema.size;
        kind->peak = kind->used;
    }
    if (emitter->text_used > emitter->text_peak) {
        grown += emitter->text_used - emitter->text_peak;
        emitter->text_peak = emitter->text_used;
    }
    emitter->detector->beside_heap += grown;
}

void emitter_empty(struct emitter *emitter) {
    bool used = false;
    count_peaks(emitter);
    for (uint32_t i = 0; i < emitter->kind_count; i++) {
        used = used || emitter->kinds[i]->used > 0;
        emitter->kinds[i]->used = 0;
    }
    if (!used) return;
    emitter->text_used = emitter->text_mark = 1;
    emitter->iface_from = emitter->iface = (struct text_ref){0, 0};
    emitter->arena.generation = (emitter->arena.generation + 1) & EMIT_GENERATION_MASK;
}

/* ---------------------------------------------------------------- emitting */

static struct detector *detector_at(struct lunette_detector *opaque) {
    return (void *)opaque;
}

static int32_t event_lost(struct emitter *emitter) {
    const struct detector *detector = emitter->detector;
    if (emitter->lost++ == 0 && !detector->options.quiet)
        log_line(
            LOG_WARNING,
            "detector %s emits more than %d events, or %d KiB of texts, over one event or timer: what is "
            "beyond is lost (told once, counted from now on)",
            detector->name, EMIT_LIMIT, EMIT_TEXT_LIMIT >> 10);
    emitter->text_used = emitter->text_mark;
    return -1;
}

static void enter_origin(struct emitter *emitter, const struct order_key *origin) {
    uint32_t turn = emitter->detector->feed->turns;
    const struct order_key *old = &emitter->origin;
    bool same = old->now == origin->now && old->seq == origin->seq && old->rank == origin->rank;
    if (same && (origin->rank == 0 || turn == emitter->origin_turn)) return;
    emitter->origin = *origin;
    emitter->origin_turn = turn;
    emitter->origin_events = emitter->origin_text = 0;
}

/* The interface's name is in the batch's text: a copy for all events that have the same. */
static struct text_ref copy_iface(struct emitter *emitter, struct text_ref from) {
    if (!from.at) return from;
    if (from.at == emitter->iface_from.at) return emitter->iface;
    if (from.length > LUNETTE_TEXT - emitter->text_used) return (struct text_ref){0, 0};
    memcpy(emitter->text + emitter->text_used, emitter->detector->options.batch->text + from.at, from.length);
    emitter->iface_from = from;
    emitter->iface = (struct text_ref){emitter->text_used, from.length};
    emitter->text_used += from.length;
    emitter->text_mark = emitter->text_used;
    return emitter->iface;
}

static void fill_head(struct emitter *emitter, struct event_head_body *head, const struct order_key *origin) {
    const struct detector *detector = emitter->detector;
    const struct event_head_body *at_hand = detector_at_hand(detector);
    if (at_hand) {
        *head = *at_hand;
        head->iface = copy_iface(emitter, part_iface(detector, at_hand));
        return;
    }
    head->clock = head->time = detector_clock(detector, NULL);
    head->seq = origin->seq;
}

int32_t api_emit_begin(struct lunette_detector *opaque, uint32_t number) {
    struct detector *detector = detector_at(opaque);
    struct emitter *emitter = detector->emitter;
    struct custom_kind *kind = emitter->kinds[number];
    struct order_key origin;
    if (!kind->wanted || !emitter->relay) return -2;
    relay_origin(detector, &origin);
    enter_origin(emitter, &origin);
    emitter->cut = false;
    emitter->text_used = emitter->text_mark;
    if (emitter->origin_events == EMIT_LIMIT || kind->used == LUNETTE_EMITTED) return event_lost(emitter);
    struct event_head_body *head = (void *)(kind->slots + (size_t)kind->used * kind->declared.schema.size);
    memset(head, 0, kind->declared.schema.size);
    fill_head(emitter, head, &origin);
    return (int32_t)kind->used;
}

/* Room in the arena; 0 if there is none. */
static uint32_t take(struct emitter *emitter, size_t bytes, uint32_t alignment) {
    uint32_t at = (emitter->text_used + alignment - 1) & ~(alignment - 1);
    size_t own = at + bytes - emitter->text_mark;
    if (emitter->cut || emitter->origin_text + own > EMIT_TEXT_LIMIT || bytes > LUNETTE_TEXT - at) {
        emitter->cut = true;
        return 0;
    }
    emitter->text_used = at + (uint32_t)bytes;
    return at;
}

uint32_t api_emit_text(struct lunette_detector *opaque, const char *text, uint32_t length) {
    struct emitter *emitter = detector_at(opaque)->emitter;
    uint32_t at = take(emitter, length, 1);
    if (at) memcpy(emitter->text + at, text, length);
    return at;
}

uint32_t api_emit_list(struct lunette_detector *opaque, uint32_t count) {
    struct emitter *emitter = detector_at(opaque)->emitter;
    uint32_t at = take(emitter, (size_t)count * sizeof(struct text_ref), 4);
    if (at) memset(emitter->text + at, 0, count * sizeof(struct text_ref));
    return at;
}

void api_emit_item(struct lunette_detector *opaque, uint32_t list, uint32_t i, const char *text,
                   uint32_t length) {
    uint32_t at = api_emit_text(opaque, text, length);
    if (!at) return;
    const struct text_ref item = {at, length};
    memcpy(detector_at(opaque)->emitter->text + list + (size_t)i * sizeof item, &item, sizeof item);
}

int32_t api_ip_parse(const char *text, uint32_t length, uint8_t *address) {
    char copy[IP_TEXT_SIZE];
    struct ip ip;
    if (length >= sizeof copy) return 0;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (strlen(copy) != length || ip_parse(copy, &ip) != 0) return 0;
    memcpy(address, ip.bytes, sizeof ip.bytes);
    return 1;
}

int32_t api_emit_commit(struct lunette_detector *opaque, uint32_t number) {
    struct detector *detector = detector_at(opaque);
    struct emitter *emitter = detector->emitter;
    struct custom_kind *kind = emitter->kinds[number];
    if (emitter->cut || relay_emit(detector, kind, kind->used, &emitter->origin) < 0) {
        event_lost(emitter);
        return 0;
    }
    kind->used++;
    emitter->origin_events++;
    emitter->origin_text += emitter->text_used - emitter->text_mark;
    emitter->text_mark = emitter->text_used;
    emitter->emitted++;
    return 1;
}

/* ------------------------------------------------------------ for the views */

void custom_push(lua_State *lua, const struct custom_kind *kind, uint32_t number) {
    char own[32];
    snprintf(own, sizeof own, "own%u", number);
    cdef_push_kind(lua, &kind->declared.schema, own);
    lua_pushlightuserdata(lua, kind->slots);
    lua_setfield(lua, -2, "slots");
    lua_pushlightuserdata(lua, &kind->emitter->arena);
    lua_setfield(lua, -2, "arena");
}
