/* Three parts joined by '_': what the client offers in short, a hash of its ciphers, a hash of its extensions
 * and signature algorithms. Ciphers and extensions are sorted first, since clients shuffle them. */
#include "protocol/ja4.h"

#include "base/digest.h"

enum {
    JA4_HASH_DIGITS = 12,
    JA4_TEXT =
        (HELLO_NUMBERS + HELLO_EXTENSIONS) * 5, /* "abcd," for each number of the longest hashed text */
};

static const char hex[] = "0123456789abcdef";

static const char *version_mark(uint16_t version) {
    switch (version) {
    case 0x0304:
        return "13";
    case 0x0303:
        return "12";
    case 0x0302:
        return "11";
    case 0x0301:
        return "10";
    case 0x0300:
        return "s3";
    case 0x0002:
        return "s2";
    case 0xfeff:
        return "d1";
    case 0xfefd:
        return "d2";
    case 0xfefc:
        return "d3";
    default:
        return "00";
    }
}

static bool alphanumeric(uint8_t byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

/* First and last character of the first protocol offered, or of its hex form if one of the two is no letter
 * or digit. */
static void alpn_mark(struct slice alpn, char out[2]) {
    uint8_t length = alpn.length > 1 ? alpn.at[0] : 0;
    out[0] = out[1] = '0';
    if (length == 0 || length >= alpn.length) return;
    uint8_t first = alpn.at[1], last = alpn.at[length];
    bool plain = alphanumeric(first) && alphanumeric(last);
    out[0] = plain ? (char)first : hex[first >> 4];
    out[1] = plain ? (char)last : hex[last & 15];
}

static void count_mark(uint32_t count, char out[2]) {
    if (count > 99) count = 99;
    out[0] = (char)('0' + count / 10);
    out[1] = (char)('0' + count % 10);
}

/* Insertion sort: the lists are short and often half in order. */
static void numbers_sort(uint16_t *numbers, uint32_t count) {
    for (uint32_t i = 1; i < count; i++) {
        uint16_t value = numbers[i];
        uint32_t at = i;
        for (; at > 0 && numbers[at - 1] > value; at--) numbers[at] = numbers[at - 1];
        numbers[at] = value;
    }
}

/* Writes "c02b,c02f" and returns its length. */
static size_t numbers_write(const uint16_t *numbers, uint32_t count, char *out) {
    char *at = out;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) *at++ = ',';
        for (int shift = 12; shift >= 0; shift -= 4) *at++ = hex[numbers[i] >> shift & 15];
    }
    return (size_t)(at - out);
}

/* Twelve digits and a NUL; zeros stand for "there was nothing to hash". */
static bool hash_mark(const char *text, size_t length, char out[JA4_HASH_DIGITS + 1]) {
    if (length == 0) {
        memcpy(out, "000000000000", JA4_HASH_DIGITS + 1);
        return true;
    }
    return digest_hex(DIGEST_SHA256, text, length, out, JA4_HASH_DIGITS) == JA4_HASH_DIGITS;
}

static bool ciphers_mark(uint16_t *ciphers, uint32_t count, char *out) {
    char text[JA4_TEXT];
    numbers_sort(ciphers, count);
    return hash_mark(text, numbers_write(ciphers, count, text), out);
}

static bool extensions_mark(const struct client_hello *hello, char *out) {
    char text[JA4_TEXT];
    uint16_t numbers[HELLO_NUMBERS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < hello->extension_count; i++)
        if (hello->extensions[i] != 0x0000 && hello->extensions[i] != 0x0010)
            numbers[count++] = hello->extensions[i];
    numbers_sort(numbers, count);
    size_t length = numbers_write(numbers, count, text);
    count = length > 0 ? hello_numbers(hello->signature_algorithms, numbers) : 0;
    if (count > 0) text[length++] = '_';
    return hash_mark(text, length + numbers_write(numbers, count, text + length), out);
}

bool ja4_of(const struct client_hello *hello, char transport, char out[JA4_LENGTH + 1]) {
    uint16_t ciphers[HELLO_NUMBERS];
    uint32_t cipher_count = hello_numbers(hello->ciphers, ciphers);
    out[0] = transport;
    memcpy(out + 1, version_mark(client_hello_version(hello)), 2);
    out[3] = hello->has_sni ? 'd' : 'i';
    count_mark(cipher_count, out + 4);
    count_mark(hello->extension_count, out + 6);
    alpn_mark(hello->alpn, out + 8);
    out[10] = '_';
    bool whole = ciphers_mark(ciphers, cipher_count, out + 11);
    out[23] = '_';
    whole = extensions_mark(hello, out + 24) && whole;
    if (!whole) out[0] = '\0';
    return whole;
}
