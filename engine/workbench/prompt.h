/* Lines from a person, with history and completion where there is a terminal (libedit); from a pipe, as they
 * come. */
#ifndef LUNETTE_WORKBENCH_PROMPT_H
#define LUNETTE_WORKBENCH_PROMPT_H

#include <stdbool.h>

struct prompt;

/* What the last word of `line` may become: a line each, owned by the callee and good until it is called
 * again; "" if nothing; NULL: names of files. */
typedef const char *prompt_completer(void *context, const char *line);

struct prompt *prompt_new(prompt_completer *complete, void *context);
void prompt_free(struct prompt *prompt);

bool prompt_is_terminal(const struct prompt *prompt);

/* The next line without its end, good until the next call; NULL when there are no more. `words` stand before
 * it on a terminal. */
const char *prompt_read(struct prompt *prompt, const char *words);

#endif
