/* preferences.plist and NetworkInterfaces.plist of SystemConfiguration (configd; shapes in
 * SCSchemaDefinitions.h).
 *
 *      CurrentSet ─▶ Sets/ID/Network ─┬─ Service/ID/__LINK__ ─▶ NetworkServices/ID
 *                    a location       ├─ Global/IPv4/ServiceOrder
 *                                     └─ Global/DNS, Global/Proxies: for all services
 *
 * A key __INACTIVE__ switches the dictionary off that has it. Services that no location names are dormant. */
#include "audit/inner.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char preferences_path[] = "/Library/Preferences/SystemConfiguration/preferences.plist";
static const char interfaces_path[] = "/Library/Preferences/SystemConfiguration/NetworkInterfaces.plist";

struct location {
    struct audit *audit;
    plist_t root;
    json_t *name;
    bool current;
    int order;
    json_t *seen; /* services that a location names: an object used as a set */
};

/* ── one service ─────────────────────────────────────────────────── */

/* "DHCP" and "Manual" as the document has them. */
static void set_method(json_t *service, const char *key, plist_t address) {
    json_t *method = plist_text(address, "ConfigMethod");
    char word[32] = "";
    for (size_t i = 0; method && i < sizeof word - 1 && json_string_value(method)[i]; i++)
        word[i] = (char)tolower((unsigned char)json_string_value(method)[i]);
    set_text(service, key, word);
    json_decref(method);
}

static void extend(json_t *list, json_t *more) {
    size_t i;
    json_t *item;
    json_array_foreach(more, i, item) if (!has_text(list, json_string_value(item)) &&
                                          json_array_size(list) < TEXTS_MOST) json_array_append(list, item);
    json_decref(more);
}

static void read_addresses(json_t *service, plist_t from) {
    plist_t v4 = plist_dict(from, "IPv4"), v6 = plist_dict(from, "IPv6");
    json_t *addresses = plist_texts(v4, "Addresses", TEXTS_MOST);
    extend(addresses, plist_texts(v6, "Addresses", TEXTS_MOST));
    set_method(service, "ipv4", v4);
    set_method(service, "ipv6", v6);
    set_owned(service, "addresses", addresses);
    set_owned(service, "router", plist_text(v4, "Router"));
}

static void read_dns(json_t *service, plist_t dns) {
    bool off = plist_member(dns, "__INACTIVE__") != NULL;
    plist_t from = off ? NULL : dns;
    json_t *search = plist_texts(from, "SearchDomains", TEXTS_MOST), *domain = plist_text(from, "DomainName");
    if (domain && !has_text(search, json_string_value(domain))) json_array_append(search, domain);
    json_decref(domain);
    set_owned(service, "resolvers", plist_texts(from, "ServerAddresses", TEXTS_MOST));
    set_owned(service, "search", search);
    json_t *matches = plist_texts(from, "SupplementalMatchDomains", TEXTS_MOST);
    if (json_array_size(matches) > 0)
        set_owned(service, "match_domains", matches);
    else
        json_decref(matches);
}

/* L2TP and PPTP are PPP to SystemConfiguration; "VPN" with a bundle id is an app's. NULL: no VPN. */
static const char *vpn_kind(const char *type, const char *sub) {
    if (strcmp(type, "IPSec") == 0) return "ipsec";
    if (strcmp(type, "VPN") == 0) return "app";
    if (strcmp(type, "PPP") != 0 || strcmp(sub, "PPPoE") == 0 || strcmp(sub, "PPPSerial") == 0) return NULL;
    return strcmp(sub, "L2TP") == 0 ? "l2tp" : strcmp(sub, "PPTP") == 0 ? "pptp" : "ppp";
}

static void read_vpn(const struct location *location, plist_t from, const json_t *service) {
    plist_t interface = plist_dict(from, "Interface");
    json_t *type = plist_text(interface, "Type"), *sub = plist_text(interface, "SubType");
    const char *kind = vpn_kind(type ? json_string_value(type) : "", sub ? json_string_value(sub) : "");
    if (kind) {
        json_t *vpn = json_object(), *server = plist_text(plist_dict(from, "PPP"), "CommRemoteAddress");
        if (!server) server = plist_text(plist_dict(from, "IPSec"), "RemoteAddress");
        if (!server) server = plist_text(plist_dict(from, "VPN"), "RemoteAddress");
        set_text(vpn, "name", text_at(service, "name"));
        set_text(vpn, "kind", kind);
        set_owned(vpn, "server", server);
        set_text(vpn, "interface", text_at(service, "interface"));
        if (strcmp(kind, "app") == 0 && sub) json_object_set(vpn, "app", sub);
        set_owned(vpn, "on_demand",
                  json_boolean(plist_number(plist_dict(from, "VPN"), "OnDemandEnabled", 0)));
        set_owned(vpn, "enabled", json_incref(json_object_get(service, "active")));
        set_text(vpn, "from", preferences_path);
        audit_add(location->audit, "vpns", vpn);
    }
    json_decref(type);
    json_decref(sub);
}

