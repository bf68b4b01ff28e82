/* JSON text (RFC 8259) put together by hand: no printf, no tree.
 *
 * The functions append to a buffer. Commas take care of themselves: json_key() and json_item() write one
 * unless the last byte opened an object or an array. Whatever the bytes of a string are, what comes out is
 * valid UTF-8 and valid JSON: a byte that belongs to no well-formed character becomes \u00XX, so that none is
 * lost. */
#ifndef LUNETTE_OUTPUT_JSON_H
#define LUNETTE_OUTPUT_JSON_H

#include "output/buffer.h"

/* "key": with a comma before it where one is needed. The key is escaped. */
void json_key(struct buffer *b, const char *key);

/* The comma before an array's element, where one is needed. */
void json_item(struct buffer *b);

void json_quote(struct buffer *b, const void *bytes, size_t length);
void json_text(struct buffer *b, const char *text);
void json_hex(struct buffer *b, const void *bytes, size_t length);
void json_u64(struct buffer *b, uint64_t value);
void json_bool(struct buffer *b, bool value);

/* A number with one to six decimals, rounded, as suits durations and scores: 3.0, 0.25. Beyond 10^12 as many
 * digits as the value has. There is always a point, so that indexers that guess a type from the first record
 * guess well. NaN and infinities, which JSON cannot say, become null. */
void json_f64(struct buffer *b, double value);

/* A key and its value at once. */
void json_pair_text(struct buffer *b, const char *key, const char *text);
void json_pair_u64(struct buffer *b, const char *key, uint64_t value);
void json_pair_f64(struct buffer *b, const char *key, double value);

/* True if the text is one whole JSON object and nothing else (no control bytes, at most 32 levels). For text
 * that others wrote and that goes into a record as it is. */
bool json_is_object(const char *text, size_t length);

#endif
