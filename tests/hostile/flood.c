/* Makes floods: captures that try to exhaust, slow down or blind who reads them.
 *
 *      flood KIND [--packets N] [--seed N] [--start SECONDS] [--span SECONDS] [--out FILE] | lunette replay -
 *
 * The same words give the same bytes. The packets are spread evenly over the span, which begins at the start
 * (seconds since 1970), so that a flood can be merged with a capture of that time. README.md says what each
 * kind is for. */
#include "wire.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    kind *make;
} kinds[] = {
    {"syn-flood", kind_syn_flood}, {"flows", kind_flows},
    {"fragments", kind_fragments}, {"overlaps", kind_overlaps},
    {"hash", kind_hash},           {"names", kind_names},
    {"headers", kind_headers},     {"hello-bytes", kind_hello_bytes},
    {"tunnels", kind_tunnels},     {"hosts", kind_hosts},
    {"events", kind_events},       {"clean", kind_clean},
    {"clock", kind_clock}, /* last: `mixed` is those before, without `clean`, then this */
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* A turn of each; the clock's play would be felt by all that follow. */
static void mixed(struct wire *w, uint64_t turn) {
    kinds[turn % (KINDS - 2)].make(w, turn / (KINDS - 2));
}

static _Noreturn void usage(void) {
    fprintf(stderr,
            "usage: flood KIND [--packets N] [--seed N] [--start S] [--span S] [--out FILE]\nkinds: mixed");
    for (int i = 0; i < KINDS; i++) fprintf(stderr, " %s", kinds[i].name);
    fprintf(stderr, "\n");
    exit(2);
}

static kind *kind_named(const char *name) {
    if (strcmp(name, "mixed") == 0) return mixed;
    for (int i = 0; i < KINDS; i++)
        if (strcmp(name, kinds[i].name) == 0) return kinds[i].make;
    usage();
}

static double number(const char *text) {
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text || !(value >= 0 && value < 1e12)) usage();
    return value;
}

int main(int argc, char **argv) {
    static struct wire w = {.out = NULL, .random = 1, .wanted = 100000};
    static const struct option options[] = {{"packets", 1, 0, 'n'}, {"seed", 1, 0, 's'}, {"start", 1, 0, 'b'},
                                            {"span", 1, 0, 'd'},    {"out", 1, 0, 'o'},  {0}};
    double start = 1718095162, span = 300;
    const char *out = NULL;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'n')
            w.wanted = (uint64_t)number(optarg);
        else if (c == 's')
            w.random = (uint64_t)number(optarg);
        else if (c == 'b')
            start = number(optarg);
        else if (c == 'd')
            span = number(optarg);
        else if (c == 'o')
            out = optarg;
        else
            usage();
    }
    if (optind + 1 != argc) usage();
    kind *make = kind_named(argv[optind]);
    w.out = out ? fopen(out, "wb") : stdout;
    if (!w.out) {
        perror(out);
        return 1;
    }
    setvbuf(w.out, NULL, _IOFBF, 1 << 18);
    w.start = (int64_t)(start * 1e9);
    w.step = (int64_t)(span * 1e9 / (double)(w.wanted ? w.wanted : 1));
    wire_header(&w);
    for (uint64_t turn = 0; !wire_done(&w); turn++) make(&w, turn);
    return fclose(w.out) == 0 ? 0 : 1;
}
