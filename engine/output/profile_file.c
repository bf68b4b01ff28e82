/* See profile_file.h. The file may have been edited by hand, so each line is held against what it must be. */
#include "output/profile_file.h"

#include "endpoint/log_file.h"
#include "endpoint/when.h"
#include "output/json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const columns[] = {"kind",      "key",        "hosts",     "of",     "flows_low",
                                      "flows_mid", "flows_high", "up_low",    "up_mid", "up_high",
                                      "down_low",  "down_mid",   "down_high", "gap",    "gap_spread",
                                      "hours",     "first_seen", "note"};

enum {
    KIND,
    KEY,
    HOSTS,
    OF,
    FLOWS,
    UP = FLOWS + 3,
    DOWN = UP + 3,
    GAP = DOWN + 3,
    GAP_SPREAD,
    HOURS,
    FIRST_SEEN,
    NOTE,
    COLUMNS
};
_Static_assert(COLUMNS == sizeof columns / sizeof *columns, "a name for each column");

/* ── writing ─────────────────────────────────────────────────────── */

static void put_time(struct buffer *b, nanoseconds time) {
    char text[TIMESTAMP_LENGTH + 1];
    time_format_eve(time, text);
    buffer_put(b, text, 19); /* whole seconds */
    buffer_char(b, 'Z');
}

/* Up to two decimals, none where there is nothing behind the point. */
static void put_number(struct buffer *b, double value) {
    if (isnan(value))
        buffer_char(b, '-');
    else if (value == floor(value))
        buffer_format(b, "%.0f", value);
    else
        buffer_format(b, "%.2f", value);
}

static void put_three(struct buffer *b, const double three[3]) {
    for (int i = LOW; i <= HIGH; i++) {
        put_number(b, three[i]);
        buffer_char(b, '\t');
    }
}

static void put_row(struct buffer *b, const struct profile *profile, const struct profile_row *row) {
    buffer_format(b, "%s\t%s\t%u\t%zu\t", profile_kind_name(row->kind), row->key, row->hosts,
                  profile->host_count);
    put_three(b, row->flows);
    put_three(b, row->up);
    put_three(b, row->down);
    put_number(b, row->gap);
    buffer_char(b, '\t');
    put_number(b, row->gap_spread);
    buffer_format(b, "\t%u\t", row->hours);
    put_time(b, row->first_seen);
    buffer_format(b, "\t%s\n", row->note);
}

void profile_write(const struct profile *profile, struct buffer *b) {
    buffer_format(b, "# lunette baseline, format %d\n", PROFILE_FORMAT);
    buffer_string(b, "# What is normal for these hosts: a row for each name, service, fingerprint, program; "
                     "figures are for an hour of\n"
                     "# one host, low, middle and high (10th, 50th, 90th of a hundred such hours; least, "
                     "median, greatest of fewer\n"
                     "# than ten). up and down are bytes, gap is seconds between calls. Lines may be taken "
                     "out or changed by hand.\n");
    buffer_format(b, "# sources: %s\n", profile->sources);
    if (profile->first) {
        buffer_string(b, "# from: ");
        put_time(b, profile->first);
        buffer_string(b, "\n# to: ");
        put_time(b, profile->last);
        buffer_char(b, '\n');
    }
    buffer_format(b, "# host-hours: %" PRIu64 "\n", profile->hours);
    if (profile->left_out) buffer_format(b, "# left-out: %" PRIu64 "\n", profile->left_out);
    for (size_t i = 0; i < profile->host_count; i++)
        buffer_format(b, "# host: %s, %u h\n", profile->hosts[i].name, profile->hosts[i].hours);
    for (int i = 0; i < COLUMNS; i++) buffer_format(b, "%s%s", i ? "\t" : "", columns[i]);
    buffer_char(b, '\n');
    for (size_t i = 0; i < profile->row_count; i++) put_row(b, profile, &profile->rows[i]);
}

/* ── reading ─────────────────────────────────────────────────────── */

struct reading {
    const char *path;
    uint64_t line;
    struct profile *out;
    size_t row_room, host_room;
    bool format_seen, header_seen;
    struct error *err;
};

