/* Keys of the tables in summary_who.c: the cells of a row, joined. */
#ifndef LUNETTE_OUTPUT_WHO_KEY_H
#define LUNETTE_OUTPUT_WHO_KEY_H

#include "output/top.h"

#include <stdio.h>

enum { WHO_SEPARATOR = 0x1f, TRAIT_PARENT = 'p', TRAIT_SERVER = 's', TRAIT_ADDRESS = 'a' };

struct who_key {
    char text[TOP_KEY_SIZE - 1]; /* not terminated */
    size_t length;
    uint32_t cells;
};

/* A trait's key begins with a hash of its program's key (FNV-1a, 64 bits) and the trait's letter. */
static inline void who_trait_prefix(struct who_key *key, const char *program, size_t length, char trait) {
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < length; i++) hash = (hash ^ (uint8_t)program[i]) * 0x100000001b3;
    key->length = (size_t)snprintf(key->text, sizeof key->text, "%016llx%c", (unsigned long long)hash, trait);
}

#endif
