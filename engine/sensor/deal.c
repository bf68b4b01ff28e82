/* See deal.h. A small assembler with labels, and one program for all uses: its head finds the IP header,
 * which depends on the link type and on who runs it; its body finds the owner and the worker.
 *
 *      head: X = where the IP header is, less `header`; it goes on at V4, V6, NIBBLE or OTHERS
 *      body: src and dst to M[] ─ which are local? ─ ports ─ owner ─ hash
 *      tail: fanout returns the worker, a share lets through or not
 *
 * A handle's filter sees the frame from its link header on. Linux rewrites loads of a cooked handle's filter
 * by their constant part, so the link header's length is always in that part and X holds only what tags add.
 *
 * A fanout group's program sees an incoming packet from its network header on, but an outgoing one from its
 * link header on. Where that has no fixed length (`any`), SKF_NET_OFF finds the network header; it reads only
 * what lies in the packet's first piece, so it is the last resort.
 *
 * A load beyond the packet ends a program with 0: in a fanout group that is worker 0, in a filter the packet
 * would be nobody's, so there lengths are checked first. A tag that the network card took off is in neither;
 * libpcap puts it back after the filter has run. Only instructions that BSD's older machines know are used:
 * no modulo, no exclusive or. */
#include "sensor/deal.h"

#include "base/bytes.h"
#include "capture/tap_fanout.h"

#include <pcap/pcap.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    INSTRUCTIONS_MAX =
        4096, /* BPF_MAXINSNS of Linux; BSD's kernels take 512 and libpcap filters itself then */
    PROGRAMS_MAX = 1024,
    ACCEPT = 0x40000,
    TAGS_MAX = 2,
    ETHERNET_HEADER = 14,
};

/* Ancillary loads of Linux (linux/filter.h): the same numbers everywhere, so that programs can be compiled
 * and looked at on any system. */
#define ANCILLARY_PROTOCOL    0xfffff000u
#define ANCILLARY_PACKET_TYPE 0xfffff004u
#define NETWORK_OFFSET        0xfff00000u
enum { TYPE_OUTGOING = 4 };

enum label {
    TAGGED_1,
    TAGGED_2,
    TYPE_KNOWN,
    PPPOE,
    NIBBLE,
    V4,
    V4_SRC_LOCAL,
    V4_BY_PORTS,
    V4_HAS_PORTS,
    V4_BY_ADDRESS,
    V4_SRC,
    V4_DST,
    V6,
    V6_SRC_LOCAL,
    V6_BY_PORTS,
    V6_HAS_PORTS,
    V6_BY_ADDRESS,
    V6_SRC,
    V6_DST,
    HASH,
    OTHERS,
    DONE,
    OUTGOING,
    OUTGOING_TAGGED_1,
    OUTGOING_TAGGED_2,
    OUTGOING_TYPE_KNOWN,
    LABELS,
};

/* Words of M[]. */
enum { BASE = 0, SRC = 1, DST = 5, PORT = 9 };

struct assembler {
    struct bpf_insn code[INSTRUCTIONS_MAX];
    bool to_label[INSTRUCTIONS_MAX]; /* k is a label yet */
    uint32_t count;                  /* may pass INSTRUCTIONS_MAX: then the program is too long */
    uint32_t labels[LABELS];
    uint32_t header;      /* bytes of the link header, part of every load's constant */
    uint32_t not_counted; /* those of them that a packet's length does not have in it: of cooked handles */
    bool check_lengths;
};

static void emit_jump_insn(struct assembler *a, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k) {
    if (a->count < INSTRUCTIONS_MAX) a->code[a->count] = (struct bpf_insn){code, jt, jf, k};
    a->count++;
}

static void emit(struct assembler *a, uint16_t code, uint32_t k) {
    emit_jump_insn(a, code, 0, 0, k);
}

static void emit_goto(struct assembler *a, enum label label) {
    if (a->count < INSTRUCTIONS_MAX) a->to_label[a->count] = true;
    emit(a, BPF_JMP | BPF_JA, label);
}

/* `test` is BPF_JEQ, BPF_JGT, BPF_JGE or BPF_JSET, with BPF_X to compare with X. Conditional jumps reach 255
 * instructions only, so each hops over, or onto, a jump that reaches all. */
static void emit_if(struct assembler *a, uint16_t test, uint32_t k, enum label label) {
    emit_jump_insn(a, BPF_JMP | test, 0, 1, k);
    emit_goto(a, label);
}

static void emit_unless(struct assembler *a, uint16_t test, uint32_t k, enum label label) {
    emit_jump_insn(a, BPF_JMP | test, 1, 0, k);
    emit_goto(a, label);
}

