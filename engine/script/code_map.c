/* See code_map.h. One thread writes the list and signal handlers read it: a number that is odd while it is
 * written tells them to ask again. */
#include "script/code_map.h"

#ifdef __linux__

#include <lua.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* Compiled code comes in areas of 256 KiB (boot.lua), within the 2 GiB that LuaJIT's jumps reach: those of
 * states that were thrown away remain, so there may be many in the end, but never so many. */
enum { RANGES = 16384 };

/* Written by one thread while another may be in its signal handler: `turn` is odd meanwhile, and another
 * afterwards. */
static struct {
    atomic_uint turn, count;
    struct {
        atomic_uintptr_t from, to;
    } ranges[RANGES];
} map;

static bool has(uintptr_t from, uintptr_t to, uintptr_t address) {
    return from <= address && address < to;
}

/* One line: "from-to rwxp offset device inode [path]". */
static bool is_lua_line(const char *line, uintptr_t *from, uintptr_t *to) {
    unsigned long first, last, inode;
    char flags[5];
    int path = 0;
    if (sscanf(line, "%lx-%lx %4s %*s %*s %lu %n", &first, &last, flags, &inode, &path) < 4) return false;
    if (flags[2] != 'x' || path == 0) return false;
    *from = first;
    *to = last;
    if (inode == 0) return line[path] == '\0' || line[path] == '\n'; /* [vdso] has a name */
    return has(first, last, (uintptr_t)lua_pcall) && !has(first, last, (uintptr_t)code_map_read);
}

bool code_map_read(void) {
    FILE *file = fopen("/proc/self/maps", "re");
    char line[512];
    unsigned count = 0;
    if (!file) return false;
    atomic_fetch_add(&map.turn, 1);
    while (count < RANGES && fgets(line, sizeof line, file)) {
        uintptr_t from, to;
        bool whole = strchr(line, '\n') != NULL;
        if (is_lua_line(line, &from, &to)) {
            atomic_store(&map.ranges[count].from, from);
            atomic_store(&map.ranges[count++].to, to);
        }
        while (!whole && fgets(line, sizeof line, file)) whole = strchr(line, '\n') != NULL;
    }
    atomic_store(&map.count, count);
    atomic_fetch_add(&map.turn, 1);
    fclose(file);
    return true;
}

bool code_map_is_lua(uintptr_t address) {
    unsigned turn = atomic_load(&map.turn), count = atomic_load(&map.count);
    bool found = false;
    if (turn % 2 != 0) return false;
    for (unsigned i = 0; i < count && !found; i++)
        found = has(atomic_load(&map.ranges[i].from), atomic_load(&map.ranges[i].to), address);
    return found && atomic_load(&map.turn) == turn;
}

#else

bool code_map_read(void) {
    return false;
}

bool code_map_is_lua(uintptr_t address) {
    (void)address;
    return false;
}

#endif
