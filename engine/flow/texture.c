/* See texture.h. */
#include "flow/texture.h"

#include <math.h>

double texture_entropy(const uint8_t *bytes, uint32_t length) {
    uint32_t counts[256] = {0};
    double bits = 0;
    for (uint32_t i = 0; i < length; i++) counts[bytes[i]]++;
    for (unsigned value = 0; value < 256; value++) {
        if (counts[value] == 0) continue;
        double share = (double)counts[value] / length;
        bits -= share * log2(share);
    }
    return bits > 0 ? bits : 0; /* of one value alone, -0 */
}

double texture_printable(const uint8_t *bytes, uint32_t length) {
    uint32_t printable = 0;
    for (uint32_t i = 0; i < length; i++)
        printable +=
            (bytes[i] >= 0x20 && bytes[i] < 0x7f) || bytes[i] == '\t' || bytes[i] == '\r' || bytes[i] == '\n';
    return length > 0 ? (double)printable / length : 0;
}
