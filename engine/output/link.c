/* connect() and send() that never wait. Every host may have several addresses: they are tried in turn, one a
 * call.
 *
 * How much has been taken is asked of the kernel (SIOCOUTQ), and believed only if the connection was still
 * whole after the question: a kernel that gives a connection up also empties its buffers. */
#include "output/link.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/sockios.h>
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* there the program ignores SIGPIPE, as it does anyway */
#endif

enum { DESCRIPTOR_PIECE = 4096 /* fits whenever poll() says that a pipe is writable */ };

struct link {
    enum link_kind kind;
    enum link_state state;
    int fd;
    struct sockaddr_un path;
    char *host;
    const char *port; /* points into host's allocation */
    struct addrinfo *addresses, *next;
    uint64_t sent, taken; /* bytes of this connection */
};

static bool is_port(const char *text) {
    size_t digits = strspn(text, "0123456789");
    unsigned long port = digits && digits <= 5 && !text[digits] ? strtoul(text, NULL, 10) : 0;
    return port >= 1 && port <= 65535;
}

/* "HOST:PORT" and "[v6]:PORT" are cut in place. */
static int split_address(struct link *l, const char *word, struct error *err) {
    char *text = l->host, *colon = strrchr(text, ':');
    bool bracketed = text[0] == '[' && colon && colon > text + 2 && colon[-1] == ']';
    bool plain = colon && colon > text && strchr(text, ':') == colon;
    if ((bracketed || plain) && colon[1] && !is_port(colon + 1)) {
        error_set(err, "the output %s: a port is a number from 1 to 65535, not \"%.60s\"", word, colon + 1);
        return error_is_usage(err);
    }
    if ((bracketed || plain) && colon[1]) {
        *colon = '\0';
        l->port = colon + 1;
        if (!bracketed) return 0;
        colon[-1] = '\0';
        memmove(text, text + 1, strlen(text));
        return 0;
    }
    error_set(err, "the output %s: expected HOST:PORT, with a v6 address in brackets: [2001:db8::1]:5140",
              word);
    return error_is_usage(err);
}

static int take_path(struct link *l, const char *path, const char *word, struct error *err) {
    l->path.sun_family = AF_UNIX;
    if (path[0] && strlen(path) < sizeof l->path.sun_path) {
        memcpy(l->path.sun_path, path, strlen(path) + 1);
        return 0;
    }
    error_set(err, "the output %s: the path of a socket has 1 to %zu bytes", word,
              sizeof l->path.sun_path - 1);
    return error_is_usage(err);
}

static struct link *link_alloc(enum link_kind kind, struct error *err) {
    struct link *l = calloc(1, sizeof *l);
    if (!l) {
        error_set(err, "out of memory for an output");
        return NULL;
    }
    l->kind = kind;
    l->fd = -1;
    return l;
}

struct link *link_new(enum link_kind kind, const char *address, const char *word, struct error *err) {
    struct link *l = link_alloc(kind, err);
    if (!l) return NULL;
    int outcome;
    if (kind == LINK_TCP || kind == LINK_UDP) {
        l->host = strdup(address);
        outcome = l->host ? split_address(l, word, err) : error_set(err, "out of memory for an output");
    } else {
        outcome = take_path(l, address, word, err);
    }
    if (outcome == 0) return l;
    link_free(l);
    return NULL;
}

struct link *link_from(int fd, struct error *err) {
    struct link *l = link_alloc(LINK_DESCRIPTOR, err);
    if (!l) return NULL;
    l->fd = fd;
    l->state = LINK_UP;
    return l;
}

void link_close(struct link *l) {
    if (l->kind == LINK_DESCRIPTOR) {
        l->state = LINK_OVER;
        return;
    }
    if (l->fd >= 0) close(l->fd);
    l->fd = -1;
    l->state = LINK_DOWN;
}

void link_free(struct link *l) {
    if (!l) return;
    link_close(l);
    if (l->addresses) freeaddrinfo(l->addresses);
    free(l->host);
    free(l);
}

bool link_is_datagram(const struct link *l) {
    return l->kind == LINK_UDP || l->kind == LINK_UNIX_DATAGRAM;
}

int link_resolve(struct link *l, struct error *err) {
    if (!l->host || l->next) return 0; /* some of the last answer are left to be tried */
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = l->kind == LINK_UDP ? SOCK_DGRAM : SOCK_STREAM,
    };
    struct addrinfo *found = NULL;
    int failure = getaddrinfo(l->host, l->port, &hints, &found);
    if (failure) return error_set(err, "cannot look up %s: %s", l->host, gai_strerror(failure));
    if (l->addresses) freeaddrinfo(l->addresses);
    l->addresses = l->next = found;
    return 0;
}

/* ── connecting ──────────────────────────────────────────────────── */

static int fail(struct link *l, const char *what, int failure, struct error *err) {
    link_close(l);
    return error_set(err, "%s: %s", what, strerror(failure));
}

static int open_socket(struct link *l, int family, int type) {
    int fd = socket(family, type, 0), on = 1;
    if (fd < 0) return -1;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (l->kind == LINK_TCP) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#if defined(TCP_USER_TIMEOUT)
    unsigned int patience = 30000; /* ms: a peer that vanished without a word is noticed */
    if (l->kind == LINK_TCP) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
#endif
    return l->fd = fd;
}

