/* See console.h. A line is a command if it begins with a command's word, else it is Lua for the inspector. */
#include "workbench/console.h"

#include "base/log.h"
#include "base/nearest.h"
#include "output/eve.h"
#include "script/inspector.h"
#include "script/reload.h"
#include "sensor/worker.h"
#include "workbench/prompt.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "  next [KIND…]     to the next event, of these kinds; an empty line does the same again\n"
    "  until EXPRESSION to the next event of which it is true: until e.rrname and #e.rrname > 60\n"
    "  alert            to the next alert; all pass unseen that come before\n"
    "  end              through to the end of the capture\n"
    "  show             the event at hand, field by field (so does: e)\n"
    "  load FILE        run this detector as well, from the next packets on\n"
    "  reload           load again what was saved since\n"
    "  restart          from the beginning; what was defined at the prompt is defined again\n"
    "  quit\n"
    "Anything else is Lua, as in a detector: e.rrname, lunette.registrable(e.rrname), x = 5 (locals last for "
    "their line only).\n"
    "on(\"dns\", { type = \"query\" }, function(e) … end) tries a handler on the events that pass; off() "
    "ends that.\n"
    "TAB completes events, fields and the API. A colon may stand before a command.\n";

static const char commands[] = "next until alert end show load reload restart help quit exit";

enum goal { GOAL_EVENT, GOAL_CONDITION, GOAL_ALERT, GOAL_END };
enum leave { STAY, LEAVE_RESTART, LEAVE_QUIT };

struct console {
    const struct console_options *options;
    struct prompt *prompt;
    struct rig *rig;
    struct inspector *inspector;
    enum goal goal;
    bool wanted[EVENT_KINDS]; /* GOAL_EVENT: kinds to stop at */
    char *condition;          /* GOAL_CONDITION */
    enum leave leave;
    /* The event at hand, while its batch is delivered. */
    enum event_kind kind;
    const void *event;
    uint64_t events;
    /* Answers of the inspector. */
    bool holds, stop, failed;
    struct buffer out;   /* what is to be printed */
    struct buffer found; /* candidates of a completion, with a NUL */
    bool completing;
    /* What was defined, to be said again. */
    char **kept;
    size_t kept_count;
    bool saying_again;
    /* Detectors: the paths of the options, then those loaded at the prompt. */
    const char **paths;
    char **loaded;
    size_t loaded_count;
    bool reload;
};

/* ------------------------------------------------------------------- printing */

static void flush(struct console *console) {
    struct buffer *b = &console->out;
    size_t done = 0;
    while (!b->failed && done < b->length) {
        ssize_t n = write(STDOUT_FILENO, b->at + done, b->length - done);
        if (n < 0 && errno != EINTR) break;
        done += n > 0 ? (size_t)n : 0;
    }
    b->length = 0;
}

__attribute__((format(printf, 2, 3))) static void say(struct console *console, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buffer_string(&console->out, text);
    buffer_char(&console->out, '\n');
    flush(console);
}

/* Text from the wire, line by line made safe. */
static void put_lines(struct console *console, const char *text) {
    while (*text) {
        size_t length = strcspn(text, "\n");
        terminal_safe(&console->out, text, length);
        buffer_char(&console->out, '\n');
        text += length + (text[length] == '\n');
    }
    flush(console);
}

static void keep(struct console *console, const char *line) {
    if (console->saying_again) return;
    char **grown = realloc(console->kept, (console->kept_count + 1) * sizeof *grown);
    if (!grown) return;
    console->kept = grown;
    if ((grown[console->kept_count] = strdup(line))) console->kept_count++;
}

static void on_answer(void *context, const char *what, const char *text) {
    struct console *console = context;
    if (strcmp(what, "holds") == 0) {
        console->holds = true;
    } else if (strcmp(what, "keep") == 0) {
        keep(console, text);
    } else if (console->completing) {
        console->found.length = 0;
        buffer_put(&console->found, text, strlen(text) + 1);
    } else if (console->saying_again) {
        return; /* what needs an event cannot be said again: there is none yet */
    } else if (strcmp(what, "text") == 0) {
        put_lines(console, text);
    } else {
        console->stop |= strcmp(what, "stop") == 0;
        console->failed = true;
        terminal_ink(&console->out, &console->options->style, INK_RED);
        put_lines(console, text);
        terminal_ink(&console->out, &console->options->style, INK_PLAIN);
    }
}

