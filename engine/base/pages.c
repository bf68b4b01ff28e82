/* A huge reservation is cut out of a larger one so that it begins on a 2 MB boundary: otherwise its first and
 * last parts could not lie on huge pages. */
#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>

static const size_t huge_page = (size_t)2 << 20;

static void *map(size_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void *pages_reserve(size_t bytes, bool huge) {
    if (!huge || bytes < huge_page) return map(bytes);
    uint8_t *p = map(bytes + huge_page);
    if (!p) return NULL;
    size_t before = -(uintptr_t)p & (huge_page - 1);
    if (before > 0) munmap(p, before);
    uint8_t *start = p + before;
    size_t page = 4096;
    size_t end = (bytes + page - 1) & ~(page - 1);
    munmap(start + end, bytes + huge_page - before - end);
    madvise(start, bytes, MADV_HUGEPAGE);
    return start;
}

void pages_release(void *pages, size_t bytes) {
    if (pages) munmap(pages, bytes);
}
