/* The board as metrics in Prometheus' text format, version 0.0.4. */
#ifndef LUNETTE_SENSOR_METRICS_H
#define LUNETTE_SENSOR_METRICS_H

#include "output/buffer.h"
#include "sensor/board.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

void metrics_write(struct buffer *b, const struct board *board);

#endif
