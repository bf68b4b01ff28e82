/* A generation is what one reading of the configuration said about the scripts. The sensor goes on with an
 * older one if a newer turns out not to load, so all are kept; a reading that says what the last one said
 * makes none, hence there are as many as people made changes. */
#include "cli/session.h"

#include "base/log.h"
#include "cli/arguments.h"
#include "cli/word_check.h"
#include "cli/cli.h"
#include "cli/fill.h"
#include "cli/print.h"
#include "cli/rehearse.h"
#include "cli/usage.h"

#include <stdlib.h>
#include <string.h>

struct generation {
    struct values *values;
    struct filling filling;
    struct script_options scripts;
    struct generation *before;
};

struct session {
    struct invocation invocation;
    struct live_options live;
    struct generation *first, *current;
    char waiting[512]; /* keys that wait for a restart, as last told */
};

/* ── values ──────────────────────────────────────────────────────── */

struct values *session_values(struct invocation *invocation, struct error *err) {
    struct values *values =
        invocation_read(invocation->command, invocation->argc, invocation->argv, &invocation->rest, err);
    for (int i = invocation->rest; values && invocation->command == FOR_LIVE && i < invocation->argc; i++) {
        if (value_read(values, OPTION_INTERFACE, BY_COMMAND_LINE, invocation->argv[i], err) == 0) continue;
        values_free(values);
        return NULL;
    }
    return values;
}

int session_help(unsigned command, const char *about) {
    struct buffer b = {.at = NULL};
    buffer_string(&b, about);
    usage_options(&b, command);
    buffer_string(&b, "\nExit code: 0 fine, 1 it ran but something failed, 2 wrong use.\n");
    return print_out(&b);
}

int session_check(unsigned command, const struct values *values) {
    struct buffer b = {.at = NULL};
    struct error err = {.text = ""};
    const char *config = value_text(values, OPTION_CONFIG);
    if (rehearse(command, values, &err) < 0) {
        log_failure(err.text);
        return EXIT_WRONG_USE;
    }
    buffer_format(&b, "-- In force, by the command line%s%s and the defaults.\n", config ? ", " : "",
                  config ? config : "");
    usage_in_force(&b, command, values);
    return print_out(&b);
}

/* ── reading it anew ─────────────────────────────────────────────── */

static struct generation *generation_new(struct values *values, struct generation *before) {
    struct generation *generation = calloc(1, sizeof *generation);
    if (!generation) return NULL;
    generation->values = values;
    generation->before = before;
    return generation;
}

static void generation_free(struct generation *generation) {
    values_free(generation->values);
    filling_clear(&generation->filling);
    free(generation);
}

/* Options that differ from those the sensor was started with, and that it does not take while it runs. Told
 * when there are others than the last time. */
static void tell_what_needs_a_restart(struct session *session, const struct values *now) {
    const struct values *running = session->first->values;
    char keys[sizeof session->waiting] = "", key[OPTION_NAME_SIZE];
    size_t used = 0;
    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option_spec *spec = option_spec((enum option_id)id);
        if (spec->reloads || spec->no_key || values_equal(&running->of[id], &now->of[id])) continue;
        used += (size_t)snprintf(keys + used, sizeof keys - used, "%s%s", used ? ", " : "",
                                 option_key((enum option_id)id, key));
        if (used >= sizeof keys) used = sizeof keys - 1;
    }
    if (used && strcmp(keys, session->waiting) != 0)
        log_line(LOG_WARNING, "the configuration has other values for %s: in force after a restart", keys);
    memcpy(session->waiting, keys, sizeof keys);
}

static bool same_scripts(const struct values *a, const struct values *b) {
    static const enum option_id of_scripts[] = {OPTION_SCRIPT, OPTION_NO_SCRIPTS, OPTION_SET};
    for (size_t i = 0; i < sizeof of_scripts / sizeof of_scripts[0]; i++)
        if (!values_equal(&a->of[of_scripts[i]], &b->of[of_scripts[i]])) return false;
    return true;
}

/* Only if the file says something new: `lunette ctl log-level` holds until then. */
static void take_log_level(struct values *current, struct values *now) {
    struct value *had = &current->of[OPTION_LOG_LEVEL], *has = &now->of[OPTION_LOG_LEVEL];
    if (values_equal(had, has)) return;
    log_set_level((enum log_level)has->number);
    had->number = has->number;
}

/* Fills in the scripts of the newest reading; keeps `now` if it says something new about them. */
static int take_scripts(struct session *session, struct values *now, struct error *err) {
    struct generation *fresh = NULL;
    if (!same_scripts(session->current->values, now)) {
        fresh = generation_new(now, session->current);
        if (!fresh) {
            values_free(now);
            return error_set(err, "out of memory");
        }
        if (fill_scripts(&fresh->scripts, now, &fresh->filling, err) < 0) {
            generation_free(fresh);
            return -1;
        }
        session->current = fresh;
    } else {
        values_free(now);
    }
    return 0;
}

static int reconfigure(void *context, struct script_options *scripts, struct error *err) {
    struct session *session = context;
    struct values *now = session_values(&session->invocation, err);
    if (!now) return -1;
    tell_what_needs_a_restart(session, now);
    take_log_level(session->current->values, now);
    if (take_scripts(session, now, err) < 0) return -1;
    const struct script_options *from = &session->current->scripts;
    scripts->paths = from->paths;
    scripts->path_count = from->path_count;
    scripts->settings = from->settings;
    scripts->setting_count = from->setting_count;
    return 0;
}

/* ── the run ─────────────────────────────────────────────────────── */

static int session_fill(struct session *session, struct error *err) {
    struct generation *first = session->first;
    struct live_options *live = &session->live;
    const struct invocation *invocation = &session->invocation;
    if (fill_live(live, first->values, &first->filling, err) < 0) return -1;
    first->scripts = live->scripts;
    if (invocation->command == FOR_LIVE) {
        live->outputs.live = true;
        live->outputs.show_progress = false;
        live->outputs.show_summary &= value_flag(first->values, OPTION_SUMMARY);
    } else {
        live->interfaces = NULL; /* a configuration may serve both commands */
        live->interface_count = 0;
        live->captures = (const char *const *)&invocation->argv[invocation->rest];
        live->capture_count = (size_t)(invocation->argc - invocation->rest);
        live->pace = pace_of(value_text(first->values, OPTION_PACE));
        if (check_one_stdin(&live->host_logs, live->captures, live->capture_count, err) < 0) return -1;
    }
    live->config_path = value_text(first->values, OPTION_CONFIG);
    live->reconfigure = live->config_path ? reconfigure : NULL;
    live->context = session;
    return 0;
}

int session_run(const struct invocation *invocation, struct values *values, const struct supervised *self) {
    struct error err = {.text = ""};
    struct session session = {.invocation = *invocation};
    session.first = session.current = generation_new(values, NULL);
    if (!session.first) {
        values_free(values);
        log_failure("out of memory");
        return EXIT_SOMETHING_FAILED;
    }
    int outcome = EXIT_WRONG_USE;
    if (session_fill(&session, &err) == 0) outcome = live_run(&session.live, self, &err);
    if (outcome != EXIT_FINE && err.text[0]) log_failure(err.text);
    for (struct generation *before; session.current; session.current = before) {
        before = session.current->before;
        generation_free(session.current);
    }
    return outcome;
}
