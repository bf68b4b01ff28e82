/* Each message is formatted whole, made safe and written with one write(2), so that threads do not mix their
 * words. What a script logs or a file is called may have been chosen by somebody who means harm. */
#include "base/log.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 2048 };

static enum log_level log_threshold = LOG_WARNING;

void log_set_level(enum log_level level) {
    log_threshold = level;
}

static char *put(char *out, const char *text, size_t length) {
    memcpy(out, text, length);
    return out + length;
}

/* One character at `*p`, made safe; moves `*p` past it. Writes at most five bytes for each it reads. */
static char *put_character(char *out, const uint8_t **p, const uint8_t *end) {
    uint32_t code, used = utf8_decode(*p, (size_t)(end - *p), &code);
    const uint8_t *from = *p;
    bool shown = used > 0 && utf8_is_shown(code);
    *p += used > 0 ? used : 1;
    if (shown) return put(out, (const char *)from, used);
    if (used == 1 && code == '\n') return put(out, "\n    ", 5);
    if (used == 1 && code == '\t') return put(out, "  ", 2);
    for (; from < *p; from++) out += sprintf(out, "\\x%02x", *from);
    return out;
}

static void write_safe(const char *text) {
    char safe[MESSAGE_SIZE * 5 + 2];
    size_t length = strnlen(text, MESSAGE_SIZE);
    while (length > 0 && text[length - 1] == '\n') length--;
    char *out = safe;
    const uint8_t *p = (const uint8_t *)text, *end = p + length;
    while (p < end) out = put_character(out, &p, end);
    *out++ = '\n';
    ssize_t written = write(STDERR_FILENO, safe, (size_t)(out - safe));
    (void)written;
}

void log_line(enum log_level level, const char *format, ...) {
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if (level > log_threshold) return;
    char text[MESSAGE_SIZE];
    int n = snprintf(text, sizeof text, "lunette: %s: ", names[level]);
    va_list arguments;
    va_start(arguments, format);
    int m = vsnprintf(text + n, sizeof text - (size_t)n, format, arguments);
    va_end(arguments);
    if (m >= 0) write_safe(text);
}

void log_failure(const char *message) {
    char text[MESSAGE_SIZE];
    if (snprintf(text, sizeof text, "lunette: %s", message) > 0) write_safe(text);
}
