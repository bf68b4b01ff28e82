/* Where one record ends and the next begins: lines of JSON end with a line feed; syslog messages say their
 * length before them (octet counting, RFC 6587 section 3.4.1: "34 <134>1 …"), as they may hold any byte. */
#ifndef LUNETTE_OUTPUT_FRAMING_H
#define LUNETTE_OUTPUT_FRAMING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum framing { FRAMING_LINES, FRAMING_COUNTED };

/* "LENGTH SP": how many bytes that takes, and the length of what follows. 0 if it is not there whole. */
static inline size_t counted_prefix(const char *at, size_t left, size_t *body) {
    size_t length = 0, i = 0;
    for (; i < left && i < 10 && at[i] >= '0' && at[i] <= '9'; i++)
        length = length * 10 + (size_t)(at[i] - '0');
    if (i == 0 || i >= left || at[i] != ' ') return 0;
    *body = length;
    return i + 1;
}

/* Length of the record that begins at `at`; 0 if its end is not there. */
static inline size_t record_length(enum framing framing, const char *at, size_t left) {
    if (framing == FRAMING_LINES) {
        const char *end = memchr(at, '\n', left);
        return end ? (size_t)(end - at) + 1 : 0;
    }
    size_t body, prefix = counted_prefix(at, left, &body);
    return prefix && left - prefix >= body ? prefix + body : 0;
}

/* The longest run of whole records from `at` on that fits into `most` bytes; *count says how many they are.
 */
static inline size_t whole_records(enum framing framing, const char *at, size_t most, uint64_t *count) {
    size_t length = 0;
    *count = 0;
    for (size_t one; length < most && (one = record_length(framing, at + length, most - length)) != 0;
         length += one)
        ++*count;
    return length;
}

/* The same for lines, from behind: cheap for long runs. */
static inline size_t whole_lines(const char *at, size_t length) {
    while (length && at[length - 1] != '\n') length--;
    return length;
}

#endif
