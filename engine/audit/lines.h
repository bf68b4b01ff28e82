/* Text files of /etc, line by line. Lines longer than there is room for are cut; there may be no more than a
 * bound. */
#ifndef LUNETTE_AUDIT_LINES_H
#define LUNETTE_AUDIT_LINES_H

#include <stdbool.h>
#include <stddef.h>

enum { LINE_ROOM = 4096, LINES_MOST = 1000000 };

struct lines {
    const char *at, *end;
    bool join;            /* a '\' at its end joins a line with the next one, as in pf.conf */
    char text[LINE_ROOM]; /* the line at hand: without comment, without blanks at its ends; zero bytes are '?'
                           */
    unsigned number;      /* of its first line in the file, from 1 */
    unsigned next;
};

/* NULL: there are none. */
struct lines lines_of(const char *bytes, size_t size, bool join);

/* The next line that has something in it; false at the end. `#` begins a comment, also `;` if it comes first.
 */
bool lines_next(struct lines *lines);

/* Cuts the next word, which it ends with a zero byte, off *rest; NULL at the end. */
char *word_next(char **rest);

#endif
