/* A Lua state to look at events with: what `lunette console` types into.
 *
 * It is a detector's state (the same views, the same API, the same sandbox) that handles nothing by itself:
 * whoever owns it asks it questions beside an event that lies in a batch, while that batch is being delivered
 * (script_sink.on_event). Answers come by a callback, before the asking returns. */
#ifndef LUNETTE_SCRIPT_INSPECTOR_H
#define LUNETTE_SCRIPT_INSPECTOR_H

#include "base/error.h"
#include "event/alert.h"
#include "event/batch.h"

struct inspector;

/* Text is borrowed for the call. `what` is one of
 *   text    a result to show (or, of "complete", the candidates, a line each)
 *   error   what is wrong with the line
 *   keep    the line defined something: it is worth saying again in another inspector
 *   holds   of "check": the condition is true of this event
 *   stop    of "check": it cannot be evaluated; why */
typedef void inspector_answer(void *context, const char *what, const char *text);

struct inspector_options {
    const struct batch *batch;
    size_t memory_limit; /* bytes, 0: the default for detectors */
    void *context;
    inspector_answer *answer;
    void (*on_alert)(void *context, const struct alert *alert); /* of lunette.alert at the prompt */
};

struct inspector *inspector_new(const struct inspector_options *options, struct error *err);
void inspector_free(struct inspector *inspector);

/* The event that lies in `batch` at `event`; NULL: there is none at hand. Questions:
 *   evaluate LINE    as at a prompt: an expression is shown, a statement run
 *   pass             runs the handlers that the prompt's on() has set
 *   mistyped WORDS\nLINE  a line that was no good Lua: is its first word near one of those words?
 *   prepare LINE     could the expression be true of any event? (stop if not)
 *   check LINE       is the expression true of this event?
 *   unmet LINE       at the end: was there an event of which the expression could be told?
 *   summary          the event in one line
 *   complete LINE    what the last word of the line may become
 * False if the state is lost (its memory bound): then a new one is needed. */
bool inspector_ask(struct inspector *inspector, enum event_kind kind, const void *event, const char *what,
                   const char *line);

#endif
