/* Events from records: what -o wrote, or anything of that form, read back into events of the schema.
 *
 *      {"timestamp":"2024-06-11T08:39:22.122847+0000","event_type":"dns","src_ip":"192.168.1.20", … "dns":{ …
 * }}
 *
 * A line is a record, as EVE has it; a key means the field that events.def writes under it. What is absent is
 * zero or nil, keys that no field has are passed over, and so are records of what is no event (alerts,
 * reports, statistics, cards, scripts' own events). "timestamp" may also be a number: seconds since 1970.
 * A line that is no record, or has a value that its field cannot hold, is counted, and the first is told. */
#ifndef LUNETTE_SENSOR_EVENT_LOG_H
#define LUNETTE_SENSOR_EVENT_LOG_H

#include "base/error.h"
#include "base/words.h"
#include "sensor/made_event.h"

struct event_log;

struct event_log_figures {
    uint64_t lines, events;
    uint64_t passed; /* records of what is no event */
    uint64_t broken; /* no record, or one that the schema cannot hold */
};

/* Files are read one after the other; plain, gzip or zstd, "-" for standard input. `paths` and `words` are
 * borrowed. NULL and why if one cannot be opened. */
struct event_log *event_log_open(const char *const *paths, size_t count, struct words *words,
                                 struct error *err);
void event_log_close(struct event_log *log);

/* The next event and its time; borrowed until the next call. NULL at the end. `wants` [EVENT_KINDS]: others
 * are not made. */
const struct made_event *event_log_next(struct event_log *log, const bool *wants, nanoseconds *time);

const struct event_log_figures *event_log_figures(const struct event_log *log);

/* What whoever replays should know of a file, or NULL beyond the last. */
const char *event_log_warning(const struct event_log *log, size_t index);

#endif
