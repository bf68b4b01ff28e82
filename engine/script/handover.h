/* What a detector remembers, as bytes: for the detector that takes its place in a reload, and for the disk.
 *
 * Named state with keys, ages, places and the hand of the second-chance clock; the phases of the timers that
 * the body set; the cooldowns of alerts, which are a named state of their own. Writing takes no memory of the
 * Lua state, so that it can do no harm to one near its bound. */
#ifndef LUNETTE_SCRIPT_HANDOVER_H
#define LUNETTE_SCRIPT_HANDOVER_H

#include "script/plain.h"
#include "script/state.h"

struct handover_figures {
    uint64_t kept, lost; /* entries; lost are also those that lost a field */
    uint64_t timers_lost;
    uint64_t written; /* entries */
};

/* Appends to `out`. `by_reference`: for a reader in this process, who reads while the detector is as it is:
 * its records are not copied. -1 and why if there is no memory (the detector goes on), or none of the
 * detector is left. */
int handover_write(struct detector *detector, bool by_reference, struct outgoing *out,
                   struct handover_figures *figures, struct error *err);

/* Fills a detector that was loaded and not started. `trusted`: the bytes come from this process and were
 * written by reference. -1 and why if they make no sense or do not fit into its bound: then the detector is
 * in no fit state, and to be freed.
 */
int handover_read(struct detector *detector, const void *bytes, size_t size, bool trusted,
                  struct handover_figures *figures, struct error *err);

/* For the boot of a state: references to what the two enter Lua by. `kept` is at the top of the stack, and
 * popped. */
void handover_prepare(lua_State *lua, struct detector *detector);

/* A frame for the disk, with version, length and checksum: opened before anything is written, sealed after.
 */
void handover_open(struct outgoing *out);
void handover_seal(struct outgoing *out);

/* What is in the frame. -1 and why if it is damaged, or of another version. */
int handover_unseal(const void *bytes, size_t size, struct slice *inside, struct error *err);

#endif
