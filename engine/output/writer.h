/* From several workers into files, in packet-time order, with nothing lost.
 *
 * Each worker has a stream. It puts lines (a record, or an alert's block of text) into the stream's open
 * chunk, each with a key that says when it belongs and a sink that says where. Full chunks go through a short
 * queue to the one writer thread, which merges the streams by (clock, worker) and writes to the sinks. When a
 * queue is full its worker waits.
 *
 *      worker 0 ─ open chunk ─▶ [ │ │ │ ] ─┐
 *      worker 1 ─ open chunk ─▶ [ │ │ ]   ─┼─▶ merge ─▶ records, terminal
 *      worker 2 ─ open chunk ─▶ [ ]       ─┘
 *
 * A stream whose queue is empty holds the others back until its watermark, the promise that later lines are
 * not older, has passed them. So each worker must say how far it is (record_stream_watermark, after each
 * batch, also when it wrote nothing) and that it is done (record_stream_close). All sinks go through the same
 * queue: with a queue each, two workers could wait for each other for ever.
 *
 * Within a worker lines may come a little out of order (each detector drinks a whole batch before the next
 * one does): a chunk is only closed between batches, and sorted by key. With one worker whose lines came in
 * order, chunks are written as they are.
 *
 * A write that fails (disk full, reader gone) is kept for writer_close(); what comes after it for that sink
 * is thrown away, so that workers do not stall. SIGPIPE must be ignored by the program. */
#ifndef LUNETTE_OUTPUT_WRITER_H
#define LUNETTE_OUTPUT_WRITER_H

#include "base/error.h"
#include "base/time.h"
#include "output/buffer.h"

#define WRITER_END (INT64_MAX - 1) /* the clock of what comes after everything */

struct writer;
struct record_stream;

enum {
    WRITER_SINKS = 2,
    WRITER_STREAMS = 65,                  /* 64 workers, and what is gathered from them */
    WRITER_QUEUE = 16,                    /* chunks of a stream that wait for the writer … */
    WRITER_QUEUE_BYTES = 8 * 1024 * 1024, /* … and their bytes, beyond which the worker waits */
    WRITER_CHUNK_BYTES = 256 * 1024,      /* a chunk this long is handed over at the next watermark … */
    WRITER_CHUNK_LIMIT = 4 * 1024 * 1024, /* … and one this long at once */
};

/* Where lines go. */
struct sink {
    int fd; /* -1: none; what is sent there is thrown away. Not closed by the writer */
    /* Or, instead of a descriptor: takes whole lines, deals with its failures itself. Called by the writer
     * thread. */
    void (*deliver)(void *receivers, const char *lines, size_t length);
    void *receivers;
    const char *name; /* for messages: a path or "standard output"; borrowed */
    bool prompt;      /* somebody is watching: hand chunks with such a line over soon, not when full */
    /* Called by the writer thread around each write, for whoever shares the terminal. May be NULL. */
    void (*before_write)(void *context);
    void (*after_write)(void *context);
    void *context;
};

/* When a line belongs, least first. Between workers only the clock counts, then the worker's number. */
struct line_key {
    nanoseconds clock;
    uint64_t seq;  /* of the event that caused it */
    uint32_t rank; /* 0 for the event itself, then its alerts */
};

struct writer *writer_open(const struct sink *sinks, uint32_t sink_count, uint32_t streams,
                           struct error *err);

/* Closes all streams, waits until all is written and frees. -1 and what went wrong first, if something did.
 */
int writer_close(struct writer *writer, struct error *err);

/* True once a write to that sink has failed: a good time to stop. Any thread. */
bool writer_failed(const struct writer *writer, uint32_t sink);

/* Bytes written to a sink so far. */
uint64_t writer_bytes(const struct writer *writer, uint32_t sink);

struct record_stream *writer_stream(struct writer *writer, uint32_t index);

/* The buffer to append a line to, or NULL if there is no use in it (the sink is shut or has failed). Then
 * commit or cancel. A stream is used by one thread at a time. */
struct buffer *record_begin(struct record_stream *stream, uint32_t sink);
void record_commit(struct record_stream *stream, struct line_key key);
void record_cancel(struct record_stream *stream);

/* Between batches: later lines of this stream have a clock of at least `clock`. May wait if the queue is
 * full. */
void record_stream_watermark(struct record_stream *stream, nanoseconds clock);

/* For a stream that others wait for and whose thread must never wait itself: its queue has no end. Whoever
 * feeds it looks at the backlog and waits in good time, with nothing of its own in an open chunk. */
void record_stream_hurry(struct record_stream *stream);
bool record_stream_is_behind(const struct record_stream *stream); /* any thread */
void record_stream_relieve(struct record_stream *stream);         /* waits until the queue has room again */

/* Between batches: hands over what there is, full or not. For live sensors, once a second or so. */
void record_stream_flush(struct record_stream *stream);

/* No more lines from this stream. */
void record_stream_close(struct record_stream *stream);

/* Lines that were lost because memory was short. */
uint64_t record_stream_lost(const struct record_stream *stream);

/* Opens a file for records: "-" is standard output. Creates it, or empties it unless `append`. -1 on failure.
 */
int writer_open_file(const char *path, bool append, struct error *err);

/* Writes all of it, through short writes, interruptions and descriptors that do not block. Returns 0 or an
 * errno. */
int write_whole(int fd, const char *at, size_t length);

#endif
