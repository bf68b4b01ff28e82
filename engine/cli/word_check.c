/* See check.h: one function for each kind of word; each says what was expected and what it got. */
#include "cli/word_check.h"

#include "capture/filter.h"
#include "event/schema.h"
#include "sensor/home.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int check_not_empty(const char *word, struct error *err) {
    return *word ? 0 : error_set(err, "expected something, got nothing");
}

int check_script(const char *word, struct error *err) {
    return access(word, R_OK) == 0 ? 0 : error_set(err, "%s: %s", word, strerror(errno));
}

int check_filter(const char *word, struct error *err) {
    struct filter *filter = filter_new(word, err);
    filter_free(filter);
    return filter ? 0 : -1;
}

int check_setting(const char *word, struct error *err) {
    const char *dot = strchr(word, '.'), *equals = strchr(word, '=');
    if (dot && equals && dot < equals && dot != word && equals != dot + 1) return 0;
    return error_set(err, "expected DETECTOR.KEY=VALUE, got '%s'", word);
}

int check_record(const char *word, struct error *err) {
    static const char *const others[] = {"alert", "report", "stats", "host"};
    enum event_kind kind = event_kind_named(word);
    if (kind != EVENT_head && !event_is_hidden(kind)) return 0;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcmp(word, others[i]) == 0) return 0;
    const char *dot = strrchr(word, '.');
    if (dot && dot != word && dot[1]) return 0; /* a script's: looked for when the scripts are loaded */
    return error_set(err, "there is no event '%s' (see `lunette events`)", word);
}

int check_network(const char *word, struct error *err) {
    struct home *home = home_new(word, err);
    home_free(home);
    return home ? 0 : -1;
}

double pace_of(const char *word) {
    return strcmp(word, "max") == 0 ? 0 : strtod(word, NULL);
}

int check_pace(const char *word, struct error *err) {
    char *end = NULL;
    bool number = isdigit((unsigned char)*word) && word[strspn(word, "0123456789.")] == 'x';
    double pace = number ? strtod(word, &end) : 0;
    if (strcmp(word, "max") == 0 || (number && strcmp(end, "x") == 0 && pace >= 0.001 && pace <= 100000))
        return 0;
    return error_set(err, "expected max, or a multiple from 0.001x to 100000x, got '%s'", word);
}

/* Loopback only is for the control room to insist on; here it is the form that counts. */
int check_metrics(const char *word, struct error *err) {
    const char *colon = strrchr(word, ':');
    bool bracketed = word[0] == '[' && colon && colon[-1] == ']';
    bool plain = colon && colon != word && memchr(word, ':', (size_t)(colon - word)) == NULL;
    char *end = NULL;
    long port = colon && isdigit((unsigned char)colon[1]) ? strtol(colon + 1, &end, 10) : 0;
    if ((bracketed || plain) && end && !*end && port >= 1 && port <= 65535) return 0;
    return error_set(err, "expected ADDR:PORT, such as 127.0.0.1:9177 or [::1]:9177, got '%s'", word);
}
