/* Configuration profiles and managed settings: what an operator (or who got a user to click) gave the Mac.
 *
 * Where they lie differs from release to release, and a triage folder may hold what `profiles show -output`
 * or a .mobileconfig file says; so all property lists in the usual folders are walked, and any dictionary
 * with a PayloadType that matters is a payload, whose settings stand in it or in its PayloadContent. A
 * managed domain (Library/Managed Preferences/NAME.plist) is a payload called by its file. */
#include "audit/inner.h"

#include <stdlib.h>
#include <string.h>

enum { PROFILE_FOLDERS = 256 };

struct profile_source {
    struct audit *audit;
    const char *file;
    json_t *name; /* of the profile at hand, borrowed */
};

static const char *from_text(const struct profile_source *source, char out[PATH_ROOM]) {
    return say(out, PATH_ROOM, "profile %.300s",
               source->name ? json_string_value(source->name) : source->file);
}

/* ── payloads ────────────────────────────────────────────────────── */

static void read_dns(const struct profile_source *source, plist_t payload) {
    plist_t settings = plist_dict(payload, "DNSSettings");
    char from[PATH_ROOM];
    json_t *protocol = plist_text(settings, "DNSProtocol"), *entry = json_object();
    json_t *url = plist_text(settings, "ServerURL"), *name = plist_text(settings, "ServerName");
    if (!settings || !protocol || (!url && !name)) {
        json_decref(entry);
        json_decref(url);
        json_decref(name);
        json_decref(protocol);
        return;
    }
    set_owned(entry, "protocol", protocol);
    json_object_set(entry, "server", url ? url : name);
    set_owned(entry, "addresses", plist_texts(settings, "ServerAddresses", TEXTS_MOST));
    set_owned(entry, "domains", plist_texts(settings, "SupplementalMatchDomains", TEXTS_MOST));
    set_text(entry, "from", from_text(source, from));
    set_text(entry, "file", source->file);
    json_decref(url);
    json_decref(name);
    audit_add(source->audit, "encrypted_dns", entry);
}

static void add_proxies(const struct profile_source *source, json_t *proxies) {
    size_t i;
    json_t *proxy;
    char from[PATH_ROOM];
    json_array_foreach(proxies, i, proxy) {
        json_t *own = json_copy(proxy);
        set_text(own, "service", from_text(source, from));
        set_text(own, "from", from);
        set_text(own, "file", source->file);
        audit_add(source->audit, "proxies", own);
    }
    json_decref(proxies);
}

static void read_vpn(const struct profile_source *source, plist_t payload) {
    static const struct {
        const char *type, *kind, *settings, *server;
    } types[] = {{"IKEv2", "ikev2", "IKEv2", "RemoteAddress"},
                 {"AlwaysOn", "ikev2", "IKEv2", "RemoteAddress"},
                 {"IPSec", "ipsec", "IPSec", "RemoteAddress"},
                 {"L2TP", "l2tp", "PPP", "CommRemoteAddress"},
                 {"PPTP", "pptp", "PPP", "CommRemoteAddress"},
                 {"VPN", "app", "VPN", "RemoteAddress"},
                 {"TransparentProxy", "app", "TransparentProxy", "RemoteAddress"}};
    char from[PATH_ROOM];
    json_t *type = plist_text(payload, "VPNType"), *vpn = json_object();
    for (size_t i = 0; type && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(json_string_value(type), types[i].type) != 0) continue;
        plist_t settings = plist_dict(payload, types[i].settings);
        set_text(vpn, "kind", types[i].kind);
        set_owned(vpn, "server", plist_text(settings, types[i].server));
        set_owned(vpn, "on_demand", json_boolean(plist_number(settings, "OnDemandEnabled", 0)));
        if (strcmp(types[i].kind, "app") == 0) set_owned(vpn, "app", plist_text(payload, "VPNSubType"));
    }
    if (!json_object_get(vpn, "kind")) set_text(vpn, "kind", "app");
    set_owned(vpn, "name", plist_text(payload, "UserDefinedName"));
    set_owned(vpn, "enabled", json_true());
    set_text(vpn, "from", from_text(source, from));
    json_decref(type);
    audit_add(source->audit, "vpns", vpn);
    add_proxies(source, proxies_read(plist_member(payload, "Proxies")));
}

static void read_global_proxy(const struct profile_source *source, plist_t payload) {
    json_t *type = plist_text(payload, "ProxyType"), *list = json_array();
    json_t *host = plist_text(payload, "ProxyServer"), *url = plist_text(payload, "ProxyPACURL");
    bool automatic = type && strcmp(json_string_value(type), "Auto") == 0;
    if (automatic)
        proxy_add(list, url ? "pac" : "wpad", NULL, 0, url);
    else if (host)
        for (int i = 0; i < 2; i++)
            proxy_add(list, i ? "https" : "http", host, plist_number(payload, "ProxyServerPort", 0), NULL);
    json_decref(type);
    json_decref(host);
    json_decref(url);
    add_proxies(source, list);
}

