/* See line.h. JSON is parsed whole by jansson, whose recursion is bounded; integers become doubles, since
 * some (traceID) are too large for its integers, and such a line must not be lost. */
#include "endpoint/line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct news *line_draft(struct line_reader *reader, enum news_source source) {
    news_clear(&reader->draft);
    reader->draft.source = source;
    reader->arguments_used = 0;
    return &reader->draft;
}

void line_give(struct line_reader *reader) {
    struct news *news = &reader->draft;
    if (reader->arguments_used > 0)
        news->arguments = (struct span){reader->arguments, reader->arguments_used};
    reader->news++;
    reader->take(reader->context, news);
}

void line_argument(struct line_reader *reader, const char *text, size_t length) {
    if (length > NEWS_TEXT_MOST) length = NEWS_TEXT_MOST;
    if (reader->arguments_used + length + 1 > sizeof reader->arguments) return;
    if (length > 0) memcpy(reader->arguments + reader->arguments_used, text, length);
    reader->arguments_used += (uint32_t)length;
    reader->arguments[reader->arguments_used++] = '\0';
}

enum line_outcome line_broken(struct line_reader *reader, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reader->why, sizeof reader->why, format, arguments);
    va_end(arguments);
    return LINE_BROKEN;
}

static bool has(const json_t *line, const char *key) {
    return json_object_get(line, key) != NULL;
}

static enum line_outcome object_read(struct line_reader *reader, const json_t *line) {
    if (has(line, "event") && has(line, "process") &&
        (has(line, "event_type") || has(line, "schema_version")))
        return eslogger_read(reader, line);
    if (has(line, "columns") || has(line, "snapshot") || has(line, "diffResults"))
        return osquery_read(reader, line);
    if (has(line, "processImagePath") || (has(line, "eventMessage") && has(line, "processID")))
        return unified_log_read(reader, line);
    if (santa_json_is(line)) return santa_json_read(reader, line);
    if (has(line, "count") && has(line, "finished")) return LINE_READ; /* `log show` says that it is done */
    snprintf(reader->why, sizeof reader->why,
             "an object that is of neither eslogger, log --style ndjson, osquery nor Santa");
    return LINE_UNKNOWN;
}

/* An array of objects, or one object over many lines. */
static enum line_outcome not_a_line(struct line_reader *reader) {
    return line_broken(reader, "one JSON object a line is expected (of log: --style ndjson, not json)");
}

static bool is_array(const char *text, size_t length) {
    size_t at = 1;
    while (at < length && (text[at] == ' ' || text[at] == '\t')) at++;
    return text[0] == '[' && (at == length || text[at] == '{' || text[at] == ']');
}

static enum line_outcome json_read(struct line_reader *reader, const char *text, size_t length) {
    json_error_t error;
    if (length == 1) return not_a_line(reader);
    json_t *line = json_loadb(text, length, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);
    if (!line) return line_broken(reader, "no JSON: %s (column %d)", error.text, error.column);
    enum line_outcome outcome = object_read(reader, line);
    json_decref(line);
    return outcome;
}

static bool starts_with(const char *text, size_t length, const char *start) {
    return length >= strlen(start) && memcmp(text, start, strlen(start)) == 0;
}

static enum line_outcome content_read(struct line_reader *reader, const char *text, size_t length) {
    if (text[0] == '{') return json_read(reader, text, length);
    if (is_array(text, length)) return not_a_line(reader);
    if (text[0] == '[') return santa_read(reader, text, length);
    if (starts_with(text, length, "Filtering the log data")) return LINE_READ; /* `log stream`, first line */
    snprintf(reader->why, sizeof reader->why,
             "a line of neither eslogger, log --style ndjson, osquery nor Santa");
    return LINE_UNKNOWN;
}

enum line_outcome line_read(struct line_reader *reader, const char *text, size_t length) {
    static const char mark[] = "\xef\xbb\xbf"; /* byte order mark, as editors leave it */
    if (starts_with(text, length, mark)) text += 3, length -= 3;
    while (length > 0 && (text[0] == ' ' || text[0] == '\t')) text++, length--;
    while (length > 0 && (text[length - 1] == '\r' || text[length - 1] == ' ')) length--;
    if (length == 0) return LINE_EMPTY;
    uint64_t before = reader->news;
    enum line_outcome outcome = content_read(reader, text, length);
    if (outcome == LINE_READ && reader->news == before) reader->others++;
    return outcome;
}
