/* A file of lines: read to its end once, or followed while it grows.
 *
 * Read once, it may be compressed (gzip, zstd), a pipe, or "-" for standard input. Followed, it is looked at
 * again and again without waiting, as `tail -F` does: a new file under its name is read from its beginning
 * when the old one has been read to its end, and so is one that became shorter. Lines are at most
 * LOG_LINE_MOST bytes; of longer ones the rest is skipped. */
#ifndef LUNETTE_ENDPOINT_LOG_FILE_H
#define LUNETTE_ENDPOINT_LOG_FILE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_file;

/* eslogger prints the environment with each exec: up to 1 MiB, and more with what JSON escapes. */
enum { LOG_LINE_MOST = 8 << 20, LOG_BACKLOG_MOST = 64 << 20 };

enum log_progress {
    LOG_LINE,     /* a line is there */
    LOG_TOO_LONG, /* a line was too long, and is gone */
    LOG_WAIT,     /* nothing more for now: followed files only */
    LOG_END,
};

/* `path` is borrowed. Of a file that is followed what is there already is shown first, at most its last
 * LOG_BACKLOG_MOST bytes; it need not be there yet. `patient`: whatever else keeps it from being opened may
 * pass too. NULL and why if it cannot be opened. */
struct log_file *log_file_open(const char *path, bool follow, bool patient, struct error *err);
void log_file_close(struct log_file *file);

/* The next line, without its end; borrowed until the next call. At most `*budget` bytes are read, and taken
 * from it; what is left unread is read by the next call. */
enum log_progress log_file_next(struct log_file *file, const char **line, size_t *length, size_t *budget);

/* Number of the line shown last, from 1; of a followed file that was replaced, within the new one. After a
 * backlog that was cut, within what was read. */
uint64_t log_file_number(const struct log_file *file);

/* Was that line in the file when it was opened? Always false of what is read once. */
bool log_file_is_backlog(const struct log_file *file);

/* Something of a followed file that the operator should know, told once each time it happens: it is not there
 * yet, or it is gone and nothing took its place for some seconds. NULL otherwise. */
const char *log_file_notice(struct log_file *file);

/* What went wrong while it was read, "" if nothing: a broken gzip stream, a file that is gone. */
const char *log_file_failure(const struct log_file *file);

#endif
