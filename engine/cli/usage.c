/* See usage.h: help and what is in force, both from the table of options. */
#include "cli/usage.h"

#include "output/terminal.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 100, HELP_COLUMN = 31, ORIGIN_COLUMN = 40 };

static const char *const headings[] = {
    [GROUP_WHAT] = "What is looked at",
    [GROUP_OUTPUT] = "What comes out",
    [GROUP_CAPTURE] = "How packets are taken",
    [GROUP_BOUNDS] = "Bounds",
    [GROUP_RECALL] = "Packets around alerts",
    [GROUP_SERVICE] = "As a service",
    [GROUP_LOG] = "Messages",
};

static unsigned commands_with(unsigned command) {
    return command == FOR_REPLAY ? FOR_REPLAY | FOR_PACED : command;
}

/* "text (default 60; with --pace)" */
static void help_text(char *out, size_t size, const struct option_spec *spec, unsigned command) {
    bool other = command == FOR_REPLAY && spec->initial_replay;
    const char *initial = other ? spec->initial_replay : spec->initial;
    size_t used = (size_t)snprintf(out, size, "%s", spec->help);
    if (initial && used < size) used += (size_t)snprintf(out + used, size - used, " (default %s)", initial);
    bool paced = command == FOR_REPLAY && !(spec->commands & FOR_REPLAY);
    if (paced && used < size) snprintf(out + used, size - used, "; with --pace");
}

static void one_option(struct buffer *b, const struct terminal_style *style, const struct option_spec *spec,
                       unsigned command) {
    char text[512];
    size_t begin = b->length;
    if (spec->letter)
        buffer_format(b, "  -%c, --%s", spec->letter, spec->name);
    else
        buffer_format(b, "      --%s", spec->name);
    if (spec->argument) buffer_format(b, " %s", spec->argument);
    size_t used = b->length - begin;
    buffer_fill(b, ' ', used < HELP_COLUMN ? HELP_COLUMN - used : 1);
    help_text(text, sizeof text, spec, command);
    terminal_wrapped(b, style, used < HELP_COLUMN ? HELP_COLUMN : (uint32_t)used + 1, HELP_COLUMN, text);
    buffer_char(b, '\n');
}

void usage_options(struct buffer *b, unsigned command) {
    struct terminal_style style = {.width = WIDTH};
    int group = -1;
    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option_spec *spec = option_spec((enum option_id)id);
        if (command == FOR_HOSTS ? !option_of_hosts((enum option_id)id)
                                 : !(spec->commands & commands_with(command)))
            continue;
        if ((int)spec->group != group) buffer_format(b, "\n%s:\n", headings[spec->group]);
        group = (int)spec->group;
        one_option(b, &style, spec, command);
    }
}

static void origin_print(struct buffer *b, const struct values *values, enum option_id id) {
    const struct value *value = &values->of[id];
    if (value->origin == BY_COMMAND_LINE)
        buffer_string(b, "-- command line");
    else if (value->origin == BY_CONFIG)
        buffer_format(b, "-- line %u", value->line);
    else
        buffer_string(b, value->given || option_spec(id)->kind == KIND_FLAG ? "-- default" : "-- not set");
}

void usage_in_force(struct buffer *b, unsigned command, const struct values *values) {
    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option_spec *spec = option_spec((enum option_id)id);
        char key[OPTION_NAME_SIZE];
        if (!(spec->commands & commands_with(command)) || spec->no_key) continue;
        size_t begin = b->length;
        buffer_format(b, "%s = ", option_key((enum option_id)id, key));
        value_print(b, (enum option_id)id, &values->of[id]);
        size_t used = b->length - begin;
        buffer_fill(b, ' ', used < ORIGIN_COLUMN ? ORIGIN_COLUMN - used : 1);
        origin_print(b, values, (enum option_id)id);
        buffer_char(b, '\n');
    }
}
