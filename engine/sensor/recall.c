/* An alert opens a saving: a file, who it waits for, and until when. Open savings stand at the front of a
 * list; whether a packet might be for one of them is asked of a mask of flow ids and one of addresses first,
 * so that packets of other flows cost next to nothing. ring: recall_ring.c, names: recall_folder.c, texts:
 * recall_comment.c, format: capture/pcapng_write.c. */
#include "sensor/recall.h"

#include "capture/pcapng_write.h"
#include "sensor/recall_comment.h"
#include "sensor/recall_folder.h"
#include "sensor/recall_ring.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
    WRITE_BUFFER = 16 * 1024,   /* of an open file */
    CLOSING_MOST = 16 * 1024,   /* the part of a file's bound that is kept for its last block */
    PENDING_MOST = 48 * 1024,   /* comments that wait for a packet */
    PACKETS_TEXT_MOST = 512,    /* comment_packets() */
    FILE_SMALLEST = 128 * 1024, /* its bound, that is */
    AT_ONCE_MOST = 1024,
    BURST = 64, /* files: flows share no packets, so even that many write little more than the ring holds */
    PACKET_OVERHEAD = 112, /* of an enhanced packet block with flags, who sent it, and padding */
    NUMBER_SIZE = 64,
};
static const nanoseconds window_most = 366 * 86400 * NS_PER_SECOND;

/* A file that packets are still added to. */
struct saving {
    struct pcapng_writer writer;
    uint64_t flow_id; /* 0: all packets of `who` */
    struct ip who;
    nanoseconds until;
    char name[FOLDER_NAME_SIZE];
    uint8_t *buffer;       /* WRITE_BUFFER bytes */
    struct buffer pending; /* comments for the next packet */
    bool full;             /* a packet did not fit: no later one is taken, so that there is no hole */
    uint64_t left_out;
    uint64_t packets, bytes; /* of it that the figures have */
    uint32_t alerts;
};

struct recall {
    pthread_mutex_t mutex;
    struct recall_options options;
    struct recall_folder folder;
    struct recall_ring ring;
    struct saving *savings;
    struct saving **order; /* all of them; the first `figures.open` are open */
    uint8_t *buffers;
    uint64_t flow_mask, who_mask; /* bits of what open savings wait for */
    nanoseconds clock;
    nanoseconds credit;   /* time saved up for files: a file costs a second / per_second */
    uint64_t next_number; /* of files without a flow */
    struct buffer comment;
    struct recall_figures figures;
    char hardware[NUMBER_SIZE], os[2 * NUMBER_SIZE];
    char *path; /* the one returned last */
    size_t path_size;
};

/* ── life ────────────────────────────────────────────────────────── */

struct recall_options recall_options_defaults(void) {
    return (struct recall_options){
        .ring_bytes = 32 << 20,
        .before = 60 * NS_PER_SECOND,
        .after = 30 * NS_PER_SECOND,
        .file_bytes = 4 << 20,
        .files = 1000,
        .at_once = 64,
        .per_second = 16,
    };
}

static nanoseconds window(nanoseconds time) {
    return time < 0 ? 0 : time > window_most ? window_most : time;
}

static void options_bound(struct recall_options *options) {
    options->before = window(options->before);
    options->after = window(options->after);
    if (options->file_bytes < FILE_SMALLEST) options->file_bytes = FILE_SMALLEST;
    if (options->files == 0) options->files = 1;
    if (options->at_once == 0) options->at_once = 1;
    if (options->at_once > AT_ONCE_MOST) options->at_once = AT_ONCE_MOST;
}

static nanoseconds file_cost(const struct recall *recall) {
    return recall->options.per_second ? NS_PER_SECOND / recall->options.per_second : 0;
}

static int recall_open(struct recall *recall, struct error *err) {
    uint32_t at_once = recall->options.at_once;
    if (folder_open(&recall->folder, recall->options.folder, err) != 0) return -1;
    recall->path_size = strlen(recall->folder.path) + 1 + FOLDER_NAME_SIZE;
    recall->path = malloc(recall->path_size);
    recall->savings = calloc(at_once, sizeof *recall->savings);
    recall->order = calloc(at_once, sizeof *recall->order);
    recall->buffers = malloc((size_t)at_once * WRITE_BUFFER);
    if (!recall->path || !recall->savings || !recall->order || !recall->buffers ||
        ring_open(&recall->ring, recall->options.ring_bytes) != 0)
        return error_set(err, "out of memory for the ring of rolling capture (%llu bytes a worker)",
                         (unsigned long long)recall->options.ring_bytes);
    for (uint32_t i = 0; i < at_once; i++) {
        recall->savings[i].buffer = recall->buffers + (size_t)i * WRITE_BUFFER;
        recall->order[i] = &recall->savings[i];
    }
    struct utsname machine;
    if (uname(&machine) == 0) {
        snprintf(recall->hardware, sizeof recall->hardware, "%.60s", machine.machine);
        snprintf(recall->os, sizeof recall->os, "%.60s %.60s", machine.sysname, machine.release);
    }
    return 0;
}

