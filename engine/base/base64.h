/* Base64 (RFC 4648 section 4) back into bytes. */
#ifndef LUNETTE_BASE_BASE64_H
#define LUNETTE_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Writes at most `room` bytes of what the text says and returns how many; stops at the first character that
 * is none of it, which padding is too. */
size_t base64_decode(const char *text, size_t length, uint8_t *out, size_t room);

#endif
