/* Words of a line, and the bounded copies of them that parsers of text protocols keep in their state.
 *
 * Lines are slices of what came over the wire; nothing here allocates. Commands are compared without regard
 * to case, as all these protocols want it. */
#ifndef LUNETTE_PROTOCOL_TEXT_WORDS_H
#define LUNETTE_PROTOCOL_TEXT_WORDS_H

#include "base/bytes.h"
#include "event/batch.h"

#include <strings.h>

static inline struct slice slice_trim(struct slice s) {
    while (s.length > 0 && (s.at[0] == ' ' || s.at[0] == '\t')) s.at++, s.length--;
    while (s.length > 0 && (s.at[s.length - 1] == ' ' || s.at[s.length - 1] == '\t')) s.length--;
    return s;
}

/* Takes the first word off a line; what follows the blanks after it stays. Empty at the line's end. */
static inline struct slice word_take(struct slice *rest) {
    struct slice word = *rest = slice_trim(*rest);
    uint32_t n = 0;
    while (n < rest->length && rest->at[n] != ' ' && rest->at[n] != '\t') n++;
    word.length = n;
    *rest = slice_trim((struct slice){rest->at + n, rest->length - n});
    return word;
}

/* Could they be the same, by their first letters? Lists of commands are long, and asked about each new flow.
 */
static inline bool word_starts_as(struct slice word, const char *text) {
    return word.length > 0 && ((word.at[0] ^ (uint8_t)text[0]) & ~0x20) == 0;
}

static inline bool word_is(struct slice word, const char *text) {
    if (!word_starts_as(word, text)) return word.length == 0 && text[0] == '\0';
    size_t n = strlen(text);
    return word.length == n && strncasecmp((const char *)word.at, text, n) == 0;
}

static inline bool word_begins(struct slice word, const char *text) {
    size_t n = strlen(text);
    return word.length >= n && strncasecmp((const char *)word.at, text, n) == 0;
}

/* One of a NULL-terminated list? */
static inline bool word_among(struct slice word, const char *const *list) {
    for (; *list; list++)
        if (word_is(word, *list)) return true;
    return false;
}

/* Does `text` stand anywhere in it? */
static inline bool slice_contains(struct slice s, const char *text) {
    size_t n = strlen(text);
    for (; s.length >= n; s.at++, s.length--)
        if (strncasecmp((const char *)s.at, text, n) == 0) return true;
    return false;
}

static inline bool is_letter(uint8_t byte) {
    return (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
}

static inline bool is_digit(uint8_t byte) {
    return byte >= '0' && byte <= '9';
}

/* Digits at the front, as many as there are, and what follows them; stays at the greatest number. */
static inline uint64_t number_take(struct slice *rest) {
    uint64_t number = 0;
    while (rest->length > 0 && is_digit(rest->at[0])) {
        uint64_t digit = rest->at[0] - (uint64_t)'0';
        number = number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : number * 10 + digit;
        rest->at++, rest->length--;
    }
    return number;
}

/* Printable ASCII only? */
static inline bool slice_printable(struct slice s) {
    for (uint32_t i = 0; i < s.length; i++)
        if (s.at[i] < ' ' || s.at[i] > '~') return false;
    return true;
}

/* ------------------------------------------------------------------ copies */

enum { TEXT_VALUE_MOST = 255 };
struct text_value {
    uint8_t length;
    char bytes[TEXT_VALUE_MOST];
};

/* What is longer is cut off. */
static inline void text_value_set(struct text_value *value, struct slice s) {
    value->length = (uint8_t)(s.length < TEXT_VALUE_MOST ? s.length : TEXT_VALUE_MOST);
    if (value->length > 0) memcpy(value->bytes, s.at, value->length);
}

static inline void text_value_upper(struct text_value *value) {
    for (uint8_t i = 0; i < value->length; i++)
        if (value->bytes[i] >= 'a' && value->bytes[i] <= 'z') value->bytes[i] -= 'a' - 'A';
}

static inline void text_value_lower(struct text_value *value) {
    for (uint8_t i = 0; i < value->length; i++)
        if (value->bytes[i] >= 'A' && value->bytes[i] <= 'Z') value->bytes[i] += 'a' - 'A';
}

static inline struct slice text_value_slice(const struct text_value *value) {
    return (struct slice){(const uint8_t *)value->bytes, value->length};
}

static inline struct text_ref text_value_ref(struct batch *batch, const struct text_value *value) {
    return value->length > 0 ? batch_text(batch, value->bytes, value->length) : (struct text_ref){0};
}

/* The same straight into an event. */
static inline struct text_ref text_or_none(struct batch *batch, struct slice s) {
    uint32_t length = s.length < TEXT_VALUE_MOST ? s.length : TEXT_VALUE_MOST;
    return length > 0 ? batch_text(batch, s.at, length) : (struct text_ref){0};
}

/* The first few of many: each at most 255 bytes, together at most TEXT_LIST_BYTES with a byte more each. */
enum { TEXT_LIST_MOST = 32, TEXT_LIST_BYTES = 1024 };
struct text_list {
    uint32_t total; /* all that were to be added, those that did not fit too */
    uint16_t used;
    uint8_t count;
    uint8_t bytes[TEXT_LIST_BYTES]; /* a length, then as many bytes */
};

static inline void text_list_add(struct text_list *list, struct slice s) {
    uint32_t length = s.length < TEXT_VALUE_MOST ? s.length : TEXT_VALUE_MOST;
    list->total++;
    if (list->count == TEXT_LIST_MOST || list->used + 1 + length > TEXT_LIST_BYTES) return;
    list->bytes[list->used] = (uint8_t)length;
    if (length > 0) memcpy(list->bytes + list->used + 1, s.at, length);
    list->used = (uint16_t)(list->used + 1 + length);
    list->count++;
}

static inline bool text_list_has(const struct text_list *list, struct slice s) {
    uint32_t length = s.length < TEXT_VALUE_MOST ? s.length : TEXT_VALUE_MOST;
    for (uint32_t at = 0; at < list->used; at += 1u + list->bytes[at])
        if (list->bytes[at] == length && memcmp(list->bytes + at + 1, s.at, length) == 0) return true;
    return false;
}

static inline struct list_ref text_list_ref(struct batch *batch, const struct text_list *list) {
    struct text_ref refs[TEXT_LIST_MOST];
    uint32_t count = 0;
    for (uint32_t at = 0; at < list->used; at += 1u + list->bytes[at])
        refs[count++] = batch_text(batch, list->bytes + at + 1, list->bytes[at]);
    return count > 0 ? batch_list(batch, refs, count) : (struct list_ref){0};
}

#endif
