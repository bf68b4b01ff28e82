/* What does not belong in the configuration of proxies, resolvers, services and VPNs. A setting that a
 * profile gave is the operator's. All else was set on the Mac, by its user or by what ran there; how much
 * that means is a judgement:
 *
 *      high    traffic goes through somebody: proxies above all, and who sits on the Mac itself
 *      medium  somebody sees what is asked: resolvers nobody knows, discovery that any neighbour may answer
 *      low     a lead: settings that wait, VPNs, resolvers that many people set */
#include "audit/inner.h"

#include <string.h>

static const char preferences[] = "/Library/Preferences/SystemConfiguration/preferences.plist";

static bool of_profile(const json_t *entry) {
    return strncmp(text_at(entry, "from"), "profile", 7) == 0;
}

static const char *place_of(const json_t *proxy, char out[400]) {
    json_int_t port = json_integer_value(json_object_get(proxy, "port"));
    const char *host = text_at(proxy, "host"), *url = text_at(proxy, "url");
    if (*url)
        return say(out, 400, "%.380s",
                   strncmp(url, "javascript:", 11) == 0 ? "a script in the settings" : url);
    if (!*host) return say(out, 400, "whoever answers for wpad");
    return port ? say(out, 400, "%.300s:%lld", host, (long long)port) : say(out, 400, "%.300s", host);
}

/* The same host and port in a profile: then it is given, wherever else it stands. */
static bool is_given(const struct audit *audit, const json_t *proxy) {
    size_t i;
    const json_t *other;
    char own[400], place[400];
    if (of_profile(proxy)) return true;
    place_of(proxy, own);
    json_array_foreach(audit_list(audit, "proxies"), i,
                       other) if (of_profile(other) && strcmp(own, place_of(other, place)) == 0) return true;
    return false;
}

/* ── proxies ─────────────────────────────────────────────────────── */

/* A proxy file from below a search domain, or from a host without a dot, is the network's own. */
static bool is_near(const struct audit *audit, const char *host) {
    size_t i;
    const json_t *domain;
    if (is_private(host) || !strchr(host, '.')) return true;
    json_array_foreach(audit_list(audit, "search"), i,
                       domain) if (is_below(host, json_string_value(domain))) return true;
    return false;
}

static void judge_proxy(const struct audit *audit, const json_t *proxy, struct finding *finding) {
    const char *kind = text_at(proxy, "kind"), *url = text_at(proxy, "url");
    char host[256];
    finding->next = "Who set it? Compare with a Mac that is well; look at what listens there, and at "
                    "certificates trusted since";
    finding->attack = "T1090";
    if (is_given(audit, proxy)) {
        finding->severity = "info";
        finding->title = "A proxy given by a profile";
        finding->next = "Is the profile yours?";
    } else if (strcmp(kind, "wpad") == 0) {
        finding->severity = "medium";
        finding->title = "The proxy is whatever the network offers (WPAD)";
        finding->next = "macOS has it off: anybody in the same network can answer. Who put it on?";
        finding->attack = "T1557";
    } else if (strcmp(kind, "pac") == 0) {
        host_of_url(url, host);
        bool near = strncmp(url, "http", 4) == 0 && *host && is_near(audit, host) && !is_loopback(host);
        finding->severity = near ? "medium" : "high";
        finding->title = "A file decides which proxy is used";
        finding->next =
            "Fetch the file and read it: who is sent where? Over http anybody on the way can change it";
        finding->attack = "T1557";
    } else if (is_loopback(text_at(proxy, "host"))) {
        finding->severity = "high";
        finding->title = "Traffic goes through a program on this Mac";
        finding->attack = "T1557";
    } else {
        finding->severity = "high";
        finding->title = "A proxy that no profile gave";
    }
}

