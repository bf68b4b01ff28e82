/* Alerts for those who asked to hear them (lunette.receive_alerts, in the part of a script that gathers).
 *
 *      a worker's detector raises one ─▶ a message in the worker's bag ─▶ sensor/gather.h ─┐
 *      a part that gathers raises one ─▶ kept, until all of its clock was handled ─────────┴─▶ those who
 * asked
 *
 * Workers make such messages only while somebody asks. Of the parts that gather, those who asked (hearers)
 * run after all others: the others handle what is before a clock, which may make them raise alerts; these are
 * put among the messages to the hearers, behind those of the same time, and then the hearers handle theirs.
 * So what they hear comes in one order, that of message.h. What hearers raise themselves is not heard by
 * other hearers: nobody talks in circles.
 *
 * The value of such a message is a table whose fields lua-api/README.md tells. One that is larger than a
 * message may be leaves its evidence out. */
#ifndef LUNETTE_SCRIPT_OVERHEAR_H
#define LUNETTE_SCRIPT_OVERHEAR_H

#include "event/alert.h"
#include "script/message.h"

#include <lua.h>

struct detector;
struct script_host;

struct overheard {
    uint32_t hearers;         /* detectors that asked; where messages are gathered */
    struct bag raised;        /* by the others that gather, and not heard yet */
    struct message **waiting; /* for the hearers, borrowed until they run */
    uint32_t count, room;
    uint64_t seq; /* the last number that a message was given */
    uint64_t lost;
};

/* An alert that the detector has raised, to whoever hears it. `evidence`: the stack's place of its evidence,
 * a table or nil. */
void overhear_tell(struct detector *detector, const struct alert *alert, lua_State *lua, int evidence);

/* Has it asked for alerts? */
bool detector_overhears(const struct detector *detector);

/* Of a host that gathers: counts its hearers; keeps a message for them, if it is one; lets them handle all
 * that is before `before` seconds. */
void overhear_arrange(struct script_host *host);
bool overhear_keep(struct script_host *host, struct message *message);
void overhear_run(struct script_host *host, double before);
void overhear_free(struct script_host *host);

#endif
