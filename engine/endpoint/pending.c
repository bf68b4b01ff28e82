/* A binary heap. */
#include "endpoint/pending.h"

#include <stdlib.h>

static bool is_before(const struct pending_news *a, const struct pending_news *b) {
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

static void swap(struct pending_news *a, struct pending_news *b) {
    struct pending_news kept = *a;
    *a = *b;
    *b = kept;
}

int pending_add(struct pending *pending, struct pending_news news) {
    struct pending_news *heap = pending->heap;
    if (pending_is_full(pending)) return -1;
    if (pending->count == pending->room) {
        uint32_t room = pending->room ? pending->room * 2 : 64;
        heap = realloc(heap, room * sizeof *heap);
        if (!heap) return -1;
        pending->heap = heap;
        pending->room = room;
    }
    news.order = pending->given++;
    pending->bytes += news_size(news.news);
    uint32_t at = pending->count++;
    heap[at] = news;
    for (; at > 0 && is_before(&heap[at], &heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&heap[at], &heap[(at - 1) / 2]);
    return 0;
}

struct pending_news pending_take(struct pending *pending) {
    struct pending_news *heap = pending->heap, first = heap[0];
    uint32_t at = 0, count = --pending->count;
    pending->bytes -= news_size(first.news);
    heap[0] = heap[count];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count) break;
        if (child + 1 < count && is_before(&heap[child + 1], &heap[child])) child++;
        if (!is_before(&heap[child], &heap[at])) break;
        swap(&heap[child], &heap[at]);
        at = child;
    }
    return first;
}

void pending_clear(struct pending *pending) {
    for (uint32_t i = 0; i < pending->count; i++) free(pending->heap[i].news);
    free(pending->heap);
    *pending = (struct pending){.heap = NULL};
}
