/* com.apple.networkextension.plist: VPNs, DNS settings and filters that apps and System Settings made.
 *
 * It is the archive of objects of a private framework (NSKeyedArchiver: a list $objects whose parts refer to
 * each other by number), and nobody documents its keys. So only what the names of classes say is taken: a
 * configuration is an NEConfiguration; what it holds is found by class, and a few texts by keys that the
 * public headers of NetworkExtension have as properties, however they are capitalised. What cannot be read so
 * is absent, not wrong. */
#include "audit/inner.h"

#include <string.h>
#include <strings.h>

static const char path[] = "/Library/Preferences/com.apple.networkextension.plist";

/* Objects may refer to the same large one as often as they like, so members looked at are counted. */
enum { MEMBERS_MOST = 1000000 };

struct archive {
    struct audit *audit;
    plist_t objects;
    uint32_t count;
    uint32_t *looked;
};

/* The object that a reference means; other values are themselves. */
static plist_t resolve(const struct archive *archive, plist_t node) {
    uint64_t number;
    if (!plist_is(node, PLIST_UID)) return node;
    plist_get_uid_val(node, &number);
    return number < archive->count ? plist_array_get_item(archive->objects, (uint32_t)number) : NULL;
}

static plist_t member(const struct archive *archive, plist_t object, const char *key) {
    plist_t found = NULL;
    for (struct plist_walk walk = plist_walk(object); plist_next(&walk);) {
        bool enough = ++*archive->looked > MEMBERS_MOST;
        if (!enough && strcasecmp(walk.key, key) != 0) continue;
        if (!enough) found = resolve(archive, walk.value);
        plist_walk_end(&walk);
        break;
    }
    return found;
}

static json_t *text_member(const struct archive *archive, plist_t object, const char *key) {
    plist_t value = member(archive, object, key);
    if (plist_is(value, PLIST_DICT)) value = member(archive, value, "NS.string");
    json_t *text = plist_text_of(value);
    if (!text || strcmp(json_string_value(text), "$null") != 0) return text;
    json_decref(text);
    return NULL;
}

static bool flag_member(const struct archive *archive, plist_t object, const char *key) {
    plist_t value = member(archive, object, key);
    uint8_t flag = 0;
    if (plist_is(value, PLIST_BOOLEAN)) plist_get_bool_val(value, &flag);
    return flag != 0;
}

/* "NEVPN", or "" if it is no object. */
static void class_of(const struct archive *archive, plist_t object, char out[128]) {
    plist_t class = resolve(archive, plist_member(object, "$class"));
    json_t *name = plist_text(class, "$classname");
    say(out, 128, "%s", name ? json_string_value(name) : "");
    json_decref(name);
}

/* The first part of an object whose class begins so. */
static plist_t part(const struct archive *archive, plist_t object, const char *class, char found_class[128]) {
    plist_t found = NULL;
    for (struct plist_walk walk = plist_walk(object); plist_next(&walk);) {
        if (++*archive->looked > MEMBERS_MOST) {
            plist_walk_end(&walk);
            break;
        }
        plist_t value = resolve(archive, walk.value);
        if (strcmp(walk.key, "$class") == 0 || !plist_is(value, PLIST_DICT)) continue;
        class_of(archive, value, found_class);
        if (strncmp(found_class, class, strlen(class)) != 0) continue;
        found = value;
        plist_walk_end(&walk);
        break;
    }
    return found;
}

static const char *kind_of(const char *class) {
    if (strncmp(class, "NEVPNProtocolIKEv2", 18) == 0) return "ikev2";
    if (strncmp(class, "NEVPNProtocolIPSec", 18) == 0) return "ipsec";
    if (strncmp(class, "NEVPNProtocolL2TP", 17) == 0) return "l2tp";
    return "app";
}

