/* See audit.h: the document's frame, and what all readers need. */
#include "audit/audit.h"

#include "audit/inner.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ── the document ────────────────────────────────────────────────── */

static const char *const lists[] = {
    "interfaces",      "locations", "services", "resolvers", "search", "scoped", "encrypted_dns", "proxies",
    "browser_proxies", "vpns",      "hosts",    "profiles",  "agents", "wifi",   "findings",      "files"};

json_t *audit_list(const struct audit *audit, const char *name) {
    return json_object_get(audit->document, name);
}

void audit_add(const struct audit *audit, const char *list, json_t *item) {
    json_t *into = audit_list(audit, list);
    if (json_array_size(into) < LIST_MOST)
        json_array_append_new(into, item);
    else
        json_decref(item);
}

const char *text_at(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

void set_owned(json_t *object, const char *key, json_t *value) {
    if (value) json_object_set_new(object, key, value);
}

void set_text(json_t *object, const char *key, const char *text) {
    if (text && *text) set_owned(object, key, text_json(text, strlen(text)));
}

bool has_text(const json_t *list, const char *text) {
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item) {
        const char *own = json_string_value(item);
        if (own && strcmp(own, text) == 0) return true;
    }
    return false;
}

const char *say(char *out, size_t size, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(out, size, format, arguments);
    va_end(arguments);
    if (length < (int)size) return out;
    size_t end = size - 1, first = end;
    uint32_t code;
    while (first > 0 && end - first < 4 && ((unsigned char)out[first - 1] & 0xc0) == 0x80) first--;
    if (first > 0) first--; /* where the last character begins */
    if (first < end && utf8_decode((const uint8_t *)out + first, end - first, &code) < end - first)
        out[first] = '\0';
    return out;
}

const char *joined_texts(const json_t *list, char *out, size_t size) {
    size_t used = 0, i;
    const json_t *item;
    out[0] = '\0';
    json_array_foreach(list, i, item) {
        if (used + 32 >= size) {
            say(out + used, size - used, " … %zu in all", json_array_size(list));
            break;
        }
        say(out + used, size - used - 24, "%s%s", used ? ", " : "",
            json_is_string(item) ? json_string_value(item) : "?");
        used += strlen(out + used);
    }
    return out;
}

void audit_find(const struct audit *audit, const struct finding *finding) {
    json_t *item = json_object();
    set_text(item, "severity", finding->severity);
    set_text(item, "title", finding->title);
    set_text(item, "why", finding->why);
    set_text(item, "file", finding->file);
    set_text(item, "key", finding->key);
    set_text(item, "next", finding->next);
    set_text(item, "attack", finding->attack);
    set_text(item, "about", finding->about);
    audit_add(audit, "findings", item);
}

/* ── files ───────────────────────────────────────────────────────── */

void audit_note(struct audit *audit, const char *path, const char *status) {
    json_t *item = json_object();
    set_text(item, "path", path);
    set_text(item, "status", status);
    if (strcmp(status, "read") == 0)
        audit->read++;
    else if (strcmp(status, tree_outcome_words(TREE_NOT_THERE)) != 0)
        audit->failed++;
    audit_add(audit, "files", item);
}

char *audit_file(struct audit *audit, const char *path, bool expected, size_t *size) {
    char *bytes = NULL;
    enum tree_outcome outcome = tree_read(audit->tree, path, &bytes, size);
    if (outcome != TREE_NOT_THERE || expected) audit_note(audit, path, tree_outcome_words(outcome));
    return bytes;
}

plist_t audit_plist(struct audit *audit, const char *path, bool expected) {
    size_t size = 0;
    struct error err;
    char status[WHY_ROOM];
    char *bytes = NULL;
    enum tree_outcome outcome = tree_read(audit->tree, path, &bytes, &size);
    plist_t root = bytes ? plist_read(bytes, size, &err) : NULL;
    if (bytes)
        audit_note(audit, path, root ? "read" : say(status, sizeof status, "broken: %s", err.text));
    else if (outcome != TREE_NOT_THERE || expected)
        audit_note(audit, path, tree_outcome_words(outcome));
    free(bytes);
    return root;
}

size_t audit_names(struct audit *audit, const char *path, char ***names) {
    size_t count;
    bool cut;
    enum tree_outcome outcome = tree_names(audit->tree, path, names, &count, &cut);
    if (outcome != TREE_READ && outcome != TREE_NOT_THERE && outcome != TREE_NO_FILE)
        audit_note(audit, path, tree_outcome_words(outcome));
    else if (cut)
        audit_note(audit, path, "more files than are looked at");
    return count;
}

