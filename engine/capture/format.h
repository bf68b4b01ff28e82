/* The two capture formats, and how to tell them from everything else.
 *
 * A format reader turns the window of a block reader into packets whose bytes lie in that window. Its read
 * function gives as many as are there; it widens the window (which voids earlier packets) only before the
 * first packet of a call, and only if the caller allows it. So a burst under construction stays valid. */
#ifndef LUNETTE_CAPTURE_FORMAT_H
#define LUNETTE_CAPTURE_FORMAT_H

#include "base/error.h"
#include "capture/block.h"
#include "capture/origin.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Captured bytes of one packet beyond which a length field is taken for damage. macOS captures at most 512
 * KiB. */
enum { PACKET_LARGEST = 1024 * 1024 };

/* The length on the wire, given what a file says of it: at least what was captured. A claim beyond
 * PACKET_LARGEST is no length: one would ruin all totals. It is counted in `odd`. */
static inline uint32_t format_original(uint32_t captured, uint32_t original, uint64_t *odd) {
    if (original <= captured) return captured;
    if (original <= PACKET_LARGEST) return original;
    ++*odd;
    return captured;
}

/* Times before 1970 and after this (the year 2255) are taken for the nearer of the two, so that whoever adds
 * a timeout to a time needs no check. */
#define TIME_LATEST (9000000000 * NS_PER_SECOND)

enum format { FORMAT_UNKNOWN, FORMAT_PCAP, FORMAT_PCAPNG };

/* Looks at the first four bytes of the window. */
enum format format_detect(const struct block_reader *in);

/* Fills `err` with what the file named `path` begins with, if that is no capture. */
void format_describe(const struct block_reader *in, const char *path, struct error *err);

/* Numbers of a file whose byte order is ours, or the other. */
static inline uint16_t format_load16(const uint8_t *at, bool swapped) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return swapped ? __builtin_bswap16(value) : value;
}

static inline uint32_t format_load32(const uint8_t *at, bool swapped) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return swapped ? __builtin_bswap32(value) : value;
}

static inline uint64_t format_load64(const uint8_t *at, bool swapped) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return swapped ? __builtin_bswap64(value) : value;
}

/* How a file came to its end, for the user. */
struct format_end {
    bool over;      /* no more packets will come */
    char text[256]; /* why, if it is not a proper end; "" if it is */
    char note[256]; /* something odd on the way that did not end it; the caller clears it once it has told */
};

/* The names of interfaces, common to all files of a capture: gives each its u8, 0 for the empty name. */
struct interface_names;
uint8_t interface_names_index(struct interface_names *names, const uint8_t *name, uint32_t length);

/* Who sent the packets of a file. */
struct attribution {
    struct origins origins;
    struct processes **processes; /* borrowed: those of the capture */
    uint64_t refused;             /* processes that were not kept */
};

/* pcap: tcpdump.org/manpages/pcap-savefile.5 */
struct pcap_file {
    bool swapped;         /* the file's byte order is not ours */
    bool lengths_swapped; /* versions before 2.3 wrote the original length first */
    bool lengths_unsure;  /* version 2.3 did so at times */
    uint16_t link_type;
    uint32_t header_size; /* of a packet: 16, or 24 in Kuznetzov's form */
    uint32_t fraction;    /* nanoseconds in a unit of the second timestamp field: 1000 or 1 */
    uint64_t odd_lengths; /* format_original() */
};

/* Reads the file header. -1 and an error (without the file's name) if it is cut short or of an unknown
 * version. */
int pcap_file_begin(struct pcap_file *f, struct block_reader *in, struct error *err);
int pcap_file_read(struct pcap_file *f, struct block_reader *in, struct packet *out, int max, bool may_fill,
                   struct format_end *end);

/* pcapng: draft-ietf-opsawg-pcapng. */
struct pcapng_interface {
    uint16_t link_type;
    uint8_t name;         /* interface_names_index() */
    uint32_t snap_length; /* 0: unlimited */
    uint32_t multiply;    /* nanoseconds in a unit of time, 0 if it is none that divides a second evenly: */
    uint8_t resolution;   /* if_tsresol as in the file */
    int64_t offset;       /* seconds to be added */
};

struct section_processes; /* what a section says of processes: capture/pcapng_origin.h */

struct pcapng_file {
    bool swapped;
    struct pcapng_interface *interfaces; /* of the section; owned */
    uint32_t interface_count, interface_room;
    uint64_t skip;                       /* bytes of a block of no interest that are still to come */
    uint64_t odd_lengths;                /* format_original() */
    nanoseconds last;                    /* time of the last packet, for those that carry none */
    bool told;                           /* the note about unknown interfaces was given */
    bool pktap;                          /* an interface's packets may have PKTAP headers */
    struct interface_names *names;       /* borrowed */
    struct attribution *from;            /* borrowed */
    struct section_processes *processes; /* NULL: the section has named none yet */
};

/* Reads the first section header. -1 and an error as above. */
int pcapng_file_begin(struct pcapng_file *f, struct block_reader *in, struct interface_names *names,
                      struct attribution *from, struct error *err);
int pcapng_file_read(struct pcapng_file *f, struct block_reader *in, struct packet *out, int max,
                     bool may_fill, struct format_end *end);
void pcapng_file_end(struct pcapng_file *f);

/* Shared by both: the stream has `here` bytes of the `need` that begin at the window. Says so in `end`. */
void format_cut_short(const struct block_reader *in, size_t need, const char *what, struct format_end *end);

#endif