__attribute__((format(printf, 2, 3))) static int complain(struct reading *r, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return error_set(r->err, "%s:%" PRIu64 ": %s", r->path, r->line, text);
}

static bool read_number(const char *text, double most, double *out) {
    char *end;
    if ((text[0] < '0' || text[0] > '9') && text[0] != '.') return false;
    errno = 0;
    *out = strtod(text, &end);
    return !*end && !errno && *out >= 0 && *out <= most;
}

static int read_cell(struct reading *r, char *const *cells, int column, double most, bool whole,
                     double *out) {
    if (read_number(cells[column], most, out) && (!whole || *out == floor(*out))) return 0;
    return complain(r, "%s: expected %s from 0 to %.0f, got '%.40s'", columns[column],
                    whole ? "a whole number" : "a number", most, cells[column]);
}

static int read_three(struct reading *r, char *const *cells, int column, double out[3]) {
    for (int i = LOW; i <= HIGH; i++)
        if (read_cell(r, cells, column + i, 1e18, false, &out[i]) < 0) return -1;
    if (out[LOW] <= out[MID] && out[MID] <= out[HIGH]) return 0;
    return complain(r, "%s, %s, %s: expected low <= middle <= high, got %s, %s, %s", columns[column],
                    columns[column + 1], columns[column + 2], cells[column], cells[column + 1],
                    cells[column + 2]);
}

static int read_gap(struct reading *r, char *const *cells, int column, double *out) {
    *out = NAN;
    return strcmp(cells[column], "-") == 0 ? 0 : read_cell(r, cells, column, 1e9, false, out);
}

static int read_figures(struct reading *r, char *const *cells, struct profile_row *row) {
    double hosts, of, hours;
    if (read_cell(r, cells, HOSTS, PROFILE_HOSTS_MAX, true, &hosts) < 0) return -1;
    if (read_cell(r, cells, OF, PROFILE_HOSTS_MAX, true, &of) < 0) return -1;
    if (read_cell(r, cells, HOURS, 4e9, true, &hours) < 0) return -1;
    if (of != (double)r->out->host_count)
        return complain(r, "of: expected %zu, as many as there are lines '# host: …' at the top, got %.0f",
                        r->out->host_count, of);
    if (hosts > of || hosts < 1) return complain(r, "hosts: expected 1 to %.0f, got %.0f", of, hosts);
    if (hours < hosts)
        return complain(r, "hours: expected at least one for each of %.0f hosts, got %.0f", hosts, hours);
    row->hosts = (uint32_t)hosts;
    row->hours = (uint32_t)hours;
    if (read_three(r, cells, FLOWS, row->flows) < 0 || read_three(r, cells, UP, row->up) < 0) return -1;
    if (read_three(r, cells, DOWN, row->down) < 0) return -1;
    if (read_gap(r, cells, GAP, &row->gap) < 0 || read_gap(r, cells, GAP_SPREAD, &row->gap_spread) < 0)
        return -1;
    if (isnan(row->gap) != isnan(row->gap_spread))
        return complain(r, "gap, gap_spread: expected two numbers or two '-', got '%.20s' and '%.20s'",
                        cells[GAP], cells[GAP_SPREAD]);
    if (when_read(cells[FIRST_SEEN], strlen(cells[FIRST_SEEN]), &row->first_seen)) return 0;
    return complain(r, "first_seen: expected a time such as 2024-06-11T08:00:00Z, got '%.40s'",
                    cells[FIRST_SEEN]);
}

static bool room_for_one(void **array, size_t count, size_t *room, size_t size) {
    if (count < *room) return true;
    size_t more = *room ? *room * 2 : 64;
    void *moved = realloc(*array, more * size);
    if (moved) {
        *array = moved;
        *room = more;
    }
    return moved != NULL;
}

