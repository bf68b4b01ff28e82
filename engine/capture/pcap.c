/* The classic capture format: a 24-byte header, then packets, each behind a header of 16 bytes.
 *
 * Its dialects: either byte order; microseconds or nanoseconds; Kuznetzov's form with 24-byte packet headers;
 * old versions with the two lengths the other way round. */
#include "capture/format.h"

#include <stdio.h>

enum { FILE_HEADER = 24, PACKET_HEADER = 16, KUZNETZOV_HEADER = 24 };

int pcap_file_begin(struct pcap_file *f, struct block_reader *in, struct error *err) {
    size_t here = block_fill(in, FILE_HEADER);
    if (here < FILE_HEADER)
        return error_set(err, "not a capture: the pcap header is cut short, %zu of %d bytes are there", here,
                         FILE_HEADER);
    const uint8_t *h = in->at;
    *f = (struct pcap_file){.header_size = PACKET_HEADER, .fraction = 1000};
    uint32_t magic = format_load32(h, false);
    f->swapped = magic != 0xa1b2c3d4 && magic != 0xa1b23c4d && magic != 0xa1b2cd34;
    magic = format_load32(h, f->swapped);
    if (magic == 0xa1b23c4d) f->fraction = 1;
    if (magic == 0xa1b2cd34) f->header_size = KUZNETZOV_HEADER;

    unsigned major = format_load16(h + 4, f->swapped), minor = format_load16(h + 6, f->swapped);
    if (major != 2) return error_set(err, "pcap version %u.%u is not known; expected 2.x", major, minor);
    f->lengths_swapped = minor < 3;
    f->lengths_unsure = minor == 3;

    /* Bits 26 and 28 to 31 tell about the frame check sequence; a type above 16 bits has not been given out.
     */
    uint32_t type = format_load32(h + 20, f->swapped) & 0x03ffffff;
    f->link_type = type > UINT16_MAX ? UINT16_MAX : (uint16_t)type;
    in->at += FILE_HEADER;
    return 0;
}

/* Says why there is no next packet: a proper end, a cut, or a length that cannot be. */
static void explain_end(const struct block_reader *in, size_t need, uint32_t captured,
                        struct format_end *end) {
    if (captured <= PACKET_LARGEST) {
        format_cut_short(in, need, "a packet", end);
        return;
    }
    end->over = true;
    snprintf(end->text, sizeof end->text,
             "damaged at offset %llu: a packet of %u bytes (at most %d are credible)",
             (unsigned long long)block_offset(in), captured, PACKET_LARGEST);
}

/* Gives packets as long as they are whole in the window. */
int pcap_file_read(struct pcap_file *f, struct block_reader *in, struct packet *out, int max, bool may_fill,
                   struct format_end *end) {
    const bool swapped = f->swapped;
    const uint32_t header = f->header_size;
    const uint8_t *at = in->at;
    int count = 0;
    while (count < max) {
        size_t here = (size_t)(in->end - at);
        size_t need = header;
        uint32_t captured = 0;
        if (here >= need) {
            captured = format_load32(at + 8, swapped);
            uint32_t original = format_load32(at + 12, swapped);
            if (f->lengths_swapped || (f->lengths_unsure && captured > original)) {
                uint32_t other = captured;
                captured = original;
                original = other;
            }
            need += captured;
            if (here >= need && captured <= PACKET_LARGEST) {
                out[count++] =
                    (struct packet){.bytes = at + header,
                                    .captured = captured,
                                    .original = format_original(captured, original, &f->odd_lengths),
                                    .time = (nanoseconds)format_load32(at, swapped) * NS_PER_SECOND +
                                            (nanoseconds)format_load32(at + 4, swapped) * f->fraction,
                                    .link_type = f->link_type};
                at += need;
                continue;
            }
        }
        in->at = at;
        if (count > 0 || !may_fill) return count;
        if (captured > PACKET_LARGEST || block_fill(in, need) < need) {
            explain_end(in, need, captured, end);
            return 0;
        }
        at = in->at;
    }
    in->at = at;
    return count;
}
