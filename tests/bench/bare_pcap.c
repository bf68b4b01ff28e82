/* What libpcap alone can take from an interface: a loop that counts, to hold lunette against.
 *
 *      bare_pcap INTERFACE RING_MIB
 *
 * The same settings as the sensor's handles: a ring, not immediate mode, non-blocking, poll(2) on the
 * descriptor and one byte of each packet looked at. For each line on standard input it prints its figures so
 * far; it ends when the input does. */
#include <errno.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { TURN_MS = 100, BURST = 256 };

struct counted {
    uint64_t packets, bytes;
    unsigned mark; /* keeps the compiler from leaving the look out */
};

static void count(u_char *user, const struct pcap_pkthdr *header, const u_char *bytes) {
    struct counted *c = (struct counted *)user;
    c->packets++;
    c->bytes += header->len;
    c->mark ^= bytes[0];
}

static int fail(const char *what, const char *why) {
    fprintf(stderr, "bare_pcap: %s: %s\n", what, why);
    return 1;
}

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

static void tell(pcap_t *handle, const struct counted *c) {
    struct pcap_stat stat = {0};
    pcap_stats(handle, &stat);
    printf("{\"packets\": %llu, \"dropped\": %u, \"cpu_seconds\": %.6f}\n", (unsigned long long)c->packets,
           stat.ps_drop, cpu_seconds());
    fflush(stdout);
}

/* One character a question. False when nobody asks any more. */
static bool answer(pcap_t *handle, const struct counted *c) {
    char question[64];
    ssize_t got = read(STDIN_FILENO, question, sizeof question);
    if (got <= 0) return got < 0 && errno == EINTR;
    tell(handle, c);
    return true;
}

static void run(pcap_t *handle) {
    struct counted c = {0};
    struct pollfd polled[2] = {{.fd = pcap_get_selectable_fd(handle), .events = POLLIN},
                               {.fd = STDIN_FILENO, .events = POLLIN}};
    for (;;) {
        if (poll(polled, 2, TURN_MS) < 0 && errno != EINTR) return;
        while (pcap_dispatch(handle, BURST, count, (u_char *)&c) == BURST) {
        }
        if (polled[1].revents && !answer(handle, &c)) return;
    }
}

int main(int argc, char **argv) {
    char why[PCAP_ERRBUF_SIZE] = "";
    if (argc != 3) return fail("usage", "bare_pcap INTERFACE RING_MIB");
    pcap_t *handle = pcap_create(argv[1], why);
    if (!handle) return fail(argv[1], why);
    pcap_set_snaplen(handle, 65535);
    pcap_set_promisc(handle, 1);
    pcap_set_timeout(handle, TURN_MS);
    pcap_set_buffer_size(handle, atoi(argv[2]) << 20);
    if (pcap_activate(handle) < 0) return fail(argv[1], pcap_geterr(handle));
    if (pcap_setnonblock(handle, 1, why) < 0) return fail(argv[1], why);
    puts("ready");
    fflush(stdout);
    run(handle);
    pcap_close(handle);
    return 0;
}
