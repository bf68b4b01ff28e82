/* What is this file? Captures are told apart by their first bytes, never by name, and what is no capture is
 * described by its first bytes too, with a guess at what it may be. */
#include "capture/format.h"

#include <ctype.h>
#include <string.h>

static const struct {
    uint8_t bytes[8];
    uint8_t length;
    const char *what;
} well_known[] = {
    {"\x7f"
     "ELF",
     4, "an ELF binary"},
    {"\xcf\xfa\xed\xfe", 4, "a Mach-O binary"},
    {"\xca\xfe\xba\xbe", 4, "a universal Mach-O binary"},
    {"PK\x03\x04", 4, "a zip archive"},
    {"\xfd"
     "7zXZ",
     5, "xz data; unpack it first"},
    {"BZh", 3, "bzip2 data; unpack it first"},
    {"\x04\x22\x4d\x18", 4, "lz4 data; unpack it first"},
    {"snoop\0\0", 8, "a Solaris snoop capture; convert it with editcap"},
    {"GMBU", 4, "a Network Monitor capture; convert it with editcap"},
    {"RTSS", 4, "a Network Monitor capture; convert it with editcap"},
    {"%PDF", 4, "a PDF document"},
    {"\x89PNG", 4, "a PNG picture"},
    {"bplist", 6, "a binary property list"},
    {"SQLite", 6, "a SQLite database"},
};

enum format format_detect(const struct block_reader *in) {
    if (block_here(in) < 4) return FORMAT_UNKNOWN;
    uint32_t magic =
        (uint32_t)in->at[0] << 24 | (uint32_t)in->at[1] << 16 | (uint32_t)in->at[2] << 8 | in->at[3];
    switch (magic) {
    case 0x0a0d0d0a:
        return FORMAT_PCAPNG;
    case 0xa1b2c3d4:
    case 0xd4c3b2a1: /* microseconds */
    case 0xa1b23c4d:
    case 0x4d3cb2a1: /* nanoseconds */
    case 0xa1b2cd34:
    case 0x34cdb2a1: /* Kuznetzov's modified form */
        return FORMAT_PCAP;
    default:
        return FORMAT_UNKNOWN;
    }
}

static const char *guess(const uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < sizeof well_known / sizeof *well_known; i++)
        if (length >= well_known[i].length && memcmp(bytes, well_known[i].bytes, well_known[i].length) == 0)
            return well_known[i].what;
    for (size_t i = 0; i < length; i++)
        if (!isprint(bytes[i]) && !isspace(bytes[i])) return NULL;
    return "text";
}

void format_describe(const struct block_reader *in, const char *path, struct error *err) {
    const char *title = block_title(path);
    const char *coding = block_coding(in);
    size_t here = block_here(in);
    if (here == 0) {
        const char *emptiness = coding ? "holds no data" : "an empty file";
        error_set(err, "%s: not a capture: %s%s%s; expected pcap or pcapng", title, coding ? coding : "",
                  coding ? " stream that " : "", emptiness);
        return;
    }
    char hex[3 * 4 + 1] = "";
    size_t shown = here < 4 ? here : 4;
    for (size_t i = 0; i < shown; i++) snprintf(hex + 3 * i, 4, "%02x ", in->at[i]);
    hex[3 * shown - 1] = 0;
    const char *what = guess(in->at, here < 16 ? here : 16);
    error_set(err,
              "%s: not a capture: %s%sstarts with %s%s%s%s; expected pcap or pcapng, plain, gzip or zstd",
              title, coding ? coding : "", coding ? " data that " : "", hex, what ? " (" : "",
              what ? what : "", what ? "?)" : "");
}

void format_cut_short(const struct block_reader *in, size_t need, const char *what, struct format_end *end) {
    const char *decompressed = block_coding(in) ? " of the decompressed data" : "";
    unsigned long long offset = (unsigned long long)block_offset(in);
    end->over = true;
    if (in->interrupted) return; /* whoever interrupted knows why it ends here */
    if (in->failure[0])
        snprintf(end->text, sizeof end->text, "ends at offset %llu%s: %s", offset, decompressed, in->failure);
    else if (block_here(in) > 0)
        snprintf(end->text, sizeof end->text, "cut short at offset %llu%s: %s needs %zu bytes, %zu are there",
                 offset, decompressed, what, need, block_here(in));
}
