/* The deal: which worker gets a packet, said in classic BPF so that the kernel can run it.
 *
 * The same rule as home_worker_of(): by the local host; if both ends are local, or neither, by the side with
 * the higher port. What BPF cannot read (a second VLAN tag, an IPv6 packet with extension headers whose ports
 * would matter, a later fragment) is dealt by addresses alone, the same in both directions. */
#ifndef LUNETTE_SENSOR_DEAL_H
#define LUNETTE_SENSOR_DEAL_H

#include "base/error.h"
#include "capture/tap.h"
#include "sensor/home.h"

struct deal;

/* Compiles nothing yet: programs are made when a link type comes up, and kept. Thread safe. */
struct deal *deal_new(const struct home *home, uint32_t workers, struct error *err);
void deal_free(struct deal *deal);

/* Valid for the deal's life. */
const struct tap_deal *deal_programs(struct deal *deal);

#endif
