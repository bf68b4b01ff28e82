/* Capture files as one stream: opens them, interns interface names, merges by time, collects warnings.
 *
 * One file is read straight into the caller's burst. Several are merged through a heap of files, ordered by
 * the time of each one's next packet; a file has a small queue of packets that point into its window. When
 * the earliest file has to read on, which would void packets of its that are in the burst already, the burst
 * ends there and the next one begins with that read.
 *
 * A set of rotated files may count thousands, few of which overlap in time. So a regular file is opened,
 * looked at up to its first packet, closed, and opened again when its time comes: descriptors and buffers are
 * held only by the files that are being read. */
#include "capture/capture.h"
#include "capture/format.h"
#include "capture/pktap.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { INTERFACES = 256, NAME_LONGEST = 255 };

struct interface_names {
    char *name[INTERFACES]; /* [0] is never used */
    uint32_t count;
};

struct source {
    const char *path; /* borrowed from the capture's copy */
    enum format format;
    union {
        struct pcap_file pcap;
        struct pcapng_file pcapng;
    };
    struct attribution from;
    struct block_reader in;
    bool asleep; /* closed after the look at its first packet, which is at `next` */
    bool over;
    nanoseconds next;     /* time of the packet at queue_at */
    struct packet *queue; /* PACKET_BURST, when awake and merged */
    int queue_at, queue_count;
};

struct capture {
    struct source *sources;
    size_t count;
    size_t *heap; /* indices into sources, earliest first */
    size_t heap_count;
    struct interface_names names;
    struct processes *processes; /* that its packets name */
    char **paths;
    char **warnings;
    size_t warning_count, warning_room;
    size_t damaged; /* files that ended before their time */
};

uint8_t interface_names_index(struct interface_names *names, const uint8_t *name, uint32_t length) {
    const uint8_t *nul = memchr(name, 0, length); /* old writers count the NUL into the name */
    if (nul) length = (uint32_t)(nul - name);
    if (length == 0) return 0;
    if (length > NAME_LONGEST) length = NAME_LONGEST;
    for (uint32_t i = 1; i <= names->count; i++)
        if (strlen(names->name[i]) == length && memcmp(names->name[i], name, length) == 0) return (uint8_t)i;
    if (names->count + 1 >= INTERFACES) return 0;
    char *copy = strndup((const char *)name, length);
    if (!copy) return 0;
    names->name[++names->count] = copy;
    return (uint8_t)names->count;
}

__attribute__((format(printf, 2, 3))) static void warn(struct capture *c, const char *format, ...) {
    if (c->warning_count == c->warning_room) {
        size_t room = c->warning_room ? c->warning_room * 2 : 8;
        char **more = realloc(c->warnings, room * sizeof *more);
        if (!more) return;
        c->warnings = more;
        c->warning_room = room;
    }
    va_list arguments;
    va_start(arguments, format);
    char *text = NULL;
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length >= 0) c->warnings[c->warning_count++] = text;
}

static void source_close(struct source *s) {
    if (s->format == FORMAT_PCAPNG) pcapng_file_end(&s->pcapng);
    s->format = FORMAT_UNKNOWN;
    origins_free(&s->from.origins);
    block_close(&s->in);
    free(s->queue);
    s->queue = NULL;
}

/* Opens a file and reads its header. */
static int source_open(struct capture *c, struct source *s, struct error *err) {
    if (block_open(&s->in, s->path, err) < 0) return -1;
    s->from = (struct attribution){.processes = &c->processes};
    enum format format = format_detect(&s->in);
    struct error inner;
    int opened = -1;
    if (format == FORMAT_UNKNOWN) {
        format_describe(&s->in, s->path, err);
    } else {
        opened = format == FORMAT_PCAP ? pcap_file_begin(&s->pcap, &s->in, &inner)
                                       : pcapng_file_begin(&s->pcapng, &s->in, &c->names, &s->from, &inner);
        if (opened < 0) error_set(err, "%s: %s", block_title(s->path), inner.text);
    }
    s->format = opened < 0 ? FORMAT_UNKNOWN : format;
    if (opened < 0) source_close(s);
    return opened;
}

static uint8_t header_interface(void *names, const uint8_t *name, uint32_t length) {
    return interface_names_index(names, name, length);
}

static bool has_pktap(const struct source *s) {
    return s->format == FORMAT_PCAP ? pktap_is_possible(s->pcap.link_type) : s->pcapng.pktap;
}

