/* The newer capture format: blocks, each with a type and its length before and behind it.
 *
 * A section header sets the byte order and forgets all interfaces; an interface block brings link type, name
 * and unit of time; packets refer to interfaces by number. Blocks of any other type are skipped without being
 * looked at, however long they are, so only packets and headers have to fit into the window. Numbers: section
 * header 0x0A0D0D0A, interface 1, packet (obsolete) 2, simple packet 3, enhanced packet 6. */
#include "base/bytes.h"
#include "capture/pcapng_origin.h"
#include "capture/pktap.h"

#include <stdlib.h>

enum {
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 2,
    BLOCK_SIMPLE = 3,
    BLOCK_ENHANCED = 6,
    OPTION_NAME = 2,
    OPTION_RESOLUTION = 9,
    OPTION_OFFSET = 14,
    OPTION_EFFECTIVE_INTERFACE = 0x8001, /* Apple's: the interface below, by its number */
    BLOCK_OVERHEAD = 12,                 /* type, length, length */
    SECTION_SMALLEST = 28,
    INTERFACES_MOST = 65536, /* of a section; real ones have a handful */
};
#define BLOCK_SECTION    0x0A0D0D0Au
#define BYTE_ORDER_MAGIC 0x1A2B3C4Du

/* A block whose bytes are all in the window. */
struct block {
    uint32_t type;
    uint32_t length; /* of everything, as in the file */
    const uint8_t *body;
    uint32_t body_length;
};

static void damaged(const struct block_reader *in, struct format_end *end, const char *what, uint32_t value) {
    end->over = true;
    snprintf(end->text, sizeof end->text, "damaged at offset %llu%s: %s %u",
             (unsigned long long)block_offset(in), block_coding(in) ? " of the decompressed data" : "", what,
             value);
}

/* How many nanoseconds a unit of if_tsresol has, if that is a whole number; else 0. */
static uint32_t whole_nanoseconds(uint8_t resolution) {
    if (resolution > 9) return 0; /* finer, or a power of two */
    uint32_t unit = 1;
    for (int i = resolution; i < 9; i++) unit *= 10;
    return unit;
}

/* The units that are not whole: powers of two, and finer than nanoseconds. */
static nanoseconds fine_time(uint8_t resolution, uint64_t ticks) {
    unsigned power = resolution & 0x7f;
    unsigned __int128 ns = ticks;
    if (resolution & 0x80) {
        ns = ns * (unsigned __int128)NS_PER_SECOND >> power;
    } else {
        for (unsigned i = 9; i < power && ns > 0; i++) ns /= 10;
    }
    return ns > TIME_LATEST ? TIME_LATEST : (nanoseconds)ns;
}

static inline nanoseconds packet_time(const struct pcapng_interface *from, uint64_t ticks) {
    nanoseconds time, offset;
    if (from->multiply == 0)
        time = fine_time(from->resolution, ticks);
    else if (__builtin_mul_overflow(ticks, from->multiply, &time))
        time = TIME_LATEST;
    if (from->offset != 0 && (__builtin_mul_overflow(from->offset, NS_PER_SECOND, &offset) ||
                              __builtin_add_overflow(time, offset, &time)))
        time = from->offset > 0 ? TIME_LATEST : 0;
    return time < 0 ? 0 : time > TIME_LATEST ? TIME_LATEST : time;
}

static bool add_interface(struct pcapng_file *f, const struct block *b) {
    if (b->body_length < 8 || f->interface_count >= INTERFACES_MOST) return false;
    if (f->interface_count == f->interface_room) {
        uint32_t room = f->interface_room ? f->interface_room * 2 : 8;
        struct pcapng_interface *more = realloc(f->interfaces, room * sizeof *more);
        if (!more) return false;
        f->interfaces = more;
        f->interface_room = room;
    }
    struct pcapng_interface *made = &f->interfaces[f->interface_count];
    *made = (struct pcapng_interface){.link_type = format_load16(b->body, f->swapped),
                                      .snap_length = format_load32(b->body + 4, f->swapped),
                                      .resolution = 6};
    struct cursor options = cursor_over(b->body + 8, b->body_length - 8);
    uint16_t code;
    struct slice value;
    uint32_t below = UINT32_MAX;
    while (pcapng_next_option(&options, f->swapped, &code, &value)) {
        if (code == OPTION_NAME) {
            made->name = interface_names_index(f->names, value.at, value.length);
        } else if (code == OPTION_RESOLUTION && value.length == 1) {
            made->resolution = value.at[0];
        } else if (code == OPTION_OFFSET && value.length == 8) {
            made->offset = (int64_t)format_load64(value.at, f->swapped);
        } else if (code == OPTION_EFFECTIVE_INTERFACE && value.length == 4) {
            below = format_load32(value.at, f->swapped);
        }
    }
    if (made->name == 0 && below < f->interface_count) made->name = f->interfaces[below].name;
    f->pktap |= pktap_is_possible(made->link_type);
    made->multiply = whole_nanoseconds(made->resolution);
    f->interface_count++;
    return true;
}

