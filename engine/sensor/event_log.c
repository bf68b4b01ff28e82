/* See event_log.h. jansson parses a line; the schema is walked as the record writer walks it, each field
 * asking for its own key. Fields of one JSON object stand together in the table, so the object looked up last
 * is mostly the one that is asked again. */
#include "sensor/event_log.h"

#include "endpoint/log_file.h"
#include "endpoint/when.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { WARNINGS = 16, WARNING_SIZE = 320, KEY_MOST = 64, ITEMS = 1024 };

struct event_log {
    const char *const *paths;
    size_t count, next;
    struct log_file *file; /* of paths[next - 1], or NULL between files */
    struct words *words;
    struct made_event event;
    struct event_log_figures figures;
    uint64_t broken_before; /* this file */
    char why[160];          /* the last line that was broken */
    char warnings[WARNINGS][WARNING_SIZE];
    size_t warning_count;
};

static void warn(struct event_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void warn(struct event_log *log, const char *format, ...) {
    if (log->warning_count == WARNINGS) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(log->warnings[log->warning_count++], WARNING_SIZE, format, arguments);
    va_end(arguments);
}

/* ── a value into a field ────────────────────────────────────────── */

/* Where a field's key leads, one object after the other. */
struct look {
    const json_t *record, *object; /* the object found last */
    char prefix[KEY_MOST];         /* its path, with the last dot */
    size_t prefix_length;
};

static const json_t *object_at(const json_t *object, const char *path, size_t length) {
    char name[KEY_MOST];
    while (length > 0) {
        const char *dot = memchr(path, '.', length);
        size_t part = (size_t)(dot - path);
        memcpy(name, path, part);
        name[part] = '\0';
        object = json_object_get(object, name);
        path += part + 1;
        length -= part + 1;
    }
    return object;
}

static const json_t *value_at(struct look *look, const char *key) {
    const char *dot = strrchr(key, '.');
    if (!dot) return json_object_get(look->record, key);
    size_t length = (size_t)(dot - key) + 1;
    if (length >= KEY_MOST) return NULL;
    if (length != look->prefix_length || memcmp(look->prefix, key, length) != 0) {
        look->object = object_at(look->record, key, length);
        memcpy(look->prefix, key, length);
        look->prefix_length = length;
    }
    return json_object_get(look->object, dot + 1);
}

static bool time_of(const json_t *value, nanoseconds *time) {
    if (json_is_string(value)) return when_read(json_string_value(value), json_string_length(value), time);
    return json_is_number(value) && when_of_seconds(json_number_value(value), time);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes are written as hexadecimal digits. */
static int take_bytes(struct event_log *log, const struct field *field, const char *text, size_t length,
                      struct error *err) {
    char *bytes = malloc(length / 2 + 1);
    if (!bytes) return error_set(err, "out of memory");
    int outcome = length % 2 ? -1 : 0;
    for (size_t i = 0; outcome == 0 && i < length; i += 2) {
        int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0) outcome = -1;
        bytes[i / 2] = (char)((unsigned)high << 4 | (unsigned)low);
    }
    if (outcome < 0)
        error_set(err, "'%s' must be hexadecimal digits", field->key);
    else
        outcome = made_event_text(&log->event, field, bytes, length / 2, NULL, err);
    free(bytes);
    return outcome;
}

static int take_string(struct event_log *log, const struct field *field, const json_t *value,
                       struct error *err) {
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    nanoseconds time;
    if (field->type == FIELD_time) {
        if (!time_of(value, &time)) return error_set(err, "'%s' is no time: '%.40s'", field->key, text);
        made_event_time(&log->event, field, time);
        return 0;
    }
    if (field->type == FIELD_bytes) return take_bytes(log, field, text, length, err);
    if (field->type == FIELD_word) {
        made_event_word(&log->event, field, words_keep(log->words, text, length));
        return 0;
    }
    return made_event_text(&log->event, field, text, length, NULL, err);
}

/* The outer VLAN is an array of one number in EVE. */
static int take_array(struct event_log *log, const struct field *field, const json_t *value,
                      struct error *err) {
    struct slice texts[ITEMS];
    double numbers[ITEMS];
    size_t count = json_array_size(value);
    if (count > ITEMS) return error_set(err, "'%s': a list may have %d entries", field->key, ITEMS);
    if (count == 0) return 0;
    if (field->type == FIELD_list) {
        for (size_t i = 0; i < count; i++) {
            const json_t *item = json_array_get(value, i);
            if (!json_is_string(item)) return error_set(err, "'%s' must be a list of strings", field->key);
            texts[i] =
                (struct slice){(const uint8_t *)json_string_value(item), (uint32_t)json_string_length(item)};
        }
        return made_event_list(&log->event, field, texts, count, err);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(value, i);
        if (!json_is_number(item)) return error_set(err, "'%s' must be a list of numbers", field->key);
        numbers[i] = json_number_value(item);
    }
    if (field->type == FIELD_u16s) return made_event_numbers(&log->event, field, numbers, count, err);
    return made_event_number(&log->event, field, numbers[0], err);
}

static int take(struct event_log *log, const struct field *field, const json_t *value, struct error *err) {
    switch (json_typeof(value)) {
    case JSON_NULL:
        return 0;
    case JSON_STRING:
        return take_string(log, field, value, err);
    case JSON_ARRAY:
        return take_array(log, field, value, err);
    case JSON_TRUE:
    case JSON_FALSE:
        return made_event_flag(&log->event, field, json_is_true(value), err);
    case JSON_OBJECT:
        return error_set(err, "'%s' must be %s, got an object", field->key, made_event_expects(field));
    case JSON_INTEGER:
        if (field->type == FIELD_u64 && json_integer_value(value) >= 0) {
            made_event_u64(&log->event, field, (uint64_t)json_integer_value(value));
            return 0;
        }
        return made_event_number(&log->event, field, json_number_value(value), err);
    default:
        return made_event_number(&log->event, field, json_real_value(value), err);
    }
}

static int take_fields(struct event_log *log, enum event_kind kind, struct look *look, struct error *err) {
    const struct event_schema *schema = event_schema_of(kind);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct field *field = &schema->fields[i];
        if (!field->key[0]) continue;
        const json_t *value = value_at(look, field->key);
        if (value && take(log, field, value, err) < 0) return -1;
    }
    return 0;
}

