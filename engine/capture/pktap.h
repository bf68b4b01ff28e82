/* PKTAP: the header that macOS puts before packets of its pktap interfaces, and the frame inside.
 *
 * Numbers are little-endian whatever the file's order is (the capturing Mac's own). Version 1 is 108 or 156
 * bytes long, with a tail of its own for dropped packets (droptap); version 2 is shorter and of variable
 * length. Sources: xnu bsd/net/pktap.h, bsd/net/droptap.h; tcpdump.org/linktypes/LINKTYPE_PKTAP.html. */
#ifndef LUNETTE_CAPTURE_PKTAP_H
#define LUNETTE_CAPTURE_PKTAP_H

#include "capture/packet.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    LINKTYPE_PKTAP = 258,
    LINKTYPE_USER2 = 149, /* what Apple's libpcap writes for PKTAP; others use it for anything */
};

struct pktap {
    uint32_t inner_at;        /* where the inner frame begins */
    uint16_t inner_link_type; /* Darwin's DLT number: differs from LINKTYPE_ for raw IP, which is 12 */
};

/* True if the packet carries a PKTAP header with a frame behind it. Under link type 149, only if all of the
 * header is credible. */
bool pktap_read(const struct packet *packet, struct pktap *out);

#endif
