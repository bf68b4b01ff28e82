/* See ja3.h. Lists stand in the hello's order: that clients shuffle their extensions is why JA4 came. */
#include "protocol/ja3.h"

#include "base/digest.h"

struct text {
    char *at;
    uint32_t length;
};

static void put_number(struct text *text, uint16_t value) {
    char digits[5];
    uint32_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (count > 0) text->at[text->length++] = digits[--count];
}

static void put_list(struct text *text, const uint16_t *numbers, uint32_t count) {
    text->at[text->length++] = ',';
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) text->at[text->length++] = '-';
        put_number(text, numbers[i]);
    }
}

uint32_t ja3_text(const struct client_hello *hello, char out[JA3_TEXT]) {
    struct text text = {.at = out};
    uint16_t numbers[HELLO_NUMBERS];
    put_number(&text, hello->legacy_version);
    put_list(&text, numbers, hello_numbers(hello->ciphers, numbers));
    put_list(&text, hello->extensions, hello->extension_count);
    put_list(&text, numbers, hello_numbers(hello->groups, numbers));
    for (uint32_t i = 0; i < hello->point_formats.length; i++) numbers[i] = hello->point_formats.at[i];
    put_list(&text, numbers, hello->point_formats.length);
    return text.length;
}

uint32_t ja3s_text(const struct server_said *said, char out[JA3_TEXT]) {
    struct text text = {.at = out};
    put_number(&text, said->legacy_version);
    put_list(&text, &said->cipher, 1);
    put_list(&text, said->extensions, said->extension_count);
    return text.length;
}

bool ja3_hash(const char *text, uint32_t length, char out[JA3_LENGTH + 1]) {
    return digest_hex(DIGEST_MD5, text, length, out, JA3_LENGTH) == JA3_LENGTH;
}
