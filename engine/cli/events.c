/* `lunette events [KIND...] [--json | --stubs | --stubs-in FOLDER]`: what events there are and what is in
 * them, with an example of each. Three ways to print one table: for people, for programs, and as annotations
 * that the Lua language server completes field names from (stubs.h). */
#include "cli/events.h"

#include "base/nearest.h"
#include "cli/example.h"
#include "cli/print.h"
#include "cli/stubs.h"
#include "event/schema.h"
#include "output/json.h"
#include "output/terminal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum form { FORM_TEXT, FORM_JSON, FORM_STUBS };

/* ── for people ──────────────────────────────────────────────────── */

enum { NAME_COLUMN = 2, TYPE_COLUMN = 24, KEY_COLUMN = 34, DOC_COLUMN = 64 };

static void pad_to(struct buffer *b, uint32_t from, uint32_t column, size_t used) {
    size_t at = from + used;
    buffer_fill(b, ' ', at < column ? column - at : 1);
}

static void text_field(struct buffer *b, const struct terminal_style *style, const struct field *f) {
    const char *type = lua_type_of(f->type).lua, *key = f->key[0] ? f->key : "-";
    buffer_fill(b, ' ', NAME_COLUMN);
    terminal_ink(b, style, INK_BOLD);
    buffer_string(b, f->name);
    terminal_ink(b, style, INK_PLAIN);
    pad_to(b, NAME_COLUMN, TYPE_COLUMN, strlen(f->name));
    buffer_string(b, type);
    pad_to(b, TYPE_COLUMN, KEY_COLUMN, strlen(type));
    terminal_ink(b, style, INK_DIM);
    buffer_string(b, key);
    terminal_ink(b, style, INK_PLAIN);
    bool beside = style->width >= DOC_COLUMN + 36;
    uint32_t column = beside ? DOC_COLUMN : NAME_COLUMN + 4;
    if (beside) {
        pad_to(b, KEY_COLUMN, DOC_COLUMN, strlen(key));
    } else {
        buffer_char(b, '\n');
        buffer_fill(b, ' ', column);
    }
    terminal_wrapped(b, style, column, column, f->doc);
    buffer_char(b, '\n');
}

static void text_kind(struct buffer *b, const struct terminal_style *style, enum event_kind kind) {
    const struct event_schema *s = event_schema_of(kind);
    terminal_ink(b, style, INK_GREEN);
    buffer_string(b, kind == EVENT_head ? "every event" : s->name);
    terminal_ink(b, style, INK_PLAIN);
    buffer_string(b, "  ");
    terminal_wrapped(b, style, (uint32_t)strlen(s->name) + 2, 2, s->doc);
    buffer_char(b, '\n');
    for (uint32_t i = 0; i < s->field_count; i++) text_field(b, style, &s->fields[i]);
    buffer_char(b, '\n');
}

/* The lines of a text, each two columns in. */
static void text_indented(struct buffer *b, struct slice text) {
    const char *at = (const char *)text.at, *end = at + text.length;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((newline ? newline : end) - at);
        buffer_fill(b, ' ', NAME_COLUMN);
        buffer_put(b, at, length);
        buffer_char(b, '\n');
        at += length + 1;
    }
}

static void text_example(struct buffer *b, const struct terminal_style *style, enum event_kind kind) {
    const char *name = event_schema_of(kind)->name;
    struct example example;
    if (!example_find(name, &example)) {
        buffer_format(b, "There is no example of %s.\n\n", name);
        return;
    }
    terminal_ink(b, style, INK_DIM);
    buffer_format(b, "Example, from examples/%.*s", (int)example.capture.length,
                  (const char *)example.capture.at);
    if (example.log.length)
        buffer_format(b, " with --host-log examples/%.*s", (int)example.log.length,
                      (const char *)example.log.at);
    buffer_string(b, ":\n");
    terminal_ink(b, style, INK_PLAIN);
    text_indented(b, example.record);
    terminal_ink(b, style, INK_DIM);
    buffer_string(b, "Handled so:\n");
    terminal_ink(b, style, INK_PLAIN);
    text_indented(b, example.handler);
    buffer_char(b, '\n');
}

/* `named`: the kinds were asked for by name; then an example follows each. */
static void print_text(struct buffer *b, const bool *chosen, bool named) {
    struct terminal_style style = terminal_style_of(STDOUT_FILENO, COLOUR_AUTO);
    if (!isatty(STDOUT_FILENO)) style.width = 120;
    buffer_string(b, "field                 Lua       JSON key (- is not recorded)\n\n");
    for (int kind = 0; kind < EVENT_KINDS; kind++) {
        if (chosen[kind] || kind == EVENT_head) text_kind(b, &style, (enum event_kind)kind);
        if (named && chosen[kind]) text_example(b, &style, (enum event_kind)kind);
    }
}

/* ── for programs ────────────────────────────────────────────────── */

static void json_field(struct buffer *b, const struct field *f) {
    json_item(b);
    buffer_char(b, '{');
    json_pair_text(b, "name", f->name);
    json_pair_text(b, "type", event_type_name(f->type));
    json_pair_text(b, "lua", lua_type_of(f->type).annotation);
    if (f->key[0]) {
        json_pair_text(b, "key", f->key);
        json_key(b, "omitted_if_zero");
        json_bool(b, f->omit_if_zero);
    }
    json_pair_text(b, "doc", f->doc);
    buffer_char(b, '}');
}

static void json_slice(struct buffer *b, const char *key, struct slice text) {
    json_key(b, key);
    json_quote(b, text.at, text.length);
}

