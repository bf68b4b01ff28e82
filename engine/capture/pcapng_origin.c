/* See pcapng_origin.h. What a section names is bounded; what goes beyond is nobody. */
#include "capture/pcapng_origin.h"
#include "capture/pktap.h"

#include <stdlib.h>

enum {
    OPTION_COMMENT = 1,
    OPTION_FLAGS = 2, /* bits 0 and 1: 1 inbound, 2 outbound */
    OPTION_PID_TID = 8,
    OPTION_PROCESS = 0x8001,
    OPTION_SERVICE_CLASS = 0x8002,
    OPTION_EFFECTIVE = 0x8003,
    OPTION_METADATA = 0x8004,
    OPTION_FLOW_ID = 0x8005,
    OPTION_DROP_REASON = 0x8007,
    OPTION_DROP_LINE = 0x8008,
    OPTION_DROP_FUNCTION = 0x8009,

    PROCESS_NAME = 2, /* options of a process, Apple's */
    PROCESS_PATH = 3,
    PROCESS_UUID = 4,

    WIRESHARK = 32622, /* private enterprise number */
    ENTRY_PROCESS = 3,
    ENTRY_NAME = 2, /* options of a process, Wireshark's */
    ENTRY_PATH = 3,
    ENTRY_UUID = 8,
    ENTRY_START = 9,

    LISTED_MOST = 262144, /* process information blocks of a section */
    TOLD_MOST = 65536,    /* Wireshark's */
    BUCKETS = 1024,
    STEPS_MOST = 512, /* along a bucket's list */
};

/* A process that packets name by its id. */
struct told {
    const struct packet_process *process;
    nanoseconds start; /* 0 unknown */
    uint32_t before;   /* 1 + number of the one before it in its bucket, 0: none */
};

struct section_processes {
    const struct packet_process **listed; /* by running number; NULL: a block that names nobody */
    uint32_t listed_count, listed_room;
    struct told *told;
    uint32_t told_count, told_room;
    uint32_t bucket[BUCKETS]; /* 1 + number of the latest */
};

static struct section_processes *section(struct pcapng_file *f) {
    if (!f->processes) f->processes = calloc(1, sizeof *f->processes);
    return f->processes;
}

/* Room for one more. */
static bool grow(void *items, uint32_t *room, uint32_t count, size_t size, uint32_t most) {
    if (count < *room) return true;
    uint32_t larger = *room ? *room * 2 : 16;
    if (count >= most) return false;
    void *grown = realloc(*(void **)items, larger * size);
    if (!grown) return false;
    *(void **)items = grown;
    *room = larger;
    return true;
}

static const struct packet_process *keep(struct pcapng_file *f, int32_t pid, struct slice name,
                                         struct slice path, const uint8_t *uuid) {
    return processes_keep(f->from->processes, pid, name, path, uuid, &f->from->refused);
}

static void read_listed(struct pcapng_file *f, const uint8_t *body, uint32_t length) {
    struct section_processes *s = section(f);
    void *listed = s ? s->listed : NULL;
    if (!s || !grow(&listed, &s->listed_room, s->listed_count, sizeof *s->listed, LISTED_MOST)) {
        f->from->refused++;
        return;
    }
    s->listed = listed;
    const struct packet_process *process = NULL;
    if (length >= 4) {
        struct cursor options = cursor_over(body + 4, length - 4);
        struct slice name = {0}, path = {0}, value;
        const uint8_t *uuid = NULL;
        uint16_t code;
        while (pcapng_next_option(&options, f->swapped, &code, &value)) {
            if (code == PROCESS_NAME) name = value;
            if (code == PROCESS_PATH) path = value;
            if (code == PROCESS_UUID && value.length == 16) uuid = value.at;
        }
        process = keep(f, (int32_t)format_load32(body, f->swapped), name, path, uuid);
    }
    s->listed[s->listed_count++] = process;
}

static uint32_t *bucket_of(struct section_processes *s, int32_t pid) {
    return &s->bucket[((uint32_t)pid * 2654435761u) >> 22];
}

/* The block's own numbers are in the section's order, those of the entry little-endian always. */
static void read_told(struct pcapng_file *f, const uint8_t *body, uint32_t length) {
    static const bool swapped = __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__;
    if (length < 16 || format_load32(body, f->swapped) != WIRESHARK) return;
    uint32_t size = load_le32(body + 8);
    if (load_le32(body + 4) != ENTRY_PROCESS || size < 4 || size > length - 12) return;
    struct cursor options = cursor_over(body + 16, size - 4);
    struct slice name = {0}, path = {0}, value;
    const uint8_t *uuid = NULL;
    uint64_t start = 0;
    uint16_t code;
    while (pcapng_next_option(&options, swapped, &code, &value)) {
        if (code == ENTRY_NAME) name = value;
        if (code == ENTRY_PATH) path = value;
        if (code == ENTRY_UUID && value.length == 16) uuid = value.at;
        if (code == ENTRY_START && value.length == 8) start = load_le64(value.at);
    }
    int32_t pid = (int32_t)load_le32(body + 12);
    const struct packet_process *process = keep(f, pid, name, path, uuid);
    if (!process) return;
    struct section_processes *s = section(f);
    void *told = s ? s->told : NULL;
    if (!s || !grow(&told, &s->told_room, s->told_count, sizeof *s->told, TOLD_MOST)) {
        f->from->refused++;
        return;
    }
    s->told = told;
    uint32_t *bucket = bucket_of(s, pid);
    s->told[s->told_count] = (struct told){
        .process = process, .start = start > INT64_MAX ? INT64_MAX : (nanoseconds)start, .before = *bucket};
    *bucket = ++s->told_count;
}

