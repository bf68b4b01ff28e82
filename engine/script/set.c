/* One hash table serves all kinds: keys are bytes in one growing text, slots hold hash, place and value.
 *
 * Domains: the name and then each of its parents ("a.b.c", "b.c", "c") is looked up, if any entry is as long:
 * one probe at most per label, and most often fewer. Dots and capitals are found eight bytes at a time. Exact
 * entries keep their "=" as first byte of the key. The few plain endings are compared one by one.
 *
 * Prefixes: a key is the masked address and its length; the lengths that occur are tried from long to short.
 * A few blocks, such as the home networks, which every packet may be held against, are compared one by one
 * instead: a hash for each length costs more.
 */
#include "script/set.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { NAME_LIMIT = 1024, PREFIX_KEY = 17, FEW_BLOCKS = 16 };

struct slot {
    uint64_t hash; /* 0: free */
    uint32_t at, length;
    int32_t value;
};

struct ending {
    uint32_t at, length;
    int32_t value;
};

struct block {
    uint64_t address[2], mask[2]; /* as they lie in memory */
    int32_t value;
    uint8_t bits;
};

struct set {
    enum set_kind kind;
    struct slot *slots;
    uint32_t capacity; /* power of two */
    uint32_t count;
    char *text;
    size_t text_used, text_size;
    struct ending *endings;
    uint32_t ending_count;
    uint64_t lengths[3];     /* prefixes: bit n set when a block of n bits (0 to 128) exists */
    uint64_t parents, exact; /* domains: bit n is set when an entry of n bytes exists; see length_bit() */
    struct block few[FEW_BLOCKS]; /* prefixes: the first of them, longest first; all if `count` fits */
};

struct set *set_new(enum set_kind kind) {
    struct set *set = calloc(1, sizeof *set);
    if (!set) return NULL;
    set->kind = kind;
    set->capacity = 64;
    set->slots = calloc(set->capacity, sizeof *set->slots);
    if (set->slots) return set;
    free(set);
    return NULL;
}

void set_free(struct set *set) {
    if (!set) return;
    free(set->slots);
    free(set->text);
    free(set->endings);
    free(set);
}

enum set_kind set_kind_of(const struct set *set) {
    return set->kind;
}

uint32_t set_count(const struct set *set) {
    return set->count + set->ending_count;
}

size_t set_memory(const struct set *set) {
    return sizeof *set + set->capacity * sizeof *set->slots + set->text_size +
           set->ending_count * sizeof *set->endings;
}

bool set_is_like(const struct set *set, const struct set *other) {
    if (set == other) return true;
    if (set->kind != other->kind || set->count != other->count || set->capacity != other->capacity ||
        set->text_used != other->text_used || set->ending_count != other->ending_count ||
        set->parents != other->parents || set->exact != other->exact)
        return false;
    for (uint32_t i = 0; i < set->capacity; i++) {
        const struct slot *a = &set->slots[i], *b = &other->slots[i];
        if (a->hash != b->hash || (a->hash && (a->at != b->at || a->length != b->length))) return false;
    }
    for (uint32_t i = 0; i < set->ending_count; i++)
        if (set->endings[i].at != other->endings[i].at || set->endings[i].length != other->endings[i].length)
            return false;
    return set->text_used == 0 || memcmp(set->text, other->text, set->text_used) == 0;
}

static uint64_t key_hash(const void *key, size_t length) {
    uint64_t hash = XXH3_64bits(key, length);
    return hash ? hash : 1;
}

static struct slot *slot_of(const struct set *set, uint64_t hash, const void *key, size_t length) {
    uint32_t i = (uint32_t)hash & (set->capacity - 1);
    for (;; i = (i + 1) & (set->capacity - 1)) {
        struct slot *slot = &set->slots[i];
        if (slot->hash == 0) return slot;
        if (slot->hash == hash && slot->length == length && memcmp(set->text + slot->at, key, length) == 0)
            return slot;
    }
}

