/* The deal: which worker gets a packet, said in classic BPF so that the kernel can run it.
 *
 * The same rule as home_worker_of(): by the local host; if both ends are local, or neither, by the side with
 * the higher port. Where BPF cannot read the ports (an IPv6 packet with extension headers), and for all
 * fragments of a datagram, which must meet to be joined, it is the addresses alone that decide, the same in
 * both directions. What is not IP, or lies deeper than two VLAN tags or PPPoE, is worker 0's. */
#ifndef LUNETTE_SENSOR_DEAL_H
#define LUNETTE_SENSOR_DEAL_H

#include "base/error.h"
#include "capture/tap.h"
#include "sensor/home.h"

struct deal;

/* Programs are made when a link type comes up, and kept. Thread safe. NULL and an error if the home networks
 * are too many for a program that a kernel takes. `home` is borrowed for the deal's life. */
struct deal *deal_new(const struct home *home, uint32_t workers, struct error *err);
void deal_free(struct deal *deal);

/* Valid for the deal's life. */
const struct tap_deal *deal_programs(struct deal *deal);

#endif
