/* A copy is the struct, and all texts behind it. */
#include "endpoint/news.h"

#include <stdlib.h>
#include <string.h>

bool span_is(struct span text, const char *word) {
    return text.at && text.length == strlen(word) && memcmp(text.at, word, text.length) == 0;
}

void news_clear(struct news *news) {
    static const struct image unknown = {
        .pid = NEWS_NO_PID, .parent_pid = NEWS_NO_PID, .responsible_pid = NEWS_NO_PID, .uid = NEWS_NO_UID};
    *news = (struct news){.actor = unknown, .image = unknown};
}

/* Calls `each` for every text. */
static void each_text(struct news *news, void (*each)(struct span *text, void *context), void *context) {
    struct image *images[] = {&news->actor, &news->image};
    for (int i = 0; i < 2; i++) {
        each(&images[i]->path, context);
        each(&images[i]->name, context);
        each(&images[i]->signing_id, context);
        each(&images[i]->team_id, context);
        each(&images[i]->cdhash, context);
    }
    each(&news->arguments, context);
    each(&news->cwd, context);
    each(&news->username, context);
    each(&news->uuid, context);
    each(&news->host, context);
}

static void add_length(struct span *text, void *context) {
    *(size_t *)context += text->length;
}

static void move_text(struct span *text, void *context) {
    char **at = context;
    if (!text->at) return;
    if (text->length > 0) memcpy(*at, text->at, text->length);
    text->at = *at;
    *at += text->length;
}

size_t news_size(const struct news *news) {
    size_t bytes = sizeof *news;
    each_text((struct news *)news, add_length, &bytes); /* reads only */
    return bytes;
}

struct news *news_copy(const struct news *news) {
    struct news *copy = malloc(news_size(news));
    if (!copy) return NULL;
    *copy = *news;
    char *at = (char *)(copy + 1);
    each_text(copy, move_text, &at);
    return copy;
}

const char *news_action_name(enum news_action action) {
    switch (action) {
    case NEWS_EXEC:
        return "exec";
    case NEWS_FORK:
        return "fork";
    case NEWS_EXIT:
        return "exit";
    case NEWS_SEEN:
        return "seen";
    default:
        return NULL;
    }
}

const char *news_source_name(enum news_source source) {
    static const char *const names[] = {"eslogger", "osquery", "santa", "log"};
    return names[source];
}

struct span image_name(const struct image *image) {
    if (!image->path.at) return image->name;
    const char *slash = memrchr(image->path.at, '/', image->path.length);
    if (!slash) return image->path;
    size_t left = image->path.length - (size_t)(slash + 1 - image->path.at);
    return span_of(slash + 1, left);
}
