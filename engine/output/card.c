/* Facts and findings hang in lists that are short enough to be walked, in the order in which they are shown.
 */
#include "output/card.h"

#include <stdlib.h>
#include <string.h>

/* What malloc takes for itself. */
enum { BLOCK_COST = 16 };

struct card *card_new(const struct ip *address) {
    struct card *card = calloc(1, sizeof *card);
    if (!card) return NULL;
    card->address = *address;
    card->bytes = sizeof *card + BLOCK_COST;
    return card;
}

void card_free(struct card *card) {
    if (!card) return;
    for (struct card_fact *fact = card->facts, *next; fact; fact = next) {
        next = fact->next;
        free(fact);
    }
    for (struct card_finding *finding = card->findings, *next; finding; finding = next) {
        next = finding->next;
        free(finding);
    }
    free(card->programs);
    free(card);
}

/* Copies a text to `at`, and moves on. */
static const char *put_text(char **at, const char *text, size_t length) {
    char *copy = *at;
    memcpy(copy, text, length);
    copy[length] = '\0';
    *at += length + 1;
    return copy;
}

/* ── facts ───────────────────────────────────────────────────────── */

/* The shipped detectors' topics, in the order in which an analyst asks; others follow by name. */
static uint32_t topic_rank(const char *topic) {
    static const char *const first[] = {"story",     "identity", "phase",    "apple",     "third parties",
                                        "elsewhere", "tools",    "gui apps", "visibility"};
    uint32_t rank = 0;
    while (rank < sizeof first / sizeof first[0] && strcmp(topic, first[rank]) != 0) rank++;
    return rank;
}

static int topic_order(const char *a, const char *b) {
    uint32_t of_a = topic_rank(a), of_b = topic_rank(b);
    return of_a != of_b ? (of_a < of_b ? -1 : 1) : strcmp(a, b);
}

static struct card_fact *fact_new(const struct fact *from, nanoseconds since) {
    size_t topic = strlen(from->topic), detector = strlen(from->detector), text = strlen(from->text);
    size_t details = strlen(from->details);
    size_t size = sizeof(struct card_fact) + topic + detector + text + details + 4;
    struct card_fact *fact = malloc(size);
    if (!fact) return NULL;
    char *at = (char *)(fact + 1);
    *fact = (struct card_fact){
        .since = since, .told = from->time, .second_hand = from->second_hand, .size = size + BLOCK_COST};
    fact->topic = put_text(&at, from->topic, topic);
    fact->detector = put_text(&at, from->detector, detector);
    fact->text = put_text(&at, from->text, text);
    fact->details = put_text(&at, from->details, details);
    return fact;
}

static void fact_remove(struct card *card, struct card_fact **at) {
    struct card_fact *fact = *at;
    *at = fact->next;
    card->bytes -= fact->size;
    card->fact_count--;
    free(fact);
}

/* One that was taken back goes first, then the one not told of for longest. */
static void fact_make_room(struct card *card) {
    struct card_fact **worst = &card->facts;
    for (struct card_fact **at = &card->facts; *at; at = &(*at)->next) {
        bool stands = (*at)->text[0] != '\0', worst_stands = (*worst)->text[0] != '\0';
        if (stands != worst_stands ? !stands : (*at)->told < (*worst)->told) worst = at;
    }
    card->dropped += (*worst)->text[0] != '\0';
    fact_remove(card, worst);
}

static void fact_insert(struct card *card, struct card_fact *fact) {
    struct card_fact **at = &card->facts;
    while (*at && topic_order((*at)->topic, fact->topic) < 0) at = &(*at)->next;
    fact->next = *at;
    *at = fact;
    card->bytes += fact->size;
    card->fact_count++;
}

static struct card_fact **fact_find(struct card *card, const char *topic) {
    struct card_fact **at = &card->facts;
    while (*at && strcmp((*at)->topic, topic) != 0) at = &(*at)->next;
    return at;
}

void card_tell(struct card *card, const struct fact *fact, nanoseconds since) {
    struct card_fact **at = fact_find(card, fact->topic), *known = *at;
    bool same_text = known && strcmp(known->text, fact->text) == 0;
    if (same_text && strcmp(known->details, fact->details) == 0 &&
        strcmp(known->detector, fact->detector) == 0) {
        if (fact->time > known->told) known->told = fact->time;
        known->second_hand &= fact->second_hand;
        return;
    }
    if (!known && !fact->text[0] && card->fact_count == CARD_TOPICS) return; /* no news, and no room for it */
    struct card_fact *made = fact_new(fact, same_text && known->since < since ? known->since : since);
    if (!made) return;
    if (known)
        fact_remove(card, at);
    else if (card->fact_count == CARD_TOPICS)
        fact_make_room(card);
    fact_insert(card, made);
}

const struct card_fact *card_standing(const struct card_fact *fact) {
    while (fact && !fact->text[0]) fact = fact->next;
    return fact;
}

/* ── findings ────────────────────────────────────────────────────── */

/* Is `a` shown before `b`? The names decide last, so that the order is always the same. */
static bool is_worse(const struct card_finding *a, const struct card_finding *b) {
    if (a->severity != b->severity) return a->severity < b->severity;
    if (a->last != b->last) return a->last > b->last;
    int order = strcmp(a->title, b->title);
    return order ? order < 0 : strcmp(a->detector, b->detector) < 0;
}

static void finding_insert(struct card *card, struct card_finding *finding) {
    struct card_finding **at = &card->findings;
    while (*at && is_worse(*at, finding)) at = &(*at)->next;
    finding->next = *at;
    *at = finding;
}

