/* A line of an endpoint log: which format it has, told by its content, and what it says.
 *
 *      {"schema_version":1,…,"event":{"exec":…}}          eslogger            eslogger.c
 *      {"timestamp":…,"processImagePath":…}               log --style ndjson  unified_log.c
 *      {"name":"pack_…","columns":{…},"action":"added"}   osquery             osquery.c
 *      [2024-06-11T08:39:21.901Z] I santad: action=EXEC|… Santa's text log    santa.c
 *      {"execution":{…}}                                  Santa's JSON log    santa_json.c
 *
 * A line is never trusted and never fatal: what cannot be read is LINE_BROKEN, with the reason. */
#ifndef LUNETTE_ENDPOINT_LINE_H
#define LUNETTE_ENDPOINT_LINE_H

#include "endpoint/news.h"

#include <jansson.h>

enum line_outcome {
    LINE_READ,    /* understood; it may have said nothing of use here: another event, a log's first words */
    LINE_EMPTY,   /* blank */
    LINE_UNKNOWN, /* well formed, but of no format that is known */
    LINE_BROKEN,  /* cut short, or not what its format says */
};

/* Who is told what a line says, and room for what has to be decoded. Several news from one line have the
 * same time. */
struct line_reader {
    void *context;
    void (*take)(void *context, const struct news *news);
    uint64_t news;   /* handed over so far */
    uint64_t others; /* lines that were understood and told nothing */
    char why[160];   /* of the last LINE_BROKEN or LINE_UNKNOWN */
    struct news draft;
    char arguments[NEWS_ARGUMENTS_TEXT];
    uint32_t arguments_used;
    char hexes[2][128]; /* of the actor, of the image */
};

/* `text` is one line without its end. */
enum line_outcome line_read(struct line_reader *reader, const char *text, size_t length);

/* ---- for the formats' files: a draft of news, filled, and handed over */

/* An empty draft. Its texts may point into the line, and into the reader until the next draft. */
struct news *line_draft(struct line_reader *reader, enum news_source source);
void line_give(struct line_reader *reader);

/* Adds an argument to the draft's. */
void line_argument(struct line_reader *reader, const char *text, size_t length);

__attribute__((format(printf, 2, 3))) enum line_outcome line_broken(struct line_reader *reader,
                                                                    const char *format, ...);

enum line_outcome eslogger_read(struct line_reader *reader, const json_t *line);
enum line_outcome unified_log_read(struct line_reader *reader, const json_t *line);
enum line_outcome osquery_read(struct line_reader *reader, const json_t *line);
enum line_outcome santa_json_read(struct line_reader *reader, const json_t *line);
enum line_outcome santa_read(struct line_reader *reader, const char *text, size_t length);

/* Is it one of that format's lines? */
bool santa_json_is(const json_t *line);

#endif
