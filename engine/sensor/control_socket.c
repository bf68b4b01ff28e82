/* Between the look at a path and what is then done with it, somebody else may act. So the folder is locked
 * for that time (other sensors keep to it; strangers cannot write to the folder), and bind() itself, which
 * never replaces and never follows, has the last word. */
#include "sensor/control_socket.h"

#include "sensor/control_path.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 128 };

/* SOCK_CLOEXEC and SOCK_NONBLOCK are not everywhere. */
static int new_socket(int family) {
    int descriptor = socket(family, SOCK_STREAM, 0);
    if (descriptor < 0) return -1;
    if (fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 && fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0)
        return descriptor;
    close(descriptor);
    return -1;
}

static void address_of(struct sockaddr_un *address, const char *path) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    strcpy(address->sun_path, path);
}

/* Binds to a path that nobody but us may open, from its first moment on. */
static int bind_private(int descriptor, const struct sockaddr_un *address) {
#ifdef __linux__
    /* The mode of the socket itself becomes that of its inode; the umask would be changed for all threads. */
    if (fchmod(descriptor, 0600) != 0) return -1;
    return bind(descriptor, (const struct sockaddr *)address, sizeof *address);
#else
    mode_t before = umask(0177);
    int result = bind(descriptor, (const struct sockaddr *)address, sizeof *address);
    int why = errno;
    umask(before);
    errno = why;
    return result;
#endif
}

/* Takes away a socket that nobody listens on; -1 if it is anything else. */
static int remove_stale(const char *path, const struct sockaddr_un *address, struct error *err) {
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : error_set(err, "control socket %s: %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return error_set(err,
                         "control socket: %s is there already and is not a socket; remove it, or give "
                         "another path with --control",
                         path);
    int descriptor = new_socket(AF_UNIX);
    if (descriptor < 0) return error_set(err, "control socket %s: %s", path, strerror(errno));
    int result = connect(descriptor, (const struct sockaddr *)address, sizeof *address);
    int why = errno;
    close(descriptor);
    if (result == 0 || why == EAGAIN || why == EINPROGRESS)
        return error_set(err,
                         "control socket: another sensor listens on %s; stop it (lunette ctl stop), or give "
                         "another path with --control",
                         path);
    if (why != ECONNREFUSED)
        return error_set(err, "control socket: cannot tell whether a sensor listens on %s: %s", path,
                         strerror(why));
    if (unlink(path) != 0 && errno != ENOENT)
        return error_set(err, "control socket: cannot replace the old %s: %s", path, strerror(errno));
    return 0;
}

/* Another sensor holds the lock for a moment only. Whoever holds it longer means no good (anybody may lock
 * /tmp) and is not waited for. */
static int lock_folder(const char *path) {
    char folder[CONTROL_PATH_SIZE];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash) slash[slash == folder] = '\0';
    int descriptor = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; descriptor >= 0 && i < 10 && flock(descriptor, LOCK_EX | LOCK_NB) != 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    return descriptor;
}

static int bind_and_listen(int descriptor, const char *path, struct error *err) {
    struct sockaddr_un address;
    address_of(&address, path);
    int result = bind_private(descriptor, &address);
    if (result != 0 && errno == EADDRINUSE) {
        if (remove_stale(path, &address, err) != 0) return -1;
        result = bind_private(descriptor, &address);
    }
    if (result == 0) result = listen(descriptor, BACKLOG);
    return result == 0 ? 0 : error_set(err, "control socket: cannot listen on %s: %s", path, strerror(errno));
}

int control_socket_open(struct control_socket *out, const char *path, struct error *err) {
    *out = (struct control_socket){.descriptor = -1};
    if (control_folder_make(path, err) != 0) return -1;
    int descriptor = new_socket(AF_UNIX);
    if (descriptor < 0) return error_set(err, "control socket: %s", strerror(errno));
    int lock = lock_folder(path);
    int result = bind_and_listen(descriptor, path, err);
    struct stat st;
    if (result == 0 && (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode)))
        result = error_set(err, "control socket: %s was taken away as soon as it was made", path);
    if (lock >= 0) close(lock);
    if (result != 0) {
        close(descriptor);
        return -1;
    }
    *out = (struct control_socket){descriptor, st.st_dev, st.st_ino};
    return 0;
}

bool control_socket_in_place(const struct control_socket *s, const char *path) {
    struct stat st;
    return s->descriptor >= 0 && lstat(path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode;
}

void control_socket_unlink(const struct control_socket *s, const char *path) {
    if (control_socket_in_place(s, path)) unlink(path);
}

/* ── loopback ────────────────────────────────────────────────────── */

static bool is_loopback(const struct sockaddr_storage *address) {
    if (address->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

/* "HOST:PORT" as an address; numbers only, so that no resolver has a say. Returns its size, or 0. */
static socklen_t parse_address(const char *text, struct sockaddr_storage *out) {
    char host[64];
    const char *colon = strrchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : 0;
    if (length == 0 || length >= sizeof host || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return 0;
    unsigned long port = strtoul(colon + 1, NULL, 10);
    if (port < 1 || port > 65535) return 0;
    bool bracketed = text[0] == '[' && text[length - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)length - 2 * bracketed, text + bracketed);
    *out = (struct sockaddr_storage){0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    if (!bracketed &&
        inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return sizeof *v4;
    }
    if (!bracketed || inet_pton(AF_INET6, host, &v6->sin6_addr) != 1) return 0;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    return sizeof *v6;
}

int control_listen_loopback(const char *text, struct error *err) {
    struct sockaddr_storage address;
    socklen_t size = parse_address(text, &address);
    if (!size) {
        error_set(err, "metrics: expected ADDRESS:PORT such as 127.0.0.1:9177 or [::1]:9177, got '%.100s'",
                  text);
        return error_is_usage(err);
    }
    if (!is_loopback(&address)) {
        error_set(err,
                  "metrics: %.100s is not a loopback address. The figures are not for the network: listen on "
                  "127.0.0.1 or [::1] and let a collector or proxy of yours fetch them there",
                  text);
        return error_is_usage(err);
    }
    int descriptor = new_socket(address.ss_family);
    int yes = 1;
    if (descriptor >= 0) setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (descriptor >= 0 && bind(descriptor, (struct sockaddr *)&address, size) == 0 &&
        listen(descriptor, BACKLOG) == 0)
        return descriptor;
    error_set(err, "metrics: cannot listen on %.100s: %s", text, strerror(errno));
    if (descriptor >= 0) close(descriptor);
    return -1;
}

bool control_peer_is_welcome(int descriptor) {
    uid_t user;
#ifdef __linux__
    struct ucred who;
    socklen_t size = sizeof who;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || size != sizeof who) return false;
    user = who.uid;
#else
    gid_t group;
    if (getpeereid(descriptor, &user, &group) != 0) return false;
#endif
    return user == 0 || user == geteuid();
}