/* What is on in an active service is the Mac's. */
static void take_active(struct audit *audit, json_t *service) {
    size_t i;
    json_t *proxy;
    if (!json_object_get(service, "match_domains"))
        extend(audit_list(audit, "resolvers"), json_incref(json_object_get(service, "resolvers")));
    extend(audit_list(audit, "search"), json_incref(json_object_get(service, "search")));
    json_array_foreach(json_object_get(service, "proxies"), i, proxy) {
        json_t *own = json_copy(proxy);
        set_text(own, "service", text_at(service, "name"));
        set_text(own, "id", text_at(service, "id"));
        set_text(own, "interface", text_at(service, "interface"));
        audit_add(audit, "proxies", own);
    }
}

static void take_scoped(struct audit *audit, const json_t *service) {
    size_t i;
    json_t *domain;
    char file[PATH_ROOM];
    say(file, sizeof file, "%s (%s)", preferences_path, text_at(service, "name"));
    json_array_foreach(json_object_get(service, "match_domains"), i, domain) {
        json_t *scoped = json_object();
        json_object_set(scoped, "domain", domain);
        json_object_set(scoped, "resolvers", json_object_get(service, "resolvers"));
        set_text(scoped, "file", file);
        audit_add(audit, "scoped", scoped);
    }
}

static void add_service(struct location *location, const char *id, plist_t from, bool off) {
    json_t *service = json_object();
    plist_t interface = plist_dict(from, "Interface");
    json_t *name = plist_text(from, "UserDefinedName");
    bool active = location->current && !off && !plist_member(from, "__INACTIVE__");
    set_text(service, "id", id);
    set_owned(service, "name", name ? name : plist_text(interface, "UserDefinedName"));
    set_owned(service, "interface", plist_text(interface, "DeviceName"));
    set_owned(service, "type", plist_text(interface, "Type"));
    set_owned(service, "active", json_boolean(active));
    if (location->name) json_object_set(service, "location", location->name);
    if (location->order) set_owned(service, "order", json_integer(location->order));
    read_addresses(service, from);
    read_dns(service, plist_dict(from, "DNS"));
    set_owned(service, "proxies", proxies_read(plist_member(from, "Proxies")));
    read_vpn(location, from, service);
    if (active) take_active(location->audit, service);
    if (active) take_scoped(location->audit, service);
    audit_add(location->audit, "services", service);
}

/* ── a location ──────────────────────────────────────────────────── */

/* What a location's entry of a service leads to: /NetworkServices/ID, or the entry itself. */
static plist_t linked(plist_t root, plist_t entry, const char *id) {
    static const char folder[] = "/NetworkServices/";
    json_t *link = plist_text(entry, "__LINK__");
    const char *path = link ? json_string_value(link) : "";
    plist_t found = NULL;
    if (strncmp(path, folder, strlen(folder)) == 0)
        found = plist_dict(plist_dict(root, "NetworkServices"), path + strlen(folder));
    else if (!link && plist_dict(entry, "Interface"))
        found = entry;
    else if (!link)
        found = plist_dict(plist_dict(root, "NetworkServices"), id);
    json_decref(link);
    return found;
}

static void take_service(struct location *location, plist_t services, const char *id, json_t *own) {
    plist_t entry = plist_dict(services, id);
    if (!entry || json_object_get(own, id)) return;
    json_object_set_new(own, id, json_true());
    json_object_set_new(location->seen, id, json_true());
    plist_t from = linked(location->root, entry, id);
    if (from) add_service(location, id, from, plist_member(entry, "__INACTIVE__") != NULL);
}

/* DNS and proxies that a location sets for all of its services. */
static void take_global(struct location *location, plist_t global) {
    if (!plist_dict(global, "DNS") && !plist_dict(global, "Proxies")) return;
    json_t *service = json_object(), *proxies = proxies_read(plist_member(global, "Proxies"));
    read_dns(service, plist_dict(global, "DNS"));
    bool empty = json_array_size(proxies) == 0 &&
                 json_array_size(json_object_get(service, "resolvers")) == 0 &&
                 json_array_size(json_object_get(service, "search")) == 0;
    set_owned(service, "proxies", proxies);
    set_text(service, "id", "Global");
    set_text(service, "name", "all services");
    set_owned(service, "active", json_boolean(location->current));
    if (location->name) json_object_set(service, "location", location->name);
    set_owned(service, "addresses", json_array());
    if (!empty && location->current) take_active(location->audit, service);
    if (!empty && location->current) take_scoped(location->audit, service);
    if (empty)
        json_decref(service);
    else
        audit_add(location->audit, "services", service);
}

