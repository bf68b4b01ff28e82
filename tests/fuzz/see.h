/* Looks at every field of an event: references must lie within the batch's text, words must be readable. */
#ifndef LUNETTE_TESTS_FUZZ_SEE_H
#define LUNETTE_TESTS_FUZZ_SEE_H

#include "event/batch.h"

/* Aborts if a reference leads out of the text. */
void see_event(const struct batch *batch, enum event_kind kind, const void *event);

#endif
