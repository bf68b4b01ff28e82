/* PKTAP: the header that macOS puts before packets of its pktap interfaces. It is taken off where packets
 * come in, so that filters, flows and rolling capture see the frame inside.
 *
 * Numbers are little-endian whatever the file's order is (the capturing Mac's own). Version 1 is 108 or 156
 * bytes long, with a tail of its own for dropped packets (droptap); version 2 is shorter and of variable
 * length. Sources: xnu bsd/net/pktap.h, bsd/net/droptap.h; tcpdump.org/linktypes/LINKTYPE_PKTAP.html. */
#ifndef LUNETTE_CAPTURE_PKTAP_H
#define LUNETTE_CAPTURE_PKTAP_H

#include "capture/origin.h"

enum {
    LINKTYPE_PKTAP = 258,
    LINKTYPE_USER2 = 149, /* what Apple's libpcap writes for PKTAP; others use it for anything */
};

/* Where the names in a header go. */
struct pktap_names {
    struct origins *origins;
    struct processes **processes;
    uint64_t *refused; /* processes_keep() */
    uint8_t (*interface)(void *context, const uint8_t *name, uint32_t length);
    void *context;
};

static inline bool pktap_is_possible(uint16_t link_type) {
    return link_type == LINKTYPE_PKTAP || link_type == LINKTYPE_USER2;
}

/* Makes the packet the frame inside, with its link type, interface, direction and origin as the header says.
 * False if it has no such header with a frame behind it: it is left as it is. Under link type 149 all of the
 * header must be credible. */
bool pktap_strip(const struct pktap_names *names, struct packet *packet);

/* A packet that was dropped may be said to be longer than it is: Apple's tcpdump writes as many stray bytes
 * behind the frame as droptap's header is longer than PKTAP's. Cuts it to what its IP header says. */
void droptap_clip(struct packet *packet);

#endif
