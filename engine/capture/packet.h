/* A packet as a capture gives it: borrowed bytes and what the capture says about them. */
#ifndef LUNETTE_CAPTURE_PACKET_H
#define LUNETTE_CAPTURE_PACKET_H

#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

enum packet_direction { PACKET_DIRECTION_UNKNOWN, PACKET_IN, PACKET_OUT };

/* A process as a capture names it. Texts and the struct belong to the capture and stay until it is closed. */
struct packet_process {
    int32_t pid;      /* -1 unknown; 0 is kernel_task if it has a name, nobody if not */
    const char *name; /* "" unknown; bytes from a file: any but NUL */
    const char *path; /* "" unknown: only Wireshark's process block has it */
    bool has_uuid;
    uint8_t uuid[16];
};

/* What macOS says of a packet beside its bytes (pcapng by Apple's tcpdump, PKTAP, Wireshark's process block).
 * Valid as long as the packet's bytes. */
struct packet_origin {
    const struct packet_process *process;   /* owner of the local socket, or NULL */
    const struct packet_process *effective; /* on whose behalf, or NULL */
    uint32_t service_class;                 /* SO_TC_*; ORIGIN_NO_CLASS if absent */
    uint32_t flow_id;                       /* the kernel's hash of the flow, 0 if absent */
    uint32_t flags;                         /* enum origin_flag */
    uint32_t drop_reason; /* droptap: code | domain << 16 | component << 24; 0 if not dropped */
    uint16_t drop_line;
    const char *drop_function; /* "" if absent */
};
#define ORIGIN_NO_CLASS UINT32_MAX

/* The bits of pcapng's metadata option (0x8004); PKTAP's are mapped to them. */
enum origin_flag {
    ORIGIN_NEW_FLOW = 1,
    ORIGIN_KEEP_ALIVE = 2,
    ORIGIN_RETRANSMIT = 4,
    ORIGIN_SOCKET = 8,
    ORIGIN_NEXUS_CHANNEL = 0x10,
    ORIGIN_WAKE = 0x20,
};

struct packet {
    const uint8_t
        *bytes;        /* the link layer header is at [0]; owned by the capture, valid until its next burst */
    uint32_t captured; /* bytes that are here */
    uint32_t original; /* bytes that were on the wire, never less than captured */
    nanoseconds time;
    uint16_t link_type; /* LINKTYPE_ number as in the file (tcpdump.org/linktypes), high bits (FCS) removed */
    uint8_t interface;  /* index for capture_interface_name(); 0 is the interface without a name */
    uint8_t direction;  /* enum packet_direction */
    const struct packet_origin *origin; /* who sent or will get it, where the capture knows; else NULL */
};

enum { PACKET_BURST = 64 };

#endif