/* The record goes in as it is, as an object. */
static void json_example(struct buffer *b, const struct example *example) {
    json_key(b, "example");
    buffer_char(b, '{');
    json_slice(b, "capture", example->capture);
    if (example->log.length) json_slice(b, "host_log", example->log);
    json_key(b, "record");
    buffer_put(b, example->record.at, example->record.length);
    json_slice(b, "handler", example->handler);
    buffer_char(b, '}');
}

static void json_kind(struct buffer *b, enum event_kind kind) {
    const struct event_schema *s = event_schema_of(kind);
    json_key(b, s->name);
    buffer_char(b, '{');
    json_pair_text(b, "doc", s->doc);
    json_key(b, "fields");
    buffer_char(b, '[');
    for (uint32_t i = 0; i < s->field_count; i++) json_field(b, &s->fields[i]);
    buffer_char(b, ']');
    struct example example;
    if (example_find(s->name, &example)) json_example(b, &example);
    buffer_char(b, '}');
}

static void print_json(struct buffer *b, const bool *chosen) {
    buffer_char(b, '{');
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        if (chosen[kind]) json_kind(b, (enum event_kind)kind);
    buffer_string(b, "}\n");
}

/* ── the command ─────────────────────────────────────────────────── */

static const char usage[] =
    "usage: lunette events [KIND...] [--json | --stubs | --stubs-in FOLDER]\n"
    "\n"
    "Prints the kinds of events and their fields: name and type in Lua, key in the records.\n"
    "  KIND               only these kinds, such as dns, with an example of each\n"
    "  --json             as JSON, for programs\n"
    "  --stubs            as annotations for lua-language-server, with those of the API\n"
    "  --stubs-in FOLDER  writes annotations of the API and its modules to files there\n";

static int complain(const char *what, const char *given, const char *nearest) {
    fprintf(stderr, "lunette events: no %s \"%s\"", what, given);
    if (nearest) fprintf(stderr, ", did you mean \"%s\"?", nearest);
    fputc('\n', stderr);
    return 2;
}

static int unknown_option(const char *given) {
    static const char *const options[] = {"--json", "--stubs", "--stubs-in", "--help"};
    return complain("option", given, nearest_name(given, options, sizeof options / sizeof options[0]));
}

/* An event whose field the name is like: "program" is one of every event, in the records' object "process".
 * NULL if there is none. */
static const char *event_of_field(const char *given, const char **field) {
    for (int kind = EVENT_head; kind < EVENT_KINDS; kind++) {
        const struct event_schema *s = event_schema_of((enum event_kind)kind);
        for (uint32_t i = 0; i < s->field_count; i++) {
            char object[32];
            snprintf(object, sizeof object, "%.*s", (int)strcspn(s->fields[i].key, "."), s->fields[i].key);
            enum event_kind owner = kind == EVENT_head ? event_kind_named(object) : (enum event_kind)kind;
            if (owner == EVENT_head || event_is_hidden(owner)) continue;
            *field = nearest_name(given, &s->fields[i].name, 1);
            if (*field) return event_schema_of(owner)->name;
        }
    }
    return NULL;
}

static int unknown_kind(const char *given) {
    const char *names[EVENT_KINDS];
    size_t count = 0;
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++)
        if (!event_is_hidden((enum event_kind)kind))
            names[count++] = event_schema_of((enum event_kind)kind)->name;
    static const char *const records[] = {"alert", "host", "report", "stats"};
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++)
        if (strcmp(given, records[i]) == 0) {
            complain("event", given, NULL);
            fputs("(it is a kind of record alone, which no detector handles)\n", stderr);
            return 2;
        }
    const char *near = nearest_name(given, names, count);
    const char *field = NULL;
    if (!near && !strchr(given, '.')) near = event_of_field(given, &field);
    int outcome = complain("event", given, near);
    if (field) fprintf(stderr, "(it has to do with the field \"%s\")\n", field);
    if (!near || strchr(given, '.'))
        fputs("(events that scripts declare have a dot in their names: lunette check lists them)\n", stderr);
    return outcome;
}

static int two_forms(void) {
    fputs("lunette events: --json and --stubs exclude each other\n", stderr);
    return 2;
}

static int failed(const struct error *err) {
    fprintf(stderr, "lunette events: %s\n", err->text);
    return 1;
}

static int write_stubs(const char *folder) {
    struct error err;
    if (!folder) {
        fputs("lunette events: --stubs-in needs a folder\n", stderr);
        return 2;
    }
    return stubs_write(folder, &err) < 0 ? failed(&err) : 0;
}

int cli_events(int argc, char **argv) {
    enum form form = FORM_TEXT;
    bool chosen[EVENT_KINDS] = {false}, any = false;
    for (int i = 1; i < argc; i++) {
        bool json = strcmp(argv[i], "--json") == 0;
        if (json || strcmp(argv[i], "--stubs") == 0) {
            enum form wanted = json ? FORM_JSON : FORM_STUBS;
            if (form != FORM_TEXT && form != wanted) return two_forms();
            form = wanted;
        } else if (strcmp(argv[i], "--stubs-in") == 0) {
            return write_stubs(argv[i + 1]);
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return 0;
        } else if (argv[i][0] == '-') {
            return unknown_option(argv[i]);
        } else {
            enum event_kind kind = event_kind_named(argv[i]);
            if (kind == EVENT_head || event_is_hidden(kind)) return unknown_kind(argv[i]);
            chosen[kind] = any = true;
        }
    }
    for (int kind = 0; kind < EVENT_KINDS && !any; kind++)
        chosen[kind] = !event_is_hidden((enum event_kind)kind);
    struct buffer b = {0};
    struct error err;
    if (form == FORM_TEXT) print_text(&b, chosen, any);
    if (form == FORM_JSON) print_json(&b, chosen);
    if (form == FORM_STUBS && stubs_print(&b, chosen, &err) < 0) {
        buffer_free(&b);
        return failed(&err);
    }
    return print_out(&b);
}