static const char *const etc_folders[] = {"/etc", "/private/etc"};

char *audit_etc_file(struct audit *audit, const char *name, bool expected, size_t *size,
                     char path[PATH_ROOM]) {
    char *bytes = NULL, place[PATH_ROOM];
    enum tree_outcome outcome = TREE_NOT_THERE;
    for (size_t i = 0; i < 2 && outcome == TREE_NOT_THERE; i++)
        outcome =
            tree_read(audit->tree, say(place, sizeof place, "%s/%s", etc_folders[i], name), &bytes, size);
    say(path, PATH_ROOM, "%s/%s", etc_folders[0], name);
    if (outcome != TREE_NOT_THERE || expected) audit_note(audit, path, tree_outcome_words(outcome));
    return bytes;
}

size_t audit_etc_names(struct audit *audit, const char *name, char ***names) {
    char place[PATH_ROOM];
    size_t count = 0;
    *names = NULL;
    for (size_t i = 0; i < 2 && count == 0; i++) {
        tree_names_free(*names, 0);
        count = audit_names(audit, say(place, sizeof place, "%s/%s", etc_folders[i], name), names);
    }
    return count;
}

/* ── what does not fit elsewhere ─────────────────────────────────── */

static void read_version(struct audit *audit) {
    static const char path[] = "/System/Library/CoreServices/SystemVersion.plist";
    plist_t root = audit_plist(audit, path, true);
    if (!root) return;
    set_owned(audit->document, "macos", plist_text(root, "ProductVersion"));
    set_owned(audit->document, "build", plist_text(root, "ProductBuildVersion"));
    plist_free(root);
}

/* Networks that the Mac knows: names alone. The keys are "wifi.network.ssid.NAME" (macOS 11 and later);
 * before that a dictionary KnownNetworks has an SSIDString in each entry. */
static void read_known_wifi(struct audit *audit) {
    static const char prefix[] = "wifi.network.ssid.";
    plist_t root = audit_plist(audit, "/Library/Preferences/com.apple.wifi.known-networks.plist", false);
    for (struct plist_walk walk = plist_walk(root); plist_next(&walk);)
        if (strncmp(walk.key, prefix, strlen(prefix)) == 0)
            audit_add(audit, "wifi", text_json(walk.key + strlen(prefix), strlen(walk.key) - strlen(prefix)));
    if (root) plist_free(root);
    root = audit_plist(audit, "/Library/Preferences/SystemConfiguration/com.apple.airport.preferences.plist",
                       false);
    for (struct plist_walk walk = plist_walk(plist_dict(root, "KnownNetworks")); plist_next(&walk);) {
        json_t *name = plist_text(walk.value, "SSIDString");
        if (name) audit_add(audit, "wifi", name);
    }
    if (root) plist_free(root);
}

/* ── all of it ───────────────────────────────────────────────────── */

static int rank(const json_t *finding) {
    static const char *const order[] = {"high", "medium", "low", "info"};
    for (int i = 0; i < 4; i++)
        if (strcmp(text_at(finding, "severity"), order[i]) == 0) return i;
    return 4;
}

void audit_sort_findings(json_t *document) {
    json_t *findings = json_object_get(document, "findings"), *sorted = json_array(), *item;
    size_t i;
    for (int severity = 0; sorted && severity <= 4; severity++)
        json_array_foreach(findings, i, item) if (rank(item) == severity) json_array_append(sorted, item);
    if (sorted) json_object_set_new(document, "findings", sorted);
}

int audit_root(const char *root, nanoseconds now, struct audit_result *out, struct error *err) {
    struct audit audit = {.tree = tree_open(root, err), .document = json_object()};
    if (!audit.tree) {
        json_decref(audit.document);
        return -1;
    }
    json_object_set_new(audit.document, "version", json_integer(1));
    set_text(audit.document, "root", root);
    json_object_set_new(audit.document, "taken", json_integer(now / NS_PER_SECOND));
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        json_object_set_new(audit.document, lists[i], json_array());
    read_version(&audit);
    read_preferences(&audit);
    read_interfaces(&audit);
    read_profiles(&audit);
    read_extensions(&audit);
    read_name_files(&audit);
    read_packet_filter(&audit);
    read_agents(&audit);
    read_browsers(&audit);
    read_known_wifi(&audit);
    weigh_proxies(&audit);
    weigh_names(&audit);
    weigh_services(&audit);
    audit_sort_findings(audit.document);
    tree_close(audit.tree);
    *out = (struct audit_result){.document = audit.document, .read = audit.read, .failed = audit.failed};
    return 0;
}
