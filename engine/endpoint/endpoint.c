/* See endpoint.h. The order of news: the earliest that waits is due when every log has been read to
 * REORDER_SECONDS beyond it, or to its end; so it depends on no packet. */
#include "endpoint/endpoint.h"

#include "base/log.h"
#include "capture/block.h"
#include "endpoint/line.h"
#include "endpoint/log_file.h"
#include "endpoint/pending.h"
#include "endpoint/process_event.h"
#include "endpoint/process_table.h"
#include "endpoint/sockets.h"

#include <stdlib.h>
#include <string.h>

/* Command lines are many, and would crowd out names: they have a keeper of their own, and those that do not
 * fit any more are left out. */
enum { ARGUMENT_WORDS = 32768, ARGUMENT_BYTES = 8 << 20 };

struct log {
    struct log_file *file;
    const char *path;
    uint32_t host;
    bool ended;
    bool told; /* what is wrong with it */
    nanoseconds newest;
    uint64_t lines, understood, unknown, broken;
};

struct endpoint {
    struct endpoint_options options;
    struct hosts hosts;
    struct log *logs;
    uint32_t log_count;
    uint32_t reading; /* the log whose line is being read */
    struct line_reader *reader;
    struct pending pending;
    struct process_table *processes;
    struct sockets *sockets;
    struct words *arguments;
    struct program_source source;
    nanoseconds played; /* time of the latest news so far */
    struct endpoint_figures figures;
};

/* ------------------------------------------------------- what flows ask (program.h) */

static const char *arguments_word(struct endpoint *endpoint, const char *arguments) {
    if (!arguments) return NULL;
    uint64_t refused = words_refused(endpoint->arguments);
    const char *word = words_keep(endpoint->arguments, arguments, strlen(arguments));
    return words_refused(endpoint->arguments) == refused ? word : NULL;
}

static enum program_answer by_instance(struct endpoint *endpoint, uint32_t host, int32_t pid,
                                       const char *name, nanoseconds time, struct program *out) {
    bool contradicted = false;
    const struct process *process =
        name ? process_table_find_named(endpoint->processes, host, pid, time, name, &contradicted)
             : process_table_find(endpoint->processes, host, pid, time);
    if (contradicted) return PROGRAM_CONTRADICTED;
    if (!process || !process->name) return PROGRAM_UNKNOWN;
    process_table_describe(endpoint->processes, process, out);
    out->arguments = arguments_word(endpoint, process->arguments);
    return PROGRAM_TOLD;
}

/* The host with that address, if a log is of it; -1 if none is. */
static int host_asked(struct endpoint *endpoint, const struct ip *local) {
    int host = hosts_find(&endpoint->hosts, local);
    if (host >= 0) endpoint->hosts.list[host].asked = true;
    return host;
}

static enum program_answer by_pid(void *context, const struct ip *local, int32_t pid, const char *name,
                                  nanoseconds time, struct program *out) {
    struct endpoint *endpoint = context;
    int host = host_asked(endpoint, local);
    if (host < 0 || pid <= 0) return PROGRAM_UNKNOWN;
    return by_instance(endpoint, (uint32_t)host, pid, name, time, out);
}

/* Where the row of the socket names the program as well, the instance must agree. */
static enum program_answer by_socket(void *context, const struct socket_name *socket, nanoseconds time,
                                     struct program *out) {
    struct endpoint *endpoint = context;
    int host = host_asked(endpoint, &socket->local);
    const char *path = NULL, *name = NULL;
    if (host < 0) return PROGRAM_UNKNOWN;
    int32_t pid = sockets_find(endpoint->sockets, (uint32_t)host, socket, time, &path);
    if (pid < 0) return PROGRAM_UNKNOWN;
    if (path) {
        const char *slash = strrchr(path, '/');
        name = slash && slash[1] ? slash + 1 : path;
    }
    if (by_instance(endpoint, (uint32_t)host, pid, name, time, out) == PROGRAM_TOLD) return PROGRAM_TOLD;
    if (!path) return PROGRAM_UNKNOWN;
    *out = (struct program){
        .pid = pid, .path = path, .name = words_keep(endpoint->options.words, name, strlen(name))};
    return PROGRAM_TOLD;
}

const struct program_source *endpoint_programs(const struct endpoint *endpoint) {
    return &endpoint->source;
}

/* ------------------------------------------------------------------- lines */

/* The first line of a log that cannot be read is shown; how many there were, at the end. */
static void tell(struct endpoint *endpoint, struct log *log, const char *what) {
    if (log->told || endpoint->options.quiet) return;
    log->told = true;
    log_line(LOG_WARNING, "%s:%llu: %s; further lines that cannot be read are only counted",
             block_title(log->path), (unsigned long long)log_file_number(log->file), what);
}

