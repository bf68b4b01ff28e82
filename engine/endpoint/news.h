/* News: what one line of an endpoint log says, whoever wrote it.
 *
 * The readers of the formats (line.h) fill these in; texts point into the line, or into what was parsed of
 * it, and are good only while the news is being handed over. Whoever keeps one makes a copy, which is one
 * block of memory. */
#ifndef LUNETTE_ENDPOINT_NEWS_H
#define LUNETTE_ENDPOINT_NEWS_H

#include "base/ip.h"
#include "base/time.h"
#include "flow/program.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NEWS_TEXT_MOST = 4096,           /* bytes of one text; what is longer is cut */
    NEWS_ARGUMENTS_TEXT = 32 * 1024, /* bytes of all arguments; those behind are left out */
    NEWS_NO_PID = -1,
};
#define NEWS_NO_UID UINT32_MAX

/* A run of bytes; `at` NULL: absent. Not terminated. */
struct span {
    const char *at;
    uint32_t length;
};

enum news_action {
    NEWS_EXEC,   /* `actor` became `image` */
    NEWS_FORK,   /* `actor` has a child, `image` */
    NEWS_EXIT,   /* `actor` ended */
    NEWS_SEEN,   /* `actor` was running by then; nothing else is said */
    NEWS_SOCKET, /* `actor` has that socket */
    NEWS_CLOSED, /* … no more */
};

enum news_source { NEWS_ESLOGGER, NEWS_OSQUERY, NEWS_SANTA, NEWS_LOG };

/* A process, as far as the line tells. */
struct image {
    int32_t pid, parent_pid, responsible_pid; /* NEWS_NO_PID: not told */
    uint32_t version;                         /* pidversion; 0: not told */
    uint32_t uid;                             /* effective; NEWS_NO_UID: not told */
    nanoseconds born;                         /* when its pid was given out; 0: not told */
    struct span path, name;                   /* `name` where there is no path */
    struct span signing_id, team_id;
    struct span cdhash;   /* lower-case hex */
    const char *platform; /* "yes", "no" or NULL */
};

struct news {
    enum news_action action;
    enum news_source source;
    nanoseconds time;
    struct image actor, image;
    struct span arguments; /* of an exec: a zero byte behind each. One text where the log has joined them */
    struct span cwd, username, uuid, host;
    bool has_exit;
    uint32_t exit_status, exit_signal;
    struct socket_name socket; /* addresses all zero: not told */
};

/* Everything unknown. */
void news_clear(struct news *news);

static inline struct span span_of(const char *at, size_t length) {
    if (!at || length == 0) return (struct span){NULL, 0};
    return (struct span){at, (uint32_t)(length < NEWS_TEXT_MOST ? length : NEWS_TEXT_MOST)};
}

bool span_is(struct span text, const char *word);

/* A copy of its own, for free(), and how many bytes it takes. NULL without memory. */
struct news *news_copy(const struct news *news);
size_t news_size(const struct news *news);

/* "exec" …, NULL of those that are no event; "eslogger" … */
const char *news_action_name(enum news_action action);
const char *news_source_name(enum news_source source);

/* The last part of a path, or the name; absent if neither is told. */
struct span image_name(const struct image *image);

#endif
