/* Sends packets as evenly and as fast as asked for, for a while.
 *
 *      packet_sender INTERFACE RATE SECONDS flows N      64-byte UDP packets of N flows in turn
 *      packet_sender INTERFACE RATE SECONDS capture FILE the frames of a pcap file, over and over
 *
 * RATE is packets a second, 0 for as fast as it goes. All frames lie ready in memory; a packet socket takes
 * them in groups (sendmmsg), past the queueing discipline. The pace is kept by spinning on the clock: give it
 * a processor of its own. Prints {"sent": …, "seconds": …} and ends by itself. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { GROUP = 64, SMALL = 64, FRAME_MAX = 9014, HOSTS = 200 };

struct frames {
    struct iovec *of;
    size_t count, room;
};

static int fail(const char *what, const char *why) {
    fprintf(stderr, "packet_sender: %s: %s\n", what, why);
    return 1;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool frames_add(struct frames *frames, const void *bytes, size_t length) {
    if (frames->count == frames->room) {
        size_t room = frames->room ? frames->room * 2 : 1024;
        struct iovec *more = realloc(frames->of, room * sizeof *more);
        if (!more) return false;
        frames->of = more;
        frames->room = room;
    }
    void *copy = malloc(length);
    if (!copy) return false;
    memcpy(copy, bytes, length);
    frames->of[frames->count++] = (struct iovec){copy, length};
    return true;
}

static void frames_free(struct frames *frames) {
    for (size_t i = 0; i < frames->count; i++) free(frames->of[i].iov_base);
    free(frames->of);
}

/* Internet checksum of an IPv4 header without options (RFC 1071). */
static uint16_t header_checksum(const uint8_t *header) {
    uint32_t sum = 0;
    for (int i = 0; i < 20; i += 2) sum += (uint32_t)header[i] << 8 | header[i + 1];
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static bool frames_of_flows(struct frames *frames, uint32_t flows) {
    for (uint32_t i = 0; i < flows; i++) {
        uint32_t host = i % HOSTS, port = 1024 + i / HOSTS;
        uint8_t f[SMALL] = {2, 0, 0,    0, 0, 1,          2, 0, 0,    0, 0,  2,
                            8, 0, 0x45, 0, 0, SMALL - 14, 0, 0, 0x40, 0, 64, 17};
        const uint8_t addresses[] = {192, 168, 7, (uint8_t)(host + 20), 198, 51, 100, (uint8_t)(i % 251)};
        memcpy(f + 26, addresses, sizeof addresses);
        uint16_t sum = htons(header_checksum(f + 14));
        memcpy(f + 24, &sum, sizeof sum);
        const uint16_t udp[] = {htons((uint16_t)port), htons(9), htons(SMALL - 34), 0};
        memcpy(f + 34, udp, sizeof udp);
        if (!frames_add(frames, f, sizeof f)) return false;
    }
    return true;
}

static bool frames_of_capture(struct frames *frames, const char *path) {
    char why[PCAP_ERRBUF_SIZE];
    pcap_t *file = pcap_open_offline(path, why);
    if (!file) return fail(path, why), false;
    struct pcap_pkthdr *header;
    const u_char *bytes;
    bool fine = pcap_datalink(file) == DLT_EN10MB;
    while (fine && pcap_next_ex(file, &header, &bytes) == 1)
        if (header->caplen >= 14 && header->caplen <= FRAME_MAX)
            fine = frames_add(frames, bytes, header->caplen);
    pcap_close(file);
    return fine;
}

static int open_socket(const char *interface) {
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(interface)};
    int sock = socket(AF_PACKET, SOCK_RAW, 0), past = 1, buffer = 8 << 20;
    if (sock < 0) return -1;
    setsockopt(sock, SOL_PACKET, PACKET_QDISC_BYPASS, &past, sizeof past);
    setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    if (bind(sock, (struct sockaddr *)&to, sizeof to) == 0) return sock;
    close(sock);
    return -1;
}

/* Sends up to `count` frames from `*next` on, in a circle. Returns how many went. */
static int send_group(int sock, const struct frames *frames, size_t *next, int count) {
    struct mmsghdr messages[GROUP] = {0};
    for (int i = 0; i < count; i++) {
        messages[i].msg_hdr.msg_iov = &frames->of[(*next + (size_t)i) % frames->count];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int went = sendmmsg(sock, messages, (unsigned)count, 0);
    if (went > 0) *next = (*next + (size_t)went) % frames->count;
    return went;
}

static int send_all(int sock, const struct frames *frames, double rate, double seconds) {
    uint64_t sent = 0;
    size_t next = 0;
    double began = now(), past = 0;
    while ((past = now() - began) < seconds) {
        double due = rate > 0 ? past * rate - (double)sent : GROUP;
        if (due < 1) continue;
        int went = send_group(sock, frames, &next, due < GROUP ? (int)due : GROUP);
        if (went > 0)
            sent += (uint64_t)went;
        else if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
            return fail("send", strerror(errno));
    }
    printf("{\"sent\": %llu, \"seconds\": %.6f}\n", (unsigned long long)sent, past);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 6) return fail("usage", "packet_sender INTERFACE RATE SECONDS flows N | capture FILE");
    struct frames frames = {0};
    bool small = strcmp(argv[4], "flows") == 0;
    bool made =
        small ? frames_of_flows(&frames, (uint32_t)atoi(argv[5])) : frames_of_capture(&frames, argv[5]);
    int sock = open_socket(argv[1]), outcome = 1;
    if (!made || frames.count == 0)
        fail(argv[5], "no frames");
    else if (sock < 0)
        fail(argv[1], strerror(errno));
    else
        outcome = send_all(sock, &frames, atof(argv[2]), atof(argv[3]));
    if (sock >= 0) close(sock);
    frames_free(&frames);
    return outcome;
}
