/* How an audit differs from an earlier one, by meaning: lists are compared by what an entry is about (a
 * service's id, a proxy's kind and service), not by place, and only by what matters of it. What is new or
 * other is raised by a step, if it was found at all, and a proxy or resolver that changed is a finding of its
 * own. */
#include "audit/audit.h"

#include "audit/inner.h"
#include "endpoint/when.h"

#include <stdlib.h>
#include <string.h>

enum { CHANGES_MOST = 2000 };

struct subject {
    const char *list, *what;
    const char *keys[3];   /* what an entry is about; none: it is a text */
    const char *values[6]; /* what of it is compared */
};

static const struct subject subjects[] = {
    {"proxies", "proxy", {"kind", "service"}, {"host", "port", "url", "exceptions"}},
    {"browser_proxies", "browser's proxy", {"browser", "file", "kind"}, {"host", "port", "url"}},
    {"resolvers", "resolver", {NULL}, {NULL}},
    {"search", "search domain", {NULL}, {NULL}},
    {"scoped", "scoped resolver", {"domain", "file"}, {"resolvers", "port"}},
    {"encrypted_dns", "encrypted resolver", {"protocol", "from"}, {"server", "addresses", "domains"}},
    {"services",
     "service",
     {"id", "location"},
     {"name", "interface", "active", "ipv4", "addresses", "router"}},
    {"vpns", "VPN", {"name", "kind"}, {"server", "app", "enabled", "on_demand"}},
    {"hosts", "line of hosts", {"address", "names"}, {NULL}},
    {"profiles", "profile", {"name", "type", "file"}, {NULL}},
    {"agents", "launch agent", {"file"}, {"label", "command", "interval"}},
    {"interfaces", "interface", {"mac", "name"}, {"kind"}},
};

