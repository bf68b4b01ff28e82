/* What the files of a receiver share. Internal: receiver.c opens, queues and closes; receiver_run.c is the
 * threads. */
#ifndef LUNETTE_OUTPUT_RECEIVER_INNER_H
#define LUNETTE_OUTPUT_RECEIVER_INNER_H

#include "base/time.h"
#include "output/buffer.h"
#include "output/framing.h"
#include "output/link.h"
#include "output/receiver.h"
#include "output/record_file.h"
#include "output/spool.h"

#include <pthread.h>

struct receiver {
    char *name;
    struct receiver_options options;
    enum framing framing; /* of what is in the queue */
    bool is_syslog;
    bool is_threaded;         /* else the caller of receiver_write() does the work: replay's files */
    struct record_file *file; /* one of these two */
    struct link *link;
    struct spool *spool; /* or NULL; the thread's, under the mutex for its size */
    pthread_t thread;
    int wake[2]; /* a pipe: the thread looks again */

    pthread_mutex_t mutex; /* for what follows */
    pthread_cond_t room;   /* the queue has room again */
    struct buffer queue;   /* records that wait, the first at `head` */
    size_t head;
    size_t on_disk; /* bytes in the spool */
    bool is_awake;  /* a byte is in the pipe already */
    bool wants_rotation, is_closing, is_resolving, is_abandoned;
    int64_t deadline;   /* of closing, on the monotonic clock */
    int64_t down_since; /* on the monotonic clock; 0: healthy */
    int failure;        /* replay: errno of what ended it */
    bool has_lost;      /* since the trouble was told last */
    struct receiver_figures figures;

    /* The thread's alone. */
    struct buffer shelf; /* sockets: on its way from the queue to the spool, which had no room for it */
    struct buffer out;   /* what is being written or sent … */
    size_t sent;         /* … up to here */
    size_t from_memory;  /* its first bytes came from the queue, the rest from the spool */
};

int64_t monotonic_now(void); /* nanoseconds */

void *receiver_run_file(void *receiver);
void *receiver_run_link(void *receiver);

/* Appends at most `most` bytes of whole records from the queue (one record at least, if there is one) to
 * `out`. */
size_t receiver_take(struct receiver *receiver, struct buffer *out, size_t most);

/* Trouble is told when it begins and when it ends. */
void receiver_is_down(struct receiver *receiver, const char *trouble);
void receiver_is_up(struct receiver *receiver);

/* Lines that arrived, and their bytes. */
void receiver_delivered(struct receiver *receiver, uint64_t lines, uint64_t bytes);
void receiver_lost(struct receiver *receiver, uint64_t lines);

/* The end of an abandoned receiver, or of a closed one. */
void receiver_free(struct receiver *receiver);

#endif
