/* Levenshtein's distance, one row at a time. Names longer than the row are near to nothing. */
#include "base/nearest.h"

#include <stdint.h>
#include <string.h>

enum { LONGEST = 64 };

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static uint32_t distance(const char *a, const char *b) {
    uint32_t row[LONGEST + 1];
    uint32_t columns = (uint32_t)strlen(b);
    for (uint32_t i = 0; i <= columns; i++) row[i] = i;
    for (uint32_t line = 1; *a; a++, line++) {
        uint32_t diagonal = row[0];
        row[0] = line;
        for (uint32_t i = 1; i <= columns; i++) {
            uint32_t replaced = diagonal + (*a != b[i - 1]);
            diagonal = row[i];
            row[i] = least(replaced, least(row[i], row[i - 1]) + 1);
        }
    }
    return row[columns];
}

const char *nearest_name(const char *wrong, const char *const *names, size_t count) {
    size_t length = strlen(wrong);
    if (length > LONGEST) return NULL;
    uint32_t bound = length / 3 > 2 ? (uint32_t)length / 3 : 2;
    const char *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) > LONGEST) continue;
        uint32_t d = distance(wrong, names[i]);
        if (d > bound || (best && d == bound)) continue;
        best = names[i];
        bound = d;
    }
    return best;
}
