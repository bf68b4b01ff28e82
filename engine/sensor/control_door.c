/* A visitor is noted when he is let in and forgotten when libmicrohttpd has closed his connection. */
#include "sensor/control_door.h"

#include "base/log.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL /* macOS; the program ignores SIGPIPE anyway */
#define MSG_NOSIGNAL 0
#endif

enum {
    PLACES = 16,
    REQUEST_MEMORY = 32 << 10, /* bytes for the head of a request */
    TIMEOUT = 10,              /* seconds for a request to arrive whole, and for its answer to leave */
};

enum phase { PHASE_ARRIVING, PHASE_ANSWERING, PHASE_LEAVING };

struct visitor {
    int descriptor; /* -1: a free place */
    enum phase phase;
    time_t since; /* he is in this phase, monotonic */
};

struct control_door {
    struct control_door_options options;
    struct MHD_Daemon *daemon;
    pthread_t thread;
    int wake[2]; /* a pipe: something has changed */
    pthread_mutex_t lock;
    pthread_cond_t place_free;
    bool closing;
    atomic_bool starting; /* libmicrohttpd is being started */
    int moved;            /* the listener to change to, -1: none */
    int stranger;         /* who was turned away last, -1: none */
    struct visitor visitors[PLACES];
};

static time_t monotonic_seconds(void) {
    return (time_t)(time_monotonic() / NS_PER_SECOND);
}

/* ── visitors; the lock is held ──────────────────────────────────── */

static struct visitor *find_visitor(struct control_door *door, int descriptor) {
    for (int i = 0; i < PLACES; i++)
        if (door->visitors[i].descriptor == descriptor) return &door->visitors[i];
    return NULL;
}

static void forget(struct control_door *door, int descriptor) {
    pthread_mutex_lock(&door->lock);
    struct visitor *v = find_visitor(door, descriptor);
    if (v) v->descriptor = -1;
    pthread_cond_signal(&door->place_free);
    pthread_mutex_unlock(&door->lock);
}

static int descriptor_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

static void set_phase(struct control_door *door, struct MHD_Connection *connection, enum phase phase) {
    pthread_mutex_lock(&door->lock);
    struct visitor *v = find_visitor(door, descriptor_of(connection));
    if (v) *v = (struct visitor){v->descriptor, phase, monotonic_seconds()};
    pthread_mutex_unlock(&door->lock);
}

/* The call may take longer than a visitor may: libmicrohttpd's clock stands still meanwhile. */
void control_door_answering(struct control_door *door, struct MHD_Connection *connection) {
    set_phase(door, connection, PHASE_ANSWERING);
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
}

void control_door_leaving(struct control_door *door, struct MHD_Connection *connection) {
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)TIMEOUT);
    set_phase(door, connection, PHASE_LEAVING);
}

/* Called before the descriptor is closed, so that its number cannot be somebody else's yet. */
static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code) {
    (void)socket_context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) forget(context, descriptor_of(connection));
}

void control_door_sweep(struct control_door *door) {
    time_t now = monotonic_seconds();
    pthread_mutex_lock(&door->lock);
    for (int i = 0; i < PLACES; i++) {
        const struct visitor *v = &door->visitors[i];
        if (v->descriptor >= 0 && v->phase != PHASE_ANSWERING && now - v->since > TIMEOUT)
            shutdown(v->descriptor, SHUT_RDWR);
    }
    if (door->stranger >= 0) close(door->stranger);
    door->stranger = -1;
    pthread_mutex_unlock(&door->lock);
}

/* ── letting in ──────────────────────────────────────────────────── */

/* A stranger is told, without a byte of his being read. His connection is closed when the next one comes or
 * the door is swept: at once would look to him as if nobody were there. */
