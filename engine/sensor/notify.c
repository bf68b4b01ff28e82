/* The protocol is small enough to be spoken here: no library for one sendto(2). */
#include "sensor/notify.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* a datagram socket raises no SIGPIPE anyway */
#endif

/* $WATCHDOG_USEC, if it is meant for this process. */
static nanoseconds watchdog_interval(void) {
    const char *interval = getenv("WATCHDOG_USEC"), *process = getenv("WATCHDOG_PID");
    if (!interval || (process && strtol(process, NULL, 10) != (long)getpid())) return 0;
    char *end;
    long long microseconds = strtoll(interval, &end, 10);
    if (*end || microseconds <= 0 || microseconds > INT64_MAX / NS_PER_MICROSECOND) return 0;
    return microseconds * NS_PER_MICROSECOND;
}

void notify_open(struct notify *notify) {
    *notify = (struct notify){.descriptor = -1, .address = {.sun_family = AF_UNIX}};
    const char *name = getenv("NOTIFY_SOCKET");
    size_t length = name ? strlen(name) : 0;
    if (length < 2 || (name[0] != '/' && name[0] != '@') || length >= sizeof notify->address.sun_path) return;
    memcpy(notify->address.sun_path, name, length);
    if (name[0] == '@') notify->address.sun_path[0] = 0;
    notify->address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] == '/'));
    notify->descriptor = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (notify->descriptor < 0) return;
    fcntl(notify->descriptor, F_SETFD, FD_CLOEXEC);
    struct timeval patience = {.tv_sec = 1};
    setsockopt(notify->descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    notify->watchdog = watchdog_interval();
}

void notify_send(const struct notify *notify, const char *text) {
    if (notify->descriptor < 0) return;
    sendto(notify->descriptor, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&notify->address,
           notify->address_length);
}

void notify_close(struct notify *notify) {
    if (notify->descriptor >= 0) close(notify->descriptor);
    notify->descriptor = -1;
}
