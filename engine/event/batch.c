/* See batch.h. All memory is taken at birth: one array of BATCH_EVENTS slots per kind (touched only as far as
 * the limit lets a batch grow) and the text. Text offset 0 is never handed out, so that it can mean "absent".
 */
#include "event/batch.h"

#include "base/pages.h"

#include <stdlib.h>
#include <string.h>

static size_t slots_bytes(int kind) {
    return (size_t)event_schema_of((enum event_kind)kind)->size * BATCH_EVENTS;
}

struct batch *batch_new(uint32_t limit, struct error *err) {
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch) {
        error_set(err, "out of memory for an event batch");
        return NULL;
    }
    batch->limit = limit < 1 ? 1 : limit > BATCH_EVENTS ? BATCH_EVENTS : limit;
    batch->next_seq = 1;
    batch->text_used = 1;
    batch->text = pages_reserve(BATCH_TEXT_BYTES, false);
    bool complete = batch->text != NULL;
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++) {
        batch->slots[kind] = pages_reserve(slots_bytes(kind), false);
        complete = complete && batch->slots[kind];
    }
    if (complete) return batch;
    batch_free(batch);
    error_set(err, "out of memory for an event batch");
    return NULL;
}

void batch_free(struct batch *batch) {
    if (!batch) return;
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++)
        pages_release(batch->slots[kind], slots_bytes(kind));
    pages_release(batch->text, BATCH_TEXT_BYTES);
    free(batch);
}

static void *slot_at(const struct batch *batch, enum event_kind kind, uint32_t index) {
    return batch->slots[kind] + (size_t)index * event_schema_of(kind)->size;
}

const void *batch_event(const struct batch *batch, uint32_t place) {
    return slot_at(batch, (enum event_kind)batch->order[place].kind, batch->order[place].index);
}

void *batch_begin(struct batch *batch, enum event_kind kind) {
    if (!batch->listener.wants || !batch->listener.wants[kind]) return NULL;
    if (batch->text_used > BATCH_TEXT_BYTES - BATCH_TEXT_ROOM) batch_flush(batch);
    batch->open_kind = kind;
    batch->text_mark = batch->text_used;
    struct event_head_body *head = slot_at(batch, kind, batch->used[kind]);
    memset(head, 0, event_schema_of(kind)->size);
    head->clock = batch->clock;
    return head;
}

void batch_drop(struct batch *batch) {
    batch->open_kind = EVENT_head;
    batch->text_used = batch->text_mark;
}

static void batch_keep_at(struct batch *batch, enum event_kind kind, uint32_t index) {
    batch->next_seq++;
    batch->used[kind]++;
    batch->order[batch->count++] = (struct batch_order){.kind = (uint16_t)kind, .index = (uint16_t)index};
    if (batch->count == batch->limit) batch_flush(batch);
}

void batch_keep(struct batch *batch) {
    enum event_kind kind = (enum event_kind)batch->open_kind;
    uint32_t index = batch->used[kind];
    struct event_head_body *head = slot_at(batch, kind, index);
    batch->open_kind = EVENT_head;
    head->seq = batch->next_seq;
    batch_keep_at(batch, kind, index);
}

void batch_commit(struct batch *batch) {
    enum event_kind kind = (enum event_kind)batch->open_kind;
    uint32_t index = batch->used[kind];
    struct event_head_body *head = slot_at(batch, kind, index);
    batch->open_kind = EVENT_head;
    head->seq = batch->next_seq;
    if (!batch->listener.offer(batch->listener.context, kind, index, head)) {
        batch->text_used = batch->text_mark;
        return;
    }
    batch_keep_at(batch, kind, index);
}

void batch_flush(struct batch *batch) {
    if (batch->count == 0) return;
    batch->listener.drink(batch->listener.context);
    batch->count = 0;
    batch->text_used = 1;
    batch->generation++;
    memset(batch->used, 0, sizeof batch->used);
}

/* Room for `bytes` at the given alignment; 0 if they do not fit. */
static uint32_t text_take(struct batch *batch, size_t bytes, uint32_t alignment) {
    uint32_t at = (batch->text_used + alignment - 1) & ~(alignment - 1);
    if (bytes > BATCH_TEXT_BYTES - at) return 0;
    batch->text_used = at + (uint32_t)bytes;
    return at;
}

struct text_ref batch_text(struct batch *batch, const void *bytes, size_t length) {
    if (!bytes) return (struct text_ref){0, 0};
    size_t left = BATCH_TEXT_BYTES - batch->text_used;
    if (left == 0) {
        batch->text_cut++;
        return (struct text_ref){0, 0};
    }
    if (length > left) {
        batch->text_cut++;
        length = left;
    }
    uint32_t at = text_take(batch, length, 1);
    memcpy(batch->text + at, bytes, length);
    return (struct text_ref){at, (uint32_t)length};
}

struct text_ref batch_string(struct batch *batch, const char *text) {
    return batch_text(batch, text, text ? strlen(text) : 0);
}

static struct list_ref list_copy(struct batch *batch, const void *items, uint32_t count, size_t size) {
    if (count == 0) return (struct list_ref){0, 0};
    uint32_t at = text_take(batch, count * size, 4);
    if (at == 0) {
        batch->text_cut++;
        return (struct list_ref){0, 0};
    }
    memcpy(batch->text + at, items, count * size);
    return (struct list_ref){at, count};
}

struct list_ref batch_list(struct batch *batch, const struct text_ref *items, uint32_t count) {
    return list_copy(batch, items, count, sizeof *items);
}

struct list_ref batch_u16s(struct batch *batch, const uint16_t *items, uint32_t count) {
    return list_copy(batch, items, count, sizeof *items);
}
