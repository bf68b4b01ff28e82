/* What condition.c (how a filter is put together) and offer.c (how all filters are asked) share; nobody else
 * includes this. */
#ifndef LUNETTE_SCRIPT_CONDITION_INNER_H
#define LUNETTE_SCRIPT_CONDITION_INNER_H

#include "script/condition.h"

enum { CONDITION_LIMIT = 16, NUMBER_LIMIT = 64 };

struct condition {
    const struct field *field;
    uint32_t number_count; /* > 0: `numbers` decide, else `set` */
    double numbers[NUMBER_LIMIT];
    struct set *own;       /* built from texts */
    const struct set *set; /* `own` or the script's */
};

struct conditions {
    const struct event_schema *schema;
    uint32_t count;
    struct condition items[CONDITION_LIMIT];
    struct filter *bpf;
};

bool condition_holds(const struct condition *condition, const void *event, const char *text);

#endif
