/* A card: what is known of one host. Facts are what detectors tell (lunette.fact), the latest of each topic;
 * findings are its alerts, one for each detector and title; programs and bytes are counted from its flows.
 *
 * Everything on it is bounded: 16 topics, 16 findings, 32 programs. Where that is reached the topic not told
 * of for longest, the least severe finding (of those the oldest) and the least busy program give way; what
 * comes instead of a program inherits its weight, as in output/top.h. */
#ifndef LUNETTE_OUTPUT_CARD_H
#define LUNETTE_OUTPUT_CARD_H

#include "base/ip.h"
#include "event/alert.h"

#include <stdbool.h>
#include <stddef.h>

enum { CARD_TOPICS = 16, CARD_FINDINGS = 16, CARD_PROGRAMS = 32, CARD_PROGRAMS_SHOWN = 8, CARD_TITLE = 160 };

/* One allocation with its texts. One that was taken back stays without a text, so that what another worker
 * was told before is taken back with it. */
struct card_fact {
    struct card_fact *next; /* in the order of the card */
    nanoseconds since;      /* when this text was told first, */
    nanoseconds told;       /* and last */
    const char *topic, *detector;
    const char *text;    /* lines, with '\n' between them; "": taken back */
    const char *details; /* a JSON object */
    bool second_hand;    /* as in struct fact */
    size_t size;
};

struct card_finding {
    struct card_finding *next; /* worst first, then latest first */
    nanoseconds last;
    uint64_t count;   /* alerts, with those that their cooldown held back */
    uint8_t severity; /* the worst */
    const char *title, *detector;
    size_t size;
};

struct card_program {
    const char *name, *path; /* words (base/words.h); path may be NULL */
    uint64_t weight;         /* never less than its bytes */
    uint64_t flows, sent, received;
};

struct card {
    struct ip address;
    uint64_t flows, sent, received; /* of flows that have ended */
    struct card_fact *facts;
    struct card_finding *findings;
    struct card_program *programs; /* owned, in no order */
    uint8_t fact_count, finding_count, program_count, program_room;
    uint32_t dropped; /* topics and findings that gave way */
    size_t bytes;     /* of it all */

    /* The table's (output/cards.c). */
    struct card *next, *newer, *older;
};

struct card *card_new(const struct ip *address); /* NULL: out of memory */
void card_free(struct card *card);

/* Each may fail for want of memory: then the card is as it was. */
void card_tell(struct card *card, const struct fact *fact, nanoseconds since);
void card_find(struct card *card, const struct card_finding *finding);
void card_program_add(struct card *card, const struct card_program *program);

/* Adds what another card of the same host has. Of two facts of a topic the one told by who has the host's
 * traffic stays, else the one told later. */
void card_merge(struct card *into, const struct card *from);

/* Is there more to say of the host than its bytes? */
bool card_says(const struct card *card);

/* Programs, the busiest first: at most `most` of them into `out`. Returns how many. */
uint32_t card_busiest(const struct card *card, const struct card_program **out, uint32_t most);

/* The first fact that was not taken back, from `fact` on; NULL: none. */
const struct card_fact *card_standing(const struct card_fact *fact);

#endif
