/* The public suffix list (publicsuffix.org) by libpsl: what of a name somebody registered. */
#ifndef LUNETTE_SCRIPT_SUFFIX_H
#define LUNETTE_SCRIPT_SUFFIX_H

#include <stdint.h>

/* Offset of the registrable domain (eTLD+1) in a lower-case name; -1 for a public suffix itself and for what
 * is no name. */
int32_t suffix_registrable(const char *name, uint32_t length);

/* Offset of the public suffix, or -1. */
int32_t suffix_public(const char *name, uint32_t length);

#endif
