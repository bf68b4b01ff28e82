/* See keyring.h. */
#include "script/keyring.h"

#include "event/schema.h"
#include "script/watchdog.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PART_IP_OR_NOTHING = FIELD_TYPES, /* of an event that a script declared: zeros are no address */
    NUMBER_TEXT = 32,                 /* bytes for a number as text */
    SEPARATOR = '\t',
};

/* views.lua writes the numbers down. */
_Static_assert(FIELD_u8 == 0 && FIELD_u16 == 1 && FIELD_u32 == 2 && FIELD_u64 == 3 && FIELD_f64 == 4 &&
                   FIELD_time == 6 && FIELD_ip == 7 && FIELD_word == 8 && FIELD_str == 9 &&
                   (int)PART_IP_OR_NOTHING == 13,
               "views.lua knows the types of fields");

struct lunette_keyring {
    struct keys *keys;
    struct detector *detector;
    char *parts; /* of the key at hand */
    size_t room;
    struct lunette_keyring *next;
};

struct lunette_keyring *keyring_new(struct detector *detector, uint32_t max, double ttl, struct error *err) {
    struct lunette_keyring *keyring = calloc(1, sizeof *keyring);
    if (keyring) keyring->keys = keys_new(max, ttl, &detector->beside_heap, detector->options.memory_limit);
    if (!keyring || !keyring->keys) {
        free(keyring);
        error_set(err, "cannot reserve address space for %u entries", max);
        return NULL;
    }
    keyring->detector = detector;
    keyring->next = detector->keyrings;
    detector->keyrings = keyring;
    return keyring;
}

void keyrings_free(struct detector *detector) {
    for (struct lunette_keyring *keyring = detector->keyrings, *next; keyring; keyring = next) {
        next = keyring->next;
        detector->beside_heap -= keyring->room;
        keys_free(keyring->keys);
        free(keyring->parts);
        free(keyring);
    }
    detector->keyrings = NULL;
}

struct keys *keyring_keys(struct lunette_keyring *keyring) {
    return keyring->keys;
}

/* ------------------------------------------------------------ the look-up */

static int32_t find(struct lunette_keyring *keyring, const struct key *key) {
    uint32_t dropped, slot = keys_find(keyring->keys, key, keyring->detector->feed->now, &dropped);
    return (int32_t)(dropped ? dropped | LUNETTE_KEY_OLD : slot);
}

static int32_t take(struct lunette_keyring *keyring, const struct key *key) {
    struct lunette_feed *feed = keyring->detector->feed;
    uint32_t slot;
    bool evicted;
    enum keys_taken taken = keys_take(keyring->keys, key, feed->now, &slot, &evicted);
    if (evicted) feed->evicted++;
    if (taken == KEYS_FULL) heap_refuse(keyring->detector->heap);
    if (taken == KEYS_FULL) return LUNETTE_KEY_FULL;
    uint32_t flags = taken == KEYS_FOUND ? 0
                     : taken == KEYS_NEW ? LUNETTE_KEY_NEW
                                         : LUNETTE_KEY_NEW | LUNETTE_KEY_OLD;
    return (int32_t)(slot | flags);
}

static int32_t look(struct lunette_keyring *keyring, uint32_t act, const struct key *key) {
    if (act == LUNETTE_KEY_FIND) return find(keyring, key);
    return act == LUNETTE_KEY_TAKE ? take(keyring, key) : (int32_t)keys_at(keyring->keys, key);
}

int32_t keyring_text(struct lunette_keyring *keyring, uint32_t act, const char *text, uint32_t length) {
    watchdog_obey();
    return look(keyring, act, &(struct key){.bytes = text, .length = length});
}

static int32_t look_number(struct lunette_keyring *keyring, uint32_t act, double number) {
    if (isnan(number)) return LUNETTE_KEY_ABSENT;
    number += 0.0; /* zero has no sign */
    struct key key = key_of_number(&number);
    return look(keyring, act, &key);
}

int32_t keyring_number(struct lunette_keyring *keyring, uint32_t act, double number) {
    watchdog_obey();
    return look_number(keyring, act, number);
}

/* ------------------------------------------------------------- the parts */

/* A value of a field: a number, or bytes that lie somewhere, `own` if nowhere else. */
struct part {
    const char *bytes; /* NULL: absent */
    uint32_t length;
    bool is_number;
    double number;
    char own[IP_TEXT_SIZE];
};

static void number_part(struct part *part, double number) {
    part->is_number = true;
    part->number = number;
}

static void text_part(struct part *part, const char *bytes, uint32_t length) {
    part->bytes = bytes;
    part->length = length;
}

static void ip_part(struct part *part, const struct ip *address) {
    text_part(part, part->own, (uint32_t)ip_format(address, part->own));
}

static bool is_no_address(const struct ip *address) {
    static const struct ip none;
    return memcmp(address, &none, sizeof none) == 0;
}

