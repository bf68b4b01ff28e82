/* Watches files for change through their folders, and says "look again" once things have settled.
 *
 * Editors and configuration systems replace files by rename or by swapping symlinks, so every event on a
 * folder, on its parent or on the link to it means only: look soon. `on_change` is called when nothing has
 * happened for a moment and what is to be seen (names, inodes, sizes, times) differs from before; a slow poll
 * stands behind for what the system's notices miss. Runs on the caller's uv loop. */
#ifndef LUNETTE_SENSOR_WATCH_H
#define LUNETTE_SENSOR_WATCH_H

#include "base/error.h"

#include <stdint.h>
#include <uv.h>

struct watch;

struct watch *watch_new(uv_loop_t *loop, void (*on_change)(void *context), void *context, struct error *err);

/* Watches these paths instead of those before: files (by their folder) and folders. Copied. */
int watch_paths(struct watch *watch, const char *const *paths, uint32_t count, struct error *err);

/* Closes its handles; freed when the loop has run once more. */
void watch_close(struct watch *watch);

#endif
