/* The system calls that a running sensor may make (seccomp, Linux on x86_64 and aarch64). */
#ifndef LUNETTE_SENSOR_CALL_FILTER_H
#define LUNETTE_SENSOR_CALL_FILTER_H

#include "base/error.h"

#include <stdbool.h>

/* For all threads and for good. Nothing, and no error, where the system or the processor has no such filter.
 */
int call_filter_load(struct error *err);

bool call_filter_is_on(void);

#endif
