/* A grid of characters to draw on, which then goes to ncurses or, as plain text, to a file. Text is made safe
 * and cut at the edge, whoever chose it. */
#ifndef LUNETTE_CLI_SCREEN_H
#define LUNETTE_CLI_SCREEN_H

#include "output/buffer.h"

enum screen_ink {
    SCREEN_PLAIN,
    SCREEN_BOLD,
    SCREEN_DIM,
    SCREEN_RED,
    SCREEN_YELLOW,
    SCREEN_CYAN,
    SCREEN_GREEN,
    SCREEN_BAR
};

/* One column of a row; a wide character is followed by a cell without text. */
struct screen_cell {
    char text[5]; /* one character in UTF-8, terminated */
    uint8_t ink;
};

struct screen {
    uint32_t rows, columns;
    bool unicode; /* else what is beyond ASCII becomes '?' */
    struct screen_cell *cells;
};

/* Gives it that size, blank. -1: out of memory, and nothing can be drawn. */
int screen_size(struct screen *s, uint32_t rows, uint32_t columns);
void screen_free(struct screen *s);

/* Writes text from `column` on, in at most `width` columns; what is cut ends in an ellipsis. Outside the grid
 * nothing is written. Returns the columns used. */
uint32_t screen_put(struct screen *s, uint32_t row, uint32_t column, uint32_t width, enum screen_ink ink,
                    const char *text);

/* The same, flush right in its `width`. */
void screen_put_right(struct screen *s, uint32_t row, uint32_t column, uint32_t width, enum screen_ink ink,
                      const char *text);

/* The row in that ink from edge to edge; its text stays. */
void screen_ink_row(struct screen *s, uint32_t row, enum screen_ink ink);

/* Columns of bars, one for each value, the newest last and at the right edge of `width`; `most` fills a
 * column. */
void screen_bars(struct screen *s, uint32_t row, uint32_t column, uint32_t width, enum screen_ink ink,
                 const double *values, uint32_t count, double most);

/* A row's text without blanks at its end. */
void screen_row_text(const struct screen *s, uint32_t row, struct buffer *out);

#endif