struct recall *recall_new(const struct recall_options *options, struct error *err) {
    struct recall *recall = calloc(1, sizeof *recall);
    if (!recall) {
        error_set(err, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&recall->mutex, NULL);
    recall->options = *options;
    recall->folder.fd = -1;
    recall->next_number = 1;
    options_bound(&recall->options);
    recall->credit = BURST * file_cost(recall);
    if (recall_open(recall, err) == 0) return recall;
    recall_free(recall);
    return NULL;
}

void recall_hold(struct recall *recall) {
    pthread_mutex_lock(&recall->mutex);
}

void recall_release(struct recall *recall) {
    pthread_mutex_unlock(&recall->mutex);
}

const struct recall_figures *recall_figures(const struct recall *recall) {
    return &recall->figures;
}

__attribute__((format(printf, 2, 3))) static void trouble(struct recall *recall, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(recall->figures.trouble, sizeof recall->figures.trouble, format, arguments);
    va_end(arguments);
}

/* ── what open files wait for ────────────────────────────────────── */

static uint64_t flow_bit(uint64_t flow_id) {
    return UINT64_C(1) << (flow_id & 63);
}

static uint64_t who_bit(const struct ip *who) {
    return UINT64_C(1) << ((who->bytes[15] ^ who->bytes[14] ^ who->bytes[13]) & 63);
}

static void masks_make(struct recall *recall) {
    recall->flow_mask = recall->who_mask = 0;
    for (uint32_t i = 0; i < recall->figures.open; i++) {
        const struct saving *saving = recall->order[i];
        if (saving->flow_id)
            recall->flow_mask |= flow_bit(saving->flow_id);
        else
            recall->who_mask |= who_bit(&saving->who);
    }
}

static bool is_for(const struct saving *saving, const struct decoded *decoded, uint64_t flow_id) {
    if (saving->flow_id) return saving->flow_id == flow_id;
    return ip_equals(&saving->who, &decoded->src) || ip_equals(&saving->who, &decoded->dst);
}

/* The open file of that flow, or of that host if it is 0. */
static struct saving *saving_of(const struct recall *recall, uint64_t flow_id, const struct ip *who) {
    for (uint32_t i = 0; i < recall->figures.open; i++) {
        struct saving *saving = recall->order[i];
        if (saving->flow_id == flow_id && (flow_id || ip_equals(&saving->who, who))) return saving;
    }
    return NULL;
}

/* ── a file's way ────────────────────────────────────────────────── */

static void count_written(struct recall *recall, struct saving *saving) {
    const struct pcapng_writer *w = &saving->writer;
    uint64_t bytes = w->size - w->used;
    if (w->packets == 0) return;
    recall->figures.files += saving->packets == 0;
    recall->figures.packets += w->packets - saving->packets;
    recall->figures.bytes += bytes - saving->bytes;
    saving->packets = w->packets;
    saving->bytes = bytes;
}

static void saving_flush(struct recall *recall, struct saving *saving) {
    pcapng_flush(&saving->writer);
    count_written(recall, saving);
}

static struct slice pending_text(const struct saving *saving, size_t most) {
    size_t length = saving->pending.failed ? 0 : saving->pending.length;
    return (struct slice){(const uint8_t *)saving->pending.at, (uint32_t)(length < most ? length : most)};
}

/* A buffer for the moment. */
static struct buffer *fresh_text(struct recall *recall) {
    recall->comment.length = 0;
    recall->comment.failed = false;
    return &recall->comment;
}

static void put_closing(struct recall *recall, struct saving *saving) {
    struct buffer *text = fresh_text(recall);
    char end[TIMESTAMP_LENGTH + 1];
    time_format_eve(saving->until, end);
    end[TIMESTAMP_LENGTH] = '\0';
    buffer_format(text, "%s until %s\nalerts:   %u\n",
                  recall->clock > saving->until ? "complete" : "stopped; wanted", end, saving->alerts);
    buffer_format(text, "left out: %llu packets for want of room at the end",
                  (unsigned long long)saving->left_out);
    struct slice late = pending_text(saving, CLOSING_MOST - 1024);
    if (late.length) {
        buffer_string(text, "\n\nNo packet came after this alert:\n");
        buffer_put(text, late.at, late.length);
    }
    nanoseconds now = recall->clock < saving->until ? recall->clock : saving->until;
    if (!text->failed)
        pcapng_closing(&saving->writer, now,
                       (struct slice){(const uint8_t *)text->at, (uint32_t)text->length});
}

/* Ends the file at `index` of the open ones. Returns whether it is there. */
static bool saving_end(struct recall *recall, uint32_t index) {
    struct saving *saving = recall->order[index];
    struct pcapng_writer *w = &saving->writer;
    if (w->packets > 0 || w->interface_count > 0) put_closing(recall, saving);
    saving_flush(recall, saving);
    if (close(w->fd) == -1 && !w->failure && errno != EINTR)
        w->failure = errno; /* file systems of a network */
    recall->figures.left_out += saving->left_out;
    bool kept = w->packets > 0;
    if (!kept) {
        unlinkat(recall->folder.fd, saving->name, 0);
        if (w->failure)
            recall->figures.refused++;
        else
            recall->figures.nothing++;
    }
    if (w->failure) {
        recall->figures.ended += kept;
        trouble(recall, "%s %s: %s", saving->name, kept ? "ended early" : "could not be written",
                strerror(w->failure));
    } else if (kept) {
        recall->figures.trouble[0] = '\0';
    }
    saving->pending.length = 0;
    saving->pending.failed = false;
    recall->figures.open--;
    recall->order[index] = recall->order[recall->figures.open];
    recall->order[recall->figures.open] = saving;
    masks_make(recall);
    return kept;
}

static void saving_append(struct recall *recall, struct saving *saving, const struct packet *packet) {
    struct slice comment = pending_text(saving, PCAPNG_COMMENT_MOST);
    uint64_t most = pcapng_packet_most(&saving->writer, packet, comment.length);
    if (saving->writer.size + most > recall->options.file_bytes - CLOSING_MOST) saving->full = true;
    if (saving->full || pcapng_packet(&saving->writer, packet, comment) != 0) {
        saving->left_out++;
        return;
    }
    saving->pending.length = 0;
    saving->pending.failed = false;
}

static void append_to_open(struct recall *recall, const struct packet *packet, const struct decoded *decoded,
                           uint64_t flow_id) {
    for (uint32_t i = recall->figures.open; i-- > 0;) {
        struct saving *saving = recall->order[i];
        if (!is_for(saving, decoded, flow_id) || packet->time > saving->until) continue;
        saving_append(recall, saving, packet);
        if (saving->writer.failure) saving_end(recall, i);
    }
}

/* The clock also pays for files; a jump fills the purse once, not more. */
static void clock_move(struct recall *recall, nanoseconds time) {
    if (time <= recall->clock) return;
    nanoseconds purse = BURST * file_cost(recall), passed = time - recall->clock;
    recall->credit = passed < purse - recall->credit ? recall->credit + passed : purse;
    recall->clock = time;
}

void recall_packet(struct recall *recall, const struct packet *packet, const struct decoded *decoded,
                   uint64_t flow_id) {
    clock_move(recall, packet->time);
    ring_add(&recall->ring, packet, &decoded->src, &decoded->dst, flow_id);
    recall->figures.too_large = recall->ring.too_large;
    if (recall->figures.open == 0) return;
    if ((recall->flow_mask & flow_bit(flow_id)) ||
        (recall->who_mask & (who_bit(&decoded->src) | who_bit(&decoded->dst))))
        append_to_open(recall, packet, decoded, flow_id);
}

void recall_advance(struct recall *recall, nanoseconds clock) {
    clock_move(recall, clock);
    for (uint32_t i = recall->figures.open; i-- > 0;) {
        struct saving *saving = recall->order[i];
        saving_flush(recall, saving);
        if (recall->clock > saving->until || saving->writer.failure) saving_end(recall, i);
    }
}

/* ── alerts ──────────────────────────────────────────────────────── */

static const char *path_of(struct recall *recall, const struct saving *saving) {
    snprintf(recall->path, recall->path_size, "%s/%s", recall->folder.path, saving->name);
    return recall->path;
}

static nanoseconds time_after(nanoseconds time, nanoseconds after) {
    nanoseconds sum;
    return __builtin_add_overflow(time, after, &sum) ? INT64_MAX : sum;
}

/* A further alert on the same flow. */
static void saving_add_alert(struct recall *recall, struct saving *saving, const struct alert *alert) {
    nanoseconds until = time_after(alert->time, recall->options.after);
    if (until > saving->until) saving->until = until;
    saving->alerts++;
    struct buffer *pending = &saving->pending;
    if (pending->length > PENDING_MOST - COMMENT_MOST) return; /* `alerts` tells that there were more */
    if (pending->length) buffer_string(pending, "\n\n");
    struct buffer *text = fresh_text(recall);
    comment_alert(text, alert);
    if (!text->failed) buffer_put(pending, text->at, text->length);
}

/* Who the file is about, for its name. */
static void name_who(const struct alert *alert, char out[IP_TEXT_SIZE + 64]) {
    out[0] = '\0';
    if (alert->who && alert->who[0])
        snprintf(out, IP_TEXT_SIZE + 64, "%s", alert->who);
    else if (alert->has_head)
        ip_format(!alert->head.client_local && alert->head.server_local ? &alert->head.server_ip
                                                                        : &alert->head.client_ip,
                  out);
}

static bool is_affordable(struct recall *recall) {
    if (recall->figures.open == recall->options.at_once) {
        trouble(recall, "%u files are open at once, the most there may be", recall->options.at_once);
        return false;
    }
    if (recall->credit < file_cost(recall)) {
        trouble(recall, "more than %u files a second", recall->options.per_second);
        return false;
    }
    recall->credit -= file_cost(recall);
    return true;
}

static int file_create(struct recall *recall, const struct alert *alert, uint64_t flow_id,
                       char name[FOLDER_NAME_SIZE]) {
    int removed = folder_prune(&recall->folder, recall->options.files - 1);
    if (removed < 0) {
        trouble(recall, "cannot keep the folder to %u files: %s", recall->options.files, strerror(errno));
        return -1;
    }
    recall->figures.removed += (uint64_t)removed;
    char who[IP_TEXT_SIZE + 64];
    name_who(alert, who);
    int fd = folder_create(&recall->folder, alert->time, alert->detector, who,
                           flow_id ? flow_id : recall->next_number++, name);
    if (fd == -1) trouble(recall, "cannot create %s: %s", name, strerror(errno));
    return fd;
}

/* Writes the header and what the ring has. */
static void saving_begin(struct recall *recall, struct saving *saving, const struct alert *alert, int fd) {
    const struct recall_options *options = &recall->options;
    struct buffer *text = &saving->pending;
    comment_alert(text, alert);
    const uint64_t texts = CLOSING_MOST + 2 * (text->length + PACKETS_TEXT_MOST);
    const struct ring_wish wish = {
        .flow_id = saving->flow_id,
        .who = saving->who,
        .time = alert->time,
        .before = options->before,
        .after = options->after,
        .bytes = (options->file_bytes - texts) / 4 * 3,
        .overhead = PACKET_OVERHEAD,
    };
    const struct ring_found found = ring_find(&recall->ring, &wish);
    comment_packets(text, &wish, &found);
    const struct pcapng_section section = {
        .comment = pending_text(saving, PCAPNG_COMMENT_MOST),
        .hardware = recall->hardware,
        .os = recall->os,
        .application = "lunette " LUNETTE_VERSION,
    };
    pcapng_begin(&saving->writer, fd, saving->buffer, WRITE_BUFFER, &section, options->interface_name,
                 options->context);
    for (const struct ring_entry *entry = found.first; entry; entry = ring_next(&recall->ring, entry)) {
        const struct packet packet = ring_packet(entry);
        saving_append(recall, saving, &packet);
    }
    recall->figures.left_out += found.no_room;
    saving_flush(recall, saving);
}

const char *recall_alert(struct recall *recall, const struct alert *alert, uint64_t flow_id) {
    static const struct ip nobody;
    struct ip who = nobody;
    if (!flow_id && (!alert->who || ip_parse(alert->who, &who) != 0 || ip_equals(&who, &nobody))) {
        recall->figures.nothing++;
        return NULL;
    }
    struct saving *saving = saving_of(recall, flow_id, &who);
    if (saving) {
        saving_add_alert(recall, saving, alert);
        return path_of(recall, saving);
    }
    int fd = -1;
    saving = is_affordable(recall) ? recall->order[recall->figures.open] : NULL;
    if (saving) fd = file_create(recall, alert, flow_id, saving->name);
    if (fd == -1) {
        recall->figures.refused++;
        return NULL;
    }
    saving->flow_id = flow_id;
    saving->who = who;
    saving->until = time_after(alert->time, recall->options.after);
    saving->full = false;
    saving->left_out = saving->packets = saving->bytes = 0;
    saving->alerts = 1;
    recall->figures.open++;
    masks_make(recall);
    saving_begin(recall, saving, alert, fd);
    if (saving->writer.failure && !saving_end(recall, recall->figures.open - 1)) return NULL;
    return path_of(recall, saving);
}

void recall_free(struct recall *recall) {
    if (!recall) return;
    while (recall->figures.open > 0) saving_end(recall, recall->figures.open - 1);
    if (recall->savings)
        for (uint32_t i = 0; i < recall->options.at_once; i++) buffer_free(&recall->savings[i].pending);
    buffer_free(&recall->comment);
    if (recall->ring.bytes) ring_close(&recall->ring);
    folder_close(&recall->folder);
    free(recall->savings);
    free(recall->order);
    free(recall->buffers);
    free(recall->path);
    pthread_mutex_destroy(&recall->mutex);
    free(recall);
}
