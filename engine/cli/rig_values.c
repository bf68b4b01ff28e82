/* See rig_values.h. */
#include "cli/rig_values.h"

static bool is_taken(const enum option_id *taken, enum option_id id) {
    while (*taken != id && *taken != OPTION_HELP) taken++;
    return *taken == id;
}

int rig_values_check(const char *tool, const enum option_id *taken, const struct invocation *invocation,
                     const struct values *values, struct error *err) {
    for (int id = 0; id < OPTION_COUNT; id++)
        if (values->of[id].origin == BY_COMMAND_LINE && !is_taken(taken, (enum option_id)id))
            return error_set(err, "%s: it takes no --%s (try: lunette %s --help)", tool,
                             option_spec((enum option_id)id)->name, tool);
    if (invocation->rest < invocation->argc) return 0;
    return error_set(err, "%s: which capture? (try: lunette %s --help)", tool, tool);
}

int rig_values_fill(struct rig_values *out, const struct invocation *invocation, const struct values *values,
                    struct error *err) {
    struct replay_options replay;
    *out = (struct rig_values){.filling = {.settings = NULL}};
    if (fill_replay(&replay, values, &out->filling, err) < 0) return -1;
    out->words = words_new(WORDS_USUAL, WORDS_USUAL_BYTES, err);
    if (!out->words) return -1;
    out->rig = (struct rig_options){.scripts = replay.scripts,
                                    .batch_limit = replay.batch_limit,
                                    .filter = replay.filter,
                                    .home_networks = replay.home_networks,
                                    .host_logs = replay.host_logs,
                                    .words = out->words};
    out->captures = (const char *const *)&invocation->argv[invocation->rest];
    out->capture_count = (size_t)(invocation->argc - invocation->rest);
    out->colour = replay.outputs.colour;
    return check_one_stdin(&out->rig.host_logs, out->captures, out->capture_count, err);
}

void rig_values_clear(struct rig_values *values) {
    words_free(values->words);
    filling_clear(&values->filling);
}
