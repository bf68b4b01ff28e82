/* See offer.h. A word is one of few constants, so what a check said of it is remembered by its address. */
#include "script/offer.h"

#include "event/batch.h"
#include "script/condition_inner.h"
#include "script/relay.h"
#include "script/state.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHECKS_MOST = 64, /* of a kind; handlers with further conditions are asked one by one */
    WORDS = 64,       /* remembered, a power of two */
};

enum check_how { CHECK_BYTE, CHECK_NUMBER, CHECK_WORD, CHECK_ADDRESS, CHECK_TEXT };

struct check {
    const struct condition *like; /* the first of those that are equal */
    uint32_t offset;
    enum check_how how;
    uint64_t bytes[4]; /* CHECK_BYTE: which of 256 values hold */
    struct {
        const char *word;
        bool holds;
    } * words; /* CHECK_WORD */
};

/* One handler with conditions. */
struct asker {
    uint64_t needs;                /* checks that must hold */
    const struct conditions *rest; /* not NULL: more than fit into `needs`, so ask all of them */
    uint32_t bit;
};

struct hearer {
    struct detector *detector;
    uint32_t unfiltered;
    uint32_t first, end; /* of its askers */
    bool all;            /* a stream: what their handlers want is known elsewhere */
};

struct kind_offers {
    struct check *checks;
    uint32_t check_count;
    struct asker *askers;
    uint32_t asker_count;
    struct hearer *hearers;
    uint32_t hearer_count;
};

struct offers {
    struct kind_offers kinds[EVENT_KINDS];
};

/* ---------------------------------------------------------------- making it */

static enum check_how how_to_check(const struct condition *condition) {
    enum field_type type = (enum field_type)condition->field->type;
    if (condition->number_count) return type == FIELD_u8 || type == FIELD_bool ? CHECK_BYTE : CHECK_NUMBER;
    return type == FIELD_word ? CHECK_WORD : type == FIELD_ip ? CHECK_ADDRESS : CHECK_TEXT;
}

static bool condition_is_like(const struct condition *a, const struct condition *b) {
    if (a->field != b->field || a->number_count != b->number_count) return false;
    for (uint32_t i = 0; i < a->number_count; i++)
        if (a->numbers[i] != b->numbers[i]) return false;
    return a->number_count > 0 || set_is_like(a->set, b->set);
}

static int check_of(const struct kind_offers *offers, const struct condition *condition) {
    for (uint32_t i = 0; i < offers->check_count; i++)
        if (condition_is_like(offers->checks[i].like, condition)) return (int)i;
    return -1;
}

static bool check_fill(struct check *check, const struct condition *condition) {
    *check =
        (struct check){.like = condition, .offset = condition->field->offset, .how = how_to_check(condition)};
    for (uint32_t i = 0; check->how == CHECK_BYTE && i < condition->number_count; i++) {
        double number = condition->numbers[i];
        if (!(number >= 0 && number <= 255)) continue;
        unsigned byte = (unsigned)number;
        if (byte == number) check->bytes[byte / 64] |= 1ull << (byte % 64);
    }
    if (check->how == CHECK_WORD) check->words = calloc(WORDS, sizeof *check->words);
    return check->how != CHECK_WORD || check->words;
}

static const struct conditions *filter_of(const struct detector *detector, int kind, uint32_t handler) {
    return detector->subscriptions[kind]->conditions[handler];
}

/* The checks of one way of asking: called from the cheapest to the dearest. */
static bool checks_add(struct kind_offers *offers, const struct detector *detector, int kind,
                       enum check_how how) {
    for (uint32_t h = 0; h < detector->subscriptions[kind]->count; h++) {
        const struct conditions *filter = filter_of(detector, kind, h);
        for (uint32_t i = 0; filter && i < filter->count; i++) {
            const struct condition *condition = &filter->items[i];
            if (how_to_check(condition) != how || offers->check_count == CHECKS_MOST) continue;
            if (check_of(offers, condition) >= 0) continue;
            if (!check_fill(&offers->checks[offers->check_count], condition)) return false;
            offers->check_count++;
        }
    }
    return true;
}

static void askers_add(struct kind_offers *offers, struct detector *detector, int kind) {
    struct hearer *hearer = &offers->hearers[offers->hearer_count++];
    *hearer = (struct hearer){.detector = detector,
                              .unfiltered = detector->subscriptions[kind]->unfiltered,
                              .first = offers->asker_count,
                              .all = kind == EVENT_stream};
    for (uint32_t h = 0; h < detector->subscriptions[kind]->count; h++) {
        const struct conditions *filter = filter_of(detector, kind, h);
        if (!filter) continue;
        struct asker *asker = &offers->askers[offers->asker_count++];
        *asker = (struct asker){.bit = 1u << h};
        for (uint32_t i = 0; i < filter->count; i++) {
            int check = check_of(offers, &filter->items[i]);
            if (check < 0)
                asker->rest = filter;
            else
                asker->needs |= 1ull << check;
        }
    }
    hearer->end = offers->asker_count;
}

static bool hears(const struct detector *detector, int kind) {
    return detector->subscriptions[kind] && detector->subscriptions[kind]->count > 0;
}

