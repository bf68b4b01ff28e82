/* See host.h. Alerts wait in `pending` until the batch is done; their strings are copied into one buffer a
 * batch. */
#include "script/host.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEFAULT_SCRIPT_MEMORY = 256 * 1024 * 1024, PACKET_PAYLOAD = 2048 };

struct pending_alert {
    struct alert_place place;
    uint32_t detector;
    uint32_t number;
    struct alert alert; /* its strings are owned: one allocation at alert.title */
};

struct script_host {
    struct batch *batch;
    struct script_sink sink;
    struct detector **detectors;
    uint32_t count;
    char **failed; /* paths of those that could not be loaded */
    uint32_t failed_count;
    bool wants[EVENT_KINDS];
    struct pending_alert *pending;
    uint32_t pending_count, pending_room;
    uint64_t pending_lost;
};

/* ------------------------------------------------------------------ alerts */

/* Copies all strings of an alert into one allocation, which begins with the title. */
static bool alert_own(struct alert *alert) {
    const char **fields[] = {&alert->title, &alert->category, &alert->attack, &alert->who,
                             &alert->where, &alert->why,      &alert->next,   &alert->evidence};
    size_t total = 0;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) total += strlen(*fields[i]) + 1;
    char *text = malloc(total);
    if (!text) return false;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        size_t n = strlen(*fields[i]) + 1;
        memcpy(text, *fields[i], n);
        *fields[i] = text;
        text += n;
    }
    return true;
}

static void host_on_alert(void *context, const struct alert *alert, const struct alert_place *place) {
    struct script_host *host = context;
    if (host->pending_count == host->pending_room) {
        uint32_t room = host->pending_room ? host->pending_room * 2 : 64;
        struct pending_alert *grown = realloc(host->pending, room * sizeof *grown);
        if (!grown) {
            host->pending_lost++;
            return;
        }
        host->pending = grown;
        host->pending_room = room;
    }
    struct pending_alert *pending = &host->pending[host->pending_count];
    *pending = (struct pending_alert){.place = *place,
                                      .detector = alert->detector_index,
                                      .number = host->pending_count,
                                      .alert = *alert};
    if (alert_own(&pending->alert))
        host->pending_count++;
    else
        host->pending_lost++;
}

static void host_on_report(void *context, const struct report *report) {
    struct script_host *host = context;
    host->sink.on_report(host->sink.context, report);
}

static int compare_u64(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

static int compare_pending(const void *left, const void *right) {
    const struct pending_alert *a = left, *b = right;
    if (a->place.now != b->place.now) return a->place.now < b->place.now ? -1 : 1;
    if (a->place.seq != b->place.seq) return compare_u64(a->place.seq, b->place.seq);
    if (a->place.in_timer != b->place.in_timer) return a->place.in_timer ? 1 : -1;
    if (a->detector != b->detector) return compare_u64(a->detector, b->detector);
    return compare_u64(a->number, b->number);
}

static void pending_deliver(struct script_host *host, struct pending_alert *pending) {
    host->sink.on_alert(host->sink.context, &pending->alert);
    free((char *)pending->alert.title);
}

/* Is the alert to be told before the event? */
static bool pending_precedes(const struct pending_alert *pending, const struct event_head_body *head) {
    double clock = ns_to_seconds(head->clock);
    return pending->place.now != clock ? pending->place.now < clock : pending->place.seq < head->seq;
}

/* Events of the batch and alerts, merged. */
static void host_deliver(struct script_host *host) {
    struct batch *batch = host->batch;
    if (host->pending_count > 1)
        qsort(host->pending, host->pending_count, sizeof *host->pending, compare_pending);
    uint32_t next = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        enum event_kind kind = (enum event_kind)batch->order[i].kind;
        const void *event = batch->slots[kind] + (size_t)batch->order[i].index * event_schema_of(kind)->size;
        while (next < host->pending_count && pending_precedes(&host->pending[next], event))
            pending_deliver(host, &host->pending[next++]);
        if (host->sink.record[kind]) host->sink.on_event(host->sink.context, kind, event, batch);
    }
    while (next < host->pending_count) pending_deliver(host, &host->pending[next++]);
    host->pending_count = 0;
    if (host->pending_lost) {
        log_line(LOG_WARNING, "%llu alerts were lost: there is no memory for them",
                 (unsigned long long)host->pending_lost);
        host->pending_lost = 0;
    }
}

/* ---------------------------------------------------------- batch listener */

