/* Words: texts that are kept once, for good, and known by their address.
 *
 * Names of programs come from captures and logs, but few different ones come again and again, and they
 * travel: into events, alerts, other threads, Lua states that remember strings by address. So each is copied
 * once and never moved or freed until the keeper goes. Bytes are made fit to print first: what is not valid
 * UTF-8, or is a control character, becomes U+FFFD. The keeper is bounded; when it is full every new text is
 * the word "(more programs)".
 *
 * One keeper serves all threads; look-ups of known words take no lock. */
#ifndef LUNETTE_BASE_WORDS_H
#define LUNETTE_BASE_WORDS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct words;

enum { WORDS_USUAL = 128 * 1024, WORDS_USUAL_BYTES = 32 * 1024 * 1024 }; /* enough for a program run */

/* A keeper for at most `most` words, `bytes` bytes in all. NULL and an error without memory. */
struct words *words_new(uint32_t most, size_t bytes, struct error *err);

/* The word of that text, at most 1024 bytes of it; NULL if length is 0. Any thread. */
const char *words_keep(struct words *words, const void *text, size_t length);

/* Times that the keeper was full. */
uint64_t words_refused(const struct words *words);

void words_free(struct words *words);

#endif
