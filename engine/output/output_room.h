/* What the outputs hold: output.c opens, feeds and closes them, output_hosts.c keeps the hosts' cards. */
#ifndef LUNETTE_OUTPUT_OUTPUT_ROOM_H
#define LUNETTE_OUTPUT_OUTPUT_ROOM_H

#include "output/output.h"
#include "output/writer.h"

struct progress;

enum { SINK_RECORDS, SINK_TERMINAL };

struct output_worker {
    struct outputs *outputs;
    struct record_stream *stream;
    struct summary summary;
    struct cards *cards; /* NULL: nobody asks for them */
};

/* Records of all hosts, on their way: a copy of the cards, and how many of the list were written. */
struct host_round {
    struct cards *cards; /* NULL: none is under way */
    const struct card **list;
    uint32_t count, next;
    nanoseconds time;
};

struct outputs {
    struct output_options options;
    struct eve *eve;
    struct writer *writer;
    struct progress *progress;
    struct terminal_style style;
    struct receiver *receivers[OUTPUT_RECEIVERS];
    uint32_t receiver_count;
    struct receiver *screen; /* live: the terminal, which may be stopped or slow */
    int terminal_fd;
    struct host_round round;
    bool last_round; /* live: one more is due when all else is written, */
    nanoseconds last_time;
    uint32_t worker_count;
    struct output_worker workers[];
};

/* ── output_hosts.c ── */

int outputs_open_cards(struct outputs *outputs, struct error *err);
void outputs_free_cards(struct outputs *outputs);
bool outputs_want_cards(const struct outputs *outputs);

/* All workers' cards as one table of the caller's; NULL: none, or no memory. */
struct cards *outputs_merged_cards(const struct outputs *outputs, const struct ip *only);

/* Live, the workers' records are written: those of the hosts, as fast as the receivers take them, for at most
 * so many seconds; then what does not fit is lost. */
void outputs_last_hosts(struct outputs *outputs, double seconds);

#endif