static void place(struct assembler *a, enum label label) {
    a->labels[label] = a->count;
}

static void load_m(struct assembler *a, uint32_t word) {
    emit(a, BPF_LD | BPF_MEM, word);
}

/* Loads what is `at` bytes behind X, X being relative to the end of the link header. */
static void load(struct assembler *a, uint16_t size, uint32_t at) {
    emit(a, BPF_LD | size | BPF_IND, a->header + at);
}

/* Goes to `otherwise` unless `bytes` behind X are there. Leaves X as it is in M[BASE]. */
static void need(struct assembler *a, uint32_t bytes, bool keep_x, enum label otherwise) {
    if (!a->check_lengths) return;
    if (!keep_x) emit(a, BPF_LDX | BPF_MEM, BASE);
    emit(a, BPF_MISC | BPF_TXA, 0);
    if (keep_x) emit(a, BPF_ST, PORT);
    emit(a, BPF_ALU | BPF_ADD | BPF_K, a->header - a->not_counted + bytes);
    emit(a, BPF_MISC | BPF_TAX, 0);
    emit(a, BPF_LD | BPF_LEN, 0);
    emit_unless(a, BPF_JGE | BPF_X, 0, otherwise);
    emit(a, BPF_LDX | BPF_MEM, keep_x ? PORT : BASE);
}

/* ------------------------------------------------------------------ the body */

static uint32_t mask_word(uint32_t bits) {
    return bits == 0 ? 0 : bits >= 32 ? UINT32_MAX : UINT32_MAX << (32 - bits);
}

static const struct ip v4_space = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};

/* Does the block, of fewer than 96 bits, hold all IPv4 addresses? */
static bool holds_v4(const struct ip *block, uint32_t bits) {
    for (uint32_t word = 0; word < 3; word++) {
        uint32_t mask = mask_word(bits > word * 32 ? bits - word * 32 : 0);
        if ((load_be32(v4_space.bytes + word * 4) & mask) != load_be32(block->bytes + word * 4)) return false;
    }
    return true;
}

static void if_local_v4(struct assembler *a, const struct home *home, uint32_t at, enum label label) {
    struct ip block;
    uint32_t bits;
    for (uint32_t i = 0; home_network(home, i, &block, &bits); i++) {
        if (bits <= 96) {
            if (holds_v4(&block, bits)) emit_goto(a, label);
            continue;
        }
        if (!ip_is_v4(&block)) continue;
        load_m(a, at);
        emit(a, BPF_ALU | BPF_AND | BPF_K, mask_word(bits - 96));
        emit_if(a, BPF_JEQ, load_be32(block.bytes + 12), label);
    }
}

static void if_local_v6(struct assembler *a, const struct home *home, uint32_t at, enum label label) {
    struct ip block;
    uint32_t bits;
    for (uint32_t i = 0; home_network(home, i, &block, &bits); i++) {
        if (bits >= 96 && ip_is_v4(&block)) continue;
        uint32_t tests[4], count = 0;
        for (uint32_t word = 0; word * 32 < bits; word++) {
            uint32_t left = bits - word * 32;
            load_m(a, at + word);
            if (left < 32) emit(a, BPF_ALU | BPF_AND | BPF_K, mask_word(left));
            tests[count++] = a->count;
            emit(a, BPF_JMP | BPF_JEQ, load_be32(block.bytes + word * 4));
        }
        emit_goto(a, label);
        if (a->count > INSTRUCTIONS_MAX) return;
        for (uint32_t t = 0; t < count; t++) a->code[tests[t]].jf = (uint8_t)(a->count - tests[t] - 1);
    }
}

/* X and M[BASE] point before the ports. The higher port is the owner's. */
static void by_ports(struct assembler *a, uint32_t at, enum label src, enum label dst,
                     enum label by_address) {
    load(a, BPF_H, at);
    emit(a, BPF_ST, PORT);
    load(a, BPF_H, at + 2);
    emit(a, BPF_MISC | BPF_TAX, 0);
    load_m(a, PORT);
    emit_if(a, BPF_JGT | BPF_X, 0, src);
    emit_unless(a, BPF_JEQ | BPF_X, 0, dst);
    emit_goto(a, by_address);
}

static void if_has_ports(struct assembler *a, enum label label) {
    emit_if(a, BPF_JEQ, 6, label);
    emit_if(a, BPF_JEQ, 17, label);
    emit_if(a, BPF_JEQ, 132, label);
}

