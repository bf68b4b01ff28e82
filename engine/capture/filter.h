/* libpcap filter expressions over packets of any link type: compiled once per link type met. */
#ifndef LUNETTE_CAPTURE_FILTER_H
#define LUNETTE_CAPTURE_FILTER_H

#include "base/error.h"
#include "capture/packet.h"

#include <stdbool.h>

struct filter;

/* Compiles a pcap-filter(7) expression. NULL and libpcap's own words if it is not one. */
struct filter *filter_new(const char *expression, struct error *err);

/* Does the packet match? An expression that makes no sense for the packet's link type matches nothing. Not
 * thread safe: one filter per worker. */
bool filter_matches(struct filter *filter, const struct packet *packet);

void filter_free(struct filter *filter);

#endif
