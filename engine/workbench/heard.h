/* All that the detectors of one run said: alerts, reports, and facts as they stand at the end, kept to be
 * compared with what a test expects. */
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
    struct heard_fact *facts; /* one of a host and topic */
    size_t fact_count;
    bool failed; /* memory was short: something is missing */
};

void heard_alert(struct heard *heard, const struct alert *alert);
void heard_report(struct heard *heard, const struct report *report);
void heard_fact(struct heard *heard, const struct fact *fact);
void heard_clear(struct heard *heard);
size_t heard_alerts(const struct heard *heard);

/* Pushes { alerts = { { title =, severity =, evidence = { … }, time =, … }, … }, reports = { { title =,
 * columns = { … }, rows = { { … }, … } }, … }, facts = { { host =, topic =, text =, details = { … } }, … } }.
 */
void heard_push(const struct heard *heard, lua_State *lua);

/* The first alert that is not the same in both, from 0; -1 if there is none. */
ptrdiff_t heard_differ(const struct heard *a, const struct heard *b);

/* The topic of a fact that is not the same in both; NULL if there is none. */
const char *heard_facts_differ(const struct heard *a, const struct heard *b);

#endif
