/* A checker for JSON that others wrote: a recursive descent over the grammar of RFC 8259, with a bound on its
 * depth. It builds nothing. */
#include "output/json.h"

#include "base/utf8.h"

enum { DEPTH = 32 };

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

static bool value(struct reader *r, int depth);

/* A line of records must stay one line: of white space only the blank is let through. */
static void skip_blanks(struct reader *r) {
    while (r->at < r->end && *r->at == ' ') r->at++;
}

static bool take(struct reader *r, char c) {
    if (r->at == r->end || *r->at != (uint8_t)c) return false;
    r->at++;
    return true;
}

static bool take_word(struct reader *r, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0) return false;
    r->at += length;
    return true;
}

static bool digits(struct reader *r) {
    const uint8_t *start = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') r->at++;
    return r->at > start;
}

static bool number(struct reader *r) {
    take(r, '-');
    if (!take(r, '0') && !digits(r)) return false;
    if (take(r, '.') && !digits(r)) return false;
    if (take(r, 'e') || take(r, 'E')) {
        if (!take(r, '+')) take(r, '-');
        return digits(r);
    }
    return true;
}

static bool hex_digit(uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool escape(struct reader *r) {
    if (r->at == r->end) return false;
    uint8_t c = *r->at++;
    if (c != 'u') return c && strchr("\"\\/bfnrt", c);
    for (int i = 0; i < 4; i++)
        if (r->at == r->end || !hex_digit(*r->at++)) return false;
    return true;
}

static bool string(struct reader *r) {
    if (!take(r, '"')) return false;
    while (r->at < r->end) {
        uint32_t code;
        uint32_t used = utf8_decode(r->at, (size_t)(r->end - r->at), &code);
        if (!used || code < 0x20) return false;
        r->at += used;
        if (code == '"') return true;
        if (code == '\\' && !escape(r)) return false;
    }
    return false;
}

static bool members(struct reader *r, char close, bool keys, int depth) {
    skip_blanks(r);
    if (take(r, close)) return true;
    for (;;) {
        skip_blanks(r);
        if (keys) {
            if (!string(r)) return false;
            skip_blanks(r);
            if (!take(r, ':')) return false;
        }
        if (!value(r, depth)) return false;
        skip_blanks(r);
        if (take(r, close)) return true;
        if (!take(r, ',')) return false;
    }
}

static bool value(struct reader *r, int depth) {
    skip_blanks(r);
    if (r->at == r->end || depth == 0) return false;
    switch (*r->at) {
    case '{':
        r->at++;
        return members(r, '}', true, depth - 1);
    case '[':
        r->at++;
        return members(r, ']', false, depth - 1);
    case '"':
        return string(r);
    case 't':
        return take_word(r, "true");
    case 'f':
        return take_word(r, "false");
    case 'n':
        return take_word(r, "null");
    default:
        return number(r);
    }
}

bool json_is_object(const char *text, size_t length) {
    struct reader r = {.at = (const uint8_t *)text, .end = (const uint8_t *)text + length};
    skip_blanks(&r);
    if (r.at == r.end || *r.at != '{' || !value(&r, DEPTH)) return false;
    skip_blanks(&r);
    return r.at == r.end;
}