/* A form of some members that equal ones share. */
static char *form_of(const json_t *entry, const char *const *keys, size_t count) {
    json_t *parts = json_array();
    for (size_t i = 0; i < count && keys[i]; i++) {
        json_t *value = json_object_get(entry, keys[i]);
        json_array_append_new(parts, value ? json_incref(value) : json_null());
    }
    if (!keys[0]) json_array_append(parts, (json_t *)entry);
    char *form = json_dumps(parts, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(parts);
    return form;
}

/* For people: "http, Wi-Fi", "203.0.113.9, 8080". */
static json_t *words_of(const json_t *entry, const char *const *keys, size_t count) {
    char out[600], part[400];
    size_t used = 0;
    out[0] = '\0';
    if (json_is_string(entry)) return json_incref((json_t *)entry);
    for (size_t i = 0; i < count && keys[i]; i++) {
        const json_t *value = json_object_get(entry, keys[i]);
        if (!value || json_is_false(value)) continue;
        if (json_is_array(value))
            joined_texts(value, part, sizeof part);
        else if (json_is_string(value))
            say(part, sizeof part, "%s", json_string_value(value));
        else if (json_is_true(value))
            say(part, sizeof part, "%s", keys[i]);
        else
            say(part, sizeof part, "%.0f", json_number_value(value));
        if (!*part) continue;
        say(out + used, sizeof out - used, "%s%s", used ? ", " : "", part);
        used += strlen(out + used);
    }
    return *out ? text_json(out, strlen(out)) : NULL;
}

static void add_change(json_t *changes, const struct subject *subject, const char *change,
                       const json_t *before, const json_t *after) {
    json_t *entry = json_object();
    if (json_array_size(changes) >= CHANGES_MOST) {
        json_decref(entry);
        return;
    }
    set_text(entry, "what", subject->what);
    set_text(entry, "about", subject->list);
    set_text(entry, "change", change);
    set_owned(entry, "name", words_of(after ? after : before, subject->keys, 3));
    if (before && subject->values[0]) set_owned(entry, "before", words_of(before, subject->values, 6));
    if (after && subject->values[0]) set_owned(entry, "after", words_of(after, subject->values, 6));
    json_array_append_new(changes, entry);
}

/* Entries by what they are about. */
static json_t *index_of(const json_t *list, const struct subject *subject) {
    json_t *index = json_object(), *entry;
    size_t i;
    json_array_foreach(list, i, entry) {
        char *key = form_of(entry, subject->keys, 3);
        if (key) json_object_set(index, key, entry);
        free(key);
    }
    return index;
}

static bool same_values(const struct subject *subject, const json_t *a, const json_t *b) {
    char *one = form_of(a, subject->values, 6), *other = form_of(b, subject->values, 6);
    bool same = !subject->values[0] || (one && other && strcmp(one, other) == 0);
    free(one);
    free(other);
    return same;
}

static void compare_lists(json_t *changes, const struct subject *subject, const json_t *before,
                          const json_t *after) {
    json_t *old = index_of(before, subject), *new = index_of(after, subject), *entry;
    const char *key;
    json_object_foreach(new, key, entry) {
        const json_t *was = json_object_get(old, key);
        if (!was)
            add_change(changes, subject, "added", NULL, entry);
        else if (!same_values(subject, was, entry))
            add_change(changes, subject, "changed", was, entry);
    }
    json_object_foreach(old, key, entry) if (!json_object_get(new, key))
        add_change(changes, subject, "removed", entry, NULL);
    json_decref(old);
    json_decref(new);
}

static void compare_pf(json_t *changes, const json_t *before, const json_t *after) {
    static const struct subject of_pf[] = {{"rdr", "pf redirection", {NULL}, {NULL}},
                                           {"anchors", "pf anchor", {NULL}, {NULL}},
                                           {"nat", "pf translation", {NULL}, {NULL}},
                                           {"rules", "pf rule", {NULL}, {NULL}}};
    const json_t *old = json_object_get(before, "pf"), *new = json_object_get(after, "pf");
    for (size_t i = 0; i < sizeof of_pf / sizeof of_pf[0]; i++)
        compare_lists(changes, &of_pf[i], json_object_get(old, of_pf[i].list),
                      json_object_get(new, of_pf[i].list));
}

/* ── what follows from it ────────────────────────────────────────── */

/* Findings name no entry, so the words of what is new must be in their reason. */
static bool is_about(const json_t *finding, const json_t *change) {
    const char *about = text_at(finding, "about"), *of = text_at(change, "about"),
               *why = text_at(finding, "why");
    bool pf = strcmp(about, "pf") == 0 &&
              (strcmp(of, "rdr") == 0 || strcmp(of, "anchors") == 0 || strcmp(of, "nat") == 0);
    char word[100];
    if (strcmp(text_at(change, "change"), "removed") == 0 || (!pf && strcmp(about, of) != 0)) return false;
    if (pf) return strstr(why, text_at(change, "name")) != NULL;
    const char *after = *text_at(change, "after") ? text_at(change, "after") : text_at(change, "name");
    say(word, sizeof word, "%.*s", (int)strcspn(after, ","), after);
    return strstr(why, word) != NULL || strcmp(text_at(finding, "file"), text_at(change, "name")) == 0;
}

static void raise(json_t *document, const json_t *changes) {
    size_t i, j;
    json_t *finding, *change;
    char why[WHY_ROOM + 64];
    json_array_foreach(json_object_get(document, "findings"), i, finding) {
        const char *severity = text_at(finding, "severity");
        const char *raised = strcmp(severity, "info") == 0  ? "low"
                             : strcmp(severity, "low") == 0 ? "medium"
                                                            : "high";
        json_array_foreach(changes, j, change) {
            if (!is_about(finding, change)) continue;
            say(why, sizeof why, "%s; %s since the earlier audit", text_at(finding, "why"),
                strcmp(text_at(change, "change"), "added") == 0 ? "new" : "changed");
            set_text(finding, "why", why);
            set_text(finding, "severity", raised);
            break;
        }
    }
}

/* A proxy or resolver that is gone is nowhere among the findings. */
static void tell_removed(json_t *document, const json_t *changes) {
    const struct audit audit = {.document = document};
    size_t i;
    const json_t *change;
    char why[WHY_ROOM];
    json_array_foreach(changes, i, change) {
        const char *about = text_at(change, "about");
        if (strcmp(text_at(change, "change"), "removed") != 0 ||
            (strcmp(about, "proxies") != 0 && strcmp(about, "resolvers") != 0))
            continue;
        const struct finding finding = {
            .severity = "low",
            .title = strcmp(about, "proxies") == 0 ? "A proxy was taken away" : "A resolver was taken away",
            .why = say(why, sizeof why, "%.300s%s%.300s, since the earlier audit", text_at(change, "name"),
                       *text_at(change, "before") ? ": " : "", text_at(change, "before")),
            .next = "Did the operator do that? What was set instead?",
            .about = about};
        audit_find(&audit, &finding);
    }
}

int audit_since(json_t *document, const json_t *earlier, struct error *err) {
    const json_t *version = json_object_get(earlier, "version");
    if (!json_is_integer(version) || json_integer_value(version) != 1)
        return error_set(err, "the earlier audit is none: one is made by `lunette audit ROOT --json`");
    nanoseconds when;
    json_t *since = json_object(), *changes = json_array();
    set_text(since, "root", text_at(earlier, "root"));
    set_text(since, "name", text_at(earlier, "name"));
    const json_t *taken = json_object_get(earlier, "taken");
    if (json_is_integer(taken) && when_of_seconds(json_number_value(taken), &when))
        json_object_set(since, "taken", json_object_get(earlier, "taken"));
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++)
        compare_lists(changes, &subjects[i], json_object_get(earlier, subjects[i].list),
                      json_object_get(document, subjects[i].list));
    compare_pf(changes, earlier, document);
    raise(document, changes);
    tell_removed(document, changes);
    audit_sort_findings(document);
    json_object_set_new(since, "changes", changes);
    json_object_set_new(document, "since", since);
    return 0;
}
