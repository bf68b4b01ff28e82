/* All protocols, as the flow room wants them: a NULL-terminated list, in the order in which recognisers are
 * asked. */
#ifndef LUNETTE_PROTOCOL_LIST_H
#define LUNETTE_PROTOCOL_LIST_H

#include "flow/protocol.h"

extern const struct protocol *const protocol_list[];

#endif