static void owner_v4(struct assembler *a, const struct home *home) {
    place(a, V4);
    need(a, 20, false, OTHERS);
    load(a, BPF_B, 0);
    emit_unless(a, BPF_JGE, 0x45, OTHERS);
    emit_if(a, BPF_JGT, 0x4f, OTHERS);
    load(a, BPF_W, 12);
    emit(a, BPF_ST, SRC);
    load(a, BPF_W, 16);
    emit(a, BPF_ST, DST);
    if_local_v4(a, home, SRC, V4_SRC_LOCAL);
    if_local_v4(a, home, DST, V4_DST);
    emit_goto(a, V4_BY_PORTS);
    place(a, V4_SRC_LOCAL);
    if_local_v4(a, home, DST, V4_BY_PORTS);
    emit_goto(a, V4_SRC);

    place(a, V4_BY_PORTS);
    load(a, BPF_H, 6);
    emit_if(a, BPF_JSET, 0x3fff, V4_BY_ADDRESS); /* more fragments, or an offset */
    load(a, BPF_B, 9);
    if_has_ports(a, V4_HAS_PORTS);
    emit_goto(a, V4_BY_ADDRESS);
    place(a, V4_HAS_PORTS);
    load(a, BPF_B, 0);
    emit(a, BPF_ALU | BPF_AND | BPF_K, 0x0f);
    emit(a, BPF_ALU | BPF_LSH | BPF_K, 2);
    emit(a, BPF_ALU | BPF_ADD | BPF_X, 0);
    emit(a, BPF_MISC | BPF_TAX, 0);
    need(a, 8, true, V4_BY_ADDRESS);
    by_ports(a, 0, V4_SRC, V4_DST, V4_BY_ADDRESS);

    place(a, V4_BY_ADDRESS);
    emit(a, BPF_LDX | BPF_MEM, DST);
    load_m(a, SRC);
    emit_if(a, BPF_JGE | BPF_X, 0, V4_DST);
    place(a, V4_SRC);
    load_m(a, SRC);
    emit_goto(a, HASH);
    place(a, V4_DST);
    load_m(a, DST);
    emit_goto(a, HASH);
}

static void fold_v6(struct assembler *a, uint32_t at) {
    load_m(a, at);
    for (uint32_t word = 1; word < 4; word++) {
        emit(a, BPF_LDX | BPF_MEM, at + word);
        emit(a, BPF_ALU | BPF_ADD | BPF_X, 0);
    }
    emit_goto(a, HASH);
}

static void owner_v6(struct assembler *a, const struct home *home) {
    place(a, V6);
    need(a, 40, false, OTHERS);
    load(a, BPF_B, 0);
    emit(a, BPF_ALU | BPF_RSH | BPF_K, 4);
    emit_unless(a, BPF_JEQ, 6, OTHERS);
    for (uint32_t word = 0; word < 8; word++) {
        load(a, BPF_W, 8 + word * 4);
        emit(a, BPF_ST, SRC + word);
    }
    if_local_v6(a, home, SRC, V6_SRC_LOCAL);
    if_local_v6(a, home, DST, V6_DST);
    emit_goto(a, V6_BY_PORTS);
    place(a, V6_SRC_LOCAL);
    if_local_v6(a, home, DST, V6_BY_PORTS);
    emit_goto(a, V6_SRC);

    place(a, V6_BY_PORTS);
    load(a, BPF_B, 6);
    if_has_ports(a, V6_HAS_PORTS);
    emit_goto(a, V6_BY_ADDRESS);
    place(a, V6_HAS_PORTS);
    need(a, 48, false, V6_BY_ADDRESS);
    by_ports(a, 40, V6_SRC, V6_DST, V6_BY_ADDRESS);

    place(a, V6_BY_ADDRESS);
    for (uint32_t word = 0; word < 4; word++) {
        emit(a, BPF_LDX | BPF_MEM, DST + word);
        load_m(a, SRC + word);
        emit_if(a, BPF_JGT | BPF_X, 0, V6_DST);
        emit_unless(a, BPF_JEQ | BPF_X, 0, V6_SRC);
    }
    emit_goto(a, V6_DST);
    place(a, V6_SRC);
    fold_v6(a, SRC);
    place(a, V6_DST);
    fold_v6(a, DST);
}

