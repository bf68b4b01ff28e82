/* Text into a field of fixed size, cut where it does not fit. */
#ifndef LUNETTE_BASE_TEXT_H
#define LUNETTE_BASE_TEXT_H

#include <stddef.h>
#include <string.h>

/* Always terminated; NULL counts as "". A character of several bytes is not cut in the middle. */
static inline void text_copy(char *to, size_t size, const char *from) {
    size_t length = from ? strnlen(from, size) : 0;
    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)from[length] & 0xc0) == 0x80) length--;
    }
    if (length > 0) memcpy(to, from, length);
    to[length] = '\0';
}

#endif
