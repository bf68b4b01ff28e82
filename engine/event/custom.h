/* An event that a script declared (lunette.event), as those see it that come after the scripts: a schema like
 * an engine event's, so that whoever walks the table of fields needs no more to write one. */
#ifndef LUNETTE_EVENT_CUSTOM_H
#define LUNETTE_EVENT_CUSTOM_H

#include "event/schema.h"

struct custom_schema {
    struct event_schema schema; /* name: "redis.command"; its fields' keys: "redis.command.verb" */
    /* What the writer of records keeps with it, and how that is freed. One thread at a time. */
    void *note;
    void (*note_free)(void *note);
};

#endif
