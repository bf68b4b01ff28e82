/* The part of privilege.h that is Linux' own: capabilities. Elsewhere these do nothing. */
#ifndef LUNETTE_SENSOR_PRIVILEGE_LINUX_H
#define LUNETTE_SENSOR_PRIVILEGE_LINUX_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* May this process become another user? */
bool capabilities_allow_change(void);

/* Around the change of user: what is held survives it; afterwards all goes but CAP_NET_RAW (if `keep_capture`
 * and if it is held). The bounding and ambient sets are emptied and no_new_privs is set. */
int capabilities_hold(struct error *err);
int capabilities_drop(bool keep_capture, struct error *err);

/* -1 if more is left than was meant to be, or if it can be had back. */
int capabilities_verify(bool keep_capture, struct error *err);

/* Only what a sensor's start needs. */
int capabilities_reduce(struct error *err);

/* Appends ", cap_net_raw" and what else is held. */
void capabilities_describe(char *out, size_t size);

#endif
