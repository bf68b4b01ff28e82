/* See words.h. Words lie in chunks, known by an open table of pointers that is never moved: a slot goes from
 * NULL to a word once, so that readers need no lock. Who wants to add one takes the lock and looks again. */
#include "base/words.h"

#include "base/utf8.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { WORD_MOST = 1024, MARK_LENGTH = 3, CLEAN_MOST = WORD_MOST * MARK_LENGTH, CHUNK = 64 * 1024 };

static const char full_word[] = "(more programs)";

struct word {
    uint64_t hash;
    uint32_t length;
    char text[];
};

struct chunk {
    struct chunk *next;
    size_t used;
    alignas(8) char bytes[CHUNK];
};

struct words {
    _Atomic(const struct word *) *slots;
    uint64_t mask;
    uint64_t seed; /* nobody outside can aim texts at one slot */
    uint32_t most, count;
    size_t bytes, bytes_used;
    struct chunk *chunks;
    _Atomic uint64_t refused;
    pthread_mutex_t mutex; /* of everything but the slots' values and `refused` */
};

struct words *words_new(uint32_t most, size_t bytes, struct error *err) {
    struct words *words = calloc(1, sizeof *words);
    uint64_t size = 16;
    while (size < 2 * (uint64_t)most) size *= 2;
    if (words) words->slots = calloc(size, sizeof *words->slots);
    if (!words || !words->slots) {
        free(words);
        error_set(err, "out of memory for %u names of programs", most);
        return NULL;
    }
    words->mask = size - 1;
    words->most = most;
    words->bytes = bytes;
    if (getrandom(&words->seed, sizeof words->seed, 0) < 0) words->seed = (uintptr_t)words;
    pthread_mutex_init(&words->mutex, NULL);
    return words;
}

void words_free(struct words *words) {
    if (!words) return;
    while (words->chunks) {
        struct chunk *chunk = words->chunks;
        words->chunks = chunk->next;
        free(chunk);
    }
    pthread_mutex_destroy(&words->mutex);
    free((void *)words->slots);
    free(words);
}

static bool is_plain(const uint8_t *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (text[i] < 0x20 || text[i] >= 0x7f) return false;
    return true;
}

/* Fit to print; at most WORD_MOST bytes of the text are looked at, whole characters only. */
static size_t clean(const uint8_t *text, size_t length, uint8_t out[CLEAN_MOST]) {
    static const uint8_t mark[MARK_LENGTH] = {0xef, 0xbf, 0xbd}; /* U+FFFD */
    size_t at = 0, made = 0, end = length < WORD_MOST ? length : WORD_MOST;
    while (at < end) {
        uint32_t code, used = utf8_decode(text + at, length - at, &code);
        if (used && at + used > end) break;
        bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
        if (used && !control) {
            memcpy(out + made, text + at, used);
            made += used;
        } else {
            memcpy(out + made, mark, sizeof mark);
            made += sizeof mark;
        }
        at += used ? used : 1;
    }
    return made;
}

/* The word, or NULL and the free slot where the search ended. */
static const struct word *find(const struct words *words, const void *text, size_t length, uint64_t hash,
                               uint64_t *slot) {
    for (uint64_t at = hash & words->mask;; at = (at + 1) & words->mask) {
        const struct word *word = atomic_load_explicit(&words->slots[at], memory_order_acquire);
        *slot = at;
        if (!word) return NULL;
        if (word->hash == hash && word->length == length && memcmp(word->text, text, length) == 0)
            return word;
    }
}

static struct word *reserve(struct words *words, size_t length) {
    size_t size = (sizeof(struct word) + length + 1 + 7) & ~(size_t)7;
    if (words->count == words->most || size > words->bytes - words->bytes_used) return NULL;
    struct chunk *chunk = words->chunks;
    if (!chunk || sizeof chunk->bytes - chunk->used < size) {
        chunk = malloc(sizeof *chunk);
        if (!chunk) return NULL;
        chunk->next = words->chunks;
        chunk->used = 0;
        words->chunks = chunk;
    }
    struct word *word = (struct word *)(void *)(chunk->bytes + chunk->used);
    chunk->used += size;
    words->bytes_used += size;
    words->count++;
    return word;
}

static const struct word *add(struct words *words, const void *text, size_t length, uint64_t hash) {
    uint64_t slot;
    pthread_mutex_lock(&words->mutex);
    const struct word *word = find(words, text, length, hash, &slot);
    if (!word) {
        struct word *made = reserve(words, length);
        if (made) {
            made->hash = hash;
            made->length = (uint32_t)length;
            memcpy(made->text, text, length);
            made->text[length] = '\0';
            atomic_store_explicit(&words->slots[slot], made, memory_order_release);
        }
        word = made;
    }
    pthread_mutex_unlock(&words->mutex);
    return word;
}

const char *words_keep(struct words *words, const void *text, size_t length) {
    uint8_t cleaned[CLEAN_MOST];
    if (length == 0) return NULL;
    if (length > WORD_MOST || !is_plain(text, length)) {
        length = clean(text, length, cleaned);
        text = cleaned;
    }
    uint64_t slot, hash = XXH3_64bits_withSeed(text, length, words->seed);
    const struct word *word = find(words, text, length, hash, &slot);
    if (!word) word = add(words, text, length, hash);
    if (word) return word->text;
    atomic_fetch_add_explicit(&words->refused, 1, memory_order_relaxed);
    return full_word;
}

uint64_t words_refused(const struct words *words) {
    return atomic_load_explicit(&words->refused, memory_order_relaxed);
}
