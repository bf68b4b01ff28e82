/* What happens in a test's case: packets, events made without packets, captures; told in any order, played on
 * a rig in the order of time. The same story may be played many times.
 *
 * What is told at the same time is played in the order in which it was told. Bytes are copied. */
#ifndef LUNETTE_WORKBENCH_STORY_H
#define LUNETTE_WORKBENCH_STORY_H

#include "sensor/made_event.h"
#include "workbench/rig.h"

struct story;

struct story *story_new(void); /* NULL without memory */
void story_free(struct story *story);

/* -1 and why: without memory, or when the story has grown beyond its bound. */
enum { STORY_STEPS = 4 * 1000 * 1000, STORY_BYTES = 256 << 20 };
int story_packet(struct story *story, nanoseconds time, const void *bytes, uint32_t length,
                 struct error *err);
int story_event(struct story *story, nanoseconds time, const struct made_event *event, struct error *err);

/* Captures merged by time; they are told whole, from their first packet to their last, whose times are put
 * into `first` and `last`. A capture without packets has a `last` of -1 and is not played. */
int story_capture(struct story *story, const char *const *paths, size_t count, nanoseconds *first,
                  nanoseconds *last, struct error *err);

/* A host log ("[ADDRESS,…=]FILE", endpoint/hosts.h) that the rig is to have: story_host_logs() tells it all
 * of them, borrowed until the next is added. */
int story_host_log(struct story *story, const char *word, struct error *err);
struct endpoint_logs story_host_logs(const struct story *story);

/* Plays it, and lets the rig's clock come to `end`. The rig is not finished. -1 and why if a capture that was
 * there is gone. `home_networks` are the rig's. */
int story_play(struct story *story, struct rig *rig, const char *home_networks, nanoseconds end,
               struct error *err);

/* Writes the packets (not those of captures) as pcapng, in the order of time. Does nothing if there are none.
 * -1 and why if the file cannot be written. */
int story_save(struct story *story, const char *path, const char *comment, struct error *err);

#endif
