/* See recent.h. */
#include "sensor/recent.h"

#include "output/top.h"

#include <stdlib.h>

enum { WINDOW_SECONDS = 300, KEYS = 1024 };

struct window {
    struct top *hosts, *names;
};

struct recent {
    struct window now, before;
    nanoseconds began;
};

static bool window_open(struct window *window) {
    window->hosts = top_new(KEYS);
    window->names = top_new(KEYS);
    return window->hosts && window->names;
}

static void window_free(struct window *window) {
    top_free(window->hosts);
    top_free(window->names);
    *window = (struct window){0};
}

struct recent *recent_new(void) {
    struct recent *recent = calloc(1, sizeof *recent);
    if (recent && window_open(&recent->now) && window_open(&recent->before)) return recent;
    recent_free(recent);
    return NULL;
}

void recent_free(struct recent *recent) {
    if (!recent) return;
    window_free(&recent->now);
    window_free(&recent->before);
    free(recent);
}

static void add_host(struct top *hosts, const struct ip *address, uint64_t sent, uint64_t received) {
    char text[IP_TEXT_SIZE];
    int length = ip_format(address, text);
    top_add(hosts, text, (size_t)length, 1, sent, received);
}

void recent_flow(struct recent *recent, const struct event_flow *flow, const struct batch *batch) {
    const struct event_flow_body *f = &flow->body;
    struct window *window = &recent->now;
    if (flow->head.client_local)
        add_host(window->hosts, &flow->head.client_ip, f->client_bytes, f->server_bytes);
    if (flow->head.server_local && f->server_packets > 0)
        add_host(window->hosts, &flow->head.server_ip, f->server_bytes, f->client_bytes);
    if (f->server_name.length > 0)
        top_add(window->names, batch->text + f->server_name.at, f->server_name.length, 1, f->client_bytes,
                f->server_bytes);
}

static void turn(struct recent *recent, nanoseconds now) {
    recent->began = now;
    struct window fresh = {0};
    if (!window_open(&fresh)) { /* short of memory: this window goes on */
        window_free(&fresh);
        return;
    }
    window_free(&recent->before);
    recent->before = recent->now;
    recent->now = fresh;
}

void recent_advance(struct recent *recent, nanoseconds now) {
    const nanoseconds window = WINDOW_SECONDS * NS_PER_SECOND;
    if (recent->began == 0 || now < recent->began) recent->began = now;
    nanoseconds gone = now - recent->began;
    if (gone >= window) turn(recent, now);
    if (gone >= 2 * window) turn(recent, now); /* held up for long: what was before is old as well */
}

static int compare_bytes(const void *left, const void *right) {
    const struct board_top *a = left, *b = right;
    if (a->bytes != b->bytes) return a->bytes > b->bytes ? -1 : 1;
    return strcmp(a->name, b->name);
}

void recent_merge(struct board_top *list, uint32_t *count, const struct board_top *more,
                  uint32_t more_count) {
    struct board_top all[2 * BOARD_TOP];
    uint32_t total = *count;
    memcpy(all, list, total * sizeof *list);
    for (uint32_t i = 0; i < more_count && i < BOARD_TOP; i++) {
        uint32_t at = 0;
        while (at < total && strcmp(all[at].name, more[i].name) != 0) at++;
        if (at == total)
            all[total++] = more[i];
        else
            all[at].bytes += more[i].bytes, all[at].flows += more[i].flows;
    }
    qsort(all, total, sizeof *all, compare_bytes);
    *count = total < BOARD_TOP ? total : BOARD_TOP;
    memcpy(list, all, *count * sizeof *list);
}

static void add_window(const struct top *top, struct board_top *list, uint32_t *count) {
    const struct top_entry *busiest[BOARD_TOP];
    struct board_top more[BOARD_TOP];
    uint32_t n = top_busiest(top, busiest, BOARD_TOP);
    for (uint32_t i = 0; i < n; i++) {
        more[i].bytes = busiest[i]->sent + busiest[i]->received;
        more[i].flows = busiest[i]->flows;
        memcpy(more[i].name, busiest[i]->key, sizeof more[i].name);
        more[i].name[sizeof more[i].name - 1] = '\0';
    }
    recent_merge(list, count, more, n);
}

void recent_hosts(const struct recent *recent, struct board_top *hosts, uint32_t *count) {
    add_window(recent->now.hosts, hosts, count);
    add_window(recent->before.hosts, hosts, count);
}

void recent_names(const struct recent *recent, struct board_top *names, uint32_t *count) {
    add_window(recent->now.names, names, count);
    add_window(recent->before.names, names, count);
}
