/* /etc/hosts (hosts(5)), /etc/resolver/ and /etc/resolv.conf (resolver(5)). Of hosts what macOS ships is left
 * out. Files in /etc/resolver are scoped: of names below the file's own name, or its `domain` line.
 * resolv.conf is written by the system and read by few programs, so it says what was in force, and counts for
 * nothing. */
#include "audit/inner.h"
#include "audit/lines.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_shipped(const char *address, const char *name) {
    static const char *const shipped[][2] = {{"127.0.0.1", "localhost"},
                                             {"::1", "localhost"},
                                             {"fe80::1%lo0", "localhost"},
                                             {"255.255.255.255", "broadcasthost"}};
    for (size_t i = 0; i < sizeof shipped / sizeof shipped[0]; i++)
        if (strcmp(address, shipped[i][0]) == 0 && strcmp(name, shipped[i][1]) == 0) return true;
    return false;
}

static void read_hosts(struct audit *audit) {
    size_t size;
    char path[PATH_ROOM];
    char *bytes = audit_etc_file(audit, "hosts", true, &size, path);
    struct lines lines = lines_of(bytes, bytes ? size : 0, false);
    while (lines_next(&lines)) {
        char *rest = lines.text, *address = word_next(&rest), *name;
        json_t *names = json_array();
        while ((name = word_next(&rest)) && json_array_size(names) < TEXTS_MOST)
            if (!is_shipped(address, name)) json_array_append_new(names, text_json(name, strlen(name)));
        if (json_array_size(names) == 0) {
            json_decref(names);
            continue;
        }
        json_t *entry = json_object();
        set_text(entry, "address", address);
        set_owned(entry, "names", names);
        set_owned(entry, "line", json_integer(lines.number));
        audit_add(audit, "hosts", entry);
    }
    free(bytes);
}

static void read_resolver(struct audit *audit, const char *name, const char *path, const char *bytes,
                          size_t size) {
    struct lines lines = lines_of(bytes, size, false);
    json_t *scoped = json_object(), *resolvers = json_array();
    long port = 0;
    set_text(scoped, "domain", name);
    while (lines_next(&lines)) {
        char *rest = lines.text, *key = word_next(&rest), *value = word_next(&rest);
        if (!value) continue;
        if (strcmp(key, "domain") == 0) set_text(scoped, "domain", value);
        if (strcmp(key, "nameserver") == 0 && json_array_size(resolvers) < TEXTS_MOST)
            json_array_append_new(resolvers, text_json(value, strlen(value)));
        if (strcmp(key, "port") == 0) port = strtol(value, NULL, 10);
    }
    set_owned(scoped, "resolvers", resolvers);
    if (port > 0 && port < 65536) set_owned(scoped, "port", json_integer(port));
    set_text(scoped, "file", path);
    audit_add(audit, "scoped", scoped);
}

static void read_resolvers(struct audit *audit) {
    char name[PATH_ROOM], path[PATH_ROOM], **names;
    size_t count = audit_etc_names(audit, "resolver", &names), size;
    for (size_t i = 0; i < count; i++) {
        say(name, sizeof name, "resolver/%s", names[i]);
        char *bytes = audit_etc_file(audit, name, false, &size, path);
        if (bytes) read_resolver(audit, names[i], path, bytes, size);
        free(bytes);
    }
    tree_names_free(names, count);
}

static void read_resolv_conf(struct audit *audit) {
    size_t size;
    char path[PATH_ROOM];
    char *bytes = audit_etc_file(audit, "resolv.conf", false, &size, path);
    struct lines lines = lines_of(bytes, bytes ? size : 0, false);
    json_t *resolvers = json_array();
    while (lines_next(&lines)) {
        char *rest = lines.text, *key = word_next(&rest), *value = word_next(&rest);
        if (value && strcmp(key, "nameserver") == 0 && json_array_size(resolvers) < TEXTS_MOST)
            json_array_append_new(resolvers, text_json(value, strlen(value)));
    }
    if (bytes) json_object_set(audit->document, "resolv_conf", resolvers);
    json_decref(resolvers);
    free(bytes);
}

void read_name_files(struct audit *audit) {
    read_hosts(audit);
    read_resolvers(audit);
    read_resolv_conf(audit);
}

/* ── what of it does not belong ──────────────────────────────────── */

