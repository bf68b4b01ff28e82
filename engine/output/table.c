/* Tables and figures for people. */
#include "output/terminal.h"

#include <stdio.h>
#include <stdlib.h>

enum { GAP = 2, READABLE = 8, COLUMN_LEAST = 4 };

static const char *cell_text(const char *cell) {
    return cell ? cell : "";
}

static bool is_right(const char *name) {
    return name[0] == '>';
}

static void measure(uint32_t *widths, uint32_t columns, uint32_t rows, const char *const *names,
                    const char *const *cells) {
    for (uint32_t i = 0; i < columns; i++)
        widths[i] = terminal_width_of(names[i], strlen(names[i])) - is_right(names[i]);
    for (size_t i = 0; i < (size_t)columns * rows; i++) {
        const char *cell = cell_text(cells[i]);
        uint32_t width = terminal_width_of(cell, strlen(cell));
        if (width > widths[i % columns]) widths[i % columns] = width;
    }
}

/* Takes up to `excess` columns from one that keeps at least `least`; returns what is still too much. */
static uint32_t take(uint32_t *width, uint32_t least, uint32_t excess) {
    uint32_t spare = *width > least ? *width - least : 0;
    uint32_t taken = spare < excess ? spare : excess;
    *width -= taken;
    return excess - taken;
}

/* Makes all fit, and returns the gap between columns, which gives way first. A table says early in its row
 * who or what it is about, and figures are useless when cut: so text gives way before figures, the last text
 * first, and the first text last. No column goes below COLUMN_LEAST. */
static uint32_t shrink(uint32_t *widths, uint32_t columns, const char *const *names, uint32_t room) {
    uint32_t sum = GAP * (columns - 1), first = 0;
    for (uint32_t i = 0; i < columns; i++) sum += widths[i];
    if (sum <= room) return GAP;
    sum -= (GAP - 1) * (columns - 1);
    uint32_t excess = sum > room ? sum - room : 0;
    while (first < columns && is_right(names[first])) first++;
    for (uint32_t i = columns; i-- > 0;)
        if (!is_right(names[i]) && i != first) excess = take(&widths[i], READABLE, excess);
    if (first < columns) excess = take(&widths[first], READABLE, excess);
    for (uint32_t i = columns; i-- > 0;) excess = take(&widths[i], COLUMN_LEAST, excess);
    return 1;
}

/* A cell in its column; what does not fit is cut, with an ellipsis. */
static void put_cell(struct buffer *b, const char *text, uint32_t width, bool right, bool last) {
    size_t length = strlen(text);
    uint32_t has = terminal_width_of(text, length);
    bool cut = has > width;
    while (has + cut > width && length > 0) {
        do length--;
        while (length > 0 && ((uint8_t)text[length] & 0xc0) == 0x80);
        has = terminal_width_of(text, length);
    }
    uint32_t shown = has + cut;
    uint32_t padding = width > shown ? width - shown : 0;
    if (right) buffer_fill(b, ' ', padding);
    terminal_safe(b, text, length);
    if (cut) buffer_string(b, "…");
    if (!right && !last) buffer_fill(b, ' ', padding);
}

static void put_row(struct buffer *b, uint32_t indent, uint32_t columns, const uint32_t *widths, uint32_t gap,
                    const char *const *names, const char *const *row) {
    buffer_fill(b, ' ', indent);
    for (uint32_t i = 0; i < columns; i++) {
        bool right = is_right(names[i]);
        const char *text = row == names ? names[i] + right : cell_text(row[i]);
        if (i) buffer_fill(b, ' ', gap);
        put_cell(b, text, widths[i], right, i + 1 == columns);
    }
}

void terminal_table(struct buffer *b, const struct terminal_style *style, uint32_t indent, uint32_t columns,
                    uint32_t rows, const char *const *names, const char *const *cells) {
    if (columns == 0) return;
    uint32_t *widths = calloc(columns, sizeof *widths);
    if (!widths) {
        b->failed = true;
        return;
    }
    measure(widths, columns, rows, names, cells);
    uint32_t gap = GAP;
    if (style->fit_tables)
        gap = shrink(widths, columns, names, style->fit_tables > indent ? style->fit_tables - indent : 1);
    terminal_ink(b, style, INK_DIM);
    put_row(b, indent, columns, widths, gap, names, names);
    terminal_ink(b, style, INK_PLAIN);
    buffer_char(b, '\n');
    for (uint32_t i = 0; i < rows; i++) {
        put_row(b, indent, columns, widths, gap, names, cells + (size_t)i * columns);
        buffer_char(b, '\n');
    }
    free(widths);
}

const char *figure_bytes(uint64_t bytes, char out[FIGURE_SIZE]) {
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    if (bytes < 1000) {
        snprintf(out, FIGURE_SIZE, "%u B", (unsigned)bytes);
        return out;
    }
    double value = (double)bytes / 1000;
    int unit = 0;
    while (value >= 999.95 && unit < 5) {
        value /= 1000;
        unit++;
    }
    snprintf(out, FIGURE_SIZE, "%.1f %s", value, units[unit]);
    return out;
}

const char *figure_count(uint64_t count, char out[FIGURE_SIZE]) {
    char digits[20];
    uint32_t length = decimal_digits(count, digits);
    char *p = out;
    for (uint32_t i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0) *p++ = ',';
        *p++ = digits[i];
    }
    *p = '\0';
    return out;
}

const char *figure_duration(double seconds, char out[FIGURE_SIZE]) {
    if (!(seconds >= 0)) seconds = 0;
    if (seconds < 60) {
        snprintf(out, FIGURE_SIZE, "%.2f s", seconds);
        return out;
    }
    uint64_t s = (uint64_t)(seconds + 0.5);
    unsigned long long days = s / 86400, hours = s / 3600 % 24, minutes = s / 60 % 60;
    if (days)
        snprintf(out, FIGURE_SIZE, "%llu d %llu h", days, hours);
    else if (hours)
        snprintf(out, FIGURE_SIZE, "%llu h %llu min", hours, minutes);
    else
        snprintf(out, FIGURE_SIZE, "%llu min %llu s", minutes, (unsigned long long)(s % 60));
    return out;
}
