/* See audits.h. A document is checked for its shape once, here: a detector may then walk through it without
 * looking at types, whoever wrote the file. */
#include "audit/audits.h"

#include "audit/json_read.h"
#include "endpoint/hosts.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { AUDITS_MOST = 4096, AUDIT_DEPTH = 16 };

struct audit_entry {
    struct hosts of; /* one host with its addresses, or none */
    json_t *document;
};

struct audits {
    struct audit_entry *list;
    size_t count;
};

int audits_check_word(const char *word, struct error *err) {
    return hosts_check_log(word, err);
}

struct audits *audits_new(struct error *err) {
    struct audits *audits = calloc(1, sizeof *audits);
    if (!audits) error_set(err, "out of memory");
    return audits;
}

void audits_free(struct audits *audits) {
    if (!audits) return;
    for (size_t i = 0; i < audits->count; i++) {
        hosts_clear(&audits->list[i].of);
        json_decref(audits->list[i].document);
    }
    free(audits->list);
    free(audits);
}

/* ── the shape of a document ─────────────────────────────────────── */

enum member_kind { TEXT, NUMBER, FLAG, TEXTS, TABLES };

static const struct member {
    const char *in, *name; /* in "": of the document itself */
    enum member_kind kind;
} members[] = {
    {"", "root", TEXT},
    {"", "name", TEXT},
    {"", "macos", TEXT},
    {"", "build", TEXT},
    {"", "taken", NUMBER},
    {"", "interfaces", TABLES},
    {"", "services", TABLES},
    {"", "resolvers", TEXTS},
    {"", "search", TEXTS},
    {"", "scoped", TABLES},
    {"", "encrypted_dns", TABLES},
    {"", "proxies", TABLES},
    {"", "vpns", TABLES},
    {"", "browser_proxies", TABLES},
    {"", "hosts", TABLES},
    {"", "findings", TABLES},
    {"interfaces", "name", TEXT},
    {"interfaces", "mac", TEXT},
    {"interfaces", "kind", TEXT},
    {"interfaces", "model", TEXT},
    {"interfaces", "builtin", FLAG},
    {"services", "id", TEXT},
    {"services", "name", TEXT},
    {"services", "interface", TEXT},
    {"services", "location", TEXT},
    {"services", "ipv4", TEXT},
    {"services", "router", TEXT},
    {"services", "active", FLAG},
    {"services", "order", NUMBER},
    {"services", "addresses", TEXTS},
    {"services", "resolvers", TEXTS},
    {"services", "search", TEXTS},
    {"services", "proxies", TABLES},
    {"scoped", "domain", TEXT},
    {"scoped", "resolvers", TEXTS},
    {"scoped", "port", NUMBER},
    {"scoped", "file", TEXT},
    {"encrypted_dns", "protocol", TEXT},
    {"encrypted_dns", "server", TEXT},
    {"encrypted_dns", "addresses", TEXTS},
    {"encrypted_dns", "domains", TEXTS},
    {"encrypted_dns", "from", TEXT},
    {"proxies", "kind", TEXT},
    {"proxies", "host", TEXT},
    {"proxies", "port", NUMBER},
    {"proxies", "url", TEXT},
    {"proxies", "service", TEXT},
    {"proxies", "interface", TEXT},
    {"proxies", "exceptions", TEXTS},
    {"browser_proxies", "browser", TEXT},
    {"browser_proxies", "kind", TEXT},
    {"browser_proxies", "host", TEXT},
    {"browser_proxies", "port", NUMBER},
    {"browser_proxies", "url", TEXT},
    {"vpns", "name", TEXT},
    {"vpns", "kind", TEXT},
    {"vpns", "server", TEXT},
    {"vpns", "interface", TEXT},
    {"vpns", "app", TEXT},
    {"vpns", "on_demand", FLAG},
    {"vpns", "enabled", FLAG},
    {"hosts", "address", TEXT},
    {"hosts", "names", TEXTS},
    {"hosts", "line", NUMBER},
    {"findings", "severity", TEXT},
    {"findings", "title", TEXT},
    {"findings", "why", TEXT},
};

static const char *expected(enum member_kind kind) {
    static const char *const words[] = {"a text", "a number", "true or false", "a list of texts",
                                        "a list of tables"};
    return words[kind];
}

static bool is_list_of(const json_t *value, json_type type) {
    size_t i;
    const json_t *item;
    if (!json_is_array(value)) return false;
    json_array_foreach(value, i, item) if (json_typeof(item) != type) return false;
    return true;
}

static bool fits(const json_t *value, enum member_kind kind) {
    switch (kind) {
    case TEXT:
        return json_is_string(value);
    case NUMBER:
        return json_is_number(value);
    case FLAG:
        return json_is_boolean(value);
    case TEXTS:
        return is_list_of(value, JSON_STRING);
    default:
        return is_list_of(value, JSON_OBJECT);
    }
}

