/* Putting words one after the other into a text of fixed size. */
#ifndef LUNETTE_PROTOCOL_DNS_TEXT_H
#define LUNETTE_PROTOCOL_DNS_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A text that grows up to its bound; what does not fit is cut off. */
enum { DNS_TEXT_SIZE = 4096 };
struct dns_text {
    uint32_t length;
    char text[DNS_TEXT_SIZE];
};

static inline void dns_text_put(struct dns_text *text, const void *bytes, size_t length) {
    size_t room = DNS_TEXT_SIZE - text->length;
    if (length > room) length = room;
    memcpy(text->text + text->length, bytes, length);
    text->length += (uint32_t)length;
}

static inline void dns_text_word(struct dns_text *text, const char *word) {
    dns_text_put(text, word, strlen(word));
}

static inline void dns_text_number(struct dns_text *text, uint32_t number) {
    char digits[10];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    dns_text_put(text, digits + at, sizeof digits - at);
}

#endif
