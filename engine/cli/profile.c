/* `lunette profile`: options in, profiling_run, exit code out. It takes those options of replay that say what
 * is looked at and by what, and two of its own. */
#include "cli/cli.h"

#include "base/log.h"
#include "cli/print.h"
#include "cli/rig_values.h"
#include "workbench/profiling.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char about[] =
    "usage: lunette profile [options] FILE...\n"
    "\n"
    "Runs detectors over captures and tells where their time goes: for each handler its calls, time, share,\n"
    "time and bytes a call; for each detector its memory and collections; and where LuaJIT could not\n"
    "compile, with line and reason.\n"
    "\n"
    "  -s, --script=PATH            a detector, or a folder of them; repeatable (default: the shipped ones)\n"
    "      --set=NAME.KEY=VALUE     set a detector's tunable; repeatable\n"
    "      --top=N                  show the N dearest handlers (default: all)\n"
    "      --json                   all as one JSON document\n"
    "  -f, --filter=EXPRESSION      a pcap-filter(7) expression\n"
    "      --home-net=CIDR,...      your networks, instead of the private and link-local ranges\n"
    "      --host-log=[ADDR=]FILE   what a Mac tells of its programs, as for replay; repeatable\n"
    "      --host-clock-offset=S    seconds added to the times in it\n"
    "      --batch=EVENTS           events that are handled at once\n"
    "      --audit=[ADDR=]FILE      what a Mac's own files say (`lunette audit ROOT --json`)\n"
    "      --script-memory=MIB      memory bound of each detector\n"
    "      --script-time=SECONDS    processor time of one entry into a detector\n"
    "  -h, --help                   print this\n"
    "\n"
    "Exit code: 0 fine, 1 a detector did not load or failed on the way, 2 wrong use.\n";

static const enum option_id taken[] = {OPTION_SCRIPT,      OPTION_SET,      OPTION_FILTER,
                                       OPTION_HOME_NET,    OPTION_HOST_LOG, OPTION_HOST_CLOCK_OFFSET,
                                       OPTION_AUDIT,       OPTION_BATCH,    OPTION_SCRIPT_MEMORY,
                                       OPTION_SCRIPT_TIME, OPTION_HELP};

static int top_of(const char *text, uint32_t *top, struct error *err) {
    char *end = NULL;
    errno = 0;
    unsigned long number = text && text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    if (!end || *end || errno || number < 1 || number > 1000000)
        return error_set(err, "profile: --top takes a number of handlers, such as --top 10");
    *top = (uint32_t)number;
    return 0;
}

/* Takes the options that only this command has out of the arguments. */
static int take_own(int *argc, char **argv, struct profiling_options *options, struct error *err) {
    int left = 1;
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (i < *argc) argv[left++] = argv[i++];
        } else if (strcmp(argv[i], "--json") == 0) {
            options->json = true;
        } else if (strcmp(argv[i], "--top") == 0) {
            if (top_of(i + 1 < *argc ? argv[++i] : NULL, &options->top, err) < 0) return -1;
        } else if (strncmp(argv[i], "--top=", 6) == 0) {
            if (top_of(argv[i] + 6, &options->top, err) < 0) return -1;
        } else {
            argv[left++] = argv[i];
        }
    }
    *argc = left;
    return 0;
}

static int run(const struct invocation *invocation, const struct values *values,
               struct profiling_options *options, struct error *err) {
    struct rig_values rig;
    struct buffer out = {.at = NULL};
    int failed = rig_values_fill(&rig, invocation, values, err);
    if (failed == 0) {
        options->rig = rig.rig;
        options->captures = rig.captures;
        options->capture_count = rig.capture_count;
        failed = profiling_run(options, &out, err);
    }
    rig_values_clear(&rig);
    if (failed < 0) {
        buffer_free(&out);
        return -1;
    }
    int printed = print_out(&out);
    return printed != EXIT_FINE ? printed : failed > 0 ? EXIT_SOMETHING_FAILED : EXIT_FINE;
}

int cli_profile(int argc, char **argv) {
    struct error err = {.text = ""};
    struct profiling_options options = {.top = 0};
    int outcome = take_own(&argc, argv, &options, &err);
    struct invocation invocation = {.command = FOR_REPLAY, .argc = argc, .argv = argv};
    struct values *values = outcome == 0 ? session_values(&invocation, &err) : NULL;
    if (!values) outcome = -1;
    if (values && value_flag(values, OPTION_HELP)) {
        struct buffer b = {.at = NULL};
        buffer_string(&b, about);
        values_free(values);
        return print_out(&b);
    }
    if (outcome == 0) outcome = rig_values_check("profile", taken, &invocation, values, &err);
    if (outcome == 0) outcome = run(&invocation, values, &options, &err);
    if (values) values_free(values);
    if (outcome >= 0) return outcome;
    log_failure(err.text);
    return EXIT_WRONG_USE;
}
