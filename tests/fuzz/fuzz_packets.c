/* libFuzzer target: packets of any link type through the whole worker: decoding, tunnels, fragments, TCP
 * reassembly, all protocols. The input's first byte chooses the link type; its records are packets, a
 * millisecond apart, those marked as early half a second before their turn.
 *
 * A rig serves many inputs. Between two of them a day passes, so that all flows and fragments of the first
 * are gone. */
#include "fuzz/records.h"
#include "fuzz/see.h"

#include "workbench/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUTS_PER_RIG = 256, DAY = 86400 };

static struct {
    struct rig *rig;
    unsigned inputs;
    nanoseconds now;
} fuzz;

static void on_event(void *context, enum event_kind kind, const void *event, const struct batch *batch) {
    (void)context;
    see_event(batch, kind, event);
}

static struct rig *rig_make(void) {
    struct error err = {0};
    struct rig_options options = {.batch_limit = 64, .on_event = on_event};
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++)
        options.wanted[kind] = !event_is_hidden((enum event_kind)kind);
    struct rig *rig = rig_new(&options, &err);
    if (rig) return rig;
    fprintf(stderr, "%s\n", err.text);
    exit(1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint16_t link_types[] = {1, 1, 1, 101, 0, 9, 12, 50, 51, 104, 108, 113, 138, 228, 229, 276};
    if (size < 1) return 0;
    if (fuzz.rig && ++fuzz.inputs % INPUTS_PER_RIG == 0) {
        rig_free(fuzz.rig);
        fuzz.rig = NULL;
    }
    if (!fuzz.rig) {
        fuzz.rig = rig_make();
        fuzz.now = 1700000000 * NS_PER_SECOND;
    }
    fuzz.now += DAY * NS_PER_SECOND;
    struct cursor rest = cursor_over(data + 1, size - 1);
    struct record record;
    while (record_next(&rest, &record)) {
        uint8_t *copy = malloc(record.length ? record.length : 1);
        if (!copy) abort();
        memcpy(copy, record.bytes, record.length);
        fuzz.now += NS_PER_MILLISECOND;
        struct packet packet = {
            .bytes = copy,
            .captured = record.length,
            .original = record.length + (record.marks & RECORD_CUT ? 100 : 0),
            .time = fuzz.now - (record.marks & RECORD_EARLY ? NS_PER_SECOND / 2 : 0),
            .link_type = link_types[data[0] % (sizeof link_types / sizeof *link_types)],
        };
        rig_packets(fuzz.rig, &packet, 1);
        free(copy);
    }
    return 0;
}
