/* Reading a SYN: its options one by one, its quirks, and the signature made of them.
 *
 * The notation is p0f 3's (its README, section "TCP signatures"): colons between what the IP header says,
 * what the options say, what is odd, and whether there is payload. */
#include "flow/syn.h"

#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    TCP_HEADER = 20,
    TCP_AE = 1,
    IP_ECN_BITS = 3,
    SCALE_MOST = 14,
    ETHERNET_MTU = 1500,
    TIMESTAMP_BYTES = 12
};
enum { MULTIPLES_FROM = 100 }; /* a smaller segment size divides too much */

struct sentence {
    char *text;
    unsigned length, size;
};

__attribute__((format(printf, 2, 3))) static void say(struct sentence *s, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    unsigned left = s->size - s->length;
    int n = vsnprintf(s->text + s->length, left, format, arguments);
    va_end(arguments);
    if (n > 0) s->length += (unsigned)n < left ? (unsigned)n : left - 1;
}

static const char *comma(const struct sentence *s) {
    return s->length > 0 ? "," : "";
}

static void read_timestamps(struct syn *syn, const uint8_t *value) {
    syn->timestamps = true;
    if (load_be32(value) == 0) syn->quirks |= QUIRK_TS1_MINUS;
    if (load_be32(value + 4) != 0) syn->quirks |= QUIRK_TS2_PLUS;
}

static void read_end(struct syn *syn, struct cursor *c, struct sentence *s) {
    say(s, "%seol+%zu", comma(s), cursor_left(c));
    while (cursor_left(c) > 0)
        if (cursor_u8(c) != 0) syn->quirks |= QUIRK_OPT_PLUS;
}

/* An option with a length. False: it is broken, and nobody knows where the next one begins. */
static bool read_option(struct syn *syn, uint8_t kind, struct cursor *c, struct sentence *s) {
    uint8_t size = cursor_u8(c);
    if (c->failed || size < 2) return false;
    const uint8_t *value = cursor_take(c, size - 2u);
    if (!value) return false;
    if (kind == 2 && size == 4) {
        syn->mss = load_be16(value);
        say(s, "%smss", comma(s));
    } else if (kind == 3 && size == 3) {
        syn->wscale = value[0];
        if (value[0] > SCALE_MOST) syn->quirks |= QUIRK_EXWS;
        say(s, "%sws", comma(s));
    } else if (kind == 4 && size == 2) {
        say(s, "%ssok", comma(s));
    } else if (kind == 5) {
        say(s, "%ssack", comma(s));
    } else if (kind == 8 && size == 10) {
        read_timestamps(syn, value);
        say(s, "%sts", comma(s));
    } else {
        say(s, "%s?%u", comma(s), kind);
    }
    return true;
}

/* TCP options (RFC 9293 section 3.1, 7323, 2018) in p0f's words: "?N" an option of kind N without a word,
 * "eol+N" the end with N bytes of padding behind it. Stops at what is broken. */
static void read_options(struct syn *syn, const uint8_t *bytes, unsigned length) {
    struct sentence s = {syn->layout, 0, sizeof syn->layout};
    struct cursor c = cursor_over(bytes, length);
    while (cursor_left(&c) > 0) {
        uint8_t kind = cursor_u8(&c);
        if (kind == 0) {
            read_end(syn, &c, &s);
        } else if (kind == 1) {
            say(&s, "%snop", comma(&s));
        } else if (!read_option(syn, kind, &c, &s)) {
            syn->quirks |= QUIRK_BAD;
            break;
        }
    }
    syn->layout_length = s.length;
}

/* The fields of the TCP header that the decoder does not keep, since only SYNs are asked for them. */
static void read_header(struct syn *syn, const struct decoded *d) {
    if (!d->ip_payload || d->ip_payload_captured < TCP_HEADER) return;
    const uint8_t *h = d->ip_payload;
    if (h[12] & TCP_AE) syn->quirks |= QUIRK_ECN;
    if (h[12] & 0x0e) syn->quirks |= QUIRK_ZERO_PLUS;
    if (!(d->tcp_flags & TCP_URG) && load_be16(h + 18)) syn->quirks |= QUIRK_URG_PLUS;
}

