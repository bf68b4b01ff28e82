/* What detectors said in one run over a capture, kept for comparison with the next run.
 *
 * Two alerts are of one *subject* if detector, title, who and where are the same. Within a subject alerts
 * that are equal in all they say are taken for the same; of those left over, the n-th of before and the n-th
 * of now are one that changed; the rest is gone or new. */
#ifndef LUNETTE_WORKBENCH_FINDINGS_H
#define LUNETTE_WORKBENCH_FINDINGS_H

#include "event/alert.h"

#include <stddef.h>

struct findings;

struct findings *findings_new(void);
void findings_free(struct findings *findings);

/* Copies the alert. -1 without memory. */
int findings_add(struct findings *findings, const struct alert *alert);

size_t findings_count(const struct findings *findings);
/* In the order in which they were added; valid until the findings are freed. */
const struct alert *findings_at(const struct findings *findings, size_t index);

enum difference_kind { DIFFERENCE_NEW, DIFFERENCE_GONE, DIFFERENCE_CHANGED };

struct difference {
    enum difference_kind kind;
    const struct alert *before, *now; /* NULL where there is none */
};

/* Differences from `before` to `now`, by time. Owned by the caller, free(3); they point into both. NULL if
 * there are none, or no memory: then `failed` is set. */
struct difference *findings_compare(const struct findings *before, const struct findings *now, size_t *count,
                                    bool *failed);

/* Fields of an alert that people read, for saying what changed: name and text; false beyond the last. Numbers
 * are written into `room`. The time is one of them. */
enum { FINDING_TEXT = 64 };
bool finding_field(const struct alert *alert, size_t index, const char **name, const char **text,
                   char room[FINDING_TEXT]);

#endif
