/* A host's record, as a sensor answers it, back into a card. */
#ifndef LUNETTE_CLI_CARD_READ_H
#define LUNETTE_CLI_CARD_READ_H

#include "output/card.h"

#include <jansson.h>

/* NULL if it is none. The programs' names are the record's: it must outlive the card, which is freed with
 * card_free(). */
struct card *card_read(const json_t *record);

#endif
