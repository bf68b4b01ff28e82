/* The sockets that control listens on, made so that nobody else gets at them: a Unix socket that is born with
 * mode 0600, and a TCP socket on a loopback address. */
#ifndef LUNETTE_SENSOR_CONTROL_SOCKET_H
#define LUNETTE_SENSOR_CONTROL_SOCKET_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/stat.h>

/* A socket in the file system, told from others by its inode. The descriptor is the caller's to close. */
struct control_socket {
    int descriptor; /* -1: none */
    dev_t device;
    ino_t inode;
};

/* Binds and listens. What is at `path` is replaced only if it is a socket on which nobody listens. Two
 * sensors that begin at once take turns. Not blocking, closed on exec. */
int control_socket_open(struct control_socket *out, const char *path, struct error *err);

/* Is it still this socket that `path` leads to? */
bool control_socket_in_place(const struct control_socket *s, const char *path);

/* Takes the path away if it is still ours. */
void control_socket_unlink(const struct control_socket *s, const char *path);

/* "127.0.0.1:9177", "[::1]:9177", "localhost:9177". Anything but a loopback address is wrong use. Returns the
 * descriptor or -1. */
int control_listen_loopback(const char *address, struct error *err);

/* Is the process at the other end of this Unix socket ours or root's? */
bool control_peer_is_welcome(int descriptor);

#endif
