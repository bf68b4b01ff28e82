/* The C view of lua-api/lunette.h, the header that both sides read. */
#ifndef LUNETTE_SCRIPT_API_H
#define LUNETTE_SCRIPT_API_H

#include <stdint.h>

#include "lua-api/lunette.h"

enum { LUNETTE_API_VERSION = 1 };

extern const struct lunette_api lunette_api;

#endif