static void strip_headers(struct capture *c, struct source *s, struct packet *packets, int count) {
    const struct pktap_names names = {.origins = &s->from.origins,
                                      .processes = &c->processes,
                                      .refused = &s->from.refused,
                                      .interface = header_interface,
                                      .context = &c->names};
    for (int i = 0; i < count; i++)
        if (pktap_is_possible(packets[i].link_type)) pktap_strip(&names, &packets[i]);
}

/* Once a file, when it is over. */
static void warn_of_processes(struct capture *c, const struct source *s) {
    if (s->from.refused == 0) return;
    warn(c, "%s: names more processes than are kept; %llu times one was taken for nobody",
         block_title(s->path), (unsigned long long)s->from.refused);
}

/* Once a file, when it is over. */
static void warn_of_lengths(struct capture *c, const struct source *s) {
    uint64_t odd = s->format == FORMAT_PCAP ? s->pcap.odd_lengths : s->pcapng.odd_lengths;
    if (odd == 0) return;
    warn(c, "%s: %llu packet%s to have been longer than 1 MiB on the wire; counted as long as captured",
         block_title(s->path), (unsigned long long)odd, odd == 1 ? " claims" : "s claim");
}

/* Up to `max` packets of one file. Fewer than one: the file is over, or must be allowed to read on. */
static int source_read(struct capture *c, struct source *s, struct packet *out, int max, bool may_fill) {
    struct format_end end;
    end.over = false;
    end.text[0] = end.note[0] = 0;
    int count = s->format == FORMAT_PCAP ? pcap_file_read(&s->pcap, &s->in, out, max, may_fill, &end)
                                         : pcapng_file_read(&s->pcapng, &s->in, out, max, may_fill, &end);
    if (end.note[0]) warn(c, "%s: %s", block_title(s->path), end.note);
    if (end.over) {
        s->over = true;
        if (end.text[0]) {
            warn(c, "%s: %s", block_title(s->path), end.text);
            c->damaged++;
        }
        warn_of_lengths(c, s);
        warn_of_processes(c, s);
    }
    if (has_pktap(s)) strip_headers(c, s, out, count);
    return count;
}

static bool earlier(const struct capture *c, size_t a, size_t b) {
    nanoseconds left = c->sources[a].next, right = c->sources[b].next;
    return left != right ? left < right : a < b;
}

static void sift_down(struct capture *c, size_t at) {
    size_t moving = c->heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= c->heap_count) break;
        if (child + 1 < c->heap_count && earlier(c, c->heap[child + 1], c->heap[child])) child++;
        if (!earlier(c, c->heap[child], moving)) break;
        c->heap[at] = c->heap[child];
        at = child;
    }
    c->heap[at] = moving;
}

/* Fills the queue of a merged file. False if there is nothing (more, or yet). */
static bool source_fill_queue(struct capture *c, struct source *s, bool may_fill) {
    s->queue_at = 0;
    s->queue_count = source_read(c, s, s->queue, PACKET_BURST, may_fill);
    if (s->queue_count > 0) s->next = s->queue[0].time;
    return s->queue_count > 0;
}

static bool source_make_queue(struct source *s) {
    if (!s->queue) s->queue = calloc(PACKET_BURST, sizeof *s->queue);
    return s->queue != NULL;
}

/* The first look at a file that will be merged: when does it begin? */
static int source_look(struct capture *c, struct source *s, struct error *err) {
    if (!source_make_queue(s)) return error_set(err, "%s: out of memory", block_title(s->path));
    bool any;
    bool can_open_again = s->in.file_size > 0 && strcmp(s->path, "-") != 0;
    if (can_open_again) {
        any = source_read(c, s, s->queue, 1, true) == 1;
        s->next = s->queue[0].time;
        s->asleep = any;
        source_close(s);
    } else {
        any = source_fill_queue(c, s, true);
        if (!any) source_close(s);
    }
    if (any) c->heap[c->heap_count++] = (size_t)(s - c->sources);
    return 0;
}

static void source_wake(struct capture *c, struct source *s) {
    struct error err;
    s->asleep = false;
    if (source_open(c, s, &err) < 0) {
        s->over = true;
        warn(c, "%s", err.text);
        c->damaged++;
    } else if (!source_make_queue(s) || !source_fill_queue(c, s, true)) {
        s->over = true;
    }
}

