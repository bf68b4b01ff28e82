/* `lunette events [KIND...] [--json | --stubs]`: what events there are and what is in them. Three ways to
 * print one table: for people, for programs, and as annotations that the Lua language server completes field
 * names from. */
#include "cli/events.h"

#include "base/nearest.h"
#include "cli/print.h"
#include "event/schema.h"
#include "output/json.h"
#include "output/terminal.h"
#include "script/embedded.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum form { FORM_TEXT, FORM_JSON, FORM_STUBS };

/* What a script sees for a field of that type: `lua` in words, `annotation` for LuaLS. */
struct lua_type {
    const char *lua;
    const char *annotation;
};

static struct lua_type lua_type_of(enum field_type type) {
    switch (type) {
    case FIELD_u8:
    case FIELD_u16:
    case FIELD_u32:
    case FIELD_u64:
        return (struct lua_type){"number", "integer"};
    case FIELD_f64:
        return (struct lua_type){"number", "number"};
    case FIELD_bool:
        return (struct lua_type){"boolean", "boolean"};
    case FIELD_time:
        return (struct lua_type){"seconds", "number"};
    case FIELD_ip:
        return (struct lua_type){"string", "string"};
    case FIELD_word:
    case FIELD_str:
        return (struct lua_type){"string?", "string?"};
    case FIELD_bytes:
        return (struct lua_type){"slice?", "lunette.Slice?"};
    case FIELD_list:
        return (struct lua_type){"strings", "string[]"};
    case FIELD_u16s:
        return (struct lua_type){"numbers", "integer[]"};
    default:
        return (struct lua_type){"?", "any"};
    }
}

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

static void print_text(struct buffer *b, const bool *chosen) {
    struct terminal_style style = terminal_style_of(STDOUT_FILENO, COLOUR_AUTO);
    if (!isatty(STDOUT_FILENO)) style.width = 120;
    buffer_string(b, "field                 Lua       JSON key (- is not recorded)\n\n");
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        if (chosen[kind] || kind == EVENT_head) text_kind(b, &style, (enum event_kind)kind);
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

static void json_kind(struct buffer *b, enum event_kind kind) {
    const struct event_schema *s = event_schema_of(kind);
    json_key(b, s->name);
    buffer_char(b, '{');
    json_pair_text(b, "doc", s->doc);
    json_key(b, "fields");
    buffer_char(b, '[');
    for (uint32_t i = 0; i < s->field_count; i++) json_field(b, &s->fields[i]);
    buffer_string(b, "]}");
}

static void print_json(struct buffer *b, const bool *chosen) {
    buffer_char(b, '{');
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        if (chosen[kind]) json_kind(b, (enum event_kind)kind);
    buffer_string(b, "}\n");
}

/* ── for editors ─────────────────────────────────────────────────── */

static void stub_kind(struct buffer *b, enum event_kind kind) {
    const struct event_schema *s = event_schema_of(kind);
    buffer_format(b, "---%s\n", s->doc);
    if (kind == EVENT_head)
        buffer_string(b, "---@class lunette.Event\n");
    else
        buffer_format(b, "---@class lunette.Event.%s : lunette.Event\n", s->name);
    for (uint32_t i = 0; i < s->field_count; i++)
        buffer_format(b, "---@field %s %s %s\n", s->fields[i].name, lua_type_of(s->fields[i].type).annotation,
                      s->fields[i].doc);
    buffer_char(b, '\n');
}

/* So that a handler's `e` is known to be an event of its kind. */
static void stub_overloads(struct buffer *b, const char *kind) {
    buffer_format(b, "---@overload fun(kind: \"%s\", handler: fun(e: lunette.Event.%s))\n", kind, kind);
    buffer_format(b, "---@overload fun(kind: \"%s\", filter: table, handler: fun(e: lunette.Event.%s))\n",
                  kind, kind);
}

/* The events by the schema, then the API, which is written by hand. */
static void print_stubs(struct buffer *b, const bool *chosen) {
    const struct embedded_file *api = embedded_find("stubs.lua");
    buffer_string(b, "---@meta\n-- Made by `lunette events --stubs` from lua-api/events.def.\n\n");
    buffer_string(b, "---@alias lunette.EventKind");
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++)
        buffer_format(b, "%s\"%s\"", kind == EVENT_head + 1 ? " " : "|",
                      event_schema_of((enum event_kind)kind)->name);
    buffer_string(b, "\n\n");
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        if (chosen[kind] || kind == EVENT_head) stub_kind(b, (enum event_kind)kind);
    buffer_put(b, api->text, api->size);
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++)
        if (chosen[kind]) stub_overloads(b, event_schema_of((enum event_kind)kind)->name);
    buffer_string(b, "---@param kind lunette.EventKind\n"
                     "---@param filter table\n"
                     "---@param handler fun(e: lunette.Event)\n"
                     "function lunette.on(kind, filter, handler) end\n\nreturn lunette\n");
}

/* ── the command ─────────────────────────────────────────────────── */

static const char usage[] =
    "usage: lunette events [KIND...] [--json | --stubs]\n"
    "\n"
    "Prints the kinds of events and their fields: name and type in Lua, key in the records.\n"
    "  KIND     only these kinds, such as dns\n"
    "  --json   as JSON, for programs\n"
    "  --stubs  as annotations for the Lua language server, with those of the API\n";

static int complain(const char *what, const char *given, const char *nearest) {
    fprintf(stderr, "lunette events: no %s \"%s\"", what, given);
    if (nearest) fprintf(stderr, ", did you mean \"%s\"?", nearest);
    fputc('\n', stderr);
    return 2;
}

static int unknown_option(const char *given) {
    static const char *const options[] = {"--json", "--stubs", "--help"};
    return complain("option", given, nearest_name(given, options, sizeof options / sizeof options[0]));
}

static int unknown_kind(const char *given) {
    const char *names[EVENT_KINDS];
    size_t count = 0;
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++)
        names[count++] = event_schema_of((enum event_kind)kind)->name;
    return complain("event", given, nearest_name(given, names, count));
}

static int two_forms(void) {
    fputs("lunette events: --json and --stubs exclude each other\n", stderr);
    return 2;
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
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return 0;
        } else if (argv[i][0] == '-') {
            return unknown_option(argv[i]);
        } else {
            enum event_kind kind = event_kind_named(argv[i]);
            if (kind == EVENT_head) return unknown_kind(argv[i]);
            chosen[kind] = any = true;
        }
    }
    for (int kind = 0; kind < EVENT_KINDS && !any; kind++) chosen[kind] = true;
    struct buffer b = {0};
    if (form == FORM_TEXT) print_text(&b, chosen);
    if (form == FORM_JSON) print_json(&b, chosen);
    if (form == FORM_STUBS) print_stubs(&b, chosen);
    return print_out(&b);
}
