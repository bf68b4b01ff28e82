/* Words into values: numbers with units and bounds, choices, lists. One message for one mistake, whoever made
 * it; the caller puts the option's name before it. */
#include "cli/values.h"

#include "base/nearest.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIB = 1 << 20, FIRST_WORD_ROOM = 4 };

struct unit {
    const char *name;
    double factor;
};

/* In MiB, and in seconds; the first is what a bare number means. */
static const struct unit sizes[] = {{"MiB", 1},      {"M", 1},    {"KiB", 1. / 1024}, {"K", 1. / 1024},
                                    {"GiB", 1024},   {"G", 1024}, {"TiB", 1 << 20},   {"T", 1 << 20},
                                    {"B", 1. / MIB}, {NULL, 0}};
static const struct unit times[] = {{"s", 1},    {"ms", 0.001}, {"m", 60},        {"min", 60},
                                    {"h", 3600}, {"d", 86400},  {"w", 7 * 86400}, {NULL, 0}};

/* ── what is expected ────────────────────────────────────────────── */

static void choices_expected(const char *const *choices, char *out, size_t size) {
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; choices[i] && used < size; i++) {
        const char *between = i == 0 ? "" : choices[i + 1] ? ", " : " or ";
        used += (size_t)snprintf(out + used, size - used, "%s%s", between, choices[i]);
    }
}

void value_expected(const struct option_spec *spec, bool in_config, char *out, size_t size) {
    switch (spec->kind) {
    case KIND_FLAG:
        snprintf(out, size, in_config ? "true or false" : "yes or no");
        return;
    case KIND_LIST:
    case KIND_COMMAS:
        snprintf(out, size, "a string, or a list of strings: { \"...\", \"...\" }");
        return;
    case KIND_SETTINGS:
        snprintf(out, size, "a table for each detector: { beacon = { score = 4 } }");
        return;
    case KIND_NUMBER:
        snprintf(out, size, "a number from %.0f to %.0f", spec->least, spec->most);
        return;
    case KIND_SIZE:
        snprintf(out, size, "MiB from %.6g to %.0f, or a size with its unit such as \"2GiB\"", spec->least,
                 spec->most);
        return;
    case KIND_DURATION:
        snprintf(out, size, "%sseconds from %.6g to %.0f, or a time with its unit such as \"10m\"",
                 spec->or_zero ? "0, or " : "", spec->least, spec->most);
        return;
    case KIND_CHOICE:
        choices_expected(spec->choices, out, size);
        return;
    default:
        snprintf(out, size, "a string");
    }
}

static int unexpected(const struct option_spec *spec, const char *word, struct error *err) {
    char expected[160];
    value_expected(spec, false, expected, sizeof expected);
    return error_set(err, "expected %s, got '%s'", expected, word);
}

/* ── words ───────────────────────────────────────────────────────── */

void value_clear(struct value *value) {
    for (uint32_t i = 0; i < value->count; i++) free(value->words[i]);
    free(value->words);
    *value = (struct value){.origin = value->origin};
}

static int add_span(struct value *value, const char *word, size_t length, struct error *err) {
    bool full =
        value->count == 0 || (value->count >= FIRST_WORD_ROOM && (value->count & (value->count - 1)) == 0);
    if (full) {
        size_t room = value->count ? (size_t)value->count * 2 : FIRST_WORD_ROOM;
        char **grown = realloc(value->words, room * sizeof *grown);
        if (!grown) return error_set(err, "out of memory");
        value->words = grown;
    }
    char *copy = strndup(word, length);
    if (!copy) return error_set(err, "out of memory");
    value->words[value->count++] = copy;
    value->given = true;
    return 0;
}

int value_add_word(struct value *value, const char *word, struct error *err) {
    return add_span(value, word, strlen(word), err);
}

static int add_checked(struct value *value, const struct option_spec *spec, const char *word,
                       struct error *err) {
    if (spec->check && spec->check(word, err) < 0) return -1;
    return value_add_word(value, word, err);
}