static int32_t key_find(const struct set *set, const void *key, size_t length) {
    const struct slot *slot = slot_of(set, key_hash(key, length), key, length);
    return slot->hash ? slot->value : -1;
}

static int text_keep(struct set *set, const void *bytes, size_t length, uint32_t *at, struct error *err) {
    if (!set->text || set->text_used + length > set->text_size) { /* "" alone needs a place too */
        size_t size = (set->text_used + length) * 2 + 1024;
        char *grown = size < UINT32_MAX ? realloc(set->text, size) : NULL;
        if (!grown) return error_set(err, "out of memory for a set of %u entries", set_count(set));
        set->text = grown;
        set->text_size = size;
    }
    memcpy(set->text + set->text_used, bytes, length);
    *at = (uint32_t)set->text_used;
    set->text_used += length;
    return 0;
}

static int slots_grow(struct set *set, struct error *err) {
    struct slot *old = set->slots;
    uint32_t capacity = set->capacity;
    struct slot *grown = calloc((size_t)capacity * 2, sizeof *grown);
    if (!grown) return error_set(err, "out of memory for a set of %u entries", set_count(set));
    set->slots = grown;
    set->capacity = capacity * 2;
    for (uint32_t i = 0; i < capacity; i++)
        if (old[i].hash) *slot_of(set, old[i].hash, set->text + old[i].at, old[i].length) = old[i];
    free(old);
    return 0;
}

static int key_add(struct set *set, const void *key, size_t length, int32_t value, struct error *err) {
    if (set->count * 2 >= set->capacity && slots_grow(set, err) < 0) return -1;
    uint64_t hash = key_hash(key, length);
    struct slot *slot = slot_of(set, hash, key, length);
    if (slot->hash) return 0;
    uint32_t at = 0;
    if (text_keep(set, key, length, &at, err) < 0) return -1;
    *slot = (struct slot){.hash = hash, .at = at, .length = (uint32_t)length, .value = value};
    set->count++;
    return 0;
}

static int ending_add(struct set *set, const char *text, size_t length, int32_t value, struct error *err) {
    struct ending *grown = realloc(set->endings, (set->ending_count + 1) * sizeof *grown);
    if (!grown) return error_set(err, "out of memory for a set of %u entries", set_count(set));
    set->endings = grown;
    struct ending *ending = &set->endings[set->ending_count];
    if (text_keep(set, text, length, &ending->at, err) < 0) return -1;
    ending->length = (uint32_t)length;
    ending->value = value;
    set->ending_count++;
    return 0;
}

/* Of eight bytes, the high bit of each that is a letter from A to Z. */
static uint64_t capitals_of(uint64_t word) {
    const uint64_t ones = UINT64_MAX / 255, high = ones * 0x80, low = word & ~high;
    uint64_t from_a = low + ones * (0x80 - 'A'), above_z = low + ones * (0x80 - 'Z' - 1);
    return from_a & ~above_z & ~word & high;
}

/* The high bit of each that is a dot. */
static uint64_t dots_of(uint64_t word) {
    const uint64_t ones = UINT64_MAX / 255, high = ones * 0x80, other = word ^ ones * '.';
    return ~(((other & ~high) + ~high) | other | ~high);
}

/* Eight bytes from `at` on, the first in the lowest; zeros beyond the end, where nothing is read. */
static uint64_t word_at(const char *text, size_t length, size_t at) {
    const uint8_t *bytes = (const uint8_t *)text;
    size_t left = length - at;
    if (left >= 8) return load_le64(bytes + at);
    if (length >= 8) return load_le64(bytes + length - 8) >> (64 - 8 * left);
    uint64_t word = 0;
    for (size_t i = 0; i < left; i++) word |= (uint64_t)bytes[at + i] << (8 * i);
    return word;
}

static bool has_capitals(const char *text, size_t length) {
    uint64_t found = 0;
    for (size_t at = 0; at < length; at += 8) found |= capitals_of(word_at(text, length, at));
    return found != 0;
}

