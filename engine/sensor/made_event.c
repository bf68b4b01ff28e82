/* See made_event.h. */
#include "sensor/made_event.h"

#include <math.h>
#include <stdlib.h>

enum { EVENT_TEXT_MOST = BATCH_TEXT_ROOM / 2, LIST_MOST = 1024 };

void made_words_free(struct made_words *words) {
    for (size_t i = 0; i < words->count; i++) free(words->list[i]);
    free(words->list);
    *words = (struct made_words){.list = NULL};
}

static const char *word_kept(struct made_words *words, const char *text) {
    for (size_t i = 0; i < words->count; i++)
        if (strcmp(words->list[i], text) == 0) return words->list[i];
    char **grown = realloc(words->list, (words->count + 1) * sizeof *grown);
    if (!grown) return NULL;
    words->list = grown;
    char *copy = strdup(text);
    if (copy) grown[words->count++] = copy;
    return copy;
}

int made_event_begin(struct made_event *event, enum event_kind kind, struct error *err) {
    *event = (struct made_event){.kind = kind};
    buffer_fill(&event->bytes, '\0', event_schema_of(kind)->size);
    return event->bytes.failed ? error_set(err, "out of memory") : 0;
}

int made_event_renew(struct made_event *event, enum event_kind kind, struct error *err) {
    struct buffer bytes = event->bytes;
    bytes.length = 0;
    bytes.failed = false;
    *event = (struct made_event){.kind = kind, .bytes = bytes};
    buffer_fill(&event->bytes, '\0', event_schema_of(kind)->size);
    return event->bytes.failed ? error_set(err, "out of memory") : 0;
}

void made_event_free(struct made_event *event) {
    buffer_free(&event->bytes);
}

const char *made_event_expects(const struct field *field) {
    switch (field->type) {
    case FIELD_bool:
        return "true or false";
    case FIELD_ip:
        return "an address";
    case FIELD_time:
        return "a time in seconds";
    case FIELD_word:
    case FIELD_str:
    case FIELD_bytes:
        return "a string";
    case FIELD_list:
        return "a list of strings";
    case FIELD_u16s:
        return "a list of numbers";
    default:
        return "a number";
    }
}

static int wrong_type(const struct field *field, const char *got, struct error *err) {
    return error_set(err, "'%s' must be %s, got %s", field->name, made_event_expects(field), got);
}

static void put_at(struct made_event *event, size_t offset, const void *value, size_t size) {
    memcpy(event->bytes.at + offset, value, size);
}

void made_event_u64(struct made_event *event, const struct field *field, uint64_t number) {
    put_at(event, field->offset, &number, sizeof number);
}

void made_event_word(struct made_event *event, const struct field *field, const char *word) {
    put_at(event, field->offset, &word, sizeof word);
}

void made_event_time(struct made_event *event, const struct field *field, nanoseconds time) {
    put_at(event, field->offset, &time, sizeof time);
}

static int whole_number(const struct field *field, double number, double most, struct error *err) {
    if (number >= 0 && number <= most && floor(number) == number) return 0;
    return error_set(err, "'%s' must be a whole number from 0 to %.0f, got %.14g", field->name, most, number);
}

int made_event_number(struct made_event *event, const struct field *field, double number, struct error *err) {
    if (field->type == FIELD_f64) {
        put_at(event, field->offset, &number, sizeof number);
        return 0;
    }
    if (field->type == FIELD_time) {
        if (!(number >= 0 && number < 4294967296.0))
            return error_set(err, "'%s' must be a time in seconds since 1970, got %.14g", field->name,
                             number);
        nanoseconds time = (nanoseconds)llround(number * 1e9);
        put_at(event, field->offset, &time, sizeof time);
        return 0;
    }
    if (field->type > FIELD_u64) return wrong_type(field, "a number", err);
    double most = field->type == FIELD_u64 ? 0x1p53 : ldexp(1, 8 * field->size) - 1;
    if (whole_number(field, number, most, err) < 0) return -1;
    uint64_t wide = (uint64_t)number;
    uint32_t u32 = (uint32_t)wide;
    uint16_t u16 = (uint16_t)wide;
    uint8_t u8 = (uint8_t)wide;
    const void *sizes[] = {[1] = &u8, [2] = &u16, [4] = &u32, [8] = &wide};
    put_at(event, field->offset, sizes[field->size], field->size);
    return 0;
}

int made_event_flag(struct made_event *event, const struct field *field, bool flag, struct error *err) {
    if (field->type != FIELD_bool) return wrong_type(field, "a boolean", err);
    uint8_t value = flag;
    put_at(event, field->offset, &value, sizeof value);
    event->client_local_given |= strcmp(field->name, "client_local") == 0;
    event->server_local_given |= strcmp(field->name, "server_local") == 0;
    return 0;
}

/* Appends a text and returns the reference to it. */
static struct text_ref append(struct made_event *event, const void *bytes, size_t length) {
    struct text_ref ref = {(uint32_t)event->bytes.length, (uint32_t)length};
    buffer_put(&event->bytes, bytes, length);
    return ref;
}

static int check_room(const struct made_event *event, const struct field *field, size_t more,
                      struct error *err) {
    if (event->bytes.length + more <= EVENT_TEXT_MOST) return 0;
    return error_set(err, "'%s': the texts of an event may have %d KiB in all", field->name,
                     EVENT_TEXT_MOST >> 10);
}

