/* An alert as the text of a comment: what it says, and what of its packets is in the file and what is not. */
#ifndef LUNETTE_SENSOR_RECALL_COMMENT_H
#define LUNETTE_SENSOR_RECALL_COMMENT_H

#include "event/alert.h"
#include "output/buffer.h"
#include "sensor/recall_ring.h"

enum { COMMENT_MOST = 24 * 1024 };

/* Appends lines of UTF-8 without control characters, at most COMMENT_MOST bytes, the last one without its
 * line feed. Long fields are cut and say so. */
void comment_alert(struct buffer *b, const struct alert *alert);

/* Where the file's packets come from, below comment_alert()'s lines. */
void comment_packets(struct buffer *b, const struct ring_wish *wish, const struct ring_found *found);

#endif