static void read_part(struct part *part, const void *event, const char *text, uint32_t field) {
    const void *at = (const uint8_t *)event + (field >> 8);
    const struct text_ref *ref = at;
    const char *word;
    part->bytes = NULL;
    part->length = 0;
    part->is_number = false;
    switch ((field & 0xff) - 1) {
    case PART_IP_OR_NOTHING:
        if (is_no_address(at)) return;
        ip_part(part, at);
        return;
    case FIELD_ip:
        ip_part(part, at);
        return;
    case FIELD_str:
        if (ref->at) text_part(part, text + ref->at, ref->length);
        return;
    case FIELD_word:
        word = *(const char *const *)at;
        if (word) text_part(part, word, (uint32_t)strlen(word));
        return;
    case FIELD_u8:
        number_part(part, *(const uint8_t *)at);
        return;
    case FIELD_u16:
        number_part(part, *(const uint16_t *)at);
        return;
    case FIELD_u32:
        number_part(part, *(const uint32_t *)at);
        return;
    case FIELD_u64:
        number_part(part, (double)*(const uint64_t *)at);
        return;
    case FIELD_time:
        number_part(part, (double)*(const nanoseconds *)at / 1e9);
        return;
    case FIELD_f64:
        number_part(part, *(const double *)at);
    }
}

static bool reserve(struct lunette_keyring *keyring, size_t bytes) {
    if (bytes <= keyring->room) return true;
    struct detector *detector = keyring->detector;
    size_t room = bytes + bytes / 2 + 256, more = room - keyring->room;
    if (detector->beside_heap > detector->options.memory_limit ||
        more > detector->options.memory_limit - detector->beside_heap)
        return false;
    char *grown = realloc(keyring->parts, room);
    if (!grown) return false;
    keyring->parts = grown;
    keyring->room = room;
    detector->beside_heap += more;
    return true;
}

/* Behind the `begun` bytes, and a tab behind it. UINT32_MAX: there is no memory for it. */
static uint32_t add_bytes(struct lunette_keyring *keyring, uint32_t begun, const char *bytes,
                          uint32_t length) {
    if (begun == UINT32_MAX || (uint64_t)begun + length > INT32_MAX) return UINT32_MAX;
    if (!reserve(keyring, (size_t)begun + length + 1)) return UINT32_MAX;
    if (length > 0) memcpy(keyring->parts + begun, bytes, length);
    keyring->parts[begun + length] = SEPARATOR;
    return begun + length + 1;
}

static uint32_t add_part(struct lunette_keyring *keyring, uint32_t begun, const struct part *part) {
    char text[NUMBER_TEXT];
    if (!part->is_number) return add_bytes(keyring, begun, part->bytes, part->length);
    int length = snprintf(text, sizeof text, "%.14g", part->number); /* as Lua does */
    return add_bytes(keyring, begun, text, (uint32_t)length);
}

uint32_t keyring_part(struct lunette_keyring *keyring, uint32_t begun, const char *text, uint32_t length) {
    watchdog_obey();
    return add_bytes(keyring, begun, text, length);
}

static int32_t look_one(struct lunette_keyring *keyring, uint32_t act, const struct part *part) {
    if (part->is_number) return look_number(keyring, act, part->number);
    if (!part->bytes) return LUNETTE_KEY_ABSENT;
    return look(keyring, act, &(struct key){.bytes = part->bytes, .length = part->length});
}

int32_t keyring_fields(struct lunette_keyring *keyring, uint32_t act, uint32_t begun, const void *event,
                       const char *text, uint32_t first, uint32_t second, uint32_t third, uint32_t fourth) {
    const uint32_t fields[] = {first, second, third, fourth};
    struct part part;
    watchdog_obey();
    if (begun == 0 && second == 0) {
        read_part(&part, event, text, first);
        return look_one(keyring, act, &part);
    }
    uint32_t length = begun;
    for (uint32_t i = 0; i < 4 && fields[i] != 0; i++) {
        read_part(&part, event, text, fields[i]);
        length = add_part(keyring, length, &part);
    }
    if (length == UINT32_MAX) heap_refuse(keyring->detector->heap);
    if (length == UINT32_MAX) return LUNETTE_KEY_FULL;
    return look(keyring, act, &(struct key){.bytes = keyring->parts, .length = length - 1});
}

/* ------------------------------------------------------------- the rest */

void keyring_drop(struct lunette_keyring *keyring, uint32_t slot) {
    keys_drop(keyring->keys, slot);
}

uint32_t keyring_next(struct lunette_keyring *keyring, uint32_t slot, uint32_t aged,
                      struct lunette_key *out) {
    watchdog_obey();
    slot = keys_next(keyring->keys, slot, aged ? -INFINITY : keyring->detector->feed->now);
    if (slot == 0) return 0;
    struct key key = keys_key(keyring->keys, slot);
    *out = (struct lunette_key){.text = key.bytes, .length = key.length, .is_number = key.is_number};
    if (key.is_number) memcpy(&out->number, key.bytes, sizeof out->number);
    return slot;
}

uint32_t keyring_count(struct lunette_keyring *keyring) {
    return keys_figures(keyring->keys).count;
}

double keyring_evicted(struct lunette_keyring *keyring) {
    return keys_figures(keyring->keys).evicted;
}

void keyring_start(struct lunette_keyring *keyring, double clock) {
    keys_start(keyring->keys, clock);
}

uint32_t keyring_shrink(struct lunette_keyring *keyring) {
    struct keys_figures figures = keys_figures(keyring->keys);
    bool of_age;
    return keys_make_room(keyring->keys, figures.high, keyring->detector->feed->now, &of_age);
}

uint32_t keyring_pack(struct lunette_keyring *keyring, struct lunette_move *out) {
    return keys_pack(keyring->keys, &out->from, &out->to);
}
