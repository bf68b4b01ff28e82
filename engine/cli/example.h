/* An example of each event (lua-api/examples.txt): a record, and a handler. */
#ifndef LUNETTE_CLI_EXAMPLE_H
#define LUNETTE_CLI_EXAMPLE_H

#include "base/bytes.h"

#include <stdbool.h>

struct example {
    struct slice capture; /* the name of a file in examples/ */
    struct slice log;     /* the name of its host log there, empty if it has none */
    struct slice record;  /* a line of JSON */
    struct slice handler; /* lines of Lua, the last without a line end */
};

/* False if there is none for that event. The slices lie in the program. */
bool example_find(const char *event, struct example *example);

#endif
