/* All of the answer is read until the sensor closes the connection, as it does after each; then its head is
 * looked at. */
#include "base/time.h"
#include "cli/client.h"

#include "output/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL /* macOS; the program ignores SIGPIPE anyway */
#define MSG_NOSIGNAL 0
#endif

static double monotonic(void) {
    return ns_to_seconds(time_monotonic());
}

/* Waits for `events`; -1 and ETIMEDOUT when the time is over. */
static int wait_for(int descriptor, short events, double until) {
    for (;;) {
        double left = until - monotonic();
        struct pollfd p = {.fd = descriptor, .events = events};
        int n = left > 0 ? poll(&p, 1, (int)(left * 1000) + 1) : 0;
        if (n > 0) return 0;
        if (n == 0) errno = ETIMEDOUT;
        if (n == 0 || errno != EINTR) return -1;
    }
}

static int say_why(const char *path, int why, struct error *err) {
    switch (why) {
    case ENOENT:
    case ECONNREFUSED:
        return error_set(
            err, "no sensor listens on %s; start one (lunette live), or name its socket with --socket", path);
    case EACCES:
    case EPERM:
        return error_set(
            err, "%s belongs to another user; ask as the user who runs the sensor, or as root (sudo)", path);
    case ENOTSOCK:
    case EPROTOTYPE:
        return error_set(err, "%s is not a sensor's control socket", path);
    case ETIMEDOUT:
        return error_set(err, "the sensor on %s did not answer in time", path);
    default:
        return error_set(err, "%s: %s", path, strerror(why));
    }
}

/* Connects without waiting longer than `until`: a Unix socket whose queue is full says EAGAIN and has nothing
 * to poll for. */
static int connect_to(const char *path, double until) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    if (descriptor < 0) return -1;
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    while (connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        if (errno == EAGAIN && monotonic() < until) {
            nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
            continue;
        }
        if (errno == EINTR) continue;
        if (errno == EINPROGRESS || errno == EISCONN) break;
        int why = errno == EAGAIN ? ETIMEDOUT : errno;
        close(descriptor);
        errno = why;
        return -1;
    }
    return descriptor;
}

/* A sensor that says no before it has read everything closes early: what it said is still to be read. */
static int send_all(int descriptor, const char *text, size_t length, double until) {
    while (length) {
        if (wait_for(descriptor, POLLOUT, until) != 0) return -1;
        ssize_t n = send(descriptor, text, length, MSG_NOSIGNAL);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n < 0) return errno == EPIPE || errno == ECONNRESET ? 0 : -1;
        text += n;
        length -= (size_t)n;
    }
    return 0;
}

static int receive_all(int descriptor, struct buffer *b, double until) {
    enum { PIECE = 64 << 10 };
    for (;;) {
        if (b->length > CLIENT_ANSWER_MOST || !buffer_reserve(b, PIECE)) {
            errno = b->failed ? ENOMEM : EMSGSIZE;
            return -1;
        }
        if (wait_for(descriptor, POLLIN, until) != 0) return -1;
        ssize_t n = recv(descriptor, b->at + b->length, PIECE, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET && b->length)) return 0;
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n < 0) return -1;
        b->length += (size_t)n;
    }
}

/* The number behind "Content-Length:" in a terminated head, or -1. */
static long long content_length(const char *head) {
    static const char name[] = "\r\ncontent-length:";
    for (const char *p = head; *p; p++)
        if (strncasecmp(p, name, sizeof name - 1) == 0) return strtoll(p + sizeof name - 1, NULL, 10);
    return -1;
}

/* Takes the answer apart; the text becomes the body. */
static int take_apart(struct buffer *b, struct client_answer *answer) {
    buffer_char(b, '\0');
    if (b->failed) return -1;
    char *end = strstr(b->at, "\r\n\r\n");
    unsigned status;
    if (!end || sscanf(b->at, "HTTP/1.%*1u %3u", &status) != 1) return -1;
    end[2] = '\0';
    size_t at = (size_t)(end - b->at) + 4, length = b->length - 1 - at;
    long long said = content_length(b->at);
    if (said >= 0 && (unsigned long long)said != length) return -1;
    memmove(b->at, b->at + at, length + 1);
    *answer = (struct client_answer){.status = status, .body = b->at, .length = length};
    return 0;
}

int client_ask(const char *path, const char *method, const char *target, double seconds,
               struct client_answer *answer, struct error *err) {
    double until = monotonic() + seconds;
    struct buffer request = {0}, reply = {0};
    *answer = (struct client_answer){0};
    int descriptor = connect_to(path, until);
    if (descriptor < 0) return say_why(path, errno, err);
    buffer_format(&request, "%s %s HTTP/1.1\r\nHost: lunette\r\nConnection: close\r\n%s\r\n", method, target,
                  strcmp(method, "POST") == 0 ? "Content-Length: 0\r\n" : "");
    int result = request.failed ? -1 : send_all(descriptor, request.at, request.length, until);
    if (result == 0) result = receive_all(descriptor, &reply, until);
    int why = errno;
    close(descriptor);
    buffer_free(&request);
    if (result != 0) {
        say_why(path, why, err);
    } else if (reply.length == 0) {
        result = error_set(err, "the sensor on %s ended the connection without an answer; try again", path);
    } else if (take_apart(&reply, answer) != 0) {
        result = error_set(err, "what answers on %s is no sensor, or was cut short", path);
    }
    if (result != 0) buffer_free(&reply);
    return result;
}

void client_answer_free(struct client_answer *answer) {
    free(answer->body);
    *answer = (struct client_answer){0};
}

const char *client_complaint(const struct client_answer *answer, char *out, size_t size) {
    json_t *root = json_loads(answer->body ? answer->body : "", 0, NULL);
    const char *text = json_string_value(json_object_get(root, "error"));
    if (text)
        snprintf(out, size, "%s", text);
    else
        snprintf(out, size, "the sensor answered with HTTP status %u", answer->status);
    json_decref(root);
    return out;
}
