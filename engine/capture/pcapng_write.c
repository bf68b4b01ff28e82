/* A block is a list of parts (numbers on the stack, bytes that lie elsewhere) that are either copied into the
 * buffer one behind the other or, if the block is larger than the buffer, given to writev() as they are. */
#include "capture/pcapng_write.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    BLOCK_INTERFACE = 1,
    BLOCK_STATISTICS = 5,
    BLOCK_ENHANCED = 6,
    OPTION_COMMENT = 1,
    OPTION_HARDWARE = 2, /* of the section header */
    OPTION_OS = 3,
    OPTION_APPLICATION = 4,
    OPTION_NAME = 2,       /* of an interface */
    OPTION_RESOLUTION = 9, /* power of ten of a time's unit */
    OPTION_FLAGS = 2,      /* of a packet: bits 0 and 1 are its direction (section 4.3.1) */
    NAME_MOST = 255,
    OPTION_PROCESS = 0x8001, /* of a packet, Apple's: numbers of process blocks, and so on */
    OPTION_SERVICE_CLASS = 0x8002,
    OPTION_EFFECTIVE = 0x8003,
    OPTION_METADATA = 0x8004,
    OPTION_FLOW_ID = 0x8005,
    OPTION_DROP_REASON = 0x8007,
    OPTION_DROP_LINE = 0x8008,
    PROCESS_NAME = 2, /* of a process block */
    PROCESS_PATH = 3,
    PROCESS_UUID = 4,
    PARTS = 32,
    INTERFACE_MOST = 16 + 4 + NAME_MOST + 1 + 8 + 4 + 4,
};
#define BLOCK_SECTION    0x0A0D0D0Au
#define BLOCK_PROCESS    0x80000001u
#define BYTE_ORDER_MAGIC 0x1A2B3C4Du

struct block {
    struct iovec parts[PARTS];
    int count;
    uint32_t length; /* so far, without the length at its end */
};

struct option_head {
    uint16_t code, length;
};

static void add(struct block *b, const void *bytes, size_t length) {
    if (length == 0) return;
    b->parts[b->count++] = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
    b->length += (uint32_t)length;
}

/* Everything is padded to 32 bits (section 3.6.2). */
static void add_padded(struct block *b, const void *bytes, size_t length) {
    static const uint8_t zeros[4];
    add(b, bytes, length);
    add(b, zeros, -length & 3u);
}

static uint16_t option_length(size_t length) {
    return (uint16_t)(length < PCAPNG_COMMENT_MOST ? length : PCAPNG_COMMENT_MOST);
}

/* `head` must live until the block is written. */
static void add_option(struct block *b, struct option_head *head, uint16_t code, const void *value,
                       size_t length) {
    if (length == 0) return;
    *head = (struct option_head){.code = code, .length = option_length(length)};
    add(b, head, sizeof *head);
    add_padded(b, value, head->length);
}

static void add_text(struct block *b, struct option_head *head, uint16_t code, const char *text) {
    if (text) add_option(b, head, code, text, strlen(text));
}

static void end_options(struct block *b) {
    static const struct option_head end;
    add(b, &end, sizeof end);
}

/* ── into the file ───────────────────────────────────────────────── */

/* The write failed when `there` bytes of `bytes` had been taken: keeps the whole blocks among them. */
static void cut_back(struct pcapng_writer *w, uint64_t before, const uint8_t *bytes, size_t there,
                     int failure) {
    size_t whole = 0;
    while (there - whole >= 8) {
        uint32_t type, length;
        memcpy(&type, bytes + whole, sizeof type);
        memcpy(&length, bytes + whole + 4, sizeof length);
        if (length > there - whole) break;
        w->packets += type == BLOCK_ENHANCED;
        whole += length;
    }
    w->failure = failure;
    w->size = before + whole;
    w->used = 0;
    /* If even that fails, readers meet a block that is cut short: most take what comes before it. */
    while (ftruncate(w->fd, (off_t)w->size) == -1 && errno == EINTR) {
    }
}

int pcapng_flush(struct pcapng_writer *w) {
    if (w->failure) return -1;
    size_t done = 0;
    while (done < w->used) {
        ssize_t n = write(w->fd, w->buffer + done, w->used - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            cut_back(w, w->size - w->used, w->buffer, done, n < 0 ? errno : EIO);
            return -1;
        }
        done += (size_t)n;
    }
    for (size_t at = 0; at < w->used;) {
        uint32_t type, length;
        memcpy(&type, w->buffer + at, sizeof type);
        memcpy(&length, w->buffer + at + 4, sizeof length);
        w->packets += type == BLOCK_ENHANCED;
        at += length;
    }
    w->used = 0;
    return 0;
}