enum made { MADE_PACKET, MADE_NOTHING, MADE_DAMAGE };

static enum made unknown_interface(struct pcapng_file *f, const struct block_reader *in, uint32_t number,
                                   struct format_end *end) {
    if (!f->told)
        snprintf(end->note, sizeof end->note,
                 "packets of interface %u, which the section has not described, are skipped (first at offset "
                 "%llu)",
                 number, (unsigned long long)block_offset(in));
    f->told = true;
    return MADE_NOTHING;
}

/* Enhanced packet and the obsolete packet block: they differ in the width of the interface number. */
static enum made read_timed(struct pcapng_file *f, const struct block_reader *in, const struct block *b,
                            struct packet *out, struct format_end *end) {
    const bool swapped = f->swapped;
    const uint8_t *body = b->body;
    if (b->body_length < 20) return MADE_DAMAGE;
    uint32_t number = b->type == BLOCK_ENHANCED ? format_load32(body, swapped) : format_load16(body, swapped);
    if (number >= f->interface_count) return unknown_interface(f, in, number, end);
    const struct pcapng_interface *from = &f->interfaces[number];
    uint32_t captured = format_load32(body + 12, swapped), original = format_load32(body + 16, swapped);
    if (captured > b->body_length - 20) return MADE_DAMAGE;
    uint32_t padded = (captured + 3) & ~3u;
    uint32_t options = b->body_length - 20 > padded ? b->body_length - 20 - padded : 0;
    f->last = packet_time(from, (uint64_t)format_load32(body + 4, swapped) << 32 |
                                    format_load32(body + 8, swapped));
    *out = (struct packet){.bytes = body + 20,
                           .captured = captured,
                           .original = format_original(captured, original, &f->odd_lengths),
                           .time = f->last,
                           .link_type = from->link_type,
                           .interface = from->name};
    if (options >= 8) pcapng_origin_read(f, cursor_over(body + 20 + padded, options), out);
    return MADE_PACKET;
}

/* A simple packet belongs to the section's first interface, says nothing of time, and is as long as the block
 * lets it. */
static enum made read_simple(struct pcapng_file *f, const struct block_reader *in, const struct block *b,
                             struct packet *out, struct format_end *end) {
    if (b->body_length < 4) return MADE_DAMAGE;
    if (f->interface_count == 0) return unknown_interface(f, in, 0, end);
    const struct pcapng_interface *from = &f->interfaces[0];
    uint32_t original = format_load32(b->body, f->swapped), captured = b->body_length - 4;
    if (captured > original) captured = original;
    if (from->snap_length > 0 && captured > from->snap_length) captured = from->snap_length;
    *out = (struct packet){.bytes = b->body + 4,
                           .captured = captured,
                           .original = format_original(captured, original, &f->odd_lengths),
                           .time = f->last,
                           .link_type = from->link_type,
                           .interface = from->name};
    return MADE_PACKET;
}

/* A section header tells its byte order behind its length, so it is looked at first. */
static bool read_section_order(struct pcapng_file *f, const uint8_t *at) {
    uint32_t magic = format_load32(at + 8, false);
    if (magic != BYTE_ORDER_MAGIC && magic != __builtin_bswap32(BYTE_ORDER_MAGIC)) return false;
    f->swapped = magic != BYTE_ORDER_MAGIC;
    return true;
}

static bool is_read(uint32_t type) {
    return type == BLOCK_ENHANCED || type == BLOCK_PACKET || type == BLOCK_SIMPLE ||
           type == BLOCK_INTERFACE || type == BLOCK_SECTION || pcapng_names_process(type);
}

/* What stands at the front of the window. */
enum glance {
    GLANCE_BLOCK, /* a whole block we read */
    GLANCE_OTHER, /* a block to skip: `length` is known */
    GLANCE_MORE,  /* `need` bytes are needed to go on */
    GLANCE_DAMAGE,
};