static int read_row(struct reading *r, char *const *cells) {
    struct profile_row row = {.kind = profile_kind_named(cells[KIND])};
    if (row.kind == PROFILE_KINDS)
        return complain(
            r,
            "kind: '%.40s' is none; expected one of name, dns-name, address, service, resolver, dns, tls, "
            "tls-name, ssh, agent, program, program-name, volume",
            cells[KIND]);
    if (!cells[KEY][0] || strlen(cells[KEY]) > PROFILE_KEY_MAX)
        return complain(r, "key: expected 1 to %d bytes", PROFILE_KEY_MAX);
    if (read_figures(r, cells, &row) < 0) return -1;
    if (r->out->row_count == PROFILE_ROWS_MAX)
        return complain(r, "expected at most %d rows", PROFILE_ROWS_MAX);
    if (!room_for_one((void **)&r->out->rows, r->out->row_count, &r->row_room, sizeof row))
        return complain(r, "out of memory");
    row.key = strdup(cells[KEY]);
    row.note = strdup(cells[NOTE]);
    r->out->rows[r->out->row_count++] = row;
    return row.key && row.note ? 0 : complain(r, "out of memory");
}

/* Cuts the line at its tabs. The note may be missing. */
static int cut_cells(struct reading *r, char *line, char *cells[COLUMNS]) {
    int count = 0;
    static char nothing[1];
    cells[NOTE] = nothing;
    for (char *next = line; next; count++) {
        char *cell = next;
        next = strchr(cell, '\t');
        if (next) *next++ = '\0';
        if (count < COLUMNS) cells[count] = cell;
    }
    if (count == COLUMNS || count == COLUMNS - 1) return 0;
    return complain(r, "expected %d columns with a tab between them, got %d", COLUMNS, count);
}

static int read_header(struct reading *r, char *const *cells) {
    r->header_seen = true;
    for (int i = 0; i < COLUMNS; i++)
        if (strcmp(cells[i], columns[i]) != 0)
            return complain(
                r, "column %d: expected '%s', got '%.40s': the first line without # names the columns", i + 1,
                columns[i], cells[i]);
    return 0;
}

static int read_host(struct reading *r, const char *text) {
    const char *comma = strrchr(text, ',');
    double hours;
    char *end, *name;
    if (!comma || comma == text || (hours = strtod(comma + 1, &end), end == comma + 1) ||
        !(hours >= 1 && hours < 4e9))
        return complain(r, "expected '# host: ADDRESS, HOURS h', got '# host: %.60s'", text);
    if (r->out->host_count == PROFILE_HOSTS_MAX)
        return complain(r, "expected at most %d hosts", PROFILE_HOSTS_MAX);
    if (!room_for_one((void **)&r->out->hosts, r->out->host_count, &r->host_room, sizeof *r->out->hosts) ||
        !(name = strndup(text, (size_t)(comma - text))))
        return complain(r, "out of memory");
    r->out->hosts[r->out->host_count++] = (struct profile_host){.name = name, .hours = (uint32_t)hours};
    return 0;
}

static int read_head_time(struct reading *r, const char *text, nanoseconds *out) {
    if (when_read(text, strlen(text), out)) return 0;
    return complain(r, "expected a time such as 2024-06-11T08:00:00Z, got '%.40s'", text);
}

static int read_head_count(struct reading *r, const char *text, uint64_t *out) {
    double value;
    if (!read_number(text, 1e15, &value)) return complain(r, "expected a number, got '%.40s'", text);
    *out = (uint64_t)value;
    return 0;
}