static void on_news(void *context, const struct news *news) {
    struct endpoint *endpoint = context;
    struct log *log = &endpoint->logs[endpoint->reading];
    struct pending_news waiting = {
        .time = news->time + endpoint->hosts.list[log->host].clock_offset,
        .log = endpoint->reading,
        .backlog = log_file_is_backlog(log->file),
        .news = news_copy(news),
    };
    if (!waiting.news) return;
    waiting.news->time = waiting.time;
    if (waiting.time > log->newest) log->newest = waiting.time;
    endpoint->figures.news++;
    if (waiting.time < endpoint->figures.oldest) endpoint->figures.oldest = waiting.time;
    if (waiting.time > endpoint->figures.newest) endpoint->figures.newest = waiting.time;
    if (pending_is_full(&endpoint->pending)) endpoint_play(endpoint); /* one line told of very much */
    if (pending_add(&endpoint->pending, waiting) < 0) free(waiting.news);
}

static void line_take(struct endpoint *endpoint, struct log *log, const char *line, size_t length) {
    enum line_outcome outcome = line_read(endpoint->reader, line, length);
    if (outcome == LINE_EMPTY) return;
    log->lines++;
    log->understood += outcome == LINE_READ;
    log->unknown += outcome == LINE_UNKNOWN;
    log->broken += outcome == LINE_BROKEN;
    if (outcome != LINE_READ) tell(endpoint, log, endpoint->reader->why);
}

/* Reads a line of a log. False if there is none (now). */
static bool log_read(struct endpoint *endpoint, uint32_t number, size_t *budget) {
    struct log *log = &endpoint->logs[number];
    const char *line;
    size_t length;
    endpoint->reading = number;
    switch (log_file_next(log->file, &line, &length, budget)) {
    case LOG_LINE:
        line_take(endpoint, log, line, length);
        return true;
    case LOG_TOO_LONG:
        log->lines++;
        log->broken++;
        tell(endpoint, log, "a line of more than 8 MiB");
        return true;
    case LOG_WAIT:
        return false;
    default:
        log->ended = true;
        return false;
    }
}

static void notice_tell(const struct endpoint *endpoint, struct log *log) {
    const char *notice = log_file_notice(log->file);
    if (notice && !endpoint->options.quiet) log_line(LOG_WARNING, "--host-log %s %s", log->path, notice);
}

/* ------------------------------------------------------------------- news */

static void socket_take(struct endpoint *endpoint, uint32_t host, const struct news *news) {
    const struct span path = news->actor.path;
    if (news->action == NEWS_CLOSED) {
        sockets_close(endpoint->sockets, host, &news->socket, news->actor.pid, news->time);
        return;
    }
    sockets_open(endpoint->sockets, host, &news->socket, news->actor.pid,
                 path.at ? words_keep(endpoint->options.words, path.at, path.length) : NULL, news->time);
}

/* What happened twice, told by two logs, is one event. */
static void happen(struct endpoint *endpoint, const struct pending_news *first) {
    const struct news *news = first->news;
    uint32_t host = endpoint->logs[first->log].host;
    const struct host *owner = &endpoint->hosts.list[host];
    const struct ip *address = owner->address_count ? &owner->addresses[0] : NULL;
    bool fresh, is_socket = news->action == NEWS_SOCKET || news->action == NEWS_CLOSED;
    const struct process *process = process_table_take(endpoint->processes, host, news, &fresh);
    if (is_socket) socket_take(endpoint, host, news);
    if (is_socket || (process && !fresh) || (!process && news->action == NEWS_SEEN)) return;
    if (first->backlog || !endpoint->options.owns(endpoint->options.context, address)) return;
    endpoint->figures.events += process_event_make(endpoint->options.batch, endpoint->processes,
                                                   endpoint->options.words, owner, news, process);
}

void endpoint_play(struct endpoint *endpoint) {
    struct pending_news first = pending_take(&endpoint->pending);
    if (first.time < endpoint->played)
        endpoint->figures.late++;
    else
        endpoint->played = first.time;
    happen(endpoint, &first);
    free(first.news);
}

/* Does the log have to be read on before the news at `time` is known to be the earliest? */
static bool is_behind(const struct log *log, nanoseconds time) {
    return !log->ended && log->newest < time + REORDER_SECONDS * NS_PER_SECOND;
}

nanoseconds endpoint_next(struct endpoint *endpoint) {
    size_t budget = SIZE_MAX;
    for (uint32_t i = 0; i < endpoint->log_count;) {
        const struct pending_news *first = pending_first(&endpoint->pending);
        if (pending_is_full(&endpoint->pending)) break;
        if (!is_behind(&endpoint->logs[i], first ? first->time : INT64_MAX / 2)) {
            i++;
            continue;
        }
        log_read(endpoint, i, &budget);
        budget = SIZE_MAX;
        i = 0; /* the earliest may be another now */
    }
    const struct pending_news *first = pending_first(&endpoint->pending);
    return first ? first->time : INT64_MAX;
}

bool endpoint_follow(struct endpoint *endpoint, size_t budget) {
    bool more = false;
    for (uint32_t i = 0; i < endpoint->log_count; i++) {
        size_t left = budget;
        while (log_read(endpoint, i, &left)) {
            if (pending_is_full(&endpoint->pending)) endpoint_play(endpoint);
        }
        more |= left == 0;
        notice_tell(endpoint, &endpoint->logs[i]);
    }
    while (pending_first(&endpoint->pending)) endpoint_play(endpoint);
    return more;
}

