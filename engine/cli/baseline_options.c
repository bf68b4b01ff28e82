/* See baseline_options.h. */
#include "cli/baseline_options.h"

#include "base/nearest.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEARN = 1 << BASELINE_LEARN, SHOW = 1 << BASELINE_SHOW, COMPARE = 1 << BASELINE_COMPARE };

enum own {
    OWN_OUTPUT,
    OWN_ADD,
    OWN_APART,
    OWN_HOST,
    OWN_SAME,
    OWN_KIND,
    OWN_TOP,
    OWN_JSON,
    OWN_LEAST,
    OWN_FAIL
};

static const struct own_option {
    const char *name;
    char letter;
    bool bare; /* takes no value */
    unsigned commands;
} own_options[] = {
    [OWN_OUTPUT] = {"output", 'o', false, LEARN},      [OWN_ADD] = {"add", 0, false, LEARN},
    [OWN_APART] = {"apart", 0, true, LEARN | COMPARE}, [OWN_HOST] = {"host", 0, false, LEARN | COMPARE},
    [OWN_SAME] = {"same", 0, false, LEARN | COMPARE},  [OWN_KIND] = {"kind", 0, false, SHOW},
    [OWN_TOP] = {"top", 0, false, SHOW | COMPARE},     [OWN_JSON] = {"json", 0, true, SHOW | COMPARE},
    [OWN_LEAST] = {"least", 0, false, COMPARE},        [OWN_FAIL] = {"fail", 0, false, COMPARE},
};

static const char *const command_names[] = {"learn", "show", "compare"};

static int read_bits(const char *name, const char *text, double *out, struct error *err) {
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    if (text[0] >= '0' && text[0] <= '9' && !*end && !errno && *out <= 99) return 0;
    return error_set(err, "baseline: --%s takes a number of bits from 0 to 99, such as 4, got '%s'", name,
                     text);
}

static int read_top(struct baseline_options *o, const char *text, struct error *err) {
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || number > 1000000)
        return error_set(err, "baseline: --top takes a number of rows, 0 for all of them, got '%s'", text);
    o->top = (uint32_t)number;
    o->top_given = true;
    return 0;
}

/* Takes one address off a list with commas. -1 and what was expected of the option of that name. */
static int next_address(const char *name, const char **list, struct ip *out, struct error *err) {
    char word[IP_TEXT_SIZE + 1];
    size_t length = strcspn(*list, ",");
    snprintf(word, sizeof word, "%.*s", (int)(length < IP_TEXT_SIZE ? length : IP_TEXT_SIZE), *list);
    if (ip_parse(word, out) < 0)
        return error_set(err, "baseline: --%s takes addresses, such as 192.168.7.23, got '%s'", name, word);
    *list += length + ((*list)[length] == ',');
    return 0;
}

static int read_hosts(struct baseline_options *o, const char *text, struct error *err) {
    do {
        if (o->only_count == BASELINE_HOSTS_MAX)
            return error_set(err, "baseline: --host takes at most %d addresses", BASELINE_HOSTS_MAX);
        if (next_address("host", &text, &o->only[o->only_count++], err) < 0) return -1;
    } while (*text);
    return 0;
}

/* All count as the first. */
static int read_same(struct baseline_options *o, const char *text, struct error *err) {
    struct ip first;
    if (next_address("same", &text, &first, err) < 0) return -1;
    if (!*text)
        return error_set(err, "baseline: --same takes two addresses or more of one host, with commas");
    while (*text) {
        if (o->same_count == BASELINE_HOSTS_MAX)
            return error_set(err, "baseline: --same takes at most %d addresses", BASELINE_HOSTS_MAX);
        struct profile_alias *alias = &o->same[o->same_count++];
        alias->counts_as = first;
        if (next_address("same", &text, &alias->address, err) < 0) return -1;
    }
    return 0;
}

