/* Messages from the workers' detectors to the stage that gathers (lunette.send), on their way in bags.
 *
 * A detector's message is appended to the open bag of its worker, without a lock and without an allocation;
 * when the batch is done the whole bag is handed on (sensor/gather.h). Whoever takes it puts the messages of
 * all workers in one order that says nothing of workers and batches:
 *
 *      the clock when it was sent
 *      what sent it: timers, then events, then the end of the capture
 *      of events: the flow (addresses, ports, protocol), the event, the detector, the order of sending.
 *                 A flow is one worker's, so its own order is the same whoever has it
 *      of timers and ends: the detector, then key and value themselves: which worker was first means nothing
 *
 * An alert is a message too, to whoever asked for them (overhear.h): behind those that its event's handlers
 * sent. Alerts of the parts that gather come last of their clock. */
#ifndef LUNETTE_SCRIPT_MESSAGE_H
#define LUNETTE_SCRIPT_MESSAGE_H

#include "event/batch.h"
#include "script/api.h"

enum {
    MESSAGE_MOST = 64 * 1024, /* bytes of key and value */
    BAG_FIRST = 64 * 1024,
    BAG_MOST = 64 << 20, /* bytes, unless whoever takes it wants less */
};

enum message_cause { CAUSE_TIMER, CAUSE_EVENT, CAUSE_END, CAUSE_GATHERED };

enum { MESSAGE_TO_HEARERS = -1 }; /* as a detector: to all who hear alerts */

/* Followed by the bytes of the key, the value and the interface's name, and padded to 8. */
struct message {
    uint32_t size; /* with all that */
    uint8_t cause; /* enum message_cause */
    uint8_t key_kind, value_kind;
    uint32_t key_length, value_length, iface_length;
    uint32_t detector; /* its place among those that gather; whoever takes the message fills it in */
    uint32_t worker;   /* that sent it; likewise */
    uint64_t name;     /* digest of the detector's name, which a reload leaves as it is */
    uint64_t from;     /* of an alert: the same of who raised it; else 0 */
    uint64_t number;   /* in the order in which the detector sent them */
    double time, key_number, value_number;
    struct event_head_body head; /* of the event that was handled; if it was none, only its clock is there */
};

/* Messages of one worker, one after the other. */
struct bag {
    char *bytes;
    size_t used, room;
    size_t most; /* bytes it may hold; whoever takes bags sets it */
    uint32_t count;
    uint64_t lost; /* messages that did not fit, since it was last handed on */
    double least;  /* the earliest time of a message in it */
};

/* What a detector says; strings are borrowed. */
struct message_parts {
    const char *key, *value;
};

uint64_t message_name_digest(const char *name);

/* Appends a message whose fields but `size` are filled in. 0, or what was wrong, as in lunette_api.send. */
enum { BAG_FINE, BAG_TOO_LARGE, BAG_FULL };
int bag_add(struct bag *bag, const struct message *message, const struct message_parts *parts,
            const struct batch *batch);
/* Appends a copy of a message of another bag. */
int bag_copy(struct bag *bag, const struct message *message);
void bag_free(struct bag *bag);

/* Walks a bag: the message at `at`, which goes on to the next one; NULL at the end. */
struct message *bag_next(struct bag *bag, size_t *at);

const char *message_key(const struct message *message);
const char *message_value(const struct message *message);
const char *message_iface(const struct message *message);

/* The order that is told above. */
int message_compare(const struct message *a, const struct message *b);

#endif