static bool host_offer(void *context, enum event_kind kind, uint32_t index, const void *event) {
    struct script_host *host = context;
    bool wanted = host->sink.record[kind];
    for (uint32_t i = 0; i < host->count; i++)
        wanted |= detector_offer(host->detectors[i], kind, index, event);
    return wanted;
}

static void host_refresh_wants(struct script_host *host) {
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++) {
        host->wants[kind] = host->sink.record[kind];
        for (uint32_t i = 0; i < host->count && !host->wants[kind]; i++)
            host->wants[kind] = detector_handles(host->detectors[i], (enum event_kind)kind);
    }
}

static void host_drink(void *context) {
    struct script_host *host = context;
    for (uint32_t i = 0; i < host->count; i++) detector_run(host->detectors[i], host->batch->clock);
    host_deliver(host);
    host_refresh_wants(host); /* a detector may have been switched off */
    if (host->sink.on_drained) host->sink.on_drained(host->sink.context, host->batch->clock);
}

/* ----------------------------------------------------------------- loading */

/* --set, records and the summary know a detector by its name alone. */
static int host_check_name(const struct script_host *host, const struct detector *detector,
                           struct error *err) {
    for (uint32_t i = 0; i < host->count; i++) {
        const struct detector *other = host->detectors[i];
        if (strcmp(detector_name(other), detector_name(detector)) != 0) continue;
        error_set(err, "two detectors are called %s: %s and %s", detector_name(detector),
                  detector_path(other), detector_path(detector));
        return error_is_usage(err);
    }
    return 0;
}

static void warn_if_idle(const struct detector *detector) {
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++)
        if (detector_handles(detector, (enum event_kind)kind)) return;
    log_line(LOG_WARNING, "%s asks for no events (lunette.on), so it will see nothing",
             detector_path(detector));
}

static int host_add_failed(struct script_host *host, const char *path, struct error *err) {
    char **grown = realloc(host->failed, (host->failed_count + 1) * sizeof *grown);
    if (!grown) return error_set(err, "out of memory");
    host->failed = grown;
    char *copy = strdup(path);
    if (!copy) return error_set(err, "out of memory");
    host->failed[host->failed_count++] = copy;
    return 0;
}

static int host_load(struct script_host *host, const struct script_options *options, const char *path,
                     struct error *err) {
    struct detector **grown = realloc(host->detectors, (host->count + 1) * sizeof *grown);
    if (!grown) return error_set(err, "out of memory");
    host->detectors = grown;
    const struct detector_options detector_options = {
        .path = path,
        .index = host->count,
        .memory_limit = options->memory_limit ? options->memory_limit : DEFAULT_SCRIPT_MEMORY,
        .settings = options->settings,
        .setting_count = options->setting_count,
        .batch = host->batch,
        .quiet = options->quiet,
        .context = host,
        .on_alert = host_on_alert,
        .on_report = host_on_report,
    };
    struct error why;
    struct detector *detector = detector_load(&detector_options, &why);
    if (detector && host_check_name(host, detector, err) < 0) {
        detector_free(detector);
        return -1;
    }
    if (detector) {
        if (!options->quiet) warn_if_idle(detector);
        host->detectors[host->count++] = detector;
        return 0;
    }
    if (strncmp(why.text, "--set ", 6) == 0) { /* alerts.lua: the value or the key is wrong */
        error_set(err, "%s", why.text);
        return error_is_usage(err);
    }
    if (!options->quiet) log_line(LOG_ERROR, "this detector is left out: %s", why.text);
    return host_add_failed(host, path, err);
}

static int is_script(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 4 && strcmp(entry->d_name + length - 4, ".lua") == 0;
}

static int host_load_folder(struct script_host *host, const struct script_options *options,
                            const char *folder, struct error *err) {
    struct dirent **entries;
    int n = scandir(folder, &entries, is_script, alphasort);
    if (n < 0) {
        error_set(err, "%s: %s", folder, strerror(errno));
        return error_is_usage(err);
    }
    int outcome = 0;
    if (n == 0) {
        error_set(err, "no scripts in %s", folder);
        outcome = error_is_usage(err);
    }
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (outcome == 0) outcome = host_load(host, options, path, err);
        free(entries[i]);
    }
    free(entries);
    return outcome;
}

static int host_load_path(struct script_host *host, const struct script_options *options, const char *path,
                          struct error *err) {
    struct stat status;
    if (stat(path, &status) < 0) {
        error_set(err, "no script %s: %s", path, strerror(errno));
        return error_is_usage(err);
    }
    if (S_ISDIR(status.st_mode)) return host_load_folder(host, options, path, err);
    return host_load(host, options, path, err);
}

