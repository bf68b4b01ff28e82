#include "script/code.h"

#include <lauxlib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { PIECES_MOST = 1024, BYTES_MOST = 32 * 1024 * 1024 };

/* A text is known by its digest; the chunk's name is part of it, since messages carry it. */
struct piece {
    XXH128_hash_t digest;
    char *code;
    size_t size;
};

struct code_store {
    pthread_mutex_t lock;
    uint32_t sharers;
    uint32_t count;
    size_t bytes;
    struct piece pieces[PIECES_MOST];
};

struct code_store *code_store_new(void) {
    struct code_store *store = calloc(1, sizeof *store);
    if (!store) return NULL;
    pthread_mutex_init(&store->lock, NULL);
    store->sharers = 1;
    return store;
}

struct code_store *code_store_share(struct code_store *store) {
    if (!store) return NULL;
    pthread_mutex_lock(&store->lock);
    store->sharers++;
    pthread_mutex_unlock(&store->lock);
    return store;
}

void code_store_free(struct code_store *store) {
    if (!store) return;
    pthread_mutex_lock(&store->lock);
    bool last = --store->sharers == 0;
    pthread_mutex_unlock(&store->lock);
    if (!last) return;
    for (uint32_t i = 0; i < store->count; i++) free(store->pieces[i].code);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static XXH128_hash_t digest_of(const char *text, size_t size, const char *chunk) {
    XXH128_hash_t digest = XXH3_128bits(text, size);
    digest.high64 ^= XXH3_64bits(chunk, strlen(chunk));
    return digest;
}

/* Pieces are never changed and live as long as the store, so one that was found may be read without the lock.
 */
static const struct piece *piece_find(struct code_store *store, XXH128_hash_t digest) {
    const struct piece *found = NULL;
    pthread_mutex_lock(&store->lock);
    for (uint32_t i = 0; i < store->count && !found; i++)
        if (XXH128_isEqual(store->pieces[i].digest, digest)) found = &store->pieces[i];
    pthread_mutex_unlock(&store->lock);
    return found;
}

/* Takes `code` over. */
static void piece_keep(struct code_store *store, XXH128_hash_t digest, char *code, size_t size) {
    pthread_mutex_lock(&store->lock);
    bool room = store->count < PIECES_MOST && store->bytes + size <= BYTES_MOST;
    if (room) {
        store->pieces[store->count++] = (struct piece){.digest = digest, .code = code, .size = size};
        store->bytes += size;
    }
    pthread_mutex_unlock(&store->lock);
    if (!room) free(code);
}

struct dump {
    char *bytes;
    size_t used, room;
};

static int dump_write(lua_State *lua, const void *bytes, size_t size, void *context) {
    struct dump *dump = context;
    (void)lua;
    if (dump->used + size > dump->room) {
        size_t room = (dump->used + size) * 2;
        char *grown = room <= BYTES_MOST ? realloc(dump->bytes, room) : NULL;
        if (!grown) return 1;
        dump->bytes = grown;
        dump->room = room;
    }
    memcpy(dump->bytes + dump->used, bytes, size);
    dump->used += size;
    return 0;
}

int code_load(struct code_store *store, lua_State *lua, const char *text, size_t size, const char *chunk) {
    if (!store) return luaL_loadbufferx(lua, text, size, chunk, "t");
    XXH128_hash_t digest = digest_of(text, size, chunk);
    const struct piece *piece = piece_find(store, digest);
    if (piece) return luaL_loadbufferx(lua, piece->code, piece->size, chunk, "b");
    int status = luaL_loadbufferx(lua, text, size, chunk, "t");
    if (status != 0) return status;
    struct dump dump = {0};
    if (lua_dump(lua, dump_write, &dump) == 0)
        piece_keep(store, digest, dump.bytes, dump.used);
    else
        free(dump.bytes);
    return 0;
}
