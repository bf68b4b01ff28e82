/* The memory of one Lua state: bounded, and thrown away as a whole.
 *
 * LuaJIT cannot be refused memory safely: the error may strike in compiled code or while a trace is left, and
 * both are known to crash (LuaJIT issues 501, 1247). So a state that goes over its bound is not told so. The
 * allocator jumps out of Lua (heap_enter's setjmp), and whoever entered the state gives it up: its memory
 * lies here, apart from everything else, and goes in one piece. */
#ifndef LUNETTE_SCRIPT_HEAP_H
#define LUNETTE_SCRIPT_HEAP_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap;

/* NULL without memory. `limit` in bytes. */
struct heap *heap_new(size_t limit);

/* Gives all memory back, whatever is in it. */
void heap_free(struct heap *heap);

/* A lua_Alloc; the context is the heap. */
void *heap_allocate(void *heap, void *old, size_t old_size, size_t new_size);

/* Bytes that were asked for in all, given back or not: what a piece of code allocates is the difference. */
uint64_t heap_taken(const struct heap *heap);

/* Bytes taken from the system, at most the limit. */
size_t heap_used(const struct heap *heap);

/* Lets it go over its bound by HEAP_SPARE, for work of the engine's own that must not cost the state. */
enum { HEAP_SPARE = 1 << 20 };
void heap_spare(struct heap *heap, bool allowed);

/* Where to jump to (with HEAP_FULL) when the bound is passed, while Lua is running; NULL when it is not. */
enum { HEAP_FULL = 1, HEAP_LATE };
void heap_escape_to(struct heap *heap, jmp_buf *escape);

/* For memory beside it, within the same bound: jumps there with HEAP_FULL; returns if Lua is not running. */
void heap_refuse(struct heap *heap);

/* From a signal handler: the next that asks for memory gives up, from now on or no more. */
void heap_hurry(struct heap *heap, bool on);

/* From a hook: jumps there with HEAP_LATE, out of a script that has run for too long. */
void heap_give_up(struct heap *heap);

#endif
