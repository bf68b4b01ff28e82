/* What detectors said in one run over a capture, kept for comparison with the next run.
 *
 * Two alerts are of one *subject* if detector, title, who and where are the same. Within a subject alerts
 * that are equal in all they say are taken for the same; of those left over, the n-th of before and the n-th
 * of now are one that changed; the rest is gone or new. */
#ifndef LUNETTE_WORKBENCH_ALERT_LIST_H
#define LUNETTE_WORKBENCH_ALERT_LIST_H

#include "event/alert.h"

#include <stddef.h>

struct alert_list;

struct alert_list *alert_list_new(void);
void alert_list_free(struct alert_list *list);

/* Copies the alert. -1 without memory. */
int alert_list_add(struct alert_list *list, const struct alert *alert);
/* Moves the one that was added last to its place by time and detector; returns where that is. */
size_t alert_list_settle(struct alert_list *list);

size_t alert_list_count(const struct alert_list *list);
/* In the order in which they were added; valid until the list is freed. */
const struct alert *alert_list_at(const struct alert_list *list, size_t index);

enum difference_kind { DIFFERENCE_NEW, DIFFERENCE_GONE, DIFFERENCE_CHANGED };

struct difference {
    enum difference_kind kind;
    const struct alert *before, *now; /* NULL where there is none */
};

/* Differences from `before` to `now`, by time. Owned by the caller, free(3); they point into both. NULL if
 * there are none, or no memory: then `failed` is set. */
struct difference *alert_list_compare(const struct alert_list *before, const struct alert_list *now,
                                      size_t *count, bool *failed);

/* Fields of an alert that people read, for saying what changed: name and text; false beyond the last. Numbers
 * are written into `room`. The time is one of them. */
enum { ALERT_FIELD_TEXT = 64 };
bool alert_field(const struct alert *alert, size_t index, const char **name, const char **text,
                 char room[ALERT_FIELD_TEXT]);

#endif
