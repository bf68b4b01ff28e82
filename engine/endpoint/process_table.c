/* Slots in one array, found by a hash of (host, pid); an instance is linked into its bucket by start, and
 * into one of two rows by how soon it may go: those that ended, in the order in which they did, and those
 * that run. Slot 0 stands for "none". */
#include "endpoint/process_table.h"

#include "base/pages.h"

#include <stdlib.h>
#include <string.h>

/* Packets of a process may come after its end: what the kernel still sends, and what waited in queues. */
static const nanoseconds AFTER_EXIT = 30 * NS_PER_SECOND;
/* Whose start was not told was there for a while before it was seen. */
static const nanoseconds BEFORE_SEEN = 3600 * NS_PER_SECOND;
/* Clocks of the same host, written down at different moments; times in whole seconds. */
static const nanoseconds SLACK = 1 * NS_PER_SECOND;
/* Two lines that tell of the same exec, fork or exit. */
static const nanoseconds SAME = 1 * NS_PER_SECOND;

/* How far an instance may be off that goes by the kernel's name. */
static const nanoseconds NEAR = 2 * NS_PER_SECOND;

static const nanoseconds RUNS = INT64_MAX;

enum { LAUNCHD = 1, ARGUMENTS_MOST = 1024 };

struct row {
    uint32_t first, last;
};

struct process_table {
    struct process *slots;
    uint32_t *buckets;
    uint32_t most, bucket_mask, used;
    uint32_t free_first; /* given back; linked by `later` */
    struct row rows[2];  /* [0] ended, [1] running */
    struct words *words;
    struct process_table_figures figures;
};

/* ------------------------------------------------------------------- memory */

struct process_table *process_table_new(uint32_t most, struct words *words, struct error *err) {
    struct process_table *table = calloc(1, sizeof *table);
    uint32_t buckets = 64;
    while (buckets < most) buckets *= 2;
    if (table) {
        table->most = most;
        table->words = words;
        table->bucket_mask = buckets - 1;
        table->slots = pages_reserve(((size_t)most + 1) * sizeof *table->slots, false);
        table->buckets = pages_reserve((size_t)buckets * sizeof *table->buckets, false);
    }
    if (table && table->slots && table->buckets) return table;
    process_table_free(table);
    error_set(err, "out of memory for the table of processes");
    return NULL;
}

void process_table_free(struct process_table *table) {
    if (!table) return;
    for (uint32_t i = 1; i <= table->used; i++) free(table->slots[i].arguments);
    if (table->slots) pages_release(table->slots, ((size_t)table->most + 1) * sizeof *table->slots);
    if (table->buckets)
        pages_release(table->buckets, ((size_t)table->bucket_mask + 1) * sizeof *table->buckets);
    free(table);
}

static uint32_t *bucket_of(const struct process_table *table, uint32_t host, int32_t pid) {
    uint32_t hash = ((uint32_t)pid ^ host * 0x85ebca6bu) * 0x9e3779b1u;
    return &table->buckets[(hash ^ hash >> 15) & table->bucket_mask];
}

static uint32_t number_of(const struct process_table *table, const struct process *process) {
    return (uint32_t)(process - table->slots);
}

/* --------------------------------------------------------------------- rows */

static void row_leave(struct process_table *table, struct process *process) {
    struct row *row = &table->rows[!process->ended];
    if (process->earlier)
        table->slots[process->earlier].later = process->later;
    else
        row->first = process->later;
    if (process->later)
        table->slots[process->later].earlier = process->earlier;
    else
        row->last = process->earlier;
}

static void row_join(struct process_table *table, struct process *process) {
    struct row *row = &table->rows[!process->ended];
    uint32_t number = number_of(table, process);
    process->later = 0;
    process->earlier = row->last;
    if (row->last)
        table->slots[row->last].later = number;
    else
        row->first = number;
    row->last = number;
}

static void end_at(struct process_table *table, struct process *process, nanoseconds time) {
    if (process->ended) return;
    row_leave(table, process);
    process->ended = true;
    process->end = time > process->start ? time : process->start;
    row_join(table, process);
}

/* Linked both ways: a program that runs exec in a loop fills the table from one bucket, where the one that
 * gives way is always the last. */
static void bucket_join(struct process_table *table, struct process *process, uint32_t newer) {
    uint32_t number = number_of(table, process);
    uint32_t *at = newer ? &table->slots[newer].older : bucket_of(table, process->host, process->pid);
    process->newer = newer;
    process->older = *at;
    if (process->older) table->slots[process->older].newer = number;
    *at = number;
}

