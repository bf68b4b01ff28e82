/* What is missing or of another type is left out: a sensor may be older or newer than who asks it. */
#include "cli/card_read.h"

#include "endpoint/when.h"

#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static uint64_t count_of(const json_t *o, const char *key) {
    json_int_t count = json_integer_value(json_object_get(o, key));
    return count > 0 ? (uint64_t)count : 0;
}

static nanoseconds time_of(const json_t *o, const char *key) {
    const char *text = text_of(o, key);
    nanoseconds time;
    return when_read(text, strlen(text), &time) ? time : 0;
}

/* The lines of a fact, joined. */
static char *lines_of(const json_t *list) {
    size_t size = 1, i;
    const json_t *line;
    json_array_foreach(list, i, line) size += json_string_length(line) + 1;
    char *text = malloc(size), *at = text;
    if (!text) return NULL;
    json_array_foreach(list, i, line) {
        size_t length = json_string_length(line);
        if (i) *at++ = '\n';
        if (length) memcpy(at, json_string_value(line), length);
        at += length;
    }
    *at = '\0';
    return text;
}

static void read_fact(struct card *card, const char *topic, const json_t *from) {
    char *text = lines_of(json_object_get(from, "text"));
    char *details = json_dumps(json_object_get(from, "details"), JSON_COMPACT);
    const struct fact fact = {.time = time_of(from, "since"),
                              .detector = text_of(from, "detector"),
                              .topic = topic,
                              .text = text,
                              .details = details ? details : "{}"};
    if (text) card_tell(card, &fact, fact.time);
    free(text);
    free(details);
}

static void read_program(struct card *card, const json_t *from) {
    const json_t *path = json_object_get(from, "path");
    const struct card_program program = {.name = text_of(from, "name"),
                                         .path = json_string_value(path),
                                         .weight = count_of(from, "sent") + count_of(from, "received"),
                                         .flows = count_of(from, "flows"),
                                         .sent = count_of(from, "sent"),
                                         .received = count_of(from, "received")};
    card_program_add(card, &program);
}

static void read_finding(struct card *card, const json_t *from) {
    uint64_t severity = count_of(from, "severity");
    const struct card_finding finding = {.last = time_of(from, "last"),
                                         .count = count_of(from, "count"),
                                         .severity = severity <= SEVERITY_INFO ? (uint8_t)severity : 0,
                                         .title = text_of(from, "title"),
                                         .detector = text_of(from, "detector")};
    card_find(card, &finding);
}

struct card *card_read(const json_t *record) {
    struct ip address;
    if (ip_parse(text_of(record, "src_ip"), &address) != 0) return NULL;
    struct card *card = card_new(&address);
    if (!card) return NULL;
    const json_t *host = json_object_get(record, "host"), *item;
    const char *topic;
    size_t i;
    card->flows = count_of(host, "flows");
    card->sent = count_of(host, "sent");
    card->received = count_of(host, "received");
    json_object_foreach(json_object_get(host, "facts"), topic, item) read_fact(card, topic, item);
    json_array_foreach(json_object_get(host, "programs"), i, item) read_program(card, item);
    json_array_foreach(json_object_get(host, "findings"), i, item) read_finding(card, item);
    return card;
}
