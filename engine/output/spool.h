/* Records that wait on disk for a receiver who is away: first in, first out, over restarts of the program.
 *
 *      FOLDER/NAME-HASH/lock                    held while the spool is open: one program a spool
 *                       0000000000000001.part   whole records, at most 4 MiB; one after the other in order
 *                       0000000000000002.part
 *                       cursor                  which record is the first that is still needed
 *
 * Reading does not take away: what has been read is kept until spool_taken() says that it has arrived, and
 * after spool_rewind() it is read again. When the bound is reached or the disk is full nothing more goes in
 * (what is in keeps its order). Records never span parts; a record that a crash cut short is left out. Used
 * by one thread. */
#ifndef LUNETTE_OUTPUT_SPOOL_H
#define LUNETTE_OUTPUT_SPOOL_H

#include "base/error.h"
#include "output/buffer.h"
#include "output/framing.h"

enum { SPOOL_PART_BYTES = 4 * 1024 * 1024 };

struct spool;

/* Makes the folder (mode 0700) if needed. `word` names the receiver. What an earlier run left is still in
 * there. */
struct spool *spool_open(const char *folder, const char *word, enum framing framing, uint64_t most_bytes,
                         struct error *err);
void spool_free(struct spool *spool);

/* Adds records at the end; returns how many bytes went in, whole records. *failure: an errno, or 0 if the
 * bound was all that stood in the way. */
size_t spool_append(struct spool *spool, const char *records, size_t length, int *failure);

/* Adds records before all others: what was under way when a connection broke. False if the disk will not have
 * them. */
bool spool_prepend(struct spool *spool, const char *records, size_t length);

/* Appends about `most` bytes of the next records to `out` (one at least, if there is one). Returns how many.
 */
size_t spool_read(struct spool *spool, struct buffer *out, size_t most);

/* The next `length` bytes that were read have arrived: whole records, in the order in which they were read.
 */
void spool_taken(struct spool *spool, size_t length);

/* What has been read and not taken is read again. */
void spool_rewind(struct spool *spool);

bool spool_is_empty(const struct spool *spool);    /* nothing left, taken or not */
bool spool_is_read_out(const struct spool *spool); /* nothing left to read */
uint64_t spool_bytes(const struct spool *spool);   /* not taken yet */

#endif
