/* The heap of a Lua state: blocks keep their bytes, do not overlap, are reused, and the bound holds. */
#include "script/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCKS = 500, ROUNDS = 100000 };

struct block {
    uint8_t *at;
    size_t size;
    uint8_t mark;
};

static void check(const struct block *block) {
    for (size_t i = 0; i < block->size; i++) assert_int_equal(block->at[i], block->mark);
}

static size_t any_size(void) {
    switch (rand() % 20) {
    case 0:
        return 1 + (size_t)rand() % 300000;
    case 1:
    case 2:
        return 1 + (size_t)rand() % 70000;
    default:
        return 1 + (size_t)rand() % 2000;
    }
}

static void blocks_keep_their_bytes(void **state) {
    (void)state;
    struct heap *heap = heap_new((size_t)1 << 30);
    static struct block blocks[BLOCKS];
    srand(11);
    for (int round = 0; round < ROUNDS; round++) {
        struct block *block = &blocks[rand() % BLOCKS];
        if (rand() % 16 == 0) check(block);
        size_t size = rand() % 3 ? any_size() : 0;
        uint8_t *moved = heap_allocate(heap, block->at, block->size, size);
        size_t kept = block->size < size ? block->size : size;
        for (size_t i = 0; i < kept; i += 97) assert_int_equal(moved[i], block->mark);
        assert_int_equal((uintptr_t)moved % 16, 0);
        *block = (struct block){.at = size ? moved : NULL, .size = size, .mark = (uint8_t)rand()};
        if (size) memset(moved, block->mark, size);
    }
    for (int i = 0; i < BLOCKS; i++) check(&blocks[i]);
    heap_free(heap);
}

static void freed_memory_is_used_again(void **state) {
    (void)state;
    struct heap *heap = heap_new((size_t)8 << 20);
    for (int round = 0; round < 2000; round++) {
        void *small = heap_allocate(heap, NULL, 0, 100), *large = heap_allocate(heap, NULL, 0, 1 << 20);
        heap_allocate(heap, small, 100, 0);
        heap_allocate(heap, large, 1 << 20, 0);
    }
    assert_true(heap_used(heap) < 4096);
    heap_free(heap);
}

static void beyond_the_bound_it_jumps(void **state) {
    (void)state;
    static const size_t sizes[] = {64, 5000, 100000};
    for (volatile size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct heap *heap = heap_new((size_t)4 << 20);
        jmp_buf escape;
        volatile bool jumped = true;
        if (setjmp(escape) == 0) {
            heap_escape_to(heap, &escape);
            for (int n = 0; n < 1000000; n++) assert_non_null(heap_allocate(heap, NULL, 0, sizes[i]));
            jumped = false;
        }
        assert_true(jumped);
        assert_true(heap_used(heap) <= (size_t)4 << 20);
        heap_escape_to(heap, NULL);
        assert_null(heap_allocate(heap, NULL, 0, (size_t)5 << 20));
        heap_free(heap);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_keep_their_bytes),
        cmocka_unit_test(freed_memory_is_used_again),
        cmocka_unit_test(beyond_the_bound_it_jumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
