/* Times as endpoint logs write them: RFC 3339 and its relatives. */
#ifndef LUNETTE_ENDPOINT_WHEN_H
#define LUNETTE_ENDPOINT_WHEN_H

#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>

/* "2024-06-11T08:39:22.122847001Z", "2024-06-11 10:39:22.122847+0200": a T or a space between, up to nine
 * digits behind the point (more are left unread), Z, +hhmm or +hh:mm; without any of these it is UTC. False
 * if it is anything else. Seconds of 60 count as the next minute's first. */
bool when_read(const char *text, size_t length, nanoseconds *out);

/* Seconds since 1970 as a number, with a fraction or not: false if it is none, or none between 1970 and 2106
 * (where this engine's clocks end). */
bool when_of_seconds(double seconds, nanoseconds *out);

#endif
