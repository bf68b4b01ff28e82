/* Hosts' cards among the outputs: one table for each worker, merged when somebody looks.
 *
 * Records of ten thousand hosts are some 20 MiB, more than may wait for a receiver (output/receiver.h). So
 * live they go out in pieces: hourly ones a piece a second, the last ones as the receivers have room. */
#include "output/output_room.h"

#include "output/card_show.h"
#include "output/json.h"

#include <stdlib.h>

enum { PIECE = 1 << 20 };

/* Who wants hosts' cards, at the end or before? */
bool outputs_want_cards(const struct outputs *o) {
    const struct output_options *options = &o->options;
    bool recorded = options->record_hosts && options->record_count > 0;
    return recorded || options->show_summary || options->show_hosts || options->keep_cards;
}

int outputs_open_cards(struct outputs *o, struct error *err) {
    for (uint32_t i = 0; outputs_want_cards(o) && i < o->worker_count; i++) {
        o->workers[i].cards = cards_new(CARDS_HOSTS, CARDS_BYTES);
        if (!o->workers[i].cards) return error_set(err, "out of memory for the hosts' cards");
    }
    return 0;
}

static void round_end(struct outputs *o) {
    free(o->round.list);
    cards_free(o->round.cards);
    o->round = (struct host_round){.cards = NULL};
}

void outputs_free_cards(struct outputs *o) {
    round_end(o);
    for (uint32_t i = 0; i < o->worker_count; i++) cards_free(o->workers[i].cards);
}

struct cards *outputs_merged_cards(const struct outputs *o, const struct ip *only) {
    struct cards *merged = outputs_want_cards(o) ? cards_new(UINT32_MAX, SIZE_MAX) : NULL;
    for (uint32_t i = 0; merged && i < o->worker_count; i++) cards_merge(merged, o->workers[i].cards, only);
    return merged;
}

void outputs_fact(struct output_worker *worker, const struct fact *fact) {
    if (worker->cards) cards_tell(worker->cards, fact);
}

struct card_figures outputs_card_figures(struct outputs *o) {
    struct card_figures sum = {0};
    for (uint32_t i = 0; i < o->worker_count && o->workers[i].cards; i++) {
        const struct card_figures figures = cards_figures(o->workers[i].cards);
        sum.hosts += figures.hosts;
        sum.bytes += figures.bytes;
        sum.evicted += figures.evicted;
        sum.dropped += figures.dropped;
    }
    return sum;
}

/* ── a round of records ──────────────────────────────────────────── */

static void round_begin(struct outputs *o, nanoseconds time) {
    round_end(o);
    struct host_round round = {.cards = outputs_merged_cards(o, o->options.host), .time = time};
    if (round.cards) round.list = cards_list(round.cards, &round.count);
    o->round = round;
}

/* The next piece, to all receivers. */
static void round_go_on(struct outputs *o) {
    struct host_round *round = &o->round;
    struct buffer b = {.at = NULL};
    while (round->next < round->count && b.length < PIECE && !b.failed)
        card_record(round->list[round->next++], &b, round->time);
    for (uint32_t i = 0; b.length && !b.failed && i < o->receiver_count; i++)
        receiver_write(o->receivers[i], b.at, b.length);
    buffer_free(&b);
    if (round->next == round->count) round_end(o);
}

void outputs_say_hosts(struct outputs *o, nanoseconds time) {
    if (!o->options.record_hosts || !o->receiver_count || o->round.cards) return;
    round_begin(o, time);
}

void outputs_each_second(struct outputs *o) {
    if (o->round.cards) round_go_on(o);
}

void outputs_last_hosts(struct outputs *o, double seconds) {
    if (!o->last_round) return;
    round_begin(o, o->last_time);
    while (o->round.cards) {
        for (uint32_t i = 0; i < o->receiver_count; i++)
            seconds = receiver_await(o->receivers[i], PIECE, seconds);
        round_go_on(o);
    }
}

/* Of a replay, whose receivers make the worker wait. */
static void record_hosts(struct output_worker *worker, nanoseconds time) {
    const struct output_options *options = &worker->outputs->options;
    struct cards *cards = outputs_merged_cards(worker->outputs, options->host);
    uint32_t count = 0, most = options->host_records ? options->host_records : UINT32_MAX;
    const struct card **list = cards ? cards_list(cards, &count) : NULL;
    for (uint32_t i = 0; i < count && i < most; i++) {
        struct buffer *b = record_begin(worker->stream, SINK_RECORDS);
        if (!b) break;
        card_record(list[i], b, time);
        record_commit(worker->stream, (struct line_key){.clock = time, .seq = UINT64_MAX});
    }
    free(list);
    cards_free(cards);
}

void outputs_hosts(struct output_worker *worker, nanoseconds time) {
    struct outputs *o = worker->outputs;
    if (!o->options.record_hosts || o->options.record_count == 0) return;
    o->last_round = o->options.live;
    o->last_time = time;
    if (!o->options.live) record_hosts(worker, time);
}

/* ── for who asks ────────────────────────────────────────────────── */

void outputs_cards(struct outputs *o, const struct ip *only, uint32_t most, nanoseconds time,
                   struct buffer *b) {
    struct cards *cards = outputs_merged_cards(o, only);
    uint32_t count = 0;
    const struct card **list = cards ? cards_list(cards, &count) : NULL;
    buffer_char(b, '[');
    for (uint32_t i = 0; i < count && i < most; i++) {
        json_item(b);
        card_record(list[i], b, time);
        if (!b->failed) b->length--; /* its line feed */
    }
    buffer_char(b, ']');
    free(list);
    cards_free(cards);
}
