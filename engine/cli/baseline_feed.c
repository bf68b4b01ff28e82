/* A capture is replayed on a rig without detectors; each event that counts is written as a record, and the
 * record is read as one of a file would be. */
#include "cli/baseline_feed.h"

#include "base/log.h"
#include "capture/block.h"
#include "capture/format.h"
#include "endpoint/log_file.h"
#include "output/eve.h"

#include <stdlib.h>

struct replaying {
    struct profile_collector *collector;
    struct eve *eve;
    struct buffer line;
};

static void on_event(void *context, enum event_kind kind, const void *event, const struct batch *batch) {
    struct replaying *replaying = context;
    replaying->line.length = 0;
    eve_event(replaying->eve, &replaying->line, kind, event, batch);
    if (replaying->line.length > 0)
        profile_collect(replaying->collector, replaying->line.at, replaying->line.length - 1);
}

static int replay(const struct baseline_feed *feed, const char *const *paths, size_t count,
                  struct error *err) {
    struct replaying replaying = {.collector = feed->collector, .eve = eve_new(err)};
    struct rig_options options = *feed->rig;
    options.context = &replaying;
    options.on_event = on_event;
    options.wanted[EVENT_flow] = options.wanted[EVENT_dns] = true;
    options.wanted[EVENT_http] = options.wanted[EVENT_ssh] = true;
    struct rig *rig = replaying.eve ? rig_new(&options, err) : NULL;
    int outcome = rig ? rig_captures(rig, paths, count, NULL, err) : -1;
    if (outcome == 0) rig_finish(rig);
    rig_free(rig);
    eve_free(replaying.eve);
    buffer_free(&replaying.line);
    return outcome;
}

struct lines {
    uint64_t counted, other, bad, first_bad;
};

static int judge_lines(const char *path, const struct lines *lines, struct error *err) {
    if (lines->counted + lines->other == 0)
        return error_set(
            err,
            "%s: neither a capture nor records of lunette: expected pcap, pcapng, or lines of JSON with "
            "an event_type, as replay -o and live -o write them",
            block_title(path));
    if (lines->counted == 0)
        log_line(
            LOG_WARNING,
            "%s: no flow, dns, http or ssh record of a local host is in it (--home-net names your networks, "
            "--record what a sensor writes)",
            block_title(path));
    if (lines->bad)
        log_line(LOG_WARNING, "%s: %llu lines are no records and were passed over, the first is line %llu",
                 block_title(path), (unsigned long long)lines->bad, (unsigned long long)lines->first_bad);
    return 0;
}

static int read_records(const struct baseline_feed *feed, const char *path, struct error *err) {
    struct log_file *file = log_file_open(path, false, false, err);
    if (!file) return -1;
    const char *line;
    size_t length, budget = SIZE_MAX;
    struct lines lines = {0};
    for (enum log_progress next; (next = log_file_next(file, &line, &length, &budget)) != LOG_END;) {
        enum profile_line what = PROFILE_BAD;
        if (next == LOG_LINE && length == 0) continue;
        if (next == LOG_LINE) what = profile_collect(feed->collector, line, length);
        lines.counted += what == PROFILE_COUNTED;
        lines.other += what == PROFILE_OTHER;
        if (what == PROFILE_BAD && lines.bad++ == 0) lines.first_bad = log_file_number(file);
    }
    if (log_file_failure(file)[0]) log_line(LOG_WARNING, "%s: %s", block_title(path), log_file_failure(file));
    log_file_close(file);
    return judge_lines(path, &lines, err);
}

/* Records begin with a brace, captures with their magic. What stands on standard input cannot be looked at
 * twice: it is a capture, as for replay. */
static int is_capture(const char *path, bool *out, struct error *err) {
    struct block_reader reader = {.fd = -1};
    *out = true;
    if (path[0] == '-' && !path[1]) return 0;
    if (block_open(&reader, path, err) < 0) return -1;
    block_fill(&reader, 4);
    *out = format_detect(&reader) != FORMAT_UNKNOWN;
    bool empty = block_here(&reader) == 0;
    block_close(&reader);
    return empty ? error_set(err, "%s: it is empty; expected a capture, or records of lunette", path) : 0;
}

static int feed_apart(const struct baseline_feed *feed, const bool *captures, struct error *err) {
    for (size_t i = 0; i < feed->file_count; i++) {
        profile_collector_source(feed->collector, feed->files[i], (uint32_t)i + 1);
        int outcome =
            captures[i] ? replay(feed, &feed->files[i], 1, err) : read_records(feed, feed->files[i], err);
        if (outcome < 0) return -1;
    }
    return 0;
}

static int feed_together(const struct baseline_feed *feed, const bool *captures, const char **paths,
                         struct error *err) {
    size_t count = 0;
    for (size_t i = 0; i < feed->file_count; i++) {
        if (captures[i]) paths[count++] = feed->files[i];
        profile_collector_source(feed->collector, feed->files[i], 0);
    }
    if (count && replay(feed, paths, count, err) < 0) return -1;
    for (size_t i = 0; i < feed->file_count; i++)
        if (!captures[i] && read_records(feed, feed->files[i], err) < 0) return -1;
    return 0;
}

int baseline_feed(const struct baseline_feed *feed, struct error *err) {
    bool *captures = calloc(feed->file_count, sizeof *captures);
    const char **paths = calloc(feed->file_count, sizeof *paths);
    int outcome = captures && paths ? 0 : error_set(err, "out of memory");
    for (size_t i = 0; i < feed->file_count && outcome == 0; i++)
        outcome = is_capture(feed->files[i], &captures[i], err);
    if (outcome == 0)
        outcome = feed->apart ? feed_apart(feed, captures, err) : feed_together(feed, captures, paths, err);
    free(captures);
    free(paths);
    if (outcome == 0 && profile_collector_failed(feed->collector)) return error_set(err, "out of memory");
    return outcome;
}