static int read_comment(struct reading *r, const char *line) {
    static const char format[] = "# lunette baseline, format ";
    if (!r->format_seen) {
        r->format_seen = strncmp(line, format, sizeof format - 1) == 0;
        if (!r->format_seen)
            return complain(r, "expected '%s%d': this is no profile of lunette baseline", format,
                            PROFILE_FORMAT);
        if (atoi(line + sizeof format - 1) == PROFILE_FORMAT) return 0;
        return complain(r, "expected format %d, got '%.20s': learn the profile anew", PROFILE_FORMAT,
                        line + sizeof format - 1);
    }
    if (strncmp(line, "# host: ", 8) == 0) return read_host(r, line + 8);
    if (strncmp(line, "# from: ", 8) == 0) return read_head_time(r, line + 8, &r->out->first);
    if (strncmp(line, "# to: ", 6) == 0) return read_head_time(r, line + 6, &r->out->last);
    if (strncmp(line, "# host-hours: ", 14) == 0) return read_head_count(r, line + 14, &r->out->hours);
    if (strncmp(line, "# left-out: ", 12) == 0) return read_head_count(r, line + 12, &r->out->left_out);
    if (strncmp(line, "# sources: ", 11) != 0 || r->out->sources) return 0;
    r->out->sources = strndup(line + 11, PROFILE_SOURCES_MAX);
    return r->out->sources ? 0 : complain(r, "out of memory");
}

static int read_line(struct reading *r, const char *line, size_t length) {
    char copy[PROFILE_LINE_MAX + 1], *cells[COLUMNS];
    while (length > 0 && line[length - 1] == '\r') length--;
    if (length > PROFILE_LINE_MAX)
        return complain(r, "expected at most %d bytes in a line", PROFILE_LINE_MAX);
    if (memchr(line, 0, length)) return complain(r, "expected text, got a zero byte");
    memcpy(copy, line, length);
    copy[length] = '\0';
    if (copy[strspn(copy, " \t")] == '\0') return 0;
    if (copy[0] == '#' || !r->format_seen) return read_comment(r, copy);
    if (cut_cells(r, copy, cells) < 0) return -1;
    return r->header_seen ? read_row(r, cells) : read_header(r, cells);
}

static int check_whole(struct reading *r) {
    struct profile *out = r->out;
    if (!r->format_seen)
        return error_set(r->err, "%s: it is empty; expected a profile of lunette baseline", r->path);
    if (!r->header_seen) return complain(r, "it ends before the line that names the columns");
    profile_sort(out);
    for (size_t i = 1; i < out->row_count; i++)
        if (out->rows[i].kind == out->rows[i - 1].kind && strcmp(out->rows[i].key, out->rows[i - 1].key) == 0)
            return error_set(r->err, "%s: expected one row of each key, got two of %s %s", r->path,
                             profile_kind_name(out->rows[i].kind), out->rows[i].key);
    const struct profile_row *all = profile_find(out, PROFILE_VOLUME, "all");
    if (!out->host_count)
        return error_set(r->err, "%s: expected a line '# host: ADDRESS, HOURS h' for each host", r->path);
    for (size_t i = 0; i < out->row_count; i++)
        if (out->rows[i].hours > out->hours)
            return error_set(r->err,
                             "%s: %s %s: expected at most as many hours as '# host-hours: %" PRIu64
                             "' says, got %u",
                             r->path, profile_kind_name(out->rows[i].kind), out->rows[i].key, out->hours,
                             out->rows[i].hours);
    if (!all) return error_set(r->err, "%s: the row 'volume all' is missing", r->path);
    if (!out->sources && !(out->sources = strdup(""))) return error_set(r->err, "out of memory");
    return 0;
}

static int read_lines(struct reading *r, struct log_file *file) {
    const char *line;
    size_t length, budget = SIZE_MAX;
    enum log_progress progress;
    while ((progress = log_file_next(file, &line, &length, &budget)) != LOG_END) {
        r->line = log_file_number(file);
        if (progress == LOG_TOO_LONG)
            return complain(r, "expected at most %d bytes in a line", PROFILE_LINE_MAX);
        if (progress == LOG_LINE && read_line(r, line, length) < 0) return -1;
    }
    const char *failure = log_file_failure(file);
    if (failure[0]) return error_set(r->err, "%s: %s", r->path, failure);
    return check_whole(r);
}

int profile_read(const char *path, struct profile *out, struct error *err) {
    struct reading r = {.path = path, .out = out, .err = err};
    *out = (struct profile){0};
    struct log_file *file = log_file_open(path, false, false, err);
    if (!file) return -1;
    int outcome = read_lines(&r, file);
    log_file_close(file);
    if (outcome < 0) profile_clear(out);
    return outcome;
}