static void show_alert(struct console *console, const struct alert *alert) {
    terminal_alert(&console->out, &console->options->style, alert);
    flush(console);
}

static void on_prompt_alert(void *context, const struct alert *alert) {
    show_alert(context, alert);
}

/* ------------------------------------------------------------- the inspector */

static bool ask(struct console *console, const char *what, const char *line) {
    if (!console->inspector) return false;
    if (inspector_ask(console->inspector, console->kind, console->event, what, line)) return true;
    say(console, "what was defined at the prompt is lost; restart to go on");
    inspector_free(console->inspector);
    console->inspector = NULL;
    return false;
}

static const char *complete(void *context, const char *line) {
    struct console *console = context;
    if (*line == ':') line++;
    if (strncmp(line, "load ", 5) == 0) return NULL;
    console->completing = true;
    console->found.length = 0;
    ask(console, "complete", line);
    console->completing = false;
    return console->found.length > 0 && !console->found.failed ? console->found.at : "";
}

static int inspector_begin(struct console *console, struct error *err) {
    const struct inspector_options options = {
        .batch = worker_batch(rig_worker(console->rig)),
        .memory_limit = console->options->rig.scripts.memory_limit,
        .context = console,
        .answer = on_answer,
        .on_alert = on_prompt_alert,
    };
    inspector_free(console->inspector);
    console->inspector = inspector_new(&options, err);
    if (!console->inspector) return -1;
    console->saying_again = true;
    for (size_t i = 0; i < console->kept_count; i++) ask(console, "evaluate", console->kept[i]);
    console->saying_again = false;
    return 0;
}

/* ------------------------------------------------------------------ detectors */

static struct script_options scripts_now(const struct console *console) {
    struct script_options scripts = console->options->rig.scripts;
    scripts.paths = console->paths;
    scripts.path_count += console->loaded_count;
    return scripts;
}

/* Between two bursts, when no batch is being delivered. */
static void reload(struct console *console) {
    struct error err;
    struct script_host *host = worker_scripts(rig_worker(console->rig));
    const struct script_options scripts = scripts_now(console);
    console->reload = false;
    struct script_reload *change = script_reload_prepare(host, &scripts, false, &err);
    bool done = change && script_reload_stage(change, &err) == 0;
    if (done) script_reload_commit(change);
    say(console, "%s", done ? script_reload_summary(change) : err.text);
    script_reload_free(change);
}

static void load(struct console *console, const char *path) {
    struct error err;
    size_t count = console->options->rig.scripts.path_count + console->loaded_count;
    const char **paths = realloc(console->paths, (count + 1) * sizeof *paths);
    if (paths) console->paths = paths;
    char **loaded = realloc(console->loaded, (console->loaded_count + 1) * sizeof *loaded);
    if (loaded) console->loaded = loaded;
    char *copy = strdup(path);
    if (!paths || !loaded || !copy || access(path, R_OK) < 0) {
        error_set(&err, "%s: %m", path);
        say(console, "%s", err.text);
        free(copy);
        return;
    }
    console->paths[count] = console->loaded[console->loaded_count++] = copy;
    console->reload = true;
}

/* -------------------------------------------------------------------- commands */

/* The rest of the line if it begins with that command, else NULL. `load = 5` and `next(t)` are Lua. */
static const char *command(const char *line, const char *word) {
    if (*line == ':') line++;
    size_t length = strlen(word);
    if (strncmp(line, word, length) != 0) return NULL;
    line += length;
    if (*line && !isspace((unsigned char)*line)) return NULL;
    line += strspn(line, " \t");
    return *line == '=' || *line == '(' ? NULL : line;
}

static enum event_kind kind_of(const char *name, size_t length) {
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++) {
        const char *known = event_schema_of((enum event_kind)kind)->name;
        if (strlen(known) == length && memcmp(known, name, length) == 0) return (enum event_kind)kind;
    }
    return EVENT_head;
}

