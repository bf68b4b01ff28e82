/* See profile_key.h. */
#include "output/profile_key.h"

#include "base/utf8.h"
#include "script/suffix.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void profile_key_text(const char *text, char out[PROFILE_KEY_MAX + 1]) {
    size_t left = strlen(text), used = 0;
    const uint8_t *p = (const uint8_t *)text;
    while (left > 0) {
        uint32_t code, length = utf8_decode(p, left, &code);
        bool shown = length > 0 && utf8_is_shown(code);
        size_t step = length ? length : 1, room = shown ? length : 1;
        if (used + room > PROFILE_KEY_MAX) break;
        if (shown)
            memcpy(out + used, p, length);
        else
            out[used] = '?';
        used += room;
        p += step;
        left -= step;
    }
    out[used] = '\0';
}

const char *profile_key_domain(const char *key) {
    int32_t at = suffix_registrable(key, (uint32_t)strlen(key));
    return at < 0 ? key : key + at;
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), n = strlen(end);
    return length >= n && strcmp(text + length - n, end) == 0;
}

/* How many bytes from `p` on are a number of the host's, 0 if none; `front` is the label's beginning. */
static size_t numbering(const char *front, const char *p, const char *end) {
    size_t digits = 0, hex = 0, decimal_in_hex = 0;
    while (p + digits < end && isdigit((unsigned char)p[digits])) digits++;
    while (p + hex < end && isxdigit((unsigned char)p[hex]))
        decimal_in_hex += isdigit((unsigned char)p[hex++]) != 0;
    if (hex >= 8 && decimal_in_hex > 0) return hex;
    if (digits >= 5) return digits;
    bool first = p == front || (p == front + 1 && isalpha((unsigned char)*front));
    bool alone = p + digits == end || p[digits] == '-';
    return digits > 0 && first && alone ? digits : 0;
}

static size_t fold_label(const char *label, const char *end, char *out) {
    size_t used = 0;
    for (const char *p = label; p < end;) {
        size_t run = numbering(label, p, end);
        out[used++] = run ? '*' : *p;
        p += run ? run : 1;
    }
    return used;
}

void profile_key_name(const char *name, char out[PROFILE_KEY_MAX + 1]) {
    char clean[PROFILE_KEY_MAX + 1];
    profile_key_text(name, clean);
    for (char *p = clean; *p; p++) *p = (char)tolower((unsigned char)*p);
    size_t length = strlen(clean);
    if (length > 1 && clean[length - 1] == '.') clean[--length] = '\0';
    static const char *const reversed[] = {".in-addr.arpa", ".ip6.arpa"};
    for (size_t i = 0; i < sizeof reversed / sizeof *reversed; i++)
        if (ends_with(clean, reversed[i])) {
            snprintf(out, PROFILE_KEY_MAX + 1, "*%s", reversed[i]);
            return;
        }
    struct ip address;
    const char *domain = profile_key_domain(clean);
    if (domain == clean || ip_parse(clean, &address) == 0) {
        strcpy(out, clean);
        return;
    }
    size_t used = 0;
    for (const char *label = clean; label < domain;) {
        const char *end = memchr(label, '.', (size_t)(domain - label));
        used += fold_label(label, end, out + used);
        out[used++] = '.';
        label = end + 1;
    }
    strcpy(out + used, domain); /* folding makes no text longer */
}

void profile_key_agent(const char *agent, char out[PROFILE_KEY_MAX + 1]) {
    char clean[PROFILE_KEY_MAX + 1];
    profile_key_text(agent, clean);
    size_t length = strcspn(clean, "/ "), number = length;
    while (number > 0 && (isdigit((unsigned char)clean[number - 1]) || clean[number - 1] == '.')) number--;
    if (number > 1 && number < length && clean[number - 1] == '-') length = number - 1;
    const char *comment =
        strcmp(clean, "Mozilla") > 0 && strncmp(clean, "Mozilla", 7) == 0 ? strchr(clean, '(') : NULL;
    if (!comment) {
        snprintf(out, PROFILE_KEY_MAX + 1, "%.*s", (int)length, clean);
        return;
    }
    snprintf(out, PROFILE_KEY_MAX + 1, "Mozilla (%.*s)", (int)strcspn(comment + 1, ";)"), comment + 1);
}

void profile_key_network(const struct ip *address, char out[PROFILE_KEY_MAX + 1]) {
    struct ip network = *address;
    char text[IP_TEXT_SIZE];
    bool v4 = ip_is_v4(address);
    memset(network.bytes + (v4 ? 15 : 6), 0, v4 ? 1 : 10);
    ip_format(&network, text);
    snprintf(out, PROFILE_KEY_MAX + 1, "%s/%d", text, v4 ? 24 : 48);
}

enum { EPHEMERAL = 49152 }; /* RFC 6335 section 6 */

void profile_key_service(const char *transport, uint32_t port, const char *application, bool inward,
                         char out[PROFILE_KEY_MAX + 1]) {
    char lower[16], number[16] = "", text[PROFILE_KEY_MAX + 1];
    snprintf(lower, sizeof lower, "%s", transport);
    for (char *p = lower; *p; p++) *p = (char)tolower((unsigned char)*p);
    if (port >= EPHEMERAL)
        snprintf(number, sizeof number, "/%d+", EPHEMERAL);
    else if (port)
        snprintf(number, sizeof number, "/%u", port);
    snprintf(text, sizeof text, "%s%s%s%s%.32s", inward ? "in " : "", lower, number, application ? "/" : "",
             application ? application : "");
    profile_key_text(text, out);
}
