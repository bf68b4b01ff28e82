/* Writes packets as pcapng (draft-ietf-opsawg-pcapng; sections are cited at what they rule).
 *
 * One section a file. Interfaces are described when their first packet comes, times are nanoseconds, numbers
 * are in the machine's byte order (section 3.6.1). Blocks gather in a buffer that the caller lends, and reach
 * the file whole: if the disk fills up in the middle of one, the file is cut back to the last whole block, so
 * that any reader can use it. Nothing is allocated. */
#ifndef LUNETTE_CAPTURE_PCAPNG_WRITE_H
#define LUNETTE_CAPTURE_PCAPNG_WRITE_H

#include "base/bytes.h"
#include "capture/packet.h"

enum {
    PCAPNG_INTERFACES = 64, /* of a file; packets of further ones are refused */
    PCAPNG_PROCESSES = 64,  /* that are remembered; others are described again when they come again */
    PCAPNG_COMMENT_MOST =
        0xfffc, /* bytes: an option's length has 16 bits (section 3.5); longer ones are cut */
};

/* Options of the section header block (section 4.1); all UTF-8, an empty one is left out. */
struct pcapng_section {
    struct slice comment;
    const char *hardware, *os, *application; /* may be NULL */
};

struct pcapng_writer {
    int fd; /* borrowed */
    uint8_t *buffer;
    uint32_t room, used;
    uint64_t size;    /* bytes written or waiting, whole blocks */
    uint64_t packets; /* in the file; those that wait in the buffer are not counted yet */
    int failure;      /* errno of the write that failed, after which nothing more is written; 0 */
    const char *(*interface_name)(void *context, uint8_t interface); /* may be NULL, or return "" */
    void *context;
    uint32_t interface_count;
    struct {
        uint16_t link_type;
        uint8_t interface;
    } interfaces[PCAPNG_INTERFACES];
    uint32_t process_count;                                   /* described so far */
    const struct packet_process *processes[PCAPNG_PROCESSES]; /* number n is at n % PCAPNG_PROCESSES */
};

/* Begins a section in the empty file `fd`. `buffer` is the caller's for the writer's life, a multiple of 4
 * bytes and at least 64; blocks that do not fit into it are written at once. */
void pcapng_begin(struct pcapng_writer *w, int fd, void *buffer, uint32_t room,
                  const struct pcapng_section *section,
                  const char *(*interface_name)(void *context, uint8_t interface), void *context);

/* An enhanced packet block (section 4.3) with its direction in epb_flags and, unless it is empty, a comment;
 * before it an interface description block (section 4.2) if the pair of interface and link type is new. Who
 * sent it is written as Apple's tcpdump does: options 0x8001 to 0x8008 and, before the packet, process
 * information blocks (capture/pcapng_origin.h); processes are borrowed for the writer's life.
 * Returns 0, or -1 if the packet is not in the file: see `failure`, or the file has too many interfaces. */
int pcapng_packet(struct pcapng_writer *w, const struct packet *packet, struct slice comment);

/* The most that pcapng_packet() would add to the file. */
uint64_t pcapng_packet_most(const struct pcapng_writer *w, const struct packet *packet,
                            uint32_t comment_length);

/* An interface statistics block (section 4.6) for the first interface, if there is one: a comment at the
 * file's end. */
int pcapng_closing(struct pcapng_writer *w, nanoseconds time, struct slice comment);

/* Writes what waits. Returns 0, or -1 and `failure`. */
int pcapng_flush(struct pcapng_writer *w);

#endif
