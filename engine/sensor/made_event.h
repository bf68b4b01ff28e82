/* An event of the schema that no packet caused: its fields are given by name, kept, and put into a batch
 * later, as often as one likes.
 *
 * A made event is one run of bytes: the struct as the schema has it, then the texts and lists that its
 * references point to, counted from the start of the run instead of the batch's text. */
#ifndef LUNETTE_SENSOR_MADE_EVENT_H
#define LUNETTE_SENSOR_MADE_EVENT_H

#include "base/bytes.h"
#include "event/batch.h"
#include "output/buffer.h"
#include "sensor/home.h"

/* Words of made events: the schema has them as pointers to constants, so they must stay where they are. */
struct made_words {
    char **list;
    size_t count;
};
void made_words_free(struct made_words *words);

struct made_event {
    enum event_kind kind;
    struct buffer bytes;
    bool client_local_given, server_local_given; /* else they follow from the addresses */
};

/* All fields zero or absent. -1 without memory. */
int made_event_begin(struct made_event *event, enum event_kind kind, struct error *err);
void made_event_free(struct made_event *event);

/* The same in the memory of one that was made before, or of one all zero. */
int made_event_renew(struct made_event *event, enum event_kind kind, struct error *err);

/* Set one field; -1 and what was expected if the type is another or the number does not fit. */
int made_event_number(struct made_event *event, const struct field *field, double number, struct error *err);
int made_event_flag(struct made_event *event, const struct field *field, bool flag, struct error *err);
int made_event_text(struct made_event *event, const struct field *field, const char *text, size_t length,
                    struct made_words *words, struct error *err);
int made_event_list(struct made_event *event, const struct field *field, const struct slice *texts,
                    size_t count, struct error *err);
int made_event_numbers(struct made_event *event, const struct field *field, const double *numbers,
                       size_t count, struct error *err);

/* The same for a word that stays where it is (NULL: absent), for a time, and for a whole number that a double
 * would not hold exactly; the field is of that type. */
void made_event_u64(struct made_event *event, const struct field *field, uint64_t number);
void made_event_word(struct made_event *event, const struct field *field, const char *word);
void made_event_time(struct made_event *event, const struct field *field, nanoseconds time);

/* "a number", "a list of strings": what a field wants, for messages. */
const char *made_event_expects(const struct field *field);

/* Puts it into the batch, at the batch's clock. */
void made_event_commit(const struct made_event *event, struct batch *batch, nanoseconds time,
                       const struct home *home);

#endif
