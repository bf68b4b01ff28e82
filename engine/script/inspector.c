/* See inspector.h. The detector's feed is given one entry, the event at hand, so that alerts raised at the
 * prompt carry it. */
#include "script/inspector.h"

#include "script/state.h"

#include <stdlib.h>
#include <string.h>

struct inspector {
    struct inspector_options options;
    struct detector *detector;
};

static void on_alert(void *context, const struct alert *alert, const struct alert_place *place) {
    const struct inspector *inspector = context;
    (void)place;
    if (inspector->options.on_alert) inspector->options.on_alert(inspector->options.context, alert);
}

static void on_report(void *context, const struct report *report) {
    (void)context, (void)report; /* reports are for the end of a capture */
}

static void on_answer(void *context, const char *what, const char *text) {
    const struct inspector *inspector = context;
    inspector->options.answer(inspector->options.context, what, text);
}

struct inspector *inspector_new(const struct inspector_options *options, struct error *err) {
    struct inspector *inspector = calloc(1, sizeof *inspector);
    if (!inspector) {
        error_set(err, "out of memory");
        return NULL;
    }
    inspector->options = *options;
    const struct detector_options detector_options = {
        .path = "console",
        .text = "",
        .memory_limit = options->memory_limit ? options->memory_limit : DETECTOR_MEMORY,
        .time_limit =
            10 * NS_PER_SECOND, /* a line that never ends takes the prompt's state with it, and no more */
        .batch = options->batch,
        .context = inspector,
        .on_alert = on_alert,
        .on_report = on_report,
        .on_answer = on_answer,
    };
    inspector->detector = detector_load(&detector_options, err);
    if (inspector->detector) return inspector;
    free(inspector);
    return NULL;
}

void inspector_free(struct inspector *inspector) {
    if (!inspector) return;
    detector_free(inspector->detector);
    free(inspector);
}

bool inspector_ask(struct inspector *inspector, enum event_kind kind, const void *event, const char *what,
                   const char *line) {
    uint32_t index = 0;
    if (event) {
        const struct batch *batch = inspector->options.batch;
        index =
            (uint32_t)((size_t)((const uint8_t *)event - batch->slots[kind]) / event_schema_of(kind)->size);
    }
    detector_ask(inspector->detector, event ? kind : EVENT_head, index, event, what, line);
    return inspector->detector->lua != NULL;
}
