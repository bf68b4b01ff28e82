/* libFuzzer target: the Lua API under random calls from a script in its sandbox, while packets of the
 * examples pass.
 *
 * The input becomes a string in front of lua_api.lua, whose bytes choose what is called and with what. Beside
 * it a script hears the events that it makes. Whatever the script does, the process lives, the script's
 * memory stays in its bound, and the script beside it is not switched off. */
#include "base/log.h"
#include "capture/capture.h"
#include "script/host.h"
#include "sensor/worker.h"
#include "workbench/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PACKETS = 256, PACKETS_OF_ONE = 40, MEMORY = 24 << 20, INPUT_MOST = 8192 };

static const char hearer[] = "local lunette = require 'lunette'\n"
                             "local last = {}\n"
                             "lunette.on('fuzz.made', {}, function(e)\n"
                             "  last[1] = { e.name, e.number, e.list, e.ip, e.client_ip, tostring(e.time) }\n"
                             "  local n = 0 for i = 1, #(e.list or {}) do n = n + #e.list[i] end\n"
                             "end)\n";

static struct packet packets[PACKETS];
static size_t packet_count;
static char *program;
static char folder[64], script_path[128], hearer_path[128];
static uint32_t alerts;

static void load_packets(const char *name) {
    char path[1024];
    const char *paths[] = {path};
    struct error err = {0};
    struct packet burst[PACKET_BURST];
    snprintf(path, sizeof path, FUZZ_EXAMPLES "/%s", name);
    struct capture *capture = capture_open(paths, 1, &err);
    if (!capture) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    int count;
    unsigned taken = 0;
    while ((count = capture_next_burst(capture, burst)) > 0)
        for (int i = 0; i < count && taken < PACKETS_OF_ONE && packet_count < PACKETS; i++, taken++) {
            struct packet *p = &packets[packet_count];
            uint8_t *bytes = malloc(burst[i].captured ? burst[i].captured : 1);
            if (!bytes) abort();
            memcpy(bytes, burst[i].bytes, burst[i].captured);
            *p = (struct packet){.bytes = bytes,
                                 .captured = burst[i].captured,
                                 .original = burst[i].original,
                                 .link_type = burst[i].link_type,
                                 .time = 1700000000 * NS_PER_SECOND +
                                         (nanoseconds)packet_count * 50 * NS_PER_MILLISECOND};
            packet_count++;
        }
    capture_close(capture);
}

static void write_text(const char *path, const char *first, size_t first_length, const char *second) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(first, 1, first_length, file) != first_length || fputs(second, file) < 0 ||
        fclose(file) != 0)
        abort();
}

static void begin(void) {
    static const char *const names[] = {
        "text-protocols.pcapng.gz", "document.pcapng.gz", "desk.pcapng.gz", "lan.pcapng.gz",
        "quic.pcapng.gz",           "layers.pcap",        "tools.pcap"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) load_packets(names[i]);
    FILE *file = fopen(FUZZ_FOLDER "/lua_api.lua", "rb");
    program = calloc(1, 1 << 16);
    if (!file || !program || fread(program, 1, (1 << 16) - 1, file) == 0) abort();
    fclose(file);
    snprintf(folder, sizeof folder, "/dev/shm/fuzz-lua-XXXXXX");
    if (!mkdtemp(folder)) snprintf(folder, sizeof folder, "/tmp/fuzz-lua-XXXXXX");
    if (access(folder, W_OK) < 0 && !mkdtemp(folder)) abort();
    snprintf(script_path, sizeof script_path, "%s/fuzz.lua", folder);
    snprintf(hearer_path, sizeof hearer_path, "%s/hearer.lua", folder);
    write_text(hearer_path, hearer, strlen(hearer), "");
    log_set_level(LOG_ERROR);
}

static void write_script(const uint8_t *data, size_t size) {
    static char head[INPUT_MOST * 4 + 64];
    size_t length = (size_t)sprintf(head, "local code = \"");
    for (size_t i = 0; i < size && i < INPUT_MOST; i++)
        length += (size_t)sprintf(head + length, "\\%03u", data[i]);
    length += (size_t)sprintf(head + length, "\" ");
    write_text(script_path, head, length, program);
}

static void on_alert(void *context, const struct alert *alert) {
    (void)context;
    alerts += alert->severity >= SEVERITY_HIGH && strlen(alert->title) + strlen(alert->evidence) > 0;
}

static void check(struct script_host *host) {
    for (uint32_t i = 0; i < script_host_count(host); i++) {
        struct detector_status status;
        script_host_status(host, i, &status);
        if (status.memory > 2 * MEMORY + (4 << 20)) {
            fprintf(stderr, "%s holds %zu bytes\n", status.name, status.memory);
            abort();
        }
        if (strcmp(status.name, "hearer") == 0 && (status.off || status.errors > 0)) {
            fprintf(stderr, "the script beside it: %s\n", status.last_error);
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error err = {.text = ""};
    if (!program) begin();
    write_script(data, size);
    const char *paths[] = {hearer_path, script_path};
    struct rig_options options = {.scripts = {.paths = paths,
                                              .path_count = 2,
                                              .memory_limit = MEMORY,
                                              .time_limit = 2 * NS_PER_SECOND,
                                              .quiet = true},
                                  .batch_limit = 1 + size % 64,
                                  .on_alert = on_alert};
    struct rig *rig = rig_new(&options, &err);
    if (!rig) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    struct script_host *host = worker_scripts(rig_worker(rig));
    if (size == 0 && script_host_failed(host)) {
        for (uint32_t i = 0; i < script_host_failed(host); i++)
            fprintf(stderr, "%s\n", script_host_failed_why(host, i));
        exit(1);
    }
    rig_packets(rig, packets, packet_count);
    check(host);
    rig_finish(rig);
    check(host);
    if (rig_gatherer(rig)) check(rig_gatherer(rig));
    rig_free(rig);
    return 0;
}