static int read_kind(struct baseline_options *o, const char *text, struct error *err) {
    o->kind = profile_kind_named(text);
    if (o->kind != PROFILE_KINDS) return 0;
    const char *names[PROFILE_KINDS];
    for (int i = 0; i < PROFILE_KINDS; i++) names[i] = profile_kind_name((enum profile_kind)i);
    const char *near = nearest_name(text, names, PROFILE_KINDS);
    return error_set(
        err,
        "baseline: there is no kind '%s'%s%s%s; there are name, dns-name, address, service, resolver, dns, "
        "tls, tls-name, ssh, agent, program, program-name, volume",
        text, near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
}

static int read_own(struct baseline_options *o, enum own own, const char *text, struct error *err) {
    switch (own) {
    case OWN_OUTPUT:
        o->output = text;
        return 0;
    case OWN_ADD:
        o->earlier = text;
        return 0;
    case OWN_APART:
        o->apart = true;
        return 0;
    case OWN_JSON:
        o->json = true;
        return 0;
    case OWN_HOST:
        return read_hosts(o, text, err);
    case OWN_SAME:
        return read_same(o, text, err);
    case OWN_KIND:
        return read_kind(o, text, err);
    case OWN_TOP:
        return read_top(o, text, err);
    case OWN_LEAST:
        return read_bits("least", text, &o->least, err);
    case OWN_FAIL:
        return read_bits("fail", text, &o->fail, err);
    }
    return 0;
}

/* The option that an argument is, or NULL. `*value` is what stands behind its `=` or letter, or NULL. */
static const struct own_option *own_of(const char *argument, const char **value) {
    *value = NULL;
    for (size_t i = 0; i < sizeof own_options / sizeof *own_options; i++) {
        const struct own_option *own = &own_options[i];
        size_t length = strlen(own->name);
        if (strncmp(argument, "--", 2) == 0 && strncmp(argument + 2, own->name, length) == 0) {
            if (argument[2 + length] == '=') *value = argument + 3 + length;
            if (argument[2 + length] == '=' || !argument[2 + length]) return own;
        }
        if (own->letter && argument[0] == '-' && argument[1] == own->letter) {
            if (argument[2]) *value = argument + 2;
            return own;
        }
    }
    return NULL;
}

static int take(struct baseline_options *o, int argc, char **argv, int *at, const struct own_option *own,
                const char *value, struct error *err) {
    if (!(own->commands & 1u << o->command))
        return error_set(err, "baseline %s: it takes no --%s (try: lunette baseline --help)",
                         command_names[o->command], own->name);
    if (own->bare && value) return error_set(err, "baseline: --%s takes no value", own->name);
    if (!own->bare && !value) {
        if (*at + 1 >= argc) return error_set(err, "baseline: a value is missing after --%s", own->name);
        value = argv[++*at];
    }
    return read_own(o, (enum own)(own - own_options), value, err);
}

static int read_command(struct baseline_options *o, int argc, char **argv, struct error *err) {
    static const char asked[] = "learn, show or compare? (try: lunette baseline --help)";
    o->help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (o->help) return 0;
    if (argc < 2) return error_set(err, "baseline: %s", asked);
    for (size_t i = 0; i < sizeof command_names / sizeof *command_names; i++) {
        if (strcmp(argv[1], command_names[i]) != 0) continue;
        o->command = (enum baseline_command)i;
        return 0;
    }
    return error_set(err, "baseline: there is no '%s': %s", argv[1], asked);
}

int baseline_options_read(struct baseline_options *o, int argc, char **argv, struct error *err) {
    *o = (struct baseline_options){.kind = PROFILE_KINDS, .least = 3, .fail = NAN};
    if (read_command(o, argc, argv, err) < 0) return -1;
    if (o->help) return 0;
    int left = 2;
    for (int i = 2; i < argc; i++) {
        const char *value;
        const struct own_option *own = own_of(argv[i], &value);
        if (strcmp(argv[i], "--") == 0) {
            while (i < argc) argv[left++] = argv[i++];
        } else if (own) {
            if (take(o, argc, argv, &i, own, value, err) < 0) return -1;
        } else {
            argv[left++] = argv[i];
        }
    }
    argv[1] = argv[0];
    o->rest = (struct invocation){.command = FOR_REPLAY, .argc = left - 1, .argv = argv + 1};
    return 0;
}
