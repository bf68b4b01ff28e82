/* libmicrohttpd's side of the control socket: who may come in, for how long, and how answers leave.
 *
 * Each connection brings one request. It is noted in a list from its first byte to its last; once a second
 * those that take too long are shut down, which libmicrohttpd's own timeout does not see to if a client sends
 * a byte now and then. */
#include "sensor/control.h"

#include "base/log.h"
#include "sensor/control_answer.h"
#include "sensor/control_socket.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTIONS = 16,          /* at once; more wait in the system's queue */
    REQUEST_MEMORY = 32 << 10, /* for the head of a request */
    BODY_MOST = 4 << 10,       /* which nobody needs and which is not read */
    TIMEOUT = 10,              /* seconds for a request to arrive whole, and for its answer to leave */
};

enum phase { PHASE_ARRIVING, PHASE_ANSWERING, PHASE_LEAVING };

/* A connection. */
struct visitor {
    struct visitor *next, *previous;
    int descriptor;
    enum phase phase;
    time_t since; /* it is in this phase, monotonic */
};

/* One of the two doors: the Unix socket, the TCP port. */
struct door {
    struct control *control;
    struct MHD_Daemon *daemon; /* NULL: not open */
    bool metrics_only;
};

struct control {
    struct control_desk desk;
    struct door unix_door, tcp_door;
    char *path; /* NULL: no Unix socket */
    struct control_socket socket;
    bool told;                  /* that the socket could not be made anew */
    struct MHD_Daemon *retired; /* of a socket that was taken away: finishes its connections */
    pthread_mutex_t lock;       /* of the list */
    struct visitor *visitors;
};

/* A request, from its head to the end of its answer. */
struct errand {
    bool stop;
};

/* ── visitors ────────────────────────────────────────────────────── */

static time_t monotonic_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void add_visitor(struct control *control, struct visitor *v) {
    pthread_mutex_lock(&control->lock);
    v->next = control->visitors;
    if (v->next) v->next->previous = v;
    control->visitors = v;
    pthread_mutex_unlock(&control->lock);
}

static void remove_visitor(struct control *control, struct visitor *v) {
    pthread_mutex_lock(&control->lock);
    if (v->previous)
        v->previous->next = v->next;
    else
        control->visitors = v->next;
    if (v->next) v->next->previous = v->previous;
    pthread_mutex_unlock(&control->lock);
    free(v);
}

static void set_phase(struct control *control, struct visitor *v, enum phase phase) {
    if (!v) return;
    pthread_mutex_lock(&control->lock);
    v->phase = phase;
    v->since = monotonic_seconds();
    pthread_mutex_unlock(&control->lock);
}

static void end_slow_visitors(struct control *control) {
    time_t now = monotonic_seconds();
    pthread_mutex_lock(&control->lock);
    for (struct visitor *v = control->visitors; v; v = v->next)
        if (v->phase != PHASE_ANSWERING && now - v->since > TIMEOUT) shutdown(v->descriptor, SHUT_RDWR);
    pthread_mutex_unlock(&control->lock);
}

static int descriptor_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

static struct visitor *visitor_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* A stranger is told and shown the door before a byte of his is read. */
static void turn_away(int descriptor) {
    static const char no[] =
        "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
        "{\"error\":\"this sensor answers to the user who runs it and to root only\"}\n";
    if (send(descriptor, no, sizeof no - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_line(LOG_DEBUG, "control: a stranger was gone before he was turned away");
    shutdown(descriptor, SHUT_RDWR);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code) {
    struct door *door = context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*socket_context) remove_visitor(door->control, *socket_context);
        return;
    }
    int descriptor = descriptor_of(connection);
    struct visitor *v = calloc(1, sizeof *v);
    if (!v || (!door->metrics_only && !control_peer_is_welcome(descriptor))) {
        free(v);
        turn_away(descriptor);
        return;
    }
    *v = (struct visitor){.descriptor = descriptor, .since = monotonic_seconds()};
    add_visitor(door->control, v);
    *socket_context = v;
}

/* ── requests ────────────────────────────────────────────────────── */

static const char *find_argument(void *context, const char *name) {
    const char *value = NULL;
    enum MHD_Result found =
        MHD_lookup_connection_value_n(context, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, NULL);
    return found != MHD_YES ? NULL : value ? value : "";
}

