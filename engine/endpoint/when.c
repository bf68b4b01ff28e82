/* See when.h. */
#include "endpoint/when.h"

#include <time.h>

struct cursor {
    const char *at, *end;
};

/* Exactly `digits` digits. */
static bool read_digits(struct cursor *c, int digits, int *out) {
    int value = 0;
    if (c->end - c->at < digits) return false;
    for (int i = 0; i < digits; i++, c->at++) {
        if (*c->at < '0' || *c->at > '9') return false;
        value = value * 10 + (*c->at - '0');
    }
    *out = value;
    return true;
}

static bool read_one(struct cursor *c, char wanted) {
    if (c->at == c->end || *c->at != wanted) return false;
    c->at++;
    return true;
}

/* What is behind the point; 0 without one. */
static long read_fraction(struct cursor *c) {
    long value = 0, unit = 100000000;
    if (!read_one(c, '.')) return 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        value += (*c->at - '0') * unit;
        unit /= 10;
    }
    return value;
}

/* Seconds east of Greenwich. */
static bool read_zone(struct cursor *c, int *out) {
    int hours, minutes;
    *out = 0;
    if (c->at == c->end || read_one(c, 'Z')) return true;
    int sign = *c->at == '-' ? -1 : 1;
    if (!read_one(c, '-') && !read_one(c, '+')) return false;
    if (!read_digits(c, 2, &hours)) return false;
    read_one(c, ':');
    if (!read_digits(c, 2, &minutes)) return false;
    *out = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool when_read(const char *text, size_t length, nanoseconds *out) {
    if (!text) return false;
    struct cursor c = {text, text + length};
    struct tm tm = {.tm_isdst = 0};
    int zone;
    if (!read_digits(&c, 4, &tm.tm_year) || !read_one(&c, '-')) return false;
    if (!read_digits(&c, 2, &tm.tm_mon) || !read_one(&c, '-') || !read_digits(&c, 2, &tm.tm_mday))
        return false;
    if (!read_one(&c, 'T') && !read_one(&c, ' ')) return false;
    if (!read_digits(&c, 2, &tm.tm_hour) || !read_one(&c, ':')) return false;
    if (!read_digits(&c, 2, &tm.tm_min) || !read_one(&c, ':') || !read_digits(&c, 2, &tm.tm_sec))
        return false;
    long fraction = read_fraction(&c);
    if (!read_zone(&c, &zone) || c.at != c.end) return false;
    if (tm.tm_year < 1970 || tm.tm_year > 2105 || tm.tm_mon < 1 || tm.tm_mon > 12) return false;
    if (tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *out = ((nanoseconds)timegm(&tm) - zone) * NS_PER_SECOND + fraction;
    return true;
}

bool when_of_seconds(double seconds, nanoseconds *out) {
    if (!(seconds >= 0 && seconds < 4294967296.0)) return false;
    nanoseconds whole = (nanoseconds)seconds;
    *out = whole * NS_PER_SECOND + (nanoseconds)((seconds - (double)whole) * 1e9);
    return true;
}
