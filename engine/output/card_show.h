/* A card for people and for machines. */
#ifndef LUNETTE_OUTPUT_CARD_SHOW_H
#define LUNETTE_OUTPUT_CARD_SHOW_H

#include "output/buffer.h"
#include "output/card.h"
#include "output/terminal.h"

/* How much of a card is shown: what is left out is counted below it. */
struct card_extent {
    uint32_t programs, findings;
};

static const struct card_extent card_whole = {CARD_PROGRAMS_SHOWN, CARD_FINDINGS};
static const struct card_extent card_brief = {4, 4};

/* The host and who it is, then a line or several for each topic, its programs, its findings and its traffic.
 */
void card_print(const struct card *card, struct buffer *b, const struct terminal_style *style,
                struct card_extent extent);

/* Cards one below the other, with an empty line between them; `most` of them, and how many there are more. */
void card_print_list(const struct card *const *list, uint32_t count, uint32_t most, struct buffer *b,
                     const struct terminal_style *style, struct card_extent extent);

/* {"flows":…,"sent":…,"received":…,"facts":{TOPIC:{"text":[…],"detector":…,"since":…,"details":{…}},…},
 * "programs":[…],"findings":[…]}; what is empty is left out. */
void card_json(const struct card *card, struct buffer *b);

/* The record: {"timestamp":…,"event_type":"host","src_ip":ADDRESS,"host":{…}} and a line feed. */
void card_record(const struct card *card, struct buffer *b, nanoseconds time);

#endif
