/* A hash table that never grows its buckets, and two lists in the order in which hosts were last heard of:
 * those of which only bytes are known, and those with something to say. */
#include "output/cards.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { BUCKETS = 4096, BUCKETS_AT_ONCE = 16, LISTS = 2 };

struct card_line {
    struct card *newest, *oldest;
};

struct cards {
    pthread_mutex_t mutex;
    uint32_t most_hosts;
    size_t most_bytes;
    uint64_t seed; /* nobody outside can aim addresses at one bucket */
    struct card_figures figures;
    struct card_line lines[LISTS]; /* [card_says()] */
    struct card *buckets[BUCKETS];
};

struct cards *cards_new(uint32_t hosts, size_t bytes) {
    struct cards *cards = calloc(1, sizeof *cards);
    if (!cards) return NULL;
    pthread_mutex_init(&cards->mutex, NULL);
    if (getrandom(&cards->seed, sizeof cards->seed, GRND_NONBLOCK) < 0) cards->seed = (uintptr_t)cards;
    cards->most_hosts = hosts;
    cards->most_bytes = bytes;
    return cards;
}

void cards_free(struct cards *cards) {
    if (!cards) return;
    for (uint32_t i = 0; i < BUCKETS; i++)
        for (struct card *card = cards->buckets[i], *next; card; card = next) {
            next = card->next;
            card_free(card);
        }
    pthread_mutex_destroy(&cards->mutex);
    free(cards);
}

/* ── the table; under the lock ───────────────────────────────────── */

static struct card **bucket_of(struct cards *cards, const struct ip *address) {
    uint64_t hash = XXH3_64bits_withSeed(address->bytes, sizeof address->bytes, cards->seed);
    return &cards->buckets[hash % BUCKETS];
}

static void line_leave(struct cards *cards, struct card *card, bool says) {
    struct card_line *line = &cards->lines[says];
    *(card->newer ? &card->newer->older : &line->newest) = card->older;
    *(card->older ? &card->older->newer : &line->oldest) = card->newer;
}

static void line_enter(struct cards *cards, struct card *card, bool says) {
    struct card_line *line = &cards->lines[says];
    card->newer = NULL;
    card->older = line->newest;
    *(line->newest ? &line->newest->newer : &line->oldest) = card;
    line->newest = card;
}

static void evict(struct cards *cards, struct card *card, bool says) {
    struct card **at = bucket_of(cards, &card->address);
    while (*at != card) at = &(*at)->next;
    *at = card->next;
    line_leave(cards, card, says);
    cards->figures.hosts--;
    cards->figures.bytes -= card->bytes;
    cards->figures.evicted++;
    card_free(card);
}

/* The host at hand is the newest of its line, and never the one that goes. */
static void keep_bounds(struct cards *cards, const struct card *at_hand) {
    while (cards->figures.hosts > cards->most_hosts || cards->figures.bytes > cards->most_bytes) {
        bool says = !cards->lines[false].oldest || cards->lines[false].oldest == at_hand;
        struct card *oldest = cards->lines[says].oldest;
        if (!oldest || oldest == at_hand) return;
        evict(cards, oldest, says);
    }
}

/* The host's card, made if it is not there. NULL: out of memory. */
static struct card *card_of(struct cards *cards, const struct ip *address) {
    struct card **bucket = bucket_of(cards, address);
    for (struct card *card = *bucket; card; card = card->next)
        if (ip_equals(&card->address, address)) return card;
    struct card *card = card_new(address);
    if (!card) return NULL;
    card->next = *bucket;
    *bucket = card;
    line_enter(cards, card, false);
    cards->figures.hosts++;
    cards->figures.bytes += card->bytes;
    return card;
}

/* What a card was before something was written on it. */
struct card_before {
    struct card *card;
    size_t bytes;
    bool says;
};

static struct card_before card_take(struct cards *cards, const struct ip *address) {
    struct card *card = card_of(cards, address);
    if (!card) return (struct card_before){.card = NULL};
    return (struct card_before){.card = card, .bytes = card->bytes, .says = card_says(card)};
}

static void card_put_back(struct cards *cards, struct card_before before) {
    struct card *card = before.card;
    line_leave(cards, card, before.says);
    line_enter(cards, card, card_says(card));
    cards->figures.bytes += card->bytes - before.bytes;
    keep_bounds(cards, card);
}

/* ── what is written on them ─────────────────────────────────────── */

void cards_tell(struct cards *cards, const struct fact *fact) {
    pthread_mutex_lock(&cards->mutex);
    struct card_before at = card_take(cards, &fact->host);
    if (at.card) {
        card_tell(at.card, fact, fact->time);
        card_put_back(cards, at);
    }
    pthread_mutex_unlock(&cards->mutex);
}