static const char *header_of(struct MHD_Connection *connection, const char *name) {
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* A page on the web that had its name point to 127.0.0.1 sends its own name here. */
static bool is_loopback_name(const char *host) {
    char name[64];
    struct in_addr v4;
    if (!host) return false;
    const char *end = host[0] == '[' ? strchr(host, ']') : strchr(host, ':');
    size_t length = end ? (size_t)(end - host) + (host[0] == '[') : strlen(host);
    if (length >= sizeof name) return false;
    snprintf(name, sizeof name, "%.*s", (int)length, host);
    if (strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0) return true;
    return inet_pton(AF_INET, name, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

/* What can be said once the head is there; status 0 if the request may go on. */
static void check_head(struct door *door, struct MHD_Connection *connection,
                       const struct control_request *request, struct control_answer *answer) {
    const char *length = header_of(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (door->metrics_only && !is_loopback_name(header_of(connection, MHD_HTTP_HEADER_HOST)))
        control_error(answer, 403, "the Host header must name a loopback address or localhost");
    else if (header_of(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING))
        control_error(answer, 411, "a body needs a Content-Length; no request needs a body");
    else if (length && strtoull(length, NULL, 10) > BODY_MOST)
        control_error(answer, 413, "the body is too large; no request needs one");
    else
        control_refuse(request, answer);
    bool from_page = header_of(connection, "Origin") || header_of(connection, "Sec-Fetch-Site");
    if (!answer->status && from_page && strcmp(request->method, "POST") == 0)
        control_error(answer, 403, "nothing is changed on behalf of a web page (Origin, Sec-Fetch-Site)");
}

/* Hands the answer over; its body is the response's from here on. */
static enum MHD_Result send_answer(struct MHD_Connection *connection, struct control_answer *answer) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->body.length, answer->body.at, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        buffer_free(&answer->body);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (answer->allow) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow);
    enum MHD_Result result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

/* The call may take longer than a client may: libmicrohttpd's clock is stopped meanwhile. */
static enum MHD_Result answer_request(struct door *door, struct MHD_Connection *connection,
                                      const struct control_request *request, struct errand *errand) {
    struct control *control = door->control;
    struct control_answer answer = {0};
    set_phase(control, visitor_of(connection), PHASE_ANSWERING);
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    control_answer(&control->desk, request, &answer);
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)TIMEOUT);
    set_phase(control, visitor_of(connection), PHASE_LEAVING);
    errand->stop = answer.stop;
    return send_answer(connection, &answer);
}

/* Called with the head first, then with pieces of the body, then without any. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **state) {
    struct door *door = context;
    (void)version;
    (void)upload;
    struct control_request request = {.method = method,
                                      .path = path,
                                      .argument = find_argument,
                                      .context = connection,
                                      .metrics_only = door->metrics_only};
    if (!visitor_of(connection)) return MHD_NO;
    struct errand *errand = *state;
    if (!errand) {
        *state = errand = calloc(1, sizeof *errand);
        if (!errand) return MHD_NO;
        struct control_answer answer = {0};
        check_head(door, connection, &request, &answer);
        if (!answer.status) return MHD_YES;
        set_phase(door->control, visitor_of(connection), PHASE_LEAVING);
        return send_answer(connection, &answer);
    }
    if (*upload_size) {
        *upload_size = 0; /* at most BODY_MOST of it, as Content-Length said */
        return MHD_YES;
    }
    return answer_request(door, connection, &request, errand);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code) {
    struct door *door = context;
    struct errand *errand = *state;
    (void)connection;
    (void)code;
    if (!errand) return;
    *state = NULL;
    const struct control_calls *calls = &door->control->desk.calls;
    if (errand->stop) calls->stop(calls->context);
    free(errand);
}

/* ── doors ───────────────────────────────────────────────────────── */

__attribute__((format(printf, 2, 0))) static void on_log(void *context, const char *format,
                                                         va_list arguments) {
    char text[512];
    (void)context;
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0';
    log_line(LOG_DEBUG, "control: %s", text);
}

