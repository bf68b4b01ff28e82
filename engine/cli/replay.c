/* `lunette replay`: options in, replay_run, exit code out. With --pace the capture goes through the live
 * loop. */
#include "cli/cli.h"

#include "base/log.h"
#include "cli/word_check.h"
#include "cli/fill.h"
#include "cli/interrupt.h"
#include "cli/rig_values.h"
#include "cli/session.h"
#include "workbench/rerun.h"

#include <unistd.h>

static const char about[] =
    "usage: lunette replay [options] FILE...\n"
    "\n"
    "Reads capture files (pcap, pcapng; plain, gzip or zstd; - for standard input), several of them\n"
    "merged by time, runs the detectors and prints alerts and a summary. With --events the files are\n"
    "records instead (JSON lines as -o writes them; plain, gzip or zstd), one after the other.\n";

static int wrong_use(const struct error *err) {
    log_failure(err->text);
    return EXIT_WRONG_USE;
}

/* Options of the live loop say nothing without it. In a configuration, which may serve `live` as well, they
 * may stand. */
static int check_pace_options(const struct values *values, struct error *err) {
    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option_spec *spec = option_spec((enum option_id)id);
        if ((spec->commands & FOR_REPLAY) || values->of[id].origin != BY_COMMAND_LINE) continue;
        return error_set(err, "replay: --%s goes with --pace, such as --pace 1x", spec->name);
    }
    return 0;
}

static int run_at_full_speed(const struct invocation *invocation, const struct values *values) {
    struct error err = {.text = ""};
    struct filling filling = {.settings = NULL};
    struct replay_options replay;
    enum replay_outcome outcome = REPLAY_USAGE;
    if (fill_replay(&replay, values, &filling, &err) == 0) {
        replay.captures = (const char *const *)&invocation->argv[invocation->rest];
        replay.capture_count = (size_t)(invocation->argc - invocation->rest);
        replay.events = value_flag(values, OPTION_EVENTS);
        replay.stop = interrupts_catch();
        if (check_one_stdin(&replay.host_logs, replay.captures, replay.capture_count, &err) == 0)
            outcome = replay_run(&replay, &err);
    }
    if (outcome != REPLAY_FINE && err.text[0]) log_failure(err.text);
    filling_clear(&filling);
    return (int)outcome;
}

/* Of what goes to outputs nothing is made by --watch: a word about it would be lost. */
static int check_watch_options(const struct values *values, struct error *err) {
    static const enum option_id without[] = {OPTION_PACE, OPTION_WORKERS, OPTION_OUTPUT, OPTION_RECORD,
                                             OPTION_QUIET};
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++)
        if (values->of[without[i]].origin == BY_COMMAND_LINE)
            return error_set(err, "replay: --watch prints alerts alone: leave out --%s",
                             option_spec(without[i])->name);
    return 0;
}

/* Records are no packets: there are none to filter, to pace or to open flows with. */
static int check_events_options(const struct values *values, struct error *err) {
    static const enum option_id without[] = {OPTION_PACE, OPTION_WATCH, OPTION_FILTER};
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++)
        if (values->of[without[i]].origin == BY_COMMAND_LINE)
            return error_set(err, "replay: --events plays records, not packets: leave out --%s",
                             option_spec(without[i])->name);
    return 0;
}

static int run_watching(const struct invocation *invocation, const struct values *values) {
    struct error err = {.text = ""};
    struct rig_values rig;
    int outcome = rig_values_fill(&rig, invocation, values, &err);
    if (outcome == 0) {
        const struct rerun_options rerun = {
            .rig = rig.rig,
            .captures = rig.captures,
            .capture_count = rig.capture_count,
            .style = terminal_style_of(STDOUT_FILENO, rig.colour),
            .stop = interrupts_catch(),
        };
        outcome = rerun_watch(&rerun, &err);
    }
    rig_values_clear(&rig);
    return outcome < 0 ? wrong_use(&err) : EXIT_FINE;
}

/* Owns the values. */
static int replay_values(const struct invocation *invocation, struct values *values) {
    static const struct supervised nobody = {.descriptor = -1};
    struct error err = {.text = ""};
    bool paced = pace_of(value_text(values, OPTION_PACE)) > 0;
    int outcome = 0;
    if (invocation->rest == invocation->argc)
        outcome = error_set(&err, "replay: which capture? (try: lunette replay --help)");
    bool watching = value_flag(values, OPTION_WATCH);
    if (outcome == 0 && value_flag(values, OPTION_EVENTS)) outcome = check_events_options(values, &err);
    if (outcome == 0 && watching) outcome = check_watch_options(values, &err);
    if (outcome == 0 && !paced) outcome = check_pace_options(values, &err);
    if (outcome == 0) outcome = fill_log(values, &err);
    if (outcome == 0 && paced) return session_run(invocation, values, &nobody);
    if (outcome < 0)
        outcome = wrong_use(&err);
    else
        outcome = watching ? run_watching(invocation, values) : run_at_full_speed(invocation, values);
    values_free(values);
    return outcome;
}

int cli_replay(int argc, char **argv) {
    struct error err = {.text = ""};
    struct invocation invocation = {.command = FOR_REPLAY, .argc = argc, .argv = argv};
    struct values *values = session_values(&invocation, &err);
    if (!values) return wrong_use(&err);
    bool help = value_flag(values, OPTION_HELP);
    if (!help && !value_flag(values, OPTION_CHECK_CONFIG)) return replay_values(&invocation, values);
    int outcome = help ? session_help(FOR_REPLAY, about) : session_check(FOR_REPLAY, values);
    values_free(values);
    return outcome;
}
