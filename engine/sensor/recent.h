/* Who was busy lately: local hosts and servers' names by the bytes of their flows that ended in the last five
 * to ten minutes.
 *
 * Two windows of five minutes each: one that fills and the one before. A worker keeps its own. */
#ifndef LUNETTE_SENSOR_RECENT_H
#define LUNETTE_SENSOR_RECENT_H

#include "event/batch.h"
#include "sensor/board.h"

struct recent;

struct recent *recent_new(void); /* NULL if memory is short */
void recent_free(struct recent *recent);

void recent_flow(struct recent *recent, const struct event_flow *flow, const struct batch *batch);

/* Moves the windows on. */
void recent_advance(struct recent *recent, nanoseconds now);

/* Adds the busiest to what `hosts` and `names` hold already, most bytes first; the counts are updated. */
void recent_hosts(const struct recent *recent, struct board_top *hosts, uint32_t *count);
void recent_names(const struct recent *recent, struct board_top *names, uint32_t *count);

/* Adds `more` to a list of at most BOARD_TOP, merging the same name, most bytes first. */
void recent_merge(struct board_top *list, uint32_t *count, const struct board_top *more, uint32_t more_count);

#endif