static inline enum glance glance(struct pcapng_file *f, const uint8_t *at, size_t here, struct block *b,
                                 size_t *need) {
    *need = BLOCK_OVERHEAD;
    if (here < *need) return GLANCE_MORE;
    b->type = format_load32(at, f->swapped);
    if (b->type == BLOCK_SECTION && !read_section_order(f, at)) {
        b->length = format_load32(at + 8, false);
        return GLANCE_DAMAGE;
    }
    b->length = format_load32(at + 4, f->swapped);
    if (b->length < (b->type == BLOCK_SECTION ? SECTION_SMALLEST : BLOCK_OVERHEAD) || b->length % 4 != 0)
        return GLANCE_DAMAGE;
    if (!is_read(b->type)) return GLANCE_OTHER;
    bool optional = pcapng_names_process(b->type); /* a damaged one costs a name, not the packets behind it */
    if (optional && b->length > PCAPNG_PROCESS_LARGEST) return GLANCE_OTHER;
    if (b->length > BLOCK_LARGEST) return GLANCE_DAMAGE;
    *need = b->length;
    if (here < *need) return GLANCE_MORE;
    if (format_load32(at + b->length - 4, f->swapped) != b->length)
        return optional ? GLANCE_OTHER : GLANCE_DAMAGE;
    b->body = at + 8;
    b->body_length = b->length - BLOCK_OVERHEAD;
    return GLANCE_BLOCK;
}

static enum made read_block(struct pcapng_file *f, const struct block_reader *in, const struct block *b,
                            struct packet *out, struct format_end *end) {
    switch (b->type) {
    case BLOCK_ENHANCED:
    case BLOCK_PACKET:
        return read_timed(f, in, b, out, end);
    case BLOCK_SIMPLE:
        return read_simple(f, in, b, out, end);
    case BLOCK_INTERFACE:
        return add_interface(f, b) ? MADE_NOTHING : MADE_DAMAGE;
    case BLOCK_SECTION:
        f->interface_count = 0;
        pcapng_processes_forget(f);
        return format_load16(b->body + 4, f->swapped) == 1 ? MADE_NOTHING : MADE_DAMAGE;
    default:
        pcapng_process_read(f, b->type, b->body, b->body_length);
        return MADE_NOTHING;
    }
}

int pcapng_file_begin(struct pcapng_file *f, struct block_reader *in, struct interface_names *names,
                      struct attribution *from, struct error *err) {
    *f = (struct pcapng_file){.names = names, .from = from};
    struct block b = {0};
    size_t need, here = block_fill(in, BLOCK_OVERHEAD);
    enum glance seen = glance(f, in->at, here, &b, &need);
    if (seen == GLANCE_MORE && need <= BLOCK_LARGEST) {
        here = block_fill(in, need);
        seen = glance(f, in->at, here, &b, &need);
    }
    if (seen == GLANCE_MORE)
        return error_set(err,
                         "not a capture: the pcapng section header is cut short, %zu of %zu bytes are there",
                         here, need);
    if (seen != GLANCE_BLOCK || format_load16(b.body + 4, f->swapped) != 1)
        return error_set(err,
                         "not a capture: starts like pcapng, but its section header is not one "
                         "(length %u, byte order or version)",
                         b.length);
    in->at += b.length;
    return 0;
}

/* Drops what is left of a block of no interest. False if it is not all there yet (or will never be). */
static bool skip_on(struct pcapng_file *f, struct block_reader *in, bool may_fill, struct format_end *end) {
    size_t here = block_here(in);
    size_t step = f->skip < here ? (size_t)f->skip : here;
    in->at += step;
    f->skip -= step;
    if (f->skip == 0) return true;
    if (!may_fill) return false;
    f->skip = block_skip(in, f->skip);
    if (f->skip == 0) return true;
    end->over = true;
    if (in->interrupted) return false;
    snprintf(end->text, sizeof end->text, "cut short at offset %llu: %s%s%llu bytes of a block are missing",
             (unsigned long long)block_offset(in), in->failure, in->failure[0] ? ": " : "",
             (unsigned long long)f->skip);
    return false;
}

int pcapng_file_read(struct pcapng_file *f, struct block_reader *in, struct packet *out, int max,
                     bool may_fill, struct format_end *end) {
    int count = 0;
    while (count < max) {
        bool fill_now = may_fill && count == 0;
        if (f->skip > 0 && !skip_on(f, in, fill_now, end)) return count;
        struct block b;
        size_t need;
        enum glance seen = glance(f, in->at, block_here(in), &b, &need);
        if (seen == GLANCE_BLOCK) {
            enum made made = read_block(f, in, &b, &out[count], end);
            if (made != MADE_DAMAGE) {
                in->at += b.length;
                count += made == MADE_PACKET;
                continue;
            }
            seen = GLANCE_DAMAGE;
        }
        if (seen == GLANCE_OTHER) {
            f->skip = b.length;
            continue;
        }
        if (!fill_now) return count;
        if (seen == GLANCE_MORE && block_fill(in, need) >= need) continue;
        if (seen == GLANCE_MORE)
            format_cut_short(in, need, "a block", end);
        else
            damaged(in, end, "a block that cannot be, of length", b.length);
        return 0;
    }
    return count;
}

void pcapng_file_end(struct pcapng_file *f) {
    free(f->interfaces);
    f->interfaces = NULL;
    pcapng_processes_forget(f);
}
