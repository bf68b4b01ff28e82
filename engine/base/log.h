/* What the program says about itself, one line each: "lunette: warning: …". Records and alerts do not go
 * through here. Until told otherwise lines go to stderr as plain text; a program that runs for months asks
 * for time stamps or for JSON, and may have them in a file. The level may be changed while threads run;
 * format and file are chosen before any starts.
 *
 * Messages quote file names, scripts and what scripts log. Control and escape bytes, ill-formed UTF-8 and
 * characters that reorder or hide text are shown as \xNN. Lines after a message's first, as tracebacks have,
 * are indented, so that none can pass for a message of its own; in JSON they stay in their string. */
#ifndef LUNETTE_BASE_LOG_H
#define LUNETTE_BASE_LOG_H

#include "base/error.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

enum log_format {
    LOG_TEXT,       /* lunette: warning: … */
    LOG_TEXT_TIMED, /* 2024-05-01T12:00:00.123456+0000 lunette: warning: … */
    LOG_JSON,       /* {"time":"2024-05-01T12:00:00.123456+0000","level":"warning","message":"…"} */
};

/* Any thread. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* "error", "warning", "info", "debug"; -1 if it is none of them. */
int log_level_named(const char *name);
const char *log_level_name(enum log_level level);

void log_set_format(enum log_format format);

/* "text", "timed" or "json"; -1 if it is none of them. */
int log_format_named(const char *name);

/* Appends to a file instead of stderr. */
int log_open(const char *path, struct error *err);

/* After somebody moved the file away. Stays with the old one if the new one cannot be opened. Any thread. */
void log_reopen(void);

/* Hands messages to `sink` instead of writing them, for a tool that shows them in a place of its own; NULL:
 * they are written again. While one thread runs. */
void log_divert(void (*sink)(void *context, enum log_level level, const char *text), void *context);

/* "lunette: MESSAGE", whatever the level: the last word of a run that was given up. */
void log_failure(const char *message);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

#endif
