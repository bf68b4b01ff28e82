/* Events as lines of JSON in the shape of Suricata's EVE (docs.suricata.io, "EVE JSON Format"), which log
 * tools already read.
 *
 * At start each kind's field table is turned into a program: a flat list of steps, each with its key text
 * ready and the object it belongs to. Writing a record is a walk along that list. Objects are opened when
 * their first field that has a value comes along, so none is empty. */
#ifndef LUNETTE_OUTPUT_EVE_H
#define LUNETTE_OUTPUT_EVE_H

#include "base/error.h"
#include "event/alert.h"
#include "event/batch.h"
#include "event/custom.h"
#include "output/buffer.h"

struct eve;

/* A figure of the statistics: "decoder.pkts". Figures of one object stand together. */
struct stat_figure {
    const char *name;
    uint64_t value;
};

/* Makes the programs of all kinds. Fails if the fields of an object in events.def do not stand together.
 * Read-only from then on: all workers share one. */
struct eve *eve_new(struct error *err);
void eve_free(struct eve *eve);

/* Each of these appends one line, line feed included. `batch` holds the text that the event's references
 * point to. */
void eve_event(const struct eve *eve, struct buffer *b, enum event_kind kind, const void *event,
               const struct batch *batch);

/* The same for an event that a script declared: "redis.command" with its fields in "redis":{"command":{…}}. `text` is
 * what its references point to. The program is made when the first one comes, and kept with the schema. */
void eve_custom(struct buffer *b, struct custom_schema *custom, const void *event, const char *text);

/* `batch` may be NULL if the alert has no head. */
void eve_alert(const struct eve *eve, struct buffer *b, const struct alert *alert, const struct batch *batch);

/* What the sensor says of itself. `severity` 0: none. `members` is a JSON object whose members go in as they
 * are, or NULL. */
void eve_sensor(struct buffer *b, nanoseconds time, const char *what, uint8_t severity, const char *message,
                const char *members);
void eve_report(struct buffer *b, const struct report *report);
void eve_stats(struct buffer *b, nanoseconds time, const struct stat_figure *figures, uint32_t count);

/* The number that stands for an alert's kind in signature_id: made from detector and title, the same in every
 * run, 1 to 2^31 - 1. */
uint32_t eve_signature_id(const char *detector, const char *title);

#endif