static int check_memory(const struct made_event *event, struct error *err) {
    return event->bytes.failed ? error_set(err, "out of memory") : 0;
}

int made_event_text(struct made_event *event, const struct field *field, const char *text, size_t length,
                    struct made_words *words, struct error *err) {
    if (field->type == FIELD_ip) {
        struct ip ip;
        if (ip_parse(text, &ip) < 0)
            return error_set(err, "'%s' must be an address, got '%.60s'", field->name, text);
        put_at(event, field->offset, &ip, sizeof ip);
        return 0;
    }
    if (field->type == FIELD_word) {
        const char *word = word_kept(words, text);
        if (!word) return error_set(err, "out of memory");
        put_at(event, field->offset, &word, sizeof word);
        return 0;
    }
    if (field->type != FIELD_str && field->type != FIELD_bytes) return wrong_type(field, "a string", err);
    if (check_room(event, field, length, err) < 0) return -1;
    struct text_ref ref = append(event, text, length);
    put_at(event, field->offset, &ref, sizeof ref);
    return check_memory(event, err);
}

static int check_count(const struct field *field, size_t count, struct error *err) {
    if (count <= LIST_MOST) return 0;
    return error_set(err, "'%s': a list may have %d entries", field->name, LIST_MOST);
}

int made_event_list(struct made_event *event, const struct field *field, const struct slice *texts,
                    size_t count, struct error *err) {
    struct text_ref refs[LIST_MOST];
    if (field->type != FIELD_list) return wrong_type(field, "a list of strings", err);
    if (check_count(field, count, err) < 0) return -1;
    for (size_t i = 0; i < count; i++) {
        if (check_room(event, field, texts[i].length, err) < 0) return -1;
        refs[i] = append(event, texts[i].at, texts[i].length);
    }
    struct text_ref at = append(event, refs, count * sizeof *refs);
    struct list_ref list = {at.at, (uint32_t)count};
    put_at(event, field->offset, &list, sizeof list);
    return check_memory(event, err);
}

int made_event_numbers(struct made_event *event, const struct field *field, const double *numbers,
                       size_t count, struct error *err) {
    uint16_t values[LIST_MOST];
    if (field->type != FIELD_u16s) return wrong_type(field, "a list of numbers", err);
    if (check_count(field, count, err) < 0) return -1;
    for (size_t i = 0; i < count; i++) {
        if (whole_number(field, numbers[i], UINT16_MAX, err) < 0) return -1;
        values[i] = (uint16_t)numbers[i];
    }
    struct text_ref at = append(event, values, count * sizeof *values);
    struct list_ref list = {at.at, (uint32_t)count};
    put_at(event, field->offset, &list, sizeof list);
    return check_memory(event, err);
}

/* ── into a batch ────────────────────────────────────────────────── */

static void copy_text(const struct made_event *event, struct batch *batch, uint8_t *at) {
    struct text_ref ref;
    memcpy(&ref, at, sizeof ref);
    if (ref.at == 0) return;
    ref = batch_text(batch, event->bytes.at + ref.at, ref.length);
    memcpy(at, &ref, sizeof ref);
}

static void copy_list(const struct made_event *event, struct batch *batch, bool of_texts, uint8_t *at) {
    struct list_ref list;
    struct text_ref texts[LIST_MOST];
    uint16_t numbers[LIST_MOST];
    memcpy(&list, at, sizeof list);
    const char *from = event->bytes.at + list.at;
    if (list.count == 0) return;
    if (of_texts) {
        memcpy(texts, from, list.count * sizeof *texts);
        for (uint32_t i = 0; i < list.count; i++)
            texts[i] = batch_text(batch, event->bytes.at + texts[i].at, texts[i].length);
        list = batch_list(batch, texts, list.count);
    } else {
        memcpy(numbers, from, list.count * sizeof *numbers);
        list = batch_u16s(batch, numbers, list.count);
    }
    memcpy(at, &list, sizeof list);
}

static void copy_fields(const struct made_event *event, struct batch *batch,
                        const struct event_schema *schema, uint8_t *slot) {
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct field *field = &schema->fields[i];
        uint8_t *at = slot + field->offset;
        if (field->type == FIELD_str || field->type == FIELD_bytes) copy_text(event, batch, at);
        if (field->type == FIELD_list || field->type == FIELD_u16s)
            copy_list(event, batch, field->type == FIELD_list, at);
    }
}

void made_event_commit(const struct made_event *event, struct batch *batch, nanoseconds time,
                       const struct home *home) {
    const struct event_schema *schema = event_schema_of(event->kind);
    struct event_head_body *head = batch_begin(batch, event->kind);
    if (!head) return;
    nanoseconds clock = head->clock;
    memcpy(head, event->bytes.at, schema->size);
    head->clock = clock;
    if (head->time == 0) head->time = time;
    if (!event->client_local_given) head->client_local = home_has(home, &head->client_ip);
    if (!event->server_local_given) head->server_local = home_has(home, &head->server_ip);
    copy_fields(event, batch, event_schema_of(EVENT_head), (uint8_t *)head);
    copy_fields(event, batch, schema, (uint8_t *)head);
    batch_commit(batch);
}
