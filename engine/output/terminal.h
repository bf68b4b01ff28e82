/* What people read: alerts as blocks of text, tables, and the words around them.
 *
 * Much of that text came off the wire. Before it reaches a terminal, control and escape bytes, malformed
 * UTF-8 and the characters that reorder or hide text are shown as \xNN: a host name must not be able to clear
 * the screen. */
#ifndef LUNETTE_OUTPUT_TERMINAL_H
#define LUNETTE_OUTPUT_TERMINAL_H

#include "event/alert.h"
#include "output/buffer.h"

enum colour_choice { COLOUR_AUTO, COLOUR_NEVER, COLOUR_ALWAYS };

struct terminal_style {
    bool colour;
    uint32_t width;      /* columns to wrap words at */
    uint32_t fit_tables; /* columns to cut tables at, 0 for none: in a file or a pipe nothing need be cut */
};

/* Colour if `fd` is a terminal, NO_COLOR is unset or empty (no-color.org) and TERM is not "dumb"; the
 * terminal's width, else 80 for words and no bound for tables. */
struct terminal_style terminal_style_of(int fd, enum colour_choice choice);

enum ink { INK_PLAIN, INK_BOLD, INK_DIM, INK_RED, INK_YELLOW, INK_CYAN, INK_GREEN };
void terminal_ink(struct buffer *b, const struct terminal_style *style, enum ink ink);

/* Appends text made safe. */
void terminal_safe(struct buffer *b, const void *bytes, size_t length);

/* Columns that text takes once terminal_safe has written it. */
uint32_t terminal_width_of(const void *bytes, size_t length);

/* Text made safe and wrapped at the style's width; the first line goes on at column `column`, the others are
 * indented by `indent`. No line feed at the end. */
void terminal_wrapped(struct buffer *b, const struct terminal_style *style, uint32_t column, uint32_t indent,
                      const char *text);

/* Whose traffic an event is, as it is, not made safe: "/usr/bin/curl (pid 812), started by sh", "Safari (pid
 * 512) through mDNSResponder (pid 88)". Appends nothing if nobody is known. */
void program_sentence(struct buffer *b, const struct event_head_body *head);

/* An alert as a block, with an empty line after it. */
void terminal_alert(struct buffer *b, const struct terminal_style *style, const struct alert *alert);

/* What the sensor says of itself, as one line. */
void terminal_sensor(struct buffer *b, const struct terminal_style *style, nanoseconds time, uint8_t severity,
                     const char *message);

/* "2024-05-01 12:00:00.123" in UTC; returns its length, 23. */
enum { SHORT_TIME_SIZE = 24 };
uint32_t terminal_time(nanoseconds t, char out[SHORT_TIME_SIZE]);

/* A table: rows × columns cells, row by row; a heading that begins with '>' sets its column flush right.
 * Where tables must fit, cells are cut: text before figures, and the last column of text first. Cells may be
 * NULL. */
void terminal_table(struct buffer *b, const struct terminal_style *style, uint32_t indent, uint32_t columns,
                    uint32_t rows, const char *const *names, const char *const *cells);

/* "12.3 MB" (powers of 1000) and "1,234,567"; both return `out`. */
enum { FIGURE_SIZE = 32 };
const char *figure_bytes(uint64_t bytes, char out[FIGURE_SIZE]);
const char *figure_count(uint64_t count, char out[FIGURE_SIZE]);

/* "3 d 4 h", "12 min 5 s", "1.25 s". */
const char *figure_duration(double seconds, char out[FIGURE_SIZE]);

#endif
