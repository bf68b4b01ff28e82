/* See minutes.h. */
#include "sensor/minutes.h"

static const nanoseconds minute = 60 * NS_PER_SECOND;

void minutes_forget(struct minutes *minutes) {
    if (minutes->count < 2) return;
    minutes->notes[0] = minutes->notes[minutes->count - 1];
    minutes->count = 1;
}

void minutes_note(struct minutes *minutes, nanoseconds clock, const struct capture_figures *figures) {
    if (clock < minutes->due) return;
    if (minutes->count == MINUTES_KEPT) minutes_forget(minutes);
    minutes->notes[minutes->count].minute = clock / minute;
    minutes->notes[minutes->count++].figures = *figures;
    minutes->due = (clock / minute + 1) * minute;
}

const struct capture_figures *minutes_at(const struct minutes *minutes, nanoseconds clock,
                                         const struct capture_figures *now) {
    for (unsigned i = 0; i < minutes->count; i++)
        if (minutes->notes[i].minute >= clock / minute) return &minutes->notes[i].figures;
    return now;
}