static void turn_away(struct control_door *door, int descriptor) {
    static const char no[] =
        "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
        "{\"error\":\"this sensor answers to the user who runs it and to root only\"}\n";
    if (send(descriptor, no, sizeof no - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_line(LOG_DEBUG, "control: a stranger was gone before he was turned away");
    shutdown(descriptor, SHUT_WR);
    pthread_mutex_lock(&door->lock);
    int before = door->stranger;
    door->stranger = descriptor;
    pthread_mutex_unlock(&door->lock);
    if (before >= 0) close(before);
}

/* Waits for a place and takes it for this descriptor. False if the door is closing. */
static bool take_place(struct control_door *door, int descriptor) {
    pthread_mutex_lock(&door->lock);
    /* A place of the same number was that of a connection which failed before anybody was told. */
    struct visitor *v = find_visitor(door, descriptor);
    while (!v && !door->closing && !(v = find_visitor(door, -1)))
        pthread_cond_wait(&door->place_free, &door->lock);
    if (v && !door->closing) *v = (struct visitor){descriptor, PHASE_ARRIVING, monotonic_seconds()};
    bool taken = v && !door->closing;
    pthread_mutex_unlock(&door->lock);
    return taken;
}

static void let_in(struct control_door *door, int descriptor, const struct sockaddr *address,
                   socklen_t size) {
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    if (door->options.is_welcome && !door->options.is_welcome(descriptor)) {
        turn_away(door, descriptor);
        return;
    }
    if (!take_place(door, descriptor)) {
        close(descriptor);
        return;
    }
    /* It closes the descriptor if it fails. */
    if (MHD_add_connection(door->daemon, descriptor, address, size) != MHD_YES) forget(door, descriptor);
}

/* Empties the pipe and sees what has changed. False if the door is closing. */
static bool look_up(struct control_door *door) {
    char bytes[16];
    if (read(door->wake[0], bytes, sizeof bytes) < 0 && errno != EAGAIN)
        log_line(LOG_DEBUG, "control: %s", strerror(errno));
    pthread_mutex_lock(&door->lock);
    if (door->moved >= 0) {
        close(door->options.listener);
        door->options.listener = door->moved;
        door->moved = -1;
    }
    bool open = !door->closing;
    pthread_mutex_unlock(&door->lock);
    return open;
}

static void *keep_door(void *context) {
    struct control_door *door = context;
    while (look_up(door)) {
        struct pollfd polled[] = {{.fd = door->wake[0], .events = POLLIN},
                                  {.fd = door->options.listener, .events = POLLIN}};
        if (poll(polled, 2, -1) <= 0 || !(polled[1].revents & POLLIN)) {
            if (polled[1].revents) poll(polled, 1, 1000); /* the listener is broken */
            continue;
        }
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        int descriptor = accept(door->options.listener, (struct sockaddr *)&address, &size);
        if (descriptor >= 0)
            let_in(door, descriptor, (struct sockaddr *)&address, size);
        else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            poll(polled, 1, 100); /* no descriptors are left: that may pass */
    }
    return NULL;
}

static void wake(struct control_door *door) {
    if (write(door->wake[1], "", 1) < 0 && errno != EAGAIN)
        log_line(LOG_DEBUG, "control: %s", strerror(errno));
}

void control_door_move(struct control_door *door, int listener) {
    pthread_mutex_lock(&door->lock);
    if (door->moved >= 0) close(door->moved);
    door->moved = listener;
    pthread_mutex_unlock(&door->lock);
    wake(door);
}

/* ── opening and closing ─────────────────────────────────────────── */

/* Why it does not start. Later it has a line for every client that hangs up early, which is no news. */
__attribute__((format(printf, 2, 0))) static void on_log(void *context, const char *format,
                                                         va_list arguments) {
    const struct control_door *door = context;
    char text[512];
    if (!atomic_load(&door->starting)) return;
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0';
    log_line(LOG_WARNING, "control: %s", text);
}

/* Its own limit on connections is out of reach; places are what counts. */
static struct MHD_Daemon *start_daemon(struct control_door *door) {
    const unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
                           MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG;
    const struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_log, door},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, door},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)door->options.on_completed, door->options.context},
        {MHD_OPTION_CONNECTION_LIMIT, PLACES * 4, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, REQUEST_MEMORY, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    atomic_store(&door->starting, true);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, door->options.on_request, door->options.context,
                         MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    atomic_store(&door->starting, false);
    return daemon;
}

static int open_pipe(int ends[2]) {
    if (pipe(ends) != 0) return -1;
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

static void free_door(struct control_door *door) {
    if (door->daemon) MHD_stop_daemon(door->daemon);
    if (door->moved >= 0) close(door->moved);
    if (door->stranger >= 0) close(door->stranger);
    for (int i = 0; i < 2; i++)
        if (door->wake[i] >= 0) close(door->wake[i]);
    close(door->options.listener);
    pthread_cond_destroy(&door->place_free);
    pthread_mutex_destroy(&door->lock);
    free(door);
}

int control_door_open(struct control_door **out, const struct control_door_options *options,
                      struct error *err) {
    struct control_door *door = *out = calloc(1, sizeof *door);
    if (!door) {
        close(options->listener);
        return error_set(err, "control: out of memory");
    }
    *door = (struct control_door){.options = *options, .moved = -1, .stranger = -1, .wake = {-1, -1}};
    for (int i = 0; i < PLACES; i++) door->visitors[i].descriptor = -1;
    pthread_mutex_init(&door->lock, NULL);
    pthread_cond_init(&door->place_free, NULL);
    int why = open_pipe(door->wake) == 0 ? 0 : errno;
    if (!why) door->daemon = start_daemon(door);
    if (!why && !door->daemon) why = EAGAIN;
    if (!why) why = pthread_create(&door->thread, NULL, keep_door, door);
    if (!why) return 0;
    free_door(door);
    *out = NULL;
    return error_set(err, "control: cannot start its threads: %s", strerror(why));
}

void control_door_close(struct control_door *door) {
    if (!door) return;
    pthread_mutex_lock(&door->lock);
    door->closing = true;
    pthread_cond_signal(&door->place_free);
    pthread_mutex_unlock(&door->lock);
    wake(door);
    pthread_join(door->thread, NULL);
    free_door(door);
}
