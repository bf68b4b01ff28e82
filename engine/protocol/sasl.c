/* Who logs in, out of the first message or two of a SASL exchange: see sasl.h. */
#include "protocol/sasl.h"

#include "base/base64.h"

#include <strings.h>

/* Enough for any name; the rest, where secrets are, is not even decoded. */
enum { DECODED_MOST = 512 };

bool sasl_sends_password(struct slice mechanism) {
    return word_is(mechanism, "PLAIN") || word_is(mechanism, "LOGIN");
}

/* Up to a byte that ends it, or all. */
static struct slice until(struct slice s, uint8_t end) {
    const uint8_t *at = s.length > 0 ? memchr(s.at, end, s.length) : NULL;
    if (at) s.length = (uint32_t)(at - s.at);
    return s;
}

/* What follows `mark`, up to `end`; empty if the mark is not there. */
static struct slice after(struct slice s, const char *mark, uint8_t end) {
    uint32_t n = (uint32_t)strlen(mark);
    for (; s.length >= n; s.at++, s.length--)
        if (memcmp(s.at, mark, n) == 0) return until((struct slice){s.at + n, s.length - n}, end);
    return (struct slice){s.at, 0};
}

/* authzid NUL authcid NUL password */
static struct slice plain_user(struct slice s) {
    struct slice first = until(s, 0);
    if (first.length == s.length) return (struct slice){s.at, 0};
    return until((struct slice){s.at + first.length + 1, s.length - first.length - 1}, 0);
}

static struct slice user_in(struct slice mechanism, unsigned step, struct slice s) {
    if (word_is(mechanism, "PLAIN") && step == 0) return plain_user(s);
    if (word_is(mechanism, "LOGIN") && step == 0) return until(s, 0);
    if (word_is(mechanism, "CRAM-MD5") && step == 0) {
        struct slice name = until(s, ' ');
        return name.length < s.length ? name : (struct slice){s.at, 0};
    }
    if (word_begins(mechanism, "SCRAM-") && step == 0) return after(s, ",n=", ',');
    if (word_is(mechanism, "XOAUTH2") && step == 0) return after(s, "user=", 1);
    if (word_is(mechanism, "DIGEST-MD5")) return after(s, "username=\"", '"');
    if (word_is(mechanism, "OAUTHBEARER") && step == 0) return after(s, ",a=", ',');
    return (struct slice){s.at, 0};
}

void sasl_note_user(struct text_value *user, struct slice mechanism, unsigned step, struct slice base64) {
    uint8_t decoded[DECODED_MOST];
    const char *text = (const char *)base64.at;
    struct slice message = {decoded, (uint32_t)base64_decode(text, base64.length, decoded, sizeof decoded)};
    struct slice name = user_in(mechanism, step, message);
    if (name.length > 0) text_value_set(user, name);
    explicit_bzero(decoded, sizeof decoded);
}