static void read_flags(struct syn *syn, const struct decoded *d) {
    if (d->tcp_flags & (TCP_ECE | TCP_CWR) || d->dscp_ecn & IP_ECN_BITS) syn->quirks |= QUIRK_ECN;
    if (d->tcp_seq == 0) syn->quirks |= QUIRK_SEQ_MINUS;
    if (d->tcp_ack != 0) syn->quirks |= QUIRK_ACK_PLUS;
    if (d->tcp_flags & TCP_URG) syn->quirks |= QUIRK_URG_FLAG;
    if (d->tcp_flags & TCP_PSH) syn->quirks |= QUIRK_PUSH_FLAG;
}

static void read_network(struct syn *syn, const struct decoded *d) {
    syn->ip_options = d->ip_options_length;
    syn->v4 = ip_is_v4(&d->src);
    if (!syn->v4) {
        if (d->flow_label) syn->quirks |= QUIRK_FLOW;
        return;
    }
    if (d->dont_fragment) syn->quirks |= QUIRK_DF;
    if (d->dont_fragment && d->ip_id != 0) syn->quirks |= QUIRK_ID_PLUS;
    if (!d->dont_fragment && d->ip_id == 0) syn->quirks |= QUIRK_ID_MINUS;
    if (d->ip_reserved) syn->quirks |= QUIRK_ZERO_PLUS;
}

/* The least of the usual beginnings that is not below what is left of it. */
static uint8_t initial_ttl(uint8_t ttl) {
    if (ttl <= 32) return 32;
    if (ttl <= 64) return 64;
    return ttl <= 128 ? 128 : 255;
}

void syn_read(struct syn *syn, const struct decoded *d) {
    memset(syn, 0, sizeof *syn);
    syn->wscale = 255;
    syn->initial_ttl = initial_ttl(d->ttl);
    syn->window = d->tcp_window;
    syn->payload = d->payload_length > 0;
    read_network(syn, d);
    read_flags(syn, d);
    read_header(syn, d);
    if (d->tcp_options) read_options(syn, d->tcp_options, d->tcp_options_length);
}

static bool multiple(uint16_t window, unsigned of) {
    return of >= MULTIPLES_FROM && window % of == 0;
}

/* Systems count their window in segments, with or without what timestamps take of each; by the MSS that they
 * offer or by Ethernet's, where somebody on the way has lowered the option; or in whole packets. */
static void say_window(const struct syn *syn, struct sentence *s) {
    unsigned headers = syn->v4 ? 40 : 60, stamps = syn->timestamps ? TIMESTAMP_BYTES : 0;
    const unsigned segments[] = {syn->mss, syn->mss > stamps ? syn->mss - stamps : 0u, ETHERNET_MTU - headers,
                                 ETHERNET_MTU - headers - stamps};
    const unsigned packets[] = {syn->mss + headers, ETHERNET_MTU};
    bool countable = syn->window > 0 && syn->mss >= MULTIPLES_FROM;
    for (unsigned i = 0; countable && i < 4; i++)
        if (multiple(syn->window, segments[i])) {
            say(s, "mss*%u", syn->window / segments[i]);
            return;
        }
    for (unsigned i = 0; countable && i < 2; i++)
        if (multiple(syn->window, packets[i])) {
            say(s, "mtu*%u", syn->window / packets[i]);
            return;
        }
    say(s, "%u", syn->window);
}

static void say_quirks(const struct syn *syn, struct sentence *s) {
    static const char *const words[] = {"df",    "id+",   "id-",    "ecn",  "0+",   "flow", "seq-", "ack+",
                                        "uptr+", "urgf+", "pushf+", "ts1-", "ts2+", "opt+", "exws", "bad"};
    const char *between = "";
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        if (!(syn->quirks & 1 << i)) continue;
        say(s, "%s%s", between, words[i]);
        between = ",";
    }
}

unsigned syn_signature(const struct syn *syn, char out[SYN_SIGNATURE_TEXT]) {
    struct sentence s = {out, 0, SYN_SIGNATURE_TEXT};
    say(&s, "%c:%u:%u:%u:", syn->v4 ? '4' : '6', syn->initial_ttl, syn->ip_options, syn->mss);
    say_window(syn, &s);
    say(&s, ",%u:%s:", syn->wscale == 255 ? 0u : syn->wscale, syn->layout);
    say_quirks(syn, &s);
    say(&s, ":%c", syn->payload ? '+' : '0');
    return s.length;
}