/* The protocol is a part of the VPN, of a class NEVPNProtocol… or NETunnelProviderProtocol. */
static void read_vpn(const struct archive *archive, plist_t configuration, plist_t vpn) {
    char class[128];
    json_t *entry = json_object(), *app = text_member(archive, configuration, "application");
    plist_t protocol = part(archive, vpn, "NEVPNProtocol", class);
    if (!protocol) protocol = part(archive, vpn, "NETunnelProviderProtocol", class);
    if (!protocol) class[0] = '\0';
    json_t *provider = text_member(archive, protocol, "providerBundleIdentifier");
    if (!provider) provider = text_member(archive, protocol, "pluginType");
    set_owned(entry, "name", text_member(archive, configuration, "name"));
    set_text(entry, "kind", kind_of(class));
    set_owned(entry, "server", text_member(archive, protocol, "serverAddress"));
    if (app || provider) json_object_set(entry, "app", app ? app : provider);
    set_owned(entry, "on_demand", json_boolean(flag_member(archive, vpn, "onDemandEnabled")));
    set_owned(entry, "enabled", json_boolean(flag_member(archive, vpn, "enabled")));
    set_text(entry, "from", path);
    audit_add(archive->audit, "vpns", entry);
    json_decref(app);
    json_decref(provider);
}

/* Servers are an archived array: { NS.objects = [ references ] }. */
static json_t *text_list(const struct archive *archive, plist_t object, const char *key) {
    plist_t list = plist_array(member(archive, object, key), "NS.objects");
    json_t *texts = json_array();
    uint32_t count = list ? plist_array_get_size(list) : 0;
    for (uint32_t i = 0; i < count && i < TEXTS_MOST; i++) {
        json_t *text = plist_text_of(resolve(archive, plist_array_get_item(list, i)));
        if (text) json_array_append_new(texts, text);
    }
    return texts;
}

static void read_dns(const struct archive *archive, plist_t configuration, plist_t bundle) {
    char class[128], from[PATH_ROOM];
    plist_t settings = part(archive, bundle, "NEDNS", class);
    bool https = strncmp(class, "NEDNSOverHTTPS", 14) == 0;
    json_t *server = settings ? text_member(archive, settings, https ? "serverURL" : "serverName") : NULL;
    plist_t url = settings && !server && https ? member(archive, settings, "serverURL") : NULL;
    if (url) server = text_member(archive, url, "NS.relative"); /* an NSURL */
    if (!server || (!https && strncmp(class, "NEDNSOverTLS", 12) != 0)) {
        json_decref(server);
        return;
    }
    json_t *entry = json_object(), *app = text_member(archive, configuration, "application");
    set_text(entry, "protocol", https ? "HTTPS" : "TLS");
    set_owned(entry, "server", server);
    set_owned(entry, "addresses", text_list(archive, settings, "servers"));
    set_owned(entry, "domains", text_list(archive, settings, "matchDomains"));
    set_text(entry, "from", say(from, sizeof from, "app %s", app ? json_string_value(app) : "(unknown)"));
    set_text(entry, "file", path);
    json_decref(app);
    audit_add(archive->audit, "encrypted_dns", entry);
}

static void read_configuration(const struct archive *archive, plist_t configuration) {
    char class[128];
    plist_t vpn = part(archive, configuration, "NEVPN", class);
    if (!vpn) vpn = part(archive, configuration, "NEAppVPN", class);
    plist_t dns = part(archive, configuration, "NEDNSSettings", class);
    if (vpn) read_vpn(archive, configuration, vpn);
    if (dns) read_dns(archive, configuration, dns);
}

void read_extensions(struct audit *audit) {
    char class[128];
    uint32_t looked = 0;
    plist_t root = audit_plist(audit, path, false);
    struct archive archive = {.audit = audit, .objects = plist_array(root, "$objects"), .looked = &looked};
    if (archive.objects) archive.count = plist_array_get_size(archive.objects);
    for (uint32_t i = 0; i < archive.count && i < LIST_MOST; i++) {
        plist_t object = plist_array_get_item(archive.objects, i);
        if (!plist_is(object, PLIST_DICT)) continue;
        class_of(&archive, object, class);
        if (strcmp(class, "NEConfiguration") == 0) read_configuration(&archive, object);
    }
    if (looked > MEMBERS_MOST) audit_note(audit, path, "more than is looked at");
    if (root) plist_free(root);
}