/* -------------------------------------------------------------------- life */

static int add_log(struct endpoint *endpoint, const char *word, struct error *err) {
    struct log *log = &endpoint->logs[endpoint->log_count];
    const struct endpoint_options *options = &endpoint->options;
    if (hosts_check_log(word, err) < 0) return error_is_usage(err);
    int host = hosts_add(&endpoint->hosts, word, err);
    if (host < 0) return error_is_usage(err);
    *log = (struct log){.path = hosts_path(word), .host = (uint32_t)host, .newest = INT64_MIN / 2};
    log->file = log_file_open(log->path, options->follow, options->patient, err);
    if (!log->file) {
        struct error why = *err;
        error_set(err, "--host-log %s", why.text);
        return error_is_usage(err);
    }
    endpoint->log_count++;
    return 0;
}

static int endpoint_open(struct endpoint *endpoint, struct error *err) {
    const struct endpoint_logs *logs = &endpoint->options.logs;
    endpoint->logs = calloc(logs->count ? logs->count : 1, sizeof *endpoint->logs);
    endpoint->reader = calloc(1, sizeof *endpoint->reader);
    if (!endpoint->logs || !endpoint->reader) return error_set(err, "out of memory");
    endpoint->reader->context = endpoint;
    endpoint->reader->take = on_news;
    for (size_t i = 0; i < logs->count; i++)
        if (add_log(endpoint, logs->words[i], err) < 0) return -1;
    for (size_t i = 0; i < logs->offset_count; i++)
        if (hosts_set_offset(&endpoint->hosts, logs->offsets[i], err) < 0) return error_is_usage(err);
    endpoint->processes = process_table_new(ENDPOINT_PROCESSES, endpoint->options.words, err);
    if (!endpoint->processes) return -1;
    endpoint->sockets = sockets_new(ENDPOINT_SOCKETS, err);
    if (!endpoint->sockets) return -1;
    endpoint->arguments = words_new(ARGUMENT_WORDS, ARGUMENT_BYTES, err);
    return endpoint->arguments ? 0 : -1;
}

struct endpoint *endpoint_new(const struct endpoint_options *options, struct error *err) {
    struct endpoint *endpoint = calloc(1, sizeof *endpoint);
    if (!endpoint) {
        error_set(err, "out of memory");
        return NULL;
    }
    endpoint->options = *options;
    endpoint->played = endpoint->figures.newest = INT64_MIN;
    endpoint->figures.oldest = INT64_MAX;
    endpoint->source = (struct program_source){.context = endpoint, .by_pid = by_pid, .by_socket = by_socket};
    if (endpoint_open(endpoint, err) == 0) return endpoint;
    endpoint_free(endpoint);
    return NULL;
}

void endpoint_free(struct endpoint *endpoint) {
    if (!endpoint) return;
    for (uint32_t i = 0; i < endpoint->log_count; i++) log_file_close(endpoint->logs[i].file);
    pending_clear(&endpoint->pending);
    process_table_free(endpoint->processes);
    sockets_free(endpoint->sockets);
    words_free(endpoint->arguments);
    hosts_clear(&endpoint->hosts);
    free(endpoint->reader);
    free(endpoint->logs);
    free(endpoint);
}

/* ------------------------------------------------------------------ figures */

const struct hosts *endpoint_hosts(const struct endpoint *endpoint) {
    return &endpoint->hosts;
}

struct endpoint_figures endpoint_figures(const struct endpoint *endpoint) {
    struct endpoint_figures figures = endpoint->figures;
    const struct process_table_figures *processes = process_table_figures(endpoint->processes);
    for (uint32_t i = 0; i < endpoint->log_count; i++) {
        const struct log *log = &endpoint->logs[i];
        figures.lines += log->lines;
        figures.unknown += log->unknown;
        figures.broken += log->broken;
    }
    figures.skipped = endpoint->reader->others;
    figures.processes = processes->made;
    figures.processes_now = processes->now;
    figures.processes_evicted = processes->evicted;
    figures.sockets = sockets_made(endpoint->sockets);
    return figures;
}

static bool log_report(const struct log *log) {
    const char *title = block_title(log->path), *failure = log_file_failure(log->file);
    if (failure[0]) log_line(LOG_WARNING, "%s: not read to its end: %s", title, failure);
    if (log->lines == 0) log_line(LOG_WARNING, "%s: there is no line in it", title);
    if (log->lines == 0) return !failure[0];
    if (log->understood == 0) {
        log_line(LOG_WARNING,
                 "%s: nothing in it was understood: expected the lines of eslogger, log --style ndjson, "
                 "osquery or Santa",
                 title);
        return false;
    }
    if (log->broken + log->unknown > 0)
        log_line(LOG_WARNING, "%s: %llu of its %llu lines could not be read", title,
                 (unsigned long long)(log->broken + log->unknown), (unsigned long long)log->lines);
    return !failure[0];
}

bool endpoint_report(const struct endpoint *endpoint) {
    bool fine = true;
    for (uint32_t i = 0; i < endpoint->log_count; i++) fine &= log_report(&endpoint->logs[i]);
    return fine;
}