/* Nulls count as absent; an absent list becomes an empty one. */
static int check_member(json_t *in, const struct member *member, const char *where, struct error *err) {
    const json_t *value = json_object_get(in, member->name);
    if (value && json_is_null(value)) {
        json_object_del(in, member->name);
        value = NULL;
    }
    if (!value) {
        bool list = member->kind == TEXTS || member->kind == TABLES;
        return list && json_object_set_new(in, member->name, json_array()) < 0
                   ? error_set(err, "out of memory")
                   : 0;
    }
    /* An empty table of Lua is an object here. */
    if (json_is_object(value) && json_object_size(value) == 0 && member->kind >= TEXTS)
        return json_object_set_new(in, member->name, json_array()) < 0 ? error_set(err, "out of memory") : 0;
    if (fits(value, member->kind)) return 0;
    return error_set(err, "%s%s is not %s", where, member->name, expected(member->kind));
}

static int check_members(json_t *in, const char *of, const char *where, struct error *err) {
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (strcmp(members[i].in, of) == 0 && check_member(in, &members[i], where, err) < 0) return -1;
    return 0;
}

static int check_lists(json_t *document, struct error *err) {
    static const char *const lists[] = {"interfaces",      "services", "scoped", "encrypted_dns", "proxies",
                                        "browser_proxies", "vpns",     "hosts",  "findings"};
    size_t n;
    json_t *item, *proxy;
    char where[64];
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        json_array_foreach(json_object_get(document, lists[i]), n, item) {
            snprintf(where, sizeof where, "%s[%zu].", lists[i], n + 1);
            if (check_members(item, lists[i], where, err) < 0) return -1;
        }
    json_array_foreach(json_object_get(document, "services"), n, item) {
        size_t m;
        json_array_foreach(json_object_get(item, "proxies"), m, proxy) {
            snprintf(where, sizeof where, "services[%zu].proxies[%zu].", n + 1, m + 1);
            if (check_members(proxy, "proxies", where, err) < 0) return -1;
        }
    }
    return 0;
}

/* How deep it nests, AUDIT_DEPTH + 1 at most: Lua's stack has a bound. */
static int depth_of(const json_t *value, int at) {
    int most = at;
    size_t i;
    const char *key;
    json_t *item;
    if (at > AUDIT_DEPTH) return at;
    json_array_foreach(value, i, item) {
        int depth = depth_of(item, at + 1);
        if (depth > most) most = depth;
    }
    json_object_foreach((json_t *)value, key, item) {
        int depth = depth_of(item, at + 1);
        if (depth > most) most = depth;
    }
    return most;
}

static int check_pf(json_t *document, struct error *err) {
    static const struct member of_pf[] = {{"", "changed", FLAG}, {"", "rdr", TEXTS}, {"", "anchors", TEXTS}};
    json_t *pf = json_object_get(document, "pf");
    if (!pf || json_is_null(pf)) {
        pf = json_object();
        if (json_object_set_new(document, "pf", pf) < 0) return error_set(err, "out of memory");
    }
    if (!json_is_object(pf)) return error_set(err, "pf is not a table");
    for (size_t i = 0; i < sizeof of_pf / sizeof of_pf[0]; i++)
        if (check_member(pf, &of_pf[i], "pf.", err) < 0) return -1;
    return 0;
}

static int check_document(json_t *document, struct error *err) {
    if (!json_is_object(document))
        return error_set(err, "this is no audit: one is made by `lunette audit ROOT --json`");
    const json_t *version = json_object_get(document, "version");
    if (!json_is_number(version))
        return error_set(err,
                         "this is no audit (it has no version): one is made by `lunette audit ROOT --json`");
    if (json_number_value(version) != 1)
        return error_set(err, "an audit of version %.15g; this program reads version 1",
                         json_number_value(version));
    if (depth_of(document, 0) > AUDIT_DEPTH) return error_set(err, "nested deeper than %d", AUDIT_DEPTH);
    if (check_members(document, "", "", err) < 0 || check_pf(document, err) < 0) return -1;
    return check_lists(document, err);
}

/* ── adding ──────────────────────────────────────────────────────── */

static struct audit_entry *entry_new(struct audits *audits, struct error *err) {
    struct audit_entry *grown = NULL;
    if (audits->count == AUDITS_MOST)
        error_set(err, "more than %d audits", AUDITS_MOST);
    else if (!(grown = realloc(audits->list, (audits->count + 1) * sizeof *grown)))
        error_set(err, "out of memory");
    if (!grown) return NULL;
    audits->list = grown;
    grown[audits->count] = (struct audit_entry){.document = NULL};
    return &grown[audits->count++];
}

