/* Drives taps for test_tap.py: one tap for each worker, all in this thread, and a line for all that happens.
 *
 *      tool_tap -w WORKERS [-s] [-f FILTER] [-r RING_KIB] [-n HOME_NETWORKS] INTERFACE...
 *
 * -s deals by shares instead of fanout. Commands come on standard input, a line each: "rescan", "rescan N"
 * (one worker), "hold" (stop reading packets), "go", "figures", "quit". Answers on standard output:
 *
 *      open W INTERFACE    close W INTERFACE WHY    packet W INTERFACE DIRECTION LINKTYPE SRC SPORT DST DPORT
 *      figures W INTERFACE OPEN TIMES PACKETS DROPPED    done COMMAND RESULT    failed MESSAGE */
#include "capture/tap.h"
#include "decode/decode.h"
#include "sensor/deal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORKERS_MAX = 8 };

struct worker {
    uint32_t index;
    struct tap_options options;
    struct tap *tap;
    int descriptors[TAP_HANDLES]; /* -1: not open */
};

static void on_open(void *context, uint32_t handle, int descriptor, const char *interface) {
    struct worker *w = context;
    w->descriptors[handle] = descriptor;
    printf("open %u %s\n", w->index, interface);
}

static void on_close(void *context, uint32_t handle, int descriptor, const char *interface, const char *why) {
    struct worker *w = context;
    (void)descriptor;
    w->descriptors[handle] = -1;
    printf("close %u %s %s\n", w->index, interface, why ? why : "end");
}

static void packet_print(const struct worker *w, const struct packet *packet) {
    static const char *const directions[] = {"-", "in", "out"};
    struct decoded d;
    char src[IP_TEXT_SIZE], dst[IP_TEXT_SIZE];
    decode_packet(packet, &d);
    if (d.kind != DECODED_TRANSPORT) return;
    ip_format(&d.src, src);
    ip_format(&d.dst, dst);
    printf("packet %u %s %s %u %s %u %s %u\n", w->index, tap_interface_name(w->tap, packet->interface),
           directions[packet->direction], packet->link_type, src, d.src_port, dst, d.dst_port);
}

static void packets_take(struct worker *w, uint32_t handle) {
    struct packet burst[PACKET_BURST];
    int count;
    do {
        count = tap_next_burst(w->tap, handle, burst);
        for (int i = 0; i < count; i++) packet_print(w, &burst[i]);
    } while (count == PACKET_BURST);
}

static void figures_print(struct worker *w) {
    struct tap_figures figures[TAP_HANDLES + 1];
    uint32_t count = tap_figures(w->tap, figures, TAP_HANDLES + 1);
    for (uint32_t i = 0; i < count; i++)
        printf("figures %u %s %d %u %llu %llu\n", w->index, figures[i].interface, figures[i].open,
               figures[i].times_opened, (unsigned long long)figures[i].packets,
               (unsigned long long)figures[i].dropped);
}

/* False to quit. */
static bool command_run(struct worker *workers, uint32_t count, const char *line, bool *hold) {
    struct error err;
    int result = 0;
    char *end;
    long only = strncmp(line, "rescan ", 7) == 0 ? strtol(line + 7, &end, 10) : -1;
    if (strcmp(line, "quit") == 0) return false;
    for (uint32_t i = 0; i < count; i++) {
        if (strncmp(line, "rescan", 6) == 0 && (only < 0 || only == i) &&
            tap_rescan(workers[i].tap, &err) < 0) {
            printf("failed %s\n", err.text);
            result = -1;
        }
        if (strcmp(line, "figures") == 0) figures_print(&workers[i]);
    }
    if (strcmp(line, "hold") == 0) *hold = true;
    if (strcmp(line, "go") == 0) *hold = false;
    printf("done %s %d\n", line, result);
    return true;
}

/* Whole lines of what can be read now; false at the end of input. */
static bool commands_take(struct worker *workers, uint32_t count, bool *hold) {
    static char text[4096];
    static size_t used;
    ssize_t got = read(STDIN_FILENO, text + used, sizeof text - used - 1);
    if (got <= 0) return false;
    used += (size_t)got;
    text[used] = '\0';
    char *start = text, *newline;
    while ((newline = strchr(start, '\n'))) {
        *newline = '\0';
        if (!command_run(workers, count, start, hold)) return false;
        start = newline + 1;
    }
    used -= (size_t)(start - text);
    memmove(text, start, used);
    return true;
}

static void serve(struct worker *workers, uint32_t count) {
    bool hold = false;
    for (;;) {
        struct pollfd polled[1 + WORKERS_MAX * TAP_HANDLES] = {{.fd = STDIN_FILENO, .events = POLLIN}};
        nfds_t number = 1;
        for (uint32_t i = 0; i < count && !hold; i++)
            for (uint32_t h = 0; h < TAP_HANDLES; h++)
                if (workers[i].descriptors[h] >= 0)
                    polled[number++] = (struct pollfd){.fd = workers[i].descriptors[h], .events = POLLIN};
        fflush(stdout);
        poll(polled, number, 100);
        if (polled[0].revents && !commands_take(workers, count, &hold)) return;
        for (uint32_t i = 0; i < count && !hold; i++)
            for (uint32_t h = 0; h < TAP_HANDLES; h++)
                if (workers[i].descriptors[h] >= 0) packets_take(&workers[i], h);
    }
}

static int fail(const struct error *err) {
    printf("failed %s\n", err->text);
    return err->usage ? 2 : 1;
}

int main(int argc, char **argv) {
    static struct worker workers[WORKERS_MAX];
    struct error err = {0};
    uint32_t count = 1;
    const char *networks = NULL;
    struct tap_options options = {.ring_bytes = 4 << 20, .snap_length = 65535, .promiscuous = true};
    for (int option; (option = getopt(argc, argv, "w:sf:r:n:")) != -1;) {
        if (option == 'w') count = (uint32_t)atoi(optarg);
        if (option == 's') options.dealing = TAP_SHARE;
        if (option == 'f') options.filter = optarg;
        if (option == 'r') options.ring_bytes = (uint32_t)atoi(optarg) << 10;
        if (option == 'n') networks = optarg;
    }
    if (count < 1 || count > WORKERS_MAX) return 2;
    options.patterns = (const char *const *)argv + optind;
    options.pattern_count = (size_t)(argc - optind);
    struct home *home = home_new(networks, &err);
    struct deal *deal = home ? deal_new(home, count, &err) : NULL;
    if (!deal) return fail(&err);
    options.deal = deal_programs(deal);
    options.workers = count;
    options.on_open = on_open;
    options.on_close = on_close;
    int result = 0;
    for (uint32_t i = 0; i < count && result == 0; i++) {
        struct worker *w = &workers[i];
        *w = (struct worker){.index = i, .options = options};
        w->options.worker = i;
        w->options.context = w;
        memset(w->descriptors, 0xff, sizeof w->descriptors);
        w->tap = tap_new(&w->options, &err);
        if (!w->tap) result = fail(&err);
    }
    if (result == 0) serve(workers, count);
    for (uint32_t i = 0; i < count; i++) tap_free(workers[i].tap);
    deal_free(deal);
    home_free(home);
    return result;
}