/* A setting for a detector that is not there is a slip of the user's, unless a script failed to load: then it
 * may be its. */
static int host_check_settings(const struct script_host *host, const struct script_options *options,
                               struct error *err) {
    for (size_t s = 0; s < options->setting_count && host->failed_count == 0; s++) {
        bool found = false;
        for (uint32_t i = 0; i < host->count; i++)
            found |= strcmp(detector_name(host->detectors[i]), options->settings[s].detector) == 0;
        if (found) continue;
        error_set(err, "--set %s.%s: no detector of that name is loaded", options->settings[s].detector,
                  options->settings[s].key);
        return error_is_usage(err);
    }
    return 0;
}

struct script_host *script_host_new(const struct script_options *options, struct batch *batch,
                                    const struct script_sink *sink, struct error *err) {
    struct script_host *host = calloc(1, sizeof *host);
    if (!host) {
        error_set(err, "out of memory");
        return NULL;
    }
    host->batch = batch;
    host->sink = *sink;
    int outcome = 0;
    for (size_t i = 0; i < options->path_count && outcome == 0; i++)
        outcome = host_load_path(host, options, options->paths[i], err);
    if (outcome == 0) outcome = host_check_settings(host, options, err);
    if (outcome < 0) {
        script_host_free(host);
        return NULL;
    }
    host_refresh_wants(host);
    batch->listener = (struct batch_listener){
        .context = host, .wants = host->wants, .offer = host_offer, .drink = host_drink};
    return host;
}

void script_host_free(struct script_host *host) {
    if (!host) return;
    for (uint32_t i = 0; i < host->count; i++) detector_free(host->detectors[i]);
    for (uint32_t i = 0; i < host->pending_count; i++) free((char *)host->pending[i].alert.title);
    for (uint32_t i = 0; i < host->failed_count; i++) free(host->failed[i]);
    free(host->failed);
    free(host->pending);
    free(host->detectors);
    free(host);
}

uint32_t script_host_count(const struct script_host *host) {
    return host->count;
}

uint32_t script_host_failed(const struct script_host *host) {
    return host->failed_count;
}

const char *script_host_failed_path(const struct script_host *host, uint32_t index) {
    return host->failed[index];
}

void script_host_status(const struct script_host *host, uint32_t index, struct detector_status *out) {
    detector_status(host->detectors[index], out);
}

/* ----------------------------------------------------------------- running */

void script_host_start(struct script_host *host, nanoseconds clock) {
    host->batch->clock = clock;
    for (uint32_t i = 0; i < host->count; i++) detector_start(host->detectors[i], clock);
}

bool script_host_wants_packets(const struct script_host *host) {
    return host->wants[EVENT_packet];
}

void script_host_packet(struct script_host *host, const struct flow_room *room, const struct flow *flow,
                        const struct packet *packet, const struct decoded *decoded,
                        enum direction direction) {
    bool wanted = host->sink.record[EVENT_packet];
    for (uint32_t i = 0; i < host->count; i++) wanted |= detector_wants_packet(host->detectors[i], packet);
    if (!wanted) return;
    struct event_packet *event = batch_begin(host->batch, EVENT_packet);
    if (!event) return;
    flow_fill_head(room, flow, packet->time, &event->head);
    event->body.to_server = direction == TO_SERVER;
    event->body.length = packet->original;
    event->body.ttl = decoded->ttl;
    event->body.tcp_flags = decoded->tcp_flags;
    event->body.payload_length = decoded->payload_length;
    uint32_t captured =
        decoded->payload_captured < PACKET_PAYLOAD ? decoded->payload_captured : PACKET_PAYLOAD;
    event->body.payload = batch_text(host->batch, decoded->payload, captured);
    batch_commit(host->batch);
}

void script_host_tick(struct script_host *host) {
    if (host->batch->count > 0)
        batch_flush(host->batch);
    else
        host_drink(host);
}

void script_host_hole(struct script_host *host, nanoseconds from, nanoseconds to) {
    script_host_tick(host);
    for (uint32_t i = 0; i < host->count; i++) detector_hole(host->detectors[i], from, to);
}

void script_host_finish(struct script_host *host, nanoseconds clock) {
    host->batch->clock = clock;
    script_host_tick(host);
    for (uint32_t i = 0; i < host->count; i++) detector_finish(host->detectors[i], clock);
    host_deliver(host);
}
