/* A card as text. The first line says who: the address, and what the topic `identity` says of it. Then what
 * was found, since that is what one looks for first. */
#include "output/card_show.h"

#include <jansson.h>

enum { INDENT = 2, LABELS = 6, TEXTS = 21 };

/* "      label         text", wrapped. A label that is too long pushes its first line. Without a label it
 * goes on with the one before. */
static void put_line(struct buffer *b, const struct terminal_style *style, const char *label,
                     const char *text) {
    uint32_t column = LABELS + (uint32_t)strlen(label);
    buffer_fill(b, ' ', LABELS);
    terminal_ink(b, style, INK_DIM);
    terminal_safe(b, label, strlen(label));
    terminal_ink(b, style, INK_PLAIN);
    uint32_t gap = column + 1 < TEXTS ? TEXTS - column : 2;
    buffer_fill(b, ' ', gap);
    terminal_wrapped(b, style, column + gap, TEXTS, text);
    buffer_char(b, '\n');
}

/* Each line of the text below the other. */
static void put_lines(struct buffer *b, const struct terminal_style *style, const char *label,
                      const char *text) {
    while (*text) {
        char line[1200];
        size_t length = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, text);
        put_line(b, style, label, line);
        label = "";
        text += length + (text[length] == '\n');
    }
}

/* ── who it is ───────────────────────────────────────────────────── */

static const struct card_fact *identity_of(const struct card *card) {
    const struct card_fact *fact = card_standing(card->facts);
    return fact && strcmp(fact->topic, "identity") == 0 ? fact : NULL;
}

/* Other addresses of the same host, as whoever knew who it is says in `same_as`. */
static void put_also(struct buffer *b, const struct terminal_style *style, const struct card_fact *identity) {
    json_t *details = json_loads(identity->details, JSON_ALLOW_NUL, NULL);
    const json_t *list = json_object_get(details, "same_as");
    char text[1200];
    size_t used = 0, i;
    const json_t *item;
    json_array_foreach(list, i, item) {
        const char *address = json_string_value(item);
        if (!address || used + strlen(address) + 4 > sizeof text) continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "", address);
    }
    if (used) put_line(b, style, "also", text);
    json_decref(details);
}

static void put_headline(struct buffer *b, const struct terminal_style *style, const struct card *card) {
    char address[IP_TEXT_SIZE], line[1200];
    uint32_t column = INDENT + (uint32_t)ip_format(&card->address, address) + 2;
    buffer_fill(b, ' ', INDENT);
    terminal_ink(b, style, INK_BOLD);
    buffer_string(b, address);
    terminal_ink(b, style, INK_PLAIN);
    const struct card_fact *identity = identity_of(card);
    if (!identity) {
        buffer_char(b, '\n');
        return;
    }
    size_t length = strcspn(identity->text, "\n");
    snprintf(line, sizeof line, "%.*s", (int)length, identity->text);
    buffer_string(b, "  ");
    terminal_wrapped(b, style, column, LABELS, line);
    buffer_char(b, '\n');
    put_also(b, style, identity);
}

/* Why it is taken for that. */
static void put_identity(struct buffer *b, const struct terminal_style *style,
                         const struct card_fact *identity) {
    size_t length = strcspn(identity->text, "\n");
    if (identity->text[length]) put_lines(b, style, "identity", identity->text + length + 1);
}

/* ── what it did ─────────────────────────────────────────────────── */

static const char *flows_word(uint64_t flows) {
    return flows == 1 ? "flow" : "flows";
}

static void put_more(struct buffer *b, const struct terminal_style *style, uint32_t more) {
    char text[64];
    snprintf(text, sizeof text, "and %u more", more);
    if (more) put_line(b, style, "", text);
}

static void put_programs(struct buffer *b, const struct terminal_style *style, const struct card *card,
                         uint32_t most) {
    const struct card_program *busiest[CARD_PROGRAMS];
    uint32_t count = card_busiest(card, busiest, most < CARD_PROGRAMS ? most : CARD_PROGRAMS);
    for (uint32_t i = 0; i < count; i++) {
        const struct card_program *p = busiest[i];
        char text[600], flows[FIGURE_SIZE], sent[FIGURE_SIZE], received[FIGURE_SIZE];
        snprintf(text, sizeof text, "%.400s: %s %s, %s sent, %s received", p->path ? p->path : p->name,
                 figure_count(p->flows, flows), flows_word(p->flows), figure_bytes(p->sent, sent),
                 figure_bytes(p->received, received));
        put_line(b, style, i ? "" : "programs", text);
    }
    put_more(b, style, card->program_count - count);
}

static void put_findings(struct buffer *b, const struct terminal_style *style, const struct card *card,
                         uint32_t most) {
    uint32_t shown = 0;
    for (const struct card_finding *f = card->findings; f && shown < most; f = f->next, shown++) {
        char text[600], count[FIGURE_SIZE], time[SHORT_TIME_SIZE];
        terminal_time(f->last, time);
        if (f->count == 1)
            snprintf(text, sizeof text, "%s: %.300s (%.19s)", severity_name(f->severity), f->title, time);
        else
            snprintf(text, sizeof text, "%s: %.300s (%s times, last %.19s)", severity_name(f->severity),
                     f->title, figure_count(f->count, count), time);
        put_line(b, style, shown ? "" : "findings", text);
    }
    put_more(b, style, card->finding_count - shown);
}

static void put_traffic(struct buffer *b, const struct terminal_style *style, const struct card *card) {
    char text[160], flows[FIGURE_SIZE], sent[FIGURE_SIZE], received[FIGURE_SIZE];
    if (card->flows == 0) { /* a live sensor knows a host from its first packet on */
        put_line(b, style, "traffic", "no flow counted: one counts when it ends");
        return;
    }
    snprintf(text, sizeof text, "%s %s, %s sent, %s received", figure_count(card->flows, flows),
             flows_word(card->flows), figure_bytes(card->sent, sent), figure_bytes(card->received, received));
    put_line(b, style, "traffic", text);
}

void card_print(const struct card *card, struct buffer *b, const struct terminal_style *style,
                struct card_extent extent) {
    const struct card_fact *identity = identity_of(card);
    put_headline(b, style, card);
    put_findings(b, style, card, extent.findings);
    if (identity) put_identity(b, style, identity);
    for (const struct card_fact *f = card_standing(card->facts); f; f = card_standing(f->next))
        if (f != identity) put_lines(b, style, f->topic, f->text);
    put_programs(b, style, card, extent.programs);
    put_traffic(b, style, card);
}

void card_print_list(const struct card *const *list, uint32_t count, uint32_t most, struct buffer *b,
                     const struct terminal_style *style, struct card_extent extent) {
    for (uint32_t i = 0; i < count && i < most; i++) {
        if (i) buffer_char(b, '\n');
        card_print(list[i], b, style, extent);
    }
    char figure[FIGURE_SIZE];
    if (count > most)
        buffer_format(b, "%s  and %s more\n", most ? "\n" : "", figure_count(count - most, figure));
}