/* X is where the IP header should be. */
static void body(struct assembler *a, const struct home *home, uint32_t workers) {
    place(a, PPPOE); /* RFC 2516: six bytes, then the protocol number of PPP */
    need(a, 8, true, OTHERS);
    emit(a, BPF_MISC | BPF_TXA, 0);
    emit(a, BPF_ALU | BPF_ADD | BPF_K, 8);
    emit(a, BPF_ST, BASE);
    load(a, BPF_H, 6);
    emit(a, BPF_LDX | BPF_MEM, BASE);
    emit_if(a, BPF_JEQ, 0x0021, V4);
    emit_if(a, BPF_JEQ, 0x0057, V6);
    emit_goto(a, OTHERS);
    place(a, NIBBLE);
    need(a, 1, true, OTHERS);
    load(a, BPF_B, 0);
    emit(a, BPF_ALU | BPF_RSH | BPF_K, 4);
    emit_if(a, BPF_JEQ, 4, V4);
    emit_if(a, BPF_JEQ, 6, V6);
    emit_goto(a, OTHERS);
    owner_v4(a, home);
    owner_v6(a, home);
    place(a, OTHERS);
    emit(a, BPF_LD | BPF_IMM, 0);
    place(a, HASH); /* home_deal() */
    emit(a, BPF_ALU | BPF_MUL | BPF_K, HOME_MULTIPLIER);
    emit(a, BPF_ALU | BPF_RSH | BPF_K, 32 - HOME_HASH_BITS);
    emit(a, BPF_ALU | BPF_MUL | BPF_K, workers);
    emit(a, BPF_ALU | BPF_RSH | BPF_K, HOME_HASH_BITS);
    place(a, DONE);
}

/* ----------------------------------------------------------------- the heads */

static void set_base(struct assembler *a, uint32_t x) {
    emit(a, BPF_LDX | BPF_IMM, x);
    emit(a, BPF_STX, BASE);
}

/* A is the EtherType; what it speaks of lies at X = `start`. `tagged` is the first of TAGS_MAX labels, behind
 * which comes the one for the type that is found. */
static void by_ethertype(struct assembler *a, uint32_t start, enum label tagged) {
    enum label known = tagged + TAGS_MAX;
    set_base(a, start);
    for (uint32_t tag = 0; tag < TAGS_MAX; tag++) {
        enum label label = tagged + tag;
        emit_if(a, BPF_JEQ, 0x8100, label);
        emit_if(a, BPF_JEQ, 0x88a8, label);
        emit_if(a, BPF_JEQ, 0x9100, label);
        emit_goto(a, known);
        place(a, label);
        set_base(a, start + 4 * (tag + 1));
        need(a, 0, false, OTHERS);
        emit(a, BPF_LD | BPF_H | BPF_ABS, a->header + start + 4 * tag + 2);
    }
    place(a, known);
    emit(a, BPF_LDX | BPF_MEM, BASE);
    emit_if(a, BPF_JEQ, 0x0800, V4);
    emit_if(a, BPF_JEQ, 0x86dd, V6);
    emit_if(a, BPF_JEQ, 0x8864, PPPOE);
    emit_goto(a, OTHERS);
}

/* The frame begins with its link header. False if this link type cannot be read. */
static bool share_head(struct assembler *a, int dlt) {
    a->check_lengths = true;
    switch (dlt) {
    case DLT_EN10MB:
        a->header = ETHERNET_HEADER;
        emit(a, BPF_LD | BPF_H | BPF_ABS, 12);
        by_ethertype(a, 0, TAGGED_1);
        return true;
    case DLT_LINUX_SLL:
        a->header = a->not_counted = 16;
        emit(a, BPF_LD | BPF_H | BPF_ABS, 14);
        by_ethertype(a, 0, TAGGED_1);
        return true;
#ifdef DLT_LINUX_SLL2
    case DLT_LINUX_SLL2:
        a->header = a->not_counted = 20;
        emit(a, BPF_LD | BPF_H | BPF_ABS, 0);
        by_ethertype(a, 0, TAGGED_1);
        return true;
#endif
    case DLT_NULL:
    case DLT_LOOP:
        a->header = 4;
        break;
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
        break;
    default:
        return false;
    }
    set_base(a, 0);
    emit_goto(a, NIBBLE);
    return true;
}

static bool fanout_head(struct assembler *a, int dlt) {
    emit(a, BPF_LD | BPF_W | BPF_ABS, ANCILLARY_PACKET_TYPE);
    emit_if(a, BPF_JEQ, TYPE_OUTGOING, OUTGOING);
    emit(a, BPF_LD | BPF_W | BPF_ABS, ANCILLARY_PROTOCOL);
    by_ethertype(a, 0, TAGGED_1);
    place(a, OUTGOING);
    if (dlt == DLT_EN10MB) {
        emit(a, BPF_LD | BPF_H | BPF_ABS, 12);
        by_ethertype(a, ETHERNET_HEADER, OUTGOING_TAGGED_1);
        return true;
    }
    bool raw = dlt == DLT_RAW || dlt == DLT_IPV4 || dlt == DLT_IPV6;
    set_base(a, raw ? 0 : NETWORK_OFFSET);
    emit_goto(a, NIBBLE);
    return true;
}