static struct MHD_Daemon *start_daemon(struct door *door, int descriptor) {
    const unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
                           MHD_USE_ITC | MHD_USE_ERROR_LOG;
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, door,                     /**/
                            MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,                   /**/
                            MHD_OPTION_LISTEN_SOCKET, descriptor,                       /**/
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, door,          /**/
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, door,            /**/
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,         /**/
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_MEMORY, /**/
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT, MHD_OPTION_END);
}

/* Whether a daemon that did not start has closed its socket depends on how far it came; its number may be
 * another file's by now. */
static void close_if_still_open(const struct stat *before, int descriptor) {
    struct stat now;
    if (fstat(descriptor, &now) == 0 && now.st_dev == before->st_dev && now.st_ino == before->st_ino)
        close(descriptor);
}

/* Opens the Unix socket and a daemon on it; what was open before is the caller's. */
static int open_unix(struct control *control, struct control_socket *socket, struct MHD_Daemon **daemon,
                     struct error *err) {
    if (control_socket_open(socket, control->path, err) != 0) return -1;
    struct stat before;
    fstat(socket->descriptor, &before);
    *daemon = start_daemon(&control->unix_door, socket->descriptor);
    if (*daemon) return 0;
    unlink(control->path);
    close_if_still_open(&before, socket->descriptor);
    return error_set(err, "control socket: cannot start a thread for %s", control->path);
}

static int open_tcp(struct control *control, const char *address, struct error *err) {
    int descriptor = control_listen_loopback(address, err);
    if (descriptor < 0) return -1;
    struct stat before;
    fstat(descriptor, &before);
    control->tcp_door.daemon = start_daemon(&control->tcp_door, descriptor);
    if (control->tcp_door.daemon) return 0;
    close_if_still_open(&before, descriptor);
    return error_set(err, "metrics: cannot start a thread for %s", address);
}

struct control *control_open(const struct control_options *options, struct error *err) {
    struct control *control = calloc(1, sizeof *control);
    if (!control || control_desk_init(&control->desk, &options->calls, err) != 0) {
        if (!control) error_set(err, "control: out of memory");
        free(control);
        return NULL;
    }
    pthread_mutex_init(&control->lock, NULL);
    control->socket.descriptor = -1;
    control->unix_door = (struct door){.control = control};
    control->tcp_door = (struct door){.control = control, .metrics_only = true};
    int result = 0;
    if (options->path) {
        control->path = strdup(options->path);
        result = control->path ? open_unix(control, &control->socket, &control->unix_door.daemon, err)
                               : error_set(err, "control: out of memory");
    }
    if (result == 0 && options->metrics) result = open_tcp(control, options->metrics, err);
    if (result == 0) return control;
    control_close(control);
    return NULL;
}

/* Stops listening; connections go on until they are stopped or end. */
static void close_unix_socket(struct control *control) {
    if (control->unix_door.daemon &&
        MHD_quiesce_daemon(control->unix_door.daemon) != control->socket.descriptor)
        control->socket.descriptor = -1; /* it is libmicrohttpd's to close */
    if (control->socket.descriptor >= 0) control_socket_close(&control->socket, control->path);
}

static void end_retired(struct control *control) {
    if (!control->retired) return;
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(control->retired, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    if (info && info->num_connections > 0) return;
    MHD_stop_daemon(control->retired);
    control->retired = NULL;
}

int control_mend(struct control *control, struct error *err) {
    end_slow_visitors(control);
    end_retired(control);
    if (!control->path || control->retired || control_socket_in_place(&control->socket, control->path))
        return 0;
    struct control_socket fresh;
    struct MHD_Daemon *daemon;
    if (open_unix(control, &fresh, &daemon, err) != 0) {
        bool told = control->told;
        control->told = true;
        return told ? 0 : -1;
    }
    close_unix_socket(control);
    control->retired = control->unix_door.daemon;
    control->unix_door.daemon = daemon;
    control->socket = fresh;
    control->told = false;
    return 0;
}

void control_close(struct control *control) {
    if (!control) return;
    close_unix_socket(control);
    if (control->unix_door.daemon) MHD_stop_daemon(control->unix_door.daemon);
    if (control->retired) MHD_stop_daemon(control->retired);
    if (control->tcp_door.daemon) MHD_stop_daemon(control->tcp_door.daemon);
    control_desk_destroy(&control->desk);
    pthread_mutex_destroy(&control->lock);
    free(control->path);
    free(control);
}
