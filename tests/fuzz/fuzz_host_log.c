/* libFuzzer target: a host log of any kind, read to its end and played: lines, news in order, tables, process
 * events. Afterwards the tables are asked, as flows ask them. */
#include "fuzz/see.h"

#include "endpoint/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PLAYED_MOST = 100000, PIDS_ASKED = 64 };

static struct batch *batch;
static bool wants[EVENT_KINDS];

static bool offer(void *context, enum event_kind kind, uint32_t index, const void *event) {
    (void)context;
    (void)index;
    see_event(batch, kind, event);
    return true;
}

static void drink(void *context) {
    (void)context;
}

static bool owns(void *context, const struct ip *address) {
    (void)context;
    (void)address;
    return true;
}

static void ask(const struct endpoint *endpoint, nanoseconds time) {
    const struct program_source *source = endpoint_programs(endpoint);
    struct socket_name socket = {.local_port = 50000, .remote_port = 443, .proto = 6};
    struct program program;
    for (int32_t pid = 0; pid < PIDS_ASKED; pid++) {
        memset(&program, 0, sizeof program);
        const char *name =
            pid % 2 ? "curl" : NULL; /* as a kernel that names processes, and one that does not */
        if (source->by_pid(source->context, &socket.local, pid, name, time, &program) == PROGRAM_TOLD &&
            program.name && !strlen(program.name))
            abort();
    }
    memset(&program, 0, sizeof program);
    source->by_socket(source->context, &socket, time, &program);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error err = {0};
    if (!batch) {
        batch = batch_new(BATCH_EVENTS, &err);
        if (!batch) abort();
        memset(wants, 1, sizeof wants);
        batch->listener = (struct batch_listener){.wants = wants, .offer = offer, .drink = drink};
    }
    int file = memfd_create("log", 0);
    if (file < 0 || write(file, data, size) != (ssize_t)size) abort();
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    const char *names[] = {path};
    struct words *words = words_new(4096, 1 << 20, &err);
    struct endpoint_options options = {
        .logs = {.words = names, .count = 1}, .quiet = true, .words = words, .batch = batch, .owns = owns};
    struct endpoint *endpoint = words ? endpoint_new(&options, &err) : NULL;
    nanoseconds now = 0;
    for (int played = 0; endpoint && played < PLAYED_MOST; played++) {
        nanoseconds next = endpoint_next(endpoint);
        if (next == INT64_MAX) break;
        now = next;
        endpoint_play(endpoint);
    }
    if (endpoint) ask(endpoint, now);
    batch_flush(batch);
    endpoint_free(endpoint);
    if (words) words_free(words);
    close(file);
    return 0;
}
