/* `lunette ctl`: asks a running sensor, or tells it to do something. One row of a table per thing to ask;
 * what comes back is printed by cli/ctl_print.c, or as it is with --json. */
#include "cli/cli.h"

#include "base/log.h"
#include "base/nearest.h"
#include "cli/client.h"
#include "cli/ctl_print.h"
#include "cli/print.h"
#include "sensor/control_path.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: lunette ctl [--socket PATH] [--json] COMMAND\n"
    "\n"
    "Asks a running sensor, or tells it what to do.\n"
    "\n"
    "  status              how it is: rates, drops, flows, interfaces, outputs, reloads\n"
    "  scripts             the detectors, what each costs and what went wrong\n"
    "  flows               flows that are open now\n"
    "      --host ADDRESS    only those of this host\n"
    "      --limit N         at most so many (default 100)\n"
    "  hosts               the busiest local hosts\n"
    "  cards [ADDRESS]     what is known of each host, or of that one: who it is, its programs, its "
    "findings\n"
    "      --limit N         at most so many, the busiest first\n"
    "  alerts              the latest alerts, newest first\n"
    "      --limit N         at most so many\n"
    "  top                 hosts, names and detectors that keep it busy (a screen of it: lunette top)\n"
    "  metrics             all figures in Prometheus' format\n"
    "  reload              read configuration, scripts and their data anew\n"
    "      --force           also those that have not changed\n"
    "  log-level LEVEL     error, warning, info or debug\n"
    "  rotate              begin new output files\n"
    "  stop                end it in good order\n"
    "\n"
    "  -s, --socket PATH   its control socket (default: $LUNETTE_SOCKET, else where a sensor of yours puts "
    "it)\n"
    "      --json          print the answer as it is\n"
    "  -h, --help\n"
    "\n"
    "Exit code: 0 fine, 1 the sensor said no or is not there, 2 wrong use.\n";

enum { OPTION_JSON = 256, OPTION_HOST, OPTION_LIMIT, OPTION_FORCE };

static const struct option long_options[] = {
    {"socket", required_argument, NULL, 's'},
    {"json", no_argument, NULL, OPTION_JSON},
    {"host", required_argument, NULL, OPTION_HOST},
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"force", no_argument, NULL, OPTION_FORCE},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct request {
    const char *socket, *host, *limit, *level;
    uint32_t limit_number;
    bool json, force;
};

struct command {
    const char *name, *method, *path;
    double seconds;                 /* to wait for the answer */
    ctl_printer *print;             /* NULL: as it is */
    bool host, limit, force, level; /* the options it takes */
    bool address;                   /* … and a word, which is the host's */
};

static const struct command commands[] = {
    {.name = "status", .method = "GET", .path = "/status", .seconds = 10, .print = ctl_print_status},
    {.name = "scripts", .method = "GET", .path = "/scripts", .seconds = 10, .print = ctl_print_scripts},
    {.name = "flows",
     .method = "GET",
     .path = "/flows",
     .seconds = 30,
     .print = ctl_print_flows,
     .host = true,
     .limit = true},
    {.name = "hosts", .method = "GET", .path = "/hosts", .seconds = 10, .print = ctl_print_hosts},
    {.name = "cards",
     .method = "GET",
     .path = "/cards",
     .seconds = 30,
     .print = ctl_print_cards,
     .host = true,
     .limit = true,
     .address = true},
    {.name = "alerts",
     .method = "GET",
     .path = "/alerts",
     .seconds = 10,
     .print = ctl_print_alerts,
     .limit = true},
    {.name = "top", .method = "GET", .path = "/top", .seconds = 10, .print = ctl_print_top},
    {.name = "metrics", .method = "GET", .path = "/metrics", .seconds = 10},
    {.name = "reload",
     .method = "POST",
     .path = "/reload",
     .seconds = 120,
     .print = ctl_print_summary,
     .force = true},
    {.name = "log-level",
     .method = "POST",
     .path = "/log-level",
     .seconds = 10,
     .print = ctl_print_summary,
     .level = true},
    {.name = "rotate", .method = "POST", .path = "/rotate", .seconds = 10, .print = ctl_print_summary},
    {.name = "stop", .method = "POST", .path = "/stop", .seconds = 10, .print = ctl_print_summary},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static int complain(const char *text) {
    fprintf(stderr, "lunette ctl: %s (try: lunette ctl --help)\n", text);
    return EXIT_WRONG_USE;
}

static int unknown_command(const char *given) {
    const char *names[COMMANDS];
    char text[300];
    for (size_t i = 0; i < COMMANDS; i++) names[i] = commands[i].name;
    const char *near = nearest_name(given, names, COMMANDS);
    snprintf(text, sizeof text,
             near ? "unknown command '%.100s', did you mean '%s'?" : "unknown command '%.100s'", given, near);
    return complain(text);
}

/* The value of an argument in a URL: what is not a letter or figure is written as %XX. */
static void put_escaped(struct buffer *b, const char *text) {
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || strchr("-._~", c))
            buffer_char(b, (char)c);
        else
            buffer_format(b, "%%%02X", c);
    }
}

