/* See card_show.h. Details are JSON that a detector's state wrote, and that is checked before it is believed.
 */
#include "output/card_show.h"

#include "output/json.h"

static void pair_time(struct buffer *b, const char *key, nanoseconds time) {
    char text[TIMESTAMP_LENGTH + 1];
    time_format_eve(time, text);
    json_pair_text(b, key, text);
}

static void begin(struct buffer *b, const char *key, char bracket) {
    json_key(b, key);
    buffer_char(b, bracket);
}

static void put_fact(struct buffer *b, const struct card_fact *fact) {
    begin(b, fact->topic, '{');
    begin(b, "text", '[');
    for (const char *line = fact->text; line;) {
        const char *end = strchr(line, '\n');
        json_item(b);
        json_quote(b, line, end ? (size_t)(end - line) : strlen(line));
        line = end ? end + 1 : NULL;
    }
    buffer_char(b, ']');
    json_pair_text(b, "detector", fact->detector);
    pair_time(b, "since", fact->since);
    size_t length = strlen(fact->details);
    if (strcmp(fact->details, "{}") != 0 && json_is_object(fact->details, length)) {
        json_key(b, "details");
        buffer_put(b, fact->details, length);
    }
    buffer_char(b, '}');
}

static void put_facts(struct buffer *b, const struct card_fact *fact) {
    if (!fact) return;
    begin(b, "facts", '{');
    for (; fact; fact = card_standing(fact->next)) put_fact(b, fact);
    buffer_char(b, '}');
}

static void put_programs(struct buffer *b, const struct card *card) {
    const struct card_program *busiest[CARD_PROGRAMS_SHOWN];
    uint32_t count = card_busiest(card, busiest, CARD_PROGRAMS_SHOWN);
    if (!count) return;
    begin(b, "programs", '[');
    for (uint32_t i = 0; i < count; i++) {
        json_item(b);
        buffer_char(b, '{');
        json_pair_text(b, "name", busiest[i]->name);
        if (busiest[i]->path) json_pair_text(b, "path", busiest[i]->path);
        json_pair_u64(b, "flows", busiest[i]->flows);
        json_pair_u64(b, "sent", busiest[i]->sent);
        json_pair_u64(b, "received", busiest[i]->received);
        buffer_char(b, '}');
    }
    buffer_char(b, ']');
}

static void put_findings(struct buffer *b, const struct card_finding *finding) {
    if (!finding) return;
    begin(b, "findings", '[');
    for (; finding; finding = finding->next) {
        json_item(b);
        buffer_char(b, '{');
        json_pair_text(b, "title", finding->title);
        json_pair_text(b, "detector", finding->detector);
        json_pair_u64(b, "severity", finding->severity);
        json_pair_u64(b, "count", finding->count);
        pair_time(b, "last", finding->last);
        buffer_char(b, '}');
    }
    buffer_char(b, ']');
}

void card_json(const struct card *card, struct buffer *b) {
    buffer_char(b, '{');
    json_pair_u64(b, "flows", card->flows);
    json_pair_u64(b, "sent", card->sent);
    json_pair_u64(b, "received", card->received);
    put_facts(b, card_standing(card->facts));
    put_programs(b, card);
    put_findings(b, card->findings);
    buffer_char(b, '}');
}

void card_record(const struct card *card, struct buffer *b, nanoseconds time) {
    char address[IP_TEXT_SIZE];
    ip_format(&card->address, address);
    buffer_char(b, '{');
    pair_time(b, "timestamp", time);
    json_pair_text(b, "event_type", "host");
    json_pair_text(b, "src_ip", address);
    json_key(b, "host");
    card_json(card, b);
    buffer_string(b, "}\n");
}
