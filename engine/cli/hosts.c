/* `lunette hosts`: what is known of each host, and nothing else. Of captures it is a replay that prints the
 * cards at its end; without a capture the running sensor is asked, as `lunette ctl cards` does. */
#include "cli/cli.h"

#include "base/log.h"
#include "cli/client.h"
#include "cli/ctl_print.h"
#include "cli/fill.h"
#include "cli/interrupt.h"
#include "cli/print.h"
#include "cli/session.h"
#include "sensor/control_path.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char about[] =
    "usage: lunette hosts [options] [CAPTURE...]\n"
    "\n"
    "Prints what is known of each host: who it is, what it is doing, whom it talks to, its programs and its\n"
    "findings, as the detectors tell. With captures these are replayed; without one the running sensor is\n"
    "asked.\n"
    "\n"
    "      --host ADDRESS           only that one\n"
    "      --json                   the records, one a line\n"
    "      --socket PATH            the sensor's control socket (default: where `lunette ctl` looks for it)\n"
    "\n"
    "The options below go with captures; --hosts also with a sensor (default here: all hosts).\n";

enum { ASK_SECONDS = 30 };

struct own {
    const char *host, *socket;
    struct ip address; /* of `host` */
    bool json;
};

/* ── the command line ────────────────────────────────────────────── */

/* "--host ADDRESS" or "--host=ADDRESS": 1 if it is that, -1 if its value is missing. */
static int take_value(const char *name, int argc, char **argv, int *i, const char **out, struct error *err) {
    size_t length = strlen(name);
    if (strncmp(argv[*i], name, length) != 0 || (argv[*i][length] && argv[*i][length] != '=')) return 0;
    if (argv[*i][length] == '=')
        *out = argv[*i] + length + 1;
    else if (*i + 1 < argc)
        *out = argv[++*i];
    else
        return error_set(err, "hosts: %s takes a value", name);
    return 1;
}

/* Takes the options that only this command has out of the arguments. */
static int take_own(int *argc, char **argv, struct own *own, struct error *err) {
    int left = 1;
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (i < *argc) argv[left++] = argv[i++];
            break;
        }
        int taken = take_value("--host", *argc, argv, &i, &own->host, err);
        if (taken == 0) taken = take_value("--socket", *argc, argv, &i, &own->socket, err);
        if (taken < 0) return -1;
        if (taken > 0) continue;
        if (strcmp(argv[i], "--json") == 0)
            own->json = true;
        else
            argv[left++] = argv[i];
    }
    *argc = left;
    if (own->host && ip_parse(own->host, &own->address) != 0)
        return error_set(err, "hosts: --host takes an IP address, not '%s'", own->host);
    return 0;
}

static int check_options(const struct values *values, struct error *err) {
    for (int id = 0; id < OPTION_COUNT; id++)
        if (values->of[id].origin == BY_COMMAND_LINE && !option_of_hosts((enum option_id)id))
            return error_set(err, "hosts: it prints hosts' cards alone: leave out --%s",
                             option_spec((enum option_id)id)->name);
    return 0;
}

/* The sensor has its options; and who forgets the capture should not be shown another network's hosts. */
static int check_asking(const struct values *values, struct error *err) {
    for (int id = 0; id < OPTION_COUNT; id++)
        if (values->of[id].origin == BY_COMMAND_LINE && id != OPTION_HOSTS)
            return error_set(err, "hosts: --%s goes with a capture, and there is none",
                             option_spec((enum option_id)id)->name);
    return 0;
}

/* ── of a running sensor ─────────────────────────────────────────── */

static int print_records(const char *body, struct buffer *b, struct error *err) {
    json_error_t why;
    json_t *root = json_loads(body, JSON_ALLOW_NUL, &why);
    if (!root) return error_set(err, "the sensor's answer cannot be read: %s", why.text);
    size_t i;
    const json_t *record;
    json_array_foreach(json_object_get(root, "cards"), i, record) {
        char *line = json_dumps(record, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(15));
        buffer_string(b, line ? line : "");
        buffer_char(b, '\n');
        free(line);
    }
    json_decref(root);
    return 0;
}