static int add_commas(struct value *value, const struct option_spec *spec, const char *word,
                      struct error *err) {
    while (*word) {
        size_t length = strcspn(word, ",");
        char item[256];
        if (length >= sizeof item) return error_set(err, "'%.40s...' is too long", word);
        snprintf(item, sizeof item, "%.*s", (int)length, word);
        if (length > 0 && add_checked(value, spec, item, err) < 0) return -1;
        word += length + (word[length] == ',');
    }
    return value->count ? 0 : error_set(err, "expected something, got nothing");
}

/* ── numbers ─────────────────────────────────────────────────────── */

int value_set_number(struct values *values, enum option_id id, double number, struct error *err) {
    const struct option_spec *spec = option_spec(id);
    char text[32];
    snprintf(text, sizeof text, "%.14g", number);
    bool zero = spec->or_zero && number == 0;
    if (!zero && !(number >= spec->least && number <= spec->most)) return unexpected(spec, text, err);
    if (spec->kind == KIND_NUMBER && number != floor(number)) return unexpected(spec, text, err);
    values->of[id].number = spec->kind == KIND_SIZE ? (double)(uint64_t)(number * MIB) : number;
    values->of[id].given = true;
    return 0;
}

/* Decimal digits, and at most one point among them. */
static bool is_decimal(const char *word, size_t length) {
    const char *point = memchr(word, '.', length);
    return isdigit((unsigned char)*word) && strspn(word, "0123456789.") == length && length < 20 &&
           (!point || !memchr(point + 1, '.', length - (size_t)(point + 1 - word)));
}

static int read_number(struct values *values, enum option_id id, const char *word, const struct unit *units,
                       struct error *err) {
    const struct option_spec *spec = option_spec(id);
    size_t length = strspn(word, "0123456789.");
    if (!is_decimal(word, length)) return unexpected(spec, word, err);
    const char *unit = word + length + strspn(word + length, " ");
    double factor = *unit ? 0 : 1;
    for (; units && units->name; units++)
        if (strcmp(unit, units->name) == 0) factor = units->factor;
    struct error ignored;
    if (factor == 0 || value_set_number(values, id, strtod(word, NULL) * factor, &ignored) < 0)
        return unexpected(spec, word, err);
    return 0;
}

static int read_flag(struct value *value, const struct option_spec *spec, const char *word,
                     struct error *err) {
    bool yes = !word || strcmp(word, "yes") == 0 || strcmp(word, "true") == 0;
    if (!yes && strcmp(word, "no") != 0 && strcmp(word, "false") != 0) return unexpected(spec, word, err);
    value->number = yes;
    value->given = true;
    return 0;
}

static int read_choice(struct value *value, const struct option_spec *spec, const char *word,
                       struct error *err) {
    size_t count = 0;
    for (; spec->choices[count]; count++) {
        if (strcmp(spec->choices[count], word) != 0) continue;
        value->number = (double)count;
        value->given = true;
        return 0;
    }
    char expected[160];
    value_expected(spec, false, expected, sizeof expected);
    const char *near = nearest_name(word, spec->choices, count);
    return error_set(err, "expected %s, got '%s'%s%s%s", expected, word, near ? ", did you mean '" : "",
                     near ? near : "", near ? "'?" : "");
}

/* ── all of it ───────────────────────────────────────────────────── */

int value_read(struct values *values, enum option_id id, enum value_origin origin, const char *word,
               struct error *err) {
    const struct option_spec *spec = option_spec(id);
    struct value *value = &values->of[id];
    bool repeats = spec->kind == KIND_LIST || spec->kind == KIND_SETTINGS;
    repeats |= spec->kind == KIND_COMMAS && origin == BY_CONFIG; /* a list there comes word by word */
    if (!repeats || value->origin != origin) value_clear(value);
    value->origin = origin;
    switch (spec->kind) {
    case KIND_FLAG:
        return read_flag(value, spec, word, err);
    case KIND_COMMAS:
        return add_commas(value, spec, word, err);
    case KIND_NUMBER:
        return read_number(values, id, word, NULL, err);
    case KIND_SIZE:
        return read_number(values, id, word, sizes, err);
    case KIND_DURATION:
        return read_number(values, id, word, times, err);
    case KIND_CHOICE:
        return read_choice(value, spec, word, err);
    default:
        return add_checked(value, spec, word, err);
    }
}

