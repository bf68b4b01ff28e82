/* Which handlers want an event: the filters of all detectors as one table for each kind.
 *
 * Twenty detectors ask much the same of an event: is the client local, is the protocol TCP, is the name
 * Apple's. So equal conditions are one *check*, whoever's they are; what it said of the event at hand is a
 * bit, and it is asked only when a handler's fate hangs on it. Checks are numbered from cheap to dear, and a
 * handler's are asked in that order. */
#ifndef LUNETTE_SCRIPT_OFFER_H
#define LUNETTE_SCRIPT_OFFER_H

#include "event/schema.h"

#include <stdbool.h>
#include <stdint.h>

struct batch;
struct detector;
struct offers;

/* For detectors whose scripts are loaded, and which take part in a relay or do not. Borrowed, with their
 * filters. NULL without memory. */
struct offers *offers_new(struct detector *const *detectors, uint32_t count);
void offers_free(struct offers *offers);

/* Notes the event with each detector that wants it, which must be the next one of the batch; false: nobody.
 */
bool offers_make(struct offers *offers, const struct batch *batch, enum event_kind kind, uint32_t index,
                 const void *event);

/* A packet is at hand, of which an event may be made. */
struct packet_wish {
    bool wanted;  /* by a handler, as far as its bpf filter says */
    bool payload; /* with its payload */
};
struct packet;
struct packet_wish offers_packet(struct offers *offers, const struct packet *packet);

/* No handler of packets has a filter, and none of their detectors takes part in a relay: then each packet's
 * event is for all of them, and what offers_make() would find out needs no asking. False: nobody is there. */
bool offers_packets_are_plain(const struct offers *offers);
bool offers_plain_packet(struct offers *offers, uint32_t index, nanoseconds clock);

#endif
