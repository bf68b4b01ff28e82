/* A packet as a capture gives it: borrowed bytes and what the capture says about them. */
#ifndef LUNETTE_CAPTURE_PACKET_H
#define LUNETTE_CAPTURE_PACKET_H

#include "base/time.h"

#include <stdint.h>

enum packet_direction { PACKET_DIRECTION_UNKNOWN, PACKET_IN, PACKET_OUT };

struct packet {
    const uint8_t
        *bytes;        /* the link layer header is at [0]; owned by the capture, valid until its next burst */
    uint32_t captured; /* bytes that are here */
    uint32_t original; /* bytes that were on the wire, never less than captured */
    nanoseconds time;
    uint16_t link_type; /* LINKTYPE_ number as in the file (tcpdump.org/linktypes), high bits (FCS) removed */
    uint8_t interface;  /* index for capture_interface_name(); 0 is the interface without a name */
    uint8_t direction;  /* enum packet_direction */
    /* Who sent it, where the capture knows (pcapng process blocks, PKTAP): filled by a later capability. */
    int32_t pid;           /* -1 unknown */
    int32_t effective_pid; /* -1 unknown */
};

enum { PACKET_BURST = 64 };

#endif