void pcapng_process_read(struct pcapng_file *f, uint32_t type, const uint8_t *body, uint32_t length) {
    if (type == 0x80000001u)
        read_listed(f, body, length);
    else
        read_told(f, body, length);
}

void pcapng_processes_forget(struct pcapng_file *f) {
    if (!f->processes) return;
    free(f->processes->listed);
    free(f->processes->told);
    free(f->processes);
    f->processes = NULL;
}

/* ── of a packet ─────────────────────────────────────────────────── */

static const struct packet_process *listed(const struct pcapng_file *f, uint32_t number) {
    const struct section_processes *s = f->processes;
    return s && number < s->listed_count ? s->listed[number] : NULL;
}

/* Of the processes with that id, the one that had started last by then; else the one that was named last. */
static const struct packet_process *told(struct pcapng_file *f, int32_t pid, nanoseconds time) {
    static const struct slice nothing;
    const struct told *last = NULL, *best = NULL;
    struct section_processes *s = f->processes;
    uint32_t next = s ? *bucket_of(s, pid) : 0;
    for (int i = 0; next && i < STEPS_MOST; i++) {
        const struct told *t = &s->told[next - 1];
        next = t->before;
        if (t->process->pid != pid) continue;
        if (!last) last = t;
        if (t->start <= time && (!best || t->start > best->start)) best = t;
    }
    if (best) return best->process;
    return last ? last->process : keep(f, pid, nothing, nothing, NULL);
}

static uint8_t direction_of(uint32_t flags) {
    return (flags & 3) == 1 ? PACKET_IN : (flags & 3) == 2 ? PACKET_OUT : PACKET_DIRECTION_UNKNOWN;
}

/* ── words in a comment ──────────────────────────────────────────── */

struct words {
    const char *at, *end;
};

static bool take(struct words *w, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(w->end - w->at) < length || memcmp(w->at, word, length) != 0) return false;
    w->at += length;
    return true;
}

static bool at_end_of_word(const struct words *w) {
    return w->at == w->end || (w->end - w->at > 2 && w->at[0] == ',' && w->at[1] == ' ');
}

static bool take_number(struct words *w, unsigned base, uint32_t *out) {
    uint64_t value = 0;
    const char *begin = w->at;
    for (; w->at < w->end && value <= UINT32_MAX; w->at++) {
        char c = *w->at;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? c - 'a' + 10u
                                                : 99;
        if (digit >= base) break;
        value = value * base + digit;
    }
    *out = (uint32_t)value;
    return w->at > begin && value <= UINT32_MAX;
}

/* NAME:PID, where the name may have colons and commas: the pid is what ends a word. */
static bool take_process(struct words *w, struct slice *name, int32_t *pid) {
    for (const char *colon = w->at; colon < w->end; colon++) {
        struct words number = {colon + 1, w->end};
        uint32_t value;
        if (*colon != ':' || !take_number(&number, 10, &value) || !at_end_of_word(&number)) continue;
        *name = (struct slice){(const uint8_t *)w->at, (uint32_t)(colon - w->at)};
        *pid = (int32_t)value;
        w->at = number.at;
        return true;
    }
    return false;
}

/* SO_TC_*, xnu bsd/sys/socket_private.h. */
static bool take_class(struct words *w, uint32_t *out) {
    static const struct {
        const char *word;
        uint32_t value;
    } classes[] = {{"BE", 0},   {"BK_SYS", 100}, {"BK", 200}, {"RD", 300}, {"OAM", 400},
                   {"AV", 500}, {"RV", 600},     {"VI", 700}, {"VO", 800}, {"CTL", 900}};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        struct words rest = *w;
        if (!take(&rest, classes[i].word) || !at_end_of_word(&rest)) continue;
        *out = classes[i].value;
        *w = rest;
        return true;
    }
    return false;
}

struct comment {
    struct packet_origin said;
    struct slice name;
    int32_t pid;
    uint8_t direction;
};