/* A block that is larger than the buffer, which is empty. */
static int write_through(struct pcapng_writer *w, struct block *b, uint32_t type) {
    struct iovec *part = b->parts;
    int left = b->count;
    uint64_t before = w->size;
    while (left > 0) {
        ssize_t n = writev(w->fd, part, left);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            cut_back(w, before, NULL, 0, n < 0 ? errno : EIO);
            return -1;
        }
        size_t taken = (size_t)n;
        for (; left > 0 && taken >= part->iov_len; part++, left--) taken -= part->iov_len;
        if (left > 0) {
            part->iov_base = (uint8_t *)part->iov_base + taken;
            part->iov_len -= taken;
        }
    }
    w->size += b->length;
    w->packets += type == BLOCK_ENHANCED;
    return 0;
}

/* `head` begins with the block's type and its length, which is filled in here. */
static int put_block(struct pcapng_writer *w, struct block *b, uint32_t *head) {
    if (w->failure) return -1;
    uint32_t length = b->length + 4;
    add(b, &length, sizeof length);
    head[1] = length;
    if (length > w->room - w->used && pcapng_flush(w) != 0) return -1;
    if (length > w->room) return write_through(w, b, head[0]);
    uint8_t *out = w->buffer + w->used;
    for (int i = 0; i < b->count; i++) {
        memcpy(out, b->parts[i].iov_base, b->parts[i].iov_len);
        out += b->parts[i].iov_len;
    }
    w->used += length;
    w->size += length;
    return 0;
}

/* ── blocks ──────────────────────────────────────────────────────── */

void pcapng_begin(struct pcapng_writer *w, int fd, void *buffer, uint32_t room,
                  const struct pcapng_section *section,
                  const char *(*interface_name)(void *context, uint8_t interface), void *context) {
    *w = (struct pcapng_writer){
        .fd = fd, .buffer = buffer, .room = room, .interface_name = interface_name, .context = context};
    const uint16_t version[2] = {1, 0};
    const uint64_t unknown_length = UINT64_MAX;
    uint32_t head[3] = {BLOCK_SECTION, 0, BYTE_ORDER_MAGIC};
    struct option_head options[4];
    struct block b = {0};
    add(&b, head, sizeof head);
    add(&b, version, sizeof version);
    add(&b, &unknown_length, sizeof unknown_length);
    add_text(&b, &options[0], OPTION_HARDWARE, section->hardware);
    add_text(&b, &options[1], OPTION_OS, section->os);
    add_text(&b, &options[2], OPTION_APPLICATION, section->application);
    add_option(&b, &options[3], OPTION_COMMENT, section->comment.at, section->comment.length);
    end_options(&b);
    put_block(w, &b, head);
}

static int describe_interface(struct pcapng_writer *w, const struct packet *packet) {
    static const uint8_t nanosecond = 9;
    const char *name = w->interface_name ? w->interface_name(w->context, packet->interface) : NULL;
    size_t name_length = name ? strnlen(name, NAME_MOST) : 0;
    const uint16_t link_type[2] = {packet->link_type, 0};
    const uint32_t unlimited = 0;
    uint32_t head[2] = {BLOCK_INTERFACE, 0};
    struct option_head options[2];
    struct block b = {0};
    add(&b, head, sizeof head);
    add(&b, link_type, sizeof link_type);
    add(&b, &unlimited, sizeof unlimited);
    add_option(&b, &options[0], OPTION_NAME, name, name_length);
    add_option(&b, &options[1], OPTION_RESOLUTION, &nanosecond, 1);
    end_options(&b);
    if (put_block(w, &b, head) != 0) return -1;
    w->interfaces[w->interface_count].link_type = packet->link_type;
    w->interfaces[w->interface_count].interface = packet->interface;
    w->interface_count++;
    return 0;
}

/* The interface's number in the section, -1 if it has none yet. */
static int interface_known(const struct pcapng_writer *w, const struct packet *packet) {
    for (uint32_t i = 0; i < w->interface_count; i++)
        if (w->interfaces[i].interface == packet->interface &&
            w->interfaces[i].link_type == packet->link_type)
            return (int)i;
    return -1;
}

static int interface_number(struct pcapng_writer *w, const struct packet *packet) {
    int known = interface_known(w, packet);
    if (known >= 0) return known;
    if (w->interface_count == PCAPNG_INTERFACES || describe_interface(w, packet) != 0) return -1;
    return (int)w->interface_count - 1;
}

static bool process_known(const struct pcapng_writer *w, const struct packet_process *process,
                          uint32_t *number) {
    uint32_t back = w->process_count < PCAPNG_PROCESSES ? w->process_count : PCAPNG_PROCESSES;
    for (uint32_t i = w->process_count - back; i < w->process_count; i++) {
        if (w->processes[i % PCAPNG_PROCESSES] != process) continue;
        *number = i;
        return true;
    }
    return false;
}