static void bucket_leave(struct process_table *table, const struct process *process) {
    if (process->older) table->slots[process->older].newer = process->newer;
    if (process->newer)
        table->slots[process->newer].older = process->older;
    else
        *bucket_of(table, process->host, process->pid) = process->older;
}

static void forget(struct process_table *table, struct process *process) {
    uint32_t number = number_of(table, process);
    bucket_leave(table, process);
    row_leave(table, process);
    free(process->arguments);
    *process = (struct process){.later = table->free_first};
    table->free_first = number;
    table->figures.now--;
}

static struct process *slot_take(struct process_table *table) {
    if (!table->free_first && table->used == table->most) {
        uint32_t goes = table->rows[0].first ? table->rows[0].first : table->rows[1].first;
        forget(table, &table->slots[goes]);
        table->figures.evicted++;
    }
    uint32_t number = table->free_first ? table->free_first : ++table->used;
    struct process *process = &table->slots[number];
    if (number == table->free_first) table->free_first = process->later;
    *process = (struct process){.used = true, .end = RUNS};
    table->figures.made++;
    if (++table->figures.now > table->figures.most) table->figures.most = table->figures.now;
    return process;
}

/* A new instance, in its place by time. What ran under that pid ends, and it ends itself where a later one
 * is known. */
static struct process *begin(struct process_table *table, uint32_t host, int32_t pid, nanoseconds start) {
    struct process *process = slot_take(table);
    process->host = host;
    process->pid = pid;
    process->parent_pid = process->responsible_pid = NEWS_NO_PID;
    process->uid = NEWS_NO_UID;
    process->start = start;
    row_join(table, process);
    uint32_t newer = 0, following = 0;
    for (uint32_t i = *bucket_of(table, host, pid); i && table->slots[i].start > start;
         i = table->slots[i].older) {
        if (table->slots[i].pid == pid && table->slots[i].host == host) following = i;
        newer = i;
    }
    bucket_join(table, process, newer);
    for (uint32_t i = process->older; i; i = table->slots[i].older) {
        struct process *before = &table->slots[i];
        if (before->pid != pid || before->host != host) continue;
        end_at(table, before, start);
        break;
    }
    if (following) end_at(table, process, table->slots[following].start);
    return process;
}

/* ------------------------------------------------------------------ look-up */

static struct process *find(const struct process_table *table, uint32_t host, int32_t pid, nanoseconds time,
                            nanoseconds grace) {
    struct process *first = NULL;
    for (uint32_t i = *bucket_of(table, host, pid); i; i = table->slots[i].older) {
        struct process *process = &table->slots[i];
        if (process->pid != pid || process->host != host) continue;
        first = process;
        if (process->start > time) continue;
        bool there = process->end == RUNS || time <= process->end || time - process->end <= grace;
        return there ? process : NULL;
    }
    return first && first->start - time <= SLACK ? first : NULL; /* nobody had the pid before */
}

const struct process *process_table_find(const struct process_table *table, uint32_t host, int32_t pid,
                                         nanoseconds time) {
    return find(table, host, pid, time, AFTER_EXIT);
}

/* Instances of a pid lie one behind the other in time: what ended long before ends the search. */
const struct process *process_table_find_named(const struct process_table *table, uint32_t host, int32_t pid,
                                               nanoseconds time, const char *name, bool *contradicted) {
    enum { LOOKED_AT = 256 };
    const struct process *usual = find(table, host, pid, time, AFTER_EXIT);
    *contradicted = false;
    if (usual && usual->name && program_is_named(usual->name, name)) return usual;
    int looked = 0;
    for (uint32_t i = *bucket_of(table, host, pid); i; i = table->slots[i].older) {
        const struct process *process = &table->slots[i];
        if (process->pid != pid || process->host != host || process->start > time + NEAR) continue;
        if (process->end != RUNS && process->end < time - NEAR) break;
        if (process->name && program_is_named(process->name, name)) return process;
        if (++looked == LOOKED_AT) break;
    }
    *contradicted = usual && usual->name;
    return NULL;
}

const struct process *process_table_parent(const struct process_table *table, const struct process *process) {
    if (process->parent_pid < LAUNCHD || process->parent_pid == process->pid) return NULL;
    nanoseconds then = process->start + (process->start_told ? 0 : BEFORE_SEEN);
    return find(table, process->host, process->parent_pid, then, AFTER_EXIT);
}

/* ------------------------------------------------------------------- images */

static const char *word_of(struct process_table *table, struct span text) {
    return text.at ? words_keep(table->words, text.at, text.length) : NULL;
}

