/* Where the detectors that come along lie: beside the build, installed under the same prefix as the program,
 * or where it was built.
 *
 * Who writes a detector keeps it elsewhere, and may build on them all the same: `require "hosts"` finds their
 * lib/hosts.lua, that its tables in data/, and `lunette.on("mac_identity.host", …)` their mac_identity.lua,
 * unless the script's own folder has a file of that name. */
#ifndef LUNETTE_SCRIPT_SHIPPED_H
#define LUNETTE_SCRIPT_SHIPPED_H

#include <stdbool.h>
#include <stddef.h>

/* The folder's path. False if it cannot be read or the path is longer than `size`. */
bool script_shipped_folder(char *path, size_t size);

#endif
