/* Text is cut into characters once it is safe; each takes the columns that terminal_width_of() says. */
#include "cli/screen.h"

#include "base/utf8.h"
#include "output/terminal.h"

#include <stdlib.h>

int screen_size(struct screen *s, uint32_t rows, uint32_t columns) {
    if (rows != s->rows || columns != s->columns || !s->cells) {
        struct screen_cell *cells = calloc((size_t)rows * columns + 1, sizeof *cells);
        if (!cells) return -1;
        free(s->cells);
        s->cells = cells;
        s->rows = rows;
        s->columns = columns;
    }
    for (size_t i = 0; i < (size_t)rows * columns; i++) s->cells[i] = (struct screen_cell){.text = " "};
    return 0;
}

void screen_free(struct screen *s) {
    free(s->cells);
    *s = (struct screen){0};
}

static struct screen_cell *cell_at(struct screen *s, uint32_t row, uint32_t column) {
    return &s->cells[(size_t)row * s->columns + column];
}

static void put_cell(struct screen *s, uint32_t row, uint32_t column, enum screen_ink ink, const char *bytes,
                     uint32_t length) {
    struct screen_cell *cell = cell_at(s, row, column);
    if (length > 4) length = 4;
    memcpy(cell->text, bytes, length);
    cell->text[length] = '\0';
    cell->ink = (uint8_t)ink;
}

/* Copies characters of safe text as far as `room` columns go; returns the columns. */
static uint32_t put_safe(struct screen *s, uint32_t row, uint32_t column, uint32_t room, enum screen_ink ink,
                         const char *text, size_t length) {
    const uint8_t *p = (const uint8_t *)text, *end = p + length;
    uint32_t used = 0;
    while (p < end) {
        uint32_t code, bytes = utf8_decode(p, (size_t)(end - p), &code);
        uint32_t wide = bytes ? terminal_width_of(p, bytes) : 0;
        if (!bytes) break;
        if (used + wide > room) break;
        if (wide && bytes > 1 && !s->unicode)
            put_cell(s, row, column + used, ink, "?", 1);
        else if (wide)
            put_cell(s, row, column + used, ink, (const char *)p, bytes);
        if (wide == 2) put_cell(s, row, column + used + 1, ink, s->unicode ? "" : "?", !s->unicode);
        used += wide;
        p += bytes;
    }
    return used;
}

uint32_t screen_put(struct screen *s, uint32_t row, uint32_t column, uint32_t width, enum screen_ink ink,
                    const char *text) {
    if (row >= s->rows || column >= s->columns) return 0;
    uint32_t room = s->columns - column < width ? s->columns - column : width;
    struct buffer safe = {0};
    terminal_safe(&safe, text, strlen(text));
    uint32_t has = safe.failed || !safe.at ? 0 : terminal_width_of(safe.at, safe.length), used = 0;
    if (has <= room && has)
        used = put_safe(s, row, column, room, ink, safe.at, safe.length);
    else if (has && room)
        used = put_safe(s, row, column, room - 1, ink, safe.at, safe.length);
    if (has > room && room) {
        put_cell(s, row, column + used, ink, s->unicode ? "…" : "~", s->unicode ? 3 : 1);
        used++;
    }
    buffer_free(&safe);
    return used;
}

void screen_put_right(struct screen *s, uint32_t row, uint32_t column, uint32_t width, enum screen_ink ink,
                      const char *text) {
    uint32_t has = terminal_width_of(text, strlen(text));
    uint32_t gap = has < width ? width - has : 0;
    screen_put(s, row, column + gap, width - gap, ink, text);
}

void screen_ink_row(struct screen *s, uint32_t row, enum screen_ink ink) {
    for (uint32_t i = 0; row < s->rows && i < s->columns; i++) cell_at(s, row, i)->ink = (uint8_t)ink;
}

void screen_bars(struct screen *s, uint32_t row, uint32_t column, uint32_t width, enum screen_ink ink,
                 const double *values, uint32_t count, double most) {
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char plain[] = "._-:=+*#";
    if (row >= s->rows || column >= s->columns) return;
    if (width > s->columns - column) width = s->columns - column;
    if (count > width) {
        values += count - width;
        count = width;
    }
    for (uint32_t i = 0; i < count; i++) {
        double share = most > 0 ? values[i] / most * 8 : 0;
        uint32_t level = share >= 8 ? 7 : share > 0 ? (uint32_t)share : 0;
        uint32_t at = column + width - count + i;
        if (s->unicode)
            put_cell(s, row, at, ink, blocks[level], 3);
        else
            put_cell(s, row, at, ink, &plain[level], 1);
    }
}

void screen_row_text(const struct screen *s, uint32_t row, struct buffer *out) {
    uint32_t last = s->columns;
    const struct screen_cell *cells = &s->cells[(size_t)row * s->columns];
    while (last > 0 && strcmp(cells[last - 1].text, " ") == 0) last--;
    for (uint32_t i = 0; i < last; i++) buffer_string(out, cells[i].text);
}
