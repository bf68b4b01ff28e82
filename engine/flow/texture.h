/* What bytes of no known protocol look like: how even they are, how much of them is text.
 *
 * Entropy is Shannon's, in bits per byte, of the bytes as counted. Of few bytes the count is biased: n bytes
 * cannot show more than log2(n) bits, so that 64 random bytes give 5.8 in the mean (5.6 to 6.0 nearly always)
 * and 16 give 3.9; English text of 64 bytes gives about 4. Compare with what random bytes of that length
 * give, not with 8. */
#ifndef LUNETTE_FLOW_TEXTURE_H
#define LUNETTE_FLOW_TEXTURE_H

#include <stdint.h>

/* 0 for no bytes. At most 255 of them. */
double texture_entropy(const uint8_t *bytes, uint32_t length);

/* Share of ASCII letters, digits, signs, blanks, tabs and line ends: 0 to 1; 0 for no bytes. */
double texture_printable(const uint8_t *bytes, uint32_t length);

#endif
