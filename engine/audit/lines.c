/* See lines.h. */
#include "audit/lines.h"

#include <string.h>

struct lines lines_of(const char *bytes, size_t size, bool join) {
    if (!bytes) bytes = "", size = 0;
    return (struct lines){.at = bytes, .end = bytes + size, .join = join, .next = 1};
}

static size_t take_line(struct lines *lines, size_t used) {
    const char *stop = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
    if (!stop) stop = lines->end;
    for (const char *from = lines->at; from < stop && used < LINE_ROOM - 1; from++)
        lines->text[used++] = *from ? *from : '?';
    lines->at = stop < lines->end ? stop + 1 : stop;
    lines->next++;
    while (used > 0 && strchr(" \t\r", lines->text[used - 1])) used--;
    lines->text[used] = '\0';
    return used;
}

/* In quotes a '#' begins nothing. */
static void cut_comment(char *text) {
    bool quoted = false;
    for (char *c = text; *c; c++) {
        if (*c == '"') quoted = !quoted;
        if (*c == '#' && !quoted) {
            *c = '\0';
            return;
        }
    }
}

static size_t trim(char *text) {
    size_t skip = strspn(text, " \t\r"), length = strlen(text + skip);
    memmove(text, text + skip, length + 1);
    while (length > 0 && strchr(" \t\r", text[length - 1])) text[--length] = '\0';
    return length;
}

bool lines_next(struct lines *lines) {
    while (lines->at < lines->end && lines->next < LINES_MOST) {
        lines->number = lines->next;
        size_t used = take_line(lines, 0);
        while (lines->join && used > 0 && lines->text[used - 1] == '\\' && lines->at < lines->end) {
            lines->text[used - 1] = ' ';
            used = take_line(lines, used);
        }
        cut_comment(lines->text);
        if (trim(lines->text) > 0 && lines->text[0] != ';') return true;
    }
    return false;
}

char *word_next(char **rest) {
    char *at = *rest + strspn(*rest, " \t\r");
    size_t length = strcspn(at, " \t\r");
    if (length == 0) return NULL;
    *rest = at + length;
    if (**rest) *(*rest)++ = '\0';
    return at;
}
