/* libpcap filter expressions over packets of any link type.
 *
 * The program for a link type is compiled when the first packet of that type comes. */
#include "capture/filter.h"

#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRAMS = 16, SNAP_LENGTH = 524288 };

struct program {
    uint16_t link_type;
    bool usable; /* false: the expression makes no sense for this link type */
    struct bpf_program code;
};

struct filter {
    char *expression;
    int count;
    struct program programs[PROGRAMS];
};

/* LINKTYPE_ and DLT_ numbers are the same but for a few that systems disagreed about. */
static int dlt_of(uint16_t link_type) {
    switch (link_type) {
    case 12:
    case 14:
    case 101:
        return DLT_RAW;
    case 228:
        return DLT_IPV4;
    case 229:
        return DLT_IPV6;
    default:
        return link_type;
    }
}

static int compile(struct program *p, const char *expression, uint16_t link_type, struct error *err) {
    *p = (struct program){.link_type = link_type};
    pcap_t *handle = pcap_open_dead(dlt_of(link_type), SNAP_LENGTH);
    if (!handle) return error_set(err, "out of memory");
    p->usable = pcap_compile(handle, &p->code, expression, 1, PCAP_NETMASK_UNKNOWN) == 0;
    int result =
        p->usable ? 0 : error_set(err, "\"%s\" is not a filter: %s", expression, pcap_geterr(handle));
    pcap_close(handle);
    return result;
}

struct filter *filter_new(const char *expression, struct error *err) {
    struct filter *f = calloc(1, sizeof *f);
    if (f) f->expression = strdup(expression);
    if (!f || !f->expression) {
        free(f);
        error_set(err, "out of memory");
        return NULL;
    }
    if (compile(&f->programs[0], expression, DLT_EN10MB, err) < 0) {
        filter_free(f);
        return NULL;
    }
    f->count = 1;
    return f;
}

/* NULL if a capture has more link types than there is room for: those match nothing. */
static struct program *program_for(struct filter *f, uint16_t link_type) {
    for (int i = 0; i < f->count; i++)
        if (f->programs[i].link_type == link_type) return &f->programs[i];
    if (f->count == PROGRAMS) return NULL;
    struct program *p = &f->programs[f->count++];
    compile(p, f->expression, link_type, NULL);
    return p;
}

bool filter_matches(struct filter *f, const struct packet *packet) {
    struct program *p = program_for(f, packet->link_type);
    if (!p || !p->usable) return false;
    return bpf_filter(p->code.bf_insns, packet->bytes, packet->original, packet->captured) != 0;
}

void filter_free(struct filter *f) {
    if (!f) return;
    for (int i = 0; i < f->count; i++)
        if (f->programs[i].usable) pcap_freecode(&f->programs[i].code);
    free(f->expression);
    free(f);
}
