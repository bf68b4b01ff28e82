/* What does not belong among services: resolvers, VPNs, the order, interfaces that are gone. */
#include "audit/inner.h"

#include <string.h>

static const char preferences[] = "/Library/Preferences/SystemConfiguration/preferences.plist";

/* ── resolvers ───────────────────────────────────────────────────── */

enum { UNKNOWN, LOCAL, KNOWN, NEAR, SORTS };

static int sort_of(const char *resolver) {
    if (is_loopback(resolver)) return LOCAL;
    if (known_resolver(resolver)) return KNOWN;
    return is_public_address(resolver) ? UNKNOWN : NEAR;
}

static void weigh_resolvers(const struct audit *audit, const json_t *service) {
    static const struct finding forms[SORTS] = {
        {.severity = "medium",
         .title = "A resolver that nobody knows, set by hand",
         .next = "Whose is the address? Ask it and a known one for the same names, and compare the answers",
         .attack = "T1557"},
        {.severity = "medium",
         .title = "Names are asked of a program on this Mac",
         .next = "Which program listens on port 53 there, and whom does it ask?",
         .attack = "T1557"},
        {.severity = "low",
         .title = "A public resolver, set by hand",
         .next = "Does your network want its own resolver to be used?"},
        {.severity = "info",
         .title = "A resolver in a private network, set by hand",
         .next = "Is it yours? At home and abroad it is another machine"}};
    const json_t *list = json_object_get(service, "resolvers"), *item;
    size_t i;
    char why[WHY_ROOM], key[300], shown[400];
    for (int sort = 0; sort < SORTS; sort++) {
        json_t *own = json_array();
        json_array_foreach(list, i, item) if (sort_of(json_string_value(item)) == sort)
            json_array_append(own, (json_t *)item);
        struct finding finding = forms[sort];
        const char *owner = sort == KNOWN && json_array_size(own)
                                ? known_resolver(json_string_value(json_array_get(own, 0)))
                                : NULL;
        finding.file = preferences;
        finding.about = "resolvers";
        finding.key =
            say(key, sizeof key, "NetworkServices/%.200s/DNS/ServerAddresses", text_at(service, "id"));
        finding.why = say(why, sizeof why, "%.200s: %s%s%s%s", text_at(service, "name"),
                          joined_texts(own, shown, sizeof shown), owner ? " (" : "", owner ? owner : "",
                          owner ? ")" : "");
        if (json_array_size(own) > 0) audit_find(audit, &finding);
        json_decref(own);
    }
}

/* ── VPNs ────────────────────────────────────────────────────────── */

static void weigh_vpns(const struct audit *audit) {
    size_t i;
    const json_t *vpn;
    char why[WHY_ROOM];
    json_array_foreach(audit_list(audit, "vpns"), i, vpn) {
        bool profile = strncmp(text_at(vpn, "from"), "profile", 7) == 0,
             on = json_is_true(json_object_get(vpn, "enabled"));
        bool weak = strcmp(text_at(vpn, "kind"), "pptp") == 0;
        if (i >= TEXTS_MOST) break;
        struct finding finding = {
            .severity = profile      ? "info"
                        : weak && on ? "medium"
                        : on         ? "low"
                                     : "info",
            .title = profile ? "A VPN given by a profile"
                     : weak  ? "A VPN whose protocol is broken (PPTP)"
                     : on    ? "A VPN that no profile gave"
                             : "A VPN that is off",
            .file = text_at(vpn, "from"),
            .next = profile ? "Is the profile yours?"
                            : "Is it a VPN that this Mac's user should have? Whose is the server?",
            .attack = profile ? NULL : "T1572",
            .about = "vpns"};
        if (profile) finding.file = NULL;
        finding.why = say(why, sizeof why, "%.200s: %s%s%.200s%s%.200s%s%s", text_at(vpn, "name"),
                          text_at(vpn, "kind"), *text_at(vpn, "server") ? " to " : "", text_at(vpn, "server"),
                          *text_at(vpn, "app") ? ", app " : "", text_at(vpn, "app"),
                          json_is_true(json_object_get(vpn, "on_demand")) ? ", by itself when needed" : "",
                          profile ? text_at(vpn, "from") + 7 : "");
        audit_find(audit, &finding);
    }
}

