/* Each line is formatted whole and written with one write(2), so that threads do not mix their words. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static enum log_level log_threshold = LOG_WARNING;

void log_set_level(enum log_level level) { log_threshold = level; }

void log_line(enum log_level level, const char *format, ...) {
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if (level > log_threshold) return;
    char line[2048];
    int n = snprintf(line, sizeof line, "lunette: %s: ", names[level]);
    va_list arguments;
    va_start(arguments, format);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, arguments);
    va_end(arguments);
    if (m < 0) return;
    size_t length = (size_t)n + (size_t)m;
    if (length > sizeof line - 2) length = sizeof line - 2;
    line[length++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, length);
    (void)written;
}