static int print_answer(const struct own *own, const struct client_answer *answer, struct error *err) {
    struct buffer b = {.at = NULL};
    char why[1024];
    int outcome;
    if (answer->status != 200)
        outcome = error_set(err, "%s", client_complaint(answer, why, sizeof why));
    else if (own->json)
        outcome = print_records(answer->body, &b, err);
    else
        outcome = ctl_print(ctl_print_cards, answer->body, 0, &b, err);
    if (outcome == 0) return print_out(&b);
    buffer_free(&b);
    return -1;
}

static int ask_sensor(const struct own *own, const struct values *values, struct error *err) {
    char path[CONTROL_PATH_SIZE], target[128], host[IP_TEXT_SIZE] = "";
    struct client_answer answer;
    bool few = values->of[OPTION_HOSTS].origin != BY_DEFAULT;
    double most = few ? value_number(values, OPTION_HOSTS) : 0;
    if (check_asking(values, err) < 0) return -1;
    if (control_path_for_client(own->socket, path, err) != 0) return -1;
    if (own->host) ip_format(&own->address, host);
    int used = snprintf(target, sizeof target, "/cards%s%s", own->host ? "?host=" : "", host);
    if (most >= 1)
        snprintf(target + used, sizeof target - (size_t)used, "%climit=%.0f", own->host ? '&' : '?', most);
    int outcome = client_ask(path, "GET", target, ASK_SECONDS, &answer, err);
    if (outcome == 0) {
        outcome = print_answer(own, &answer, err);
        client_answer_free(&answer);
    }
    if (outcome >= 0) return outcome;
    log_failure(err->text);
    err->text[0] = '\0';
    return EXIT_SOMETHING_FAILED;
}

/* ── of captures ─────────────────────────────────────────────────── */

static void only_hosts(struct output_options *outputs, const struct own *own, const struct values *values) {
    static const char *const to_stdout[] = {"-"};
    uint32_t most = values->of[OPTION_HOSTS].origin == BY_DEFAULT ? UINT32_MAX : outputs->host_cards;
    memset(outputs->record, 0, sizeof outputs->record);
    outputs->record_alerts = outputs->record_reports = outputs->record_stats = false;
    outputs->record_custom = false;
    outputs->show_alerts = outputs->show_summary = false;
    outputs->show_hosts = !own->json;
    outputs->host = own->host ? &own->address : NULL;
    outputs->host_cards = outputs->host_records = most;
    outputs->records = own->json ? to_stdout : NULL;
    outputs->record_count = own->json;
}

static int replay_captures(const struct own *own, const struct invocation *invocation,
                           const struct values *values, struct error *err) {
    struct filling filling = {.settings = NULL};
    struct replay_options replay;
    enum replay_outcome outcome = REPLAY_USAGE;
    if (fill_replay(&replay, values, &filling, err) == 0) {
        replay.captures = (const char *const *)&invocation->argv[invocation->rest];
        replay.capture_count = (size_t)(invocation->argc - invocation->rest);
        replay.stop = interrupts_catch();
        only_hosts(&replay.outputs, own, values);
        if (check_one_stdin(&replay.host_logs, replay.captures, replay.capture_count, err) == 0)
            outcome = replay_run(&replay, err);
    }
    filling_clear(&filling);
    if (outcome != REPLAY_FINE && err->text[0]) log_failure(err->text);
    return (int)outcome;
}

int cli_hosts(int argc, char **argv) {
    struct error err = {.text = ""};
    struct own own = {.host = NULL};
    int outcome = take_own(&argc, argv, &own, &err);
    struct invocation invocation = {.command = FOR_REPLAY, .argc = argc, .argv = argv};
    struct values *values = outcome == 0 ? session_values(&invocation, &err) : NULL;
    if (values && value_flag(values, OPTION_HELP)) {
        values_free(values);
        return session_help(FOR_HOSTS, about);
    }
    if (values && check_options(values, &err) == 0 && fill_log(values, &err) == 0) {
        bool captures = invocation.rest < argc;
        if (captures && own.socket)
            outcome = error_set(&err, "hosts: --socket is for asking a sensor: leave out the capture, or it");
        else
            outcome =
                captures ? replay_captures(&own, &invocation, values, &err) : ask_sensor(&own, values, &err);
    } else {
        outcome = -1;
    }
    if (values) values_free(values);
    if (outcome >= 0) return outcome;
    log_failure(err.text);
    return EXIT_WRONG_USE;
}
