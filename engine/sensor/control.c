/* What the two doors share: how a request is looked at, answered and ended. Each connection brings one
 * request. */
#include "sensor/control.h"

#include "sensor/control_answer.h"
#include "sensor/control_door.h"
#include "sensor/control_socket.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BODY_MOST = 4 << 10 /* bytes, which nobody needs and which are not looked at */ };

/* One of the two doors: the Unix socket, the TCP port. */
struct entrance {
    struct control *control;
    struct control_door *door; /* NULL: not open */
    bool metrics_only;
};

struct control {
    struct control_desk desk;
    struct entrance unix_entrance, tcp_entrance;
    char *path; /* NULL: no Unix socket */
    struct control_socket socket;
    bool told; /* that the socket could not be made anew */
};

/* A request, from its head to the end of its answer. */
struct errand {
    bool stop;
};

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
static void check_head(const struct entrance *entrance, struct MHD_Connection *connection,
                       const struct control_request *request, struct control_answer *answer) {
    const char *length = header_of(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
    bool from_page = header_of(connection, "Origin") || header_of(connection, "Sec-Fetch-Site");
    if (entrance->metrics_only && !is_loopback_name(header_of(connection, MHD_HTTP_HEADER_HOST)))
        control_error(answer, 403, "the Host header must name a loopback address or localhost");
    else if (header_of(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING))
        control_error(answer, 411, "a body needs a Content-Length; no request needs a body");
    else if (length && strtoull(length, NULL, 10) > BODY_MOST)
        control_error(answer, 413, "the body is too large; no request needs one");
    else
        control_refuse(request, answer);
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

static enum MHD_Result answer_request(struct entrance *entrance, struct MHD_Connection *connection,
                                      const struct control_request *request, struct errand *errand) {
    struct control_answer answer = {0};
    control_door_answering(entrance->door, connection);
    control_answer(&entrance->control->desk, request, &answer);
    control_door_leaving(entrance->door, connection);
    errand->stop = answer.stop;
    return send_answer(connection, &answer);
}

/* Called with the head first, then with pieces of the body, then without any. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **state) {
    struct entrance *entrance = context;
    (void)version;
    (void)upload;
    struct control_request request = {.method = method,
                                      .path = path,
                                      .argument = find_argument,
                                      .context = connection,
                                      .metrics_only = entrance->metrics_only};
    struct errand *errand = *state;
    if (!errand) {
        *state = errand = calloc(1, sizeof *errand);
        if (!errand) return MHD_NO;
        struct control_answer answer = {0};
        check_head(entrance, connection, &request, &answer);
        return answer.status ? send_answer(connection, &answer) : MHD_YES;
    }
    if (*upload_size) {
        *upload_size = 0; /* at most BODY_MOST of it, as Content-Length said */
        return MHD_YES;
    }
    return answer_request(entrance, connection, &request, errand);
}

/* The answer has been sent, or nobody was left to take it. */
static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code) {
    struct entrance *entrance = context;
    struct errand *errand = *state;
    (void)connection;
    (void)code;
    if (!errand) return;
    *state = NULL;
    const struct control_calls *calls = &entrance->control->desk.calls;
    if (errand->stop) calls->stop(calls->context);
    free(errand);
}

/* ── opening, mending, closing ───────────────────────────────────── */

static int open_entrance(struct entrance *entrance, int listener, struct error *err) {
    const struct control_door_options options = {
        .listener = listener,
        .is_welcome = entrance->metrics_only ? NULL : control_peer_is_welcome,
        .on_request = on_request,
        .on_completed = on_completed,
        .context = entrance,
    };
    return control_door_open(&entrance->door, &options, err);
}

static int open_unix(struct control *control, const char *path, struct error *err) {
    control->path = strdup(path);
    if (!control->path) return error_set(err, "control: out of memory");
    if (control_socket_open(&control->socket, path, err) != 0) return -1;
    return open_entrance(&control->unix_entrance, control->socket.descriptor, err);
}

static int open_tcp(struct control *control, const char *address, struct error *err) {
    int listener = control_listen_loopback(address, err);
    return listener < 0 ? -1 : open_entrance(&control->tcp_entrance, listener, err);
}

struct control *control_open(const struct control_options *options, struct error *err) {
    struct control *control = calloc(1, sizeof *control);
    if (!control || control_desk_init(&control->desk, &options->calls, err) != 0) {
        if (!control) error_set(err, "control: out of memory");
        free(control);
        return NULL;
    }
    control->socket.descriptor = -1;
    control->unix_entrance = (struct entrance){.control = control};
    control->tcp_entrance = (struct entrance){.control = control, .metrics_only = true};
    int result = options->path ? open_unix(control, options->path, err) : 0;
    if (result == 0 && options->metrics) result = open_tcp(control, options->metrics, err);
    if (result == 0) return control;
    control_close(control);
    return NULL;
}

int control_mend(struct control *control, struct error *err) {
    if (control->unix_entrance.door) control_door_sweep(control->unix_entrance.door);
    if (control->tcp_entrance.door) control_door_sweep(control->tcp_entrance.door);
    if (!control->path || control_socket_in_place(&control->socket, control->path)) return 0;
    struct control_socket fresh;
    if (control_socket_open(&fresh, control->path, err) != 0) {
        bool told = control->told;
        control->told = true;
        return told ? 0 : -1;
    }
    control->socket = fresh; /* the descriptors are the door's */
    control_door_move(control->unix_entrance.door, fresh.descriptor);
    control->told = false;
    return 0;
}

void control_close(struct control *control) {
    if (!control) return;
    control_socket_unlink(&control->socket, control->path);
    control_door_close(control->unix_entrance.door);
    control_door_close(control->tcp_entrance.door);
    control_desk_destroy(&control->desk);
    free(control->path);
    free(control);
}
