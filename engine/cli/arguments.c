/* See arguments.h: getopt does the walking, over arrays made from the table of options. */
#include "cli/arguments.h"

#include "cli/config.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { LONG_BASE = 256 }; /* what getopt_long returns for the option with the number 0 */

struct getopt_arrays {
    struct option longs[OPTION_COUNT + 1];
    char letters[1 + 2 * OPTION_COUNT + 1];
};

static void arrays_fill(struct getopt_arrays *arrays, unsigned command) {
    struct option *next = arrays->longs;
    char *letter = arrays->letters;
    *letter++ = ':'; /* a missing value is told apart from an unknown option */
    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option_spec *spec = option_spec((enum option_id)id);
        if (!(spec->commands & command)) continue;
        bool flag = spec->kind == KIND_FLAG;
        *next++ =
            (struct option){spec->name, flag ? optional_argument : required_argument, NULL, LONG_BASE + id};
        if (!spec->letter) continue;
        *letter++ = spec->letter;
        if (!flag) *letter++ = ':';
    }
    *next = (struct option){NULL, 0, NULL, 0};
    *letter = '\0';
}

static enum option_id id_of(int found) {
    if (found >= LONG_BASE) return (enum option_id)(found - LONG_BASE);
    for (int id = 0; id < OPTION_COUNT; id++)
        if (option_spec((enum option_id)id)->letter == found) return (enum option_id)id;
    return OPTION_COUNT;
}

/* Options of `replay` that need the live loop are known to both. */
static unsigned taken_by(unsigned command) {
    return command == FOR_REPLAY ? FOR_REPLAY | FOR_PACED : command;
}

/* getopt says '?' for an option that is unknown, short for several, or given a value that it does not take.
 */
static int not_an_option(const char *command_name, const char *given, unsigned command, struct error *err) {
    char name[64];
    const char *near = NULL;
    if (strncmp(given, "--", 2) == 0) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(given + 2, "="), given + 2);
        near = option_nearest(name, taken_by(command));
    }
    return error_set(err, "%s: unknown option '%s'%s%s%s (try: lunette %s --help)", command_name, given,
                     near ? ", did you mean --" : "", near ? near : "", near ? "?" : "", command_name);
}

/* getopt keeps its place in globals; this makes it begin anew. */
static void getopt_restart(void) {
#ifdef __GLIBC__
    optind = 0;
#else
    optind = 1;
#ifdef __APPLE__
    optreset = 1;
#endif
#endif
    opterr = 0;
}

static int read_one(struct values *values, enum option_id id, const char *word, struct error *err) {
    struct error why = {.text = ""};
    if (value_read(values, id, BY_COMMAND_LINE, word, &why) == 0) return 0;
    return error_set(err, "--%s: %s", option_spec(id)->name, why.text);
}

int arguments_read(struct values *values, unsigned command, int argc, char **argv, int *rest,
                   struct error *err) {
    struct getopt_arrays arrays;
    arrays_fill(&arrays, taken_by(command));
    getopt_restart();
    for (int found; (found = getopt_long(argc, argv, arrays.letters, arrays.longs, NULL)) != -1;) {
        if (found == '?') return not_an_option(argv[0], argv[optind - 1], command, err);
        if (found == ':')
            return error_set(err, "%s: a value is missing after '%s' (try: lunette %s --help)", argv[0],
                             argv[optind - 1], argv[0]);
        if (read_one(values, id_of(found), optarg, err) < 0) return -1;
    }
    *rest = optind;
    return 0;
}

struct values *invocation_read(unsigned command, int argc, char **argv, int *rest, struct error *err) {
    struct values *values = values_new(command);
    if (!values) {
        error_set(err, "out of memory");
        return NULL;
    }
    int outcome = arguments_read(values, command, argc, argv, rest, err);
    const char *config = value_text(values, OPTION_CONFIG);
    if (outcome == 0 && config && !value_flag(values, OPTION_HELP))
        outcome = config_read(config, values, err);
    if (outcome == 0) return values;
    values_free(values);
    return NULL;
}
