/* See code.h. */
#include "script/code.h"

#include <lauxlib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { PIECES_MOST = 1024, BYTES_MOST = 32 * 1024 * 1024 };

/* A text is found by its digest and known by itself: scripts are not trusted, and the digest is one for which
 * a second text is easily made, which another detector would then be given instead of its own. The chunk's
 * name counts too, since messages carry it. */
struct piece {
    uint64_t digest;
    char *key; /* the chunk's name with its zero byte, then the text */
    size_t key_size;
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
    for (uint32_t i = 0; i < store->count; i++) {
        free(store->pieces[i].code);
        free(store->pieces[i].key);
    }
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static uint64_t digest_of(const char *text, size_t size, const char *chunk) {
    return XXH3_64bits(text, size) ^ XXH3_64bits(chunk, strlen(chunk));
}

static bool piece_is(const struct piece *piece, const char *text, size_t size, const char *chunk) {
    size_t name = strlen(chunk) + 1;
    return piece->key_size == name + size && memcmp(piece->key, chunk, name) == 0 &&
           memcmp(piece->key + name, text, size) == 0;
}

/* Pieces are never changed and live as long as the store, so one that was found may be read without the lock.
 */
static const struct piece *piece_find(struct code_store *store, uint64_t digest, const char *text,
                                      size_t size, const char *chunk) {
    const struct piece *found = NULL;
    pthread_mutex_lock(&store->lock);
    for (uint32_t i = 0; i < store->count && !found; i++)
        if (store->pieces[i].digest == digest && piece_is(&store->pieces[i], text, size, chunk))
            found = &store->pieces[i];
    pthread_mutex_unlock(&store->lock);
    return found;
}

static bool piece_name(struct piece *piece, const char *text, size_t size, const char *chunk) {
    size_t name = strlen(chunk) + 1;
    piece->key_size = name + size;
    piece->key = malloc(piece->key_size);
    if (!piece->key) return false;
    memcpy(piece->key, chunk, name);
    memcpy(piece->key + name, text, size);
    return true;
}

/* Takes the piece over. */
static void piece_keep(struct code_store *store, const struct piece *piece) {
    size_t bytes = piece->key_size + piece->size;
    pthread_mutex_lock(&store->lock);
    bool room = store->count < PIECES_MOST && store->bytes + bytes <= BYTES_MOST;
    if (room) {
        store->pieces[store->count++] = *piece;
        store->bytes += bytes;
    }
    pthread_mutex_unlock(&store->lock);
    if (room) return;
    free(piece->code);
    free(piece->key);
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

/* Keeps the function on top of the stack. */
static void function_keep(struct code_store *store, lua_State *lua, uint64_t digest, const char *text,
                          size_t size, const char *chunk) {
    struct dump dump = {0};
    struct piece piece = {.digest = digest};
    bool fine = lua_dump(lua, dump_write, &dump) == 0 && piece_name(&piece, text, size, chunk);
    piece.code = dump.bytes;
    piece.size = dump.used;
    if (fine)
        piece_keep(store, &piece);
    else
        free(dump.bytes);
}

int code_load(struct code_store *store, lua_State *lua, const char *text, size_t size, const char *chunk) {
    if (!store) return luaL_loadbufferx(lua, text, size, chunk, "t");
    uint64_t digest = digest_of(text, size, chunk);
    const struct piece *known = piece_find(store, digest, text, size, chunk);
    if (known) return luaL_loadbufferx(lua, known->code, known->size, chunk, "b");
    int status = luaL_loadbufferx(lua, text, size, chunk, "t");
    if (status == 0) function_keep(store, lua, digest, text, size, chunk);
    return status;
}

bool code_made(struct code_store *store, lua_State *lua, const char *name, const char *chunk) {
    if (!store) return false;
    const struct piece *known = piece_find(store, digest_of("", 0, name), "", 0, name);
    if (!known) return false;
    if (luaL_loadbufferx(lua, known->code, known->size, chunk, "b") == 0) return true;
    lua_pop(lua, 1);
    return false;
}

void code_keep(struct code_store *store, lua_State *lua, const char *name) {
    if (store) function_keep(store, lua, digest_of("", 0, name), "", 0, name);
}
