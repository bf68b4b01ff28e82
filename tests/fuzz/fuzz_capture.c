/* libFuzzer target: a capture file of any format and compression, read to its end through all readers. Every
 * byte of every packet is read, and what the capture says beside it. */
#include "capture/capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile uint32_t sum;

static void see_process(const struct packet_process *process) {
    if (!process) return;
    sum += (uint32_t)(strlen(process->name) + strlen(process->path)) + (uint32_t)process->pid;
}

static void see_packet(const struct capture *capture, const struct packet *packet) {
    uint32_t all = 0;
    for (uint32_t i = 0; i < packet->captured; i++) all += packet->bytes[i];
    if (packet->original < packet->captured) abort();
    sum += all + (uint32_t)strlen(capture_interface_name(capture, packet->interface));
    if (!packet->origin) return;
    see_process(packet->origin->process);
    see_process(packet->origin->effective);
    sum += (uint32_t)strlen(packet->origin->drop_function) + packet->origin->flags;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int file = memfd_create("capture", 0);
    if (file < 0 || write(file, data, size) != (ssize_t)size) abort();
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    const char *paths[] = {path};
    struct error err = {0};
    struct capture *capture = capture_open(paths, 1, &err);
    struct packet burst[PACKET_BURST];
    int count;
    while (capture && (count = capture_next_burst(capture, burst)) > 0)
        for (int i = 0; i < count; i++) see_packet(capture, &burst[i]);
    if (capture) capture_close(capture);
    close(file);
    return 0;
}
