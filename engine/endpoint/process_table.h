/* The table of processes: who had which pid on which host, and when.
 *
 * An instance is one image in one process: exec keeps the pid and begins a new instance, fork begins one with
 * the parent's image, exit ends one. So a pid has a row of instances behind each other in time, and whoever
 * asks names a time. Names of ancestors are kept with the instance, so that they are known when the parents
 * are gone, from the table as well.
 *
 * The table is bounded: instances that ended give way first, the one that ended first before others, then
 * those that began first. What is told later than it happened is put where it belongs. */
#ifndef LUNETTE_ENDPOINT_PROCESS_TABLE_H
#define LUNETTE_ENDPOINT_PROCESS_TABLE_H

#include "base/error.h"
#include "base/words.h"
#include "endpoint/news.h"

struct process_table;

struct process {
    uint32_t host;
    int32_t pid, parent_pid, responsible_pid;
    uint32_t version, uid;
    nanoseconds start, end; /* `end` is INT64_MAX while it runs */
    /* Words, NULL where nothing is known. */
    const char *name, *path, *signing_id, *team_id, *platform;
    const char *ancestors[PROGRAM_ANCESTORS];
    char *arguments; /* joined by spaces; owned, NULL if not told */
    /* the table's own */
    uint32_t older, newer;   /* instances of this bucket, by start, the latest first */
    uint32_t earlier, later; /* in the order in which they give way */
    bool used, ended;
    bool start_told; /* else it was there for a while when it was seen */
    bool by_exec;    /* a log told of its exec */
    bool by_fork;    /* … of its fork */
};

struct process_table_figures {
    uint32_t now, most;
    uint64_t made, evicted;
};

/* A table of at most `most` instances. `words` is borrowed. */
struct process_table *process_table_new(uint32_t most, struct words *words, struct error *err);
void process_table_free(struct process_table *table);

/* Takes in what happened to a process of that host. What is told twice within a second, by two logs or in
 * one, counts once: the same action, pid and image, and where both know it the same pidversion. Returns the
 * instance that the news is about: the new image of an exec, the child of a fork, what ended, who was seen;
 * `*fresh` says if it was not known before. NULL if the news is about no process. */
const struct process *process_table_take(struct process_table *table, uint32_t host, const struct news *news,
                                         bool *fresh);

/* The instance that had the pid at that time, or a moment ago; NULL if none is known. */
const struct process *process_table_find(const struct process_table *table, uint32_t host, int32_t pid,
                                         nanoseconds time);

/* The instance that had the pid at that time and may go by the kernel's name (program_is_named); else one
 * within two seconds of it that may, since an exec may lie between the packet's mark and the log's line, or
 * the clocks differ a little. NULL if there is none; `*contradicted` then says if the pid is known, as
 * another program's. */
const struct process *process_table_find_named(const struct process_table *table, uint32_t host, int32_t pid,
                                               nanoseconds time, const char *name, bool *contradicted);

/* The parent as it was when the instance began, or NULL. */
const struct process *process_table_parent(const struct process_table *table, const struct process *process);

/* All that is known, without the arguments. */
void process_table_describe(struct process_table *table, const struct process *process, struct program *out);

const struct process_table_figures *process_table_figures(const struct process_table *table);

#endif