/* ── order, interfaces, locations ────────────────────────────────── */

static bool is_interface_known(const struct audit *audit, const char *name) {
    size_t i;
    const json_t *interface;
    json_array_foreach(audit_list(audit, "interfaces"), i,
                       interface) if (strcmp(text_at(interface, "name"), name) == 0) return true;
    return false;
}

/* Hardware has an entry in NetworkInterfaces.plist, which keeps those that are gone; bridges and the like
 * have none. */
static void weigh_interface(const struct audit *audit, const json_t *service) {
    const char *name = text_at(service, "interface"), *type = text_at(service, "type");
    char why[WHY_ROOM];
    if (json_array_size(audit_list(audit, "interfaces")) == 0 || strcmp(type, "Ethernet") != 0) return;
    if (strncmp(name, "en", 2) != 0 || is_interface_known(audit, name)) return;
    const struct finding finding = {
        .severity = "low",
        .title = "A service on an interface that the Mac does not know",
        .file = preferences,
        .why = say(why, sizeof why, "%.200s is on %.60s, which NetworkInterfaces.plist lacks",
                   text_at(service, "name"), name),
        .next = "Was the file copied from another Mac, or the list of interfaces taken away?",
        .about = "services"};
    audit_find(audit, &finding);
}

/* The first service carries what has no route of its own. */
static void weigh_order(const struct audit *audit, const json_t *service) {
    const char *type = text_at(service, "type");
    char why[WHY_ROOM];
    bool tunnel = strcmp(type, "PPP") == 0 || strcmp(type, "VPN") == 0 || strcmp(type, "IPSec") == 0;
    if (json_integer_value(json_object_get(service, "order")) != 1 || !tunnel) return;
    const struct finding finding = {
        .severity = "low",
        .title = "A tunnel comes first in the order of services",
        .file = preferences,
        .why = say(why, sizeof why, "%.200s (%.40s)", text_at(service, "name"), type),
        .key = "Sets/…/Network/Global/IPv4/ServiceOrder",
        .next = "While it is up, all traffic goes there. Is that meant?",
        .attack = "T1572",
        .about = "services"};
    audit_find(audit, &finding);
}

static bool differs(const json_t *a, const json_t *b, const char *key) {
    return !json_equal(json_object_get(a, key), json_object_get(b, key));
}

/* The same interface set by hand in two ways: somebody works with two networks, or a setting was put where it
 * is not seen. */
static void weigh_location(const struct audit *audit, const json_t *service) {
    size_t i;
    const json_t *other;
    char why[WHY_ROOM];
    json_array_foreach(audit_list(audit, "services"), i, other) {
        if (json_is_true(json_object_get(other, "active")) || !*text_at(other, "location") ||
            strcmp(text_at(other, "location"), text_at(service, "location")) == 0 ||
            strcmp(text_at(other, "interface"), text_at(service, "interface")) != 0 ||
            (!differs(service, other, "resolvers") && !differs(service, other, "addresses")))
            continue;
        const struct finding finding = {
            .severity = "info",
            .title = "Locations differ in what is set by hand",
            .file = preferences,
            .why = say(why, sizeof why,
                       "%.100s (%.20s): addresses or resolvers in %.200s are others than in %.200s",
                       text_at(service, "name"), text_at(service, "interface"), text_at(other, "location"),
                       text_at(service, "location")),
            .next = "Who made the other location, and for what?",
            .about = "services"};
        audit_find(audit, &finding);
        return;
    }
}

void weigh_services(struct audit *audit) {
    size_t i, told = 0;
    const json_t *service;
    json_array_foreach(audit_list(audit, "services"), i, service) {
        if (!json_is_true(json_object_get(service, "active")) || told++ >= TEXTS_MOST) continue;
        if (!json_object_get(service, "match_domains")) weigh_resolvers(audit, service);
        weigh_interface(audit, service);
        weigh_order(audit, service);
        if (told < 20 && *text_at(service, "interface")) weigh_location(audit, service);
    }
    weigh_vpns(audit);
}