static void read_location(struct audit *audit, plist_t root, const char *id, bool current, json_t *seen) {
    plist_t set = plist_dict(plist_dict(root, "Sets"), id), network = plist_dict(set, "Network");
    plist_t services = plist_dict(network, "Service"), global = plist_dict(network, "Global");
    struct location location = {.audit = audit,
                                .root = root,
                                .current = current,
                                .seen = seen,
                                .name = plist_text(set, "UserDefinedName")};
    if (!location.name) location.name = text_json(id, strlen(id));
    json_t *own = json_object(), *order = plist_texts(plist_dict(global, "IPv4"), "ServiceOrder", LIST_MOST),
           *item;
    json_t *entry = json_object();
    json_object_set(entry, "name", location.name);
    set_owned(entry, "current", json_boolean(current));
    audit_add(audit, "locations", entry);
    size_t i;
    json_array_foreach(order, i, item) {
        location.order = (int)i + 1;
        take_service(&location, services, json_string_value(item), own);
    }
    location.order = 0;
    for (struct plist_walk walk = plist_walk(services); plist_next(&walk);)
        take_service(&location, services, walk.key, own);
    take_global(&location, global);
    json_decref(own);
    json_decref(order);
    json_decref(location.name);
}

static void read_dormant(struct audit *audit, plist_t root, json_t *seen) {
    struct location nowhere = {.audit = audit, .root = root};
    for (struct plist_walk walk = plist_walk(plist_dict(root, "NetworkServices")); plist_next(&walk);)
        if (!json_object_get(seen, walk.key) && plist_is(walk.value, PLIST_DICT))
            add_service(&nowhere, walk.key, walk.value, true);
}

static void read_names(struct audit *audit, plist_t root) {
    plist_t system = plist_dict(root, "System");
    json_t *name = plist_text(plist_dict(plist_dict(system, "Network"), "HostNames"), "LocalHostName");
    json_t *computer = plist_text(plist_dict(system, "System"), "ComputerName");
    if (!name && computer) name = json_incref(computer);
    set_owned(audit->document, "name", name);
    set_owned(audit->document, "computer_name", computer);
    set_owned(audit->document, "host_name", plist_text(plist_dict(system, "System"), "HostName"));
    set_owned(audit->document, "model", plist_text(root, "Model"));
}

void read_preferences(struct audit *audit) {
    plist_t root = audit_plist(audit, preferences_path, true);
    if (!root) return;
    if (!plist_is(root, PLIST_DICT)) audit_note(audit, preferences_path, "broken: no dictionary at the top");
    json_t *current = plist_text(root, "CurrentSet"), *seen = json_object();
    const char *slash = current ? strrchr(json_string_value(current), '/') : NULL;
    const char *id = slash ? slash + 1 : current ? json_string_value(current) : "";
    read_names(audit, root);
    if (plist_dict(plist_dict(root, "Sets"), id)) read_location(audit, root, id, true, seen);
    for (struct plist_walk walk = plist_walk(plist_dict(root, "Sets")); plist_next(&walk);)
        if (strcmp(walk.key, id) != 0) read_location(audit, root, walk.key, false, seen);
    read_dormant(audit, root, seen);
    json_decref(current);
    json_decref(seen);
    plist_free(root);
}

/* ── interfaces ──────────────────────────────────────────────────── */

static const char *interface_kind(const char *type) {
    if (strcmp(type, "IEEE80211") == 0) return "Wi-Fi";
    return type;
}

static void add_interface(struct audit *audit, plist_t from, const json_t *model) {
    json_t *interface = json_object(), *type = plist_text(from, "SCNetworkInterfaceType");
    plist_t mac = plist_member(from, "IOMACAddress");
    uint64_t length = 0;
    const char *bytes = plist_is(mac, PLIST_DATA) ? plist_get_data_ptr(mac, &length) : NULL;
    char text[18];
    set_owned(interface, "name", plist_text(from, "BSD Name"));
    if (bytes && length == 6) {
        const uint8_t *b = (const uint8_t *)bytes;
        snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
        set_text(interface, "mac", text);
    }
    if (type) set_text(interface, "kind", interface_kind(json_string_value(type)));
    set_owned(interface, "title", plist_text(plist_dict(from, "SCNetworkInterfaceInfo"), "UserDefinedName"));
    set_owned(interface, "builtin", json_boolean(plist_number(from, "IOBuiltin", 0)));
    if (model) json_object_set(interface, "model", (json_t *)model);
    json_decref(type);
    audit_add(audit, "interfaces", interface);
}

void read_interfaces(struct audit *audit) {
    plist_t root = audit_plist(audit, interfaces_path, true);
    if (!root) return;
    plist_t list = plist_array(root, "Interfaces");
    json_t *model = plist_text(root, "Model");
    uint32_t count = list ? plist_array_get_size(list) : 0;
    if (!list) audit_note(audit, interfaces_path, "broken: no list of interfaces");
    for (uint32_t i = 0; i < count && i < LIST_MOST; i++) {
        plist_t item = plist_array_get_item(list, i);
        if (plist_is(item, PLIST_DICT)) add_interface(audit, item, model);
    }
    json_decref(model);
    plist_free(root);
}