static bool kind_fill(struct kind_offers *offers, int kind, struct detector *const *detectors,
                      uint32_t count) {
    uint32_t hearers = 0, handlers = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!hears(detectors[i], kind)) continue;
        hearers++;
        handlers += detectors[i]->subscriptions[kind]->count;
    }
    if (hearers == 0) return true;
    offers->checks = calloc(CHECKS_MOST, sizeof *offers->checks);
    offers->askers = calloc(handlers, sizeof *offers->askers);
    offers->hearers = calloc(hearers, sizeof *offers->hearers);
    if (!offers->checks || !offers->askers || !offers->hearers) return false;
    for (int how = CHECK_BYTE; how <= CHECK_TEXT; how++)
        for (uint32_t i = 0; i < count; i++)
            if (hears(detectors[i], kind) && !checks_add(offers, detectors[i], kind, (enum check_how)how))
                return false;
    for (uint32_t i = 0; i < count; i++)
        if (hears(detectors[i], kind)) askers_add(offers, detectors[i], kind);
    return true;
}

struct offers *offers_new(struct detector *const *detectors, uint32_t count) {
    struct offers *offers = calloc(1, sizeof *offers);
    if (!offers) return NULL;
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++) {
        if (kind_fill(&offers->kinds[kind], kind, detectors, count)) continue;
        offers_free(offers);
        return NULL;
    }
    return offers;
}

void offers_free(struct offers *offers) {
    if (!offers) return;
    for (int kind = EVENT_head + 1; kind < EVENT_KINDS; kind++) {
        struct kind_offers *own = &offers->kinds[kind];
        for (uint32_t i = 0; own->checks && i < own->check_count; i++) free(own->checks[i].words);
        free(own->checks);
        free(own->askers);
        free(own->hearers);
    }
    free(offers);
}

/* ------------------------------------------------------------------ asking */

static bool word_holds(struct check *check, const char *word, const void *event, const char *text) {
    size_t at = (((uintptr_t)word >> 4) ^ (uintptr_t)word) % WORDS;
    if (!word) return false;
    if (check->words[at].word != word) {
        check->words[at].holds = condition_holds(check->like, event, text);
        check->words[at].word = word;
    }
    return check->words[at].holds;
}

static inline bool check_holds(struct check *check, const void *event, const char *text) {
    const uint8_t *at = (const uint8_t *)event + check->offset;
    if (check->how == CHECK_BYTE) return (check->bytes[*at / 64] >> (*at % 64)) & 1;
    if (check->how == CHECK_WORD)
        return word_holds(check, *(const char *const *)(const void *)at, event, text);
    return condition_holds(check->like, event, text);
}

/* What is known of the event at hand. */
struct answers {
    const void *event;
    const char *text;
    uint64_t asked, held;
};

static inline bool asker_wants(struct kind_offers *offers, const struct asker *asker,
                               struct answers *answers) {
    if (asker->needs & answers->asked & ~answers->held) return false;
    if (asker->rest) return conditions_hold(asker->rest, answers->event, answers->text);
    for (uint64_t open = asker->needs & ~answers->asked; open; open &= open - 1) {
        unsigned number = (unsigned)__builtin_ctzll(open);
        answers->asked |= 1ull << number;
        if (!check_holds(&offers->checks[number], answers->event, answers->text)) return false;
        answers->held |= 1ull << number;
    }
    return true;
}

struct packet_wish offers_packet(struct offers *offers, const struct packet *packet) {
    const struct kind_offers *own = &offers->kinds[EVENT_packet];
    struct packet_wish wish = {false, false};
    for (uint32_t i = 0; i < own->hearer_count; i++) {
        struct detector *detector = own->hearers[i].detector;
        if (!detector_wants_packet(detector, packet)) continue;
        wish.wanted = true;
        wish.payload |= detector->packet_payload;
    }
    return wish;
}

bool offers_packets_are_plain(const struct offers *offers) {
    const struct kind_offers *own = &offers->kinds[EVENT_packet];
    for (uint32_t i = 0; i < own->hearer_count; i++) {
        const struct detector *detector = own->hearers[i].detector;
        if (detector->packet_bpf || detector->packet_payload || detector->part) return false;
    }
    return own->hearer_count > 0 && own->asker_count == 0;
}

bool offers_plain_packet(struct offers *offers, uint32_t index, nanoseconds clock) {
    const struct kind_offers *own = &offers->kinds[EVENT_packet];
    double seconds = ns_to_seconds(clock);
    bool wanted = false;
    for (uint32_t i = 0; i < own->hearer_count; i++) {
        const struct hearer *hearer = &own->hearers[i];
        if (atomic_load_explicit(&hearer->detector->off, memory_order_relaxed)) continue;
        wanted = true;
        detector_feed(hearer->detector, EVENT_packet, index, seconds, hearer->unfiltered);
    }
    return wanted;
}

bool offers_make(struct offers *all, const struct batch *batch, enum event_kind kind, uint32_t index,
                 const void *event) {
    struct kind_offers *offers = &all->kinds[kind];
    struct answers answers = {.event = event, .text = batch->text};
    const struct event_head_body *head = event;
    double clock = ns_to_seconds(head->clock);
    bool wanted = false;
    for (uint32_t i = 0; i < offers->hearer_count; i++) {
        const struct hearer *hearer = &offers->hearers[i];
        struct detector *detector = hearer->detector;
        if (atomic_load_explicit(&detector->off, memory_order_relaxed)) continue;
        uint32_t mask = hearer->unfiltered;
        if (__builtin_expect(hearer->all, 0)) mask = detector_mask(detector, kind, event);
        for (uint32_t k = hearer->first; !hearer->all && k < hearer->end; k++)
            if (asker_wants(offers, &offers->askers[k], &answers)) mask |= offers->askers[k].bit;
        if (kind == EVENT_packet) mask &= detector->packet_mask;
        if (!mask) continue;
        wanted = true;
        if (detector->part)
            part_offer(detector, mask);
        else
            detector_feed(detector, kind, index, clock, mask);
    }
    return wanted;
}