static bool take_word(struct words *w, struct comment *c) {
    uint32_t ignored;
    if (take(w, "proc ")) return take_process(w, &c->name, &c->pid);
    if (take(w, "svc ")) return take_class(w, &c->said.service_class);
    if (take(w, "flowid 0x")) return take_number(w, 16, &c->said.flow_id);
    if (take(w, "ttag 0x") || take(w, "cmpgc 0x")) return take_number(w, 16, &ignored);
    if (take(w, "unsent ")) return take_number(w, 10, &ignored);
    struct words rest = *w;
    if (take(&rest, "in") && at_end_of_word(&rest))
        c->direction = PACKET_IN;
    else if (rest = *w, take(&rest, "out") && at_end_of_word(&rest))
        c->direction = PACKET_OUT;
    else if (rest = *w, take(&rest, "re") && at_end_of_word(&rest))
        c->said.flags |= ORIGIN_RETRANSMIT;
    else if (rest = *w, take(&rest, "st") && at_end_of_word(&rest))
        c->said.flags |= ORIGIN_NEW_FLOW;
    else if (rest = *w, take(&rest, "wk") && at_end_of_word(&rest))
        c->said.flags |= ORIGIN_WAKE;
    else if (rest = *w, !(take(&rest, "lp") || take(&rest, "ulpn")))
        return false;
    *w = rest;
    return at_end_of_word(w);
}

/* True if all of the comment is such words: others write comments for people. */
static bool read_comment(struct slice text, struct comment *out) {
    struct words w = {(const char *)text.at, (const char *)text.at + text.length};
    *out = (struct comment){.said.service_class = ORIGIN_NO_CLASS, .pid = -1};
    while (w.end > w.at && w.end[-1] == '\0') w.end--;
    if (w.at == w.end) return false;
    for (;;) {
        if (!take_word(&w, out) || !at_end_of_word(&w)) return false;
        if (w.at == w.end) return true;
        w.at += 2; /* ", " */
    }
}

static void apply_comment(struct pcapng_file *f, const struct comment *c, struct packet_origin *o,
                          struct packet *packet) {
    static const struct slice no_path;
    if (packet->direction == PACKET_DIRECTION_UNKNOWN) packet->direction = c->direction;
    if (!o->process) o->process = keep(f, c->pid, c->name, no_path, NULL);
    if (o->service_class == ORIGIN_NO_CLASS) o->service_class = c->said.service_class;
    if (o->flow_id == 0) o->flow_id = c->said.flow_id;
    o->flags |= c->said.flags;
}

/* ── all of it ───────────────────────────────────────────────────── */

static uint32_t number_of(const struct pcapng_file *f, struct slice value, uint32_t otherwise) {
    return value.length == 4 ? format_load32(value.at, f->swapped) : otherwise;
}

static void read_option(struct pcapng_file *f, uint16_t code, struct slice value, struct packet_origin *o,
                        struct packet *packet) {
    struct comment comment;
    switch (code) {
    case OPTION_COMMENT:
        if (read_comment(value, &comment)) apply_comment(f, &comment, o, packet);
        break;
    case OPTION_PID_TID:
        if (value.length == 8 && !o->process)
            o->process = told(f, (int32_t)format_load32(value.at, f->swapped), packet->time);
        break;
    case OPTION_PROCESS:
        o->process = listed(f, number_of(f, value, UINT32_MAX));
        break;
    case OPTION_EFFECTIVE:
        o->effective = listed(f, number_of(f, value, UINT32_MAX));
        break;
    case OPTION_SERVICE_CLASS:
        o->service_class = number_of(f, value, ORIGIN_NO_CLASS);
        break;
    case OPTION_METADATA:
        o->flags = number_of(f, value, 0);
        break;
    case OPTION_FLOW_ID:
        o->flow_id = number_of(f, value, 0);
        break;
    case OPTION_DROP_REASON:
        o->drop_reason = number_of(f, value, 0);
        break;
    case OPTION_DROP_LINE:
        if (value.length == 2) o->drop_line = format_load16(value.at, f->swapped);
        break;
    case OPTION_DROP_FUNCTION:
        origins_name_function(o, value);
        break;
    default:
        break;
    }
}

void pcapng_origin_read(struct pcapng_file *f, struct cursor options, struct packet *packet) {
    struct packet_origin *origin = NULL;
    uint16_t code;
    struct slice value;
    while (pcapng_next_option(&options, f->swapped, &code, &value)) {
        if (code == OPTION_FLAGS) {
            if (value.length == 4) packet->direction = direction_of(format_load32(value.at, f->swapped));
            continue;
        }
        bool ours = code == OPTION_COMMENT || code == OPTION_PID_TID || (code >= 0x8001 && code <= 0x8009);
        if (!ours || (!origin && !(origin = origins_take(&f->from->origins)))) continue;
        read_option(f, code, value, origin, packet);
    }
    if (!origin) return;
    if (!origin_says_something(origin)) {
        origins_give_back(&f->from->origins);
        return;
    }
    packet->origin = origin;
    if (origin->drop_reason) droptap_clip(packet);
}
