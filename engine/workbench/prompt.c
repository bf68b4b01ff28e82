/* See prompt.h. libedit's interface in readline's manner has no context of its own: while it reads a line, a
 * static pointer says whose prompt it is. */
#include "workbench/prompt.h"

#include <editline/readline.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct prompt {
    prompt_completer *complete;
    void *context;
    bool terminal;
    char *line;
    size_t room;
    const char *candidates; /* of the completion at hand: what is left of them */
};

static struct prompt *reading;

struct prompt *prompt_new(prompt_completer *complete, void *context) {
    struct prompt *prompt = calloc(1, sizeof *prompt);
    if (!prompt) return NULL;
    prompt->complete = complete;
    prompt->context = context;
    prompt->terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    return prompt;
}

void prompt_free(struct prompt *prompt) {
    if (!prompt) return;
    free(prompt->line);
    free(prompt);
}

bool prompt_is_terminal(const struct prompt *prompt) {
    return prompt->terminal;
}

/* One candidate a call; libedit frees them. */
static char *next_candidate(const char *word, int first) {
    (void)word, (void)first;
    const char *at = reading->candidates;
    if (!at || !*at) return NULL;
    size_t length = strcspn(at, "\n");
    reading->candidates = at + length + (at[length] == '\n');
    return strndup(at, length);
}

static char **on_complete(const char *word, int start, int end) {
    (void)start;
    char *line = strndup(rl_line_buffer, (size_t)end);
    reading->candidates = line ? reading->complete(reading->context, line) : "";
    free(line);
    if (!reading->candidates) return rl_completion_matches(word, rl_filename_completion_function);
    rl_attempted_completion_over = 1;
    return rl_completion_matches(word, next_candidate);
}

static const char *read_from_person(struct prompt *prompt, const char *words) {
    reading = prompt;
    rl_attempted_completion_function = on_complete;
    rl_completion_append_character = '\0';
    rl_basic_word_break_characters = " \t\n\"'(){}[],;=<>+-*/#~";
    free(prompt->line);
    prompt->line = readline(words);
    reading = NULL;
    if (!prompt->line) return NULL;
    if (prompt->line[0]) add_history(prompt->line);
    return prompt->line;
}

const char *prompt_read(struct prompt *prompt, const char *words) {
    if (prompt->terminal) return read_from_person(prompt, words);
    ssize_t length = getline(&prompt->line, &prompt->room, stdin);
    if (length < 0) return NULL;
    if (length > 0 && prompt->line[length - 1] == '\n') prompt->line[length - 1] = '\0';
    return prompt->line;
}
