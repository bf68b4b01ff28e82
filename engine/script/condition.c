/* A condition is a field and the values it may have: numbers in a short array, texts and addresses in a set
 * of our own, or a set that the script brought. Cheap ones (numbers) are looked at first. */
#include "script/condition_inner.h"

#include <stdlib.h>
#include <string.h>

struct conditions *conditions_new(const struct event_schema *schema) {
    struct conditions *conditions = calloc(1, sizeof *conditions);
    if (conditions) conditions->schema = schema;
    return conditions;
}

void conditions_free(struct conditions *conditions) {
    if (!conditions) return;
    for (uint32_t i = 0; i < conditions->count; i++) set_free(conditions->items[i].own);
    if (conditions->bpf) filter_free(conditions->bpf);
    free(conditions);
}

struct filter *conditions_bpf(const struct conditions *conditions) {
    return conditions->bpf;
}

size_t conditions_memory(const struct conditions *conditions) {
    size_t bytes = sizeof *conditions;
    for (uint32_t i = 0; i < conditions->count; i++)
        if (conditions->items[i].own) bytes += set_memory(conditions->items[i].own);
    return bytes;
}

static const struct field *field_named(const struct conditions *conditions, const char *name,
                                       struct error *err) {
    const struct field *field = event_schema_field(conditions->schema, name);
    const char *kind = conditions->schema->name;
    if (!field && strchr(kind, '.'))
        error_set(err, "a filter on '%s': %s events have no such field", name, kind);
    else if (!field)
        error_set(err, "a filter on '%s': %s events have no such field (see `lunette events %s`)", name, kind,
                  kind);
    return field;
}

/* The field's condition, made if need be: whoever makes one gives it something that it can be held against.
 */
static struct condition *condition_of(struct conditions *conditions, const struct field *field,
                                      struct error *err) {
    for (uint32_t i = 0; i < conditions->count; i++)
        if (conditions->items[i].field == field) return &conditions->items[i];
    if (conditions->count == CONDITION_LIMIT) {
        error_set(err, "a filter may have conditions on %d fields at most", CONDITION_LIMIT);
        return NULL;
    }
    struct condition *condition = &conditions->items[conditions->count++];
    condition->field = field;
    return condition;
}

static bool is_numeric(const struct field *field) {
    return field->type <= FIELD_time; /* u8 … time stand first in enum field_type */
}

/* Can a set be asked for it? */
static bool has_text(const struct field *field) {
    return !is_numeric(field) && field->type != FIELD_list && field->type != FIELD_u16s;
}

static int set_stands_alone(const char *name, struct error *err) {
    return error_set(err, "a filter on '%s': a set stands alone, it cannot be one of several alternatives",
                     name);
}

int conditions_add_number(struct conditions *conditions, const char *name, double value, struct error *err) {
    const struct field *field = field_named(conditions, name, err);
    if (!field) return -1;
    if (!is_numeric(field))
        return error_set(err, "a filter on '%s': it is a %s, not a number", name,
                         event_type_name(field->type));
    struct condition *condition = condition_of(conditions, field, err);
    if (!condition) return -1;
    if (condition->number_count == NUMBER_LIMIT)
        return error_set(err, "a filter on '%s': %d alternatives at most", name, NUMBER_LIMIT);
    condition->numbers[condition->number_count++] = value;
    return 0;
}

int conditions_add_text(struct conditions *conditions, const char *name, const char *text, size_t length,
                        struct error *err) {
    const struct field *field = field_named(conditions, name, err);
    if (!field) return -1;
    if (!has_text(field))
        return error_set(err, "a filter on '%s': it is a %s, not a string", name,
                         event_type_name(field->type));
    struct condition *condition = condition_of(conditions, field, err);
    if (!condition) return -1;
    if (condition->set && !condition->own) return set_stands_alone(name, err);
    if (!condition->own) condition->own = set_new(field->type == FIELD_ip ? SET_PREFIXES : SET_STRINGS);
    if (!condition->own) return error_set(err, "out of memory");
    condition->set = condition->own;
    return set_add(condition->own, text, length, 0, err);
}

int conditions_add_set(struct conditions *conditions, const char *name, const struct set *set,
                       struct error *err) {
    const struct field *field = field_named(conditions, name, err);
    if (!field) return -1;
    if (!has_text(field))
        return error_set(err, "a filter on '%s': a set cannot have a %s", name, event_type_name(field->type));
    if ((field->type == FIELD_ip) != (set_kind_of(set) == SET_PREFIXES))
        return error_set(err, "a filter on '%s': addresses go with prefix sets, and with no other", name);
    struct condition *condition = condition_of(conditions, field, err);
    if (!condition) return -1;
    if (condition->set) return set_stands_alone(name, err);
    condition->set = set;
    return 0;
}

int conditions_add_bpf(struct conditions *conditions, const char *expression, struct error *err) {
    if (conditions->schema != event_schema_of(EVENT_packet))
        return error_set(err, "bpf filters work on packet events only; filter %s events by their fields",
                         conditions->schema->name);
    if (conditions->bpf) return error_set(err, "one bpf filter a handler");
    conditions->bpf = filter_new(expression, err);
    return conditions->bpf ? 0 : -1;
}

static double number_of(const struct field *field, const uint8_t *at) {
    switch (field->type) {
    case FIELD_u8:
    case FIELD_bool:
        return *at;
    case FIELD_u16:
        return *(const uint16_t *)(const void *)at;
    case FIELD_u32:
        return *(const uint32_t *)(const void *)at;
    case FIELD_u64:
        return (double)*(const uint64_t *)(const void *)at;
    case FIELD_f64:
        return *(const double *)(const void *)at;
    default:
        return ns_to_seconds(*(const nanoseconds *)(const void *)at);
    }
}

int32_t field_find(const struct set *set, const struct field *field, const void *event, const char *text) {
    const uint8_t *at = (const uint8_t *)event + field->offset;
    if (field->type == FIELD_ip) return set_find_ip(set, (const struct ip *)(const void *)at);
    if (field->type == FIELD_word) {
        const char *word = *(const char *const *)(const void *)at;
        return word ? set_find(set, word, strlen(word)) : -1;
    }
    if (field->type != FIELD_str && field->type != FIELD_bytes) return -1;
    const struct text_ref *ref = (const struct text_ref *)(const void *)at;
    return ref->at ? set_find(set, text + ref->at, ref->length) : -1;
}

bool condition_holds(const struct condition *condition, const void *event, const char *text) {
    if (condition->number_count == 0) return field_find(condition->set, condition->field, event, text) >= 0;
    double value = number_of(condition->field, (const uint8_t *)event + condition->field->offset);
    for (uint32_t i = 0; i < condition->number_count; i++)
        if (condition->numbers[i] == value) return true;
    return false;
}

bool conditions_hold(const struct conditions *conditions, const void *event, const char *text) {
    for (uint32_t i = 0; i < conditions->count; i++)
        if (!condition_holds(&conditions->items[i], event, text)) return false;
    return true;
}
