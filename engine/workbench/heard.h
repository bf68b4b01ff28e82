/* All that the detectors of one run said: alerts and reports, kept to be compared with what a test expects.
 */
#ifndef LUNETTE_WORKBENCH_HEARD_H
#define LUNETTE_WORKBENCH_HEARD_H

#include "event/alert.h"
#include "workbench/alert_list.h"

#include <jansson.h>
#include <lua.h>

struct heard {
    struct alert_list *alerts;
    json_t **evidence; /* of each alert, parsed; NULL where it is no JSON */
    struct heard_report *reports;
    size_t report_count;
    bool failed; /* memory was short: something is missing */
};

void heard_alert(struct heard *heard, const struct alert *alert);
void heard_report(struct heard *heard, const struct report *report);
void heard_clear(struct heard *heard);
size_t heard_alerts(const struct heard *heard);

/* Pushes { alerts = { { title =, severity =, evidence = { … }, time =, … }, … }, reports = { { title =,
 * columns = { … }, rows = { { … }, … } }, … } }. */
void heard_push(const struct heard *heard, lua_State *lua);

/* The first alert that is not the same in both, from 0; -1 if there is none. */
ptrdiff_t heard_differ(const struct heard *a, const struct heard *b);

#endif
