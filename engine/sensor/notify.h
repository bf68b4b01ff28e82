/* Tells the service manager how things stand: sd_notify(3)'s protocol, which is one datagram of "NAME=value"
 * lines to the Unix socket that $NOTIFY_SOCKET names (its path, or '@' and a name of Linux' abstract space).
 * Without that variable nobody wants to know, and every call does nothing. */
#ifndef LUNETTE_SENSOR_NOTIFY_H
#define LUNETTE_SENSOR_NOTIFY_H

#include "base/time.h"

#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int descriptor; /* -1: nobody listens */
    struct sockaddr_un address;
    socklen_t address_length;
    nanoseconds watchdog; /* the manager wants WATCHDOG=1 at least this often ($WATCHDOG_USEC), 0: never */
};

void notify_open(struct notify *notify);

/* Failure is ignored: a manager that cannot be told is no reason to stop watching. Waits a second at most. */
void notify_send(const struct notify *notify, const char *text);

void notify_close(struct notify *notify);

#endif