/* ── a record ────────────────────────────────────────────────────── */

enum record_outcome { RECORD_EVENT, RECORD_PASSED, RECORD_BROKEN };

static enum record_outcome record_read(struct event_log *log, const json_t *record, const bool *wants,
                                       nanoseconds *time) {
    struct error err = {.text = ""};
    struct look look = {.record = record};
    const char *type = json_string_value(json_object_get(record, "event_type"));
    enum record_outcome outcome = RECORD_BROKEN;
    if (!type) {
        error_set(&err, "no record: it has no \"event_type\"");
    } else if (!time_of(json_object_get(record, "timestamp"), time)) {
        error_set(&err, "no record: its \"timestamp\" is no time between 1970 and 2106");
    } else {
        enum event_kind kind = event_kind_named(type);
        if (kind == EVENT_head || event_is_hidden(kind) || !wants[kind]) return RECORD_PASSED;
        if (made_event_renew(&log->event, kind, &err) == 0 &&
            take_fields(log, EVENT_head, &look, &err) == 0 && take_fields(log, kind, &look, &err) == 0)
            outcome = RECORD_EVENT;
    }
    if (outcome == RECORD_BROKEN) snprintf(log->why, sizeof log->why, "%.150s", err.text);
    return outcome;
}

static enum record_outcome line_read(struct event_log *log, const char *line, size_t length,
                                     const bool *wants, nanoseconds *time) {
    json_error_t error;
    json_t *record = json_loadb(line, length, JSON_ALLOW_NUL, &error);
    if (!record) /* a whole number beyond 2^63, maybe in a key that nobody asks for */
        record = json_loadb(line, length, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);
    if (!record) {
        snprintf(log->why, sizeof log->why, "no JSON: %.110s (column %d)", error.text, error.column);
        return RECORD_BROKEN;
    }
    enum record_outcome outcome = record_read(log, record, wants, time);
    json_decref(record);
    return outcome;
}

static bool is_blank(const char *line, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') return false;
    return true;
}

static void broken(struct event_log *log, const char *why) {
    log->figures.broken++;
    if (++log->broken_before > 1) return;
    warn(log, "%.100s:%llu: %s; it is left out, and so are others like it", log->paths[log->next - 1],
         (unsigned long long)log_file_number(log->file), why);
}

/* ── files ───────────────────────────────────────────────────────── */

static void file_done(struct event_log *log) {
    const char *failure = log_file_failure(log->file), *path = log->paths[log->next - 1];
    if (failure[0]) warn(log, "%.100s: %s", path, failure);
    if (log->broken_before > 1)
        warn(log, "%.100s: %llu lines were left out", path, (unsigned long long)log->broken_before);
    log_file_close(log->file);
    log->file = NULL;
}

static int file_open(struct event_log *log, struct error *err) {
    log->broken_before = 0;
    log->file = log_file_open(log->paths[log->next], false, false, err);
    if (!log->file) return -1;
    log->next++;
    return 0;
}

struct event_log *event_log_open(const char *const *paths, size_t count, struct words *words,
                                 struct error *err) {
    struct event_log *log = calloc(1, sizeof *log);
    if (!log) {
        error_set(err, "out of memory");
        return NULL;
    }
    *log = (struct event_log){.paths = paths, .count = count, .words = words};
    /* A slip in a later name should show at once too. */
    for (size_t i = count; i-- > 0;) {
        if (i > 0 && strcmp(paths[i], "-") == 0) continue;
        struct log_file *file = log_file_open(paths[i], false, false, err);
        if (!file) {
            event_log_close(log);
            return NULL;
        }
        if (i > 0) {
            log_file_close(file);
            continue;
        }
        log->file = file;
        log->next = 1;
    }
    return log;
}

void event_log_close(struct event_log *log) {
    if (!log) return;
    if (log->file) log_file_close(log->file);
    made_event_free(&log->event);
    free(log);
}

const struct made_event *event_log_next(struct event_log *log, const bool *wants, nanoseconds *time) {
    const char *line;
    size_t length;
    while (log->file || log->next < log->count) {
        struct error err = {.text = ""};
        size_t budget = SIZE_MAX;
        if (!log->file && file_open(log, &err) < 0) {
            warn(log, "%s", err.text);
            log->next++;
            continue;
        }
        enum log_progress progress = log_file_next(log->file, &line, &length, &budget);
        if (progress == LOG_END || progress == LOG_WAIT) {
            file_done(log);
            continue;
        }
        log->figures.lines++;
        if (progress == LOG_TOO_LONG) {
            broken(log, "the line is too long");
            continue;
        }
        if (is_blank(line, length)) continue;
        switch (line_read(log, line, length, wants, time)) {
        case RECORD_EVENT:
            log->figures.events++;
            return &log->event;
        case RECORD_PASSED:
            log->figures.passed++;
            break;
        case RECORD_BROKEN:
            broken(log, log->why);
            break;
        }
    }
    return NULL;
}

const struct event_log_figures *event_log_figures(const struct event_log *log) {
    return &log->figures;
}

const char *event_log_warning(const struct event_log *log, size_t index) {
    return index < log->warning_count ? log->warnings[index] : NULL;
}
