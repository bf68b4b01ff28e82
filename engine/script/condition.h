/* The filter of one handler: conditions on fields that must all hold before an event is made for it. */
#ifndef LUNETTE_SCRIPT_CONDITION_H
#define LUNETTE_SCRIPT_CONDITION_H

#include "base/error.h"
#include "capture/filter.h"
#include "event/schema.h"
#include "script/set.h"

#include <stdbool.h>

struct conditions;

/* `schema` is the event's: the engine's, or one that a script declared. It must outlive the conditions. */
struct conditions *conditions_new(const struct event_schema *schema);
void conditions_free(struct conditions *conditions);

/* Each call adds an alternative for the field: it holds if any of them does. All return -1 and a reason if
 * the value does not fit the field's type. A set stands alone: there are no alternatives to it. It is
 * borrowed and must outlive the conditions. */
int conditions_add_number(struct conditions *conditions, const char *field, double value, struct error *err);
int conditions_add_text(struct conditions *conditions, const char *field, const char *text, size_t length,
                        struct error *err);
int conditions_add_set(struct conditions *conditions, const char *field, const struct set *set,
                       struct error *err);

/* Bytes in use. */
size_t conditions_memory(const struct conditions *conditions);

/* For `packet`: a pcap-filter(7) expression over the whole frame. */
int conditions_add_bpf(struct conditions *conditions, const char *expression, struct error *err);

/* NULL if there is none. */
struct filter *conditions_bpf(const struct conditions *conditions);

/* `text` is the batch's text. The bpf filter is not looked at here: it needs the packet. */
bool conditions_hold(const struct conditions *conditions, const void *event, const char *text);

/* Looks a field of an event up in a set, whatever its type: -1 if it is absent or not there. */
int32_t field_find(const struct set *set, const struct field *field, const void *event, const char *text);

#endif