static void capital_kinds(const json_t *list, size_t from, const json_t *proxy, char out[64]) {
    size_t used = 0;
    char place[400], own[400];
    place_of(proxy, own);
    out[0] = '\0';
    for (size_t i = from; i < json_array_size(list) && i < from + 16; i++) { /* its own stand together */
        const json_t *other = json_array_get(list, i);
        if (strcmp(text_at(other, "service"), text_at(proxy, "service")) != 0 ||
            strcmp(own, place_of(other, place)) != 0)
            continue;
        say(out + used, 64 - used, "%s%s", used ? ", " : "", text_at(other, "kind"));
        used = strlen(out);
    }
}

/* The first of those that lead to the same place; the others are told with it. */
static bool is_first(const json_t *list, size_t at) {
    const json_t *proxy = json_array_get(list, at);
    char place[400], own[400];
    place_of(proxy, own);
    for (size_t i = 0; i < at; i++) {
        const json_t *other = json_array_get(list, i);
        if (strcmp(text_at(other, "service"), text_at(proxy, "service")) == 0 &&
            strcmp(own, place_of(other, place)) == 0)
            return false;
    }
    return true;
}

static void weigh_active_proxies(const struct audit *audit) {
    const json_t *list = audit_list(audit, "proxies"), *proxy;
    size_t i;
    char why[WHY_ROOM], key[400], kinds[64], place[400];
    json_array_foreach(list, i, proxy) {
        if (i >= TEXTS_MOST) break; /* the first hundreds say it */
        if (!is_first(list, i)) continue;
        struct finding finding = {.file = of_profile(proxy) ? text_at(proxy, "file") : preferences,
                                  .about = "proxies"};
        judge_proxy(audit, proxy, &finding);
        capital_kinds(list, i, proxy, kinds);
        finding.why = say(why, sizeof why, "%.200s: %s to %s", text_at(proxy, "service"), kinds,
                          place_of(proxy, place));
        if (!of_profile(proxy))
            finding.key = say(key, sizeof key, "NetworkServices/%.200s/Proxies", text_at(proxy, "id"));
        audit_find(audit, &finding);
    }
}

static void weigh_browser_proxies(const struct audit *audit) {
    size_t i;
    const json_t *proxy;
    char why[WHY_ROOM], place[400];
    json_array_foreach(audit_list(audit, "browser_proxies"), i, proxy) {
        struct finding finding = {.file = text_at(proxy, "file"), .about = "browser_proxies"};
        if (i >= TEXTS_MOST) break;
        judge_proxy(audit, proxy, &finding);
        finding.why = say(why, sizeof why, "%.100s%s%.100s: %s to %s", text_at(proxy, "browser"),
                          *text_at(proxy, "user") ? " of " : "", text_at(proxy, "user"),
                          text_at(proxy, "kind"), place_of(proxy, place));
        audit_find(audit, &finding);
    }
}

/* In services that are off, or of another location: one click away. */
static void weigh_waiting_proxies(const struct audit *audit) {
    size_t i, told = 0;
    const json_t *service;
    char why[WHY_ROOM], place[400];
    json_array_foreach(audit_list(audit, "services"), i, service) {
        const json_t *proxies = json_object_get(service, "proxies");
        if (json_is_true(json_object_get(service, "active")) || json_array_size(proxies) == 0 || told++ >= 20)
            continue;
        const json_t *proxy = json_array_get(proxies, 0);
        struct finding finding = {.severity = "low",
                                  .title = "A proxy waits in a service that is off",
                                  .file = preferences,
                                  .next = "Another location, or the service put on, and it counts",
                                  .attack = "T1090",
                                  .about = "services"};
        finding.why = say(why, sizeof why, "%.200s%s%.200s: %s to %s", text_at(service, "name"),
                          *text_at(service, "location") ? ", location " : "", text_at(service, "location"),
                          text_at(proxy, "kind"), place_of(proxy, place));
        audit_find(audit, &finding);
    }
}

void weigh_proxies(struct audit *audit) {
    weigh_active_proxies(audit);
    weigh_browser_proxies(audit);
    weigh_waiting_proxies(audit);
}
