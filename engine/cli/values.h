/* The values of all options: what each is, and who said so.
 *
 * Defaults first, then the configuration, then the command line: a later one takes the place of an earlier
 * one, whole lists included. */
#ifndef LUNETTE_CLI_VALUES_H
#define LUNETTE_CLI_VALUES_H

#include "base/error.h"
#include "cli/options.h"
#include "output/buffer.h"

enum value_origin { BY_DEFAULT, BY_CONFIG, BY_COMMAND_LINE };

struct value {
    enum value_origin origin;
    uint32_t line; /* in the configuration */
    bool given;    /* false: neither given nor a default */
    double number; /* flags (0, 1), numbers, choices, sizes in bytes, durations in seconds */
    char **words;  /* texts, one; lists; settings. Owned */
    uint32_t count;
};

struct values {
    struct value of[OPTION_COUNT];
};

/* All as by default for one command (FOR_REPLAY or FOR_LIVE). NULL without memory. */
struct values *values_new(unsigned command);
void values_free(struct values *values);

/* Reads one occurrence of an option from a word, as the command line has it; NULL for a flag without one.
 * The first occurrence from an origin takes the place of what was there. -1 and what was expected, without
 * the option's name: "expected a number from 1 to 64, got 'x'". */
int value_read(struct values *values, enum option_id id, enum value_origin origin, const char *word,
               struct error *err);

/* The parts of the above, for values that come as something else than words. `words` copies; clear empties.
 */
void value_clear(struct value *value);
int value_add_word(struct value *value, const char *word, struct error *err);
int value_set_number(struct values *values, enum option_id id, double number, struct error *err);

/* "a number from 1 to 64", "yes or no": what the option wants. */
void value_expected(const struct option_spec *spec, bool in_config, char *out, size_t size);

bool values_equal(const struct value *a, const struct value *b);
static inline bool value_flag(const struct values *values, enum option_id id) {
    return values->of[id].number != 0;
}
/* NULL if not given. */
static inline const char *value_text(const struct values *values, enum option_id id) {
    return values->of[id].count ? values->of[id].words[0] : NULL;
}
static inline double value_number(const struct values *values, enum option_id id) {
    return values->of[id].number;
}
static inline const char *const *value_words(const struct values *values, enum option_id id) {
    return (const char *const *)values->of[id].words;
}

/* The value as Lua would write it: `{ "a", "b" }`, `64`, `"10m"`, `nil`. */
void value_print(struct buffer *b, enum option_id id, const struct value *value);

#endif
