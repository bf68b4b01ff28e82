/* Each message is formatted whole, made safe and written with one write(2), so that threads do not mix their
 * words. What a script logs or a file is called may have been chosen by somebody who means harm.
 *
 * The file is opened anew over the same descriptor (dup2), so that a thread that writes meanwhile needs no
 * lock. */
#include "base/log.h"

#include "base/time.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 2048, EXPANSION = 6 }; /* a byte takes at most six: \u001b */

static _Atomic int log_threshold = LOG_WARNING;
static enum log_format log_shape = LOG_TEXT;
static int log_descriptor = STDERR_FILENO;
static char log_path[PATH_MAX];
static void (*log_sink)(void *context, enum log_level level, const char *text);
static void *log_sink_context;

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const char *const format_names[] = {"text", "timed", "json"};

static int index_of(const char *name, const char *const *names, int count) {
    for (int i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0) return i;
    return -1;
}

void log_set_level(enum log_level level) {
    log_threshold = (int)level;
}

enum log_level log_get_level(void) {
    return (enum log_level)log_threshold;
}

int log_level_named(const char *name) {
    return index_of(name, level_names, 4);
}

const char *log_level_name(enum log_level level) {
    return level_names[level];
}

void log_set_format(enum log_format format) {
    log_shape = format;
}

int log_format_named(const char *name) {
    return index_of(name, format_names, 3);
}

static int open_file(const char *path) {
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
}

int log_open(const char *path, struct error *err) {
    if (strlen(path) >= sizeof log_path) return error_set(err, "the name of the log file is too long");
    int fd = open_file(path);
    if (fd < 0) return error_set(err, "cannot open the log file %s: %s", path, strerror(errno));
    if (log_descriptor != STDERR_FILENO) close(log_descriptor);
    log_descriptor = fd;
    memcpy(log_path, path, strlen(path) + 1);
    return 0;
}

void log_reopen(void) {
    if (!log_path[0]) return;
    int fd = open_file(log_path);
    if (fd < 0) {
        log_line(LOG_WARNING, "cannot open the log file %s anew: %s", log_path, strerror(errno));
        return;
    }
    if (dup2(fd, log_descriptor) < 0 || fcntl(log_descriptor, F_SETFD, FD_CLOEXEC) < 0)
        log_line(LOG_WARNING, "cannot change to the new log file: %s", strerror(errno));
    close(fd);
}

/* ── one message ─────────────────────────────────────────────────── */

static char *put(char *out, const char *text, size_t length) {
    memcpy(out, text, length);
    return out + length;
}

static char *put_text(char *out, const char *text) {
    return put(out, text, strlen(text));
}

/* One character at `*p`, made safe; moves `*p` past it. */
static char *put_character(char *out, const uint8_t **p, const uint8_t *end) {
    uint32_t code, used = utf8_decode(*p, (size_t)(end - *p), &code);
    const uint8_t *from = *p;
    bool shown = used > 0 && utf8_is_shown(code), json = log_shape == LOG_JSON;
    *p += used > 0 ? used : 1;
    if (json && used == 1 && (code == '"' || code == '\\')) {
        *out++ = '\\';
        *out++ = (char)code;
        return out;
    }
    if (shown) return put(out, (const char *)from, used);
    if (used == 1 && code == '\n') return json ? put_text(out, "\\n") : put_text(out, "\n    ");
    if (used == 1 && code == '\t') return json ? put_text(out, "\\t") : put_text(out, "  ");
    for (; from < *p; from++) out += sprintf(out, json ? "\\\\x%02x" : "\\x%02x", *from);
    return out;
}

/* `level` NULL: the last word, which has none of its own. */
static void write_message(const char *level, const char *text) {
    char line[MESSAGE_SIZE * EXPANSION + 128], stamp[TIMESTAMP_LENGTH + 1] = "";
    char *out = line;
    if (log_shape != LOG_TEXT) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        time_format_eve((nanoseconds)now.tv_sec * NS_PER_SECOND + now.tv_nsec, stamp);
    }
    if (log_shape == LOG_JSON) {
        out +=
            sprintf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"", stamp, level ? level : "error");
    } else {
        out += sprintf(out, "%s%slunette: ", stamp, stamp[0] ? " " : "");
        if (level) out += sprintf(out, "%s: ", level);
    }
    size_t length = strnlen(text, MESSAGE_SIZE);
    while (length > 0 && text[length - 1] == '\n') length--;
    const uint8_t *p = (const uint8_t *)text, *end = p + length;
    while (p < end) out = put_character(out, &p, end);
    out = put_text(out, log_shape == LOG_JSON ? "\"}\n" : "\n");
    ssize_t written = write(log_descriptor, line, (size_t)(out - line));
    (void)written;
}

void log_divert(void (*sink)(void *context, enum log_level level, const char *text), void *context) {
    log_sink = sink;
    log_sink_context = context;
}

void log_line(enum log_level level, const char *format, ...) {
    if ((int)level > log_threshold) return;
    char text[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n < 0) return;
    if (log_sink)
        log_sink(log_sink_context, level, text);
    else
        write_message(level_names[level], text);
}

void log_failure(const char *message) {
    write_message(NULL, message);
}