int link_connect(struct link *l, struct error *err) {
    const struct sockaddr *to = (const struct sockaddr *)&l->path;
    socklen_t length = sizeof l->path;
    int family = AF_UNIX, type = link_is_datagram(l) ? SOCK_DGRAM : SOCK_STREAM;
    if (l->host) {
        if (!l->next) return error_set(err, "%s has no address", l->host);
        to = l->next->ai_addr;
        length = l->next->ai_addrlen;
        family = l->next->ai_family;
        l->next = l->next->ai_next;
    }
    if (open_socket(l, family, type) < 0) return fail(l, "cannot make a socket", errno, err);
    l->sent = l->taken = 0;
    if (connect(l->fd, to, length) == 0)
        l->state = LINK_UP;
    else if (errno == EINPROGRESS)
        l->state = LINK_CONNECTING;
    else /* a Unix socket whose backlog is full says EAGAIN */
        return fail(l, "cannot connect", errno, err);
    return 0;
}

enum link_state link_state(const struct link *l) {
    return l->state;
}

int link_descriptor(const struct link *l) {
    return l->fd;
}

short link_events(const struct link *l, bool has_more) {
    if (l->state == LINK_CONNECTING) return POLLOUT;
    if (l->state != LINK_UP) return 0;
    short events = has_more ? POLLOUT : 0;
    /* A stream that ends is noticed by reading; the peer has nothing to say. */
    return l->kind == LINK_TCP || l->kind == LINK_UNIX ? (short)(events | POLLIN) : events;
}

static int read_away(struct link *l, struct error *err) {
    char nothing[4096];
    for (;;) {
        ssize_t n = recv(l->fd, nothing, sizeof nothing, MSG_DONTWAIT);
        if (n > 0) continue;
        if (n == 0) {
            link_close(l);
            return error_set(err, "the other side closed the connection");
        }
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
        return fail(l, "the connection broke", errno, err);
    }
}

int link_look(struct link *l, short events, struct error *err) {
    int failure = 0;
    socklen_t size = sizeof failure;
    if (!events || l->fd < 0) return 0;
    if (l->kind == LINK_DESCRIPTOR) {
        if (!(events & (POLLERR | POLLHUP | POLLNVAL))) return 0;
        link_close(l);
        return error_set(err, "it was closed");
    }
    if (l->state == LINK_CONNECTING) {
        getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
        if (failure) return fail(l, "cannot connect", failure, err);
        l->state = LINK_UP;
        return 0;
    }
    if (link_is_datagram(l)) {
        if (events & (POLLERR | POLLHUP)) getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
        return failure ? fail(l, "the connection broke", failure, err) : 0;
    }
    return events & (POLLIN | POLLERR | POLLHUP) ? read_away(l, err) : 0;
}

/* ── sending ─────────────────────────────────────────────────────── */

static bool is_writable(int fd) {
    struct pollfd look = {.fd = fd, .events = POLLOUT};
    return poll(&look, 1, 0) == 1 && look.revents;
}

long link_send(struct link *l, const char *at, size_t length, struct error *err) {
    ssize_t n;
    do {
        if (l->kind == LINK_DESCRIPTOR) {
            if (!is_writable(l->fd)) return 0;
            n = write(l->fd, at, length < DESCRIPTOR_PIECE ? length : DESCRIPTOR_PIECE);
        } else {
            n = send(l->fd, at, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
    } while (n < 0 && errno == EINTR);
    if (n >= 0) {
        l->sent += (uint64_t)n;
        return (long)n;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    if (l->kind == LINK_DESCRIPTOR && errno == EPIPE) {
        link_close(l);
        return error_set(err, "it was closed");
    }
    return fail(l, "cannot send", errno, err);
}

static int bytes_under_way(const struct link *l) {
    int waiting = 0;
#if defined(SIOCOUTQ)
    if (ioctl(l->fd, SIOCOUTQ, &waiting) != 0) return INT_MAX;
#elif defined(SO_NWRITE)
    socklen_t size = sizeof waiting;
    if (getsockopt(l->fd, SOL_SOCKET, SO_NWRITE, &waiting, &size) != 0) return INT_MAX;
#endif
    struct pollfd look = {.fd = l->fd, .events = POLLIN};
    char byte;
    if (poll(&look, 1, 0) < 0 || look.revents & (POLLERR | POLLHUP | POLLNVAL)) return INT_MAX;
    if (look.revents & POLLIN && recv(l->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) return INT_MAX;
    return waiting;
}

size_t link_untaken(struct link *l) {
    if (l->kind != LINK_TCP && l->kind != LINK_UNIX) return 0;
    if (l->state == LINK_UP && l->taken < l->sent) {
        int waiting = bytes_under_way(l);
        if (waiting != INT_MAX && l->sent > (uint64_t)waiting && l->sent - (uint64_t)waiting > l->taken)
            l->taken = l->sent - (uint64_t)waiting;
    }
    return (size_t)(l->sent - l->taken);
}