/* An alert's head may say that its host is none of ours. */
static bool is_elsewhere(const struct alert *alert, const struct ip *who) {
    const struct event_head_body *head = &alert->head;
    if (!alert->has_head) return false;
    if (ip_equals(who, &head->client_ip)) return !head->client_local;
    return ip_equals(who, &head->server_ip) && !head->server_local;
}

void cards_alert(struct cards *cards, const struct alert *alert) {
    struct ip who;
    if (!alert->who || ip_parse(alert->who, &who) != 0 || is_elsewhere(alert, &who)) return;
    const struct card_finding finding = {.last = alert->time,
                                         .count = 1 + (uint64_t)alert->repeats,
                                         .severity = alert->severity,
                                         .title = alert->title,
                                         .detector = alert->detector};
    pthread_mutex_lock(&cards->mutex);
    struct card_before at = card_take(cards, &who);
    if (at.card) {
        card_find(at.card, &finding);
        card_put_back(cards, at);
    }
    pthread_mutex_unlock(&cards->mutex);
}

static void add_end(struct cards *cards, const struct ip *address, uint64_t sent, uint64_t received,
                    const struct card_program *program) {
    struct card_before at = card_take(cards, address);
    if (!at.card) return;
    at.card->flows++;
    at.card->sent += sent;
    at.card->received += received;
    if (program) card_program_add(at.card, program);
    card_put_back(cards, at);
}

/* A program is told of the end that the capture names it for: the server, if the flow came in. */
void cards_flow(struct cards *cards, const struct event_flow *flow) {
    const struct event_head_body *head = &flow->head;
    const struct event_flow_body *f = &flow->body;
    bool client = head->client_local, server = head->server_local && f->server_packets > 0;
    if (!client && !server) return;
    bool serves = head->direction && strcmp(head->direction, "in") == 0;
    uint64_t up = f->client_bytes, down = f->server_bytes;
    const struct card_program program = {.name = head->program ? head->program : head->process,
                                         .path = head->path,
                                         .weight = up + down,
                                         .flows = 1,
                                         .sent = serves ? down : up,
                                         .received = serves ? up : down};
    const struct card_program *named = program.name ? &program : NULL;
    pthread_mutex_lock(&cards->mutex);
    if (client) add_end(cards, &head->client_ip, up, down, serves ? NULL : named);
    if (server) add_end(cards, &head->server_ip, down, up, serves ? named : NULL);
    pthread_mutex_unlock(&cards->mutex);
}

/* ── who reads them ──────────────────────────────────────────────── */

static void merge_one(struct cards *into, const struct card *from) {
    struct card_before at = card_take(into, &from->address);
    if (!at.card) return;
    card_merge(at.card, from);
    card_put_back(into, at);
}

void cards_merge(struct cards *into, struct cards *from, const struct ip *only) {
    struct card **wanted = only ? bucket_of(from, only) : NULL;
    for (uint32_t i = 0; i < BUCKETS; i += BUCKETS_AT_ONCE) {
        if (wanted && (wanted < &from->buckets[i] || wanted >= &from->buckets[i] + BUCKETS_AT_ONCE)) continue;
        pthread_mutex_lock(&from->mutex);
        for (uint32_t k = i; k < i + BUCKETS_AT_ONCE; k++)
            for (const struct card *card = from->buckets[k]; card; card = card->next)
                if (!only || ip_equals(&card->address, only)) merge_one(into, card);
        pthread_mutex_unlock(&from->mutex);
    }
    pthread_mutex_lock(&from->mutex);
    into->figures.evicted += from->figures.evicted;
    pthread_mutex_unlock(&from->mutex);
}

struct card_figures cards_figures(struct cards *cards) {
    pthread_mutex_lock(&cards->mutex);
    struct card_figures figures = cards->figures;
    for (const struct card *card = cards->lines[true].newest; card; card = card->older)
        figures.dropped += card->dropped;
    pthread_mutex_unlock(&cards->mutex);
    return figures;
}

static int busier_first(const void *a, const void *b) {
    const struct card *x = *(const struct card *const *)a, *y = *(const struct card *const *)b;
    uint64_t of_x = x->sent + x->received, of_y = y->sent + y->received;
    if (of_x != of_y) return of_x > of_y ? -1 : 1;
    if (x->flows != y->flows) return x->flows > y->flows ? -1 : 1;
    return memcmp(&x->address, &y->address, sizeof x->address);
}

const struct card **cards_list(const struct cards *cards, uint32_t *count) {
    uint32_t most = 0;
    *count = 0;
    for (const struct card *card = cards->lines[true].newest; card; card = card->older) most++;
    const struct card **list = most ? calloc(most, sizeof *list) : NULL;
    if (!list) return NULL;
    for (const struct card *card = cards->lines[true].newest; card; card = card->older)
        list[(*count)++] = card;
    qsort(list, *count, sizeof *list, busier_first);
    return list;
}