static void fold_case(char *out, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        out[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
}

static uint64_t length_bit(size_t length) {
    return 1ull << (length < 63 ? length : 63);
}

static int domain_add(struct set *set, const char *text, size_t length, int32_t value, struct error *err) {
    char folded[NAME_LIMIT];
    if (length == 0 || length > sizeof folded)
        return error_set(err, "a domain of %zu characters: expected 1 to %d", length, NAME_LIMIT);
    fold_case(folded, text, length);
    if (length > 1 && folded[length - 1] == '.') length--;
    if (folded[0] == '-') return ending_add(set, folded, length, value, err);
    const char *start = folded;
    if (start[0] == '.' || (start[0] == '*' && length > 1 && start[1] == '.')) {
        size_t skip = start[0] == '.' ? 1 : 2;
        start += skip;
        length -= skip;
    }
    if (length == 0) return error_set(err, "'%.*s' is no domain", 64, text);
    if (start[0] == '=') set->exact |= length_bit(length - 1);
    set->parents |= length_bit(length);
    return key_add(set, start, length, value, err);
}

/* The longest of the name and its parents that is an entry; `*found_length` is its length. */
static int32_t parent_find(const struct set *set, const char *name, size_t length, size_t *found_length) {
    uint64_t dots = 0;
    size_t base = 0;
    for (size_t at = 0; at < length;) {
        if (set->parents & length_bit(length - at)) {
            int32_t found = key_find(set, name + at, length - at);
            *found_length = length - at;
            if (found >= 0) return found;
        }
        /* `dots` has those of the eight bytes before `base` that were not looked at. */
        while (dots == 0) {
            if (base >= length) return -1;
            dots = dots_of(word_at(name, length, base));
            base += 8;
        }
        at = base - 8 + (size_t)__builtin_ctzll(dots) / 8 + 1;
        dots &= dots - 1;
    }
    return -1;
}

static int32_t exact_find(const struct set *set, const char *name, size_t length) {
    char key[1 + NAME_LIMIT];
    key[0] = '=';
    memcpy(key + 1, name, length);
    return key_find(set, key, length + 1);
}

static int32_t name_find(const struct set *set, const char *name, size_t length) {
    if (length > 1 && name[length - 1] == '.') length--;
    if (set->exact & length_bit(length)) {
        int32_t found = exact_find(set, name, length);
        if (found >= 0) return found;
    }
    size_t best_length = 0;
    int32_t best = parent_find(set, name, length, &best_length);
    if (best < 0) best_length = 0;
    for (uint32_t i = 0; i < set->ending_count; i++) {
        const struct ending *e = &set->endings[i];
        if (e->length <= best_length || e->length > length) continue;
        if (memcmp(name + length - e->length, set->text + e->at, e->length) != 0) continue;
        best = e->value;
        best_length = e->length;
    }
    return best;
}

static int32_t folded_find(const struct set *set, const char *text, size_t length) {
    char folded[NAME_LIMIT];
    fold_case(folded, text, length);
    return name_find(set, folded, length);
}

/* The engine's names are in small letters already: those are looked up where they lie. */
static int32_t domain_find(const struct set *set, const char *text, size_t length) {
    if (length == 0 || length > NAME_LIMIT) return -1;
    return has_capitals(text, length) ? folded_find(set, text, length) : name_find(set, text, length);
}

static void prefix_key(uint8_t key[PREFIX_KEY], const struct ip *address, unsigned bits) {
    memset(key, 0, PREFIX_KEY);
    memcpy(key, address->bytes, bits / 8);
    if (bits % 8) key[bits / 8] = (uint8_t)(address->bytes[bits / 8] & (0xff << (8 - bits % 8)));
    key[16] = (uint8_t)bits;
}

bool set_block(const struct set *set, uint32_t index, struct ip *address, uint32_t *bits) {
    if (set->kind != SET_PREFIXES || index >= set->count) return false;
    const char *key = set->text + (size_t)index * PREFIX_KEY;
    memcpy(address, key, sizeof *address);
    *bits = (uint8_t)key[16];
    return true;
}

/* Keeps the block among the few, longest first. */
static void few_add(struct set *set, const uint8_t key[PREFIX_KEY], int32_t value) {
    static const struct ip ones = {
        {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
    uint8_t mask[PREFIX_KEY];
    struct block block = {.value = value, .bits = key[16]};
    if (set->count > FEW_BLOCKS) return;
    prefix_key(mask, &ones, block.bits);
    memcpy(block.address, key, sizeof block.address);
    memcpy(block.mask, mask, sizeof block.mask);
    uint32_t at = set->count - 1;
    for (; at > 0 && set->few[at - 1].bits < block.bits; at--) set->few[at] = set->few[at - 1];
    set->few[at] = block;
}

static int32_t few_find(const struct set *set, const struct ip *address) {
    uint64_t words[2];
    memcpy(words, address->bytes, sizeof words);
    for (uint32_t i = 0; i < set->count; i++) {
        const struct block *block = &set->few[i];
        if ((words[0] & block->mask[0]) == block->address[0] &&
            (words[1] & block->mask[1]) == block->address[1])
            return block->value;
    }
    return -1;
}

static int prefix_add(struct set *set, const char *text, size_t length, int32_t value, struct error *err) {
    char copy[64];
    if (length >= sizeof copy) return error_set(err, "'%.*s' is no address or CIDR block", 64, text);
    memcpy(copy, text, length);
    copy[length] = '\0';
    char *slash = strchr(copy, '/');
    if (slash) *slash = '\0';
    struct ip address;
    if (ip_parse(copy, &address) < 0)
        return error_set(err, "'%.*s' is no address or CIDR block", (int)length, text);
    unsigned family_bits = ip_is_v4(&address) ? 32 : 128;
    unsigned bits = family_bits;
    if (slash) {
        char *end;
        unsigned long n = strtoul(slash + 1, &end, 10);
        if (*end || end == slash + 1 || n > family_bits)
            return error_set(err, "'%.*s': expected a length of 0 to %u after '/'", (int)length, text,
                             family_bits);
        bits = (unsigned)n;
    }
    if (family_bits == 32) bits += 96;
    uint8_t key[PREFIX_KEY];
    prefix_key(key, &address, bits);
    set->lengths[bits / 64] |= 1ull << (bits % 64);
    uint32_t before = set->count;
    if (key_add(set, key, sizeof key, value, err) < 0) return -1;
    if (set->count > before) few_add(set, key, value);
    return 0;
}

int32_t set_find_ip(const struct set *set, const struct ip *address) {
    if (set->kind != SET_PREFIXES) return -1;
    if (set->count <= FEW_BLOCKS) return few_find(set, address);
    for (int word = 2; word >= 0; word--) {
        uint64_t lengths = set->lengths[word];
        while (lengths) {
            int bit = 63 - __builtin_clzll(lengths);
            lengths &= ~(1ull << bit);
            uint8_t key[PREFIX_KEY];
            prefix_key(key, address, (unsigned)(word * 64 + bit));
            int32_t found = key_find(set, key, sizeof key);
            if (found >= 0) return found;
        }
    }
    return -1;
}

int set_add(struct set *set, const char *text, size_t length, int32_t value, struct error *err) {
    switch (set->kind) {
    case SET_DOMAINS:
        return domain_add(set, text, length, value, err);
    case SET_PREFIXES:
        return prefix_add(set, text, length, value, err);
    default:
        return key_add(set, text, length, value, err);
    }
}

int32_t set_find(const struct set *set, const char *text, size_t length) {
    if (set->kind == SET_STRINGS) return key_find(set, text, length);
    if (set->kind == SET_DOMAINS) return domain_find(set, text, length);
    char copy[IP_TEXT_SIZE];
    struct ip address;
    if (length >= sizeof copy) return -1;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return ip_parse(copy, &address) < 0 ? -1 : set_find_ip(set, &address);
}
