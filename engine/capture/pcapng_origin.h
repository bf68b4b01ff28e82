/* Who sent a packet, as pcapng files tell it: in three dialects.
 *
 * Apple's tcpdump writes process information blocks (type 0x80000001), which packets name by their running
 * number in the section, and numbers and flags as options 0x8001 to 0x800A (Apple's libpcap, pcap-ng.h).
 * Where it captures on a plain interface it writes words into the packet's comment: "svc BE, in".
 * Wireshark writes processes as custom blocks (type 0x0BAD) of its enterprise number, which packets name by
 * process id (option 8); of two with one id, that which had started last by then is meant. */
#ifndef LUNETTE_CAPTURE_PCAPNG_ORIGIN_H
#define LUNETTE_CAPTURE_PCAPNG_ORIGIN_H

#include "capture/format.h"

enum { PCAPNG_PROCESS_LARGEST = 64 * 1024 }; /* bytes of a block; larger ones are skipped */

/* Options: each is code, length, value, padding to four bytes. False at the end of the list, which may lack
 * its end mark, and at a length that does not fit. */
static inline bool pcapng_next_option(struct cursor *options, bool swapped, uint16_t *code,
                                      struct slice *value) {
    const uint8_t *head = cursor_take(options, 4);
    if (!head) return false;
    *code = format_load16(head, swapped);
    uint32_t length = format_load16(head + 2, swapped);
    if (*code == 0 || cursor_left(options) < length) return false;
    *value = (struct slice){cursor_take(options, length), length};
    size_t padding = -length & 3u;
    cursor_take(options, padding < cursor_left(options) ? padding : cursor_left(options));
    return true;
}

/* Block types that may name a process. */
static inline bool pcapng_names_process(uint32_t type) {
    return type == 0x80000001u || type == 0x00000badu;
}

/* Remembers the process that such a block names; one that makes no sense is passed over. */
void pcapng_process_read(struct pcapng_file *f, uint32_t type, const uint8_t *body, uint32_t length);

/* A packet's options: fills in its direction and its origin, if they say something of that. */
void pcapng_origin_read(struct pcapng_file *f, struct cursor options, struct packet *packet);

/* The section is over. */
void pcapng_processes_forget(struct pcapng_file *f);

#endif