/* Sees to it that the process is described, and gives its number. */
static int process_number(struct pcapng_writer *w, const struct packet_process *process, uint32_t *number) {
    if (!process || process_known(w, process, number)) return 0;
    uint32_t head[3] = {BLOCK_PROCESS, 0, (uint32_t)process->pid};
    struct option_head options[3];
    struct block b = {0};
    add(&b, head, sizeof head);
    add_text(&b, &options[0], PROCESS_NAME, process->name);
    add_text(&b, &options[1], PROCESS_PATH, process->path);
    if (process->has_uuid) add_option(&b, &options[2], PROCESS_UUID, process->uuid, sizeof process->uuid);
    end_options(&b);
    if (put_block(w, &b, head) != 0) return -1;
    *number = w->process_count++;
    w->processes[*number % PCAPNG_PROCESSES] = process;
    return 0;
}

static uint64_t process_most(const struct pcapng_writer *w, const struct packet_process *process) {
    enum { HEAD = 12, OPTION_HEAD = 4, PADDING = 3, UUID = 20, END = 4, LENGTH = 4 };
    uint32_t number;
    if (!process || process_known(w, process, &number)) return 0;
    return HEAD + 2 * (OPTION_HEAD + PADDING) + strlen(process->name) + strlen(process->path) + UUID + END +
           LENGTH;
}

/* What is said of a packet's sender, and the room for it to lie in until the block is written. */
struct origin_options {
    uint32_t process, effective;
    struct option_head heads[7];
};

static void add_origin(struct block *b, const struct packet_origin *o, struct origin_options *room) {
    struct option_head *head = room->heads;
    if (o->process) add_option(b, head++, OPTION_PROCESS, &room->process, 4);
    if (o->effective) add_option(b, head++, OPTION_EFFECTIVE, &room->effective, 4);
    if (o->service_class != ORIGIN_NO_CLASS)
        add_option(b, head++, OPTION_SERVICE_CLASS, &o->service_class, 4);
    if (o->flow_id) add_option(b, head++, OPTION_FLOW_ID, &o->flow_id, 4);
    if (o->drop_reason) add_option(b, head++, OPTION_DROP_REASON, &o->drop_reason, 4);
    if (o->drop_line) add_option(b, head++, OPTION_DROP_LINE, &o->drop_line, 2);
    if (o->flags) add_option(b, head, OPTION_METADATA, &o->flags, 4);
}

static uint64_t ticks_of(nanoseconds time) {
    return time < 0 ? 0 : (uint64_t)time;
}

int pcapng_packet(struct pcapng_writer *w, const struct packet *packet, struct slice comment) {
    if (w->failure) return -1;
    const struct packet_origin *origin = packet->origin;
    struct origin_options said;
    int number = interface_number(w, packet);
    if (number < 0) return -1;
    if (origin && process_number(w, origin->process, &said.process) != 0) return -1;
    if (origin && process_number(w, origin->effective, &said.effective) != 0) return -1;
    uint64_t ticks = ticks_of(packet->time);
    uint32_t head[7] = {
        BLOCK_ENHANCED,  0, (uint32_t)number, (uint32_t)(ticks >> 32), (uint32_t)ticks, packet->captured,
        packet->original};
    uint32_t flags = packet->direction == PACKET_IN ? 1 : 2;
    struct option_head options[2];
    struct block b = {0};
    add(&b, head, sizeof head);
    add_padded(&b, packet->bytes, packet->captured);
    bool directed = packet->direction != PACKET_DIRECTION_UNKNOWN;
    if (directed) add_option(&b, &options[0], OPTION_FLAGS, &flags, sizeof flags);
    if (origin) add_origin(&b, origin, &said);
    add_option(&b, &options[1], OPTION_COMMENT, comment.at, comment.length);
    if (directed || origin || comment.length) end_options(&b);
    return put_block(w, &b, head);
}

uint64_t pcapng_packet_most(const struct pcapng_writer *w, const struct packet *packet,
                            uint32_t comment_length) {
    enum { HEAD = 28, FLAGS = 8, ORIGIN = 7 * 8, OPTION_HEAD = 4, PADDING = 3, END = 4, LENGTH = 4 };
    uint64_t most = HEAD + (uint64_t)packet->captured + PADDING + FLAGS + END + LENGTH;
    if (packet->origin)
        most +=
            ORIGIN + process_most(w, packet->origin->process) + process_most(w, packet->origin->effective);
    if (comment_length) most += OPTION_HEAD + option_length(comment_length) + PADDING;
    return most + (interface_known(w, packet) < 0 ? INTERFACE_MOST : 0);
}

int pcapng_closing(struct pcapng_writer *w, nanoseconds time, struct slice comment) {
    if (w->failure) return -1;
    if (w->interface_count == 0) return 0;
    uint64_t ticks = ticks_of(time);
    uint32_t head[5] = {BLOCK_STATISTICS, 0, 0, (uint32_t)(ticks >> 32), (uint32_t)ticks};
    struct option_head option;
    struct block b = {0};
    add(&b, head, sizeof head);
    add_option(&b, &option, OPTION_COMMENT, comment.at, comment.length);
    if (comment.length) end_options(&b);
    return put_block(w, &b, head);
}