/* ------------------------------------------------------------------ programs */

struct made {
    int dlt;
    bool fanout;
    uint32_t worker;
    struct tap_program program;
};

struct deal {
    const struct home *home;
    uint32_t workers;
    struct tap_deal programs;
    pthread_mutex_t lock;
    struct made *made;
    uint32_t made_count;
};

/* Labels become distances. */
static void settle_jumps(struct assembler *a) {
    for (uint32_t i = 0; i < a->count; i++)
        if (a->to_label[i]) a->code[i].k = a->labels[a->code[i].k] - (i + 1);
}

/* No instructions: there is no program for this link type, or it is too long, or no memory. */
static struct tap_program program_make(const struct deal *deal, int dlt, bool fanout, uint32_t worker) {
    struct tap_program program = {0};
    struct assembler *a = calloc(1, sizeof *a);
    if (!a) return program;
    if (fanout ? fanout_head(a, dlt) : share_head(a, dlt)) {
        body(a, deal->home, deal->workers);
        if (fanout) {
            emit(a, BPF_RET | BPF_A, 0);
        } else {
            emit_jump_insn(a, BPF_JMP | BPF_JEQ, 0, 1, worker);
            emit(a, BPF_RET | BPF_K, ACCEPT);
            emit(a, BPF_RET | BPF_K, 0);
        }
        struct bpf_insn *code = a->count <= INSTRUCTIONS_MAX ? malloc(a->count * sizeof *code) : NULL;
        if (code) {
            settle_jumps(a);
            memcpy(code, a->code, a->count * sizeof *code);
            program = (struct tap_program){code, a->count};
        }
    }
    free(a);
    return program;
}

static struct tap_program program_for(struct deal *deal, int dlt, bool fanout, uint32_t worker) {
    struct tap_program program = {0};
    pthread_mutex_lock(&deal->lock);
    for (uint32_t i = 0; i < deal->made_count && !program.instructions; i++) {
        const struct made *made = &deal->made[i];
        if (made->dlt == dlt && made->fanout == fanout && made->worker == worker) program = made->program;
    }
    if (!program.instructions && deal->made_count < PROGRAMS_MAX) {
        program = program_make(deal, dlt, fanout, worker);
        if (program.instructions)
            deal->made[deal->made_count++] =
                (struct made){.dlt = dlt, .fanout = fanout, .worker = worker, .program = program};
    }
    pthread_mutex_unlock(&deal->lock);
    return program;
}

static struct tap_program deal_fanout(void *context, int dlt) {
    return program_for(context, dlt, true, 0);
}

static struct tap_program deal_share(void *context, int dlt, uint32_t worker, uint32_t workers) {
    struct deal *deal = context;
    return workers == deal->workers ? program_for(deal, dlt, false, worker) : (struct tap_program){0};
}

struct deal *deal_new(const struct home *home, uint32_t workers, struct error *err) {
    if (workers == 0 || workers > HOME_WORKERS_MAX) {
        error_set(err, "%u workers: expected 1 to %d", workers, HOME_WORKERS_MAX);
        return NULL;
    }
    struct deal *deal = calloc(1, sizeof *deal);
    if (deal) deal->made = calloc(PROGRAMS_MAX, sizeof *deal->made);
    if (deal) deal->programs.groups = tap_groups_new();
    if (!deal || !deal->made || !deal->programs.groups) {
        if (deal) tap_groups_free(deal->programs.groups);
        if (deal) free(deal->made);
        free(deal);
        error_set(err, "out of memory");
        return NULL;
    }
    deal->home = home;
    deal->workers = workers;
    deal->programs.context = deal;
    deal->programs.fanout = deal_fanout;
    deal->programs.share = deal_share;
    pthread_mutex_init(&deal->lock, NULL);
    if (program_for(deal, DLT_EN10MB, true, 0).instructions) return deal; /* the longest of all */
    deal_free(deal);
    error_set(err,
              "the home networks are too many to deal packets to %u workers in the kernel: join them to "
              "fewer, larger blocks, or use one worker",
              workers);
    return NULL;
}

void deal_free(struct deal *deal) {
    if (!deal) return;
    for (uint32_t i = 0; i < deal->made_count; i++) free((void *)deal->made[i].program.instructions);
    free(deal->made);
    tap_groups_free(deal->programs.groups);
    pthread_mutex_destroy(&deal->lock);
    free(deal);
}

const struct tap_deal *deal_programs(struct deal *deal) {
    return &deal->programs;
}
