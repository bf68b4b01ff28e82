/* What `lunette top` shows: the sensor's last answer, what is remembered of those before it, and where the
 * reader looks. Drawn on a grid; knows nothing of terminals or sockets. */
#ifndef LUNETTE_CLI_TOP_VIEW_H
#define LUNETTE_CLI_TOP_VIEW_H

#include "base/error.h"
#include "cli/screen.h"

#include <jansson.h>

enum top_focus { FOCUS_ALL, FOCUS_TRAFFIC, FOCUS_DETECTORS, FOCUS_ALERTS, FOCUS_COUNT };

enum { TOP_HISTORY = 240 }; /* samples, one a second */

struct top_view {
    json_t *answer, *before; /* of GET /top; NULL: none yet */
    double packets[TOP_HISTORY], bits[TOP_HISTORY], drops[TOP_HISTORY];
    uint32_t samples;
    enum top_focus focus;
    uint32_t scroll[FOCUS_COUNT]; /* rows that are above what is seen */
    bool paused, help, asking;    /* asking: "reload?" */
    bool once;                    /* printed, not shown: no keys */
    char gone[256];               /* why the sensor does not answer, "" if it does */
    char message[256];            /* what came of the last command, "" for none */
};

/* Takes in an answer's text. -1 if it cannot be read. */
int top_view_feed(struct top_view *view, const char *body, struct error *err);
void top_view_free(struct top_view *view);

/* Draws all of it; corrects a scroll that went too far. */
void top_view_draw(struct top_view *view, struct screen *screen);

#endif
