/* Where the control socket lies when nobody says otherwise: one answer for the sensor and for its clients. */
#ifndef LUNETTE_SENSOR_CONTROL_PATH_H
#define LUNETTE_SENSOR_CONTROL_PATH_H

#include "base/error.h"

/* As long as the address of a Unix socket may be, its final zero included (sun_path; 104 on macOS). */
enum { CONTROL_PATH_SIZE = 104 };

/* The sensor's own: $RUNTIME_DIRECTORY/control.sock (systemd's RuntimeDirectory=), for root
 * /run/lunette/control.sock (/var/run on macOS), else $XDG_RUNTIME_DIR/lunette/control.sock, else
 * /tmp/lunette-UID/control.sock. -1 if that is too long for a socket's address. */
int control_path_default(char out[CONTROL_PATH_SIZE], struct error *err);

/* What a client asks: `given` (an option, may be NULL), else $LUNETTE_SOCKET, else the default; if no socket
 * is there but the system's sensor has one, that. */
int control_path_for_client(const char *given, char out[CONTROL_PATH_SIZE], struct error *err);

/* Makes the folder of `path` (mode 0700, its parent must be there) if it is missing, and checks that nobody
 * but its owner, who is we or root, can put things there (or that it is sticky, like /tmp). Call it while
 * still root if /run/lunette has to be made; control_open() calls it again. */
int control_folder_make(const char *path, struct error *err);

#endif
