/* One table of paths; what reads is GET (and HEAD), what changes something is POST. */
#include "sensor/control_answer.h"

#include "base/ip.h"
#include "base/log.h"
#include "output/json.h"
#include "sensor/board_json.h"
#include "sensor/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FLOWS_DEFAULT = 100, FLOWS_MOST = 10000, CARDS_MOST = 100000, LIST_MOST = 64 /* alerts, hosts */ };

static const char json_type[] = "application/json";

int control_desk_init(struct control_desk *desk, const struct control_calls *calls, struct error *err) {
    *desk = (struct control_desk){.calls = *calls};
    int why = pthread_mutex_init(&desk->reloading, NULL);
    if (why) return error_set(err, "control: %s", strerror(why));
    why = pthread_mutex_init(&desk->asking, NULL);
    if (!why) return 0;
    pthread_mutex_destroy(&desk->reloading);
    return error_set(err, "control: %s", strerror(why));
}

void control_desk_destroy(struct control_desk *desk) {
    pthread_mutex_destroy(&desk->reloading);
    pthread_mutex_destroy(&desk->asking);
}

void control_error(struct control_answer *answer, unsigned status, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    answer->status = status;
    answer->type = json_type;
    answer->body.length = 0;
    buffer_char(&answer->body, '{');
    json_pair_text(&answer->body, "error", text);
    buffer_string(&answer->body, "}\n");
}

/* A number of an argument; `otherwise` if it is not given. -1 and an answer if it is none. */
static int number_argument(const struct control_request *request, const char *name, uint32_t otherwise,
                           uint32_t most, uint32_t *out, struct control_answer *answer) {
    const char *text = request->argument(request->context, name);
    *out = otherwise;
    if (!text) return 0;
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || *text < '0' || *text > '9' || *end || value < 1 || value > most) {
        control_error(answer, 400, "%s: expected a number from 1 to %u, got '%.60s'", name, most, text);
        return -1;
    }
    *out = (uint32_t)value;
    return 0;
}

/* ── what reads the board ────────────────────────────────────────── */

/* The snapshot is large: not for a thread's stack. */
static struct board *take_board(struct control_desk *desk, struct control_answer *answer) {
    struct board *board = calloc(1, sizeof *board);
    if (board)
        desk->calls.board(desk->calls.context, board);
    else
        control_error(answer, 503, "out of memory");
    return board;
}

static void answer_status(const struct board *board, struct buffer *b) {
    board_json_status(b, board);
}

static void under_key(struct buffer *b, const char *key, const struct board *board,
                      void (*put)(struct buffer *b, const struct board *board)) {
    json_key(b, key);
    put(b, board);
}

static void put_all_alerts(struct buffer *b, const struct board *board) {
    board_json_alerts(b, board, BOARD_ALERTS);
}

static void answer_scripts(const struct board *board, struct buffer *b) {
    buffer_char(b, '{');
    under_key(b, "scripts", board, board_json_scripts);
    buffer_char(b, '}');
}

static void answer_hosts(const struct board *board, struct buffer *b) {
    buffer_char(b, '{');
    under_key(b, "hosts", board, board_json_hosts);
    buffer_char(b, '}');
}

static void answer_alerts(const struct board *board, struct buffer *b) {
    buffer_char(b, '{');
    under_key(b, "alerts", board, put_all_alerts);
    buffer_char(b, '}');
}

/* All of one moment, for `lunette top`. */
static void answer_top(const struct board *board, struct buffer *b) {
    buffer_char(b, '{');
    under_key(b, "status", board, board_json_status);
    under_key(b, "scripts", board, board_json_scripts);
    under_key(b, "hosts", board, board_json_hosts);
    under_key(b, "names", board, board_json_names);
    under_key(b, "alerts", board, put_all_alerts);
    buffer_char(b, '}');
}

static void answer_metrics(const struct board *board, struct buffer *b) {
    metrics_write(b, board);
}

/* ── what asks or changes the sensor ─────────────────────────────── */

static void answer_done(struct control_answer *answer, const char *key, const char *text) {
    answer->status = 200;
    buffer_char(&answer->body, '{');
    json_pair_text(&answer->body, key, text);
    buffer_string(&answer->body, "}\n");
}

typedef int ask_of_hosts(void *context, const char *host, uint32_t limit, struct buffer *json,
                         struct error *err);

/* What is asked of one host or of all: {"flows":[…]}. */
static void answer_of_hosts(struct control_desk *desk, const struct control_request *request,
                            struct control_answer *answer, ask_of_hosts *ask, const char *key, uint32_t usual,
                            uint32_t most) {
    const char *host = request->argument(request->context, "host");
    uint32_t limit;
    struct ip address;
    struct error err = {0};
    if (number_argument(request, "limit", usual, most, &limit, answer) != 0) return;
    if (host && ip_parse(host, &address) != 0) {
        control_error(answer, 400, "host: expected an IP address, got '%.60s'", host);
        return;
    }
    buffer_char(&answer->body, '{');
    json_key(&answer->body, key);
    pthread_mutex_lock(&desk->asking);
    int result = ask(desk->calls.context, host, limit, &answer->body, &err);
    pthread_mutex_unlock(&desk->asking);
    if (result != 0) {
        control_error(answer, 503, "%s", err.text[0] ? err.text : "the workers did not answer in time");
        return;
    }
    answer->status = 200;
    buffer_string(&answer->body, "}\n");
}

static void answer_flows(struct control_desk *desk, const struct control_request *request,
                         struct control_answer *answer) {
    answer_of_hosts(desk, request, answer, desk->calls.flows, "flows", FLOWS_DEFAULT, FLOWS_MOST);
}

