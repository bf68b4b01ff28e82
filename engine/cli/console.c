/* `lunette console`: options in, console_run, exit code out. It takes those options of replay that say what
 * is looked at and by what. */
#include "cli/cli.h"

#include "base/log.h"
#include "cli/fill.h"
#include "cli/print.h"
#include "cli/session.h"
#include "workbench/console.h"

#include <unistd.h>

static const char about[] =
    "usage: lunette console [options] FILE...\n"
    "\n"
    "Goes through captures event by event, with a prompt at each stop: look at fields, evaluate Lua as a\n"
    "detector would, try handlers on what passes, see alerts when they are raised.\n"
    "\n"
    "  -s, --script=PATH            a detector, or a folder of them; repeatable (default: none)\n"
    "      --set=NAME.KEY=VALUE     set a detector's tunable; repeatable\n"
    "  -f, --filter=EXPRESSION      a pcap-filter(7) expression\n"
    "      --home-net=CIDR,...      your networks, instead of the private and link-local ranges\n"
    "      --script-memory=MIB      memory bound of each detector, and of the prompt\n"
    "      --color=WHEN             auto, always or never\n"
    "  -h, --help                   print this\n"
    "\n"
    "help at the prompt lists its commands. Lines may come from a pipe.\n"
    "\n"
    "Exit code: 0 fine, 2 wrong use.\n";

static bool is_taken(int id) {
    static const enum option_id taken[] = {OPTION_SCRIPT,        OPTION_SET,   OPTION_FILTER, OPTION_HOME_NET,
                                           OPTION_SCRIPT_MEMORY, OPTION_COLOR, OPTION_HELP};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (id == (int)taken[i]) return true;
    return false;
}

static int check(const struct invocation *invocation, const struct values *values, struct error *err) {
    for (int id = 0; id < OPTION_COUNT; id++)
        if (values->of[id].origin == BY_COMMAND_LINE && !is_taken(id))
            return error_set(err, "console: it takes no --%s (try: lunette console --help)",
                             option_spec((enum option_id)id)->name);
    if (invocation->rest < invocation->argc) return 0;
    return error_set(err, "console: which capture? (try: lunette console --help)");
}

static int run(const struct invocation *invocation, const struct values *values, struct error *err) {
    struct filling filling = {.settings = NULL};
    struct replay_options replay;
    int outcome = fill_replay(&replay, values, &filling, err);
    if (outcome == 0) {
        bool given = values->of[OPTION_SCRIPT].origin == BY_COMMAND_LINE;
        if (!given) replay.scripts.path_count = 0;
        const struct console_options options = {
            .rig = {.scripts = replay.scripts,
                    .filter = replay.filter,
                    .home_networks = replay.home_networks},
            .captures = (const char *const *)&invocation->argv[invocation->rest],
            .capture_count = (size_t)(invocation->argc - invocation->rest),
            .style = terminal_style_of(STDOUT_FILENO, replay.outputs.colour),
        };
        outcome = console_run(&options, err);
    }
    filling_clear(&filling);
    return outcome;
}

int cli_console(int argc, char **argv) {
    struct error err = {.text = ""};
    struct invocation invocation = {.command = FOR_REPLAY, .argc = argc, .argv = argv};
    struct values *values = session_values(&invocation, &err);
    int outcome = values ? 0 : -1;
    if (values && value_flag(values, OPTION_HELP)) {
        struct buffer b = {.at = NULL};
        buffer_string(&b, about);
        values_free(values);
        return print_out(&b);
    }
    if (outcome == 0) outcome = check(&invocation, values, &err);
    if (outcome == 0) outcome = run(&invocation, values, &err);
    if (values) values_free(values);
    if (outcome == 0) return EXIT_FINE;
    log_failure(err.text);
    return EXIT_WRONG_USE;
}