int audits_add(struct audits *audits, const char *addresses, json_t *document, struct error *err) {
    char word[HOST_ADDRESSES * IP_TEXT_SIZE + 4];
    struct audit_entry *entry = check_document(document, err) == 0 ? entry_new(audits, err) : NULL;
    if (!entry) {
        json_decref(document);
        return -1;
    }
    entry->document = document;
    if (!addresses) return 0;
    snprintf(word, sizeof word, "%s=-", addresses);
    if (hosts_add(&entry->of, word, err) < 0) return -1;
    if (entry->of.list[0].address_count > 0) return 0;
    return error_set(err, "'%.200s' is no address", addresses);
}

static int add_file(struct audits *audits, const char *addresses, const char *path, struct error *err) {
    struct stat status;
    struct error wrong;
    if (stat(path, &status) < 0) return error_set(err, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode)) return error_set(err, "%s: no regular file", path);
    json_t *document = json_read_file(path, JSON_REJECT_DUPLICATES, err);
    if (!document) return -1;
    if (audits_add(audits, addresses, document, &wrong) == 0) return 0;
    return error_set(err, "%.400s: %.600s", path, wrong.text);
}

static int is_json_name(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return entry->d_name[0] != '.' && dot && strcmp(dot, ".json") == 0;
}

static int add_folder(struct audits *audits, const char *addresses, const char *path, struct error *err) {
    struct dirent **names;
    char file[4096];
    int count = scandir(path, &names, is_json_name, alphasort), outcome = 0;
    if (count < 0) return error_set(err, "%s: %s", path, strerror(errno));
    if (count == 0) outcome = error_set(err, "%s: a folder without audits (*.json)", path);
    for (int i = 0; i < count; i++) {
        if (outcome == 0 && snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name) >= (int)sizeof file)
            outcome = error_set(err, "%.200s…: the path is too long", path);
        else if (outcome == 0)
            outcome = add_file(audits, addresses, file, err);
        free(names[i]);
    }
    free(names);
    return outcome;
}

int audits_add_word(struct audits *audits, const char *word, struct error *err) {
    struct stat status;
    const char *path = hosts_path(word);
    char addresses[HOST_ADDRESSES * IP_TEXT_SIZE], *own = NULL;
    if (path != word) {
        snprintf(addresses, sizeof addresses, "%.*s", (int)(path - word - 1), word);
        own = addresses;
    }
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) return add_folder(audits, own, path, err);
    return add_file(audits, own, path, err);
}

/* ── asking ──────────────────────────────────────────────────────── */

static bool has_address(const json_t *list, const struct ip *ip) {
    size_t i;
    const json_t *item;
    struct ip own;
    json_array_foreach(list, i, item) {
        const char *text = json_string_value(item);
        if (text && ip_parse(text, &own) == 0 && ip_equals(&own, ip)) return true;
    }
    return false;
}

/* How well it fits: 2 by who gave it, 1 by what is in it, 0 not at all. */
static int fit_by_ip(const struct audit_entry *entry, const struct ip *ip) {
    size_t i;
    const json_t *service;
    if (entry->of.count) return hosts_find(&entry->of, ip) >= 0 ? 2 : 0;
    json_array_foreach(json_object_get(entry->document, "services"), i,
                       service) if (has_address(json_object_get(service, "addresses"), ip)) return 1;
    return 0;
}

static int fit_by_mac(const struct audit_entry *entry, const char *mac) {
    size_t i;
    const json_t *interface;
    if (entry->of.count) return 0;
    json_array_foreach(json_object_get(entry->document, "interfaces"), i, interface) {
        const char *own = json_string_value(json_object_get(interface, "mac"));
        if (own && strcasecmp(own, mac) == 0) return 1;
    }
    return 0;
}

static double taken(const json_t *document) {
    return json_number_value(json_object_get(document, "taken"));
}

const json_t *audits_find(const struct audits *audits, const char *who) {
    struct ip ip;
    const json_t *found = NULL;
    int best = 0;
    if (!audits || audits->count == 0) return NULL;
    if (!who) return audits->count == 1 && !audits->list[0].of.count ? audits->list[0].document : NULL;
    bool is_ip = ip_parse(who, &ip) == 0;
    for (size_t i = 0; i < audits->count; i++) {
        const struct audit_entry *entry = &audits->list[i];
        int fit = is_ip ? fit_by_ip(entry, &ip) : fit_by_mac(entry, who);
        if (fit == 0 || fit < best || (fit == best && taken(found) >= taken(entry->document))) continue;
        best = fit;
        found = entry->document;
    }
    return found;
}
