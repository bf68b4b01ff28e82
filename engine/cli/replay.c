/* `lunette replay`: options in, replay_run, exit code out. */
#include "cli/cli.h"

#include "base/log.h"
#include "sensor/replay.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: lunette replay [options] FILE...\n"
    "\n"
    "Reads capture files (pcap, pcapng; plain, gzip or zstd; - for standard input), several of them merged "
    "by\n"
    "time, runs the detectors and prints alerts and a summary.\n"
    "\n"
    "  -s, --script PATH        a detector, or a folder of them; repeatable (default: the detectors "
    "shipped)\n"
    "      --no-scripts         run no detectors\n"
    "      --set NAME.KEY=VALUE set a detector's tunable; repeatable\n"
    "  -o, --output FILE        write records as JSON lines (Suricata EVE's shape); - for standard output;\n"
    "                           also unix:PATH, tcp:HOST:PORT, syslog:...; repeatable\n"
    "      --record KIND,...    which events to record (default: all but packet, flow_start and onset)\n"
    "  -f, --filter EXPRESSION  a pcap-filter(7) expression: only packets that match are looked at\n"
    "  -w, --workers N          threads, each with its share of the local hosts (default 1)\n"
    "      --home-net CIDR,...  your networks, all of them: these instead of the private and link-local\n"
    "                           ranges that are taken for yours by default\n"
    "      --max-flows N        flows at once (default 262144)\n"
    "      --script-memory MIB  memory bound of each detector (default 256)\n"
    "      --batch N            events per batch, 1 to 1024 (default 256); no result depends on it\n"
    "      --no-summary         print alerts only\n"
    "      --color WHEN         auto, always or never\n"
    "  -q, --quiet              print neither alerts nor summary\n"
    "  -h, --help\n"
    "\n"
    "Exit code: 0 fine, 1 it ran but something failed, 2 wrong use.\n";

enum {
    OPTION_NO_SCRIPTS = 256,
    OPTION_SET,
    OPTION_RECORD,
    OPTION_HOME_NET,
    OPTION_MAX_FLOWS,
    OPTION_SCRIPT_MEMORY,
    OPTION_BATCH,
    OPTION_NO_SUMMARY,
    OPTION_COLOR,
};

static const struct option long_options[] = {
    {"script", required_argument, NULL, 's'},
    {"no-scripts", no_argument, NULL, OPTION_NO_SCRIPTS},
    {"set", required_argument, NULL, OPTION_SET},
    {"output", required_argument, NULL, 'o'},
    {"record", required_argument, NULL, OPTION_RECORD},
    {"filter", required_argument, NULL, 'f'},
    {"workers", required_argument, NULL, 'w'},
    {"home-net", required_argument, NULL, OPTION_HOME_NET},
    {"max-flows", required_argument, NULL, OPTION_MAX_FLOWS},
    {"script-memory", required_argument, NULL, OPTION_SCRIPT_MEMORY},
    {"batch", required_argument, NULL, OPTION_BATCH},
    {"no-summary", no_argument, NULL, OPTION_NO_SUMMARY},
    {"color", required_argument, NULL, OPTION_COLOR},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What the command line adds up to; the arrays are as long as argv, so they cannot overflow. */
struct command {
    struct replay_options replay;
    const char **scripts;
    const char **records;
    struct setting *settings;
    bool no_scripts;
    char shipped[PATH_MAX];
    const char *shipped_path;
};

static atomic_bool interrupted; /* written by the signal handler alone */

static void on_interrupt(int signal_number) {
    (void)signal_number;
    atomic_store(&interrupted, true);
}

/* The first signal ends the run in good order, also one that waits for a pipe: its read() is not taken up
 * again (no SA_RESTART). A second one ends the program at once. */
static void catch_interrupts(void) {
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int parse_number(const char *option, const char *text, uint64_t least, uint64_t most, uint64_t *out,
                        struct error *err) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value < least || value > most)
        return error_set(err, "%s: expected a number from %llu to %llu, got '%s'", option,
                         (unsigned long long)least, (unsigned long long)most, text);
    *out = value;
    return 0;
}

/* "beacon.min_score=4" is cut in place. */
static int parse_setting(struct command *command, char *text, struct error *err) {
    char *dot = strchr(text, '.'), *equals = strchr(text, '=');
    if (!dot || !equals || dot > equals || dot == text || equals == dot + 1)
        return error_set(err, "--set: expected DETECTOR.KEY=VALUE, got '%s'", text);
    *dot = *equals = '\0';
    command->settings[command->replay.scripts.setting_count++] =
        (struct setting){.detector = text, .key = dot + 1, .value = equals + 1};
    return 0;
}

static int parse_record(struct command *command, char *text, struct error *err) {
    struct output_options *outputs = &command->replay.outputs;
    memset(outputs->record, 0, sizeof outputs->record);
    outputs->record_alerts = outputs->record_reports = outputs->record_stats = false;
    for (char *save, *word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        enum event_kind kind = event_kind_named(word);
        if (kind != EVENT_head)
            outputs->record[kind] = true;
        else if (strcmp(word, "alert") == 0)
            outputs->record_alerts = true;
        else if (strcmp(word, "report") == 0)
            outputs->record_reports = true;
        else if (strcmp(word, "stats") == 0)
            outputs->record_stats = true;
        else
            return error_set(err, "--record: there is no event '%s' (see `lunette events`)", word);
    }
    return 0;
}