/* Browsers of Chromium's family: ProxySettings, or the same keys by themselves. */
static void read_chromium(const struct profile_source *source, plist_t payload, const char *browser) {
    plist_t settings = plist_dict(payload, "ProxySettings");
    if (!settings) settings = payload;
    json_t *mode = plist_text(settings, "ProxyMode"), *server = plist_text(settings, "ProxyServer");
    json_t *url = plist_text(settings, "ProxyPacUrl"), *entry = json_object();
    const char *word = mode ? json_string_value(mode) : "";
    bool pac = strcmp(word, "pac_script") == 0 && url, fixed = strcmp(word, "fixed_servers") == 0 && server;
    char from[PATH_ROOM];
    if (pac || fixed || strcmp(word, "auto_detect") == 0) {
        set_text(entry, "browser", browser);
        set_text(entry, "kind", pac ? "pac" : fixed ? "http" : "wpad");
        if (fixed) json_object_set(entry, "host", server);
        if (pac) json_object_set(entry, "url", url);
        set_text(entry, "from", from_text(source, from));
        set_text(entry, "file", source->file);
        audit_add(source->audit, "browser_proxies", json_incref(entry));
    }
    json_decref(entry);
    json_decref(mode);
    json_decref(server);
    json_decref(url);
}

/* ── finding them ────────────────────────────────────────────────── */

static void note_profile(const struct profile_source *source, const char *type) {
    json_t *entry = json_object();
    set_text(entry, "name", source->name ? json_string_value(source->name) : source->file);
    set_text(entry, "type", type);
    set_text(entry, "file", source->file);
    audit_add(source->audit, "profiles", entry);
}

static bool is_chromium(const char *type) {
    return strcmp(type, "com.google.Chrome") == 0 || strcmp(type, "com.microsoft.Edge") == 0 ||
           strcmp(type, "com.brave.Browser") == 0 || strcmp(type, "org.chromium.Chromium") == 0;
}

static bool is_known(const char *type) {
    static const char *const types[] = {
        "com.apple.dnsSettings.managed",    "com.apple.vpn.managed",       "com.apple.vpn.managed.applayer",
        "com.apple.vpn.managed.appmapping", "com.apple.proxy.http.global", "com.apple.SystemConfiguration",
        "com.apple.webcontent-filter",      "com.apple.dnsProxy.managed",  "com.apple.relay.managed",
        "com.apple.networkextension",       "com.apple.NetworkExtension"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(type, types[i]) == 0) return true;
    return is_chromium(type);
}

static void read_payload(const struct profile_source *source, plist_t payload, const char *type) {
    plist_t content = plist_dict(payload, "PayloadContent");
    plist_t own = content ? content : payload;
    if (!is_known(type)) return;
    note_profile(source, type);
    if (strcmp(type, "com.apple.dnsSettings.managed") == 0)
        read_dns(source, own);
    else if (strncmp(type, "com.apple.vpn.managed", 21) == 0)
        read_vpn(source, own);
    else if (strcmp(type, "com.apple.proxy.http.global") == 0)
        read_global_proxy(source, own);
    else if (strcmp(type, "com.apple.SystemConfiguration") == 0)
        add_proxies(source, proxies_read(plist_member(own, "Proxies")));
    else if (is_chromium(type))
        read_chromium(source, own, type);
}

static void walk(struct profile_source *source, plist_t node, int depth) {
    if (depth > PLIST_DEPTH) return;
    if (plist_is(node, PLIST_ARRAY)) {
        uint32_t count = plist_array_get_size(node);
        for (uint32_t i = 0; i < count; i++) walk(source, plist_array_get_item(node, i), depth + 1);
        return;
    }
    if (!plist_is(node, PLIST_DICT)) return;
    json_t *type = plist_text(node, "PayloadType"), *before = source->name, *own = NULL;
    bool is_profile = !type || strcmp(json_string_value(type), "Configuration") == 0;
    if (is_profile) own = plist_text(node, "ProfileDisplayName");
    if (is_profile && !own) own = plist_text(node, "PayloadDisplayName");
    if (own) source->name = own;
    if (!is_profile) read_payload(source, node, json_string_value(type));
    if (is_profile || !is_known(json_string_value(type)))
        for (struct plist_walk inner = plist_walk(node); plist_next(&inner);)
            walk(source, inner.value, depth + 1);
    source->name = before;
    json_decref(own);
    json_decref(type);
}

static bool ends_with(const char *name, const char *ending) {
    size_t length = strlen(name), tail = strlen(ending);
    return length > tail && strcmp(name + length - tail, ending) == 0;
}

static void read_file(struct audit *audit, const char *path, const char *name) {
    char type[256];
    plist_t root = audit_plist(audit, path, false);
    if (!root) return;
    struct profile_source source = {.audit = audit, .file = path};
    say(type, sizeof type, "%.*s", (int)(strlen(name) - strlen(".plist")), name);
    if (ends_with(name, ".plist") && is_known(type) && !plist_member(root, "PayloadType"))
        read_payload(&source, root, type);
    else
        walk(&source, root, 0);
    plist_free(root);
}

static void read_folder(struct audit *audit, const char *folder, int depth, int *left) {
    char **names, path[PATH_ROOM];
    if (depth == 0 || --*left < 0) return;
    size_t count = audit_names(audit, folder, &names);
    for (size_t i = 0; i < count; i++) {
        if (snprintf(path, sizeof path, "%s/%s", folder, names[i]) >= (int)sizeof path) continue;
        if (ends_with(names[i], ".plist") || ends_with(names[i], ".mobileconfig"))
            read_file(audit, path, names[i]);
        else
            read_folder(audit, path, depth - 1, left);
    }
    tree_names_free(names, count);
}

void read_profiles(struct audit *audit) {
    static const char *const folders[] = {"/Library/Managed Preferences", "/var/db/ConfigurationProfiles",
                                          "/private/var/db/ConfigurationProfiles"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char **names;
        bool cut;
        size_t count;
        int left = PROFILE_FOLDERS;
        if (i == 2 && tree_names(audit->tree, folders[1], &names, &count, &cut) == TREE_READ) {
            tree_names_free(names, count); /* one is a link to the other */
            continue;
        }
        read_folder(audit, folders[i], 4, &left);
    }
}