static struct card_finding *finding_new(const struct card_finding *from) {
    size_t title = strlen(from->title), detector = strlen(from->detector);
    if (title > CARD_TITLE) /* not in the middle of a character */
        for (title = CARD_TITLE; title > 0 && ((uint8_t)from->title[title] & 0xc0) == 0x80;) title--;
    size_t size = sizeof(struct card_finding) + title + detector + 2;
    struct card_finding *finding = malloc(size);
    if (!finding) return NULL;
    char *at = (char *)(finding + 1);
    *finding = *from;
    finding->size = size + BLOCK_COST;
    finding->title = put_text(&at, from->title, title);
    finding->detector = put_text(&at, from->detector, detector);
    return finding;
}

static bool is_same_finding(const struct card_finding *a, const struct card_finding *b) {
    return strncmp(a->title, b->title, CARD_TITLE - 4) == 0 && strcmp(a->detector, b->detector) == 0;
}

/* The last one of the list. */
static void finding_make_room(struct card *card) {
    struct card_finding **at = &card->findings;
    while ((*at)->next) at = &(*at)->next;
    card->bytes -= (*at)->size;
    free(*at);
    *at = NULL;
    card->finding_count--;
    card->dropped++;
}

void card_find(struct card *card, const struct card_finding *finding) {
    struct card_finding **at = &card->findings;
    while (*at && !is_same_finding(*at, finding)) at = &(*at)->next;
    struct card_finding *known = *at;
    if (known) {
        *at = known->next;
        known->count += finding->count;
        if (finding->severity < known->severity) known->severity = finding->severity;
        if (finding->last > known->last) known->last = finding->last;
        finding_insert(card, known);
        return;
    }
    known = finding_new(finding);
    if (!known) return;
    finding_insert(card, known);
    card->bytes += known->size;
    if (card->finding_count++ == CARD_FINDINGS) finding_make_room(card);
}

/* ── programs ────────────────────────────────────────────────────── */

/* Words are known by their address; others come from tests and from what a sensor answered. */
static bool is_same_word(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static struct card_program *program_place(struct card *card) {
    if (card->program_count < card->program_room) return &card->programs[card->program_count++];
    if (card->program_room == CARD_PROGRAMS) return NULL;
    uint8_t room = card->program_room ? (uint8_t)(card->program_room * 2) : 2;
    struct card_program *grown = realloc(card->programs, room * sizeof *grown);
    if (!grown) return NULL;
    card->bytes += (room - card->program_room) * sizeof *grown + (card->programs ? 0 : BLOCK_COST);
    card->programs = grown;
    card->program_room = room;
    return &grown[card->program_count++];
}

void card_program_add(struct card *card, const struct card_program *program) {
    struct card_program *least = NULL;
    for (uint32_t i = 0; i < card->program_count; i++) {
        struct card_program *p = &card->programs[i];
        if (is_same_word(p->name, program->name) && is_same_word(p->path, program->path)) {
            p->weight += program->weight;
            p->flows += program->flows;
            p->sent += program->sent;
            p->received += program->received;
            return;
        }
        if (!least || p->weight < least->weight) least = p;
    }
    struct card_program *place = program_place(card);
    uint64_t inherited = place || !least ? 0 : least->weight;
    if (!place) place = least;
    if (!place) return;
    *place = *program;
    place->weight += inherited;
}

static bool is_busier(const struct card_program *a, const struct card_program *b) {
    uint64_t of_a = a->sent + a->received, of_b = b->sent + b->received;
    if (of_a != of_b) return of_a > of_b;
    if (a->flows != b->flows) return a->flows > b->flows;
    int order = strcmp(a->name, b->name);
    return order ? order < 0 : strcmp(a->path ? a->path : "", b->path ? b->path : "") < 0;
}

uint32_t card_busiest(const struct card *card, const struct card_program **out, uint32_t most) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < card->program_count && most; i++) {
        const struct card_program *p = &card->programs[i];
        if (count == most && !is_busier(p, out[most - 1])) continue;
        uint32_t at = count < most ? count++ : most - 1;
        for (; at > 0 && is_busier(p, out[at - 1]); at--) out[at] = out[at - 1];
        out[at] = p;
    }
    return count;
}

/* ── the whole ───────────────────────────────────────────────────── */

/* Said at the same time by two workers: any rule will do that does not ask who came first. */
static bool is_better(const struct card_fact *a, const struct card_fact *b) {
    if (a->second_hand != b->second_hand) return b->second_hand;
    if (a->told != b->told) return a->told > b->told;
    int order = strcmp(a->text, b->text);
    if (order == 0) order = strcmp(a->details, b->details);
    return order ? order > 0 : strcmp(a->detector, b->detector) > 0;
}

void card_merge(struct card *into, const struct card *from) {
    into->flows += from->flows;
    into->sent += from->sent;
    into->received += from->received;
    into->dropped += from->dropped;
    for (const struct card_fact *f = from->facts; f; f = f->next) {
        struct card_fact *known = *fact_find(into, f->topic);
        if (known && strcmp(known->text, f->text) == 0 && f->since < known->since) known->since = f->since;
        if (known && !is_better(f, known)) continue;
        const struct fact fact = {.time = f->told,
                                  .detector = f->detector,
                                  .topic = f->topic,
                                  .text = f->text,
                                  .details = f->details,
                                  .second_hand = f->second_hand};
        card_tell(into, &fact, f->since);
    }
    for (const struct card_finding *f = from->findings; f; f = f->next) card_find(into, f);
    for (uint32_t i = 0; i < from->program_count; i++) card_program_add(into, &from->programs[i]);
}

bool card_says(const struct card *card) {
    return card_standing(card->facts) || card->findings || card->program_count;
}