static int parse_color(struct command *command, const char *text, struct error *err) {
    static const char *const names[] = {"auto", "never", "always"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) != 0) continue;
        command->replay.outputs.colour = (enum colour_choice)i;
        return 0;
    }
    return error_set(err, "--color: expected auto, always or never, got '%s'", text);
}

static int take_option(struct command *command, int option, char *value, struct error *err) {
    struct replay_options *replay = &command->replay;
    uint64_t number = 0;
    int outcome = 0;
    switch (option) {
    case 's':
        command->scripts[replay->scripts.path_count++] = value;
        break;
    case OPTION_NO_SCRIPTS:
        command->no_scripts = true;
        break;
    case OPTION_SET:
        return parse_setting(command, value, err);
    case 'o':
        command->records[replay->outputs.record_count++] = value;
        break;
    case OPTION_RECORD:
        return parse_record(command, value, err);
    case 'f':
        replay->filter = value;
        break;
    case 'w':
        outcome = parse_number("-w", value, 1, 64, &number, err);
        replay->workers = (uint32_t)number;
        break;
    case OPTION_HOME_NET:
        replay->home_networks = value;
        break;
    case OPTION_MAX_FLOWS:
        outcome = parse_number("--max-flows", value, 64, 1u << 28, &number, err);
        replay->flow.max_flows = (uint32_t)number;
        break;
    case OPTION_SCRIPT_MEMORY:
        outcome = parse_number("--script-memory", value, 4, 65536, &number, err);
        replay->scripts.memory_limit = (size_t)number << 20;
        break;
    case OPTION_BATCH:
        outcome = parse_number("--batch", value, 1, BATCH_EVENTS, &number, err);
        replay->batch_limit = (uint32_t)number;
        break;
    case OPTION_NO_SUMMARY:
        replay->outputs.show_summary = false;
        break;
    case OPTION_COLOR:
        return parse_color(command, value, err);
    case 'q':
        replay->outputs.show_alerts = replay->outputs.show_summary = replay->outputs.show_progress = false;
        break;
    default:
        break;
    }
    return outcome;
}

/* Takes the folder as the scripts to run if it is there. */
static bool use_scripts(struct command *command, const char *folder) {
    if (access(folder, R_OK) != 0) return false;
    command->shipped_path = folder;
    command->replay.scripts.paths = &command->shipped_path;
    command->replay.scripts.path_count = 1;
    return true;
}

/* The detectors that come with the program: beside the build, installed under the same prefix, or where it
 * was built. */
static int find_shipped_scripts(struct command *command, struct error *err) {
    static const char *const places[] = {"/../scripts", "/../share/lunette/scripts"};
    char program[PATH_MAX / 2];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash) *slash = '\0';
    for (size_t i = 0; slash && i < sizeof places / sizeof places[0]; i++) {
        snprintf(command->shipped, sizeof command->shipped, "%s%s", program, places[i]);
        if (use_scripts(command, command->shipped)) return 0;
    }
    if (use_scripts(command, LUNETTE_SOURCE_SCRIPTS)) return 0;
    return error_set(
        err, "the shipped detectors were not found beside the program; name some with -s, or --no-scripts");
}

static int command_finish(struct command *command, int argc, char **argv, struct error *err) {
    struct replay_options *replay = &command->replay;
    if (optind == argc) return error_set(err, "replay: which capture? (try: lunette replay --help)");
    replay->captures = (const char *const *)&argv[optind];
    replay->capture_count = (size_t)(argc - optind);
    replay->scripts.paths = command->scripts;
    replay->outputs.records = command->records;
    replay->scripts.settings = command->settings;
    if (command->no_scripts)
        replay->scripts.path_count = 0;
    else if (replay->scripts.path_count == 0)
        return find_shipped_scripts(command, err);
    return 0;
}

static int wrong_use(const char *message) {
    log_failure(message);
    return EXIT_WRONG_USE;
}

static int command_run(struct command *command, int argc, char **argv) {
    struct error err = {.text = ""};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":s:o:f:w:qh", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return EXIT_FINE;
        }
        if (option == '?' || option == ':') {
            error_set(&err, "replay: %s '%s' (try: lunette replay --help)",
                      option == ':' ? "a value is missing after" : "unknown option", argv[optind - 1]);
            return wrong_use(err.text);
        }
        if (take_option(command, option, optarg, &err) < 0) return wrong_use(err.text);
    }
    if (command_finish(command, argc, argv, &err) < 0) return wrong_use(err.text);
    command->replay.stop = &interrupted;
    catch_interrupts();
    enum replay_outcome outcome = replay_run(&command->replay, &err);
    if (outcome != REPLAY_FINE && err.text[0]) log_failure(err.text);
    return (int)outcome;
}

int cli_replay(int argc, char **argv) {
    struct command command = {
        .replay =
            {
                .workers = 1,
                .batch_limit = 256,
                .fragment_memory = 16 << 20,
                .flow = flow_config_defaults(),
                .outputs = output_options_defaults(),
            },
        .scripts = calloc((size_t)argc + 1, sizeof *command.scripts),
        .records = calloc((size_t)argc + 1, sizeof *command.records),
        .settings = calloc((size_t)argc + 1, sizeof *command.settings),
    };
    int outcome = EXIT_SOMETHING_FAILED;
    if (command.scripts && command.records && command.settings) outcome = command_run(&command, argc, argv);
    free(command.scripts);
    free(command.records);
    free(command.settings);
    return outcome;
}
