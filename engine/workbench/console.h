/* `lunette console`: a capture gone through event by event, with a prompt at each stop.
 *
 * The rig runs as in a replay; when an event comes that the person wants to see, its callback holds the run
 * there and reads lines until one lets it go on. So the event lies in its batch, detectors have handled it,
 * and `e` is a view as a handler gets it. */
#ifndef LUNETTE_WORKBENCH_CONSOLE_H
#define LUNETTE_WORKBENCH_CONSOLE_H

#include "output/terminal.h"
#include "workbench/rig.h"

struct console_options {
    struct rig_options rig; /* callbacks and batch are the console's own */
    const char *const *captures;
    size_t capture_count;
    struct terminal_style style;
};

/* Until the person leaves. -1 and why if the captures or scripts cannot be opened. */
int console_run(const struct console_options *options, struct error *err);

#endif