/* What is not known yet. */
static void complete(struct process_table *table, struct process *process, const struct image *image) {
    if (!process->path) process->path = word_of(table, image->path);
    if (!process->name || image->path.at) process->name = word_of(table, image_name(image));
    if (!process->signing_id) process->signing_id = word_of(table, image->signing_id);
    if (!process->team_id) process->team_id = word_of(table, image->team_id);
    if (!process->platform) process->platform = image->platform;
    if (process->parent_pid == NEWS_NO_PID) process->parent_pid = image->parent_pid;
    if (process->responsible_pid == NEWS_NO_PID) process->responsible_pid = image->responsible_pid;
    if (image->uid != NEWS_NO_UID) process->uid = image->uid;
    if (!process->version) process->version = image->version;
}

/* Up to the oldest that is known. Launchd is the first process of every Mac, and told by no log. */
static void ancestors_find(struct process_table *table, struct process *process, int depth) {
    if (process->ancestors[0] || depth == PROGRAM_ANCESTORS) return;
    struct process *parent = (struct process *)process_table_parent(table, process);
    if (parent && parent->name) {
        ancestors_find(table, parent, depth + 1);
        process->ancestors[0] = parent->name;
        memcpy(&process->ancestors[1], parent->ancestors, sizeof parent->ancestors - sizeof(char *));
    } else if (process->parent_pid == LAUNCHD) {
        process->ancestors[0] = words_keep(table->words, "launchd", 7);
    }
}

/* Where a log tells only a name, the kernel has cut it to 16 bytes with the zero. */
static bool is_name(const char *known, struct span name) {
    enum { CUT = 15 };
    if (name.length >= CUT) return strncmp(known, name.at, CUT) == 0;
    return strlen(known) == name.length && memcmp(known, name.at, name.length) == 0;
}

/* Is the image that the news names another one than the instance has? */
static bool is_other(struct process_table *table, const struct process *process, const struct image *image) {
    if (image->version && process->version && image->version != process->version) return true;
    if (image->path.at && process->path) return word_of(table, image->path) != process->path;
    struct span name = image_name(image);
    return name.at && process->name && !is_name(process->name, name);
}

/* Whoever did something runs: the instance at that time, made where none is known. */
static struct process *learn(struct process_table *table, uint32_t host, const struct image *image,
                             nanoseconds time, bool *fresh) {
    *fresh = false;
    if (image->pid <= 0) return NULL;
    struct process *process = find(table, host, image->pid, time, 0);
    if (process && !is_other(table, process, image)) {
        complete(table, process, image);
        return process;
    }
    if (!process && !image->path.at && !image->name.at) return NULL;
    nanoseconds start = image->born ? image->born : process ? time : time - BEFORE_SEEN;
    if (process && start <= process->start) start = time; /* an exec that was not told */
    if (start > time) start = time;
    struct process *made = begin(table, host, image->pid, start);
    made->start_told = image->born || process;
    complete(table, made, image);
    *fresh = true;
    return made;
}

/* --------------------------------------------------------------------- news */

/* Zero bytes between arguments become spaces. */
static void arguments_take(struct process *process, struct span arguments) {
    if (!arguments.at || process->arguments) return;
    size_t length = arguments.length - 1; /* the last one's zero byte */
    if (length > ARGUMENTS_MOST) length = ARGUMENTS_MOST;
    process->arguments = malloc(length + 1);
    if (!process->arguments) return;
    for (size_t i = 0; i < length; i++) process->arguments[i] = arguments.at[i] ? arguments.at[i] : ' ';
    process->arguments[length] = '\0';
}

/* The instance whose beginning was told before, by another log or by the same line written twice; NULL if it
 * is news. The later line may be of the earlier time. */
static struct process *told_before(struct process_table *table, uint32_t host, const struct image *image,
                                   nanoseconds time, bool fork) {
    enum { LOOKED_AT = 64 };
    int looked = 0;
    for (uint32_t i = *bucket_of(table, host, image->pid); i; i = table->slots[i].older) {
        struct process *process = &table->slots[i];
        if (process->pid != image->pid || process->host != host || process->start > time + SAME) continue;
        if (process->start < time - SAME || ++looked > LOOKED_AT) break;
        if ((fork ? process->by_fork : process->by_exec) && !is_other(table, process, image)) return process;
    }
    return NULL;
}