/* A default that begins with $ is what the environment says; of several folders (systemd) the first. */
static int read_initial(struct values *values, enum option_id id, const char *initial, struct error *err) {
    char folder[4096];
    if (initial[0] == '$') {
        const char *said = getenv(initial + 1);
        if (!said || !*said) return 0;
        snprintf(folder, sizeof folder, "%.*s", (int)strcspn(said, ":"), said);
        initial = folder;
    }
    return value_read(values, id, BY_DEFAULT, initial, err);
}

struct values *values_new(unsigned command) {
    struct values *values = calloc(1, sizeof *values);
    struct error err;
    for (int id = 0; values && id < OPTION_COUNT; id++) {
        const struct option_spec *spec = option_spec((enum option_id)id);
        bool other = command == FOR_REPLAY && spec->initial_replay;
        const char *initial = other ? spec->initial_replay : spec->initial;
        if (!initial || read_initial(values, (enum option_id)id, initial, &err) == 0) continue;
        values_free(values);
        return NULL;
    }
    return values;
}

void values_free(struct values *values) {
    for (int id = 0; values && id < OPTION_COUNT; id++) value_clear(&values->of[id]);
    free(values);
}

bool values_equal(const struct value *a, const struct value *b) {
    if (a->given != b->given || a->number != b->number || a->count != b->count) return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (strcmp(a->words[i], b->words[i]) != 0) return false;
    return true;
}

/* ── as Lua ──────────────────────────────────────────────────────── */

static void print_string(struct buffer *b, const char *text) {
    buffer_char(b, '"');
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\')
            buffer_format(b, "\\%c", c);
        else if (c < ' ' || c == 0x7f)
            buffer_format(b, "\\%03u", c);
        else
            buffer_char(b, *p);
    }
    buffer_char(b, '"');
}

/* "a.x=1" "a.y=2" "b.z=3": { ["a"] = { ["x"] = "1", … }, … }. A
 * detector's settings are printed with its first one. */
static void print_settings(struct buffer *b, const struct value *value) {
    buffer_string(b, "{");
    for (uint32_t i = 0; i < value->count; i++) {
        size_t name = strcspn(value->words[i], ".") + 1;
        bool first = true;
        for (uint32_t j = 0; j < i; j++) first &= strncmp(value->words[j], value->words[i], name) != 0;
        if (!first) continue;
        buffer_format(b, " [\"%.*s\"] = {", (int)name - 1, value->words[i]);
        for (uint32_t j = i; j < value->count; j++) {
            if (strncmp(value->words[j], value->words[i], name) != 0) continue;
            const char *key = value->words[j] + name, *equals = strchr(key, '=');
            buffer_format(b, " [\"%.*s\"] = ", (int)(equals - key), key);
            print_string(b, equals + 1);
            buffer_char(b, ',');
        }
        buffer_string(b, " },");
    }
    buffer_string(b, " }");
}

static void print_list(struct buffer *b, const struct value *value) {
    buffer_string(b, "{ ");
    for (uint32_t i = 0; i < value->count; i++) {
        if (i > 0) buffer_string(b, ", ");
        print_string(b, value->words[i]);
    }
    buffer_string(b, " }");
}

void value_print(struct buffer *b, enum option_id id, const struct value *value) {
    const struct option_spec *spec = option_spec(id);
    if (spec->kind == KIND_FLAG)
        buffer_string(b, value->number != 0 ? "true" : "false");
    else if (!value->given)
        buffer_string(b, "nil");
    else if (spec->kind == KIND_CHOICE)
        print_string(b, spec->choices[(size_t)value->number]);
    else if (spec->kind == KIND_SETTINGS)
        print_settings(b, value);
    else if (spec->kind == KIND_LIST || spec->kind == KIND_COMMAS)
        print_list(b, value);
    else if (spec->kind == KIND_TEXT)
        print_string(b, value->words[0]);
    else
        buffer_format(b, "%.15g", value->number / (spec->kind == KIND_SIZE ? MIB : 1));
}