static void drop_earliest(struct capture *c) {
    struct source *s = &c->sources[c->heap[0]];
    source_close(s);
    s->over = true;
    c->heap[0] = c->heap[--c->heap_count];
    if (c->heap_count > 0) sift_down(c, 0);
}

static int merge_burst(struct capture *c, struct packet burst[PACKET_BURST]) {
    int count = 0;
    while (count < PACKET_BURST && c->heap_count > 0) {
        struct source *s = &c->sources[c->heap[0]];
        if (s->asleep) {
            source_wake(c, s);
            if (s->over)
                drop_earliest(c);
            else
                sift_down(c, 0);
            continue;
        }
        if (s->queue_at == s->queue_count) {
            if (source_fill_queue(c, s, count == 0)) {
                sift_down(c, 0);
                continue;
            }
            if (!s->over) break;
            drop_earliest(c); /* it was found to be over only by reading on, so the burst is still empty */
            continue;
        }
        burst[count++] = s->queue[s->queue_at++];
        if (s->queue_at < s->queue_count) {
            s->next = s->queue[s->queue_at].time;
            sift_down(c, 0);
        }
    }
    return count;
}

int capture_next_burst(struct capture *c, struct packet burst[PACKET_BURST]) {
    if (c->heap) return merge_burst(c, burst);
    struct source *s = &c->sources[0];
    return s->over ? 0 : source_read(c, s, burst, PACKET_BURST, true);
}

static int check_paths(const char *const *paths, size_t count, struct error *err) {
    if (count == 0) return error_set(err, "no capture file was named");
    bool standard_input = false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(paths[i], "-") != 0) continue;
        if (standard_input)
            return error_set(err, "standard input (\"-\") was named twice; it can be read once");
        standard_input = true;
    }
    return 0;
}

static int open_sources(struct capture *c, const char *const *paths, struct error *err) {
    bool merged = c->count > 1;
    for (size_t i = 0; i < c->count; i++) {
        struct source *s = &c->sources[i];
        c->paths[i] = strdup(paths[i]);
        if (!c->paths[i]) return error_set(err, "out of memory");
        s->path = c->paths[i];
        if (source_open(c, s, err) < 0) return -1;
        if (merged && source_look(c, s, err) < 0) return -1;
    }
    if (merged && c->heap_count > 1)
        for (size_t i = c->heap_count / 2; i-- > 0;) sift_down(c, i);
    return 0;
}

struct capture *capture_open(const char *const *paths, size_t count, struct error *err) {
    if (check_paths(paths, count, err) < 0) return NULL;
    struct capture *c = calloc(1, sizeof *c);
    if (c) {
        c->sources = calloc(count, sizeof *c->sources);
        c->paths = calloc(count, sizeof *c->paths);
        if (count > 1) c->heap = calloc(count, sizeof *c->heap);
    }
    if (!c || !c->sources || !c->paths || (count > 1 && !c->heap)) {
        error_set(err, "out of memory");
        capture_close(c);
        return NULL;
    }
    c->count = count;
    if (open_sources(c, paths, err) < 0) {
        capture_close(c);
        return NULL;
    }
    return c;
}

const char *capture_warning(struct capture *c, size_t index) {
    return index < c->warning_count ? c->warnings[index] : NULL;
}

uint64_t capture_damaged(const struct capture *c) {
    return c->damaged;
}

const char *capture_interface_name(const struct capture *c, uint8_t interface) {
    return interface > 0 && interface <= c->names.count ? c->names.name[interface] : "";
}

void capture_progress(const struct capture *c, uint64_t *done, uint64_t *total) {
    *done = *total = 0;
    bool unknown = false;
    for (size_t i = 0; i < c->count; i++) {
        const struct source *s = &c->sources[i];
        if (!s->asleep) *done += s->in.file_read;
        *total += s->in.file_size;
        if (s->in.file_size == 0) unknown = true;
    }
    if (unknown) *total = 0;
}

void capture_close(struct capture *c) {
    if (!c) return;
    for (size_t i = 0; i < c->count; i++) {
        source_close(&c->sources[i]);
        free(c->paths[i]);
    }
    for (size_t i = 0; i < c->warning_count; i++) free(c->warnings[i]);
    for (uint32_t i = 1; i <= c->names.count; i++) free(c->names.name[i]);
    processes_free(c->processes);
    free(c->warnings);
    free(c->paths);
    free(c->sources);
    free(c->heap);
    free(c);
}