/* 0.0.0.0 and the Mac itself: who asks gets nothing, and nobody else does. */
static bool blocks(const char *address) {
    return is_loopback(address) || strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

enum { OF_APPLE, OF_GUARD, OF_OTHERS, GROUPS };

struct hosts_group {
    size_t count;
    json_t *shown; /* the first few, as text */
    json_int_t line;
};

static void group_add(struct hosts_group *group, const json_t *entry, const char *name) {
    char text[400];
    if (group->count++ == 0) group->line = json_integer_value(json_object_get(entry, "line"));
    if (!group->shown) group->shown = json_array();
    say(text, sizeof text, "%s → %s", name, text_at(entry, "address"));
    if (json_array_size(group->shown) < 6) json_array_append_new(group->shown, text_json(text, strlen(text)));
}

static void tell_group(const struct audit *audit, const struct hosts_group *group,
                       const struct finding *form) {
    char why[WHY_ROOM], names[WHY_ROOM / 2], key[32];
    if (group->count == 0) return;
    struct finding finding = *form;
    joined_texts(group->shown, names, sizeof names);
    finding.why = say(why, sizeof why, "%zu name%s%s: %s%s", group->count, group->count == 1 ? " " : "s ",
                      form->why, names, group->count > json_array_size(group->shown) ? " …" : "");
    finding.key = say(key, sizeof key, "line %lld", (long long)group->line);
    finding.file = "/etc/hosts";
    finding.about = "hosts";
    audit_find(audit, &finding);
}

static void weigh_hosts(struct audit *audit) {
    static const struct finding redirected[GROUPS] = {
        {.severity = "high",
         .title = "Apple's names lead elsewhere",
         .why = "of Apple given an address by hand",
         .next = "Whose is the address? Who wrote the line: see the file's time, and what ran then",
         .attack = "T1565.001"},
        {.severity = "high",
         .title = "Names of security or update services lead elsewhere",
         .why = "given an address by hand",
         .next = "Whose is the address? Updates and protection that ask it are in its owner's hands",
         .attack = "T1562.001"},
        {.severity = "low",
         .title = "Names with public addresses set by hand",
         .why = "given a public address by hand",
         .next = "Is the address that of the name's owner? Ask a public resolver",
         .attack = "T1565.001"}};
    static const struct finding blocked[GROUPS] = {
        {.severity = "low",
         .title = "Apple's names are blocked",
         .why = "of Apple made unreachable",
         .next = "A licence or update check that somebody did not want, or a list against advertising?",
         .attack = "T1562.001"},
        {.severity = "low",
         .title = "Names of security or update services are blocked",
         .why = "made unreachable",
         .next = "Does the product still get its updates? Who wrote the lines?",
         .attack = "T1562.001"},
        {.severity = "info",
         .title = "Names are blocked",
         .why = "made unreachable",
         .next = "Lists against advertising look so"}};
    struct hosts_group away[GROUPS] = {0}, shut[GROUPS] = {0};
    size_t i, j;
    const json_t *entry, *item;
    json_array_foreach(audit_list(audit, "hosts"), i, entry) {
        const char *address = text_at(entry, "address");
        json_array_foreach(json_object_get(entry, "names"), j, item) {
            const char *name = json_string_value(item);
            int of = is_apple_name(name) ? OF_APPLE : is_guarding_name(name) ? OF_GUARD : OF_OTHERS;
            if (blocks(address))
                group_add(&shut[of], entry, name);
            else if (of != OF_OTHERS || is_public_address(address))
                group_add(&away[of], entry, name);
        }
    }
    for (int of = 0; of < GROUPS; of++) {
        tell_group(audit, &away[of], &redirected[of]);
        tell_group(audit, &shut[of], &blocked[of]);
        json_decref(away[of].shown);
        json_decref(shut[of].shown);
    }
}

static bool any_public(const json_t *resolvers) {
    size_t i;
    const json_t *item;
    json_array_foreach(resolvers, i, item) if (is_public_address(json_string_value(item)) &&
                                               !known_resolver(json_string_value(item))) return true;
    return false;
}

/* A resolver that is asked for some names only. For names of one's own that is what it is made for; for
 * Apple's, or for a whole top-level domain, it is a way to see and to change answers that nobody looks at. */
static void weigh_scoped(struct audit *audit) {
    size_t i;
    const json_t *scoped;
    char why[WHY_ROOM], resolvers[WHY_ROOM / 2];
    json_array_foreach(audit_list(audit, "scoped"), i, scoped) {
        const char *domain = text_at(scoped, "domain");
        const json_t *list = json_object_get(scoped, "resolvers");
        bool reserved = is_below(domain, "test") || is_below(domain, "localhost") ||
                        is_below(domain, "local") || is_below(domain, "internal") ||
                        is_below(domain, "example") || is_below(domain, "lan") ||
                        is_below(domain, "home.arpa");
        bool broad = !reserved && !strchr(domain, '.');
        const char *severity = is_apple_name(domain) ? "high" : broad || any_public(list) ? "medium" : "info";
        struct finding finding = {
            .severity = severity,
            .title = is_apple_name(domain) ? "Apple's names are asked of a resolver of their own"
                     : broad               ? "A whole top-level domain is asked of a resolver of its own"
                                           : "A resolver for some names",
            .file = text_at(scoped, "file"),
            .next = "Whose resolver is it? A VPN's or developers' tool's file names a domain of its own",
            .attack = strcmp(severity, "info") == 0 ? NULL : "T1557",
            .about = "scoped"};
        finding.why = say(why, sizeof why, "names below %.200s are asked of %s", domain,
                          json_array_size(list) ? joined_texts(list, resolvers, sizeof resolvers) : "nobody");
        audit_find(audit, &finding);
    }
}

/* Encrypted DNS that a profile gives is the operator's. */
static void weigh_encrypted(struct audit *audit) {
    size_t i;
    const json_t *entry;
    char why[WHY_ROOM], host[256];
    json_array_foreach(audit_list(audit, "encrypted_dns"), i, entry) {
        const char *server = text_at(entry, "server"), *from = text_at(entry, "from");
        host_of_url(server, host);
        const char *owner = known_encrypted_resolver(*host ? host : server);
        bool profile = strncmp(from, "profile", 7) == 0;
        struct finding finding = {
            .severity = profile ? "info"
                        : owner ? "low"
                                : "medium",
            .title = profile ? "Encrypted DNS by a profile" : "Encrypted DNS that no profile gave",
            .file = text_at(entry, "file"),
            .next = profile
                        ? "Is the profile yours?"
                        : "Which program set it, and who wanted it? Nobody on the network sees what is asked",
            .attack = profile ? NULL : "T1572",
            .about = "encrypted_dns"};
        finding.why = say(why, sizeof why, "DNS over %s to %.300s%s%s, from %.200s",
                          text_at(entry, "protocol"), server, owner ? ", of " : "", owner ? owner : "", from);
        audit_find(audit, &finding);
    }
}

void weigh_names(struct audit *audit) {
    weigh_hosts(audit);
    weigh_scoped(audit);
    weigh_encrypted(audit);
}
