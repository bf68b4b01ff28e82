/* An audit as people read it: the configuration, what changed since an earlier audit, findings, worst first.
 */
#ifndef LUNETTE_CLI_AUDIT_PRINT_H
#define LUNETTE_CLI_AUDIT_PRINT_H

#include "output/terminal.h"

#include <jansson.h>

void audit_print(struct buffer *b, const struct terminal_style *style, const json_t *document);

#endif