static void tell_no_kind(struct console *console, const char *name, size_t length) {
    const char *names[EVENT_KINDS];
    char wrong[64];
    size_t count = 0;
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++)
        names[count++] = event_schema_of((enum event_kind)kind)->name;
    snprintf(wrong, sizeof wrong, "%.*s", (int)(length < 60 ? length : 60), name);
    const char *near = nearest_name(wrong, names, count);
    say(console,
        near ? "there is no event '%s'; did you mean '%s'?" : "there is no event '%s' (see: lunette events)",
        wrong, near);
}

/* True if the run may go on. */
static bool set_kinds(struct console *console, const char *names) {
    bool wanted[EVENT_KINDS] = {false}, all = *names == '\0';
    while (*names) {
        size_t length = strcspn(names, " \t");
        enum event_kind kind = kind_of(names, length);
        if (kind == EVENT_head) {
            tell_no_kind(console, names, length);
            return false;
        }
        wanted[kind] = true;
        names += length;
        names += strspn(names, " \t");
    }
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++) console->wanted[kind] = all || wanted[kind];
    console->goal = GOAL_EVENT;
    return true;
}

static bool set_condition(struct console *console, const char *text) {
    if (!*text) {
        say(console, "until what? until e.rrname == \"example.com\"");
        return false;
    }
    console->stop = false;
    ask(console, "prepare", text);
    char *copy = console->stop ? NULL : strdup(text);
    if (!copy) return false;
    free(console->condition);
    console->condition = copy;
    console->goal = GOAL_CONDITION;
    return true;
}

static void evaluate(struct console *console, const char *line) {
    console->failed = false;
    ask(console, "evaluate", line);
    bool one_word = line[strspn(line, "abcdefghijklmnopqrstuvwxyz")] == '\0';
    size_t room = sizeof commands + strlen(line) + 1;
    char *text = console->failed || one_word ? malloc(room) : NULL;
    if (!text) return;
    snprintf(text, room, "%s\n%s", commands, line);
    ask(console, "mistyped", text);
    free(text);
}

/* Does what the line says. True if the run goes on then. */
static bool obey(struct console *console, const char *line) {
    const char *rest;
    if (line[strspn(line, " \t")] == '\0') return true;
    if ((rest = command(line, "next"))) return set_kinds(console, rest);
    if ((rest = command(line, "until"))) return set_condition(console, rest);
    if (command(line, "alert")) return console->goal = GOAL_ALERT, true;
    if (command(line, "end")) return console->goal = GOAL_END, true;
    if (command(line, "restart")) return console->leave = LEAVE_RESTART, true;
    if (command(line, "quit") || command(line, "exit")) return console->leave = LEAVE_QUIT, true;
    if (command(line, "help")) {
        buffer_string(&console->out, help);
        flush(console);
    } else if (command(line, "show")) {
        ask(console, "evaluate", "e");
    } else if ((rest = command(line, "load"))) {
        load(console, rest);
    } else if (command(line, "reload")) {
        console->reload = true;
    } else {
        evaluate(console, *line == ':' ? line + 1 : line);
    }
    return false;
}

/* Reads lines until one lets the run go on. `settled`: no batch is on its way, so detectors may be changed at
 * once. */
static void prompt(struct console *console, bool settled) {
    char words[64];
    const char *line;
    snprintf(words, sizeof words, "%s> ", console->event ? event_schema_of(console->kind)->name : "lunette");
    do {
        if (settled && console->reload) reload(console);
        line = prompt_read(console->prompt, words);
        if (!line) console->leave = LEAVE_QUIT;
    } while (line && !obey(console, line));
    if (console->reload && !settled && console->leave == STAY)
        say(console, "(detectors are loaded when the packets at hand are through)");
}

/* -------------------------------------------------------------------- the run */

static bool is_wanted(struct console *console, enum event_kind kind) {
    if (console->goal == GOAL_EVENT) return console->wanted[kind];
    if (console->goal != GOAL_CONDITION) return false;
    console->holds = console->stop = false;
    ask(console, "check", console->condition);
    return console->holds || console->stop;
}

