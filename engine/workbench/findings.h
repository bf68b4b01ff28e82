/* What the detectors of one run said: alerts and reports, kept to be compared with what a test expects. */
#ifndef LUNETTE_WORKBENCH_FINDINGS_H
#define LUNETTE_WORKBENCH_FINDINGS_H

#include "event/alert.h"

#include <lua.h>

struct findings {
    struct found_alert *alerts;
    size_t alert_count;
    struct found_report *reports;
    size_t report_count;
    bool failed; /* memory was short: something is missing */
};

void findings_alert(struct findings *findings, const struct alert *alert);
void findings_report(struct findings *findings, const struct report *report);
void findings_clear(struct findings *findings);

/* Pushes { alerts = { { title =, severity =, evidence = { … }, time =, … }, … }, reports = { { title =,
 * columns = { … }, rows = { { … }, … } }, … } }. */
void findings_push(const struct findings *findings, lua_State *lua);

/* The first alert that is not the same in both, from 0; -1 if there is none. */
ptrdiff_t findings_differ(const struct findings *a, const struct findings *b);

#endif
