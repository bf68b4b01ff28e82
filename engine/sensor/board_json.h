/* The board as JSON: what the control socket answers. Times are EVE's text in UTC, durations seconds, memory
 * bytes; what there is not is null. Each function appends one value. */
#ifndef LUNETTE_SENSOR_BOARD_JSON_H
#define LUNETTE_SENSOR_BOARD_JSON_H

#include "output/buffer.h"
#include "sensor/board.h"

/* An object: the sensor itself, rates, drops, flows, interfaces, workers, outputs, reloads. */
void board_json_status(struct buffer *b, const struct board *board);

/* Arrays of objects. */
void board_json_scripts(struct buffer *b, const struct board *board);
void board_json_hosts(struct buffer *b, const struct board *board);
void board_json_names(struct buffer *b, const struct board *board);
void board_json_alerts(struct buffer *b, const struct board *board, uint32_t limit); /* newest first */

#endif
