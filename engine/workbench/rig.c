/* See rig.h. */
#include "workbench/rig.h"

#include "base/log.h"
#include "base/words.h"
#include "capture/capture.h"
#include "sensor/gather.h"
#include "sensor/worker.h"

#include <stdlib.h>

enum { FRAGMENT_MEMORY = 16 << 20, USUAL_BATCH = BATCH_EVENTS };

struct rig {
    struct rig_options options;
    struct worker_options worker_options;
    struct home *home;
    struct words *words; /* of its own, or NULL: the options bring some */
    struct gather *gather;
    struct worker *worker;
    bool finished;
    struct capture *capture; /* while it is read */
};

static const char *interface_name(void *context, uint8_t interface) {
    const struct rig *rig = context;
    return rig->capture ? capture_interface_name(rig->capture, interface) : "";
}

static void on_event(void *context, enum event_kind kind, const void *event, const struct batch *batch) {
    const struct rig_options *options = &((struct rig *)context)->options;
    if (options->on_event) options->on_event(options->context, kind, event, batch);
}

static void on_alert(void *context, const struct alert *alert) {
    const struct rig_options *options = &((struct rig *)context)->options;
    if (options->on_alert) options->on_alert(options->context, alert);
}

static void on_report(void *context, const struct report *report) {
    const struct rig_options *options = &((struct rig *)context)->options;
    if (options->on_report) options->on_report(options->context, report);
}

static void on_fact(void *context, const struct fact *fact) {
    const struct rig_options *options = &((struct rig *)context)->options;
    if (options->on_fact) options->on_fact(options->context, fact);
}

static void on_custom(void *context, struct custom_schema *schema, const void *event, const char *text) {
    const struct rig_options *options = &((struct rig *)context)->options;
    if (options->on_custom) options->on_custom(options->context, schema, event, text);
}

static int rig_open(struct rig *rig, struct error *err) {
    const struct rig_options *options = &rig->options;
    rig->home = home_new(options->home_networks, err);
    if (!rig->home) return error_is_usage(err);
    if (!options->words && !(rig->words = words_new(WORDS_USUAL, WORDS_USUAL_BYTES, err))) return -1;
    const struct gather_options gather = {
        .workers = 1, .context = rig, .on_alert = on_alert, .on_report = on_report, .on_fact = on_fact};
    rig->gather = gather_new(&gather, err);
    if (!rig->gather) return -1;
    rig->worker_options = (struct worker_options){
        .host_logs = &rig->options.host_logs,
        .filter = options->filter,
        .batch_limit = options->batch_limit ? options->batch_limit : USUAL_BATCH,
        .fragment_memory = FRAGMENT_MEMORY,
        .flow = flow_config_defaults(),
        .words = options->words ? options->words : rig->words,
        .scripts = options->scripts,
        .home = rig->home,
        .workers = 1,
        .context = rig,
        .interface_name = interface_name,
        .wanted = options->wanted,
        .on_event = options->on_event ? on_event : NULL,
        .on_custom = options->on_custom ? on_custom : NULL,
        .on_alert = on_alert,
        .on_report = on_report,
        .on_fact = on_fact,
        .gather = rig->gather,
    };
    rig->worker = worker_new(&rig->worker_options, err);
    return rig->worker ? gather_employ(rig->gather, worker_scripts(rig->worker), err) : -1;
}

struct rig *rig_new(const struct rig_options *options, struct error *err) {
    struct rig *rig = calloc(1, sizeof *rig);
    if (!rig) {
        error_set(err, "out of memory");
        return NULL;
    }
    rig->options = *options;
    if (rig_open(rig, err) == 0) return rig;
    rig_free(rig);
    return NULL;
}

/* Left in the middle: flows are ended nevertheless, for what parsers own, but nobody hears of it. */
static void rig_abandon(struct rig *rig) {
    rig->options.on_alert = NULL;
    rig->options.on_report = NULL;
    rig->options.on_fact = NULL;
    rig->options.on_event = NULL;
    rig->options.on_custom = NULL;
    rig_finish(rig);
}

void rig_free(struct rig *rig) {
    if (!rig) return;
    if (rig->worker && !rig->finished) rig_abandon(rig);
    worker_free(rig->worker);
    gather_free(rig->gather);
    home_free(rig->home);
    words_free(rig->words);
    free(rig);
}

int rig_captures(struct rig *rig, const char *const *paths, size_t count, bool (*go_on)(void *context),
                 struct error *err) {
    struct packet packets[PACKET_BURST];
    rig->capture = capture_open(paths, count, err);
    if (!rig->capture) return -1;
    int n;
    while ((n = capture_next_burst(rig->capture, packets)) > 0) {
        worker_packets(rig->worker, packets, n);
        if (go_on && !go_on(rig->options.context)) break;
    }
    for (size_t i = 0; capture_warning(rig->capture, i); i++)
        log_line(LOG_WARNING, "%s", capture_warning(rig->capture, i));
    if (n == 0) worker_play_rest(rig->worker);
    worker_tick(rig->worker);
    capture_close(rig->capture);
    rig->capture = NULL;
    return 0;
}

void rig_packets(struct rig *rig, const struct packet *packets, size_t count) {
    for (size_t done = 0; done < count; done += PACKET_BURST) {
        size_t left = count - done;
        worker_packets(rig->worker, packets + done, (int)(left < PACKET_BURST ? left : PACKET_BURST));
    }
}

void rig_finish(struct rig *rig) {
    rig->finished = true;
    worker_finish(rig->worker);
}

struct worker *rig_worker(struct rig *rig) {
    return rig->worker;
}

struct script_host *rig_gatherer(struct rig *rig) {
    return gather_scripts(rig->gather);
}