static void put_argument(struct buffer *b, const char *name, const char *value) {
    if (!value) return;
    buffer_char(b, memchr(b->at, '?', b->length) ? '&' : '?');
    buffer_string(b, name);
    buffer_char(b, '=');
    put_escaped(b, value);
}

/* What the sensor said, for people or as it is. */
static int print_answer(const struct command *command, const struct request *request,
                        const struct client_answer *answer) {
    struct buffer b = {0};
    struct error err = {0};
    if (request->json || !command->print) {
        buffer_put(&b, answer->body, answer->length);
    } else if (ctl_print(command->print, answer->body, request->limit_number, &b, &err) != 0) {
        log_failure(err.text);
        buffer_free(&b);
        return EXIT_SOMETHING_FAILED;
    }
    return print_out(&b);
}

static int ask(const struct command *command, const struct request *request) {
    char path[CONTROL_PATH_SIZE], why[1024];
    struct error err = {0};
    struct client_answer answer;
    struct buffer target = {0};
    if (control_path_for_client(request->socket, path, &err) != 0) {
        log_failure(err.text);
        return EXIT_WRONG_USE;
    }
    buffer_string(&target, command->path);
    put_argument(&target, "host", request->host);
    if (command->host) put_argument(&target, "limit", request->limit);
    put_argument(&target, "level", request->level);
    put_argument(&target, "force", request->force ? "1" : NULL);
    buffer_char(&target, '\0');
    int result = target.failed
                     ? error_set(&err, "out of memory")
                     : client_ask(path, command->method, target.at, command->seconds, &answer, &err);
    buffer_free(&target);
    if (result != 0) {
        log_failure(err.text);
        return EXIT_SOMETHING_FAILED;
    }
    if (answer.status == 200) {
        result = print_answer(command, request, &answer);
    } else {
        if (request->json) fwrite(answer.body, 1, answer.length, stdout);
        log_failure(client_complaint(&answer, why, sizeof why));
        result = EXIT_SOMETHING_FAILED;
    }
    client_answer_free(&answer);
    return result;
}

static int check_limit(struct request *request) {
    char *end;
    errno = 0;
    unsigned long value = strtoul(request->limit, &end, 10);
    if (errno || *request->limit < '0' || *request->limit > '9' || *end || value < 1 || value > 10000)
        return -1;
    request->limit_number = (uint32_t)value;
    return 0;
}

/* Which options go with which command, and what is left on the line. */
static int run(const struct command *command, struct request *request, char **rest, int count) {
    char text[200];
    const char *odd = request->host && !command->host     ? "--host"
                      : request->limit && !command->limit ? "--limit"
                      : request->force && !command->force ? "--force"
                                                          : NULL;
    if (odd) {
        snprintf(text, sizeof text, "%s does not go with '%s'", odd, command->name);
        return complain(text);
    }
    if (request->limit && check_limit(request) != 0)
        return complain("--limit: expected a number from 1 to 10000");
    if (command->level && count < 1) return complain("log-level: which? error, warning, info or debug");
    bool address = command->address && count > 0 && !request->host;
    if (address) request->host = rest[0];
    if (count > command->level + address) {
        snprintf(text, sizeof text, "'%.100s' is one word too many", rest[command->level + address]);
        return complain(text);
    }
    if (command->level) {
        static const char *const levels[] = {"error", "warning", "info", "debug"};
        for (size_t i = 0; i < 4 && !request->level; i++)
            if (strcmp(rest[0], levels[i]) == 0) request->level = levels[i];
        if (!request->level) return complain("log-level: expected error, warning, info or debug");
    }
    return ask(command, request);
}

int cli_ctl(int argc, char **argv) {
    struct request request = {0};
    char text[200];
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "s:h", long_options, NULL)) != -1;) {
        switch (option) {
        case 's':
            request.socket = optarg;
            break;
        case OPTION_JSON:
            request.json = true;
            break;
        case OPTION_HOST:
            request.host = optarg;
            break;
        case OPTION_LIMIT:
            request.limit = optarg;
            break;
        case OPTION_FORCE:
            request.force = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return EXIT_FINE;
        default:
            snprintf(text, sizeof text, "unknown option or missing value: '%.100s'", argv[optind - 1]);
            return complain(text);
        }
    }
    if (optind >= argc) {
        fputs(usage, stderr);
        return EXIT_WRONG_USE;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[optind], commands[i].name) == 0)
            return run(&commands[i], &request, argv + optind + 1, argc - optind - 1);
    return unknown_command(argv[optind]);
}
