/* A file of records: whole lines are appended, and once it is large or old enough it is given a name with the
 * time in it and a new one is begun. Used by one thread at a time.
 *
 * No half line stays behind. When the disk is full in the middle of one, the file is cut back to where the
 * line began; where nothing can be cut (a pipe) the rest of the line goes first once there is room. */
#ifndef LUNETTE_OUTPUT_RECORD_FILE_H
#define LUNETTE_OUTPUT_RECORD_FILE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct record_file;

struct record_file_options {
    uint64_t rotate_bytes;   /* 0: never for its size */
    uint64_t rotate_seconds; /* 0: never for its age; else on the multiples of this, in UTC */
    uint32_t rotate_keep;    /* 0: all */
    bool wait;               /* for a pipe that is full; a live sensor does not wait */
};

/* A live sensor's file is locked (flock(2)): it is an error if another one has it. */
struct record_file *record_file_open(const char *path, const struct record_file_options *options,
                                     struct error *err);

/* One that is open already; it is borrowed and never rotated. */
struct record_file *record_file_from(int fd, const struct record_file_options *options, struct error *err);

/* Frees. Returns what close() said: 0 or an errno. */
int record_file_close(struct record_file *file);

int record_file_descriptor(const struct record_file *file);

/* Empties a regular file. */
int record_file_empty(struct record_file *file, struct error *err);

/* Writes lines. Returns how many bytes are done with, and in *failure why it stopped (0, or an errno; EAGAIN:
 * a pipe is full). On a regular file only whole lines are done with. Begins a new file before a line that
 * would make this one too large, and when `now` (seconds since 1970) is past its time. */
size_t record_file_write(struct record_file *file, const char *lines, size_t length, int64_t now,
                         int *failure);

/* Begins a new file; if the path no longer leads to the open one, that has been done by others and it is only
 * opened anew. An empty file stays. -1: the old one goes on. */
int record_file_rotate(struct record_file *file, int64_t now, struct error *err);

/* Live: has the file been deleted under us, so that nobody would find what is written? Then a new one is
 * begun, and that is told. One that was moved goes on until it is rotated, as logrotate expects. */
void record_file_look(struct record_file *file, int64_t now);

/* Whether there is anything to look at, once a second. */
bool record_file_is_watched(const struct record_file *file);

/* When record_file_age() should be called next, in seconds since 1970; INT64_MAX: never. */
int64_t record_file_next(const struct record_file *file);

/* Rotates if its time has come. */
int record_file_age(struct record_file *file, int64_t now, struct error *err);

#endif
