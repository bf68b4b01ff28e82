/* Santa's text log: "[time] I santad: key=value|key=value|…", the keys in an order that changed over the
 * versions. In values "|" is written <pipe> and a line's end \n; arguments are joined by spaces. Lines of
 * other actions (files, disks) are none of ours. */
#include "endpoint/line.h"
#include "endpoint/when.h"

#include <stdlib.h>
#include <string.h>

struct pair {
    struct span key, value;
};

/* The next pair, or false. */
static bool pair_next(const char **at, const char *end, struct pair *pair) {
    if (*at >= end) return false;
    const char *stop = memchr(*at, '|', (size_t)(end - *at));
    if (!stop) stop = end;
    const char *equals = memchr(*at, '=', (size_t)(stop - *at));
    if (!equals) equals = stop;
    pair->key = span_of(*at, (size_t)(equals - *at));
    pair->value =
        equals < stop ? (struct span){equals + 1, (uint32_t)(stop - equals - 1)} : (struct span){NULL, 0};
    *at = stop + 1;
    return true;
}

static double number_of(struct span text) {
    char digits[24];
    if (!text.at || text.length == 0 || text.length >= sizeof digits) return -1;
    memcpy(digits, text.at, text.length);
    digits[text.length] = '\0';
    char *end;
    double number = strtod(digits, &end);
    return *end == '\0' && strspn(digits, "-0123456789") == text.length ? number : -1;
}

static int32_t pid_of(struct span text) {
    double number = number_of(text);
    return number >= 0 && number <= INT32_MAX ? (int32_t)number : NEWS_NO_PID;
}

static struct span bounded(struct span text) {
    return span_of(text.at, text.length);
}

/* Written out again: <pipe>, and a line's end. */
static void arguments_read(struct line_reader *reader, struct span text) {
    char plain[NEWS_TEXT_MOST];
    size_t used = 0;
    for (uint32_t i = 0; i < text.length && used < sizeof plain; i++, used++) {
        const char *at = text.at + i;
        uint32_t left = text.length - i;
        plain[used] = *at;
        if (left >= 6 && memcmp(at, "<pipe>", 6) == 0) {
            plain[used] = '|';
            i += 5;
        } else if (left >= 2 && memcmp(at, "\\n", 2) == 0) {
            plain[used] = '\n';
            i++;
        }
    }
    line_argument(reader, plain, used);
}

static void pair_read(struct line_reader *reader, const struct pair *pair) {
    struct news *news = &reader->draft;
    struct image *actor = &news->actor;
    double number;
    if (span_is(pair->key, "pid")) actor->pid = pid_of(pair->value);
    if (span_is(pair->key, "ppid")) actor->parent_pid = pid_of(pair->value);
    if (span_is(pair->key, "pidversion") && (number = number_of(pair->value)) > 0 && number <= UINT32_MAX)
        actor->version = (uint32_t)number;
    if (span_is(pair->key, "uid") && (number = number_of(pair->value)) >= 0 && number <= UINT32_MAX)
        actor->uid = (uint32_t)number;
    if (span_is(pair->key, "user")) news->username = bounded(pair->value);
    if (span_is(pair->key, "path")) actor->path = bounded(pair->value);
    if (span_is(pair->key, "teamid")) actor->team_id = bounded(pair->value);
    if (span_is(pair->key, "cdhash")) actor->cdhash = bounded(pair->value);
    if (span_is(pair->key, "machineid")) news->host = bounded(pair->value);
    if (span_is(pair->key, "cwd")) news->cwd = bounded(pair->value);
    if (span_is(pair->key, "args") && pair->value.at) arguments_read(reader, pair->value);
}

static bool action_read(struct news *news, struct span action) {
    if (span_is(action, "EXEC"))
        news->action = NEWS_EXEC;
    else if (span_is(action, "FORK"))
        news->action = NEWS_FORK;
    else if (span_is(action, "EXIT"))
        news->action = NEWS_EXIT;
    else
        return false;
    return true;
}

/* Santa's lines name the new image, and the child: the other side is the parent, by its pid alone. */
static void turn_over(struct news *news) {
    if (news->action == NEWS_EXIT) return;
    news->image = news->actor;
    news->actor = (struct image){
        .pid = NEWS_NO_PID, .parent_pid = NEWS_NO_PID, .responsible_pid = NEWS_NO_PID, .uid = NEWS_NO_UID};
    if (news->action == NEWS_FORK) news->actor.pid = news->image.parent_pid;
}

enum line_outcome santa_read(struct line_reader *reader, const char *text, size_t length) {
    const char *end = text + length, *close = memchr(text, ']', length);
    const char *action = memmem(text, length, "action=", 7);
    if (!close || !action || action < close) return line_broken(reader, "Santa: no action= in the line");
    struct news *news = line_draft(reader, NEWS_SANTA);
    struct pair pair;
    bool ours = false, denied = false;
    for (const char *at = action; pair_next(&at, end, &pair);) {
        if (span_is(pair.key, "action")) ours = action_read(news, pair.value);
        if (span_is(pair.key, "decision")) denied = span_is(pair.value, "DENY");
        pair_read(reader, &pair);
    }
    if (!ours || denied) return LINE_READ; /* what was denied never ran */
    if (!when_read(text + 1, (size_t)(close - text - 1), &news->time))
        return line_broken(reader, "Santa: no time, as [2024-06-11T08:39:21.901Z]");
    if (news->actor.pid == NEWS_NO_PID) return line_broken(reader, "Santa: no pid= in the line");
    turn_over(news);
    line_give(reader);
    return LINE_READ;
}
