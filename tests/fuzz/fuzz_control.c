/* libFuzzer target: requests to the control socket, as they are once libmicrohttpd has read them, and what
 * `ctl`, `top` and `hosts` make of an answer.
 *
 * An input is lines: method and path, then arguments NAME=VALUE, then an empty line, and what a server that
 * calls itself a sensor might answer. Our own answers must be JSON, whatever is on the board (its texts are
 * the input's). */
#include "cli/card_read.h"
#include "cli/ctl_print.h"
#include "cli/top_view.h"
#include "output/card.h"
#include "sensor/board.h"
#include "sensor/control_answer.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES = 16, TEXT = 1 << 16 };

static char text[TEXT];
static char *lines[LINES];
static unsigned line_count;
static const char *body;

/* Cuts the text into lines; `body` is what stands behind the first empty one. */
static void cut(const uint8_t *data, size_t size) {
    if (size >= TEXT) size = TEXT - 1;
    memcpy(text, data, size);
    text[size] = '\0';
    line_count = 0;
    body = "";
    for (char *at = text; *at && line_count < LINES;) {
        char *stop = strchr(at, '\n');
        if (stop == at) {
            body = at + 1;
            return;
        }
        lines[line_count++] = at;
        if (!stop) return;
        *stop = '\0';
        at = stop + 1;
    }
}

static const char *argument(void *context, const char *name) {
    (void)context;
    size_t length = strlen(name);
    for (unsigned i = 1; i < line_count; i++)
        if (strncmp(lines[i], name, length) == 0 && (lines[i][length] == '=' || !lines[i][length]))
            return lines[i][length] ? lines[i] + length + 1 : "";
    return NULL;
}

static void fill(char *out, size_t size, unsigned which) {
    snprintf(out, size, "%s", line_count ? lines[which % line_count] : "");
}

static void make_board(void *context, struct board *out) {
    (void)context;
    uint64_t number = strlen(text) * 0x9e3779b97f4a7c15ULL >> 2;
    memset(out, 0, sizeof *out);
    out->started = 1;
    out->now = (nanoseconds)number;
    out->worker_count = number % (BOARD_WORKERS + 1);
    out->packets = number;
    out->packet_rate = (double)number;
    fill(out->version, sizeof out->version, 0);
    fill(out->last_exit, sizeof out->last_exit, 1);
    fill(out->last_reload_summary, sizeof out->last_reload_summary, 2);
    out->interface_count = number % 3;
    out->detector_count = number % 5;
    out->output_count = number % 2;
    out->host_count = out->name_count = number % (BOARD_TOP + 1);
    out->alert_count = number % (BOARD_ALERTS + 1);
    for (unsigned i = 0; i < out->interface_count; i++) fill(out->interfaces[i].name, 64, i);
    for (unsigned i = 0; i < out->detector_count; i++) fill(out->detectors[i].trouble, BOARD_TEXT, i);
    for (unsigned i = 0; i < out->output_count; i++) out->outputs[i].name = line_count ? lines[0] : "";
    for (unsigned i = 0; i < out->host_count; i++) {
        fill(out->hosts[i].name, 256, i);
        fill(out->names[i].name, 256, i + 1);
    }
    for (unsigned i = 0; i < out->alert_count; i++) {
        struct board_alert *alert = &out->latest[i];
        alert->severity = (uint8_t)(1 + i % 4);
        fill(alert->title, sizeof alert->title, i);
        fill(alert->why, sizeof alert->why, i + 1);
        fill(alert->program, sizeof alert->program, i + 2);
    }
}

static int list(void *context, const char *host, uint32_t limit, struct buffer *json, struct error *err) {
    (void)context;
    if (limit == 7) return error_set(err, "%s", host ? host : "busy");
    buffer_string(json, "[]");
    return 0;
}

static int reload(void *context, bool force, char *summary, size_t size, struct error *err) {
    (void)context;
    if (force) return error_set(err, "%s", line_count ? lines[line_count - 1] : "");
    snprintf(summary, size, "%s", line_count ? lines[line_count - 1] : "");
    return 0;
}

static void nothing(void *context) {
    (void)context;
}

static void show(const char *answer) {
    static ctl_printer *const printers[] = {ctl_print_status, ctl_print_scripts, ctl_print_flows,
                                            ctl_print_hosts,  ctl_print_alerts,  ctl_print_top,
                                            ctl_print_cards,  ctl_print_summary};
    struct error err = {.text = ""};
    struct buffer out = {0};
    for (unsigned i = 0; i < sizeof printers / sizeof printers[0]; i++)
        ctl_print(printers[i], answer, i % 2 ? 3 : 0, &out, &err);
    buffer_free(&out);
    struct top_view view = {0};
    struct screen screen = {.unicode = true};
    for (unsigned focus = 0; focus < FOCUS_COUNT; focus++) {
        view.focus = (enum top_focus)focus;
        view.scroll[focus] = focus * 3;
        if (top_view_feed(&view, answer, &err) == 0 &&
            screen_size(&screen, 20 + focus * 9, 60 + focus * 31) == 0)
            top_view_draw(&view, &screen);
    }
    top_view_free(&view);
    screen_free(&screen);
    json_t *record = json_loads(answer, JSON_ALLOW_NUL, NULL);
    struct card *card = record ? card_read(record) : NULL;
    if (card) card_free(card);
    json_decref(record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct control_calls calls = {.board = make_board,
                                               .flows = list,
                                               .cards = list,
                                               .reload = reload,
                                               .rotate = nothing,
                                               .stop = nothing};
    struct control_desk desk;
    struct error err = {.text = ""};
    cut(data, size);
    if (line_count == 0) return 0;
    char *path = strchr(lines[0], ' ');
    if (path) *path++ = '\0';
    if (control_desk_init(&desk, &calls, &err) < 0) abort();
    const struct control_request request = {
        .method = lines[0], .path = path ? path : "", .argument = argument, .metrics_only = size % 8 == 0};
    struct control_answer answer = {0};
    control_refuse(&request, &answer);
    if (answer.status == 0) control_answer(&desk, &request, &answer);
    if (answer.status < 200 || answer.status > 599 || !answer.type) abort();
    buffer_char(&answer.body, '\0');
    if (strcmp(answer.type, "application/json") == 0) {
        json_error_t why;
        json_t *root = json_loads(answer.body.at, JSON_ALLOW_NUL, &why);
        if (!root) {
            fprintf(stderr, "%s: %s\n", why.text, answer.body.at);
            abort();
        }
        json_decref(root);
        if (answer.status == 200) show(answer.body.at);
    }
    buffer_free(&answer.body);
    control_desk_destroy(&desk);
    log_set_level(LOG_ERROR);
    show(body);
    return 0;
}
