/* See certificate_cache.h. A slot keeps the texts one after the other: the four of TEXTS, then the names.
 * Which slot a certificate has is decided by its hash alone; who comes later takes it. */
#include "protocol/certificate_cache.h"

#include "protocol/certificate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { SLOTS = 1024, TEXTS = 4, TEXT_MOST = 16 * 1024, NAMES_MOST = 128 };

struct known {
    XXH128_hash_t key;
    bool sound;
    uint8_t self_signed;
    nanoseconds not_before, not_after;
    uint32_t lengths[TEXTS];
    bool present[TEXTS];
    uint32_t name_count;
    uint16_t name_lengths[NAMES_MOST];
    char *text; /* NULL: the slot is free */
};

struct certificate_cache {
    uint64_t seed;
    struct known *slots[SLOTS];
};

struct certificate_cache *certificate_cache_new(void) {
    struct certificate_cache *cache = calloc(1, sizeof *cache);
    if (cache && getrandom(&cache->seed, sizeof cache->seed, 0) < 0) cache->seed = (uintptr_t)cache;
    return cache;
}

static void known_free(struct known *known) {
    if (!known) return;
    free(known->text);
    free(known);
}

void certificate_cache_free(struct certificate_cache *cache) {
    if (!cache) return;
    for (int i = 0; i < SLOTS; i++) known_free(cache->slots[i]);
    free(cache);
}

static void texts_of(struct event_tls_body *body, struct text_ref *texts[TEXTS]) {
    texts[0] = &body->subject;
    texts[1] = &body->issuer;
    texts[2] = &body->serial;
    texts[3] = &body->fingerprint;
}

static void known_tell(const struct known *known, struct batch *batch, struct event_tls_body *out) {
    struct text_ref *texts[TEXTS], names[NAMES_MOST];
    const char *at = known->text;
    texts_of(out, texts);
    for (int i = 0; i < TEXTS; i++) {
        if (known->present[i]) *texts[i] = batch_text(batch, at, known->lengths[i]);
        at += known->lengths[i];
    }
    for (uint32_t i = 0; i < known->name_count; i++) {
        names[i] = batch_text(batch, at, known->name_lengths[i]);
        at += known->name_lengths[i];
    }
    out->subject_alt_names = batch_list(batch, names, known->name_count);
    out->not_before = known->not_before;
    out->not_after = known->not_after;
    out->self_signed = known->self_signed;
}

/* The text that an event just got for a certificate, as one allocation; NULL if it is too much to keep. */
static struct known *known_from(const struct batch *batch, struct event_tls_body *body) {
    struct text_ref *texts[TEXTS];
    const struct text_ref *names = (const void *)(batch->text + body->subject_alt_names.at);
    uint32_t count = body->subject_alt_names.count;
    size_t total = 0;
    texts_of(body, texts);
    if (count > NAMES_MOST) return NULL;
    for (int i = 0; i < TEXTS; i++) total += texts[i]->length;
    for (uint32_t i = 0; i < count; i++) total += names[i].length;
    if (total > TEXT_MOST) return NULL;
    struct known *known = calloc(1, sizeof *known);
    char *at = known ? malloc(total + 1) : NULL;
    if (!at) {
        free(known);
        return NULL;
    }
    known->text = at;
    for (int i = 0; i < TEXTS; i++) {
        known->present[i] = texts[i]->at != 0;
        known->lengths[i] = texts[i]->length;
        memcpy(at, batch->text + texts[i]->at, texts[i]->length);
        at += texts[i]->length;
    }
    for (uint32_t i = 0; i < count; i++) {
        known->name_lengths[i] = (uint16_t)names[i].length;
        memcpy(at, batch->text + names[i].at, names[i].length);
        at += names[i].length;
    }
    known->name_count = count;
    known->not_before = body->not_before;
    known->not_after = body->not_after;
    known->self_signed = body->self_signed;
    return known;
}

bool certificate_cache_describe(struct certificate_cache *cache, struct slice der, struct batch *batch,
                                struct event_tls_body *out) {
    if (!cache) return certificate_describe(der, batch, out);
    XXH128_hash_t key = XXH3_128bits_withSeed(der.at, der.length, cache->seed);
    struct known **slot = &cache->slots[key.low64 % SLOTS];
    if (*slot && XXH128_isEqual((*slot)->key, key)) {
        known_tell(*slot, batch, out);
        return (*slot)->sound;
    }
    bool sound = certificate_describe(der, batch, out);
    struct known *known = known_from(batch, out);
    if (!known) return sound;
    known->key = key;
    known->sound = sound;
    known_free(*slot);
    *slot = known;
    return sound;
}