static void on_event(void *context, enum event_kind kind, const void *event, const struct batch *batch) {
    struct console *console = context;
    (void)batch;
    if (console->leave != STAY) return;
    console->kind = kind;
    console->event = event;
    console->events++;
    ask(console, "pass", "");
    if (!is_wanted(console, kind)) return;
    ask(console, "summary", "");
    prompt(console, false);
}

/* What a detector emits has no view here: it is shown as its record, unless everything is to pass unseen. */
static void on_custom(void *context, struct custom_schema *schema, const void *event, const char *text) {
    struct console *console = context;
    if (console->leave != STAY || console->goal == GOAL_END || console->goal == GOAL_ALERT) return;
    terminal_ink(&console->out, &console->options->style, INK_DIM);
    eve_custom(&console->out, schema, event, text);
    terminal_ink(&console->out, &console->options->style, INK_PLAIN);
    flush(console);
}

static void on_alert(void *context, const struct alert *alert) {
    struct console *console = context;
    if (console->leave != STAY) return;
    show_alert(console, alert);
    if (console->goal == GOAL_ALERT) prompt(console, false);
}

static bool go_on(void *context) {
    struct console *console = context;
    console->event = NULL;
    if (console->reload && console->leave == STAY) reload(console);
    return console->leave == STAY;
}

static int console_open(struct console *console, struct error *err) {
    struct rig_options options = console->options->rig;
    options.scripts = scripts_now(console);
    options.batch_limit = 1; /* each event is shown when it happens */
    options.context = console;
    options.on_event = on_event;
    options.on_alert = on_alert;
    options.on_custom = on_custom;
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++) options.wanted[kind] = kind != EVENT_packet;
    rig_free(console->rig);
    console->event = NULL;
    console->events = 0;
    console->leave = STAY;
    console->rig = rig_new(&options, err);
    return console->rig ? inspector_begin(console, err) : -1;
}

/* From the first packet to the end, or until the person has had enough. */
static int console_pass(struct console *console, struct error *err) {
    const struct console_options *options = console->options;
    prompt(console, true);
    if (console->leave != STAY) return 0;
    if (rig_captures(console->rig, options->captures, options->capture_count, go_on, err) < 0) return -1;
    if (console->leave == STAY) rig_finish(console->rig);
    console->event = NULL;
    if (console->leave != STAY) return 0;
    if (console->goal == GOAL_CONDITION) ask(console, "unmet", console->condition);
    say(console, "end of the capture, %llu events; restart, or quit", (unsigned long long)console->events);
    while (console->leave == STAY) prompt(console, true);
    return 0;
}

static void console_clear(struct console *console) {
    inspector_free(console->inspector);
    rig_free(console->rig);
    prompt_free(console->prompt);
    for (size_t i = 0; i < console->kept_count; i++) free(console->kept[i]);
    for (size_t i = 0; i < console->loaded_count; i++) free(console->loaded[i]);
    free(console->kept);
    free(console->loaded);
    free(console->paths);
    free(console->condition);
    buffer_free(&console->out);
    buffer_free(&console->found);
}

int console_run(const struct console_options *options, struct error *err) {
    struct console console = {.options = options};
    size_t paths = options->rig.scripts.path_count;
    console.prompt = prompt_new(complete, &console);
    console.paths = calloc(paths + 1, sizeof *console.paths);
    int outcome = console.prompt && console.paths ? 0 : error_set(err, "out of memory");
    for (size_t i = 0; outcome == 0 && i < paths; i++) console.paths[i] = options->rig.scripts.paths[i];
    for (int kind = 0; kind < EVENT_KINDS; kind++) console.wanted[kind] = true;
    if (outcome == 0 && prompt_is_terminal(console.prompt))
        say(&console, "an empty line for the first event, help for help");
    do {
        if (outcome == 0) outcome = console_open(&console, err);
        if (outcome == 0) outcome = console_pass(&console, err);
    } while (outcome == 0 && console.leave == LEAVE_RESTART);
    console_clear(&console);
    return outcome;
}
