/* The memory of one lunette.flow_state: an array with an entry for each slot of the flow table.
 *
 * It is reserved as large as the detector's memory may be, and paid for as far as slots are used: slots are
 * given out from below, and again, so that is the most flows that were open at one time. What scripts see of
 * it is told in flow_state.lua.
 *
 * In a reload the new detector's area and the old one's are the same pages for a while, since the old one
 * goes on if the reload is given up; they go with the last of the two. */
#ifndef LUNETTE_SCRIPT_FLOW_AREA_H
#define LUNETTE_SCRIPT_FLOW_AREA_H

#include "base/error.h"
#include "script/api.h"

#include <stdbool.h>
#include <stddef.h>

struct flow_area;

/* `size` of an entry, in bytes; `signature` tells its fields and is copied; `limit`: bytes it may grow to.
 * NULL and why if there is no address space. */
struct flow_area *flow_area_new(uint32_t size, const char *signature, size_t limit, struct error *err);
void flow_area_free(struct flow_area *area);

/* What Lua reads. */
struct lunette_flow_area *flow_area_shown(struct flow_area *area);

/* Makes the entry of a slot one that may be touched, with some more, for at most `room` bytes. Returns the
 * bytes that this takes, 0 if they are more. */
size_t flow_area_grow(struct flow_area *area, uint32_t slot, size_t room);

/* Goes on with what `old` has, if that has the same fields. False if not. */
bool flow_area_succeed(struct flow_area *area, const struct flow_area *old);

/* Bytes that were granted. */
size_t flow_area_memory(const struct flow_area *area);

#endif
