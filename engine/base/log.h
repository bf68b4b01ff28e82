/* What the program says about itself, on stderr, one line each: "lunette: warning: …". Records and alerts do
 * not go through here. The level is set once, before any thread starts. */
#ifndef LUNETTE_BASE_LOG_H
#define LUNETTE_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

#endif