static struct process *exec_take(struct process_table *table, uint32_t host, const struct news *news,
                                 bool *fresh) {
    const struct image *image = &news->image;
    bool ignored;
    if (image->pid <= 0) return NULL;
    struct process *told = told_before(table, host, image, news->time, false);
    if (told) {
        complete(table, told, image);
        arguments_take(told, news->arguments);
        *fresh = false;
        return told;
    }
    if (news->actor.pid == image->pid) learn(table, host, &news->actor, news->time, &ignored);
    struct process *before = find(table, host, image->pid, news->time, 0);
    struct process kept = before ? *before : (struct process){.parent_pid = NEWS_NO_PID};
    struct process *process = begin(table, host, image->pid, news->time);
    process->by_exec = process->start_told = true;
    complete(table, process, image);
    arguments_take(process, news->arguments);
    if (kept.parent_pid > 0 && (process->parent_pid <= LAUNCHD || process->parent_pid == kept.parent_pid)) {
        process->parent_pid = kept.parent_pid;
        memcpy(process->ancestors, kept.ancestors, sizeof kept.ancestors);
    }
    if (process->responsible_pid == NEWS_NO_PID && kept.used) process->responsible_pid = kept.responsible_pid;
    ancestors_find(table, process, 0);
    *fresh = true;
    return process;
}

/* Two logs' clocks differ a little: an exec that one of them told may seem to be before the other's fork. */
static nanoseconds fork_time(const struct process_table *table, uint32_t host, const struct news *news) {
    const struct process *now = find(table, host, news->image.pid, news->time, 0);
    bool by_exec = now && now->by_exec && !now->ended && news->time - now->start <= SAME;
    return by_exec ? now->start - 1 : news->time;
}

static struct process *fork_take(struct process_table *table, uint32_t host, const struct news *news,
                                 bool *fresh) {
    const struct image *image = &news->image;
    bool ignored;
    if (image->pid <= 0 || image->pid == news->actor.pid) return NULL;
    struct process *told = told_before(table, host, image, news->time, true);
    if (told) {
        complete(table, told, image);
        *fresh = false;
        return told;
    }
    const struct process *parent = learn(table, host, &news->actor, news->time, &ignored);
    struct process *child = begin(table, host, image->pid, fork_time(table, host, news));
    if (parent == child) parent = NULL; /* it gave way */
    child->start_told = child->by_fork = true;
    complete(table, child, image);
    child->parent_pid = news->actor.pid;
    *fresh = true;
    if (!parent) return child;
    if (!child->path) child->path = parent->path, child->name = parent->name;
    if (!child->signing_id) child->signing_id = parent->signing_id;
    if (!child->team_id) child->team_id = parent->team_id;
    if (!child->platform) child->platform = parent->platform;
    if (child->responsible_pid == NEWS_NO_PID) child->responsible_pid = parent->responsible_pid;
    if (child->uid == NEWS_NO_UID) child->uid = parent->uid;
    if (parent->arguments) child->arguments = strdup(parent->arguments);
    ancestors_find(table, child, 0);
    return child;
}

/* Told by two logs, it ends once. */
static struct process *exit_take(struct process_table *table, uint32_t host, const struct news *news,
                                 bool *fresh) {
    struct process *process = find(table, host, news->actor.pid, news->time, SAME);
    bool told = process && process->ended && !is_other(table, process, &news->actor);
    if (!told) process = learn(table, host, &news->actor, news->time, fresh);
    *fresh = process && !process->ended;
    if (!*fresh) return process;
    ancestors_find(table, process, 0);
    end_at(table, process, news->time);
    return process;
}

const struct process *process_table_take(struct process_table *table, uint32_t host, const struct news *news,
                                         bool *fresh) {
    struct process *process = NULL;
    *fresh = false;
    switch (news->action) {
    case NEWS_EXEC:
        return exec_take(table, host, news, fresh);
    case NEWS_FORK:
        return fork_take(table, host, news, fresh);
    case NEWS_EXIT:
        return exit_take(table, host, news, fresh);
    default:
        process = learn(table, host, &news->actor, news->time, fresh);
    }
    if (process) ancestors_find(table, process, 0);
    return process;
}

void process_table_describe(struct process_table *table, const struct process *process, struct program *out) {
    *out = (struct program){
        .pid = process->pid,
        .name = process->name,
        .path = process->path,
        .signing_id = process->signing_id,
        .team_id = process->team_id,
        .platform = process->platform,
    };
    ancestors_find(table, (struct process *)process, 0);
    memcpy(out->ancestors, process->ancestors, sizeof out->ancestors);
    if (process->responsible_pid <= 0) return;
    if (process->responsible_pid == process->pid) {
        out->responsible = process->path;
        return;
    }
    const struct process *responsible =
        find(table, process->host, process->responsible_pid, process->start, AFTER_EXIT);
    if (responsible) out->responsible = responsible->path;
}

const struct process_table_figures *process_table_figures(const struct process_table *table) {
    return &table->figures;
}
