/* One open interface: a libpcap handle set up for a tap, and how its share of the packets is dealt to it.
 *
 * A handle that is to join a fanout group gets everything until it has joined, and a group that lacks members
 * gives theirs to others. So until the group is whole, and a little longer, the packets are also held against
 * the worker's share here: from then on it is the kernel alone that deals, and nothing was seen twice. */
#ifndef LUNETTE_CAPTURE_TAP_HANDLE_H
#define LUNETTE_CAPTURE_TAP_HANDLE_H

#include "capture/filter.h"
#include "capture/tap_fanout.h"

#include <pcap/pcap.h>

struct tap_handle {
    pcap_t *pcap; /* NULL: not open */
    int descriptor;
    int dlt;
    uint16_t link_type; /* LINKTYPE_ number */
    uint32_t cooked_header;
    bool nanosecond;     /* unit of its time stamps' fraction */
    struct filter *user; /* the user's filter, where the kernel cannot read the link type: PKTAP */
    struct tap_group *group;
    struct tap_program share; /* to hold packets against; none: they are all ours */
    bool nothing;             /* a link type that cannot be dealt: worker 0 has it all */
};

enum tap_opened {
    TAP_OPENED,
    TAP_NOT_NOW, /* gone, or down: again later */
    TAP_CANNOT,
};

/* `interface_index` is 0 for interfaces that are not one: "any", "pktap". The error tells of anything but
 * TAP_OPENED. */
enum tap_opened tap_handle_open(struct tap_handle *handle, const struct tap_options *options,
                                const char *interface, uint32_t interface_index, struct error *err);
void tap_handle_close(struct tap_handle *handle, const struct tap_options *options);

/* True if the packet is this worker's and passes the user's filter, as far as the kernel has not seen to it.
 */
bool tap_handle_takes(struct tap_handle *handle, const struct packet *packet);

#endif
