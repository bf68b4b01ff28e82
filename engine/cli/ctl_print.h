/* The sensor's answers as short tables for people. */
#ifndef LUNETTE_CLI_CTL_PRINT_H
#define LUNETTE_CLI_CTL_PRINT_H

#include "base/error.h"
#include "output/buffer.h"

#include <stdint.h>

struct ctl_page; /* where it goes and how wide that is */
typedef void ctl_printer(struct ctl_page *page, const void *answer);

/* Reads the JSON `body` and prints it; -1 if it is none. `limit` rows at most, 0: all. */
int ctl_print(ctl_printer *print, const char *body, uint32_t limit, struct buffer *out, struct error *err);

ctl_printer ctl_print_status, ctl_print_scripts, ctl_print_flows, ctl_print_hosts, ctl_print_alerts,
    ctl_print_top, ctl_print_cards, ctl_print_summary;

#endif
