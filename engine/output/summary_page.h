/* What the files that print the summary share. */
#ifndef LUNETTE_OUTPUT_SUMMARY_PAGE_H
#define LUNETTE_OUTPUT_SUMMARY_PAGE_H

#include "output/terminal.h"

enum { PAGE_INDENT = 2 };

struct page {
    struct buffer *b;
    const struct terminal_style *style;
};

/* An empty line, then the heading of a table. */
void page_heading(struct page *page, const char *text);

/* What a table left out; nothing if that is none. */
void page_more(struct page *page, uint32_t count);

#endif
