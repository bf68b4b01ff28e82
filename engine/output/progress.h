/* A bar on standard error that says how far a long capture has been read.
 *
 * It is drawn at most ten times a second and only on a terminal. Whoever writes to the same terminal wraps
 * its write in progress_hide() and progress_show_again(), which take the bar away and keep it from coming
 * back meanwhile. */
#ifndef LUNETTE_OUTPUT_PROGRESS_H
#define LUNETTE_OUTPUT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress;

/* NULL if memory is short; all functions take NULL and then do nothing. `fd` is borrowed. Draws nothing
 * unless it is a terminal. */
struct progress *progress_new(int fd);
void progress_free(struct progress *progress);

/* Cheap: looks at the clock once in a few calls. `total` is 0 if unknown. */
void progress_update(struct progress *progress, uint64_t done, uint64_t total, uint64_t packets);

void progress_hide(void *progress);
void progress_show_again(void *progress);

#endif