static void answer_cards(struct control_desk *desk, const struct control_request *request,
                         struct control_answer *answer) {
    answer_of_hosts(desk, request, answer, desk->calls.cards, "cards", CARDS_MOST, CARDS_MOST);
}

static void answer_reload(struct control_desk *desk, const struct control_request *request,
                          struct control_answer *answer) {
    const char *force = request->argument(request->context, "force");
    if (force && strcmp(force, "0") != 0 && strcmp(force, "1") != 0 && force[0]) {
        control_error(answer, 400, "force: expected 0 or 1, got '%.60s'", force);
        return;
    }
    if (pthread_mutex_trylock(&desk->reloading) != 0) {
        control_error(answer, 409, "a reload is under way; wait for it and ask again");
        return;
    }
    char summary[1024] = "";
    struct error err = {0};
    int result = desk->calls.reload(desk->calls.context, force && strcmp(force, "0") != 0, summary,
                                    sizeof summary, &err);
    pthread_mutex_unlock(&desk->reloading);
    if (result != 0)
        control_error(answer, 422, "%s", err.text[0] ? err.text : "the reload failed");
    else
        answer_done(answer, "summary", summary);
}

static void answer_rotate(struct control_desk *desk, const struct control_request *request,
                          struct control_answer *answer) {
    (void)request;
    pthread_mutex_lock(&desk->asking);
    desk->calls.rotate(desk->calls.context);
    pthread_mutex_unlock(&desk->asking);
    answer_done(answer, "summary", "outputs begin new files");
}

static void answer_stop(struct control_desk *desk, const struct control_request *request,
                        struct control_answer *answer) {
    (void)desk;
    (void)request;
    answer->stop = true;
    answer_done(answer, "summary", "stopping");
}

static void answer_log_level(struct control_desk *desk, const struct control_request *request,
                             struct control_answer *answer) {
    static const char *const names[] = {"error", "warning", "info", "debug"};
    (void)desk;
    const char *level = request->argument(request->context, "level");
    for (size_t i = 0; level && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(level, names[i]) != 0) continue;
        log_set_level((enum log_level)i);
        answer_done(answer, "level", names[i]);
        return;
    }
    control_error(answer, 400, "level: expected error, warning, info or debug, got '%.60s'",
                  level ? level : "");
}

/* ── the table ───────────────────────────────────────────────────── */

struct route {
    const char *path;
    const char *type;
    void (*show)(const struct board *board, struct buffer *b); /* GET */
    void (*run)(struct control_desk *desk, const struct control_request *request,
                struct control_answer *answer);
    bool changes; /* POST */
    bool limited; /* takes limit=: the first so many of its list */
};

static const struct route routes[] = {
    {.path = "/status", .type = json_type, .show = answer_status},
    {.path = "/scripts", .type = json_type, .show = answer_scripts},
    {.path = "/hosts", .type = json_type, .show = answer_hosts, .limited = true},
    {.path = "/alerts", .type = json_type, .show = answer_alerts, .limited = true},
    {.path = "/top", .type = json_type, .show = answer_top},
    {.path = "/metrics", .type = METRICS_CONTENT_TYPE, .show = answer_metrics},
    {.path = "/flows", .type = json_type, .run = answer_flows},
    {.path = "/cards", .type = json_type, .run = answer_cards},
    {.path = "/reload", .type = json_type, .run = answer_reload, .changes = true},
    {.path = "/rotate", .type = json_type, .run = answer_rotate, .changes = true},
    {.path = "/stop", .type = json_type, .run = answer_stop, .changes = true},
    {.path = "/log-level", .type = json_type, .run = answer_log_level, .changes = true},
};

static const struct route *route_of(const struct control_request *request) {
    if (request->metrics_only && strcmp(request->path, "/metrics") != 0) return NULL;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (strcmp(request->path, routes[i].path) == 0) return &routes[i];
    return NULL;
}

void control_refuse(const struct control_request *request, struct control_answer *answer) {
    const struct route *route = route_of(request);
    if (!route) {
        control_error(answer, 404,
                      request->metrics_only ? "there is only /metrics here"
                                            : "no such path; there are /status /scripts /hosts /alerts /top "
                                              "/metrics /flows /cards, and by POST /reload /rotate /stop "
                                              "/log-level");
        return;
    }
    const char *method = request->method;
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (route->changes ? strcmp(method, "POST") == 0 : reads) return;
    answer->allow = route->changes ? "POST" : "GET, HEAD";
    control_error(answer, 405, "%s is asked for with %s", route->path, route->changes ? "POST" : "GET");
}

/* Of a board that is ours alone. -1 and an answer if the limit is none. */
static int shorten_lists(struct board *board, const struct control_request *request,
                         struct control_answer *answer) {
    uint32_t limit;
    if (number_argument(request, "limit", LIST_MOST, LIST_MOST, &limit, answer) != 0) return -1;
    if (board->alert_count > limit) board->alert_count = limit;
    if (board->host_count > limit) board->host_count = limit;
    return 0;
}

static void answer_from_board(struct control_desk *desk, const struct route *route,
                              const struct control_request *request, struct control_answer *answer) {
    struct board *board = take_board(desk, answer);
    if (!board) return;
    if (!route->limited || shorten_lists(board, request, answer) == 0) {
        answer->status = 200;
        route->show(board, &answer->body);
        if (route->type == json_type) buffer_char(&answer->body, '\n');
    }
    free(board);
}

void control_answer(struct control_desk *desk, const struct control_request *request,
                    struct control_answer *answer) {
    const struct route *route = route_of(request);
    answer->type = route->type;
    if (route->run)
        route->run(desk, request, answer);
    else
        answer_from_board(desk, route, request, answer);
    if (answer->body.failed) {
        buffer_free(&answer->body);
        control_error(answer, 503, "out of memory");
    }
}
