/* The last step of commands that print one text and end. */
#ifndef LUNETTE_CLI_PRINT_H
#define LUNETTE_CLI_PRINT_H

#include "output/buffer.h"

/* Writes the buffer to standard output and frees it. Returns the exit code. A reader who has seen enough, as
 * `head` has, is no failure. */
int print_out(struct buffer *b);

#endif
