/* `lunette console`: options in, console_run, exit code out. It takes those options of replay that say what
 * is looked at and by what. */
#include "cli/cli.h"

#include "base/log.h"
#include "cli/print.h"
#include "cli/rig_values.h"
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
    "      --host-log=[ADDR=]FILE   what a Mac tells of its programs, as for replay; repeatable\n"
    "      --host-clock-offset=S    seconds added to the times in it\n"
    "      --script-memory=MIB      memory bound of each detector, and of the prompt\n"
    "      --script-time=SECONDS    processor time of one entry into a detector\n"
    "      --color=WHEN             auto, always or never\n"
    "  -h, --help                   print this\n"
    "\n"
    "help at the prompt lists its commands. Lines may come from a pipe.\n"
    "\n"
    "Exit code: 0 fine, 2 wrong use.\n";

static const enum option_id taken[] = {OPTION_SCRIPT,   OPTION_SET,           OPTION_FILTER,
                                       OPTION_HOME_NET, OPTION_HOST_LOG,      OPTION_HOST_CLOCK_OFFSET,
                                       OPTION_AUDIT,    OPTION_SCRIPT_MEMORY, OPTION_SCRIPT_TIME,
                                       OPTION_COLOR,    OPTION_HELP};

static int run(const struct invocation *invocation, const struct values *values, struct error *err) {
    struct rig_values rig;
    int outcome = rig_values_fill(&rig, invocation, values, err);
    if (outcome == 0) {
        bool given = values->of[OPTION_SCRIPT].origin == BY_COMMAND_LINE;
        if (!given) rig.rig.scripts.path_count = 0;
        const struct console_options options = {
            .rig = rig.rig,
            .captures = rig.captures,
            .capture_count = rig.capture_count,
            .style = terminal_style_of(STDOUT_FILENO, rig.colour),
        };
        outcome = console_run(&options, err);
    }
    rig_values_clear(&rig);
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
    if (outcome == 0) outcome = rig_values_check("console", taken, &invocation, values, &err);
    if (outcome == 0) outcome = run(&invocation, values, &err);
    if (values) values_free(values);
    if (outcome == 0) return EXIT_FINE;
    log_failure(err.text);
    return EXIT_WRONG_USE;
}
