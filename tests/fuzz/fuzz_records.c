/* libFuzzer target: records as `replay --events` reads them: lines of JSON made into events, put into a batch
 * and read field by field. The same lines then go to a profile's collector (`lunette baseline`), whose
 * profile is made. */
#include "fuzz/in_file.h"
#include "fuzz/see.h"

#include "output/profile_collect.h"
#include "sensor/event_log.h"

#include <string.h>

static struct batch *batch;
static struct home *home;
static bool wants[EVENT_KINDS];

static bool offer(void *context, enum event_kind kind, uint32_t index, const void *event) {
    (void)context, (void)index;
    see_event(batch, kind, event);
    return true;
}

static void drink(void *context) {
    (void)context;
}

static bool is_local(void *context, const struct ip *address) {
    (void)context;
    return ip_is_v4(address);
}

static void prepare(void) {
    struct error err = {0};
    batch = batch_new(BATCH_EVENTS, &err);
    home = home_new(NULL, &err);
    if (!batch || !home) abort();
    memset(wants, 1, sizeof wants);
    batch->listener = (struct batch_listener){.wants = wants, .offer = offer, .drink = drink};
}

static void play(const char *path) {
    struct error err = {0};
    struct words *words = words_new(4096, 1 << 20, &err);
    struct event_log *log = words ? event_log_open(&path, 1, words, &err) : NULL;
    const struct made_event *event;
    nanoseconds time;
    while (log && (event = event_log_next(log, wants, &time))) {
        batch->clock = time;
        made_event_commit(event, batch, time, home);
    }
    batch_flush(batch);
    if (log) {
        const struct event_log_figures *figures = event_log_figures(log);
        if (figures->events + figures->passed + figures->broken > figures->lines) abort();
        event_log_close(log);
    }
    if (words) words_free(words);
}

static void learn(const char *lines, size_t size) {
    struct error err = {0};
    struct profile profile = {0};
    const struct profile_collect_options options = {.is_local = is_local};
    struct profile_collector *collector = profile_collector_new(&options, &err);
    if (!collector) abort();
    profile_collector_source(collector, "input", 0);
    for (const char *at = lines, *end = lines + size; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        profile_collect(collector, at, (size_t)(stop - at));
        at = stop + 1;
    }
    if (profile_learn(collector, NULL, &profile, &err) == 0) profile_clear(&profile);
    profile_collector_free(collector);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[IN_FILE_PATH];
    if (!batch) prepare();
    int file = in_file(data, size, path);
    play(path);
    close(file);
    learn((const char *)data, size);
    return 0;
}
