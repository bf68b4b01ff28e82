/* What the program says about itself, on stderr, one line each: "lunette: warning: …". Records and alerts do
 * not go through here. The level is set once, before any thread starts.
 *
 * Messages quote file names, scripts and what scripts log. Control and escape bytes, ill-formed UTF-8 and
 * characters that reorder or hide text are shown as \xNN. Lines after a message's first, as tracebacks have,
 * are indented, so that none can pass for a message of its own. */
#ifndef LUNETTE_BASE_LOG_H
#define LUNETTE_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);

/* "lunette: MESSAGE", whatever the level: the last word of a run that was given up. */
void log_failure(const char *message);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

#endif
